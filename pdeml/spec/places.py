"""Where a condition holds: the values of the key `on`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema

from ..errors import InputError, did_you_mean
from .errors import show
from .fields import NAME, formula_text, number

__all__ = ["PLACES", "On", "place"]

PLACES = ("initial", "final", "boundary", "interior")
_PIECE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_SIDES = ("left", "right", "bottom", "top", "back", "front")


def place(value: object) -> str | dict[str, int | float | str]:
    """Check a place: a name, or a mapping of piece, coordinates and where.

    Whether a named piece exists is for the geometry to say.

    Raises:
        InputError: with the path of the key inside a mapping.
    """
    if isinstance(value, str):
        return _named(value)
    if not isinstance(value, dict):
        raise ValueError(f"must be a name or a mapping, got {show(value)}")
    if not value:
        raise ValueError("needs at least one of piece, a coordinate, where")
    checked: dict[str, int | float | str] = {}
    for key, child in value.items():
        try:
            checked[key] = _entry(key, child)
        except ValueError as error:
            raise InputError(str(error), (key,)) from None
    return checked


def _entry(key: object, value: object) -> int | float | str:
    if key == "piece":
        if not isinstance(value, str) or not _PIECE.match(value):
            raise ValueError(f"must be the name of a piece of the boundary, got {show(value)}")
        return value
    if key == "where":
        if not isinstance(value, str):
            raise ValueError(f'must be a comparison, such as "x < 0.5", got {show(value)}')
        return formula_text(value)
    if not isinstance(key, str) or not NAME.match(key):
        raise ValueError(f"{show(key)} is not a coordinate, 'piece' or 'where'")
    return number(value)


def _named(text: str) -> str:
    first, dot, rest = text.partition(".")
    if first in PLACES and not dot:
        return text
    if first == "boundary" and _PIECE.match(rest):
        return text
    if first in PLACES:
        raise ValueError(f"{show(text)} is not a place; only a boundary has pieces, as 'boundary.left'")
    if text in _SIDES:
        near = f"; did you mean 'boundary.{text}'?"
    elif len(text) > 60:
        near = ""
    else:
        near = did_you_mean(first, PLACES).replace("boundary'", f"boundary{dot}{rest}'")
    raise ValueError(f"{show(text)} is not a place; allowed: initial, final, boundary, boundary.NAME, interior{near}")


On = Annotated[
    str | dict[str, int | float | str],
    PlainValidator(place),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(initial|final|boundary|interior|boundary\.[A-Za-z][A-Za-z0-9_-]*)$"},
                {
                    "type": "object",
                    "properties": {"piece": {"type": "string"}, "where": {"type": "string"}},
                    "additionalProperties": {"type": ["number", "string"]},
                    "minProperties": 1,
                },
            ]
        }
    ),
]
