"""Region: where the rows of an equation or a condition are sampled, as the image of one unit cube."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError
from pdeml.geometry.checks import as_points
from pdeml.geometry.piece import Piece, Placement
from pdeml.geometry.quasi import fixed_points

__all__ = ["Mask", "Region"]

Mask = Callable[[np.ndarray], np.ndarray]
"""Maps points (N, D), columns in the order of the domain's coordinates, to booleans (N,)."""


@dataclass(frozen=True, eq=False)
class Region:
    """A part of a domain: pieces of space times a time interval or an instant, perhaps masked. Made by `Domain.region`.

    Attributes:
        name: as the user calls it, such as ``boundary.left`` or ``x=-1``.
        coordinates: names of the columns of points, time included.
        parts: the space parts; points are shared out in proportion to measure.
        times: None (no time, or nothing to draw), an instant, or an interval ``(t0, t1)``.
        time_column: position of time among the coordinates, None without time.
        pieces: names of the boundary pieces covered.
        fixed_coordinates: pairs (coordinate, value) that are constant over the region.
        where: mask, or None.
    """

    name: str
    coordinates: tuple[str, ...]
    parts: tuple[Piece, ...]
    times: float | tuple[float, float] | None = None
    time_column: int | None = None
    pieces: tuple[str, ...] = ()
    fixed_coordinates: tuple[tuple[str, float], ...] = ()
    where: Mask | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.where is not None and self.acceptance == 0:
            raise InputError(
                f"nothing of {self.name} is left where the mask holds; a single value of a coordinate is written "
                "as a fixed coordinate, such as {x: 0.5}",
                ("where",),
            )

    @property
    def fixed(self) -> dict[str, float]:
        """Coordinates that are constant over the region, with their values."""
        return dict(self.fixed_coordinates)

    @property
    def has_normals(self) -> bool:
        """Whether `draw` gives outward normals: the region is a part of the boundary in space."""
        return bool(self.pieces)

    @property
    def is_point(self) -> bool:
        """Whether the region is one point, or a few."""
        return self._moments == 0 and all(part.dimension == 0 for part in self.parts)

    @property
    def dimension(self) -> int:
        """Dimension of the unit cube that is mapped onto the region, time included; 0 for one point.

        Several parts are chosen from by the first coordinate, so that two points have dimension 1.
        """
        return self._space_columns + self._moments

    @cached_property
    def acceptance(self) -> float:
        """The share of the unit cube that falls into the region (estimated where it is not 1)."""
        if self.where is None and all(part.acceptance == 1 for part in self.parts):
            return 1.0
        return float(self.place(fixed_points(self.dimension))[2].mean())

    @cached_property
    def measure(self) -> float:
        """Measure in the dimension of the region (length x time, number of points, ...).

        Masks and clipping are accounted for by 65536 fixed quasi-random points.
        """
        if self.where is None:
            return sum(part.measure for part in self.parts) * self._duration
        return float(self._proposals.sum()) * self.acceptance * self._duration

    def draw(self, unit: ArrayLike) -> tuple[np.ndarray, np.ndarray | None]:
        """Map unit coordinates (N, dimension) to points (M, D) of uniform density and outward normals (M, d) or None.

        ``M < N`` where some of the cube falls outside the region.
        """
        points, normals, keep = self.place(as_points(unit, self.dimension))
        return points[keep], None if normals is None else normals[keep]

    def split(self) -> tuple[Region, ...]:
        """Return one region for each part, without those that the mask leaves nothing of."""
        if len(self.parts) == 1:
            return (self,)
        result = []
        for part in self.parts:
            with suppress(InputError):
                result.append(self._of_one(part))
        return tuple(result)

    def _of_one(self, part: Piece) -> Region:
        space = [name for k, name in enumerate(self.coordinates) if k != self.time_column]
        fixed = self.fixed | ({space[part.plane[0]]: part.plane[1]} if part.plane else {})
        return replace(
            self,
            name=f"boundary.{part.name}" if self.name == "boundary" else self.name,
            parts=(part,),
            pieces=(part.name,) if self.pieces else (),
            fixed_coordinates=tuple((name, fixed[name]) for name in self.coordinates if name in fixed),
        )

    def place(self, unit: np.ndarray) -> Placement:
        """Map unit coordinates (N, dimension) to points, normals and which of them are in the region, row by row."""
        space, normals, keep = self._place_in_space(unit)
        points = self._with_time(space, unit)
        if self.where is not None:
            keep = keep & _mask_values(self.where, points)
        return points, normals, keep

    def _place_in_space(self, unit: np.ndarray) -> Placement:
        if len(self.parts) == 1:
            return self.parts[0].place(unit[:, : self.parts[0].dimension])
        ends = np.cumsum(self._proposals) / self._proposals.sum()
        starts = np.concatenate([[0.0], ends[:-1]])
        chosen = np.minimum(np.searchsorted(ends, unit[:, 0], side="right"), len(ends) - 1)
        stretched = unit.copy()
        stretched[:, 0] = np.clip((unit[:, 0] - starts[chosen]) / (ends - starts)[chosen], 0.0, 1.0)
        placed = [
            part.place(stretched[chosen == k, : part.dimension]) if np.any(chosen == k) else None
            for k, part in enumerate(self.parts)
        ]
        return _interleave(placed, chosen)

    def _with_time(self, space: np.ndarray, unit: np.ndarray) -> np.ndarray:
        if self.time_column is None:
            return space
        if isinstance(self.times, tuple):
            start, end = self.times
            times: np.ndarray | float = start + (end - start) * unit[:, self._space_columns]
        else:
            times = self.times
        return np.insert(space, self.time_column, times, axis=1)

    @cached_property
    def _proposals(self) -> np.ndarray:
        """Measures of the parts before anything is rejected: points are shared out in proportion to these."""
        return np.array([part.measure / part.acceptance for part in self.parts])

    @property
    def _space_columns(self) -> int:
        return max(max(part.dimension for part in self.parts), int(len(self.parts) > 1))

    @property
    def _moments(self) -> int:
        return int(isinstance(self.times, tuple))

    @property
    def _duration(self) -> float:
        return self.times[1] - self.times[0] if isinstance(self.times, tuple) else 1.0


def _interleave(placed: list[Placement | None], chosen: np.ndarray) -> Placement:
    """Put the rows of the parts back into the order of ``chosen``."""
    present = [p for p in placed if p is not None]
    width = present[0][0].shape[1] if present else 0
    points, keep = np.empty((len(chosen), width)), np.zeros(len(chosen), dtype=bool)
    normals = np.empty((len(chosen), width))
    for k, rows in enumerate(placed):
        if rows is not None:
            points[chosen == k], normals[chosen == k], keep[chosen == k] = rows
    return points, normals, keep


def _mask_values(where: Mask, points: np.ndarray) -> np.ndarray:
    values = np.asarray(where(points))
    if values.dtype != bool and not np.issubdtype(values.dtype, np.number):
        raise InputError(f"the mask must give true or false for every point, got {values.dtype}", ("where",))
    if values.shape not in ((), (len(points),), (len(points), 1)):
        raise InputError(f"the mask must give one value for each point, got shape {values.shape}", ("where",))
    true = (values != 0) & ~np.isnan(values)  # undefined is not true
    return np.broadcast_to(true.reshape(-1) if true.ndim else true, (len(points),))
