"""Time jets against nested automatic differentiation, side by side on one core: ``make bench``.

1. The parameter Jacobian of the residual of Burgers' equation at 3,000 points, 921 parameters: what every Gauss-Newton
   step needs. It must be at least 8 times as fast as ``torch.func.vmap(torch.func.grad(...))`` of the nested residual
   with each derivative written as its own ``grad``. Two versions that share work by hand are timed as well.
2. The residual alone, and the gradient of its mean square, for four equations up to order four. The gradient must be at
   least 1.3 times as fast, and 2.5 times for order four, with at most half of the memory; compiled activations are
   measured besides.

The competitors take turns, so that all meet the same noise; times are medians of the CPU time of one thread, which on
a machine with nothing else to do is the time that goes by. Memory is the most that torch held at a time beyond what it
held before. Lines are added to jets.csv, and the table of README.md is rewritten. The exit code is 1 if the results
disagree or something that is promised does not hold.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from calibration import matmul_rate
from jet_cases import CASES, prepare
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from rich.table import Table
from tables import markdown, replace_between
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

__all__ = ["JACOBIAN", "Pair", "Timed", "compare", "difference", "main", "peak_memory"]

FOLDER = Path(__file__).resolve().parent
POINTS = 3000
ROUNDS = 15
AGREE = 1e-10
MOST_MEMORY = 0.5
JACOBIAN = "Burgers, parameter Jacobian"
TITLES = {
    "burgers": "Burgers",
    "poisson": "Poisson 2-D",
    "navier-stokes": "Navier-Stokes 2-D",
    "kuramoto-sivashinsky": "Kuramoto-Sivashinsky (order 4)",
}


@dataclass(frozen=True)
class Timed(Origin):
    """One line of jets.csv; times are medians in milliseconds, the ratio is the median of the rounds' ratios.

    ``least`` is the ratio that is promised, or none. Memory, in megabytes, and compiled activations are measured for
    gradients only.
    """

    case: str
    points: int
    parameters: int
    rounds: int
    jets_ms: float
    nested_ms: float
    ratio: float
    least: float | None
    compiled_ms: float | None
    jets_mb: float | None
    nested_mb: float | None
    difference: float
    gflops: float


@dataclass(frozen=True)
class Pair:
    """What is timed: by jets, nested, by jets with compiled activations."""

    parameters: int
    ours: Callable[[], Tensor]
    nested: Callable[[], Tensor]
    compiled: Callable[[], Tensor] | None = None
    least: float | None = None


def pairs(points: int) -> dict[str, Pair]:
    """Return what is timed, by name."""
    prepared = {name: prepare(case, points) for name, case in CASES.items()}
    burgers = prepared["burgers"]
    count = burgers.system.parameter_count
    found = {
        JACOBIAN: Pair(count, burgers.jacobian, burgers.nested_jacobian, least=8.0),
        "- if the nested version shares u_x and u_t": Pair(count, burgers.jacobian, burgers.nested_jacobian_shared),
        "- if it also shares them with u_xx": Pair(count, burgers.jacobian, burgers.nested_jacobian_tuned),
    }
    for name, p in prepared.items():
        found[f"{TITLES[name]}, residual"] = Pair(p.system.parameter_count, p.jets, p.nested)
    for name, p in prepared.items():
        least = 2.5 if name == "kuramoto-sivashinsky" else 1.3
        found[f"{TITLES[name]}, gradient of the mean square"] = Pair(
            p.system.parameter_count, p.gradient, p.nested_gradient, p.compiled_gradient, least
        )
    return found


def compare(*competitors: Callable[[], Tensor], rounds: int) -> list[tuple[float, ...]]:
    """Return the CPU seconds of each in each round, after one round that is not counted."""
    times = []
    for _ in range(rounds + 1):
        marks = [time.process_time()]
        for competitor in competitors:
            competitor()
            marks.append(time.process_time())
        times.append(tuple(after - before for before, after in itertools.pairwise(marks)))
    return times[1:]


def peak_memory(run: Callable[[], Tensor]) -> float:
    """Return the most megabytes of tensors that ``run`` held at a time."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        run()
    held = most = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 1e6


def difference(ours: Tensor, nested: Tensor) -> float:
    """Return the largest difference, relative to the largest entry."""
    return float((ours - nested).abs().max() / nested.abs().max())


def main(
    arguments: Sequence[str] | None = None, *, csv: Path = FOLDER / "jets.csv", readme: Path = ROOT / "README.md"
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console = Console()
    if not options.table:
        torch.set_num_threads(1)
        lines = _measure(options.points, options.rounds)
        for line in lines:
            append(csv, line)
        console.print(_on_screen(lines))
    text = _readme_text(read(csv, Timed))
    if replace_between(readme, "jets", text):
        console.print(f"wrote the table of {readme.name} from {csv.name}")
    else:
        console.print(
            f"{readme.name} has no marks <!-- jets:begin --> and <!-- jets:end -->", markup=False, soft_wrap=True
        )
    if options.table:
        return 0
    broken = _broken(lines)
    for sentence in broken:
        console.print(sentence)
    return 1 if broken else 0


def _broken(lines: Sequence[Timed]) -> list[str]:
    """Return what does not hold."""
    found = []
    for line in lines:
        if not line.difference <= AGREE:
            found.append(f"{line.case}: the results disagree by {line.difference:.0e}, more than {AGREE:g}")
        if line.least is not None and line.ratio < line.least:
            found.append(f"{line.case}: only {line.ratio:.2f} times as fast; at least {line.least:g} is promised")
        if line.jets_mb and line.nested_mb and line.jets_mb > MOST_MEMORY * line.nested_mb:
            found.append(f"{line.case}: {line.jets_mb:.1f} MB, more than {MOST_MEMORY:g} of {line.nested_mb:.1f} MB")
    return found


def _measure(points: int, rounds: int) -> list[Timed]:
    where, gflops = asdict(origin()), matmul_rate()
    return [_timed(case, pair, points, rounds, where, gflops) for case, pair in pairs(points).items()]


def _timed(case: str, pair: Pair, points: int, rounds: int, where: dict[str, Any], gflops: float) -> Timed:
    gap = difference(pair.ours(), pair.nested())
    compiled_ms = jets_mb = nested_mb = None
    competitors = [pair.ours, pair.nested]
    if pair.compiled is not None:
        gap = max(gap, difference(pair.compiled(), pair.ours()))
        jets_mb, nested_mb = peak_memory(pair.ours), peak_memory(pair.nested)
        competitors.append(pair.compiled)
    times = compare(*competitors, rounds=rounds)
    jets_ms, nested_ms, *rest = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    if rest:
        (compiled_ms,) = rest
    return Timed(
        **where, case=case, points=points, parameters=pair.parameters, rounds=rounds, gflops=gflops, jets_ms=jets_ms,
        nested_ms=nested_ms, ratio=statistics.median(row[1] / row[0] for row in times), least=pair.least,
        compiled_ms=compiled_ms, jets_mb=jets_mb, nested_mb=nested_mb, difference=gap,
    )  # fmt: skip


_COLUMNS = ("", "jets", "nested autodiff", "ratio", "jets, compiled", "memory of jets", "nested")


def _cells(line: Timed) -> tuple[str, ...]:
    compiled = "" if line.compiled_ms is None else f"{line.compiled_ms:.1f} ms"
    memory = ["" if size is None else f"{size:.1f} MB" for size in (line.jets_mb, line.nested_mb)]
    return line.case, f"{line.jets_ms:.1f} ms", f"{line.nested_ms:.1f} ms", f"{line.ratio:.1f}", compiled, *memory


def _on_screen(lines: Sequence[Timed]) -> Table:
    first = lines[0]
    table = Table(title=f"{first.points} points, float64, one thread ({first.machine})")
    for name in (*_COLUMNS, "difference"):
        table.add_column(name, justify="right" if name else "left")
    for line in lines:
        table.add_row(*_cells(line), f"{line.difference:.0e}")
    return table


def _readme_text(lines: Sequence[Timed]) -> str:
    """Return the table of the newest run."""
    if not lines:
        return "Nothing has been measured yet: `make bench`."
    last = max(line.date for line in lines)
    newest = [line for line in lines if line.date == last]
    first = newest[0]
    prose = (
        f"{first.points:,} points, tanh networks with three hidden layers of 20 units ({first.parameters} parameters "
        "for one unknown of two coordinates), float64, one thread; medians of CPU time, taken in turns.\n"
        f"Measured: {last.split(' ')[0]}, {first.machine}, {first.gflops:.0f} GFLOP/s in float64 matrix products on "
        f"that thread; pdeml {first.version}, torch {first.torch}.\nWritten by `make bench`."
    )
    return "\n".join([markdown(_COLUMNS, [_cells(line) for line in newest]), "", prose])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_jets.py", description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=POINTS, help=f"default {POINTS}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
