"""The Well (Ohana et al., 2024): HDF5 with groups by tensor rank.

Root attributes ``dataset_name``, ``grid_type``, ``n_spatial_dims``, ``n_trajectories``, ``simulation_parameters``;
``dimensions`` (``spatial_dims``; ``time``; one array a space dimension), ``scalars``, ``t0_fields``, ``t1_fields`` (one
trailing axis of components), ``t2_fields`` (two, or one of D²) with ``field_names``; on each array
``sample_varying``, ``time_varying``, ``dim_varying``: an axis that does not vary is not stored. Components
become arrays ``velocity_x``, ``stress_xy``; ``time`` becomes ``t``. https://polymathic-ai.org/the_well/data_format/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import h5py
import numpy as np

from pdeml.data.formats.found import Format, Found, Names, numbers
from pdeml.data.formats.parts import Axis, Part, PartSource, counted, identifier, usual_role
from pdeml.data.source import Role
from pdeml.errors import FileFormatError
from pdeml.files import read_array, read_attributes

__all__ = ["FIELDS", "THE_WELL"]

_NAME = "The Well"
FIELDS = ("t0_fields", "t1_fields", "t2_fields")


def _recognise(found: Found) -> bool:
    return {"dimensions", "t0_fields"} <= set(found.names) and "n_trajectories" in found.file.attrs


def _open(found: Found, _: Names) -> PartSource:
    file = found.file
    attrs = read_attributes(file, strict=False)
    length = _count(found, attrs)
    space = [str(name) for name in np.atleast_1d(_group(found, "dimensions").attrs.get("spatial_dims", []))]
    if not space:
        raise FileFormatError(f"{found.path}: the group 'dimensions' has no attribute 'spatial_dims'")
    axes = {name: read_array(numbers(file["dimensions"], name)) for name in space}
    if any(values.ndim != 1 for values in axes.values()):
        raise FileFormatError(f"{found.path}: a space coordinate that varies between samples is not supported")
    laid = {
        key: placed
        for rank, name in enumerate(FIELDS)
        if name in file
        for field in _group(found, name)
        for key, placed in _components(found, numbers(file[name], field), rank, space)
    }
    fields = {key: Part(stored, axes, _role(axes, laid)) for key, (stored, axes) in laid.items()}
    scalars = dict(_scalars(found))
    single = {name: float(np.ravel(read_array(part.stored))[0]) for name, part in scalars.items() if not part.axes}
    parts = {**fields, **{name: part for name, part in scalars.items() if part.axes}, **dict(_times(found))}
    coordinates = {identifier(name): values for name, values in axes.items()}
    if any("t" in part.axes for part in parts.values()):
        coordinates["t"] = _time(found)
    shown = {key: value for key, value in attrs.items() if key not in ("n_spatial_dims", "n_trajectories")}
    return PartSource(found, _NAME, parts, coordinates, length, attrs={**shown, **single, **_boundaries(found)})


THE_WELL = Format(_NAME, ("HDF5",), _recognise, _open)


_Placed = tuple[h5py.Dataset, tuple[Axis, ...]]


def _components(found: Found, stored: h5py.Dataset, rank: int, space: list[str]) -> Iterator[tuple[str, _Placed]]:
    """Yield the components of one field, each with the axes of the stored array."""
    name = identifier(stored.name.rsplit("/", 1)[-1])
    flags = np.atleast_1d(stored.attrs.get("dim_varying", []))
    if len(flags) != len(space):
        raise FileFormatError(f"{found.path}: {stored.name!r} has no attribute 'dim_varying' with {len(space)} entries")
    grid = [*_varying(stored), *(identifier(dim) for dim, varies in zip(space, flags, strict=True) if varies)]
    trailing, count = stored.ndim - len(grid), len(space)
    flat = rank == 2 and trailing == 1
    if trailing != rank and not flat:
        raise FileFormatError(
            f"{found.path}: {stored.name!r} has {stored.ndim} axes; its attributes say {len(grid)} + {rank} of a tensor"
        )
    for number, directions in enumerate(product(range(count), repeat=rank)):
        ending = "".join(identifier(space[direction]) for direction in directions)
        picks: tuple[Axis, ...] = (number,) if flat else directions
        yield f"{name}_{ending}" if rank else name, (stored, (*grid, *picks))


def _role(axes: tuple[Axis, ...], laid: Mapping[str, _Placed]) -> Role:
    return usual_role(axes, [other for _, other in laid.values()])


def _varying(stored: h5py.Dataset) -> tuple[str, ...]:
    flags = (("sample", "sample_varying"), ("t", "time_varying"))
    return tuple(axis for axis, attribute in flags if _flag(stored, attribute))


def _flag(stored: h5py.Dataset, name: str) -> bool:
    if name not in stored.attrs:
        raise FileFormatError(f"{stored.file.filename}: {stored.name!r} has no attribute {name!r}")
    return bool(stored.attrs[name])


def _scalars(found: Found) -> Iterator[tuple[str, Part]]:
    """Yield the scalars; those that vary neither with sample nor time have no axes."""
    group = _group(found, "scalars") if "scalars" in found.names else {}
    for name in group:
        stored = numbers(group, name)
        axes = _varying(stored)
        if not axes and stored.size != 1:
            raise FileFormatError(f"{found.path}: the scalar {name!r} does not vary but has the shape {stored.shape}")
        yield identifier(name), Part(stored, axes, "parameter")


def _times(found: Found) -> Iterator[tuple[str, Part]]:
    """Times that differ between samples are a parameter; the coordinate then counts."""
    stored = numbers(found.file["dimensions"], "time") if "time" in found.file["dimensions"] else None
    if stored is not None and stored.ndim == 2:
        yield "time", Part(stored, ("sample", "t"), "parameter")


def _time(found: Found) -> np.ndarray:
    stored = numbers(found.file["dimensions"], "time")
    return read_array(stored) if stored.ndim == 1 else counted(stored.shape[-1])


def _boundaries(found: Found) -> dict[str, str]:
    """Return the kinds of boundary conditions as attributes, ``boundary_x: periodic``."""
    shown = {}
    group = found.file.get("boundary_conditions")
    for name in group if isinstance(group, h5py.Group) else ():
        about: Mapping[str, Any] = read_attributes(group[name], strict=False)
        for dim in np.atleast_1d(about.get("associated_dims", [])):
            kind = str(about.get("bc_type", "")).lower()
            key = f"boundary_{identifier(str(dim))}"
            shown[key] = kind if shown.get(key, kind) == kind else "mixed"
    return shown


def _group(found: Found, name: str) -> h5py.Group:
    item = found.file.get(name)
    if not isinstance(item, h5py.Group):
        raise FileFormatError(f"{found.path}: {name!r} is missing or no group")
    return item


def _count(found: Found, attrs: Mapping[str, Any]) -> int:
    count = attrs.get("n_trajectories")
    if not isinstance(count, int) or count < 0:
        raise FileFormatError(f"{found.path}: the attribute 'n_trajectories' must be a whole number, got {count!r:.40}")
    return count
