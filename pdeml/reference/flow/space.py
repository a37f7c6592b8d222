"""Taylor-Hood elements: continuous velocity of degree 2, continuous pressure of degree 1, on triangles.

Everything is said by sparse matrices that evaluate functions at the quadrature points; forms are products of them.

Reference: Taylor & Hood, Computers & Fluids 1 (1973) 73-100; John, Finite Element Methods for Incompressible Flow
Problems (2016), ch. 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import block_array, csr_array, diags_array, hstack, kron
from scipy.spatial import cKDTree

from pdeml.reference.mesh import import_skfem

if TYPE_CHECKING:
    from skfem import Basis, DiscreteField, MeshTri

__all__ = ["Edges", "TaylorHood"]

DEGREE = 5
"""Quadrature is exact up to this degree: that of ``(u·∇)u·w``."""
CANDIDATES = (8, 64, 512)
"""So many of the nearest triangles are tried to find the one that a point is in."""
INSIDE = -1e-9
"""Barycentric coordinates above this count as inside."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of the boundary with their quadrature.

    Attributes:
        points: (Q, 2).
        normals: (Q, 2), outward.
        weights: (Q,).
        values: (Q, N), the values at the points of a function by its nodal values.
    """

    points: np.ndarray
    normals: np.ndarray
    weights: np.ndarray
    values: csr_array


class TaylorHood:
    """The spaces on one mesh.

    Velocities are arrays (2, N) of values at the N nodes, which are the vertices and the middles of edges; pressures
    are arrays (M,) of values at vertices. Q is the number of quadrature points.

    Args:
        mesh: of scikit-fem, its boundaries called like the pieces of the geometry.
    """

    def __init__(self, mesh: MeshTri):
        skfem = import_skfem()
        self.mesh = mesh
        self._quadratic = skfem.Basis(mesh, skfem.ElementTriP2(), intorder=DEGREE)
        self._linear = self._quadratic.with_element(skfem.ElementTriP1())

    @property
    def nodes(self) -> np.ndarray:
        """Places (N, 2) of the nodes of velocity."""
        return self._quadratic.doflocs.T

    @property
    def size(self) -> int:
        """Number N of nodes of velocity."""
        return self._quadratic.N

    @property
    def vertices(self) -> np.ndarray:
        """Places (M, 2) of the nodes of pressure."""
        return self._linear.doflocs.T

    @property
    def unknowns(self) -> int:
        """Number 2 N + M of all nodal values."""
        return 2 * self.size + self._linear.N

    @cached_property
    def points(self) -> np.ndarray:
        """Quadrature points (Q, 2)."""
        return np.asarray(self._quadratic.global_coordinates()).reshape(2, -1).T

    @cached_property
    def weights(self) -> np.ndarray:
        """Quadrature weights (Q,)."""
        return self._quadratic.dx.ravel()

    @cached_property
    def value(self) -> csr_array:
        """Takes nodal values (N,) of a component to its values (Q,)."""
        return _evaluation(self._quadratic, np.asarray)

    @cached_property
    def slopes(self) -> tuple[csr_array, csr_array]:
        """Take nodal values (N,) of a component to its two first derivatives (Q,)."""
        return tuple(_evaluation(self._quadratic, lambda field, k=k: field.grad[k]) for k in range(2))  # type: ignore[return-value]

    @cached_property
    def mass(self) -> csr_array:
        """``∫ u w`` for one component, (N, N)."""
        return self._form(self.value, self.value)

    @cached_property
    def stiffness(self) -> csr_array:
        """``∫ ∇u·∇w`` for one component, (N, N)."""
        return sum(self._form(slope, slope) for slope in self.slopes)

    @cached_property
    def divergence(self) -> csr_array:
        """``-∫ q ∇·u`` (M, 2 N)."""
        pressure = _evaluation(self._linear, np.asarray)
        return csr_array(hstack([-self._form(pressure, slope) for slope in self.slopes]))

    @cached_property
    def pressure_weights(self) -> np.ndarray:
        """``∫ q`` (M,)."""
        return _evaluation(self._linear, np.asarray).T @ self.weights

    def load(self, density: np.ndarray) -> np.ndarray:
        """Return ``∫ f·w`` (2, N) for the values ``f`` (2, Q)."""
        return (self.value.T @ (self.weights * density).T).T

    def convection(self, velocity: np.ndarray) -> np.ndarray:
        """Return ``∫ (u·∇)u·w`` (2, N)."""
        u = (self.value @ velocity.T).T
        return self.load(sum(u[k] * (self.slopes[k] @ velocity.T).T for k in range(2)))

    def transport(self, velocity: np.ndarray) -> csr_array:
        """Return the matrix (2 N, 2 N) of ``∫ (a·∇)u·w`` for a given velocity a."""
        a = (self.value @ velocity.T).T
        along = sum(diags_array(a[k]) @ self.slopes[k] for k in range(2))
        return csr_array(kron(np.eye(2), self._form(self.value, csr_array(along))))

    def reaction(self, velocity: np.ndarray) -> csr_array:
        """Return the matrix (2 N, 2 N) of ``∫ (u·∇)a·w`` for a given velocity a."""
        blocks = [
            [
                self._form(self.value, csr_array(diags_array(self.slopes[k] @ velocity[i]) @ self.value))
                for k in range(2)
            ]
            for i in range(2)
        ]
        return csr_array(block_array(blocks))

    def dilation(self, velocity: np.ndarray) -> csr_array:
        """Return the matrix (2 N, 2 N) of ``½ ∫ (∇·a) u·w`` for a given velocity a."""
        half = 0.5 * sum(self.slopes[k] @ velocity[k] for k in range(2))
        return csr_array(kron(np.eye(2), self._form(self.value, csr_array(diags_array(half) @ self.value))))

    def grad_div(self, strength: float) -> csr_array:
        """Return the matrix (2 N, 2 N) of ``Σ_K strength h_K ∫_K ∇·u ∇·w``.

        Zero for flows without divergence. Without it the velocity suffers from what the linear pressure cannot resolve,
        the more the smaller the viscosity. Reference: Olshanskii, Comput. Methods Appl. Mech. Eng. 191 (2002)
        5515-5536; John, Linke, Merdon, Neilan & Rebholz, SIAM Review 59 (2017) 492-544.
        """
        weights = strength * np.repeat(self._widths, self._quadratic.dx.shape[1]) * self.weights
        divergence = csr_array(hstack(self.slopes))
        return csr_array(divergence.T @ (diags_array(weights) @ divergence))

    def subgrid(self, strength: float) -> csr_array:
        """Return ``Σ_K strength h_K ∫_K κ∇u·κ∇w`` (N, N), where κ takes away the mean over the triangle K.

        Friction on what the mesh resolves badly, of third order in h against smooth flow in energy. Reference: Layton,
        Appl. Math. Comput. 133 (2002) 147-157; John & Kaya, SIAM J. Sci. Comput. 26 (2005) 1485-1503.
        """
        cells, count = self._quadratic.dx.shape
        areas = self._quadratic.dx.sum(axis=1)
        factor = strength * self._widths
        rows = np.repeat(np.arange(cells), count)
        sums = csr_array((self.weights, (rows, np.arange(cells * count))), shape=(cells, cells * count))
        whole = sum(slope.T @ diags_array(np.repeat(factor, count) * self.weights) @ slope for slope in self.slopes)
        means = [sums @ slope for slope in self.slopes]
        return csr_array(whole - sum(mean.T @ diags_array(factor / areas) @ mean for mean in means))

    def nodes_on(self, facets: np.ndarray) -> np.ndarray:
        """Return the three nodes (F, 3) of velocity on each of the edges with the given numbers."""
        basis = self._quadratic
        return np.column_stack([*basis.nodal_dofs[0][self.mesh.facets[:, facets]], basis.facet_dofs[0, facets]])

    def edges(self, facets: np.ndarray) -> Edges:
        """Return the boundary edges with the given numbers, ready for integrals along them."""
        skfem = import_skfem()
        basis = skfem.FacetBasis(self.mesh, skfem.ElementTriP2(), facets=facets, intorder=DEGREE)
        return Edges(
            points=np.asarray(basis.global_coordinates()).reshape(2, -1).T,
            normals=np.asarray(basis.normals).reshape(2, -1).T,
            weights=basis.dx.ravel(),
            values=_evaluation(basis, np.asarray),
        )

    def evaluation(self, points: np.ndarray) -> tuple[csr_array, csr_array]:
        """Return matrices (P, N) and (P, M) that take nodal values of velocity and pressure to values at points (P, 2).

        Points outside the mesh, where a curved boundary bulges over its edges, are evaluated by the nearest triangle.
        """
        cells, local = self._locate(points)
        found = []
        for basis in (self._quadratic, self._linear):
            shapes = [basis.elem.gbasis(basis.mapping, local[:, :, None], k, tind=cells) for k in range(basis.Nbfun)]
            values = np.stack([np.asarray(shape[0])[:, 0] for shape in shapes], axis=1)
            columns = basis.element_dofs[:, cells].T
            rows = np.repeat(np.arange(len(points)), basis.Nbfun)
            found.append(csr_array((values.ravel(), (rows, columns.ravel())), shape=(len(points), basis.N)))
        return found[0], found[1]

    @cached_property
    def _widths(self) -> np.ndarray:
        """The width h_K of each triangle."""
        return np.sqrt(2.0 * self._quadratic.dx.sum(axis=1))

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.mesh.p[:, self.mesh.t].mean(axis=1).T)

    def _locate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the triangle (P,) that each point is in, or nearest to, and coordinates (2, P) in it."""
        best = np.zeros(len(points), dtype=np.int64)
        depth = np.full(len(points), -np.inf)
        for count in CANDIDATES:
            rest = np.flatnonzero(depth < INSIDE)
            if not len(rest):
                break
            near = self._tree.query(points[rest], k=min(count, self.mesh.nelements))[1].reshape(len(rest), -1)
            local = self._reference(np.repeat(points[rest], near.shape[1], axis=0), near.ravel())
            inside = np.minimum(local.min(axis=0), 1.0 - local.sum(axis=0)).reshape(near.shape)
            chosen = inside.argmax(axis=1)
            best[rest], depth[rest] = near[np.arange(len(rest)), chosen], inside.max(axis=1)
        return best, self._reference(points, best)

    def _reference(self, points: np.ndarray, cells: np.ndarray) -> np.ndarray:
        return self._quadratic.mapping.invF(points.T[:, :, None], tind=cells)[:, :, 0]

    def _form(self, test: csr_array, trial: csr_array) -> csr_array:
        return csr_array(test.T @ (diags_array(self.weights) @ trial))


def _evaluation(basis: Basis, part: Callable[[DiscreteField], np.ndarray]) -> csr_array:
    """Return the matrix from nodal values to ``part`` of the function at all quadrature points."""
    values = np.stack([part(basis.basis[k][0]) for k in range(basis.Nbfun)], axis=2)
    cells, count, _ = values.shape
    columns = np.broadcast_to(basis.element_dofs.T[:, None, :], values.shape)
    rows = np.broadcast_to(np.arange(cells * count).reshape(cells, count, 1), values.shape)
    return csr_array((values.ravel(), (rows.ravel(), columns.ravel())), shape=(cells * count, basis.N))
