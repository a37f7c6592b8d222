"""Meshes from distances: interior points pushed apart until the triangles between them are nearly equilateral.

Source: Persson & Strang, A simple mesh generator in MATLAB, SIAM Review 46 (2004) 329-345. Different from there, the
points of the boundary are placed first and stay (see `pdeml.reference.mesh.outline`), so that the boundary is met
exactly, and away from it the points of the hexagonal lattice, which are in balance already, stay too.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, cKDTree

from pdeml.errors import RunError
from pdeml.geometry import Geometry
from pdeml.reference.mesh.outline import Outline, split
from pdeml.reference.mesh.triangulation import Triangulation, turn

__all__ = ["fill", "interior_points", "triangulate"]

STEPS = 60
"""Steps of the relaxation: after about 40 the smallest angle no longer grows."""
STEP = 0.2
PRESSURE = 1.1
"""The rest length of a bar relative to the wanted one: nearly all bars push, as Persson & Strang advise."""
BAND = 5.0
"""Points deeper than this many sizes below the boundary stay on the lattice."""
CLEARANCE = 0.55
"""Interior points nearer to an edge than this share of the size are dropped."""
BEND = 0.05
"""By how much of an edge a straight boundary is bent inwards while its triangles are looked for."""
SAME_LINE = 1e-7
"""Edges whose directions and distances differ by less lie on one line."""
_MOST_SPLITS = 12


def fill(outline: Outline, geometry: Geometry, size: float) -> Triangulation:
    """Mesh what an outline encloses.

    Raises:
        RunError: the outline cannot be met.
    """
    return triangulate(outline, interior_points(outline, geometry, size))


def interior_points(outline: Outline, geometry: Geometry, size: float) -> np.ndarray:
    """Return points (N, 2) inside, spaced as `Outline.sizes` asks for."""
    points = _lattice(outline, geometry, size)
    wanted = outline.sizes(points, size)
    depth = cKDTree(outline.middles).query(points)[0]
    near = (depth < (BAND + 2) * size) | (wanted < 0.99 * size)
    free = near & ((depth < BAND * size) | (wanted < 0.99 * size))
    moving = _relaxed(outline, points[free], points[near & ~free], size)
    inside = geometry.contains(moving)
    return np.concatenate([_clear(outline, moving[inside], size), points[~free]])


def triangulate(outline: Outline, interior: np.ndarray) -> Triangulation:
    """Join the points of an outline and of its inside to triangles; edges are halved until all are sides of triangles.

    Raises:
        RunError: this does not end.
    """
    for _ in range(_MOST_SPLITS):
        bent = np.concatenate([_bent(outline), interior])
        triangles = _oriented(bent, Delaunay(bent).simplices)
        missing, inside = _enclosed(triangles, outline.edges, len(bent))
        if not missing.any():
            return _trimmed(outline, np.concatenate([outline.points, interior]), triangles[inside])
        outline = split(outline, missing)
    raise RunError("the boundary could not be meshed; with gmsh installed, mesher: gmsh may be able to")


def _bent(outline: Outline) -> np.ndarray:
    """Return the points of an outline, those on a straight line moved a little inwards, onto a parabola.

    Otherwise rounding decides whether three of them in a row make a flat triangle inside or outside of the domain.
    """
    start, end = np.moveaxis(outline.points[outline.edges], 1, 0)
    along = (end - start) / outline.lengths[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)  # the domain is to the left
    line = np.column_stack([along, (normal * start).sum(axis=1) / np.ptp(outline.points)])
    lines = np.unique(np.floor(line / SAME_LINE + 0.25), axis=0, return_inverse=True)[1].ravel()
    low, high, short = np.full(len(lines), np.inf), np.full(len(lines), -np.inf), np.full(len(lines), np.inf)
    ends = [(along * point).sum(axis=1) for point in (start, end)]
    for place in ends:
        np.minimum.at(low, lines, place)
        np.maximum.at(high, lines, place)
    np.minimum.at(short, lines, outline.lengths)
    moved = outline.points.copy()
    for side, place in enumerate(ends):
        share = (place - low[lines]) / (high - low)[lines]
        depth = BEND * short[lines] * 4.0 * share * (1.0 - share)
        np.add.at(moved, outline.edges[:, side], 0.5 * depth[:, None] * normal)
    return moved


def _lattice(outline: Outline, geometry: Geometry, size: float) -> np.ndarray:
    """Return points of a hexagonal lattice, refined where smaller triangles are wanted, clear of the boundary."""
    (x0, x1), (y0, y1) = geometry.bounds
    along, up = np.array([size, 0.0]), np.array([size / 2, size * np.sqrt(3) / 2])
    rows = np.arange(-1, int(np.ceil((y1 - y0) / up[1])) + 2)
    columns = np.arange(-1, int(np.ceil((x1 - x0) / size)) + 2)
    offset = (rows % 2)[:, None] * size / 2
    points = np.stack(np.broadcast_arrays(x0 + columns * size + offset, (y0 + rows * up[1])[:, None]), axis=2)
    points, kept = points.reshape(-1, 2), []
    spacing = size
    while len(points):
        coarse = outline.sizes(points, size) < 0.7 * spacing
        kept.append(points[~coarse])
        shifts = np.array([0 * along, along, up, along - up]) / 2
        points = (points[coarse, None] + shifts * (spacing / size)).reshape(-1, 2)
        spacing /= 2
    found = np.concatenate(kept)
    return _clear(outline, found[geometry.contains(found)], size)


def _clear(outline: Outline, points: np.ndarray, size: float) -> np.ndarray:
    """Drop points that are too near to an edge, or inside the circle over one."""
    if not len(points):
        return points
    near = cKDTree(outline.middles).query(points, k=min(4, len(outline.edges)))[1]
    start, end = np.moveaxis(outline.points[outline.edges[near]], 2, 0)
    along, offset = end - start, points[:, None] - start
    squared = (along**2).sum(axis=2)
    share = np.clip((offset * along).sum(axis=2) / squared, 0.0, 1.0)
    gap = np.linalg.norm(offset - share[..., None] * along, axis=2).min(axis=1)
    off_center = np.linalg.norm(points[:, None] - (start + end) / 2, axis=2) / np.sqrt(squared)
    return points[(gap > CLEARANCE * outline.sizes(points, size)) & (off_center.min(axis=1) > 0.51)]


def _relaxed(outline: Outline, free: np.ndarray, ghosts: np.ndarray, size: float) -> np.ndarray:
    """Move points (N, 2) by the repulsion of bars that are shorter than wanted; outline and ghosts stay."""
    fixed = np.concatenate([outline.points, ghosts])
    count, points = len(fixed), np.concatenate([fixed, free])
    if not len(free):
        return free
    last = np.full_like(points, np.inf)
    for _ in range(STEPS):
        if np.max(np.linalg.norm(points - last, axis=1)) > 0.1 * size or not np.isfinite(last).all():
            last = points.copy()
            bars = _bars(Delaunay(points).simplices, count)
            wanted = outline.sizes(points[bars].mean(axis=1), size)
        ends = points[bars]
        along = ends[:, 0] - ends[:, 1]
        length = np.linalg.norm(along, axis=1)
        rest = wanted * PRESSURE * np.sqrt((length**2).sum() / (wanted**2).sum())
        push = (np.maximum(rest - length, 0.0) / np.maximum(length, 1e-12 * size))[:, None] * along
        force = np.stack(
            [
                np.bincount(bars[:, 0], push[:, k], len(points)) - np.bincount(bars[:, 1], push[:, k], len(points))
                for k in range(2)
            ],
            axis=1,
        )
        points[count:] += STEP * force[count:]
    return points[count:]


def _bars(triangles: np.ndarray, fixed: int) -> np.ndarray:
    """Return the sides (B, 2) of the triangles that have an end that moves."""
    sides = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(sides[sides[:, 1] >= fixed], axis=0)


def _oriented(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    clockwise = turn(*points[triangles.T]) < 0
    return np.where(clockwise[:, None], triangles[:, ::-1], triangles)


def _enclosed(triangles: np.ndarray, edges: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which edges (K,) are no side of a triangle, and which triangles (M,) the edges enclose.

    Edges part the triangles into regions; a region is inside if it lies to the left of an edge.
    """
    sides = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
    forward, keys = sides @ np.array([count, 1]), np.sort(sides, axis=1) @ np.array([count, 1])
    edge_keys = np.sort(edges, axis=1) @ np.array([count, 1])
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero((keys[order][1:] == keys[order][:-1]) & ~np.isin(keys[order][1:], edge_keys))
    first, second = order[same] // 3, order[same + 1] // 3
    links = coo_array((np.ones(len(same)), (first, second)), shape=(len(triangles),) * 2)
    region = connected_components(links, directed=False)[1]
    left = np.isin(forward, edges.astype(np.int64) @ np.array([count, 1]))
    inside = np.isin(region, region[np.flatnonzero(left) // 3])
    return ~np.isin(edge_keys, keys), inside


def _trimmed(outline: Outline, points: np.ndarray, triangles: np.ndarray) -> Triangulation:
    """Leave out points that no triangle uses."""
    used, numbers = np.unique(np.concatenate([triangles.ravel(), outline.edges.ravel()]), return_inverse=True)
    return Triangulation(
        points=points[used],
        triangles=numbers[: triangles.size].reshape(-1, 3),
        edges=numbers[triangles.size :].reshape(-1, 2),
        middles=outline.middles,
        owners=outline.owners,
        pieces=tuple(piece.name for piece in outline.pieces),
    )
