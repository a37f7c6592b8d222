"""Arrays of ours within stored ones: which stored axis is which dimension, and lazy reading through that map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pdeml.data.formats.found import Found
from pdeml.data.source import ArrayInfo, Role, Source
from pdeml.errors import FileFormatError

__all__ = ["Part", "PartSource", "Pieces", "Stored", "counted", "identifier", "usual_role"]

SAMPLE = "sample"
Axis = str | int
# Types that a data set of ours does not store -> the narrowest one that holds all (or, of uint64, nearly all) values.
_WIDENED = {
    "bool": "uint8",
    "float16": "float32",
    "longdouble": "float64",
    "float128": "float64",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "float64",
}


class Stored(Protocol):
    """An array that is read by slices: of h5py, a memory map, or `Pieces`."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Part:
    """One array of ours within a stored one.

    Args:
        stored: the stored array.
        axes: what each of its axes is, in stored order: ``"sample"``, the name of a dimension, or a number: the one
            index that is taken there, such as the component of a vector. Without ``"sample"`` it is the same for all.
        role: input, output or parameter.
        long_name: what it is, in words.
    """

    stored: Stored
    axes: tuple[Axis, ...]
    role: Role
    long_name: str = ""

    def size(self, name: str) -> int:
        """Return the number of values along a dimension."""
        return self.stored.shape[self.axes.index(name)]

    def key(self, samples: slice, index: Mapping[str, slice]) -> tuple[slice | int, ...]:
        """Return what to ask the stored array for."""
        return tuple(
            axis if isinstance(axis, int) else samples if axis == SAMPLE else index[axis] for axis in self.axes
        )


class Pieces:
    """Arrays of equal shape, one a sample, as one array with a leading axis; each is opened when it is read.

    Args:
        count: number of samples.
        piece: sample number -> its array.
        shape: of each piece, of which larger ones are cut to it.
        dtype: of all.
    """

    def __init__(self, count: int, piece: Callable[[int], Stored], shape: Sequence[int], dtype: np.dtype):
        self.shape = (count, *shape)
        self.dtype = dtype
        self._piece = piece

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        numbers = range(*key[0].indices(self.shape[0]))
        read = [np.asarray(self._piece(number)[key[1:]], self.dtype) for number in numbers]
        return np.stack(read) if read else np.empty((0, *self._empty(key)), self.dtype)

    def _empty(self, key: tuple[slice | int, ...]) -> tuple[int, ...]:
        kept = [(part, size) for part, size in zip(key, self.shape, strict=True) if isinstance(part, slice)]
        return tuple(len(range(*part.indices(size))) for part, size in kept[1:])


class PartSource(Source):
    """Samples of a foreign file.

    Args:
        found: the file, closed with the source.
        format: its name.
        parts: name -> array, in the order in which they are shown.
        coordinates: dimension -> values, 1-D; in the order x, y, z or, of other names, as given (time anywhere).
        length: number of samples.
        time: the dimension that is time, where there is one.
        attrs: what else the file says: text, numbers, 1-D lists.
        split: part -> sample numbers.
        counted: coordinates of which the file has no values.

    Raises:
        FileFormatError: if arrays, coordinates and the number of samples contradict each other.
    """

    def __init__(
        self,
        found: Found,
        format: str,
        parts: Mapping[str, Part],
        coordinates: Mapping[str, np.ndarray],
        length: int,
        *,
        time: str = "t",
        attrs: Mapping[str, Any] | None = None,
        split: Mapping[str, np.ndarray] | None = None,
        counted: Iterable[str] = (),
    ):
        self.path, self.format, self.length = found.path, format, length
        self.coordinates = {name: np.asarray(values, np.float64) for name, values in coordinates.items()}
        self.attrs, self.split = dict(attrs or {}), dict(split or {})
        self.counted = frozenset(counted)
        self._found, self._parts = found, dict(parts)
        space = sorted((name for name in coordinates if name != time), key="xyz".find)
        order = [time, *reversed(space)]
        self._check(order)
        self.arrays = {name: _info(name, part, order) for name, part in self._parts.items()}

    def close(self) -> None:
        self._found.close()

    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        part = self._parts[info.name]
        window = dict(zip(info.dims, index, strict=True))
        runs = [samples] if isinstance(samples, slice) else list(_runs(samples))
        if SAMPLE not in part.axes:
            block = self._block(info, part, slice(0), window)
            count = sum(len(range(run.start, run.stop, run.step)) for run in runs)
            return np.broadcast_to(block, (count, *block.shape[1:]))
        if len(runs) == 1:
            return self._block(info, part, runs[0], window)
        return np.concatenate([self._block(info, part, run, window) for run in runs or [slice(0, 0, 1)]])

    def _block(self, info: ArrayInfo, part: Part, samples: slice, window: Mapping[str, slice]) -> np.ndarray:
        """Read consecutive samples; one leading entry where all samples share the array."""
        try:
            block = np.asarray(part.stored[part.key(samples, window)])
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise FileFormatError(
                f"{self.path}: samples {samples.start} to {samples.stop - 1} of {info.name!r} cannot be read ({reason})"
                if SAMPLE in part.axes
                else f"{self.path}: {info.name!r} cannot be read ({reason})"
            ) from None
        names = [axis for axis in part.axes if isinstance(axis, str)]
        if SAMPLE not in names:
            names, block = [SAMPLE, *names], block[np.newaxis]
        return block.transpose([names.index(name) for name in (SAMPLE, *info.dims)])

    def _check(self, known: Sequence[str]) -> None:
        sizes = {SAMPLE: self.length, **{name: len(values) for name, values in self.coordinates.items()}}
        for name, part in self._parts.items():
            if len(part.axes) != len(part.stored.shape):
                raise FileFormatError(
                    f"{self.path}: array {name!r} has the shape {tuple(part.stored.shape)}, but a {self.format} file "
                    f"has {len(part.axes)} axes there"
                )
            for axis in part.axes:
                if isinstance(axis, int):
                    continue
                if axis not in sizes or (axis != SAMPLE and axis not in known):
                    raise FileFormatError(
                        f"{self.path}: array {name!r} needs the coordinate {axis!r}, which is missing"
                    )
                if part.size(axis) != sizes[axis]:
                    what = "samples" if axis == SAMPLE else f"values along {axis!r}"
                    raise FileFormatError(
                        f"{self.path}: array {name!r} has {part.size(axis)} {what}, the others and the coordinates "
                        f"have {sizes[axis]}; is the file damaged?"
                    )


def identifier(name: str) -> str:
    """Return a foreign name as a name of ours: letters, digits and ``_``, a letter first."""
    text = "".join(char if char.isascii() and (char.isalnum() or char == "_") else "_" for char in name).strip("_")
    return text if text[:1].isalpha() else f"a{text}"


def usual_role(dims: Sequence[Axis], others: Sequence[Sequence[Axis]], time: str = "t") -> Role:
    """Return the role of an array that its format does not tell.

    A number a sample is a parameter. Where some arrays depend on time, those are outputs and the others (coefficients,
    forces) inputs; where none does, all are outputs.
    """
    named = {dim for dim in dims if isinstance(dim, str) and dim != SAMPLE}
    if not named:
        return "parameter"
    return "input" if time not in named and any(time in other for other in others) else "output"


def counted(size: int) -> np.ndarray:
    """Return the coordinate of a format that names none: 0, 1, 2, ..."""
    return np.arange(size, dtype=np.float64)


def _info(name: str, part: Part, order: Sequence[str]) -> ArrayInfo:
    dims = [dim for dim in order if dim in part.axes]
    dtype = np.dtype(part.stored.dtype).newbyteorder("=")
    dtype = np.dtype(_WIDENED.get(dtype.name, dtype))
    return ArrayInfo(name, tuple(dims), tuple(part.size(dim) for dim in dims), dtype, part.role, "1", part.long_name)


def _runs(numbers: np.ndarray) -> Iterator[slice]:
    """Yield the runs of consecutive numbers in an increasing list."""
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if len(run):
            yield slice(int(run[0]), int(run[-1]) + 1, 1)
