"""Exact conditions on boxes: ``u = g + D·N`` where g takes the given values and D vanishes where they are given.

g is the Boolean sum of one-dimensional interpolations between opposite sides (transfinite interpolation; Gordon,
1971), space first and time last; D is a product of distances, one factor per coordinate. Both are closed forms.
Conditions that cannot be met this way stay as rows of the residual system: sides given only in part, values that
disagree where sides meet or that do not repeat along a periodic coordinate, values with kinks, jumps or singularities,
whose derivatives would be lost, and values too large to be differentiated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy
from sympy.core.function import AppliedUndef

from pdeml.errors import ExpressionError
from pdeml.expr import diff, evaluate, where, with_values
from pdeml.problem import Constraint, Problem

__all__ = ["Lift", "exact_lift", "features"]

_ROUGH = (sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Piecewise, sympy.Min, sympy.Max, sympy.atan2, where)
_PROBES = np.array([0.0, *np.sort(np.arange(1, 8) * 0.6180339887 % 1.0), 1.0])
"""Values are compared at these shares of each coordinate: its ends, and where no wave of round length is zero."""
_MAX_SLOPE = 2_000
"""Values whose second derivatives have more nodes stay rows."""
_REPEATS = 1e-9
"""A value repeats if it differs by less between the two ends of a periodic coordinate, compared to its largest."""
_GAP = 1e-11
"""Values that differ by less, compared to the unknown's size, are the same."""


@dataclass(frozen=True)
class Lift:
    """g and D for each real unknown, and the names of the constraints that they satisfy exactly."""

    base: tuple[sympy.Expr, ...]
    factor: tuple[sympy.Expr, ...]
    exact: tuple[str, ...] = ()


@dataclass(frozen=True)
class _End:
    """What is given at one end of one coordinate, as a formula in the others."""

    at: float
    value: sympy.Expr
    sources: tuple[str, ...]
    rate: sympy.Expr | None = None


@dataclass
class _Sides:
    """The ends of one unknown's coordinates where its value is given."""

    low: dict[str, _End] = field(default_factory=dict)
    high: dict[str, _End] = field(default_factory=dict)


def features(problem: Problem, modes: int = 1) -> tuple[sympy.Expr, ...]:
    """Return what the network sees of a point: coordinates scaled to [−1, 1], or cos and sin of periodic ones.

    Args:
        problem: gives the coordinates.
        modes: number of harmonics of a periodic coordinate.
    """
    found: list[sympy.Expr] = []
    for name, (low, high) in zip(problem.names.coordinates, problem.domain.bounds.tolist(), strict=True):
        x = problem.names.symbol(name)
        if name in problem.domain.periodic:
            angle = 2 * sympy.pi * (x - _number(low)) / _number(high - low)
            found += [wave(k * angle) for k in range(1, modes + 1) for wave in (sympy.cos, sympy.sin)]
        else:
            found.append(_product(1 / (0.5 * (high - low)), x - _number(0.5 * (low + high))))
    return tuple(found)


def exact_lift(problem: Problem, scales: Mapping[str, float], impose: bool = True, given: Sequence[str] = ()) -> Lift:
    """Build g and D for the conditions that can be imposed exactly.

    Args:
        problem: the conditions and the domain.
        scales: real unknown -> its size, which D carries so that the network's output is of order one.
        impose: if false, g = 0 and D = scale: all conditions stay rows.
        given: input functions whose values will be known where they are given; they stand in g as such, and are
            trusted to agree with the other sides where they meet.
    """
    names = problem.names
    base, factor, exact = [], [], []
    for unknown in names.real_unknowns:
        g, distances, done = sympy.Integer(0), (), []
        if impose and problem.domain.is_box:
            g, distances, done = _interpolate(problem, unknown, scales[unknown], given)
        base.append(g)
        factor.append(_product(scales[unknown], *distances))
        exact += done
    whole = {c.name for c in problem.constraints} & set(exact)
    return Lift(tuple(base), tuple(factor), tuple(c.name for c in problem.constraints if c.name in whole))


def _interpolate(
    problem: Problem, unknown: str, scale: float, known: Sequence[str]
) -> tuple[sympy.Expr, list[sympy.Expr], list[str]]:
    """Return g, the distances (a list of factors), and the constraints met, for one unknown."""
    sides, wanted = _given(problem, unknown, known)
    g, distances, met = sympy.Integer(0), [], set()
    for name in _space_then_time(problem):
        given = (sides.low.get(name), sides.high.get(name))
        agreeing = [_agreeing(problem, name, end, (g, distances), scale) for end in given if end is not None]
        ends = [end for end in agreeing if end is not None]
        if not ends:
            continue
        g = g + _between(problem, name, ends, g)
        distances += _distances(problem, name, ends)
        met |= {(name, end.at, source) for end in ends for source in end.sources}
    done = [source for source, places in wanted.items() if all((*place, source) in met for place in places)]
    return g, distances, done


def _given(problem: Problem, unknown: str, known: Sequence[str]) -> tuple[_Sides, dict[str, set[tuple[str, float]]]]:
    """Collect the ends where the unknown's value is given, and for each constraint all its places."""
    sides, wanted = _Sides(), {}
    time = problem.names.time
    rates = {}
    for constraint in problem.constraints:
        if constraint.unknown != unknown or constraint.region.where is not None or constraint.value is None:
            continue
        value = with_values(constraint.value, problem.names, problem.parameter_values)
        places = _places(problem, constraint)
        if constraint.kind == "rate" and places == [(time, problem.domain.time[1])]:
            rates[constraint.name] = _smooth_at(problem, time, places[0][1], value, ())
        if constraint.kind != "value" or not places:
            continue
        wanted[constraint.name] = set(places)
        for name, at in places:
            side = _smooth_at(problem, name, at, value, known)
            low = at == problem.domain.bounds[problem.names.coordinates.index(name)][0]
            if side is not None:
                (sides.low if low else sides.high).setdefault(name, _End(at, side, (constraint.name,)))
    sides.high.pop(time, None)
    known = {source: rate for source, rate in rates.items() if rate is not None}
    if time in sides.low and known:
        source, rate = next(iter(known.items()))
        start = sides.low[time]
        sides.low[time] = _End(start.at, start.value, (*start.sources, source), rate)
        wanted[source] = {(time, start.at)}
    return sides, wanted


def _places(problem: Problem, constraint: Constraint) -> list[tuple[str, float]]:
    """Return the whole ends of coordinates that the constraint covers: (coordinate, where), none if it is not such."""
    region, domain = constraint.region, problem.domain
    if region.pieces:
        planes = [domain.pieces[name].plane for name in region.pieces]
        if any(plane is None for plane in planes) or problem.names.time in region.fixed:
            return []
        found = [(domain.axes[axis], value) for axis, value in planes]
        along = {name for name, _ in found}
        return found if len(found) > 1 or set(region.fixed) <= along else []
    fixed = region.fixed
    if len(fixed) != 1:
        return []
    ((name, value),) = fixed.items()
    bounds = problem.domain.bounds[problem.names.coordinates.index(name)]
    return [(name, value)] if value in bounds and name not in domain.periodic else []


def _smooth_at(problem: Problem, name: str, at: float, value: sympy.Expr, known: Sequence[str]) -> sympy.Expr | None:
    """Return what the value is at one end of a coordinate, if it is known and smooth there, else none."""
    if isinstance(value, AppliedUndef) and value.func.__name__ in known:
        return value.xreplace({problem.names.symbol(name): _number(at)})
    names = problem.names
    side = value.xreplace({names.symbol(name): _number(at)})
    others = [other for other in names.coordinates if other != name]
    if side.has(*_ROUGH) or side.atoms(AppliedUndef) or side.free_symbols - set(map(names.symbol, others)):
        return None
    try:
        slopes = [diff(side, names.symbol(other), order, limit=_MAX_SLOPE) for other in others for order in (1, 2)]
    except ExpressionError:  # too large for the higher derivatives that the equations may ask for
        return None
    values = _probes(problem, others)
    finite = all(np.isfinite(evaluate(part, values)).all() for part in (side, *slopes))
    ours, given = evaluate(side, values), evaluate(value, {**values, name: at})
    same = np.allclose(ours, given, rtol=_GAP, atol=_GAP * float(np.max(np.abs(ours))))  # not so on a jump itself
    return side if finite and same and all(_closes(problem, side, axis) for axis in problem.domain.periodic) else None


def _closes(problem: Problem, side: sympy.Expr, axis: str) -> bool:
    """Tell whether a value repeats along a periodic coordinate as often as the equations differentiate it.

    A value that does not would put its jump, or its kink, into the solution for all time, where no row sees it.
    """
    names = problem.names
    low, high = problem.domain.bounds[names.coordinates.index(axis)].tolist()
    values = _probes(problem, [name for name in names.coordinates if name != axis])
    inside = _probes(problem, names.coordinates)
    for order in range(max((form.order(axis) for form in problem.forms), default=0) or 1):
        slope = diff(side, names.symbol(axis), order)
        jump = evaluate(slope, {**values, axis: high}) - evaluate(slope, {**values, axis: low})
        if not np.max(np.abs(jump)) <= _REPEATS * np.max(np.abs(evaluate(slope, inside)), initial=1e-300):
            return False
    return True


def _probes(problem: Problem, axes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return a tensor grid over some coordinates, as columns."""
    bounds = dict(zip(problem.names.coordinates, problem.domain.bounds.tolist(), strict=True))
    along = [np.where(_PROBES < 1, low + (high - low) * _PROBES, high) for low, high in (bounds[n] for n in axes)]
    return {name: grid.ravel() for name, grid in zip(axes, np.meshgrid(*along, indexing="ij"), strict=True)}


def _space_then_time(problem: Problem) -> Sequence[str]:
    time = problem.names.time
    return [*(n for n in problem.names.space if n not in problem.domain.periodic), *([time] if time else [])]


def _agreeing(
    problem: Problem, name: str, end: _End, built: tuple[sympy.Expr, list[sympy.Expr]], scale: float
) -> _End | None:
    """Return as much of an end as matches g where the sides that are already exact meet it: all, the value, or none."""
    g, distances = built
    if not distances or (end.value - g).atoms(AppliedUndef):
        return end
    x = problem.names.symbol(name)
    values = {**_probes(problem, [n for n in problem.names.coordinates if n != name]), name: end.at}
    meets = np.abs(evaluate(_product(1.0, *distances), values)) <= 1e-12

    def gap(given: sympy.Expr, ours: sympy.Expr) -> float:
        difference = evaluate(given - ours.xreplace({x: _number(end.at)}), values)
        return float(np.max(np.abs(difference)[meets], initial=0.0))

    low, high = problem.domain.bounds[problem.names.coordinates.index(name)]
    if not gap(end.value, g) <= _GAP * scale:
        return None
    if end.rate is not None and not gap(end.rate, diff(g, x)) <= _GAP * scale / (high - low):
        return _End(end.at, end.value, end.sources[:1])
    return end


def _between(problem: Problem, name: str, ends: Sequence[_End], g: sympy.Expr) -> sympy.Expr:
    """Interpolate what is missing of the ends' values: linearly between two, constant (plus the rate) from one."""
    x = problem.names.symbol(name)
    gaps = [end.value - g.xreplace({x: _number(end.at)}) for end in ends]
    if len(ends) == 2:
        low, high = (_number(end.at) for end in ends)
        share = 1 / (high - low)
        return _product(share, high - x, gaps[0]) + _product(share, x - low, gaps[1])
    if ends[0].rate is not None:
        slope = ends[0].rate - diff(g, x).xreplace({x: _number(ends[0].at)})
        return gaps[0] + (x - _number(ends[0].at)) * slope
    return gaps[0]


def _distances(problem: Problem, name: str, ends: Sequence[_End]) -> list[sympy.Expr]:
    """Return factors, together of order one, that vanish at the ends; twice where a rate is given too."""
    x = problem.names.symbol(name)
    low, high = problem.domain.bounds[problem.names.coordinates.index(name)].tolist()
    if len(ends) == 2:
        return [_number(4.0 / (high - low) ** 2), x - _number(low), _number(high) - x]
    share = [_number(1.0 / (high - low)), x - _number(ends[0].at)]
    return share * 2 if ends[0].rate is not None else share


def _product(number: float | sympy.Expr, *factors: sympy.Expr) -> sympy.Expr:
    """Return a product that is not multiplied out: ``x - b`` stays exactly zero at b, however far from the origin."""
    numbers, others = sympy.sympify(number, strict=True), []
    for factor in factors:
        if factor.is_Number:
            numbers *= factor
        else:
            others.append(factor)
    if numbers == 0 or not others:
        return _number(float(numbers))
    return sympy.Mul(_number(float(numbers)), *others, evaluate=False)


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)
