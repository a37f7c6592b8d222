"""The method: what it takes, with which grid, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from pdeml.errors import InputError, one_of
from pdeml.expr import jet_symbol, slopes
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.chebyshev.conditions import axis_of, driven, orders_of, point_conditions, unusable
from pdeml.reference.chebyshev.solved import InSpace, InTime
from pdeml.reference.chebyshev.steady import breaks, marches, solve_steady
from pdeml.reference.chebyshev.transient import pieces_of, solve_transient, unfit
from pdeml.reference.evolution import make_evolution
from pdeml.reference.method import Batch, Method
from pdeml.reference.solved import Solved

__all__ = ["Chebyshev"]

EXPONENTIAL = 16.0
"""Stands for the order of convergence of polynomials whose degree grows."""


class Chebyshev(Method):
    """Chebyshev collocation in one coordinate, and a Radau IIA method in time.

    Solves what depends on one coordinate, or on one space coordinate and time: boundary value problems, ordinary
    differential equations, and evolution equations of any order in both, linear or not, systems, with any conditions
    at the ends or at points inside, however stiff. The solution is a polynomial on each of several equal pieces, joined
    smoothly; more points are more pieces. A problem whose conditions all hold at the lower end is solved piece by
    piece, on pieces of degree 16.

    Smooth solutions converge exponentially with ``degree``, with about that order with the number of pieces, and with
    the order ``2 stages - 1`` in time, which conditions that depend on time reduce to ``stages + 1``. Where initial and
    boundary values do not fit together, the solution is not smooth at the start: the first steps are less accurate, and
    later ones forget it. Poor for solutions with jumps.

    Args:
        stages: of the Radau IIA method; more of them make a step longer in work and far longer in reach.
        degree: highest degree of the polynomial on one piece.
    Reference: Driscoll & Hale, Rectangular spectral collocation, IMA J. Numer. Anal. 36 (2016) 108-132; Hairer &
        Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
    """

    kind: ClassVar[str] = "chebyshev"
    stages: int = Field(default=5, ge=1, le=7)
    degree: int = Field(default=32, ge=8, le=1024)

    def refusal(self, problem: Problem) -> str | None:
        names = problem.names
        if len(names.space) > 1:
            return f"it has {len(names.space)} space coordinates ({', '.join(names.space)}); one is possible"
        if problem.periodic:
            return f"{problem.periodic[0]} is periodic; 'etdrk4' solves such problems"
        if not problem.domain.is_box:
            return "its space is not one interval"
        if problem.needs_data or any(parameter.kind == "eigen" for parameter in problem.parameters.values()):
            return "something in it is to be found beside the unknowns: a parameter, or an unknown without equation"
        if len(problem.forms) != len(names.real_unknowns):
            return f"it has {len(problem.forms)} equations for {len(names.real_unknowns)} unknowns"
        if any(form.integrals for form in (*problem.forms, *(c.form for c in problem.constraints))):
            return "an unknown stands under an integral"
        return unusable(problem) or _miscounted(problem) or _unfit_in_time(problem)

    def order(self, problem: Problem) -> float:
        if axis_of(problem)[1] is None:
            return EXPONENTIAL
        classical = 2.0 * self.stages - 1.0
        return min(self.stages + 1.0, classical) if driven(problem) else classical

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        axis, time = axis_of(problem)
        if time is None:
            return {axis: 257 if marches(problem) else 33}
        return {axis: 33, time: 65}

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is found and told
    def _solve(self, batch: Batch) -> list[Solved]:
        problem, cases, times = batch.problem, batch.cases, batch.times
        sizes = _checked(problem, batch.grid)
        axis, time = axis_of(problem)
        if time is None:
            array, facts = solve_steady(problem, cases, sizes[axis], self.degree)[:, None], {}
            batch.progress(1.0)
        else:
            times, space = _times(problem, times, sizes[time]), pieces_of(problem, sizes[axis], self.degree)
            array, solves = solve_transient(problem, cases, space, sizes[time] - 1, times, self.stages, batch.progress)
            facts = {"steps": sizes[time] - 1, "stages": self.stages, "solves": solves}
        facts |= {"pieces": array.shape[3], "degrees_of_freedom": int(np.prod(array.shape[2:]))}
        return [self._found(problem, sizes, times, one, facts) for one in np.ascontiguousarray(array)]

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> Solved:
        return self._found(problem, self.full_grid(problem, grid), times, array, {})

    def _found(
        self, problem: Problem, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray, facts: Mapping
    ) -> Solved:
        axis, time = axis_of(problem)
        if time is None:
            ends = breaks(problem, grid[axis], self.degree)
            if axis == problem.time:
                return InTime(problem, _times(problem, times, grid[axis]), array, facts, ends)
            return InSpace(problem, None, array, facts, ends)
        ends = problem.domain.bounds[problem.names.coordinates.index(axis)]
        return InSpace(problem, times, array, facts, np.linspace(*ends, array.shape[2] + 1))


def _times(problem: Problem, times: np.ndarray | None, count: int) -> np.ndarray:
    """Return the times that are stored: those given, or those of the grid."""
    assert problem.domain.time is not None
    name, start, end = problem.domain.time
    if times is None:
        return np.linspace(start, end, count)
    found = np.asarray(times, dtype=np.float64)
    rounding = 1e-9 * (end - start)
    if found.ndim != 1 or not len(found) or np.any(np.diff(found) <= 0):
        raise InputError(f"the times must be increasing numbers, got {times!r}")
    if found[0] < start - rounding or found[-1] > end + rounding:
        raise InputError(f"{name} runs from {start:g} to {end:g}, got times from {found[0]:g} to {found[-1]:g}")
    return found


def _checked(problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
    for name, size in grid.items():
        if name not in problem.names.coordinates:
            raise InputError(one_of(name, problem.names.coordinates, "a coordinate"), ("grid", name))
        if size < 2:
            raise InputError(f"a grid has at least 2 points, got {size}", ("grid", name))
    return dict(grid)


def _miscounted(problem: Problem) -> str | None:
    """Return in words that the conditions are not as many as the orders ask for."""
    axis, _ = axis_of(problem)
    wanted = sum(orders_of(problem).values())
    given = len(point_conditions(problem))
    if wanted == given:
        return None
    return f"the orders along {axis} add up to {wanted}, which asks for as many conditions, and there are {given}"


def _unfit_in_time(problem: Problem) -> str | None:
    """Return why the problem cannot be stepped in time, or None."""
    axis, time = axis_of(problem)
    if time is None:
        return None
    try:
        evolution = make_evolution(problem)
    except InputError as error:
        return error.message
    if reason := unfit(evolution):
        return reason
    if all(form.order(axis) <= 1 for form in problem.forms) and _bends(problem, axis):
        return "it is a non-linear transport equation without diffusion, where shocks may form"
    return None


def _bends(problem: Problem, axis: str) -> bool:
    """Tell whether the coefficient of a derivative along the axis depends on the unknowns."""
    column = problem.names.coordinates.index(axis)
    for form in problem.forms:
        jets = {jet_symbol(*jet) for jet in form.jets}
        steep = [jet_symbol(unknown, index) for unknown, index in form.jets if index[column]]
        if any(slope.free_symbols & jets for slope in slopes(form.residual, steep)):
            return True
    return False
