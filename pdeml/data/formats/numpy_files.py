"""NumPy files: ``.npz``, one ``.npy``, or a folder of ``.npy`` (Geo-FNO, CalTech Operator-Learning), named by the user.

Axes are the samples, then the coordinates in the order in which the user names them. Arrays of Python objects are
refused: nothing is unpickled. Members of an archive that are not compressed are mapped from the file.
"""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pdeml.data.formats.found import Format, Found, Names, inside
from pdeml.data.formats.parts import Stored
from pdeml.data.formats.unlabelled import Custom, open_unlabelled
from pdeml.data.source import Source
from pdeml.errors import FileFormatError
from pdeml.files import reading, require_memory

__all__ = ["NUMPY", "map_npy"]

_VECTORS = {"x": ("x",), "y": ("y",), "z": ("z",), "t": ("t",)}
_CUSTOM = Custom("NumPy", time=None, vectors=_VECTORS)
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def _recognise(found: Found) -> bool:
    return found.kind == "npy" or any(name.endswith(".npy") for name in found.names)


def _open(found: Found, names: Names) -> Source:
    if found.kind == "zip":
        arrays = _members(found)
    elif found.kind == "npy":
        arrays = {found.path.stem: map_npy(found.path)}
    else:
        files = [name for name in found.names if name.endswith(".npy")]
        arrays = {Path(name).stem: map_npy(inside(found.path, name)) for name in files}
    return open_unlabelled(found, _CUSTOM, arrays, names)


NUMPY = Format(_CUSTOM.format, ("npy", "zip", "folder"), _recognise, _open, labelled=False)


class _Compressed:
    """A compressed member of an archive, inflated when first read and kept."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype = shape, dtype
        self._path, self._name = path, name
        self._array: np.ndarray | None = None

    def __getitem__(self, key: object) -> np.ndarray:
        if self._array is None:
            require_memory(math.prod(self.shape) * self.dtype.itemsize, f"{self._path}: {self._name!r}")
            with zipfile.ZipFile(self._path) as archive, archive.open(self._name) as stream:
                self._array = np.lib.format.read_array(stream, allow_pickle=False)
        return self._array[key]


def _members(found: Found) -> dict[str, Stored]:
    arrays: dict[str, Stored] = {}
    with zipfile.ZipFile(found.path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                shape, fortran, dtype = _header(stream, f"{found.path}: {name!r}")
                skipped = stream.tell()
            if member.compress_type == zipfile.ZIP_STORED:
                if math.prod(shape) * dtype.itemsize > member.file_size - skipped:
                    raise FileFormatError(f"{found.path}: {name!r} declares the shape {shape} but is cut short")
                start = _data_start(found.path, member) + skipped
                arrays[name] = np.memmap(found.path, dtype, "r", start, shape, "F" if fortran else "C")
            else:
                arrays[name] = _Compressed(found.path, member.filename, shape, dtype)
    return arrays


def _header(stream: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise FileFormatError(f"{where} holds Python objects; nothing is unpickled, save it as plain numbers")
    if dtype.kind not in "biuf" or dtype.subdtype is not None:
        raise FileFormatError(f"{where} holds values of type {dtype}, not real numbers")
    return shape, fortran, dtype


def _data_start(path: Path, member: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin: behind its own header, whose lengths the directory does not repeat."""
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        fields = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return member.header_offset + _LOCAL_HEADER.size + fields[-2] + fields[-1]


def map_npy(path: Path) -> np.ndarray:
    """Map an ``.npy`` file of real numbers after checking that it holds as many as it declares.

    Raises:
        FileFormatError: it holds something else, or is cut short.
    """
    with reading(path, "a .npy file"):
        with path.open("rb") as stream:
            shape, fortran, dtype = _header(stream, f"{path}: the array")
            start = stream.tell()
        if math.prod(shape) * dtype.itemsize > path.stat().st_size - start:
            raise FileFormatError(f"{path}: declares the shape {shape} but is cut short")
        if not math.prod(shape):
            raise FileFormatError(f"{path}: holds an array of no numbers, of the shape {shape}")
        return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
