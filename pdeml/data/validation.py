"""Whether a file is a valid data set (``dataset/1``): each broken rule of `pdeml.data.schema` in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from pdeml.data.mask import first_hole, holes, read_inside
from pdeml.data.native import PART_SUFFIX, NativeSource
from pdeml.data.schema import FORMAT, SAMPLE, SMALLEST_CHUNK, SPLIT, STATISTICS
from pdeml.data.source import Source
from pdeml.data.statistics import Moments
from pdeml.errors import FileFormatError
from pdeml.files import is_scale, open_hdf5, read_attributes, variable_dims

__all__ = ["sample_problems", "validate"]

_ROOT = ("Conventions", "pdeml_format", "pdeml_version", "title", "history", "spec")
_FLETCHER = h5py.h5z.FILTER_FLETCHER32


def validate(path: str | os.PathLike[str], data: bool = False) -> list[str]:
    """Return what is wrong with a data set or a ``.part``, one sentence each; empty if it is valid.

    Args:
        path: the file.
        data: also read all samples, as `sample_problems` does.

    Raises:
        FileFormatError: if the file cannot be opened as HDF5, or is unsafe.
    """
    with open_hdf5(path) as file:
        problems = [*_root_problems(file), *_array_problems(file, Path(path).suffix != PART_SUFFIX)]
    try:
        with NativeSource(path) as source:
            problems += _source_problems(source)
            if data:
                problems += sample_problems(source)
    except FileFormatError as error:
        problems.append(str(error).removeprefix(f"{Path(path)}: "))
    return problems


def _root_problems(file: h5py.File) -> Iterator[str]:
    attrs = read_attributes(file, strict=False)
    for name in _ROOT:
        if name not in attrs:
            yield f"the attribute {name!r} is missing"
    if attrs.get("spec") and "seed" not in attrs:
        yield "the attribute 'seed' is missing"
    if not str(attrs.get("Conventions", "CF-")).startswith("CF-"):
        yield f"its Conventions are {attrs['Conventions']!r:.40}, not CF"
    if attrs.get("pdeml_format", FORMAT) != FORMAT:
        yield f"its pdeml_format is {attrs['pdeml_format']!r:.40}, not {FORMAT}"


def _array_problems(file: h5py.File, finished: bool) -> Iterator[str]:
    for name, item in file.items():
        if not isinstance(item, h5py.Dataset):
            yield f"{name!r} is a group; a data set has all arrays at its root"
            continue
        attrs = read_attributes(item, strict=False)
        scale = is_scale(item)
        if scale and "units" not in attrs:
            continue  # a dimension without values
        for attribute in ("units", "long_name", "role"):
            if attribute not in attrs:
                yield f"array {name!r} has no attribute {attribute!r}"
        if scale:
            yield from _coordinate_problems(name, item)
        elif item.dtype.kind not in "iuf":
            yield f"array {name!r} holds values of type {item.dtype}, not numbers"
        else:
            yield from _stored_problems(name, item, attrs, finished)


def _coordinate_problems(name: str, item: h5py.Dataset) -> Iterator[str]:
    if item.ndim != 1 or item.dtype.kind not in "iuf":
        yield f"coordinate {name!r} is no list of numbers"
        return
    steps = np.diff(item[()])
    if not np.isfinite(steps).all() or not ((steps > 0).all() or (steps < 0).all()):
        yield f"coordinate {name!r} is not strictly monotone"


def _stored_problems(name: str, item: h5py.Dataset, attrs: dict, finished: bool) -> Iterator[str]:
    if variable_dims(item)[:1] != (SAMPLE,):
        yield f"array {name!r} has no leading dimension {SAMPLE!r}"
        return
    plist = item.id.get_create_plist()
    if _FLETCHER not in [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]:
        yield f"array {name!r} has no Fletcher-32 checksums"
    if item.chunks is None or item.chunks[1:] != item.shape[1:]:
        yield f"array {name!r} is not stored in chunks of whole samples"
    elif item.chunks[0] < len(item) and np.prod(item.chunks) * item.dtype.itemsize < SMALLEST_CHUNK:
        yield f"array {name!r} has chunks below 256 KiB"
    if finished and name != SPLIT:
        missing = [key for key in STATISTICS if np.isnan(_number(attrs.get(key)))]
        if missing and not (missing == list(STATISTICS[:-1]) and attrs["count"] == 0):
            yield f"array {name!r} lacks the statistics {', '.join(missing)}"


def _source_problems(source: NativeSource) -> Iterator[str]:
    if source.path.suffix != PART_SUFFIX and source.length < source.announced:
        yield f"it holds {source.length} of {source.announced} samples"


def sample_problems(source: Source) -> Iterator[str]:
    """Read all samples, in blocks, and yield what is wrong with them, one sentence each.

    That is: what cannot be read (checksums), values that are not finite inside the geometry (`pdeml.data.mask`), and
    statistics other than those of the values.
    """
    train = source.split.get("train", ())
    counted = np.isin(np.arange(source.length), train) if len(train) else np.ones(source.length, bool)
    for name in source.arrays:
        moments = Moments()
        try:
            for start, values, bad in _blocks(source, name):
                if bad is not None:
                    yield f"array {name!r}, sample {start + bad}: holds values that are not finite"
                    break
                moments.add(values[counted[start : start + len(values)]])
            else:
                yield from _statistics_problems(name, source.statistics.get(name, {}), moments)
        except FileFormatError as error:
            yield str(error).removeprefix(f"{source.path}: ")


def _blocks(source: Source, name: str) -> Iterator[tuple[int, np.ndarray, int | None]]:
    """Yield the first sample of each block, the values, and the first sample in it that is not finite."""
    chunk = source.chunk_samples(name)
    step = chunk * max(1, SMALLEST_CHUNK // max(1, chunk * source.arrays[name].sample_bytes))
    for start in range(0, source.length, step):
        samples = slice(start, start + step)
        values = source.read(name, samples)
        missing = holes(values)
        inside = None if missing is None else read_inside(source, name, samples)
        yield start, values, first_hole(missing, inside)


def _statistics_problems(name: str, stated: Mapping[str, float], moments: Moments) -> Iterator[str]:
    found = moments.statistics()
    rounding = 1e-9 * max(abs(found["min"]), abs(found["max"]))  # of sums in another order
    for key in STATISTICS:
        value = stated.get(key, np.nan)
        allowed = rounding if key in ("mean", "std") else 0.0
        if np.isfinite(value) and not abs(value - found[key]) <= allowed:
            yield f"array {name!r}: its {key} is {found[key]:.6g}, but {value:.6g} is stated"
            return


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
