"""Functions with jumps, and random constants: blocks, cells, boxes, half-ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator
from scipy.spatial import KDTree

from pdeml.sampling.functions.base import Function
from pdeml.sampling.functions.distribution import Distribution, Range, Real
from pdeml.spec import Options

__all__ = ["Box", "Piecewise", "Uniform"]


@dataclass(frozen=True, eq=False)
class Constant(Function):
    """One number everywhere."""

    over: tuple[str, ...]
    value: float

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        return np.full(len(points), 0.0 if any(index or ()) else self.value)


class Uniform(Distribution):
    """A constant, drawn uniformly from ``range``.

    Args:
        range: ``[low, high]``.
        log: whether the logarithm is uniform in place of the number.
    """

    kind = "uniform"

    range: Range
    log: bool = False

    @model_validator(mode="after")
    def _positive(self) -> Uniform:
        _check_log(self.range, self.log)
        return self

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Function:
        return Constant(over, float(_uniform(rng, self.range, self.log, None)))


@dataclass(frozen=True, eq=False)
class Blocks(Function):
    """Constant on the cells of a tensor grid; a point on a face belongs to the upper cell."""

    over: tuple[str, ...]
    bounds: np.ndarray
    values: np.ndarray

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        self._refuse_derivative(index, "it is constant on cells and jumps between them")
        return self.values[tuple(map(self._cells, range(len(self.over)), points.T))]

    def on_grid(self, axes: Sequence[np.ndarray], index: Sequence[int] | None = None) -> np.ndarray:
        self._refuse_derivative(index, "it is constant on cells and jumps between them")
        return self.values[np.ix_(*map(self._cells, range(len(self.over)), axes))]

    def _cells(self, axis: int, x: np.ndarray) -> np.ndarray:
        (low, high), count = self.bounds[axis], self.values.shape[axis]
        return np.clip(np.floor((x - low) / (high - low) * count).astype(int), 0, count - 1)


@dataclass(frozen=True, eq=False)
class Cells(Function):
    """Constant on Voronoi cells: the value of the nearest site."""

    over: tuple[str, ...]
    lengths: np.ndarray
    sites: KDTree
    values: np.ndarray

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        self._refuse_derivative(index, "it is constant on cells and jumps between them")
        return self.values[self.sites.query(points / self.lengths)[1]]


class Piecewise(Distribution):
    """Constant on cells, with independent values.

    Args:
        cells: cells along each coordinate (a number, or one each); with ``voronoi`` their number.
        shape: ``blocks`` of a tensor grid, or ``voronoi`` cells of sites drawn uniformly in the box.
        range: values are drawn uniformly from ``[low, high]``, or
        levels: chosen from these numbers, each equally likely.
        log: whether the logarithm of the value is uniform.
    """

    kind = "piecewise"

    cells: int | tuple[int, ...] = Field(8)
    shape: Literal["blocks", "voronoi"] = "blocks"
    range: Range | None = None
    levels: tuple[Real, ...] | None = None
    log: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Piecewise:
        if (self.range is None) == (self.levels is None):
            raise ValueError("needs one of range, levels")
        if self.range is not None:
            _check_log(self.range, self.log)
        listed = (self.cells,) if isinstance(self.cells, int) else self.cells
        if not listed or min(listed) < 1 or np.prod(listed) > 10**7:
            raise ValueError(f"cells must be at least 1 and no more than ten million, got {self.cells!r}")
        if self.shape == "voronoi" and len(listed) > 1:
            raise ValueError("voronoi cells are counted by one number")
        return self

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Function:
        if self.shape == "voronoi":
            lengths = np.ptp(bounds, axis=1)
            sites = rng.uniform(size=(self.cells, len(over))) + bounds[:, 0] / lengths
            return Cells(over, lengths, KDTree(sites), self._values(rng, (self.cells,)))
        counts = (self.cells,) * len(over) if isinstance(self.cells, int) else self.cells
        self.check_dimensions(over, len(counts))
        return Blocks(over, np.asarray(bounds, dtype=np.float64), self._values(rng, counts))

    def _values(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.levels is not None:
            return np.asarray(self.levels)[rng.integers(len(self.levels), size=shape)]
        assert self.range is not None
        return _uniform(rng, self.range, self.log, shape)


@dataclass(frozen=True, eq=False)
class Boxes(Function):
    """A sum of boxes ``h Π 1(|x − c| <= w/2)`` and half-ellipses ``√max(h² − a²|x − c|², 0)``."""

    over: tuple[str, ...]
    heights: np.ndarray
    widths: np.ndarray
    centres: np.ndarray
    slopes: np.ndarray
    tops: np.ndarray

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        self._refuse_derivative(index, "a box jumps at its sides")
        total = np.zeros(len(points))
        for height, width, centre in zip(self.heights, self.widths, self.centres, strict=True):
            total += height * np.all(np.abs(points - centre) <= width / 2, axis=1)
        # The half-ellipse of a box has its height.
        for height, slope, top in zip(self.heights, self.slopes, self.tops, strict=False):
            total += np.sqrt(np.maximum(height**2 - slope**2 * ((points - top) ** 2).sum(1), 0.0))
        return total


class Ellipse(Options):
    """The half-ellipse beside a box.

    Args:
        center: of it, along each coordinate.
        slope: a: a half-ellipse of height h is 2 h/a wide.
    """

    kind = "ellipse"

    center: Range = (0.7, 0.8)
    slope: Range = (5.0, 10.0)


def _ellipse(value: Any) -> Any:
    return Ellipse(**value) if isinstance(value, dict) else value


class Box(Distribution):
    """Boxes of random height, width and place on zero ground; with ``ellipse`` each has a half-ellipse of its height
    beside it, ``√max(h² − a²(x − c)², 0)`` (advection I and II of Lu et al., 2022).

    Args:
        height: of the box.
        width: along each coordinate.
        center: of the box, along each coordinate.
        ellipse: centre and slope of the half-ellipse; none by default.
        count: how many of them are added up.
    """

    kind = "box"

    height: Range = (1.0, 2.0)
    width: Range = (0.3, 0.6)
    center: Range = (0.3, 0.7)
    ellipse: Annotated[Ellipse | None, BeforeValidator(_ellipse)] = None
    count: int = Field(1, ge=1, le=1000)

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Function:
        each = (self.count, len(over))
        heights = rng.uniform(*self.height, size=self.count)
        widths, centres = rng.uniform(*self.width, size=each), rng.uniform(*self.center, size=each)
        if self.ellipse is None:
            return Boxes(over, heights, widths, centres, np.zeros(0), np.zeros((0, len(over))))
        slopes = rng.uniform(*self.ellipse.slope, size=self.count)
        return Boxes(over, heights, widths, centres, slopes, rng.uniform(*self.ellipse.center, size=each))


def _check_log(ends: tuple[float, float], log: bool) -> None:
    if log and ends[0] <= 0:
        raise ValueError(f"log needs positive numbers, got {list(ends)}")


def _uniform(
    rng: np.random.Generator, ends: tuple[float, float], log: bool, shape: tuple[int, ...] | None
) -> np.ndarray:
    return np.exp(rng.uniform(*np.log(ends), size=shape)) if log else np.asarray(rng.uniform(*ends, size=shape))
