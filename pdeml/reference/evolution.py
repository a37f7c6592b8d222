"""A time-dependent problem solved for its highest time derivatives: what every time-stepping solver starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy

from pdeml.errors import InputError
from pdeml.expr import NormalForm, diff, is_zero, jet_of, jet_symbol
from pdeml.problem import Constraint, Problem

__all__ = ["Evolution", "make_evolution"]

Variable = tuple[str, int]


@dataclass(frozen=True)
class Evolution:
    """First-order system ``d(state)/dt = rates``, with unknowns that are determined at each time by constraints.

    Attributes:
        problem: what it was made of.
        state: (real unknown, k): its k-th time derivative is a state variable; ``u_tt`` gives ``("u", 0), ("u", 1)``.
        rates: time derivative of each state variable, in coordinates, parameters, input functions and jet symbols of
            unknowns, whose time orders are below the highest.
        initial: value of each state variable at the start, in space coordinates, parameters and input functions.
        constrained: the real unknowns without time derivative.
        constraints: the equations that determine them, such as ``laplacian(psi) = -w``; as many.
    """

    problem: Problem
    state: tuple[Variable, ...]
    rates: tuple[sympy.Expr, ...]
    initial: tuple[sympy.Expr, ...]
    constrained: tuple[str, ...]
    constraints: tuple[NormalForm, ...]

    @property
    def start(self) -> float:
        """The first time."""
        assert self.problem.domain.time is not None
        return self.problem.domain.time[1]

    @property
    def end(self) -> float:
        """The last time."""
        assert self.problem.domain.time is not None
        return self.problem.domain.time[2]


def make_evolution(problem: Problem) -> Evolution:
    """Solve the equations for the highest time derivative of each unknown and collect the initial values.

    Raises:
        InputError: there is no time, the equations cannot be solved for the time derivatives at each point, an
            initial value is missing or masked, or equations and unknowns do not match in number.
    """
    if problem.time is None:
        raise InputError("the problem has no time coordinate; say which one it is with time: NAME")
    heights = {name: _time_order(problem, name) for name in problem.names.real_unknowns}
    moving = [name for name, height in heights.items() if height]
    constrained = tuple(name for name, height in heights.items() if not height)
    tops = [_time_jet(problem, name, heights[name]) for name in moving]
    evolving, constraints = _sorted(problem, heights)
    if len(evolving) != len(moving) or len(constraints) != len(constrained):
        raise InputError(
            f"{len(evolving)} equations hold highest time derivatives and {len(constraints)} do not, but "
            f"{len(moving)} unknowns have a time derivative and {len(constrained)} have none; the numbers must agree"
        )
    solved = dict(zip(tops, _solved(problem, evolving, tops), strict=True))
    state = tuple((name, k) for name in moving for k in range(heights[name]))
    after = [_time_jet(problem, name, k + 1) for name, k in state]
    rates = tuple(solved.get(symbol, symbol) for symbol in after)
    initial = tuple(_initial_value(problem, name, k) for name, k in state)
    return Evolution(problem, state, rates, initial, constrained, constraints)


def _time_order(problem: Problem, name: str) -> int:
    return max((form.order(problem.time or "", name) for form in problem.forms), default=0)


def _time_jet(problem: Problem, name: str, order: int) -> sympy.Symbol:
    return jet_symbol(name, [order if axis == problem.time else 0 for axis in problem.names.coordinates])


def _sorted(problem: Problem, heights: dict[str, int]) -> tuple[tuple[NormalForm, ...], tuple[NormalForm, ...]]:
    """Part the equations into those with a highest time derivative and those without.

    Raises:
        InputError: a highest time derivative is differentiated in space too.
    """
    time = problem.names.coordinates.index(problem.time or "")
    evolving, constraints = [], []
    for form in problem.forms:
        tops = [(name, index) for name, index in form.jets if 0 < heights[name] == index[time]]
        mixed = next((name for name, index in tops if sum(index) > index[time]), None)
        if mixed is not None:
            raise InputError(
                f"the highest time derivative of {mixed} is differentiated in space too, so that the equations "
                "cannot be solved for it point by point"
            )
        (evolving if tops else constraints).append(form)
    return tuple(evolving), tuple(constraints)


def _solved(problem: Problem, forms: Sequence[NormalForm], tops: Sequence[sympy.Symbol]) -> list[sympy.Expr]:
    """Solve the residuals, which must be affine in ``tops``, for them."""
    zeros = dict.fromkeys(tops, sympy.S.Zero)
    matrix = sympy.Matrix([[diff(form.residual, top) for top in tops] for form in forms])
    if matrix.free_symbols & set(tops) or any(_is_inside_integral(form, tops) for form in forms):
        raise InputError("the equations are not linear in the highest time derivatives, so they cannot be solved for")
    right = sympy.Matrix([-form.residual.xreplace(zeros) for form in forms])
    if len(tops) and is_zero(matrix.det()):
        listed = ", ".join(_shown(problem, top) for top in tops)
        raise InputError(f"the equations cannot be solved for the time derivatives {listed}: they do not fix them all")
    solution = matrix.LUsolve(right) if len(tops) else right
    return list(solution)


def _is_inside_integral(form: NormalForm, tops: Sequence[sympy.Symbol]) -> bool:
    return any(call.free_symbols & set(tops) for call in form.residual.atoms(sympy.Integral))


def _shown(problem: Problem, top: sympy.Symbol) -> str:
    name, index = jet_of(top)  # type: ignore[misc]
    return f"{name}_{(problem.time or '') * sum(index)}"


def _initial_value(problem: Problem, name: str, order: int) -> sympy.Expr:
    """Return what the conditions on: initial prescribe for a time derivative of an unknown."""
    assert problem.domain.time is not None
    time, start, _ = problem.domain.time
    jet = _time_jet(problem, name, order)
    found = [value for c in problem.constraints if (value := _prescribed(c, jet, {time: start})) is not None]
    if not found:
        what = ("value", "rate", "second time derivative")[min(order, 2)]
        raise InputError(f"the initial {what} of {name} is not given everywhere; add it to the conditions, on: initial")
    return found[0].xreplace({problem.names.symbol(time): sympy.Rational(repr(float(start)))})


def _prescribed(constraint: Constraint, jet: sympy.Symbol, start: dict[str, float]) -> sympy.Expr | None:
    """Return the value a condition at the start gives to ``jet``; None if it says something else."""
    form, region = constraint.form, constraint.region
    if region.pieces or region.fixed != start or constraint.masked or form.rest != 0:
        return None
    if len(form.terms) != 1 or jet_of(jet) != (form.terms[0].unknown, form.terms[0].index):
        return None
    return -form.source / form.terms[0].coefficient
