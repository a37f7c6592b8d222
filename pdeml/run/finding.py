"""Finding what the user means: a spec file or a shipped problem, a run directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pdeml_datasets
from pdeml.errors import InputError, did_you_mean
from pdeml.run.folder import RunFolder
from pdeml.spec import Document, load_spec

__all__ = ["find_run", "find_spec", "run_name"]

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def find_spec(text: str | os.PathLike[str], recipe: bool = False, training: bool = False) -> Document:
    """Read a spec: a file, or the name of a shipped problem or recipe where there is no such file.

    Args:
        text: the file or name.
        recipe: whether a recipe is meant where a problem has the same name.
        training: whether the name of a recipe means the learning of an operator from its samples.

    Raises:
        SpecError: the file is wrong.
        InputError: there is neither; the message names the nearest.
    """
    given = os.fspath(text)
    if not given.strip():
        raise InputError("give a spec file, or the name of a shipped problem or recipe")
    if Path(given).is_file() or not _BARE.match(given):
        return load_spec(given)
    from pdeml.problem import library  # only here: it loads sympy

    problems = {name: library.path(name) for name in library.names()}
    learnt = pdeml_datasets.training() if training else {}
    shipped = {**problems, **pdeml_datasets.recipes(), **learnt, **({} if recipe else problems)}
    if given in shipped:
        return load_spec(shipped[given])
    here = sorted(str(file) for file in (*Path().glob("*.yaml"), *Path().glob("*.yml")))[:200]
    near = did_you_mean(given, [*shipped, *here]) or did_you_mean(f"{given}.yaml", here)
    what = "is a folder" if Path(given).is_dir() else "there is no such file"
    raise InputError(
        f"{given!r}: {what}, and no shipped problem or recipe of that name; shipped are {', '.join(shipped)}{near}"
    )


def find_run(text: str | os.PathLike[str]) -> RunFolder:
    """Return the run directory (or folder of a saved solution) that is meant.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    if not os.fspath(text).strip():
        raise InputError("give the folder of a run, such as runs/NAME")
    path = Path(text)
    if not path.exists():
        raise InputError(f"{path}: there is no such run{_near_run(path)}")
    if path.is_file():
        raise InputError(f"{path} is a file; give the folder of a run, such as runs/NAME")
    folder = RunFolder(path)
    if folder.kind != "run":
        raise InputError(f"{path} is no run of pdeml: it has no spec.yaml with summary.json or checkpoint/")
    return folder


def run_name(document: Document) -> str:
    """Return the name of the run: that of the spec, or of its file."""
    if document.spec.name:
        return document.spec.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(document.file).stem).strip("-")[:100] or "run"


def _near_run(path: Path) -> str:
    found: list[str] = []
    for parent in dict.fromkeys((path.parent, Path("runs"))):
        if parent.is_dir():
            found += sorted(str(entry) for entry in parent.iterdir() if (entry / "spec.yaml").is_file())[:200]
    near = did_you_mean(str(path), found)
    if not near:
        by_name = {Path(run).name: run for run in found}
        hit = re.search(r"'(.*)'", did_you_mean(path.name, by_name))
        near = f"; did you mean {by_name[hit[1]]!r}?" if hit else ""
    return near or (f"; there are {', '.join(found[:5])}" if found else "")
