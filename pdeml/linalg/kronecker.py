"""Kronecker products of small matrices, never multiplied out: they act on arrays, one axis at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.linalg.cholesky import Factor, factor_spd

__all__ = ["Kronecker", "KroneckerEigen", "along"]


def along(matrix: Tensor, values: Tensor, axis: int) -> Tensor:
    """Multiply ``values`` (..., n_axis, ...) by a matrix (m, n_axis) along one of its axes."""
    moved = torch.tensordot(matrix, values, dims=([1], [axis]))
    return moved.movedim(0, axis)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """``A_1 ⊗ ... ⊗ A_d`` acting on arrays (n_1, ..., n_d, *batch): products and solutions cost ``Σ n_k`` a number.

    Args:
        factors: A_k, (m_k, n_k). All but products asks for symmetric positive definite ones.

    Reference: Saatçi, *Scalable inference for structured Gaussian process models* (2011), section 5.2.
    """

    factors: tuple[Tensor, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return math.prod(len(a) for a in self.factors), math.prod(a.shape[1] for a in self.factors)

    @property
    def log_determinant(self) -> float:
        """``Σ_k (N / n_k) log det A_k``."""
        size = self.shape[0]
        return sum(2 * float(f.lower.diagonal().log().sum()) * (size // len(f.lower)) for f in self._cholesky)

    def times(self, values: Tensor) -> Tensor:
        """Return the product with an array."""
        _check(values, [a.shape[1] for a in self.factors])
        for axis, matrix in enumerate(self.factors):
            values = along(matrix, values, axis)
        return values

    def solve(self, values: Tensor) -> Tensor:
        """Return what the product with is the array."""
        _check(values, [len(a) for a in self.factors])
        for axis, factor in enumerate(self._cholesky):
            fibres = values.movedim(axis, 0)
            solved = torch.cholesky_solve(fibres.reshape(len(fibres), -1), factor.lower)
            values = solved.reshape(fibres.shape).movedim(0, axis)
        return values

    def eigen(self) -> KroneckerEigen:
        """Return the eigen-decomposition, which also that of sums with multiples of one is."""
        parts = [torch.linalg.eigh(a) for a in self.factors]
        values = torch.ones((), dtype=self.factors[0].dtype, device=self.factors[0].device)
        for part, _ in parts:
            values = values[..., None] * part
        return KroneckerEigen(values, tuple(vectors for _, vectors in parts))

    @cached_property
    def _cholesky(self) -> tuple[Factor, ...]:
        return tuple(factor_spd(a) for a in self.factors)


@dataclass(frozen=True, eq=False)
class KroneckerEigen:
    """``(V_1 ⊗ ... ⊗ V_d) diag(λ) (V_1 ⊗ ... ⊗ V_d)ᵀ`` with orthogonal V_k.

    Args:
        values: λ, (n_1, ..., n_d).
        vectors: V_k, (n_k, n_k).
    """

    values: Tensor
    vectors: tuple[Tensor, ...]

    def apply(self, function_of_values: Tensor, values: Tensor) -> Tensor:
        """Return ``f(A)`` times an array (n_1, ..., n_d, *batch), where f(λ) is given, (n_1, ..., n_d)."""
        _check(values, self.values.shape)
        factor = function_of_values.reshape(*self.values.shape, *[1] * (values.ndim - self.values.ndim))
        turned = Kronecker(tuple(v.T for v in self.vectors)).times(values)
        return Kronecker(self.vectors).times(factor * turned)


def _check(values: Tensor, sizes: Sequence[int]) -> None:
    if tuple(values.shape[: len(sizes)]) != tuple(sizes):
        raise InputError(f"an array of shape {tuple(values.shape)}; its first axes have {tuple(sizes)} places")
