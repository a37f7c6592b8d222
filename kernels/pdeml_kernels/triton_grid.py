"""Residuals of equations on grids by Triton kernels: the twins are in `pdeml_kernels.grid`.

One kernel reads fields and columns once, takes the derivatives by stencils, runs the equation in registers, adds up
squares and stores the cotangent of each derivative, in the same pass. Another takes the cotangents back to the fields:
each point gathers through the transposed stencils, so that nothing is added atomically. Products with dense matrices
(spectral derivatives) are matrix products before the first and after the second. Sums are in two stages of fixed order.

Shapes: B (samples), C (fields), n (points along each axis), m (those of the part that counts), E (sources: fields
multiplied by dense matrices), K (channels), M (residuals).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import triton
from torch import Tensor

from pdeml_kernels.grid import (
    GridResidual,
    Stencil,
    Tables,
    Term,
    along,
    check_fields,
    grid_residual,
    grid_residual_values,
)
from pdeml_kernels.programs import Program
from pdeml_kernels.triton_programs import refusal
from pdeml_kernels.triton_stencils import CHUNK, decoded, residual_plan, transpose_plan
from pdeml_kernels.triton_support import Plan, Precision, check_device, launch, operator

__all__ = ["example_plans", "grid_residual_triton", "grid_residual_values_triton"]


def grid_residual_triton(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> tuple[Tensor, Tensor]:
    """Do what `grid_residual` does, by Triton kernels; gradients flow to the fields alone.

    The twin computes what no kernel can: programs that are too long, samples of 2³⁰ points and more.

    Raises:
        ValueError: as `grid_residual`; or a column requires a gradient, or no kernel can read the tensors.
    """
    if not _fits(plan):
        return grid_residual(fields, given, plan)
    differentiate = fields.requires_grad and torch.is_grad_enabled()
    total, means, _ = _residual(*_prepared(fields, given, plan), differentiate)
    return total, means


def grid_residual_values_triton(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> Tensor:
    """Do what `grid_residual_values` does, by Triton kernels, as `grid_residual_triton`.

    Raises:
        ValueError: as `grid_residual_triton`.
    """
    if not _fits(plan):
        return grid_residual_values(fields, given, plan)
    return _values(*_prepared(fields, given, plan))


def _fits(plan: GridResidual) -> bool:
    return refusal(plan.residual, plan.partials) is None and math.prod(plan.n) < 2**30


def _prepared(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> tuple:
    """Return the arguments of the operators, in the order of `_residual`."""
    check_fields(fields, given, plan)
    check_device(fields)
    if torch.is_grad_enabled() and any(column.requires_grad for column in given):
        raise ValueError("a column requires a gradient: the kernels give that of the fields alone")
    wide = [column.reshape(*(1,) * (fields.ndim - 1 - column.ndim), *column.shape) for column in given]
    flat = torch.cat([column.to(fields).flatten() for column in wide]) if wide else fields.new_empty(0)
    leading = [0] * (5 - fields.ndim)
    columns = [flag for c in wide for flag in (int(c.shape[0] > 1), *leading, *(int(s > 1) for s in c.shape[1:]))]
    where = [place for ends in plan.where for place in ends]
    return fields, flat, columns, *plan.tables(fields), where, plan.layout


def _sources(fields: Tensor, matrices: Tensor, layout: str) -> Tensor | None:
    """Return what dense matrices make of fields, (B, E, *n)."""
    found = [
        _multiplied(fields[:, number], factors, matrices)
        for number, factors in decoded(layout, fields.ndim - 2).sources
    ]
    return torch.stack(found, 1) if found else None


def _multiplied(values: Tensor, factors: Sequence[tuple[int, int]], matrices: Tensor) -> Tensor:
    """Multiply values (B, *n) by matrices along axes."""
    for axis, number in factors:
        n = values.shape[axis + 1]
        values = along(values, matrices[number, :n, :n], axis + 1)
    return values


def _parts(where: Sequence[int]) -> list[int]:
    return [stop - start for start, stop in zip(where[::2], where[1::2], strict=True)]


@operator("triton_grid_residual")
def _residual(
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    shares: Tensor | None,
    where: list[int],
    layout: str,
    differentiate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum, the mean squares and, if wanted, what `_transposed` takes back to the gradient."""
    tables, rows = Tables(matrices, firsts, weights, numbers, shares), numbers.shape[1]
    cotangents = _empty_cotangents(fields, where, layout, differentiate)
    sums = fields.new_empty(len(fields) * triton.cdiv(math.prod(_parts(where)), CHUNK), rows)
    extra = _sources(fields, matrices, layout)
    taken = {"sums": sums, "cotangents": cotangents} if differentiate else {"sums": sums}
    launch(residual_plan(fields, extra, given, columns, tables, where, layout, **taken))
    means = sums.sum(0) / _count(fields, where, shares)
    return (means * numbers[1]).sum(), means, cotangents


@_residual.register_fake
def _(
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    shares: Tensor | None,
    where: list[int],
    layout: str,
    differentiate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    cotangents = _empty_cotangents(fields, where, layout, differentiate)
    return fields.new_empty(()), fields.new_empty(numbers.shape[1]), cotangents


def _empty_cotangents(fields: Tensor, where: Sequence[int], layout: str, wanted: bool = True) -> Tensor:
    channels = len(decoded(layout, fields.ndim - 2).channels)
    return fields.new_empty(len(fields), channels, *_parts(where)) if wanted else fields.new_empty(0)


def _count(fields: Tensor, where: Sequence[int], shares: Tensor | None) -> int:
    """Return what sums of squares are divided by; of no samples by one."""
    return max(len(fields), 1) * (math.prod(_parts(where)) if shares is None else 1)


def _residual_setup(ctx, inputs, output) -> None:
    fields, _, _, matrices, firsts, weights, _, shares, ctx.where, ctx.layout, _ = inputs
    ctx.shape, ctx.count = list(fields.shape), _count(fields, ctx.where, shares)
    ctx.save_for_backward(output[2], firsts, weights, matrices)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _residual_gradient(ctx, grad: Tensor | None, *_: Tensor | None):
    if grad is None:
        return (None,) * 11
    cotangents, firsts, weights, matrices = ctx.saved_tensors
    factor = grad * (2 / ctx.count)
    found = _transposed(cotangents, factor, matrices, firsts, weights, ctx.where, ctx.shape, ctx.layout)
    return found, *(None,) * 10


_residual.register_autograd(_residual_gradient, setup_context=_residual_setup)


@operator("triton_grid_residual_values")
def _values(
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    shares: Tensor | None,
    where: list[int],
    layout: str,
) -> Tensor:
    """Return the scaled residuals, (B, M, *m)."""
    values = fields.new_empty(len(fields), numbers.shape[1], *_parts(where))
    tables, extra = Tables(matrices, firsts, weights, numbers, None), _sources(fields, matrices, layout)
    launch(residual_plan(fields, extra, given, columns, tables, where, layout, values=values))
    return values


@_values.register_fake
def _(
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    shares: Tensor | None,
    where: list[int],
    layout: str,
) -> Tensor:
    return fields.new_empty(len(fields), numbers.shape[1], *_parts(where))


@operator("triton_grid_residual_values_backward")
def _values_backward(
    seeds: Tensor,
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    where: list[int],
    layout: str,
) -> Tensor:
    """Return the gradient of the fields from that of the scaled residuals; the residuals are computed again."""
    tables, extra = Tables(matrices, firsts, weights, numbers, None), _sources(fields, matrices, layout)
    cotangents = _empty_cotangents(fields, where, layout)
    taken = {"seeds": seeds.contiguous(), "cotangents": cotangents}
    launch(residual_plan(fields, extra, given, columns, tables, where, layout, **taken))
    return _taken_back(cotangents, None, tables, where, fields.shape, layout)


@_values_backward.register_fake
def _(
    seeds: Tensor,
    fields: Tensor,
    given: Tensor,
    columns: list[int],
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    numbers: Tensor,
    where: list[int],
    layout: str,
) -> Tensor:
    return fields.new_empty(fields.shape)


def _values_setup(ctx, inputs, output) -> None:
    fields, given, ctx.columns, matrices, firsts, weights, numbers, _, ctx.where, ctx.layout = inputs
    ctx.save_for_backward(fields, given, firsts, weights, numbers, matrices)


def _values_gradient(ctx, grad: Tensor):
    fields, given, firsts, weights, numbers, matrices = ctx.saved_tensors
    tables = matrices, firsts, weights, numbers
    return _values_backward(grad, fields, given, ctx.columns, *tables, ctx.where, ctx.layout), *(None,) * 9


_values.register_autograd(_values_gradient, setup_context=_values_setup)


def _taken_back(
    cotangents: Tensor, factor: Tensor | None, tables: Tables, where: Sequence[int], shape: Sequence[int], layout: str
) -> Tensor:
    """Return the gradient (B, C, *n) of fields of a shape from the cotangents (B, K, *m) of the channels."""
    grad, sources = cotangents.new_empty(shape), decoded(layout, len(shape) - 2).sources
    extra = cotangents.new_empty(shape[0], len(sources), *shape[2:]) if sources else None
    launch(transpose_plan(cotangents, factor, tables, grad, extra, where, layout))
    for number, (field, factors) in enumerate(sources):
        grad[:, field] += _multiplied(extra[:, number], factors, tables.matrices.mT)
    return grad


@operator("triton_grid_transposed")
def _transposed(
    cotangents: Tensor,
    factor: Tensor,
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    where: list[int],
    shape: list[int],
    layout: str,
) -> Tensor:
    """Return the gradient of fields of a shape from the cotangents of the channels, times a factor."""
    return _taken_back(cotangents, factor, Tables(matrices, firsts, weights, factor, None), where, shape, layout)


@_transposed.register_fake
def _(
    cotangents: Tensor,
    factor: Tensor,
    matrices: Tensor,
    firsts: Tensor,
    weights: Tensor,
    where: list[int],
    shape: list[int],
    layout: str,
) -> Tensor:
    return cotangents.new_empty(shape)


def _examples() -> Iterator[tuple[str, GridResidual, list[int]]]:
    """Yield names, residuals, columns: Burgers' equation in t (differences) and x (spectral), Darcy's in the plane."""
    n, term, whole = 128, Term(1.0, 0), ((0, 128), (0, 128))
    first = (torch.arange(n) - 2).clamp(0, n - 5)
    leading, last = (Stencil(axis, first, torch.ones(n, 5)) for axis in (0, 1))
    of = (0, 0), (0, 1), (0, 2), (0, 3)
    # Of u, u_t, u_x, u_xx: u_t + u u_x - 0.01 u_xx, and the partial derivatives u_x, 1, u, -0.01.
    code = ("mul", 0, 2), ("add", 1, 5), ("mul", 3, 4), ("sub", 6, 7)
    programs = Program(4, (0.01,), code, (8,)), Program(4, (1.0, -0.01), (), (2, 4, 0, 5))
    derivatives = term, term._replace(stencil=0), term._replace(matrices=(0,)), term._replace(matrices=(1,))
    channels = tuple((own,) for own in derivatives)
    spectral = (1, torch.eye(n)), (1, torch.eye(n))
    burgers = GridResidual((n, n), channels, *programs, of, (1.0,), (1.0,), whole, spectral, (leading,))
    yield "Burgers on a grid", burgers, []
    # Of columns f, a, a_x, a_y and channels Δu, u_x, u_y: f + a Δu + a_x u_x + a_y u_y.
    code = ("mul", 1, 4), ("mul", 2, 5), ("mul", 3, 6), ("add", 0, 7), ("add", 10, 8), ("add", 11, 9)
    programs = Program(7, (), code, (12,)), Program(7, (), (), (1, 2, 3))
    u_x, u_y, u_xx, u_yy = (term._replace(stencil=number) for number in range(4))
    channels, stencils = ((u_xx, u_yy), (u_x,), (u_y,)), (leading, last) * 2
    darcy = GridResidual((n, n), channels, *programs, of[:3], (1.0,), (1.0,), whole, (), stencils)
    yield "Darcy on a grid", darcy, [1, 0, 1, 1] * 4


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Yield the plans of typical residuals: 32 samples on 128 x 128 points, stencils of five points."""
    for name, residual, columns in _examples():
        fields = torch.empty(32, 1, *residual.n, dtype=dtype, device="meta")
        sources = len(residual.sources)
        extra = fields.new_empty(32, sources, *residual.n) if sources else None
        where, layout, tables = [0, 128, 0, 128], residual.layout, residual.tables(fields)
        cotangents, others = _empty_cotangents(fields, where, layout), fields.new_empty(4 * 32 * 128**2)
        forward = fields, extra, others, columns, tables, where, layout
        yield f"{name}: mean square and cotangents", residual_plan(*forward, sums=others, cotangents=cotangents)
        yield f"{name}: values", residual_plan(*forward, values=others)
        yield f"{name}: cotangents of values", residual_plan(*forward, seeds=others, cotangents=cotangents)
        yield f"{name}: gradient", transpose_plan(cotangents, others[0], tables, fields, extra, where, layout)
