"""Complex weight tensors in factorised form (CP, Tucker, tensor train), held as pairs of real numbers.

A weight W of shape (C_in, C_out, M_1 … M_d), or (C, M_1 … M_d) where channels are not mixed, is kept as

    CP      W = Σ_r w_r U_r ⊗ V_r ⊗ F¹_r ⊗ … ⊗ F^d_r
    Tucker  W = Σ core_{ab r_1 … r_d} U_a ⊗ V_b ⊗ F¹_{r_1} ⊗ … ⊗ F^d_{r_d}
    TT      W = Σ G¹_{1 · a} G²_{a · b} G³_{b · c} …

Shapes: B (batch), P (kept modes), A (rank). Every real tensor of a complex one has a last axis of 2.
Sources: Kolda & Bader, *Tensor decompositions and applications* (2009); Oseledets, *Tensor-train decomposition* (2011);
Kossaifi et al., *Multi-grid tensorized Fourier neural operator* (2024), §3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pdeml.errors import InputError, one_of

__all__ = ["FACTORISATIONS", "Factorised", "Parts", "factor_shapes", "times"]

FACTORISATIONS = ("cp", "tucker", "tt")


class Parts(NamedTuple):
    """A weight between its channels: W[i, o, p] = Σ_ab first[i, a] · middle[a, b, p] · last[o, b].

    A middle (A, P, 2) is diagonal, a = b. Without ``last``, b is o. Where channels are not mixed, the weight is
    W[i, p] = Σ_a first[i, a] · middle[a, p].
    """

    first: Tensor
    middle: Tensor
    last: Tensor | None


def times(equation: str, left: Tensor, right: Tensor) -> Tensor:
    """Return a complex `einsum` of two tensors of pairs (…, 2), as pairs."""
    (a, b), (c, d) = left.unbind(-1), right.unbind(-1)
    real = torch.einsum(equation, a, c) - torch.einsum(equation, b, d)
    return torch.stack((real, torch.einsum(equation, a, d) + torch.einsum(equation, b, c)), dim=-1)


@dataclass(frozen=True)
class Ranks:
    """Ranks of a factorisation that has about ``fraction`` of the numbers of the full tensor.

    Args:
        shape: of the full tensor.
        fraction: positive; 1 keeps the count.
    """

    shape: tuple[int, ...]
    fraction: float

    def cp(self) -> int:
        """Return the one rank."""
        return max(round(math.prod(self.shape) * self.fraction / sum(self.shape)), 1)

    def tucker(self) -> tuple[int, ...]:
        """Return a rank for each axis, in proportion to its size: c solves cⁿ Π I + c Σ I² = fraction · Π I."""
        full, squares = math.prod(self.shape), sum(size * size for size in self.shape)
        low, high = 0.0, max(self.fraction, 1.0)
        for _ in range(100):
            share = (low + high) / 2
            if full * share ** len(self.shape) + squares * share > self.fraction * full:
                high = share
            else:
                low = share
        return tuple(max(round(size * low), 1) for size in self.shape)

    def tt(self) -> tuple[int, ...]:
        """Return the ranks between neighbouring axes, in proportion to the mean of their sizes, and 1 at both ends."""
        means = [(left + right) / 2 for left, right in pairwise(self.shape)]
        square = sum(left * size * right for left, size, right in zip(means, self.shape[1:], means[1:], strict=False))
        linear = self.shape[0] * means[0] + self.shape[-1] * means[-1]
        total = math.prod(self.shape) * self.fraction
        share = 2 * total / (linear + math.sqrt(linear**2 + 4 * square * total))
        return 1, *(max(round(mean * share), 1) for mean in means), 1


def factor_shapes(kind: str, shape: Sequence[int], fraction: float) -> list[tuple[int, ...]]:
    """Return the shapes of the factors, complex: of CP and Tucker the weights or the core first.

    Raises:
        InputError: there is no such factorisation, or the fraction is not positive.
    """
    if kind not in FACTORISATIONS:
        raise InputError(one_of(kind, FACTORISATIONS, "a factorisation"), ("factorization",))
    if not fraction > 0:
        raise InputError(f"must be a positive fraction of the full number of weights, got {fraction!r}", ("rank",))
    ranks = Ranks(tuple(shape), float(fraction))
    if kind == "cp":
        rank = ranks.cp()
        return [(rank,), *((size, rank) for size in shape)]
    if kind == "tucker":
        core = ranks.tucker()
        return [core, *zip(shape, core, strict=True)]
    ends = ranks.tt()
    return [(left, size, right) for (left, right), size in zip(pairwise(ends), shape, strict=True)]


class Factorised(nn.Module):
    """A complex weight in factorised form.

    Args:
        kind: one of `FACTORISATIONS`.
        shape: of the full complex tensor: (C_in, C_out, *M), or (C, *M) if ``separable``.
        rank: number of weights as a fraction of those of the full tensor.
        std: standard deviation of the entries of the full tensor at the start.
        separable: whether channels are not mixed.

    Raises:
        InputError: there is no such factorisation, or the rank is not positive.
    """

    def __init__(self, kind: str, shape: Sequence[int], rank: float, std: float, *, separable: bool = False):
        super().__init__()
        self.kind, self.shape, self.separable = kind, tuple(shape), separable
        shapes = factor_shapes(kind, shape, rank)
        self.factors = nn.ParameterList(nn.Parameter(torch.empty(*size, 2)) for size in shapes)
        self.reset(std)

    @torch.no_grad()
    def reset(self, std: float) -> None:
        """Draw all factors anew, from torch's generator; the weights of CP are 1."""
        of_factors = self._std(std)
        for number, factor in enumerate(self.factors):
            if self.kind == "cp" and number == 0:
                factor.copy_(torch.tensor((1.0, 0.0)).expand_as(factor))
            else:
                factor.normal_(0, of_factors / math.sqrt(2))

    def _std(self, std: float) -> float:
        """Return the standard deviation of each factor that neuraloperator draws with."""
        order = len(self.shape)
        if self.kind == "cp":
            return (std / math.sqrt(len(self.factors[0]))) ** (1 / order)
        if self.kind == "tucker":
            return (std / math.sqrt(math.prod(self.factors[0].shape[:-1]))) ** (1 / (order + 1))
        return (std / math.prod(factor.shape[0] for factor in self.factors)) ** (1 / order)

    def parts(self, kept: Sequence[slice]) -> Parts:
        """Return the weight of the kept modes, between its channels.

        Args:
            kept: which modes of each axis.
        """
        channels = 1 if self.separable else 2
        return getattr(self, f"_{self.kind}")(channels, list(kept))

    def _cp(self, channels: int, kept: list[slice]) -> Parts:
        weights, *factors = self.factors
        middle = weights[:, None]
        for factor in _rows(factors[channels:], kept):
            middle = times("ap,ka->apk", middle, factor).flatten(1, 2)
        return Parts(factors[0], middle, None if self.separable else factors[1])

    def _tucker(self, channels: int, kept: list[slice]) -> Parts:
        core, *factors = self.factors
        for factor in _rows(factors[channels:], kept):
            # The first mode is contracted and its points are appended: in the end all stand in order.
            core = times("...a,ka->...k", core.movedim(channels, -2), factor)
        return Parts(factors[0], core.flatten(channels, -2), None if self.separable else factors[1])

    def _tt(self, channels: int, kept: list[slice]) -> Parts:
        cores = [core[:, rows] for core, rows in zip(self.factors[channels:], kept, strict=True)]
        middle = cores[-1][:, :, 0]
        for core in reversed(cores[:-1]):
            middle = times("akb,bp->akp", core, middle).flatten(1, 2)
        if not self.separable:
            middle = times("aob,bp->aop", self.factors[1], middle)
        return Parts(self.factors[0][0], middle, None)


def _rows(factors: Sequence[Tensor], kept: Sequence[slice]) -> Iterator[Tensor]:
    return (factor[rows] for factor, rows in zip(factors, kept, strict=True))
