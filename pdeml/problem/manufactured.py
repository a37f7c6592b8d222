"""Manufactured solutions: choose the solution, and let sources and conditions follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy
from sympy.core.function import AppliedUndef

from pdeml.errors import InputError, one_of, under
from pdeml.expr import Equation, Names, diff, split_complex, to_text
from pdeml.problem.problem import Problem
from pdeml.problem.statements import ConditionStatement, Place, read_value

if TYPE_CHECKING:
    from pdeml.geometry import Domain

__all__ = ["manufactured", "read_exact", "residual_of"]


def manufactured(problem: Problem, exact: Mapping[str, Any]) -> Problem:
    """Return the problem that ``exact`` solves: every equation and condition gets the right-hand side it needs.

    Equations and general conditions get the source ``lhs(exact) - rhs(exact)`` on their right-hand side. Values,
    rates and fluxes are replaced by those of ``exact``; a flux becomes the equation ``dn(u) = dn(exact)``, since it
    depends on the normal. Places and weights stay.

    Args:
        problem: what to start from.
        exact: unknown -> formula in coordinates and parameters, for every unknown.
    Raises:
        InputError: if an unknown has no formula, or a formula is not allowed.
    """
    formulas = read_exact(problem.names, exact, complete=True)
    equations = [
        {"equation": _with_source(equation, problem.names, formulas), "weight": weight}
        for equation, weight in zip(problem.equations, problem.weights, strict=True)
    ]
    conditions = [entry for statement in problem.conditions for entry in _replaced(statement, problem, formulas)]
    if problem.periodic:
        conditions.append({"periodic": list(problem.periodic)})
    return rebuilt(problem, equations=equations, conditions=conditions)


def rebuilt(problem: Problem, **changes: Any) -> Problem:
    """Return the problem with some arguments of `Problem` replaced."""
    arguments = {**problem.to_spec(), "name": problem.name, "data": problem.has_data, **changes}
    return Problem(**arguments)


def residual_of(problem: Problem, exact: Mapping[str, Any]) -> tuple[sympy.Expr, ...]:
    """Return each real scalar residual of the equations with the unknowns replaced by formulas.

    All are zero (perhaps after simplification) if ``exact`` solves the equations.

    Raises:
        InputError: if an unknown has no formula, or a formula is not allowed.
    """
    formulas = read_exact(problem.names, exact, complete=True)
    found: list[sympy.Expr] = []
    for equation in problem.equations:
        found.extend(substitute(residual, problem.names, formulas) for residual in equation.residuals(problem.names))
    return tuple(found)


def read_exact(names: Names, exact: Mapping[str, Any], complete: bool = False) -> dict[str, sympy.Expr]:
    """Read formulas for unknowns; vectors may be given as lists.

    Raises:
        InputError: for a name that is no unknown, or (if ``complete``) an unknown without formula.
    """
    if not isinstance(exact, Mapping):
        raise InputError(f"expected a mapping such as {{{names.unknowns[0]}: formula}}, got {exact!r}")
    given = dict(exact)
    for vector, members in names.vector_members.items():
        if vector in given:
            parts = given.pop(vector)
            if not isinstance(parts, list | tuple) or len(parts) != len(members):
                raise InputError(f"{vector!r} needs a list of {len(members)} formulas, got {parts!r}", (vector,))
            given.update(zip(members, parts, strict=True))
    found = {}
    for name, formula in given.items():
        if name not in names.unknowns:
            raise InputError(one_of(str(name), names.unknowns, "an unknown"), (str(name),))
        with under(str(name)):
            found[str(name)] = read_value(formula, names, str(name))
    missing = [name for name in names.unknowns if name not in found]
    if complete and missing:
        raise InputError(f"a formula is needed for every unknown; there is none for {', '.join(missing)}")
    return found


def substitute(expression: sympy.Basic, names: Names, formulas: Mapping[str, sympy.Expr]) -> sympy.Expr:
    """Replace unknowns by formulas and carry out the derivatives; integrals stay."""
    real = real_formulas(names, formulas)
    coordinates = [names.symbol(name) for name in names.coordinates]

    def known(call: sympy.Basic) -> bool:
        return isinstance(call, AppliedUndef) and call.func.__name__ in real

    def put(call: sympy.Expr) -> sympy.Expr:
        places = dict(zip(coordinates, call.args, strict=True))
        return real[call.func.__name__].subs(places, simultaneous=True)

    return expression.replace(known, put).doit(integrals=False)


def real_formulas(names: Names, formulas: Mapping[str, sympy.Expr]) -> dict[str, sympy.Expr]:
    """Return the formulas by real unknown as well: ``psi_real`` and ``psi_imag`` besides ``psi``."""
    found = dict(formulas)
    for name, parts in names.complex_parts.items():
        if name in formulas:
            found.update(zip(parts, split_complex(formulas[name], names), strict=True))
    return found


def _with_source(equation: Equation, names: Names, formulas: Mapping[str, sympy.Expr]) -> str:
    """Add ``lhs(exact) - rhs(exact)`` to the right-hand side; vectors by component."""
    left, right = (_parts(side) for side in (equation.lhs, equation.rhs))
    sums = [two + substitute(one - two, names, formulas) for one, two in zip(left, right, strict=True)]
    # A vector stays one, even of a single component.
    right_side = sympy.Tuple(*sums) if isinstance(equation.rhs, sympy.Tuple) else sums[0]
    return f"{to_text(equation.lhs, names)} = {to_text(right_side, names)}"


def _parts(side: sympy.Basic) -> tuple[Any, ...]:
    return tuple(side) if isinstance(side, sympy.Tuple) else (side,)


def _replaced(statement: ConditionStatement, problem: Problem, formulas: Mapping[str, sympy.Expr]) -> list[Any]:
    """Return the entries of the same place and weight with the values of ``formulas``."""
    names = problem.names
    entry: dict[str, Any] = {"on": statement.place, "weight": statement.weight}
    if statement.equation is not None:
        return [{**entry, "equation": _with_source(statement.equation, names, formulas)}]
    if statement.kind == "flux":
        fluxes = [f"dn({name}) = dn({to_text(formulas[name], names)})" for name, _ in statement.values]
        return [{**entry, "equation": text} for text in fluxes]
    fixed = _fixed(statement.place, problem.domain, names)
    values = {}
    for name, _ in statement.values:
        formula = formulas[name]
        if statement.kind == "rate":
            formula = diff(formula, names.symbol(names.time or ""))
        values[name] = formula.subs(fixed)
    return [{**entry, statement.kind: values}]


def _fixed(place: Place, domain: Domain, names: Names) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the coordinates that are constant at a place given by name or by fixed coordinates, as exact numbers."""
    fixed = dict(place.fixed)
    if place.name in ("initial", "final") and domain.time:
        fixed[domain.time[0]] = domain.time[1 if place.name == "initial" else 2]
    return {names.symbol(name): sympy.Rational(repr(value)) for name, value in fixed.items()}
