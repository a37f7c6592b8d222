"""Gram matrices and Cholesky factors of symmetric positive definite systems."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import RunError

__all__ = ["Factor", "NotPositiveDefinite", "factor_spd", "gram"]


class NotPositiveDefinite(RunError):
    """A matrix that should be positive definite is not, whatever the jitter."""


def gram(jacobian_RP: Tensor, blocks: int = 4) -> Tensor:
    """Return ``JᵀJ`` (P, P).

    Only the block columns on and below the diagonal are multiplied: ``(blocks + 1) / (2 blocks)`` of the work of the
    full product, with the same BLAS (and its threads) as everything else.
    """
    size = jacobian_RP.shape[1]
    blocks = min(blocks, size)
    edges = [size * k // blocks for k in range(blocks + 1)]
    result = jacobian_RP.new_empty(size, size)
    for start, end in itertools.pairwise(edges):
        rows = jacobian_RP[:, start:end].T @ jacobian_RP[:, :end]
        result[start:end, :end] = rows
        result[:start, start:end] = rows[:, :start].T
    return result


@dataclass(frozen=True)
class Factor:
    """Lower Cholesky factor of ``A + jitter · I``."""

    lower: Tensor
    jitter: float

    def solve(self, right: Tensor) -> Tensor:
        """Return ``(A + jitter · I)⁻¹ b`` for a vector b (P,)."""
        return torch.cholesky_solve(right[:, None], self.lower)[:, 0]


def factor_spd(matrix_PP: Tensor, shift: float = 0.0, attempts: int = 6) -> Factor:
    """Factor ``A + shift · I``, raising the shift tenfold while rounding makes it indefinite.

    Args:
        matrix_PP: symmetric positive semi-definite, finite.
        shift: added to the diagonal.
        attempts: how many tenfold raises are tried, from ``shift`` or 1e-15 times the mean diagonal.

    Raises:
        NotPositiveDefinite: no attempt succeeded.
    """
    smallest = 1e-15 * float(matrix_PP.diagonal().mean().abs())
    jitter = shift
    for _ in range(attempts + 1):
        shifted = matrix_PP.clone()
        shifted.diagonal().add_(jitter)
        lower, info = torch.linalg.cholesky_ex(shifted)
        if int(info) == 0:
            return Factor(lower, jitter)
        jitter = max(10.0 * jitter, smallest)
    raise NotPositiveDefinite(
        f"the matrix ({len(matrix_PP)} rows) is not positive definite, even with jitter {jitter:.1e}"
    )
