"""Weighted sums of squared Fourier modes by a Triton kernel: the twin is `pdeml_kernels.grid.weighted_modes`.

The weights, the sum and what the gradient needs take one pass over the modes; it keeps the weighted modes, whose
inverse transform is the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from pdeml_kernels.grid import weighted_modes
from pdeml_kernels.triton_support import Plan, Precision, Span, check_device, launch, operator, store_sums

__all__ = ["example_plans", "modes_plan", "weighted_modes_triton"]

_CHUNK = 256
"""Modes of a row that are summed together, whatever the block of a program: at most a block."""


@triton.jit
def modes_kernel(modes, weight, sums, kept, points, half, size, CHUNK: tl.constexpr, BLOCK: tl.constexpr):
    """Sums of weight · |mode|² over chunks of each row; ``kept`` takes each mode times the weight of itself alone."""
    tiles = tl.cdiv(points, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    row, tile = program // tiles, (program % tiles).to(tl.int32)
    own = tile * BLOCK + tl.arange(0, BLOCK)
    ok = own < points
    place = 2 * (row * points + own)
    real = tl.load(modes + place, mask=ok, other=0.0)
    imaginary = tl.load(modes + place + 1, mask=ok, other=0.0)
    factor = tl.load(weight + own, mask=ok, other=0.0)
    squares = factor * (real * real + imaginary * imaginary)
    store_sums(sums + row * tl.cdiv(points, CHUNK), squares, tile, points, 1, CHUNK, BLOCK)
    if kept is not None:
        frequency = own % half
        pair = (frequency > 0) & (2 * frequency < size)
        single = tl.where(pair, 0.5 * factor, factor)
        tl.store(kept + place, single * real, mask=ok)
        tl.store(kept + place + 1, single * imaginary, mask=ok)


_SPANS = (Span(512, 4), Span(_CHUNK, 4), Span(1024, 8))


def modes_plan(modes: Tensor, weight: Tensor, sums: Tensor, kept: Tensor | None, size: int) -> Plan:
    """Plan `modes_kernel`.

    Args:
        modes: (rows, *modes, 2), contiguous.
        weight: (*modes), contiguous.
        sums: (rows, chunks), takes the sums of chunks.
        kept: takes the modes times what each counts, or none.
        size: points of the last axis.
    """
    points, half = weight.numel(), weight.shape[-1]
    return Plan(
        modes_kernel,
        {"modes": modes, "weight": weight, "sums": sums, "kept": kept, "points": points,
         "half": half, "size": size, "CHUNK": _CHUNK},
        lambda span: len(modes) * triton.cdiv(points, span.size),
        (len(modes).bit_length(), points.bit_length(), modes.dtype, kept is not None),
        _SPANS,
    )  # fmt: skip


def weighted_modes_triton(values: Tensor, weight: Tensor, axes: int) -> Tensor:
    """Do what `weighted_modes` does, by a Triton kernel after the transform; of 2³⁰ modes and more by the twin.

    Raises:
        ValueError: no kernel can read the tensors.
    """
    if weight.numel() >= 2**30:
        return weighted_modes(values, weight, axes)
    check_device(values)
    differentiate = values.requires_grad and torch.is_grad_enabled()
    return _weighted(values, weight.to(values).contiguous(), axes, differentiate)[0]


@operator("triton_weighted_modes")
def _weighted(values: Tensor, weight: Tensor, axes: int, differentiate: bool) -> tuple[Tensor, Tensor]:
    """Return the sums (B, C) and, if wanted, the modes times what each counts."""
    modes = torch.view_as_real(torch.fft.rfftn(values, dim=_last(values, axes), norm="forward")).contiguous()
    rows = _rows(values, axes)
    sums = values.new_empty(rows, triton.cdiv(weight.numel(), _CHUNK))
    kept = torch.empty_like(modes) if differentiate else None
    launch(modes_plan(modes.view(rows, *weight.shape, 2), weight, sums, kept, values.shape[-1]))
    means = sums.view(*values.shape[:2], -1).sum(2) / _rest(values, axes)
    return means, modes.new_empty(0) if kept is None else kept


@_weighted.register_fake
def _(values: Tensor, weight: Tensor, axes: int, differentiate: bool) -> tuple[Tensor, Tensor]:
    modes = (*values.shape[: values.ndim - axes], *weight.shape, 2) if differentiate else (0,)
    return values.new_empty(values.shape[:2]), values.new_empty(modes)


def _last(values: Tensor, axes: int) -> tuple[int, ...]:
    return tuple(range(values.ndim - axes, values.ndim))


def _rows(values: Tensor, axes: int) -> int:
    return math.prod(values.shape[: values.ndim - axes])


def _rest(values: Tensor, axes: int) -> int:
    """Return over how many points of the axes that are not transformed is averaged."""
    return math.prod(values.shape[2 : values.ndim - axes])


@operator("triton_weighted_modes_backward")
def _weighted_backward(grad: Tensor, modes: Tensor, axes: int, size: int) -> Tensor:
    """Return the gradient of the values: the weighted modes, transformed back."""
    shape = (*modes.shape[-axes - 1 : -2], size)
    factor = 2 / (math.prod(shape) * math.prod(modes.shape[2 : -axes - 1]))
    scaled = modes * (grad * factor).view(*grad.shape, *(1,) * (modes.ndim - 2))
    dims = tuple(range(-axes, 0))
    return torch.fft.irfftn(torch.view_as_complex(scaled), s=shape, dim=dims, norm="forward")


@_weighted_backward.register_fake
def _(grad: Tensor, modes: Tensor, axes: int, size: int) -> Tensor:
    return modes.new_empty(*modes.shape[:-2], size)


def _setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(output[1])
    ctx.axes, ctx.size = inputs[2], inputs[0].shape[-1]
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _gradient(ctx, grad: Tensor | None, _: Tensor | None):
    found = None if grad is None else _weighted_backward(grad, *ctx.saved_tensors, ctx.axes, ctx.size)
    return found, None, None, None


_weighted.register_autograd(_gradient, setup_context=_setup)


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Yield the plans of 32 samples on 128 x 128 points."""
    modes = torch.empty(32, 128, 65, 2, dtype=dtype, device="meta")
    weight, sums = modes[0, ..., 0].contiguous(), modes[:, :, 0, 0]
    for kept, name in ((None, "weighted modes"), (torch.empty_like(modes), "weighted modes, for the gradient too")):
        yield name, modes_plan(modes, weight, sums, kept, 128)
