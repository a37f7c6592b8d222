"""What a problem declares besides its equations: coordinates, unknowns, parameters and input functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pdeml.errors import InputError, one_of, under
from pdeml.expr import parse_constant

__all__ = ["Coordinate", "Input", "Parameter", "Unknown"]

ParameterKind = Literal["value", "learn", "range", "eigen"]

COORDINATE_KEYS = ("range", "scale", "unit")
UNKNOWN_KEYS = ("complex", "scale", "unit")
PARAMETER_KEYS = {"learn": ("learn", "bounds"), "range": ("range",), "eigen": ("eigen",)}


@dataclass(frozen=True)
class Coordinate:
    """One coordinate: its interval, the scale that makes it of order one (None: estimated), its unit."""

    lower: float
    upper: float
    scale: float | None = None
    unit: str = "1"

    @classmethod
    def read(cls, value: Any) -> Coordinate:
        """Read ``(0, 1)`` or ``{"range": (0, 1), "scale": …, "unit": …}``.

        Raises:
            InputError: if the interval is empty or a key is unknown.
        """
        if isinstance(value, Coordinate):
            return value
        options: Mapping[str, Any] = value if isinstance(value, Mapping) else {"range": value}
        _only_keys(options, COORDINATE_KEYS, "a key of a coordinate")
        if "range" not in options:
            raise InputError("a coordinate needs its range, such as [0, 1]")
        lower, upper = read_interval(options["range"])
        return cls(lower, upper, read_scale(options.get("scale")), str(options.get("unit") or "1"))

    def write(self) -> Any:
        """Return what `read` reads back as an equal object."""
        if self.scale is None and self.unit == "1":
            return [tidy(self.lower), tidy(self.upper)]
        return {"range": [tidy(self.lower), tidy(self.upper)], **_extras(self.scale, self.unit)}


@dataclass(frozen=True)
class Unknown:
    """One unknown function: real or complex, its scale (None: estimated) and its unit."""

    complex: bool = False
    scale: float | None = None
    unit: str = "1"

    @classmethod
    def read(cls, value: Any) -> Unknown:
        """Read ``None``, ``"real"``, ``"complex"`` or ``{"complex": …, "scale": …, "unit": …}``."""
        if isinstance(value, Unknown):
            return value
        if value is None or isinstance(value, str):
            if value not in (None, "real", "complex"):
                raise InputError(one_of(value, ("real", "complex"), "a kind of unknown"))
            return cls(complex=value == "complex")
        if not isinstance(value, Mapping):
            raise InputError(f"an unknown is described by 'real', 'complex' or a mapping, got {value!r}")
        _only_keys(value, UNKNOWN_KEYS, "a key of an unknown")
        flag = value.get("complex", False)
        if not isinstance(flag, bool):
            raise InputError(f"expected true or false, got {flag!r}", ("complex",))
        return cls(flag, read_scale(value.get("scale")), str(value.get("unit") or "1"))

    def write(self) -> Any:
        """Return what `read` reads back as an equal object."""
        if self.scale is None and self.unit == "1":
            return "complex" if self.complex else None
        return {**({"complex": True} if self.complex else {}), **_extras(self.scale, self.unit)}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the equations.

    ``value`` is the number itself, the first guess (learn, eigen), or the middle of the range.
    ``bounds`` is the interval of a range, or what a learnt value must stay within.
    """

    kind: ParameterKind
    value: float
    bounds: tuple[float, float] | None = None

    def __float__(self) -> float:
        return self.value

    @classmethod
    def read(cls, value: Any) -> Parameter:
        """Read a number, a constant expression, or one of ``{learn|range|eigen: …}``.

        Raises:
            InputError: if a bound is empty, or the guess lies outside its bounds.
        """
        if isinstance(value, Parameter):
            return value
        if not isinstance(value, Mapping):
            return cls("value", parse_constant(value))
        kinds = [kind for kind in PARAMETER_KEYS if kind in value]
        if len(kinds) != 1:
            raise InputError("a parameter is a number, a constant expression, or one of learn, range, eigen")
        kind = kinds[0]
        _only_keys(value, PARAMETER_KEYS[kind], f"a key beside {kind!r}")
        if kind == "range":
            with under("range"):
                bounds = read_interval(value["range"])
            return cls("range", 0.5 * (bounds[0] + bounds[1]), bounds)
        with under(kind):
            guess = parse_constant(value[kind])
        return cls(kind, guess, _read_bounds(value.get("bounds"), guess))  # type: ignore[arg-type]

    def write(self) -> Any:
        """Return what `read` reads back as an equal object."""
        if self.kind == "value":
            return tidy(self.value)
        bounds = [tidy(bound) for bound in self.bounds or ()]
        if self.kind == "range":
            return {"range": bounds}
        return {self.kind: tidy(self.value), **({"bounds": bounds} if bounds else {})}


@dataclass(frozen=True)
class Input:
    """One input function: the coordinates it depends on, and how samples of it are drawn."""

    over: tuple[str, ...]
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def read(cls, value: Any, coordinates: Iterable[str]) -> Input:
        """Read ``{"field": "grf", "over": ["x", "y"], …}``; the options stay as they are."""
        if isinstance(value, Input):
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"an input function is described by a mapping, got {value!r}")
        allowed = tuple(coordinates)
        with under("over"):
            over = read_names(value.get("over", allowed))
        for name in over:
            if name not in allowed:
                raise InputError(one_of(name, allowed, "a coordinate"), ("over",))
        options = tuple(sorted((str(key), _freeze(item)) for key, item in value.items() if key != "over"))
        return cls(over, options)

    def write(self) -> dict[str, Any]:
        """Return what `read` reads back as an equal object."""
        return {"over": list(self.over), **{key: _thaw(item) for key, item in self.options}}


def read_names(value: Any) -> tuple[str, ...]:
    """Read ``"u v"`` or a list of names.

    Raises:
        InputError: if it is neither.
    """
    listed = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise InputError(f"expected names, as in 'u v' or a list of names, got {value!r}")
    return tuple(listed)


def read_interval(value: Any) -> tuple[float, float]:
    """Read two constants, the first below the second.

    Raises:
        InputError: if there are not two, or they do not increase.
    """
    if isinstance(value, str) or not isinstance(value, Iterable) or len(pair := list(value)) != 2:
        raise InputError(f"expected two numbers [lower, upper], got {value!r}")
    lower, upper = parse_constant(pair[0]), parse_constant(pair[1])
    if not lower < upper:
        raise InputError(f"the interval [{lower:g}, {upper:g}] is empty; the first number must be the smaller one")
    return lower, upper


def read_scale(value: Any) -> float | None:
    """Read a positive scale; None stays None (estimated later)."""
    return None if value is None else read_positive(value, "scale")


def tidy(number: float) -> int | float:
    """Return a whole number as an int, as a user would write it."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def read_positive(value: Any, name: str) -> float:
    """Read a positive, finite constant called ``name``."""
    with under(name):
        number = parse_constant(value)
        if not (number > 0 and math.isfinite(number)):
            raise InputError(f"must be positive, got {number:g}")
    return number


def _read_bounds(value: Any, guess: float) -> tuple[float, float] | None:
    if value is None:
        return None
    with under("bounds"):
        lower, upper = read_interval(value)
        if not lower <= guess <= upper:
            raise InputError(f"the first guess {guess:g} lies outside [{lower:g}, {upper:g}]")
    return lower, upper


def _only_keys(options: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    for key in options:
        if key not in allowed:
            raise InputError(one_of(str(key), allowed, what), (str(key),))


def _extras(scale: float | None, unit: str) -> dict[str, Any]:
    return {**({} if scale is None else {"scale": tidy(scale)}), **({} if unit == "1" else {"unit": unit})}


def _freeze(value: Any) -> Any:
    """Turn mappings and lists into comparable, immutable values."""
    if isinstance(value, Mapping):
        return ("mapping", tuple(sorted((str(key), _freeze(item)) for key, item in value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(_freeze(item) for item in value))
    return value


def _thaw(value: Any) -> Any:
    if isinstance(value, tuple):
        kind, items = value
        return {key: _thaw(item) for key, item in items} if kind == "mapping" else [_thaw(item) for item in items]
    return value
