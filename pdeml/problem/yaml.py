"""Problems from and to YAML specs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdeml.errors import InputError, under
from pdeml.problem import library
from pdeml.problem.parameters import tidy
from pdeml.problem.problem import Problem
from pdeml.problem.reading import is_plain_box
from pdeml.spec import Document, Spec, load_spec, parse_spec, write_yaml
from pdeml.spec import to_plain as spec_to_plain

if TYPE_CHECKING:
    from pdeml.problem.parameters import Unknown

__all__ = ["from_document", "from_spec", "from_yaml", "to_plain", "to_yaml"]


def from_yaml(source: str | os.PathLike[str]) -> Problem:
    """Read the problem of a spec.

    Args:
        source: a path, the name of a shipped problem, or the YAML text itself: text with a line break.
    Raises:
        SpecError: with file, line and path, if anything is wrong.
    """
    if isinstance(source, str) and "\n" in source:
        return from_document(parse_spec(source))
    is_shipped = source in library.names() and not Path(source).is_file()
    return from_document(load_spec(library.path(str(source)) if is_shipped else source))


def from_document(document: Document) -> Problem:
    """Build the problem of a document; errors name file and line."""
    with document.errors():
        return from_spec(document.spec)


def from_spec(spec: Spec) -> Problem:
    """Build the problem of a checked spec.

    Raises:
        InputError: with a path that begins with ``problem``.
    """
    if spec.problem is None:
        raise InputError("this spec has no problem: it learns an operator from data alone", ("problem",))
    with under("problem"):
        return Problem(**spec_to_plain(spec.problem), name=spec.name or "problem", data=bool(spec.data))


def to_yaml(problem: Problem) -> str:
    """Return a spec whose problem is equal to ``problem``.

    A problem that is nothing without observations gets the entry ``data: {file: observations.h5}``, since a spec
    without conditions and data would be refused.
    """
    data = {"data": {"file": "observations.h5"}} if problem.has_data or problem.needs_data else {}
    return write_yaml({"name": problem.name, "problem": to_plain(problem), **data})


def to_plain(problem: Problem) -> dict[str, Any]:
    """Return the plain values that stand under ``problem:`` in a spec."""
    names = problem.names
    parts: dict[str, Any] = _extent(problem)
    parts["unknowns"] = _unknowns(dict(problem.unknowns))
    parts["vectors"] = {name: list(members) for name, members in names.vectors}
    parts["parameters"] = {name: parameter.write() for name, parameter in problem.parameters.items()}
    parts["inputs"] = {name: function.write() for name, function in problem.inputs.items()}
    parts["equations"] = [
        str(equation) if weight == 1.0 else {"equation": str(equation), "weight": tidy(weight)}
        for equation, weight in zip(problem.equations, problem.weights, strict=True)
    ]
    conditions: list[Any] = [statement.write(names) for statement in problem.conditions]
    parts["conditions"] = [*conditions, *([{"periodic": list(problem.periodic)}] if problem.periodic else [])]
    return {key: value for key, value in parts.items() if value}


def _extent(problem: Problem) -> dict[str, Any]:
    domain = problem.domain
    if is_plain_box(domain):
        coordinates = {name: axis.write() for name, axis in problem.coordinates.items()}
        return {"coordinates": coordinates, **({"time": domain.time[0]} if domain.time else {})}
    description = dict(domain.to_spec())
    if domain.time:
        description["time"] = {domain.time[0]: problem.coordinates[domain.time[0]].write()}
    return {"domain": description}


def _unknowns(unknowns: dict[str, Unknown]) -> Any:
    written = {name: unknown.write() for name, unknown in unknowns.items()}
    if all(value is None for value in written.values()):
        return list(written)
    return {name: "real" if value is None else value for name, value in written.items()}
