"""Reading a data set of pdeml, finished or being generated, one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeml.data.chunks import ChunkReader
from pdeml.data.codecs import parse_codec
from pdeml.data.schema import FORMAT, PARTS, RESIDUAL, SAMPLE, SPLIT, STATISTICS, Coordinate, Schema
from pdeml.data.source import ROLES, ArrayInfo, Source
from pdeml.errors import FileFormatError, one_of
from pdeml.files import is_scale, open_hdf5, open_shared, read_array, read_attributes, variable_dims

__all__ = ["PART_SUFFIX", "NativeSource", "is_native"]

PART_SUFFIX = ".part"


def is_native(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is one of pdeml; a pipe, which would be waited for, is none."""
    if not Path(path).is_file():
        return False
    try:
        with open_shared(path) as file:
            return "pdeml_format" in file.attrs
    except (OSError, RuntimeError, KeyError):
        return False


class NativeSource(Source):
    """The samples of a file of the format ``dataset/1``.

    Args:
        path: the file, or its ``.part``.

    Attributes:
        announced: how many samples the file shall hold when it is finished.

    Raises:
        FileFormatError: if it is no such file, damaged, cut short or unsafe.
    """

    format = FORMAT

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._open = ExitStack()
        with ExitStack() as stack:
            self._h5 = stack.enter_context(open_hdf5(self.path))
            self._file = os.open(self.path, os.O_RDONLY)
            stack.callback(os.close, self._file)
            self._describe()
            self._open = stack.pop_all()

    def close(self) -> None:
        self._open.close()

    def array_attributes(self, name: str) -> dict[str, Any]:
        """Return the attributes of one array or coordinate."""
        return dict(self._attributes[name])

    def schema(self) -> Schema:
        """Return the schema that writes such a file."""
        coordinates = {
            name: Coordinate(
                values,
                str(self._attributes[name].get("units", "1")),
                str(self._attributes[name].get("axis", "")),
                str(self._attributes[name].get("long_name", "")),
            )
            for name, values in self.coordinates.items()
        }
        codecs = {name: parse_codec(str(part["codec"])) for name, part in self._attributes.items() if "codec" in part}
        levels = [self._h5[name].compression_opts for name in self.arrays if self._h5[name].compression == "gzip"]
        residuals = any(RESIDUAL in part for part in self._attributes.values())
        return Schema(self.arrays, coordinates, codecs, max(levels, default=0), residuals)

    def _describe(self) -> None:
        self.attrs = read_attributes(self._h5)
        if self.attrs.get("pdeml_format") != FORMAT:
            raise FileFormatError(
                f"{self.path}: its pdeml_format is {self.attrs.get('pdeml_format')!r:.60}; expected {FORMAT}"
            )
        items = {name: item for name, item in self._h5.items() if isinstance(item, h5py.Dataset)}
        scales = {name for name, item in items.items() if is_scale(item)}
        self._attributes = {name: read_attributes(item) for name, item in items.items()}
        self.coordinates = {
            name: read_array(items[name]) for name in items if name in scales and "units" in self._attributes[name]
        }
        self.units = {name: str(self._attributes[name]["units"]) for name in self.coordinates}
        dims = {name: variable_dims(item) for name, item in items.items() if name not in scales}
        sampled = [name for name, names in dims.items() if names[:1] == (SAMPLE,)]
        self.arrays = {name: self._array(name, items[name], dims[name][1:]) for name in sampled if name != SPLIT}
        if not self.arrays:
            raise FileFormatError(f"{self.path}: holds no array with the leading dimension {SAMPLE!r}")
        self._set_length({name: items[name].shape[0] for name in sampled})
        self._readers = {
            name: ChunkReader.of(items[name], info, self._where(name)) for name, info in self.arrays.items()
        }
        self.concurrent = None not in self._readers.values()
        self.statistics = {
            name: {key: float(self._attributes[name].get(key, np.nan)) for key in STATISTICS} for name in self.arrays
        }
        self.split = self._split() if SPLIT in sampled else {}

    def _array(self, name: str, item: h5py.Dataset, dims: tuple[str, ...]) -> ArrayInfo:
        role = str(self._attributes[name].get("role", ""))
        if role not in ROLES:
            raise FileFormatError(f"{self._where(name)}: {one_of(role, ROLES, 'a role')}")
        if item.dtype.kind not in "iuf":
            raise FileFormatError(f"{self._where(name)} holds values of type {item.dtype}, not numbers")
        for dim, size in zip(dims, item.shape[1:], strict=True):
            if dim in self.coordinates and len(self.coordinates[dim]) != size:
                raise FileFormatError(
                    f"{self._where(name)} has {size} points along {dim!r}, "
                    f"but the coordinate has {len(self.coordinates[dim])}"
                )
        unit, text = (str(self._attributes[name].get(key, usual)) for key, usual in (("units", "1"), ("long_name", "")))
        text = "" if text == name else text
        return ArrayInfo(name, dims, item.shape[1:], item.dtype.newbyteorder("="), role, unit, text)

    def _set_length(self, lengths: Mapping[str, int]) -> None:
        """A ``.part`` holds the samples that all its arrays have."""
        self.length = min(lengths.values())
        self.announced = int(self.attrs.get("samples", self.length))
        self.complete = self.path.suffix != PART_SUFFIX and self.length >= self.announced
        for name, length in lengths.items():
            if length < max(lengths.values()) and self.path.suffix != PART_SUFFIX:
                raise FileFormatError(f"{self._where(name)} has {length} samples, others have {max(lengths.values())}")

    def _split(self) -> dict[str, np.ndarray]:
        parts = read_array(self._h5[SPLIT])[: self.length]
        return {name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS) if (parts == number).any()}

    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        reader = self._readers[info.name]
        if reader is None:
            return self._h5[info.name][(samples, *index)]
        numbers = np.arange(samples.start, samples.stop, samples.step) if isinstance(samples, slice) else samples
        whole = tuple(slice(0, size, 1) for size in info.shape) == index
        out = np.empty((len(numbers), *(len(range(p.start, p.stop, p.step)) for p in index)), info.dtype)
        chunks, starts = np.unique(numbers // reader.per_chunk, return_index=True)
        for chunk, start, stop in zip(chunks, starts, [*starts[1:], len(numbers)], strict=True):
            rows = numbers[start:stop] - chunk * reader.per_chunk
            if whole and len(rows) == reader.per_chunk and reader.dtype == info.dtype:
                reader.read(self._file, chunk, out[start:stop])
            else:
                out[start:stop] = reader.read(self._file, chunk)[(rows, *index)]
        return out

    def chunk_samples(self, name: str) -> int:
        """Return how many samples of an array are stored, and therefore read, together."""
        reader = self._readers[name]
        return reader.per_chunk if reader is not None else 1

    def _where(self, name: str) -> str:
        return f"{self.path}: array {name!r}"
