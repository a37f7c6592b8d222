"""Polygon: a simple closed polygon in the plane, with one piece of boundary an edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, under
from pdeml.geometry.base import Geometry, check_renames
from pdeml.geometry.checks import as_points, axis_name, number
from pdeml.geometry.piece import Piece, Placement
from pdeml.geometry.quasi import read_only

__all__ = ["Polygon"]

_MOST_VERTICES = 10_000


@dataclass(frozen=True, init=False)
class Polygon(Geometry):
    """The inside of a closed chain of straight edges; ``edge0`` runs from the first vertex to the second.

    Args:
        vertices: at least three points (x, y) in order, either way round; the last is joined to the first.
        edges: renames edges, such as ``{"edge0": "inlet"}``.
        axes: names of the coordinates.

    Raises:
        InputError: for fewer than three vertices, numbers that are not finite, edges without length or that cross.
    """

    vertices: tuple[tuple[float, float], ...]
    edges: tuple[tuple[str, str], ...]
    axes: tuple[str, ...]

    def __init__(
        self, vertices: Sequence[Any], edges: Mapping[str, str] | None = None, axes: Sequence[str] = ("x", "y")
    ):
        with under("vertices"):
            object.__setattr__(self, "vertices", _vertices(vertices))
        with under("axes"):
            names = () if isinstance(axes, str) else tuple(axis_name(name) for name in axes)
            if len(set(names)) != 2 or len(names) != 2:
                raise InputError(f"a polygon has two different axes, got {axes!r}")
            object.__setattr__(self, "axes", names)
        plain = tuple(f"edge{k}" for k in range(len(self.vertices)))
        with under("edges"):
            renames = check_renames(edges or {}, plain)
        object.__setattr__(self, "edges", tuple(sorted((a, b) for a, b in renames.items() if a != b)))

    @cached_property
    def bounds(self) -> np.ndarray:
        """Extent of the vertices, (2, 2)."""
        points = np.array(self.vertices)
        return read_only(np.stack([points.min(axis=0), points.max(axis=0)], axis=1))

    @property
    def measure(self) -> float:
        """Area, by the shoelace formula."""
        return abs(_area(np.array(self.vertices)))

    @property
    def piece_names(self) -> tuple[str, ...]:
        """Names of the edges in order."""
        renames = dict(self.edges)
        return tuple(renames.get(f"edge{k}", f"edge{k}") for k in range(len(self.vertices)))

    @cached_property
    def pieces(self) -> dict[str, Piece]:
        """The edges."""
        turn = np.sign(_area(np.array(self.vertices)))
        starts, ends = self._ends()
        return {
            name: _edge(name, start, end, turn) for name, start, end in zip(self.piece_names, starts, ends, strict=True)
        }

    def signed_distance(self, points: ArrayLike) -> np.ndarray:
        """Exact distance (N,) to the nearest edge, negative inside (even-odd rule)."""
        x = as_points(points, 2)
        nearest, inside = np.full(len(x), np.inf), np.zeros(len(x), dtype=bool)
        for start, end in zip(*self._ends(), strict=True):
            along, offset = end - start, x - start
            share = np.clip(offset @ along / (along @ along), 0.0, 1.0)
            nearest = np.minimum(nearest, np.linalg.norm(offset - share[:, None] * along, axis=1))
            straddles = (start[1] > x[:, 1]) != (end[1] > x[:, 1])
            if along[1] != 0:
                inside ^= straddles & (x[:, 0] < start[0] + (x[:, 1] - start[1]) * along[0] / along[1])
        return np.where(inside, -nearest, nearest)

    def place(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stretch the unit square onto the bounding box and keep what is inside."""
        low, high = self.bounds.T
        points = low + (high - low) * unit
        return points, self.signed_distance(points) <= 0

    def rename(self, edges: Mapping[str, str]) -> Polygon:
        """Return the polygon with edges renamed."""
        renames = check_renames(edges, self.piece_names)
        new = {f"edge{k}": renames.get(name, name) for k, name in enumerate(self.piece_names)}
        return Polygon(self.vertices, new, self.axes)

    def to_spec(self) -> dict[str, Any]:
        """Return ``{polygon: {vertices: [[x, y], ...]}}``."""
        body: dict[str, Any] = {"vertices": [list(vertex) for vertex in self.vertices]}
        if self.edges:
            body["edges"] = dict(self.edges)
        if self.axes != ("x", "y"):
            body["axes"] = list(self.axes)
        return {"polygon": body}

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        points = np.array(self.vertices)
        return points, np.roll(points, -1, axis=0)


def _edge(name: str, start: np.ndarray, end: np.ndarray, turn: float) -> Piece:
    along = end - start
    length = float(np.linalg.norm(along))
    normal = turn * np.array([along[1], -along[0]]) / length + 0.0

    def place(unit: np.ndarray) -> Placement:
        points = start + unit[:, :1] * along
        return points, np.tile(normal, (len(unit), 1)), np.ones(len(unit), dtype=bool)

    flat = np.flatnonzero(along == 0)
    plane = (int(flat[0]), float(start[flat[0]])) if flat.size else None
    return Piece(name, length, 1, place, plane=plane)


def _area(points: np.ndarray) -> float:
    """Signed area: positive counter-clockwise."""
    x, y = (points - points.mean(axis=0)).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _vertices(vertices: Any) -> tuple[tuple[float, float], ...]:
    if isinstance(vertices, str) or not isinstance(vertices, (Sequence, np.ndarray)):
        raise InputError(f"the vertices must be a list of points such as [[0, 0], [1, 0], [0, 1]], got {vertices!r}")
    if not 3 <= len(vertices) <= _MOST_VERTICES:
        raise InputError(f"a polygon has 3 to {_MOST_VERTICES} vertices, got {len(vertices)}")
    result = []
    for k, vertex in enumerate(vertices):
        with under(k):
            if isinstance(vertex, str) or not isinstance(vertex, (Sequence, np.ndarray)) or len(vertex) != 2:
                raise InputError(f"a vertex is two numbers, got {vertex!r}")
            result.append((number(vertex[0], "a coordinate"), number(vertex[1], "a coordinate")))
    _check_simple(np.array(result))
    return tuple(result)


def _check_simple(points: np.ndarray) -> None:
    """Refuse edges without length, and edges that meet anywhere but where they follow each other."""
    n = len(points)
    ends = np.roll(points, -1, axis=0)
    for k in range(n):
        if np.array_equal(points[k], ends[k]):
            raise InputError(f"vertex {k} and the next one are the same point", (k,))
    if np.linalg.matrix_rank(points - points.mean(axis=0)) < 2:
        raise InputError("the polygon has no area: its vertices are on one line")
    for k in range(n - 1):
        others = np.arange(k + 2, n - 1 if k == 0 else n)
        meets = _segments_meet(points[k], ends[k], points[others], ends[others])
        if meets.any():
            raise InputError(f"edge{k} and edge{others[meets][0]} meet: the edges of a polygon must not cross or touch")


def _segments_meet(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Tell which of the segments c-d (K, 2) meet the segment a-b."""

    def turn(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        u, v = q - p, r - p
        return np.sign(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])

    apart = np.any((np.maximum(c, d) < np.minimum(a, b)) | (np.minimum(c, d) > np.maximum(a, b)), axis=-1)
    straddle = (turn(a, b, c) * turn(a, b, d) <= 0) & (turn(c, d, a) * turn(c, d, b) <= 0)
    return straddle & ~apart
