"""Triton kernels of residuals on grids: derivatives by stencils and the equation in registers, and what is transposed.

Grids of fewer axes than three have leading ones of length 1; places in memory are 64-bit. `Plan`s name the shapes.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from pdeml_kernels.grid import Tables
from pdeml_kernels.triton_jets import count, entry
from pdeml_kernels.triton_programs import evaluate
from pdeml_kernels.triton_support import Plan, Span, store_sums

__all__ = ["CHUNK", "Layout", "decoded", "residual_plan", "transpose_plan"]

AXES = 3
CHUNK = 64
"""Points of a sample that are summed together, whatever the block of a program: at most a block."""


class Layout(NamedTuple):
    """What kernels know when they are compiled: nested tuples without names, which generated code can hold."""

    channels: tuple
    """For each the terms (coefficient, field, source or -1, stencil or -1)."""
    stencils: tuple
    """For each (axis, width, width of the transposed stencil)."""
    sources: tuple
    """For each (field, ((axis, number of the matrix), ...))."""
    residual: tuple
    """A `Program`."""
    partials: tuple
    """A `Program`."""
    partial_of: tuple
    """For each partial derivative (residual, channel)."""


@lru_cache(maxsize=256)
def decoded(layout: str, axes: int) -> Layout:
    """Return the layout of a text for grids of so many axes."""
    found = Layout(*_nested(json.loads(layout)))
    return found._replace(stencils=tuple((axis + AXES - axes, *widths) for axis, *widths in found.stencils))


def _nested(values: Any) -> Any:
    return tuple(map(_nested, values)) if isinstance(values, list) else values


@triton.jit
def _places(own, m1, m2, s0, s1, s2):
    """Return the places along the three axes of points of a part with m1, m2 points that starts at s0, s1, s2."""
    return own // (m1 * m2) + s0, own // m2 % m1 + s1, own % m2 + s2


@triton.jit
def _address(places, steps, WITHOUT: tl.constexpr):
    """Return the place in memory, from all axes but one."""
    found = tl.zeros_like(places[2]).to(tl.int64)
    for a in tl.static_range(3):
        if a != WITHOUT:
            found += places[a].to(tl.int64) * steps[a]
    return found


@triton.jit
def _derivative(base, steps, places, sizes, firsts, tables, longest, widest, STENCILS: tl.constexpr, S: tl.constexpr):
    """Return stencil S of what stands at ``base``, at places; of S = -1 the values."""
    if S < 0:
        total = tl.load(base + _address(places, steps, 3))
    else:
        axis: tl.constexpr = entry(STENCILS, S, 0)
        begin = tl.load(firsts + S * longest + places[axis])
        rest = base + _address(places, steps, axis)
        weights = tables + S * widest * longest + places[axis]
        total = tl.zeros(begin.shape, tables.dtype.element_ty)
        for k in tl.static_range(entry(STENCILS, S, 1)):
            at = begin + k
            around = tl.where(at < sizes[axis], at, at - sizes[axis]).to(tl.int64)
            total += tl.load(weights + k * longest) * tl.load(rest + around * steps[axis])
    return total


@triton.jit
def _column(given, COLUMNS: tl.constexpr, J: tl.constexpr, batch, places, batches, sizes):
    """Return column J at places; columns stand one after another, without the axes along which they are constant."""
    counts = (batches, sizes[0], sizes[1], sizes[2])
    begin = batch * 0
    for j in tl.static_range(J):
        length = batch * 0 + 1
        for a in tl.static_range(4):
            if entry(COLUMNS, 4 * j + a):
                length = length * counts[a]
        begin += length
    at = tl.zeros_like(places[2]).to(tl.int64)
    if entry(COLUMNS, 4 * J):
        at += batch
    for a in tl.static_range(3):
        if entry(COLUMNS, 4 * J + 1 + a):
            at = at * sizes[a] + places[a]
    return tl.load(given + begin + at)


@triton.jit
def _term(
    fields, field_steps, extra, extra_steps, places, sizes, firsts, tables, longest, widest,
    LAYOUT: tl.constexpr, K: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """Return term T of channel K at places; the first of the steps go from field to field, from source to source."""
    stencil: tl.constexpr = entry(LAYOUT, 0, K, T, 3)
    if entry(LAYOUT, 0, K, T, 2) < 0:
        base = fields + entry(LAYOUT, 0, K, T, 1) * field_steps[0]
        steps = (field_steps[1], field_steps[2], field_steps[3])
    else:
        base = extra + entry(LAYOUT, 0, K, T, 2) * extra_steps[0]
        steps = (extra_steps[1], extra_steps[2], extra_steps[3])
    value = _derivative(base, steps, places, sizes, firsts, tables, longest, widest, entry(LAYOUT, 1), stencil)
    return entry(LAYOUT, 0, K, T, 0) * value


@triton.jit
def residual_kernel(
    fields, extra, given, firsts, tables, numbers, shares, seeds, values, sums, cotangents,
    batches, points, n0, n1, n2, s0, s1, s2, m1, m2, longest, widest, f_batch, f_field, f_0, f_1, f_2,
    LAYOUT: tl.constexpr, COLUMNS: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """At points of the part the scaled residuals e = R/s, from derivatives of the fields and from columns.

    What is given of ``values`` and ``sums`` takes e and the sums of e² over chunks of points. ``cotangents`` takes for
    each channel c ``Σ_m seed_m ∂R_m/∂c / s_m``, where the seeds are given, or else weight · share · e.
    """
    rows: tl.constexpr = count(LAYOUT, 3, 3)
    channels: tl.constexpr = count(LAYOUT, 0)
    tiles = tl.cdiv(points, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    batch = program // tiles
    tile = (program % tiles).to(tl.int32)
    own = tile * BLOCK + tl.arange(0, BLOCK)
    ok = own < points
    # Behind the end the last point is computed again: every place in memory exists, and no value is invented.
    inside = tl.minimum(own, points - 1)
    places, sizes = _places(inside, m1, m2, s0, s1, s2), (n0, n1, n2)
    whole = tl.cast(n0, tl.int64) * n1 * n2
    field_steps = (tl.cast(f_field, tl.int64), f_0, f_1, f_2)
    extra_steps = (whole, n1 * n2, n2, 1)
    fields += batch * f_batch
    if count(LAYOUT, 2) > 0:
        extra += batch * count(LAYOUT, 2) * whole

    registers = ()
    for j in tl.static_range(count(COLUMNS) // 4):
        registers = registers + (_column(given, COLUMNS, j, batch, places, batches, sizes),)
    for k in tl.static_range(channels):
        total = tl.zeros(own.shape, tables.dtype.element_ty)
        for t in tl.static_range(count(LAYOUT, 0, k)):
            total += _term(
                fields, field_steps, extra, extra_steps, places, sizes, firsts, tables, longest, widest, LAYOUT, k, t
            )
        registers = registers + (total,)

    found = evaluate(entry(LAYOUT, 3), registers)
    share = tl.full(own.shape, 1.0, tables.dtype.element_ty)
    if shares is not None:
        share = tl.load(shares + inside)
    counts = ok & (share != 0)
    seed = ()
    for m in tl.static_range(rows):
        scale = tl.load(numbers + m)
        scaled = found[m] / scale
        place = (batch * rows + m) * points + own
        if values is not None:
            tl.store(values + place, scaled, mask=ok)
        if sums is not None:
            squares = tl.where(counts, share * scaled * scaled, 0.0)
            store_sums(sums + batch * tl.cdiv(points, CHUNK) * rows + m, squares, tile, points, rows, CHUNK, BLOCK)
        if seeds is not None:
            seed = seed + (tl.load(seeds + place, mask=ok, other=0.0) / scale,)
        else:
            seed = seed + (tl.load(numbers + rows + m) * share * scaled / scale,)
    if cotangents is not None:
        slopes = evaluate(entry(LAYOUT, 4), registers)
        for k in tl.static_range(channels):
            total = tl.zeros(own.shape, tables.dtype.element_ty)
            for p in tl.static_range(count(LAYOUT, 5)):
                if entry(LAYOUT, 5, p, 1) == k:
                    total += seed[entry(LAYOUT, 5, p, 0)] * slopes[p]
            place = (batch * channels + k) * points + own
            tl.store(cotangents + place, tl.where(counts, total, 0.0), mask=ok)


@triton.jit
def _gathered(
    cotangents, places, starts, parts, sizes, firsts, tables, longest, widest, STENCILS: tl.constexpr, S: tl.constexpr
):
    """Return what the points of the part hand to ``places`` of the whole grid, by the transposed stencil S."""
    steps = (parts[1] * parts[2], parts[2], 1)
    shifted = (places[0] - starts[0], places[1] - starts[1], places[2] - starts[2])
    axis: tl.constexpr = entry(STENCILS, S, 0) if S >= 0 else 3
    inside = places[2] >= 0
    for a in tl.static_range(3):
        if a != axis:
            inside = inside & (shifted[a] >= 0) & (shifted[a] < parts[a])
    rest = cotangents + _address(shifted, steps, axis)
    if S < 0:
        total = tl.load(rest, mask=inside, other=0.0)
    else:
        begin = tl.load(firsts + S * longest + places[axis])
        weights = tables + S * widest * longest + places[axis]
        total = tl.zeros(begin.shape, tables.dtype.element_ty)
        for k in tl.static_range(entry(STENCILS, S, 2)):
            at = begin + k
            around = tl.where(at < sizes[axis], at, at - sizes[axis]) - starts[axis]
            there = inside & (around >= 0) & (around < parts[axis])
            value = tl.load(rest + around.to(tl.int64) * steps[axis], mask=there, other=0.0)
            total += tl.load(weights + k * longest) * value
    return total


@triton.jit
def _target(LAYOUT: tl.constexpr, K: tl.constexpr, T: tl.constexpr, fields):
    """Return what a term reads: the number of a field, or behind all fields that of a source."""
    if entry(LAYOUT, 0, K, T, 2) < 0:
        found = fields * 0 + entry(LAYOUT, 0, K, T, 1)
    else:
        found = fields + entry(LAYOUT, 0, K, T, 2)
    return found


@triton.jit
def transpose_kernel(
    cotangents, factor, firsts, tables, grad, extra,
    fields, points, n0, n1, n2, s0, s1, s2, m0, m1, m2, longest, widest,
    LAYOUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """At points of the whole grid the cotangents of one field, or of one source: sums over all terms that read it.

    Programs of a sample are those of its fields, then of its sources; ``factor`` multiplies everything.
    """
    channels: tl.constexpr = count(LAYOUT, 0)
    sources: tl.constexpr = count(LAYOUT, 2)
    tiles = tl.cdiv(points, BLOCK)
    program = tl.program_id(0).to(tl.int64)
    number = program // tiles % (fields + sources)
    batch = program // tiles // (fields + sources)
    own = (program % tiles).to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    ok = own < points
    places = _places(tl.minimum(own, points - 1), n1, n2, 0, 0, 0)
    starts, parts, sizes = (s0, s1, s2), (m0, m1, m2), (n0, n1, n2)
    part = tl.cast(m0, tl.int64) * m1 * m2
    cotangents += batch * channels * part
    total = tl.zeros(own.shape, tables.dtype.element_ty)
    for k in tl.static_range(channels):
        for t in tl.static_range(count(LAYOUT, 0, k)):
            if number == _target(LAYOUT, k, t, fields):
                total += entry(LAYOUT, 0, k, t, 0) * _gathered(
                    cotangents + k * part, places, starts, parts, sizes, firsts, tables, longest, widest,
                    entry(LAYOUT, 1), entry(LAYOUT, 0, k, t, 3),
                )  # fmt: skip
    if factor is not None:
        total *= tl.load(factor)
    if sources == 0 or number < fields:
        tl.store(grad + (batch * fields + number) * points + own, total, mask=ok)
    else:
        tl.store(extra + (batch * sources + number - fields) * points + own, total, mask=ok)


_SPANS = (Span(256, 4), Span(128, 4), Span(512, 8), Span(CHUNK, 2))


def _three(values: Sequence[int], before: int) -> tuple[int, ...]:
    """Return numbers of three axes, with ``before`` for the axes that are not there."""
    return (*(before,) * (AXES - len(values)), *values)


def _frame(n: Sequence[int], where: Sequence[int]) -> dict[str, int]:
    """Return the sizes of a grid along three axes, and starts and sizes of its part."""
    ends = list(zip(where[::2], where[1::2], strict=True))
    axes = _three(n, 1), _three([start for start, _ in ends], 0), _three([stop - start for start, stop in ends], 1)
    return {f"{name}{axis}": value for name, own in zip("nsm", axes, strict=True) for axis, value in enumerate(own)}


def residual_plan(
    fields: Tensor, extra: Tensor | None, given: Tensor, columns: Sequence[int], tables: Tables, where: Sequence[int],
    layout: str, **taken: Tensor,
) -> Plan:  # fmt: skip
    """Plan `residual_kernel`.

    Args:
        fields: (B, C, *n), in any order of memory.
        extra: (B, E, *n) contiguous; none without sources.
        given: the columns, flat.
        columns: of each whether it has the samples and the three axes of the grid, four numbers.
        tables: of the residual.
        where: start and stop along each axis.
        layout: of the residual.
        taken: those that are there of seeds and values (B, M, *m), sums (B · chunks, M) and cotangents (B, K, *m).
    """
    frame, (_, _, widest, longest) = _frame(fields.shape[2:], where), tables.weights.shape
    points = frame.pop("m0") * frame["m1"] * frame["m2"]
    outer = dict.fromkeys(("seeds", "values", "sums", "cotangents")) | taken
    named = {"fields": fields, "extra": extra, "given": given, "firsts": tables.firsts[0], "tables": tables.weights[0]}
    named |= {"numbers": tables.numbers, "shares": tables.shares, **outer}
    sizes = {"batches": len(fields), "points": points, **frame, "longest": longest, "widest": widest}
    steps = dict(zip(("f_0", "f_1", "f_2"), _three(fields.stride()[2:], 0), strict=True))
    steps |= {"f_batch": fields.stride(0), "f_field": fields.stride(1)}
    known = {"LAYOUT": tuple(decoded(layout, fields.ndim - 2)), "COLUMNS": tuple(columns), "CHUNK": CHUNK}
    return Plan(
        residual_kernel,
        {**named, **sizes, **steps, **known},
        lambda span: len(fields) * triton.cdiv(points, span.size),
        (zlib.crc32(layout.encode()), (len(fields) * points).bit_length(), fields.dtype, *sorted(taken)),
        _SPANS,
    )


def transpose_plan(
    cotangents: Tensor, factor: Tensor | None, tables: Tables, grad: Tensor, extra: Tensor | None,
    where: Sequence[int], layout: str,
) -> Plan:  # fmt: skip
    """Plan `transpose_kernel`.

    Args:
        cotangents: (B, K, *m).
        factor: 0-d.
        tables: of the residual.
        grad: (B, C, *n), takes those of the fields.
        extra: (B, E, *n), takes those of the sources; none without them.
        where: start and stop along each axis.
        layout: of the residual.
    """
    frame, (_, _, widest, longest) = _frame(grad.shape[2:], where), tables.weights.shape
    points, known = math.prod(grad.shape[2:]), decoded(layout, grad.ndim - 2)
    groups = len(grad) * (grad.shape[1] + len(known.sources))
    named = {"cotangents": cotangents, "factor": factor, "firsts": tables.firsts[1], "tables": tables.weights[1]}
    sizes = {"fields": grad.shape[1], "points": points, **frame, "longest": longest, "widest": widest}
    return Plan(
        transpose_kernel,
        {**named, "grad": grad, "extra": extra, **sizes, "LAYOUT": tuple(known)},
        lambda span: groups * triton.cdiv(points, span.size),
        (zlib.crc32(layout.encode()), (groups * points).bit_length(), grad.dtype),
        _SPANS,
    )
