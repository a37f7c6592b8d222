"""Files: atomic replacement, safe HDF5, netCDF-4, tensors with JSON, hashes."""

from pdeml.files.atomic import TEMPORARY_SUFFIX, atomic_bytes, atomic_json, atomic_text, atomic_write, sweep_temporaries
from pdeml.files.digest import file_digest, json_digest
from pdeml.files.lines import read_json_lines
from pdeml.files.netcdf import (
    Variable,
    create_coordinate,
    create_dimension,
    create_file,
    create_variable,
    is_scale,
    read_netcdf,
    read_variable,
    resize_dimension,
    variable_dims,
    write_attributes,
    write_netcdf,
)
from pdeml.files.safe import available_memory, open_hdf5, read_array, read_attributes, reading, require_memory
from pdeml.files.tensors import load_tensors, save_tensors, tensor_shapes

__all__ = [
    "TEMPORARY_SUFFIX",
    "Variable",
    "atomic_bytes",
    "atomic_json",
    "atomic_text",
    "atomic_write",
    "available_memory",
    "create_coordinate",
    "create_dimension",
    "create_file",
    "create_variable",
    "file_digest",
    "is_scale",
    "json_digest",
    "load_tensors",
    "open_hdf5",
    "read_array",
    "read_attributes",
    "read_json_lines",
    "read_netcdf",
    "read_variable",
    "reading",
    "require_memory",
    "resize_dimension",
    "save_tensors",
    "sweep_temporaries",
    "tensor_shapes",
    "variable_dims",
    "write_attributes",
    "write_netcdf",
]
