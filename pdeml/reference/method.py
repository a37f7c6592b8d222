"""The role of a classical solver: frozen options, what it can solve, how it is refined, and `solve`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.solved import Solved
from pdeml.spec import Options

__all__ = ["Batch", "Method", "Progress", "substeps"]

Progress = Callable[[float], None]
"""Told now and then which share of the work, between 0 and 1, is done."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Instances of a problem to be solved, together where that is faster.

    Args:
        problem: one that is not refused.
        cases: the instances, at least one.
        grid: points along every coordinate.
        times: increasing, where the solution is stored; None for a steady problem.
        device: ``cpu`` or ``cuda``; methods that know only the former run there.
        progress: told the share that is done.
    """

    problem: Problem
    cases: Sequence[Case]
    grid: Mapping[str, int]
    times: np.ndarray | None
    device: str
    progress: Progress

    def part(self, first: int, count: int = 1) -> Progress:
        """Return what ``count`` cases, from the ``first`` on, report to: their progress is a part of the whole."""
        return lambda share: self.progress((first + count * share) / len(self.cases))


class Method(Options):
    """A classical solver with its options; `kind` is its name under ``reference.solver``.

    Attributes:
        most_space: points of space that a refinement goes to by itself: what a machine with little memory can hold.
    """

    most_space: ClassVar[float] = 1.1e6

    @abstractmethod
    def refusal(self, problem: Problem) -> str | None:
        """Return in one sentence why the problem cannot be solved, or None if it can be."""

    @abstractmethod
    def order(self, problem: Problem) -> float:
        """Return the theoretical order of convergence when all sizes of a grid are doubled (large: exponential)."""

    @abstractmethod
    def usual_grid(self, problem: Problem) -> dict[str, int]:
        """Return the number of points along every coordinate with which a refinement begins; the time's counts steps
        plus one."""

    @abstractmethod
    def _solve(self, batch: Batch) -> list[Solved]:
        """Do what `solve` says."""

    def solve(
        self,
        problem: Problem,
        cases: Sequence[Case],
        grid: Mapping[str, int],
        times: np.ndarray | None = None,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> list[Solved]:
        """Solve several instances of a problem, together where that is faster.

        Args:
            problem: one that is not refused.
            cases: the instances, all of ``problem``.
            grid: points along each coordinate; those left out come from `usual_grid`. For time the number of steps
                plus one, spread evenly over the duration.
            times: increasing, where the solution is stored; None for a steady problem.
            device: ``cpu`` or ``cuda``; methods that know only the former run there.
            progress: told the share that is done.
        Raises:
            InputError: the problem, a grid or a time does not fit the method.
            DivergenceError: the numbers became infinite, or Newton's method did not converge.
        """
        self.check(problem)
        told = progress or (lambda share: None)
        whole = self.full_grid(problem, grid)
        return self._solve(Batch(problem, cases, whole, times, device, told)) if cases else []

    @abstractmethod
    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> Solved:
        """Return the `Solved` whose ``array`` is given, as `solve` made it; nothing is computed."""

    def refine(self, problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
        """Return the grid with every step halved: n points become 2 n along a periodic coordinate, else 2 n - 1."""
        periodic = problem.periodic
        return {name: 2 * size if name in periodic else 2 * size - 1 for name, size in grid.items()}

    def full_grid(self, problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
        """Return ``grid`` with what is left out taken from `usual_grid`."""
        return {**self.usual_grid(problem), **grid}

    def check(self, problem: Problem) -> None:
        """Raise `InputError` if the problem is refused."""
        reason = self.refusal(problem)
        if reason is not None:
            raise InputError(f"{self.kind!r} cannot solve it: {reason}", ("solver",))


def substeps(times: np.ndarray, start: float, end: float, steps: int) -> list[tuple[float, int]]:
    """Cut a time interval so that every output time is hit.

    Args:
        times: increasing output times within ``[start, end]``.
        start, end: the interval over which ``steps`` steps would be spread evenly.
        steps: their number, at least 1.
    Returns: for each output time the (step, number of steps) that lead to it from the one before; (0, 0) for the start.
    """
    widest, pieces, now = (end - start) / steps, [], start
    for time in times:
        gap = float(time) - now
        count = max(1, int(np.ceil(gap / widest - 1e-6))) if gap > 1e-12 * (end - start) else 0
        pieces.append((gap / count if count else 0.0, count))
        now = float(time) if count else now
    return pieces
