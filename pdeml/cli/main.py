"""``main``: run a command and turn errors into one clear message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from pdeml.errors import InputError, PdemlError

__all__ = ["main"]

DONE, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


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
        _say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("PDEML_DEBUG") not in (None, "", "0"):
            raise
        _say(_message(error))
        return WRONG_INPUT if isinstance(error, InputError) else FAILED
    return code


def _run(argv: list[str]) -> int:
    from pdeml.cli.parser import parse

    arguments = parse(argv)
    if arguments is None:
        return WRONG_INPUT
    from pdeml.cli import commands

    return getattr(commands, arguments.command)(arguments)


def _message(error: Exception) -> str:
    if isinstance(error, PdemlError):
        text = str(error)
        return text if text.partition(": ")[0].count(" ") == 0 else f"error: {text}"
    if isinstance(error, MemoryError):
        return "error: out of memory"
    if isinstance(error, OSError):
        return f"error: {error}"
    return f"internal error: {type(error).__name__}: {error}; PDEML_DEBUG=1 shows where"


def _say(text: str) -> None:
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _silence() -> None:
    """Nobody reads the output any more: let the interpreter flush it to nowhere at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
