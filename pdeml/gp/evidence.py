"""The evidence of a kernel: how probable the rows of a problem are under it, with the unknowns integrated out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeml.gp.covariance import Covariance
from pdeml.gp.kernels import KernelCodec, ProductKernel
from pdeml.lower import Functionals

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """Minus the logarithm of the evidence of n linear rows with values y, its overall amplitude profiled out.

    With ``K`` the covariance of the rows, ``S = D K D + nugget I``, D such that the diagonal of ``D K D`` is one (the
    square of the user's weight of a row), and the amplitude ``c² = (Dy)ᵀ S⁻¹ (Dy) / n`` that makes y most probable:

        J = n/2 · log c² + ½ log det S − Σ log D_ii

    The parameters are those of `KernelCodec`: weights enter by their logarithms, in which Jeffreys' prior is flat, and
    the weight of a frequency that the rows do not ask for runs to zero.

    Args:
        rows: the functionals.
        codec: what the parameters mean.
        nugget: the share of noise that is added to the prior variance of each row.
        free: (P,), one for the parameters that are learned, zero for those that stay.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 5.4.1, for J and its
    gradient ``½ tr((S⁻¹ − ααᵀ) ∂K)``.
    """

    rows: Sequence[Functionals]
    codec: KernelCodec
    nugget: float
    free: Tensor
    _plan: list[Covariance] = field(default_factory=list, compare=False, repr=False)

    def matrix(self, kernels: Sequence[ProductKernel]) -> Tensor:
        """Return the covariance of the rows under kernels, (n, n)."""
        if not self._plan:
            self._plan.append(Covariance(list(self.rows)))
        return self._plan[0](kernels)

    @property
    def size(self) -> int:
        """Number of rows n."""
        return sum(map(len, self.rows))

    @property
    def values(self) -> Tensor:
        """The values y of all rows, (n,)."""
        return torch.cat([part.values for part in self.rows])

    def value(self, parameters: Tensor) -> Tensor:
        """Return J."""
        return self.gradient(parameters)[0]

    def gradient(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Return J and its gradient; infinity and zero where ``S`` is not positive definite to rounding."""
        parameters = parameters.detach().requires_grad_(True)
        with torch.enable_grad():
            matrix = self.matrix(self.codec.unpack(parameters))
        fixed = matrix.detach()
        scale = row_scales(fixed.diagonal(), self.rows)
        shifted = fixed * scale[:, None] * scale
        share = torch.where(shifted.diagonal() > 0, self.nugget / shifted.diagonal(), 0.0)
        shifted.diagonal().add_(self.nugget)
        lower, info = torch.linalg.cholesky_ex(shifted)
        n, y = len(scale), scale * self.values
        solved = torch.cholesky_solve(y[:, None], lower)[:, 0]
        square = float(y @ solved)
        if not int(info) and not y.any():  # nothing to explain: every spectrum is as good as the first
            return parameters.new_zeros(()), torch.zeros_like(parameters.detach())
        if int(info) or not 0 < square < math.inf:
            return parameters.new_tensor(math.inf), torch.zeros_like(parameters.detach())
        found = 0.5 * n * math.log(square / n) + lower.diagonal().log().sum() - scale.log().sum()
        slope = torch.cholesky_inverse(lower)
        slope -= (n / square) * solved[:, None] * solved
        slope *= 0.5 * scale[:, None] * scale
        slope.diagonal().mul_(1 + share)  # the noise is a share of each variance and moves with it
        (gradient,) = torch.autograd.grad(matrix, parameters, slope)
        return found, gradient * self.free


def row_scales(diagonal: Tensor, rows: Sequence[Functionals]) -> Tensor:
    """Return D: one over the prior standard deviation of each row, times the weight that the user gives it.

    A row of no prior variance, which says nothing about the unknowns, keeps its size.
    """
    weights = torch.cat([torch.full_like(part.values, part.weight) for part in rows])
    return weights * torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
