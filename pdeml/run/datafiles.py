"""The data set that a spec names under ``data``: a file, or a recipe that is generated on first use."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pdeml_datasets
from pdeml.data import open_source
from pdeml.data.operator import OperatorData
from pdeml.data.schema import PARTS
from pdeml.errors import InputError, one_of, under
from pdeml.expr import parse_constant
from pdeml.run.changes import spec_changes
from pdeml.run.finding import run_name
from pdeml.run.generating import GenerationPlan, generate_spec, make_generation_plan
from pdeml.run.recipes import find_recipe
from pdeml.spec import DataSpec, Document, to_plain

__all__ = ["Made", "data_entry", "data_of", "recipe_of"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_OBSERVED = ("unknowns", "noise", "weight")
_FREE = re.compile(r"generate\.(samples|split)\b.*")
_TOLD = 3  # keys in which recipes differ


@dataclass(frozen=True)
class Made:
    """A data set that a recipe makes.

    Args:
        recipe: the recipe, for as many samples as are asked for.
        plan: what it makes.
        path: where it is kept.
    """

    recipe: Document
    plan: GenerationPlan
    path: Path

    @property
    def is_there(self) -> bool:
        """Whether it has been generated."""
        return self.path.exists()


def data_of(
    document: Document,
    generate: bool = True,
    *,
    watch: Callable[[int], None] | None = None,
    announce: Callable[[GenerationPlan, Path], None] | None = None,
) -> OperatorData | None:
    """Return the samples to learn an operator from that a spec names.

    Args:
        document: the spec.
        generate: generate the data set of a recipe where it is not there; otherwise None is returned then.
        watch: told how many samples are finished while it is generated.
        announce: told what is generated, and where, before it begins.

    Returns:
        the data; None where the spec names none.

    Raises:
        SpecError: the data do not fit what is said of them; with file, line and path.
        RunError: the data set cannot be generated.
        KeyboardInterrupt: generation was interrupted; the finished samples are kept, and the next time it continues.
    """
    entry = _entry(document)
    if entry is None:
        return None
    made = recipe_of(document)
    if made is not None and not made.is_there:
        if not generate:
            return None
        with document.errors("data", 0, "recipe"):
            result = generate_spec(made.recipe, made.path, resume=True, watch=watch, announce=announce)
        if result.status == "interrupted":
            raise KeyboardInterrupt if result.signal == signal.SIGINT else SystemExit(128 + (result.signal or 0))
    with document.errors("data", 0):
        if made is not None:
            _check_made(made)
        return OperatorData(**_arguments(document, entry, made))


def data_entry(document: Document) -> dict[str, Any]:
    """Return what a spec says under ``data`` as plain values with absolute paths; empty if nothing."""
    entry = _entry(document)
    if entry is None:
        return {}
    plain = dict(to_plain(document.spec)["data"])
    paths = {key: _absolute(document, plain[key]) for key in ("file", *PARTS) if isinstance(plain.get(key), str)}
    if entry.recipe is not None:
        paths = {"recipe": _recipe_name(document, entry), "file": str(_made_path(document, entry).resolve()), **paths}
    return plain | paths


def recipe_of(document: Document) -> Made | None:
    """Return what the recipe that a spec names makes, and where it is kept; None where it names a file.

    Raises:
        SpecError: there is no such recipe.
    """
    entry = _entry(document)
    if entry is None or entry.recipe is None:
        return None
    with document.errors("data", 0, "recipe"):
        recipe = find_recipe(_recipe_name(document, entry), entry.samples)
        return Made(recipe, make_generation_plan(recipe), _made_path(document, entry))


def _entry(document: Document) -> DataSpec | None:
    """Return the one entry under ``data``."""
    entries = document.spec.data
    if not entries:
        return None
    if len(entries) > 1:
        raise document.error("an operator learns from one data set; give one entry", ("data", 1))
    for key in _OBSERVED:
        if key in entries[0].given:
            message = "goes with observations of one solution; an operator learns from whole samples: remove it"
            raise document.error(message, ("data", 0, key))
    return entries[0]


def _recipe_name(document: Document, entry: DataSpec) -> str:
    """Return the name of a shipped recipe, or the absolute path of a file."""
    given, shipped = str(entry.recipe), pdeml_datasets.recipes()
    if given in shipped:
        return given
    path = document.folder / given
    if not path.is_file():
        bare = one_of(given, shipped, "a shipped recipe") if _BARE.fullmatch(given) else f"{path}: no such file"
        raise document.error(bare, ("data", 0, "recipe"))
    return str(path.resolve())


def _made_path(document: Document, entry: DataSpec) -> Path:
    """Return where the data set of a recipe is kept: as the spec says, or in the current folder."""
    if entry.file is not None:
        return document.folder / entry.file
    with document.errors("data", 0, "recipe"):
        return Path(f"{run_name(find_recipe(_recipe_name(document, entry)))}.h5")


def _check_made(made: Made) -> None:
    """Refuse a file that another recipe made, or with too few samples."""
    remedy = "remove it, or name another place, as file: OTHER.h5"
    with under("recipe"), open_source(made.path) as source:
        changes = spec_changes(str(source.attrs.get("spec")), made.plan.text)
        changes = {key: change for key, change in changes.items() if not _FREE.fullmatch(key)}
        if changes:
            listed = [f"{key} {was}, now {now}" for key, (was, now) in changes.items()][:_TOLD]
            raise InputError(f"{made.path} was made with another recipe ({'; '.join(listed)}): {remedy}")
        if source.length < made.plan.samples:
            raise InputError(
                f"{made.path} holds {source.length} samples, {made.plan.samples} are asked for: say samples: "
                f"{source.length}, or {remedy}"
            )


def _arguments(document: Document, entry: DataSpec, made: Made | None) -> dict[str, Any]:
    """Return the arguments of `OperatorData`."""
    found: dict[str, Any] = {name: getattr(entry, name) for name in PARTS if name in entry.given}
    found |= {name: _absolute(document, part) for name, part in found.items() if isinstance(part, str)}
    if made is not None and not found and entry.samples is not None:
        found = {name: len(numbers) for name, numbers in made.plan.split.items() if len(numbers)}
    found["file"] = str(made.path) if made is not None else _absolute(document, str(entry.file))
    for key in ("inputs", "outputs", "periodic"):
        if key in entry.given:
            found[key] = getattr(entry, key)
    if entry.coordinates is not None:
        found["coordinates"] = _ranges(entry.coordinates)
    return found


def _ranges(coordinates: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the ends of ranges, which may be constant expressions."""
    found: dict[str, Any] = {}
    for name, value in coordinates.items():
        if isinstance(value, str):
            found[name] = value
            continue
        ends = []
        for number, end in enumerate(value):
            with under("coordinates", name, number):
                ends.append(float(parse_constant(end)))
        found[name] = tuple(ends)
    return found


def _absolute(document: Document, file: str) -> str:
    return str((document.folder / file).resolve())
