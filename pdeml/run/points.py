"""Points listed in a file, checked before anything is computed."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pdeml.errors import FileFormatError, did_you_mean

__all__ = ["read_points"]


def read_points(path: str | os.PathLike[str], names: Sequence[str]) -> np.ndarray:
    """Read points from a CSV file whose header names the coordinates, in any order.

    Args:
        path: the file.
        names: the coordinates of the problem.

    Returns: (N, D) float64, columns in the order of ``names``.

    Raises:
        InputError: ``FILE:LINE: message``.
    """
    file = Path(path)
    if file.is_dir() or not file.exists():
        raise FileFormatError(f"{file}: " + ("is a folder; give a CSV file" if file.is_dir() else "no such file"))
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _read(file, csv.reader(stream, strict=True), tuple(names))
    except UnicodeDecodeError:
        raise FileFormatError(f"{file}: is not a text file in UTF-8; points are a CSV file") from None
    except OSError as error:
        raise FileFormatError(f"{file}: cannot be read: {error.strerror}") from None


def _read(file: Path, reader: csv._reader, names: tuple[str, ...]) -> np.ndarray:
    rows: list[list[float]] = []
    header: list[str] | None = None
    for line, cells in _lines(file, reader):
        if header is None:
            header = [cell.strip() for cell in cells]
            _check_header(f"{file}:{line}", header, names)
            continue
        if len(cells) != len(header):
            raise FileFormatError(f"{file}:{line}: has {len(cells)} values, the header names {len(header)} columns")
        rows.append([_number(f"{file}:{line}", name, cell) for name, cell in zip(header, cells, strict=True)])
    if header is None or not rows:
        raise FileFormatError(f"{file}: has no points; it needs a header ({','.join(names)}) and one line a point")
    return np.array(rows)[:, [header.index(name) for name in names]]


def _lines(file: Path, reader: csv._reader) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the lines that are not blank."""
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileFormatError(f"{file}:{reader.line_num}: is not CSV: {error}") from None
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _check_header(where: str, header: list[str], names: tuple[str, ...]) -> None:
    for name in header:
        if name not in names:
            wanted = f"the header must name the coordinates {', '.join(names)}"
            raise FileFormatError(f"{where}: {name[:60]!r} is not a coordinate; {wanted}{did_you_mean(name, names)}")
        if header.count(name) > 1:
            raise FileFormatError(f"{where}: the column {name!r} stands twice")
    missing = [name for name in names if name not in header]
    if missing:
        raise FileFormatError(f"{where}: the column {missing[0]!r} is missing; the header is {', '.join(header)}")


def _number(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileFormatError(f"{where}: {name} is {cell.strip()[:60]!r}, not a finite number")
    return value
