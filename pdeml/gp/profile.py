"""The spectrum that values on a grid speak for: their likelihood with the amplitude profiled out, axis by axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.gp.grid_algebra import Covariance1D, along, unfolded
from pdeml.gp.kernels import Kernel, KernelCodec, ProductKernel
from pdeml.linalg import NotPositiveDefinite
from pdeml.optim import LBFGS

__all__ = ["GridLikelihood", "learn_spectrum"]

_REACH = 4.0
"""Widths of a peak within which practically all of it lies."""


@dataclass(frozen=True)
class GridLikelihood:
    """Negative log-likelihood of F functions U on a uniform grid, per value, with its best amplitude:

        J(θ) = ½ log(⟨U, (K₁ ⊗ … ⊗ K_d)⁻¹ U⟩ / N) + ½ Σ_j log det K_j(θ) / n_j,   N = F n₁ … n_d.

    An objective of `pdeml.optim`. Evaluation and gradient are matrix products: O(Σ n_j³ + N Σ n_j), and the kernels are
    evaluated at the n_j distinct lags only. The prior of the weights is Jeffreys' (flat in their logarithm), so that
    the weight of a frequency that the values do not need runs to zero.

    Args:
        values: U, (F, n_1, …, n_d), not all zero; functions of one kernel, independent of each other.
        spacings: h_j of the grid, in the units of the coordinates.
        codec: of one product kernel.
        nugget: of each K_j, relative to its variance: what of U, relative to its size, is not trusted.

    Reference: Fang et al., *Solving high frequency and multi-scale PDEs with Gaussian processes* (ICLR 2024), §3, whose
    joint objective this is at given U, with the amplitude maximised in closed form.
    """

    values: Tensor
    spacings: tuple[float, ...]
    codec: KernelCodec
    nugget: float = 1e-8

    def value(self, z: Tensor) -> Tensor:
        """Return J."""
        return self.gradient(z)[0]

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return J and its gradient; J is infinite where rounding makes a matrix indefinite."""
        theta = z.detach().clone().requires_grad_()
        with torch.enable_grad():
            (kernel,) = self.codec.unpack(theta)
            lags = self._lags(kernel)
        try:
            covariances = [Covariance1D(row.detach(), self.nugget) for row in lags]
        except NotPositiveDefinite:
            return z.new_tensor(math.inf), torch.zeros_like(z)
        count, white = self.values.numel(), self.values
        for axis, covariance in enumerate(covariances, start=1):
            white = along(covariance.inverse, white, axis)
        square = (self.values * white).sum()
        value = 0.5 * torch.log(square / count)
        cotangents = []
        for axis, covariance in enumerate(covariances, start=1):
            points = self.values.shape[axis]
            value = value + 0.5 * covariance.log_determinant / points
            moved = unfolded(white, axis) @ unfolded(self.values, axis).T @ covariance.inverse
            by_matrix = 0.5 * covariance.inverse / points - (0.5 / square) * moved
            cotangents.append(covariance.lag_cotangent(by_matrix))
        (slope,) = torch.autograd.grad(lags, theta, cotangents)
        return value, slope

    def _lags(self, kernel: ProductKernel) -> list[Tensor]:
        return [
            axis.derivatives(torch.arange(n, dtype=torch.float64, device=self.values.device) * h, 0)[0]
            for axis, n, h in zip(kernel.axes, self.values.shape[1:], self.spacings, strict=True)
        ]


def learn_spectrum(likelihood: GridLikelihood, kernel: ProductKernel, steps: int) -> ProductKernel:
    """Return the kernel of variance one that maximises the likelihood, from a first guess.

    Args:
        likelihood: of the values.
        kernel: where to begin; the values are functions of its spaces, so that a peak outside its band is none.
        steps: of L-BFGS, at most.
    """
    optimiser = LBFGS(smallest_gradient=1e-4)
    z = likelihood.codec.pack((kernel,))
    state = optimiser.start(z)
    for _ in range(steps):
        step = optimiser.step(likelihood, z, state)
        z, state = step.z, step.state
        if step.stopped is not None:
            break
    (found,) = likelihood.codec.unpack(z.detach())
    pairs = zip(found.axes, kernel.axes, strict=True)
    return ProductKernel(tuple(_confined(axis, first) for axis, first in pairs))


def _confined(kernel: Kernel, first: Kernel) -> Kernel:
    """Return a kernel of variance one without the peaks that reach beyond the band of the first one."""
    reach = float((first.frequencies.abs() + _REACH * first.widths).max())
    inside = kernel.frequencies.abs() + _REACH * kernel.widths <= reach
    inside |= kernel.weights == kernel.weights.max()
    kernel = Kernel(kernel.envelope, kernel.weights * inside, kernel.widths, kernel.frequencies)
    return kernel.scaled(1.0 / float(kernel.variance))
