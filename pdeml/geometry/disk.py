"""Disk: all points within a radius of a centre, in the plane or in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, under
from pdeml.geometry.base import Geometry, check_renames
from pdeml.geometry.checks import as_points, axis_name, number, piece_name, positive
from pdeml.geometry.piece import Piece, Placement
from pdeml.geometry.quasi import read_only

__all__ = ["Disk"]


@dataclass(frozen=True, init=False)
class Disk(Geometry):
    """A disk, or with three coordinates a ball. Its boundary is one piece.

    Args:
        center: two or three coordinates, or a mapping coordinate name -> value, which names the axes too.
        radius: positive.
        name: of its boundary.
        axes: names of the coordinates, ``("x", "y")`` or ``("x", "y", "z")`` by default.

    Raises:
        InputError: for a radius that is not positive, numbers that are not finite, a wrong number of coordinates.
    """

    center: tuple[float, ...]
    radius: float
    name: str
    axes: tuple[str, ...]

    def __init__(
        self,
        center: Sequence[Any] | Mapping[str, Any],
        radius: Any,
        name: str = "disk",
        axes: Sequence[str] | None = None,
    ):
        with under("center"):
            values, axes = _center_and_axes(center, axes)
        with under("radius"):
            object.__setattr__(self, "radius", positive(radius, "the radius"))
        with under("name"):
            object.__setattr__(self, "name", piece_name(name))
        object.__setattr__(self, "center", values)
        object.__setattr__(self, "axes", axes)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Centre minus and plus the radius, (d, 2)."""
        center = np.array(self.center)
        return read_only(np.stack([center - self.radius, center + self.radius], axis=1))

    @property
    def measure(self) -> float:
        """Area of the disk or volume of the ball."""
        return float(np.pi * self.radius**2 if self.dimension == 2 else 4 / 3 * np.pi * self.radius**3)

    @property
    def piece_names(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    @cached_property
    def pieces(self) -> dict[str, Piece]:
        """The circle or the sphere."""
        measure = 2 * np.pi * self.radius if self.dimension == 2 else 4 * np.pi * self.radius**2

        def place(unit: np.ndarray) -> Placement:
            normals = _directions(unit)
            return np.array(self.center) + self.radius * normals, normals, np.ones(len(unit), dtype=bool)

        return {self.name: Piece(self.name, float(measure), self.dimension - 1, place)}

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """Exact distance (N,) to the circle or sphere, negative inside."""
        x = as_points(points, self.dimension)
        return np.linalg.norm(x - np.array(self.center), axis=1) - self.radius

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map the unit cube onto the disk in polar coordinates of equal area."""
        radius = self.radius * unit[:, :1] ** (1 / self.dimension)
        return np.array(self.center) + radius * _directions(unit[:, 1:]), np.ones(len(unit), dtype=bool)

    def rename(self, edges: Mapping[str, str]) -> Disk:
        """Return the disk with its boundary renamed."""
        return Disk(self.center, self.radius, check_renames(edges, (self.name,)).get(self.name, self.name), self.axes)

    def to_spec(self) -> dict[str, Any]:
        """Return ``{disk: {center: [...], radius: ..., name: ...}}``."""
        body: dict[str, Any] = {"center": list(self.center), "radius": self.radius, "name": self.name}
        return {"disk": {**body, **({} if self.axes == _default_axes(self.dimension) else {"axes": list(self.axes)})}}


def _default_axes(dimension: int) -> tuple[str, ...]:
    return ("x", "y", "z")[:dimension]


def _center_and_axes(center: Any, axes: Sequence[str] | None) -> tuple[tuple[float, ...], tuple[str, ...]]:
    if isinstance(center, Mapping):
        if axes is not None:
            raise InputError("give the axes either with the centre or as axes, not both")
        axes, center = tuple(center), list(center.values())
    if isinstance(center, str) or not isinstance(center, (Sequence, np.ndarray)) or len(center) not in (2, 3):
        raise InputError(f"the centre of a disk needs two coordinates (three for a ball), got {center!r}")
    if isinstance(axes, str):
        raise InputError(f"axes must be a list of names, got {axes!r}")
    names = _default_axes(len(center)) if axes is None else tuple(axis_name(name) for name in axes)
    if len(names) != len(center) or len(set(names)) != len(names):
        raise InputError(f"axes must be {len(center)} different names, one for each coordinate, got {list(names)}")
    values = []
    for k, value in enumerate(center):
        with under(k):
            values.append(number(value, "a coordinate of the centre"))
    return tuple(values), names


def _directions(unit: np.ndarray) -> np.ndarray:
    """Unit vectors of uniform density on the circle from (N, 1), on the sphere from (N, 2)."""
    angle = 2 * np.pi * unit[:, 0]
    if unit.shape[1] == 1:
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    height = 2 * unit[:, 1] - 1  # Archimedes: bands of equal height have equal area
    ring = np.sqrt(np.maximum(1 - height**2, 0.0))
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], axis=1)
