"""Functions ``Σ_i a_i k(x, X_i)`` on the points of a grid, with all derivatives: a conditional mean off the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.gp.kernels import Kernel, ProductKernel
from pdeml.lower import JetSpec
from pdeml.tensor import TensorAnsatz
from pdeml.tensor.ansatz import PreparedTensor, TensorTape

__all__ = ["JointAnsatz"]


@dataclass(frozen=True)
class KernelSections:
    """The functions ``k(·, X_i)`` of one coordinate, as far as a tensor product asks for them.

    Args:
        kernel: of the coordinate.
        points: X, (n,).
    """

    kernel: Kernel
    points: Tensor

    @property
    def low(self) -> float:
        """The first point."""
        return float(self.points[0])

    @property
    def high(self) -> float:
        """The last point."""
        return float(self.points[-1])

    @property
    def joints(self) -> Tensor:
        """None."""
        return self.points.new_zeros(0, self.size)

    def nodes(self, low: int, high: int) -> Tensor:
        """Return the points but the first ``low`` and the last ``high``."""
        return self.points[low : self.size - high]

    @property
    def size(self) -> int:
        """Number n of functions."""
        return len(self.points)

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        """Return ``∂_x^order k(x_i − X_j)``, (N, n)."""
        places, back = torch.unique(x_N, return_inverse=True)
        return self.kernel.matrices(places, self.points, order)[order][back]


@dataclass(frozen=True)
class JointAnsatz:
    """``u_u(x) = Σ_i a_ui Π_j k_uj(x_j − X_ij)`` for each of U unknowns; θ is a, (U, n_1, …, n_D), row by row.

    Args:
        kernels: one for each unknown.
        points: of the grid along each coordinate.
    """

    kernels: tuple[ProductKernel, ...]
    points: tuple[Tensor, ...]

    @property
    def parameter_count(self) -> int:
        """Length of θ."""
        return len(self.kernels) * math.prod(map(len, self.points))

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        pairs = zip(self._each, theta_P.reshape(len(self.kernels), -1), strict=True)
        return torch.cat([one.values(own, points_ND) for one, own in pairs], 1)

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> PreparedJoint:
        """Evaluate the kernels at the points."""
        return PreparedJoint(tuple(one.prepare(points_ND, spec) for one in self._each))

    @property
    def _each(self) -> list[TensorAnsatz]:
        return [
            TensorAnsatz(tuple(KernelSections(k, x) for k, x in zip(kernel.axes, self.points, strict=True)))
            for kernel in self.kernels
        ]


@dataclass(frozen=True)
class PreparedJoint:
    """The ansatz at fixed points, unknown by unknown; see `pdeml.lower.Prepared`."""

    each: tuple[PreparedTensor, ...]

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of all unknowns, (K, N, U)."""
        parts = theta_P.reshape(len(self.each), -1)
        return torch.cat([one.jets(own) for one, own in zip(self.each, parts, strict=True)], 2)

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, JointTape]:
        """Return the channels and a tape for reverse sweeps."""
        return self.jets(theta_P), JointTape(tuple(TensorTape(one) for one in self.each))


@dataclass(frozen=True)
class JointTape:
    """Reverse sweeps, unknown by unknown; see `pdeml.lower.Tape`."""

    each: tuple[TensorTape, ...]

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return the (N, P) Jacobian of the contracted channels."""
        for u, (one, out) in enumerate(zip(self.each, out_NP.chunk(len(self.each), 1), strict=True)):
            one.jacobian(adjoint_KNU[:, :, u : u + 1], out)
        return out_NP

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the (P,) gradient of the contracted channels."""
        return torch.cat([one.pullback(adjoint_KNU[:, :, u : u + 1]) for u, one in enumerate(self.each)])
