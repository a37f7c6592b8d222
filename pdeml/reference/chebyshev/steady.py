"""Boundary value problems, and initial value problems in one coordinate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import sympy

from pdeml.errors import DivergenceError, InputError
from pdeml.expr import jet_symbol
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.chebyshev.basis import Basis, values_of
from pdeml.reference.chebyshev.conditions import axis_of, cut, joined, orders_of, point_conditions
from pdeml.reference.chebyshev.newton import newton
from pdeml.reference.chebyshev.system import Row, System, Variable, series_of

__all__ = ["breaks", "marches", "solve_steady"]

MARCH = 16
"""Degree of the polynomials on each piece of an initial value problem."""
HALVINGS = 10
TOGETHER = 128
"""At most so many cases in memory at once."""


def marches(problem: Problem) -> bool:
    """Tell whether all conditions hold at the lower end, so that piece after piece can be solved."""
    low = _interval(problem)[0]
    return all(condition.at == low for condition in point_conditions(problem))


def breaks(problem: Problem, points: int, degree: int) -> np.ndarray:
    """Return the ends of the pieces, increasing."""
    pieces, _ = cut(points, MARCH if marches(problem) else degree)
    return np.linspace(*_interval(problem), pieces + 1)


def solve_steady(problem: Problem, cases: Sequence[Case], points: int, degree: int) -> np.ndarray:
    """Solve a problem whose unknowns depend on one coordinate.

    Args:
        problem: with as many conditions as the orders of the unknowns add up to.
        cases: instances of it.
        points: in all pieces together.
        degree: of the polynomials on one piece; on those of an initial value problem it is `MARCH`.
    Returns: Chebyshev coefficients (B, unknowns, pieces, M).
    Raises:
        InputError: there are too few points.
        DivergenceError: Newton's method does not converge.
    """
    if len(cases) > TOGETHER:
        parts = [cases[k : k + TOGETHER] for k in range(0, len(cases), TOGETHER)]
        return np.concatenate([solve_steady(problem, part, points, degree) for part in parts])
    if not marches(problem):
        pieces, size = cut(points, degree)
        variables = _variables(problem, _interval(problem), size, pieces)
        return series_of(variables, _solved(problem, cases, variables, _conditions(problem)), size)
    _, size = cut(points, MARCH)
    found, start = [], _conditions(problem)
    for low, high in pairwise(breaks(problem, points, degree)):
        variables = _variables(problem, (float(low), float(high)), size, 1)
        y, start = _marched(problem, cases, variables, start, HALVINGS)
        found.append(series_of(variables, y, size))
    return np.concatenate(found, axis=2)


def _marched(
    problem: Problem, cases: Sequence[Case], variables: list[Variable], start: list[Row], halvings: int
) -> tuple[np.ndarray, list[Row]]:
    """Solve one piece of an initial value problem; (N, B), and the rows with which the next one starts.

    Where Newton's method fails, the two halves are solved; the polynomials then interpolate them.
    """
    try:
        y = _solved(problem, cases, variables, start)
        return y, [row for variable in variables for row in _continued(problem, variable, y[variable.part])]
    except DivergenceError:
        if not halvings:
            raise
    low, high = variables[0].basis.interval
    parts = []
    for half in ((low, (low + high) / 2), ((low + high) / 2, high)):
        own = [replace(variable, basis=replace(variable.basis, interval=half)) for variable in variables]
        y, start = _marched(problem, cases, own, start, halvings - 1)
        parts.append([variable.basis.series(y[variable.part]) for variable in own])
    ends, found = np.linspace(low, high, 3), []
    for variable, *halves in zip(variables, *parts, strict=True):
        values = values_of(np.concatenate(halves, axis=1), ends, variable.basis.points)
        found.append(variable.basis.interpolate(values.T))
    return np.concatenate(found), start


def _interval(problem: Problem) -> tuple[float, float]:
    low, high = problem.domain.bounds[problem.names.coordinates.index(axis_of(problem)[0])]
    return float(low), float(high)


def _conditions(problem: Problem) -> list[Row]:
    return [Row(c.residual, np.array([c.at]), c.normal) for c in point_conditions(problem)]


def _continued(problem: Problem, variable: Variable, numbers: np.ndarray) -> list[Row]:
    """Return the rows that continue a function beyond its upper end, given its numbers (dimension, B)."""
    axis, _ = axis_of(problem)
    end, value = np.array([variable.basis.interval[1]]), sympy.Symbol("the value", real=True)
    rows = []
    for order in range(variable.basis.order):
        jet = jet_symbol(variable.unknown, [order if name == axis else 0 for name in problem.names.coordinates])
        known = (variable.basis.matrix(end, order) @ numbers)[0]
        rows.append(Row(jet - value, end, known={value.name: known}))
    return rows


def _variables(problem: Problem, interval: tuple[float, float], size: int, pieces: int) -> list[Variable]:
    """Return the unknowns, polynomials of as many numbers as there are points inside, and one more for each order."""
    orders = orders_of(problem)
    count = size - max(orders.values())
    if count < 2:
        axis, least = axis_of(problem)[0], max(orders.values()) + 2
        raise InputError(f"there must be at least {least} points along {axis}, got {size}", ("grid", axis))
    variables: list[Variable] = []
    for name, order in orders.items():
        begin = variables[-1].part.stop if variables else 0
        variables.append(Variable(name, 0, Basis(order, count + order, interval, pieces), begin))
    return variables


def _solved(problem: Problem, cases: Sequence[Case], variables: list[Variable], conditions: list[Row]) -> np.ndarray:
    """Solve with conditions that may change with the case, all cases together; (N, B)."""
    axis, _ = axis_of(problem)
    basis = variables[0].basis
    inside = basis.inside(basis.size - basis.order)
    ends = [*conditions, *(row for variable in variables for row in joined(variable))]
    system = System(problem, cases, axis, variables, [*ends, *(Row(form.residual, inside) for form in problem.forms)])
    free = system.size - len(problem.forms) * len(inside)
    return newton(lambda y: system.residual(0.0, y), system.linearised, _guess(system, free))


def _guess(system: System, free: int) -> np.ndarray:
    """Return the smallest polynomials that meet the first rows, the conditions, linearised at zero.

    Where all is linear, zero is as good, and free: the rows are many where the pieces are.
    """
    zero = np.zeros((system.size, len(system.cases)))
    if system.constant:
        return zero
    matrix, found = system.jacobian(0.0, zero)[0][:free].toarray(), system.residual(0.0, zero)[:free]
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(found))):
        raise DivergenceError("the conditions have no finite value where the unknowns are zero")
    return -np.linalg.lstsq(matrix, found, rcond=None)[0]
