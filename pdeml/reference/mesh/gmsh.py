"""Meshes by gmsh, inside the outline that all meshers share."""

from __future__ import annotations

import signal
from contextlib import suppress

import numpy as np

from pdeml.errors import InputError
from pdeml.reference.mesh.distance import triangulate
from pdeml.reference.mesh.outline import Outline
from pdeml.reference.mesh.triangulation import Triangulation

__all__ = ["fill_with_gmsh"]


def fill_with_gmsh(outline: Outline, size: float) -> Triangulation:
    """Mesh what an outline encloses, with the interior points of gmsh's frontal Delaunay algorithm.

    Raises:
        InputError: gmsh is not installed.

    Reference: Geuzaine & Remacle, Int. J. Numer. Meth. Engng. 79 (2009) 1309-1331.
    """
    try:
        import gmsh
    except (ImportError, OSError):
        raise InputError("mesher: gmsh needs gmsh: pip install 'pdeml[gmsh]'", ("mesher",)) from None
    gmsh.initialize(interruptible=False, readConfigFiles=False)
    _ignore_broken_pipes()
    try:
        return triangulate(outline, _points_of(gmsh, outline, size))
    finally:
        gmsh.finalize()


def _ignore_broken_pipes() -> None:
    """Restore what Python does about broken pipes: gmsh lets them end the process, without a word."""
    with suppress(AttributeError, ValueError):  # Windows has none; only the main thread may
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _points_of(gmsh, outline: Outline, size: float) -> np.ndarray:
    """Return the points (N, 2) gmsh places inside."""
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("General.NumThreads", 1)
    gmsh.option.setNumber("Mesh.Algorithm", 6)
    gmsh.option.setNumber("Mesh.MeshSizeExtendFromBoundary", 0)
    geo = gmsh.model.geo
    for number, (x, y) in enumerate(outline.points):
        geo.addPoint(x, y, 0.0, tag=number + 1)
    lines = [geo.addLine(a + 1, b + 1) for a, b in outline.edges.tolist()]
    for loops in _faces(outline):
        geo.addPlaneSurface([geo.addCurveLoop([lines[k] for k in loop]) for loop in loops])
    geo.synchronize()
    for line in lines:
        gmsh.model.mesh.setTransfiniteCurve(line, 2)
    gmsh.model.mesh.setSizeCallback(lambda dim, tag, x, y, z, lc: float(outline.sizes(np.array([[x, y]]), size)[0]))
    gmsh.model.mesh.generate(2)
    _, coordinates, _ = gmsh.model.mesh.getNodes(2)
    return np.asarray(coordinates).reshape(-1, 3)[:, :2]


def _faces(outline: Outline) -> list[list[list[int]]]:
    """Return for each connected part of the inside its loops of edges, the outer one first."""
    loops = _loops(outline.edges)
    areas = [_area(outline.points[outline.edges[loop, 0]]) for loop in loops]
    outer = sorted((k for k, area in enumerate(areas) if area > 0), key=lambda k: areas[k])
    faces = {k: [loops[k]] for k in outer}
    for k, loop in enumerate(loops):
        if areas[k] < 0:
            start = outline.points[outline.edges[loop[0], 0]]
            around = next(j for j in outer if _winds_around(outline.points[outline.edges[loops[j], 0]], start))
            faces[around].append(loop)
    return list(faces.values())


def _loops(edges: np.ndarray) -> list[list[int]]:
    """Return closed chains of edges, as lists of their numbers."""
    leaving: dict[int, list[int]] = {}
    for number, start in enumerate(edges[:, 0].tolist()):
        leaving.setdefault(start, []).append(number)
    rest, loops = set(range(len(edges))), []
    while rest:
        loop = [min(rest)]
        while True:
            rest.discard(loop[-1])
            onward = [k for k in leaving[int(edges[loop[-1], 1])] if k in rest]
            if not onward:
                break
            loop.append(onward[0])
        loops.append(loop)
    return loops


def _area(points: np.ndarray) -> float:
    x, y = (points - points.mean(axis=0)).T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _winds_around(polygon: np.ndarray, point: np.ndarray) -> bool:
    offset = polygon - point
    angles = np.arctan2(offset[:, 1], offset[:, 0])
    turned = (np.diff(np.append(angles, angles[0])) + np.pi) % (2 * np.pi) - np.pi
    return bool(abs(turned.sum()) > np.pi)
