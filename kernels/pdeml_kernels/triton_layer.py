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

from pdeml_kernels.block import fourier_gelu
from pdeml_kernels.fourier import channels_last
from pdeml_kernels.mixing import like_weight
from pdeml_kernels.pointwise import LayerWeights, pointwise_mlp
from pdeml_kernels.spectral import check_shapes, empty_fields, kept_modes, last_weights
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

__all__ = ["fourier_block_triton", "fourier_gelu_triton"]


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
    """Do what `fourier_gelu` does, by Triton kernels.

    The fields F⁻¹(W F v) and S v are never stored; the backward pass forms them again from the coefficients.

    Args:
        v, weight, modes, skip, bias, activate: see `fourier_gelu`; of one floating type.
        precision: see `spectral_conv_triton`.

    Returns: (B, C_out, *n), channels in memory where those of v are.

    Raises:
        ValueError: shapes do not fit together, there is no such precision, or no kernel can read the tensors.
    """
    if torch.compiler.is_exporting():
        return fourier_gelu(v, weight, modes, skip, bias, activate)
    check_shapes(v, weight, modes, None, bias)
    check_device(v)
    if weight.ndim != v.ndim + 1 or skip.shape != weight.shape[1::-1]:
        raise ValueError(f"weight and skip must map channels to channels, not {weight.shape} and {skip.shape}")
    if v.dtype != weight.dtype or skip.dtype != weight.dtype:
        raise ValueError(f"v, weight and skip must be of one type, not {v.dtype}, {weight.dtype} and {skip.dtype}")
    kept = kept_modes(modes, v.shape[2:])
    return _layer(v, weight, skip, bias, kept, activate, precision_of(precision, v.dtype))[0]


def fourier_block_triton(
    v: Tensor, weight: Tensor, bias: Tensor, modes: Sequence[int], point: LayerWeights, last: bool
) -> Tensor:
    """Do what `fourier_block` does: its Fourier layer by Triton kernels, what follows at each point by torch.

    Raises:
        ValueError: no kernel can read the tensors.
    """
    skip, *mlp, gate = point
    z = fourier_gelu_triton(v.movedim(-1, 1), weight, modes, skip, bias, not last).movedim(1, -1)
    u = torch.addcmul(pointwise_mlp(z.reshape(-1, z.shape[-1]), *mlp).view(v.shape), gate, v)
    return u if last else functional.gelu(u)


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
    y = empty_fields(v, len(skip), v.shape[2:], channels_last(v))
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
    y = empty_fields(v, len(skip), v.shape[2:], channels_last(v))
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
    of_v = empty_fields(grad, v.shape[1], v.shape[2:], channels_last(grad))
    synthesise_points(of_lines, of_v, "mean", precision, v=of_u, skip=skip.T)
    return of_v, of_weight, _skip_gradient(of_u, v, precision).to(skip.dtype), of_bias


@_layer_backward.register_fake
def _(
    grad: Tensor, v: Tensor, found: Tensor, mixed: Tensor, weight: Tensor, skip: Tensor, bias: Tensor,
    kept: list[int], *_,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    of_v = empty_fields(grad, v.shape[1], v.shape[2:], channels_last(grad))
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
