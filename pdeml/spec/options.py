"""Frozen options of a method: checked when made, with errors in plain words."""

from __future__ import annotations

import re
from typing import Any, ClassVar, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from ..errors import InputError, did_you_mean, one_of

__all__ = ["Options"]


class Options(BaseModel):
    """Options of a method and nothing else.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kind: ClassVar[str]

    def __init__(self, /, *unnamed: Any, **options: Any):
        if unnamed:
            first = next(iter(type(self).model_fields))
            what = f"{type(self).__name__}({first}={unnamed[0]!r})"
            raise InputError(f"options have names; write for example {what}, got {unnamed[0]!r} without a name")
        numbers = {name: value.item() for name, value in options.items() if isinstance(value, np.generic)}
        try:
            super().__init__(**{**options, **numbers})
        except ValidationError as error:
            raise _in_words(error, type(self)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any, info: ValidationInfo) -> Any:
        """Let ``1e3`` be a whole number where one is asked for, and a list a tuple: YAML has no tuples."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, list) and any(part is tuple for part in _origins(annotation)):
            return _tuples(value)
        is_count = int in (
            annotation,
            *(get_args(part)[0] if get_args(part) else part for part in get_args(annotation)),
        )
        return int(value) if is_count and isinstance(value, float) and value.is_integer() else value


def _origins(annotation: Any) -> list[Any]:
    """Return the kinds that an option may be of, such as ``tuple`` for ``tuple[int, ...] | None``."""
    return [get_origin(part) or part for part in (annotation, *get_args(annotation))]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _in_words(error: ValidationError, options: type[Options]) -> InputError:
    """Say the first fault as: what was given, what is allowed."""
    fault = error.errors(include_url=False)[0]
    name, given = str(fault["loc"][0]) if fault["loc"] else "", fault["input"]
    if fault["type"] == "extra_forbidden":
        return InputError(one_of(name, options.model_fields, f"an option of {options.kind!r}"), (name,))
    if fault["type"] == "value_error":
        return InputError(str(fault["ctx"]["error"]), (name,) if name else ())
    context = fault.get("ctx", {})
    if fault["type"] == "literal_error":
        allowed = context["expected"]
        near = did_you_mean(str(given), re.findall("'([^']*)'", allowed))
        return InputError(f"{given!r} is not allowed; allowed: {allowed}{near}", (name,))
    wanted = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a word",
        "finite_number": "a finite number",
        "greater_than": f"greater than {context.get('gt')}",
        "greater_than_equal": f"at least {context.get('ge')}",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"at most {context.get('le')}",
    }.get(fault["type"], fault["msg"])
    return InputError(f"must be {wanted}, got {given!r}", (name,))
