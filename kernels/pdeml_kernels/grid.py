"""Residuals of equations on tensor grids: derivatives of fields, the equation, its weighted mean square.

A derivative is a product with a dense matrix along some axes (spectral) and with a stencil along at most one more
(differences, one-sided at ends or wrapped around); a channel is a sum of derivatives; residuals follow from the
channels and from given columns by a straight-line program. What is here is plain torch, the definition of what
`pdeml_kernels.triton_grid` computes in one pass.

Shapes: B (samples), C (fields), n (points along each axis), m (those of the part that counts), w (width of a stencil),
K (channels), M (residuals).
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pdeml_kernels.constants import kept
from pdeml_kernels.programs import Program, run

__all__ = [
    "GridResidual",
    "Stencil",
    "Term",
    "along",
    "check_fields",
    "grid_residual",
    "grid_residual_values",
    "weighted_modes",
]


@dataclass(frozen=True, eq=False)
class Stencil:
    """Differences along an axis of n points: ``y[i] = Σ_k weights[i, k] u[(first[i] + k) mod n]``.

    Args:
        axis: number of the axis.
        first: (n,) integers from 0 to n - 1.
        weights: (n, w), w ≤ n.

    Raises:
        ValueError: the shapes do not fit, or a place lies outside the axis.
    """

    axis: int
    first: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        size, width = self.weights.shape
        if self.first.shape != (size,) or width > size:
            shapes = tuple(self.first.shape), tuple(self.weights.shape)
            raise ValueError(f"first must be (n,) and weights (n, w) with w <= n, not {shapes[0]} and {shapes[1]}")
        if size and not 0 <= int(self.first.min()) <= int(self.first.max()) < size:
            raise ValueError(f"first must lie between 0 and {size - 1}")

    @cached_property
    def dense(self) -> Tensor:
        """The matrix (n, n)."""
        size, width = self.weights.shape
        columns = (self.first[:, None] + torch.arange(width)) % size
        return self.weights.new_zeros(size, size).scatter_add_(1, columns, self.weights)

    @cached_property
    def transposed(self) -> Stencil:
        """The stencil of the transposed matrix: each point gathers from those whose derivative it enters."""
        size = len(self.weights)
        rows: list[dict[int, float]] = [{} for _ in range(size)]
        places = (self.first[:, None] + torch.arange(self.weights.shape[1])) % size
        for i, (own, weights) in enumerate(zip(places.tolist(), self.weights.tolist(), strict=True)):
            for j, weight in zip(own, weights, strict=True):
                rows[j][i] = weight
        windows = [_window(sorted(row), size) for row in rows]
        weights = self.weights.new_zeros(size, max((width for _, width in windows), default=1))
        for j, (row, (first, _)) in enumerate(zip(rows, windows, strict=True)):
            for i, weight in row.items():
                weights[j, (i - first) % size] = weight
        return Stencil(self.axis, torch.tensor([first for first, _ in windows], dtype=torch.int64), weights)


def _window(places: list[int], size: int) -> tuple[int, int]:
    """Return start and width of the shortest run of points, around the end too, that holds all places."""
    if not places:
        return 0, 1
    gaps = [(after - place) % size or size for place, after in zip(places, places[1:] + places[:1], strict=True)]
    last = max(range(len(gaps)), key=gaps.__getitem__)
    return places[(last + 1) % len(places)], size - gaps[last] + 1


class Term(NamedTuple):
    """``coefficient`` times a derivative of a field.

    Args:
        coefficient: a number.
        field: number of the field.
        matrices: numbers of dense matrices, each along an axis of its own.
        stencil: number of a stencil along another axis; -1: none.
    """

    coefficient: float
    field: int
    matrices: tuple[int, ...] = ()
    stencil: int = -1


class Tables(NamedTuple):
    """The numbers of a `GridResidual` in one precision on one device, filled up with zeros to the longest axis."""

    matrices: Tensor
    """(dense matrices, longest, longest)."""
    firsts: Tensor
    """(2, stencils, longest): of the stencils and of the transposed ones."""
    weights: Tensor
    """(2, stencils, widest, longest)."""
    numbers: Tensor
    """(2, M): scales and weights."""
    shares: Tensor | None


@dataclass(frozen=True, eq=False)
class GridResidual:
    """M residuals R of C fields on a part of a grid, and what their squares count.

    Channel k is the sum of its terms; ``residual`` maps columns and channels to R. The mean square of residual m is the
    mean of ``(R_m / scales[m])²`` over samples and points, in which each point counts by its share. It keeps the tables
    that it makes at the first call in a precision on a device, which neither compilers nor CUDA graphs record.

    Args:
        n: points along each of one to three axes.
        channels: terms of each channel.
        residual: program with M outputs; its inputs are the columns, then the channels.
        partials: program with the same inputs and an output for each non-zero derivative of a residual by a channel.
        partial_of: per output of ``partials``, (residual, channel).
        scales: of the residuals.
        weights: what each mean square is multiplied by in the sum.
        where: (start, stop) along each axis: the part of the grid where residuals are asked for.
        matrices: (axis, (n, n)) dense matrices.
        stencils: differences.
        shares: (*m) weights of the points of the part, that add up to one; none: all count the same.

    Raises:
        ValueError: there are no such axes, or the part has no points.
    """

    n: tuple[int, ...]
    channels: tuple[tuple[Term, ...], ...]
    residual: Program
    partials: Program
    partial_of: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    where: tuple[tuple[int, int], ...]
    matrices: tuple[tuple[int, Tensor], ...] = ()
    stencils: tuple[Stencil, ...] = ()
    shares: Tensor | None = None
    _kept: dict[tuple, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.n) <= 3:
            raise ValueError(f"a grid has one to three axes, not {len(self.n)}")
        if not all(0 <= start < stop <= size for (start, stop), size in zip(self.where, self.n, strict=True)):
            raise ValueError(f"the part {self.where} is no part of a grid of {self.n} points")
        if self.shares is not None and tuple(self.shares.shape) != self.m:
            raise ValueError(f"shares must be {self.m}, not {tuple(self.shares.shape)}")

    def __repr__(self) -> str:
        return f"grid residual {zlib.crc32(self.layout.encode()):08x} {self.m}"

    @property
    def m(self) -> tuple[int, ...]:
        """Points of the part along each axis."""
        return tuple(stop - start for start, stop in self.where)

    @cached_property
    def sources(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """What is multiplied by dense matrices before anything else: (field, numbers of matrices)."""
        return tuple(
            sorted({(term.field, term.matrices) for terms in self.channels for term in terms if term.matrices})
        )

    @cached_property
    def layout(self) -> str:
        """All but the numbers of the tables, as text."""
        place = {source: number for number, source in enumerate(self.sources)}
        channels = [
            [(term.coefficient, term.field, place.get(term[1:3], -1), term.stencil) for term in terms]
            for terms in self.channels
        ]
        stencils = [(own.axis, own.weights.shape[1], own.transposed.weights.shape[1]) for own in self.stencils]
        sources = [(number, [(self.matrices[k][0], k) for k in numbers]) for number, numbers in self.sources]
        return json.dumps([channels, stencils, sources, self.residual, self.partials, self.partial_of])

    def tables(self, like: Tensor) -> Tables:
        """Return the numbers with the type and on the device of ``like``."""
        return self._once(("tables",), like, lambda: self._tables(like))

    def numbers(self, like: Tensor) -> Tensor:
        """Return scales and weights, (2, M)."""
        both = self.scales, self.weights
        return self._once(("numbers",), like, lambda: torch.tensor(both, dtype=torch.float64).to(like))

    def counted(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return numbers (P,) of the points that count, and their shares (P,)."""

        def make() -> tuple[Tensor, Tensor]:
            shares = self.shares.flatten()
            index = shares.nonzero()[:, 0]
            return index.to(like.device), shares[index].to(like)

        return self._once(("counted",), like, make)

    def operator(self, kind: str, number: int, like: Tensor) -> Tensor:
        """Return rows of a matrix or stencil for the points of the part: (m, n)."""

        def make() -> Tensor:
            axis, matrix = self.matrices[number] if kind == "matrix" else self._dense(number)
            return matrix[slice(*self.where[axis])].to(like)

        return self._once((kind, number), like, make)

    def _dense(self, number: int) -> tuple[int, Tensor]:
        return self.stencils[number].axis, self.stencils[number].dense

    def _tables(self, like: Tensor) -> Tables:
        both = [[own, own.transposed] for own in self.stencils]
        longest = max(self.n)
        widest = max((own.weights.shape[1] for pair in both for own in pair), default=0)
        firsts = torch.zeros(2, len(both), longest, dtype=torch.int32)
        weights = torch.zeros(2, len(both), widest, longest, dtype=torch.float64)
        for number, pair in enumerate(both):
            for side, own in enumerate(pair):
                size, width = own.weights.shape
                firsts[side, number, :size] = own.first
                weights[side, number, :width, :size] = own.weights.T
        matrices = torch.zeros(len(self.matrices), longest, longest, dtype=torch.float64)
        for number, (_, matrix) in enumerate(self.matrices):
            matrices[number, : len(matrix), : len(matrix)] = matrix
        shares = None if self.shares is None else self.shares.to(like).contiguous()
        return Tables(matrices.to(like), firsts.to(like.device), weights.to(like), self.numbers(like), shares)

    def _once(self, key: tuple, like: Tensor, make: Callable[[], Any]) -> Any:
        return kept(self._kept, (*key, like.dtype, like.device), make)


def along(values: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """Multiply by a matrix (N, n) along dimension ``dim`` of length n, in the precision of the values."""
    # Sums of large numbers that nearly cancel: never in half of the precision.
    with torch.autocast(values.device.type, enabled=False):
        return torch.tensordot(values, matrix, dims=([dim], [1])).movedim(-1, dim)


def grid_residual(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of the mean squares of the scaled residuals, and the mean squares themselves.

    Args:
        fields: (B, C, *n), float32 or float64.
        given: the columns, each of a shape that broadcasts to (B, *n).
        plan: which residuals.

    Returns: the sum, 0-d, differentiable by ``fields``; the mean squares (M,), detached. Of no samples both are 0.

    Raises:
        ValueError: shapes do not fit together.
    """
    check_fields(fields, given, plan)
    squares = [row.square() for row in _rows(fields, given, plan)]
    if plan.shares is None:
        sums = [own.sum() / max(own.numel(), 1) for own in squares]
    else:
        index, shares = plan.counted(fields)
        sums = [(own.flatten(1)[:, index] * shares).sum() / max(len(fields), 1) for own in squares]
    means = torch.stack(sums)
    # A sum, not a product of vectors, which autocast would round to half of the precision.
    return (means * plan.numbers(fields)[1]).sum(), means.detach()


def grid_residual_values(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> Tensor:
    """Return the scaled residuals on the part of the grid, (B, M, *m), differentiable by ``fields``.

    Args:
        fields: as for `grid_residual`.
        given: as for `grid_residual`.
        plan: which residuals.

    Raises:
        ValueError: shapes do not fit together.
    """
    check_fields(fields, given, plan)
    return torch.stack(_rows(fields, given, plan), 1)


def check_fields(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> None:
    """Refuse what the plan is not for."""
    if fields.ndim != len(plan.n) + 2 or tuple(fields.shape[2:]) != plan.n:
        raise ValueError(f"fields must be (B, C, {', '.join(map(str, plan.n))}), not {tuple(fields.shape)}")
    if fields.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"fields must be in float32 or float64, not {fields.dtype}")
    wanted = (len(fields), *plan.n)
    for number, column in enumerate(given):
        sizes = (*(1,) * (len(wanted) - column.ndim), *column.shape)
        if len(sizes) != len(wanted) or any(own not in (1, size) for own, size in zip(sizes, wanted, strict=True)):
            raise ValueError(f"column {number} must broadcast to {wanted}, not {tuple(column.shape)}")
    if len(given) + len(plan.channels) != plan.residual.inputs:
        raise ValueError(f"the program takes {plan.residual.inputs - len(plan.channels)} columns, not {len(given)}")


def _rows(fields: Tensor, given: Sequence[Tensor], plan: GridResidual) -> list[Tensor]:
    """Return the scaled residuals, each (B, *m)."""
    values = [_part(column, plan) for column in given]
    values += [sum(_derivative(fields, term, plan) for term in terms) for terms in plan.channels]
    rows = run(plan.residual, values, fields)
    return [row.expand(len(fields), *plan.m) / scale for row, scale in zip(rows, plan.scales, strict=True)]


def _part(values: Tensor, plan: GridResidual, but: Sequence[int] = ()) -> Tensor:
    """Cut out the part, not along the axes ``but``; along dimensions of length 1 values are the same everywhere."""
    for axis, (start, stop) in enumerate(plan.where):
        dim = axis - len(plan.where)
        if axis not in but and -dim <= values.ndim and values.shape[dim] > 1:
            values = values.narrow(dim, start, stop - start)
    return values


def _derivative(fields: Tensor, term: Term, plan: GridResidual) -> Tensor:
    """Return a term on the part, (B, *m)."""
    factors = [(plan.matrices[k][0], plan.operator("matrix", k, fields)) for k in term.matrices]
    if term.stencil >= 0:
        factors.append((plan.stencils[term.stencil].axis, plan.operator("stencil", term.stencil, fields)))
    values = _part(fields[:, term.field], plan, [axis for axis, _ in factors])
    for axis, matrix in factors:
        values = along(values, matrix, axis + 1)
    return values if term.coefficient == 1.0 else term.coefficient * values


def weighted_modes(values: Tensor, weight: Tensor, axes: int) -> Tensor:
    """Return ``Σ_k weight_k |û_k|²`` over the Fourier modes of the last axes, averaged over the other points.

    û is the transform with the factor 1/N, N points. Only half of the modes of the last axis are there: the weight says
    how often each stands for itself and its conjugate.

    Args:
        values: (B, C, *n), real.
        weight: of the shape of the modes, ``rfftn`` over the last ``axes`` axes; the same for a mode and its conjugate,
            but for that they count twice.
        axes: number of transformed axes.

    Returns: (B, C), differentiable by ``values``.

    Reference: Parseval's identity.
    """
    dims = tuple(range(values.ndim - axes, values.ndim))
    modes = torch.view_as_real(torch.fft.rfftn(values, dim=dims, norm="forward")).square().sum(-1)
    rest = math.prod(values.shape[2 : dims[0]])
    return (modes * weight).sum(tuple(range(2, values.ndim))) / rest
