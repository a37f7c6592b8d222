"""Multi-indices, and the chain and product rules on sets of them.

A `JetSpec` names the derivative *channels* that are carried through a computation. A channel is a partial derivative
``∂^α`` or a *collapsed* sum ``Σ c_α ∂^α`` (the Laplacian, or all of ``∂_t − ν ∂_xx``). Collapsing works because both
rules are linear in the highest derivative:

    ∂^α σ(h) = σ'(h) ∂^α h + Σ_{partitions π of α, |π| ≥ 2} σ^(|π|)(h) Π_{β ∈ π} ∂^β h        (Faà di Bruno)
    ∂^α (a b) = Σ_{β ≤ α} C(α, β) ∂^(α−β) a ∂^β b                                           (Leibniz)

so a sum over α of the first terms is one channel, and the rest needs lower derivatives only.
Reference: Dangel, Siebert, Zeinhofer, Walther, *Collapsing Taylor mode automatic differentiation* (2025), §3.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from pdeml_kernels.jets import ChainTerm

Index = tuple[int, ...]
"""Orders of differentiation, one per coordinate."""

Combination = tuple[tuple[float, Index], ...]
"""A collapsed channel ``Σ c_α ∂^α`` as ``((c_α, α), ...)``."""


@dataclass(frozen=True)
class JetSpec:
    """Which derivative channels are carried: ``indices`` first (the zero index leads), then ``combinations``.

    Args:
        indices: partial derivatives, closed downward so that every rule finds what it needs; see `JetSpec.closed`.
        combinations: collapsed sums; all proper sub-indices of their members are in ``indices``.
    """

    indices: tuple[Index, ...]
    combinations: tuple[Combination, ...] = ()

    @classmethod
    def closed(cls, wanted: Iterable[Index], combinations: Iterable[Combination] = (), dimension: int = 1) -> JetSpec:
        """Return the smallest specification that carries ``wanted`` and ``combinations``.

        Args:
            wanted: multi-indices whose derivatives are needed one by one.
            combinations: collapsed sums that are needed.
            dimension: number of coordinates (the length of an index).
        """
        combinations = tuple(combinations)
        base = {(0,) * dimension}
        for index in wanted:
            base |= set(below(index)) | {index}
        for combination in combinations:
            for _, index in combination:
                base |= set(below(index))
        return cls(tuple(sorted(base, key=lambda index: (sum(index), tuple(-i for i in index)))), combinations)

    def __len__(self) -> int:
        return len(self.indices) + len(self.combinations)

    @property
    def order(self) -> int:
        """The highest order of differentiation of any channel."""
        return max(sum(index) for members in self.members for _, index in members)

    @cached_property
    def members(self) -> tuple[Combination, ...]:
        """Every channel as a combination."""
        return tuple(((1.0, index),) for index in self.indices) + self.combinations

    @cached_property
    def position(self) -> dict[Index, int]:
        """Channel number of each single index."""
        return {index: k for k, index in enumerate(self.indices)}

    @cached_property
    def chain(self) -> tuple[tuple[ChainTerm, ...], ...]:
        """Per channel but the first, the terms of order two and more of the chain rule (the first is ``σ' h[k]``)."""
        return tuple(self._chain_terms(members) for members in self.members[1:])

    def _chain_terms(self, members: Combination) -> tuple[ChainTerm, ...]:
        merged: Counter[tuple[int, ...]] = Counter()
        for coefficient, index in members:
            for blocks, count in partitions(index):
                if len(blocks) >= 2:
                    merged[tuple(sorted(self.position[block] for block in blocks))] += coefficient * count
        return tuple(ChainTerm(coefficient, factors) for factors, coefficient in merged.items())

    @cached_property
    def product(self) -> tuple[tuple[tuple[int, tuple[tuple[float, Index], ...]], ...], ...]:
        """Leibniz: per channel ``(k, ((c, γ), ...))``, meaning ``b[k] · Σ c ∂^γ a`` for known ``a``, carried ``b``."""
        return tuple(self._product_terms(k) for k in range(len(self)))

    def _product_terms(self, channel: int) -> tuple[tuple[int, tuple[tuple[float, Index], ...]], ...]:
        zero = self.indices[0]
        parts: dict[int, list[tuple[float, Index]]] = {channel: [(1.0, zero)]}
        for coefficient, index in self.members[channel]:
            for lower in below(index):
                rest = tuple(i - j for i, j in zip(index, lower, strict=True))
                weight = coefficient * math.prod(math.comb(i, j) for i, j in zip(index, lower, strict=True))
                parts.setdefault(self.position[lower], []).append((weight, rest))
        return tuple((k, tuple(terms)) for k, terms in parts.items())


def below(index: Index) -> list[Index]:
    """Return every multi-index that is component-wise ``≤ index`` and not equal to it."""
    return [lower for lower in itertools.product(*(range(i + 1) for i in index)) if lower != index]


@lru_cache(maxsize=4096)
def partitions(index: Index) -> tuple[tuple[tuple[Index, ...], int], ...]:
    """Return the set partitions of the multiset ``index`` with how often each occurs (Faà di Bruno's counts)."""
    letters = [axis for axis, order in enumerate(index) for _ in range(order)]
    counted: Counter[tuple[Index, ...]] = Counter()
    for blocks in _set_partitions(list(range(len(letters)))):
        as_indices = (tuple(sum(letters[i] == axis for i in block) for axis in range(len(index))) for block in blocks)
        counted[tuple(sorted(as_indices))] += 1
    return tuple(counted.items())


def _set_partitions(items: list[int]) -> Iterable[list[list[int]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in _set_partitions(rest):
        for position in range(len(smaller)):
            yield [*smaller[:position], [first, *smaller[position]], *smaller[position + 1 :]]
        yield [[first], *smaller]
