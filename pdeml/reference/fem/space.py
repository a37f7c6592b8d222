"""Spaces of continuous functions that are polynomials of degree 1 or 2 on every element of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from pdeml.geometry import Box, Geometry
from pdeml.reference.mesh import grid_triangulation, import_skfem, triangulation_of

__all__ = ["Patch", "Space", "make_space", "shapes"]

_CANDIDATES = 10
_NEWTON_STEPS = 4
_OUTSIDE = 0.5  # beyond this share of an element from the nearest one a point is outside: curved rims are much nearer


@dataclass(frozen=True, eq=False)
class Patch:
    """Elements, or edges of the boundary, with a quadrature rule.

    Attributes:
        slots: (1 + d, E, Q, L) values and derivatives of the L shape functions of E elements at Q points.
        weights: (E, Q) of the rule.
        points: (E * Q, d) its points.
        dofs: (E, L) numbers of the shape functions.
        normals: (E * Q, d) outward unit normals; None inside.
    """

    slots: np.ndarray
    weights: np.ndarray
    points: np.ndarray
    dofs: np.ndarray
    normals: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Space:
    """The functions ``sum_k c_k phi_k``, with ``phi_k`` one at one node and zero at the others.

    Attributes:
        degree: 1 or 2.
        basis: scikit-fem's basis of the elements.
        numbers: (K,) the number of each of scikit-fem's basis functions, equal where periodicity identifies them.
        size: how many numbers there are.
    """

    degree: int
    basis: Any
    numbers: np.ndarray
    size: int

    @property
    def dimension(self) -> int:
        """Number of space coordinates."""
        return self.basis.mesh.dim()

    @cached_property
    def nodes(self) -> np.ndarray:
        """The nodes (size, d)."""
        nodes = np.empty((self.size, self.dimension))
        nodes[self.numbers] = self.basis.doflocs.T
        return nodes

    @cached_property
    def inside(self) -> Patch:
        """All elements."""
        return self._patch(self.basis)

    def boundary(self, pieces: Sequence[str]) -> Patch:
        """Return the edges on some pieces of the boundary."""
        skfem = import_skfem()
        mesh = self.basis.mesh
        facets = np.concatenate([mesh.boundaries[name] for name in pieces])
        rule = skfem.FacetBasis(mesh, self.basis.elem, facets=facets, intorder=_quadrature_order(self.degree))
        normals = np.asarray(rule.normals).reshape(self.dimension, -1).T
        return self._patch(rule, normals)

    def nodes_on(self, pieces: Sequence[str]) -> np.ndarray:
        """Return the numbers of the nodes on some pieces of the boundary."""
        facets = np.concatenate([self.basis.mesh.boundaries[name] for name in pieces])
        return np.unique(self.numbers[self.basis.get_dofs(facets).all()])

    def nearest_node(self, point: np.ndarray) -> int:
        """Return the number of the node nearest to a point (d,)."""
        return int(np.argmin(((self.nodes - point) ** 2).sum(axis=1)))

    def interpolation(self, points: np.ndarray) -> csr_array:
        """Return the matrix (P, size) from coefficients to values at points (P, d).

        A point just outside of the mesh, where the boundary bends, gets the continued polynomial of an element near it;
        one further away gets NaN.
        """
        cells, local = self._located(points)
        values = shapes(self.dimension, self.degree, local)
        columns = self.numbers[self.basis.element_dofs.T[cells]]
        rows = np.arange(len(points) + 1) * columns.shape[1]
        return csr_array((values.ravel(), columns.ravel(), rows), shape=(len(points), self.size))

    def _patch(self, rule: Any, normals: np.ndarray | None = None) -> Patch:
        weights = np.asarray(rule.dx)
        slots = np.empty((1 + self.dimension, *weights.shape, rule.Nbfun))
        for number, (shape,) in enumerate(rule.basis):
            slots[0, ..., number] = np.asarray(shape)
            slots[1:, ..., number] = shape.grad
        points = np.asarray(rule.global_coordinates()).reshape(self.dimension, -1).T
        return Patch(slots, weights, points, self.numbers[rule.element_dofs.T], normals)

    def _located(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the element (P,) each point is in, or nearest to, and its place (P, d) in the reference element."""
        corners = np.moveaxis(self._element_nodes[:, : self.dimension + 1], 1, 0)
        inverse = np.linalg.inv(np.moveaxis(corners[1:] - corners[0], 0, 2))
        tree = self._centers
        cells, local = np.empty(len(points), dtype=int), np.empty_like(points)
        rest, count = np.arange(len(points)), _CANDIDATES
        while len(rest):
            count = min(count, len(inverse))
            near = tree.query(points[rest], k=[*range(1, count + 1)])[1]
            places = np.einsum("pcij,pcj->pci", inverse[near], points[rest][:, None] - corners[0][near])
            depth = np.minimum(places.min(axis=2), 1.0 - places.sum(axis=2))
            best = depth.argmax(axis=1)
            chosen = np.arange(len(rest)), best
            cells[rest], local[rest] = near[chosen], places[chosen]
            if count > _CANDIDATES or count == len(inverse):
                break
            rest, count = rest[depth[chosen] < -1e-9], 8 * _CANDIDATES
        local[np.minimum(local.min(axis=1), 1.0 - local.sum(axis=1)) < -_OUTSIDE] = np.nan
        return cells, self._refined(cells, local, points) if self._curved else local

    def _refined(self, cells: np.ndarray, local: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Invert the quadratic map of curved elements by Newton's method."""
        known = np.isfinite(local).all(axis=1)
        nodes, places, result = self._element_nodes[cells[known]], local[known], local.copy()
        for _ in range(_NEWTON_STEPS):
            off = np.einsum("pl,pld->pd", shapes(self.dimension, 2, places), nodes) - points[known]
            slope = np.einsum("pld,ple->ped", shape_slopes(places), nodes)
            places = places - np.linalg.solve(slope, off[..., None])[..., 0]
        result[known] = places
        return result

    @cached_property
    def _element_nodes(self) -> np.ndarray:
        return self.basis.doflocs.T[self.basis.element_dofs.T]

    @cached_property
    def _centers(self) -> cKDTree:
        return cKDTree(self._element_nodes[:, : self.dimension + 1].mean(axis=1))

    @property
    def _curved(self) -> bool:
        return self.dimension == 2 and not self.basis.mesh.affine


def shapes(dimension: int, degree: int, local: np.ndarray) -> np.ndarray:
    """Return the values (P, L) of the shape functions at places (P, d) of the reference element."""
    corners = np.concatenate([1.0 - local.sum(axis=1, keepdims=True), local], axis=1)
    if degree == 1:
        return corners
    pairs = [(0, 1)] if dimension == 1 else [(0, 1), (1, 2), (0, 2)]
    middles = [4.0 * corners[:, a] * corners[:, b] for a, b in pairs]
    return np.concatenate([corners * (2.0 * corners - 1.0), np.stack(middles, axis=1)], axis=1)


def shape_slopes(local: np.ndarray) -> np.ndarray:
    """Return the derivatives (P, 6, 2) of the quadratic shape functions of a triangle."""
    c = np.concatenate([1.0 - local.sum(axis=1, keepdims=True), local], axis=1)
    slope = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    corners = (4.0 * c - 1.0)[..., None] * slope
    middles = [4.0 * (c[:, [a]] * slope[b] + c[:, [b]] * slope[a]) for a, b in [(0, 1), (1, 2), (0, 2)]]
    return np.concatenate([corners, np.stack(middles, axis=1)], axis=1)


@lru_cache(maxsize=4)
def make_space(
    geometry: Geometry, counts: tuple[int, ...], degree: int, mesher: str = "auto", periodic: tuple[str, ...] = ()
) -> Space:
    """Mesh a geometry and return the space on it; the last few are kept.

    Args:
        geometry: of one or two dimensions.
        counts: points along each axis: of the grid where the geometry is a box; elsewhere the longest side of a
            triangle is at most ``extent / (count - 1)`` along each.
        degree: of the polynomials; with 2, elements at a curved boundary are curved.
        mesher: see `pdeml.reference.mesh.mesh_of`.
        periodic: axes along which the box closes on itself.
    """
    skfem = import_skfem()
    if geometry.dimension == 1:
        element = skfem.ElementLineP1() if degree == 1 else skfem.ElementLineP2()
        mesh: Any = _line(skfem, geometry, counts[0])
    else:
        element = skfem.ElementTriP1() if degree == 1 else skfem.ElementTriP2()
        mesh = _triangles(skfem, geometry, counts, degree, mesher)
    basis = skfem.Basis(mesh, element, intorder=_quadrature_order(degree))
    numbers = _identified(basis.doflocs.T, geometry, periodic)
    return Space(degree, basis, numbers, int(numbers.max()) + 1)


def _quadrature_order(degree: int) -> int:
    return 2 * degree + 2


def _line(skfem: Any, geometry: Geometry, count: int) -> Any:
    nodes = np.linspace(*geometry.bounds[0], count)
    ends = {name: piece.place(np.zeros((1, 0)))[0][0, 0] for name, piece in geometry.pieces.items()}
    return skfem.MeshLine(nodes).with_boundaries(
        {name: (lambda x, at=at: np.isclose(x[0], at, rtol=0, atol=geometry.rounding)) for name, at in ends.items()}
    )


def _triangles(skfem: Any, geometry: Geometry, counts: tuple[int, ...], degree: int, mesher: str) -> Any:
    if isinstance(geometry, Box) and mesher != "gmsh":
        return grid_triangulation(geometry, counts).to_skfem()
    extent = geometry.bounds[:, 1] - geometry.bounds[:, 0]
    size = float((extent / (np.array(counts) - 1)).min())
    triangulation = triangulation_of(geometry, size, mesher)
    mesh = triangulation.to_skfem()
    if degree == 1:
        return mesh
    facets = triangulation.facets(mesh)
    curved = skfem.MeshTri2.from_mesh(mesh)
    places = curved.doflocs.copy()
    places[:, mesh.p.shape[1] + facets] = triangulation.middles.T
    result = skfem.MeshTri2(places, curved.t, sort_t=False, validate=False)
    return result.with_boundaries(mesh.boundaries)


def _identified(nodes: np.ndarray, geometry: Geometry, periodic: tuple[str, ...]) -> np.ndarray:
    """Number the nodes (K, d), those that are the same modulo the periods alike."""
    if not periodic:
        return np.arange(len(nodes))
    low, high = geometry.bounds.T
    wrapped = nodes.copy()
    for k, axis in enumerate(geometry.axes):
        if axis in periodic:
            wrapped[np.abs(nodes[:, k] - high[k]) < 1e-9 * geometry.size, k] = low[k]
    keys = np.round((wrapped - low) / (high - low) * 1e9).astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
