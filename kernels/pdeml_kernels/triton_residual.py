"""Residuals of equations at points by one Triton kernel: rows, their partial derivatives, the loss and its gradients.

A program of the kernel takes a block of points, reads of the jets what occurs, and runs the formulas of the residuals
and of their partial derivatives in registers; what they share is computed once. The loss is summed chunk by chunk, then
over the chunks, with equal blocks always in the same order. Places in memory are 64-bit. See `pdeml_kernels.residual`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from pdeml_kernels.bench.equations import EQUATIONS
from pdeml_kernels.residual import check, decoded
from pdeml_kernels.triton_programs import count, entry, evaluate, refusal
from pdeml_kernels.triton_support import Plan, Precision, Span, check_device, launch, operator, store_sums

__all__ = [
    "example_plans",
    "residual_linearised_triton",
    "residual_loss_triton",
    "residual_plan",
    "residual_rows_triton",
    "why_not",
]

_CHUNK = 128
"""Points that are summed together, whatever the block of a program: at most a block."""

_CANDIDATES = (Span(_CHUNK, 4), Span(256, 4), Span(256, 8), Span(512, 8))


@triton.jit
def residual_kernel(
    jets,
    learned,
    columns,
    roots,
    factors,
    towards,
    rows,
    by_jets,
    by_learned,
    gradient,
    sums,
    points,
    j_channel,
    j_point,
    j_unknown,
    c_column,
    c_point,
    C: tl.constexpr,
    K: tl.constexpr,
    U: tl.constexpr,
    SLOTS: tl.constexpr,
    RESIDUAL: tl.constexpr,
    PARTIALS: tl.constexpr,
    PLACES: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store what of these is not none.

    rows (M, N); by_jets (M, K, N, U) and by_learned (M, N, L), their partial derivatives; gradient (K, N, U), those of
    ``Σ towards · rows``, where by default towards are the rows themselves, so that it is that of ½ Σ rows²; sums
    (·, 1 + L), of each chunk of points ½ Σ rows² (where towards is none) and the derivatives by learned parameters.
    ``PLACES[m][i]`` is the number of the derivative of residual m by learned parameter i, and from L on by channel k of
    unknown u at ``i = L + k U + u``; -1 where it is zero.
    """
    wide = tl.cast(points, tl.int64)
    block = tl.program_id(0).to(tl.int64)
    n = block * BLOCK + tl.arange(0, BLOCK)
    ok = n < points
    # Behind the last point it is computed again: formulas need not give numbers anywhere else.
    at = tl.minimum(n, wide - 1)
    M: tl.constexpr = count(PLACES)
    L: tl.constexpr = count(PLACES, 0) - K * U
    root = tl.load(roots + at)
    inputs = ()
    for c in tl.static_range(C):
        inputs += (tl.load(columns + c * tl.cast(c_column, tl.int64) + at * c_point),)
    for i in tl.static_range(L):
        inputs += (tl.full(root.shape, 0.0, root.dtype) + tl.load(learned + i),)
    for s in tl.static_range(count(SLOTS)):
        place = entry(SLOTS, s, 0) * tl.cast(j_channel, tl.int64) + at * j_point + entry(SLOTS, s, 1) * j_unknown
        inputs += (tl.load(jets + place),)

    outputs = evaluate(RESIDUAL, inputs)
    half = tl.zeros_like(root)
    shares = ()
    pulls = ()
    for m in tl.static_range(M):
        share = root * tl.load(factors + m)
        row = outputs[m] * share
        if rows is not None:
            tl.store(rows + m * wide + n, row, mask=ok)
        half += 0.5 * row * row
        towards_row = row if towards is None else tl.load(towards + m * wide + at)
        shares += (share,)
        pulls += (towards_row * share,)
    if sums is not None and towards is None:
        store_sums(sums, half, block, points, 1 + L, CHUNK, BLOCK)

    partials = evaluate(PARTIALS, inputs)
    for i in tl.static_range(L + K * U):
        place = ((i - L) // U * wide + n) * U + (i - L) % U
        total = tl.zeros_like(root)
        for m in tl.static_range(M):
            slope = tl.zeros_like(root)
            if entry(PLACES, m, i) >= 0:
                slope = partials[entry(PLACES, m, i)]
                total += slope * pulls[m]
            if by_jets is not None:
                if i < L:
                    tl.store(by_learned + (m * wide + n) * L + i, slope * shares[m], mask=ok)
                else:
                    tl.store(by_jets + m * K * U * wide + place, slope * shares[m], mask=ok)
        if gradient is not None:
            if i < L:
                store_sums(sums + 1 + i, total, block, points, 1 + L, CHUNK, BLOCK)
            else:
                tl.store(gradient + place, total, mask=ok)


@lru_cache(maxsize=1024)
def _tables(program: str, channels: int, unknowns: int) -> dict:
    """Return the constants of the kernel."""
    parts = decoded(program)
    width = parts.learned + channels * unknowns
    places = [[-1] * width for _ in parts.residual.outputs]
    for number, (m, v) in enumerate(parts.partial_of):
        channel, unknown = (0, v - parts.learned) if v < parts.learned else parts.slots[v - parts.learned]
        places[m][parts.learned + channel * unknowns + unknown] = number
    return {
        "C": parts.columns,
        "K": channels,
        "U": unknowns,
        "SLOTS": parts.slots,
        "RESIDUAL": tuple(parts.residual),
        "PARTIALS": tuple(parts.partials),
        "PLACES": tuple(map(tuple, places)),
        "CHUNK": _CHUNK,
    }


def residual_plan(given: Sequence[Tensor], program: str, outputs: dict[str, Tensor | None]) -> Plan:
    """Plan `residual_kernel`.

    Args:
        given: jets, learned, columns, roots, factors; all of one dimension are contiguous.
        program: a `ResidualProgram`, encoded.
        outputs: what it stores, and ``towards``, by name; what is missing is none.
    """
    jets, learned, columns, roots, factors = given
    (channels, points, unknowns), tables = jets.shape, _tables(program, jets.shape[0], jets.shape[2])
    names = ("towards", "rows", "by_jets", "by_learned", "gradient", "sums")
    tensors = {"jets": jets, "learned": learned, "columns": columns, "roots": roots, "factors": factors}
    steps = dict(zip(("j_channel", "j_point", "j_unknown"), jets.stride(), strict=True))
    steps |= dict(zip(("c_column", "c_point"), columns.stride(), strict=True))
    identity = hashlib.sha256(program.encode()).hexdigest()[:12]
    return Plan(
        residual_kernel,
        {**tensors, **{name: outputs.get(name) for name in names}, "points": points, **steps, **tables},
        lambda span: triton.cdiv(points, span.size),
        (identity, channels, unknowns, points.bit_length(), jets.dtype, *sorted(outputs)),
        _CANDIDATES,
    )


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Return the plans of the residuals of three equations at 65,536 points; no products depend on the precision."""
    points = 65536

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    for equation in EQUATIONS:
        parts, learned = equation.program, empty(0)
        jets, factors = empty(len(equation.chain) + 1, points, equation.unknowns), empty(len(parts.residual.outputs))
        given = jets, learned, empty(parts.columns, points), empty(points), factors
        names = ("rows", "by_jets", "by_learned")
        linearised = dict(zip(names, _empty_linearised(jets, learned, factors), strict=True))
        loss = {"gradient": jets, "sums": _sums(jets, learned)}
        yield f"loss of {equation.name}", residual_plan(given, parts.encoded(), loss)
        yield f"partial derivatives of {equation.name}", residual_plan(given, parts.encoded(), linearised)


def why_not(program: str) -> str | None:
    """Say why the kernel cannot run a program; none if it can."""
    parts = decoded(program)
    if not parts.residual.inputs:
        return "the formulas have no inputs"
    return refusal(parts.residual, parts.partials)


def residual_rows_triton(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> Tensor:
    """Do what `residual_rows` does, by Triton; gradients reach jets and learned parameters alone.

    Raises:
        ValueError: shapes do not fit together, types differ, the formulas are too long, or no kernel can read the
            tensors.
    """
    return _rows(jets, learned, columns, roots, factors, program)


def residual_linearised_triton(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `residual_linearised` does, by Triton and without gradients; errors are those of the rows."""
    return _linearised(jets, learned, columns, roots, factors, program)


def residual_loss_triton(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `residual_loss` does, by Triton in one pass; gradients and errors are those of the rows."""
    return _loss(jets, learned, columns, roots, factors, program)


def _launch(given: Sequence[Tensor], program: str, outputs: dict[str, Tensor]) -> None:
    jets, learned, columns, roots, factors = given
    plain = learned.contiguous(), columns, roots.contiguous(), factors.contiguous()
    launch(residual_plan((jets, *plain), program, outputs))


def _refuse(given: Sequence[Tensor], program: str) -> None:
    """Refuse what the kernel cannot do. Operators do so themselves, where compilers do not look."""
    check(*given, program)
    check_device(given[0])
    reason = why_not(program)
    if reason is not None:
        raise ValueError(f"no kernel for this residual: {reason}")


def _sums(jets: Tensor, learned: Tensor) -> Tensor:
    """Return memory for the sums of each chunk of points."""
    return jets.new_empty(triton.cdiv(jets.shape[1], _CHUNK), 1 + len(learned))


@operator("triton_residual_rows")
def _rows(jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str) -> Tensor:
    given = jets, learned, columns, roots, factors
    _refuse(given, program)
    rows = jets.new_empty(len(factors), len(roots))
    _launch(given, program, {"rows": rows})
    return rows


@_rows.register_fake
def _(jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str) -> Tensor:
    return jets.new_empty(len(factors), len(roots))


@operator("triton_residual_pullback")
def _pullback(
    towards: Tensor, jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``Σ towards · rows``."""
    gradient, sums = jets.new_empty(jets.shape), _sums(jets, learned)
    outputs = {"towards": towards.contiguous(), "gradient": gradient, "sums": sums}
    _launch((jets, learned, columns, roots, factors), program, outputs)
    return gradient, sums[:, 1:].sum(0)


@_pullback.register_fake
def _(
    towards: Tensor, jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor]:
    return jets.new_empty(jets.shape), learned.new_empty(learned.shape)


@operator("triton_residual_linearised")
def _linearised(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    given = jets, learned, columns, roots, factors
    _refuse(given, program)
    found = _empty_linearised(jets, learned, factors)
    names = ("rows", "by_jets", "by_learned")
    _launch(given, program, dict(zip(names, found, strict=True)))
    return found


@_linearised.register_fake
def _(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_linearised(jets, learned, factors)


def _empty_linearised(jets: Tensor, learned: Tensor, factors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    residuals, points = len(factors), jets.shape[1]
    return (
        jets.new_empty(residuals, points),
        jets.new_empty(residuals, *jets.shape),
        jets.new_empty(residuals, points, len(learned)),
    )


@operator("triton_residual_loss")
def _loss(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    given = jets, learned, columns, roots, factors
    _refuse(given, program)
    gradient, sums = jets.new_empty(jets.shape), _sums(jets, learned)
    _launch(given, program, {"gradient": gradient, "sums": sums})
    total = sums.sum(0)
    return total[0].clone(), gradient, total[1:].clone()


@_loss.register_fake
def _(
    jets: Tensor, learned: Tensor, columns: Tensor, roots: Tensor, factors: Tensor, program: str
) -> tuple[Tensor, Tensor, Tensor]:
    return jets.new_empty(()), jets.new_empty(jets.shape), learned.new_empty(learned.shape)


def _rows_setup(ctx, inputs, output) -> None:
    *tensors, ctx.program = inputs
    ctx.save_for_backward(*tensors)


def _rows_gradients(ctx, towards: Tensor):
    return *_pullback(towards, *ctx.saved_tensors, ctx.program), None, None, None, None


def _loss_setup(ctx, inputs, output) -> None:
    ctx.save_for_backward(*output[1:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _loss_gradients(ctx, towards: Tensor | None, *_: None):
    found = [None, None] if towards is None else [towards * gradient for gradient in ctx.saved_tensors]
    return *found, None, None, None, None


_rows.register_autograd(_rows_gradients, setup_context=_rows_setup)
_loss.register_autograd(_loss_gradients, setup_context=_loss_setup)
