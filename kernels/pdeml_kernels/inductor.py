"""Jets through an activation by code that torch's inductor makes: all channels in one pass over memory.

It is the twin of `pdeml_kernels.jets`, traced and compiled with sizes left open: once for each chain rule, activation
and type, in 5 to 30 seconds; inductor keeps the result on disk. A reverse sweep forms the derivatives of σ again, so
that a tape holds nothing but the jets. For CPUs with a C++ compiler.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler
from torch.fx.experimental.proxy_tensor import make_fx

from pdeml_kernels import jets
from pdeml_kernels.jets import Chain, Derivatives, highest

__all__ = ["Recomposition", "compose", "why_not"]


@dataclass(frozen=True)
class Recomposition:
    """What takes the place of a `jets.Composition`: its reverse sweep begins from the inner jet (K, N, F)."""

    inner: Tensor
    backward: Callable[[Tensor, Tensor], Tensor]

    def pullback(self, adjoint_KNF: Tensor) -> Tensor:
        """Map cotangents of the output's channels to cotangents of the input's, point by point: (K, N, F)."""
        return self.backward(self.inner, adjoint_KNF)


def compose(h_KNF: Tensor, chain: Chain, derivatives: Derivatives, order: int) -> tuple[Tensor, Any]:
    """Return what `jets.compose` does; not differentiable by autograd. Where there is a chain, the order follows."""
    if not chain:
        return jets.compose(h_KNF, chain, derivatives, order)
    forward, backward = _compiled(chain, derivatives, h_KNF.dtype)
    return forward(h_KNF), Recomposition(h_KNF, backward)


@lru_cache(maxsize=256)
def _compiled(chain: Chain, derivatives: Derivatives, dtype: torch.dtype) -> tuple[Callable, Callable]:
    """Return the composition and its reverse sweep as compiled functions, or as they are where that fails: warns."""

    def forward(h: Tensor) -> Tensor:
        return jets.compose(h, chain, derivatives, apart=True)[0]

    def backward(h: Tensor, adjoint: Tensor) -> Tensor:
        return jets.compose(h, chain, derivatives, highest(chain) + 1, apart=True)[1].pullback(adjoint)

    # Features are slowest in memory, as in `network`.
    example = torch.ones(5, len(chain) + 1, 7, dtype=dtype).permute(1, 2, 0)
    try:
        return _traced(forward, example), _traced(backward, example, torch.ones_like(example))
    except TorchDynamoException as error:
        reason = " ".join(str(error).split("\n\n")[0].split())
        warnings.warn(f"activations are not compiled: {reason:.200}", stacklevel=2)
        return forward, backward


def _traced(function: Callable, *example: Tensor) -> Callable:
    with torch.no_grad():
        graph = torch.compile(make_fx(function, tracing_mode="symbolic")(*example), dynamic=True)
        graph(*example)
    return graph


@lru_cache(maxsize=1)
def why_not() -> str | None:
    """Return why nothing can be compiled here, or none."""
    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        return "no C++ compiler was found"
    return None
