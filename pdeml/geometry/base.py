"""Geometry: a bounded closed set in space, known by its signed distance and the named pieces of its boundary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, did_you_mean
from pdeml.geometry.checks import as_points, piece_name
from pdeml.geometry.piece import Piece
from pdeml.geometry.quasi import fixed_directions, fixed_points

__all__ = ["PROBE", "ROUNDING", "Geometry", "check_renames"]

ROUNDING = 1e-12
"""Tolerance of lengths, relative to the size of a geometry and its distance from the origin."""
PROBE = 1e-6
"""Step, relative to the size, by which it is found out what lies on the two sides of a boundary."""


class Geometry(ABC):
    """A shape in space. Frozen; equal where the description is equal.

    Attributes:
        axes: names of the space coordinates, in the order of the columns of points.
    """

    axes: tuple[str, ...]

    may_touch: ClassVar[bool] = False
    """Whether the signed distance can be zero away from the set: boundaries that coincide leave a seam."""

    @property
    @abstractmethod
    def bounds(self) -> np.ndarray:
        """A box that contains the shape: array (d, 2) of the low and high ends."""

    @property
    @abstractmethod
    def measure(self) -> float:
        """Length, area or volume."""

    @property
    @abstractmethod
    def pieces(self) -> dict[str, Piece]:
        """The pieces of the boundary by name, with normals that point out of the shape."""

    @property
    @abstractmethod
    def piece_names(self) -> tuple[str, ...]:
        """All names of pieces that were given, those cut away by a boolean operation too."""

    @abstractmethod
    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """Signed distance (N,) of points (N, d) to the boundary, negative inside.

        Exact for one shape. For boolean operations the sign is right and the magnitude is a lower bound of the
        distance; it is zero also where the boundaries of both shapes coincide and neither is boundary any more.
        """

    @abstractmethod
    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map unit coordinates (N, d) to points (N, d) of uniform density, and tell which of them (N,) are inside."""

    @abstractmethod
    def rename(self, edges: Mapping[str, str]) -> Geometry:
        """Return the same shape with pieces renamed, such as ``{"left": "inlet"}``.

        Raises:
            InputError: if there is no piece of that name, or the new name is taken.
        """

    @abstractmethod
    def to_spec(self) -> dict[str, Any]:
        """Return the description as it stands in a spec; `from_spec` reads it back to an equal geometry."""

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles carry the description only, not what was computed from it."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @cached_property
    def acceptance(self) -> float:
        """The share of the unit cube that `place` puts inside (estimated where it is not 1)."""
        return float(self.place(fixed_points(self.dimension))[1].mean())

    @property
    def dimension(self) -> int:
        """Number of space coordinates."""
        return len(self.axes)

    @property
    def size(self) -> float:
        """Diagonal of the bounding box: the length that rounding is relative to."""
        return float(np.linalg.norm(self.bounds[:, 1] - self.bounds[:, 0]))

    @property
    def rounding(self) -> float:
        """Points within this distance of the boundary count as on it."""
        return ROUNDING * max(self.size, float(np.abs(self.bounds).max()))

    def contains(self, points: ArrayLike) -> np.ndarray:
        """Tell which of the points (N, d) are inside or on the boundary: booleans (N,)."""
        x = as_points(points, self.dimension)
        distance = self.signed_distance(x)
        inside, touching = distance <= self.rounding, np.abs(distance) <= self.rounding
        if self.may_touch and touching.any():
            inside[touching] = self._reaches_inside(x[touching])
        return inside

    def _reaches_inside(self, x: np.ndarray) -> np.ndarray:
        """Tell which of the points (N, d) have inside points next to them."""
        result = np.zeros(len(x), dtype=bool)
        for direction in fixed_directions(self.dimension):
            rest = ~result
            result[rest] = self.signed_distance(x[rest] + PROBE * self.size * direction) < 0
        return result

    def draw(self, unit: ArrayLike) -> np.ndarray:
        """Map unit coordinates (N, d) to points (M, d) inside, of uniform density; ``M < N`` if some fall outside."""
        points, keep = self.place(as_points(unit, self.dimension))
        return points[keep]

    @staticmethod
    def from_spec(spec: Mapping[str, Any]) -> Geometry:
        """Build a geometry from a mapping such as ``{"rectangle": {"x": [0, 1], "y": [0, 1]}}``.

        Raises:
            InputError: with the path of what is wrong.
        """
        from pdeml.geometry.spec import from_spec  # the table of shapes needs the shapes, which need this class

        return from_spec(spec)

    def __add__(self, other: Geometry) -> Geometry:
        """Union: what is in one or the other."""
        from pdeml.geometry.boolean import Union

        return Union(self, other) if isinstance(other, Geometry) else NotImplemented

    def __sub__(self, other: Geometry) -> Geometry:
        """Difference: what is in the first but not in the second."""
        from pdeml.geometry.boolean import Difference

        return Difference(self, other) if isinstance(other, Geometry) else NotImplemented

    def __and__(self, other: Geometry) -> Geometry:
        """Intersection: what is in both."""
        from pdeml.geometry.boolean import Intersection

        return Intersection(self, other) if isinstance(other, Geometry) else NotImplemented


def check_renames(edges: object, names: tuple[str, ...]) -> dict[str, str]:
    """Return ``edges`` as a checked map from the present names of pieces to the new ones.

    Args:
        edges: a mapping old name -> new name.
        names: the names there are.

    Raises:
        InputError: if it is no mapping, an old name is unknown, or two pieces would share a name.
    """
    if not isinstance(edges, Mapping):
        raise InputError(f"edges must map names of sides to new names, such as {{left: inlet}}, got {edges!r}")
    for old in edges:
        if old not in names:
            near = did_you_mean(str(old), names)
            message = f"{old!r} is not a piece of this boundary; there are: {', '.join(names)}{near}"
            raise InputError(message, (str(old),))
    result = {old: piece_name(new) for old, new in edges.items()}
    renamed = [result.get(name, name) for name in names]
    for name in renamed:
        if renamed.count(name) > 1:
            raise InputError(f"two pieces of the boundary would be called {name!r}; give each its own name")
    return result
