"""Covariances of linear functionals of Gaussian processes, evaluated on distinct lags only.

``cov(ℓ_i(u), ℓ_j(u)) = Σ_αβ c_iα c_jβ (−1)^|β| Π_a k_a^(α_a + β_a)(x_ia − x_ja)``, summed over independent unknowns.
On points of uniform grids the lags of an axis are few: evaluation and gradient then cost the number of distinct lags
times components, and one look-up for each pair of points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pdeml.errors import InputError
from pdeml.gp.kernels import Kernel, ProductKernel
from pdeml.lower.functionals import Functionals
from pdeml.lower.multi_index import Index

__all__ = ["Covariance", "covariance", "evaluation", "variances"]

_BLOCK = 1 << 20  # pairs of points at once: bounds what is held beside the result
_LONGEST = 1 << 20  # points of a grid that is worth looking for

Rows = Functionals | Sequence[Functionals]
Kernels = Sequence[ProductKernel]


class Covariance:
    """The covariance matrix of functionals as a function of the kernels: planned once, evaluated many times.

    Args:
        left: functionals, in the order of the rows; several are stacked.
        right: those of the columns; the same ones by default, the matrix is then symmetric.
    """

    def __init__(self, left: Rows, right: Rows | None = None):
        self._symmetric = right is None
        rows = _listed(left)
        columns = rows if right is None else _listed(right)
        self._blocks = [
            [_planned(row, column) if not self._symmetric or j >= i else [] for j, column in enumerate(columns)]
            for i, row in enumerate(rows)
        ]
        self.shape = (sum(map(len, rows)), sum(map(len, columns)))
        self._axes = (rows[0].points.shape[1],) * rows[0].coefficients.shape[2]

    def __call__(self, kernels: Kernels) -> Tensor:
        """Return the matrix, differentiable in the parameters of the kernels, in the order of the functionals.

        Args:
            kernels: one for each unknown.

        Raises:
            InputError: a kernel is too rough for the derivatives, or does not have one axis for each coordinate.
        """
        given = tuple(len(kernel.axes) for kernel in kernels)
        if given != self._axes:
            raise InputError(
                f"kernels of {given} axes; allowed: {self._axes}, one kernel an unknown, one axis a coordinate"
            )
        found: dict[tuple[int, int], Tensor] = {}
        for i, line in enumerate(self._blocks):
            for j, parts in enumerate(line):
                if self._symmetric and j < i:
                    found[i, j] = found[j, i].T
                else:
                    found[i, j] = torch.cat([_evaluated(part, kernels, len(parts) > 1) for part in parts])
        return torch.cat([torch.cat([found[i, j] for j in range(len(line))], 1) for i, line in enumerate(self._blocks)])


def covariance(kernels: Kernels, left: Rows, right: Rows | None = None) -> Tensor:
    """Return the covariance matrix (N, N′) of functionals, or of functionals with themselves; see `Covariance`."""
    return Covariance(left, right)(kernels)


def variances(kernels: Kernels, functionals: Functionals) -> Tensor:
    """Return the prior variance of each functional, (N,): the diagonal of their covariance, without the matrix."""
    total = torch.zeros_like(functionals.values)
    for unknown, kernel in enumerate(kernels):
        present = _present(functionals, unknown)
        highest = [2 * max((index[a] for index, _ in present), default=0) for a in range(len(kernel.axes))]
        moments = [axis.moments(order) for axis, order in zip(kernel.axes, highest, strict=True)]
        for (alpha, c), (beta, d) in itertools.product(present, present):
            orders = [a + b for a, b in zip(alpha, beta, strict=True)]
            factor = math.prod(moment[order] for moment, order in zip(moments, orders, strict=True))
            total = total + (-1) ** sum(beta) * factor * c * d
    return total


def evaluation(points_ND: Tensor, unknowns: int, unknown: int = 0, index: Index | None = None) -> Functionals:
    """Return the functionals ``u ↦ ∂^index u_unknown(x_i)``, the values by default: what a prediction asks for."""
    coefficients = points_ND.new_zeros(len(points_ND), 1, unknowns)
    coefficients[:, 0, unknown] = 1
    index = index or (0,) * points_ND.shape[1]
    return Functionals("evaluation", points_ND, (index,), coefficients, points_ND.new_zeros(len(points_ND)), 1.0, 1.0)


@dataclass(frozen=True)
class _AxisLags:
    """The distinct lags of one axis; that of row i and column j is ``lags[rows[i] + columns[j]]``."""

    lags: Tensor
    rows: Tensor
    columns: Tensor


@dataclass(frozen=True)
class _Term:
    """``Σ_s left_s ⊗ right_s`` times the kernel's derivative of ``orders``; numbers where they are constant."""

    orders: Index
    left: list[Tensor | float]
    right: list[Tensor | float]

    @property
    def constant(self) -> bool:
        return all(isinstance(c, float) for c in (*self.left, *self.right))

    def coefficient(self) -> Tensor | float:
        """Return the sum: a number, or anything that spreads to (n, N′)."""
        columns = [c if isinstance(c, float) else c[:, None] for c in self.left]
        return sum(c * d for c, d in zip(columns, self.right, strict=True))


@dataclass(frozen=True)
class _Part:
    """Some rows of one pair of statements."""

    shape: tuple[int, int]
    axes: tuple[_AxisLags, ...]
    terms: tuple[tuple[_Term, ...], ...]  # of each unknown


def _listed(rows: Rows) -> list[Functionals]:
    return [rows] if isinstance(rows, Functionals) else list(rows)


def _planned(left: Functionals, right: Functionals) -> list[_Part]:
    step = max(1, _BLOCK // max(1, len(right)))
    return [_part(left, right, slice(start, start + step)) for start in range(0, max(1, len(left)), step)]


def _part(left: Functionals, right: Functionals, rows: slice) -> _Part:
    points = left.points[rows]
    axes = tuple(_axis_lags(points[:, a], right.points[:, a]) for a in range(points.shape[1]))
    terms = tuple(_terms(left, right, rows, unknown) for unknown in range(left.coefficients.shape[2]))
    return _Part((len(points), len(right)), axes, terms)


def _terms(left: Functionals, right: Functionals, rows: slice, unknown: int) -> tuple[_Term, ...]:
    terms: dict[Index, _Term] = {}
    for (alpha, c), (beta, d) in itertools.product(_present(left, unknown), _present(right, unknown)):
        orders = tuple(a + b for a, b in zip(alpha, beta, strict=True))
        term = terms.setdefault(orders, _Term(orders, [], []))
        term.left.append(_collapsed(c, rows))
        sign = -1.0 if sum(beta) % 2 else 1.0
        term.right.append(sign * _collapsed(d, slice(None)))
    return tuple(terms.values())


def _present(functionals: Functionals, unknown: int) -> list[tuple[Index, Tensor]]:
    """Return the derivatives of an unknown that occur at all, with their coefficients (N,)."""
    pairs = zip(functionals.indices, functionals.coefficients[:, :, unknown].unbind(1), strict=True)
    return [(index, c) for index, c in pairs if bool((c != 0).any())]


def _collapsed(coefficients: Tensor, rows: slice) -> Tensor | float:
    first = coefficients[0]
    return float(first) if bool((coefficients == first).all()) else coefficients[rows]


def _axis_lags(left: Tensor, right: Tensor) -> _AxisLags:
    a, rows = torch.unique(left, return_inverse=True)
    b, columns = torch.unique(right, return_inverse=True)
    shared = _shared_grid(a, b)
    if shared is None:
        return _AxisLags((a[:, None] - b).reshape(-1), rows * len(b), columns)
    step, of_a, of_b = shared
    last = of_b[-1]
    # From integers, so that equal lags are equal to the last bit: k(x, x') is then symmetric and Toeplitz exactly.
    lags = (a[0] - b[0]) + step * torch.arange(-int(last), int(of_a[-1]) + 1, dtype=a.dtype, device=a.device)
    return _AxisLags(lags, of_a[rows], last - of_b[columns])


def _shared_grid(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return step and places of two sorted sets of points on uniform grids of one step, where that saves lags."""
    if len(a) * len(b) <= 1:
        return None
    gaps = torch.cat([a.diff(), b.diff()])
    found = [_on_grid(points, gaps.min()) for points in (a, b)]
    if any(places is None for places in found):
        return None
    of_a, of_b = found
    if int(of_a[-1] + of_b[-1]) + 1 >= len(a) * len(b):
        return None
    spans = torch.stack([a[-1] - a[0], b[-1] - b[0]])
    longest = int(spans.argmax())
    step = spans[longest] / found[longest][-1]
    near = all(_close(points, step, places) for points, places in ((a, of_a), (b, of_b)))
    return (step, of_a, of_b) if near else None


def _on_grid(points: Tensor, step: Tensor) -> Tensor | None:
    places = (points - points[0]) / step
    return places.round().long() if float(places[-1]) < _LONGEST else None


def _close(points: Tensor, step: Tensor, places: Tensor) -> bool:
    """Whether points lie on the grid but for the rounding of a computed grid."""
    allowed = 16 * torch.finfo(points.dtype).eps * points.abs().max()
    return bool(((points - points[0] - step * places).abs() <= allowed).all())


def _evaluated(part: _Part, kernels: Kernels, again: bool) -> Tensor:
    """Evaluate a part; ``again``: from scratch in the backward pass too, so that nothing of its size is kept."""
    tensors = [t for kernel in kernels for axis in kernel.axes for t in (axis.weights, axis.widths, axis.frequencies)]

    def evaluate(*tensors: Tensor) -> Tensor:
        pieces = iter(tensors)
        axes = [
            [Kernel(axis.envelope, next(pieces), next(pieces), next(pieces)) for axis in kernel.axes]
            for kernel in kernels
        ]
        summands = [_of_unknown(part, terms, axis) for terms, axis in zip(part.terms, axes, strict=True) if terms]
        return sum(summands[1:], summands[0]) if summands else tensors[0].new_zeros(part.shape)

    if again and torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return checkpoint(evaluate, *tensors, use_reentrant=False, preserve_rng_state=False)
    return evaluate(*tensors)


def _of_unknown(part: _Part, terms: tuple[_Term, ...], kernel: list[Kernel]) -> Tensor:
    highest = [max(term.orders[a] for term in terms) for a in range(len(kernel))]
    tables = [axis.derivatives(plan.lags, order) for axis, plan, order in zip(kernel, part.axes, highest, strict=True)]
    combinations = math.prod(len(plan.lags) for plan in part.axes)
    if all(term.constant for term in terms) and combinations <= part.shape[0] * part.shape[1]:
        return _combined(part, terms, tables)
    looked_up = {
        (a, order): _LookUp.apply(tables[a][order], plan.rows, plan.columns)
        for a, plan in enumerate(part.axes)
        for order in sorted({term.orders[a] for term in terms})
    }
    return sum(
        term.coefficient() * math.prod(looked_up[a, order] for a, order in enumerate(term.orders)) for term in terms
    )


def _combined(part: _Part, terms: tuple[_Term, ...], tables: list[Tensor]) -> Tensor:
    """Sum the terms on the distinct lags of all axes together, where that is less than on the pairs of points."""
    values: Tensor | float = 0.0
    rows, columns = torch.zeros_like(part.axes[0].rows), torch.zeros_like(part.axes[0].columns)
    for plan in part.axes:
        rows = rows * len(plan.lags) + plan.rows
        columns = columns * len(plan.lags) + plan.columns
    for term in terms:
        product = tables[0].new_ones(1)
        for table, order in zip(tables, term.orders, strict=True):
            product = (product[:, None] * table[order]).reshape(-1)
        values = values + term.coefficient() * product
    return _LookUp.apply(values, rows, columns)


class _LookUp(torch.autograd.Function):
    """``table[rows_i + columns_j]``; the backward pass adds up in a fixed order, so that runs repeat to the bit."""

    @staticmethod
    def forward(ctx, table, rows, columns):
        ctx.save_for_backward(rows, columns)
        ctx.size = len(table)
        return table[rows[:, None] + columns]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, cotangent):
        rows, columns = ctx.saved_tensors
        index = (rows[:, None] + columns).reshape(-1)
        sums = cotangent.new_zeros(ctx.size).index_put_((index,), cotangent.reshape(-1), accumulate=True)
        return sums, None, None
