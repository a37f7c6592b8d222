"""Constraints: conditions resolved to real scalar residuals, each on a region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy

from pdeml.errors import InputError, under
from pdeml.expr import Equation, Names, NormalForm, analyse, jet_symbol, parse_equation, to_text
from pdeml.geometry import Domain, Region
from pdeml.problem.conditions import ConditionKind
from pdeml.problem.statements import ConditionStatement

__all__ = ["Constraint", "equation_of", "resolve"]


@dataclass(frozen=True)
class Constraint:
    """One real scalar residual that vanishes on one region.

    Attributes:
        name: such as ``u on boundary``, unique in a problem.
        region: where the rows are sampled.
        form: the residual: ``u - value``, ``u_t - value``, ``dn(u) - value``, or lhs - rhs of an equation.
        weight: dimensionless factor of the normalised rows.
        kind: value, rate, flux or equation.
        unknown: the real unknown it prescribes; None for an equation.
        value: what is prescribed, in coordinates, parameters and inputs; None for an equation.
        on: the place as the user wrote it.
        masked: whether the place is restricted by a mask.
        index: position in the list of conditions.
    """

    name: str
    region: Region
    form: NormalForm
    weight: float
    kind: ConditionKind
    unknown: str | None
    value: sympy.Expr | None
    on: str
    masked: bool = False
    index: int = 0


def resolve(
    statements: tuple[ConditionStatement, ...], names: Names, domain: Domain, parameters: Mapping[str, float]
) -> tuple[Constraint, ...]:
    """Resolve statements to constraints.

    Args:
        statements: the conditions of a problem.
        names: its names.
        domain: its domain, periodic coordinates included.
        parameters: numbers for the parameters that a mask may contain.
    Returns: one constraint per statement and real scalar residual.
    Raises:
        InputError: with path ``("conditions", position, …)`` for a place that does not exist, a rate without time,
            or a normal derivative where there is no normal.
    """
    found: list[Constraint] = []
    for statement in statements:
        with under("conditions", statement.index):
            region = statement.place.region(domain, parameters)
            for constraint in _constraints(statement, region, names):
                found.append(_renamed(constraint, {other.name for other in found}))
    return tuple(found)


def equation_of(kind: ConditionKind, unknown: str, value: sympy.Expr, names: Names) -> Equation:
    """Return the equation that prescribes the value, rate or flux of an unknown."""
    if kind == "rate" and names.time is None:
        raise InputError("a rate is a time derivative, but the problem has no time coordinate")
    left = {"value": unknown, "rate": f"d({unknown}, {names.time})", "flux": f"dn({unknown})"}[kind]
    return parse_equation(f"{left} = {to_text(value, names)}", names, "boundary")


def _constraints(statement: ConditionStatement, region: Region, names: Names) -> Iterator[Constraint]:
    with under(statement.kind):
        if statement.equation is not None:
            yield from _of_equation(statement, region, names)
        for unknown, value in statement.values:
            with under(unknown):
                yield from _of_value(statement, region, names, unknown, value)


def _of_equation(statement: ConditionStatement, region: Region, names: Names) -> Iterator[Constraint]:
    assert statement.equation is not None
    residuals = statement.equation.residuals(names)
    for k, residual in enumerate(residuals):
        form = analyse(residual, names)
        _check_normal(form, region)
        if not form.jets:
            raise InputError(f"'{statement.equation}' contains no unknown, so that it prescribes nothing")
        label = f"{statement.equation} on {statement.place}" + (f" [{k}]" if len(residuals) > 1 else "")
        yield _make(statement, region, form, label, None, None)


def _of_value(
    statement: ConditionStatement, region: Region, names: Names, unknown: str, value: sympy.Expr
) -> Iterator[Constraint]:
    residuals = equation_of(statement.kind, unknown, value, names).residuals(names)
    parts = names.complex_parts.get(unknown, (unknown,))
    for name, residual in zip(parts, residuals, strict=True):
        form = analyse(residual, names)
        _check_normal(form, region)
        what = {"value": name, "rate": f"rate of {name}", "flux": f"flux of {name}"}[statement.kind]
        part = value if name == unknown else _without_unknowns(form)
        yield _make(statement, region, form, f"{what} on {statement.place}", name, part)


def _without_unknowns(form: NormalForm) -> sympy.Expr:
    """Return what is prescribed by ``lhs - value``, where lhs vanishes with the unknowns."""
    return -form.residual.subs({jet_symbol(unknown, index): 0 for unknown, index in form.jets})


def _make(
    statement: ConditionStatement,
    region: Region,
    form: NormalForm,
    label: str,
    unknown: str | None,
    value: sympy.Expr | None,
) -> Constraint:
    masked = statement.place.where is not None
    place = str(statement.place)
    return Constraint(
        label, region, form, statement.weight, statement.kind, unknown, value, place, masked, statement.index
    )


def _check_normal(form: NormalForm, region: Region) -> None:
    if form.uses_normal and not region.has_normals:
        raise InputError(f"there is no outward normal on {region.name}; normal derivatives hold on the boundary")


def _renamed(constraint: Constraint, taken: set[str]) -> Constraint:
    """Make the name unique by a number."""
    if constraint.name not in taken:
        return constraint
    number = next(k for k in range(2, len(taken) + 3) if f"{constraint.name} ({k})" not in taken)
    return replace(constraint, name=f"{constraint.name} ({number})")
