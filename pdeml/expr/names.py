"""What the names in a formula mean: coordinates, unknowns, parameters, inputs, and the declared vectors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import sympy

from pdeml.errors import InputError, did_you_mean

__all__ = ["CONSTANT_NAMES", "FUNCTION_NAMES", "NORMAL", "RESERVED", "Names"]

NORMAL = "n"
CONSTANT_NAMES = ("pi", "e", "i")
FUNCTION_NAMES = tuple(
    "sin cos tan asin acos atan atan2 sinh cosh tanh exp log sqrt abs sign min max erf heaviside where integral "
    "d laplacian grad div curl dot dn re im conj".split()
)
RESERVED = frozenset((*CONSTANT_NAMES, NORMAL, *FUNCTION_NAMES, "and", "or", "not"))
_SECTIONS = {
    "coordinate": "coordinates",
    "unknown": "unknowns",
    "vector": "vectors",
    "parameter": "parameters",
    "input function": "inputs",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def _parts(name: str) -> tuple[str, str]:
    return f"{name}_real", f"{name}_imag"


@dataclass(frozen=True)
class Names:
    """The declared names of one problem: immutable, hashable, checked when made.

    Args:
        coordinates: all coordinates in declared order, time included.
        time: which of them is time, if any.
        unknowns: every unknown, the complex ones included, in declared order.
        complex_unknowns: those of ``unknowns`` with complex values (others are appended to ``unknowns``).
        vectors: ``(name, members)``; the members are unknowns or inputs.
        parameters: real numbers known to the solver or learned by it.
        inputs: ``(name, coordinates it depends on)`` of each input function.

    Raises:
        InputError: a name is malformed, reserved, declared twice, or refers to nothing.
    """

    coordinates: tuple[str, ...]
    time: str | None = None
    unknowns: tuple[str, ...] = ()
    complex_unknowns: tuple[str, ...] = ()
    vectors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    parameters: tuple[str, ...] = ()
    inputs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        missing = tuple(name for name in self.complex_unknowns if name not in self.unknowns)
        if missing:
            object.__setattr__(self, "unknowns", (*self.unknowns, *missing))
        _check_declared(self._declared())
        if self.time is not None:
            _check_refers((self.time,), self.coordinates, "the time", "coordinates")
        for name, members in self.vectors:
            _check_vector(name, members, (*self.unknowns, *self.input_names))
        for name, over in self.inputs:
            _check_refers(over, self.coordinates, f"the input function {name!r}", "coordinates")
            _check_declared([(axis, f"coordinate of {name!r}") for axis in over])

    def _declared(self) -> list[tuple[str, str]]:
        parts = [(part, f"part of the complex {name!r}") for name in self.complex_unknowns for part in _parts(name)]
        kinds = [
            ("coordinate", self.coordinates),
            ("unknown", self.unknowns),
            ("vector", tuple(name for name, _ in self.vectors)),
            ("parameter", self.parameters),
            ("input function", self.input_names),
        ]
        return [(name, kind) for kind, group in kinds for name in group] + parts

    @property
    def space(self) -> tuple[str, ...]:
        """The coordinates without time, in declared order."""
        return tuple(axis for axis in self.coordinates if axis != self.time)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the input functions."""
        return tuple(name for name, _ in self.inputs)

    @property
    def real_unknowns(self) -> tuple[str, ...]:
        """The real-valued unknowns: a complex ``psi`` becomes ``psi_real, psi_imag`` in its place."""
        split = (_parts(name) if name in self.complex_unknowns else (name,) for name in self.unknowns)
        return tuple(part for parts in split for part in parts)

    @cached_property
    def complex_parts(self) -> dict[str, tuple[str, str]]:
        """Complex unknown -> the names of its real and its imaginary part."""
        return {name: _parts(name) for name in self.complex_unknowns}

    @cached_property
    def vector_members(self) -> dict[str, tuple[str, ...]]:
        """Declared vector -> the names of its components."""
        return dict(self.vectors)

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """Every name a formula may use, except functions and constants."""
        return tuple(name for name, _ in self._declared())

    def symbol(self, name: str) -> sympy.Symbol:
        """The real SymPy symbol of a coordinate or parameter."""
        if name not in self.coordinates and name not in self.parameters:
            near = did_you_mean(name, self.coordinates + self.parameters)
            raise InputError(f"{name!r} is neither a coordinate nor a parameter{near}")
        return sympy.Symbol(name, real=True)

    def function(self, name: str) -> sympy.Expr:
        """The applied SymPy function of an unknown (over all coordinates) or of an input (over its own)."""
        over = dict(self.inputs).get(name, self.coordinates)
        if name in self.complex_unknowns:
            head = sympy.Function(name, complex=True)
        elif name in self.real_unknowns or name in self.input_names:
            head = sympy.Function(name, real=True)
        else:
            allowed = (*self.unknowns, *self.real_unknowns, *self.input_names)
            raise InputError(f"{name!r} is neither an unknown nor an input function{did_you_mean(name, allowed)}")
        return head(*(sympy.Symbol(axis, real=True) for axis in over))


def _check_declared(declared: Iterable[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, kind in declared:
        path = (_SECTIONS[kind], str(name)) if kind in _SECTIONS else ()
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is not a name for a {kind}: a letter, then letters, digits and '_'", path)
        if name in RESERVED:
            message = f"{name!r} is reserved by the expression language and cannot name a {kind}; rename it"
            raise InputError(message, path)
        if name in seen:
            raise InputError(f"{name!r} is declared twice: as {seen[name]} and as {kind}; rename one of them", path)
        seen[name] = kind


def _check_refers(given: tuple[str, ...], allowed: tuple[str, ...], what: str, kind: str) -> None:
    for name in given:
        if name not in allowed:
            listed = ", ".join(allowed) or "(none)"
            raise InputError(
                f"{what} names {name!r}, which is not among the {kind} {listed}{did_you_mean(name, allowed)}"
            )


def _check_vector(name: str, members: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if not members:
        raise InputError(f"the vector {name!r} has no components; write {name}: [{name}x, {name}y]")
    _check_refers(members, allowed, f"the vector {name!r}", "unknowns and inputs")
    if len(set(members)) < len(members):
        raise InputError(f"the vector {name!r} has a component twice: {', '.join(members)}")
