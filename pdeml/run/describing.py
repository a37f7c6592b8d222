"""A data set in words: its arrays, coordinates, split and attributes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.data import ArrayInfo, Source
from pdeml.data.mask import MASK
from pdeml.data.schema import FORMAT
from pdeml.files import size_text

__all__ = ["describe_samples"]

_LOOK_SAMPLES, _LOOK_BYTES = 8, 2**25
_LONGEST = 100


def describe_samples(source: Source, checked: bool = False) -> Iterator[str]:
    """Yield the lines that describe a data set; of files without statistics a few samples are read for the ranges.

    Args:
        source: the data set.
        checked: whether all samples have been read and are as the file says.
    """
    yield f"{source.path.name}: data set ({source.format}), {_count(source)}, {size_text(_bytes(source.path))}"
    title = source.attrs.get("title")
    if title and title != source.path.stem:
        yield f"  title: {title}"
    for info in source.arrays.values():
        dims = ", ".join(f"{dim}: {size}" for dim, size in zip(info.dims, info.shape, strict=True))
        unit = [] if info.unit == "1" else [f"in {info.unit}"]
        yield f"  {info.name}({dims}), " + ", ".join([info.role, info.dtype.name, *unit, _range(source, info)])
    for name, values in source.coordinates.items():
        span = f" from {values[0]:.6g} to {values[-1]:.6g}" if len(values) else ""
        yield f"  {name}: {len(values)} points{span}"
    if source.split:
        yield "  split: " + ", ".join(f"{part} {len(numbers)}" for part, numbers in source.split.items())
    yield from _attributes(source.attrs)
    if checked:
        where = " inside the geometry" if MASK in source.arrays else ""
        stored = ", checksums and statistics are right" if source.format == FORMAT and source.complete else ""
        yield f"  checked: {source.length} samples read, every value{where} is finite{stored}"
    elif source.format == FORMAT and source.complete:
        yield "  ranges are as the file states them; --check reads all samples and verifies them"


def _count(source: Source) -> str:
    if source.complete:
        return "1 sample" if source.length == 1 else f"{source.length} samples"
    announced = getattr(source, "announced", None)
    of = f" of {announced}" if announced is not None else ""
    return f"unfinished: {source.length}{of} samples are done"


def _range(source: Source, info: ArrayInfo) -> str:
    statistics = getattr(source, "statistics", {}).get(info.name, {})
    if math.isfinite(statistics.get("mean", math.nan)):
        mean, std = statistics["mean"], statistics["std"]
        where = " in training" if len(source.split.get("train", ())) else ""
        return f"from {statistics['min']:.4g} to {statistics['max']:.4g}, mean {mean:.4g}, std {std:.4g}{where}"
    if not source.length:
        return "no sample yet"
    values, where = _look(source, info)
    finite = values[np.isfinite(values)]
    holes = "" if finite.size == values.size else f", {values.size - finite.size} not finite"
    span = f"from {finite.min():.4g} to {finite.max():.4g}" if finite.size else "no finite value"
    return f"{span}{holes} in {where}"


def _look(source: Source, info: ArrayInfo) -> tuple[np.ndarray, str]:
    """Read a few samples, or some of the first where one is large."""
    count = min(_LOOK_SAMPLES, source.length, max(1, _LOOK_BYTES // max(1, info.sample_bytes)))
    step = max(1, info.sample_bytes // _LOOK_BYTES)
    if step > 1:
        return source.read(info.name, [0], {info.dims[0]: slice(None, None, step)}), "parts of the first sample"
    where = (
        "all samples" if count == source.length else f"the first {count} samples" if count > 1 else "the first sample"
    )
    return source.read(info.name, slice(count)), where


def _attributes(attrs: Mapping[str, Any]) -> Iterator[str]:
    for name, value in attrs.items():
        if name in ("Conventions", "pdeml_format", "samples", "title", "spec") or _is_empty(value):
            continue
        shown = value.tolist() if isinstance(value, np.ndarray) else f"{value:.6g}" if type(value) is float else value
        lines = str(shown).strip().splitlines()
        text = lines[0][:_LONGEST]
        yield f"  {name}: {text}" + (" ..." if len(lines) > 1 or len(lines[0]) > _LONGEST else "")


def _is_empty(value: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return True
    return value is None or (hasattr(value, "__len__") and (not len(value) or not str(value).strip()))


def _bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())
