"""Conditions as a user writes them, and `ConditionStatement`: one condition read against the names of a problem.

A statement is of one kind (value, rate, flux or equation) at one place; its formulas are SymPy expressions,
so that text, numbers and SymPy give equal statements.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

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
class _InTime(AbstractCondition):
    """Values and rates at one end of time; a subclass is named after it."""

    values: Mapping[str, Any]
    rate: Mapping[str, Any]
    weight: Any

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        rate: Any = None,
        weight: Any = 1.0,
        **unknowns: Any,
    ):
        what = type(self).__name__
        given = _values(what, values, unknowns)
        _set(self, values=given, rate=_rates(what, rate, given), weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield one entry for the values and one for the rates."""
        what = type(self).__name__
        if not self.values and not self.rate:
            raise InputError(f"{what} names no unknown; write for example {what}(u=0)")
        for kind, given in (("value", self.values), ("rate", self.rate)):
            if given:
                yield {"on": what.lower(), kind: given, "weight": self.weight}


class Initial(_InTime):
    """Values, and for equations of second order rates, at the first time.

    Args:
        values: unknown -> value, for unknowns whose names are not Python keywords; or write ``u=…``.
        rate: unknown -> first time derivative; alone it is that of the one unknown that is given a value.
        weight: dimensionless, multiplies the normalised rows.
    """


class Final(_InTime):
    """Values and rates at the last time; the arguments are those of `Initial`."""


@dataclass(frozen=True, init=False)
class _OnBoundary(AbstractCondition):
    """One kind of data on the boundary or a part of it."""

    kind: ClassVar[ConditionKind]
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
        _set(self, values=_values(type(self).__name__, values, unknowns), on=on, weight=weight)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the one entry."""
        what = type(self).__name__
        if not self.values:
            raise InputError(f"{what} names no unknown; write for example {what}(u=0)")
        yield {"on": self.on, self.kind: self.values, "weight": self.weight}


class Dirichlet(_OnBoundary):
    """Values on the boundary, or on a part of it.

    Args:
        values: unknown -> value; or write ``u=…``.
        on: ``"boundary"`` (all of it), ``"boundary.NAME"`` or a mapping of piece, fixed coordinates and where.
        weight: dimensionless, multiplies the normalised rows.
    """

    kind = "value"


class Neumann(_OnBoundary):
    """Outward normal derivatives on the boundary, or on a part of it; the arguments are those of `Dirichlet`."""

    kind = "flux"


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


def _values(what: str, values: Any, unknowns: Mapping[str, Any]) -> dict[str, Any]:
    """Join the mapping of values and those given by name; anything else than a mapping is told how to be written."""
    if values is None or isinstance(values, Mapping):
        return {**(values or {}), **unknowns}
    if isinstance(values, str) and values.split(".")[0] == "boundary":
        named = ", ".join(f"{name}={value!r}" for name, value in (unknowns or {"u": 0}).items())
        raise InputError(f"a place has a name; write {what}(on={values!r}, {named})")
    raise InputError(f"a value belongs to an unknown; write for example {what}(u={values!r})")


def _rates(what: str, rate: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rates by unknown; one formula is the rate of the one unknown in ``values``."""
    if rate is None or isinstance(rate, Mapping):
        return dict(rate or {})
    if len(values) == 1:
        return dict.fromkeys(values, rate)
    raise InputError(f"a rate belongs to an unknown; write for example {what}(rate={{'u': {rate!r}}})", ("rate",))
