"""Fourier pseudo-spectral solvers for periodic problems ``u_t = L u + N(u)``, with three schemes in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pdeml.errors import InputError, one_of
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.fourier.estimate import usual_sizes, usual_steps
from pdeml.reference.fourier.march import March
from pdeml.reference.fourier.modes import Modes, periods_of
from pdeml.reference.fourier.refusal import reason_against
from pdeml.reference.fourier.solved import FourierSolved
from pdeml.reference.fourier.split import make_split
from pdeml.reference.fourier.steppers import CarpenterKennedy, CoxMatthews, Heun, Stepper
from pdeml.reference.method import Batch, Method
from pdeml.reference.solved import Solved

__all__ = ["ETDRK4", "IMEX", "RK4CN", "Fourier"]

FEWEST = 4
"""Points along an axis: fewer leave no wave number but zero."""
TOGETHER = {"cpu": 2**16, "cuda": 2**25}
"""Grid values of the state, over all cases, that are advanced at once: what fits the caches, or fills the device."""


class Fourier(Method):
    """Trigonometric polynomials in space; L at each wave number by itself, N by products on the grid.

    Solves any problem whose space coordinates are all periodic and whose equations can be solved for the highest time
    derivatives. L holds the terms with constant coefficients (parameters count as constant), coupled or not, N all
    others: products, variable coefficients, sources. Unknowns without time derivative must follow from linear
    equations with constant coefficients, such as ``laplacian(psi) = -w``; their mean is zero where these leave it open,
    and initial values given for them are not used.

    Initial data and N are restricted to the wave numbers that are kept. The highest one of an even grid is never kept.

    Args:
        dealias: keep a third of ``n`` frequencies on either side instead of half, if N is not free of the unknowns.
            Quadratic terms are then free of aliasing errors. Cubic ones would need a quarter: their aliases fall on
            the frequencies that are kept if those above ``n / 4`` matter, which vanishes with resolution. Quotients
            and functions have aliases of all orders. With False nothing is cut, and nothing is free of aliases.

    Reference: Orszag (1971) for the rule; Canuto et al., *Spectral Methods* (2006), ch. 3.
    """

    dealias: bool = True
    stepper: ClassVar[type[Stepper]]
    orders: ClassVar[tuple[int, int]]
    """Order in time for N alone, and with L."""

    def refusal(self, problem: Problem) -> str | None:
        return reason_against(problem)

    def order(self, problem: Problem) -> float:
        alone, together = self.orders
        split = make_split(problem)
        return together if any(term.row < split.size for term in split.linear) else alone

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        return self.full_grid(problem, {})

    def full_grid(self, problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
        """Return ``grid`` with what is left out: points from the initial data, steps that suit the points.

        Raises:
            InputError: ``grid`` names no coordinate, or too few points.
        """
        _check_grid(problem, grid)
        whole = {**dict(zip(problem.names.space, usual_sizes(problem), strict=True)), **grid}
        if problem.time not in grid:
            whole[problem.time or ""] = usual_steps(problem, _sizes(problem, whole)) + 1
        return whole

    def refine(self, problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
        """Halve every step, and that of time again where N, with derivatives of second order or higher, asks for it."""
        finer = super().refine(problem, grid)
        steps, needed = finer[problem.time or ""] - 1, usual_steps(problem, _sizes(problem, finer)) / 2
        while steps < needed:
            steps *= 2
        return {**finer, problem.time or "": steps + 1}

    def _solve(self, batch: Batch) -> list[Solved]:
        problem, cases = batch.problem, batch.cases
        split = make_split(problem)
        stored = _checked_times(batch.times, split.evolution.start, split.evolution.end)
        sizes, steps = _sizes(problem, batch.grid), int(batch.grid[problem.time or ""]) - 1
        modes = Modes(sizes, periods_of(problem)[1], self.dealias and split.products, batch.device)
        together = max(1, TOGETHER["cpu" if batch.device == "cpu" else "cuda"] // (split.size * int(np.prod(sizes))))
        found: list[Solved] = []
        for first in range(0, len(cases), together):
            group = cases[first : first + together]
            march = March(self.stepper, problem, group, modes)
            arrays = march.run(stored, steps, batch.part(first, len(group)))
            facts = {"steps": march.steps, "modes": int(np.prod([2 * m + 1 for m in modes.degrees]))}
            found += [FourierSolved(problem, stored, array, facts) for array in arrays]
        return found

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> Solved:
        assert times is not None
        return FourierSolved(problem, times, array)


class ETDRK4(Fourier):
    """Exponential time differencing with Runge-Kutta of fourth order: exact where N vanishes, however stiff L is.

    Reference: Cox & Matthews (2002), J. Comput. Phys. 176; Kassam & Trefethen (2005), SIAM J. Sci. Comput. 26.
    """

    kind: ClassVar[str] = "etdrk4"
    stepper = CoxMatthews
    orders = (4, 4)


class RK4CN(Fourier):
    """Low-storage Runge-Kutta of fourth order for N with Crank-Nicolson for L, which makes the whole of second order.

    Reference: Carpenter & Kennedy (1994), NASA TM-109112; Canuto et al., *Spectral Methods* (2007), app. D.3.
    """

    kind: ClassVar[str] = "rk4cn"
    stepper = CarpenterKennedy
    orders = (4, 2)


class IMEX(Fourier):
    """Heun's method for N with Crank-Nicolson for L: second order, the cheapest step.

    Reference: Chandler & Kerswell (2013), J. Fluid Mech. 722.
    """

    kind: ClassVar[str] = "imex"
    stepper = Heun
    orders = (2, 2)


def _checked_times(times: np.ndarray | None, start: float, end: float) -> np.ndarray:
    if times is None or len(times) == 0:
        raise InputError("the problem depends on time: give the times at which its solution is stored")
    stored = np.asarray(times, dtype=np.float64)
    slack = 1e-9 * (end - start)
    if np.any(np.diff(stored) <= 0) or stored[0] < start - slack or stored[-1] > end + slack:
        raise InputError(
            f"output times must increase from {start:g} to {end:g} at most, got {stored[0]:g} … {stored[-1]:g}"
        )
    return stored


def _check_grid(problem: Problem, grid: Mapping[str, int]) -> None:
    for name, size in grid.items():
        fewest = 2 if name == problem.time else FEWEST
        if name not in problem.names.coordinates:
            raise InputError(one_of(name, problem.names.coordinates, "a coordinate of the grid"), ("grid", name))
        if size < fewest:
            raise InputError(f"the grid needs at least {fewest} points along {name}, got {size}", ("grid", name))


def _sizes(problem: Problem, grid: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(int(grid[name]) for name in problem.names.space)
