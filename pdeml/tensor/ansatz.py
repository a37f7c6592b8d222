"""Functions whose coefficients form a tensor, as an ansatz of residual systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.lower import Index, JetSpec
from pdeml.tensor.axis import AxisBasis

__all__ = ["PreparedTensor", "TensorAnsatz", "TensorTape"]

MOST_NUMBERS = 2**23
"""Largest intermediate array when functions are evaluated at scattered points; the points are taken in blocks."""


@dataclass(frozen=True)
class TensorAnsatz:
    """``u(x) = Σ C[u, j_1, …, j_D] φ_{j_1}(x_1) … φ_{j_D}(x_D)`` for each of U unknowns; θ is C, row by row.

    Args:
        axes: the basis of each of the D coordinates.
        unknowns: U.
    """

    axes: tuple[AxisBasis, ...]
    unknowns: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the coefficients, (U, m_1, …, m_D)."""
        return (self.unknowns, *(axis.size for axis in self.axes))

    @property
    def parameter_count(self) -> int:
        """Length of θ."""
        return math.prod(self.shape)

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U); points that form a grid, in any order, are recognised."""
        places = [column.unique(return_inverse=True) for column in points_ND.unbind(1)]
        if math.prod(len(place) for place, _ in places) <= 2 * len(points_ND):
            grid = self.on_grid(theta_P, [place for place, _ in places])
            return grid[tuple(inverse for _, inverse in places)]
        zero = (0,) * len(self.axes)
        blocks = points_ND.split(self._block)
        return torch.cat([self._jets(theta_P, self._matrices(x, (zero,)), (zero,))[0] for x in blocks])

    def on_grid(self, theta_P: Tensor, places: Sequence[Tensor], index: Index | None = None) -> Tensor:
        """Return the unknowns, or a derivative of them, on a tensor grid.

        Args:
            theta_P: coefficients.
            places: where along each coordinate, (N_k,).
            index: order of differentiation along each coordinate.
        Returns: (N_1, …, N_D, U).
        """
        found = self._tensor(theta_P)
        for k, (axis, x) in enumerate(zip(self.axes, places, strict=True)):
            matrix = axis.matrix(x, 0 if index is None else index[k])
            found = torch.movedim(torch.tensordot(matrix, found, dims=([1], [k + 1])), 0, k + 1)
        return torch.movedim(found, 0, -1)

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> PreparedTensor:
        """Evaluate the axes at the points."""
        indices = tuple(dict.fromkeys(index for members in spec.members for _, index in members))
        return PreparedTensor(self, spec, indices, tuple(points_ND.split(self._block)))

    @property
    def _block(self) -> int:
        """How many scattered points are evaluated at once."""
        return max(1, MOST_NUMBERS // max(1, self.parameter_count // self.axes[0].size))

    def _tensor(self, theta_P: Tensor) -> Tensor:
        if theta_P.numel() != self.parameter_count:
            raise InputError(f"{theta_P.numel()} coefficients do not fill a tensor of shape {self.shape}")
        return theta_P.reshape(self.shape)

    def _matrices(self, points_ND: Tensor, indices: Sequence[Index]) -> list[dict[int, Tensor]]:
        """Return order -> (N, m) for every axis."""
        return [
            {order: axis.matrix(x.contiguous(), order) for order in {index[k] for index in indices}}
            for k, (axis, x) in enumerate(zip(self.axes, points_ND.unbind(1), strict=True))
        ]

    def _jets(self, theta_P: Tensor, matrices: Sequence[dict[int, Tensor]], indices: Sequence[Index]) -> Tensor:
        """Return the derivatives at scattered points, (len(indices), N, U)."""
        tensor, partly = self._tensor(theta_P), {}
        found = []
        for index in indices:
            for k in range(len(self.axes)):
                # Derivatives that begin alike share the sums over their first axes.
                if index[: k + 1] not in partly:
                    matrix = matrices[k][index[k]]
                    if k == 0:
                        partly[index[:1]] = torch.tensordot(matrix, tensor, dims=([1], [1]))
                    else:
                        partly[index[: k + 1]] = torch.einsum("nj,nuj...->nu...", matrix, partly[index[:k]])
            found.append(partly[index])
        return torch.stack(found)


@dataclass(frozen=True)
class PreparedTensor:
    """The ansatz at fixed points; see `pdeml.lower.Prepared`."""

    ansatz: TensorAnsatz
    spec: JetSpec
    indices: tuple[Index, ...]
    blocks: tuple[Tensor, ...]

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of the unknowns, (K, N, U)."""
        return torch.cat([self._jets(theta_P, self.ansatz._matrices(x, self.indices)) for x in self.blocks], dim=1)

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, TensorTape]:
        """Return the channels of the unknowns and a tape for reverse sweeps."""
        return self.jets(theta_P), TensorTape(self)

    def _jets(self, theta_P: Tensor, matrices: Sequence[dict[int, Tensor]]) -> Tensor:
        single = self.ansatz._jets(theta_P, matrices, self.indices)
        place = {index: k for k, index in enumerate(self.indices)}
        return torch.stack([sum(c * single[place[index]] for c, index in members) for members in self.spec.members])


@dataclass(frozen=True)
class TensorTape:
    """Reverse sweeps of an ansatz that is linear in θ; see `pdeml.lower.Tape`."""

    prepared: PreparedTensor

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return the (N, P) Jacobian of the contracted channels."""
        unknowns, start = self.prepared.ansatz.unknowns, 0
        for x in self.prepared.blocks:
            here = slice(start, start + len(x))
            rows = self._products(x)
            out_NP[here] = torch.einsum("inu,inp->nup", self._single(adjoint_KNU[:, here]), rows).reshape(len(x), -1)
            start += len(x)
        assert out_NP.shape[1] % unknowns == 0
        return out_NP

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the (P,) gradient of the contracted channels."""
        total, start = 0.0, 0
        for x in self.prepared.blocks:
            single = self._single(adjoint_KNU[:, start : start + len(x)])
            matrices = self.prepared.ansatz._matrices(x, self.prepared.indices)
            for index, adjoint in zip(self.prepared.indices, single, strict=True):
                partly = adjoint.T[:, :, None]  # (U, N, 1): the sum over points is taken with the last axis
                for k, order in enumerate(index[:-1]):
                    partly = (partly[..., None] * matrices[k][order][:, None]).flatten(2)
                total = total + torch.einsum("unq,nj->uqj", partly, matrices[-1][index[-1]])
            start += len(x)
        return total.reshape(-1)  # type: ignore[union-attr]

    def _single(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the adjoints of single derivatives, (I, N, U), from those of the channels."""
        place = {index: k for k, index in enumerate(self.prepared.indices)}
        found = adjoint_KNU.new_zeros(len(place), *adjoint_KNU.shape[1:])
        for channel, members in zip(adjoint_KNU, self.prepared.spec.members, strict=True):
            for c, index in members:
                found[place[index]] += c * channel
        return found

    def _products(self, x: Tensor) -> Tensor:
        """Return the products of the axes' functions, (I, N, Π m_k)."""
        matrices = self.prepared.ansatz._matrices(x, self.prepared.indices)
        found = []
        for index in self.prepared.indices:
            rows = matrices[0][index[0]]
            for k, order in enumerate(index[1:], start=1):
                rows = (rows[:, :, None] * matrices[k][order][:, None]).flatten(1)
            found.append(rows)
        return torch.stack(found)
