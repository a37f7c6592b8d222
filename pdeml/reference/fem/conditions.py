"""Conditions sorted into what finite elements do with them: prescribed values, outflows, values at the start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import diff, jet_of, normal_symbol
from pdeml.geometry import Region
from pdeml.geometry.quasi import fixed_points
from pdeml.problem import Constraint, Problem
from pdeml.reference.fem.weak import (
    Weak,
    gradient_symbols,
    tangential,
    unit_normal,
    value_symbol,
)

__all__ = ["Conditions", "Outflow", "Prescribed", "sort_conditions"]

PROBES = 10
"""Two to this power points of each piece of the boundary are looked at for conditions."""


@dataclass(frozen=True)
class Prescribed:
    """``unknown = value`` on a region of the boundary, or at a point."""

    unknown: str
    value: sympy.Expr
    region: Region


@dataclass(frozen=True)
class Outflow:
    """``F·n = value`` on a region of the boundary, ``F`` the flux of the equation of ``unknown``."""

    unknown: str
    value: sympy.Expr
    region: Region


@dataclass(frozen=True)
class Conditions:
    """All conditions of a problem.

    Attributes:
        prescribed, outflows: on the boundary; of two values at one place the later counts.
        initial: unknown -> value at the start.
    """

    prescribed: tuple[Prescribed, ...]
    outflows: tuple[Outflow, ...]
    initial: dict[str, sympy.Expr]


def sort_conditions(weak: Weak) -> Conditions:
    """Sort the constraints of a problem.

    Raises:
        InputError: a condition is of a kind finite elements do not take, or one is missing.
    """
    problem = weak.problem
    prescribed: list[Prescribed] = []
    outflows: list[Outflow] = []
    initial: dict[str, sympy.Expr] = {}
    for constraint in problem.constraints:
        if _at_start(constraint, problem):
            if constraint.kind != "value" or constraint.masked:
                raise InputError(f"at the start it takes values in all of the domain only, not '{constraint.name}'")
            found = _solved_for_value(constraint, problem)
            initial[found.unknown] = found.value
            continue
        _check_place(constraint, problem)
        found = _on_boundary(constraint, weak)
        (prescribed if isinstance(found, Prescribed) else outflows).append(found)
    _check_complete(weak, [*prescribed, *outflows], initial)
    return Conditions(tuple(prescribed), tuple(outflows), initial)


def _at_start(constraint: Constraint, problem: Problem) -> bool:
    time = problem.domain.time
    region = constraint.region
    return time is not None and not region.pieces and region.fixed == {time[0]: time[1]} and not region.is_point


def _check_place(constraint: Constraint, problem: Problem) -> None:
    region, time = constraint.region, problem.domain.time
    if time is not None and region.fixed.get(time[0]) is not None:
        raise InputError(f"'{constraint.name}' holds at one time only")
    if not region.pieces and not region.is_point and not (time and all(p.dimension == 0 for p in region.parts)):
        raise InputError(f"'{constraint.name}' holds inside the domain, not on its boundary")


def _on_boundary(constraint: Constraint, weak: Weak) -> Prescribed | Outflow:
    problem = weak.problem
    if constraint.kind == "rate":
        raise InputError(f"'{constraint.name}' prescribes a rate on the boundary")
    residual = constraint.form.residual
    found = {jet for symbol in residual.free_symbols if (jet := jet_of(symbol)) and jet[0] in weak.unknowns}
    sloped = sorted({name for name, index in found if any(index)})
    if any(sum(index) > 1 for _, index in found) or len(sloped) > 1:
        raise InputError(f"'{constraint.name}' is not an equation in one unknown and its normal derivative")
    if problem.names.time and any(index[problem.names.coordinates.index(problem.names.time)] for _, index in found):
        raise InputError(f"'{constraint.name}' has a time derivative on the boundary")
    if not sloped:
        return _solved_for_value(constraint, problem)
    return _solved_for_slope(constraint, sloped[0], weak)


def _solved_for_value(constraint: Constraint, problem: Problem) -> Prescribed:
    residual = constraint.form.residual
    if len(constraint.form.unknowns) != 1:
        raise InputError(f"'{constraint.name}' has several unknowns and no normal derivative")
    (unknown,) = constraint.form.unknowns
    symbol = value_symbol(problem, unknown)
    factor = diff(residual, symbol)
    if symbol in factor.free_symbols:
        raise InputError(f"'{constraint.name}' is not linear in {unknown!r}")
    return Prescribed(unknown, -residual.xreplace({symbol: sympy.S.Zero}) / factor, constraint.region)


def _solved_for_slope(constraint: Constraint, unknown: str, weak: Weak) -> Outflow:
    """Solve ``c·grad u + r = 0`` for the normal derivative; what ``c`` has along the boundary stays."""
    problem, residual = weak.problem, constraint.form.residual
    gradient = gradient_symbols(problem, unknown)
    factors = [diff(residual, symbol) for symbol in gradient]
    if any(factor.free_symbols & set(gradient) for factor in factors):
        raise InputError(f"'{constraint.name}' is not linear in the derivatives of {unknown!r}")
    rest = residual.xreplace(dict.fromkeys(gradient, sympy.S.Zero))
    normal = [normal_symbol(axis) for axis in problem.names.space]
    along = sympy.Add(*(factor * part for factor, part in zip(factors, tangential(problem, unknown), strict=True)))
    across = unit_normal(sympy.Add(*(factor * n for factor, n in zip(factors, normal, strict=True))), problem)
    if across == 0:
        raise InputError(f"'{constraint.name}' has no normal derivative in it")
    slope = -(rest + unit_normal(along, problem)) / across
    (equation,) = (equation for equation in weak.equations if equation.unknown == unknown)
    return Outflow(unknown, weak.outflow(equation, slope), constraint.region)


def _check_complete(weak: Weak, found: list[Prescribed | Outflow], initial: dict[str, sympy.Expr]) -> None:
    problem = weak.problem
    for equation in weak.equations:
        own = [entry for entry in found if entry.unknown == equation.unknown]
        for piece in problem.domain.pieces if equation.matrix else ():
            _check_piece(problem, equation.unknown, own, piece)
        if equation.unknown in _evolving(weak) and equation.unknown not in initial:
            raise InputError(f"there is no value of {equation.unknown!r} at the start")


def _check_piece(problem: Problem, unknown: str, found: list[Prescribed | Outflow], piece: str) -> None:
    """Refuse a piece of the boundary with nothing on a part of it, or with a value and a flux at once."""
    whole = problem.domain.region(f"boundary.{piece}")
    points, _ = whole.draw(fixed_points(whole.dimension, PROBES))
    valued, flowing = (
        _covered([entry for entry in found if isinstance(entry, kind)], piece, points) for kind in (Prescribed, Outflow)
    )
    if not np.all(valued | flowing):
        where = "a part of the piece" if np.any(valued | flowing) else "the piece"
        raise InputError(f"there is no condition for {unknown!r} on {where} {piece!r}")
    if np.any(valued & flowing):
        raise InputError(f"{unknown!r} has a value and a flux on the piece {piece!r}; one of them is enough")


def _covered(found: list[Prescribed | Outflow], piece: str, points: np.ndarray) -> np.ndarray:
    """Return at which points (N, D) of a piece one of the conditions holds, (N,)."""
    result = np.zeros(len(points), dtype=bool)
    for entry in found:
        if any(part.name == piece for part in entry.region.parts):
            mask = entry.region.where
            result |= True if mask is None else np.asarray(mask(points)).reshape(-1).astype(bool)
    return result


def _evolving(weak: Weak) -> set[str]:
    return {unknown for equation in weak.equations for unknown in equation.mass}
