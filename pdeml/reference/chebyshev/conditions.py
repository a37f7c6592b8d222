"""Which coordinate is collocated, how it is cut, which conditions hold at points of it, and for which unknowns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from scipy.optimize import linear_sum_assignment

from pdeml.expr import diff, jet_of, jet_symbol
from pdeml.problem import Constraint, Problem
from pdeml.reference.chebyshev.system import Row, Term, Variable

__all__ = [
    "PointCondition",
    "assigned",
    "axis_of",
    "cut",
    "driven",
    "highest",
    "joined",
    "orders_of",
    "over_time",
    "point_conditions",
    "unusable",
]


@dataclass(frozen=True)
class PointCondition:
    """A residual that vanishes at one point of the coordinate, at all times.

    Attributes:
        residual: in coordinates, parameters, inputs, jets of unknowns and ``n[x]``.
        at: the point.
        normal: the outward normal there, 1 or -1; NaN inside.
        unknowns: those that occur.
    """

    residual: sympy.Expr
    at: float
    normal: float
    unknowns: tuple[str, ...]


def axis_of(problem: Problem) -> tuple[str, str | None]:
    """Return the coordinate along which is collocated and the time, if that is another one."""
    names = problem.names
    return (names.space[0], names.time) if names.space else (names.coordinates[0], None)


def orders_of(problem: Problem) -> dict[str, int]:
    """Return the highest order of each unknown's derivatives along the coordinate, in declared order."""
    axis, _ = axis_of(problem)
    return {name: max(form.order(axis, name) for form in problem.forms) for name in problem.names.real_unknowns}


def cut(points: int, degree: int) -> tuple[int, int]:
    """Return how many pieces ``points`` points make, neighbours sharing one, and how many there are on each."""
    pieces = -(-(points - 1) // degree)
    return pieces, -(-(points - 1) // pieces) + 1


def joined(variable: Variable) -> list[Row]:
    """Return the rows that make a function continuous where pieces meet, with its derivatives below the highest."""
    basis, jump = variable.basis, sympy.Symbol("the jump", real=True)  # no name of a problem has a blank
    inner = basis.breaks[1:-1]
    orders = range(basis.order if len(inner) else 0)
    return [
        Row(jump, inner, terms={jump.name: Term(variable, basis.jumps(order))}, owner=variable.unknown)
        for order in orders
    ]


def point_conditions(problem: Problem) -> list[PointCondition]:
    """Return the conditions at points of the coordinate, one for each end; what is said twice counts once."""
    axis, time = axis_of(problem)
    high = problem.domain.bounds[problem.names.coordinates.index(axis)][1]
    found: dict[tuple, PointCondition] = {}
    for constraint in problem.constraints:
        if time in constraint.region.fixed:
            continue
        for end in constraint.region.split():
            at = end.fixed[axis]
            normal = (1.0 if at == high else -1.0) if end.pieces else np.nan
            form = constraint.form
            found.setdefault((form.residual, at), PointCondition(form.residual, at, normal, form.unknowns))
    return list(found.values())


def driven(problem: Problem) -> bool:
    """Tell whether the conditions along the coordinate change with time."""
    axis, time = axis_of(problem)
    x = problem.names.symbol(axis)
    moving = {name for name, function in problem.inputs.items() if time in function.over}
    residuals = [c.residual.xreplace({x: sympy.Rational(repr(float(c.at)))}) for c in point_conditions(problem)]
    symbols = {symbol for residual in residuals for symbol in residual.free_symbols}
    return any(symbol.name == time or (jet_of(symbol) or ("",))[0] in moving for symbol in symbols)


def unusable(problem: Problem) -> str | None:
    """Return why a condition cannot be a row of collocation, or None."""
    axis, time = axis_of(problem)
    orders = orders_of(problem)
    for constraint in problem.constraints:
        fixed = constraint.region.fixed
        if constraint.masked:
            return f"the condition '{constraint.name}' holds only where a mask does"
        if time in fixed and (fixed[time] != problem.domain.time[1] or axis in fixed):  # type: ignore[index]
            return f"the condition '{constraint.name}' holds at one moment that is not the start of everything"
        if time not in fixed and any(axis not in end.fixed for end in constraint.region.split()):
            return f"the condition '{constraint.name}' does not hold at single points of {axis}"
        if time not in fixed and (name := _steep(constraint, axis, orders)):
            return f"the condition '{constraint.name}' has a higher derivative of {name} than the equations"
    return None


def _steep(constraint: Constraint, axis: str, orders: dict[str, int]) -> str | None:
    return next((name for name in constraint.form.unknowns if constraint.form.order(axis, name) > orders[name]), None)


def assigned(conditions: Sequence[PointCondition], orders: dict[str, int]) -> list[str]:
    """Share out conditions among the unknowns that occur in them, as many to each as its order as far as possible.

    Args:
        conditions: at any points.
        orders: unknown -> order of its highest derivative along the coordinate.
    Returns: one unknown for each condition.
    """
    slots = [(name, k >= order) for name, order in orders.items() for k in range(order + len(conditions))]
    cost = np.array([[surplus if n in c.unknowns else len(slots) for n, surplus in slots] for c in conditions], float)
    if not conditions:
        return []
    return [slots[k][0] for k in linear_sum_assignment(cost)[1]]


def highest(expressions: Iterable[sympy.Expr], unknown: str, column: int) -> int:
    """Return the highest order of an unknown's derivatives along the coordinate in a column, 0 where there are none."""
    jets = [jet_of(symbol) for expression in expressions for symbol in expression.free_symbols]
    return max((jet[1][column] for jet in jets if jet is not None and jet[0] == unknown), default=0)


def over_time(residual: sympy.Expr, problem: Problem, time: str) -> sympy.Expr:
    """Return the total derivative in time of a residual in jet symbols."""
    column = problem.names.coordinates.index(time)
    parts = [diff(residual, problem.names.symbol(time))]
    for symbol in sorted(residual.free_symbols, key=str):
        jet = jet_of(symbol)
        if jet is None or (jet[0] in problem.inputs and time not in problem.inputs[jet[0]].over):
            continue
        index = tuple(order + (k == column) for k, order in enumerate(jet[1]))
        parts.append(diff(residual, symbol) * jet_symbol(jet[0], index))
    return sympy.Add(*parts)
