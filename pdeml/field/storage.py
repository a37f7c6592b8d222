"""Fields as netCDF-4 files and xarray data sets: both hold the same variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import FileFormatError, InputError, PdemlError
from pdeml.field.field import Field
from pdeml.files import Variable, read_netcdf, write_netcdf

if TYPE_CHECKING:
    import xarray

__all__ = ["FORMAT", "read_field", "to_dataset", "write_field"]

FORMAT = "field/1"
_STRUCTURAL = ("Conventions", "pdeml_format", "pdeml_version", "coordinates")
_SUFFIXES = {"_std": "std", "_reference": "reference", "_error": "error"}


def write_field(field: Field, path: str | os.PathLike[str]) -> None:
    """Write ``field`` to a netCDF-4 file, atomically."""
    variables = field_variables(field)
    if field.is_scattered and field.coordinates:
        beside = {"coordinates": " ".join(field.coordinates)}
        variables = {
            name: part if name in field.coordinates else Variable(part.dims, part.data, {**part.attrs, **beside})
            for name, part in variables.items()
        }
    write_netcdf(path, variables, root_attributes(field))


def read_field(path: str | os.PathLike[str]) -> Field:
    """Read a file of `write_field`, also after xarray or another netCDF library has rewritten it."""
    variables, attrs = read_netcdf(path, [FORMAT])
    roles = {name: _role(name, part) for name, part in variables.items()}
    groups: dict[str, dict[str, np.ndarray]] = {"unknown": {}, "std": {}, "reference": {}, "error": {}}
    for name, (role, unknown) in roles.items():
        if role in groups:
            groups[role][unknown] = variables[name].data
    coordinates = [name for name, (role, _) in roles.items() if role in ("coordinate", "parameter")]
    times = [name for name in coordinates if variables[name].attrs.get("axis") == "T"]
    known = [*coordinates, *groups["unknown"]]
    try:
        return Field(
            _dims(variables, list(groups["unknown"])),
            {name: variables[name].data for name in coordinates},
            groups["unknown"],
            units={name: str(variables[name].attrs["units"]) for name in known if "units" in variables[name].attrs},
            std=groups["std"],
            reference=groups["reference"],
            mask=_read_mask(variables, [name for name, (role, _) in roles.items() if role == "mask"]),
            time=times[0] if times else None,
            parameters=tuple(name for name, (role, _) in roles.items() if role == "parameter"),
            attrs=_own_attributes(attrs),
        )
    except FileFormatError:
        raise
    except PdemlError as error:
        raise FileFormatError(f"{Path(path)}: not a valid field: {error}") from None


def to_dataset(field: Field) -> xarray.Dataset:
    """Return the xarray data set that reading the file of `write_field` gives."""
    try:
        import xarray
    except ImportError:
        raise InputError("xarray is not installed; install it with: pip install 'pdeml[xarray]'") from None
    variables = {name: (part.dims, part.data.copy(), dict(part.attrs)) for name, part in field_variables(field).items()}
    coordinates = {name: variables.pop(name) for name in field.coordinates}
    return xarray.Dataset(variables, coordinates, root_attributes(field))


def field_variables(field: Field) -> dict[str, Variable]:
    """Return every array of the file, coordinates first, with its attributes."""
    result: dict[str, Variable] = {}

    def add(name: str, dims: tuple[str, ...], data: np.ndarray, attrs: Mapping[str, Any]) -> None:
        if name in result or (name in field.dims and name not in field.coordinates):
            raise InputError(f"{name!r} would name two arrays of the file; rename that unknown")
        result[name] = Variable(dims, data, attrs)

    axes = _axes(field)
    for name, values in field.coordinates.items():
        role = "parameter" if name in field.parameters else "coordinate"
        axis = {"axis": axes[name]} if name in axes else {}
        dims = field.dims if field.is_scattered else (name,)
        add(name, dims, values, {"units": field.unit(name), "long_name": name, **axis, "role": role})
    for name, values in field.values.items():
        for suffix, role, part in _companions(field, name, values):
            text = f"{role} of {name}" if suffix else name
            add(name + suffix, field.dims, part, {"units": field.unit(name), "long_name": text, "role": role})
    if field.mask is not None:
        dims, mask = _smallest_mask(field)
        flags = {"flag_values": np.array([0, 1], np.int8), "flag_meanings": "outside inside"}
        add("mask", dims, mask.astype(np.int8), {"long_name": "1 inside the geometry", **flags, "role": "mask"})
    return result


def root_attributes(field: Field) -> dict[str, Any]:
    """Return the attributes of the whole file."""
    from pdeml import __version__ as version

    fixed = {"Conventions": "CF-1.11", "pdeml_format": FORMAT, "pdeml_version": version}
    given = {name: value for name, value in field.attrs.items() if name not in fixed and value is not None}
    return {**fixed, "title": "", "history": _history(version), "spec": "", **given}


def _companions(field: Field, name: str, values: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """List (suffix, role, array) of what the file holds for one unknown."""
    parts = [("", "unknown", values)]
    if name in field.std:
        parts.append(("_std", "std", field.std[name]))
    if name in field.reference:
        parts.append(("_reference", "reference", field.reference[name]))
        parts.append(("_error", "error", values - field.reference[name]))
    return parts


def _axes(field: Field) -> dict[str, str]:
    """Return the CF axis letter of each coordinate that has one."""
    space = [name for name in field.space if name != "point"]
    letters = (
        {name: name.upper() for name in space}
        if set(space) <= {"x", "y", "z"}
        else dict(zip(space, "XYZ", strict=False))
    )
    return {**letters, **({field.time: "T"} if field.time is not None else {})}


def _smallest_mask(field: Field) -> tuple[tuple[str, ...], np.ndarray]:
    """Drop the leading dimensions (sample, parameters, time) along which the mask does not change."""
    dims, mask = field.dims, field.mask
    changing = {"sample", *field.parameters, field.time}
    while dims and len(dims) > 1 and dims[0] in changing and len(mask) and (mask == mask[:1]).all():
        dims, mask = dims[1:], mask[0]
    return dims, mask


def _read_mask(variables: Mapping[str, Variable], names: list[str]) -> np.ndarray | None:
    return variables[names[0]].data != 0 if names else None


def _dims(variables: Mapping[str, Variable], unknowns: list[str]) -> tuple[str, ...]:
    dims = {variables[name].dims for name in unknowns}
    if len(dims) > 1:
        raise InputError(f"its unknowns {', '.join(unknowns)} have different dimensions")
    if not dims:
        raise InputError("it holds no unknown")
    return dims.pop()


def _role(name: str, variable: Variable) -> tuple[str, str]:
    """Return (role, name of the unknown it belongs to)."""
    role = variable.attrs.get("role")
    if role is None:
        role = "coordinate" if variable.dims == (name,) else "mask" if name == "mask" else "unknown"
        role = next((found for suffix, found in _SUFFIXES.items() if role == "unknown" and name.endswith(suffix)), role)
    suffix = {found: suffix for suffix, found in _SUFFIXES.items()}.get(role, "")
    return role, name.removesuffix(suffix)


def _own_attributes(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what every file has; keep what the field brought along."""
    kept = {name: value for name, value in attrs.items() if name not in _STRUCTURAL}
    history = _history(str(attrs.get("pdeml_version", "")))
    return {
        name: value
        for name, value in kept.items()
        if not (name in ("title", "spec") and value == "") and not (name == "history" and value == history)
    }


def _history(version: str) -> str:
    return f"created by pdeml {version}"
