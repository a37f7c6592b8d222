"""Spectral convolution: a linear map of channels for each kept Fourier mode.

    y = F⁻¹( W_k · F(x)_k ),  |k| below the kept modes,

with F normalised so that coefficients belong to the function and not to its grid (Li et al., *Fourier neural operator
for parametric partial differential equations* (2021), §4). Input and output may have any sizes: the frequencies that
one of the two grids cannot carry are left out. Complex numbers are pairs of real ones throughout.

The operators of `torch.library` named ``pdeml_kernels::spectral_*`` are the seam for a fused kernel: one that is
registered for a device by ``register_kernel`` takes the place of these twins there, for eager and compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from pdeml_kernels import exported
from pdeml_kernels.fourier import Weights, analyse, channels_last, synthesise
from pdeml_kernels.mixing import kept_part, like_weight, mix, mix_backward, weight_gradient

__all__ = [
    "check_shapes",
    "convolution_gradients",
    "convolution_setup",
    "empty_fields",
    "kept_modes",
    "last_weights",
    "spectral_analysis",
    "spectral_conv",
    "spectral_synthesis",
]


def kept_modes(modes: Sequence[int], *grids: Sequence[int]) -> list[int]:
    """Return how many frequencies of each axis are kept: at most ``modes`` in total, and those that all grids carry.

    A leading axis keeps as many as are asked for, negative ones included; the last one keeps half of them and 0.
    """
    fewest = [min(sizes) for sizes in zip(modes, *grids, strict=True)]
    return [*fewest[:-1], fewest[-1] // 2 + 1]


def spectral_conv(
    x: Tensor, weight: Tensor, modes: Sequence[int], sizes: Sequence[int] | None = None, bias: Tensor | None = None
) -> Tensor:
    """Multiply the Fourier modes of a field by matrices, or by numbers if ``weight`` has one axis of channels only.

    Args:
        x: (B, C_in, *n), real; any n, 1 to 3 axes. Fastest with channels last in memory.
        weight: (C_in, C_out, *M, 2) or (C, *M, 2): real and imaginary parts of W, centred at frequency 0 on all axes
            but the last, whose M is half the number of modes and 1. Without a copy if its memory is in the order
            (*M, C_in, 2, C_out).
        modes: how many modes of each axis are used in total, at most those of the weight.
        sizes: points of the output along each axis; by default n.
        bias: (C_out,), added to the output.

    Returns: (B, C_out, *sizes), in the precision of the weight, channels in memory where those of x are.

    Raises:
        ValueError: shapes do not fit together.
    """
    check_shapes(x, weight, modes, sizes, bias)
    if x.dtype != weight.dtype:
        x = x.to(weight.dtype)
    sizes = list(x.shape[2:] if sizes is None else sizes)
    kept = kept_modes(modes, x.shape[2:], sizes)
    if torch.compiler.is_exporting():
        return exported.convolution(x, kept_part(weight, kept), bias, kept, sizes)
    return _conv(x, weight, bias, kept, sizes)[0]


def spectral_analysis(x: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the kept Fourier coefficients (B, 2, P, C) of fields (B, C, *n); see `kept_modes`."""
    if torch.compiler.is_exporting():
        return exported.analysis(x, kept)
    return _analyse(x, list(kept), "mean")


def spectral_synthesis(modes: Tensor, kept: Sequence[int], n: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Return fields (B, C, *sizes) with the coefficients (B, 2, P, C), which were found on a grid of n points.

    Channels stand last in memory.
    """
    if torch.compiler.is_exporting():
        return exported.synthesis(modes, kept, n, sizes)
    return _synthesise(modes, list(kept), list(sizes), last_weights(kept[-1], n[-1], sizes[-1]), True)


def last_weights(kept: int, n: int, size: int) -> Weights:
    """Return the weights of the last axis; a frequency of two points a period stands for both of its signs."""
    return "sum-nyquist" if 2 * (kept - 1) in (n, size) else "sum"


def empty_fields(like: Tensor, channels: int, sizes: Sequence[int], last: bool) -> Tensor:
    """Return uninitialised fields (B, C, *sizes) in the order of memory that the operators give."""
    if last:
        return like.new_empty(len(like), *sizes, channels).movedim(-1, 1)
    return like.new_empty(like.shape[0], channels, *sizes)


def check_shapes(
    x: Tensor, weight: Tensor, modes: Sequence[int], sizes: Sequence[int] | None, bias: Tensor | None
) -> None:
    """Refuse arguments of `spectral_conv` that do not fit together.

    Raises:
        ValueError: the message says what is wrong.
    """
    axes = x.ndim - 2
    if axes not in (1, 2, 3):
        raise ValueError(f"x must be (batch, channels, 1 to 3 axes), not of shape {tuple(x.shape)}")
    if weight.ndim not in (axes + 2, axes + 3) or weight.shape[-1] != 2 or weight.shape[0] != x.shape[1]:
        raise ValueError(
            f"weight must be ({x.shape[1]}, C_out, {axes} axes of modes, 2) or without C_out, not {tuple(weight.shape)}"
        )
    if len(modes) != axes or (sizes is not None and len(sizes) != axes):
        raise ValueError(f"modes and sizes must have one number for each of the {axes} axes")
    held = weight.shape[-1 - axes : -1]
    if any(kept > limit or kept < 1 for kept, limit in zip([*modes[:-1], modes[-1] // 2 + 1], held, strict=True)):
        raise ValueError(f"the weight holds {tuple(held)} modes, half of the last axis; {tuple(modes)} are asked for")
    if bias is not None and bias.shape != (weight.shape[-2 - axes],):
        raise ValueError(f"bias must have one number a channel, not the shape {tuple(bias.shape)}")


@torch.library.custom_op("pdeml_kernels::spectral_conv", mutates_args=())
def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, kept: list[int], sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Return the fields and what the backward pass needs."""
    with torch.autocast(x.device.type, enabled=False):
        mixed, saved = mix(analyse(x, kept, "mean"), weight, bias, kept)
        weights = last_weights(kept[-1], x.shape[-1], sizes[-1])
        return synthesise(mixed, kept, sizes, weights, last=channels_last(x)), saved


@_conv.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, kept: list[int], sizes: list[int]) -> tuple[Tensor, Tensor]:
    batch, channels, modes = x.shape[0], x.shape[1], prod(kept)
    dense = weight.ndim == x.ndim + 1
    saved = (modes, 2 * batch, channels) if dense else (batch, 2, modes, channels)
    return empty_fields(x, weight.shape[1] if dense else channels, sizes, channels_last(x)), x.new_empty(saved)


@torch.library.custom_op("pdeml_kernels::spectral_conv_backward", mutates_args=())
def _conv_backward(
    grad: Tensor, saved: Tensor, weight: Tensor, kept: list[int], n: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients with respect to the fields, the weights and the bias."""
    with torch.autocast(grad.device.type, enabled=False):
        modes = analyse(grad, kept, last_weights(kept[-1], n[-1], grad.shape[-1]))
        modes, of_bias, rows = mix_backward(modes, weight, kept)
        of_x = synthesise(modes, kept, n, "mean", last=channels_last(grad))
        del modes
        return of_x, weight_gradient(rows, saved, weight, kept), of_bias


@_conv_backward.register_fake
def _(grad: Tensor, saved: Tensor, weight: Tensor, kept: list[int], n: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    of_weight = like_weight(weight, kept)
    of_x = empty_fields(grad, weight.shape[0], n, channels_last(grad))
    return of_x, of_weight, grad.new_empty(grad.shape[1])


def convolution_setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    """Keep what the gradients of a spectral convolution need; arguments after the sizes go on to its backward pass."""
    x, weight, bias, ctx.kept, _, *ctx.more = inputs
    ctx.save_for_backward(output[1], weight)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.n, ctx.has_bias = list(x.shape[2:]), bias is not None


def convolution_gradients(backward: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> Callable[..., tuple]:
    """Return the gradients of a spectral convolution as a function of what `convolution_setup` kept."""

    def gradients(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple:
        rest = (None,) * (2 + len(ctx.more))
        if grad is None:
            return (None, None, None, *rest)
        of_x, of_weight, of_bias = backward(grad, *ctx.saved_tensors, ctx.kept, ctx.n, *ctx.more)
        return (of_x, of_weight, of_bias if ctx.has_bias else None, *rest)

    return gradients


_conv.register_autograd(convolution_gradients(_conv_backward), setup_context=convolution_setup)


@torch.library.custom_op("pdeml_kernels::spectral_analysis", mutates_args=())
def _analyse(x: Tensor, kept: list[int], weights: str) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return analyse(x, kept, weights)


@_analyse.register_fake
def _(x: Tensor, kept: list[int], weights: str) -> Tensor:
    return x.new_empty(x.shape[0], 2, prod(kept), x.shape[1])


@torch.library.custom_op("pdeml_kernels::spectral_synthesis", mutates_args=())
def _synthesise(modes: Tensor, kept: list[int], sizes: list[int], weights: str, last: bool) -> Tensor:
    with torch.autocast(modes.device.type, enabled=False):
        return synthesise(modes, kept, sizes, weights, last=last)


@_synthesise.register_fake
def _(modes: Tensor, kept: list[int], sizes: list[int], weights: str, last: bool) -> Tensor:
    return empty_fields(modes, modes.shape[-1], sizes, last)


def _analysis_setup(ctx, inputs, output) -> None:
    x, ctx.kept, ctx.weights = inputs
    ctx.sizes, ctx.last = list(x.shape[2:]), channels_last(x)


def _synthesis_setup(ctx, inputs, output) -> None:
    _, ctx.kept, _, ctx.weights, _ = inputs


_analyse.register_autograd(
    lambda ctx, grad: (_synthesise(grad, ctx.kept, ctx.sizes, ctx.weights, ctx.last), None, None),
    setup_context=_analysis_setup,
)
_synthesise.register_autograd(
    lambda ctx, grad: (_analyse(grad, ctx.kept, ctx.weights), None, None, None, None),
    setup_context=_synthesis_setup,
)
