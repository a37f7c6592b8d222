"""Piece: a part of a boundary (or of anything else) that is the image of a unit cube, perhaps with holes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pdeml.geometry.quasi import fixed_points

__all__ = ["Piece", "Placement", "clip", "flipped"]

Placement = tuple[np.ndarray, "np.ndarray | None", np.ndarray]
"""points (N, d), outward normals (N, d) or None, and which of the rows count (N,)."""

_SCAN = 4096  # a curve is scanned at this many places for where it enters and leaves the domain
_BISECTIONS = 52


@dataclass(frozen=True, eq=False)
class Piece:
    """A named set of points with a measure, drawn by mapping the unit cube onto it.

    Attributes:
        name: as the user calls it.
        measure: length, area, ... (the number of points where ``dimension`` is 0).
        dimension: of the unit cube that is mapped onto it.
        place: maps unit coordinates (N, dimension) to points, normals and whether each of the points counts; equal
            volumes of the cube go to equal measures.
        acceptance: the share of the unit cube that counts.
        plane: ``(axis, value)`` if the piece lies in the plane where that coordinate is constant.
        breaks: of a curve, the unit coordinates at which it jumps over parts that were cut out.
    """

    name: str
    measure: float
    dimension: int
    place: Callable[[np.ndarray], Placement]
    acceptance: float = 1.0
    plane: tuple[int, float] | None = None
    breaks: tuple[float, ...] = ()

    def draw(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Map unit coordinates (N, dimension) to points (M, d) and unit outward normals (M, d), ``M <= N``."""
        points, normals, keep = self.place(np.asarray(unit, dtype=np.float64))
        return points[keep], None if normals is None else normals[keep]


Belongs = Callable[[np.ndarray, "np.ndarray | None"], np.ndarray]
"""(points, normals) -> which of them are on the boundary of the result."""


def flipped(piece: Piece) -> Piece:
    """Return the piece with its normals reversed: the boundary of a hole."""

    def place(unit: np.ndarray) -> Placement:
        points, normals, keep = piece.place(unit)
        return points, -normals, keep

    return replace(piece, place=place)


def clip(piece: Piece, belongs: Belongs) -> Piece | None:
    """Return the part of ``piece`` where ``belongs`` holds, or None if nothing is left.

    Points are kept or dropped, curves are cut at the parameters where ``belongs`` changes (to rounding error; parts
    shorter than 1/4096 of the curve may be missed), and surfaces are kept by rejection, their measure estimated with
    65536 fixed quasi-random points (relative error about 1e-4; exact where all or none of the surface is kept).
    """
    if piece.dimension == 1 and piece.acceptance == 1.0:
        return _clip_curve(piece, belongs)
    return _clip_by_rejection(piece, belongs)


def _clip_by_rejection(piece: Piece, belongs: Belongs) -> Piece | None:
    def place(unit: np.ndarray) -> Placement:
        points, normals, keep = piece.place(unit)
        return points, normals, keep & belongs(points, normals)

    before = piece.place(fixed_points(piece.dimension))[2].mean()
    after = place(fixed_points(piece.dimension))[2].mean()
    if after == 0:
        return None
    share = float(after / before)
    return replace(piece, place=place, measure=piece.measure * share, acceptance=piece.acceptance * share)


def _clip_curve(piece: Piece, belongs: Belongs) -> Piece | None:
    spans = _kept_spans(piece, belongs)
    lengths = spans[:, 1] - spans[:, 0]
    share = float(lengths.sum())
    if share <= 0:
        return None
    if share == 1:
        return piece
    ends = np.cumsum(lengths) / share

    def place(unit: np.ndarray) -> Placement:
        u = unit[:, 0]
        k = np.minimum(np.searchsorted(ends, u, side="right"), len(ends) - 1)
        start = np.concatenate([[0.0], ends[:-1]])[k]
        parameter = np.clip(spans[k, 0] + (u - start) * share, spans[k, 0], spans[k, 1])
        return piece.place(parameter[:, None])

    old = np.array(piece.breaks)[:, None]
    kept_breaks = (ends - lengths / share + (old - spans[:, 0]) / share)[(old > spans[:, 0]) & (old < spans[:, 1])]
    breaks = tuple(sorted({*ends[:-1].tolist(), *kept_breaks.tolist()}))
    return replace(piece, place=place, measure=piece.measure * share, breaks=breaks)


def _kept_spans(piece: Piece, belongs: Belongs) -> np.ndarray:
    """Return the intervals (K, 2) of the curve's parameter where ``belongs`` holds."""

    def kept(parameter: np.ndarray) -> np.ndarray:
        points, normals, _ = piece.place(parameter[:, None])
        return belongs(points, normals)

    tiny = 1e-9
    scan = np.concatenate([[tiny], (np.arange(_SCAN) + 0.5) / _SCAN, [1 - tiny]])
    inside = kept(scan)
    change = np.flatnonzero(inside[1:] != inside[:-1])
    low, high, first = scan[change], scan[change + 1], inside[change]
    for _ in range(_BISECTIONS if change.size else 0):
        middle = (low + high) / 2
        same = kept(middle) == first
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    cuts = (low + high) / 2
    edges = np.concatenate([[0.0] if inside[0] else [], cuts, [1.0] if inside[-1] else []])
    return edges.reshape(-1, 2)
