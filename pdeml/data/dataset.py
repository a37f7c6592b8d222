"""Samples as tensors: parts, windows, frames and normalisation, for `torch.utils.data.DataLoader` and `Stream`."""

from __future__ import annotations

import math
import operator
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pdeml.data.mask import MASK, first_hole, holes, is_masked, spread
from pdeml.data.source import Source, Window, open_source
from pdeml.errors import FileFormatError, InputError, one_of
from pdeml.files import require_memory

__all__ = ["NEXT", "Dataset", "Frames"]

NEXT = "_next"


@dataclass(frozen=True)
class Frames:
    """Cut the time series of each sample into items: some frames, and those that follow them.

    Args:
        inputs: frames under the array's own name.
        outputs: frames that follow, under the name with ``_next``.
        step: from the start of one item to that of the next.
        time: name of the time dimension.
    """

    inputs: int = 1
    outputs: int = 1
    step: int = 1
    time: str = "t"

    def __post_init__(self) -> None:
        if self.inputs < 1 or self.outputs < 0 or self.step < 1:
            raise InputError(f"frames need inputs >= 1, outputs >= 0 and step >= 1, got {self}")


class Dataset(torch.utils.data.Dataset):
    """Samples of a data set, or of any file that `open_source` reads, as mappings name -> tensor ([t], z, y, x).

    ``dataset[3]`` is one sample, ``dataset[0:8]`` a batch. It can be pickled, and opens the file anew in every process
    (workers by fork or spawn).

    In a file with an array ``mask`` (0 outside the geometry) outputs are NaN outside. The mask comes with every array
    that it is about, named or not, so that a loss can leave those points out: ``((u - v)**2 * mask).sum()``.

    Args:
        path: a file, or several that continue each other.
        part: ``"train"``, ``"validation"`` or ``"test"`` where the file has a split; or the sample numbers; None: all.
        arrays: names to read; None: all. ``mask`` is added to those that have its dimensions.
        window: dimension -> slice, to cut out or to thin space or time.
        frames: cut time series into items; an item is then one start within one sample.
        normalise: names of arrays to shift and scale by the stored mean and standard deviation; True: all floats but
            the mask.
        dtype: of the floats; None: as stored. Integers keep their type.
        allow_nan: pass on NaN and infinite values inside the geometry (everywhere, where there is no mask); otherwise
            they are an error that names the sample.
        fill: what values outside the geometry that are not finite become, after normalisation; None: they stay.
        names: ``inputs``, ``outputs``, ``coordinates`` of `open_source`, for formats that do not say; ``sample`` among
            the coordinates (``first``, ``last``, ``none``) is the axis of samples.

    Raises:
        InputError: if a name, a part or a window does not fit, or there are no statistics.
        FileFormatError: if the file is damaged; also later, when it is read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        part: str | Sequence[int] | None = None,
        *,
        arrays: Sequence[str] | None = None,
        window: Window | None = None,
        frames: Frames | None = None,
        normalise: bool | Iterable[str] = False,
        dtype: torch.dtype | None = torch.float32,
        allow_nan: bool = False,
        fill: float | None = 0.0,
        names: Mapping[str, Any] | None = None,
    ):
        if dtype is not None and dtype not in _NUMPY:
            raise InputError(f"dtype must be one of {', '.join(map(str, _NUMPY))} or None, got {dtype}")
        if fill is not None and not (isinstance(fill, int | float) and math.isfinite(fill)):
            raise InputError(f"fill must be a finite number, or None (NaN stay outside the geometry), got {fill!r:.40}")
        self.path = path
        self.part = part
        self.window = _checked_window(window)
        self.frames = frames
        self.dtype = dtype
        self.allow_nan = allow_nan
        self.fill = fill
        self._names = dict(names or {})
        self._opened: tuple[int, Source] | None = None
        self._lock = threading.Lock()
        self._kept: Mapping[str, np.ndarray] = {}
        source = self.source
        self.arrays = tuple(source.arrays if arrays is None else arrays)
        for name in self.arrays:
            if name not in source.arrays:
                raise InputError(one_of(name, source.arrays, "an array of this file"))
        if MASK not in self.arrays and any(is_masked(source, name) for name in self.arrays):
            self.arrays = (*self.arrays, MASK)
        self.numbers = _part_numbers(source, part)
        # All samples of an unfinished file are other ones a moment later.
        self.grows = part is None and not source.complete
        self.statistics = _statistics(source, self.arrays, normalise)
        self.starts = self._starts(source)

    @property
    def source(self) -> Source:
        """The open file of this process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), open_source(self.path, **self._names))
        return self._opened[1]

    def __len__(self) -> int:
        return len(self.numbers) * len(self.starts)

    def __repr__(self) -> str:
        files = [self.path] if isinstance(self.path, str | os.PathLike) else self.path
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        part = "all samples" if self.part is None else "chosen samples"
        part = f"part {self.part!r}" if isinstance(self.part, str) else part
        return f"Dataset({str(files[0])!r}{more}, {part}: {len(self)} items of {', '.join(self.arrays)})"

    def __getitem__(self, item: int | slice) -> dict[str, torch.Tensor]:
        """Return one item, negative numbers counting from the end; or a slice of items as a batch."""
        if isinstance(item, slice):
            return self._batch(range(len(self))[item])
        return {name: tensor[0] for name, tensor in self._batch([item]).items()}

    def __getitems__(self, items: Sequence[int]) -> list[dict[str, torch.Tensor]]:
        """Return several items at once, as `DataLoader` asks for them; samples that are needed twice are read once."""
        batch = self._batch(items)
        return [{name: tensor[number] for name, tensor in batch.items()} for number in range(len(items))]

    def read(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Read whole samples (strictly increasing numbers): windowed, converted, normalised, shape (samples, ...)."""
        if self._kept:
            rows = np.searchsorted(np.sort(self.numbers), samples)
            return {name: self._kept[name][rows] for name in self.arrays}
        found: dict[str, np.ndarray] = {}
        for name in sorted(self.arrays, key=lambda name: name != MASK):  # the others need the mask
            found[name] = self._array(name, samples, found.get(MASK))
        return {name: found[name] for name in self.arrays}

    def keep(self, values: Mapping[str, np.ndarray] | None = None) -> Mapping[str, np.ndarray]:
        """Take all samples into memory, from where `read` has them from now on; a copy of this object reads anew.

        Args:
            values: what this method returned for the same samples; None: they are read.

        Returns:
            name -> values of all samples, in the order of their numbers.
        """
        self._kept = self.read(np.sort(self.numbers)) if values is None else values
        return self._kept

    def items(self, values: Mapping[str, np.ndarray], rows: np.ndarray, starts: np.ndarray) -> dict[str, torch.Tensor]:
        """Make a batch of items out of what `read` returned.

        Args:
            values: of `read`.
            rows: which of the samples read, one an item.
            starts: which of the starts within the sample, one an item (zeros where there are no frames).
        """
        result: dict[str, np.ndarray] = {}
        for name, array in values.items():
            info = self.source.arrays[name]
            if self.frames is None or self.frames.time not in info.dims:
                result[name] = array if _is_identity(rows, len(array)) else array[rows]
                continue
            axis = info.dims.index(self.frames.time)
            first, count, after = self.starts[starts], self.frames.inputs, self.frames.outputs
            result[name] = _cut(array, rows, first, count, axis)
            if after:
                result[name + NEXT] = _cut(array, rows, first + count, after, axis)
        return {name: torch.from_numpy(array) for name, array in result.items()}

    def denormalise(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return values of an array in its own unit: the inverse of the normalisation (of none, the values)."""
        mean, std = self.statistics.get(name.removesuffix(NEXT), (0.0, 1.0))
        return values * std + mean

    def close(self) -> None:
        """Close the file of this process; it is opened again when needed."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_lock": None, "_kept": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _batch(self, items: Sequence[int]) -> dict[str, torch.Tensor]:
        places = [divmod(self._number(item), len(self.starts)) for item in items]
        samples = self.numbers[[row for row, _ in places]]
        distinct, rows = np.unique(samples, return_inverse=True)
        return self.items(self.read(distinct), rows, np.array([start for _, start in places], np.int64))

    def _number(self, item: int) -> int:
        """Return the number of an item, counted from the beginning."""
        try:
            number = operator.index(item)
        except TypeError:
            raise InputError(
                f"an item of a Dataset is a number or a slice, got {item!r:.40}; arrays are chosen with arrays=[...]"
            ) from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.source.path}: there is no item {number}; this Dataset has {len(self)}")
        return number % len(self)

    def _stored(self, name: str, samples: np.ndarray) -> np.ndarray:
        """Read an array as it is in the file."""
        source, run = self.source, _as_slice(samples)
        if source.concurrent:
            return source.read(name, run, self.window)
        with self._lock:
            return source.read(name, run, self.window)

    def _array(self, name: str, samples: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        array = self._stored(name, samples)
        if array.dtype.kind != "f":
            return array
        missing = holes(array)
        inside = None
        if missing is not None and mask is not None and is_masked(self.source, name):
            inside = spread(self.source, name, mask)
        if not self.allow_nan and (bad := first_hole(missing, inside)) is not None:
            where = "" if inside is None else " inside the geometry"
            raise FileFormatError(
                f"{self.source.path}: array {name!r}, sample {samples[bad]}: holds NaN or infinite values{where}; "
                "allow_nan=True passes them on"
            )
        if name in self.statistics:
            # Before rounding: a small spread around a large mean would be lost.
            mean, std = self.statistics[name]
            array -= array.dtype.type(mean)
            array *= array.dtype.type(1 / std)
        if missing is not None and inside is not None and self.fill is not None:
            array[missing & ~inside] = self.fill
        return array if self.dtype is None else array.astype(_NUMPY[self.dtype], copy=False)

    def _starts(self, source: Source) -> np.ndarray:
        if self.frames is None:
            return np.zeros(1, np.int64)
        time = self.frames.time
        sizes = {info.shape[info.dims.index(time)] for info in source.arrays.values() if time in info.dims}
        if len(sizes) != 1:
            raise InputError(f"{source.path}: frames need one time dimension {time!r}; {len(sizes)} were found")
        size = len(range(*self.window.get(time, slice(None)).indices(sizes.pop())))
        span = self.frames.inputs + self.frames.outputs
        if span > size:
            raise InputError(f"items of {span} frames do not fit into the {size} of a sample")
        return np.arange(0, size - span + 1, self.frames.step)


_NUMPY = {torch.float32: np.float32, torch.float64: np.float64, torch.float16: np.float16}


def _checked_window(window: Window | None) -> dict[str, slice]:
    if window is None:
        return {}
    if isinstance(window, Mapping) and all(isinstance(part, slice) for part in window.values()):
        return dict(window)
    raise InputError(
        f"window must be dimension -> slice, such as {{'x': slice(None, None, 2)}}, got {window!r:.40}; "
        "windows of time are frames=Frames(inputs, outputs)"
    )


def _part_numbers(source: Source, part: str | Sequence[int] | None) -> np.ndarray:
    if part is None:
        require_memory(8 * source.length, f"{source.path}: the list of its {source.length} samples")
        return np.arange(source.length)
    if isinstance(part, str):
        if part not in source.split:
            raise InputError(f"{source.path}: {one_of(part, source.split, 'a part of this file')}")
        return np.asarray(source.split[part], np.int64)
    numbers = np.asarray(part, np.int64)
    inside = (numbers >= 0) & (numbers < source.length)
    if len(np.unique(numbers)) < len(numbers) or not inside.all():
        raise InputError(f"{source.path}: the part must list distinct samples of 0 ... {source.length - 1}")
    return numbers


def _statistics(
    source: Source, arrays: Sequence[str], normalise: bool | Iterable[str]
) -> dict[str, tuple[float, float]]:
    """Return (mean, standard deviation) of each array to be normalised; constant arrays are only shifted."""
    floats = [name for name in arrays if source.arrays[name].dtype.kind == "f" and name != MASK]
    chosen = (floats if normalise else []) if isinstance(normalise, bool) else list(normalise)
    result = {}
    for name in chosen:
        if name not in floats:
            raise InputError(f"normalise: {one_of(name, floats, 'an array of floats that is read')}")
        stored = source.statistics.get(name, {})
        if not np.isfinite(stored.get("mean", np.nan)):
            raise InputError(
                f"{source.path} holds no statistics of {name!r}; finish it, or convert it with pdeml convert"
            )
        result[name] = (stored["mean"], stored["std"] or 1.0)
    return result


def _as_slice(samples: np.ndarray) -> slice | np.ndarray:
    whole = len(samples) and samples[-1] - samples[0] == len(samples) - 1
    return slice(int(samples[0]), int(samples[-1]) + 1) if whole else samples


def _is_identity(rows: np.ndarray, size: int) -> bool:
    return len(rows) == size and bool((rows == np.arange(size)).all())


def _cut(array: np.ndarray, rows: np.ndarray, first: np.ndarray, count: int, axis: int) -> np.ndarray:
    if not len(rows):
        return array[:0].take(range(count), axis + 1)
    parts = [array[row].take(range(start, start + count), axis) for row, start in zip(rows, first, strict=True)]
    return np.stack(parts)
