"""Formats that hold arrays under names but do not say which axis is what: the user's names, sizes and custom decide.

Coordinates are matched with axes by the sizes of those whose values are in the file; the rest follow the custom of the
format. ``sample: first | last | none`` among the coordinates says where the axis of samples is (by default first; there
is none where coordinates of the file explain every axis). Axes of one point are dropped; a grid written as one axis is
unfolded where it is a square or cube of as many points as coordinates are named. Coordinates without values count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from pdeml.data.formats.found import Found, Names
from pdeml.data.formats.naming import NamedSource
from pdeml.data.formats.parts import Axis, Part, PartSource, Stored, counted, identifier, usual_role
from pdeml.data.source import Role, Source
from pdeml.errors import FileFormatError, InputError, one_of

__all__ = ["Custom", "open_unlabelled"]

_SPACE = ("x", "y", "z")
_PLACES = ("first", "last", "none")


@dataclass(frozen=True)
class Custom:
    """What files of a format usually look like.

    Args:
        format: its name.
        time: where the axis of time is, ``"first"`` (after the sample) or ``"last"``; None: the order of the user's
            coordinates is that of the axes.
        vectors: coordinate -> names under which its values may stand in the file.
        roles: array -> role, of names that the format uses.
        names: what its arrays are called where the user names none.
    """

    format: str
    time: str | None = "first"
    vectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    names: Names = field(default_factory=Names)


def open_unlabelled(found: Found, custom: Custom, arrays: Mapping[str, Stored], names: Names) -> Source:
    """Make a source of arrays without labels.

    Args:
        found: the file.
        custom: of its format.
        arrays: the file's name -> array.
        names: the user's.

    Raises:
        InputError: names that are not in the file, or axes that are not told.
        FileFormatError: the file holds no arrays of samples.
    """
    known = {identifier(name): array for name, array in arrays.items()}
    if len(known) < len(arrays):
        raise FileFormatError(f"{found.path}: two of its arrays have names that differ in punctuation only")
    if not names.arrays and set(custom.names.arrays.values()) <= set(known):
        names = Names(custom.names.inputs, custom.names.outputs, names.coordinates)
    names = _as_in_the_file(names, custom, known)
    place, given = _place(names.coordinates)
    vectors = _vectors(found, custom, known, names, given)
    fields = _fields(found, known, names, vectors)
    layout = _Layout(found, custom, list(given), {name: len(values) for name, values in vectors.items()})
    place = place or layout.place(fields)
    if len(given) > 1 and not vectors:
        fields = _unfolded(fields, len(given), place)
    length = 1 if place == "none" else _length(fields, place)
    axes = layout.axes(fields, place, length, strict=bool(names.arrays))
    layout.check_used(given)
    roles = {name: custom.roles.get(name) or usual_role(part, list(axes.values())) for name, part in axes.items()}
    parts = {name: Part(fields[name], axes[name], roles[name]) for name in fields if name in axes}
    coordinates = {name: vectors.get(name, counted(layout.sizes[name])) for name in layout.used}
    attrs = {name: float(np.ravel(value[...])[0]) for name, value in known.items() if _is_number(name, value, names)}
    numbered = [name for name in coordinates if name not in vectors]
    inner = PartSource(found, custom.format, parts, coordinates, length, attrs=attrs, counted=numbered)
    ranges = {name: value for name, value in given.items() if not isinstance(value, str)}
    return NamedSource(inner, Names(names.inputs, names.outputs, ranges))


class _Layout:
    """Finds which axis is which coordinate; larger arrays first, as they fix sizes for the others."""

    def __init__(self, found: Found, custom: Custom, given: Sequence[str], sizes: Mapping[str, int]):
        self.sizes = dict(sizes)
        self.used: list[str] = []
        self._found, self._custom, self._given = found, custom, [*given, *(name for name in sizes if name not in given)]

    def place(self, fields: Mapping[str, Stored]) -> str:
        """Return where the samples are if the user does not say."""
        explained = bool(self.sizes) and all(
            sorted(size for size in array.shape if size > 1) == sorted(self.sizes.values()) for array in fields.values()
        )
        return "none" if explained else "first"

    def axes(self, fields: Mapping[str, Stored], place: str, length: int, strict: bool) -> dict[str, tuple[Axis, ...]]:
        """Return what each axis of each array is; arrays of other numbers of samples are left out unless ``strict``."""
        kept = {name: array for name, array in fields.items() if _samples(array, place) in (None, length)}
        if strict and len(kept) < len(fields):
            odd = next(name for name in fields if name not in kept)
            raise InputError(
                f"{self._found.path}: array {odd!r} has {_samples(fields[odd], place)} samples, others have {length}"
            )
        names = self._names([_grid(array, place) for array in kept.values()])
        largest_first = sorted(kept.items(), key=lambda item: -len(item[1].shape))
        chosen = {name: self._of(name, array, place, names) for name, array in largest_first}
        if not chosen:
            raise FileFormatError(f"{self._found.path}: {self._found.words}, but no array of samples")
        self.used = [axis for axis in names if any(axis in axes for axes in chosen.values())]
        return chosen

    def check_used(self, given: Mapping[str, Any]) -> None:
        """Refuse coordinates that the user names and no array has."""
        for name in given:
            if name not in self.used:
                raise InputError(f"no array of {self._found.path.name} depends on {name!r}", ("coordinates", name))

    def _names(self, grids: Sequence[tuple[int, ...]]) -> list[str]:
        """Return the coordinates in the usual order of axes."""
        names = list(self._given)
        if not names or names == ["t"]:
            ranks = {len([size for size in grid if size > 1]) for grid in grids}
            most = max(ranks, default=0)
            timed = "t" in names or (most > 1 and most - 1 in ranks) or most > 2
            names = [*(["t"] if timed else []), *_SPACE[: most - timed]]
        if self._custom.time is not None and "t" in names:
            names.remove("t")
            names.insert(0 if self._custom.time == "first" else len(names), "t")
        return names

    def _of(self, name: str, array: Stored, place: str, names: Sequence[str]) -> tuple[Axis, ...]:
        grid = _grid(array, place)
        wide = len(grid) <= len(names) and self._fit(grid, names) is not None
        sizes = grid if wide else tuple(size for size in grid if size > 1)
        fit = self._fit(sizes, names)
        if fit is None:
            known = ", ".join(f"{axis}: {self.sizes[axis]}" if axis in self.sizes else axis for axis in names) or "none"
            raise InputError(
                f"{self._found.path}: array {name!r} has the shape {tuple(array.shape)}, which the coordinates "
                f"({known}) do not explain; name its axes, such as coordinates: {{x: [0, 1], y: [0, 1]}}, and "
                "where the samples are not first, sample: last or none"
            )
        self.sizes.update(zip(fit, sizes, strict=True))
        rest = iter(fit)
        axes: list[Axis] = [next(rest) if wide or size > 1 else 0 for size in grid]
        samples = ("sample",)
        return (*(samples if place == "first" else ()), *axes, *(samples if place == "last" else ()))

    def _fit(self, sizes: Sequence[int], names: Sequence[str]) -> tuple[str, ...] | None:
        """Return the coordinates of the axes: the usual order first, arrays without time before those with."""
        if len(sizes) > len(names):
            return None
        orders = sorted(permutations(names, len(sizes)), key=lambda order: "t" in order)
        fits = (
            order
            for order in orders
            if all(self.sizes.get(axis, size) == size for axis, size in zip(order, sizes, strict=True))
        )
        return next(fits, None)


def _as_in_the_file(names: Names, custom: Custom, arrays: Mapping[str, Stored]) -> Names:
    """Take the names under which arrays are shown where the user names none for those of the file, too."""
    shown = {ours: theirs for ours, theirs in custom.names.arrays.items() if ours not in arrays and theirs in arrays}
    inputs, outputs = (
        {ours: shown.get(theirs, theirs) for ours, theirs in group.items()} for group in (names.inputs, names.outputs)
    )
    return Names(inputs, outputs, names.coordinates)


def _place(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Part the user's word about the axis of samples from the coordinates."""
    rest = dict(given)
    place = rest.pop("sample", "")
    if place and place not in _PLACES:
        raise InputError(one_of(str(place), _PLACES, "a place of the sample axis"), ("coordinates", "sample"))
    return place, rest


def _vectors(
    found: Found, custom: Custom, arrays: Mapping[str, Stored], names: Names, given: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return the coordinates whose values are in the file."""
    taken = {identifier(theirs) for theirs in names.arrays.values()}
    result = {}
    for ours, value in given.items():
        if isinstance(value, str):
            theirs = identifier(value)
            if theirs not in arrays or not _is_vector(arrays[theirs]):
                allowed = [name for name, array in arrays.items() if _is_vector(array)]
                raise InputError(one_of(value, allowed, f"a 1-D array of {found.path.name}"), ("coordinates", ours))
            result[ours] = np.ravel(arrays[theirs][...])
            taken.add(theirs)
    for ours, aliases in custom.vectors.items():
        for theirs in aliases:
            if ours not in given and theirs not in taken and theirs in arrays and _is_vector(arrays[theirs]):
                result.setdefault(ours, np.ravel(arrays[theirs][...]))
    return result


def _fields(
    found: Found, arrays: Mapping[str, Stored], names: Names, vectors: Mapping[str, np.ndarray]
) -> dict[str, Stored]:
    """Return the arrays of samples: those that the user names, or all that are neither coordinates nor one number."""
    for key, group in (("inputs", names.inputs), ("outputs", names.outputs)):
        for ours, theirs in group.items():
            if identifier(theirs) not in arrays:
                raise InputError(one_of(theirs, arrays, f"an array of {found.path.name}"), (key, ours))
    if names.arrays:
        wanted = {identifier(theirs) for theirs in names.arrays.values()}
        return {name: array for name, array in arrays.items() if name in wanted}
    sizes = {len(values) for values in vectors.values()}
    plain = {
        name: array
        for name, array in arrays.items()
        if math.prod(array.shape) > 1 and not (_is_vector(array) and math.prod(array.shape) in sizes)
    }
    if not plain:
        raise FileFormatError(f"{found.path}: holds no arrays of samples ({', '.join(arrays) or 'nothing'})")
    return plain


def _unfolded(fields: Mapping[str, Stored], count: int, place: str) -> dict[str, Stored]:
    """Turn grids written as one axis into as many axes as there are coordinates."""
    grids = {_grid(array, place) for array in fields.values()}
    size = next(iter(grids))[0] if len(grids) == 1 and len(next(iter(grids))) == 1 else 0
    side = round(size ** (1 / count)) if size else 0
    if side < 2 or side**count != size or not all(isinstance(array, np.ndarray) for array in fields.values()):
        return dict(fields)
    around = {"first": slice(0, 1), "last": slice(0, 0), "none": slice(0, 0)}[place]
    behind = slice(-1, None) if place == "last" else slice(0, 0)
    return {
        name: array.reshape(*array.shape[around], *(side,) * count, *array.shape[behind])
        for name, array in fields.items()
    }


def _grid(array: Stored, place: str) -> tuple[int, ...]:
    """Return the sizes of the axes besides that of samples."""
    shape = tuple(array.shape)
    return shape[1:] if place == "first" else shape[:-1] if place == "last" else shape


def _samples(array: Stored, place: str) -> int | None:
    return None if place == "none" else array.shape[0 if place == "first" else -1] if array.shape else 0


def _length(fields: Mapping[str, Stored], place: str) -> int:
    largest = max(fields.values(), key=lambda array: math.prod(array.shape))
    return _samples(largest, place) or 0


def _is_vector(array: Stored) -> bool:
    """Whether an array has one axis of more than one value, and at most axes of one beside it."""
    return sum(size > 1 for size in array.shape) == 1 and len(array.shape) <= 2


def _is_number(name: str, array: Stored, names: Names) -> bool:
    return math.prod(array.shape) == 1 and name not in {identifier(theirs) for theirs in names.arrays.values()}
