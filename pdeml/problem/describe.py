"""What a problem says, in words: the text of ``pdeml validate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pdeml.expr import NormalForm, classify
from pdeml.problem.checks import said
from pdeml.problem.counting import Count, counts

if TYPE_CHECKING:
    from pdeml.problem.parameters import Parameter
    from pdeml.problem.problem import Problem

__all__ = ["kind_of", "summary"]


def summary(problem: Problem) -> str:
    """Return domain, unknowns, parameters, equations with order and kind, conditions, counts and warnings."""
    lines = [f"problem {problem.name}"]
    lines += _section("coordinates", _coordinates(problem))
    lines += _section("unknowns", _unknowns(problem))
    lines += _section("parameters", (_parameter(*item) for item in problem.parameters.items()))
    lines += _section("inputs", (f"{name}({', '.join(given.over)})" for name, given in problem.inputs.items()))
    lines += _section("equations", _equations(problem))
    lines += _section("conditions", _conditions(problem))
    lines += _section("counts", (_count(problem, count) for count in counts(problem)))
    lines += _section("warnings", problem.warnings)
    return "\n".join(lines)


def kind_of(problem: Problem) -> str | None:
    """Return elliptic, parabolic or hyperbolic, or None where it cannot be told."""
    return classify(problem.forms, problem.names, problem.parameter_values)


def _section(title: str, entries: Iterator[str] | tuple[str, ...]) -> list[str]:
    listed = list(entries)
    return [f"  {title}", *(f"    {entry}" for entry in listed)] if listed else []


def _coordinates(problem: Problem) -> Iterator[str]:
    for name, axis in problem.coordinates.items():
        notes = ["time"] if name == problem.time else []
        notes += ["periodic"] if name in problem.periodic else []
        notes += [f"scale {axis.scale:g}"] if axis.scale is not None else []
        yield f"{name} in [{axis.lower:g}, {axis.upper:g}]{_unit(axis.unit)}{_bracket(notes)}"
    if not problem.domain.is_box:
        yield f"pieces of the boundary: {', '.join(problem.domain.pieces)}"


def _unknowns(problem: Problem) -> Iterator[str]:
    for name, unknown in problem.unknowns.items():
        notes = ["complex"] if unknown.complex else []
        notes += [f"scale {unknown.scale:g}"] if unknown.scale is not None else []
        yield f"{name}({', '.join(problem.names.coordinates)}){_unit(unknown.unit)}{_bracket(notes)}"


def _parameter(name: str, parameter: Parameter) -> str:
    within = f" in [{parameter.bounds[0]:g}, {parameter.bounds[1]:g}]" if parameter.bounds else ""
    match parameter.kind:
        case "value":
            return f"{name} = {parameter.value:.6g}"
        case "range":
            return f"{name}{within}, an input of the solution"
        case "learn":
            return f"{name}{within}, to be learnt from data, first guess {parameter.value:g}"
        case _:
            return f"{name}, an eigenvalue, first guess {parameter.value:g}"


def _equations(problem: Problem) -> Iterator[str]:
    kind = kind_of(problem)
    for equation, weight, forms in zip(problem.equations, problem.weights, problem.equation_forms, strict=True):
        yield f"{equation}" + (f"  (weight {weight:g})" if weight != 1 else "")
        orders = _orders(problem, [dict(form.orders) for form in forms])
        yield "  " + ", ".join([*([kind] if kind else []), *orders, _linearity(problem, forms)])


def _orders(problem: Problem, found: list[dict[str, int]]) -> list[str]:
    highest = {name: max(orders.get(name, 0) for orders in found) for name in problem.names.coordinates}
    return [f"order {order} in {name}" for name, order in highest.items() if order]


def _linearity(problem: Problem, forms: tuple[NormalForm, ...]) -> str:
    if all(form.is_linear for form in forms):
        return "linear"
    present = {unknown for form in forms for unknown, _ in form.jets}
    linear = [
        name
        for name in problem.names.real_unknowns
        if name in present and all(name in form.linear_in or name not in form.unknowns for form in forms)
    ]
    return f"non-linear, but linear in {', '.join(linear)} alone" if linear and len(present) > 1 else "non-linear"


def _conditions(problem: Problem) -> Iterator[str]:
    for constraint in problem.constraints:
        if constraint.kind == "equation":
            text = constraint.name
        else:
            what, _, place = constraint.name.partition(" on ")
            text = f"{what} = {said(problem, constraint)} on {place}"
        yield text + (f"  (weight {constraint.weight:g})" if constraint.weight != 1 else "")
    for name in problem.periodic:
        yield f"periodic in {name}"


def _count(problem: Problem, count: Count) -> str:
    where = f" {count.where}" if count.where else ""
    return f"{count.unknown} in {count.coordinate}{where}: {count.wanted} wanted, {count.given} given"


def _unit(unit: str) -> str:
    return "" if unit == "1" else f" {unit}"


def _bracket(notes: list[str]) -> str:
    return f"  ({', '.join(notes)})" if notes else ""
