"""Named arrays with JSON beside them in one safetensors file: nothing is pickled, nothing is half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from pdeml.errors import FileFormatError, InputError
from pdeml.files.atomic import atomic_bytes
from pdeml.files.safe import reading

__all__ = ["load_tensors", "save_tensors", "tensor_shapes"]

_META, _COMPLEX = "pdeml", "pdeml_complex"


def save_tensors(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], meta: Mapping[str, Any] | None = None
) -> None:
    """Write arrays and metadata to one file, atomically.

    Args:
        path: the file; by custom it ends in ``.safetensors``.
        arrays: name -> numpy array or torch tensor (on any device; bfloat16 is widened to float32 without loss).
            Booleans, integers, floats and complex numbers, any shape, 0-d and empty ones included.
        meta: JSON values kept in the file's header.

    Raises:
        InputError: if ``meta`` is no JSON or an array has a type that cannot be stored.
        RunError: if the disk refuses.
    """
    stored, complex_names = {}, []
    for name, value in arrays.items():
        array = _as_numpy(name, value)
        if array.dtype.kind == "c":
            complex_names.append(name)
            array = np.stack([array.real, array.imag], axis=-1)
        stored[name] = array
    header = {_META: _to_json(meta or {}), _COMPLEX: json.dumps(complex_names)}
    atomic_bytes(path, safetensors.numpy.save(stored, metadata=header))


def load_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Args:
        path: a safetensors file, ours or another's (whose metadata is then empty).

    Returns:
        name -> array with the stored type and shape, and the metadata.

    Raises:
        FileFormatError: if the file is missing, cut short, or no safetensors file.
    """
    with reading(path, "a safetensors file"), safetensors.safe_open(str(path), framework="numpy") as file:
        meta, complex_names = _header(path, file.metadata() or {})
        arrays = {}
        for name in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            array = file.get_tensor(name)
            arrays[name] = _join_complex(path, name, array) if name in complex_names else array
    return arrays, meta


def tensor_shapes(path: str | os.PathLike[str]) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Read only names, shapes and metadata; raises as `load_tensors`."""
    with reading(path, "a safetensors file"), safetensors.safe_open(str(path), framework="numpy") as file:
        meta, complex_names = _header(path, file.metadata() or {})
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return {name: shape[:-1] if name in complex_names else shape for name, shape in shapes.items()}, meta


def _as_numpy(name: str, value: Any) -> np.ndarray:
    if not name or name == "__metadata__":
        raise InputError(f"{name!r} cannot be the name of an array; give another")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        value = value.resolve_conj().resolve_neg().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise InputError(
            f"array {name!r} has type {array.dtype}; only booleans, integers, floats and complex numbers are stored"
        )
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=None)


def _join_complex(path: str | os.PathLike[str], name: str, array: np.ndarray) -> np.ndarray:
    pair = {"float32": np.complex64, "float64": np.complex128}.get(array.dtype.name)
    if pair is None or array.ndim == 0 or array.shape[-1] != 2:
        raise FileFormatError(f"{Path(path)}: array {name!r} is marked complex but does not hold pairs of numbers")
    return array.view(pair)[..., 0]


def _to_json(meta: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(meta), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the metadata of a tensor file must be JSON: {error}") from None


def _header(path: str | os.PathLike[str], header: Mapping[str, str]) -> tuple[dict[str, Any], frozenset[str]]:
    try:
        meta, names = json.loads(header.get(_META, "{}")), json.loads(header.get(_COMPLEX, "[]"))
    except (ValueError, RecursionError):
        raise FileFormatError(f"{Path(path)}: the metadata in its header is not valid JSON") from None
    if not isinstance(meta, dict) or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileFormatError(f"{Path(path)}: the metadata in its header is not a mapping")
    return meta, frozenset(names)
