"""The conditions of a problem on a box, one by one for each side, and what a tensor product cannot impose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pdeml.errors import InputError
from pdeml.geometry import Region
from pdeml.lower import Functionals, Statement, linearised
from pdeml.problem import Constraint, Problem
from pdeml.sampling import sample

__all__ = ["Side", "functionals_at", "normals_of", "read_sides", "values_at"]

PROBES = 64
ROUNDING = 1e-10
SMALLEST_FACTOR = 1e-6
"""A coefficient that falls below this share of its largest value along a side changes what the condition says."""


@dataclass(frozen=True)
class Side:
    """One condition on one side of a box.

    Args:
        statement: what holds; its region may have more sides than this one.
        region: this side alone.
        axis: the coordinate that is constant, by number.
        at: its value.
        high: whether that is the upper end.
        orders: the highest order of a derivative along the axis is ``len(orders) − 1``; the condition is
            ``factor(x) · Σ_p orders[p] ∂_axis^p u = value(x)`` with a largest entry of one. In one dimension, where
            conditions need not be linear, it is empty.
        unknowns: numbers of the unknowns that occur.
    """

    statement: Statement
    region: Region
    axis: int
    at: float
    high: bool
    orders: tuple[float, ...]
    unknowns: tuple[int, ...]


def read_sides(problem: Problem, statements: Sequence[Statement]) -> tuple[Side, ...]:
    """Return the conditions by side; one that is said twice counts once.

    Args:
        problem: on a box.
        statements: all of its statements, that of the equations first.

    Raises:
        InputError: a condition is no combination, with constant coefficients, of derivatives across one whole side.
    """
    by_name = {statement.name: statement for statement in statements}
    found: list[Side] = []
    for constraint in problem.constraints:
        for region in _whole_sides(constraint):
            side = _side(problem, constraint, by_name[constraint.name], region)
            if not any(_is_same(side, other) for other in found):
                found.append(side)
    return tuple(found)


def functionals_at(side: Side, points_ND: torch.Tensor, unknowns: int, jets: torch.Tensor | None = None) -> Functionals:
    """Return the condition linearised at points of its side."""
    (found,) = linearised(side.statement, points_ND, unknowns, normals_of(side, points_ND), jets)
    return found


def normals_of(side: Side, points_ND: torch.Tensor) -> torch.Tensor | None:
    """Return the outward normals (N, d) over the space coordinates, or None at an end of time."""
    if not side.region.has_normals:
        return None
    time = side.region.time_column
    normals = points_ND.new_zeros(points_ND.shape)
    normals[:, side.axis] = 1.0 if side.high else -1.0
    return normals[:, [k for k in range(points_ND.shape[1]) if k != time]]


def _whole_sides(constraint: Constraint) -> Iterator[Region]:
    if constraint.masked or constraint.region.where is not None:
        raise InputError(f"the condition '{constraint.name}' holds only where a mask does")
    for region in constraint.region.split():
        if len(region.fixed) != 1:
            where = "at single points" if region.fixed else "inside"
            raise InputError(f"the condition '{constraint.name}' holds {where}, not on a side of the box")
        yield region


def _side(problem: Problem, constraint: Constraint, statement: Statement, region: Region) -> Side:
    names = problem.names
    ((coordinate, at),) = region.fixed.items()
    axis = names.coordinates.index(coordinate)
    ends = problem.domain.bounds[axis]
    if at not in ends:
        raise InputError(f"the condition '{constraint.name}' holds at {coordinate} = {at:g}, inside the domain")
    unknowns = tuple(names.real_unknowns.index(name) for name in constraint.form.unknowns)
    side = Side(statement, region, axis, float(at), bool(at == ends[1]), (), unknowns)
    if len(names.coordinates) == 1:
        return side
    if not constraint.form.is_linear:
        raise InputError(f"the condition '{constraint.name}' is not linear")
    if len(unknowns) > 1:
        raise InputError(f"the condition '{constraint.name}' couples unknowns: {', '.join(constraint.form.unknowns)}")
    orders = _orders(side, len(names.real_unknowns), constraint.name, float(ends[1] - ends[0]))
    return Side(statement, region, axis, float(at), bool(at == ends[1]), orders, unknowns)


def values_at(side: Side, points_ND: torch.Tensor, unknowns: int) -> np.ndarray:
    """Return what ``Σ_p orders[p] ∂^p u`` is at points of a side, (N,)."""
    functionals = functionals_at(side, points_ND, unknowns)
    orders = np.array(side.orders)
    rows = _across(side, functionals, len(orders))
    return functionals.values.numpy() * (orders @ orders) / (rows @ orders)


def _across(side: Side, functionals: Functionals, count: int) -> np.ndarray:
    """Return the coefficients of the derivatives across a side, (N, count)."""
    rows = np.zeros((len(functionals), count))
    for k, index in enumerate(functionals.indices):
        own = functionals.coefficients[:, k, side.unknowns[0]].numpy()
        if sum(index) == index[side.axis]:
            rows[:, index[side.axis]] += own
        elif np.any(own):  # the components of a normal along its side are zero
            raise InputError(f"the condition '{functionals.name}' has a derivative along its side")
    return rows


def _orders(side: Side, unknowns: int, name: str, length: float) -> tuple[float, ...]:
    """Return the common ratio of the coefficients along the side."""
    functionals = functionals_at(side, torch.from_numpy(sample(side.region, PROBES).x), unknowns)
    rows = _across(side, functionals, 1 + max(index[side.axis] for index in functionals.indices))
    units = length ** np.arange(rows.shape[1])  # compared with the axis as the unit of length
    rows = rows / units
    sizes = np.abs(rows).max(1)
    row = rows[sizes.argmax()]
    row = row / row[np.abs(row).argmax()]
    factors = rows @ row / (row @ row)
    if not np.all(np.isfinite(rows)) or np.abs(rows - factors[:, None] * row).max() > ROUNDING * sizes.max():
        raise InputError(f"the coefficients of the condition '{name}' change along its side")
    if np.abs(factors).min() < SMALLEST_FACTOR * sizes.max() or factors.min() < 0 < factors.max():
        raise InputError(f"the condition '{name}' vanishes at a point of its side")
    row = row * units
    return tuple((row / row[np.abs(row).argmax()]).tolist())


def _is_same(one: Side, other: Side) -> bool:
    """Tell whether two conditions agree in the functional; in one dimension only a repetition does."""
    if (one.axis, one.high, one.unknowns) != (other.axis, other.high, other.unknowns):
        return False
    if not one.orders:
        return one.statement.plan.residual == other.statement.plan.residual
    if len(one.orders) != len(other.orders) or not np.allclose(one.orders, other.orders, rtol=ROUNDING, atol=0):
        return False
    points = torch.from_numpy(sample(one.region, PROBES).x)
    first, second = (functionals_at(side, points, max(one.unknowns) + 1) for side in (one, other))
    k = first.coefficients.abs().flatten(1).argmax(1)
    rows = torch.arange(len(points))
    mine = first.values / first.coefficients.flatten(1)[rows, k]
    theirs = second.values / second.coefficients.flatten(1)[rows, k]
    size = float(torch.maximum(mine.abs().max(), theirs.abs().max()))
    if float((mine - theirs).abs().max()) > 1e-8 * size:
        raise InputError(f"'{one.statement.name}' and '{other.statement.name}' contradict each other")
    return True
