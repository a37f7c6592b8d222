"""What a field's parts must satisfy; each function returns its part in the standard form or refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pdeml.errors import InputError, one_of
from pdeml.field.grid import sort_dims

__all__ = ["checked_arrays", "checked_coordinates", "checked_dims", "checked_mask", "same_coordinates"]

# Coordinates equal up to the rounding of single precision count as the same: files often hold float32.
ROUNDING = 4 * np.finfo(np.float32).eps


def checked_dims(
    dims: tuple[str, ...], coordinates: tuple[str, ...], time: str | None, parameters: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the dimensions in standard order (see `sort_dims`)."""
    if len(set(dims)) != len(dims):
        raise InputError(f"a dimension is named twice in {dims}", ("dims",))
    if "point" in dims and dims != ("point",):
        raise InputError(f"scattered values have the one dimension 'point', got {dims}", ("dims",))
    allowed = coordinates if dims == ("point",) else (*dims, *coordinates)
    for name in (*parameters, *([time] if time is not None else [])):
        if name not in allowed:
            raise InputError(
                one_of(name, coordinates, "a coordinate of the field"), ("time" if name == time else "parameters",)
            )
    return dims if dims == ("point",) else sort_dims(dims, time, parameters)


def checked_coordinates(dims: tuple[str, ...], coordinates: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return read-only float64 copies: one strictly monotonic vector a dimension, or columns of equal length."""
    result = {name: _coordinate(name, values) for name, values in coordinates.items()}
    if dims == ("point",):
        if len({values.size for values in result.values()}) > 1:
            raise InputError(
                f"coordinates of scattered points differ in length: { {k: v.size for k, v in result.items()} }",
                ("coordinates",),
            )
        return result
    for name in result:
        if name not in dims:
            raise InputError(one_of(name, dims, "a dimension of the field"), ("coordinates", name))
    for name in dims:
        if name not in result and name != "sample":
            raise InputError(f"dimension {name!r} has no coordinate values; give 1-D values", ("coordinates",))
        steps = np.diff(result.get(name, np.zeros(0)))
        if not ((steps > 0).all() or (steps < 0).all()):
            raise InputError("values must increase strictly (or decrease strictly)", ("coordinates", name))
    return {name: result[name] for name in dims if name in result}


def checked_mask(
    given: tuple[str, ...],
    dims: tuple[str, ...],
    coordinates: Mapping[str, np.ndarray],
    values: Mapping[str, Any],
    mask: Any,
) -> np.ndarray | None:
    """Return the mask as a read-only boolean array of full shape in standard order."""
    if mask is None:
        return None
    if not values:
        raise InputError("a field needs at least one unknown", ("values",))
    shape = np.shape(next(iter(values.values())))
    mask = np.asarray(mask)
    if mask.shape != shape[len(shape) - mask.ndim :]:
        raise InputError(
            f"the mask has shape {mask.shape}, which is not the last part of the arrays' shape {shape}", ("mask",)
        )
    return np.broadcast_to(mask.astype(bool), shape).transpose([given.index(dim) for dim in dims])


def checked_arrays(
    what: str,
    arrays: Mapping[str, Any],
    given: tuple[str, ...],
    dims: tuple[str, ...],
    coordinates: Mapping[str, np.ndarray],
    mask: np.ndarray | None,
    unknowns: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """Return read-only float64 copies in standard order, NaN outside the mask."""
    if what == "values" and not arrays:
        raise InputError("a field needs at least one unknown", ("values",))
    result = {}
    for name, array in arrays.items():
        if name in coordinates or name not in unknowns:
            reason = "is a coordinate, too; rename one" if name in coordinates else "is no unknown of the field"
            raise InputError(f"{name!r} {reason}", (what, name))
        result[name] = _array(np.asarray(array), given, dims, mask, (what, name))
    shapes = {array.shape for array in result.values()} | {
        np.shape(array) for array in unknowns.values() if given == dims
    }
    if len(shapes) > 1:
        raise InputError(f"arrays differ in shape: {sorted(shapes)}", (what,))
    for array in result.values():
        expected = _shape(dims, coordinates, array.shape)
        if array.shape != expected:
            raise InputError(f"arrays have shape {array.shape} but {dims} has the sizes {expected}", (what,))
    return result


def same_coordinates(
    dims: tuple[str, ...],
    coordinates: Mapping[str, np.ndarray],
    other_dims: tuple[str, ...],
    other: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    other_shape: tuple[int, ...],
) -> None:
    """Refuse to compare fields that stand at different points; rounding of single precision is forgiven."""
    if dims != other_dims or set(coordinates) != set(other):
        raise InputError(
            f"the reference has dimensions {other_dims}, the field has {dims}; evaluate both at the same points"
        )
    for name, values in coordinates.items():
        if values.shape != other[name].shape:
            raise InputError(
                f"the reference has {other[name].size} points in {name}, the field {values.size}; "
                "evaluate both at the same points"
            )
        tolerance = ROUNDING * np.abs(values).max(initial=0.0)
        if np.abs(values - other[name]).max(initial=0.0) > tolerance:
            raise InputError(
                f"the reference has other values of {name} than the field; evaluate both at the same points"
            )
    if shape != other_shape:
        raise InputError(f"the reference has shape {other_shape}, the field {shape}")


def _coordinate(name: str, values: Any) -> np.ndarray:
    array = _real(values, ("coordinates", name))
    if array.ndim != 1:
        raise InputError(f"coordinate values must be one-dimensional, got shape {array.shape}", ("coordinates", name))
    if not np.isfinite(array).all():
        raise InputError("coordinate values must be finite", ("coordinates", name))
    return array


def _array(
    array: np.ndarray, given: tuple[str, ...], dims: tuple[str, ...], mask: np.ndarray | None, path: tuple[str, ...]
) -> np.ndarray:
    if array.ndim != len(dims):
        raise InputError(f"array of shape {array.shape} does not have the {len(dims)} dimensions {given}", path)
    result = _real(array.transpose([given.index(dim) for dim in dims]), path)
    if mask is not None and result.shape == mask.shape:
        result = np.where(mask, result, np.nan)
        result.flags.writeable = False
    return result


def _real(values: Any, path: tuple[str, ...]) -> np.ndarray:
    """Copy to a read-only float64 array in C order."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        hint = "; split it into real and imaginary part" if array.dtype.kind == "c" else ""
        raise InputError(f"must be real numbers, got type {array.dtype}{hint}", path)
    array = np.array(array, dtype=np.float64, order="C")
    array.flags.writeable = False
    return array


def _shape(dims: tuple[str, ...], coordinates: Mapping[str, np.ndarray], given: tuple[int, ...]) -> tuple[int, ...]:
    if dims == ("point",):
        return (next(iter(coordinates.values())).size,) if coordinates else given
    return tuple(coordinates[dim].size if dim in coordinates else size for dim, size in zip(dims, given, strict=True))
