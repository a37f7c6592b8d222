"""What an operator is given: arrays checked against its signature, and brought from one grid to another.

Shapes: S (samples), n (points along each dimension of an array).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.data.mask import MASK
from pdeml.data.operator import OperatorData
from pdeml.data.schema import PARTS
from pdeml.data.signature import Axis, Signature
from pdeml.errors import InputError, one_of
from pdeml.nn.interpolate import regrid

__all__ = [
    "axis_points",
    "check_samples",
    "data_entry",
    "in_range",
    "known_points",
    "moved",
    "split_sample",
    "wanted_arrays",
]

Arrays = dict[str, np.ndarray]


def wanted_arrays(signature: Signature) -> dict[str, tuple[str, ...]]:
    """Return name -> dimensions (without samples) of what the operator is given.

    An operator that goes on in time is given, under the names of its outputs, their first frames.
    """
    found = {quantity.name: quantity.dims for quantity in signature.inputs}
    if signature.march is not None:
        found = {quantity.name: quantity.dims for quantity in signature.outputs} | found
    return found


def check_samples(
    signature: Signature, inputs: Mapping[str, Any], coordinates: Mapping[str, Any]
) -> tuple[Arrays, Arrays]:
    """Check what a user gives.

    Args:
        signature: of the operator.
        inputs: name -> (S, *n); ``mask`` too where the operator was trained with one.
        coordinates: dimension -> values, of some or all dimensions.

    Returns: the arrays by name, and the points of every dimension but the time of an operator that goes on in time.

    Raises:
        InputError: a name is missing or unknown, shapes do not fit, or values are not finite.
    """
    wanted = wanted_arrays(signature)
    arrays = {name: _array(name, values) for name, values in inputs.items()}
    for name in arrays:
        if name not in wanted and not (signature.masked and name == MASK):
            raise InputError(one_of(name, wanted, "an input of the operator"), ("inputs", name))
    for name in (*wanted, *((MASK,) if signature.masked else ())):
        if name not in arrays:
            raise InputError(f"the input {name!r} is missing; given: {', '.join(arrays) or 'nothing'}", ("inputs",))
    for name, dims in wanted.items():
        _check_shape(name, arrays[name], dims)
    if MASK in arrays:
        wanted = {**wanted, MASK: _mask_dims(signature, arrays[MASK])}
        _check_shape(MASK, arrays[MASK], wanted[MASK])
    _check_counts(arrays)
    march = signature.march
    grid = _grid(signature, arrays, wanted, coordinates)
    if march is not None:
        _check_history(signature, arrays)
    _check_finite(arrays, wanted)
    return arrays, grid


def axis_points(axis: Axis, size: int) -> np.ndarray:
    """Return that many points over the range of training; of a periodic axis without the end of the period."""
    return np.linspace(axis.low, axis.high, size, endpoint=not axis.periodic)


def known_points(points: np.ndarray, asked: np.ndarray) -> np.ndarray | None:
    """Return where the asked points are among the known ones; None where they are not."""
    if not len(points) or not len(asked):
        return None
    nearest = np.abs(points[None, :] - asked[:, None]).argmin(1)
    step = np.abs(np.diff(points)).min() if len(points) > 1 else 1.0
    return nearest if np.allclose(points[nearest], asked, rtol=0, atol=1e-4 * step) else None


def moved(signature: Signature, arrays: Mapping[str, np.ndarray], given: Arrays, asked: Arrays) -> Arrays:
    """Interpolate arrays from one grid to another: cubic along each axis, masks to the nearest point.

    Args:
        signature: says which dimensions an array has, and which axes are periodic.
        arrays: name -> (S, *n).
        given: dimension -> (n,) points.
        asked: dimension -> (m,) points; dimensions that are missing stay as they are.

    Returns: name -> (S, *m).
    """
    dims = wanted_arrays(signature)
    found = {}
    for name, values in arrays.items():
        own = _mask_dims(signature, values) if name == MASK else dims[name]
        for number, dim in enumerate(own):
            if dim not in asked or np.array_equal(asked[dim], given[dim]):
                continue
            axis = signature.axis(dim)
            values = _along(values, number + 1, given[dim], asked[dim], axis, name == MASK)
        found[name] = values
    return found


def split_sample(signature: Signature, sample: Mapping[str, np.ndarray]) -> tuple[Arrays, Arrays]:
    """Divide whole samples into what the operator is given and the outputs it should give.

    Args:
        signature: of the operator.
        sample: name -> (S, *n), inputs and, where they are known, outputs; over all times.

    Returns: inputs (the first frames of the outputs among them, of an operator that goes on in time), and outputs (the
        frames that follow).
    """
    names = [quantity.name for quantity in signature.outputs]
    outputs = {name: sample[name] for name in names if name in sample}
    inputs = {name: values for name, values in sample.items() if name not in names}
    if signature.march is None:
        return inputs, outputs
    history = signature.march.history
    for quantity in signature.outputs:
        if quantity.name not in outputs:
            raise InputError(f"the first {history} frames of {quantity.name!r} are missing", ("inputs",))
    inputs |= {name: values[:, :history] for name, values in outputs.items()}
    return inputs, {name: values[:, history:] for name, values in outputs.items()}


def in_range(signature: Signature, x: np.ndarray, names: Sequence[str], frames: int) -> np.ndarray:
    """Refuse points beyond the range; those of periodic axes are taken back into it."""
    x, march = x.copy(), signature.march
    for column, name in enumerate(names):
        axis = signature.axis(name)
        low, high = axis.low, axis.high
        if axis.periodic:
            x[:, column] = low + np.mod(x[:, column] - low, high - low)
            continue
        if march is not None and name == march.time:
            low += march.history * march.step
            high = low + (frames - 1) * march.step
        slack = 1e-6 * (high - low)
        if ((x[:, column] < low - slack) | (x[:, column] > high + slack)).any():
            raise InputError(f"{name} lies between {low:g} and {high:g}", ("points", name))
    return x


def data_entry(data: OperatorData) -> Any:
    """Return the key ``data`` of a spec that names the same samples, wherever it stands."""
    files = [data.file] if isinstance(data.file, str | os.PathLike) else list(data.file)
    entry: dict[str, Any] = {"file": [str(Path(file).resolve()) for file in files]}
    if len(files) == 1:
        entry["file"] = entry["file"][0]
    for name in PARTS:
        portion = getattr(data, name)
        if portion is not None:
            entry[name] = str(Path(portion).resolve()) if isinstance(portion, str | os.PathLike) else portion
    names = {key: getattr(data, key) for key in ("inputs", "outputs", "coordinates")}
    return entry | {key: dict(value) for key, value in names.items() if value}


def _array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"must hold real numbers, got {array.dtype}", ("inputs", name))
    return array


def _check_shape(name: str, array: np.ndarray, dims: tuple[str, ...]) -> None:
    if array.ndim != len(dims) + 1:
        wanted = ", ".join(("samples", *dims))
        hint = "; a single sample is given as array[None]" if array.ndim == len(dims) else ""
        raise InputError(f"must have the shape ({wanted}), got {array.shape}{hint}", ("inputs", name))
    if 0 in array.shape:
        raise InputError(f"holds nothing: it has the shape {array.shape}", ("inputs", name))


def _check_counts(arrays: Arrays) -> None:
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"the inputs have different numbers of samples: {listed}", ("inputs",))


def _grid(
    signature: Signature, arrays: Arrays, wanted: Mapping[str, tuple[str, ...]], coordinates: Mapping[str, Any]
) -> Arrays:
    march = signature.march
    dims = [axis.name for axis in signature.axes if march is None or axis.name != march.time]
    sizes: dict[str, tuple[str, int]] = {}
    for name, own in wanted.items():
        for dim, size in zip(own, arrays[name].shape[1:], strict=True):
            if dim in dims and sizes.setdefault(dim, (name, size))[1] != size:
                other, known = sizes[dim]
                raise InputError(f"has {size} points along {dim!r}, {other!r} has {known}", ("inputs", name))
    for name in coordinates:
        if name not in dims:
            raise InputError(one_of(name, dims, "a coordinate of the operator"), ("coordinates", name))
    grid = {}
    for dim in dims:
        axis = signature.axis(dim)
        size = sizes[dim][1] if dim in sizes else axis.size
        points = axis_points(axis, size) if dim not in coordinates else _points(dim, coordinates[dim])
        if dim in sizes and len(points) != size:
            raise InputError(f"{len(points)} values, but {sizes[dim][0]!r} has {size} points", ("coordinates", dim))
        grid[dim] = points
    return grid


def _points(dim: str, values: Any) -> np.ndarray:
    points = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if points.ndim != 1 or not np.isfinite(points).all() or not (np.diff(points) > 0).all():
        raise InputError("must be finite values that increase", ("coordinates", dim))
    return points


def _check_history(signature: Signature, arrays: Arrays) -> None:
    march = signature.march
    for quantity in signature.outputs:
        frames = arrays[quantity.name].shape[1]
        if frames != march.history:
            raise InputError(f"must be the first {march.history} frames, got {frames}", ("inputs", quantity.name))


def _check_finite(arrays: Arrays, wanted: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse what is not finite; outside the mask it becomes zero."""
    inside = arrays.get(MASK)
    for name, values in arrays.items():
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        missing = ~np.isfinite(values)
        if inside is not None and name != MASK and set(wanted[MASK]) <= set(wanted[name]):
            outside = (inside == 0).reshape(_spread_shape(inside, wanted[MASK], wanted[name]))
            arrays[name] = np.where(missing & outside, 0.0, values)
            missing = missing & ~outside
        if missing.any():
            where = "" if inside is None else " inside the geometry"
            raise InputError(
                f"sample {int(missing.reshape(len(missing), -1).any(1).argmax())} holds NaN or infinite values{where}",
                ("inputs", name),
            )


def _spread_shape(mask: np.ndarray, own: tuple[str, ...], dims: tuple[str, ...]) -> tuple[int, ...]:
    sizes = dict(zip(own, mask.shape[1:], strict=True))
    return (len(mask), *(sizes.get(dim, 1) for dim in dims))


def _mask_dims(signature: Signature, mask: np.ndarray) -> tuple[str, ...]:
    return signature.space[len(signature.space) - (mask.ndim - 1) :]


def _along(
    values: np.ndarray, axis: int, given: np.ndarray, asked: np.ndarray, info: Axis, nearest: bool
) -> np.ndarray:
    if nearest:
        return values.take(np.abs(given[None] - asked[:, None]).argmin(1), axis)
    period = info.high - info.low if info.periodic else None
    points = [torch.from_numpy(np.array(part, np.float64)) for part in (given, asked)]
    last = torch.from_numpy(np.array(np.moveaxis(values, axis, -1), np.float64, order="C"))
    return np.moveaxis(regrid(last, points[:1], points[1:], [period]).numpy(), -1, axis)
