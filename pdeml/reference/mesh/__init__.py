"""Triangulations of plane geometries with the pieces of the boundary by name."""

from pdeml.reference.mesh.make import MESHERS, mesh_of, triangulation_of
from pdeml.reference.mesh.structured import grid_triangulation
from pdeml.reference.mesh.triangulation import Triangulation, import_skfem

__all__ = ["MESHERS", "Triangulation", "grid_triangulation", "import_skfem", "mesh_of", "triangulation_of"]
