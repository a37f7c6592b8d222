"""Box: a product of intervals in any dimension, with named sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, under
from pdeml.geometry.base import Geometry, check_renames
from pdeml.geometry.checks import as_points, axis_name, interval
from pdeml.geometry.piece import Piece, Placement
from pdeml.geometry.quasi import read_only

__all__ = ["Box", "Interval", "Rectangle", "side_names"]

_SIDES = {"x": ("left", "right"), "y": ("bottom", "top"), "z": ("back", "front")}


def side_names(axes: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of the low and the high side along each axis.

    x, y, z have left/right, bottom/top, back/front; other names take the pair of their position where it is free, and
    ``NAME_min``/``NAME_max`` otherwise.
    """
    pairs = list(_SIDES.values())
    taken = {_SIDES[name] for name in axes if name in _SIDES}
    result = []
    for position, name in enumerate(axes):
        pair = _SIDES.get(name)
        if pair is None:
            by_position = pairs[position] if position < len(pairs) else None
            pair = (f"{name}_min", f"{name}_max") if by_position is None or by_position in taken else by_position
        result.append(pair)
    return tuple(result)


@dataclass(frozen=True, init=False, repr=False)
class Box(Geometry):
    """A product of intervals: an interval in one dimension, a rectangle in two, up to any number.

    Args:
        intervals: coordinate name -> (low, high); or as keywords, ``Box(x=(0, 1), y=(0, 2))``.
        edges: renames sides, such as ``{"left": "inlet"}``.

    Raises:
        InputError: for ends that are not finite, equal or in the wrong order, and for bad names.
    """

    intervals: tuple[tuple[str, float, float], ...]
    edges: tuple[tuple[str, str], ...]

    def __init__(
        self,
        /,
        *intervals: Mapping[str, Any] | None,
        edges: Mapping[str, str] | None = None,
        **more: Any,
    ):
        given = _named("Box", intervals, more)
        if not given:
            raise InputError("a box needs at least one interval, such as x=(0, 1)")
        rows = []
        for name, ends in given.items():
            with under(str(name)):
                rows.append((axis_name(name), *interval(ends, str(name))))
        object.__setattr__(self, "intervals", tuple(rows))
        names = tuple(name for pair in side_names(self.axes) for name in pair)
        with under("edges"):
            renames = check_renames(edges or {}, names)
        object.__setattr__(self, "edges", tuple(sorted((a, b) for a, b in renames.items() if a != b)))

    def __repr__(self) -> str:
        inside = [f"{name}=({low!r}, {high!r})" for name, low, high in self.intervals]
        return f"Box({', '.join(inside + ([f'edges={dict(self.edges)}'] if self.edges else []))})"

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the coordinates."""
        return tuple(row[0] for row in self.intervals)

    @cached_property
    def bounds(self) -> np.ndarray:
        """The ends of the intervals, (d, 2)."""
        return read_only(np.array([row[1:] for row in self.intervals], dtype=np.float64))

    @property
    def measure(self) -> float:
        """Product of the lengths."""
        return float(np.prod(self.bounds[:, 1] - self.bounds[:, 0]))

    @cached_property
    def sides(self) -> dict[str, tuple[int, float]]:
        """Name of each side -> (axis, value of that coordinate)."""
        renames = dict(self.edges)
        return {
            renames.get(name, name): (axis, float(self.bounds[axis, end]))
            for axis, pair in enumerate(side_names(self.axes))
            for end, name in enumerate(pair)
        }

    @property
    def piece_names(self) -> tuple[str, ...]:
        """Names of the sides."""
        return tuple(self.sides)

    @cached_property
    def pieces(self) -> dict[str, Piece]:
        """The sides; in one dimension two points with the counting measure."""
        return {name: self._side(name, axis, value) for name, (axis, value) in self.sides.items()}

    def _side(self, name: str, axis: int, value: float) -> Piece:
        others = np.delete(np.arange(self.dimension), axis)
        low, high = self.bounds[others].T
        sign = 1.0 if value == self.bounds[axis, 1] else -1.0

        def place(unit: np.ndarray) -> Placement:
            points = np.full((len(unit), self.dimension), value)
            points[:, others] = low + (high - low) * unit[:, : len(others)]
            normals = np.zeros_like(points)
            normals[:, axis] = sign
            return points, normals, np.ones(len(unit), dtype=bool)

        return Piece(name, float(np.prod(high - low)), len(others), place, plane=(axis, value))

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """Exact Euclidean distance (N,) to the boundary, negative inside."""
        x = as_points(points, self.dimension)
        beyond = np.maximum(self.bounds[:, 0] - x, x - self.bounds[:, 1])
        return np.linalg.norm(np.maximum(beyond, 0.0), axis=1) + np.minimum(beyond.max(axis=1), 0.0)

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stretch the unit cube onto the box."""
        low, high = self.bounds.T
        return low + (high - low) * unit, np.ones(len(unit), dtype=bool)

    def rename(self, edges: Mapping[str, str]) -> Box:
        """Return the box with sides renamed."""
        renames = check_renames(edges, self.piece_names)
        plain = [name for pair in side_names(self.axes) for name in pair]
        new = {old: renames.get(now, now) for old, now in zip(plain, self.piece_names, strict=True)}
        return Box({name: ends for name, *ends in self.intervals}, edges=new)

    def to_spec(self) -> dict[str, Any]:
        """Return ``{interval | rectangle | box: {x: [low, high], ...}}``."""
        kind = {1: "interval", 2: "rectangle"}.get(self.dimension, "box")
        body: dict[str, Any] = {name: list(ends) for name, *ends in self.intervals}
        return {kind: {**body, **({"edges": dict(self.edges)} if self.edges else {})}}


def Interval(*intervals: Mapping[str, Any] | None, edges: Mapping[str, str] | None = None, **more: Any) -> Box:
    """Return the one-dimensional box, such as ``Interval(x=(-1, 1))``."""
    return _of_dimension(1, "an interval", _named("Interval", intervals, more), edges)


def Rectangle(*intervals: Mapping[str, Any] | None, edges: Mapping[str, str] | None = None, **more: Any) -> Box:
    """Return the two-dimensional box, such as ``Rectangle(x=(0, 2.2), y=(0, 0.41), edges={"left": "inlet"})``."""
    return _of_dimension(2, "a rectangle", _named("Rectangle", intervals, more), edges)


def _named(what: str, intervals: tuple[Any, ...], more: Mapping[str, Any]) -> dict[str, Any]:
    """Join the one mapping of intervals and those given by name; refuse any without a name."""
    if len(intervals) > 1 or not isinstance(intervals[0] if intervals else {}, Mapping | None):
        axes = ("x",) if what == "Interval" else ("x", "y")
        said = ", ".join(f"{name}=(0, 1)" for name in axes)
        raise InputError(f"each interval has the name of its coordinate; write for example {what}({said})")
    return {**(intervals[0] if intervals and intervals[0] else {}), **more}


def _of_dimension(count: int, what: str, given: Mapping[str, Any], edges: Mapping[str, str] | None) -> Box:
    if len(given) != count:
        raise InputError(f"{what} needs {count} coordinate{'s' * (count > 1)}, got {len(given)}: {', '.join(given)}")
    return Box(given, edges=edges)
