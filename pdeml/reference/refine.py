"""Solving on finer and finer grids, and what the differences say about the error (Richardson, 1911)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdeml.errors import DivergenceError, InputError, one_of
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.method import Method, Progress
from pdeml.reference.solved import Solved
from pdeml.sampling import sample

__all__ = ["Refinement", "Stage", "difference", "error_estimate"]

PROBES = 2048
MOST_ORDER = 4.0
"""However fast the differences fall, no more than this is concluded about the next one."""
MOST_WORK = 3e8
"""Largest number of grid points in space and time that a refinement goes to by itself."""
MOST_GIVEN = 1e11
"""And of a grid that is given: beyond it there is no hope to see the end."""
MOST_STORED, STORED_BYTES = 257, 2**30
"""Of stored times, and of the memory they take."""
COARSER, LEAST_SPACE, LEAST_TIME = 2, 5, 3
"""Grids that precede a given one, and the fewest points that they have along a coordinate of space and of time."""
ROUNDING = 1e-9
"""Differences below this that fall no more are rounding errors."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What a refinement has come to.

    Args:
        level: of the grid, counted from 0.
        solved: on that grid.
        differences: relative L2 differences of neighbouring levels so far, coarse to fine.
    """

    level: int
    solved: Solved
    differences: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Refinement:
    """A sequence of grids for one problem.

    Args:
        method: the solver.
        case: what is solved.
        grid: the grid that is wanted: it is preceded by two coarser ones that tell its error. None: begin with the
            usual grid and halve the steps until ``tolerance`` is met.
        tolerance: wanted relative L2 error.
        device: where it is solved.
    """

    method: Method
    case: Case
    grid: Mapping[str, int] | None = None
    tolerance: float = 1e-6
    device: str = "cpu"

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.case.problem

    def grid_of(self, level: int) -> dict[str, int] | None:
        """Return the grid of a level, counted from 0; None if it would be too large or is beyond what is wanted."""
        if self.grid is not None:
            given = self._given
            return given[level] if level < len(given) else None
        grid = self.method.usual_grid(self.problem)
        for _ in range(level):
            grid = self.method.refine(self.problem, grid)
        return grid if level < 2 or self._fits(grid) else None

    def advance(self, stage: Stage | None = None, progress: Progress | None = None) -> Stage:
        """Solve on the next grid and compare; the first stage may skip a grid too coarse for the method.

        Raises: as `Method.solve`.
        """
        if stage is None:
            try:
                return Stage(0, self._solve(0, progress))
            except DivergenceError:
                return Stage(1, self._solve(1, progress))
        fine = self._solve(stage.level + 1, progress)
        return Stage(stage.level + 1, fine, (*stage.differences, difference(fine, stage.solved)))

    def run(self, progress: Progress | None = None) -> Stage:
        """Refine to the end; raises as `Method.solve`."""
        stage = self.advance(None, progress)
        while self.ended(stage) is None:
            stage = self.advance(stage, progress)
        return stage

    def estimate(self, stage: Stage) -> float:
        """Return the estimated relative L2 error of a stage; infinite where there is nothing to compare with."""
        return error_estimate(stage.differences, self.method.order(self.problem)) if stage.differences else math.inf

    def ended(self, stage: Stage) -> tuple[str, bool] | None:
        """Return why the refinement ends here and whether the tolerance is met; None where it goes on."""
        estimate, finest = self.estimate(stage), self.grid_of(stage.level + 1) is None
        met = estimate <= self.tolerance
        if self.grid is not None:
            return (f"solved on the given grid, estimated relative error {estimate:.1e}", met) if finest else None
        if met:
            return f"estimated relative error {estimate:.1e}, tolerance {self.tolerance:.0e}", True
        if len(stage.differences) > 1:
            before, last = stage.differences[-2:]
            if last < ROUNDING and last > 0.5 * before:
                return f"tolerance {self.tolerance:.0e} is below rounding: differences stay at {last:.1e}", False
        if finest:
            return f"tolerance {self.tolerance:.0e} not met on the finest grid: estimated {estimate:.1e}", False
        return None

    def _solve(self, level: int, progress: Progress | None) -> Solved:
        grid = self.grid_of(level)
        assert grid is not None
        times = self.times(grid)
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told in words
            (solved,) = self.method.solve(self.problem, [self.case], grid, times, device=self.device, progress=progress)
        return solved

    def times(self, grid: Mapping[str, int]) -> np.ndarray | None:
        """Return the times that are stored: those of the grid, or as many as the memory allows."""
        if self.problem.domain.time is None:
            return None
        name, start, end = self.problem.domain.time
        space = math.prod(size for key, size in grid.items() if key != name)
        most = STORED_BYTES // (8 * max(1, space) * len(self.problem.names.real_unknowns))
        return np.linspace(start, end, int(np.clip(min(grid[name], most), 9, MOST_STORED)))

    @cached_property
    def _given(self) -> list[dict[str, int]]:
        """The given grid after at most two coarser ones.

        Raises:
            InputError: it names no coordinate of the problem, is too coarse itself, or far too fine.
        """
        for name in self.grid or {}:
            if name not in self.problem.names.coordinates:
                raise InputError(one_of(name, self.problem.names.coordinates, "a coordinate"), ("grid", name))
        grids, time = [self.method.full_grid(self.problem, self.grid or {})], self.problem.names.time
        if (total := math.prod(grids[0].values())) > MOST_GIVEN:
            raise InputError(
                f"the grid has {total:.0e} points in space and time, at most {MOST_GIVEN:.0e} are possible", ("grid",)
            )
        for _ in range(COARSER):
            half = {n: -(-s // 2) if n in self.problem.periodic else (s - 1) // 2 + 1 for n, s in grids[0].items()}
            if any(size < (LEAST_TIME if name == time else LEAST_SPACE) for name, size in half.items()):
                break
            grids.insert(0, half)
        if len(grids) == 1:
            least = ", ".join(f"{name} {2 * (LEAST_TIME if name == time else LEAST_SPACE) - 1}" for name in grids[0])
            raise InputError(
                f"the error is told by a coarser grid, so that at least {least} points are needed", ("grid",)
            )
        return grids

    def _fits(self, grid: Mapping[str, int]) -> bool:
        time = self.problem.names.time
        space = math.prod(size for name, size in grid.items() if name != time)
        return space <= self.method.most_space and math.prod(grid.values()) <= MOST_WORK


def difference(fine: Solved, coarse: Solved) -> float:
    """Return the relative L2 difference of two solutions at fixed points, the largest of all unknowns.

    An unknown that vanishes is measured against the largest one. What both grids step over is not seen.

    Raises:
        DivergenceError: the numbers are too large to be compared.
    """
    points = sample(fine.problem.domain.region("interior"), PROBES, "sobol", (0, 7)).x
    a, b = fine.evaluate(points), coarse.evaluate(points)
    good = np.logical_and.reduce([np.isfinite(v) for v in (*a.values(), *b.values())])
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = {name: float(np.linalg.norm(values[good])) for name, values in a.items()}
        largest = max(sizes.values())
        found = [
            float(np.linalg.norm((a[name] - b[name])[good])) / (size if size > ROUNDING * largest else largest or 1.0)
            for name, size in sizes.items()
        ]
    if not np.all(np.isfinite(found)):
        raise DivergenceError("the solution grew beyond all numbers: it is unstable, or the problem is ill-posed")
    return max(found) if good.any() else math.inf


def error_estimate(differences: Sequence[float], order: float) -> float:
    """Return the error of the finest of several solutions from the differences of neighbours.

    With error ``C h^p`` and halved steps the finest one is off by ``difference / (2^p - 1)``; p is what the last two
    differences show, at most the theoretical order; with one difference alone nothing is known about p, and it is 1.

    Args:
        differences: relative L2 differences of neighbours, coarse to fine; at least one.
        order: theoretical order.
    """
    last = differences[-1]
    if len(differences) < 2 or last <= 0:
        return last
    observed = math.log2(differences[-2] / last) if differences[-2] > 0 else 0.0
    return last / (2.0 ** min(max(observed, 0.5), order, MOST_ORDER) - 1.0)
