"""Gaussian processes by representers: the covariances with the rows, or with some of them where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pdeml.gp.covariance import covariance, evaluation, variances
from pdeml.gp.evidence import row_scales
from pdeml.gp.kernels import ProductKernel
from pdeml.gp.posterior import Conditioned, PosteriorAnsatz, amplitude_of, misfit_noise
from pdeml.linalg.gaussian import observe
from pdeml.linalg.least_squares import solve_rows
from pdeml.lower import Functionals, Index

__all__ = ["RepresenterAnsatz", "thinned"]


@dataclass(frozen=True, eq=False)
class RepresenterAnsatz(PosteriorAnsatz):
    """``u(x) = Σ_i θ_i cov(u(x), ℓ_i(u))`` over some or all of the rows.

    With all of them this is the exact mean. With m of the n rows it is the subset of regressors (Nyström): the
    functions spanned by m representers, of least norm, that meet all rows in the sense of least squares; what the m
    rows leave of the prior variance is kept in the standard deviation.

    Covariances are taken apart into eigenvectors without those that are rounding.

    Args:
        inducing: the m functionals; None: all rows.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), equations 2.25 and 2.26, and
    section 8.3.2.
    """

    inducing: tuple[Functionals, ...] | None = None

    @property
    def chosen(self) -> tuple[Functionals, ...]:
        """The functionals whose representers span the space."""
        return self.rows if self.inducing is None else self.inducing

    @property
    def parameter_count(self) -> int:
        """Number m of representers."""
        return sum(map(len, self.chosen))

    def basis(self, points_ND: Tensor, unknown: int, index: Index) -> Tensor:
        """Return ``cov(∂^index u_unknown(x_j), ℓ_i(u))``, (N, m)."""
        asked = evaluation(points_ND, len(self.kernels), unknown, index)
        return covariance(self.kernels, asked, list(self.chosen))

    def uncertainty(self, asked: Functionals) -> tuple[Tensor, Tensor]:
        """Return ``cov(ℓ, ℓ) − ‖rootᵀ cov(rows, ℓ)‖²``, and how the rows spread into the mean."""
        known = covariance(self.kernels, asked, list(self.chosen)) @ self.conditioned.root
        left = variances(self.kernels, asked) - known.square().sum(1)
        return left, (known * self.conditioned.spread).square().sum(1)

    def parts(self, theta_P: Tensor, points_ND: Tensor, axis: int, edges: Sequence[float]) -> Tensor:
        """Return the mean taken apart by the components of the kernels along an axis, (B, N, U)."""
        bounds = torch.tensor(edges, dtype=theta_P.dtype, device=theta_P.device)
        result = []
        for band in range(len(edges) + 1):
            own = tuple(_of_band(kernel, axis, bounds, band) for kernel in self.kernels)
            result.append(replace(self, kernels=own).values(theta_P, points_ND))
        return torch.stack(result)

    def _condition(self) -> Conditioned:
        """The processes given the rows; ``root rootᵀ`` is the inverse of the covariance of the m rows, (m, r).

        Raises:
            RunError: the covariance cannot be inverted.
        """
        matrix = covariance(self.kernels, list(self.chosen))
        scale = row_scales(matrix.diagonal(), self.chosen)
        matrix *= scale[:, None]
        matrix *= scale
        found = observe(matrix, scale * torch.cat([part.values for part in self.chosen]))
        root, spread = scale[:, None] * found.root, found.root.norm(dim=0)
        if self.inducing is not None:
            return self._least_squares(root, spread, found.jitter)
        y = scale * torch.cat([part.values for part in self.rows])
        noise = misfit_noise(found.misfit * y, y)
        amplitude = amplitude_of(found.square, len(y))
        return Conditioned(scale * found.weights, root, spread, amplitude, noise, found.jitter, found.rank)

    def _least_squares(self, root: Tensor, spread: Tensor, jitter: float) -> Conditioned:
        """Meet all rows by the representers, in the orthonormal coordinates that the root makes of them."""
        system = torch.cat([covariance(self.kernels, part, list(self.chosen)) @ root for part in self.rows])
        scale = torch.cat([row_scales(variances(self.kernels, part), [part]) for part in self.rows])
        y = scale * torch.cat([part.values for part in self.rows])
        system *= scale[:, None]
        along = solve_rows(system, y, system.abs().amax(1), cutoff=jitter**0.5).x
        noise = misfit_noise(system @ along - y, y)
        amplitude = amplitude_of(float(along.square().sum()), len(y))
        return Conditioned(root @ along, root, spread, amplitude, noise, jitter, root.shape[1])


def _of_band(kernel: ProductKernel, axis: int, bounds: Tensor, band: int) -> ProductKernel:
    """Return a kernel with the components of a band along an axis only; the others keep no weight."""
    old = kernel.axes[axis]
    weights = torch.where(torch.bucketize(old.frequencies.abs(), bounds) == band, old.weights, 0.0)
    return ProductKernel((*kernel.axes[:axis], replace(old, weights=weights), *kernel.axes[axis + 1 :]))


def thinned(rows: Sequence[Functionals], most: int) -> tuple[Functionals, ...]:
    """Return about ``most`` of the rows, spread evenly: every row of short statements, a part of long ones."""
    total = sum(map(len, rows))
    if total <= most:
        return tuple(rows)
    share, least = most / total, most // (4 * len(rows))  # two ends of a line weigh as much as all of its points
    return tuple(_part(part, max(round(share * len(part)), min(len(part), least), 1)) for part in rows)


def _part(part: Functionals, count: int) -> Functionals:
    # A stride with the golden ratio visits a grid of points evenly, whatever the length of its lines.
    order = (torch.arange(len(part), dtype=torch.float64) * 0.6180339887498949) % 1.0
    places = order.argsort()[:count].sort().values.to(part.points.device)
    return replace(part, points=part.points[places], coefficients=part.coefficients[places], values=part.values[places])
