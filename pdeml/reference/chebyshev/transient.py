"""Evolution in time of functions of one space coordinate: rows of collocation, and steps of a Radau IIA method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import jet_symbol
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.chebyshev.basis import Basis
from pdeml.reference.chebyshev.conditions import (
    PointCondition,
    assigned,
    axis_of,
    cut,
    highest,
    joined,
    orders_of,
    over_time,
    point_conditions,
)
from pdeml.reference.chebyshev.newton import factorised, newton
from pdeml.reference.chebyshev.stepper import Stepper
from pdeml.reference.chebyshev.system import Row, System, Term, Variable, series_of
from pdeml.reference.evolution import Evolution, make_evolution
from pdeml.reference.method import Progress, substeps

__all__ = ["pieces_of", "solve_transient", "unfit"]


def solve_transient(
    problem: Problem,
    cases: Sequence[Case],
    space: tuple[int, int],
    steps: int,
    times: np.ndarray,
    stages: int,
    progress: Progress | None = None,
) -> tuple[np.ndarray, int]:
    """Solve a problem in one space coordinate and time.

    Args:
        problem: one that `make_evolution` takes.
        cases: instances of it, solved together where they share the matrix.
        space: number of pieces, and of points on each.
        steps: spread evenly over the duration.
        times: increasing, where the solution is returned.
        stages: of the Radau IIA method.
        progress: told the share that is done.
    Returns: Chebyshev coefficients (B, T, unknowns, pieces, M), and how often Newton's method solved.
    Raises:
        InputError: there are too few points.
        DivergenceError: Newton's method does not converge, or the numbers become infinite.
    """
    evolution = make_evolution(problem)
    variables, rows = _collocated(evolution, *space)
    axis, time = axis_of(problem)

    def march(cases: Sequence[Case], done: int) -> tuple[np.ndarray, int]:
        system = System(problem, cases, axis, variables, rows, time)
        if not system.shared:
            parts = [march([case], k) for k, case in enumerate(cases)]
            return np.concatenate([series for series, _ in parts]), sum(solves for _, solves in parts)
        share = None if progress is None else (lambda part: progress((done + part * len(cases)) / total))
        return _marched(system, evolution, space[1], steps, times, stages, share)

    total = len(cases)
    return march(cases, 0)


def _marched(
    system: System,
    evolution: Evolution,
    size: int,
    steps: int,
    times: np.ndarray,
    stages: int,
    progress: Progress | None,
) -> tuple[np.ndarray, int]:
    """Step one system through all times; (B, T, unknowns, pieces, size), and how often was solved."""
    stepper, now, y = Stepper(system, stages), evolution.start, _start(system, evolution)
    found = []
    pieces = substeps(times, evolution.start, evolution.end, steps)
    for k, (time, (step, count)) in enumerate(zip(times, pieces, strict=True)):
        for number in range(count):
            y = stepper.advance(now + number * step, step, y)
        if count:
            now = float(time)
        found.append(series_of(system.variables, y, size))
        if progress is not None:
            progress((k + 1) / len(times))
    return np.stack(found, axis=1), stepper.solves


def pieces_of(problem: Problem, points: int, degree: int) -> tuple[int, int]:
    """Return how many pieces of space there are, and points on each.

    Where the conditions of an unknown are not as many as its order, pieces could not be joined: there is one.
    """
    orders = orders_of(problem)
    owners = assigned(point_conditions(problem), orders)
    matched = all(owners.count(name) == order for name, order in orders.items())
    return cut(points, degree) if matched else (1, points)


def _collocated(evolution: Evolution, pieces: int, size: int) -> tuple[list[Variable], list[Row]]:
    """Return the variables and the rows.

    An unknown is, on each piece, a polynomial of as many numbers as there are points inside, and one more for each
    condition that falls to it; so the conditions are algebraic rows beside the differential ones, of index 1.
    """
    problem = evolution.problem
    axis, _ = axis_of(problem)
    orders, conditions = orders_of(problem), point_conditions(problem)
    owners = assigned(conditions, orders)
    extra = {name: owners.count(name) for name in orders}
    count = size - max(extra.values())
    least = max(2, 1 + max(orders[name] - extra[name] for name in orders))
    if count < least:
        raise InputError(
            f"there must be at least {least + size - count} points along {axis}, got {size}", ("grid", axis)
        )
    low, high = problem.domain.bounds[problem.names.coordinates.index(axis)]
    variables: list[Variable] = []
    for name in orders:
        for rate in range(max(1, _height(evolution, name))):
            begin = variables[-1].part.stop if variables else 0
            basis = Basis(orders[name], count + extra[name], (float(low), float(high)), pieces)
            variables.append(Variable(name, rate, basis, begin))
    inside = variables[0].basis.inside(count)
    rows = [_chained(*pair, inside) for pair in pairwise(variables) if pair[1].rate]
    rows += [
        Row(_jet(evolution, name, k + 1) - rate, inside, owner=name)
        for (name, k), rate in zip(evolution.state, evolution.rates, strict=True)
        if k + 1 == _height(evolution, name)
    ]
    settled = zip(evolution.constrained, evolution.constraints, strict=True)
    rows += [Row(form.residual, inside, owner=name) for name, form in settled]
    for condition, owner in zip(conditions, owners, strict=True):
        rows += _at_point(evolution, condition, [v for v in variables if v.unknown == owner])
    return variables, rows + [row for variable in variables for row in joined(variable)]


def _height(evolution: Evolution, name: str) -> int:
    """Return the order of the highest time derivative of an unknown."""
    return sum(unknown == name for unknown, _ in evolution.state)


def _jet(evolution: Evolution, name: str, order: int) -> sympy.Symbol:
    names = evolution.problem.names
    return jet_symbol(name, [order if axis == names.time else 0 for axis in names.coordinates])


def _chained(lower: Variable, upper: Variable, points: np.ndarray) -> Row:
    """Return the row that makes one variable the rate of another."""
    rate, value = sympy.Symbol("the rate", real=True), sympy.Symbol("the value", real=True)
    terms = {
        rate.name: Term(lower, lower.basis.matrix(points), moving=True),
        value.name: Term(upper, upper.basis.matrix(points)),
    }
    return Row(rate - value, points, terms=terms, owner=lower.unknown)


def unfit(evolution: Evolution) -> str | None:
    """Return why the conditions along the coordinate cannot hold beside the equations at all times, or None.

    Those inside, or all at one end, would in general make the problem ill-posed. What
    `_at_point` differentiates in time must not contain higher time derivatives than the equations.
    """
    problem = evolution.problem
    time = problem.names.coordinates.index(problem.names.time or "")
    conditions = point_conditions(problem)
    owners = assigned(conditions, orders_of(problem))
    for name, order in orders_of(problem).items():
        ends = {condition.at for condition, owner in zip(conditions, owners, strict=True) if owner == name}
        if order > 1 and len(ends) == 1:
            return f"all conditions on {name} hold at {ends.pop():g}, and none at the other end"
    for condition, owner in zip(conditions, owners, strict=True):
        if np.isnan(condition.normal):
            return f"a condition at all times holds inside, at {condition.at:g}, and not at an end"
        rates = {name: highest([condition.residual], name, time) for name in condition.unknowns}
        more = max(_height(evolution, owner) - rates[owner], 1) - 1
        for name, rate in rates.items():
            if rate + more > max(1, _height(evolution, name)):
                return f"a condition at {condition.at:g} asks for a higher time derivative of {name} than the equations"
    return None


def _at_point(evolution: Evolution, condition: PointCondition, variables: Sequence[Variable]) -> list[Row]:
    """Return the rows of a condition: one for its unknown and for each of its time derivatives that is a variable.

    Where the unknown is of second order in time, a value that is prescribed prescribes its rate too: without this row
    the system would have a higher index. A condition on the rate leaves the value to be its integral.
    """
    problem, points = evolution.problem, np.array([condition.at])
    time = problem.names.time or ""
    column = problem.names.coordinates.index(time)
    rate = highest([condition.residual], variables[0].unknown, column)
    count = max(len(variables) - rate, 1)
    rows, residual = [], condition.residual
    for _ in range(count):
        rows.append(Row(residual, points, condition.normal, owner=variables[0].unknown))
        residual = over_time(residual, problem, time)
    return rows + [_chained(*pair, points) for pair in list(pairwise(variables))[: len(variables) - count]]


def _start(system: System, evolution: Evolution) -> np.ndarray:
    """Return the numbers (N, B) at the start: initial values, and what the constraints make of them."""
    names = evolution.problem.names
    y = np.zeros((system.size, len(system.cases)))
    initial = dict(zip(evolution.state, evolution.initial, strict=True))
    for variable in system.variables:
        formula = initial.get((variable.unknown, variable.rate))
        if formula is not None:
            at = {system.axis: variable.basis.points, names.time: np.full(variable.basis.dimension, evolution.start)}
            points = np.stack([at[axis] for axis in names.coordinates], axis=1)
            values = np.stack([case.at(formula, points) for case in system.cases], axis=1)
            if not np.all(np.isfinite(values)):
                raise InputError(f"the initial value of {variable.unknown} is not finite everywhere", ("conditions",))
            y[variable.part] = variable.basis.interpolate(values)
    return _consistent(system, evolution, y) if evolution.constrained else y


def _consistent(system: System, evolution: Evolution, y: np.ndarray) -> np.ndarray:
    """Solve the algebraic rows of the unknowns without time derivative for them."""
    free, algebraic = np.zeros((2, system.size), dtype=bool)
    for variable in system.variables:
        free[variable.part] = variable.unknown in evolution.constrained
    for block in system.blocks:
        algebraic[block.part] = block.row.owner in evolution.constrained

    def whole(part: np.ndarray) -> np.ndarray:
        full = y.copy()
        full[free] = part
        return full

    still = np.zeros_like(y)
    found = newton(
        lambda part: system.residual(evolution.start, whole(part), still)[algebraic],
        lambda part: factorised(system.jacobian(evolution.start, whole(part), still)[0][algebraic][:, free]),
        y[free],
    )
    return whole(found)
