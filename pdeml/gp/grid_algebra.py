"""Kronecker products on uniform grids: matrices along axes, and what of a stationary kernel's matrix is distinct."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.files import available_memory
from pdeml.linalg import along, factor_spd

__all__ = ["Covariance1D", "along", "diagonal_sums", "require_memory", "toeplitz", "unfolded"]


def require_memory(sizes: Sequence[int], needed: Callable[[Sequence[int]], int]) -> None:
    """Refuse a grid that does not fit into memory, before anything is allocated.

    Args:
        sizes: points along each coordinate.
        needed: bytes that a grid of so many points takes, about.

    Raises:
        InputError: with the grid of the same proportions that would fit.
    """
    available, share = available_memory(), 1.0
    if needed(sizes) <= available:
        return
    while needed([max(2, int(share * n)) for n in sizes]) > available:
        share *= 0.95
    given, fit = (" x ".join(str(max(2, int(s * n))) for n in sizes) for s in (1.0, share))
    raise InputError(f"a grid of {given} points does not fit into memory; about {fit} do", ("points",))


def unfolded(values: Tensor, axis: int) -> Tensor:
    """Return the matrix (n_axis, rest) of the fibres along an axis."""
    return values.movedim(axis, 0).reshape(values.shape[axis], -1)


def toeplitz(lags_n: Tensor, odd: bool = False) -> Tensor:
    """Return ``T_ij = k(x_i − x_j)``, (n, n), of an even or odd function known at the lags ``0, h, …, (n − 1) h``."""
    reverse = -lags_n[1:].flip(0) if odd else lags_n[1:].flip(0)
    row = torch.cat([reverse, lags_n])  # at −(n − 1) h, …, (n − 1) h
    return row.unfold(0, len(lags_n), 1).flip(1).contiguous()


def diagonal_sums(matrix_nn: Tensor, odd: bool = False) -> Tensor:
    """Return the adjoint of `toeplitz`: what a cotangent of the matrix is as a cotangent of the lags, (n,)."""
    n = len(matrix_nn)
    lags = torch.arange(n, device=matrix_nn.device)
    place = (lags[:, None] - lags + n - 1).reshape(-1)
    sums = matrix_nn.new_zeros(2 * n - 1).index_add_(0, place, matrix_nn.reshape(-1))
    below, above = sums[n:], sums[: n - 1].flip(0)
    return torch.cat([sums[n - 1 : n] * (0.0 if odd else 1.0), below - above if odd else below + above])


class Covariance1D:
    """Cholesky factor and inverse of ``K = toeplitz(k) + nugget k(0) 1`` along one axis.

    Args:
        lags_n: k at ``0, h, …``.
        nugget: relative to the variance.

    Raises:
        NotPositiveDefinite: rounding makes K indefinite, also with a larger nugget.
    """

    def __init__(self, lags_n: Tensor, nugget: float):
        self.nugget = nugget
        self.matrix = toeplitz(lags_n)
        self.matrix.diagonal().mul_(1.0 + nugget)
        factor = factor_spd(self.matrix)
        self.lower = factor.lower
        self.inverse = torch.cholesky_inverse(factor.lower)
        self.log_determinant = 2.0 * factor.lower.diagonal().log().sum()

    def lag_cotangent(self, cotangent_nn: Tensor) -> Tensor:
        """Return the cotangent of the lags, (n,), for one of K."""
        sums = diagonal_sums(cotangent_nn)
        sums[0] *= 1.0 + self.nugget
        return sums
