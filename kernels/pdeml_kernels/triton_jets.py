"""Parts of Triton kernels that carry jets: derivatives of activations, and the chain rule with its transpose.

A jet is a tuple of tiles, one for each channel. Rules are nested tuples that kernels take as one constant: for each
channel of the result ``((m, ((c, (i, j, …)), …)), …)`` means ``Σ_m σ^(m) Σ c tile_i tile_j …``.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import triton
import triton.language as tl

from pdeml_kernels.activations import autonomous, gaussian
from pdeml_kernels.jets import Chain

__all__ = ["chain_rule", "combined", "count", "derivatives", "entry", "polynomials", "transposed_rule"]

Rule = tuple[tuple[tuple[int, tuple[tuple[float, tuple[int, ...]], ...]], ...], ...]


@lru_cache(maxsize=256)
def chain_rule(chain: Chain) -> Rule:
    """Return the rule of ``σ(h)`` for the tiles of h."""
    channels = [Counter({(0, ()): 1.0})]
    for k, terms in enumerate(chain, start=1):
        channels.append(Counter({(1, (k,)): 1.0}))
        for term in terms:
            channels[k][term.order, tuple(sorted(term.factors))] += term.coefficient
    return tuple(map(_grouped, channels))


@lru_cache(maxsize=256)
def transposed_rule(chain: Chain) -> Rule:
    """Return the rule of the cotangents of h, for the K tiles of h and behind them those of the cotangents of σ(h)."""
    rule = chain_rule(chain)
    channels = [Counter() for _ in rule]
    for k, groups in enumerate(rule):
        for order, products in groups:
            for coefficient, factors in products:
                adjoint = len(rule) + k
                channels[0][order + 1, (*factors, adjoint)] += coefficient
                for place, factor in enumerate(factors):
                    channels[factor][order, (*factors[:place], *factors[place + 1 :], adjoint)] += coefficient
    return tuple(map(_grouped, channels))


def _grouped(products: Counter) -> tuple:
    orders = sorted({order for order, _ in products})
    return tuple((m, tuple((c, factors) for (order, factors), c in products.items() if order == m)) for m in orders)


@lru_cache(maxsize=64)
def polynomials(activation: str, order: int) -> tuple[tuple[float, ...], ...]:
    """Return what `derivatives` needs to know of an activation for derivatives up to an order."""
    match activation:
        case "tanh":
            return tuple(autonomous(m, (1.0, 0.0, -1.0)) for m in range(1, order + 1))
        case "silu":
            return tuple(autonomous(m, (0.0, 1.0, -1.0)) for m in range(1, order + 1))
        case "gelu":
            return tuple(gaussian(m) for m in range(2, order + 1))
    return ()


@triton.constexpr_function
def entry(table, *path):
    """Return a number of a table, or a table in it."""
    found = table
    for place in path:
        found = found[place]
    return found


@triton.constexpr_function
def count(table, *path):
    """Return the length of a table, or of one in it."""
    found = table
    for place in path:
        found = found[place]
    return len(found)


@triton.jit
def horner(POLYNOMIALS: tl.constexpr, M: tl.constexpr, x):
    """Return polynomial M of a table at x."""
    last: tl.constexpr = count(POLYNOMIALS, M) - 1
    value = tl.full(x.shape, entry(POLYNOMIALS, M, last), x.dtype)
    for i in tl.static_range(last):
        value = value * x
        if entry(POLYNOMIALS, M, last - 1 - i) != 0.0:
            value += entry(POLYNOMIALS, M, last - 1 - i)
    return value


@triton.jit
def derivatives(h, ACTIVATION: tl.constexpr, POLYNOMIALS: tl.constexpr, ORDER: tl.constexpr):
    """Return ``(σ(h), σ'(h), …, σ^(ORDER)(h))``."""
    if ACTIVATION == "tanh":
        t = 2 * tl.sigmoid(2 * h) - 1
        found = (t,)
        for m in tl.static_range(ORDER):
            found = found + (horner(POLYNOMIALS, m, t),)
    elif ACTIVATION == "silu":
        s = tl.sigmoid(h)
        below = s
        found = (h * s,)
        for m in tl.static_range(ORDER):
            power = horner(POLYNOMIALS, m, s)
            found = found + (h * power + (m + 1) * below,)
            below = power
    elif ACTIVATION == "gelu":
        cumulative = 0.5 * (1 + tl.erf(h * 0.7071067811865476))
        density = tl.exp(-0.5 * h * h) * 0.3989422804014327
        found = (h * cumulative,)
        if ORDER > 0:
            found = found + (cumulative + h * density,)
        for m in tl.static_range(ORDER - 1):
            found = found + (density * horner(POLYNOMIALS, m, h),)
    else:
        tl.static_assert(ACTIVATION == "sin", "no such activation")
        s = tl.sin(h)
        c = tl.cos(h)
        found = (s,)
        for m in tl.static_range(1, ORDER + 1):
            turned = c if m % 2 else s
            found = found + (-turned if m % 4 > 1 else turned,)
    return found


@triton.jit
def combined(RULE: tl.constexpr, K: tl.constexpr, slopes, tiles):
    """Return channel K of what a rule makes of ``slopes``, the derivatives of σ, and tiles."""
    total = tl.zeros_like(tiles[0])
    beside = total
    for g in tl.static_range(count(RULE, K)):
        for t in tl.static_range(count(RULE, K, g, 1)):
            product = tl.full(tiles[0].shape, entry(RULE, K, g, 1, t, 0), tiles[0].dtype)
            for f in tl.static_range(count(RULE, K, g, 1, t, 1)):
                product = product * tiles[entry(RULE, K, g, 1, t, 1, f)]
            beside = product if t == 0 else beside + product
        term = slopes[entry(RULE, K, g, 0)] * beside
        total = term if g == 0 else total + term
    return total
