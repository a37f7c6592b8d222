"""Conditions as a user writes them, and `ConditionStatement`: one condition read against the names of a problem.

A statement is of one kind (value, rate, flux or equation) at one place; its formulas are SymPy expressions,
so that text, numbers and SymPy give equal statements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pdeml.errors import InputError, one_of

__all__ = ["AbstractCondition", "Condition", "Dirichlet", "Final", "Initial", "Neumann", "Periodic"]

ConditionKind = Literal["value", "rate", "flux", "equation"]
KINDS: tuple[ConditionKind, ...] = ("value", "rate", "flux", "equation")
ENTRY_KEYS = ("on", *KINDS, "weight", "periodic")


class AbstractCondition(ABC):
    """What may stand in the list of conditions."""

    @abstractmethod
    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the mappings that say the same in the form of a spec: ``on``, one kind, ``weight``."""


@dataclass(frozen=True, init=False)
class Initial(AbstractCondition):
    """Values, and for equations of second order rates, at the first time.

    Args:
        values: unknown -> value, for unknowns whose names are not Python keywords; or write ``u=…``.
        rate: unknown -> first time derivative.
        weight: dimensionless, multiplies the normalised rows.
    """

    values: Mapping[str, Any]
    rate: Mapping[str, Any]
    weight: Any

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        rate: Mapping[str, Any] | None = None,
        weight: Any = 1.0,
        **unknowns: Any,
    ):
        _set(self, values={**(values or {}), **unknowns}, rate=dict(rate or {}), weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield one entry for the values and one for the rates."""
        return _in_time("initial", self.values, self.rate, self.weight)


@dataclass(frozen=True, init=False)
class Final(AbstractCondition):
    """Values and rates at the last time; the arguments are those of `Initial`."""

    values: Mapping[str, Any]
    rate: Mapping[str, Any]
    weight: Any

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        rate: Mapping[str, Any] | None = None,
        weight: Any = 1.0,
        **unknowns: Any,
    ):
        _set(self, values={**(values or {}), **unknowns}, rate=dict(rate or {}), weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield one entry for the values and one for the rates."""
        return _in_time("final", self.values, self.rate, self.weight)


@dataclass(frozen=True, init=False)
class Dirichlet(AbstractCondition):
    """Values on the boundary, or on a part of it.

    Args:
        values: unknown -> value; or write ``u=…``.
        on: ``"boundary"`` (all of it), ``"boundary.NAME"`` or a mapping of piece, fixed coordinates and where.
        weight: dimensionless, multiplies the normalised rows.
    """

    values: Mapping[str, Any]
    on: Any
    weight: Any

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        on: Any = "boundary",
        weight: Any = 1.0,
        **unknowns: Any,
    ):
        _set(self, values={**(values or {}), **unknowns}, on=on, weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the one entry."""
        yield {"on": self.on, "value": _filled(self.values, "Dirichlet"), "weight": self.weight}


@dataclass(frozen=True, init=False)
class Neumann(AbstractCondition):
    """Outward normal derivatives on the boundary, or on a part of it; the arguments are those of `Dirichlet`."""

    values: Mapping[str, Any]
    on: Any
    weight: Any

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        on: Any = "boundary",
        weight: Any = 1.0,
        **unknowns: Any,
    ):
        _set(self, values={**(values or {}), **unknowns}, on=on, weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the one entry."""
        yield {"on": self.on, "flux": _filled(self.values, "Neumann"), "weight": self.weight}


@dataclass(frozen=True)
class Condition(AbstractCondition):
    """Any equation that holds on the boundary or a part of it, such as ``"dn(u) + h*u = g"``."""

    equation: Any
    on: Any = "boundary"
    weight: Any = 1.0

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the one entry."""
        yield {"on": self.on, "equation": self.equation, "weight": self.weight}


@dataclass(frozen=True, init=False)
class Periodic(AbstractCondition):
    """All unknowns and their derivatives agree on the two sides of each named space coordinate."""

    coordinates: tuple[str, ...]

    def __init__(self, *coordinates: str):
        _set(self, coordinates=coordinates)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the one entry."""
        yield {"periodic": list(self.coordinates)}


def entries_of(condition: Any) -> Iterator[dict[str, Any]]:
    """Yield the spec entries of one item in a list of conditions: an object of this module, or a mapping.

    Raises:
        InputError: if it is neither, or a mapping with unknown, missing or contradicting keys.
    """
    if isinstance(condition, AbstractCondition):
        yield from condition.entries()
        return
    if not isinstance(condition, Mapping):
        raise InputError(f"a condition is pm.Initial, pm.Dirichlet, … or a mapping with 'on', got {condition!r}")
    entry = {str(key): value for key, value in condition.items() if value is not None}
    for key in entry:
        if key not in ENTRY_KEYS:
            raise InputError(one_of(key, ENTRY_KEYS, "a key of a condition"), (key,))
    if "periodic" in entry:
        if len(entry) > 1:
            raise InputError("'periodic' stands alone, without 'on', values or weight", ("periodic",))
    elif "on" not in entry:
        raise InputError("a condition needs 'on': initial, final, boundary, boundary.NAME or a mapping")
    elif len(kinds := [kind for kind in KINDS if kind in entry]) != 1:
        found = f"found {' and '.join(kinds)}" if kinds else "found none"
        raise InputError(f"a condition has exactly one of {', '.join(KINDS)}; {found}")
    yield entry


def _set(target: object, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(target, name, value)


def _filled(values: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    if not values:
        raise InputError(f"{what} names no unknown; write for example {what}(u=0)")
    return values


def _in_time(place: str, values: Mapping[str, Any], rate: Mapping[str, Any], weight: Any) -> Iterator[dict[str, Any]]:
    if not values and not rate:
        raise InputError(f"{place.capitalize()} names no unknown; write for example {place.capitalize()}(u=0)")
    for kind, given in (("value", values), ("rate", rate)):
        if given:
            yield {"on": place, kind: given, "weight": weight}
