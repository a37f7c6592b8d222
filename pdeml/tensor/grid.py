"""Equations on a box of two and more coordinates, collocated on a tensor grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, gmres

from pdeml.errors import DivergenceError
from pdeml.lower import Index
from pdeml.problem import Problem
from pdeml.tensor.axis import AxisBasis
from pdeml.tensor.conditions import values_at
from pdeml.tensor.equations import Equations
from pdeml.tensor.factors import full_solver
from pdeml.tensor.layout import Layout
from pdeml.tensor.newton import Discrete, GridFunction, Solve
from pdeml.tensor.reduced import Reduced, along, matrix_of, reduce
from pdeml.tensor.separable import SeparablePart

__all__ = ["KRYLOV", "GridSystem"]

KRYLOV = 60
"""Vectors of GMRES before it begins anew."""
RESTARTS = 8
TIGHT = 1e-10
LOOSE = 1e-8
"""Relative residual of linear systems within Newton's method."""
USELESS = 1e-2
MOST_DIRECT = 5000
"""Up to so many unknowns the full matrix is factorised where GMRES fails."""


class _NotSolved(DivergenceError):
    """GMRES does not converge."""


class GridSystem(Discrete):
    """Coefficients C (U, m_1, …, m_d) of U unknowns, as a `Discrete` system.

    The conditions are met by construction: with ``R_k`` the rows of the conditions across axis k and ``P_k`` a right
    inverse, the functions ``P_k G_k + (1 − P_k R_k) C`` meet those of axis k, and one axis after the other gives the
    Boolean sum of Gordon and Hall. Where conditions contradict each other in a corner, the first axis prevails.
    The steps of Newton's method run through functions that vanish under all rows; their values at the nodes are the
    unknowns of its linear systems, which are solved by the separable part alone where the operator is separable, and
    by GMRES with the separable part as preconditioner where it is not.

    Args:
        problem: on a box; the conditions of all unknowns are of the same kinds.
        axes: a basis for each coordinate.
        equations: of the problem.
        layout: its conditions.
    Reference: Gordon & Hall, Numer. Math. 21 (1973) 109-129; Saad & Schultz, SIAM J. Sci. Stat. Comput. 7 (1986).
    """

    def __init__(self, problem: Problem, axes: Sequence[AxisBasis], equations: Equations, layout: Layout):
        self.equations = equations
        self._axes, self._ends = tuple(axes), layout.ends
        self._sides = [layout.rows(k) for k in range(len(axes))]
        self._reduced: list[Reduced] = []
        for basis, rows, end, name in zip(axes, self._sides, layout.ends, problem.names.coordinates, strict=True):
            first = end.rows(basis, [row[0] for row in rows])
            self._reduced.append(reduce(basis, first, end.low, end.high, name, square=end.periodic % 2 == 0))
        self._row_sizes = [
            end.sizes(basis, [row[0] for row in rows])
            for basis, rows, end in zip(axes, self._sides, layout.ends, strict=True)
        ]
        self._matrices: dict[tuple[int, int], np.ndarray] = {}
        self._derivatives: dict[tuple[int, int], np.ndarray] = {}
        self._points = _grid([reduced.nodes for reduced in self._reduced])
        self._shape = (equations.unknowns, *(len(reduced.nodes) for reduced in self._reduced))
        self._zero = np.zeros([equations.unknowns, *(basis.size for basis in axes)])
        self._values = [self._fitted(k, self._side_values(k)) for k in range(len(axes))]
        self._solve: Solve | None = None
        self._kept: tuple[np.ndarray, dict[Index, np.ndarray], Solve] | None = None

    def start(self, base: np.ndarray | None) -> np.ndarray:
        """Return coefficients (U, m_1, …, m_d) that meet the conditions, near those of ``base``."""
        near = self._zero if base is None else base
        for k, own in enumerate(self._reduced if base is not None else ()):  # what does not meet the joints is left out
            near = self._along(own.fit, self._along(matrix_of(own.basis, own.places, 0), near, k), k)
        return self._lifted(near, self._values)

    def contradiction(self, coefficients: np.ndarray) -> float:
        jet = self._jet(coefficients, (0,) * len(self._axes))
        sizes = np.sqrt(np.mean(jet**2, axis=tuple(range(1, jet.ndim)), keepdims=True)) + np.finfo(float).tiny
        found = 0.0
        for k, own in enumerate(self._reduced):
            if len(own.rows):
                gap = self._along(own.rows, coefficients, k) - self._values[k]
                gap = self._along(np.diag(1.0 / self._row_sizes[k]), gap, k)
                for i, other in enumerate(self._reduced):
                    if i != k:
                        gap = self._along(matrix_of(other.basis, other.places, 0), gap, i)
                found = max(found, float(np.abs(gap / sizes).max()))
        return found

    def size(self, coefficients: np.ndarray) -> float:
        return float(np.sqrt(np.mean(self._jet(coefficients, (0,) * len(self._axes)) ** 2)))

    def residual(self, coefficients: np.ndarray, share: float) -> np.ndarray:
        return self._linearised(coefficients, share)[1]

    def linearise(self, coefficients: np.ndarray, share: float) -> tuple[np.ndarray, Solve]:
        partials, residual = self._linearised(coefficients, share)
        if self._solve is None or not self.is_linear:
            self._solve = self._solver(partials, TIGHT if self.is_linear else LOOSE)
        return residual, self._solve

    def recovered(self, function: GridFunction, at: np.ndarray) -> np.ndarray:
        """Return the coefficients (U, m_1, …, m_d) that belong to a function; see `TensorSystem.recovered`."""
        if self._kept is None or self._kept[0] is not at:
            partials = self._linearised(at, 1.0)[0]
            self._kept = at, partials, self._solver(partials, TIGHT)
        _, partials, solve = self._kept
        values = [self._fitted(k, self._rows_of(k, function)) for k in range(len(self._axes))]
        start = self._lifted(self._zero, values)
        nodes = [torch.from_numpy(reduced.nodes) for reduced in self._reduced]
        residual = np.zeros(self._shape)
        for index, c in partials.items():
            residual += _product(c, self._jet(start, index) - function(nodes, index).movedim(-1, 0).numpy())
        return start - solve(residual)

    def _along(self, matrix: np.ndarray, array: np.ndarray, axis: int) -> np.ndarray:
        return along(matrix, array, axis - len(self._axes))

    def _lifted(self, base: np.ndarray, values: Sequence[np.ndarray]) -> np.ndarray:
        """Return the functions near ``base`` whose rows across each axis take the values G."""
        found = base
        for k in reversed(range(len(self._axes))):
            own = self._reduced[k]
            if len(own.rows):
                found = found + self._along(own.lift, values[k] - self._along(own.rows, found, k), k)
        return found

    def _linearised(self, coefficients: np.ndarray, share: float) -> tuple[dict[Index, np.ndarray], np.ndarray]:
        """Return multi-index -> coefficients (U, U, N_1, …) of the linearised equations, and residuals (U, N_1, …)."""
        unknowns, indices = self.equations.unknowns, self.equations.indices
        jets = np.stack([self._jet(coefficients, index).reshape(unknowns, -1).T for index in indices])
        partials, residual = self.equations.at(self._points, torch.from_numpy(jets), share)
        by_index = {
            index: partials[:, :, k].movedim(2, 1).numpy().reshape(unknowns, *self._shape)
            for k, index in enumerate(indices)
        }
        return {index: c for index, c in by_index.items() if np.any(c)}, residual.numpy().reshape(self._shape)

    def _jet(self, coefficients: np.ndarray, index: Index) -> np.ndarray:
        found = coefficients
        for k, order in enumerate(index):
            if (k, order) not in self._matrices:
                self._matrices[k, order] = matrix_of(self._axes[k], self._reduced[k].nodes, order)
            found = self._along(self._matrices[k, order], found, k)
        return found

    def _derivative(self, axis: int, order: int) -> np.ndarray:
        if (axis, order) not in self._derivatives:
            self._derivatives[axis, order] = self._reduced[axis].derivative(order)
        return self._derivatives[axis, order]

    def _solver(self, coefficients: Mapping[Index, np.ndarray], tolerance: float) -> Solve:
        part = SeparablePart.of(coefficients, self._derivative, lambda k, rows: self._reduced[k].tested(rows))
        sizes = (self.equations.unknowns, *(reduced.cardinal.shape[1] for reduced in self._reduced))
        direct: list[Solve] = []

        def apply(values: np.ndarray) -> np.ndarray:
            total = np.zeros(self._shape)
            for index, c in coefficients.items():
                term = values
                for k, order in enumerate(index):
                    if order or self._reduced[k].test is not None:
                        term = self._along(self._derivative(k, order), term, k)
                total += _product(c, term)
            return self._tested(part.factor * total)

        def inverted(right: np.ndarray) -> np.ndarray:
            if part.exact:
                return part.inverse.solve(right)
            if not direct:
                try:
                    return _krylov(apply, part.inverse.solve, right, tolerance)
                except _NotSolved:
                    if right.size > MOST_DIRECT:
                        raise
                unit = np.eye(right.size).reshape(-1, *sizes)
                direct.append(full_solver(np.stack([apply(one).ravel() for one in unit], axis=1)))
            return direct[0](right)

        def solve(residual: np.ndarray) -> np.ndarray:
            found = inverted(self._tested(part.factor * residual))
            for k, reduced in enumerate(self._reduced):
                found = self._along(reduced.cardinal, found, k)
            return found

        return solve

    def _tested(self, values: np.ndarray) -> np.ndarray:
        """Return the equations (U, n_1, …, n_d) for values (U, N_1, …, N_d) at the nodes."""
        for k, reduced in enumerate(self._reduced):
            if reduced.test is not None:
                values = self._along(reduced.test, values, k)
        return values

    def _side_values(self, axis: int) -> np.ndarray:
        """Return the value of each row across an axis at the places of the other axes, (U, …, r, …)."""
        found = []
        for row in self._sides[axis]:
            places = self._places(axis, np.array([row[0].at]))
            values = [values_at(side, _grid(places), self.equations.unknowns) for side in row]
            found.append(np.reshape(values, [len(row), *(len(place) for place in places)]))
        return self._joined(axis, found, self._ends[axis].periodic)

    def _rows_of(self, axis: int, function: GridFunction) -> np.ndarray:
        """Return what the rows across an axis make of functions, at the places of the other axes, (U, …, r, …)."""

        def derivative(at: Sequence[float], order: int) -> np.ndarray:
            places = [torch.from_numpy(place) for place in self._places(axis, np.array(at))]
            index = tuple(order if k == axis else 0 for k in range(len(places)))
            return function(places, index).movedim(-1, 0).numpy()

        basis = self._axes[axis]
        found = [sum(c * derivative([row[0].at], p) for p, c in enumerate(row[0].orders)) for row in self._sides[axis]]
        ends = [derivative([basis.low, basis.high], p) for p in range(self._ends[axis].periodic)]
        return self._joined(axis, [*found, *(np.diff(end, axis=axis + 1) for end in ends)])

    def _joined(self, axis: int, rows: Sequence[np.ndarray], zeros: int = 0) -> np.ndarray:
        """Put rows across an axis side by side, and some zeros after them."""
        shape = [self.equations.unknowns, *(len(place) for place in self._places(axis, np.zeros(zeros)))]
        return np.concatenate([*rows, np.zeros(shape)], axis + 1)

    def _places(self, axis: int, at: np.ndarray) -> list[np.ndarray]:
        """Return where functions of the other coordinates are sampled, with ``at`` along the axis."""
        return [at if k == axis else reduced.places for k, reduced in enumerate(self._reduced)]

    def _fitted(self, axis: int, values: np.ndarray) -> np.ndarray:
        """Return G: functions of the other coordinates by their coefficients, from values at the places."""
        for k, reduced in enumerate(self._reduced):
            if k != axis:
                values = self._along(reduced.fit, values, k)
        return values


def _product(c: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Multiply values (U, …) by a matrix (U, U, …) at each point."""
    return c[0] * values if len(c) == 1 else np.einsum("eu...,u...->e...", c, values)


def _krylov(apply: Solve, precondition: Solve, right: np.ndarray, tolerance: float) -> np.ndarray:
    """Solve by GMRES, preconditioned from the right."""
    shape, size, norm = right.shape, right.size, np.linalg.norm(right)
    if norm == 0:
        return np.zeros(shape)

    def product(values: np.ndarray) -> np.ndarray:
        return apply(precondition(values.reshape(shape))).ravel()

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    found, failed = gmres(operator, right.ravel() / norm, rtol=tolerance, restart=KRYLOV, maxiter=RESTARTS)
    if failed and np.linalg.norm(product(found) - right.ravel() / norm) > USELESS:
        raise _NotSolved(
            f"GMRES did not solve the linearised equation within {KRYLOV * RESTARTS} steps: its coefficients vary too "
            "much, or the conditions do not determine the solution"
        )
    return norm * precondition(found.reshape(shape))


def _grid(places: Sequence[np.ndarray]) -> torch.Tensor:
    """Return the points of a tensor grid, (N, D), the last coordinate running fastest."""
    mesh = np.meshgrid(*places, indexing="ij")
    return torch.from_numpy(np.stack([column.ravel() for column in mesh], axis=1))
