"""Multiplication of Fourier coefficients by the weights of each mode, and its gradients.

Coefficients are (B, 2, P, C), real and imaginary parts; weights (C_in, C_out, *M, 2), or (C, *M, 2) of layers that keep
the channels apart. Of the M modes of an axis that weights are held for, K are kept: around frequency 0, on the last
axis from 0 on. P is the product of all K.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

__all__ = [
    "as_weight",
    "by_mode",
    "constant_mode",
    "kept_part",
    "like_weight",
    "mix",
    "mix_backward",
    "separable",
    "weight_gradient",
    "widened",
]


def separable(weight: Tensor, kept: Sequence[int]) -> bool:
    """Say whether weights multiply each channel by its own numbers."""
    return weight.ndim == len(kept) + 2


def kept_part(weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the weights of the kept frequencies, a view: (C_in, C_out, *K, 2) or (C, *K, 2)."""
    first = weight.ndim - 1 - len(kept)
    for axis, count in enumerate(kept[:-1], first):
        weight = weight.narrow(axis, weight.shape[axis] // 2 - count // 2, count)
    return weight.narrow(-2, 0, kept[-1])


def by_mode(part: Tensor, axes: int) -> Tensor:
    """Return weights in the order of the product, a view where the memory has it: (P, C_in, 2, C_out) or (2, C, P)."""
    modes = range(part.ndim - 1 - axes, part.ndim - 1)
    last = part.ndim - 1
    if part.ndim == axes + 2:
        return part.permute(last, 0, *modes).flatten(2)
    return part.permute(*modes, 0, last, 1).flatten(0, axes - 1)


def mix(modes: Tensor, weight: Tensor, bias: Tensor | None, kept: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Multiply by the weights and add the bias; return the product (B, 2, P, C_out), and what the weights need."""
    mixed, saved = _mix(modes, by_mode(kept_part(weight, kept), len(kept)))
    if bias is not None:
        mixed[:, 0, constant_mode(kept)] += bias
    return mixed, saved


def mix_backward(grad: Tensor, weight: Tensor, kept: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `mix` with respect to the modes (B, 2, P, C_in) and the bias; what the weights need."""
    below, rows = _mix_backward(grad, by_mode(kept_part(weight, kept), len(kept)))
    return below, grad[:, 0, constant_mode(kept)].sum(0), rows


def weight_gradient(rows: Tensor, saved: Tensor, weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the gradient of `mix` with respect to the weights; best last, as it is the largest of all tensors.

    Args:
        rows: from `mix_backward`.
        saved: from `mix`.
        weight: see `spectral_conv`.
        kept: K of every axis.
    """
    if separable(weight, kept):
        (a, b), (g, h) = saved.unbind(1), rows.unbind(1)
        found = torch.stack(((g * a + h * b).sum(0), (h * a - g * b).sum(0))).mT.contiguous()
    else:
        found = torch.bmm(saved.mT, rows).unflatten(2, (2, -1))
    return widened(as_weight(found, kept), weight, kept)


def widened(found: Tensor, weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the gradient of all weights from that of the kept ones: zero elsewhere."""
    if found.shape == weight.shape:
        return found
    whole = torch.zeros_like(weight)
    kept_part(whole, kept).copy_(found)
    return whole


def like_weight(weight: Tensor, kept: Sequence[int]) -> Tensor:
    """Return an uninitialised gradient of the weights, in the order of memory that `weight_gradient` gives."""
    if kept_part(weight, kept).shape != weight.shape:
        return torch.empty_like(weight)
    dense = weight.ndim == len(kept) + 3
    shape = (prod(kept), weight.shape[0], 2, weight.shape[1]) if dense else (2, weight.shape[0], prod(kept))
    return as_weight(weight.new_empty(shape), kept)


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


def as_weight(by_mode: Tensor, kept: Sequence[int]) -> Tensor:
    """Undo `by_mode`: a view (C_in, C_out, *K, 2) or (C, *K, 2)."""
    axes = len(kept)
    if by_mode.ndim == 3:
        return by_mode.unflatten(2, kept).permute(1, *range(2, axes + 2), 0)
    shaped = by_mode.unflatten(0, kept)
    return shaped.permute(axes, axes + 2, *range(axes), axes + 1)


def constant_mode(kept: Sequence[int]) -> int:
    """Return where the constant stands among the P modes."""
    place = 0
    for count in kept[:-1]:
        place = place * count + count // 2
    return place * kept[-1]
