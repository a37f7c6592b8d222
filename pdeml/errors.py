"""Every error pdeml raises on purpose: one tree, messages that say what was given, what is allowed, what to do.

``InputError`` is the user's to mend (exit code 2); ``RunError`` happened while running (exit code 1). ``Interrupted``
alone stands outside the tree: as any Ctrl-C, no ``except Exception`` stops it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = [
    "DivergenceError",
    "ExpressionError",
    "FileFormatError",
    "InputError",
    "Interrupted",
    "PdemlError",
    "RunError",
    "did_you_mean",
    "one_of",
    "under",
]


class PdemlError(Exception):
    """Base of every error that pdeml raises on purpose."""


class InputError(PdemlError, ValueError):
    """What was given is wrong; the message says what is allowed.

    Args:
        message: what was given, what is allowed, the nearest match.
        path: where in a description it stands, such as ``("conditions", 1, "on")``.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()):
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{format_path(self.path)}: {self.message}" if self.path else self.message


class ExpressionError(InputError):
    """A formula that the expression language does not allow."""


class FileFormatError(InputError):
    """A file that cannot be read, or that must not be trusted."""


class RunError(PdemlError, RuntimeError):
    """Something failed while running: the input was right, the computation was not."""


class DivergenceError(RunError):
    """The iteration produced NaN, infinity or ever-growing residuals."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while solving.

    Args:
        reason: what interrupted it, and when.
        solution: what was found up to then.
    """

    def __init__(self, reason: str, solution: Any):
        super().__init__(f"{reason}; what was found so far is this error's 'solution'")
        self.solution = solution


def format_path(path: tuple[str | int, ...]) -> str:
    """Write ``("conditions", 1, "on")`` as ``conditions[1].on``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, or an empty string."""
    names = {name.lower(): name for name in allowed}
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def one_of(given: str, allowed: Iterable[str], what: str) -> str:
    """Return a message: ``given`` is not a ``what``, the allowed ones, and the nearest match."""
    allowed = list(allowed)
    listed = ", ".join(allowed) if allowed else "(none)"
    return f"{given!r} is not {what}; allowed: {listed}{did_you_mean(given, allowed)}"


@contextmanager
def under(*prefix: str | int) -> Iterator[None]:
    """Prefix the path of any `InputError` raised inside: the caller knows where the part stands."""
    try:
        yield
    except InputError as error:
        error.path = (*prefix, *error.path)
        raise
