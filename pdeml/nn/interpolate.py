"""Interpolation of functions on tensor grids: to another grid, to scattered points, and of their derivatives.

Piecewise polynomials through the nearest ``width`` nodes of each axis, so exact for polynomials of degree
``width − 1`` and of order ``width`` for smooth functions; differentiable in values and points. Weights by Fornberg,
*Generation of finite difference formulas on arbitrarily spaced grids* (1988), §2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from pdeml.lower.multi_index import JetSpec

__all__ = ["interpolate", "interpolated_jet", "regrid", "stencil"]

CUBIC = 4
_SMOOTH = 8
"""Nodes of an axis where derivatives are wanted."""


def stencil(
    nodes: Tensor, points: Tensor, period: float | None = None, width: int = CUBIC, derivative: int = 0
) -> tuple[Tensor, Tensor]:
    """Return which nodes each point takes, and with which weights.

    Args:
        nodes: (n,) increasing; of a periodic axis without the end of the period.
        points: (P,) anywhere; outside the nodes of an axis that is not periodic the outermost polynomial goes on.
        period: of a periodic axis.
        width: number of nodes for one point, at least 2; fewer where the axis is not periodic and has not as many.
        derivative: order of the derivative that the weights give.

    Returns: index (P, width) and weight (P, width).
    """
    n = len(nodes)
    width = width if period is not None else min(width, n)
    if period is not None:
        points = nodes[0] + torch.remainder(points - nodes[0], period)
    right = torch.searchsorted(nodes.detach(), points.detach().contiguous(), right=True)
    first = right - (width + 1) // 2
    if period is None:
        first = first.clamp(0, n - width)
    index = first[:, None] + torch.arange(width, device=nodes.device)
    if period is None:
        return index, _weights(nodes[index], points, derivative)
    turns = torch.div(index, n, rounding_mode="floor")
    index = index - n * turns
    return index, _weights(nodes[index] + period * turns, points, derivative)


def regrid(
    values: Tensor,
    grid: Sequence[Tensor],
    target: Sequence[Tensor],
    periods: Sequence[float | None] | None = None,
    width: int = CUBIC,
) -> Tensor:
    """Interpolate from one tensor grid to another, axis by axis.

    Args:
        values: (..., *n).
        grid: coordinates (n_i,) of each axis.
        target: coordinates (m_i,) of each axis.
        periods: period of each axis, none where it is not periodic.
        width: 2 for linear, 4 for cubic interpolation.

    Returns: (..., *m).
    """
    for number, (nodes, points) in enumerate(zip(grid, target, strict=True)):
        if points is nodes:
            continue
        axis = values.ndim - len(grid) + number
        index, weight = stencil(nodes, points, periods[number] if periods else None, width)
        shape = [-1 if k == axis else 1 for k in range(values.ndim)]
        parts = zip(index.unbind(1), weight.to(values.dtype).unbind(1), strict=True)
        values = sum(values.index_select(axis, chosen) * share.view(shape) for chosen, share in parts)
    return values


def interpolate(
    values: Tensor,
    grid: Sequence[Tensor],
    points: Tensor,
    periods: Sequence[float | None] | None = None,
    width: int = CUBIC,
    derivative: Sequence[int] | None = None,
) -> Tensor:
    """Interpolate from a tensor grid to scattered points.

    Args:
        values: (..., *n).
        grid: coordinates (n_i,) of each of the D axes.
        points: (P, D).
        periods: period of each axis, none where it is not periodic.
        width: 2 for linear, 4 for cubic interpolation.
        derivative: orders of a partial derivative to return in place of the values.

    Returns: (..., P).
    """
    dimension = len(grid)
    found = [
        stencil(nodes, points[:, k], periods[k] if periods else None, width, derivative[k] if derivative else 0)
        for k, nodes in enumerate(grid)
    ]
    flat = values.flatten(values.ndim - dimension)
    strides = [1] * dimension
    for k in range(dimension - 2, -1, -1):
        strides[k] = strides[k + 1] * len(grid[k + 1])
    result = 0
    for corner in itertools.product(*(range(index.shape[1]) for index, _ in found)):
        index = sum(found[k][0][:, c] * strides[k] for k, c in enumerate(corner))
        weight = torch.stack([found[k][1][:, c] for k, c in enumerate(corner)]).prod(0)
        result = result + flat.index_select(-1, index) * weight.to(values.dtype)
    return result


def interpolated_jet(
    values: Tensor,
    grid: Sequence[Tensor],
    points: Tensor,
    spec: JetSpec,
    periods: Sequence[float | None] | None = None,
    own: Sequence[int | None] | None = None,
) -> Tensor:
    """Interpolate to scattered points with derivatives: cubic without, eight nodes an axis with them.

    Args:
        values: (..., *n).
        grid: coordinates (n_i,) of each axis.
        points: (P, D), a column for each axis.
        spec: the channels.
        periods: period of each axis, none where it is not periodic.
        own: for each axis the coordinate of ``spec`` that it is, none where it is held fixed; default: all in order.
            Along other coordinates the function is constant.

    Returns: (K, ..., P).
    """
    own = range(len(grid)) if own is None else own
    width, found = CUBIC if spec.order == 0 else _SMOOTH, {}
    for index in dict.fromkeys(index for members in spec.members for _, index in members):
        derivative = [0 if k is None else index[k] for k in own]
        part = interpolate(values, grid, points, periods, width, derivative)
        found[index] = part if sum(derivative) == sum(index) else torch.zeros_like(part)
    return torch.stack([sum(factor * found[index] for factor, index in members) for members in spec.members])


def _weights(nodes: Tensor, points: Tensor, order: int) -> Tensor:
    """Return the weights (P, s) of a derivative at ``points`` (P,) of the polynomial through ``nodes`` (P, s).

    ``table[j][k]``: weight of node j for derivative k.
    """
    x = nodes.unbind(1)
    away = [node - points for node in x]
    table = [[torch.ones_like(points), *[torch.zeros_like(points)] * order]]
    before = torch.ones_like(points)
    for i in range(1, len(x)):
        product, last = torch.ones_like(points), table[i - 1]
        gaps = [x[i] - x[j] for j in range(i)]
        for gap in gaps:
            product = product * gap
        fresh = [(before / product) * ((k * last[k - 1] if k else 0) - away[i - 1] * last[k]) for k in range(order + 1)]
        for j, gap in enumerate(gaps):
            row = table[j]
            table[j] = [(away[i] * row[k] - (k * row[k - 1] if k else 0)) / gap for k in range(order + 1)]
        table.append(fresh)
        before = product
    return torch.stack([row[order] for row in table], 1)
