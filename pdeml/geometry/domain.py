"""Domain: a geometry in space times an interval in time, and the regions of it where conditions hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, one_of, under
from pdeml.geometry.base import Geometry
from pdeml.geometry.box import Box
from pdeml.geometry.checks import as_points, axis_name, interval
from pdeml.geometry.piece import Piece
from pdeml.geometry.region import Mask, Region
from pdeml.geometry.select import region_at

__all__ = ["Domain"]


@dataclass(frozen=True)
class Domain:
    """Where a problem lives: coordinates in declared order, space, time.

    Args:
        coordinates: all names in the order in which points have their columns.
        space: geometry, or None for a problem in time only.
        time: ``(name, start, end)``, or None for a steady problem.
        periodic: space coordinates along which the domain closes on itself; needs a box.

    Raises:
        InputError: if the names do not agree, the time interval is empty, or a periodic domain is no box.
    """

    coordinates: tuple[str, ...]
    space: Geometry | None = None
    time: tuple[str, float, float] | None = None
    periodic: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "coordinates", tuple(axis_name(name) for name in self.coordinates))
        if self.time is not None:
            name, *ends = self.time
            with under("time"):
                object.__setattr__(self, "time", (axis_name(name), *interval(ends, str(name))))
        self._check_names()
        object.__setattr__(self, "periodic", self._checked_periodic(self.periodic))

    @classmethod
    def box(
        cls,
        coordinates: Mapping[str, Any],
        time: str | None = None,
        periodic: Sequence[str] = (),
        edges: Mapping[str, str] | None = None,
    ) -> Domain:
        """Build the domain of intervals, such as ``Domain.box({"x": (-1, 1), "t": (0, 1)}, time="t")``.

        Raises:
            InputError: with the path of a bad interval, or if ``time`` is none of the coordinates.
        """
        if not isinstance(coordinates, Mapping) or not coordinates:
            raise InputError(f"coordinates must map names to intervals, such as {{x: [0, 1]}}, got {coordinates!r}")
        if time is not None and time not in coordinates:
            raise InputError(one_of(str(time), map(str, coordinates), "a coordinate"), ("time",))
        when = None
        if time is not None:
            with under(time):
                when = (time, *interval(coordinates[time], time))
        rest = {name: ends for name, ends in coordinates.items() if name != time}
        space = Box(rest, edges=edges) if rest else None
        return cls(tuple(coordinates), space, when, tuple(periodic))

    @classmethod
    def over(
        cls, space: Geometry | None, time: Mapping[str, Any] | None = None, periodic: Sequence[str] = ()
    ) -> Domain:
        """Build the domain of a geometry and a time interval ``{"t": (0, 1)}``; time is the last coordinate.

        Raises:
            InputError: if ``time`` is not one interval, or its name is an axis of the geometry.
        """
        when = None
        if time is not None:
            if not isinstance(time, Mapping) or len(time) != 1:
                raise InputError(f"time must be one interval, such as {{t: [0, 1]}}, got {time!r}", ("time",))
            ((name, ends),) = time.items()
            with under("time", str(name)):
                when = (axis_name(name), *interval(ends, str(name)))
        if space is None and when is None:
            raise InputError("a domain needs space, time or both")
        axes = space.axes if space is not None else ()
        if when and when[0] in axes:
            raise InputError(f"{when[0]!r} is the time and cannot be an axis of space too", ("time", when[0]))
        return cls((*axes, when[0]) if when else axes, space, when, tuple(periodic))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Domain:
        """Build the domain from ``{time: {t: [0, 1]}, space: {disk: {...}}, edges: {disk: wall}}``.

        Raises:
            InputError: with the path of what is wrong.
        """
        if not isinstance(spec, Mapping):
            raise InputError(f"domain must be a mapping with space and time, got {spec!r}")
        for key in spec:
            if key not in ("space", "time", "edges"):
                raise InputError(one_of(str(key), ("space", "time", "edges"), "a key of domain"), (str(key),))
        space = None
        if spec.get("space") is not None:
            with under("space"):
                space = Geometry.from_spec(spec["space"])
        if spec.get("edges") and space is not None:
            with under("edges"):
                space = space.rename(spec["edges"])
        return cls.over(space, spec.get("time"))

    def to_spec(self) -> dict[str, Any]:
        """Return the mapping that `from_spec` reads back (without ``periodic``, which is a condition)."""
        time = {"time": {self.time[0]: list(self.time[1:])}} if self.time else {}
        return {**time, **({"space": self.space.to_spec()} if self.space is not None else {})}

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the space coordinates."""
        return self.space.axes if self.space is not None else ()

    @property
    def time_column(self) -> int | None:
        """Position of time among the coordinates, None for a steady problem."""
        return self.coordinates.index(self.time[0]) if self.time else None

    @property
    def is_box(self) -> bool:
        """Whether every coordinate runs over its interval independently of the others."""
        return self.space is None or isinstance(self.space, Box)

    @property
    def bounds(self) -> np.ndarray:
        """Low and high end of every coordinate, (D, 2) in the order of the coordinates."""
        rows = {} if self.space is None else dict(zip(self.axes, self.space.bounds, strict=True))
        if self.time:
            rows[self.time[0]] = np.array(self.time[1:])
        return np.array([rows[name] for name in self.coordinates], dtype=np.float64)

    @property
    def measure(self) -> float:
        """Measure of space times duration."""
        duration = self.time[2] - self.time[1] if self.time else 1.0
        return (self.space.measure if self.space is not None else 1.0) * duration

    @property
    def pieces(self) -> dict[str, Piece]:
        """Pieces of the boundary in space by name, without the sides that periodicity closes."""
        if self.space is None:
            return {}
        closed = {self.axes.index(name) for name in self.periodic}
        return {
            name: piece
            for name, piece in self.space.pieces.items()
            if piece.plane is None or piece.plane[0] not in closed
        }

    def contains(self, points: ArrayLike) -> np.ndarray:
        """Tell which of the points (N, D) are in the domain or on its boundary: booleans (N,)."""
        x = as_points(points, len(self.coordinates))
        inside = np.ones(len(x), dtype=bool)
        if self.time:
            _, start, end = self.time
            rounding = 1e-12 * max(abs(start), abs(end), end - start)
            t = x[:, self.time_column]
            inside &= (t >= start - rounding) & (t <= end + rounding)
        if self.space is not None:
            inside &= self.space.contains(x[:, [self.coordinates.index(name) for name in self.axes]])
        return inside

    def region(self, on: str | Mapping[str, Any], where: Mask | None = None) -> Region:
        """Return the region that ``on`` names.

        Args:
            on: ``interior``, ``initial``, ``final``, ``boundary``, ``boundary.NAME``, or a mapping of ``piece: NAME``
                and fixed coordinates such as ``{"x": -1}``; all of them fixed is a point.
            where: keeps only the points (N, D) for which it is true.

        Raises:
            InputError: with path ``("on", ...)`` and the nearest name, or the range of the coordinate.
        """
        with under("on"):
            return region_at(self, on, where)

    def _check_names(self) -> None:
        if len(set(self.coordinates)) != len(self.coordinates):
            raise InputError(f"the coordinates are not all different: {', '.join(self.coordinates)}")
        time = self.time[0] if self.time else None
        if time is not None and time not in self.coordinates:
            raise InputError(one_of(time, self.coordinates, "a coordinate"), ("time",))
        rest = tuple(name for name in self.coordinates if name != time)
        if rest != self.axes:
            raise InputError(
                f"the coordinates ({', '.join(self.coordinates)}) without time must be the axes of the geometry "
                f"({', '.join(self.axes)}) in the same order"
            )
        if not self.coordinates:
            raise InputError("a domain needs at least one coordinate")

    def _checked_periodic(self, periodic: Sequence[str]) -> tuple[str, ...]:
        for name in periodic:
            if name not in self.axes:
                raise InputError(one_of(str(name), self.axes, "a space coordinate"), ("periodic",))
        if periodic and not self.is_box:
            raise InputError("periodic needs a domain that is a box in space", ("periodic",))
        return tuple(name for name in self.axes if name in periodic)
