"""Statements: conditions read against the names of a problem, so that equal conditions are equal objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from pdeml.errors import ExpressionError, InputError, one_of, under
from pdeml.expr import Equation, Names, evaluate, parse, parse_condition, parse_constant, parse_equation, to_text
from pdeml.geometry import Domain, Region
from pdeml.problem.conditions import KINDS, ConditionKind, entries_of
from pdeml.problem.parameters import read_names, read_positive, tidy

__all__ = ["ConditionStatement", "Place", "read_conditions", "read_value"]


@dataclass(frozen=True)
class Place:
    """Where a condition holds: a name, or a mapping of piece, fixed coordinates and a mask.

    Attributes:
        name: ``initial``, ``final``, ``boundary``, ``boundary.NAME``; empty for a mapping.
        piece: name of a piece of the boundary; empty for all.
        fixed: pairs (coordinate, value).
        where: the mask as a SymPy condition; None for no mask.
        where_text: the mask as it was written.
    """

    name: str = ""
    piece: str = ""
    fixed: tuple[tuple[str, float], ...] = ()
    where: sympy.Basic | None = None
    where_text: str = field(default="", compare=False)

    @classmethod
    def read(cls, on: Any, names: Names) -> Place:
        """Read what a user writes under ``on``.

        Raises:
            InputError: if it is neither a name nor a mapping, or a value is no number.
        """
        if isinstance(on, Place):
            return on
        if isinstance(on, str):
            return cls(name=on)
        if not isinstance(on, Mapping) or not on:
            raise InputError(f"'on' is a name such as boundary or a mapping such as {{x: 0}}, got {on!r}")
        fixed, mask, text = [], None, ""
        for key, value in on.items():
            with under(str(key)):
                if key == "where":
                    mask, text = _read_mask(value, names), str(value)
                elif key == "piece":
                    if not isinstance(value, str):
                        raise InputError(f"expected the name of a piece of the boundary, got {value!r}")
                elif key in names.coordinates:
                    fixed.append((str(key), parse_constant(value)))
                else:
                    raise InputError(one_of(str(key), ("piece", "where", *names.coordinates), "a key of 'on'"))
        order = {name: k for k, name in enumerate(names.coordinates)}
        return cls("", on.get("piece", ""), tuple(sorted(fixed, key=lambda pair: order[pair[0]])), mask, text)

    def write(self) -> str | dict[str, Any]:
        """Return what `read` reads back as an equal place."""
        if self.name:
            return self.name
        piece = {"piece": self.piece} if self.piece else {}
        fixed = {name: tidy(value) for name, value in self.fixed}
        return {**piece, **fixed, **({"where": self.where_text} if self.where_text else {})}

    def __str__(self) -> str:
        parts = [
            self.name or (f"boundary.{self.piece}" if self.piece else ""),
            *(f"{name} = {value:g}" for name, value in self.fixed),
        ]
        text = ", ".join(part for part in parts if part)
        return f"{text} where {self.where_text}".strip() if self.where_text else text

    def region(self, domain: Domain, parameters: Mapping[str, float]) -> Region:
        """Return the region of ``domain``; the mask is evaluated at the given parameter values."""
        on = self.name or {**({"piece": self.piece} if self.piece else {}), **dict(self.fixed)}
        return domain.region(on, where=self._mask(domain.coordinates, parameters))

    def _mask(self, coordinates: tuple[str, ...], parameters: Mapping[str, float]) -> Any:
        if self.where is None:
            return None
        condition = self.where

        def mask(points: np.ndarray) -> np.ndarray:
            values = {**parameters, **{name: points[:, k] for k, name in enumerate(coordinates)}}
            return np.broadcast_to(evaluate(condition, values), (len(points),)).astype(bool)

        return mask


@dataclass(frozen=True)
class ConditionStatement:
    """One condition: values, rates or fluxes of unknowns, or an equation, at one place.

    Attributes:
        kind: what is prescribed.
        place: where.
        values: pairs (unknown, expression) in declared order; empty for an equation.
        equation: for the kind ``equation``.
        weight: dimensionless factor of the normalised rows.
        index: position in the list of conditions it was written in.
    """

    kind: ConditionKind
    place: Place
    values: tuple[tuple[str, sympy.Expr], ...] = ()
    equation: Equation | None = None
    weight: float = 1.0
    index: int = field(default=0, compare=False)

    @classmethod
    def read(cls, entry: Mapping[str, Any], names: Names, index: int = 0) -> ConditionStatement:
        """Read one checked entry ``{on, value|rate|flux|equation, weight}``.

        Raises:
            InputError: with the path inside the entry.
        """
        kind = next(kind for kind in KINDS if kind in entry)
        with under("on"):
            place = Place.read(entry["on"], names)
        weight = read_positive(entry.get("weight", 1.0), "weight")
        with under(kind):
            if kind == "equation":
                return cls(kind, place, (), parse_equation(entry[kind], names, "boundary"), weight, index)
            values = _read_values(entry[kind], names)
        return cls(kind, place, values, None, weight, index)

    def write(self, names: Names) -> dict[str, Any]:
        """Return the entry that `read` reads back as an equal statement."""
        if self.equation is not None:
            said: Any = str(self.equation)
        else:
            said = {name: write_value(value, names) for name, value in self.values}
        weight = {} if self.weight == 1.0 else {"weight": tidy(self.weight)}
        return {"on": self.place.write(), self.kind: said, **weight}


def read_conditions(conditions: Any, names: Names) -> tuple[tuple[ConditionStatement, ...], tuple[str, ...]]:
    """Read a list of conditions: the statements, and the names of the periodic coordinates.

    Raises:
        InputError: with path ``("conditions", position, …)``.
    """
    if conditions is None:
        conditions = ()
    elif not isinstance(conditions, list | tuple):
        conditions = (conditions,)
    statements: list[ConditionStatement] = []
    periodic: list[str] = []
    for index, condition in enumerate(conditions):
        with under("conditions", index):
            if isinstance(condition, ConditionStatement):
                statements.append(condition)
                continue
            for entry in entries_of(condition):
                if "periodic" in entry:
                    periodic.extend(_read_periodic(entry["periodic"], names))
                else:
                    statements.append(ConditionStatement.read(entry, names, index))
    return tuple(statements), tuple(name for name in names.coordinates if name in periodic)


def read_value(value: Any, names: Names, unknown: str) -> sympy.Expr:
    """Read a formula in coordinates, parameters and inputs for ``unknown``.

    Raises:
        InputError: if the formula is a vector, or complex where the unknown is real.
    """
    if isinstance(value, Mapping | set):
        raise ExpressionError(f"expected a formula or a number, got {value!r}")
    expression = parse(value, names, "known")
    if not isinstance(expression, sympy.Expr):
        raise ExpressionError(f"{value!r} is not one number but {unknown!r} is a scalar unknown")
    if unknown not in names.complex_unknowns and expression.has(sympy.I) and sympy.im(expression) != 0:
        raise ExpressionError(f"{value!r} is complex but {unknown!r} is real; declare it as {{{unknown}: complex}}")
    return expression


def write_value(value: sympy.Expr, names: Names) -> int | float | str:
    """Return a number for a number that YAML keeps exactly, else the text of the formula."""
    if value.is_Integer and abs(value) < 2**53:
        return int(value)
    return to_text(value, names)


def _read_values(given: Any, names: Names) -> tuple[tuple[str, sympy.Expr], ...]:
    if not isinstance(given, Mapping) or not given:
        raise InputError(f"expected a mapping such as {{{names.unknowns[0]}: 0}}, got {given!r}")
    found: dict[str, sympy.Expr] = {}
    for key, raw in given.items():
        with under(str(key)):
            for name, value in _components(str(key), raw, names):
                if name in found:
                    raise InputError(f"{name!r} is given twice")
                found[name] = read_value(value, names, name)
    return tuple((name, found[name]) for name in names.unknowns if name in found)


def _components(key: str, raw: Any, names: Names) -> Iterator[tuple[str, Any]]:
    """Yield (unknown, formula) for a scalar unknown, or for each component of a vector."""
    vectors = names.vector_members
    if key in names.unknowns:
        yield key, raw
        return
    if key not in vectors or not set(vectors[key]) <= set(names.unknowns):
        allowed = [*names.unknowns, *(name for name in vectors)]
        raise InputError(one_of(key, allowed, "an unknown"))
    parts = list(raw) if isinstance(raw, list | tuple) else _split(parse(raw, names, "known"))
    if len(parts) != len(vectors[key]):
        listed = ", ".join(vectors[key])
        raise InputError(f"{key!r} has {len(vectors[key])} components ({listed}), got {len(parts)}")
    yield from zip(vectors[key], parts, strict=True)


def _split(value: Any) -> list[Any]:
    return list(value) if isinstance(value, sympy.Tuple | sympy.MatrixBase | tuple | list) else [value]


def _read_periodic(given: Any, names: Names) -> list[str]:
    with under("periodic"):
        listed = list(read_names(given))
    if not listed:
        raise InputError("name at least one space coordinate", ("periodic",))
    for k, name in enumerate(listed):
        if name not in names.space:
            raise InputError(one_of(name, names.space, "a space coordinate"), ("periodic", k))
    return listed


def _read_mask(text: Any, names: Names) -> sympy.Basic:
    """Read a comparison such as ``"x < 0.5 and y > 0"``."""
    if not isinstance(text, str):
        raise ExpressionError(f'expected a comparison such as "x < 0.5 and y > 0", got {text!r}')
    return parse_condition(text, names, "known")
