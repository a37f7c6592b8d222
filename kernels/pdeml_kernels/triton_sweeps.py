"""Sweeps of jets through a network in Triton kernels: forward, and forward and back with derivatives by parameters.

A program takes a block of points at a time through all layers. What it holds of a layer, K tiles for a chunk of units,
stays in registers from the products of matrices through the chain rule; between layers it lies in memory of the
program's own, some hundred kilobytes that stay in the caches. The reverse sweep goes forward first and keeps the jets
before each activation there.
"""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl

from pdeml_kernels.triton_jets import combined, count, derivatives

__all__ = ["forward_kernel", "reverse_kernel"]


class Rows(NamedTuple):
    """Where the K channels of a block of points are: numbers of a row lie one after the other.

    ``held`` says which rows there are; none for a program's own memory, where all can be read, and columns that a layer
    does not have hold zeros, as every activation maps 0 to 0.
    """

    start: tl.tensor
    channel: tl.tensor
    step: tl.tensor
    row: tl.tensor
    held: tl.tensor | None


@triton.jit
def _tile(rows, k, column, COLUMNS: tl.constexpr):
    """Return columns of channel k, zero where there are none."""
    place = rows.start + k * rows.channel + rows.row[:, None] * rows.step + column[None, :]
    if rows.held is None:
        found = tl.load(place)
    else:
        found = tl.load(place, mask=rows.held[:, None] & (column < COLUMNS)[None, :], other=0.0)
    return found


@triton.constexpr_function
def _whole(size, block):
    return size % block == 0


@triton.jit
def _weights(place, i, j, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Return a tile of a matrix at places, zero beyond its ends."""
    if _whole(ROWS, i.shape[0]) and _whole(COLUMNS, j.shape[0]):
        found = tl.load(place)
    else:
        found = tl.load(place, mask=(i < ROWS)[:, None] & (j < COLUMNS)[None, :], other=0.0)
    return found


@triton.jit
def _products(
    left, right, right_inner, right_column, column,
    INNER: tl.constexpr, COLUMNS: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the K tiles Σ_i left[k, row, i] right[i, column]."""
    kind: tl.constexpr = right.dtype.element_ty
    totals = ()
    for _ in tl.static_range(K):
        totals = totals + (tl.zeros((left.row.shape[0], column.shape[0]), kind),)
    for first in range(0, INNER, BLOCK):
        i = first + tl.arange(0, BLOCK)
        held = _weights(right + i[:, None] * right_inner + column[None, :] * right_column, i, column, INNER, COLUMNS)
        found = ()
        for k in tl.static_range(K):
            tile = _tile(left, k, i, INNER)
            found = found + (tl.dot(tile, held, totals[k], input_precision=PRECISION, out_dtype=kind),)
        totals = found
    return totals


@triton.jit
def _keep(rows, k, column, tile):
    tl.store(rows.start + k * rows.channel + rows.row[:, None] * rows.step + column[None, :], tile)


@triton.jit
def _own(scratch, number, CHANNELS: tl.constexpr, HELD: tl.constexpr, BLOCK_M: tl.constexpr):
    """Return one of the jets in the memory of a program."""
    start = scratch + number * (CHANNELS * BLOCK_M * HELD)
    return Rows(start, BLOCK_M * HELD, HELD, tl.arange(0, BLOCK_M), None)


@triton.jit
def _hidden(
    entering, layer, before, after, INNER: tl.constexpr,
    RULE: tl.constexpr, ACTIVATION: tl.constexpr, POLYNOMIALS: tl.constexpr, ORDER: tl.constexpr, KEEP: tl.constexpr,
    WIDTH: tl.constexpr, HELD: tl.constexpr, PRECISION: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Take a jet through a hidden layer; what stands before the activation is kept if that is wanted."""
    K: tl.constexpr = count(RULE)
    for first in range(0, HELD, BLOCK_N):
        unit = first + tl.arange(0, BLOCK_N)
        z = _products(entering, layer, 1, INNER, unit, INNER, WIDTH, K, PRECISION, BLOCK_K)
        bias = tl.load(layer + WIDTH * INNER + unit, mask=unit < WIDTH, other=0.0)
        z = (z[0] + bias[None, :],) + z[1:]
        slopes = derivatives(z[0], ACTIVATION, POLYNOMIALS, ORDER)
        for k in tl.static_range(K):
            if KEEP:
                _keep(before, k, unit, z[k])
            _keep(after, k, unit, combined(RULE, k, slopes, z))
    tl.debug_barrier()


@triton.jit
def forward_kernel(
    theta, inputs, out, scratch, points, depth,
    RULE: tl.constexpr, ACTIVATION: tl.constexpr, POLYNOMIALS: tl.constexpr, ORDER: tl.constexpr,
    FEATURES: tl.constexpr, WIDTH: tl.constexpr, HELD: tl.constexpr, OUTPUTS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_F: tl.constexpr, BLOCK_U: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Return the jet ``out`` (K, N, U) of the outputs for ``inputs`` (K, N, F)."""
    K: tl.constexpr = count(RULE)
    scratch += tl.program_id(0).to(tl.int64) * (2 * K * BLOCK_M * HELD)
    channel = tl.full((), points, tl.int64)
    for block in range(tl.program_id(0), tl.cdiv(points, BLOCK_M), tl.num_programs(0)):
        row = tl.full((), block, tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
        first = Rows(inputs, channel * FEATURES, FEATURES, row, row < points)
        target = _own(scratch, 0, K, HELD, BLOCK_M)
        _hidden(
            first, theta, target, target, FEATURES, RULE, ACTIVATION, POLYNOMIALS, ORDER, False,
            WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_F,
        )  # fmt: skip
        layer = theta + WIDTH * FEATURES + WIDTH
        for number in range(depth - 1):
            entering = _own(scratch, number % 2, K, HELD, BLOCK_M)
            after = _own(scratch, (number + 1) % 2, K, HELD, BLOCK_M)
            _hidden(
                entering, layer, after, after, WIDTH, RULE, ACTIVATION, POLYNOMIALS, ORDER, False,
                WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_K,
            )  # fmt: skip
            layer += WIDTH * WIDTH + WIDTH
        last = _own(scratch, (depth - 1) % 2, K, HELD, BLOCK_M)
        for start in range(0, OUTPUTS, BLOCK_U):
            unit = start + tl.arange(0, BLOCK_U)
            found = _products(last, layer, 1, WIDTH, unit, WIDTH, OUTPUTS, K, PRECISION, BLOCK_K)
            bias = tl.load(layer + OUTPUTS * WIDTH + unit, mask=unit < OUTPUTS, other=0.0)
            found = (found[0] + bias[None, :],) + found[1:]
            for k in tl.static_range(K):
                place = (k * channel + row[:, None]) * OUTPUTS + unit[None, :]
                tl.store(out + place, found[k], mask=(row < points)[:, None] & (unit < OUTPUTS)[None, :])
        tl.debug_barrier()


@triton.jit
def _below(
    above, layer, before, entering, adjoint, INNER: tl.constexpr,
    RULE: tl.constexpr, TRANSPOSED: tl.constexpr, ACTIVATION: tl.constexpr, POLYNOMIALS: tl.constexpr,
    ORDER: tl.constexpr, WIDTH: tl.constexpr, HELD: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Take the cotangents above a layer down through it and the activation below; form again what entered the layer."""
    K: tl.constexpr = count(RULE)
    for first in range(0, HELD, BLOCK_N):
        unit = first + tl.arange(0, BLOCK_N)
        of_h = _products(above, layer, WIDTH, 1, unit, INNER, WIDTH, K, PRECISION, BLOCK_K)
        z = ()
        for k in tl.static_range(K):
            z = z + (_tile(before, k, unit, HELD),)
        slopes = derivatives(z[0], ACTIVATION, POLYNOMIALS, ORDER + 1)
        for k in tl.static_range(K):
            _keep(entering, k, unit, combined(RULE, k, slopes, z))
            _keep(adjoint, k, unit, combined(TRANSPOSED, k, slopes, z + of_h))
    tl.debug_barrier()


@triton.jit
def _sums(
    above, entering, out, begun, ROWS: tl.constexpr, COLUMNS: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_I: tl.constexpr, BLOCK_J: tl.constexpr,
):  # fmt: skip
    """Add Σ_kn above[k, n, i] entering[k, n, j], the gradient of a layer, to ``out``; behind it that of the bias.

    What stands there counts only if the sums have begun.
    """
    kind: tl.constexpr = out.dtype.element_ty
    for first in range(0, ROWS, BLOCK_I):
        i = first + tl.arange(0, BLOCK_I)
        for start in range(0, COLUMNS, BLOCK_J):
            j = start + tl.arange(0, BLOCK_J)
            ok = (i < ROWS)[:, None] & (j < COLUMNS)[None, :]
            place = out + i[:, None] * COLUMNS + j[None, :]
            total = tl.load(place, mask=ok & begun, other=0.0)
            for k in range(K):
                left, right = tl.trans(_tile(above, k, i, ROWS)), _tile(entering, k, j, COLUMNS)
                total = tl.dot(left, right, total, input_precision=PRECISION, out_dtype=kind)
            tl.store(place, total, mask=ok)
        bias = out + ROWS * COLUMNS + i
        total = tl.load(bias, mask=(i < ROWS) & begun, other=0.0) + tl.sum(_tile(above, 0, i, ROWS), 0)
        tl.store(bias, total, mask=i < ROWS)


@triton.jit
def _outer(
    above, entering, out, step, row, held, ROWS: tl.constexpr, COLUMNS: tl.constexpr, K: tl.constexpr,
    BLOCK_I: tl.constexpr, BLOCK_J: tl.constexpr,
):  # fmt: skip
    """Write Σ_k above[k, n, i] entering[k, n, j] of each point; behind it the derivatives by the bias."""
    place = out + row[:, None] * step
    for start in range(0, COLUMNS, BLOCK_J):
        j = start + tl.arange(0, BLOCK_J)
        tiles = ()
        for k in tl.static_range(K):
            tiles = tiles + (_tile(entering, k, j, COLUMNS),)
        for i in range(ROWS):
            total = tl.zeros_like(tiles[0])
            for k in tl.static_range(K):
                one = tl.load(above.start + k * above.channel + above.row * above.step + i, mask=held, other=0.0)
                total += one[:, None] * tiles[k]
            tl.store(place + (i * COLUMNS + j[None, :]), total, mask=held[:, None] & (j < COLUMNS)[None, :])
    for start in range(0, ROWS, BLOCK_I):
        i = start + tl.arange(0, BLOCK_I)
        found = _tile(above, 0, i, ROWS)
        tl.store(place + (ROWS * COLUMNS + i[None, :]), found, mask=held[:, None] & (i < ROWS)[None, :])


@triton.jit
def _parameters(
    above, entering, out, step, row, held, begun, JACOBIAN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    K: tl.constexpr, PRECISION: tl.constexpr, BLOCK_I: tl.constexpr, BLOCK_J: tl.constexpr,
):  # fmt: skip
    """Differentiate by the parameters of a layer: for each point, or added to the sums of the program."""
    if JACOBIAN:
        _outer(above, entering, out, step, row, held, ROWS, COLUMNS, K, BLOCK_I, BLOCK_J)
    else:
        _sums(above, entering, out, begun, ROWS, COLUMNS, K, PRECISION, BLOCK_I, BLOCK_J)
    tl.debug_barrier()


@triton.jit
def reverse_kernel(
    adjoint, theta, inputs, out, of_inputs, scratch, points, depth, step,
    JACOBIAN: tl.constexpr, RULE: tl.constexpr, TRANSPOSED: tl.constexpr, ACTIVATION: tl.constexpr,
    POLYNOMIALS: tl.constexpr, ORDER: tl.constexpr, FEATURES: tl.constexpr, WIDTH: tl.constexpr, HELD: tl.constexpr,
    OUTPUTS: tl.constexpr, PRECISION: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_U: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Differentiate Σ adjoint · jet by the parameters: ``out`` holds a row for each point, or sums for each program.

    In memory of the program's own lie the jets before each activation, the jet that enters a layer, and cotangents
    above and below it.
    """
    K: tl.constexpr = count(RULE)
    scratch += tl.program_id(0).to(tl.int64) * ((depth + 3) * (K * BLOCK_M * HELD))
    channel = tl.full((), points, tl.int64)
    if not JACOBIAN:
        out += tl.program_id(0).to(tl.int64) * step
    for block in range(tl.program_id(0), tl.cdiv(points, BLOCK_M), tl.num_programs(0)):
        row = tl.full((), block, tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
        held, begun = row < points, tl.full((), block, tl.int64) != tl.program_id(0)
        first = Rows(inputs, channel * FEATURES, FEATURES, row, held)
        _hidden(
            first, theta, _own(scratch, 0, K, HELD, BLOCK_M), _own(scratch, depth, K, HELD, BLOCK_M),
            FEATURES, RULE, ACTIVATION, POLYNOMIALS, ORDER, True, WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_F,
        )  # fmt: skip
        layer = WIDTH * FEATURES + WIDTH
        for number in range(depth - 1):
            entering = _own(scratch, depth + number % 2, K, HELD, BLOCK_M)
            after = _own(scratch, depth + (number + 1) % 2, K, HELD, BLOCK_M)
            _hidden(
                entering, theta + layer, _own(scratch, number + 1, K, HELD, BLOCK_M), after,
                WIDTH, RULE, ACTIVATION, POLYNOMIALS, ORDER, True, WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_K,
            )  # fmt: skip
            layer += WIDTH * WIDTH + WIDTH

        last = Rows(adjoint, channel * OUTPUTS, OUTPUTS, row, held)
        entered = _own(scratch, depth, K, HELD, BLOCK_M)
        lower = _own(scratch, depth + 1, K, HELD, BLOCK_M)
        _below(
            last, theta + layer, _own(scratch, depth - 1, K, HELD, BLOCK_M), entered, lower,
            OUTPUTS, RULE, TRANSPOSED, ACTIVATION, POLYNOMIALS, ORDER, WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_U,
        )  # fmt: skip
        _parameters(
            last, entered, out + layer, step, row, held, begun, JACOBIAN, OUTPUTS, WIDTH, K, PRECISION, BLOCK_U, BLOCK_N
        )
        for number in range(depth - 1):
            layer -= WIDTH * WIDTH + WIDTH
            upper = _own(scratch, depth + 1 + number % 2, K, HELD, BLOCK_M)
            below = _own(scratch, depth + 1 + (number + 1) % 2, K, HELD, BLOCK_M)
            _below(
                upper, theta + layer, _own(scratch, depth - 2 - number, K, HELD, BLOCK_M), entered, below,
                WIDTH, RULE, TRANSPOSED, ACTIVATION, POLYNOMIALS, ORDER, WIDTH, HELD, PRECISION, BLOCK_N, BLOCK_K,
            )  # fmt: skip
            _parameters(
                upper, entered, out + layer, step, row, held, begun, JACOBIAN, WIDTH, WIDTH, K, PRECISION,
                BLOCK_K, BLOCK_N,
            )  # fmt: skip
        lowest = _own(scratch, depth + 1 + (depth - 1) % 2, K, HELD, BLOCK_M)
        _parameters(
            lowest, first, out, step, row, held, begun, JACOBIAN, WIDTH, FEATURES, K, PRECISION, BLOCK_K, BLOCK_F
        )
        if of_inputs is not None:
            for start in range(0, FEATURES, BLOCK_F):
                feature = start + tl.arange(0, BLOCK_F)
                found = _products(lowest, theta, FEATURES, 1, feature, WIDTH, FEATURES, K, PRECISION, BLOCK_K)
                for k in tl.static_range(K):
                    place = of_inputs + (k * channel + row[:, None]) * FEATURES + feature[None, :]
                    tl.store(place, found[k], mask=held[:, None] & (feature < FEATURES)[None, :])
            tl.debug_barrier()
