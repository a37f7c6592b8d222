"""The error of a spec: file, line, path and message."""

from __future__ import annotations

from ..errors import InputError, format_path
from .nodes import Path

__all__ = ["SpecError", "show"]


class SpecError(InputError):
    """A spec that cannot be used; its text is ``FILE:LINE: problem.conditions[1].on: MESSAGE``, one line a fault.

    Args:
        message: what was given, what is allowed, the nearest match.
        path: where in the spec, from its root.
        file: the file as the user named it.
        line: counted from 1; None where the file as a whole is meant.
        origin: named in place of file and line, such as ``--set seed=x``.
        others: the texts of further faults found at the same time.
    """

    def __init__(
        self,
        message: str,
        path: Path = (),
        *,
        file: str = "<string>",
        line: int | None = None,
        origin: str | None = None,
        others: tuple[str, ...] = (),
    ):
        super().__init__(message, path)
        self.file = file
        self.line = line
        self.origin = origin
        self.others = others

    @property
    def place(self) -> str:
        """``FILE:LINE``, ``FILE`` or the origin."""
        if self.origin is not None:
            return self.origin
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def first(self) -> str:
        """The text of the first fault alone."""
        path = format_path(self.path)
        if self.origin is not None and self.origin.removeprefix("--set ").startswith(f"{path}="):
            path = ""
        return f"{self.place}: {path}: {self.message}" if path else f"{self.place}: {self.message}"

    def __str__(self) -> str:
        return "\n".join((self.first, *self.others))


def show(value: object) -> str:
    """Name a value of a spec in a message, in YAML's words and shortened."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "...")
        case int() | float():
            return repr(value) if isinstance(value, float) or abs(value) < 10**30 else "a huge number"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"
