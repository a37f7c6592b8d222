"""Spectral convolution by Triton kernels: the twins are in `pdeml_kernels.spectral`.

One kernel applies a real matrix of cosines and sines along an axis: the truncated transform of the last axis, those of
the leading axes (real and imaginary parts side by side, so that a complex transform is a real product), and the inverse
ones, of which that of the last axis also adds what `pdeml_kernels.triton_layer` wants at each point before anything is
stored. Another multiplies complex matrices for each mode: channels by weights, and in the backward pass gradients by
weights and coefficients by gradients.

A field is read once and written once. What lies between is smaller by the factor n/2K and stays in the second-level
cache. The transforms of the leading axes are not fused with the product: a program for each mode would read the lines
again for each of the modes, and one for each sample would read the weights again for each sample.

Shapes: B (batch), C (channels), n (points along an axis), L (lines: points of all axes but the last), K (kept
frequencies), P (modes). Coefficients are in float32, or in float64 where the fields are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pdeml_kernels import mixing
from pdeml_kernels.constants import constant
from pdeml_kernels.fourier import channels_last, last_basis, leading_basis
from pdeml_kernels.mixing import like_weight, separable
from pdeml_kernels.spectral import (
    check_shapes,
    convolution_gradients,
    convolution_setup,
    empty_fields,
    kept_modes,
    last_weights,
    spectral_analysis,
    spectral_conv,
    spectral_synthesis,
)
from pdeml_kernels.triton_products import padded, product_plan, transform_plan
from pdeml_kernels.triton_support import Precision, accumulator, check_device, launch, operator, precision_of, traced

__all__ = [
    "analyse",
    "empty_coefficients",
    "field",
    "field_steps",
    "mix",
    "mix_backward",
    "spectral_analysis_triton",
    "spectral_conv_triton",
    "spectral_synthesis_triton",
    "synthesise_lines",
    "synthesise_points",
]


@torch.library.custom_op("pdeml_kernels::triton_basis", mutates_args=())
def _copied_basis(like: Tensor, n: int, kept: int, weights: str, last: bool) -> Tensor:
    """Return a copy of a matrix, for programs that compilers make: they may write into what they are given."""
    return _cached_basis(n, kept, weights, last, accumulator(like.dtype), like.device).clone()


@_copied_basis.register_fake
def _(like: Tensor, n: int, kept: int, weights: str, last: bool) -> Tensor:
    return padded(like.new_empty(_shape(n, kept, last), dtype=accumulator(like.dtype)))


@constant
def _cached_basis(n: int, kept: int, weights: str, last: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    if last:
        return padded(last_basis(n, kept, weights, dtype, device))
    return padded(leading_basis(n, kept, weights == "mean", dtype, device))


def _basis(n: int, kept: int, weights: str, last: bool, like: Tensor) -> Tensor:
    """Return the matrix of the last axis (n, 2·K) or of a leading one (2·K, n·2)."""
    if traced():
        found = _copied_basis(like, n, kept, weights, last)
    else:
        found = _cached_basis(n, kept, weights, last, accumulator(like.dtype), like.device)
    rows, columns = _shape(n, kept, last)
    return found[:rows, :columns]


def _shape(n: int, kept: int, last: bool) -> tuple[int, int]:
    return (n, 2 * kept) if last else (2 * kept, 2 * n)


def field(x: Tensor) -> Tensor:
    """Return a field whose points stand in memory one after another, channels first or last."""
    return x if channels_last(x) else x.contiguous()


def field_steps(x: Tensor) -> tuple[int, int, int, int]:
    """Return steps of memory along (B, L, n, C) of a field (B, C, *n)."""
    channels, n, points = x.shape[1], x.shape[-1], prod(x.shape[2:])
    if channels_last(x):
        return points * channels, n * channels, channels, 1
    return points * channels, n, 1, points


def _along(x: Tensor, matrix: Tensor, precision: Precision) -> Tensor:
    """Apply a matrix (M, K) to every member of a batch (batch, K, R)."""
    batch, _, columns = x.shape
    rows, inner = matrix.shape
    y = x.new_empty(batch, rows, columns)
    steps = (columns * inner, 0, columns, 1), (columns * rows, 0, columns, 1)
    launch(transform_plan(x, steps[0], matrix, y, steps[1], (batch, 1, columns), precision))
    return y


def analyse(x: Tensor, kept: Sequence[int], weights: str, precision: Precision) -> Tensor:
    """Do what `fourier.analyse` does: from (B, C, *n) to (B, 2, P, C), in the type of the sums."""
    x = field(x)
    batch, channels, *leading, n = x.shape
    lines, last = prod(leading), kept[-1]
    found = x.new_empty(batch, lines, 2 * last, channels, dtype=accumulator(x.dtype))
    steps = (lines * 2 * last * channels, 2 * last * channels, channels, 1)
    matrix = _basis(n, last, weights, True, x).T
    launch(transform_plan(x, field_steps(x), matrix, found, steps, (batch, lines, channels), precision))
    rest = last * channels
    for axis in reversed(range(len(leading))):
        pairs = found.view(batch * prod(leading[:axis]), 2 * leading[axis], rest)
        found = _along(pairs, _basis(leading[axis], kept[axis], weights, False, x), precision)
        rest *= kept[axis]
    return found.reshape(batch, 2, prod(kept), channels)


def synthesise_lines(
    modes: Tensor, kept: Sequence[int], leading: Sequence[int], weights: str, precision: Precision
) -> Tensor:
    """Apply the adjoint of `analyse` along the leading axes: from (B, 2, P, C) to (B, L, 2·K, C)."""
    found, (batch, _, count, channels) = modes, modes.shape
    rest = count * channels
    for axis, size in enumerate(leading):
        rest //= kept[axis]
        pairs = found.reshape(batch * prod(leading[:axis]), 2 * kept[axis], rest)
        found = _along(pairs, _basis(size, kept[axis], weights, False, modes).T, precision)
    return found.reshape(batch, prod(leading), 2 * kept[-1], channels)


def synthesise_points(
    coefficients: Tensor,
    y: Tensor,
    weights: str,
    precision: Precision,
    *,
    v: Tensor | None = None,
    skip: Tensor | None = None,
    bias: Tensor | None = None,
    grad: Tensor | None = None,
    activation: str = "none",
) -> Tensor:
    """Apply the adjoint of `analyse` along the last axis: from (B, L, 2·K, C) to y (B, C, *n), with what follows."""
    batch, lines, double, channels = coefficients.shape
    steps = (lines * double * channels, double * channels, channels, 1)
    matrix = _basis(y.shape[-1], double // 2, weights, True, coefficients)
    more = {} if v is None else {"v": v, "v_steps": field_steps(v), "skip": skip}
    if grad is not None:
        more["grad"] = grad
    shape = batch, lines, channels
    plan = transform_plan(
        coefficients, steps, matrix, y, field_steps(y), shape, precision, bias=bias, activation=activation, **more
    )
    launch(plan)
    return y


def synthesise(
    modes: Tensor, kept: Sequence[int], y: Tensor, weights: str, precision: Precision, bias: Tensor | None = None
) -> Tensor:
    """Do what `fourier.synthesise` does, and add a bias; y (B, C, *sizes) takes the result."""
    lines = synthesise_lines(modes, kept, y.shape[2:-1], weights, precision)
    return synthesise_points(lines, y, weights, precision, bias=bias)


def mix(modes: Tensor, weight: Tensor, kept: Sequence[int], precision: Precision) -> Tensor:
    """Multiply coefficients (B, 2, P, C_in) by the weights: (B, 2, P, C_out)."""
    if separable(weight, kept):
        return mixing.mix(modes, weight.to(modes.dtype), None, kept)[0]
    found = modes.new_empty(*modes.shape[:3], weight.shape[1])
    plan = product_plan(modes.permute(2, 1, 0, 3), _factors(weight, kept), found.permute(2, 1, 0, 3), "none", precision)
    launch(plan)
    return found


def mix_backward(
    grad: Tensor, saved: Tensor, weight: Tensor, kept: Sequence[int], precision: Precision
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `mix` with respect to the coefficients and the weights, and that of the bias."""
    of_bias = grad[:, 0, mixing.constant_mode(kept)].sum(0).to(weight.dtype)
    if separable(weight, kept):
        wide = weight.to(grad.dtype)
        below, _, rows = mixing.mix_backward(grad, wide, kept)
        return below, mixing.weight_gradient(rows, saved, wide, kept).to(weight.dtype), of_bias
    below, rows = grad.new_empty(saved.shape), grad.permute(2, 1, 0, 3)
    factors = _factors(weight, kept).transpose(2, 3)
    launch(product_plan(rows, factors, below.permute(2, 1, 0, 3), "second", precision))
    inputs, outputs = weight.shape[:2]
    found = weight.new_empty(prod(kept), inputs, 2, outputs)
    launch(product_plan(saved.permute(2, 1, 3, 0), rows, found.permute(0, 2, 1, 3), "first", precision))
    return below, mixing.widened(mixing.as_weight(found, kept), weight, kept), of_bias


def _factors(weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the kept weights as a view (P, 2, C_in, C_out); a copy only if memory is in another order."""
    return mixing.by_mode(mixing.kept_part(weight, kept), len(kept)).permute(0, 2, 1, 3)


def spectral_conv_triton(
    x: Tensor,
    weight: Tensor,
    modes: Sequence[int],
    sizes: Sequence[int] | None = None,
    bias: Tensor | None = None,
    *,
    precision: Precision | None = None,
) -> Tensor:
    """Do what `spectral_conv` does, by Triton kernels.

    Args:
        x: (B, C_in, *n), real.
        weight: (C_in, C_out, *M, 2) or (C, *M, 2).
        modes: how many modes of each axis are used in total.
        sizes: points of the output; by default n.
        bias: (C_out,).
        precision: of the products: ieee (float32), tf32x3 (three products of tensor cores, about as exact) or tf32
            (about 1e-3); by default tf32x3 for float32 and tf32 for half precision.

    Returns: (B, C_out, *sizes), in the precision of the weight, channels in memory where those of x are.

    Raises:
        ValueError: shapes do not fit together, there is no such precision, or no kernel can read the tensors.
    """
    if torch.compiler.is_exporting():
        return spectral_conv(x, weight, modes, sizes, bias)
    check_shapes(x, weight, modes, sizes, bias)
    check_device(x)
    x = x if x.dtype == weight.dtype else x.to(weight.dtype)
    sizes = list(x.shape[2:] if sizes is None else sizes)
    return _conv(x, weight, bias, kept_modes(modes, x.shape[2:], sizes), sizes, precision_of(precision, x.dtype))[0]


def spectral_analysis_triton(x: Tensor, kept: Sequence[int], *, precision: Precision | None = None) -> Tensor:
    """Do what `spectral_analysis` does, by Triton kernels; coefficients of half precision are in float32.

    Raises:
        ValueError: there is no such precision, or no kernel can read the tensor.
    """
    if torch.compiler.is_exporting():
        return spectral_analysis(x, kept)
    check_device(x)
    return _analyse(x, list(kept), "mean", precision_of(precision, x.dtype))


def spectral_synthesis_triton(
    modes: Tensor, kept: Sequence[int], n: Sequence[int], sizes: Sequence[int], *, precision: Precision | None = None
) -> Tensor:
    """Do what `spectral_synthesis` does, by Triton kernels, from coefficients in float32 or float64.

    Raises:
        ValueError: there is no such precision, or no kernel can read the tensor.
    """
    if torch.compiler.is_exporting():
        return spectral_synthesis(modes, kept, n, sizes)
    check_device(modes)
    weights = last_weights(kept[-1], n[-1], sizes[-1])
    return _synthesise(modes, list(kept), list(sizes), weights, True, precision_of(precision, modes.dtype))


def empty_coefficients(x: Tensor, kept: Sequence[int], channels: int) -> Tensor:
    """Return uninitialised coefficients (B, 2, P, C) of fields."""
    return x.new_empty(x.shape[0], 2, prod(kept), channels, dtype=accumulator(x.dtype))


@operator("triton_spectral_conv")
def _conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, kept: list[int], sizes: list[int], precision: str
) -> tuple[Tensor, Tensor]:
    """Return the fields and their coefficients."""
    found = analyse(x, kept, "mean", precision)
    mixed = mix(found, weight, kept, precision)
    y = empty_fields(x, mixed.shape[-1], sizes, channels_last(x))
    return synthesise(mixed, kept, y, last_weights(kept[-1], x.shape[-1], sizes[-1]), precision, bias), found


@_conv.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, kept: list[int], sizes: list[int], precision: str
) -> tuple[Tensor, Tensor]:
    channels = x.shape[1] if separable(weight, kept) else weight.shape[1]
    return empty_fields(x, channels, sizes, channels_last(x)), empty_coefficients(x, kept, x.shape[1])


@operator("triton_spectral_conv_backward")
def _conv_backward(
    grad: Tensor, saved: Tensor, weight: Tensor, kept: list[int], n: list[int], precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients with respect to the fields, the weights and the bias."""
    modes = analyse(grad, kept, last_weights(kept[-1], n[-1], grad.shape[-1]), precision)
    below, of_weight, of_bias = mix_backward(modes, saved, weight, kept, precision)
    of_x = empty_fields(grad, weight.shape[0], n, channels_last(grad))
    return synthesise(below, kept, of_x, "mean", precision), of_weight, of_bias


@_conv_backward.register_fake
def _(
    grad: Tensor, saved: Tensor, weight: Tensor, kept: list[int], n: list[int], precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    of_x = empty_fields(grad, weight.shape[0], n, channels_last(grad))
    return of_x, like_weight(weight, kept), weight.new_empty(grad.shape[1])


_conv.register_autograd(convolution_gradients(_conv_backward), setup_context=convolution_setup)


@operator("triton_spectral_analysis")
def _analyse(x: Tensor, kept: list[int], weights: str, precision: str) -> Tensor:
    return analyse(x, kept, weights, precision)


@_analyse.register_fake
def _(x: Tensor, kept: list[int], weights: str, precision: str) -> Tensor:
    return empty_coefficients(x, kept, x.shape[1])


@operator("triton_spectral_synthesis")
def _synthesise(modes: Tensor, kept: list[int], sizes: list[int], weights: str, last: bool, precision: str) -> Tensor:
    modes = modes.contiguous()
    return synthesise(modes, kept, empty_fields(modes, modes.shape[-1], sizes, last), weights, precision)


@_synthesise.register_fake
def _(modes: Tensor, kept: list[int], sizes: list[int], weights: str, last: bool, precision: str) -> Tensor:
    return empty_fields(modes, modes.shape[-1], sizes, last)


def _analysis_setup(ctx, inputs, output) -> None:
    x, ctx.kept, ctx.weights, ctx.precision = inputs
    ctx.sizes, ctx.last, ctx.dtype = list(x.shape[2:]), channels_last(x), x.dtype


def _analysis_gradient(ctx, grad: Tensor):
    of_x = _synthesise(grad, ctx.kept, ctx.sizes, ctx.weights, ctx.last, ctx.precision)
    return of_x.to(ctx.dtype), None, None, None


def _synthesis_setup(ctx, inputs, output) -> None:
    _, ctx.kept, _, ctx.weights, _, ctx.precision = inputs


def _synthesis_gradient(ctx, grad: Tensor):
    return _analyse(grad, ctx.kept, ctx.weights, ctx.precision), None, None, None, None, None


_analyse.register_autograd(_analysis_gradient, setup_context=_analysis_setup)
_synthesise.register_autograd(_synthesis_gradient, setup_context=_synthesis_setup)
