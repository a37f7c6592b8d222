"""Samples of functions in a file of any format: what they are called, their shape, and lazy reading of a part."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from pdeml.errors import InputError, one_of
from pdeml.files import reading, require_memory

__all__ = ["ROLES", "ArrayInfo", "Role", "Source", "Window", "open_source"]

Role = Literal["input", "output", "parameter"]
ROLES: tuple[Role, ...] = ("input", "output", "parameter")
Window = Mapping[str, slice]
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LITTLE = 2**24  # bytes that fit into any memory: to find out takes longer than to read them


@dataclass(frozen=True)
class ArrayInfo:
    """What is known of one array of samples without reading it.

    Args:
        name: of the array.
        dims: names of its dimensions without the leading ``sample``, in the order (t, z, y, x).
        shape: their sizes, without the number of samples.
        dtype: type of its numbers as `Source.read` returns them (native byte order).
        role: ``"input"``, ``"output"`` or ``"parameter"``.
        unit: of its values.
        long_name: what it is, in words.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    role: Role
    unit: str = "1"
    long_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if len(self.dims) != len(self.shape):
            raise InputError(
                f"array {self.name!r} has {len(self.shape)} dimensions but {len(self.dims)} names for them"
            )
        if self.role not in ROLES:
            raise InputError(f"array {self.name!r}: {one_of(str(self.role), ROLES, 'a role')}")

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


class Source(ABC):
    """Samples of functions in a file (or several), read lazily: nothing but what is asked for is loaded.

    A subclass sets the attributes in its constructor and implements `_read` and `close`. It is a context manager.

    Attributes:
        path: the file (of several, the first) or folder.
        format: its name, such as ``"dataset/1"``.
        arrays: name -> what it is.
        coordinates: dimension -> values, where it has any.
        length: number of samples.
        attrs: of the whole file.
        split: part -> sample numbers; empty if the file names none.
        complete: False for a ``.part``, or where there are fewer samples than announced.
        statistics: array -> ``mean``, ``std``, ``min``, ``max``, ``count``; empty if the file stores none.
        concurrent: whether several threads may read at once.
        units: coordinate -> unit of its values, where the file says.
        counted: coordinates of which the file has no values: they are 0, 1, 2, ...
    """

    path: Path
    format: str
    arrays: Mapping[str, ArrayInfo]
    coordinates: Mapping[str, np.ndarray]
    length: int
    attrs: Mapping[str, Any] = _NOTHING
    split: Mapping[str, np.ndarray] = _NOTHING
    complete: bool = True
    statistics: Mapping[str, Mapping[str, float]] = _NOTHING
    concurrent: bool = False
    units: Mapping[str, str] = _NOTHING
    counted: frozenset[str] = frozenset()

    @abstractmethod
    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        """Read samples of one array; the arguments are checked already.

        Args:
            info: of the array.
            samples: a slice within ``0 ... length`` of positive step, or strictly increasing sample numbers.
            index: one slice of positive step a dimension of ``info.dims``, within its size.

        Returns:
            shape (samples, ...): of any byte order and memory layout.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; reading is no longer possible."""

    def chunk_samples(self, name: str) -> int:
        """Return how many samples of an array are stored, and therefore read, together."""
        return 1

    def read(self, name: str, samples: slice | Sequence[int], window: Window | None = None) -> np.ndarray:
        """Read some samples of one array, or a window of each.

        Args:
            name: of the array.
            samples: a slice, or sample numbers in any order (negative ones count from the end).
            window: dimension -> slice (of positive step); dimensions that are not named are read whole.

        Returns:
            shape (samples, ...), the dimensions as ``arrays[name].dims``, C order, native byte order,
            and the caller's own.

        Raises:
            InputError: if there is no such array, dimension or sample.
            FileFormatError: if the file is damaged (the message names file, array and where possible the sample), or
                the result is larger than the memory.
        """
        info = self._info(name)
        index = self._index(info, window or {})
        chosen = self._samples(samples)
        shape = (_count(chosen) if isinstance(chosen, slice) else len(chosen), *map(_count, index))
        size = math.prod(shape) * info.dtype.itemsize
        if not size:
            return np.empty(shape, info.dtype)
        if size > _LITTLE:
            require_memory(size, f"{self.path}: what is read of {name!r}")
        back = None
        if not isinstance(chosen, slice) and (np.diff(chosen) <= 0).any():
            chosen, back = np.unique(chosen, return_inverse=True)
        with reading(self.path, f"data of the format {self.format}", folder=True):
            array = self._read(info, chosen, index)
        array = array if back is None else array[back]
        array = np.ascontiguousarray(array, dtype=info.dtype)
        # No view of a mapped file or of what is kept in memory must get out: writing to it would end the process, or
        # change what is read next.
        return array if array.base is None else array.copy()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.length

    def _info(self, name: str) -> ArrayInfo:
        if name not in self.arrays:
            raise InputError(f"{self.path}: {one_of(name, self.arrays, 'an array of this file')}")
        return self.arrays[name]

    def _index(self, info: ArrayInfo, window: Window) -> tuple[slice, ...]:
        known = dict.fromkeys(dim for array in self.arrays.values() for dim in array.dims)
        for dim in window:
            if dim not in known:
                raise InputError(f"{self.path}: {one_of(dim, known, 'a dimension of this file')}")
        return tuple(
            _part(dim, window.get(dim, slice(None)), size) for dim, size in zip(info.dims, info.shape, strict=True)
        )

    def _samples(self, samples: slice | Sequence[int]) -> slice | np.ndarray:
        if isinstance(samples, slice):
            start, stop, step = samples.indices(self.length)
            if step > 0:
                return slice(start, max(start, stop), step)
            samples = range(start, stop, step)
        numbers = np.asarray(samples)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise InputError(f"samples must be a slice or a list of integers, got {samples!r:.60}")
        numbers = numbers.astype(np.int64)
        outside = numbers[(numbers < -self.length) | (numbers >= self.length)]
        if len(outside):
            raise InputError(f"{self.path}: there is no sample {outside[0]}; it holds {self.length}")
        return np.where(numbers < 0, numbers + self.length, numbers)


def open_source(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    coordinates: Mapping[str, Any] | None = None,
) -> Source:
    """Open samples of functions: a data set of pdeml, one being generated (``.part``), or any foreign format.

    Args:
        path: the file, or the folder of a format that consists of several; a list of files that hold the same arrays
            is one source, whose samples are those of the files one after the other.
        inputs: our name -> the file's name, for formats that do not say which array is what; or what it is at a place,
            as ``u0: u(t=first)`` (see `pdeml.data.places`).
        outputs: the same for outputs.
        coordinates: our name -> (low, high) or the file's name, for formats without coordinates;
            ``sample: first | last | none`` says where the axis of samples is in formats that do not label axes.

    Returns:
        the open source; close it, or use it in a ``with`` statement.

    Raises:
        FileFormatError: if the file is missing, damaged, unsafe or of an unknown format.
        InputError: if a name is not in the file.
    """
    from pdeml.data.joined import JoinedSource
    from pdeml.data.places import PlacedSource, take_places

    names: dict[str, Any] = {"coordinates": coordinates}
    names["inputs"], given = take_places(inputs, "inputs")
    names["outputs"], asked = take_places(outputs, "outputs")
    if not isinstance(path, str | os.PathLike):
        source: Source = JoinedSource([_open_one(part, names) for part in path])
    else:
        source = _open_one(path, names)
    return PlacedSource(source, {"inputs": given, "outputs": asked}) if given or asked else source


def _open_one(path: str | os.PathLike[str], names: Mapping[str, Any]) -> Source:
    from pdeml.data.native import NativeSource, is_native

    if is_native(path) and not any(names.values()):
        return NativeSource(path)
    from pdeml.data.formats import open_foreign

    return open_foreign(path, **names)


def _part(dim: str, part: slice, size: int) -> slice:
    """Return the slice within ``0 ... size``, of positive step."""
    if not isinstance(part, slice):
        raise InputError(f"the window of {dim!r} must be a slice, got {part!r:.40}")
    start, stop, step = part.indices(size)
    if step < 1:
        raise InputError(f"the window of {dim!r} must have a positive step, got {step}")
    return slice(start, max(start, stop), step)


def _count(part: slice) -> int:
    return len(range(part.start, part.stop, part.step))
