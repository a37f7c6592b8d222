"""A path from a stranger, opened as far as it takes to tell its format: the kind of container and what it holds."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from pdeml.data.source import Source
from pdeml.errors import FileFormatError
from pdeml.files import open_hdf5, require_memory

__all__ = ["Format", "Found", "Names", "inside", "numbers", "open_found"]

Kind = Literal["folder", "HDF5", "zip", "npy", "MATLAB 5", "pickle", "unknown"]
_WORDS: Mapping[str, str] = {
    "folder": "a folder",
    "HDF5": "an HDF5 file",
    "zip": "a zip archive",
    "npy": "a .npy file",
    "MATLAB 5": "a MATLAB file",
    "pickle": "a pickle",
    "unknown": "a file of unknown content",
}
_MOST_ENTRIES = 100_000


@dataclass(frozen=True)
class Names:
    """What the user says about a file that does not name its arrays: ours -> theirs."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    coordinates: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, str]:
        """Both, ours -> theirs."""
        return {**self.inputs, **self.outputs}


@dataclass(eq=False)
class Found:
    """A file or folder and what was seen in it.

    Args:
        path: as given.
        kind: of container.
        names: of what it holds: root of HDF5, members of the archive, entries of the folder.
        file: the open file, of HDF5.
    """

    path: Path
    kind: Kind
    names: tuple[str, ...] = ()
    file: h5py.File | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def words(self) -> str:
        """What it is and holds, for a message."""
        shown = ["".join(char if char.isprintable() else "?" for char in name[:40]) for name in self.names[:6]]
        listed = ", ".join(shown) + (", ..." if len(self.names) > 6 else "")
        return _WORDS[self.kind] + (f" that holds {listed}" if listed else "")

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


@dataclass(frozen=True)
class Format:
    """A foreign format.

    Args:
        name: in messages and as `Source.format`.
        kinds: of container that it may have.
        recognise: whether a container of that kind is of this format, by its content.
        open: makes the source; it need not close what was found if it fails.
        labelled: whether it names its arrays and axes; where it does not, ``open`` applies the user's names.
    """

    name: str
    kinds: tuple[Kind, ...]
    recognise: Callable[[Found], bool]
    open: Callable[[Found, Names], Source]
    labelled: bool = True


def open_found(path: Path) -> Found:
    """Look at a path: what kind of container it is, and what it holds; call it inside `pdeml.files.reading`."""
    if path.is_dir():
        return Found(path, "folder", tuple(_entries(path)))
    kind = _kind(path)
    if kind == "HDF5":
        stack = ExitStack()
        file = stack.enter_context(open_hdf5(path))
        return Found(path, kind, tuple(name for name in file if isinstance(name, str)), file, stack)
    if kind == "zip":
        with zipfile.ZipFile(path) as archive:
            return Found(path, kind, tuple(archive.namelist()[:_MOST_ENTRIES]))
    return Found(path, kind)


def numbers(file: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array of numbers without reading it, after checking its type and that one chunk fits into memory.

    Raises:
        FileFormatError: there is none of that name, or it holds something else.
    """
    item = file.get(name)
    where = f"{file.file.filename}: {name!r}"
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise FileFormatError(f"{where} is missing or no array")
    if item.dtype.kind not in "biuf" or item.dtype.subdtype is not None:
        raise FileFormatError(f"{where} holds values of type {item.dtype}, not numbers")
    if item.chunks:
        require_memory(int(np.prod(item.chunks, dtype=object)) * item.dtype.itemsize, f"{where}: one chunk of it")
    return item


def inside(folder: Path, *names: str) -> Path:
    """Return the path of an ordinary file below a folder; symbolic links on the way are refused.

    Raises:
        FileFormatError: it is missing, a link (which may lead anywhere), or no ordinary file.
    """
    path = folder
    for name in names:
        path = path / name
        if path.is_symlink():
            raise FileFormatError(f"{path} is a symbolic link; links inside a data set are refused, put the file there")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    if not stat.S_ISREG(mode):
        raise FileFormatError(f"{path}: not an ordinary file")
    return path


def _entries(folder: Path) -> list[str]:
    names = []
    for entry in folder.iterdir():
        names.append(entry.name)
        if len(names) > _MOST_ENTRIES:
            raise FileFormatError(f"{folder}: holds more than {_MOST_ENTRIES} entries")
    return sorted(names)


def _kind(path: Path) -> Kind:
    if h5py.is_hdf5(path):
        return "HDF5"
    with path.open("rb") as stream:
        head = stream.read(128)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if len(head) == 128 and head[124:] in (b"\x00\x01IM", b"\x01\x00MI"):
        return "MATLAB 5"
    if zipfile.is_zipfile(path):
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "pickle"
    return "unknown"
