"""Jets through an outer function: Faà di Bruno's rule and its transpose on channels of derivatives.

A jet is a tensor (K, N, F): channel 0 holds F functions at N points, the other channels partial derivatives of them or
sums of partial derivatives. What the channels mean is said by the `Chain`: the rule for each channel but the first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Chain", "ChainTerm", "Composition", "Derivatives", "compose", "decoded", "encoded", "highest"]

Derivatives = Callable[[Tensor, int], list[Tensor]]
"""``f(h, m)`` returns ``[σ(h), σ'(h), ..., σ^(m)(h)]``."""


class ChainTerm(NamedTuple):
    """One product ``coefficient · σ^(order) · Π h[factor]`` of a chain rule; factors are channel numbers."""

    coefficient: float
    factors: tuple[int, ...]

    @property
    def order(self) -> int:
        """How often the outer function is differentiated."""
        return len(self.factors)


Chain = tuple[tuple[ChainTerm, ...], ...]
"""For each channel k = 1, 2, ... the terms of order two and more; the first term is always ``σ' h[k]``."""


@lru_cache(maxsize=256)
def encoded(chain: Chain) -> str:
    """Return a chain as text, which operators of torch take."""
    return json.dumps(chain)


@lru_cache(maxsize=256)
def decoded(chain: str) -> Chain:
    """Return the chain of a text."""
    return tuple(tuple(ChainTerm(c, tuple(factors)) for c, factors in terms) for terms in json.loads(chain))


def highest(chain: Chain) -> int:
    """Return how often the outer function is differentiated at most."""
    return max([1 if chain else 0, *(term.order for terms in chain for term in terms)])


@dataclass(frozen=True)
class Composition:
    """What the reverse sweep through ``σ(h)`` needs.

    Args:
        chain: the rule.
        inner: the jet h, (K, N, F).
        outer: ``σ^(m)(h)`` for m = 0 … order + 1.
        bell: per channel k ≥ 1, ``{m: B_{k,m}}`` so that ``out[k] = Σ_m σ^(m) B_{k,m}``; m = 1 is ``h[k]`` itself.
        apart: whether channels are made one by one and put together at the end, see `compose`.
    """

    chain: Chain
    inner: Tensor
    outer: Sequence[Tensor]
    bell: tuple[dict[int, Tensor], ...]
    apart: bool = False

    def pullback(self, adjoint_KNF: Tensor) -> Tensor:
        """Map cotangents of the output's channels to cotangents of the input's, point by point.

        Args:
            adjoint_KNF: (K, N, F).

        Returns: (K, N, F).
        """
        h, outer = self.inner, self.outer
        result = _scaled(adjoint_KNF, outer[1], self.apart)
        slopes: dict[int, Tensor] = {}  # m: Σ_k adjoint[k] B_{k,m}
        for adjoint, terms, bell in zip(adjoint_KNF[1:], self.chain, self.bell, strict=True):
            for m, polynomial in bell.items():
                slopes[m] = slopes[m].addcmul_(adjoint, polynomial) if m in slopes else adjoint * polynomial
            towards = {m: adjoint * outer[m] for m in bell if m > 1}
            for term in terms:
                for factor, count in Counter(term.factors).items():
                    others = list(term.factors)
                    others.remove(factor)
                    product, weight = _product(h, others), term.coefficient * count
                    result[factor].addcmul_(towards[term.order], product, value=weight)
        for m, slope in slopes.items():
            result[0].addcmul_(outer[m + 1], slope)
        return _joined(result)


def compose(
    h_KNF: Tensor, chain: Chain, derivatives: Derivatives, order: int | None = None, apart: bool = False
) -> tuple[Tensor, Composition]:
    """Return the jet of ``σ(h)`` by Faà di Bruno's formula, and what its reverse sweep needs.

    Args:
        h_KNF: the jet h, (K, N, F).
        chain: the rule.
        derivatives: σ and its derivatives.
        order: how many of them are formed; one more than `highest` if `Composition.pullback` will be called.
        apart: make channels one by one and put them together at the end: compilers fuse that. Otherwise they lie in
            one tensor from the start, which takes fewer passes over memory.
    """
    outer = derivatives(h_KNF[0], highest(chain) if order is None else order)
    if not chain:
        return outer[0][None], Composition(chain, h_KNF, outer, ())
    channels, bells = _scaled(h_KNF, outer[1], apart), []
    channels[0] = outer[0]
    for k, terms in enumerate(chain, start=1):
        bell: dict[int, Tensor] = {1: h_KNF[k]}
        for term in terms:
            product = _product(h_KNF, term.factors)
            if term.coefficient != 1.0:
                product *= term.coefficient
            bell[term.order] = bell[term.order].add_(product) if term.order in bell else product
        for m, polynomial in bell.items():
            if m > 1:
                channels[k].addcmul_(outer[m], polynomial)
        bells.append(bell)
    result = _joined(channels)
    outer[0] = result[0]  # the same numbers, not held twice
    return result, Composition(chain, h_KNF, outer, tuple(bells), apart)


def _product(h: Tensor, factors: Sequence[int]) -> Tensor:
    result = h[factors[0]]
    for factor in factors[1:]:
        result = result * h[factor]
    return result


def _scaled(jet_KNF: Tensor, slope: Tensor, apart: bool) -> Tensor | list[Tensor]:
    return [channel * slope for channel in jet_KNF] if apart else jet_KNF * slope


def _joined(channels: Tensor | list[Tensor]) -> Tensor:
    """Return one jet (K, N, F), stored feature by feature where it is put together: see `pdeml_kernels.network`."""
    if isinstance(channels, Tensor):
        return channels
    return torch.stack([channel.T for channel in channels], 1).permute(1, 2, 0)
