"""How fine random features are, level by level: functions of a cell, their radius, cells.

A level has more functions than the one before, and from some number on more cells. How many cells there are at first,
and how far the weights of their features reach (the radius), follows from the bandwidth of the problem. Where there are
few cells several radii are tried, and the one with the smallest residual on held-out points is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from pdeml.errors import DivergenceError, InputError
from pdeml.features.marching import Start, solve_cells
from pdeml.features.scattered import Resolution, Scattered
from pdeml.files.safe import available_memory, size_text
from pdeml.lower import Ansatz, Index
from pdeml.lower.bandwidth import bandwidth
from pdeml.problem import Problem
from pdeml.sampling.fresh import fresh_norms

__all__ = ["LevelOptions", "Route", "ScatteredRoute", "Stage", "wave_numbers"]

_SIZES = {1: (16, 24, 32), 2: (80, 160, 280, 400), 3: (120, 300, 600)}
"""Functions of a cell on the first levels, by dimension."""
_RADII = {1: (3.0, 6.0, 12.0), 2: (2.0, 4.0, 8.0), 3: (1.5, 3.0, 5.0)}
"""Radii that are tried first."""
_WIDER = 1.5
_WORTH = 0.5  # a wider radius is taken where the residual is below this share
_CROWD = 2.5  # functions a dimension for each wave that fits into a patch, at least
_TRIED = 4  # cells up to which several radii are tried
_PROBES = 1024
_SHARE = 0.8  # of the memory that is free


@dataclass(frozen=True)
class LevelOptions:
    """What the user decides; see `pdeml.solvers.random_features.RandomFeatures`."""

    features: int | None = None
    patches: tuple[int | None, ...] | None = None
    bandwidth: tuple[float | None, ...] | None = None
    radius: float | None = None
    activation: str = "sin"
    ratio: float = 2.0
    windows: int | None = None
    sampler: str = "sobol"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Stage:
    """A solution on one level.

    Args:
        ansatz: the family of functions.
        theta: its parameters, (P,).
        facts: plain values from which, with ``tensors``, the ansatz is made again.
        tensors: the same.
        unknowns: numbers that were solved for.
        null: how many directions the rows leave free.
        condition: of the rows, estimated.
        text: the level in words.
    """

    ansatz: Ansatz
    theta: Tensor
    facts: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    unknowns: int
    null: int
    condition: float
    text: str


class Route(Protocol):
    """A way to discretise by random features, on levels 0, 1, …"""

    def solve(self, level: int, before: Stage | None, watch: Callable[[float], None]) -> Stage:
        """Solve on a level.

        Args:
            level: number.
            before: the solution on the level before, where there is one.
            watch: told what share is done.

        Raises:
            InputError: it does not fit into memory.
            DivergenceError: no solution was found.
        """

    def work(self, level: int, facts: Mapping[str, Any] | None) -> float:
        """Return a number that is proportional to the time a level takes, about.

        Args:
            level: number.
            facts: of the stage before, where there is one.
        """

    def ansatz(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ansatz:
        """Return the family of functions of a stage that was saved."""

    def first(self) -> tuple[int, str]:
        """Return how many numbers are solved for on the first level at most, and the level in words.

        Raises:
            InputError: it does not fit into memory.
        """


@dataclass(frozen=True)
class ScatteredRoute:
    """Least squares on the cells of any domain.

    Args:
        problem: what is solved.
        options: of the user.
    """

    problem: Problem
    options: LevelOptions

    def solve(self, level: int, before: Stage | None, watch: Callable[[float], None]) -> Stage:
        """Solve on a level with the best of a few radii; see `Route`."""
        start = None if before is None else _start(before)
        best, least = None, math.inf
        candidates = self._candidates(level, before and before.facts)
        for number, resolution in enumerate(candidates):
            system = self._system(resolution)
            self._require_memory(system)
            try:
                stage = self._stage(level, system, start, _part(watch, number, len(candidates)))
            except DivergenceError as error:
                failure = error
                continue
            norms = fresh_norms(system.statements, stage.ansatz, stage.theta, self.options.seed, _PROBES)
            worst = max(norms.values())
            if best is None or worst < _WORTH * least:
                best, least = stage, worst
            elif worst > least:
                break
        if best is None:
            raise failure
        return best

    def work(self, level: int, facts: Mapping[str, Any] | None) -> float:
        """Return about how many multiplications a level takes where the problem is linear; see `Route`."""
        return sum(self._system(resolution).operations for resolution in self._candidates(level, facts))

    def ansatz(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Ansatz:
        """Return the family of functions of a stage that was saved."""
        return self._system(Resolution(tuple(facts["counts"]), facts["size"], facts["radius"])).ansatz

    def first(self) -> tuple[int, str]:
        """Return the first level's number of unknowns, and the level in words; see `Route`."""
        system = self._system(self._candidates(0, None)[-1])
        self._require_memory(system)
        cells = len(system.cells)
        return cells * system.unknowns * system.resolution.size, _told(system)

    def resolution(self, level: int, radius: float) -> Resolution:
        """Return how fine a level is, for a radius."""
        dimension = len(self.base)
        sizes = _SIZES.get(dimension, _SIZES[3])
        if self.options.features is not None:
            sizes = (self.options.features, round(1.5 * self.options.features))
        elif math.prod(self.base) > _TRIED:
            sizes = sizes[1:]
        more = max(0, level - len(sizes) + 1)
        counts = tuple(count * 2**more for count in self.base)
        return Resolution(counts, sizes[min(level, len(sizes) - 1)], radius)

    @cached_property
    def highest(self) -> tuple[float, ...]:
        """Highest angular wave number expected along each coordinate."""
        return wave_numbers(self.problem, self.options)

    @cached_property
    def base(self) -> tuple[int, ...]:
        """Cells along each coordinate on the first level: so many that the features resolve the bandwidth."""
        bounds = self.problem.domain.bounds
        given = self.options.patches or (None,) * len(bounds)
        if None not in given:
            return given
        radius = self.options.radius or _RADII.get(len(bounds), _RADII[3])[-1]
        return tuple(
            own or max(1, math.ceil(wave * (high - low) / 2 / (0.75 * radius)))
            for own, wave, (low, high) in zip(given, self.highest, bounds.tolist(), strict=True)
        )

    def _candidates(self, level: int, before: Mapping[str, Any] | None) -> list[Resolution]:
        if self.options.radius is not None:
            return [self.resolution(level, self.options.radius)]
        if before is not None:
            last = before["radius"]
            radii = [last, max(last, min(_WIDER * last, _widest(self.resolution(level, last))))]
        else:
            radii = list(_RADII.get(len(self.base), _RADII[3]))
        found = [self.resolution(level, radius) for radius in dict.fromkeys(radii)]
        if math.prod(found[0].counts) <= _TRIED:
            return found
        return found[:1] if before is not None else found[-1:]

    def _system(self, resolution: Resolution) -> Scattered:
        own = self.options
        return Scattered(self.problem, resolution, own.activation, own.ratio, own.sampler, own.seed)

    def _stage(self, level: int, system: Scattered, start: Start | None, watch: Callable[[float], None]) -> Stage:
        found = solve_cells(system, self._windows(system), start, watch)
        resolution = system.resolution
        facts = {"level": level, **asdict(resolution), "counts": list(resolution.counts)}
        theta = system.theta(found.parts)
        return Stage(system.ansatz, theta, facts, {}, sum(system.sizes), found.null, found.condition, _told(system))

    def _windows(self, system: Scattered) -> int:
        """Return how many windows of time are solved one after another: all at once where the problem is linear."""
        column = self.problem.domain.time_column
        if column is None:
            return 1
        if self.options.windows is not None:
            return self.options.windows
        return 1 if system.is_linear else system.resolution.counts[column]

    def _require_memory(self, system: Scattered) -> None:
        needed, available = system.memory, _SHARE * available_memory()
        if needed > available:
            size = system.resolution.size
            fits = max(1, int(size * math.sqrt(available / needed)))
            raise InputError(
                f"{len(system.cells)} cells of {size} functions need about {size_text(needed)} of memory, and "
                f"{size_text(int(available))} may be taken: about {fits} functions a cell would fit",
                ("features",),
            )


def wave_numbers(problem: Problem, options: LevelOptions) -> tuple[float, ...]:
    """Return the highest angular wave number along each coordinate: what the user says, or what the problem tells."""
    given = options.bandwidth or (None,) * len(problem.names.coordinates)
    if None not in given:
        return given
    return tuple(w if own is None else own for own, w in zip(given, bandwidth(problem).highest, strict=True))


def _widest(resolution: Resolution) -> float:
    """Return the largest radius for which there are functions enough: ``N = |ball| / π^D`` waves fit into a patch."""
    dimension = len(resolution.counts)
    ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1)
    return math.pi * (resolution.size / (_CROWD**dimension * ball)) ** (1 / dimension)


def _part(watch: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda share: watch((number + share) / count)


def _start(before: Stage) -> Start:
    def start(points_ND: Tensor, indices: tuple[Index, ...]) -> Tensor:
        return before.ansatz.derivatives(before.theta, points_ND, indices)

    return start


def _told(system: Scattered) -> str:
    cells, resolution = len(system.cells), system.resolution
    patches = f"{cells} patch{'es' * (cells != 1)}"
    return f"{patches} of at most {resolution.size} functions, radius {resolution.radius:.3g}, by least squares"
