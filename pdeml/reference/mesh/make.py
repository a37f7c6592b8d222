"""From a geometry and a size of triangles to a mesh."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from pdeml.errors import InputError, RunError, one_of
from pdeml.geometry import Box, Geometry
from pdeml.reference.mesh.distance import fill
from pdeml.reference.mesh.gmsh import fill_with_gmsh
from pdeml.reference.mesh.outline import make_outline
from pdeml.reference.mesh.structured import grid_triangulation
from pdeml.reference.mesh.triangulation import Triangulation

if TYPE_CHECKING:
    from skfem import MeshTri

__all__ = ["MESHERS", "mesh_of", "triangulation_of"]

MESHERS = ("auto", "distance", "gmsh")
SMALLEST_ANGLE = 2.0
"""A mesh with a smaller angle, in degrees, is refused: errors grow with the inverse of its sine."""


def mesh_of(geometry: Geometry, size: float, mesher: str = "auto") -> MeshTri:
    """Return a triangulation for scikit-fem, the same at every call.

    Args:
        geometry: any bounded shape in the plane.
        size: the longest side wanted; triangles are smaller where the boundary bends or comes near to itself.
        mesher: ``distance``; ``gmsh``, which must be installed; ``auto`` takes the former, and the latter only where
            the former fails.
    Returns: a mesh whose ``boundaries`` are called like the pieces of the geometry. No triangle has two edges on the
        boundary, unless a corner is too sharp to be shared by two.
    Raises:
        InputError: the geometry is not plane, the size is not positive, or scikit-fem (gmsh) is missing.
        RunError: no good mesh was found.
    """
    return triangulation_of(geometry, size, mesher).without_corner_triangles().to_skfem()


def triangulation_of(geometry: Geometry, size: float, mesher: str = "auto") -> Triangulation:
    """Return a triangulation as plain arrays; see `mesh_of`. Rectangles get a structured one."""
    if geometry.dimension != 2:
        raise InputError(f"meshes are made of plane geometries, this one has {geometry.dimension} dimension(s)")
    if mesher not in MESHERS:
        raise InputError(one_of(mesher, MESHERS, "a mesher"), ("mesher",))
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"the size of the triangles must be positive, got {size!r}")
    if isinstance(geometry, Box) and mesher != "gmsh":
        extent = geometry.bounds[:, 1] - geometry.bounds[:, 0]
        return grid_triangulation(geometry, [int(np.ceil(length / size - 1e-6)) + 1 for length in extent])
    outline = make_outline(geometry, size)
    if mesher == "gmsh":
        return _checked(fill_with_gmsh(outline, size))
    try:
        return _checked(fill(outline, geometry, size))
    except RunError:
        if mesher == "distance" or importlib.util.find_spec("gmsh") is None:
            raise
        return _checked(fill_with_gmsh(outline, size))


def _checked(mesh: Triangulation) -> Triangulation:
    """Return the mesh, or raise `RunError` if it has an angle that no corner of the geometry asks for."""
    corner = _sharpest_corner(mesh)
    if mesh.angles.min() < min(SMALLEST_ANGLE, 0.3 * corner):
        raise RunError(
            f"the mesh has an angle of {mesh.angles.min():.1f} degrees, which spoils the accuracy; choose a smaller "
            "grid step, or mesher: gmsh"
        )
    return mesh


def _sharpest_corner(mesh: Triangulation) -> float:
    """Return the smallest angle, in degrees, between two edges of the boundary that follow each other."""
    start = mesh.points[mesh.edges[:, 1]] - mesh.points[mesh.edges[:, 0]]
    order_in, order_out = np.argsort(mesh.edges[:, 1], kind="stable"), np.argsort(mesh.edges[:, 0], kind="stable")
    before, after = start[order_in], start[order_out]
    turned = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1))
    return float(np.degrees(np.pi - turned).min())
