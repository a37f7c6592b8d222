"""Several files with the same arrays as one source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdeml.data.source import ArrayInfo, Source
from pdeml.data.statistics import Moments
from pdeml.errors import FileFormatError, InputError

__all__ = ["JoinedSource"]


class JoinedSource(Source):
    """The samples of several sources, one after the other; closes them when it is closed.

    Statistics are those of the whole, for the arrays of which all parts have them.

    Args:
        parts: at least one; with equal arrays (names, dimensions, sizes, roles, units) and coordinates.

    Raises:
        FileFormatError: if a part differs from the first; all are closed then.
    """

    def __init__(self, parts: Sequence[Source]):
        if not parts:
            raise InputError("a data set of several files needs at least one file")
        self._parts = tuple(parts)
        first = parts[0]
        try:
            for part in parts[1:]:
                _check_same(first, part)
        except FileFormatError:
            self.close()
            raise
        self.path, self.format = first.path, first.format
        self.arrays, self.coordinates, self.attrs = first.arrays, first.coordinates, first.attrs
        self.units, self.counted = first.units, first.counted
        self._ends = np.cumsum([part.length for part in parts])
        self.length = int(self._ends[-1])
        self.complete = all(part.complete for part in parts)
        self.concurrent = all(part.concurrent for part in parts)
        self.statistics = {name: _merged(parts, name) for name in self.arrays if _all_have(parts, name)}
        names = dict.fromkeys(name for part in parts for name in part.split)
        self.split = {
            name: np.concatenate(
                [
                    np.asarray(part.split.get(name, ()), np.int64) + end - part.length
                    for part, end in zip(parts, self._ends, strict=True)
                ]
            )
            for name in names
        }

    def chunk_samples(self, name: str) -> int:
        return max(part.chunk_samples(name) for part in self._parts)

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        numbers = np.arange(samples.start, samples.stop, samples.step) if isinstance(samples, slice) else samples
        window = dict(zip(info.dims, index, strict=True))
        pieces = []
        for part, end in zip(self._parts, self._ends, strict=True):
            start = end - part.length
            mine = numbers[(numbers >= start) & (numbers < end)]
            pieces.append(part.read(info.name, mine - start, window))
        return np.concatenate(pieces)


def _check_same(first: Source, part: Source) -> None:
    for name in {**first.arrays, **part.arrays}:
        one, other = (source.arrays.get(name) for source in (first, part))
        if one is None or other is None or _layout(one) != _layout(other):
            raise FileFormatError(f"{part.path} does not continue {first.path}: array {name!r} is missing or different")
    for name in {**first.coordinates, **part.coordinates}:
        one, other = (source.coordinates.get(name) for source in (first, part))
        if one is None or other is None or not np.array_equal(one, other):
            raise FileFormatError(
                f"{part.path} does not continue {first.path}: coordinate {name!r} is missing or different"
            )


def _all_have(parts: Sequence[Source], name: str) -> bool:
    return all(np.isfinite(part.statistics.get(name, {}).get("count", np.nan)) for part in parts)


def _merged(parts: Sequence[Source], name: str) -> dict[str, float]:
    moments = Moments()
    for part in parts:
        moments.merge(Moments.of(part.statistics[name]))
    return moments.statistics()


def _layout(info: ArrayInfo) -> tuple:
    return info.dims, info.shape, info.dtype, info.role, info.unit
