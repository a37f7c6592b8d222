"""Equations in one coordinate: one square system of joints, conditions and collocated equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import block_array, block_diag, csr_array, diags_array, vstack

from pdeml.lower import Index, indices_of
from pdeml.problem import Problem
from pdeml.tensor.axis import AxisBasis
from pdeml.tensor.conditions import functionals_at
from pdeml.tensor.equations import Equations
from pdeml.tensor.factors import sparse_solver
from pdeml.tensor.layout import Ends, Layout, periodic_rows
from pdeml.tensor.newton import Discrete, GridFunction, Solve
from pdeml.tensor.reduced import matrix_of

__all__ = ["LineSystem"]

ROWS_AT_ONCE = 512


@dataclass(frozen=True, eq=False)
class _Rows:
    """One statement linearised at the points of one place.

    Args:
        place: its number.
        indices: the K derivatives that occur.
        partials: their coefficients, (N, K, U).
        residual: what is left of the statement, (N,).
    """

    place: int
    indices: tuple[Index, ...]
    partials: np.ndarray
    residual: np.ndarray


class LineSystem(Discrete):
    """Coefficients (U, m) of U unknowns of one coordinate, as a `Discrete` system.

    Conditions may couple unknowns, and need not be linear. The matrix of a patched basis is sparse and factorised as
    such.

    Args:
        problem: in one coordinate.
        basis: of every unknown.
        equations: of the problem.
        layout: its conditions.
    """

    def __init__(self, problem: Problem, basis: AxisBasis, equations: Equations, layout: Layout):
        self.equations = equations
        self._basis, self._sides = basis, layout.sides
        self._repeating = [order[0] if layout.ends[0].periodic else 0 for order in layout.orders]
        joints = basis.joints.cpu().numpy()
        fixed = [csr_array(np.concatenate([joints, periodic_rows(basis, count)])) for count in self._repeating]
        self._fixed = block_diag(fixed, format="csr")
        owners = [basis.nodes(*_missing(layout.ends[0], layout.orders[k][0])).cpu() for k in layout.owners]
        self._places = [*(torch.tensor([side.at], dtype=torch.float64) for side in layout.sides), *owners]
        self._matrices: list[dict[int, csr_array]] = [{} for _ in self._places]
        self._solve: Solve | None = None
        self._kept: tuple[np.ndarray, list[_Rows], Solve] | None = None

    def start(self, base: np.ndarray | None) -> np.ndarray:
        """Return ``base``, or zero: Newton's method meets the conditions in its first step."""
        return np.zeros((self.equations.unknowns, self._basis.size)) if base is None else base

    def contradiction(self, coefficients: np.ndarray) -> float:
        """Return zero: sides that are points do not meet."""
        return 0.0

    def size(self, coefficients: np.ndarray) -> float:
        return float(np.sqrt(np.mean((self._matrix(len(self._sides), 0) @ coefficients.T) ** 2)))

    def residual(self, coefficients: np.ndarray, share: float) -> np.ndarray:
        return self._left(coefficients, self._rows(coefficients, share))

    def linearise(self, coefficients: np.ndarray, share: float) -> tuple[np.ndarray, Solve]:
        rows = self._rows(coefficients, share)
        if self._solve is None or not self.is_linear:
            self._solve = self._solver(rows)
        return self._left(coefficients, rows), self._solve

    def recovered(self, function: GridFunction, at: np.ndarray) -> np.ndarray:
        """Return the coefficients (U, m) that belong to the data of a function; see `TensorSystem.recovered`."""
        if self._kept is None or self._kept[0] is not at:
            rows = self._rows(at, 1.0)
            self._kept = at, rows, self._solver(rows)
        _, rows, solve = self._kept
        ends = torch.tensor([self._basis.low, self._basis.high], dtype=torch.float64)
        values = []
        for u, count in enumerate(self._repeating):
            jumps = [np.diff(function([ends], (p,)).numpy()[:, u]) for p in range(count)]
            values += [np.zeros(len(self._basis.joints)), *jumps]
        for one in rows:
            jets = np.stack([function([self._places[one.place]], index).numpy() for index in one.indices])
            values.append(np.einsum("nku,knu->n", one.partials, jets))
        return solve(np.concatenate(values))

    def _rows(self, coefficients: np.ndarray, share: float) -> list[_Rows]:
        """Return the conditions and the equations, linearised."""
        found, unknowns = [], self.equations.unknowns
        for number, side in enumerate(self._sides):
            indices = indices_of(side.statement)
            jets = self._jets(coefficients, number, indices)
            one = functionals_at(side, self._places[number][:, None], unknowns, jets)
            found.append(_Rows(number, indices, one.coefficients.numpy(), (one.apply(jets) - one.values).numpy()))
        for e, number in enumerate(range(len(self._sides), len(self._places))):
            jets = self._jets(coefficients, number, self.equations.indices)
            partials, residuals = self.equations.at(self._places[number][:, None], jets, share)
            found.append(_Rows(number, self.equations.indices, partials[e].numpy(), residuals[e].numpy()))
        return found

    def _left(self, coefficients: np.ndarray, rows: Sequence[_Rows]) -> np.ndarray:
        return np.concatenate([self._fixed @ coefficients.ravel(), *(one.residual for one in rows)])

    def _solver(self, rows: Sequence[_Rows]) -> Solve:
        unknowns, blocks = self.equations.unknowns, [self._fixed]
        for one in rows:
            matrices = [self._matrix(one.place, index[0]) for index in one.indices]
            row = [
                sum(diags_array(one.partials[:, k, u]) @ matrix for k, matrix in enumerate(matrices))
                for u in range(unknowns)
            ]
            blocks.append(block_array([row], format="csr"))
        solve = sparse_solver(vstack(blocks, format="csr"))
        return lambda right: solve(right).reshape(unknowns, -1)

    def _jets(self, coefficients: np.ndarray, place: int, indices: Sequence[Index]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self._matrix(place, index[0]) @ coefficients.T for index in indices]))

    def _matrix(self, place: int, order: int) -> csr_array:
        if order not in self._matrices[place]:
            self._matrices[place][order] = _sparse(self._basis, self._places[place].numpy(), order)
        return self._matrices[place][order]


def _missing(ends: Ends, order: int) -> tuple[int, int]:
    """Share the order of one unknown out between the two ends, in proportion to all conditions there."""
    low = round(order * ends.low / max(1, ends.low + ends.high))
    return low, order - low


def _sparse(basis: AxisBasis, x: np.ndarray, order: int) -> csr_array:
    starts = range(0, len(x), ROWS_AT_ONCE)
    return vstack([csr_array(matrix_of(basis, x[k : k + ROWS_AT_ONCE], order)) for k in starts], format="csr")
