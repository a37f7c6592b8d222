"""Triton kernels of the spectral convolution: a matrix along an axis, complex products, sums over points.

Blocks are masked at their ends; places in memory are 64-bit. Each kernel adds in a fixed order, so that equal inputs
give equal bits. Fields and weights may be in any floating type: sums, matrices and coefficients are in float32, or in
float64 where the fields are. `Plan`s of the kernels name their shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional

from pdeml_kernels.triton_support import Blocks, Plan, Precision, accumulator, power

__all__ = ["example_plans", "gram_plan", "padded", "product_plan", "transform_plan"]


@triton.jit
def _gelu(u):
    """Φ(u) u."""
    return 0.5 * u * (1 + tl.erf(u * 0.7071067811865476))


@triton.jit
def _gelu_slope(u):
    """Φ(u) + u φ(u)."""
    return 0.5 * (1 + tl.erf(u * 0.7071067811865476)) + u * tl.exp(-0.5 * u * u) * 0.3989422804014327


@triton.jit
def _tile(rows, columns, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    """Return which of all products this program works on, the rows and columns of its block, and which there are."""
    tiles_m, tiles_n = tl.cdiv(rows, BLOCK_M), tl.cdiv(columns, BLOCK_N)
    program = tl.program_id(0)
    row = ((program % tiles_m) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    column = ((program // tiles_m % tiles_n) * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    group = (program // (tiles_m * tiles_n)).to(tl.int64)
    return group, row, column, (row < rows)[:, None], (column < columns)[None, :]


@triton.jit
def transform_kernel(
    x,
    matrix,
    y,
    v,
    skip,
    bias,
    grad,
    lines,
    inner,
    rows,
    columns,
    channels,
    x_batch,
    x_line,
    x_inner,
    x_column,
    m_row,
    m_inner,
    y_batch,
    y_line,
    y_row,
    y_column,
    v_batch,
    v_line,
    v_row,
    v_channel,
    s_column,
    s_channel,
    ACTIVATION: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """For each sample and line y[m, r] = ρ( Σ_k matrix[m, k] x[k, r] + Σ_c v[m, c] skip[r, c] + bias[r] ).

    ρ is the identity, GELU, or the product of ``grad`` and the slope of GELU; skip and bias may be none.
    """
    kind: tl.constexpr = matrix.dtype.element_ty
    group, row, column, row_ok, column_ok = _tile(rows, columns, BLOCK_M, BLOCK_N)
    batch, line = group // lines, group % lines

    x += batch * x_batch + line * x_line
    total = tl.zeros((BLOCK_M, BLOCK_N), kind)
    for start in range(0, inner, BLOCK_K):
        k = (start + tl.arange(0, BLOCK_K)).to(tl.int64)
        # Padded, so that 16 bytes at a time are known to be inside.
        held = (row < (rows + 15) // 16 * 16)[:, None] & (k < (inner + 15) // 16 * 16)[None, :]
        left = tl.load(matrix + row[:, None] * m_row + k[None, :] * m_inner, mask=held, other=0.0)
        right = tl.load(
            x + k[:, None] * x_inner + column[None, :] * x_column, mask=(k < inner)[:, None] & column_ok, other=0.0
        ).to(kind)
        total = tl.dot(left, right, total, input_precision=PRECISION, out_dtype=kind)

    if skip is not None:
        v += batch * v_batch + line * v_line
        for start in range(0, channels, BLOCK_K):
            c = (start + tl.arange(0, BLOCK_K)).to(tl.int64)
            left = tl.load(
                v + row[:, None] * v_row + c[None, :] * v_channel, mask=row_ok & (c < channels)[None, :], other=0.0
            ).to(kind)
            right = tl.load(
                skip + c[:, None] * s_channel + column[None, :] * s_column,
                mask=(c < channels)[:, None] & column_ok,
                other=0.0,
            ).to(kind)
            total = tl.dot(left, right, total, input_precision=PRECISION, out_dtype=kind)
    if bias is not None:
        total += tl.load(bias + column, mask=column < columns, other=0.0).to(kind)[None, :]

    place = batch * y_batch + line * y_line + row[:, None] * y_row + column[None, :] * y_column
    if ACTIVATION == "gelu":
        total = _gelu(total)
    elif ACTIVATION == "slope":
        total = tl.load(grad + place, mask=row_ok & column_ok, other=0.0).to(kind) * _gelu_slope(total)
    tl.store(y + place, total.to(y.dtype.element_ty), mask=row_ok & column_ok)


@triton.jit
def product_kernel(
    a,
    b,
    y,
    rows,
    inner,
    columns,
    a_mode,
    a_part,
    a_row,
    a_inner,
    b_mode,
    b_part,
    b_inner,
    b_column,
    y_mode,
    y_part,
    y_row,
    y_column,
    CONJUGATE: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """For each mode the complex product y = a b, with the first or the second factor conjugate, or neither."""
    kind: tl.constexpr = a.dtype.element_ty
    mode, row, column, row_ok, column_ok = _tile(rows, columns, BLOCK_M, BLOCK_N)

    real = tl.zeros((BLOCK_M, BLOCK_N), kind)
    imaginary = tl.zeros((BLOCK_M, BLOCK_N), kind)
    # One part of a at a time, real and imaginary in turn: half the registers of all four products at once.
    of_real: tl.constexpr = -1.0 if CONJUGATE == "none" else 1.0
    of_p: tl.constexpr = -1.0 if CONJUGATE == "second" else 1.0
    of_q: tl.constexpr = -1.0 if CONJUGATE == "first" else 1.0
    for step in range(0, 2 * tl.cdiv(inner, BLOCK_K)):
        part = step % 2
        k = (step // 2 * BLOCK_K + tl.arange(0, BLOCK_K)).to(tl.int64)
        of_a = a + mode * a_mode + part * a_part + row[:, None] * a_row + k[None, :] * a_inner
        of_b = b + mode * b_mode + k[:, None] * b_inner + column[None, :] * b_column
        b_ok = (k < inner)[:, None] & column_ok
        p = tl.load(of_a, mask=row_ok & (k < inner)[None, :], other=0.0)
        same = tl.load(of_b + part * b_part, mask=b_ok, other=0.0).to(kind)
        other = tl.load(of_b + (1 - part) * b_part, mask=b_ok, other=0.0).to(kind)
        same *= tl.where(part == 0, 1.0, of_real).to(kind)
        other *= tl.where(part == 0, of_p, of_q).to(kind)
        real = tl.dot(p, same, real, input_precision=PRECISION, out_dtype=kind)
        imaginary = tl.dot(p, other, imaginary, input_precision=PRECISION, out_dtype=kind)
    place = y + mode * y_mode + row[:, None] * y_row + column[None, :] * y_column
    tl.store(place, real.to(y.dtype.element_ty), mask=row_ok & column_ok)
    tl.store(place + y_part, imaginary.to(y.dtype.element_ty), mask=row_ok & column_ok)


@triton.jit
def gram_kernel(
    a,
    b,
    y,
    points,
    chunk,
    chunks,
    rows,
    columns,
    a_batch,
    a_point,
    a_row,
    b_batch,
    b_point,
    b_column,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """For each chunk of the points of a sample y[m, n] = Σ a[point, m] b[point, n]; y is (B·chunks, rows, columns)."""
    kind: tl.constexpr = y.dtype.element_ty
    part, row, column, row_ok, column_ok = _tile(rows, columns, BLOCK_M, BLOCK_N)
    a += part // chunks * a_batch
    b += part // chunks * b_batch
    first = part % chunks * chunk
    total = tl.zeros((BLOCK_M, BLOCK_N), kind)
    for start in range(0, chunk, BLOCK_K):
        k = first + start + tl.arange(0, BLOCK_K)
        ok = k < points
        left = tl.load(a + row[:, None] * a_row + k[None, :] * a_point, mask=row_ok & ok[None, :], other=0.0)
        right = tl.load(b + k[:, None] * b_point + column[None, :] * b_column, mask=ok[:, None] & column_ok, other=0.0)
        total = tl.dot(left.to(kind), right.to(kind), total, input_precision=PRECISION, out_dtype=kind)
    tl.store(y + (part * rows + row[:, None]) * columns + column[None, :], total, mask=row_ok & column_ok)


def _tiles(rows: int, columns: int, blocks: Blocks) -> int:
    return triton.cdiv(rows, blocks.m) * triton.cdiv(columns, blocks.n)


@lru_cache(maxsize=1024)
def _candidates(rows: int, columns: int, inner: int, complex_sums: bool = False, step: int = 32) -> tuple[Blocks, ...]:
    """Return blocks that hold short axes whole; complex sums take two accumulators and four factors."""
    m, n, k = power(rows, most=64 if complex_sums else 128), power(columns, most=64), power(inner, most=step)
    sums = m * n * (2 if complex_sums else 1)
    warps, half, stages = 8 if sums > 4096 else 4, 8 if sums > 8192 else 4, 2 if complex_sums else 3
    found = [Blocks(m, n, k, warps, stages)]
    # Half the rows; half the columns; a longer step; a deeper pipeline.
    found += [Blocks(m // 2, n, k, half, 3)] if m > 16 else []
    found += [Blocks(m, n // 2, k, half, 3)] if n > 16 else []
    found += [Blocks(m, n, 2 * k, 8, 2)] if inner > k else []
    return (*found, Blocks(m, n, k, warps, 4))


def _bucket(*sizes: int) -> tuple[int, ...]:
    """Return the sizes as powers of two: plans of similar sizes share their blocks."""
    return tuple(size.bit_length() for size in sizes)


def _steps(prefix: str, names: str, steps: Sequence[int]) -> dict[str, int]:
    """Return steps of memory by the names of the arguments that take them."""
    return {f"{prefix}_{name}": step for name, step in zip(names.split(), steps, strict=True)}


def padded(matrix: Tensor) -> Tensor:
    """Copy a matrix into memory with zeros up to multiples of 16 along both axes, which `transform_kernel` reads."""
    rows, columns = (triton.cdiv(size, 16) * 16 for size in matrix.shape)
    return functional.pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))


def transform_plan(
    x: Tensor,
    x_steps: Sequence[int],
    matrix: Tensor,
    y: Tensor,
    y_steps: Sequence[int],
    shape: Sequence[int],
    precision: Precision,
    *,
    v: Tensor | None = None,
    v_steps: Sequence[int] = (0, 0, 0, 0),
    skip: Tensor | None = None,
    bias: Tensor | None = None,
    grad: Tensor | None = None,
    activation: str = "none",
) -> Plan:
    """Plan `transform_kernel`.

    Args:
        x: fields or coefficients.
        x_steps: of memory, along (B, L, K, R).
        matrix: (M, K), a view of what `padded` returns, or its transpose.
        y: takes the result.
        y_steps: along (B, L, M, R); also those of grad.
        shape: B, L, R.
        precision: of products.
        v: fields for the skip.
        v_steps: along (B, L, M, C).
        skip: (R, C).
        bias: (R,).
        grad: for the activation ``slope``.
        activation: none, gelu or slope.
    """
    (batch, lines, columns), (rows, inner) = shape, matrix.shape
    channels = 0 if skip is None else skip.shape[1]
    named = {"x": x, "matrix": matrix, "y": y, "v": v, "skip": skip, "bias": bias, "grad": grad}
    sizes = {"lines": lines, "inner": inner, "rows": rows, "columns": columns, "channels": channels}
    steps = _steps("x", "batch line inner column", x_steps)
    steps |= _steps("m", "row inner", matrix.stride())
    steps |= _steps("y", "batch line row column", y_steps)
    steps |= _steps("v", "batch line row channel", v_steps)
    steps |= _steps("s", "column channel", (0, 0) if skip is None else skip.stride())
    key = _bucket(batch * lines, rows, inner, columns, channels)
    order = "first" if x_steps[2] == 1 else "last"
    return Plan(
        transform_kernel,
        {**named, **sizes, **steps, "ACTIVATION": activation, "PRECISION": precision},
        lambda blocks: batch * lines * _tiles(rows, columns, blocks),
        (*key, order, x.dtype, precision, activation),
        _candidates(rows, columns, max(inner, channels)),
    )


def product_plan(a: Tensor, b: Tensor, y: Tensor, conjugate: str, precision: Precision) -> Plan:
    """Plan `product_kernel`, for views a (P, 2, M, K), b (P, 2, K, N) and y (P, 2, M, N)."""
    (modes, _, rows, inner), columns = a.shape, b.shape[-1]
    steps = _steps("a", "mode part row inner", a.stride())
    steps |= _steps("b", "mode part inner column", b.stride())
    steps |= _steps("y", "mode part row column", y.stride())
    sizes = {"rows": rows, "inner": inner, "columns": columns}
    return Plan(
        product_kernel,
        {"a": a, "b": b, "y": y, **sizes, **steps, "CONJUGATE": conjugate, "PRECISION": precision},
        lambda blocks: modes * _tiles(rows, columns, blocks),
        (*_bucket(modes, rows, inner, columns), b.dtype, precision, conjugate),
        # Without tensor cores a step is unrolled whole: longer ones run out of registers.
        _candidates(rows, columns, inner, complex_sums=True, step=16 if precision == "ieee" else 32),
    )


def gram_plan(
    a: Tensor, a_steps: Sequence[int], b: Tensor, b_steps: Sequence[int], y: Tensor, points: int, chunk: int,
    precision: Precision,
) -> Plan:  # fmt: skip
    """Plan `gram_kernel`; steps of memory are along (B, points, channels), y is (B·chunks, M, N).

    A chunk is a multiple of every block of points: a power of two from 64.
    """
    parts, rows, columns = y.shape
    steps = _steps("a", "batch point row", a_steps)
    steps |= _steps("b", "batch point column", b_steps)
    sizes = {"points": points, "chunk": chunk, "chunks": triton.cdiv(points, chunk), "rows": rows, "columns": columns}
    return Plan(
        gram_kernel,
        {"a": a, "b": b, "y": y, **sizes, **steps, "PRECISION": precision},
        lambda blocks: parts * _tiles(rows, columns, blocks),
        (*_bucket(parts, chunk, rows, columns), a.dtype, precision),
        _candidates(rows, columns, chunk),
    )


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Return the plans of a Fourier layer in two dimensions, B = 32, C = 64, n = 128², 32 modes, and of odd sizes."""
    yield from _layer_plans(32, 64, 128, 32, dtype, precision)
    for name, plan in _layer_plans(3, 5, 37, 7, dtype, precision):
        yield f"{name}, odd sizes", plan


def _layer_plans(
    batch: int, channels: int, n: int, modes: int, dtype: torch.dtype, precision: Precision
) -> Iterator[tuple[str, Plan]]:
    """Return the plans of a layer with n points along both axes, forward and backward; channels last in memory."""

    def empty(*shape: int, kind: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=kind or accumulator(dtype), device="meta")

    def matrix(rows: int, columns: int) -> Tensor:
        return padded(empty(rows, columns))[:rows, :columns]

    kept, count = modes // 2 + 1, modes * (modes // 2 + 1)
    field = empty(batch, channels, n, n, kind=dtype)
    steps = (n * n * channels, n * channels, channels, 1)
    lines, pairs = empty(batch, n, 2 * kept, channels), (n * 2 * kept * channels, 2 * kept * channels, channels, 1)
    basis, shape = matrix(n, 2 * kept), (batch, n, channels)
    yield "last axis, forward", transform_plan(field, steps, basis.T, lines, pairs, shape, precision)
    rest = kept * channels
    found, leading = empty(batch, 2 * modes, rest), matrix(2 * modes, 2 * n)
    there, back, columns = (2 * n * rest, 0, rest, 1), (2 * modes * rest, 0, rest, 1), (batch, 1, rest)
    yield "leading axis, forward", transform_plan(lines, there, leading, found, back, columns, precision)
    yield "leading axis, inverse", transform_plan(found, back, leading.T, lines, there, columns, precision)
    more = {"v": field, "v_steps": steps, "skip": empty(channels, channels, kind=dtype), "bias": field[0, :, 0, 0]}
    inverse = lines, pairs, basis, field, steps, shape, precision
    yield "last axis, inverse", transform_plan(*inverse)
    yield "last axis, inverse + skip + GELU", transform_plan(*inverse, **more, activation="gelu")
    yield "last axis, inverse, slope of GELU", transform_plan(*inverse, **more, grad=field, activation="slope")
    modes_first = empty(batch, 2, count, channels).permute(2, 1, 0, 3)
    weight = empty(count, channels, 2, channels, kind=dtype).permute(0, 2, 1, 3)
    yield "channels by weights", product_plan(modes_first, weight, modes_first, "none", precision)
    yield "channels by weights, gradient", product_plan(modes_first, weight.mT, modes_first, "second", precision)
    yield "gradient of weights", product_plan(modes_first.mT, modes_first, weight, "first", precision)
    point, parts = (steps[0], channels, 1), triton.cdiv(n * n, 512)
    sums = empty(batch * parts, channels, channels)
    yield "gradient of skip", gram_plan(field, point, field, point, sums, n * n, 512, precision)
