"""The user's names for what a source holds: arrays renamed and given roles, coordinates renamed or given a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pdeml.data.formats.found import Names
from pdeml.data.formats.parts import identifier
from pdeml.data.source import ArrayInfo, Role, Source
from pdeml.errors import InputError, one_of

__all__ = ["NamedSource", "coordinate_range"]


class NamedSource(Source):
    """A source under other names.

    Where ``names`` lists inputs or outputs, these are the arrays it has, besides the parameters of the inner source;
    otherwise all keep their names and roles. A coordinate ``ours: (low, high)`` gets equidistant values with both ends,
    ``ours: theirs`` is renamed.

    Args:
        inner: closed with this one.
        names: the user's.

    Raises:
        InputError: a name that the inner source does not have, or one used twice.
    """

    def __init__(self, inner: Source, names: Names):
        self._inner = inner
        self.path, self.format, self.length = inner.path, inner.format, inner.length
        self.attrs, self.split, self.complete = inner.attrs, inner.split, inner.complete
        renamed = self._coordinate_names(names.coordinates)
        self.coordinates = {
            renamed.get(name, name): self._values(names.coordinates, renamed.get(name, name), values)
            for name, values in inner.coordinates.items()
        }
        self.units = {renamed.get(name, name): unit for name, unit in inner.units.items()}
        ranges = [ours for ours, value in names.coordinates.items() if not isinstance(value, str)]
        self.counted = frozenset(renamed.get(name, name) for name in inner.counted).difference(ranges)
        self._theirs = self._array_names(names)
        self.concurrent = inner.concurrent
        self.statistics = {
            ours: inner.statistics[theirs] for ours, theirs in self._theirs.items() if theirs in inner.statistics
        }
        self.arrays = {ours: self._named(ours, names, renamed) for ours in self._theirs}

    def chunk_samples(self, name: str) -> int:
        return self._inner.chunk_samples(self._theirs[name])

    def close(self) -> None:
        self._inner.close()

    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        return self._inner._read(self._inner.arrays[self._theirs[info.name]], samples, index)

    def _coordinate_names(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Return theirs -> ours."""
        renamed = {}
        for ours, value in given.items():
            theirs = value if isinstance(value, str) else ours
            if theirs not in self._inner.coordinates:
                what = f"a coordinate of {self.path.name} ({self.format})"
                raise InputError(one_of(theirs, self._inner.coordinates, what), ("coordinates", ours))
            renamed[theirs] = ours
        kept = [name for name in self._inner.coordinates if name not in renamed]
        twice = [ours for ours in renamed.values() if ours in kept]
        if len(set(renamed.values())) < len(renamed) or twice:
            raise InputError(f"two coordinates would be named {', '.join(twice) or 'alike'}", ("coordinates",))
        return renamed

    def _values(self, given: Mapping[str, Any], ours: str, values: np.ndarray) -> np.ndarray:
        value = given.get(ours)
        if value is None or isinstance(value, str):
            return values
        low, high = coordinate_range(ours, value)
        return np.linspace(low, high, len(values))

    def _array_names(self, names: Names) -> dict[str, str]:
        """Return ours -> theirs."""
        known = self._inner.arrays
        if not names.arrays:
            return {name: name for name in known}
        wanted = {ours: identifier(theirs) for ours, theirs in names.arrays.items()}
        if shared := sorted(set(names.inputs) & set(names.outputs)):
            raise InputError(f"{shared[0]!r} is named both as an input and as an output", ("outputs", shared[0]))
        for key, group in (("inputs", names.inputs), ("outputs", names.outputs)):
            for ours, theirs in group.items():
                if wanted[ours] not in known:
                    raise InputError(
                        one_of(theirs, known, f"an array of {self.path.name} ({self.format})"), (key, ours)
                    )
        used = set(wanted.values())
        free = {name: name for name, info in known.items() if info.role == "parameter" and name not in used}
        return {**wanted, **{ours: theirs for ours, theirs in free.items() if ours not in wanted}}

    def _named(self, ours: str, names: Names, renamed: Mapping[str, str]) -> ArrayInfo:
        info = self._inner.arrays[self._theirs[ours]]
        role: Role = "input" if ours in names.inputs else "output" if ours in names.outputs else info.role
        dims = tuple(renamed.get(dim, dim) for dim in info.dims)
        return ArrayInfo(ours, dims, info.shape, info.dtype, role, info.unit, info.long_name)


def coordinate_range(name: str, value: Any) -> tuple[float, float]:
    """Read the range of a coordinate.

    Raises:
        InputError: it is no pair of different finite numbers.
    """
    try:
        low, high = (float(part) for part in value)
    except (TypeError, ValueError):
        low = high = np.nan
    if not np.isfinite([low, high]).all() or low == high:
        raise InputError(f"give (low, high) or the file's name, got {value!r:.60}", ("coordinates", name))
    return low, high
