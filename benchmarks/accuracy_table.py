"""What the measurements of accuracy.csv say: the worst of all seeds, row by row, on screen and in README.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from records import Origin
from rich.table import Table
from tables import markdown

__all__ = ["Measured", "Summary", "on_screen", "readme_text", "summarise"]


@dataclass(frozen=True)
class Measured(Origin):
    """One line of accuracy.csv.

    Args:
        version, commit, code, torch, machine, date: see `records.Origin`.
        row: name of the row.
        seed: of the training.
        error: relative L2 on held-out points, of the last iterate; infinite if the training diverged.
        floor: relative error of the reference itself.
        bound: on the error, if one is stated.
        seconds: CPU time of the process, divided by two.
        limit: on the seconds, if one is stated.
        wall: seconds that went by.
        steps: of the solver.
        gflops: rate of float64 matrix products just before.
        reason: why the solver stopped.
    """

    row: str
    seed: int
    error: float
    floor: float
    bound: float | None
    seconds: float
    limit: float | None
    wall: float
    steps: int
    gflops: float
    reason: str


@dataclass(frozen=True)
class Summary:
    """The worst of a row over its seeds. A seed that was repeated counts with its best time and its worst error."""

    row: str
    seeds: tuple[int, ...]
    error: float
    floor: float
    bound: float | None
    seconds: float
    limit: float | None
    wall: float

    @property
    def error_missed(self) -> bool:
        """Whether the stated bound on the error is missed; an error that is no number misses every bound."""
        return self.bound is not None and not self.error <= self.bound

    @property
    def time_missed(self) -> bool:
        """Whether the stated limit on the seconds is missed."""
        return self.limit is not None and not self.seconds <= self.limit

    @property
    def verdict(self) -> str:
        """In words, for the screen."""
        missed = [what for what, is_so in [("error", self.error_missed), ("time", self.time_missed)] if is_so]
        if missed:
            return f"{' and '.join(missed)} missed"
        return "no bound stated" if self.bound is None else "pass"


def summarise(lines: Iterable[Measured]) -> Summary:
    """Return the worst of the lines of one row; there must be at least one."""
    by_seed: dict[int, list[Measured]] = {}
    for line in lines:
        by_seed.setdefault(line.seed, []).append(line)
    every = [line for repeats in by_seed.values() for line in repeats]
    return Summary(
        row=every[-1].row,
        seeds=tuple(sorted(by_seed)),
        error=max((line.error for line in every), key=lambda e: math.inf if math.isnan(e) else e),
        floor=every[-1].floor,
        bound=every[-1].bound,
        seconds=max(min(line.seconds for line in repeats) for repeats in by_seed.values()),
        limit=every[-1].limit,
        wall=max(min(line.wall for line in repeats) for repeats in by_seed.values()),
    )


def on_screen(summaries: Sequence[Summary]) -> Table:
    """Return the table that ends a run."""
    table = Table(title="accuracy: worst of all seeds, relative L2 error on held-out points")
    for name in ("row", "seeds", "error", "bound", "seconds (CPU/2)", "limit", "wall", "verdict"):
        table.add_column(name, justify="left" if name in ("row", "verdict") else "right")
    for s in summaries:
        style = "red" if s.error_missed or s.time_missed else None
        table.add_row(
            s.row,
            str(len(s.seeds)),
            _error(s),
            _bound(s.bound),
            f"{s.seconds:.1f}",
            "-" if s.limit is None else f"{s.limit:g}",
            f"{s.wall:.1f}",
            s.verdict,
            style=style,
        )
    return table


def readme_text(lines: Sequence[Measured], order: Sequence[str], prose: str) -> str:
    """Return the table of README.md and what there is to say about it.

    Args:
        lines: all that was ever measured; of each row the newest state of code and machine counts.
        order: names of the rows in the order of the table; others do not appear.
        prose: what was measured, and how.
    """
    newest = {line.row: line.key for line in sorted(lines, key=lambda line: line.date)}
    kept = {row: [m for m in lines if m.row == row and m.key == newest[row]] for row in order if row in newest}
    if not kept:
        return "Nothing has been measured yet: `make accuracy`."
    summaries = [summarise(measured) for measured in kept.values()]
    header = ("problem", "relative L2 error, worst of all seeds", "seeds", "bound", "seconds, worst", "limit", "wall")
    table = markdown(header, [_cells(summary) for summary in summaries])
    return "\n".join([table, "", prose, "", *_origins(kept)])


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.row,
        _error(summary) + (" **(missed)**" if summary.error_missed else ""),
        str(len(summary.seeds)),
        _bound(summary.bound),
        f"{summary.seconds:.1f}" + (" **(missed)**" if summary.time_missed else ""),
        "" if summary.limit is None else f"{summary.limit:g}",
        f"{summary.wall:.1f}",
    )


def _error(summary: Summary) -> str:
    if not math.isfinite(summary.error):
        return "diverged"
    if summary.error <= summary.floor:
        return f"at the floor of the reference, {summary.floor:.0e}"
    return f"{summary.error:.1e}"


def _bound(bound: float | None) -> str:
    return "no bound stated" if bound is None else f"{bound:.0e}"


def _origins(kept: dict[str, list[Measured]]) -> list[str]:
    """Return a line for each state of code and machine, naming its rows if there are several."""
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for measured in kept.values():
        groups.setdefault(measured[0].key, []).extend(measured)
    found = []
    for lines in groups.values():
        rows = ", ".join(dict.fromkeys(line.row for line in lines))
        days = sorted({line.date.split(" ")[0] for line in lines})
        rates = sorted({f"{line.gflops:.0f}" for line in lines}, key=float)
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        first = lines[0]
        found.append(
            f"Measured{f' ({rows})' if len(groups) > 1 else ''}: {when}, {first.machine}, "
            f"{' to '.join(dict.fromkeys((rates[0], rates[-1])))} GFLOP/s in float64 matrix products just before each "
            "run; "
            f"pdeml {first.version}, torch {first.torch}.  "
        )
    return found
