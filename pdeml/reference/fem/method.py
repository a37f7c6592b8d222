"""FEM: finite elements for linear and semilinear elliptic and parabolic problems."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pdeml.errors import ExpressionError, InputError
from pdeml.geometry import Box
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.fem.assembly import System
from pdeml.reference.fem.conditions import Conditions, sort_conditions
from pdeml.reference.fem.march import march, steady_state
from pdeml.reference.fem.solution import GridSolved, MeshSolved
from pdeml.reference.fem.space import make_space
from pdeml.reference.fem.stencil import Stencil, StencilProblem, stencil_problem
from pdeml.reference.fem.weak import Weak, make_weak
from pdeml.reference.method import Batch, Method, Progress
from pdeml.reference.solved import Solved

__all__ = ["FEM"]

_GRID_SIZE = {1: 129, 2: 65}
_TIME_SIZE = 65
_ACROSS = 4.0
"""The usual grid has this many steps across the smallest disk or the shortest piece of the boundary, if it can."""
_LARGEST = 513


class FEM(Method):
    """Continuous finite elements on triangles (intervals in 1-D), for equations of second order in space.

    Linear and semilinear elliptic and parabolic problems, of one unknown or a system, on any plane geometry: the
    factors of second derivatives may depend on coordinates, inputs and unknowns, the rest also on first derivatives.
    On the boundary values, fluxes, or equations in an unknown and its normal derivative; none of them may be missing.
    Inputs may jump. Order ``degree + 1`` in space, on curved boundaries too (with degree 2 elements are curved), and in
    time by L-stable Runge-Kutta methods. Where the solution has singularities the order falls: to ``2 pi/omega`` at a
    corner of angle ``omega > pi`` with degree 1 or 2 (4/3 for an L), to about 1 where a coefficient jumps across
    triangles, and to 2 where unknowns are coupled through second derivatives at a boundary with a flux.

    Args:
        degree: of the polynomials, 1 or 2; by default 1 where the fast path applies, else 2.
        mesher: ``distance``, ``gmsh`` (which must be installed), or ``auto``: the first unless it fails.
    """

    kind: ClassVar[str] = "fem"
    most_space: ClassVar[float] = 7e4

    degree: Literal[1, 2] | None = Field(default=None)
    mesher: Literal["auto", "distance", "gmsh"] = Field(default="auto")

    def refusal(self, problem: Problem) -> str | None:
        try:
            _analysed(problem)
        except (InputError, ExpressionError) as error:
            return str(error)
        return None

    def order(self, problem: Problem) -> float:
        return self._degree(problem) + 1.0

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        names, size = problem.names, _GRID_SIZE[self._degree(problem)]
        space = problem.domain.space
        if not isinstance(space, Box):
            extent = float((space.bounds[:, 1] - space.bounds[:, 0]).min())
            detail = min(piece.measure for piece in space.pieces.values())
            size = int(np.clip(np.ceil(_ACROSS * extent / detail) + 1, size, _LARGEST))
        return {name: _TIME_SIZE if name == names.time else size for name in names.coordinates}

    def _solve(self, batch: Batch) -> list[Solved]:
        found: list[Solved] = []
        for number, case in enumerate(batch.cases):
            progress = batch.part(number)
            array, facts = self._solve_one(batch, case, progress)
            found.append(self._solved(batch.problem, batch.grid, batch.times, array, facts))
            progress(1.0)
        return found

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> Solved:
        return self._solved(problem, self.full_grid(problem, grid), times, array, {})

    def _solve_one(
        self, batch: Batch, case: Case, progress: Progress
    ) -> tuple[np.ndarray, dict[str, float | int | str]]:
        problem, grid, times = batch.problem, batch.grid, batch.times
        weak, conditions, form = _analysed(problem)
        counts = tuple(grid[name] for name in problem.names.space)
        if form is not None and self._on_grid(problem):
            stencil = Stencil(case, form, counts)
            if stencil.definite:
                values, facts = stencil.solve()
                return values.reshape(1, 1, -1), facts
        system = System(case, weak, conditions, self._space(problem, counts))
        if times is None:
            state, facts = steady_state(system)
        else:
            state, facts = march(system, self._degree(problem) + 1, times, grid[problem.names.time] - 1, progress)
        return state.reshape(-1, *system.shape), facts

    def _solved(
        self,
        problem: Problem,
        grid: Mapping[str, int],
        times: np.ndarray | None,
        array: np.ndarray,
        facts: Mapping[str, float | int | str],
    ) -> Solved:
        counts = tuple(grid[name] for name in problem.names.space)
        if self._on_grid(problem):
            return GridSolved(problem, times, array, facts, counts)
        return MeshSolved(problem, times, array, facts, self._space(problem, counts))

    def _space(self, problem: Problem, counts: tuple[int, ...]):
        return make_space(problem.domain.space, counts, self._degree(problem), self.mesher, problem.periodic)

    def _on_grid(self, problem: Problem) -> bool:
        """Whether the nodes are those of the grid: linear elements on a rectangle."""
        space = problem.domain.space
        plain = isinstance(space, Box) and space.dimension == 2 and not problem.periodic
        return plain and self._degree(problem) == 1 and self.mesher != "gmsh"

    def _degree(self, problem: Problem) -> int:
        return self.degree or (2 if _analysed(problem)[2] is None else 1)


@lru_cache(maxsize=32)
def _analysed(problem: Problem) -> tuple[Weak, Conditions, StencilProblem | None]:
    """Return the weak form, the conditions and, where it has it, the form of the fast path.

    Raises:
        InputError: the problem is not one for finite elements.
    """
    if problem.domain.space is None:
        raise InputError("there is no space coordinate")
    weak = make_weak(problem)
    conditions = sort_conditions(weak)
    return weak, conditions, stencil_problem(weak, conditions)
