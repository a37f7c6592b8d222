"""Jets: a function's value and wanted derivatives at many points, carried through a network in one sweep.

Shapes use the suffixes K (channels of the `JetSpec`), N (points), F (features).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.lower.multi_index import JetSpec

Derivatives = Callable[[Tensor, int], list[Tensor]]
"""``f(h, m)`` returns ``[σ(h), σ'(h), ..., σ^(m)(h)]``."""


@dataclass(frozen=True)
class Jet:
    """Values and derivatives of F functions at N points.

    Args:
        spec: what the K channels mean.
        values: shape (K, N, F); ``values[0]`` are the functions themselves.
    """

    spec: JetSpec
    values: Tensor

    @classmethod
    def constant(cls, spec: JetSpec, value: Tensor) -> Jet:
        """Return the jet of functions that do not vary: ``value`` (N, F), derivatives zero."""
        values = value.new_zeros(len(spec), *value.shape)
        values[0] = value
        return cls(spec, values)


def linear(jet: Jet, weight: Tensor, bias: Tensor | None = None) -> Jet:
    """Return the jet of ``W f + b``: every channel is mapped, the bias reaches the value only.

    Args:
        jet: F_in functions.
        weight: (F_out, F_in).
        bias: (F_out,) or none.
    """
    values = jet.values @ weight.T
    if bias is not None:
        values = torch.cat([values[:1] + bias, values[1:]])
    return Jet(jet.spec, values)


def compose(jet: Jet, derivatives: Derivatives) -> Jet:
    """Return the jet of ``σ(h)`` by Faà di Bruno's formula; differentiable by autograd too."""
    return composed(jet, derivatives)[0]


@dataclass(frozen=True)
class Composition:
    """What the reverse sweep through ``σ(h)`` needs.

    Args:
        inner: the jet h.
        outer: ``σ^(m)(h)`` for m = 0 … order + 1.
        bell: per channel k ≥ 1, ``{m: B_{k,m}}`` so that ``out[k] = Σ_m σ^(m) B_{k,m}``; m = 1 is ``h[k]`` itself.
    """

    inner: Jet
    outer: Sequence[Tensor]
    bell: tuple[dict[int, Tensor], ...]

    def pullback(self, adjoint_KNF: Tensor) -> Tensor:
        """Map cotangents of the output's channels to cotangents of the input's, point by point.

        Args:
            adjoint_KNF: (K, N, F).

        Returns: (K, N, F).
        """
        h, outer = self.inner.values, self.outer
        result = adjoint_KNF * outer[1]
        for k, terms in enumerate(self.inner.spec.chain, start=1):
            bell = self.bell[k - 1]
            result[0] += adjoint_KNF[k] * sum(outer[m + 1] * polynomial for m, polynomial in bell.items())
            for term in terms:
                common = (term.coefficient * adjoint_KNF[k]) * outer[term.order]
                for position, factor in enumerate(term.factors):
                    others = term.factors[:position] + term.factors[position + 1 :]
                    result[factor] += common * _product(h, others)
        return result


def composed(jet: Jet, derivatives: Derivatives, extra: int = 0) -> tuple[Jet, Composition]:
    """Return the jet of ``σ(h)`` and what its reverse sweep needs.

    Args:
        jet: h.
        derivatives: σ and its derivatives.
        extra: 1 if `Composition.pullback` will be called: it needs one more derivative of σ.
    """
    h = jet.values
    outer = derivatives(h[0], jet.spec.order + extra)
    channels, bells = [outer[0]], []
    for k, terms in enumerate(jet.spec.chain, start=1):
        bell: dict[int, Tensor] = {1: h[k]}
        for term in terms:
            product = _product(h, term.factors)
            if term.coefficient != 1.0:
                product = term.coefficient * product
            bell[term.order] = bell[term.order] + product if term.order in bell else product
        channels.append(sum(outer[m] * polynomial for m, polynomial in bell.items()))
        bells.append(bell)
    return Jet(jet.spec, torch.stack(channels)), Composition(jet, outer, tuple(bells))


def _product(h: Tensor, factors: Sequence[int]) -> Tensor:
    result = h[factors[0]]
    for factor in factors[1:]:
        result = result * h[factor]
    return result
