"""``pdeml convert`` and the names of what a file holds, as they are written on the command line."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pdeml.cli.progress import sample_progress
from pdeml.errors import InputError

__all__ = ["convert", "file_names"]


def convert(arguments: Namespace) -> int:
    """Write a data set anew: as one of ours, or as a file of The Well."""
    from pdeml.files import size_text
    from pdeml.run import convert as write_anew
    from pdeml.run.converting import NOT_KEPT

    names = file_names(arguments)
    target = Path(arguments.out)
    if target.suffix.lower() == ".pt2":
        return _export(arguments, target)
    with nullcontext() if arguments.quiet else sample_progress(target.name) as show:
        wrote = write_anew(
            arguments.path,
            target,
            **names,
            to=arguments.to,
            gzip=_level(arguments.gzip),
            allow_nan=arguments.allow_nan,
            progress=show,
        )
    if not arguments.quiet:
        print(f"wrote {target}: {wrote}, {size_text(target.stat().st_size)}")
        if arguments.to in NOT_KEPT:
            print(NOT_KEPT[arguments.to])
    return 0


def _export(arguments: Namespace, target: Path) -> int:
    """Write the operator of a run as a program of `torch.export`."""
    from pdeml.run import find_run
    from pdeml.run.api import restore

    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; create it first")
    solution = restore(find_run(arguments.path))
    if not hasattr(solution, "export"):
        raise InputError(f"{arguments.path} is no operator; only operators are exported as .pt2")
    wrote = solution.export(target)
    if not arguments.quiet:
        print(f"wrote {target}: {wrote}")
    return 0


def file_names(arguments: Namespace) -> dict[str, dict[str, Any]]:
    """Return what ``--inputs``, ``--outputs`` and ``--coordinates`` say, as `pdeml.data.open_source` takes it.

    Raises:
        InputError: something is not of the form NAME=VALUE, or stands twice.
    """
    return {
        "inputs": _pairs("--inputs", arguments.inputs, "a=x"),
        "outputs": _pairs("--outputs", arguments.outputs, "u=y"),
        "coordinates": {
            name: _extent(name, value)
            for name, value in _pairs("--coordinates", arguments.coordinates, "x=0:1,y=0:1").items()
        },
    }


def _pairs(option: str, given: Sequence[str], example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in (part for text in given for part in text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise InputError(f"{option} {part}: write NAME=VALUE, such as {option} {example}")
        if name in found:
            raise InputError(f"{option}: {name!r} stands twice")
        found[name] = value
    return found


def _extent(name: str, value: str) -> tuple[float, float] | str:
    """Read ``low:high``, constant expressions; anything without a colon is a name in the file."""
    if ":" not in value:
        return value
    from pdeml.expr import parse_constant

    try:
        low, high = (float(parse_constant(part)) for part in value.split(":"))
    except (InputError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"--coordinates {name}={value}: write LOW:HIGH, such as {name}=0:1, or the file's name")
    return low, high


def _level(text: str) -> int:
    if text not in map(str, range(10)):
        raise InputError(f"--gzip {text}: must be a level from 0 (none) to 9")
    return int(text)
