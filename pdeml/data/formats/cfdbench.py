"""CFDBench (Luo et al., 2023): folders ``cavity``, ``tube``, ``dam``, ``cylinder``, in each ``bc``, ``geo``, ``prop``.

A case is a folder ``caseNNNN`` with ``u.npy``, ``v.npy`` (T, height, width), row 0 at the bottom, and ``case.json``;
its numbers become parameters. Any of these levels may be opened. The cases of a flow may differ in their number of
frames: all are cut to the shortest, and ``frames`` says how many each has. Where all cases have one geometry, x and y
are in metres (centres of cells); otherwise they are fractions of width and height.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.data.formats.found import Format, Found, Names, inside
from pdeml.data.formats.numpy_files import map_npy
from pdeml.data.formats.parts import Part, PartSource, Pieces, identifier
from pdeml.errors import FileFormatError
from pdeml.files import reading

__all__ = ["CFDBENCH"]

_NAME = "CFDBench"
_FLOWS = ("cavity", "tube", "dam", "cylinder")
_SUBSETS = ("bc", "geo", "prop")
_CASE = re.compile(r"case(\d+)")
_CASE_FILES = {"u.npy", "v.npy", "case.json"}
_STEP = {"cylinder": 0.001}  # seconds between frames
_USUAL_STEP = 0.1
_MOST_JSON = 2**20
_EXTENT = {"x": "width", "y": "height"}


def _recognise(found: Found) -> bool:
    return next(_cases(found.path), None) is not None


def _open(found: Found, _: Names) -> PartSource:
    cases = list(_cases(found.path))
    flows = {name for case in cases for name in (*case.parts[:-1], found.path.resolve().name) if name in _FLOWS}
    if len(flows) > 1:
        raise FileFormatError(f"{found.path}: holds the flows {', '.join(sorted(flows))}; open one of these folders")
    flow = next(iter(flows), "")
    records = [_record(found.path, case) for case in cases]
    shapes = {name: [map_npy(inside(found.path, *case.parts, f"{name}.npy")) for case in cases] for name in "uv"}
    frames, height, width = _common(found, cases, shapes)
    lengths = np.array([len(array) for array in shapes["u"]])
    del shapes
    varying = {"frames": lengths, **_numbers(records)}
    parts = {
        name: Part(_field(found, cases, name, (frames, height, width)), ("sample", "t", "y", "x"), "output")
        for name in "uv"
    }
    parts |= {name: Part(values, ("sample",), "parameter") for name, values in varying.items()}
    coordinates = {
        axis: _axis(varying, name, size) for (axis, name), size in zip(_EXTENT.items(), (width, height), strict=True)
    }
    coordinates["t"] = np.arange(frames) * _STEP.get(flow, _USUAL_STEP)
    attrs = {"flow": flow, "cases": ["/".join(case.parts) or found.path.name for case in cases]}
    return PartSource(found, _NAME, parts, coordinates, len(cases), attrs=attrs)


CFDBENCH = Format(_NAME, ("folder",), _recognise, _open)


def _cases(folder: Path, depth: int = 3) -> Iterator[Path]:
    """Yield the folders of cases relative to ``folder``, in the order of flow, subset and number."""
    if _CASE_FILES.issubset(entry.name for entry in folder.iterdir()):
        yield Path()
        return
    if depth:
        entries = [entry for entry in folder.iterdir() if _rank(entry.name) is not None]
        for entry in sorted(entries, key=lambda entry: _rank(entry.name)):
            if entry.is_symlink():
                raise FileFormatError(f"{entry} is a symbolic link; links inside a data set are refused")
            if entry.is_dir():
                yield from (Path(entry.name) / case for case in _cases(entry, depth - 1))


def _rank(name: str) -> tuple[int, int] | None:
    """Return the place of a folder among its neighbours; None if it belongs to no data set."""
    if name in _FLOWS:
        return (0, _FLOWS.index(name))
    if name in _SUBSETS:
        return (1, _SUBSETS.index(name))
    case = _CASE.fullmatch(name)
    return (2, int(case.group(1))) if case and len(name) < 20 else None


def _record(folder: Path, case: Path) -> dict[str, Any]:
    file = inside(folder, *case.parts, "case.json")
    with reading(file, "the parameters of a case"):
        if file.stat().st_size > _MOST_JSON:
            raise FileFormatError(f"{file}: has more than {_MOST_JSON} bytes")
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise FileFormatError(f"{file}: is not valid JSON") from None
    if not isinstance(record, dict):
        raise FileFormatError(f"{file}: must hold a mapping of parameters")
    return record


def _numbers(records: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the parameters that every case has as a number; width and height also where only the ends are given."""
    for record in records:
        for axis, name in _EXTENT.items():
            ends = [record.get(f"{axis}_{end}") for end in ("min", "max")]
            if name not in record and all(isinstance(end, int | float) for end in ends):
                record[name] = ends[1] - ends[0]
    names = [
        name for name in records[0] if name != "case_no" and all(_is_number(record.get(name)) for record in records)
    ]
    return {identifier(name): np.array([float(record[name]) for record in records]) for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _common(found: Found, cases: list[Path], arrays: Mapping[str, list[np.ndarray]]) -> tuple[int, int, int]:
    """Return frames, height and width that all cases have."""
    for case, u, v in zip(cases, arrays["u"], arrays["v"], strict=True):
        where = found.path / case
        if u.ndim != 3 or u.shape != v.shape:
            raise FileFormatError(f"{where}: u and v must both be (frames, height, width), got {u.shape} and {v.shape}")
        if u.shape[1:] != arrays["u"][0].shape[1:]:
            raise FileFormatError(
                f"{where}: has frames of {u.shape[1:]} points, the first case of {arrays['u'][0].shape[1:]}"
            )
    return (min(len(array) for array in arrays["u"]), *arrays["u"][0].shape[1:])


def _field(found: Found, cases: list[Path], name: str, shape: tuple[int, int, int]) -> Pieces:
    def piece(number: int) -> np.ndarray:
        return map_npy(inside(found.path, *cases[number].parts, f"{name}.npy"))[: shape[0]]

    return Pieces(len(cases), piece, shape, piece(0).dtype)


def _axis(varying: Mapping[str, np.ndarray], name: str, size: int) -> np.ndarray:
    """Return the centres of the cells: in metres where all cases are of one extent, otherwise as fractions of it."""
    extents = varying.get(name, np.array([np.nan]))
    extent = extents[0] if (extents == extents[0]).all() and extents[0] > 0 else 1.0
    return (np.arange(size) + 0.5) / size * extent
