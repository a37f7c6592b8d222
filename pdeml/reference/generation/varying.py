"""Problems whose domain names parameters: a radius, a length, that differ from sample to sample."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeml.errors import InputError, under
from pdeml.expr import Names, evaluate, parse
from pdeml.problem import Parameter, Problem

__all__ = ["VaryingProblem"]

PLACES = ("coordinates", "domain")
TEXTS = ("name", "unit", "edges", "axes")
"""Keys in a domain under which there is text that is no number."""
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, eq=False)
class VaryingProblem:
    """A family of problems, one for each value of the parameters that its domain names.

    Args:
        plain: what stands under ``problem:`` in a spec.
        name: of the problem.
        middle: the problem with every range at its middle.
        named: parameters that the domain names.
    """

    plain: Mapping[str, Any]
    name: str
    middle: Problem
    named: frozenset[str]

    @classmethod
    def read(cls, plain: Mapping[str, Any], name: str) -> VaryingProblem:
        """Read the plain values of ``problem:``.

        Raises:
            InputError: with the path below ``problem``.
        """
        parameters = {}
        for key, value in (plain.get("parameters") or {}).items():
            with under("parameters", str(key)):
                parameters[str(key)] = Parameter.read(value)
        numbers = {key: parameter.value for key, parameter in parameters.items()}
        named = frozenset().union(*(_named(plain.get(place), set(numbers)) for place in PLACES))
        return cls(plain, name, _problem(plain, numbers, name), named)

    @property
    def varies(self) -> bool:
        """Whether the domain names a parameter that has a range."""
        return any(self.middle.parameters[name].kind == "range" for name in self.named)

    def at(self, numbers: Mapping[str, float]) -> Problem:
        """Return the problem for given values of the parameters with a range.

        Raises:
            InputError: the domain is impossible for them.
        """
        if not self.varies:
            return self.middle
        return _problem(self.plain, {**self.middle.parameter_values, **numbers}, self.name)

    def varying_axes(self) -> tuple[str, ...]:
        """Return the coordinates whose ends are not the same for both ends of every range."""
        if not self.varies:
            return ()
        bounds = self.middle.domain.bounds
        moved = np.zeros(len(bounds), dtype=bool)
        for name, parameter in self.middle.parameters.items():
            for end in parameter.bounds or ():
                if parameter.kind == "range":
                    moved |= np.any(self.at({name: end}).domain.bounds != bounds, axis=1)
        return tuple(name for name, moves in zip(self.middle.names.coordinates, moved, strict=True) if moves)


def _problem(plain: Mapping[str, Any], numbers: Mapping[str, float], name: str) -> Problem:
    filled = dict(plain)
    for place in PLACES:
        if place in plain:
            with under(place):
                filled[place] = _filled(plain[place], numbers)
    return Problem(**filled, name=name)


def _filled(value: Any, numbers: Mapping[str, float]) -> Any:
    """Replace formulas in parameters by their values."""
    if isinstance(value, Mapping):
        found = {}
        for key, child in value.items():
            with under(key):
                found[key] = child if key in TEXTS else _filled(child, numbers)
        return found
    if isinstance(value, list | tuple):
        found = []
        for index, child in enumerate(value):
            with under(index):
                found.append(_filled(child, numbers))
        return found
    return _value(value, numbers) if _named(value, set(numbers)) else value


def _value(text: str, numbers: Mapping[str, float]) -> float:
    number = float(evaluate(parse(text, Names((), parameters=tuple(numbers)), "known"), numbers))
    if not math.isfinite(number):
        listed = ", ".join(f"{name} = {value:g}" for name, value in numbers.items() if name in WORD.findall(text))
        raise InputError(f"{text!r} is no finite number for {listed}")
    return number


def _named(value: Any, names: set[str]) -> set[str]:
    """Return those of the names that the numbers of a domain name."""
    if isinstance(value, Mapping):
        return set().union(*(_named(child, names) for key, child in value.items() if key not in TEXTS))
    if isinstance(value, list | tuple):
        return set().union(*(_named(child, names) for child in value))
    return names.intersection(WORD.findall(value)) if isinstance(value, str) else set()
