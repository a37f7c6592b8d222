"""What is in a run, a data set, a field file or a tensor file, in words; needs torch for ``.pt`` files alone."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from pdeml.data import Source, open_source, sample_problems, validate
from pdeml.data.native import NativeSource
from pdeml.errors import FileFormatError, InputError, PdemlError
from pdeml.files import open_hdf5, read_attributes, read_json_lines, tensor_shapes, variable_dims
from pdeml.run.describing import describe_samples
from pdeml.run.finding import find_run
from pdeml.run.folder import RunFolder

__all__ = ["inspect"]

_CASES = re.compile(r"case\d+|bc|geo|prop|cavity|tube|dam|cylinder")
_TOLD = 3  # problems of a data set
_DATA_ENDINGS = (".npy", ".h5", ".hdf5")


def inspect(
    path: str | os.PathLike[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    coordinates: Mapping[str, Any] | None = None,
    check: bool = False,
) -> str:
    """Describe a run directory, a field file, a data set of any format that is read, or a checkpoint.

    Args:
        path: the file or folder.
        inputs: names in a data set, as of `pdeml.data.open_source`; likewise ``outputs`` and ``coordinates``.
        outputs: see ``inputs``.
        coordinates: see ``inputs``.
        check: read all samples of a data set, and verify checksums, statistics, and that values inside the geometry
            are finite.

    Raises:
        InputError: there is nothing, or nothing that is known, or nothing that can be checked.
        FileFormatError: the data set is damaged, or not as it says.
    """
    given = Path(path)
    described = _described(given)
    if described is not None:
        if check:
            raise InputError(f"{given} is no data set; only data sets can be checked")
        return "\n".join(described)
    with open_source(given, inputs=inputs, outputs=outputs, coordinates=coordinates) as source:
        if check:
            _check(source)
        return "\n".join(describe_samples(source, checked=check))


def _check(source: Source) -> None:
    """Refuse a data set that is not as it says."""
    ours = isinstance(source, NativeSource)
    found = validate(source.path, data=True) if ours else list(sample_problems(source))
    if found:
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise FileFormatError(f"{source.path}: {'; '.join(found[:_TOLD])}{more}")


def _described(given: Path) -> Iterator[str] | None:
    """Return the lines about what is no data set; None for what may be one."""
    if RunFolder(given.parent).checkpoint == given and RunFolder(given.parent).state.is_file():
        given = RunFolder(given.parent).state
    if not given.exists() or (given.is_dir() and not _is_data_folder(given)):
        return _run(find_run(given))
    ending = given.suffix.lower()
    if ending in (".yaml", ".yml"):
        raise InputError(f"{given} is a spec; `pdeml validate {given}` says what it describes")
    if ending == ".safetensors":
        return _tensors(given)
    return _field(given) if _is_field(given) else None


def _is_data_folder(folder: Path) -> bool:
    """Whether a folder that is no run may be a data set: it holds arrays, or folders of cases."""
    if RunFolder(folder).kind == "run":
        return False
    return any(
        entry.suffix.lower() in _DATA_ENDINGS or (entry.is_dir() and _CASES.fullmatch(entry.name))
        for entry in folder.iterdir()
    )


def _run(folder: RunFolder) -> Iterator[str]:
    summary = folder.read_summary() if folder.is_finished else {}
    yield f"run {summary.get('name', folder.path.resolve().name)}: " + ("finished" if summary else "unfinished")
    if summary:
        yield from _summary(summary)
    if folder.state.is_file():
        shapes, meta = tensor_shapes(folder.state)
        numbers = f"z of {shapes['z'][0]}" if shapes.get("z", [0])[0] else str(sum(map(math.prod, shapes.values())))
        yield f"  checkpoint: step {meta.get('step')}, {len(shapes)} tensors, {numbers} numbers"
    elif not summary:
        yield "  checkpoint: none yet"
    if folder.metrics.is_file():
        rows = read_json_lines(folder.metrics)
        last = {key: value for key, value in (rows[-1] if rows else {}).items() if key != "step"}
        shown = ", ".join(f"{key} {value:.2e}" for key, value in last.items() if isinstance(value, (int, float)))
        yield f"  metrics: {len(rows)} steps" + (f", last {shown}" if shown else "")
    if folder.fields.is_file():
        yield from (f"  {line}" for line in _field(folder.fields))


def _summary(summary: dict[str, Any]) -> Iterator[str]:
    yield f"  verdict: {summary.get('verdict')}"
    for name, entry in (summary.get("errors") or {}).items():
        numbers = ", ".join(f"{key} {_short(value)}" for key, value in entry.items())
        yield f"  error of {name}: {numbers}"
    for name, value in (summary.get("residuals") or {}).items():
        yield f"  residual of {name}: {_short(value)}"
    facts = ("kind", "steps", "parameters", "seconds", "device", "precision", "seed")
    yield "  " + ", ".join(f"{key} {_short(summary[key])}" for key in facts if key in summary)
    yield "  versions: " + ", ".join(f"{name} {text}" for name, text in (summary.get("versions") or {}).items())


def _is_field(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            return str(file.attrs.get("pdeml_format", "")).startswith("field/")
    except (OSError, RuntimeError, KeyError):
        return False


def _field(path: Path) -> Iterator[str]:
    with open_hdf5(path) as file:
        attrs = read_attributes(file, strict=False)
        kind = attrs["pdeml_format"]
        yield f"{path.name}: field ({kind})" + (f", {attrs['title']}" if attrs.get("title") else "")
        arrays = {
            name: item
            for name, item in file.items()
            if isinstance(item, h5py.Dataset) and item.shape is not None and not _is_bare_dimension(item)
        }
        for name, item in arrays.items():
            yield f"  {name}{_dims(item)}" + _about(item)
        shown = {key: attrs[key] for key in ("pdeml_version", "seed", "history") if key in attrs}
        yield "  " + ", ".join(f"{key}: {value}" for key, value in shown.items())


def _is_bare_dimension(item: h5py.Dataset) -> bool:
    """Whether this is a dimension without values, which netCDF marks so."""
    return str(item.attrs.get("NAME", b"")).find("netCDF dimension but not a netCDF variable") >= 0


def _dims(item: h5py.Dataset) -> str:
    try:
        names = variable_dims(item)
    except PdemlError:
        names = ("?",) * item.ndim
    return f"({', '.join(f'{name}: {size}' for name, size in zip(names, item.shape, strict=True))})"


def _about(item: h5py.Dataset) -> str:
    attrs = read_attributes(item, strict=False)
    parts = [str(attrs[key]) for key in ("role", "units") if key in attrs and attrs[key] != "1"]
    is_axis = item.ndim == 1 and item.size and item.dtype.kind in "iuf" and item.is_scale
    span = [f"from {item[0]:.6g} to {item[-1]:.6g}"] if is_axis else []
    return "".join(f", {part}" for part in (*parts, *span))


def _tensors(path: Path) -> Iterator[str]:
    shapes, meta = tensor_shapes(path)
    yield f"{path.name}: {len(shapes)} tensors" + (f", step {meta['step']}" if "step" in meta else "")
    for name, shape in shapes.items():
        yield f"  {name}: {' x '.join(map(str, shape)) or 'a number'}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)
