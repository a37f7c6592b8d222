"""Writing samples as a file of The Well (Ohana et al., 2024); the module `the_well` describes and reads the layout.

Everything becomes float32, as the format asks. Arrays ``v_x``, ``v_y`` that together are a vector over the space
coordinates (of two or three dimensions) become one field ``v``, and ``s_xx``, ``s_xy``, ... a tensor ``s``; what varies
with sample or time alone becomes a scalar.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from pdeml.data.formats.the_well import FIELDS
from pdeml.data.source import ArrayInfo, Source
from pdeml.errors import InputError, RunError
from pdeml.files import atomic_write

__all__ = ["BOUNDARIES", "write_well"]

BOUNDARIES = ("periodic", "wall", "open")
_BLOCK_BYTES = 2**27
_HEAD_BYTES = 2**20
_OWN = ("samples", "seed", "reference_error")  # attributes of our files that are no parameters of the simulation


def write_well(
    source: Source,
    path: str | os.PathLike[str],
    name: str,
    boundaries: Mapping[str, str],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write all samples of a source as one file of The Well, in blocks, atomically.

    Args:
        source: samples on a grid.
        path: the file to write; it must not exist.
        name: of the data set.
        boundaries: space coordinate -> ``"periodic"``, ``"wall"`` or ``"open"``, of those that are known.
        progress: told (samples written, of how many).

    Raises:
        InputError: the file exists, or the samples have no space coordinate.
        RunError: the disk is too small or refuses; nothing is left behind.
    """
    target = Path(path)
    if target.exists():
        raise InputError(f"{target} exists; remove it, or give another name")
    space = [dim for dim in sorted(source.coordinates, key="xyz".find) if dim != "t"]
    if not space:
        raise InputError(f"{source.path}: The Well holds fields over space; this data set has no space coordinate")
    if bare := {dim for info in source.arrays.values() for dim in info.dims} - set(source.coordinates):
        raise InputError(f"{source.path}: The Well needs values of every coordinate; {min(bare)!r} has none")
    fields = _fields(source, space)
    with atomic_write(target) as temporary:
        _check_disk(target, source)
        with h5py.File(temporary, "w") as file:
            _describe(file, source, name, space)
            _boundaries(file, source, space, boundaries)
            arrays = [(field, _create(file, source, field, space)) for field in fields]
            step = max(1, _BLOCK_BYTES // max(1, sum(info.sample_bytes for info in source.arrays.values())))
            for start in range(0, source.length, step):
                stop = min(start + step, source.length)
                for field, array in arrays:
                    array[start:stop] = _values(source, field, slice(start, stop))
                if progress is not None:
                    progress(stop, source.length)


@dataclass(frozen=True)
class _Field:
    """A scalar of The Well, or a field with its components in row-major order."""

    name: str
    group: str
    rank: int
    components: tuple[ArrayInfo, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        return self.components[0].dims


def _fields(source: Source, space: list[str]) -> list[_Field]:
    left, found = dict(source.arrays), []
    for rank in (2, 1):
        endings = ["".join(part) for part in product(space, repeat=rank)] if len(space) > 1 else []
        for name in [name.rpartition("_")[0] for name in left if endings and name.endswith(f"_{endings[0]}")]:
            parts = [left.get(f"{name}_{ending}") for ending in endings]
            if (
                all(part is not None and part.dims == parts[0].dims and part.dims for part in parts)
                and name not in left
            ):
                found.append(_Field(name, FIELDS[rank], rank, tuple(parts)))
                left = {key: info for key, info in left.items() if info not in parts}
    for name, info in left.items():
        found.append(_Field(name, FIELDS[0] if set(info.dims) & set(space) else "scalars", 0, (info,)))
    return found


def _describe(file: h5py.File, source: Source, name: str, space: list[str]) -> None:
    numbers = {key: value for key, value in source.attrs.items() if type(value) in (int, float) and key not in _OWN}
    file.attrs.update({**numbers, "dataset_name": name, "grid_type": "cartesian"})
    file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = len(space), source.length
    file.attrs["simulation_parameters"] = _texts(list(numbers))
    dimensions = file.create_group("dimensions")
    dimensions.attrs["spatial_dims"] = _texts(space)
    time = dimensions.create_dataset("time", data=np.asarray(source.coordinates.get("t", [0.0]), np.float32))
    time.attrs["sample_varying"] = np.False_
    for dim in space:
        axis = dimensions.create_dataset(dim, data=np.asarray(source.coordinates[dim], np.float32))
        axis.attrs["sample_varying"] = axis.attrs["time_varying"] = np.False_
    for group in ("scalars", *FIELDS):
        file.create_group(group).attrs["field_names"] = _texts([])
    file.create_group("boundary_conditions")


def _boundaries(file: h5py.File, source: Source, space: list[str], known: Mapping[str, str]) -> None:
    for dim in space:
        if dim in known:
            group = file["boundary_conditions"].create_group(f"{dim}_boundary")
            group.attrs["associated_dims"], group.attrs["associated_fields"] = _texts([dim]), _texts([])
            group.attrs["bc_type"] = known[dim]
            group.attrs["sample_varying"] = group.attrs["time_varying"] = np.False_
            mask = np.zeros(len(source.coordinates[dim]), bool)
            mask[[0, -1]] = True
            group["mask"] = mask


def _create(file: h5py.File, source: Source, field: _Field, space: list[str]) -> h5py.Dataset:
    group = file[field.group]
    group.attrs["field_names"] = _texts([*group.attrs["field_names"], field.name])
    sizes = [len(source.coordinates[dim]) for dim in (*(["t"] if "t" in field.dims else []), *_varying(field, space))]
    array = group.create_dataset(field.name, (source.length, *sizes, *[len(space)] * field.rank), np.float32)
    array.attrs["sample_varying"], array.attrs["time_varying"] = np.True_, np.bool_("t" in field.dims)
    if field.group != "scalars":
        array.attrs["dim_varying"] = np.array([dim in field.dims for dim in space])
    if field.rank == 2:
        array.attrs["symmetric"] = array.attrs["antisymmetric"] = np.False_
    return array


def _varying(field: _Field, space: list[str]) -> list[str]:
    return [dim for dim in space if dim in field.dims]


def _values(source: Source, field: _Field, samples: slice) -> np.ndarray:
    """Return (sample, t, x, y, z, component, component) of our (sample, t, z, y, x)."""
    read = [source.read(info.name, samples).astype(np.float32) for info in field.components]
    timed = int("t" in field.dims)
    turned = [array.transpose(*range(1 + timed), *range(array.ndim - 1, timed, -1)) for array in read]
    if not field.rank:
        return turned[0]
    count = round(len(turned) ** (1 / field.rank))
    return np.stack(turned, axis=-1).reshape(*turned[0].shape, *(count,) * field.rank)


def _check_disk(target: Path, source: Source) -> None:
    """HDF5 cannot recover from a full disk, so there must be room before it begins."""
    values = sum(int(np.prod(info.shape)) for info in source.arrays.values())
    needed, free = _HEAD_BYTES + 4 * values * source.length, shutil.disk_usage(target.resolve().parent).free
    if needed > free:
        raise RunError(
            f"cannot write {str(target)!r}: it needs {needed} bytes, the disk has {free}; nothing was written"
        )


def _texts(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=h5py.string_dtype())
