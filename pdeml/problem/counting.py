"""How many conditions the orders of the equations ask for, and how many are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdeml.problem.constraints import Constraint
    from pdeml.problem.problem import Problem

__all__ = ["Count", "counts", "extra_conditions", "missing_conditions", "order_of"]


@dataclass(frozen=True)
class Count:
    """Conditions for one real unknown along one coordinate.

    Attributes:
        unknown: the real unknown.
        coordinate: time, a coordinate of a box, or ``space`` for a shape that is no box.
        order: of the highest derivative.
        wanted: in time as many as the order. In a box as many as the order, both sides together. On any other shape
            half the order on each piece of the boundary.
        given: how many there are; on a shape those of the poorest piece.
        where: the poorest piece of a shape, else empty.
    """

    unknown: str
    coordinate: str
    order: int
    wanted: int
    given: int
    where: str = ""

    @property
    def lacking(self) -> int:
        """How many are missing."""
        return max(0, self.wanted - self.given)


def order_of(problem: Problem, unknown: str, coordinate: str) -> int:
    """Return the highest order of a derivative of ``unknown`` along ``coordinate`` in the equations."""
    return max((form.order(coordinate, unknown) for form in problem.forms), default=0)


def counts(problem: Problem) -> tuple[Count, ...]:
    """Return what each unknown wants and has; periodic coordinates want nothing."""
    found = []
    for unknown in problem.names.real_unknowns:
        own = [constraint for constraint in problem.constraints if unknown in constraint.form.unknowns]
        if problem.time:
            found.append(_in_time(problem, unknown, own))
        if problem.domain.is_box:
            axes = [axis for axis in problem.domain.axes if axis not in problem.periodic]
            found.extend(_across(problem, unknown, own, axis) for axis in axes)
        else:
            found.append(_on_pieces(problem, unknown, own))
    return tuple(count for count in found if count.wanted)


def missing_conditions(problem: Problem) -> tuple[str, ...]:
    """Return a sentence for each unknown and coordinate that has fewer conditions than its orders ask for.

    A coordinate where the system as a whole has enough is not mentioned: a first-order system may prescribe two
    conditions of one unknown and none of another. Nor is a problem that has data in place of all conditions.
    """
    if problem.has_data and not problem.conditions:
        return ()
    found = []
    table = counts(problem)
    for coordinate in dict.fromkeys(count.coordinate for count in table):
        rows = [count for count in table if count.coordinate == coordinate]
        if sum(count.given for count in rows) < sum(count.wanted for count in rows):
            found.extend(
                _sentence(problem, count) for count in rows if count.lacking and not _is_settled(problem, count)
            )
    return tuple(found)


def extra_conditions(problem: Problem) -> tuple[str, ...]:
    """Return a sentence for each place where one equation for one unknown has more conditions than its orders ask for.

    Nothing is said where more may be meant: with data, with parameters to be found, in systems, under masks, and along
    coordinates of first order whose direction of transport is not the same everywhere.
    """
    found = {parameter.kind for parameter in problem.parameters.values()}
    if (
        problem.has_data
        or found & {"learn", "eigen"}
        or len(problem.forms) != 1
        or len(problem.names.real_unknowns) > 1
    ):
        return ()
    rows = [count for count in counts(problem) if count.order > 1 or _one_way(problem, count.coordinate)]
    return tuple(text for count in rows for text in _too_many(problem, count))


def _one_way(problem: Problem, axis: str) -> bool:
    """Tell whether the terms of first order along ``axis`` are linear with coefficients that are constant."""
    form, names = problem.forms[0], problem.names
    along = [term for term in form.terms if term.index[names.coordinates.index(axis)]]
    moving = {names.symbol(name) for name in names.coordinates}
    return axis == names.time or (form.is_linear and all(not term.coefficient.free_symbols & moving for term in along))


def _too_many(problem: Problem, count: Count) -> Iterator[str]:
    what = f"{count.unknown} is of order {count.order} in {count.coordinate}, which asks for {count.wanted} condition"
    what += "s" * (count.wanted != 1)
    if count.where:
        for piece in problem.domain.pieces if count.wanted else ():
            given = _kinds_on(problem, piece)
            if given > count.wanted:
                yield f"{what} on boundary.{piece}; there are {given}: too many, unless they agree"
        return
    if count.coordinate == problem.time:
        given = _kinds_in_time(problem, count.order)
    else:
        given = sum(_kinds_on(problem, piece) for piece in _sides(problem, count.coordinate))
    if given > count.wanted:
        yield f"{what} along {count.coordinate}; there are {given}: too many, unless they agree"


def _kinds_on(problem: Problem, piece: str) -> int:
    """Return how many different conditions hold on a whole piece at all times; one said twice counts once."""
    axes = set(problem.domain.axes)
    whole = [
        c
        for c in problem.constraints
        if piece in c.region.pieces
        and not c.masked
        and problem.time not in c.region.fixed
        and len(axes & set(c.region.fixed)) <= 1
    ]
    return len({c.form.residual if c.kind == "equation" else c.kind for c in whole})


def _kinds_in_time(problem: Problem, order: int) -> int:
    """Return how many different conditions hold everywhere at the first and the last time together."""
    assert problem.domain.time is not None
    time, *ends = problem.domain.time
    whole = [
        c
        for c in problem.constraints
        if c.region.fixed.get(time) in ends
        and not c.masked
        and set(c.region.fixed) == {time}
        and (order > 1 or c.kind != "rate")
    ]
    return len({(c.region.fixed[time], c.form.residual if c.kind == "equation" else c.kind) for c in whole})


def _is_settled(problem: Problem, count: Count) -> bool:
    """Tell whether one condition anywhere is enough: a multiplier, such as the pressure of an incompressible flow.

    A multiplier occurs only beside higher derivatives of other unknowns, so it takes its values from their equations
    up to a constant.
    """
    own, others = [], []
    for form in problem.forms:
        if count.unknown in form.unknowns:
            own.append(max(sum(index) for name, index in form.jets if name == count.unknown))
            others.append(max((sum(index) for name, index in form.jets if name != count.unknown), default=0))
    given = any(count.unknown in constraint.form.unknowns for constraint in problem.constraints)
    return given and all(mine < theirs for mine, theirs in zip(own, others, strict=True))


def _in_time(problem: Problem, unknown: str, own: list[Constraint]) -> Count:
    assert problem.domain.time is not None
    time, *ends = problem.domain.time
    order = order_of(problem, unknown, time)
    return Count(unknown, time, order, order, sum(c.region.fixed.get(time) in ends for c in own))


def _across(problem: Problem, unknown: str, own: list[Constraint], axis: str) -> Count:
    order = order_of(problem, unknown, axis)
    return Count(unknown, axis, order, order, sum(_ends(problem, constraint, axis) for constraint in own))


def _ends(problem: Problem, constraint: Constraint, axis: str) -> int:
    """Return on how many sides across ``axis`` a constraint holds; a point that fixes all of space counts as one."""
    region = constraint.region
    if problem.time in region.fixed:
        return 0
    if set(problem.domain.axes) <= set(region.fixed):
        return 1
    return sum(name in region.pieces for name in _sides(problem, axis))


def _sides(problem: Problem, axis: str) -> list[str]:
    column = problem.domain.axes.index(axis)
    pieces = problem.domain.pieces
    return [name for name, piece in pieces.items() if piece.plane is not None and piece.plane[0] == column]


def _on_pieces(problem: Problem, unknown: str, own: list[Constraint]) -> Count:
    order = max(order_of(problem, unknown, axis) for axis in problem.domain.axes)
    given = {piece: sum(piece in c.region.pieces for c in own) for piece in problem.domain.pieces}
    poorest = min(given, key=lambda piece: given[piece])
    return Count(unknown, "space", order, order // 2, given[poorest], f"on boundary.{poorest}")


def _sentence(problem: Problem, count: Count) -> str:
    what = "initial condition" if count.coordinate == problem.time else "condition"
    place = f" {count.where}" if count.where else f" along {count.coordinate}"
    plural = "s" * (count.wanted != 1)
    have = f"there {'is' if count.given == 1 else 'are'} {count.given or 'none'}"
    return (
        f"{count.unknown} is of order {count.order} in {count.coordinate}, which asks for {count.wanted} "
        f"{what}{plural}{place}; {have}: {_advice(problem, count)}"
    )


def _advice(problem: Problem, count: Count) -> str:
    if count.coordinate == problem.time:
        prescribed = any(
            c.kind == "value" and c.unknown == count.unknown and count.coordinate in c.region.fixed
            for c in problem.constraints
        )
        return f"add the initial {'rate' if prescribed else 'value'} of {count.unknown}"
    free = list(_free_sides(problem, count))
    return f"nothing is said of {count.unknown} on {', '.join(free)}" if free else "add one on one of the sides"


def _free_sides(problem: Problem, count: Count) -> Iterator[str]:
    """Yield the pieces where no condition contains the unknown."""
    names = list(problem.domain.pieces) if count.where else _sides(problem, count.coordinate)
    for name in names:
        if not any(name in c.region.pieces and count.unknown in c.form.unknowns for c in problem.constraints):
            yield f"boundary.{name}"
