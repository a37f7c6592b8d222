"""Triangulation: points, triangles and the named edges of the boundary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pdeml.errors import InputError

if TYPE_CHECKING:
    from skfem import MeshTri

__all__ = ["Triangulation", "import_skfem", "turn"]


def import_skfem():
    """Return scikit-fem, or say how to install it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import skfem
    except ImportError:
        raise InputError("finite elements on unstructured meshes need scikit-fem: pip install 'pdeml[fem]'") from None
    return skfem


@dataclass(frozen=True, eq=False)
class Triangulation:
    """A conforming mesh of triangles in the plane.

    Attributes:
        points: (N, 2).
        triangles: (M, 3) numbers of points, counter-clockwise.
        edges: (K, 2) numbers of the ends of the boundary edges, with the domain to the left.
        middles: (K, 2) points of the true boundary half-way between the ends of the edges.
        owners: (K,) position in ``pieces`` of the piece each edge belongs to.
        pieces: names of the pieces of the boundary.
    """

    points: np.ndarray
    triangles: np.ndarray
    edges: np.ndarray
    middles: np.ndarray
    owners: np.ndarray
    pieces: tuple[str, ...]

    @cached_property
    def areas(self) -> np.ndarray:
        """Areas of the triangles (M,)."""
        return turn(*self.points[self.triangles.T]) / 2

    @cached_property
    def angles(self) -> np.ndarray:
        """Angles of the triangles (M, 3) in degrees."""
        corners = self.points[self.triangles]
        ahead = np.roll(corners, -1, axis=1) - corners
        behind = np.roll(corners, 1, axis=1) - corners
        cross = ahead[..., 0] * behind[..., 1] - ahead[..., 1] * behind[..., 0]
        return np.degrees(np.arctan2(cross, (ahead * behind).sum(axis=2)))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths of the sides of the triangles (M, 3)."""
        corners = self.points[self.triangles]
        return np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)

    def without_corner_triangles(self) -> Triangulation:
        """Return the mesh with no triangle that has two edges on the boundary, where this can be had by swaps.

        Mixed elements for flow lose stability in triangles without an interior edge or point.
        """
        triangles = self.triangles.copy()
        count = len(self.points)
        keys = np.sort(self.edges, axis=1) @ np.array([count, 1])
        sides = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2)
        side_keys = np.sort(sides, axis=2) @ np.array([count, 1])
        outer = np.isin(side_keys, keys)
        for cell in np.flatnonzero(outer.sum(axis=1) == 2):
            inner = int(np.flatnonzero(~outer[cell])[0])
            pair = np.flatnonzero((side_keys == side_keys[cell, inner]).any(axis=1))
            other = int(pair[pair != cell][0])
            a, b, corner = np.roll(triangles[cell], -inner)
            far = int(triangles[other].sum() - a - b)
            swapped = np.array([[corner, a, far], [corner, far, b]])
            if outer[other].any() or np.any(turn(*self.points[swapped.T]) <= 0):
                continue
            triangles[[cell, other]] = swapped
        return replace(self, triangles=triangles)

    def to_skfem(self) -> MeshTri:
        """Return the mesh for scikit-fem; its boundaries are called like the pieces.

        Raises:
            InputError: scikit-fem is not installed.
        """
        skfem = import_skfem()
        mesh = skfem.MeshTri(
            np.ascontiguousarray(self.points.T), np.ascontiguousarray(self.triangles.T), sort_t=False, validate=False
        )
        facets = self.facets(mesh)
        return mesh.with_boundaries({name: facets[self.owners == k] for k, name in enumerate(self.pieces)})

    def facets(self, mesh: MeshTri) -> np.ndarray:
        """Return the numbers (K,) that the boundary edges have in a mesh made by `to_skfem`."""
        count = len(self.points)
        keys = np.sort(mesh.facets.T.astype(np.int64), axis=1) @ np.array([count, 1])
        order = np.argsort(keys)
        wanted = np.sort(self.edges, axis=1) @ np.array([count, 1])
        return order[np.searchsorted(keys, wanted, sorter=order)]


def turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return twice the signed areas (…) of triangles with corners (…, 2): positive counter-clockwise."""
    u, v = b - a, c - a
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
