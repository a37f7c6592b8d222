"""Layers of a Fourier neural operator: with skip and activation, and with what follows at each point.

    gelu    y = σ(f + S v),   f = `spectral_conv`(v, W) + b
    block   y = `fourier_layer`(v, f, …)

On CPUs the block is one operator. Fields are far larger than the caches of a CPU: in it f and its gradient are never
formed, but groups of rows of the last axis are brought from their coefficients to the points, go through all that is
done there, and are left. The backward pass keeps v and the coefficients of f along the last axis.

Shapes: B (batch), n (points along an axis), C (channels); rows are the B·n points of all axes but the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pdeml_kernels.fourier import add_last, analyse, analyse_last, analyse_leading, synthesise_last, synthesise_leading
from pdeml_kernels.mixing import like_weight, mix, mix_backward, weight_gradient
from pdeml_kernels.pointwise import LayerSums, LayerWeights, fourier_layer, layer_rows, row_groups
from pdeml_kernels.spectral import kept_modes, last_weights, spectral_conv

__all__ = ["fourier_block", "fourier_block_twin", "fourier_gelu"]


def fourier_gelu(
    v: Tensor, weight: Tensor, modes: Sequence[int], skip: Tensor, bias: Tensor, activate: bool = True
) -> Tensor:
    """Apply a Fourier layer with its skip and activation, y = σ( F⁻¹(W F v) + S v + b ).

    Args:
        v: (B, C_in, *n).
        weight: (C_in, C_out, *M, 2), of the modes; see `spectral_conv`.
        modes: how many modes of each axis are used in total.
        skip: S, (C_out, C_in).
        bias: b, (C_out,).
        activate: whether σ is GELU; otherwise the identity.

    Returns: (B, C_out, *n).

    Reference: Li et al., *Fourier neural operator for parametric partial differential equations* (2021), §4.
    """
    u = functional.linear(v.movedim(1, -1), skip).movedim(-1, 1) + spectral_conv(v, weight, modes, bias=bias)
    return functional.gelu(u) if activate else u


def fourier_block_twin(
    v: Tensor, weight: Tensor, bias: Tensor, modes: Sequence[int], point: LayerWeights, last: bool
) -> Tensor:
    """Return what `fourier_block` does, by the operators that it consists of."""
    f = spectral_conv(v.movedim(-1, 1), weight, modes, bias=bias).movedim(1, -1)
    rows = v.reshape(-1, v.shape[-1])
    return fourier_layer(rows, f.reshape(rows.shape), point, last).view(v.shape)


def fourier_block(
    v: Tensor, weight: Tensor, bias: Tensor, modes: Sequence[int], point: LayerWeights, last: bool
) -> Tensor:
    """Apply a layer of a Fourier neural operator.

    Args:
        v: (B, *n, C), 1 to 3 axes.
        weight: (C, C, *M, 2), of the modes; see `spectral_conv`.
        bias: (C,), added to f.
        modes: how many modes of each axis are used in total.
        point: weights of what follows at each point; see `fourier_layer`.
        last: whether values leave without GELU.

    Returns: (B, *n, C).
    """
    if torch.compiler.is_exporting() or v.device.type != "cpu" or any(p.dtype != v.dtype for p in (weight, *point)):
        return fourier_block_twin(v, weight, bias, modes, point, last)
    return _block(v, weight, bias, kept_modes(modes, v.shape[1:-1]), list(point), last)[0]


@torch.library.custom_op("pdeml_kernels::fourier_block", mutates_args=())
def _block(
    v: Tensor, weight: Tensor, bias: Tensor, kept: list[int], point: list[Tensor], last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, and what the backward pass needs: modes of v, coefficients of f along the last axis."""
    v = v.contiguous()
    _, *leading, n, channels = v.shape
    y = torch.empty_like(v)
    with torch.autocast("cpu", enabled=False):
        mixed, saved = mix(analyse(v.movedim(-1, 1), kept, "mean"), weight, bias, kept)
        lines = synthesise_leading(mixed, leading, kept, mean=False)
        given, taken, weights = v.view(-1, n, channels), y.view(-1, n, channels), last_weights(kept[-1], n, n)
        for rows in _lines(given, point):
            f = synthesise_last(lines[rows], n, kept[-1], weights)
            layer_rows(*(part.flatten(0, 1) for part in (taken[rows], given[rows], f)), point, last)
    return y, saved, lines


def _lines(given: Tensor, point: Sequence[Tensor]) -> Iterator[slice]:
    """Return the lines of (lines, n, C) that go through together."""
    return row_groups(given, given.shape[1] * max(point[1].shape))


@_block.register_fake
def _(
    v: Tensor, weight: Tensor, bias: Tensor, kept: list[int], point: list[Tensor], last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch, *leading, _, channels = v.shape
    saved = v.new_empty(prod(kept), 2 * batch, channels)
    return v.new_empty(v.shape), saved, v.new_empty(batch * prod(leading), 2 * kept[-1], channels)


@torch.library.custom_op("pdeml_kernels::fourier_block_backward", mutates_args=())
def _block_backward(
    grad: Tensor, v: Tensor, saved: Tensor, lines: Tensor, weight: Tensor, kept: list[int], point: list[Tensor],
    last: bool,
) -> list[Tensor]:  # fmt: skip
    """Return the gradients with respect to v, weight, bias and the weights of each point."""
    grad, v = grad.contiguous(), v.contiguous()
    batch, *leading, n, channels = v.shape
    of_v, of_lines, sums = torch.empty_like(v), torch.empty_like(lines), LayerSums(point, last)
    above, given, found = (part.view(-1, n, channels) for part in (grad, v, of_v))
    groups, weights = list(_lines(given, point)), last_weights(kept[-1], n, n)
    with torch.autocast("cpu", enabled=False):
        for rows in groups:
            f = synthesise_last(lines[rows], n, kept[-1], weights)
            of_f = torch.empty_like(f)
            sums.back(*(part.flatten(0, 1) for part in (above[rows], given[rows], f, found[rows], of_f)))
            of_lines[rows] = analyse_last(of_f, n, kept[-1], weights)
        of_mixed = analyse_leading(of_lines, batch, leading, kept, mean=False)
        of_modes, of_bias, of_products = mix_backward(of_mixed, weight, kept)
        of_lines = synthesise_leading(of_modes, leading, kept, mean=True)
        for rows in groups:
            add_last(found[rows], of_lines[rows], n, kept[-1], "mean")
        of_weight = weight_gradient(of_products, saved, weight, kept)
    return [of_v, of_weight, of_bias, *sums.found()]


@_block_backward.register_fake
def _(
    grad: Tensor, v: Tensor, saved: Tensor, lines: Tensor, weight: Tensor, kept: list[int], point: list[Tensor], *_
) -> list[Tensor]:
    plain = (like.new_empty(like.shape) for like in point)
    return [v.new_empty(v.shape), like_weight(weight, kept), v.new_empty(v.shape[-1]), *plain]


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    v, weight, _, ctx.kept, point, ctx.last = inputs
    ctx.save_for_backward(v, *output[1:], weight, *point)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, grad: Tensor | None, *_: Tensor | None) -> tuple:
    v, saved, lines, weight, *point = ctx.saved_tensors
    if grad is None:
        return None, None, None, None, [None] * len(point), None
    of_v, of_weight, of_bias, *of_point = _block_backward(grad, v, saved, lines, weight, ctx.kept, point, ctx.last)
    return of_v, of_weight, of_bias, None, of_point, None


_block.register_autograd(_gradients, setup_context=_setup)
