"""Data sets of others, each read as a `Source`: recognised by content, opened lazily, nothing unpickled or executed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from pdeml.data.formats.found import Format, Found, Names, open_found
from pdeml.data.formats.naming import NamedSource
from pdeml.data.source import Source
from pdeml.errors import FileFormatError
from pdeml.files import reading

__all__ = ["FORMATS", "open_foreign"]

# Format -> (module, its `Format`), in the order in which they are tried: the more particular first.
FORMATS: Mapping[str, tuple[str, str]] = {
    "PDEBench": ("pdebench", "PDEBENCH"),
    "The Well": ("the_well", "THE_WELL"),
    "PDEArena": ("pdearena", "PDEARENA"),
    "CFDBench": ("cfdbench", "CFDBENCH"),
    "neuraloperator .pt": ("neuraloperator", "NEURALOPERATOR"),
    "MATLAB": ("matlab", "MATLAB"),
    "NumPy": ("numpy_files", "NUMPY"),
}


def open_foreign(
    path: str | os.PathLike[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    coordinates: Mapping[str, Any] | None = None,
) -> Source:
    """Open a data set of another library, or rename what is in one of ours.

    Args:
        path: the file, or the folder of a format that consists of several.
        inputs: our name -> the file's name.
        outputs: the same for outputs; where either is given, these are the arrays that the source has, besides the
            parameters.
        coordinates: our name -> (low, high), both included, or the file's name; ``sample: first | last | none`` says
            where the axis of samples is in formats that do not label axes.

    Returns:
        the open source; its array dimensions are in our order (t, z, y, x).

    Raises:
        FileFormatError: the file is missing, damaged, unsafe, or of no known format; the message lists the known ones.
        InputError: a name is not in the file.
    """
    names = Names(dict(inputs or {}), dict(outputs or {}), dict(coordinates or {}))
    from pdeml.data.native import NativeSource, is_native

    if is_native(path):
        return NamedSource(NativeSource(path), names)
    with reading(path, "a data set", folder=True), ExitStack() as stack:
        found = open_found(Path(path))
        stack.callback(found.close)
        form = next((form for form in _formats(found) if form.recognise(found)), None)
        if form is None:
            raise _unknown(found)
        source = form.open(found, names)
        if form.labelled and (names.arrays or names.coordinates):
            source = NamedSource(source, names)
        stack.pop_all()
        return source


def _formats(found: Found) -> Iterator[Format]:
    for module, name in FORMATS.values():
        form: Format = getattr(import_module(f"pdeml.data.formats.{module}"), name)
        if found.kind in form.kinds:
            yield form


def _unknown(found: Found) -> FileFormatError:
    known = ", ".join(FORMATS)
    if found.kind == "pickle":
        advice = (
            "pickles can run any program and are never loaded; save it anew with torch.save of this decade or np.savez"
        )
        return FileFormatError(f"{found.path}: {found.words}: {advice}")
    return FileFormatError(f"{found.path}: {found.words}, which is no known data set; known formats: pdeml, {known}")
