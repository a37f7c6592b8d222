"""Jets: a function's value and wanted derivatives at many points, carried through a network in one sweep.

Shapes use the suffixes K (channels of the `JetSpec`), N (points), F (features).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.lower.multi_index import JetSpec
from pdeml_kernels import jets
from pdeml_kernels.jets import Derivatives

__all__ = ["Derivatives", "Jet", "compose", "linear"]


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
    """Return the jet of ``σ(h)`` by Faà di Bruno's formula; differentiable by autograd too.

    Args:
        jet: h.
        derivatives: σ and its derivatives.
    """
    return Jet(jet.spec, jets.compose(jet.values, jet.spec.chain, derivatives)[0])
