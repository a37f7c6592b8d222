"""What the conditions of a problem say about a flow: velocities, stresses, pressures and the initial velocity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sympy

from pdeml.errors import InputError, under
from pdeml.expr import is_zero, normal_symbol
from pdeml.problem import Constraint, Problem
from pdeml.reference.flow.equations import Flow

__all__ = ["Statement", "read_statements"]

Kind = Literal["velocity", "flux", "traction", "pressure", "level", "initial"]


@dataclass(frozen=True, eq=False)
class Statement:
    """One thing that is prescribed.

    Attributes:
        kind: ``velocity``, ``flux`` (its normal derivative) or ``traction`` (``viscosity dn(u) - p n``) of a component
            on pieces of the boundary; ``pressure`` on pieces; ``level``, the pressure at a point; ``initial``, a
            component of velocity at the start.
        component: 0 or 1, of velocity and traction.
        value: formula in coordinates, parameters, inputs and the normal.
        constraint: whose region it holds on.
    """

    kind: Kind
    component: int
    value: sympy.Expr
    constraint: Constraint

    @property
    def pieces(self) -> tuple[str, ...]:
        """The pieces of the boundary it holds on."""
        return self.constraint.region.pieces


def read_statements(problem: Problem, flow: Flow) -> tuple[Statement, ...]:
    """Read the conditions of a problem.

    Raises:
        InputError: a condition is of another kind, or a piece of the boundary lacks one.
    """
    if problem.periodic:
        raise InputError("periodic flows are not solved here; without walls a Fourier method does it better")
    found = []
    for constraint in problem.constraints:
        with under("conditions", constraint.index):
            found.append(_read(constraint, problem, flow))
    _check_complete(problem, flow, found)
    return tuple(found)


def _read(constraint: Constraint, problem: Problem, flow: Flow) -> Statement:
    form, region = constraint.form, constraint.region
    unknowns = {term.unknown for term in form.terms}
    if not form.is_linear or form.integrals or not form.terms:
        raise InputError(f"'{constraint.name}' is not linear in the velocity and the pressure at a point")
    single = form.terms[0] if len(form.terms) == 1 and sum(form.terms[0].index) == 0 else None
    time = problem.domain.time
    if time is not None and region.times == time[1]:
        if single is None or single.unknown not in (*flow.velocity, flow.pressure):
            raise InputError(f"'{constraint.name}': at the start a flow has a velocity and nothing else")
        component = flow.velocity.index(single.unknown) if single.unknown in flow.velocity else -1
        return Statement("initial", component, -form.source / single.coefficient, constraint)
    if time is not None and not isinstance(region.times, tuple):
        raise InputError(f"'{constraint.name}' holds at one later time; a flow is solved from its start")
    if all(part.dimension == 0 for part in region.parts):
        if single is None or single.unknown != flow.pressure:
            raise InputError(f"'{constraint.name}': at a single point only the pressure can be given")
        return Statement("level", -1, -form.source / single.coefficient, constraint)
    if not region.pieces:
        raise InputError(f"'{constraint.name}' holds inside the domain; a flow has conditions on its boundary")
    if single is not None:
        kind: Kind = "pressure" if single.unknown == flow.pressure else "velocity"
        component = -1 if kind == "pressure" else flow.velocity.index(single.unknown)
        return Statement(kind, component, -form.source / single.coefficient, constraint)
    velocities = unknowns - {flow.pressure}
    if len(velocities) == 1:
        return _stress(constraint, problem, flow, flow.velocity.index(velocities.pop()))
    raise InputError(
        f"'{constraint.name}' is not a condition of a flow: give velocities, their normal derivatives, the pressure, "
        f"or nu*dn({flow.velocity[0]}) - {flow.pressure}*n with the factors of the equations"
    )


def _stress(constraint: Constraint, problem: Problem, flow: Flow, component: int) -> Statement:
    """Read ``k dn(u) = g`` or ``k dn(u) - l p n = g`` with ``k/l`` the viscosity."""
    form, names = constraint.form, problem.names
    normals = [normal_symbol(axis) for axis in names.space]
    pressure: sympy.Expr = sympy.S.Zero
    slopes: list[sympy.Expr] = []
    for term in form.terms:
        if term.unknown == flow.pressure and sum(term.index) == 0:
            pressure = -term.coefficient / normals[component]
        elif sum(term.index) == 1 and any(term.index[names.coordinates.index(axis)] for axis in names.space):
            axis = next(k for k, name in enumerate(names.space) if term.index[names.coordinates.index(name)])
            slopes.append(term.coefficient / normals[axis])
        else:
            raise InputError(f"'{constraint.name}' mixes values and derivatives of the velocity, which is not solved")
    if len(slopes) != 2 or not is_zero(slopes[0] - slopes[1]):
        raise InputError(f"'{constraint.name}' contains another derivative than the one along the normal")
    if pressure == 0:
        return Statement("flux", component, -form.source / slopes[0], constraint)
    if not is_zero(slopes[0] - flow.viscosity * pressure):
        raise InputError(
            f"'{constraint.name}': the factors of dn({flow.velocity[component]}) and {flow.pressure} must be those of "
            f"the equations, whose viscosity is {flow.viscosity}"
        )
    return Statement("traction", component, -form.source / pressure, constraint)


def _check_complete(problem: Problem, flow: Flow, found: list[Statement]) -> None:
    for component, name in enumerate(flow.velocity):
        own = [statement for statement in found if statement.component == component]
        if problem.time is not None and not any(statement.kind == "initial" for statement in own):
            raise InputError(f"the initial value of {name!r} is missing", ("conditions",))
        for piece in _lacking(problem, own, found):
            raise InputError(
                f"nothing is said about {name!r} on boundary.{piece}; give its value, or the pressure where it is open",
                ("conditions",),
            )
    if any(s.kind in ("pressure", "traction") and not _covered(s, found) for s in found):
        for statement in found:
            if statement.kind == "level":
                raise InputError(
                    "the pressure at a point is one condition too many: it is given on the boundary already",
                    ("conditions", statement.constraint.index),
                )


def _lacking(problem: Problem, own: list[Statement], found: list[Statement]) -> Iterator[str]:
    given = {piece for statement in own if statement.kind != "initial" for piece in statement.pieces}
    given |= {piece for statement in found if statement.kind == "pressure" for piece in statement.pieces}
    return (piece for piece in problem.domain.pieces if piece not in given)


def _covered(statement: Statement, found: list[Statement]) -> bool:
    """Whether the whole velocity is given wherever the statement holds."""
    return all(
        any(s.kind == "velocity" and s.component == k and piece in s.pieces and not s.constraint.masked for s in found)
        for piece in statement.pieces
        for k in range(2)
    )
