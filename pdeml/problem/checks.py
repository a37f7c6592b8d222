"""Does a problem make sense? What cannot be meant is refused; what is probably not meant is a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import evaluate, to_text
from pdeml.geometry import Region
from pdeml.problem.counting import extra_conditions, missing_conditions, order_of

if TYPE_CHECKING:
    from pdeml.problem.constraints import Constraint
    from pdeml.problem.problem import Problem

__all__ = ["check", "reasons_for_data", "warnings"]

SAMPLES = 64
AGREE = 1e-9  # two values are the same if they differ by less, relative to their size
SHIFT = 1e-12  # of the coordinates' size: far more than rounding


def check(problem: Problem) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: for equations without unknowns, conditions that do not fit the domain, values that are not
            finite, two values for one unknown at one place, or neither conditions nor data.
    """
    _check_equations(problem)
    for constraint in problem.constraints:
        if constraint.value is not None:
            _check_finite(problem, constraint)
    for first, second in combinations(problem.constraints, 2):
        _check_agreement(problem, first, second)
    if not problem.conditions and not problem.periodic and not problem.has_data:
        raise InputError(
            "there are neither conditions nor data, so that the solution is not determined; give conditions, or data",
            ("conditions",),
        )


def reasons_for_data(problem: Problem) -> tuple[str, ...]:
    """Return why observations are needed, in words; empty if they are not."""
    reasons = [
        f"the parameter {name} is to be learnt"
        for name, parameter in problem.parameters.items()
        if parameter.kind == "learn"
    ]
    unknowns, equations = len(problem.names.real_unknowns), len(problem.forms)
    if equations < unknowns:
        reasons.append(f"there are {unknowns} unknowns but {equations} equation{'s' * (equations != 1)}")
    if not problem.conditions and not problem.periodic:
        reasons.append("there are no conditions")
    return tuple(reasons)


def warnings(problem: Problem) -> tuple[str, ...]:
    """Return what is allowed but probably not meant."""
    wanting = () if problem.has_data else reasons_for_data(problem)
    return (
        *_time_unsaid(problem),
        *missing_conditions(problem),
        *extra_conditions(problem),
        *_up_to_a_constant(problem),
        *_needless_rates(problem),
        *_unused_names(problem),
        *_repeated(problem),
        *_too_many_equations(problem),
        *(f"observations are needed: {why}" for why in wanting),
    )


def _check_equations(problem: Problem) -> None:
    for index, forms in enumerate(problem.equation_forms):
        for form in forms:
            if not form.jets:
                equation = problem.equations[index]
                unknowns = ", ".join(problem.unknowns)
                message = f"'{equation}' contains none of the unknowns ({unknowns}), so that it determines nothing"
                raise InputError(message, ("equations", index))


def _check_finite(problem: Problem, constraint: Constraint) -> None:
    values = value_at(problem, constraint.value, constraint.region)
    if values is None or np.all(np.isfinite(values)):
        return
    points = probe(constraint.region)
    place = ", ".join(
        f"{name} = {x:.6g}" for name, x in zip(problem.names.coordinates, points[~np.isfinite(values)][0], strict=True)
    )
    raise InputError(
        f"the value {said(problem, constraint)} of {constraint.unknown} is not finite at {place}",
        ("conditions", constraint.index, constraint.kind, constraint.unknown or ""),
    )


def _check_agreement(problem: Problem, first: Constraint, second: Constraint) -> None:
    """Refuse two different values of one unknown at one place; places under a mask are not compared."""
    if first.unknown is None or (first.unknown, first.kind) != (second.unknown, second.kind):
        return
    if first.value is None or second.value is None or first.masked or second.masked:
        return
    for region in _shared(problem, first.region, second.region):
        one, two = (value_at(problem, constraint.value, region) for constraint in (first, second))
        if one is None or two is None:
            continue
        larger = np.max(np.maximum(np.abs(one), np.abs(two)))
        rounding = sum(_rounding(problem, constraint.value, region) for constraint in (first, second))
        if np.max(np.abs(one - two)) > AGREE * larger + rounding:
            what = {"value": "values", "rate": "rates", "flux": "fluxes"}[first.kind]
            raise InputError(
                f"two different {what} for {first.unknown} on {region.name}: {said(problem, first)} "
                f"(conditions[{first.index}]) and {said(problem, second)}",
                ("conditions", second.index, second.kind),
            )


def _rounding(problem: Problem, value: sympy.Expr | None, region: Region) -> float:
    """Return how much a value changes where the coordinates are rounded, so that ``sin(pi*x)`` is zero at 1."""
    here, near = value_at(problem, value, region), value_at(problem, value, region, shift=SHIFT)
    return 0.0 if here is None or near is None else float(np.max(np.nan_to_num(np.abs(near - here), posinf=0.0)))


def _shared(problem: Problem, first: Region, second: Region) -> Iterator[Region]:
    """Yield the regions that both cover in full dimension: the same side, time and fixed coordinates."""
    if first.pieces and second.pieces:
        for piece in first.pieces:
            if piece in second.pieces and _same_fixed(problem, piece, first, second):
                extra = _beyond_piece(problem, piece, first)
                yield problem.domain.region({"piece": piece, **extra})
    elif not first.pieces and not second.pieces and first.fixed == second.fixed:
        yield first


def _beyond_piece(problem: Problem, piece: str, region: Region) -> dict[str, float]:
    """Return the coordinates that are fixed on ``region`` besides the one that is constant on the piece."""
    plain = problem.domain.region({"piece": piece}).fixed
    return {name: value for name, value in region.fixed.items() if name not in plain}


def _same_fixed(problem: Problem, piece: str, first: Region, second: Region) -> bool:
    return _beyond_piece(problem, piece, first) == _beyond_piece(problem, piece, second)


def probe(region: Region) -> np.ndarray:
    """Return a few fixed points (M, D) of a region: its corners, its middle and a spread between them."""
    dimension = region.dimension
    if dimension == 0:
        return region.draw(np.zeros((1, 0)))[0]
    spread = (np.arange(1, SAMPLES + 1)[:, None] * _golden(dimension)) % 1.0
    corners = np.zeros((2 ** min(dimension, 6), dimension))
    corners[:, :6] = np.indices((2,) * min(dimension, 6)).reshape(min(dimension, 6), -1).T
    return region.draw(np.vstack([np.full((1, dimension), 0.5), corners, spread]))[0]


def value_at(problem: Problem, value: sympy.Expr | None, region: Region, shift: float = 0.0) -> np.ndarray | None:
    """Evaluate a known formula at a few points of a region; None if it contains an input function.

    Parameters have their value, first guess or middle of the range. With ``shift`` the coordinates are that share of
    their size away.
    """
    if value is None or value.atoms(sympy.core.function.AppliedUndef):
        return None
    points = probe(region) + shift * np.max(np.abs(problem.domain.bounds), axis=1)
    values: dict[str, np.ndarray | float] = {**problem.parameter_values}
    values.update((name, points[:, k]) for k, name in enumerate(problem.names.coordinates))
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(evaluate(value, values), dtype=np.float64), (len(points),))


def said(problem: Problem, constraint: Constraint) -> str:
    """Return the prescribed value in the language of formulas."""
    return to_text(constraint.value, problem.names)


def _golden(dimension: int) -> np.ndarray:
    """Return the steps of the additive recurrence of lowest discrepancy (Roberts 2018)."""
    ratio = 2.0
    for _ in range(50):
        ratio = (1.0 + ratio) ** (1.0 / (dimension + 1))
    return ratio ** -np.arange(1.0, dimension + 1)


def _time_unsaid(problem: Problem) -> Iterator[str]:
    """Name the coordinate that looks like time: it is called t, or alone is of first order among higher ones."""
    if problem.time is not None or not problem.domain.is_box:
        return
    orders = {
        axis: max(order_of(problem, name, axis) for name in problem.names.real_unknowns) for axis in problem.domain.axes
    }
    first = [axis for axis, order in orders.items() if order == 1]
    is_march = len(first) == 1 and len(orders) > 1 and all(orders[axis] > 1 for axis in orders if axis not in first)
    name = "t" if "t" in orders else first[0] if is_march else None
    if name is not None and name not in problem.periodic:
        yield f"{name} looks like time; if it is, say time: {name}"


def _up_to_a_constant(problem: Problem) -> Iterator[str]:
    """Name steady unknowns of second order that occur in derivatives only, in equations and in conditions."""
    if problem.time is not None or problem.has_data:
        return
    forms = [*problem.forms, *(constraint.form for constraint in problem.constraints)]
    for unknown in problem.names.real_unknowns:
        orders = [sum(index) for form in forms for name, index in form.jets if name == unknown]
        steep = any(order_of(problem, unknown, axis) > 1 for axis in problem.domain.axes)
        if steep and min(orders) > 0:
            yield (
                f"no value of {unknown} is given anywhere: the conditions fix {unknown} only up to a constant, and "
                "fluxes and sources must balance"
            )


def _needless_rates(problem: Problem) -> Iterator[str]:
    for constraint in problem.constraints:
        if constraint.kind == "rate" and constraint.unknown is not None:
            order = order_of(problem, constraint.unknown, problem.names.time or "")
            if order < 2:
                yield (
                    f"{constraint.name}: the equations are of order {order} in {problem.time} for "
                    f"{constraint.unknown}, so that its rate follows from its value"
                )


def _unused_names(problem: Problem) -> Iterator[str]:
    forms = [*problem.forms, *(constraint.form for constraint in problem.constraints)]
    used: set[str] = set()
    for form in forms:
        used.update(unknown for unknown, _ in form.jets)
        used.update(symbol.name for symbol in form.residual.free_symbols)
        used.update(name for name, _ in form.input_jets)
    for kind, names in _declared(problem).items():
        for name in names:
            if name not in used:
                yield f"the {kind} {name} is used in no equation and no condition"


def _declared(problem: Problem) -> Mapping[str, tuple[str, ...]]:
    return {
        "unknown": problem.names.real_unknowns,
        "parameter": tuple(problem.parameters),
        "input function": tuple(problem.inputs),
    }


def _repeated(problem: Problem) -> Iterator[str]:
    seen: dict[tuple[object, ...], Constraint] = {}
    for constraint in problem.constraints:
        key = (constraint.kind, constraint.unknown, constraint.value, constraint.on, constraint.form.residual)
        if key in seen:
            yield f"{constraint.name} repeats conditions[{seen[key].index}]"
        seen.setdefault(key, constraint)


def _too_many_equations(problem: Problem) -> Iterator[str]:
    unknowns, equations = len(problem.names.real_unknowns), len(problem.forms)
    if equations > unknowns:
        plural = "s" * (unknowns != 1)
        yield f"{equations} equations for {unknowns} unknown{plural}: all hold only if they agree"
