"""A layer of a Fourier neural operator as one operator, for CPUs: the Fourier layer and what follows at each point.

    y = `fourier_layer`(v, f, …),   f = `spectral_conv`(v, W) + b.

Fields are far larger than the caches of a CPU. Here f and its gradient are never formed: groups of rows of the last
axis are brought from their coefficients to the points, go through all that is done there, and are left. The backward
pass keeps v and the coefficients of f along the last axis.

Shapes: B (batch), n (points along an axis), C (channels); rows are the B·n points of all axes but the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pdeml_kernels.fourier import add_last, analyse, analyse_last, analyse_leading, synthesise_last, synthesise_leading
from pdeml_kernels.pointwise import LayerSums, fourier_layer, layer_rows, row_groups
from pdeml_kernels.spectral import (
    kept_modes,
    last_weights,
    like_weight,
    mix,
    mix_backward,
    spectral_conv,
    weight_gradient,
)

__all__ = ["fourier_block", "fourier_block_twin"]


def fourier_block_twin(
    v: Tensor,
    weight: Tensor,
    bias: Tensor,
    modes: Sequence[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> Tensor:
    """Return what `fourier_block` does, by the operators that it consists of."""
    f = spectral_conv(v.movedim(-1, 1), weight, modes, bias=bias).movedim(1, -1)
    rows = v.reshape(-1, v.shape[-1])
    return fourier_layer(rows, f.reshape(rows.shape), s, w1, b1, w2, b2, gate, last).view(v.shape)


def fourier_block(
    v: Tensor,
    weight: Tensor,
    bias: Tensor,
    modes: Sequence[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> Tensor:
    """Apply a layer of a Fourier neural operator.

    Args:
        v: (B, *n, C), 1 to 3 axes.
        weight: (C, C, *M, 2), of the modes; see `spectral_conv`.
        bias: (C,), added to f.
        modes: how many modes of each axis are used in total.
        s, w1, b1, w2, b2, gate, last: see `fourier_layer`.

    Returns: (B, *n, C).
    """
    parts = (s, w1, b1, w2, b2, gate)
    if torch.compiler.is_exporting() or v.device.type != "cpu" or any(p.dtype != v.dtype for p in (weight, *parts)):
        return fourier_block_twin(v, weight, bias, modes, *parts, last)
    return _block(v, weight, bias, kept_modes(modes, v.shape[1:-1]), *parts, last)[0]


@torch.library.custom_op("pdeml_kernels::fourier_block", mutates_args=())
def _block(
    v: Tensor,
    weight: Tensor,
    bias: Tensor,
    kept: list[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, and what the backward pass needs: modes of v, coefficients of f along the last axis."""
    v = v.contiguous()
    _, *leading, n, channels = v.shape
    y = torch.empty_like(v)
    with torch.autocast("cpu", enabled=False):
        mixed, saved = mix(analyse(v.movedim(-1, 1), kept, "mean"), weight, bias, kept)
        lines = synthesise_leading(mixed, leading, kept, mean=False)
        given, taken, weights = v.view(-1, n, channels), y.view(-1, n, channels), last_weights(kept[-1], n, n)
        for rows in row_groups(given, n * max(len(w1), channels)):
            f = synthesise_last(lines[rows], n, kept[-1], weights)
            layer_rows(*(part.flatten(0, 1) for part in (taken[rows], given[rows], f)), s, w1, b1, w2, b2, gate, last)
    return y, saved, lines


@_block.register_fake
def _(
    v: Tensor,
    weight: Tensor,
    bias: Tensor,
    kept: list[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    batch, *leading, _, channels = v.shape
    saved = v.new_empty(prod(kept), 2 * batch, channels)
    return v.new_empty(v.shape), saved, v.new_empty(batch * prod(leading), 2 * kept[-1], channels)


@torch.library.custom_op("pdeml_kernels::fourier_block_backward", mutates_args=())
def _block_backward(
    grad: Tensor,
    v: Tensor,
    saved: Tensor,
    lines: Tensor,
    weight: Tensor,
    kept: list[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients with respect to v, weight, bias, s, w1, b1, w2, b2, gate."""
    grad, v = grad.contiguous(), v.contiguous()
    batch, *leading, n, channels = v.shape
    of_v, of_lines, sums = torch.empty_like(v), torch.empty_like(lines), LayerSums(s, w1, b1, w2, b2, gate, last)
    above, given, found = (part.view(-1, n, channels) for part in (grad, v, of_v))
    groups, weights = list(row_groups(given, n * max(len(w1), channels))), last_weights(kept[-1], n, n)
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
    return of_v, of_weight, of_bias, *sums.found()


@_block_backward.register_fake
def _(
    grad: Tensor,
    v: Tensor,
    saved: Tensor,
    lines: Tensor,
    weight: Tensor,
    kept: list[int],
    s: Tensor,
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
    gate: Tensor,
    last: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    plain = (like.new_empty(like.shape) for like in (s, w1, b1, w2, b2, gate))
    of_weight = like_weight(weight, kept)
    return v.new_empty(v.shape), of_weight, v.new_empty(v.shape[-1]), *plain


def _setup(ctx, inputs, output) -> None:
    v, weight, _, ctx.kept, *parts, ctx.last = inputs
    ctx.save_for_backward(v, *output[1:], weight, *parts)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _gradients(ctx, grad: Tensor | None, *_: Tensor | None):
    if grad is None:
        return (None,) * 11
    v, saved, lines, weight, *parts = ctx.saved_tensors
    of_v, of_weight, of_bias, *of_parts = _block_backward(grad, v, saved, lines, weight, ctx.kept, *parts, ctx.last)
    return of_v, of_weight, of_bias, None, *of_parts, None


_block.register_autograd(_gradients, setup_context=_setup)
