"""Write the tables of README.md about flows, streaming and Darcy's problem from what was measured last."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench_darcy
import bench_flow
import bench_stream
from records import ROOT, read
from tables import markdown, replace_between

__all__ = ["main"]

FOLDER = Path(__file__).resolve().parent
NOTHING = "Nothing has been measured yet: `make bench`."


def main(readme: Path = ROOT / "README.md", folder: Path = FOLDER) -> int:
    """Write the tables. Returns 1 if README.md lacks the marks of one."""
    texts = {
        "flow": flow(read(folder / "flow.csv", bench_flow.Measured)),
        "stream": stream(read(folder / "stream.csv", bench_stream.Timed)),
        "darcy": darcy(read(folder / "darcy.csv", bench_darcy.Timed)),
    }
    written = [replace_between(readme, name, text) for name, text in texts.items()]
    return 0 if all(written) else 1


def flow(lines: Sequence[bench_flow.Measured]) -> str:
    """Return the table of flows: the finest grid of each."""
    finest = {(m.case, m.what): m for m in lines}
    rows = [
        (m.case, m.what, m.grid, f"{m.value:.5f}", f"{m.published:g}", f"{abs(m.value / m.published - 1):.2%}")
        if m.published
        else (m.case, m.what, m.grid, f"{m.value:.2%}", "", "")
        for m in finest.values()
    ]
    return _with_origin(("flow", "", "grid", "found", "published", "off by"), rows, list(finest.values()))


def stream(lines: Sequence[bench_stream.Timed]) -> str:
    """Return the newest run of streaming."""
    if not lines:
        return NOTHING
    m = lines[-1]
    rows = [
        ("chunks in the order of the file, by h5py", f"{m.h5py_rate:.2f} GiB/s"),
        ("the same in shuffled order, by `Stream`", f"{m.stream_rate:.2f} GiB/s ({m.ratio:.0%})"),
        ("memory grows by", f"{m.memory_mb:.0f} MB"),
        ("a training loop waits for data", f"{m.waiting:.1%} of its time"),
    ]
    return _with_origin((f"streaming a data set of {m.gib:g} GiB, warm cache", ""), rows, [m])


def darcy(lines: Sequence[bench_darcy.Timed]) -> str:
    """Return the newest run of Darcy's problem."""
    last = max((m.date for m in lines), default="")
    newest = [m for m in lines if m.date == last]
    if not newest:
        return NOTHING
    names = {"fem": "pdeml, everything from the draw on", "splu": "SciPy's `splu`, the solution alone"}
    names["spsolve"] = "SciPy's `spsolve`, the solution alone"
    rows = [
        (names[m.method], f"{m.rate:.1f}", f"{m.cpu_rate:.1f}", f"{m.residual:.0e}" if m.residual else "")
        for m in newest
    ]
    header = (f"Darcy, {newest[0].grid}² to {newest[0].output}²", "samples a second", "by CPU time", "residual")
    return _with_origin(header, rows, newest)


def _with_origin(header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[Any]) -> str:
    if not rows:
        return NOTHING
    m = lines[-1]
    where = (
        f"Measured: {m.date.split(' ')[0]}, {m.machine}; pdeml {m.version}, torch {m.torch}. Written by `make bench`."
    )
    return "\n".join([markdown(header, rows), "", where])


if __name__ == "__main__":
    sys.exit(main())
