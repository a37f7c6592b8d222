"""Union, difference and intersection of two geometries of the same coordinates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError
from pdeml.geometry.base import PROBE, Geometry, check_renames
from pdeml.geometry.box import Box
from pdeml.geometry.disk import Disk
from pdeml.geometry.piece import Piece, clip, flipped
from pdeml.geometry.quasi import fixed_points, read_only

__all__ = ["Boolean", "Difference", "Intersection", "Union"]

_EMPTY = 1e-9  # a result smaller than this, relative to the operands, is empty


@dataclass(frozen=True)
class Boolean(Geometry):
    """Two shapes of the same coordinates combined.

    Attributes:
        first, second: the shapes.

    Raises:
        InputError: if the coordinates differ, pieces share a name, or nothing is left.
    """

    first: Geometry
    second: Geometry

    may_touch: ClassVar[bool] = True
    kind: ClassVar[str]
    sides: ClassVar[tuple[int, int]]
    """Which part of the boundary of each shape stays: +1 what is outside the other shape, -1 what is inside."""

    def __post_init__(self) -> None:
        _check_operands(self)
        smallest = min(self.first.measure, self.second.measure) if self.sides == (-1, -1) else self.first.measure
        if np.any(self.bounds[:, 0] >= self.bounds[:, 1]) or not self.measure > _EMPTY * smallest:
            why = "the second shape covers the first" if self.kind == "difference" else "the shapes do not overlap"
            raise InputError(f"the {self.kind} is empty: {why}")

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the coordinates."""
        return self.first.axes

    @cached_property
    def measure(self) -> float:
        """Exact where the overlap is known; otherwise by the divergence theorem up to 2-D, by 65536 points beyond.

        Relative accuracy 1e-10 (1e-6 where curves touch without crossing), beyond 2-D about 1e-4.
        """
        overlap = _exact_overlap(self.first, self.second)
        return _measure(self) if overlap is None else max(self._measure_given(overlap), 0.0)

    @property
    def piece_names(self) -> tuple[str, ...]:
        """Names of the pieces of both."""
        return self.first.piece_names + self.second.piece_names

    @cached_property
    def pieces(self) -> dict[str, Piece]:
        """What stays of the pieces of both, with normals out of the result."""
        return _clipped(self)

    def rename(self, edges: Mapping[str, str]) -> Boolean:
        """Return the shape with pieces renamed."""
        renames = check_renames(edges, self.piece_names)
        return type(self)(
            *(
                part.rename({old: new for old, new in renames.items() if old in part.piece_names})
                for part in (self.first, self.second)
            )
        )

    def to_spec(self) -> dict[str, Any]:
        """Return ``{kind: [...]}``; ``(a op b) op c`` is one list, which reading folds from the left."""
        first = self.first.to_spec()
        return {self.kind: [*(first[self.kind] if type(self.first) is type(self) else [first]), self.second.to_spec()]}

    @abstractmethod
    def _measure_given(self, overlap: float) -> float:
        """Measure, given that of what is in both shapes."""


@dataclass(frozen=True)
class Union(Boolean):
    """Everything in ``first`` or ``second``."""

    kind: ClassVar[str] = "union"
    sides: ClassVar[tuple[int, int]] = (+1, +1)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Hull of both boxes, (d, 2)."""
        a, b = self.first.bounds, self.second.bounds
        return read_only(np.stack([np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 1], b[:, 1])], axis=1))

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """The smaller of both distances (N,)."""
        return np.minimum(self.first.signed_distance(points), self.second.signed_distance(points))

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stretch the unit cube onto the bounding box and keep what is inside."""
        return _place_in_bounds(self, unit)

    def _measure_given(self, overlap: float) -> float:
        return self.first.measure + self.second.measure - overlap


@dataclass(frozen=True)
class Difference(Boolean):
    """Everything in ``first`` that is not in ``second``."""

    kind: ClassVar[str] = "difference"
    sides: ClassVar[tuple[int, int]] = (+1, -1)

    @property
    def bounds(self) -> np.ndarray:
        """The box of the first shape, (d, 2)."""
        return self.first.bounds

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """The larger of the first distance and minus the second (N,)."""
        return np.maximum(self.first.signed_distance(points), -self.second.signed_distance(points))

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place in the first shape and keep what is not in the second."""
        points, keep = self.first.place(unit)
        return points, keep & (self.second.signed_distance(points) >= 0)

    def _measure_given(self, overlap: float) -> float:
        return self.first.measure - overlap


@dataclass(frozen=True)
class Intersection(Boolean):
    """Everything in both ``first`` and ``second``."""

    kind: ClassVar[str] = "intersection"
    sides: ClassVar[tuple[int, int]] = (-1, -1)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Overlap of both boxes, (d, 2)."""
        return read_only(_common_bounds(self.first, self.second))

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """The larger of both distances (N,)."""
        return np.maximum(self.first.signed_distance(points), self.second.signed_distance(points))

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stretch the unit cube onto the bounding box and keep what is inside."""
        return _place_in_bounds(self, unit)

    def _measure_given(self, overlap: float) -> float:
        return overlap


def _check_operands(shape: Boolean) -> None:
    first, second = shape.first, shape.second
    for operand in (first, second):
        if not isinstance(operand, Geometry):
            raise InputError(f"a {shape.kind} needs two geometries, got {operand!r}")
    if first.axes != second.axes:
        raise InputError(
            f"shapes of different coordinates cannot be combined: ({', '.join(first.axes)}) and "
            f"({', '.join(second.axes)}); give both the same axes in the same order"
        )
    shared = [name for name in first.piece_names if name in second.piece_names]
    if shared:
        raise InputError(
            f"both shapes have a piece of boundary called {', '.join(map(repr, shared))}; name them apart, with "
            f"'name' for a disk and with 'edges', such as {{{shared[0]}: {shared[0]}_2}}, for other shapes"
        )


def _common_bounds(first: Geometry, second: Geometry) -> np.ndarray:
    a, b = first.bounds, second.bounds
    return np.stack([np.maximum(a[:, 0], b[:, 0]), np.minimum(a[:, 1], b[:, 1])], axis=1)


def _exact_overlap(first: Geometry, second: Geometry) -> float | None:
    """Measure of what is in both where it can be told without integration, otherwise None."""
    common = _common_bounds(first, second)
    if np.any(common[:, 0] >= common[:, 1]):
        return 0.0
    if isinstance(first, Box) and isinstance(second, Box):
        return float(np.prod(common[:, 1] - common[:, 0]))
    for outer, inner in ((first, second), (second, first)):
        center = inner.bounds.mean(axis=1)
        radius = inner.radius if isinstance(inner, Disk) else inner.size / 2
        distance = float(outer.signed_distance(center)[0])
        if distance <= -radius:  # the distance is never over-estimated, hence a ball of this radius fits
            return inner.measure
        if distance >= radius:
            return 0.0
    return None


def _measure(shape: Boolean) -> float:
    """Measure by the divergence theorem, 1/d times the integral of x.n; by quasi-random points beyond 2-D."""
    if shape.dimension <= 2:
        return max(sum(_flux_of_position(piece) for piece in shape.pieces.values()) / shape.dimension, 0.0)
    low, high = shape.bounds.T
    return float(np.prod(high - low) * _place_in_bounds(shape, fixed_points(shape.dimension))[1].mean())


def _flux_of_position(piece: Piece) -> float:
    """Integrate x.n over a point or a curve, by a Gauss rule between the breaks of the curve."""
    unit, weights = _gauss_rule((0.0, *piece.breaks, 1.0)) if piece.dimension else (np.zeros((1, 0)), np.ones(1))
    points, normals, _ = piece.place(unit)
    return float(piece.measure * (weights @ (points * normals).sum(axis=1)))


def _gauss_rule(ends: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (K, 1) and weights (K,) of 32-point rules between each two ends: exact to rounding on an arc or a line."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    lengths = np.diff(ends)[:, None]
    unit = np.array(ends[:-1])[:, None] + lengths * (nodes + 1) / 2
    return unit.reshape(-1, 1), (lengths * weights / 2).reshape(-1)


def _place_in_bounds(shape: Geometry, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = shape.bounds.T
    points = low + (high - low) * unit
    return points, shape.signed_distance(points) <= 0


def _clipped(shape: Boolean) -> dict[str, Piece]:
    """Cut the pieces of both shapes.

    Where boundaries coincide the piece of the first shape stands for both, if it is boundary of the result at all.
    """
    first, second = shape.first, shape.second
    rounding, probe = max(first.rounding, second.rounding), PROBE * min(first.size, second.size)

    def first_stays(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        distance = shape.sides[0] * second.signed_distance(points)
        keep, touching = distance > rounding, np.abs(distance) <= rounding
        keep[touching] = parts_inside_from_outside(points[touching], normals[touching])
        return keep

    def second_stays(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        distance = shape.sides[1] * first.signed_distance(points)
        keep, touching = distance > rounding, np.abs(distance) <= rounding
        x = points[touching]
        keep[touching] = parts_inside_from_outside(x, normals[touching]) & ~first.contains(x)
        return keep

    def parts_inside_from_outside(x: np.ndarray, normals: np.ndarray) -> np.ndarray:
        step = probe * normals
        return (shape.signed_distance(x - step) < 0) & (shape.signed_distance(x + step) > 0)

    cut = {name: clip(piece, first_stays) for name, piece in first.pieces.items()}
    for name, piece in second.pieces.items():
        cut[name] = clip(flipped(piece) if shape.kind == "difference" else piece, second_stays)
    return {name: piece for name, piece in cut.items() if piece is not None}
