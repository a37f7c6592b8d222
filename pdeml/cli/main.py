"""``main``: run a command and turn errors into one clear message and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeGuard

from pdeml.cli.world import is_first
from pdeml.errors import InputError, PdemlError

__all__ = ["main"]

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
PLACED = re.compile(r"[^\s'\"-]\S*: |pdeml [a-z]+: ")  # FILE:LINE:, FILE:, or the command that was called wrongly


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pdeml ARGUMENTS``.

    Args:
        argv: the arguments; default: those of the process.

    Returns: 0 done, 1 failed while running, 2 the input is wrong, 130/143 interrupted. With ``PDEML_DEBUG=1`` errors
        show where they come from.
    """
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        return DONE
    except KeyboardInterrupt:
        _say("pdeml: interrupted")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("PDEML_DEBUG") not in (None, "", "0"):
            raise
        _say(_message(error))
        return WRONG_INPUT if isinstance(error, InputError) or _is_impossible_name(error) else FAILED
    return code


def _run(argv: list[str]) -> int:
    from pdeml.cli.parser import parse

    arguments = parse(argv)
    if arguments is None:
        return WRONG_INPUT
    from pdeml.cli import commands

    return getattr(commands, arguments.command)(arguments)


def _message(error: Exception) -> str:
    """Return what is wrong, behind its place in a file where it has one, behind ``pdeml:`` otherwise."""
    text = _what(error)
    return text if isinstance(error, PdemlError) and PLACED.match(text) else f"pdeml: {text}"


def _what(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    if _is_impossible_name(error):
        return f"{str(error.filename)[:60]!r}... is too long for the name of a file"
    if isinstance(error, (PdemlError, OSError)):
        return str(error)
    return f"internal error: {type(error).__name__}: {error}; PDEML_DEBUG=1 shows where"


def _is_impossible_name(error: Exception) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG


def _say(text: str) -> None:
    if not is_first():
        return  # all processes of torchrun fail alike; one says so
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _silence() -> None:
    """Nobody reads the output any more: let the interpreter flush it to nowhere at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
