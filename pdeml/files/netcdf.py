"""Valid netCDF-4 files with h5py: dimension scales, attached dimensions, attributes; xarray opens them with no options.

A dimension is an HDF5 dimension scale. One with values is a coordinate; one without is netCDF's "dimension without a
variable". https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html ("The NetCDF-4 Format")
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeml.errors import FileFormatError, InputError
from pdeml.files.atomic import atomic_write
from pdeml.files.safe import open_hdf5, read_array, read_attributes, require_memory

__all__ = [
    "Variable",
    "create_coordinate",
    "create_dimension",
    "create_file",
    "create_variable",
    "is_scale",
    "read_netcdf",
    "read_variable",
    "resize_dimension",
    "variable_dims",
    "write_attributes",
    "write_netcdf",
]

_WITHOUT_VARIABLE = "This is a netCDF dimension but not a netCDF variable."


@dataclass(frozen=True, eq=False)
class Variable:
    """An array with named dimensions and attributes."""

    dims: tuple[str, ...]
    data: np.ndarray
    attrs: Mapping[str, Any] = field(default_factory=dict)


def write_netcdf(path: str | os.PathLike[str], variables: Mapping[str, Variable], attrs: Mapping[str, Any]) -> None:
    """Write a whole netCDF-4 file, atomically.

    Args:
        path: the file to write.
        variables: name -> variable. One whose only dimension bears its own name is a coordinate; dimensions without
            a coordinate get no values. Floats that are no coordinates have NaN as their ``_FillValue``.
        attrs: attributes of the file: text, numbers, or 1-D lists of either; None is left out.

    Raises:
        InputError: if two variables disagree about a dimension's size, or an attribute cannot be stored.
        RunError: if the disk refuses; nothing is left behind.
    """
    sizes = _dimension_sizes(variables)
    with atomic_write(path) as temporary:
        # Made in memory: where the disk is full, HDF5 itself would crash when it closes the file.
        image = io.BytesIO()
        with create_file(image) as file:
            _fill(file, variables, sizes, attrs)
        with temporary.open("wb") as stream:
            stream.write(image.getbuffer())


def read_netcdf(path: str | os.PathLike[str], formats: Sequence[str]) -> tuple[dict[str, Variable], dict[str, Any]]:
    """Read all arrays of the root group of one of our files.

    Args:
        path: the file.
        formats: allowed values of the attribute ``pdeml_format``, such as ``["field/1"]``.

    Returns:
        name -> variable in stored order (dimensions without values are left out), and the attributes of the file.

    Raises:
        FileFormatError: if it is no HDF5 file, damaged, of another format, unsafe, or larger than the memory.
    """
    with open_hdf5(path) as file:
        attrs = read_attributes(file)
        _check_format(Path(path), attrs.get("pdeml_format"), formats)
        arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        arrays = {name: item for name, item in arrays.items() if not _is_bare_dimension(item)}
        require_memory(
            sum(item.size * 8 for item in arrays.values() if item.shape is not None), f"{Path(path)}: the file"
        )
        return {name: read_variable(item) for name, item in arrays.items()}, attrs


def read_variable(dataset: h5py.Dataset) -> Variable:
    """Read one array with its dimensions and attributes; the ``_FillValue`` of floats becomes NaN.

    Raises:
        FileFormatError: if it holds no numbers, is larger than the memory, or lacks named dimensions.
    """
    data = read_array(dataset)
    fill = dataset.attrs.get("_FillValue") if data.dtype.kind == "f" else None
    if fill is not None and np.size(fill) == 1 and np.asarray(fill).dtype.kind in "iuf" and not np.isnan(fill).any():
        data = np.where(data == np.ravel(fill)[0], np.nan, data)
    return Variable(variable_dims(dataset), data, read_attributes(dataset))


def variable_dims(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of an array's dimensions.

    The attribute is read by hand: HDF5's own function crashes where a damaged file holds another type there.

    Raises:
        FileFormatError: if a dimension has no scale attached.
    """
    where = f"{dataset.file.filename}: array {dataset.name!r}"
    if is_scale(dataset) and dataset.ndim == 1:
        return (_base_name(dataset.name),)
    if not dataset.ndim:
        return ()
    if "DIMENSION_LIST" not in dataset.attrs:
        raise FileFormatError(f"{where} has no named dimensions")
    attribute = dataset.attrs.get_id("DIMENSION_LIST")
    listed = h5py.check_vlen_dtype(attribute.dtype)
    if attribute.shape != (dataset.ndim,) or listed is None or h5py.check_ref_dtype(listed) is not h5py.Reference:
        raise FileFormatError(f"{where} has a damaged list of dimensions")
    names = []
    for number, references in enumerate(dataset.attrs["DIMENSION_LIST"]):
        if len(references) == 0 or not references[0]:
            raise FileFormatError(f"{where} has no name for dimension {number}")
        names.append(_base_name(dataset.file[references[0]].name))
    return tuple(names)


def is_scale(dataset: h5py.Dataset) -> bool:
    """Whether an array is a dimension scale: the values of a dimension, or its mere size."""
    return _text_attribute(dataset, "CLASS") == b"DIMENSION_SCALE"


def _fill(
    file: h5py.File, variables: Mapping[str, Variable], sizes: Mapping[str, int], attrs: Mapping[str, Any]
) -> None:
    write_attributes(file, attrs)
    for name, size in sizes.items():
        if _is_coordinate(name, variables.get(name)):
            create_coordinate(file, name, variables[name].data, variables[name].attrs)
        else:
            create_dimension(file, name, size)
    for name, variable in variables.items():
        if not _is_coordinate(name, variable):
            target = create_variable(file, name, variable.dims, variable.data.dtype, variable.attrs)
            if variable.data.size:
                target[...] = variable.data


def create_file(path: str | os.PathLike[str] | io.BytesIO) -> h5py.File:
    """Create an empty HDF5 file that keeps the order of what is put into it, as netCDF-4 asks; close it after use."""
    return h5py.File(path, "w", track_order=True)


def create_dimension(file: h5py.File, name: str, size: int, unlimited: bool = False) -> h5py.Dataset:
    """Create a dimension without values, such as ``sample`` or ``point``; `resize_dimension` grows an unlimited one."""
    layout = {"maxshape": (None,), "chunks": (1024,)} if unlimited else {}
    scale = file.create_dataset(name, shape=(size,), dtype=">f4", **layout)
    scale.make_scale(f"{_WITHOUT_VARIABLE}{size:10d}")
    return _number_dimension(file, scale)


def create_coordinate(file: h5py.File, name: str, values: np.ndarray, attrs: Mapping[str, Any]) -> h5py.Dataset:
    """Create a dimension with 1-D values (coordinates have no fill value: CF allows no missing ones)."""
    scale = file.create_dataset(name, data=np.asarray(values))
    scale.make_scale(name)
    write_attributes(scale, attrs)
    return _number_dimension(file, scale)


def create_variable(
    file: h5py.File, name: str, dims: Sequence[str], dtype: Any, attrs: Mapping[str, Any], **storage: Any
) -> h5py.Dataset:
    """Create an array on existing dimensions; floats are filled with NaN and say so.

    Args:
        file: a file of `create_file`.
        name: of the array.
        dims: names of dimensions created before; unlimited ones make the array growable.
        dtype: numpy type of the elements.
        attrs: as of `write_attributes`.
        **storage: passed to h5py: ``chunks``, ``compression``, ``shuffle``, ``fletcher32``.

    Returns:
        the array, to be filled.
    """
    scales = [file[dim] for dim in dims]
    if name in file:
        raise InputError(f"the file would hold two arrays named {name!r}; rename one")
    if any(scale.maxshape[0] is None for scale in scales):
        storage["maxshape"] = tuple(scale.maxshape[0] for scale in scales)
    floating = np.dtype(dtype).kind == "f"
    fill = {"fillvalue": np.nan} if floating else {}
    target = file.create_dataset(name, tuple(scale.shape[0] for scale in scales), dtype, **fill, **storage)
    for number, scale in enumerate(scales):
        target.dims[number].attach_scale(scale)
    if floating:
        target.attrs["_FillValue"] = np.array(np.nan, dtype)
    write_attributes(target, attrs)
    return target


def resize_dimension(file: h5py.File, name: str, size: int) -> None:
    """Grow or shrink an unlimited dimension together with every array that has it."""
    for item in list(file.values()):
        if isinstance(item, h5py.Dataset) and not is_scale(item) and "DIMENSION_LIST" in item.attrs:
            for axis, dim in enumerate(variable_dims(item)):
                if dim == name:
                    item.resize(size, axis=axis)
    file[name].resize(size, axis=0)


def write_attributes(target: h5py.Group | h5py.Dataset, attrs: Mapping[str, Any]) -> None:
    """Write attributes: text, numbers, booleans (as 0 or 1) or 1-D lists of them; None is left out.

    Raises:
        InputError: if a value is of another type or its text holds a null character.
    """
    for name, value in attrs.items():
        if value is not None:
            target.attrs[name] = _storable(name, value)


def _storable(name: str, value: Any) -> Any:
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, bool | np.bool_):
        return np.int8(value)
    if isinstance(value, int | float | np.number):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) and "\0" not in part for part in value):
        return np.array(value, dtype=h5py.string_dtype())
    if isinstance(value, list | tuple | np.ndarray) and np.asarray(value).dtype.kind in "biuf" and np.ndim(value) == 1:
        array = np.asarray(value)
        return array.astype(np.int8) if array.dtype.kind == "b" else array
    raise InputError(f"attribute {name!r} must be text, a number or a list of them, got {value!r:.80}")


def _dimension_sizes(variables: Mapping[str, Variable]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
        if np.ndim(variable.data) != len(variable.dims):
            raise InputError(
                f"{name!r} has {np.ndim(variable.data)} dimensions but {len(variable.dims)} names for them"
            )
        for dim, size in zip(variable.dims, variable.data.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise InputError(f"{name!r} has {size} values along {dim!r}, others have {sizes[dim]}")
    clash = [name for name in sizes if name in variables and not _is_coordinate(name, variables[name])]
    if clash:
        raise InputError(f"{clash[0]!r} is both a dimension and an array of other dimensions; rename one")
    return sizes


def _is_coordinate(name: str, variable: Variable | None) -> bool:
    return variable is not None and variable.dims == (name,)


def _is_bare_dimension(dataset: h5py.Dataset) -> bool:
    return is_scale(dataset) and _text_attribute(dataset, "NAME").startswith(b"This is a netCDF dimension but not")


def _text_attribute(dataset: h5py.Dataset, name: str) -> bytes:
    """Return a short text attribute as bytes; empty if it is missing or something else."""
    if name not in dataset.attrs:
        return b""
    value = dataset.attrs[name] if dataset.attrs.get_id(name).shape == () else b""
    return value.encode() if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else b""


def _number_dimension(file: h5py.File, scale: h5py.Dataset) -> h5py.Dataset:
    scales = [item for item in file.values() if isinstance(item, h5py.Dataset) and is_scale(item)]
    scale.attrs["_Netcdf4Dimid"] = np.int32(len(scales) - 1)
    return scale


def _base_name(name: str | None) -> str:
    if not name:
        raise FileFormatError("a dimension leads to an array without a name")
    return name.rsplit("/", 1)[-1]


def _check_format(path: Path, found: Any, formats: Sequence[str]) -> None:
    allowed = " or ".join(formats)
    if found is None:
        raise FileFormatError(f"{path}: not a file of pdeml: it has no attribute 'pdeml_format' (expected {allowed})")
    if found not in formats:
        raise FileFormatError(f"{path}: its pdeml_format is {found!r:.60}; expected {allowed}")
