"""PDEBench (Takamoto et al., 2022): five layouts of HDF5.

======================= ===========================================================================================
scalar in 1-D           ``tensor`` (N, T, X), ``x-coordinate``, ``t-coordinate`` (T or T + 1); attributes beta, Nu, rho
Darcy flow in 2-D       ``tensor`` (N, 1, X, Y) solution, ``nu`` (N, X, Y) coefficient, ``x-``, ``y-coordinate``; beta
compressible flow       ``density``, ``pressure``, ``Vx``, ``Vy``, ``Vz`` (N, T, X, Y, Z), coordinates; eta, zeta, M
a group a sample        ``0000/data`` (T, X, Y, C), ``0000/grid/x``, ``y``, ``t``, attribute ``config`` (YAML text): its
                        numbers that differ between the first and the last sample become parameters
incompressible flow     ``particles`` (N, T, X, Y, 1), ``velocity`` (N, T, X, Y, 2), ``force``, ``t`` (N, T); ``config``
======================= ===========================================================================================

Both ``.h5`` and ``.hdf5`` occur; the content decides. Files of its generator that were not unpacked have a leading
axis of one: (1, N, T, X).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from pdeml.data.formats.found import Format, Found, Names, numbers
from pdeml.data.formats.parts import Axis, Part, PartSource, Pieces, counted, usual_role
from pdeml.errors import FileFormatError
from pdeml.files import read_array, read_attributes

__all__ = ["PDEBENCH"]

_NAME = "PDEBench"
_SPACE = ("x", "y", "z")
_FLOW = ("density", "pressure", "Vx", "Vy", "Vz")
_INCOMPRESSIBLE = ("particles", "velocity", "force")
_SEED = re.compile(r"\d{4,}")
_NUMBER = re.compile(
    r"^ *([A-Za-z]\w*): *([+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?) *$", re.MULTILINE | re.ASCII
)
_DOUBLE = np.dtype(np.float64)


def _recognise(found: Found) -> bool:
    held = set(found.names)
    gridded = "x-coordinate" in held and ("tensor" in held or {"density", "pressure", "Vx"} <= held)
    return gridded or {"particles", "velocity", "t"} <= held or bool(_seeds(found))


def _open(found: Found, _: Names) -> PartSource:
    held = set(found.names)
    if "tensor" in held:
        return _tensor(found)
    if "density" in held:
        return _flow(found)
    return _incompressible(found) if "particles" in held else _groups(found)


PDEBENCH = Format(_NAME, ("HDF5",), _recognise, _open)


def _tensor(found: Found) -> PartSource:
    stored = numbers(found.file, "tensor")
    lead = (0,) if stored.ndim == 4 and stored.shape[0] == 1 and "nu" not in found.names else ()
    if stored.ndim - len(lead) == 3:
        return _gridded(found, {"tensor": (stored, (*lead, "sample", "t", "x"))})
    if stored.ndim != 4 or "nu" not in found.names:
        raise FileFormatError(
            f"{found.path}: 'tensor' has the shape {stored.shape}; {_NAME} knows (N, T, X), (N, 1, X, Y) with 'nu'"
        )
    # With one stored time it is the steady solution.
    time: Axis = 0 if stored.shape[1] == 1 else "t"
    axes = {
        "nu": (numbers(found.file, "nu"), ("sample", "x", "y")),
        "tensor": (stored, ("sample", time, "x", "y")),
    }
    return _gridded(found, axes, {"nu": "input"})


def _flow(found: Found) -> PartSource:
    stored = {name: numbers(found.file, name) for name in _FLOW if name in found.names}
    space = _SPACE[: stored["density"].ndim - 2]
    return _gridded(found, {name: (array, ("sample", "t", *space)) for name, array in stored.items()})


def _gridded(
    found: Found, arrays: Mapping[str, tuple[h5py.Dataset, tuple[Axis, ...]]], roles: Mapping[str, Any] | None = None
) -> PartSource:
    """Arrays beside ``x-coordinate`` and the like."""
    parts = {
        name: Part(stored, axes, (roles or {}).get(name, usual_role(axes, ())))
        for name, (stored, axes) in arrays.items()
    }
    sizes = _sizes(found, parts)
    coordinates, numbered = {}, []
    for name in (*_SPACE, "t"):
        if name in sizes:
            key = f"{name}-coordinate"
            if key not in found.names:
                numbered.append(name)
            values = read_array(numbers(found.file, key)) if key in found.names else counted(sizes[name])
            # Some files hold the ends of the time steps, one more than there are states.
            extra = name == "t" and values.shape == (sizes[name] + 1,)
            coordinates[name] = values[:-1] if extra else values
    attrs = read_attributes(found.file, strict=False)
    return PartSource(found, _NAME, parts, coordinates, sizes["sample"], attrs=attrs, counted=numbered)


def _incompressible(found: Found) -> PartSource:
    stored = {name: numbers(found.file, name) for name in _INCOMPRESSIBLE if name in found.names}
    parts = {}
    for name, array in stored.items():
        time = () if name == "force" else ("t",)
        grid = ("sample", *time, *_SPACE[: array.ndim - 2 - len(time)])
        shown = ("",) if array.shape[-1] == 1 else tuple(f"_{axis}" for axis in _SPACE[: array.shape[-1]])
        if len(shown) != array.shape[-1]:
            raise FileFormatError(f"{found.path}: {name!r} has {array.shape[-1]} components; vectors have at most 3")
        for number, ending in enumerate(shown):
            parts[f"{name}{ending}"] = Part(array, (*grid, number), "output" if time else "input")
    sizes = _sizes(found, parts)
    coordinates = {name: counted(sizes[name]) for name in _SPACE if name in sizes}
    numbered = [*coordinates]
    times = read_array(numbers(found.file, "t"))
    if times.ndim == 2 and len(times) and (times == times[0]).all():
        coordinates["t"] = times[0]
    else:
        coordinates["t"] = counted(sizes["t"])
        numbered.append("t")
    attrs = read_attributes(found.file, strict=False)
    return PartSource(found, _NAME, parts, coordinates, sizes["sample"], attrs=attrs, counted=numbered)


def _groups(found: Found) -> PartSource:
    seeds = _seeds(found)
    first = found.file[seeds[0]]
    data = numbers(first, "data")
    if "grid" not in first:
        raise FileFormatError(f"{found.path}: sample {seeds[0]!r} has no group 'grid'")
    space = [name for name in _SPACE if name in first["grid"]]
    grid = {name: read_array(numbers(first["grid"], name)) for name in (*space, "t")}
    if data.ndim != len(space) + 2:
        raise FileFormatError(
            f"{found.path}: '{seeds[0]}/data' has the shape {data.shape}, for (t, {', '.join(space)}, component)"
        )

    def piece(number: int) -> h5py.Dataset:
        dataset = numbers(found.file, f"{seeds[number]}/data")
        if dataset.shape != data.shape:
            raise FileFormatError(
                f"{found.path}: sample {seeds[number]!r} has the shape {dataset.shape}, the first one {data.shape}"
            )
        return dataset

    stored = Pieces(len(seeds), piece, data.shape, data.dtype)
    count = data.shape[-1]
    parts = {
        "data" if count == 1 else f"data_{number}": Part(stored, ("sample", "t", *space, number), "output")
        for number in range(count)
    }
    varying = _varying(found, seeds)
    for name, number in varying:
        if name not in parts and name not in grid:
            parts[name] = Part(Pieces(len(seeds), number, (), _DOUBLE), ("sample",), "parameter")
    attrs = {**read_attributes(found.file, strict=False), **read_attributes(first, strict=False)}
    return PartSource(found, _NAME, parts, grid, len(seeds), attrs=attrs)


def _varying(found: Found, seeds: Sequence[str]) -> Iterator[tuple[str, Callable[[int], np.ndarray]]]:
    """Yield the numbers of ``config`` that vary, each with a function of the sample's number."""

    def config(number: int) -> dict[str, float]:
        text = read_attributes(found.file[seeds[number]], strict=False).get("config", "")
        return {name: float(value) for name, value in _NUMBER.findall(str(text))}

    def reader(name: str) -> Callable[[int], np.ndarray]:
        def read(number: int) -> np.ndarray:
            values = config(number)
            if name not in values:
                raise FileFormatError(f"{found.path}: the config of sample {seeds[number]!r} has no number {name!r}")
            return np.asarray(values[name])

        return read

    first, last = config(0), config(len(seeds) - 1)
    yield from ((name, reader(name)) for name in first if last.get(name, first[name]) != first[name])


def _seeds(found: Found) -> list[str]:
    """Return the names of the groups of samples; none if the file holds anything else."""
    names = sorted(found.names)
    if not names or not all(_SEED.fullmatch(name) for name in names):
        return []
    return names if isinstance(found.file.get(f"{names[0]}/data"), h5py.Dataset) else []


def _sizes(found: Found, parts: Mapping[str, Part]) -> dict[str, int]:
    """Return dimension -> size, from the array with the most; `PartSource` compares the others."""
    for name, part in parts.items():
        if len(part.axes) != len(part.stored.shape):
            raise FileFormatError(
                f"{found.path}: {name!r} has the shape {part.stored.shape}, which {_NAME} does not have"
            )
    most = max(parts.values(), key=lambda part: sum(isinstance(axis, str) for axis in part.axes))
    return {axis: size for axis, size in zip(most.axes, most.stored.shape, strict=True) if isinstance(axis, str)}
