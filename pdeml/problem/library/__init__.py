"""The shipped problems: one commented YAML spec each, with a reference and an export grid."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pdeml.errors import InputError, one_of

if TYPE_CHECKING:
    from pdeml.problem.problem import Problem

__all__ = ["entries", "load", "names", "path"]

FOLDER = Path(str(files(__name__)))


def names() -> tuple[str, ...]:
    """Return the names of the shipped problems, sorted."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.yaml")))


def entries() -> tuple[tuple[str, str], ...]:
    """Return (name, one line) for each shipped problem; the line is the first comment of its spec."""
    return tuple((name, _first_comment(FOLDER / f"{name}.yaml")) for name in names())


def path(name: str) -> Path:
    """Return the path of the spec called ``name``.

    Raises:
        InputError: if there is no such problem; the message names those there are.
    """
    if name not in names():
        raise InputError(one_of(name, names(), "a shipped problem"))
    return FOLDER / f"{name}.yaml"


def load(name: str) -> Problem:
    """Return the shipped problem called ``name``.

    Raises:
        InputError: if there is no such problem.
    """
    from pdeml.problem.problem import Problem  # here, so that listing the library loads no sympy

    return Problem.from_yaml(path(name))


def _first_comment(file: Path) -> str:
    first = file.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip()
