"""Reading the arguments of a problem, each with the path of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pdeml.errors import InputError, one_of, under
from pdeml.expr import Equation, Names, NormalForm, analyse, parse_equation
from pdeml.geometry import Box, Domain, Geometry
from pdeml.problem.parameters import Coordinate, Input, Parameter, Unknown, read_names, read_positive

__all__ = [
    "Extent",
    "analyse_equations",
    "make_names",
    "read_equations",
    "read_inputs",
    "read_name",
    "read_parameters",
    "read_place",
    "read_unknowns",
    "refuse_others",
    "with_periodic",
]


ARGUMENTS = ("coordinates", "domain", "time", "unknowns", "vectors", "parameters", "inputs", "equations", "conditions")


@dataclass(frozen=True)
class Extent:
    """The domain, and scale and unit of each coordinate in declared order."""

    domain: Domain
    coordinates: dict[str, Coordinate]


def refuse_others(unnamed: tuple[Any, ...], others: Mapping[str, Any]) -> None:
    """Refuse arguments of a problem without a name, and those with an unknown name.

    Raises:
        InputError: if there are any.
    """
    if unnamed:
        raise InputError(
            'the parts of a problem have names; write Problem(coordinates={"x": (0, 1)}, unknowns="u", equations=…), '
            f"got {unnamed[0]!r} without a name"
        )
    for name in others:
        raise InputError(one_of(name, (*ARGUMENTS, "name", "data"), "an argument of Problem"), (name,))


def read_place(coordinates: Any, domain: Any, time: Any) -> Extent:
    """Read ``coordinates=`` or ``domain=``, and ``time=``.

    Raises:
        InputError: if there is not exactly one of the two, an interval is empty, or time is not a coordinate.
    """
    if (coordinates is None) == (domain is None):
        raise InputError("give either coordinates (a box) or domain (any shape)", ("coordinates",))
    if coordinates is not None:
        return _read_box(coordinates, time)
    return _read_shape(domain, time)


def read_unknowns(given: Any) -> dict[str, Unknown]:
    """Read ``"u v"``, a list of names, or a mapping name -> description."""
    if given is None:
        raise InputError("at least one unknown is needed", ("unknowns",))
    with under("unknowns"):
        items = given.items() if isinstance(given, Mapping) else [(name, None) for name in read_names(given)]
    found: dict[str, Unknown] = {}
    for key, value in items:
        with under("unknowns", str(key)):
            if key in found:
                raise InputError("is declared twice")
            found[str(key)] = Unknown.read(value)
    if not found:
        raise InputError("at least one unknown is needed", ("unknowns",))
    return found


def read_parameters(given: Mapping[str, Any] | None) -> dict[str, Parameter]:
    """Read a mapping name -> number, constant expression or kind of parameter."""
    found: dict[str, Parameter] = {}
    for key, value in _mapping(given, "parameters").items():
        with under("parameters", str(key)):
            found[str(key)] = Parameter.read(value)
    return found


def read_inputs(given: Mapping[str, Any] | None, coordinates: tuple[str, ...]) -> dict[str, Input]:
    """Read a mapping name -> description of an input function."""
    found: dict[str, Input] = {}
    for key, value in _mapping(given, "inputs").items():
        with under("inputs", str(key)):
            found[str(key)] = Input.read(value, coordinates)
    return found


def make_names(
    domain: Domain,
    unknowns: Mapping[str, Unknown],
    vectors: Mapping[str, Any] | None,
    parameters: Mapping[str, Parameter],
    inputs: Mapping[str, Input],
) -> Names:
    """Collect all declared names; collisions are refused by `Names`."""
    declared = {}
    for name, members in _mapping(vectors, "vectors").items():
        with under("vectors", str(name)):
            declared[str(name)] = read_names(members)
    return Names(
        coordinates=domain.coordinates,
        time=domain.time[0] if domain.time else None,
        unknowns=tuple(unknowns),
        complex_unknowns=tuple(name for name, unknown in unknowns.items() if unknown.complex),
        vectors=tuple(declared.items()),
        parameters=tuple(parameters),
        inputs=tuple((name, function.over) for name, function in inputs.items()),
    )


def read_equations(given: Any, names: Names) -> tuple[tuple[Equation, ...], tuple[float, ...]]:
    """Read one equation or a list of them: the equations and their weights."""
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed or given is None:
        raise InputError("at least one equation is needed", ("equations",))
    equations, weights = [], []
    for index, item in enumerate(listed):
        with under("equations", index):
            formula, weight = _split_weight(item)
            equations.append(parse_equation(formula, names, "equation"))
            weights.append(weight)
    return tuple(equations), tuple(weights)


def analyse_equations(equations: tuple[Equation, ...], names: Names) -> tuple[tuple[NormalForm, ...], ...]:
    """Return the normal forms of each equation: one for each real scalar residual."""
    found = []
    for index, equation in enumerate(equations):
        with under("equations", index):
            found.append(tuple(analyse(residual, names) for residual in equation.residuals(names)))
    return tuple(found)


def with_periodic(domain: Domain, periodic: tuple[str, ...]) -> Domain:
    """Return the domain closed along the given coordinates."""
    if not periodic:
        return domain
    with under("conditions"):
        return replace(domain, periodic=tuple(dict.fromkeys((*domain.periodic, *periodic))))


def read_name(name: Any) -> str:
    """Check the name: it becomes a folder."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        raise InputError(f"{name!r} is not a name made of letters, digits, '-' and '_'", ("name",))
    return name


def _read_box(coordinates: Any, time: Any) -> Extent:
    if not isinstance(coordinates, Mapping) or not coordinates:
        raise InputError(f"expected a mapping such as {{x: [0, 1]}}, got {coordinates!r}", ("coordinates",))
    if time is not None and (not isinstance(time, str) or time not in coordinates):
        raise InputError(one_of(str(time), map(str, coordinates), "a coordinate"), ("time",))
    found = {}
    for name, value in coordinates.items():
        with under("coordinates", str(name)):
            found[str(name)] = Coordinate.read(value)
    with under("coordinates"):
        domain = Domain.box({name: (axis.lower, axis.upper) for name, axis in found.items()}, time)
    return Extent(domain, found)


def _read_shape(domain: Any, time: Any) -> Extent:
    if isinstance(domain, Domain):
        return _read_domain(domain, time)
    if isinstance(domain, Geometry):
        return _over(domain, _mapping(time, "time"))
    with under("domain"):
        if not isinstance(domain, Mapping):
            raise InputError(f"expected a geometry or a mapping with space and time, got {domain!r}")
        for key in domain:
            if key not in ("space", "time", "edges"):
                raise InputError(one_of(str(key), ("space", "time", "edges"), "a key of domain"), (str(key),))
        moments = _mapping(domain.get("time"), "time")
    if isinstance(time, Mapping) and not moments:
        moments = time
    elif time is not None and str(time) not in moments:
        raise InputError(one_of(str(time), map(str, moments), "the time of this domain"), ("time",))
    with under("domain"):
        return _over(_read_space(domain.get("space"), _mapping(domain.get("edges"), "edges")), moments)


def _read_domain(domain: Domain, time: Any) -> Extent:
    if time is not None and (domain.time is None or time != domain.time[0]):
        raise InputError("this domain already says what time is", ("time",))
    if domain.time and domain.coordinates[-1] != domain.time[0] and not is_plain_box(domain):
        raise InputError(
            f"on a shape that is no plain box, {domain.time[0]!r} must be the last coordinate", ("domain",)
        )
    return _extent(domain, {})


def _over(space: Geometry | None, told: Mapping[str, Any]) -> Extent:
    moments = {}
    for name, value in told.items():
        with under("time", str(name)):
            moments[str(name)] = Coordinate.read(value)
    intervals = {name: (axis.lower, axis.upper) for name, axis in moments.items()}
    return _extent(Domain.over(space, intervals or None), moments)


def _read_space(given: Any, edges: Mapping[str, Any]) -> Geometry | None:
    with under("space"):
        space = None if given is None else Geometry.from_spec(given)
    with under("edges"):
        if edges and space is None:
            raise InputError("there is no space whose edges could be renamed")
        return space.rename(edges) if edges else space


def _extent(domain: Domain, moments: Mapping[str, Coordinate]) -> Extent:
    axes = {
        name: moments.get(name) or Coordinate(float(lower), float(upper))
        for name, (lower, upper) in zip(domain.coordinates, domain.bounds, strict=True)
    }
    return Extent(domain, axes)


def _split_weight(item: Any) -> tuple[Any, float]:
    if not isinstance(item, Mapping):
        return item, 1.0
    for key in item:
        if key not in ("equation", "weight"):
            raise InputError(one_of(str(key), ("equation", "weight"), "a key of an equation"), (str(key),))
    if "equation" not in item:
        raise InputError("the equation itself is missing", ("equation",))
    weight = item.get("weight")
    return item["equation"], 1.0 if weight is None else read_positive(weight, "weight")


def _mapping(given: Any, name: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(f"expected a mapping from names, got {given!r}", (name,))
    return given


def is_plain_box(domain: Domain) -> bool:
    """Whether ``coordinates`` alone describe the domain: a box whose sides keep their names."""
    space = domain.space
    return space is None or (isinstance(space, Box) and not space.edges)
