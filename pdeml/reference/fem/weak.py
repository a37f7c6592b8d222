"""Weak forms: equations of second order brought to divergence form, as formulas at a point.

Every equation becomes ``sum_j m_j du_j/dt + div F + s = 0`` with a flux ``F`` and a source ``s`` that are formulas in
the unknowns and their first derivatives; tested with ``v`` and integrated by parts it reads
``∫ m u_t v - F·grad v + s v + ∮ F·n v = 0``. The flux is ``F_k = sum_l A_kl d u/dx_l``, ``A`` the coefficients of the
second derivatives; what its derivative adds, taken as a total derivative over all jets, goes to the source. Where the
equation was in divergence form already, derivatives of coefficients cancel, so that these may jump.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from scipy.optimize import linear_sum_assignment

from pdeml.errors import InputError
from pdeml.expr import NormalForm, classify, diff, is_zero, jet_of, jet_symbol, normal_symbol
from pdeml.problem import Problem

__all__ = ["Weak", "WeakEquation", "make_weak"]

Index = tuple[int, ...]


@dataclass(frozen=True)
class WeakEquation:
    """One equation, tested with the test functions of ``unknown``.

    Attributes:
        unknown: whose test functions it gets.
        matrix: unknown -> coefficients of its second derivatives, d rows of d formulas.
        source: the formula ``s``.
        mass: unknown -> coefficient of its time derivative.
    """

    unknown: str
    matrix: dict[str, tuple[tuple[sympy.Expr, ...], ...]]
    source: sympy.Expr
    mass: dict[str, sympy.Expr]


@dataclass(frozen=True)
class Weak:
    """The weak form of a problem.

    Attributes:
        problem: the problem.
        equations: in the order of the real unknowns whose test functions they get.
    """

    problem: Problem
    equations: tuple[WeakEquation, ...]

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The real unknowns."""
        return self.problem.names.real_unknowns

    @cached_property
    def jets(self) -> tuple[tuple[sympy.Symbol, ...], ...]:
        """For each unknown its value and its first derivatives along the space coordinates, as symbols."""
        return tuple((value_symbol(self.problem, u), *gradient_symbols(self.problem, u)) for u in self.unknowns)

    def flux(self, equation: WeakEquation) -> tuple[sympy.Expr, ...]:
        """Return the flux (d) of an equation."""
        gradients = {unknown: gradient_symbols(self.problem, unknown) for unknown in equation.matrix}
        axes = range(len(self.problem.names.space))
        return tuple(
            sympy.Add(*(rows[k][m] * gradients[unknown][m] for unknown, rows in equation.matrix.items() for m in axes))
            for k in axes
        )

    def outflow(self, equation: WeakEquation, slope: sympy.Expr) -> sympy.Expr:
        """Return ``F·n`` where ``slope`` is the normal derivative of the equation's unknown."""
        problem, total = self.problem, sympy.S.Zero
        normal = [normal_symbol(axis) for axis in problem.names.space]
        for unknown, rows in equation.matrix.items():
            gradient = list(gradient_symbols(problem, unknown))
            if unknown == equation.unknown:
                along = tangential(problem, unknown)
                gradient = [slope * n + part for n, part in zip(normal, along, strict=True)]
            total += sympy.Add(
                *(normal[k] * rows[k][m] * gradient[m] for k, m in itertools.product(range(len(normal)), repeat=2))
            )
        return unit_normal(sympy.expand(total), problem)


def value_symbol(problem: Problem, unknown: str) -> sympy.Symbol:
    """Return the jet symbol of an unknown itself."""
    return jet_symbol(unknown, (0,) * len(problem.names.coordinates))


def gradient_symbols(problem: Problem, unknown: str) -> tuple[sympy.Symbol, ...]:
    """Return the jet symbols of the first derivatives along the space coordinates."""
    names = problem.names
    return tuple(jet_symbol(unknown, tuple(int(c == axis) for c in names.coordinates)) for axis in names.space)


def tangential(problem: Problem, unknown: str) -> tuple[sympy.Expr, ...]:
    """Return the part of the gradient along the boundary: ``grad u - n (n·grad u)``."""
    gradient = gradient_symbols(problem, unknown)
    if len(gradient) == 1:
        return (sympy.S.Zero,)
    (nx, ny), (ux, uy) = (normal_symbol(axis) for axis in problem.names.space), gradient
    slope = ux * -ny + uy * nx
    return (-ny * slope, nx * slope)


def unit_normal(expression: sympy.Expr, problem: Problem) -> sympy.Expr:
    """Use that the components of the normal have the squared sum 1: what cancels by this need not be computed."""
    last = normal_symbol(problem.names.space[-1])
    others = sympy.Add(*(normal_symbol(axis) ** 2 for axis in problem.names.space[:-1]))
    polynomial = sympy.expand(expression)
    reduced = sympy.expand(
        polynomial.replace(
            lambda e: e.is_Pow and e.base == last and e.exp.is_Integer and e.exp >= 2,
            lambda e: last ** (e.exp % 2) * (1 - others) ** (e.exp // 2),
        )
    )
    return reduced if reduced.count_ops() < polynomial.count_ops() else polynomial


def make_weak(problem: Problem) -> Weak:
    """Bring the equations to weak form.

    Raises:
        InputError: for what has none here, in plain words.
    """
    names = problem.names
    if not 1 <= len(names.space) <= 2:
        raise InputError(f"it meshes one or two space coordinates, this problem has {len(names.space)}")
    if len(problem.forms) != len(names.real_unknowns):
        raise InputError(f"there are {len(problem.forms)} equations for {len(names.real_unknowns)} unknowns")
    for name, parameter in problem.parameters.items():
        if parameter.kind in ("learn", "eigen"):
            raise InputError(f"the parameter {name!r} is not known")
    for form in problem.forms:
        _check(form, problem)
    if classify(problem.forms, names, problem.parameter_values) == "hyperbolic":
        raise InputError("it is hyperbolic")
    order = _assigned(problem)
    return Weak(
        problem,
        tuple(
            _equation(problem.forms[k], unknown, problem) for unknown, k in zip(names.real_unknowns, order, strict=True)
        ),
    )


def _check(form: NormalForm, problem: Problem) -> None:
    names = problem.names
    if form.integrals:
        raise InputError("an integral of an unknown occurs")
    for _, index in form.jets:
        orders = dict(zip(names.coordinates, index, strict=True))
        late = orders.pop(names.time, 0) if names.time else 0
        if late > 1:
            raise InputError("a second derivative in time occurs")
        if late and any(orders.values()):
            raise InputError("a derivative in space and time occurs")
        if sum(orders.values()) > 2:
            raise InputError("a derivative in space of an order above 2 occurs")


def _assigned(problem: Problem) -> list[int]:
    """Return for each unknown the equation that is tested with it: where its derivatives are highest."""
    axes = [problem.names.coordinates.index(axis) for axis in problem.names.space]
    score = np.full((len(problem.forms),) * 2, -100.0)
    for i, form in enumerate(problem.forms):
        for unknown, index in form.jets:
            j = problem.names.real_unknowns.index(unknown)
            order = sum(index[k] for k in axes) + 1.5 * (sum(index) - sum(index[k] for k in axes))
            score[j, i] = max(score[j, i], order)
    rows, columns = linear_sum_assignment(-score)
    for j, i in zip(rows, columns, strict=True):
        if score[j, i] < 1.5:
            unknown = problem.names.real_unknowns[j]
            raise InputError(f"no second derivative in space of {unknown!r} is left for its equation")
    return list(columns)


def _equation(form: NormalForm, unknown: str, problem: Problem) -> WeakEquation:
    names = problem.names
    axes = [names.coordinates.index(axis) for axis in names.space]
    second = [jet for jet in form.jets if sum(jet[1][k] for k in axes) == 2]
    rates = [jet for jet in form.jets if names.time and jet[1][names.coordinates.index(names.time)] == 1]
    matrix, rest = _second_order(form, second, axes)
    mass = {name: diff(form.residual, jet_symbol(name, index)) for name, index in rates}
    _check_coefficients(matrix, mass, {jet_symbol(*jet): jet for jet in form.jets}, problem)
    rest = rest.xreplace({jet_symbol(*jet): sympy.S.Zero for jet in rates})
    for name, rows in matrix.items():
        for (k, axis), (m, symbol) in itertools.product(enumerate(axes), enumerate(gradient_symbols(problem, name))):
            rest -= _total_derivative(rows[k][m], axis, problem) * symbol
    source = _without_cancelled(sympy.expand(rest), problem)
    if unknown not in matrix and source.free_symbols & set(gradient_symbols(problem, unknown)):
        raise InputError(f"{unknown!r} is carried along without diffusion")
    return WeakEquation(unknown, matrix, source, mass)


def _second_order(
    form: NormalForm, second: list[tuple[str, Index]], axes: list[int]
) -> tuple[dict[str, tuple[tuple[sympy.Expr, ...], ...]], sympy.Expr]:
    """Return the symmetric matrices of second derivatives and what is left of the residual."""
    matrix: dict[str, list[list[sympy.Expr]]] = {}
    symbols = {jet_symbol(*jet) for jet in second}
    for name, index in second:
        coefficient = diff(form.residual, jet_symbol(name, index))
        if coefficient.free_symbols & symbols:
            raise InputError("it is not linear in the second derivatives")
        rows = matrix.setdefault(name, [[sympy.S.Zero] * len(axes) for _ in axes])
        k, m = [position for position, axis in enumerate(axes) for _ in range(index[axis])]
        rows[k][m] = rows[m][k] = coefficient if k == m else coefficient / 2
    rest = form.residual.xreplace(dict.fromkeys(symbols, sympy.S.Zero))
    return {name: tuple(map(tuple, rows)) for name, rows in matrix.items()}, rest


def _check_coefficients(
    matrix: dict, mass: dict, jets: dict[sympy.Symbol, tuple[str, Index]], problem: Problem
) -> None:
    flat = sympy.Tuple(*(entry for rows in matrix.values() for row in rows for entry in row))
    if any(sum(jets[symbol][1]) > 0 for symbol in flat.free_symbols & set(jets)):
        raise InputError("the factor of a second derivative depends on a derivative of an unknown")
    if sympy.Tuple(*mass.values()).free_symbols & set(jets):
        raise InputError("the factor of a time derivative depends on an unknown")


def _total_derivative(expression: sympy.Expr, axis: int, problem: Problem) -> sympy.Expr:
    """Differentiate along a coordinate, through the unknowns and the inputs."""
    names = problem.names
    total = diff(expression, names.symbol(names.coordinates[axis]))
    for symbol in sorted(expression.free_symbols, key=str):
        if (jet := jet_of(symbol)) is not None:
            raised = tuple(order + (k == axis) for k, order in enumerate(jet[1]))
            total += diff(expression, symbol) * jet_symbol(jet[0], raised)
    return total


def _without_cancelled(source: sympy.Expr, problem: Problem) -> sympy.Expr:
    """Drop derivatives of inputs that stand there with factors that are zero, whatever their form."""
    for symbol in sorted(source.free_symbols, key=str):
        jet = jet_of(symbol)
        if jet and jet[0] in problem.inputs and any(jet[1]) and is_zero(diff(source, symbol)):
            source = source.xreplace({symbol: sympy.S.Zero})
    return source
