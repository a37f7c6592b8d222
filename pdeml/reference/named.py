"""Shipped reference solutions, each with the check that a problem is the one it solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import ArrayLike

from pdeml.errors import InputError, one_of
from pdeml.expr import evaluate, is_zero, jet_symbol
from pdeml.expr.text import shown
from pdeml.problem import Constraint, Problem
from pdeml.reference.base import Parameters, Reference, as_points
from pdeml.reference.cole_hopf import burgers_sine, stated_floor
from pdeml.reference.exact import parameter_values

__all__ = ["NAMED", "ColeHopf", "named_reference"]


@dataclass(frozen=True)
class ColeHopf(Reference):
    """Burgers' equation from ``-sin(pi x)``, by quadrature of the Cole-Hopf integral."""

    problem: Problem
    viscosity: sympy.Expr
    floor: float
    unknown: str

    @classmethod
    def of(cls, problem: Problem) -> ColeHopf:
        """Return the reference, after checking that ``problem`` is the one it solves.

        Raises:
            InputError: naming what differs.
        """
        unknown, viscosity = _burgers(problem)
        _check_start(problem, unknown)
        for constraint in problem.constraints:
            _check_boundary(problem, constraint)
        _check_periods(problem)
        nu = _number(problem, viscosity)
        if not nu > 0:
            raise _mismatch(f"the viscosity must be positive, got {nu:g}")
        return cls(problem, viscosity, stated_floor(nu), unknown)

    @property
    def unknowns(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.unknown,)

    @property
    def description(self) -> str:  # type: ignore[override]
        return f"cole-hopf: quadrature of the Cole-Hopf integral, relative error {self.floor:.0e}"

    def evaluate(self, points: ArrayLike, parameters: Parameters | None = None) -> dict[str, np.ndarray]:
        array = as_points(points, self.problem)
        values = parameter_values(self.problem, parameters)
        names = self.problem.names
        x = array[:, names.coordinates.index(names.space[0])]
        t = array[:, names.coordinates.index(names.time or "")] - _start(self.problem)
        nu = np.broadcast_to(_viscosities(self.viscosity, values), x.shape)
        result = np.empty(len(x))
        for value in np.unique(nu):
            rows = nu == value
            result[rows] = burgers_sine(x[rows], np.maximum(t[rows], 0.0), float(value))
        return {self.unknown: result}


def named_reference(name: str, problem: Problem) -> Reference:
    """Return the shipped reference called ``name`` for ``problem``.

    Raises:
        InputError: if there is none of that name, or it solves another problem.
    """
    if name not in NAMED:
        raise InputError(one_of(name, NAMED, "a shipped reference"))
    return NAMED[name](problem)


NAMED: dict[str, Callable[[Problem], Reference]] = {"cole-hopf": ColeHopf.of}


def _mismatch(difference: str) -> InputError:
    return InputError(
        f"cole-hopf solves u_t + u*u_x = nu*u_xx with u = -sin(pi*x) at the start, and zero or periodic ends at whole "
        f"numbers; {difference}"
    )


def _burgers(problem: Problem) -> tuple[str, sympy.Expr]:
    """Return the unknown and the viscosity as an expression in the parameters."""
    names = problem.names
    if len(names.real_unknowns) != 1 or len(names.space) != 1 or names.time is None or len(problem.forms) != 1:
        raise _mismatch("this problem does not have one unknown in one space coordinate and time")
    unknown, form = names.real_unknowns[0], problem.forms[0]

    def index(**orders: int) -> tuple[int, ...]:
        return tuple(orders.get("t" if c == names.time else "x", 0) for c in names.coordinates)

    coefficients = {term.index: term.coefficient for term in form.terms}
    rate, spread = (coefficients.get(at, sympy.S.Zero) for at in (index(t=1), index(x=2)))
    transport = jet_symbol(unknown, index()) * jet_symbol(unknown, index(x=1))
    declared = {names.symbol(name) for name in problem.parameters}
    viscosity = -spread / rate if rate != 0 else sympy.nan
    alone = set(coefficients) == {index(t=1), index(x=2)} and is_zero(form.source)
    if not alone or not viscosity.free_symbols <= declared or not is_zero(form.rest / rate - transport):
        raise _mismatch(f"the equation is {shown(str(problem.equations[0]))}")
    return unknown, viscosity


def _start(problem: Problem) -> float:
    assert problem.domain.time is not None
    return problem.domain.time[1]


def _check_start(problem: Problem, unknown: str) -> None:
    x = problem.names.symbol(problem.names.space[0])
    time = problem.names.time
    for constraint in problem.constraints:
        at_start = not constraint.region.pieces and constraint.region.fixed == {time: _start(problem)}
        if constraint.kind == "value" and at_start and not constraint.masked and constraint.value is not None:
            if not is_zero(_inserted(problem, constraint) + sympy.sin(sympy.pi * x)):
                raise _mismatch(f"the initial value is {shown(str(constraint.value))}")
            return
    raise _mismatch(f"there is no initial value of {unknown}")


def _inserted(problem: Problem, constraint: Constraint) -> sympy.Expr:
    """Return the prescribed value with the fixed coordinates of its place put in."""
    assert constraint.value is not None
    fixed = {problem.names.symbol(name): sympy.Rational(repr(at)) for name, at in constraint.region.fixed.items()}
    return constraint.value.xreplace(fixed)


def _check_boundary(problem: Problem, constraint: Constraint) -> None:
    if constraint.region.fixed == {problem.names.time: _start(problem)}:
        return
    ends = problem.domain.bounds[problem.names.coordinates.index(problem.names.space[0])]
    whole = np.all(ends == np.round(ends))
    if constraint.kind != "value" or not constraint.region.pieces or constraint.value != 0 or not whole:
        raise _mismatch(f"the condition '{constraint.name}' is another one")


def _check_periods(problem: Problem) -> None:
    if problem.periodic:
        lower, upper = problem.domain.bounds[problem.names.coordinates.index(problem.periodic[0])]
        if (upper - lower) % 2 != 0:
            raise _mismatch(f"the period {upper - lower:g} is no multiple of 2")


def _number(problem: Problem, viscosity: sympy.Expr) -> float:
    return float(_viscosities(viscosity, problem.parameter_values))


def _viscosities(viscosity: sympy.Expr, values: dict[str, float]) -> np.ndarray:
    return evaluate(viscosity, values)
