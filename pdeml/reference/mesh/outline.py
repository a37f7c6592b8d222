"""Outline: the boundary of a geometry cut into edges, each known by its piece and its place on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from pdeml.errors import InputError
from pdeml.geometry import Geometry, Piece

__all__ = ["GRADE", "Outline", "make_outline", "split"]

GRADE = 0.2
"""How fast the size of triangles may grow: per unit of distance."""
TURN = np.pi / 6
"""An edge covers at most this angle of a curved boundary."""
_SAME = 1e-9  # points this near, relative to the size of the geometry, are one
_ROUNDS = 24
_MOST = 200_000


@dataclass(frozen=True, eq=False)
class Outline:
    """Edges of the boundary.

    Attributes:
        pieces: the pieces.
        owners: (K,) position in ``pieces``.
        spans: (K, 2) where the ends of the edges are on the curve of their piece, in its unit coordinate.
        points: (N, 2) the ends, each once.
        edges: (K, 2) numbers of the ends, with the domain to the left.
        middles: (K, 2) points of the curves half-way along the edges.
        tolerance: distance below which two ends are the same.
    """

    pieces: tuple[Piece, ...]
    owners: np.ndarray
    spans: np.ndarray
    points: np.ndarray
    edges: np.ndarray
    middles: np.ndarray
    tolerance: float

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths of the edges (K,)."""
        return np.linalg.norm(np.diff(self.points[self.edges], axis=1)[:, 0], axis=1)

    def sizes(self, points: np.ndarray, largest: float) -> np.ndarray:
        """Return the wanted length (N,) of triangle sides at points (N, 2): those of the edges, growing from there."""
        distance, near = self._tree.query(points, k=min(8, len(self.edges)))
        return np.minimum((self.lengths[near] + GRADE * distance).min(axis=1), largest)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.middles)


def make_outline(geometry: Geometry, size: float) -> Outline:
    """Cut the boundary into edges not longer than ``size``, shorter on strong curves and in narrow gaps.

    Ends of pieces are points of the outline. No end lies inside the circle over another edge, which makes every edge
    part of the Delaunay triangulation of the ends.

    Raises:
        InputError: two parts of the boundary come so near to each other that no edges fit between them.
    """
    pieces = tuple(geometry.pieces.values())
    owners, spans = [], []
    for number, piece in enumerate(pieces):
        for low, high in zip((0.0, *piece.breaks), (*piece.breaks, 1.0), strict=True):
            ends = np.linspace(low, high, _edge_count(piece, low, high, size) + 1)
            spans.append(np.stack([ends[:-1], ends[1:]], axis=1))
            owners.append(np.full(len(ends) - 1, number))
    tolerance = _SAME * geometry.size
    outline = _joined(pieces, np.concatenate(owners), np.concatenate(spans), tolerance)
    for _ in range(_ROUNDS):
        wrong = _encroached(outline) | _steep(outline, size)
        if not wrong.any():
            return outline
        outline = split(outline, wrong)
        if len(outline.edges) > _MOST:
            break
    raise InputError(
        "two parts of the boundary touch, or come too near to each other to be meshed; round off the geometry, or "
        "choose a smaller grid step"
    )


def split(outline: Outline, which: np.ndarray) -> Outline:
    """Return the outline with the edges halved for which ``which`` (K,) is true."""
    low, high = outline.spans.T
    middle = (low + high) / 2
    first = np.stack([low, np.where(which, middle, high)], axis=1)
    second = np.stack([middle, high], axis=1)[which]
    owners = np.concatenate([outline.owners, outline.owners[which]])
    return _joined(outline.pieces, owners, np.concatenate([first, second]), outline.tolerance)


def _edge_count(piece: Piece, low: float, high: float, size: float) -> int:
    normals = piece.place(np.linspace(low, high, 65)[1:-1, None])[1]
    cosines = np.clip((normals[1:] * normals[:-1]).sum(axis=1), -1.0, 1.0)
    angle = float(np.arccos(cosines).sum()) * 64 / 62
    length = piece.measure * (high - low)
    return max(1, int(np.ceil(length / size - 1e-6)), int(np.ceil(angle / TURN - 1e-6)))


def _joined(pieces: tuple[Piece, ...], owners: np.ndarray, spans: np.ndarray, tolerance: float) -> Outline:
    """Place the edges and number their ends."""
    inset = np.array([1e-14, -1e-14])  # a curve jumps at its breaks: stay on this side of them
    unit = np.concatenate([spans + inset, spans.mean(axis=1, keepdims=True)], axis=1)
    places, outward = np.empty((len(unit), 3, 2)), np.empty((len(unit), 2))
    for number, piece in enumerate(pieces):
        own = owners == number
        points, normals, _ = piece.place(np.clip(unit[own], 0.0, 1.0).reshape(-1, 1))
        places[own], outward[own] = points.reshape(-1, 3, 2), normals.reshape(-1, 3, 2)[:, 2]
    along = places[:, 1] - places[:, 0]
    backwards = along[:, 0] * outward[:, 1] - along[:, 1] * outward[:, 0] > 0
    ends = np.where(backwards[:, None, None], places[:, 1::-1], places[:, :2]).reshape(-1, 2)
    first = _first_of_same(ends, tolerance)
    kept, numbers = np.unique(first, return_inverse=True)
    return Outline(pieces, owners, spans, ends[kept], numbers.reshape(-1, 2), places[:, 2], tolerance)


def _first_of_same(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Return for each point the smallest number of a point that is at the same place."""
    first = np.arange(len(points))
    pairs = cKDTree(points).query_pairs(tolerance, output_type="ndarray")
    np.minimum.at(first, pairs.max(axis=1), pairs.min(axis=1))
    return first[first]


def _encroached(outline: Outline) -> np.ndarray:
    """Tell which edges have an end of another edge inside the circle over them."""
    centers = outline.points[outline.edges].mean(axis=1)
    radii = outline.lengths / 2
    distance = cKDTree(outline.points).query(centers, k=min(3, len(outline.points)))[0]
    return distance[:, -1] < radii * (1 - 1e-9)


def _steep(outline: Outline, size: float) -> np.ndarray:
    """Tell which edges are much longer than others near them allow."""
    k = min(12, len(outline.edges))
    distance, near = cKDTree(outline.middles).query(outline.middles, k=k)
    allowed = (outline.lengths[near] + GRADE * distance).min(axis=1)
    return outline.lengths > 2.0 * np.minimum(allowed, size)
