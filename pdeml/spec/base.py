"""The base of every node of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from .errors import show
from .fields import free

__all__ = ["OpenNode", "SpecNode"]


class SpecNode(BaseModel):
    """A mapping in a spec: frozen, and a misspelt key is an error.

    ``short`` names the field that may stand alone in place of the mapping (``nu: 0.1`` for ``nu: {value: 0.1}``);
    ``written_short`` says whether it is also written that way. ``aliases`` are other spellings of a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    short: ClassVar[str | None] = None
    written_short: ClassVar[bool] = True
    aliases: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return cls._rename(value)
        if value is None:
            raise ValueError("has no value; write one, or remove the key")
        if cls.short is not None and not isinstance(value, SpecNode):
            return {cls.short: value}
        return value

    @classmethod
    def _rename(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        for key, field in cls.aliases.items():
            if key in value and field in value:
                raise ValueError(f"{key!r} and {field!r} mean the same; write one of them")
        return {cls.aliases.get(key, key): child for key, child in value.items()}

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that were written, in the order of the class."""
        return tuple(name for name in type(self).model_fields if name in self.model_fields_set)


class OpenNode(SpecNode):
    """A mapping with a few known keys and options that another package checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _options_are_plain(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {show(key)} is not a word")
        return {key: child if key in cls.model_fields else free(child) for key, child in value.items()}

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are not fields, with their values as written."""
        return dict(self.model_extra or {})
