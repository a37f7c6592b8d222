"""What a Fourier neural operator does at each point: maps of channels and GELU, in one sweep through the fields.

    mlp     y = W₂ σ(W₁ x + b₁) + b₂
    layer   y = ρ( W₂ σ(W₁ ρ(S v + f) + b₁) + b₂ + g v ),   ρ = σ, or the identity in the last layer

with σ = GELU and f the field that the Fourier layer made of v (Li et al. (2021), §4; Kossaifi et al. (2024), §3). On
CPUs such a field is far larger than the caches, so that a dozen operators would each wait for memory: here some rows
at a time go through all of them. The backward pass computes the inner values again rather than keeping them.

Shapes: N (points of all samples), C (channels). `pointwise_mlp_twin` and `fourier_layer_twin` are the definitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "LayerSums",
    "LayerWeights",
    "fourier_layer",
    "fourier_layer_twin",
    "layer_rows",
    "pointwise_mlp",
    "pointwise_mlp_twin",
    "row_groups",
]

_CACHED = 1 << 18
"""Numbers of the widest field that go through at a time: one MiB in float32, about the cache of a core."""


class LayerWeights(NamedTuple):
    """What a layer of a Fourier neural operator is made of at each point; see the equations above.

    Args:
        s: S, (C, C).
        w1: W₁, (H, C).
        b1: (H,).
        w2: W₂, (C, H).
        b2: (C,).
        gate: g, (C,).
    """

    s: Tensor
    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    gate: Tensor


def pointwise_mlp_twin(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Return what `pointwise_mlp` does, by the operators of torch."""
    return functional.linear(functional.gelu(functional.linear(x, w1, b1)), w2, b2)


def fourier_layer_twin(v: Tensor, f: Tensor, weights: LayerWeights, last: bool) -> Tensor:
    """Return what `fourier_layer` does, by the operators of torch."""
    s, w1, b1, w2, b2, gate = weights
    u = functional.linear(v, s) + f
    u = pointwise_mlp_twin(u if last else functional.gelu(u), w1, b1, w2, b2) + gate * v
    return u if last else functional.gelu(u)


def pointwise_mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Apply a network of two layers to each row.

    Args:
        x: (N, C_in).
        w1: (C, C_in).
        b1: (C,).
        w2: (C_out, C).
        b2: (C_out,).

    Returns: (N, C_out).
    """
    if torch.compiler.is_exporting():
        return pointwise_mlp_twin(x, w1, b1, w2, b2)
    return _mlp(x, w1, b1, w2, b2)


def fourier_layer(v: Tensor, f: Tensor, weights: LayerWeights, last: bool) -> Tensor:
    """Finish a layer of a Fourier neural operator at each point.

    Args:
        v: (N, C), what came into the layer.
        f: (N, C), what the Fourier layer made of it.
        weights: S, W₁, b₁, W₂, b₂, g.
        last: whether values leave without GELU.

    Returns: (N, C).
    """
    if torch.compiler.is_exporting():
        return fourier_layer_twin(v, f, weights, last)
    return _layer(v, f, list(weights), last)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + b."""
    if _has_onednn(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return functional.linear(x, weight, bias)


def _linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return σ(x Wᵀ + b)."""
    if _has_onednn(x):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
    return functional.gelu(functional.linear(x, weight, bias))


def _linear_add(x: Tensor, weight: Tensor, other: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + b + other."""
    if _has_onednn(x):
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, bias, "add")
    return functional.linear(x, weight, bias).add_(other)


def _has_onednn(x: Tensor) -> bool:
    """Say whether oneDNN takes these: its products of narrow matrices take half the time of those of the BLAS."""
    ready = x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    return ready and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _gelu_backward(grad: Tensor, x: Tensor) -> Tensor:
    return torch.ops.aten.gelu_backward(grad, x)


def row_groups(x: Tensor, width: int) -> Iterator[slice]:
    """Return rows that go through together, of so many numbers each: on a GPU all of them."""
    step = max(_CACHED // width, 1) if x.device.type == "cpu" else max(len(x), 1)
    return (slice(start, start + step) for start in range(0, len(x), step))


@torch.library.custom_op("pdeml_kernels::pointwise_mlp", mutates_args=())
def _mlp(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    x = x.contiguous()
    y = x.new_empty(len(x), len(w2))
    with torch.autocast(x.device.type, enabled=False):
        for rows in row_groups(x, len(w1)):
            y[rows] = _linear(_linear_gelu(x[rows], w1, b1), w2, b2)
    return y


@_mlp.register_fake
def _(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return x.new_empty(len(x), len(w2))


@torch.library.custom_op("pdeml_kernels::pointwise_mlp_backward", mutates_args=())
def _mlp_backward(
    grad: Tensor, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    grad, x = grad.contiguous(), x.contiguous()
    of_x = torch.empty_like(x)
    sums = _Sums(w1, w2)
    with torch.autocast(x.device.type, enabled=False):
        for rows in row_groups(x, len(w1)):
            inner = _linear(x[rows], w1, b1)
            of_x[rows] = sums.back(grad[rows], x[rows], inner, functional.gelu(inner))
    return of_x, *sums.found()


@_mlp_backward.register_fake
def _(grad: Tensor, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return tuple(like.new_empty(like.shape) for like in (x, w1, b1, w2, w2[:, 0]))


class _Sums:
    """The gradient of a network of two layers with respect to its parameters, summed over groups of rows."""

    def __init__(self, w1: Tensor, w2: Tensor):
        self.t1, self.t2 = w1.t().contiguous(), w2.t().contiguous()
        # Transposed: a matrix of 3 x 64 is formed in a sixth of the time of one of 64 x 3.
        self.w1, self.w2 = w1.new_zeros(w1.shape[::-1]), w2.new_zeros(w2.shape[::-1])
        self.b1, self.b2 = w1.new_zeros(len(w1)), w2.new_zeros(len(w2))

    def back(self, grad: Tensor, x: Tensor, inner: Tensor, active: Tensor) -> Tensor:
        """Add the gradients of some rows; return that with respect to x.

        Args:
            grad: with respect to the output.
            x: input.
            inner: W₁ x + b₁.
            active: σ(inner).
        """
        self.w2.addmm_(active.t(), grad)
        self.b2 += grad.sum(0)
        below = _gelu_backward(_linear(grad, self.t2), inner)
        self.w1.addmm_(x.t(), below)
        self.b1 += below.sum(0)
        return _linear(below, self.t1)

    def found(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients with respect to w1, b1, w2, b2."""
        return self.w1.t().contiguous(), self.b1, self.w2.t().contiguous(), self.b2


def _mlp_setup(ctx, inputs, output) -> None:
    x, w1, b1, w2, _ = inputs
    ctx.save_for_backward(x, w1, b1, w2)


_mlp.register_autograd(lambda ctx, grad: _mlp_backward(grad, *ctx.saved_tensors), setup_context=_mlp_setup)


def layer_rows(y: Tensor, v: Tensor, f: Tensor, weights: Sequence[Tensor], last: bool) -> None:
    """Do what `fourier_layer` says for some rows of v and f; y takes the result."""
    s, w1, b1, w2, b2, gate = weights
    u = _linear_add(v, s, f)
    out = _linear(_linear_gelu(u if last else torch.ops.aten.gelu_(u), w1, b1), w2, b2)
    if last:
        torch.addcmul(out, v, gate, out=y)
    else:
        torch.ops.aten.gelu.out(out.addcmul_(v, gate), out=y)


class LayerSums:
    """The gradient of `fourier_layer` with respect to its weights, summed over groups of rows."""

    def __init__(self, weights: Sequence[Tensor], last: bool):
        self._weights, self._last = LayerWeights(*weights), last
        s, w1, _, w2, _, gate = weights
        self._mlp, self._transposed = _Sums(w1, w2), s.t().contiguous()
        self._s, self._gate = s.new_zeros(s.shape), torch.zeros_like(gate)

    def back(self, grad: Tensor, v: Tensor, f: Tensor, of_v: Tensor, of_f: Tensor) -> None:
        """Add the gradients of some rows; those with respect to v and f go to ``of_v`` and ``of_f``."""
        s, w1, b1, w2, b2, gate = self._weights
        u = _linear_add(v, s, f)
        z = u if self._last else functional.gelu(u)
        inner = _linear(z, w1, b1)
        active = functional.gelu(inner)
        if not self._last:
            grad = _gelu_backward(grad, _linear(active, w2, b2).addcmul_(v, gate))
        self._gate += (grad * v).sum(0)
        below = self._mlp.back(grad, z, inner, active)
        if self._last:
            of_f.copy_(below)
        else:
            torch.ops.aten.gelu_backward.grad_input(below, u, grad_input=of_f)
        self._s.addmm_(of_f.t(), v)
        torch.addcmul(_linear(of_f, self._transposed), grad, gate, out=of_v)

    def found(self) -> LayerWeights:
        """Return the gradients."""
        return LayerWeights(self._s, *self._mlp.found(), self._gate)


def _width(weights: Sequence[Tensor]) -> int:
    """Return the numbers of the widest field at a point."""
    return max(weights[1].shape)


@torch.library.custom_op("pdeml_kernels::fourier_layer", mutates_args=())
def _layer(v: Tensor, f: Tensor, weights: list[Tensor], last: bool) -> Tensor:
    v, f = v.contiguous(), f.contiguous()
    y = torch.empty_like(v)
    with torch.autocast(v.device.type, enabled=False):
        for rows in row_groups(v, _width(weights)):
            layer_rows(y[rows], v[rows], f[rows], weights, last)
    return y


@_layer.register_fake
def _(v: Tensor, f: Tensor, weights: list[Tensor], last: bool) -> Tensor:
    return v.new_empty(v.shape)


@torch.library.custom_op("pdeml_kernels::fourier_layer_backward", mutates_args=())
def _layer_backward(grad: Tensor, v: Tensor, f: Tensor, weights: list[Tensor], last: bool) -> list[Tensor]:
    """Return the gradients with respect to v, f and the weights."""
    grad, v, f = grad.contiguous(), v.contiguous(), f.contiguous()
    of_v, of_f, sums = torch.empty_like(v), torch.empty_like(f), LayerSums(weights, last)
    with torch.autocast(v.device.type, enabled=False):
        for rows in row_groups(v, _width(weights)):
            sums.back(grad[rows], v[rows], f[rows], of_v[rows], of_f[rows])
    return [of_v, of_f, *sums.found()]


@_layer_backward.register_fake
def _(grad: Tensor, v: Tensor, f: Tensor, weights: list[Tensor], last: bool) -> list[Tensor]:
    return [like.new_empty(like.shape) for like in (v, f, *weights)]


def _layer_setup(ctx: Any, inputs: tuple, output: Tensor) -> None:
    v, f, weights, ctx.last = inputs
    ctx.save_for_backward(v, f, *weights)


def _layer_gradients(ctx: Any, grad: Tensor) -> tuple:
    v, f, *weights = ctx.saved_tensors
    of_v, of_f, *of_weights = _layer_backward(grad, v, f, weights, ctx.last)
    return of_v, of_f, of_weights, None


_layer.register_autograd(_layer_gradients, setup_context=_layer_setup)
