"""MATLAB's version 5 files: arrays of real numbers, mapped from the file where they are not compressed.

Sizes are read from the headers and checked before anything is inflated; cells, structures, objects and text are passed
over. *MAT-File Format* (The MathWorks, 2024), "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pdeml.errors import FileFormatError
from pdeml.files import require_memory

__all__ = ["read_matlab5"]

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x08
_MOST_HEAD = 4096  # bytes that hold flags, sizes and name of an array
_BLOCK = 2**20


def read_matlab5(path: Path) -> dict[str, Matrix]:
    """Return the arrays of real numbers in a file, by name; nothing but headers is read.

    Raises:
        FileFormatError: the file is cut short or its sizes contradict each other.
    """
    with path.open("rb") as stream:
        stream.seek(124)
        order = "<" if stream.read(4)[2:] == b"IM" else ">"
        found = dict(_arrays(path, stream, order))
    return {name: matrix for name, matrix in found.items() if matrix is not None}


@dataclass(eq=False)
class Matrix:
    """An array in a file, of which parts can be read; a compressed one is inflated when first read, and kept.

    Args:
        path: of the file.
        name: of the array.
        shape: as MATLAB shows it.
        dtype: of its class.
        stored: type of the numbers on disk, which may be narrower.
        start: first byte of the element's body in the file.
        offset: first byte of the numbers in the (inflated) body.
        packed: bytes of the compressed body; 0 if it is not compressed.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    stored: np.dtype
    start: int
    offset: int
    packed: int
    _array: np.ndarray | None = None

    def __getitem__(self, key: object) -> np.ndarray:
        if self._array is None:
            self._array = self._inflated() if self.packed else self._mapped()
        return self._array[key].astype(self.dtype)

    def _mapped(self) -> np.ndarray:
        return np.memmap(self.path, self.stored, "r", self.start + self.offset, self.shape, "F")

    def _inflated(self) -> np.ndarray:
        size = math.prod(self.shape) * self.stored.itemsize
        require_memory(self.offset + size, f"{self.path}: array {self.name!r}")
        content = bytearray()
        with self.path.open("rb") as stream:
            for block in _inflate(stream, self.start, self.packed, self.offset + size):
                content += block
        if len(content) < self.offset + size:
            raise FileFormatError(f"{self.path}: array {self.name!r} is cut short")
        return np.frombuffer(content, self.stored, math.prod(self.shape), self.offset).reshape(self.shape, order="F")


def _arrays(path: Path, stream: BinaryIO, order: str) -> Iterator[tuple[str, Matrix | None]]:
    start, end = _HEADER, path.stat().st_size
    while start + 8 <= end:
        stream.seek(start)
        kind, size = struct.unpack(f"{order}2I", stream.read(8))
        start += 8
        if start + size > end:
            raise FileFormatError(f"{path}: is cut short: it ends within an array")
        if kind == _COMPRESSED:
            head = b"".join(_inflate(stream, start, size, _MOST_HEAD))
            if len(head) >= 8 and struct.unpack(f"{order}I", head[:4])[0] == _MATRIX:
                yield _matrix(path, head, order, start, 8, size, 0)
        elif kind == _MATRIX:
            head = stream.read(min(size, _MOST_HEAD))
            yield _matrix(path, head, order, start, 0, 0, size)
        start += size


def _matrix(
    path: Path, head: bytes, order: str, start: int, position: int, packed: int, size: int
) -> tuple[str, Matrix | None]:
    """Read the head of an array: flags, sizes, name, and where its real part is; None for what is no real array."""
    try:
        flags, position = _element(head, order, position)
        sizes, position = _element(head, order, position)
        label, position = _element(head, order, position)
        word = struct.unpack(f"{order}I", flags[:4])[0]
        shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
        name = label.decode("latin-1")
        kind, count, offset = _tag(head, order, position)
    except struct.error:
        raise FileFormatError(f"{path}: the head of an array is damaged") from None
    kind_class = word & 0xFF
    if kind_class not in _CLASSES or (word >> 8) & _COMPLEX or kind not in _TYPES or min(shape, default=0) < 0:
        return name, None
    stored, dtype = np.dtype(order + _TYPES[kind]), np.dtype(_CLASSES[kind_class])
    needed = math.prod(shape) * stored.itemsize
    if needed != count or (not packed and offset + needed > size):
        raise FileFormatError(f"{path}: array {name!r} of the shape {shape} has {count} bytes instead of {needed}")
    return name, Matrix(path, name, shape, dtype, stored, start, offset, packed)


def _tag(data: bytes, order: str, position: int) -> tuple[int, int, int]:
    """Return type, number of bytes, and where they begin; short elements hold their bytes in the tag itself."""
    word, size = struct.unpack_from(f"{order}2I", data, position)
    return (word & 0xFFFF, word >> 16, position + 4) if word >> 16 else (word, size, position + 8)


def _element(data: bytes, order: str, position: int) -> tuple[bytes, int]:
    """Return the bytes of an element and where the next one begins (each is padded to 8 bytes)."""
    _, size, begin = _tag(data, order, position)
    if begin + size > len(data):
        raise struct.error
    after = position + 8 if begin == position + 4 else begin + size + -size % 8
    return data[begin : begin + size], after


def _inflate(stream: BinaryIO, start: int, packed: int, most: int) -> Iterator[bytes]:
    """Yield at most ``most`` inflated bytes."""
    stream.seek(start)
    machine, left, data = zlib.decompressobj(), packed, b""
    while most > 0 and not machine.eof:
        if not data:
            data = stream.read(min(left, _BLOCK))
            left -= len(data)
            if not data:
                return
        try:
            block = machine.decompress(data, min(most, _BLOCK))
        except zlib.error as error:
            raise FileFormatError(f"{stream.name}: a compressed array is damaged ({error})") from None
        data = machine.unconsumed_tail
        most -= len(block)
        yield block
