"""The kinds of values a spec holds: numbers or constant expressions, formulas, names, counts.

Each kind is a pydantic annotation with a check in our own words and a JSON schema.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from ..errors import InputError, one_of
from .advice import unbalanced
from .errors import show

__all__ = [
    "Count",
    "Formula",
    "FormulaText",
    "Free",
    "Given",
    "Name",
    "Number",
    "Pair",
    "Portion",
    "PositiveNumber",
    "Seed",
    "Switch",
    "Text",
    "choice",
    "free",
    "is_number",
    "names",
    "one_or_more",
    "pattern",
]

T = TypeVar("T")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
MAX_COUNT = 10**12
MAX_NAME = 100
_NUMBER_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string", "description": "constant expression, as 2*pi"}]}

_FORMULA_SCHEMA = {"type": ["number", "string"]}


def is_number(value: object) -> bool:
    """True for an int or float that is not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _plain_number(value: Any) -> int | float:
    number = int(value) if isinstance(value, Integral) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, got {number}")
    return number


def _text(value: object, what: str = "text") -> str:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, str):
        raise ValueError(f"must be {what}, got an empty text")
    hint = "; quote it to make it text" if isinstance(value, (bool, int, float)) else ""
    raise ValueError(f"must be {what}, got {show(value)}{hint}")


def number(value: object) -> int | float | str:
    """A finite number, or the text of a constant expression."""
    if is_number(value):
        return _plain_number(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a number or a constant expression, got {show(value)}")
    if value.strip().lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise ValueError(f"must be a finite number, got {value!r}")
    return _balanced(" ".join(value.split()))


def _balanced(text: str) -> str:
    if fault := unbalanced(text):
        raise ValueError(f"{show(text)} has unbalanced brackets: {fault}; a formula with a comma must be quoted")
    return text


def positive(value: object) -> int | float | str:
    """A number above zero; the sign of an expression is checked where it is evaluated."""
    checked = number(value)
    if not isinstance(checked, str) and checked <= 0:
        raise ValueError(f"must be positive, got {show(checked)}")
    return checked


def formula(value: object) -> int | float | str:
    """A formula or a number; a list of formulas is the vector ``[a, b]``."""
    if is_number(value):
        return _plain_number(value)
    if isinstance(value, (list, tuple)) and value:
        return "[" + ", ".join(str(formula(part)) for part in value) + "]"
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a formula or a number, got {show(value)}")
    return _balanced(" ".join(value.split()))


def formula_text(value: object) -> str:
    """An equation: text with balanced brackets."""
    return _balanced(" ".join(_text(value, "an equation, such as u_t = u_xx").split()))


def name(value: object) -> str:
    """A name of the expression language."""
    text = _text(value, "a name")
    if len(text) > MAX_NAME:
        raise ValueError(f"{show(text)} is too long a name; at most {MAX_NAME} letters")
    if not NAME.match(text):
        raise ValueError(f"{show(text)} is not a name: a letter, then letters, digits or '_'")
    return text


def names(value: object) -> tuple[str, ...]:
    """One name, names separated by blanks, or a list of names; none twice."""
    given = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given:
        raise ValueError(f"must be a list of names, got {show(value)}")
    found: list[str] = []
    for index, entry in enumerate(given):
        try:
            checked = name(entry)
        except ValueError as error:
            raise InputError(str(error), () if isinstance(value, str) else (index,)) from None
        if checked in found:
            raise InputError(f"{checked!r} stands twice", () if isinstance(value, str) else (index,))
        found.append(checked)
    return tuple(found)


def count(value: object) -> int:
    """A whole number of at least one."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"must be a whole number, got {show(value)}")
    if not 1 <= int(value) <= MAX_COUNT:
        raise ValueError(
            f"must be a whole number of at least 1, got {show(int(value))}"
            if int(value) < 1
            else f"is too large a count: {show(int(value))}"
        )
    return int(value)


def seed(value: object) -> int:
    """A whole number from 0 to 2**63 - 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < 2**63:
        raise ValueError(f"must be a whole number from 0 to 2**63 - 1, got {show(value)}")
    return int(value)


def pair(value: object) -> tuple[int | float | str, int | float | str]:
    """``[low, high]``, low below high."""
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"must be a pair [low, high], got {show(value)}")
    if len(value) != 2:
        raise ValueError(f"must be a pair [low, high], got a list of {len(value)}")
    ends = []
    for index, entry in enumerate(value):
        try:
            ends.append(number(entry))
        except ValueError as error:
            raise InputError(str(error), (index,)) from None
    low, high = ends
    if not isinstance(low, str) and not isinstance(high, str) and low >= high:
        raise ValueError(f"must increase, got [{show(low)}, {show(high)}]")
    return low, high


def portion(value: object) -> int | float | str:
    """A count (whole number), a fraction below 1, or a file."""
    if isinstance(value, str) and value.strip():
        return value
    if is_number(value):
        if isinstance(value, Integral):
            return count(value)
        if 0 < float(value) < 1:  # type: ignore[arg-type]
            return float(value)  # type: ignore[arg-type]
    raise ValueError(f"must be a count (whole number), a fraction between 0 and 1, or a file, got {show(value)}")


def switch(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, got {show(value)}")
    return value


def free(value: object) -> Any:
    """Any plain value: finite numbers, text, true/false, null, lists and mappings of these; tuples become lists."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if is_number(value):
        return _plain_number(value)
    if isinstance(value, Mapping):
        return {_free_key(key): free(child) for key, child in value.items()}
    if isinstance(value, Sequence):
        return [free(child) for child in value]
    raise ValueError(f"must be a plain value, got {show(value)}")


def _free_key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the key {show(key)} is not a word")
    return key


def given(value: object) -> object:
    """Refuse a key that stands without a value."""
    if value is None:
        raise ValueError("has no value; write one, or remove the key")
    return value


def one_or_more(value: Any) -> Any:
    """A list of entries, or one entry alone; not none."""
    if value is None or value == [] or value == ():
        raise ValueError("has no entry; write one, or remove the key")
    return value if isinstance(value, (list, tuple)) else [value]


def choice(*allowed: str, what: str) -> Callable[[object], str]:
    """A check for one of a few words."""

    def check(value: object) -> str:
        text = _text(value, what)
        if text not in allowed:
            raise ValueError(one_of(text[:60], allowed, what))
        return text

    return check


def pattern(regex: str, what: str) -> Callable[[object], str]:
    """A check for a text that matches a regular expression as a whole."""

    def check(value: object) -> str:
        text = _text(value, what)
        if not re.fullmatch(regex, text):
            raise ValueError(f"{show(text)} is not {what}")
        return text

    return check


Given = Annotated[T | None, BeforeValidator(given)]
Number = Annotated[int | float | str, PlainValidator(number), WithJsonSchema(_NUMBER_SCHEMA)]
PositiveNumber = Annotated[int | float | str, PlainValidator(positive), WithJsonSchema(_NUMBER_SCHEMA)]
Formula = Annotated[
    int | float | str,
    PlainValidator(formula),
    WithJsonSchema(
        {"anyOf": [{"type": ["number", "string"]}, {"type": "array", "items": {"type": ["number", "string"]}}]}
    ),
]
FormulaText = Annotated[str, PlainValidator(formula_text), WithJsonSchema({"type": "string"})]
Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Name = Annotated[str, PlainValidator(name), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"})]
Names = Annotated[
    tuple[str, ...],
    PlainValidator(names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Count = Annotated[int, PlainValidator(count), WithJsonSchema({"type": "integer", "minimum": 1})]
Seed = Annotated[int, PlainValidator(seed), WithJsonSchema({"type": "integer", "minimum": 0})]
Pair = Annotated[
    tuple[int | float | str, int | float | str],
    PlainValidator(pair),
    WithJsonSchema({"type": "array", "items": _NUMBER_SCHEMA, "minItems": 2, "maxItems": 2}),
]
Portion = Annotated[
    int | float | str,
    PlainValidator(portion),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}),
]
Switch = Annotated[bool, PlainValidator(switch), WithJsonSchema({"type": "boolean"})]
Free = Annotated[Any, PlainValidator(free), WithJsonSchema({})]
