"""The rules of a file of The Well, written from its documentation (docs/data_format.md): a list of what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np


def broken_rules(path: Path) -> list[str]:
    with h5py.File(path, "r") as file:
        return list(_rules(file))


def _rules(file: h5py.File) -> Iterator[str]:
    root = file.attrs
    for name, kind in (
        ("dataset_name", str),
        ("grid_type", str),
        ("n_spatial_dims", np.integer),
        ("n_trajectories", np.integer),
    ):
        if not isinstance(root.get(name), kind):
            yield f"root attribute {name} must be {kind.__name__}, is {root.get(name)!r}"
    if root.get("grid_type") not in ("cartesian", "spherical"):
        yield "grid_type"
    for name in _names(root, "simulation_parameters"):
        if not isinstance(root.get(name), (float, int, np.floating, np.integer)):
            yield f"simulation parameter {name} has no value"
    missing = {"dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"} - set(file)
    if missing:
        yield f"groups are missing: {missing}"
        return
    dims = _names(file["dimensions"].attrs, "spatial_dims")
    if not dims or len(dims) != root["n_spatial_dims"]:
        yield "spatial_dims and n_spatial_dims differ"
    yield from _dimensions(file["dimensions"], dims)
    sizes = {"sample": root["n_trajectories"], "time": file["dimensions/time"].shape[-1]}
    sizes |= {dim: file["dimensions"][dim].shape[-1] for dim in dims}
    for rank in range(3):
        group = file[f"t{rank}_fields"]
        yield from _listed(group)
        for name, field in group.items():
            yield from _array(field, sizes, dims, rank)
            if rank == 2 and not all(_is_flag(field.attrs.get(flag)) for flag in ("symmetric", "antisymmetric")):
                yield f"{name} does not say whether it is symmetric"
    yield from _listed(file["scalars"])
    for scalar in file["scalars"].values():
        yield from _array(scalar, sizes, (), 0)
    for name, group in file["boundary_conditions"].items():
        yield from _boundary(name, group, sizes, dims)


def _dimensions(group: h5py.Group, dims: list[str]) -> Iterator[str]:
    for name, flags in (("time", ["sample_varying"]), *((dim, ["sample_varying", "time_varying"]) for dim in dims)):
        if name not in group:
            yield f"dimensions has no {name}"
            continue
        if group[name].dtype != np.float32 or group[name].ndim != 1:
            yield f"{name} must be a list of float32"
        yield from (f"{name} needs the flag {flag}" for flag in flags if not _is_flag(group[name].attrs.get(flag)))


def _array(array: h5py.Dataset, sizes: dict, dims: tuple | list, rank: int) -> Iterator[str]:
    flags = [array.attrs.get(flag) for flag in ("sample_varying", "time_varying")]
    varying = array.attrs.get("dim_varying", np.zeros(0, bool))
    if not all(_is_flag(flag) for flag in flags) or len(varying) != len(dims) or varying.dtype != bool:
        yield f"{array.name} lacks flags"
        return
    names = [name for name, flag in zip(("sample", "time", *dims), (*flags, *varying), strict=True) if flag]
    if array.shape != (*(sizes[name] for name in names), *[len(dims)] * rank):
        yield f"{array.name} has the shape {array.shape}, its flags say {names}"
    if array.dtype != np.float32:
        yield f"{array.name} must be float32"


def _boundary(name: str, group: h5py.Group, sizes: dict, dims: list[str]) -> Iterator[str]:
    along = _names(group.attrs, "associated_dims")
    if not along or not set(along) <= set(dims) or "associated_fields" not in group.attrs:
        yield f"boundary {name} belongs to no dimension"
    if group.attrs.get("bc_type") not in ("periodic", "wall", "open"):
        yield f"boundary {name} is of no known type"
    if not all(_is_flag(group.attrs.get(flag)) for flag in ("sample_varying", "time_varying")):
        yield f"boundary {name} lacks flags"
    if "mask" not in group or group["mask"].dtype != bool or group["mask"].shape != tuple(sizes[dim] for dim in along):
        yield f"boundary {name} has no mask of its size"


def _listed(group: h5py.Group) -> Iterator[str]:
    if sorted(_names(group.attrs, "field_names")) != sorted(group):
        yield f"{group.name}: field_names are not what it holds"


def _names(attrs: h5py.AttributeManager, name: str) -> list[str]:
    value = attrs.get(name)
    assert isinstance(value, np.ndarray), f"{name} must be a list"
    assert all(isinstance(part, str) for part in value), f"{name} must hold texts"
    return list(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, (bool, np.bool_))
