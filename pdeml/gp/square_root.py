"""Gaussian processes in the square-root form ``k = φ·φ``: least squares in the features of the learned spectrum.

A covariance matrix squares the condition of a problem, and what is small beside the largest component is lost below
1e-8 of it. The features of the spectral density keep it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.errors import RunError
from pdeml.gp.kernels import Kernel, ProductKernel
from pdeml.gp.posterior import Conditioned, PosteriorAnsatz, Space, amplitude_of, misfit_noise
from pdeml.gp.prior import SpectralFeatures
from pdeml.linalg.gaussian import observe_features
from pdeml.lower import Functionals, Index

__all__ = ["SpectralAnsatz", "feature_count"]

_TAIL = 1e-12
_CUT = 1e-12
_SHARP = 1e-9  # a width that does nothing over the domain


@dataclass(frozen=True, eq=False)
class SpectralAnsatz(PosteriorAnsatz):
    """``u(x) = φ(x)·θ`` with ``φ(x)·φ(x′) = k(x, x′)``, so that ``θ ~ N(0, c² I)`` before the rows.

    The mean is the solution of least norm of the rows, by the singular values of the scaled system: the limit of no
    noise. What is left of the prior is its part orthogonal to the right singular vectors, computed without a
    difference of large numbers.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 2.1, the weight-space
    view; Rahimi & Recht, *Random features for large-scale kernel machines* (2007), with a quadrature in place of
    random frequencies.
    """

    @cached_property
    def features(self) -> tuple[tuple[SpectralFeatures, ...], ...]:
        """Those of each unknown along each coordinate."""
        return tuple(
            tuple(_features_of(axis, e) for axis, e in zip(kernel.axes, self.space.extents, strict=True))
            for kernel in self.kernels
        )

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where the parameters of each unknown end."""
        return tuple(itertools.accumulate(math.prod(axis.size for axis in axes) for axes in self.features))

    @property
    def parameter_count(self) -> int:
        """Number of features of all unknowns."""
        return self.ends[-1]

    def basis(self, points_ND: Tensor, unknown: int, index: Index) -> Tensor:
        """Return ``∂^index φ`` of an unknown, zero for the parameters of the others, (N, P)."""
        result = points_ND.new_zeros(len(points_ND), self.parameter_count)
        result[:, self._own(unknown)] = self._features(points_ND, unknown, index)
        return result

    def uncertainty(self, asked: Functionals) -> tuple[Tensor, Tensor]:
        """Return the square of the part of ``ℓ(φ)`` that the rows leave open, and how they spread into the mean."""
        features, root = self._design(asked), self.conditioned.root
        known = features @ root
        left = features - known @ root.T
        return left.square().sum(1), (known * self.conditioned.spread).square().sum(1)

    def parts(self, theta_P: Tensor, points_ND: Tensor, axis: int, edges: Sequence[float]) -> Tensor:
        """Return the mean taken apart by the frequencies of its features along an axis, (B, N, U)."""
        bounds = torch.tensor(edges, dtype=theta_P.dtype, device=theta_P.device)
        result = theta_P.new_zeros(len(edges) + 1, len(points_ND), len(self.kernels))
        for unknown, features in enumerate(self.features):
            sizes = [along.size for along in features]
            band = torch.bucketize(features[axis].frequencies.repeat(2), bounds)
            # The place of a product among the features of this unknown -> that of its factor along the axis.
            after = math.prod(sizes[axis + 1 :])
            place = torch.arange(math.prod(sizes), device=theta_P.device) // after % sizes[axis]
            values = self._features(points_ND, unknown, (0,) * points_ND.shape[1]) * theta_P[self._own(unknown)]
            result[:, :, unknown].index_add_(0, band[place], values.T)
        return result

    def _condition(self) -> Conditioned:
        """The processes given the rows; ``root`` are the right singular vectors that are kept, (P, r).

        Raises:
            RunError: the singular values do not converge, or the result is not finite.
        """
        system = torch.cat([self._design(part) for part in self.rows])
        y = torch.cat([part.values for part in self.rows])
        weights = torch.cat([torch.full_like(part.values, part.weight) for part in self.rows])
        sizes = system.norm(dim=1)
        scale = weights / torch.where(sizes > 0, sizes, 1.0)
        system *= scale[:, None]
        y = y * scale
        found = observe_features(system, y, _CUT)
        if not torch.isfinite(found.mean).all():
            raise RunError("the rows of the Gaussian process cannot be solved: they are not finite")
        amplitude, noise = amplitude_of(found.square, len(y)), misfit_noise(system @ found.mean - y, y)
        return Conditioned(found.mean, found.known, 1 / found.sizes, amplitude, noise, _CUT, found.rank)

    def _design(self, part: Functionals) -> Tensor:
        """Return the functionals of the features, (n, P)."""
        result = part.points.new_zeros(len(part), self.parameter_count)
        for k, index in enumerate(part.indices):
            for unknown in range(len(self.kernels)):
                c = part.coefficients[:, k, unknown]
                if bool((c != 0).any()):
                    result[:, self._own(unknown)] += c[:, None] * self._features(part.points, unknown, index)
        return result

    def _features(self, points_ND: Tensor, unknown: int, index: Index) -> Tensor:
        """Return the products of the features along each coordinate, (N, P of this unknown)."""
        product = points_ND.new_ones(len(points_ND), 1)
        for a, (axis, order) in enumerate(zip(self.features[unknown], index, strict=True)):
            along = axis.matrix(points_ND[:, a] - self.space.low[a], order)
            product = (product[:, :, None] * along[:, None, :]).flatten(1)
        return product

    def _own(self, unknown: int) -> slice:
        return slice(self.ends[unknown - 1] if unknown else 0, self.ends[unknown])


def feature_count(kernels: Sequence[ProductKernel], space: Space) -> int:
    """Return how many features the square-root form of these kernels takes."""
    total = 0
    for kernel in kernels:
        sizes = [_features_of(axis, e).size for axis, e in zip(kernel.axes, space.extents, strict=True)]
        total += math.prod(sizes)
    return total


def _features_of(kernel: Kernel, extent: float) -> SpectralFeatures:
    """Return the features of a kernel: those of a quadrature, and its own frequencies where these have no width."""
    sharp = kernel.widths * extent < _SHARP
    frequencies, masses = [kernel.frequencies[sharp].abs()], [kernel.weights[sharp]]
    if not bool(sharp.all()):
        rest = Kernel(kernel.envelope, kernel.weights[~sharp], kernel.widths[~sharp], kernel.frequencies[~sharp])
        found = SpectralFeatures.of(rest, extent, _TAIL)
        frequencies, masses = [*frequencies, found.frequencies], [*masses, found.masses]
    return SpectralFeatures(torch.cat(frequencies), torch.cat(masses))
