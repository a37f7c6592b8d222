"""Plain values -> Spec, with every fault said in our own words and its path in the text."""

from __future__ import annotations

import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InputError, did_you_mean, one_of
from .errors import show
from .models import OPERATOR_OPTIONS, DataSpec, Spec
from .nodes import Path

__all__ = ["Fault", "check", "make_spec"]

Fault = tuple[Path, str, bool]
"""Path, message, and whether the key itself is at fault."""


def make_spec(values: dict[str, Any]) -> Spec:
    """Make a spec from plain values, as `yaml` would give them.

    Raises:
        InputError: for the first fault, with its path.
    """
    spec, faults = check(values)
    if spec is None:
        path, message, _ = faults[0]
        raise InputError(message, path)
    return spec


def check(values: Any) -> tuple[Spec | None, list[Fault]]:
    """Validate; either the spec or the faults, in the order they were found."""
    if not isinstance(values, dict):
        return None, [((), f"a spec is a mapping of keys such as 'problem:' and 'solver:', got {show(values)}", False)]
    try:
        return Spec.model_validate(values), []
    except ValidationError as error:
        entries = error.errors(include_url=False)
        return None, [_fault(entry) for entry in entries if not _is_echo(entry, entries)]


def _is_echo(entry: Any, entries: list[Any]) -> bool:
    """Whether a key is missing because it is misspelt, which is said beside."""
    if entry["type"] != "missing":
        return False
    *owner, key = entry["loc"]
    typos = [other["loc"] for other in entries if other["type"] == "extra_forbidden"]
    return any(list(loc[:-1]) == owner and did_you_mean(str(loc[-1]), [str(key)]) for loc in typos)


def _fault(entry: Any) -> Fault:
    loc, path, at_key = entry["loc"], (), False
    path = tuple(part for part in loc if part != "[key]")
    at_key = "[key]" in loc
    kind, value = entry["type"], entry["input"]
    if kind == "missing":
        return path[:-1], f"needs the key {path[-1]!r}", at_key
    if kind == "extra_forbidden":
        return path, _unknown_key(path), True
    if kind == "value_error":
        cause = entry["ctx"]["error"]
        if isinstance(cause, InputError):
            return (*path, *cause.path), cause.message, at_key
        return path, str(cause), at_key
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return path, f"must be a mapping (key: value), got {show(value)}", at_key
    if kind in ("tuple_type", "list_type"):
        return path, f"must be a list, got {show(value)}", at_key
    return path, f"is not valid here: {show(value)}", at_key


def _unknown_key(path: Path) -> str:
    owner = _model_at(path[:-1])
    allowed = list(owner.model_fields) if owner is not None else []
    if owner is DataSpec and path[-1] in OPERATOR_OPTIONS:
        return f"is an option of the solver: write it as solver.{path[-1]}"
    where = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "a spec")
    return one_of(str(path[-1]), allowed, f"a key of {where}")


def _model_at(path: Path) -> type[BaseModel] | None:
    """The model class of the node at a path."""
    current: Any = Spec
    for part in path:
        model = _first_model(current)
        if isinstance(current, type) and model is current:
            field = model.model_fields.get(str(part))
            if field is None:
                return None
            current = field.annotation
            inner = _first_model(current)
            if inner is not None and not _is_container(current):
                current = inner
        else:
            current = model
    return _first_model(current)


def _is_container(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (dict, tuple, list):
        return True
    return any(_is_container(argument) for argument in typing.get_args(annotation))


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if (found := _first_model(argument)) is not None:
            return found
    return None
