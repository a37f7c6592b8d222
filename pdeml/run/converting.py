"""Foreign data sets into ours, and ours into The Well: in blocks, so that the memory does not depend on the size."""

from __future__ import annotations

import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pdeml import __version__
from pdeml.data import Coordinate, Schema, Source, Writer, open_source
from pdeml.data.mask import first_hole, holes, read_inside
from pdeml.data.native import NativeSource
from pdeml.data.schema import FORMAT, RESIDUAL
from pdeml.errors import FileFormatError, InputError, one_of
from pdeml.run.folder import RunFolder

__all__ = ["NOT_KEPT", "TARGETS", "convert"]

TARGETS = ("pdeml", "well")
NOT_KEPT = {"well": "The Well's layout keeps no roles, units, split, statistics or spec, and all values as float32"}
"""Target -> what of a data set its layout has no place for, in words."""
_BLOCK_BYTES = 2**27
_ENDINGS = (".h5", ".hdf5", ".nc")
_RESERVED = ("history", "title", "spec", "seed", "dataset_name")
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_.+-]*")

Progress = Callable[[int, int], None]


def convert(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    coordinates: Mapping[str, Any] | None = None,
    to: str = "pdeml",
    gzip: int = 0,
    allow_nan: bool = False,
    progress: Progress | None = None,
) -> str:
    """Write a data set anew as one of ours, or as a file of The Well.

    Args:
        path: a data set of any format that is read.
        out: the file to write, which must not exist.
        inputs: our name -> the file's name, as of `pdeml.data.open_source`; likewise ``outputs``, ``coordinates``.
        outputs: see ``inputs``.
        coordinates: see ``inputs``.
        to: ``"pdeml"`` or ``"well"``.
        gzip: compression level of ours, 0 (none) to 9.
        allow_nan: write NaN inside the geometry (everywhere, where there is no mask) as they are; otherwise they are
            refused. Statistics are computed anew, over the finite values.
        progress: told (samples written, of how many).

    Returns:
        what was written, in one line.

    Raises:
        InputError: the file is of no known format or damaged, holds NaN, a name is not in it, or ``out`` exists.
        RunError: the disk refuses; nothing is left behind.
    """
    if Path(path).is_dir() and RunFolder(Path(path)).kind == "run":
        raise InputError(f"{path} is a run, which becomes a program: pdeml convert {path} {Path(out).stem}.pt2")
    target = _checked_target(Path(out), to, gzip)
    with open_source(path, inputs=inputs, outputs=outputs, coordinates=coordinates) as source:
        if not source.length:
            raise InputError(f"{source.path}: holds no sample")
        blocks = _blocks(source, allow_nan)
        if to == "well":
            from pdeml.data.formats.well_export import write_well

            if not allow_nan:
                deque(blocks, maxlen=0)  # refuses before anything is written
            write_well(source, target, _title(source), _boundaries(source), progress)
        else:
            schema, residual = _schema(source, gzip)
            with Writer(target, schema, source.length, _attributes(source), keep=False) as writer:
                for sample in (sample for block in blocks for sample in _samples(block)):
                    writer.append(sample, residual)
                    if progress is not None:
                        progress(writer.done, source.length)
                writer.finish(source.split)
        return f"{source.length} samples of {', '.join(source.arrays)} from {source.path.name} ({source.format})"


def _blocks(source: Source, allow_nan: bool) -> Iterator[dict[str, np.ndarray]]:
    """Yield all arrays of some samples after the other; refuse values inside the geometry that are not finite."""
    step = max(1, _BLOCK_BYTES // max(1, sum(info.sample_bytes for info in source.arrays.values())))
    for start in range(0, source.length, step):
        samples = slice(start, start + step)
        block = {name: source.read(name, samples) for name in source.arrays}
        for name, values in block.items():
            missing = None if allow_nan else holes(values)
            inside = None if missing is None else read_inside(source, name, samples)
            if (bad := first_hole(missing, inside)) is not None:
                where = "" if inside is None else " inside the geometry"
                raise FileFormatError(
                    f"{source.path}: array {name!r}, sample {start + bad}: holds NaN or infinite values{where}; "
                    "--allow-nan writes NaN as they are"
                )
        yield block


def _samples(block: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for number in range(len(next(iter(block.values())))):
        yield {name: values[number] for name, values in block.items()}


def _schema(source: Source, gzip: int) -> tuple[Schema, float]:
    """Return the schema to write, and the residual that its samples do not exceed (NaN where that is not known)."""
    if isinstance(source, NativeSource):
        # What a lossy codec left is written as it is.
        schema = replace(source.schema(), codecs={}, gzip=gzip)
        stated = [source.array_attributes(name).get(RESIDUAL, math.nan) for name in schema.arrays]
        return schema, float(np.fmax.reduce(stated))
    used = {dim for info in source.arrays.values() for dim in info.dims}
    axes = {name: Coordinate(values) for name, values in source.coordinates.items() if name in used}
    return Schema(source.arrays, axes, gzip=gzip), math.nan


def _checked_target(target: Path, to: str, gzip: int) -> Path:
    if to not in TARGETS:
        raise InputError(one_of(to, TARGETS, "a format to convert to"))
    if gzip and to != "pdeml":
        raise InputError("compression is of data sets of pdeml; files of The Well are written plain")
    if target.suffix.lower() not in _ENDINGS:
        raise InputError(f"{target}: data sets are HDF5 files; end the name in .h5, .hdf5 or .nc")
    if target.exists():
        raise InputError(f"{target} exists; remove it, or give another name")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; create it first")
    return target


def _attributes(source: Source) -> dict[str, Any]:
    """Return what the file says about itself, as far as it can be kept, and where the samples come from."""
    kept = {
        name: value
        for name, value in source.attrs.items()
        if name not in _RESERVED and _ATTRIBUTE.fullmatch(name) and _is_storable(value)
    }
    own = (
        {name: source.attrs[name] for name in ("spec", "seed") if name in source.attrs}
        if source.format == FORMAT
        else {}
    )
    history = [str(source.attrs["history"])] if "history" in source.attrs else []
    line = f"converted by pdeml {__version__} from {source.path.name} ({source.format})"
    return {**kept, **own, "title": _title(source), "history": "\n".join([*history, line])}


def _is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(part, str) and "\0" not in part for part in value)
    is_list = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf"
    return is_list or isinstance(value, int | float)


def _title(source: Source) -> str:
    given = source.attrs.get("title") or source.attrs.get("dataset_name")
    return given if isinstance(given, str) else source.path.stem


def _boundaries(source: Source) -> dict[str, str]:
    """Return the kinds of boundary conditions: as a file of The Well says, or by the spec of the samples."""
    from pdeml.data.formats.well_export import BOUNDARIES

    stated = {name: source.attrs.get(f"boundary_{name}") for name in source.coordinates}
    known = {name: kind for name, kind in stated.items() if kind in BOUNDARIES}
    periodic = _periodic(str(source.attrs.get("spec") or ""))
    if periodic is not None:
        usual = {name: "periodic" if name in periodic else "wall" for name in source.coordinates if name != "t"}
        known = {**usual, **known}
    return known


def _periodic(spec: str) -> tuple[str, ...] | None:
    """Return the periodic coordinates of a spec; None where there is none that can be read."""
    from pdeml.problem.yaml import from_document
    from pdeml.spec import parse_spec

    if not spec.strip():
        return None
    try:
        return tuple(from_document(parse_spec(spec, "the spec of the data set")).periodic)
    except InputError:
        return None
