"""Exact conditions on boxes: ``u = g + D·N`` where g takes the given values and D vanishes where they are given.

g is the Boolean sum of one-dimensional interpolations between opposite sides (transfinite interpolation; Gordon,
1971), space first and time last; D is a product of distances, one factor per coordinate. Both are closed forms.
Conditions that cannot be met this way stay as rows of the residual system: sides given only in part, values that
disagree where sides meet, and values with kinks or jumps, whose derivatives would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sympy

from pdeml.expr import evaluate
from pdeml.lower.known import with_values
from pdeml.problem import Constraint, Problem

__all__ = ["Lift", "exact_lift", "features"]

_ROUGH = (sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Piecewise, sympy.Min, sympy.Max)
_PROBES = 9
"""Values are compared on this many points along each coordinate where two sides meet."""


@dataclass(frozen=True)
class Lift:
    """g and D for each real unknown, and the names of the constraints that they satisfy exactly."""

    base: tuple[sympy.Expr, ...]
    factor: tuple[sympy.Expr, ...]
    exact: tuple[str, ...] = ()


@dataclass(frozen=True)
class _End:
    """What is given at one end of one coordinate."""

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
            found.append((x - _number(0.5 * (low + high))) / _number(0.5 * (high - low)))
    return tuple(found)


def exact_lift(problem: Problem, scales: Mapping[str, float], impose: bool = True) -> Lift:
    """Build g and D for the conditions that can be imposed exactly.

    Args:
        problem: the conditions and the domain.
        scales: real unknown -> its size, which D carries so that the network's output is of order one.
        impose: if false, g = 0 and D = scale: all conditions stay rows.
    """
    names = problem.names
    base, factor, exact = [], [], []
    for unknown in names.real_unknowns:
        g, d, done = sympy.Integer(0), _number(scales[unknown]), []
        if impose and problem.domain.is_box:
            g, distance, done = _interpolate(problem, unknown, scales[unknown])
            d = d * distance
        base.append(g)
        factor.append(d)
        exact += done
    whole = {c.name for c in problem.constraints} & set(exact)
    return Lift(tuple(base), tuple(factor), tuple(c.name for c in problem.constraints if c.name in whole))


def _interpolate(problem: Problem, unknown: str, scale: float) -> tuple[sympy.Expr, sympy.Expr, list[str]]:
    """Return g, the product of distances, and the constraints met, for one unknown."""
    sides, wanted = _given(problem, unknown)
    g, distance, met = sympy.Integer(0), sympy.Integer(1), set()
    for name in _space_then_time(problem):
        low, high = sides.low.get(name), sides.high.get(name)
        ends = [end for end in (low, high) if end is not None and _agrees(problem, name, end, g, distance, scale)]
        if not ends:
            continue
        g = g + _between(problem, name, ends, g)
        distance = distance * _distance(problem, name, ends)
        met |= {(name, end.at, source) for end in ends for source in end.sources}
    done = [source for source, places in wanted.items() if all((*place, source) in met for place in places)]
    return g, distance, done


def _given(problem: Problem, unknown: str) -> tuple[_Sides, dict[str, set[tuple[str, float]]]]:
    """Collect the ends where the unknown's value is given, and for each constraint all its places."""
    sides, wanted = _Sides(), {}
    time = problem.names.time
    rates = {}
    for constraint in problem.constraints:
        if constraint.unknown != unknown or constraint.region.where is not None or _is_rough(constraint.value):
            continue
        value = with_values(constraint.value, problem.names, problem.parameter_values)
        if value.free_symbols - {problem.names.symbol(name) for name in problem.names.coordinates}:
            continue
        places = _places(problem, constraint)
        if constraint.kind == "rate" and places == [(time, problem.domain.time[1])]:
            rates[constraint.name] = value
        if constraint.kind != "value" or not places:
            continue
        wanted[constraint.name] = set(places)
        for name, at in places:
            low = at == problem.domain.bounds[problem.names.coordinates.index(name)][0]
            (sides.low if low else sides.high).setdefault(name, _End(at, value, (constraint.name,)))
    sides.high.pop(time, None)
    if time in sides.low and rates:
        source, rate = next(iter(rates.items()))
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


def _is_rough(value: sympy.Expr | None) -> bool:
    return value is None or sympy.sympify(value, strict=True).has(*_ROUGH)


def _space_then_time(problem: Problem) -> Sequence[str]:
    time = problem.names.time
    return [*(n for n in problem.names.space if n not in problem.domain.periodic), *([time] if time else [])]


def _agrees(
    problem: Problem, name: str, end: _End, g: sympy.Expr, distance: sympy.Expr, scale: float
) -> bool:
    """Tell whether an end's value matches g where the sides that are already exact meet it."""
    if distance == 1:
        return True
    x = problem.names.symbol(name)
    gaps = [end.value - g.xreplace({x: _number(end.at)})]
    if end.rate is not None:
        gaps.append(end.rate - sympy.diff(g, x).xreplace({x: _number(end.at)}))
    others = [n for n in problem.names.coordinates if n != name]
    bounds = dict(zip(problem.names.coordinates, problem.domain.bounds, strict=True))
    axes = np.meshgrid(*[np.linspace(*bounds[n], _PROBES) for n in others], indexing="ij")
    values = {**{n: axis.ravel() for n, axis in zip(others, axes, strict=True)}, name: end.at}
    meets = np.abs(evaluate(distance, values)) <= 1e-12
    sizes = [scale, scale / float(np.ptp(bounds[name]))]
    return all(
        np.max(np.abs(evaluate(gap, values))[meets], initial=0.0) <= 1e-9 * size
        for gap, size in zip(gaps, sizes, strict=False)
    )


def _between(problem: Problem, name: str, ends: Sequence[_End], g: sympy.Expr) -> sympy.Expr:
    """Interpolate what is missing of the ends' values: linearly between two, constant (plus the rate) from one."""
    x = problem.names.symbol(name)
    gaps = [end.value - g.xreplace({x: _number(end.at)}) for end in ends]
    if len(ends) == 2:
        share = (x - _number(ends[0].at)) / _number(ends[1].at - ends[0].at)
        return (1 - share) * gaps[0] + share * gaps[1]
    if ends[0].rate is not None:
        slope = ends[0].rate - sympy.diff(g, x).xreplace({x: _number(ends[0].at)})
        return gaps[0] + (x - _number(ends[0].at)) * slope
    return gaps[0]


def _distance(problem: Problem, name: str, ends: Sequence[_End]) -> sympy.Expr:
    """Return a factor of order one that vanishes at the ends, twice where a rate is given too."""
    x = problem.names.symbol(name)
    low, high = problem.domain.bounds[problem.names.coordinates.index(name)].tolist()
    if len(ends) == 2:
        scaled = (x - _number(0.5 * (low + high))) / _number(0.5 * (high - low))
        return 1 - scaled**2
    share = (x - _number(ends[0].at)) / _number(high - low)
    return share**2 if ends[0].rate is not None else share


def _number(value: float) -> sympy.Expr:
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)
