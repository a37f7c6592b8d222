"""Results as lines of a CSV file, and as a table: on the screen, or between markers of a Markdown file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from pdeml_kernels.bench.case import GRAPH, PASSES, Case
from pdeml_kernels.bench.device import Ceilings, name_of
from pdeml_kernels.bench.measure import Result

__all__ = [
    "HEADER",
    "Origin",
    "append",
    "described",
    "kinds",
    "line",
    "origin",
    "rows",
    "shortfalls",
    "unmeasured",
]


class Origin(NamedTuple):
    """When, where and with what something was measured."""

    date: str
    kind: str
    """cuda or cpu."""
    device: str
    versions: str


COLUMNS = (
    *Origin._fields,
    *("operator", "size", "implementation", "precision", "pass"),
    *("ms", "MB", "GB/s", "TFLOP/s", "roofline share", "error", "remark"),
)


def origin(device: torch.device) -> Origin:
    """Return the origin of what is measured now."""
    found = []
    for name in ("pdeml", "torch", "triton", "neuraloperator"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return Origin(datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), device.type, name_of(device), ", ".join(found))


def append(path: Path, where: Origin, results: Sequence[Result]) -> None:
    """Add what was measured, or failed, to a file of comma-separated values; a new file begins with the columns."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if new:
            writer.writerow(COLUMNS)
        writer.writerows([*where, *_cells(result)] for result in results if result.seconds or result.at_fault)


def _cells(result: Result) -> list[str]:
    numbers = (
        (result.seconds, 1e3),
        (result.peak_bytes, 1e-6),
        (result.bytes_per_second, 1e-9),
        (result.operations_per_second, 1e-12),
        (result.share, 1.0),
        (result.error, 1.0),
    )
    told = ["" if number is None else f"{scale * number:.4g}" for number, scale in numbers]
    named = [result.operator, result.size, result.implementation, result.precision, result.passed]
    return [*named, *told, "wrong" if result.wrong and not result.remark else result.remark]


def kinds(path: Path) -> set[str]:
    """Return the kinds of devices of which a file has lines."""
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as stream:
        return {line["kind"] for line in csv.DictReader(stream)}


def shortfalls(case: Case, results: Sequence[Result]) -> list[str]:
    """Return what is wrong, and which figures that are asked for were not reached."""
    found = [f"{r.implementation}, {r.passed}: {_fault(r)}" for r in results if r.at_fault]
    by_name = {r.implementation: r for r in results if r.passed == PASSES[-1] and r.seconds is not None}
    ours = _fastest(by_name, case.ours)
    if ours is None:
        return found + [f"not measured: {asked}" for asked in case.asked]
    for asked in case.asked:
        over = by_name.get(asked.over)
        if over is None:
            found.append(f"{asked.over} was not measured")
            continue
        if over.seconds < asked.times * ours.seconds:
            found.append(f"{over.seconds / ours.seconds:.2f} × {asked.over}, {asked.times:g} asked for")
        if asked.memory is not None and ours.peak_bytes > asked.memory * over.peak_bytes:
            part = ours.peak_bytes / over.peak_bytes
            found.append(f"{part:.2f} of the memory of {asked.over}, {asked.memory:g} asked for")
    share = max(r.share for r in (ours, by_name.get(GRAPH)) if r is not None)
    if case.share is not None and share < case.share:
        found.append(f"{share:.0%} of the roofline, {case.share:.0%} asked for")
    return found


def _fault(result: Result) -> str:
    return result.remark or f"error {result.error:.1e}, at most {result.bound:.0e}"


def _fastest(by_name: dict[str, Result], prefix: str) -> Result | None:
    """Return the fastest result of the implementations whose names begin like this, but for CUDA graphs."""
    named = (r for name, r in by_name.items() if name.startswith(prefix) and name != GRAPH)
    own = [r for r in named if r.seconds is not None]
    return min(own, key=lambda r: r.seconds, default=None)


def line(result: Result) -> str:
    """Say in a line what was measured."""
    named = f"{result.implementation:<26}{result.passed:<20}"
    if result.seconds is None:
        return named + result.remark
    memory = _number(result.peak_bytes, 1e-6, ".4g")
    numbers = f"{1e3 * result.seconds:>10.4g} ms {memory:>8} MB {result.share:>7.1%} of the roofline"
    return f"{named}{numbers}, error {result.error:.0e}{' WRONG' if result.wrong else ''}"


HEADER = (
    *("operator", "pass", "triton", "in a graph", "torch", "compiled", "other", "other, compiled"),
    *("peak MB: triton, torch, other", "GB/s", "TFLOP/s", "roofline", "error", "asked for"),
)


def rows(case: Case, results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return a row of the table for each pass of a case.

    Times are in milliseconds; rates and errors are those of the fastest implementation of ours.
    """
    found = []
    for passed in PASSES:
        by_name = {r.implementation: r for r in results if r.passed == passed}
        other = next((name for name in by_name if not name.startswith(("torch", "triton"))), "")
        triton = _fastest(by_name, "triton")
        compiled = _fastest(by_name, "torch, ")
        shown = [
            triton,
            by_name.get(GRAPH),
            by_name["torch"],
            compiled,
            *map(by_name.get, (other, f"{other}, compiled")),
        ]
        ours = _fastest(by_name, case.ours) or by_name["torch"]
        memory = [_number(r and r.peak_bytes, 1e-6, ".4g") for r in (triton, by_name["torch"], by_name.get(other))]
        rates = (
            _number(ours.bytes_per_second, 1e-9, ".3g"),
            _number(ours.operations_per_second, 1e-12, ".2g"),
            _number(ours.share, 100, ".0f") + " %",
            _number(ours.error, 1, ".0e"),
        )
        times = [_time(r) for r in shown]
        found.append((str(case), passed, *times, ", ".join(memory), *rates, _asked(case, passed)))
    return found


def unmeasured(case: Case) -> list[tuple[str, ...]]:
    """Return the rows of a case for which there was no device."""
    empty = ("not measured: no GPU", *["–"] * (len(HEADER) - 4))
    return [(str(case), PASSES[-1], *empty, _asked(case, PASSES[-1]))]


def _time(result: Result | None) -> str:
    if result is None or result.seconds is None:
        return "–"
    return f"{1e3 * result.seconds:.3g}" + (f" (**error {result.error:.0e}**)" if result.wrong else "")


def _number(value: float | None, scale: float, form: str) -> str:
    return "–" if value is None else f"{scale * value:{form}}"


def _asked(case: Case, passed: str) -> str:
    if passed != PASSES[-1]:
        return ""
    told = [str(asked) for asked in case.asked]
    return "; ".join(told + ([f"{case.share:.0%} of the roofline"] if case.share else []))


def described(where: Origin, limits: Ceilings, precision: str) -> str:
    """Say where and with what a table was measured."""
    return f"{where.date} UTC, {where.device}, {precision}; {limits}; {where.versions}."
