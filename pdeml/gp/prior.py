"""Functions drawn from the prior, with every derivative, on points or on tensor grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.files import available_memory
from pdeml.gp.kernels import Kernel, ProductKernel
from pdeml.gp.spectrum import spectral_quadrature
from pdeml.lower.multi_index import Index

__all__ = ["PriorSamples", "SpectralFeatures"]


@dataclass(frozen=True)
class SpectralFeatures:
    """``φ(x) = √s_f (cos ω_f x, sin ω_f x)`` of one coordinate, with ``k(x − x′) = φ(x)·φ(x′)`` on an interval.

    The square root of a kernel: where its matrix is singular to rounding, that of the features is not.

    Args:
        frequencies: ω, (F,), angular.
        masses: s, (F,), of the variance.
    """

    frequencies: Tensor
    masses: Tensor

    @classmethod
    def of(cls, kernel: Kernel, extent: float, tail: float = 1e-12) -> SpectralFeatures:
        """Return the features of a kernel for points of an interval; see `spectral_quadrature`."""
        return cls(*spectral_quadrature(kernel, extent, tail))

    @property
    def size(self) -> int:
        """Number of features, 2F."""
        return 2 * len(self.frequencies)

    def matrix(self, x_N: Tensor, order: int = 0) -> Tensor:
        """Return ``φ^(order)(x)``, (N, 2F)."""
        phase = x_N[:, None] * self.frequencies + order % 4 * (math.pi / 2)
        size = self.masses.sqrt() * self.frequencies**order
        return torch.cat([size * torch.cos(phase), size * torch.sin(phase)], 1)


class PriorSamples:
    """S functions of U independent unknowns, ``f = Σ Z_{f..g} φ_f(x) ... φ_g(y)`` with standard normal Z.

    Their covariance is the product kernel itself, up to the ``tail`` of the quadrature.

    Args:
        kernels: one for each unknown.
        extents: of the domain along each coordinate.
        count: S.
        generator: the source of randomness.
        tail: relative error of the covariance.

    Raises:
        InputError: the memory does not hold the coefficients; the number of samples that fit is named.

    Reference: Rahimi & Recht, *Random features for large-scale kernel machines* (NIPS 2007), with a quadrature in
    place of random frequencies; Wilson et al., *Pathwise conditioning of Gaussian processes* (JMLR 2021), section 3.2.
    """

    def __init__(
        self,
        kernels: Sequence[ProductKernel],
        extents: Sequence[float],
        count: int,
        generator: torch.Generator,
        tail: float = 1e-12,
    ):
        kernels = [kernel.detached() for kernel in kernels]
        self.features = [
            [SpectralFeatures.of(axis, extent, tail) for axis, extent in zip(kernel.axes, extents, strict=True)]
            for kernel in kernels
        ]
        shapes = [tuple(axis.size for axis in axes) for axes in self.features]
        needed = 8 * sum(map(math.prod, shapes))
        fit = available_memory() // (2 * needed)  # a sample is used beside a copy of its size
        if count > fit:
            raise InputError(
                f"{count} samples of the prior, each of {' x '.join(map(str, shapes[0]))} features; the memory holds "
                f"{fit}; take fewer samples or a larger tail"
            )
        like = kernels[0].axes[0].weights
        self._coefficients = [
            torch.randn(count, *shape, dtype=like.dtype, generator=generator, device=generator.device).to(like.device)
            for shape in shapes
        ]

    def jets(self, points_ND: Tensor, indices: Sequence[Index]) -> Tensor:
        """Return the derivatives ``∂^index f_u(x_i)`` at points, (S, K, N, U)."""
        return torch.stack([torch.stack([self._at(points_ND, i, u) for i in indices], 1) for u in self._unknowns], -1)

    def grid(self, coordinates: Sequence[Tensor], index: Index | None = None) -> Tensor:
        """Return a derivative, the value by default, on a tensor grid, (S, n_1, ..., n_D, U).

        Args:
            coordinates: (n_a,), of each axis.
            index: orders of differentiation.
        """
        index = index or (0,) * len(coordinates)
        found = []
        for u in self._unknowns:
            values = self._coefficients[u]
            for axis, x, order in zip(self.features[u], coordinates, index, strict=True):
                # The first axis of features goes, that of points comes last: after all axes the order is right.
                values = torch.tensordot(values, axis.matrix(x, order), dims=([1], [1]))
            found.append(values)
        return torch.stack(found, -1)

    @property
    def _unknowns(self) -> range:
        return range(len(self.features))

    def _at(self, points: Tensor, index: Index, unknown: int) -> Tensor:
        axes = zip(self.features[unknown], points.unbind(1), index, strict=True)
        matrices = [axis.matrix(x, order) for axis, x, order in axes]
        values = torch.einsum("nf,sf...->sn...", matrices[0], self._coefficients[unknown])
        for matrix in matrices[1:]:
            values = torch.einsum("nf,snf...->sn...", matrix, values)
        return values
