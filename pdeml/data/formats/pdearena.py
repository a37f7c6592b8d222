"""PDEArena (Gupta & Brandstetter, 2022): HDF5 with one group a part, ``train``, ``valid`` or ``test``.

Navier-Stokes in 2-D: ``u`` (N, T, X, Y) smoke, ``vx``, ``vy`` velocity, ``buo_y`` (N) buoyancy, ``x`` (N, X), ``y``,
``t``, ``dx``, ``dy``, ``dt`` (N). Kuramoto-Sivashinsky: ``pde_*`` (N, T, X), ``dt``, ``dx`` (N) and, with varying
viscosity, ``v``. Where coordinates differ between samples (as in Kuramoto-Sivashinsky) the coordinate counts points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import h5py
import numpy as np

from pdeml.data.formats.found import Format, Found, Names, numbers
from pdeml.data.formats.parts import Part, PartSource, Stored, counted, identifier, usual_role
from pdeml.errors import FileFormatError
from pdeml.files import read_array, read_attributes

__all__ = ["PDEARENA"]

_NAME = "PDEArena"
_MODES = {"train": "train", "valid": "validation", "val": "validation", "test": "test"}
_SPACE = ("x", "y", "z")


def _recognise(found: Found) -> bool:
    groups = [name for name in found.names if name in _MODES and isinstance(found.file.get(name), h5py.Group)]
    return len(groups) == len(found.names) > 0 and all(_main(found.file[name]) for name in groups)


def _open(found: Found, _: Names) -> PartSource:
    modes = [name for name in _MODES if name in found.names]
    groups = [found.file[name] for name in modes]
    main = _main(groups[0])
    shape = numbers(groups[0], main).shape
    if len(shape) < 3:
        raise FileFormatError(f"{found.path}: {main!r} has the shape {shape}; {_NAME} has (N, T, X) or (N, T, X, Y)")
    grid = ("sample", "t", *_SPACE[: len(shape) - 2])
    counts = [len(numbers(group, main)) for group in groups]
    parts = {}
    for name in groups[0]:
        stored = _Joined(found, [numbers(group, name) for group in groups])
        axes = grid[: len(stored.shape)] if len(stored.shape) in (1, len(shape)) else None
        if axes is not None and name not in (*_SPACE, "t"):
            parts[identifier(name)] = Part(stored, axes, usual_role(axes, ()))
    coordinates = {
        axis: _coordinate(groups, axis, size)
        for axis, size in zip((*grid[2:], "t"), (*shape[2:], shape[1]), strict=True)
    }
    ends = np.cumsum(counts)
    split = {_MODES[mode]: np.arange(end - count, end) for mode, count, end in zip(modes, counts, ends, strict=True)}
    attrs = {key: value for group in groups for key, value in read_attributes(group, strict=False).items()}
    attrs = {**read_attributes(found.file, strict=False), **attrs}
    return PartSource(found, _NAME, parts, coordinates, int(ends[-1]), attrs=attrs, split=split)


PDEARENA = Format(_NAME, ("HDF5",), _recognise, _open)


class _Joined:
    """The groups' arrays of one name, one after the other."""

    def __init__(self, found: Found, pieces: Sequence[Stored]):
        shapes = {piece.shape[1:] for piece in pieces}
        if len(shapes) != 1 or not all(piece.shape for piece in pieces):
            raise FileFormatError(f"{found.path}: the groups hold samples of different shapes")
        self.shape = (sum(piece.shape[0] for piece in pieces), *shapes.pop())
        self.dtype = np.result_type(*(piece.dtype for piece in pieces))
        self._pieces = pieces

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        start, stop, step = key[0].indices(self.shape[0])
        read, before = [], 0
        for piece in self._pieces:
            low, high = max(start - before, 0), stop - before
            low += -(before + low - start) % step
            local = slice(low, max(low, min(high, piece.shape[0])), step)
            if local.start < local.stop or not read:
                read.append(np.asarray(piece[(local, *key[1:])], self.dtype))
            before += piece.shape[0]
        return np.concatenate(read)


def _main(group: h5py.Group) -> str:
    """Return the name of the array that holds the states; empty if there is none."""
    if {"u", "vx", "vy"} <= set(group):
        return "u"
    return next((name for name in group if name.startswith("pde_")), "")


def _coordinate(groups: Sequence[h5py.Group], axis: str, size: int) -> np.ndarray:
    """Return the values if all samples share them, from the array or from its step; otherwise count."""
    for name, factor in ((axis, None), (f"d{axis}", counted(size))):
        if all(isinstance(group.get(name), h5py.Dataset) for group in groups):
            rows = [read_array(numbers(group, name)) for group in groups]
            if all(row.shape == (len(row), size) if factor is None else row.ndim == 1 for row in rows):
                values = np.concatenate(rows)
                if len(values) and (values == values[0]).all() and math.isfinite(np.sum(values[0])):
                    return values[0] if factor is None else values[0] * factor
    return counted(size)
