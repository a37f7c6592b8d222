"""Arrays at a place: ``u(t=first)`` is u at the first time, ``u(t=1)`` at the time 1, ``u(t=last)`` at the last one.

So an input may be what an output is at first (``inputs: {u0: u(t=first)}``), and an output a single time of a stored
series (``outputs: {u: u(t=last)}``). A number must be one of the coordinate's values. Several places are parted by
commas: ``u(t=last, y=0.5)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pdeml.data.source import ArrayInfo, Source
from pdeml.errors import InputError, one_of, under

__all__ = ["PlacedSource", "take_places"]

_PLACED = re.compile(r"\s*(.*?)\s*\(([^()]*=[^()]*)\)\s*")
_ENDS = {"first": 0, "last": -1}
_SAME = 1e-6  # of the range: two values that are meant to be one
Places = Mapping[str, str]


def take_places(names: Mapping[str, str] | None, key: str) -> tuple[dict[str, str] | None, dict[str, dict[str, str]]]:
    """Part names of arrays from their places.

    Args:
        names: ours -> theirs, with or without a place.
        key: what they are, ``inputs`` or ``outputs``, for messages.

    Returns:
        ours -> theirs without places (None for none); and ours -> dimension -> value, of those that have one.

    Raises:
        InputError: a place is not written as ``dimension=value``.
    """
    if names is None:
        return None, {}
    plain, places = dict(names), {}
    for ours, text in names.items():
        if found := _PLACED.fullmatch(str(text)):
            with under(key, ours):
                plain[ours], places[ours] = found[1], _read(found[2])
    return plain, places


class PlacedSource(Source):
    """A source some of whose arrays are taken at a place: they lack the dimensions that the place fixes.

    Args:
        inner: closed with this one.
        places: ``inputs`` or ``outputs`` -> array -> dimension -> value, ``first`` or ``last``.

    Raises:
        InputError: an array lacks the dimension, or it has no such value.
    """

    def __init__(self, inner: Source, places: Mapping[str, Mapping[str, Places]]):
        self._inner = inner
        self.path, self.format, self.length = inner.path, inner.format, inner.length
        self.attrs, self.split, self.complete = inner.attrs, inner.split, inner.complete
        self.coordinates, self.units, self.counted = inner.coordinates, inner.units, inner.counted
        self.concurrent = inner.concurrent
        try:
            self._taken = {
                name: {dim: self._place(name, dim, value, (key, name)) for dim, value in taken.items()}
                for key, group in places.items()
                for name, taken in group.items()
            }
        except InputError:
            inner.close()
            raise
        self.statistics = {name: values for name, values in inner.statistics.items() if name not in self._taken}
        self.arrays = {name: self._without(info) for name, info in inner.arrays.items()}

    def chunk_samples(self, name: str) -> int:
        return self._inner.chunk_samples(name)

    def close(self) -> None:
        self._inner.close()

    def _read(self, info: ArrayInfo, samples: slice | np.ndarray, index: tuple[slice, ...]) -> np.ndarray:
        whole, taken = self._inner.arrays[info.name], self._taken.get(info.name, {})
        window = dict(zip(info.dims, index, strict=True))
        window |= {dim: slice(number, number + 1, 1) for dim, number in taken.items()}
        array = self._inner._read(whole, samples, tuple(window[dim] for dim in whole.dims))
        return array.squeeze(tuple(1 + whole.dims.index(dim) for dim in taken))

    def _place(self, name: str, dim: str, value: str, path: tuple[str, str]) -> int:
        info = self._inner.arrays[name]
        if dim not in info.dims:
            raise InputError(f"{self.path}: {one_of(dim, info.dims, f'a dimension of {name!r}')}", path)
        size, points = info.shape[info.dims.index(dim)], self.coordinates.get(dim)
        if value in _ENDS:
            return _ENDS[value] % size
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"{dim}={value}: a place is a number, first or last", path) from None
        if points is None or dim in self.counted:
            raise InputError(
                f"{self.path} holds no values of {dim!r}: write {dim}=first or {dim}=last, or say what they are, as "
                f"coordinates: {{{dim}: [0, 1]}}",
                path,
            )
        nearest = int(np.abs(points - number).argmin())
        if not abs(points[nearest] - number) <= _SAME * max(np.ptp(points), abs(number)):
            raise InputError(
                f"{self.path}: no point at {dim}={value}; it has {size} from {points[0]:.6g} to {points[-1]:.6g}, the "
                f"nearest is {points[nearest]:.9g}",
                path,
            )
        return nearest

    def _without(self, info: ArrayInfo) -> ArrayInfo:
        taken = self._taken.get(info.name, ())
        kept = [(dim, size) for dim, size in zip(info.dims, info.shape, strict=True) if dim not in taken]
        return replace(info, dims=tuple(dim for dim, _ in kept), shape=tuple(size for _, size in kept))


def _read(text: str) -> dict[str, str]:
    """Read ``t=last, y=0.5``."""
    found: dict[str, str] = {}
    for part in text.split(","):
        dim, _, value = (piece.strip() for piece in part.partition("="))
        if not dim or not value or dim in found:
            raise InputError(f"({text}): write a place as (t=first), (t=last), (t=0.5) or (t=last, y=0.5)")
        found[dim] = value
    return found
