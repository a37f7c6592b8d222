"""Features on cells as a family of functions: what is solved for, evaluated, saved and loaded.

Shapes: N (points), D (coordinates), U (unknowns), F (features of a cell), P = cells · U · F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.features.cells import Cells
from pdeml.features.local import LocalSpace
from pdeml.lower import Index, JetSpec

__all__ = ["FeatureAnsatz"]

_BLOCK = 2**21  # numbers in the features of a block of points


@dataclass(frozen=True, eq=False)
class FeatureAnsatz:
    """``u_k(x) = Σ_i θ[c, k, i] f_i(ξ)``, c the cell of x and ξ the coordinates in it; an `Ansatz`.

    The parameters multiply the features themselves and not their orthonormal combinations: a saved solution then does
    not depend on how these came out on another machine.

    Args:
        cells: of the domain.
        space: the features; the same for all cells.
        unknowns: U.
    """

    cells: Cells
    space: LocalSpace
    unknowns: int

    @property
    def features(self) -> int:
        """Number F of features of a cell, monomials included."""
        return self.space.mixing.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells, unknowns, features."""
        return len(self.cells), self.unknowns, self.features

    @property
    def parameter_count(self) -> int:
        """P."""
        cells, unknowns, features = self.shape
        return cells * unknowns * features

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> PreparedFeatures:
        """Find the cells of the points."""
        cell, local = self.cells.locate(points_ND.detach().cpu().numpy())
        like = points_ND
        return PreparedFeatures(self, torch.as_tensor(cell, device=like.device), torch.as_tensor(local).to(like), spec)

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        return self.prepare(points_ND, JetSpec.closed((), dimension=points_ND.shape[1])).jets(theta_P)[0]

    def derivatives(self, theta_P: Tensor, points_ND: Tensor, indices: tuple[Index, ...]) -> Tensor:
        """Return single derivatives of the unknowns, (K, N, U)."""
        spec = JetSpec.closed(indices, dimension=points_ND.shape[1])
        return self.prepare(points_ND, spec).jets(theta_P)[[spec.position[index] for index in indices]]

    def evaluate(self, local_ND: Tensor, index: Index) -> Tensor:
        """Return ``∂^index`` of the features, in the units of the coordinates, at places in a cell: (N, F)."""
        factor = float((self.cells.half ** list(index)).prod())
        return self.space.features(local_ND, index) / factor


@dataclass(frozen=True, eq=False)
class PreparedFeatures:
    """The ansatz at fixed points; see `pdeml.lower.Prepared`. It is linear in θ, and its own tape."""

    ansatz: FeatureAnsatz
    cell_N: Tensor
    local_ND: Tensor
    spec: JetSpec

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of the unknowns, (K, N, U)."""
        theta = theta_P.reshape(self.ansatz.shape)
        result = theta_P.new_empty(len(self.spec), len(self.cell_N), self.ansatz.unknowns)
        for rows, channels in self._blocks():
            own = theta[self.cell_N[rows]]
            for k, values in enumerate(channels):
                result[k, rows] = torch.einsum("nf,nuf->nu", values, own)
        return result

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, PreparedFeatures]:
        """Return the channels of the unknowns and a tape."""
        return self.jets(theta_P), self

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return the (N, P) Jacobian of the contracted channels."""
        out = out_NP.zero_().unflatten(1, self.ansatz.shape)
        for rows, channels in self._blocks():
            found = sum(
                adjoint_KNU[k, rows, :, None] * values[:, None, :]
                for k, values in enumerate(channels)
                if bool(adjoint_KNU[k].any())
            )
            out[rows, self.cell_N[rows]] = found
        return out_NP

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the (P,) gradient of the contracted channels."""
        result = adjoint_KNU.new_zeros(self.ansatz.shape)
        for rows, channels in self._blocks():
            for k, values in enumerate(channels):
                result.index_add_(0, self.cell_N[rows], adjoint_KNU[k, rows, :, None] * values[:, None, :])
        return result.reshape(-1)

    def _blocks(self) -> Iterator[tuple[Tensor, Iterator[Tensor]]]:
        """Yield some of the rows at a time, with the features' channels there, (rows, F) each."""
        size = max(1, _BLOCK // (self.ansatz.unknowns * self.ansatz.features))
        for rows in torch.arange(len(self.cell_N), device=self.cell_N.device).split(size):
            local = self.local_ND[rows]
            single = [self.ansatz.evaluate(local, index) for index in self.spec.indices]
            summed = [
                sum(c * self.ansatz.evaluate(local, index) for c, index in members)
                for members in self.spec.combinations
            ]
            yield rows, iter([*single, *summed])
