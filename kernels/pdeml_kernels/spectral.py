"""Spectral convolution: a linear map of channels for each kept Fourier mode.

    y = F⁻¹( W_k · F(x)_k ),  |k| below the kept modes,

with F normalised so that coefficients belong to the function and not to its grid (Li et al., *Fourier neural operator
for parametric partial differential equations* (2021), §4). Input and output may have any sizes: the frequencies that
one of the two grids cannot carry are left out. Complex numbers are pairs of real ones throughout.

The operators of `torch.library` named ``pdeml_kernels::spectral_*`` are the seam for a fused kernel: one that is
registered for a device by ``register_kernel`` takes the place of these twins there, for eager and compiled code.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pdeml_kernels import exported
from pdeml_kernels.fourier import Weights, analyse, channels_last, synthesise

__all__ = [
    "kept_modes",
    "last_weights",
    "like_weight",
    "mix",
    "mix_backward",
    "spectral_analysis",
    "spectral_conv",
    "spectral_synthesis",
    "weight_gradient",
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
    _check(x, weight, modes, sizes, bias)
    if x.dtype != weight.dtype:
        x = x.to(weight.dtype)
    sizes = list(x.shape[2:] if sizes is None else sizes)
    kept = kept_modes(modes, x.shape[2:], sizes)
    if torch.compiler.is_exporting():
        return exported.convolution(x, _part(weight, kept), bias, kept, sizes)
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


def _check(x: Tensor, weight: Tensor, modes: Sequence[int], sizes: Sequence[int] | None, bias: Tensor | None) -> None:
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


def _part(weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the weights of the kept frequencies, a view: (C_in, C_out, *K, 2) or (C, *K, 2)."""
    first = weight.ndim - 1 - len(kept)
    for axis, count in enumerate(kept[:-1], first):
        weight = weight.narrow(axis, weight.shape[axis] // 2 - count // 2, count)
    return weight.narrow(-2, 0, kept[-1])


def _by_mode(part: Tensor, axes: int) -> Tensor:
    """Return weights in the order of the product, a view where the memory has it: (P, C_in, 2, C_out) or (2, C, P)."""
    modes = range(part.ndim - 1 - axes, part.ndim - 1)
    last = part.ndim - 1
    if part.ndim == axes + 2:
        return part.permute(last, 0, *modes).flatten(2)
    return part.permute(*modes, 0, last, 1).flatten(0, axes - 1)


def mix(modes: Tensor, weight: Tensor, bias: Tensor | None, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Multiply by the weights and add the bias; return the product (B, 2, P, C_out), and what the weights need."""
    mixed, saved = _mix(modes, _by_mode(_part(weight, kept), len(kept)))
    if bias is not None:
        mixed[:, 0, _constant(kept)] += bias
    return mixed, saved


def mix_backward(grad: Tensor, weight: Tensor, kept: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `mix` with respect to the modes (B, 2, P, C_in) and the bias; what the weights need."""
    below, rows = _mix_backward(grad, _by_mode(_part(weight, kept), len(kept)))
    return below, grad[:, 0, _constant(kept)].sum(0), rows


def weight_gradient(rows: Tensor, saved: Tensor, weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the gradient of `mix` with respect to the weights; best last, as it is the largest of all tensors.

    Args:
        rows: from `mix_backward`.
        saved: from `mix`.
        weight: see `spectral_conv`.
        kept: K of every axis.
    """
    if weight.ndim == len(kept) + 2:
        (a, b), (g, h) = saved.unbind(1), rows.unbind(1)
        found = torch.stack(((g * a + h * b).sum(0), (h * a - g * b).sum(0))).mT.contiguous()
    else:
        found = torch.bmm(saved.mT, rows).unflatten(2, (2, -1))
    found, part = _as_weight(found, kept), _part(weight, kept)
    if part.shape == weight.shape:
        return found
    whole = torch.zeros_like(weight)
    _part(whole, kept).copy_(found)
    return whole


def like_weight(weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return an uninitialised gradient of the weights, in the order of memory that `weight_gradient` gives."""
    if _part(weight, kept).shape != weight.shape:
        return torch.empty_like(weight)
    dense = weight.ndim == len(kept) + 3
    shape = (prod(kept), weight.shape[0], 2, weight.shape[1]) if dense else (2, weight.shape[0], prod(kept))
    return _as_weight(weight.new_empty(shape), kept)


def _mix(modes: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply by weights in the order of the product; return the product and what the backward pass needs."""
    if weight.ndim == 3:
        (a, b), (c, d) = modes.unbind(1), weight.mT.unbind(0)
        return torch.stack((a * c - b * d, a * d + b * c), dim=1), modes
    batch, _, count, channels = modes.shape
    rows = modes.permute(2, 1, 0, 3).contiguous().view(count, 2 * batch, channels)
    out = weight.shape[-1]
    products = torch.bmm(rows, weight.flatten(2)).view(count, 2, batch, 2, out)
    mixed = modes.new_empty(batch, 2, count, out)
    real, imaginary = mixed.permute(1, 2, 0, 3)
    torch.sub(products[:, 0, :, 0], products[:, 1, :, 1], out=real)
    torch.add(products[:, 0, :, 1], products[:, 1, :, 0], out=imaginary)
    return mixed, rows


def _mix_backward(grad: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient with respect to the modes (B, 2, P, C_in), and what that of the weights needs."""
    if weight.ndim == 3:
        (c, d), (g, h) = weight.mT.unbind(0), grad.unbind(1)
        return torch.stack((g * c + h * d, h * c - g * d), dim=1), grad
    batch, _, count, out = grad.shape
    real, imaginary = grad.permute(1, 2, 0, 3)
    rows = grad.new_empty(count, 2, batch, 2, out)
    rows[:, 0, :, 0], rows[:, 0, :, 1] = real, imaginary
    rows[:, 1, :, 0] = imaginary
    torch.neg(real, out=rows[:, 1, :, 1])
    rows = rows.view(count, 2 * batch, 2 * out)
    return torch.bmm(rows, weight.flatten(2).mT).view(count, 2, batch, -1).permute(2, 1, 0, 3), rows


def _as_weight(by_mode: Tensor, kept: Sequence[int]) -> Tensor:
    """Undo `_by_mode`: a view (C_in, C_out, *K, 2) or (C, *K, 2)."""
    axes = len(kept)
    if by_mode.ndim == 3:
        return by_mode.unflatten(2, kept).permute(1, *range(2, axes + 2), 0)
    shaped = by_mode.unflatten(0, kept)
    return shaped.permute(axes, axes + 2, *range(axes), axes + 1)


def _constant(kept: Sequence[int]) -> int:
    """Return where the constant stands among the P modes."""
    place = 0
    for count in kept[:-1]:
        place = place * count + count // 2
    return place * kept[-1]


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
    return _fields(x, weight.shape[1] if dense else channels, sizes, channels_last(x)), x.new_empty(saved)


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
    of_x = _fields(grad, weight.shape[0], n, channels_last(grad))
    return of_x, of_weight, grad.new_empty(grad.shape[1])


def _conv_setup(ctx, inputs, output) -> None:
    x, weight, bias, ctx.kept, _ = inputs
    ctx.save_for_backward(output[1], weight)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.n, ctx.has_bias = list(x.shape[2:]), bias is not None


def _conv_gradients(ctx, grad: Tensor | None, _: Tensor | None):
    if grad is None:
        return (None,) * 5
    saved, weight = ctx.saved_tensors
    of_x, of_weight, of_bias = _conv_backward(grad, saved, weight, ctx.kept, ctx.n)
    return of_x, of_weight, of_bias if ctx.has_bias else None, None, None


_conv.register_autograd(_conv_gradients, setup_context=_conv_setup)


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
    return _fields(modes, modes.shape[-1], sizes, last)


def _fields(like: Tensor, channels: int, sizes: Sequence[int], last: bool) -> Tensor:
    """Return uninitialised fields (B, C, *sizes) in the order of memory that the operators give."""
    if last:
        return like.new_empty(len(like), *sizes, channels).movedim(-1, 1)
    return like.new_empty(like.shape[0], channels, *sizes)


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
