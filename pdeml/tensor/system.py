"""A problem on a box, collocated with a basis for each coordinate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.files.safe import available_memory, size_text
from pdeml.lower import estimate_scales, make_block, statements
from pdeml.problem import Problem
from pdeml.sampling import sample
from pdeml.tensor.ansatz import TensorAnsatz
from pdeml.tensor.axis import AxisBasis
from pdeml.tensor.equations import Equations
from pdeml.tensor.grid import KRYLOV, GridSystem
from pdeml.tensor.layout import Layout
from pdeml.tensor.line import LineSystem
from pdeml.tensor.newton import Discrete, GridFunction, Progress, follow

__all__ = ["TensorSolved", "TensorSystem"]

HELD_OUT = 512


@dataclass(frozen=True, eq=False)
class TensorSolved:
    """What was found.

    Args:
        coefficients: (U, m_1, …, m_D), the parameters of `TensorSystem.ansatz`.
        history: size of each step relative to the solution, in the order in which they were made.
        branch: which solution it is, in words.
        contradiction: by how much the solution misses conditions, relative to its size: no smooth function meets those
            of two sides that disagree where the sides meet.
    """

    coefficients: Tensor
    history: tuple[float, ...]
    branch: str
    contradiction: float


class TensorSystem:
    """Collocation with tensor products of one-dimensional spaces, for problems on boxes.

    In one coordinate any number of equations for as many unknowns, with conditions of any kind at the ends. In more
    coordinates each condition is a combination of derivatives of one unknown across a whole side, with constant
    coefficients, and where there are several unknowns the conditions of all are of the same kinds. Equations that are
    linear and separable are solved directly (Bartels-Stewart, fast diagonalisation), others by Newton's method with
    preconditioned GMRES, on the branch that continues their linear part.

    Args:
        problem: what is solved.
        axes: the basis of each coordinate, in the order of the coordinates.
    Raises:
        InputError: the problem is not for tensor products (see `refusal`), the bases do not span the coordinates'
            intervals, or the memory does not suffice.
    """

    def __init__(self, problem: Problem, axes: Sequence[AxisBasis]):
        self.problem = problem
        self._statements = statements(problem, estimate_scales(problem))
        layout = Layout.of(problem, self._statements)
        self._check(axes)
        self.ansatz = TensorAnsatz(tuple(axes), len(problem.names.real_unknowns))
        equations = Equations.of(problem, self._statements[0])
        sizes = [axis.size for axis in axes]
        _require(memory_of(sizes, self.ansatz.unknowns, equations), sizes)
        self._at: tuple[Tensor | None, np.ndarray | None] = (None, None)
        self._system: Discrete
        if len(axes) == 1:
            self._system = LineSystem(problem, axes[0], equations, layout)
        else:
            self._system = GridSystem(problem, axes, equations, layout)

    @staticmethod
    def refusal(problem: Problem) -> str | None:
        """Return why a problem is not for tensor products, or None."""
        try:
            Layout.of(problem, statements(problem, estimate_scales(problem)))
        except InputError as error:
            return error.message
        return None

    def solve(self, start: Tensor | None = None, progress: Progress | None = None) -> TensorSolved:
        """Solve the collocated equations.

        Args:
            start: coefficients (U, m_1, …, m_D) near the solution that is wanted; without them the branch that begins
                at the linear part of the equations is followed.
            progress: called after each step of Newton's method.
        Raises:
            DivergenceError: there is no solution, more than one, or none was reached.
        """
        base = None if start is None else start.detach().cpu().double().reshape(self.ansatz.shape).numpy()
        found, history, branch = follow(self._system, base, progress)
        coefficients, gap = torch.from_numpy(np.ascontiguousarray(found)), self._system.contradiction(found)
        return TensorSolved(coefficients, tuple(history), branch, gap)

    def recovered(self, function: GridFunction, at: Tensor | None = None) -> Tensor:
        """Return what the collocated equations make of the data of a known function.

        The conditions and the equations, linearised, act on the function; the coefficients that give the same values
        are returned. A function in the space comes back as it was. Factors are kept for further functions.

        Args:
            function: (places along each coordinate, multi-index) -> derivative of the unknowns on the grid,
                (N_1, …, N_D, U), as `TensorAnsatz.on_grid` gives it.
            at: coefficients (U, m_1, …, m_D) at which an equation that is not linear is linearised.
        Returns: (U, m_1, …, m_D).
        """
        if at is not self._at[0] or self._at[1] is None:
            base = torch.zeros(self.ansatz.shape, dtype=torch.float64) if at is None else at.detach().cpu().double()
            self._at = at, base.reshape(self.ansatz.shape).numpy()
        return torch.from_numpy(np.ascontiguousarray(self._system.recovered(function, self._at[1])))

    def residual(self, coefficients: Tensor, points: int = HELD_OUT, seed: int = 0) -> dict[str, float]:
        """Return the root mean square of each residual in the scaled equations, at points that were not collocated.

        Args:
            coefficients: (U, m_1, …, m_D).
            points: number of scrambled Sobol points for each statement.
            seed: of the scrambling.
        Returns: statement -> norm; see `pdeml.lower.Block.norms`.
        """
        found: dict[str, float] = {}
        theta = coefficients.reshape(-1)
        for number, statement in enumerate(self._statements):
            drawn = sample(statement.region, points, seed=(seed, number))
            x, weights = torch.from_numpy(drawn.x), torch.from_numpy(drawn.weights)
            normals = None if drawn.normals is None else torch.from_numpy(drawn.normals)
            found |= make_block(statement, self.ansatz, x, weights, normals).norms(theta, theta.new_zeros(0))
        return found

    def _check(self, axes: Sequence[AxisBasis]) -> None:
        coordinates = self.problem.names.coordinates
        if len(axes) != len(coordinates):
            raise InputError(f"there are {len(axes)} axes for the coordinates {', '.join(coordinates)}")
        for name, axis, (low, high) in zip(coordinates, axes, self.problem.domain.bounds, strict=True):
            if not np.allclose([axis.low, axis.high], [low, high], rtol=1e-12, atol=1e-12 * (high - low)):
                raise InputError(f"{name} runs from {low:g} to {high:g}, its axis from {axis.low:g} to {axis.high:g}")


def memory_of(sizes: Sequence[int], unknowns: int, equations: Equations) -> int:
    """Return about how many bytes a system takes.

    Args:
        sizes: of the bases.
        unknowns: U.
        equations: of the problem.
    """
    derivatives = len(equations.indices)
    if len(sizes) == 1:
        return 8 * unknowns * (sizes[0] ** 2 * unknowns + 512 * sizes[0] * derivatives)
    functions = math.prod(sizes)
    krylov = 0 if equations.is_linear else KRYLOV
    each = 12 + 4 * derivatives + 2 * derivatives * unknowns + krylov
    return 8 * (functions * unknowns * each + sum(20 * size**2 for size in sizes))


def _require(needed: int, sizes: Sequence[int]) -> None:
    available = available_memory()
    if needed > available:
        share = (available / needed) ** (1.0 / max(2, len(sizes)))
        fit = " x ".join(str(max(1, int(share * size))) for size in sizes)
        raise InputError(
            f"the tensor product of {' x '.join(map(str, sizes))} functions needs about {size_text(needed)} of memory, "
            f"and {size_text(available)} are available: about {fit} would fit"
        )
