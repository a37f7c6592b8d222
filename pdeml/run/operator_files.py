"""An operator on the samples of another file: predictions in blocks, and the file as a part to measure errors on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pdeml import __version__
from pdeml.data import ArrayInfo, Coordinate, Dataset, Schema, Source, Writer, open_source
from pdeml.data.axes import Axes
from pdeml.data.mask import MASK
from pdeml.data.part import Part
from pdeml.data.signature import Signature
from pdeml.errors import FileFormatError, InputError
from pdeml.field import Field
from pdeml.files import TEMPORARY_SUFFIX, size_text
from pdeml.solvers.operator_inputs import split_sample, wanted_arrays
from pdeml.solvers.operator_solution import OperatorSolution

__all__ = ["NAMES", "part_of_file", "predict_file"]

NAMES = ("inputs", "outputs", "coordinates")
"""What `open_source` must be told of files that do not say."""
_BLOCK_BYTES = 2**25

File = str | os.PathLike[str]
Names = Mapping[str, Any]


def predict_file(
    solution: OperatorSolution,
    file: File,
    target: Path,
    sizes: Mapping[str, int],
    spec: str,
    names: Names | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """Apply an operator to all samples of a data set, block by block, and write a data set of what it gives.

    It holds the outputs, ``NAME_std`` where there are several members, and where the file has the outputs at the same
    points ``NAME_reference`` and ``NAME_error``. The memory needed does not depend on the number of samples.

    Args:
        solution: the operator.
        file: of any format that is read.
        target: the HDF5 file; one that is there is replaced when all is written.
        sizes: points per coordinate; those left out: as in the file.
        spec: of the run, kept in the file.
        names: ``inputs``, ``outputs`` and ``coordinates`` of `open_source`, for files that do not say.
        progress: told (samples written, of how many).

    Returns: what was written, in one line.

    Raises:
        InputError: the file lacks inputs, or they have other dimensions than the operator takes.
        RunError: the disk refuses; nothing is left behind.
    """
    if target.exists() and Path(file).exists() and target.samefile(file):
        raise InputError(f"-o {target}: is the file of the samples itself; give another name")
    scratch = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    source, named = _opened(solution, file, names)
    with source:
        blocks = _predicted(solution, source, _axes(solution, source, named), sizes)
        first = next(blocks)
        schema = _schema(solution.signature, first)
        history = f"predicted by pdeml {__version__} from {source.path.name} ({source.format})"
        attrs = {"title": solution.name, "spec": spec, "seed": solution.record.seed, "history": history}
        try:
            with closing(blocks), Writer(scratch, schema, source.length, attrs, keep=False) as writer:
                field: Field | None = first
                while field is not None:
                    for arrays in _rows(field, schema):
                        writer.append(arrays)
                        if progress is not None:
                            progress(writer.done, source.length)
                    field = next(blocks, None)
                writer.finish(source.split)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
        shown = ", ".join(schema.arrays)
        return f"{source.length} samples of {shown} on {_sizes_text(first)}, {size_text(target.stat().st_size)}"


def part_of_file(solution: OperatorSolution, file: File, names: Names | None = None) -> Part:
    """Return all samples of a file, inputs and outputs, as a part; on any grid.

    Args:
        solution: the operator.
        file: of any format that is read.
        names: see `predict_file`.

    Raises:
        InputError: the file lacks inputs or outputs, or they have other dimensions.
    """
    signature = solution.signature
    source, named = _opened(solution, file, names)
    with source:
        for quantity in signature.outputs:
            _check_array(source, quantity.name, quantity.dims, "output")
        axes = _axes(solution, source, named)
    arrays = [*wanted_arrays(signature), *(quantity.name for quantity in signature.outputs)]
    arrays = list(dict.fromkeys([*arrays, *([MASK] if signature.masked else [])]))
    dataset = Dataset(file, None, arrays=arrays, window=axes.window, names=named, dtype=None)
    return Part(dataset, axes.points)


def _opened(solution: OperatorSolution, file: File, given: Names | None) -> tuple[Source, dict[str, Any]]:
    """Open a file by its own names, or where they do not do by the user's, or by those that the run gave its data."""
    signature, known = solution.signature, solution.source
    known = {key: known[key] for key in NAMES if known.get(key)} if isinstance(known, Mapping) else {}
    asked = {key: value for key, value in (given or {}).items() if value}
    wanted = wanted_arrays(signature) | ({MASK: None} if signature.masked else {})
    try:
        found, names = open_source(file, **asked), asked
    except InputError:
        if not known:
            raise
        names = {**known, **asked}
        found = open_source(file, **names)
    if known and names is asked and not set(wanted) <= set(found.arrays):
        with suppress(InputError):
            other = open_source(file, **{**known, **asked})
            found.close()
            found, names = other, {**known, **asked}
    try:
        for name, dims in wanted.items():
            _check_array(found, name, dims, "input")
        _check_length(signature, found)
    except InputError:
        found.close()
        raise
    return found, names


def _check_array(source: Source, name: str, dims: tuple[str, ...] | None, role: str) -> None:
    if name not in source.arrays:
        held = ", ".join(f"{info.name}({', '.join(info.dims)})" for info in source.arrays.values())
        listed = "" if dims is None else f"({', '.join(dims)})"
        raise FileFormatError(
            f"{source.path}: has no {role} {name}{listed} of the operator; it holds {held}; if it goes by another "
            f"name: --{role}s {name}=NAME"
        )
    found = source.arrays[name].dims
    if dims is not None and found != dims:
        raise FileFormatError(
            f"{source.path}: {name!r} has the dimensions ({', '.join(found)}), the operator takes ({', '.join(dims)}); "
            f"another array of the file may stand for it: --{role}s {name}=NAME"
        )


def _check_length(signature: Signature, source: Source) -> None:
    if not source.length:
        raise FileFormatError(f"{source.path}: holds no sample")
    march = signature.march
    if march is None:
        return
    info = source.arrays[signature.outputs[0].name]
    frames = info.shape[info.dims.index(march.time)]
    if frames <= march.history:
        raise FileFormatError(
            f"{source.path}: {info.name!r} has {frames} frames; the operator sees {march.history} and makes those "
            "that follow"
        )
    times = source.coordinates.get(march.time)
    if times is not None and not np.allclose(np.diff(times), march.step, rtol=1e-3):
        raise FileFormatError(
            f"{source.path}: its frames are {np.diff(times).mean():g} apart, the operator was trained for steps of "
            f"{march.step:g}"
        )


def _axes(solution: OperatorSolution, source: Source, names: Names) -> Axes:
    """Return the points of every dimension: as the file or the user says, else over the range of training."""
    signature = solution.signature
    wanted = dict.fromkeys([*wanted_arrays(signature), *(quantity.name for quantity in signature.outputs)])
    arrays = [source.arrays[name] for name in wanted if name in source.arrays]
    dims = {dim for info in arrays for dim in info.dims}
    axes = [axis for axis in signature.axes if axis.name in dims]
    unknown = (axis for axis in axes if axis.name not in source.coordinates or axis.name in source.counted)
    ranges = {axis.name: (axis.low, axis.high) for axis in unknown} | dict(names.get("coordinates") or {})
    repeating = [axis.name for axis in axes if axis.periodic]
    return Axes.of(source, arrays, ranges, repeating, solution.problem)


def _predicted(solution: OperatorSolution, source: Source, axes: Axes, sizes: Mapping[str, int]) -> Iterator[Field]:
    signature = solution.signature
    outputs = [quantity.name for quantity in signature.outputs if quantity.name in source.arrays]
    names = list(dict.fromkeys([*wanted_arrays(signature), *outputs, *([MASK] if signature.masked else [])]))
    step = max(1, _BLOCK_BYTES // sum(source.arrays[name].sample_bytes for name in names))
    for start in range(0, source.length, step):
        rows = slice(start, min(start + step, source.length))
        sample = {name: source.read(name, rows, _window(source.arrays[name].dims, axes)) for name in names}
        inputs, known = split_sample(signature, sample)
        yield solution.on_samples(inputs, known, axes.points, sizes)


def _window(dims: tuple[str, ...], axes: Axes) -> dict[str, slice]:
    return {dim: part for dim, part in axes.window.items() if dim in dims}


def _schema(signature: Signature, field: Field) -> Schema:
    dims, shape = field.dims[1:], field.shape[1:]
    arrays = {}
    for quantity in signature.outputs:
        for suffix, text in _companions(field).items():
            name = quantity.name + suffix
            arrays[name] = ArrayInfo(
                name, dims, shape, np.dtype("float32"), "output", quantity.unit, text.format(quantity.name)
            )
    if signature.masked:
        info = np.dtype("int8")
        arrays[MASK] = ArrayInfo(MASK, dims, shape, info, "input", "1", "1 inside the geometry")
    axes = {dim: Coordinate(field.coordinates[dim], field.unit(dim)) for dim in dims}
    return Schema(arrays, axes)


def _companions(field: Field) -> dict[str, str]:
    """Return suffix -> what stands under it."""
    found = {"": "{}"}
    if field.std:
        found["_std"] = "standard deviation of {}"
    if field.reference:
        found |= {"_reference": "reference of {}", "_error": "error of {}"}
    return found


def _rows(field: Field, schema: Schema) -> Iterator[dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray] = {}
    for name, values in field.values.items():
        arrays[name] = values
        if f"{name}_std" in schema.arrays:
            arrays[f"{name}_std"] = field.std[name]
        if f"{name}_reference" in schema.arrays:
            arrays[f"{name}_reference"] = field.reference[name]
            arrays[f"{name}_error"] = values - field.reference[name]
    if MASK in schema.arrays:
        arrays[MASK] = np.ones(field.shape, np.int8) if field.mask is None else field.mask.astype(np.int8)
    for number in range(field.sizes["sample"]):
        yield {name: values[number] for name, values in arrays.items()}


def _sizes_text(field: Field) -> str:
    return ", ".join(f"{dim} {size}" for dim, size in zip(field.dims[1:], field.shape[1:], strict=True))
