"""A Fourier layer with its skip and activation by Triton kernels, y = σ( F⁻¹(W F v) + S v + b ).

The last transform, the skip, the bias and GELU are one kernel, so that neither F⁻¹(W F v) nor S v is ever stored; the
backward pass forms them again from the coefficients. See `pdeml_kernels.triton_spectral` for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
import triton
from torch import Tensor
from torch.nn import functional

from pdeml_kernels import spectral
from pdeml_kernels.fourier import channels_last
from pdeml_kernels.spectral import kept_modes, last_weights, like_weight, spectral_conv
from pdeml_kernels.triton_products import gram_plan
from pdeml_kernels.triton_spectral import (
    analyse,
    empty_coefficients,
    field,
    field_steps,
    mix,
    mix_backward,
    synthesise_lines,
    synthesise_points,
)
from pdeml_kernels.triton_support import Precision, accumulator, check_device, launch, operator, precision_of

__all__ = ["fourier_gelu_triton", "fourier_gelu_twin"]


def fourier_gelu_twin(
    v: Tensor, weight: Tensor, modes: Sequence[int], skip: Tensor, bias: Tensor, activate: bool = True
) -> Tensor:
    """Return what `fourier_gelu_triton` does, by the operators of torch."""
    u = spectral_conv(v, weight, modes, bias=bias) + torch.einsum("oi,bi...->bo...", skip, v)
    return functional.gelu(u) if activate else u


def fourier_gelu_triton(
    v: Tensor,
    weight: Tensor,
    modes: Sequence[int],
    skip: Tensor,
    bias: Tensor,
    activate: bool = True,
    *,
    precision: Precision | None = None,
) -> Tensor:
    """Apply a Fourier layer with its skip and activation, y = σ( F⁻¹(W F v) + S v + b ).

    The fields F⁻¹(W F v) and S v are never stored; the backward pass forms them again from the coefficients.

    Args:
        v: (B, C_in, *n).
        weight: (C_in, C_out, *M, 2).
        modes: how many modes of each axis are used in total.
        skip: S, (C_out, C_in).
        bias: b, (C_out,).
        activate: whether σ is GELU; otherwise the identity.
        precision: see `spectral_conv_triton`.

    Returns: (B, C_out, *n), channels in memory where those of v are.

    Raises:
        ValueError: shapes do not fit together, there is no such precision, or no kernel can read the tensors.

    Reference: Li et al., *Fourier neural operator for parametric partial differential equations* (2021), §4.
    """
    if torch.compiler.is_exporting():
        return fourier_gelu_twin(v, weight, modes, skip, bias, activate)
    spectral._check(v, weight, modes, None, bias)
    check_device(v)
    if weight.ndim != v.ndim + 1 or skip.shape != weight.shape[1::-1]:
        raise ValueError(f"weight and skip must map channels to channels, not {weight.shape} and {skip.shape}")
    if v.dtype != weight.dtype or skip.dtype != weight.dtype:
        raise ValueError(f"v, weight and skip must be of one type, not {v.dtype}, {weight.dtype} and {skip.dtype}")
    kept = kept_modes(modes, v.shape[2:])
    return _layer(v, weight, skip, bias, kept, activate, precision_of(precision, v.dtype))[0]


@operator("triton_fourier_gelu")
def _layer(
    v: Tensor, weight: Tensor, skip: Tensor, bias: Tensor, kept: list[int], activate: bool, precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fields, and the coefficients before and after the weights."""
    v = field(v)
    found = analyse(v, kept, "mean", precision)
    mixed = mix(found, weight, kept, precision)
    weights = last_weights(kept[-1], v.shape[-1], v.shape[-1])
    lines = synthesise_lines(mixed, kept, v.shape[2:-1], weights, precision)
    y = spectral._fields(v, len(skip), v.shape[2:], channels_last(v))
    activation = "gelu" if activate else "none"
    return (
        synthesise_points(lines, y, weights, precision, v=v, skip=skip, bias=bias, activation=activation),
        found,
        mixed,
    )


@_layer.register_fake
def _(
    v: Tensor, weight: Tensor, skip: Tensor, bias: Tensor, kept: list[int], activate: bool, precision: str
) -> tuple[Tensor, Tensor, Tensor]:
    y = spectral._fields(v, len(skip), v.shape[2:], channels_last(v))
    return y, empty_coefficients(v, kept, v.shape[1]), empty_coefficients(v, kept, len(skip))


@operator("triton_fourier_gelu_backward")
def _layer_backward(
    grad: Tensor,
    v: Tensor,
    found: Tensor,
    mixed: Tensor,
    weight: Tensor,
    skip: Tensor,
    bias: Tensor,
    kept: list[int],
    activate: bool,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients with respect to the fields, the weights, the skip and the bias."""
    v, grad = field(v), field(grad)
    weights = last_weights(kept[-1], v.shape[-1], v.shape[-1])
    of_u = grad
    if activate:
        lines = synthesise_lines(mixed, kept, v.shape[2:-1], weights, precision)
        of_u = synthesise_points(
            lines, torch.empty_like(grad), weights, precision, v=v, skip=skip, bias=bias, grad=grad, activation="slope"
        )
    below, of_weight, of_bias = mix_backward(analyse(of_u, kept, weights, precision), found, weight, kept, precision)
    of_lines = synthesise_lines(below, kept, v.shape[2:-1], "mean", precision)
    of_v = spectral._fields(grad, v.shape[1], v.shape[2:], channels_last(grad))
    synthesise_points(of_lines, of_v, "mean", precision, v=of_u, skip=skip.T)
    return of_v, of_weight, _skip_gradient(of_u, v, precision).to(skip.dtype), of_bias


@_layer_backward.register_fake
def _(
    grad: Tensor,
    v: Tensor,
    found: Tensor,
    mixed: Tensor,
    weight: Tensor,
    skip: Tensor,
    bias: Tensor,
    kept: list[int],
    activate: bool,
    precision: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of_v = spectral._fields(grad, v.shape[1], v.shape[2:], channels_last(grad))
    return of_v, like_weight(weight, kept), skip.new_empty(skip.shape), weight.new_empty(bias.shape)


def _point_steps(x: Tensor) -> tuple[int, int, int]:
    """Return steps of memory along (B, points, C) of a field (B, C, *n)."""
    batch, _, point, channel = field_steps(x)
    return batch, point, channel


def _skip_gradient(of_u: Tensor, v: Tensor, precision: Precision) -> Tensor:
    """Return Σ of_u vᵀ over all points, in two stages of fixed order: (C_out, C_in)."""
    batch, points = len(v), prod(v.shape[2:])
    # About a thousand programs, but no fewer than 256 points for each.
    chunk = max(triton.next_power_of_2(max(batch * points // 1024, 1)), 256)
    parts = batch * triton.cdiv(points, chunk)
    sums = v.new_empty(parts, of_u.shape[1], v.shape[1], dtype=accumulator(v.dtype))
    launch(gram_plan(of_u, _point_steps(of_u), v, _point_steps(v), sums, points, chunk, precision))
    return sums.sum(0)


def _layer_setup(ctx, inputs, output) -> None:
    v, weight, skip, bias, ctx.kept, ctx.activate, ctx.precision = inputs
    ctx.save_for_backward(v, *output[1:], weight, skip, bias)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _layer_gradients(ctx, grad: Tensor | None, *_: Tensor | None):
    if grad is None:
        return (None,) * 7
    found = _layer_backward(grad, *ctx.saved_tensors, ctx.kept, ctx.activate, ctx.precision)
    return *found, None, None, None


_layer.register_autograd(_layer_gradients, setup_context=_layer_setup)
