"""Measurements as lines of CSV files, and what identifies the code and the machine they belong to."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, TypeVar

import pdeml

__all__ = ["ROOT", "Origin", "append", "code_state", "origin", "read"]

ROOT = Path(__file__).resolve().parents[1]
# These stand above the solvers: the contract on imports says that no solver can depend on them.
_ABOVE_SOLVERS = ("cli", "run")
_SUFFIXES = (".py", ".yaml")

RecordType = TypeVar("RecordType")


@dataclass(frozen=True)
class Origin:
    """Where and from what something was measured. The commit and the date tell people; the rest identifies.

    Args:
        version: of pdeml.
        commit: short name of the git commit, with ``+`` if pdeml/ held changes; empty without git.
        code: hash of the files that a solver can depend on.
        torch: version of torch.
        machine: model of the processor and number of cores.
        date: when, in UTC.
    """

    version: str
    commit: str
    code: str
    torch: str
    machine: str
    date: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What must agree for two measurements to be of the same thing."""
        return self.version, self.code, self.torch, self.machine


def origin(root: Path = ROOT) -> Origin:
    """Return the origin of what is measured now."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Origin(pdeml.__version__, _commit(root), code_state(root), installed("torch"), _machine(), date)


def code_state(root: Path = ROOT) -> str:
    """Return a hash of the sources and shipped problems in pdeml/ that a solver can depend on.

    Of the files, not of the commit: it changes with what is not committed, and does not change with what has no
    influence on a solver.
    """
    folder, digest = root / "pdeml", hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES):
        name = path.relative_to(folder)
        if name.parts[0] not in _ABOVE_SOLVERS:
            content = path.read_bytes()
            digest.update(f"{name.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def append(path: Path, record: Any) -> None:
    """Append a dataclass as one line, in a single write; a new file begins with the names of the columns."""
    names = [field.name for field in fields(record)]
    text = "" if path.exists() and path.stat().st_size else _line(names)
    with path.open("a+b") as stream:
        if stream.tell() and not text:
            stream.seek(-1, os.SEEK_END)
            # A killed process may have left part of a line: it stays a line of its own, which `read` drops.
            text = "" if stream.read(1) == b"\n" else "\n"
        stream.write((text + _line([getattr(record, name) for name in names])).encode())
        stream.flush()
        os.fsync(stream.fileno())


def read(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read the lines that `append` wrote; incomplete ones are dropped. No file: no lines.

    Args:
        path: the CSV file.
        kind: a dataclass of str, int, float and ``float | None`` (an empty cell).

    Raises:
        ValueError: if the columns are not those of ``kind``.
    """
    if not path.exists():
        return []
    columns = [(field.name, str(field.type)) for field in fields(kind)]  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as stream:
        header, *lines = list(csv.reader(stream)) or [[name for name, _ in columns]]
    if header != [name for name, _ in columns]:
        raise ValueError(f"{path} has other columns than these: {', '.join(n for n, _ in columns)}; move it away first")
    found = []
    for line in lines:
        try:
            values = {name: _value(cell, kind) for (name, kind), cell in zip(columns, line, strict=True)}
        except ValueError:
            continue
        found.append(kind(**values))
    return found


def _line(cells: Sequence[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(["" if c is None else " ".join(str(c).split()) for c in cells])
    return stream.getvalue()


def _value(cell: str, kind: str) -> Any:
    if kind == "float | None":
        return float(cell) if cell else None
    return {"str": str, "int": int, "float": float}[kind](cell)


def _commit(root: Path) -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", "pdeml") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"
