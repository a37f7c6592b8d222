"""Spectral mixture kernels with all their derivatives by Triton kernels: the twins are in `pdeml_kernels.mixture`.

A program takes a block of lags and goes through the components, with the Taylor coefficients of each in registers (see
`pdeml_kernels.triton_waves`). Every order is stored at once; the backward pass forms them again and adds up, in two
stages of fixed order, the gradients of the parameters. Matrices take the lags from the points of rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from pdeml_kernels.mixture import check_mixture, scaled_sums
from pdeml_kernels.triton_support import Plan, Precision, Span, check_device, launch, operator
from pdeml_kernels.triton_waves import (
    circle,
    cosine_sine,
    envelope,
    factorial,
    in_turns,
    leading,
    matern,
    powers,
    product,
    transposed,
)

__all__ = ["example_plans", "mixture_derivatives_triton", "mixture_matrices_triton"]


@triton.jit
def _lags(left, right, points, columns, BLOCK: tl.constexpr):
    """Return lags, their places in memory, and which of them are there."""
    first = tl.program_id(0).to(tl.int64) * BLOCK
    step = tl.arange(0, BLOCK)
    place = first + step
    ok = place < points
    if right is None:
        z = tl.load(left + place, mask=ok, other=0.0)
    else:
        row = first // columns
        column = (first - row * columns).to(tl.int32) + step
        z = tl.load(left + row + column // columns, mask=ok, other=0.0)
        z -= tl.load(right + column % columns, mask=ok, other=0.0)
    return z, place, ok


@triton.jit
def mixture_kernel(
    left,
    right,
    weights,
    widths,
    frequencies,
    table,
    points,
    columns,
    components,
    COUNT: tl.constexpr,
    MATERN: tl.constexpr,
    CIRCLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """``table[n, z] = Σ_q w_q Re G_q^(n)(z)``, n < COUNT."""
    z, place, ok = _lags(left, right, points, columns, BLOCK)
    wide = tl.cast(points, tl.int64)
    z_head = leading(z)
    totals = ()
    for _ in tl.static_range(COUNT):
        totals = totals + (tl.zeros_like(z),)
    for q in range(components):
        w, k, m = tl.load(weights + q), tl.load(widths + q), tl.load(frequencies + q)
        head, tail = in_turns(m, CIRCLE)
        cosine, sine = cosine_sine(head, tail, z, z_head, CIRCLE)
        cosine *= w
        sine *= w
        e, p = envelope(z, k, COUNT, MATERN), powers(m, COUNT)
        sums = ()
        for n in tl.static_range(COUNT):
            real, imaginary = product(e, p, n)
            sums = sums + (totals[n] + (real * cosine - imaginary * sine),)
        totals = sums
    for n in tl.static_range(COUNT):
        tl.store(table + n * wide + place, factorial(n) * totals[n], mask=ok)


@triton.jit
def _weighed(given, z, e, p, COUNT: tl.constexpr, SLOPE: tl.constexpr):
    """Return ``Σ e_j h_j``, ``Σ e_j h_(j+1)``, ``Σ (z (j + 1) e_(j+1) + j e_j) h_j`` and ``Σ (j + 1) e_(j+1) h_j``."""
    zero = tl.zeros_like(z)
    values, ahead, stretch, slope = (zero, zero), (zero, zero), (zero, zero), (zero, zero)
    for j in tl.static_range(COUNT):
        real, imaginary = transposed(given, p, j, COUNT)
        values = (values[0] + e[j] * real, values[1] + e[j] * imaginary)
        if j > 0:
            ahead = (ahead[0] + e[j - 1] * real, ahead[1] + e[j - 1] * imaginary)
        after = (j + 1) * e[j + 1]
        stretched = z * after + j * e[j]
        stretch = (stretch[0] + stretched * real, stretch[1] + stretched * imaginary)
        if SLOPE:
            slope = (slope[0] + after * real, slope[1] + after * imaginary)
    return values, ahead, stretch, slope


@triton.jit
def mixture_backward_kernel(
    grad,
    left,
    right,
    weights,
    widths,
    frequencies,
    of_lags,
    sums,
    points,
    columns,
    components,
    COUNT: tl.constexpr,
    MATERN: tl.constexpr,
    CIRCLE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of the lags, ``Σ_n grad_n Σ_q w_q Re G_q^(n+1)``, and the block's share of those of the parameters.

    With the coefficients e_j of the envelope, ``g_n = n! grad_n`` and ``h_j = exp(i m z) Σ_n g_n (i m)^(n−j) / (n−j)!``
    a component gives ``w Re Σ e_j h_j``; its derivatives by z, log κ and m are those of e_j and h_j.
    """
    z, place, ok = _lags(left, right, points, columns, BLOCK)
    wide = tl.cast(points, tl.int64)
    z_head = leading(z)
    given = ()
    for n in tl.static_range(COUNT):
        given = given + (factorial(n) * tl.load(grad + n * wide + place, mask=ok, other=0.0),)
    found = tl.zeros_like(z)
    sums += tl.program_id(0).to(tl.int64) * 3 * components
    for q in range(components):
        w, k, m = tl.load(weights + q), tl.load(widths + q), tl.load(frequencies + q)
        head, tail = in_turns(m, CIRCLE)
        cosine, sine = cosine_sine(head, tail, z, z_head, CIRCLE)
        e, p = envelope(z, k, COUNT + 1, MATERN), powers(m, COUNT)
        values, ahead, stretch, slope = _weighed(given, z, e, p, COUNT, of_lags is not None)
        twist = (z * values[0] + ahead[0]) * sine + (z * values[1] + ahead[1]) * cosine
        tl.store(sums + q, tl.sum(values[0] * cosine - values[1] * sine, 0))
        tl.store(sums + components + q, tl.sum(stretch[0] * cosine - stretch[1] * sine, 0))
        tl.store(sums + 2 * components + q, -tl.sum(twist, 0))
        if of_lags is not None:
            found += w * ((slope[0] - m * values[1]) * cosine - (slope[1] + m * values[0]) * sine)
    if of_lags is not None:
        tl.store(of_lags + place, found, mask=ok)


class _Mixture(NamedTuple):
    """Lags, or the points of rows and columns, with the parameters."""

    left: Tensor
    right: Tensor | None
    weights: Tensor
    widths: Tensor
    frequencies: Tensor

    @classmethod
    def of(cls, left: Tensor, right: Tensor | None, *parameters: Tensor) -> _Mixture:
        """Return tensors as the kernels read them: one number after another."""
        right = None if right is None else right.contiguous()
        return cls(left.contiguous(), right, *(tensor.contiguous() for tensor in parameters))

    @property
    def points(self) -> int:
        """Number of lags."""
        return len(self.left) * (1 if self.right is None else len(self.right))

    def arguments(self, count: int, terms: int, nu: float | None) -> dict[str, Any]:
        """Return what both kernels take, for so many derivatives, and terms of the series."""
        columns = 1 if self.right is None else len(self.right)
        sizes = {"points": self.points, "columns": columns, "components": len(self.weights)}
        fixed = {"COUNT": count, "MATERN": matern(nu, terms), "CIRCLE": circle(self.left.dtype)}
        return {**self._asdict(), **sizes, **fixed}

    def key(self, count: int, nu: float | None) -> tuple:
        """Return what the best blocks depend on."""
        sizes = self.points.bit_length(), len(self.weights).bit_length(), count
        return (*sizes, "lags" if self.right is None else "matrix", nu, self.left.dtype)


_THREADS = 128
"""Of a program, as a rule."""


def _lanes(count: int, dtype: torch.dtype) -> int:
    """Return how many lags a thread takes at most, so that what it holds of each fits into its registers."""
    lanes = 4 if count <= 5 else 2
    return lanes // 2 if dtype == torch.float64 else lanes


def mixture_plan(mixture: _Mixture, table: Tensor, nu: float | None) -> Plan:
    """Plan `mixture_kernel`; table is (highest + 1, lags)."""
    count, lanes = len(table), _lanes(len(table), table.dtype)
    size = _THREADS * lanes
    spans = [(size, 4), (2 * size, 4), (2 * size, 8), (size // 2, 4), (size // 2, 2)]
    return Plan(
        mixture_kernel,
        {"table": table, **mixture.arguments(count, count, nu)},
        lambda blocks: triton.cdiv(mixture.points, blocks.size),
        mixture.key(count, nu),
        [Span(*span) for span in spans],
    )


def mixture_backward_plan(
    mixture: _Mixture, grad: Tensor, of_lags: Tensor | None, nu: float | None
) -> tuple[Plan, Tensor]:
    """Plan `mixture_backward_kernel`; return also what takes the sums of each block, (blocks, 3, Q)."""
    count, lanes = len(grad), _lanes(len(grad), grad.dtype)
    size = _THREADS * lanes
    blocks = triton.cdiv(mixture.points, size)
    sums = grad.new_empty(blocks, 3, len(mixture.weights))
    plan = Plan(
        mixture_backward_kernel,
        {"grad": grad, "of_lags": of_lags, "sums": sums, **mixture.arguments(count, count + 1, nu)},
        lambda _: blocks,
        (*mixture.key(count, nu), of_lags is not None),
        [Span(size, warps) for warps in (4, 8, 2)],
    )
    return plan, sums


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Return plans of typical size for the report: Q = 30, 4096² lags. There are no products of matrices."""

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    points, parameters = 4096, (empty(30), empty(30), empty(30))
    matrix, lags = _Mixture(empty(points), empty(points), *parameters), _Mixture(empty(points**2), None, *parameters)
    for nu, highest in ((None, 2), (None, 4), (None, 8), (4.5, 2), (4.5, 4)):
        name = f"mixture to order {highest}, {'Gaussian' if nu is None else f'Matérn {nu}'}"
        table = empty(highest + 1, points**2)
        yield name, mixture_plan(matrix, table, nu)
        yield f"{name}, gradients", mixture_backward_plan(matrix, table, None, nu)[0]
    yield "mixture to order 2, of lags", mixture_plan(lags, empty(3, points**2), None)
    yield (
        "mixture to order 2, of lags, gradients",
        mixture_backward_plan(lags, empty(3, points**2), lags.left, None)[0],
    )


def mixture_derivatives_triton(
    lags: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None = None
) -> Tensor:
    """Do what `mixture_derivatives` does, by Triton kernels.

    Raises:
        ValueError: see there; or no kernel can read the tensors.
    """
    check_mixture(lags, weights, widths, frequencies, highest, nu)
    check_device(lags)
    return _mixture(lags, None, weights, widths, frequencies, highest, nu)


def mixture_matrices_triton(
    x: Tensor, y: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor, highest: int, nu: float | None = None
) -> Tensor:
    """Do what `mixture_matrices` does, by Triton kernels; lags are formed where they are needed and never stored.

    Raises:
        ValueError: see there; or no kernel can read the tensors.
    """
    for points in (x, y):
        check_mixture(points, weights, widths, frequencies, highest, nu)
    check_device(x)
    return _mixture(x, y, weights, widths, frequencies, highest, nu).unflatten(1, (len(x), len(y)))


@operator("triton_mixture")
def _mixture(
    left: Tensor,
    right: Tensor | None,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    highest: int,
    nu: float | None,
) -> Tensor:
    """Return the derivatives (highest + 1, lags) of the lags ``left``, or of ``left_i − right_j``, row by row."""
    mixture = _Mixture.of(left, right, weights, widths, frequencies)
    table = left.new_empty(highest + 1, mixture.points)
    launch(mixture_plan(mixture, table, nu))
    return table


@_mixture.register_fake
def _(
    left: Tensor,
    right: Tensor | None,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    highest: int,
    nu: float | None,
) -> Tensor:
    return left.new_empty(highest + 1, _Mixture(left, right, weights, widths, frequencies).points)


@operator("triton_mixture_backward")
def _mixture_backward(
    grad: Tensor,
    left: Tensor,
    right: Tensor | None,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    nu: float | None,
    of_lags: bool,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the lags, where they are wanted, and of the parameters (3, Q)."""
    mixture = _Mixture.of(left, right, weights, widths, frequencies)
    found = left.new_empty(mixture.points if of_lags else 0)
    plan, sums = mixture_backward_plan(mixture, grad.contiguous(), found if of_lags else None, nu)
    launch(plan)
    return found, scaled_sums(sums.sum(0), weights, widths)


@_mixture_backward.register_fake
def _(
    grad: Tensor,
    left: Tensor,
    right: Tensor | None,
    weights: Tensor,
    widths: Tensor,
    frequencies: Tensor,
    nu: float | None,
    of_lags: bool,
) -> tuple[Tensor, Tensor]:
    points = _Mixture(left, right, weights, widths, frequencies).points
    return left.new_empty(points if of_lags else 0), left.new_empty(3, len(weights))


def _setup(ctx, inputs, output) -> None:
    *tensors, _, ctx.nu = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx, grad: Tensor):
    of_left, of_right = ctx.needs_input_grad[:2]
    left, right, *parameters = ctx.saved_tensors
    found, others = _mixture_backward(grad, left, right, *parameters, ctx.nu, of_left or of_right)
    if right is not None:
        found = found.view(len(left), len(right)) if of_left or of_right else found
        return found.sum(1) if of_left else None, -found.sum(0) if of_right else None, *others, None, None
    return found if of_left else None, None, *others, None, None


_mixture.register_autograd(_gradients, setup_context=_setup)
