"""Time jets against nested automatic differentiation, side by side on one core: ``make bench``.

1. The parameter Jacobian of the residual of Burgers' equation at 3,000 points, 921 parameters: what every Gauss-Newton
   step needs. It must be at least 8 times as fast as ``torch.func.vmap(torch.func.grad(...))`` of the nested residual
   with each derivative written as its own ``grad``. Two versions that share work by hand are timed as well.
2. The residual alone, and the gradient of its mean square, for three equations up to order four.

The competitors take turns, so that both meet the same noise; times are medians of the CPU time of one thread, which on
a machine with nothing else to do is the time that goes by. Lines are added to jets.csv, and the table of README.md is
rewritten. The exit code is 1 if the results disagree or the Jacobian is not fast enough.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from calibration import matmul_rate
from jet_cases import CASES, prepare
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from rich.table import Table
from tables import markdown, replace_between
from torch import Tensor

__all__ = ["JACOBIAN", "Timed", "compare", "difference", "main"]

FOLDER = Path(__file__).resolve().parent
POINTS = 3000
ROUNDS = 15
LEAST_RATIO = 8.0
AGREE = 1e-10
JACOBIAN = "Burgers, parameter Jacobian"


@dataclass(frozen=True)
class Timed(Origin):
    """One line of jets.csv; times are medians in milliseconds, the ratio is the median of the rounds' ratios."""

    case: str
    points: int
    parameters: int
    rounds: int
    jets_ms: float
    nested_ms: float
    ratio: float
    difference: float
    gflops: float


def pairs(points: int) -> dict[str, tuple[int, Callable[[], Tensor], Callable[[], Tensor]]]:
    """Return what is timed: name -> (number of parameters, by jets, nested)."""
    prepared = {name: prepare(case, points) for name, case in CASES.items()}
    burgers = prepared["burgers"]
    count = burgers.system.parameter_count
    found = {
        JACOBIAN: (count, burgers.jacobian, burgers.nested_jacobian),
        "- if the nested version shares u_x and u_t": (count, burgers.jacobian, burgers.nested_jacobian_shared),
        "- if it also shares them with u_xx": (count, burgers.jacobian, burgers.nested_jacobian_tuned),
    }
    titles = {"burgers": "Burgers", "poisson": "Poisson 2-D", "kuramoto-sivashinsky": "Kuramoto-Sivashinsky (order 4)"}
    found |= {f"{titles[name]}, residual": (count, p.jets, p.nested) for name, p in prepared.items()}
    return found | {
        f"{titles[name]}, gradient of the mean square": (count, p.gradient, p.nested_gradient)
        for name, p in prepared.items()
    }


def compare(ours: Callable[[], Tensor], nested: Callable[[], Tensor], rounds: int) -> list[tuple[float, float]]:
    """Return the CPU seconds of both in each round, after one round that is not counted."""
    times = []
    for _ in range(rounds + 1):
        started = time.process_time()
        ours()
        middle = time.process_time()
        nested()
        times.append((middle - started, time.process_time() - middle))
    return times[1:]


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
    (jacobian,) = [line for line in lines if line.case == JACOBIAN]
    slow = jacobian.ratio < LEAST_RATIO
    wrong = [line.case for line in lines if not line.difference <= AGREE]
    if slow:
        console.print(f"the Jacobian is only {jacobian.ratio:.1f} times as fast; at least {LEAST_RATIO:g} is promised")
    if wrong:
        console.print(f"the results disagree by more than {AGREE:g}: {'; '.join(wrong)}")
    return 1 if slow or wrong else 0


def _measure(points: int, rounds: int) -> list[Timed]:
    found, where, gflops = [], asdict(origin()), matmul_rate()
    for case, (parameters, ours, nested) in pairs(points).items():
        gap = difference(ours(), nested())
        times = compare(ours, nested, rounds)
        jets_ms, nested_ms = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(theirs / mine for mine, theirs in times)
        found.append(Timed(**where, case=case, points=points, parameters=parameters, rounds=rounds, gflops=gflops,
                           jets_ms=jets_ms, nested_ms=nested_ms, ratio=ratio, difference=gap))  # fmt: skip
    return found


def _on_screen(lines: Sequence[Timed]) -> Table:
    first = lines[0]
    table = Table(title=f"{first.points} points, {first.parameters} parameters, float64, one thread ({first.machine})")
    for name in ("", "jets, ms", "nested, ms", "ratio", "difference"):
        table.add_column(name, justify="right" if name else "left")
    for m in lines:
        table.add_row(m.case, f"{m.jets_ms:.1f}", f"{m.nested_ms:.1f}", f"{m.ratio:.1f}", f"{m.difference:.0e}")
    return table


def _readme_text(lines: Sequence[Timed]) -> str:
    """Return the table of the newest run."""
    if not lines:
        return "Nothing has been measured yet: `make bench`."
    last = max(line.date for line in lines)
    newest = [line for line in lines if line.date == last]
    first = newest[0]
    rows = [(m.case, f"{m.jets_ms:.1f} ms", f"{m.nested_ms:.1f} ms", f"{m.ratio:.1f}") for m in newest]
    prose = (
        f"{first.points:,} points, {first.parameters} parameters (a tanh network 2-20-20-20-1), float64, one thread; "
        "medians of CPU time, taken in turns.\n"
        f"Measured: {last.split(' ')[0]}, {first.machine}, {first.gflops:.0f} GFLOP/s in float64 matrix products on "
        f"that thread; pdeml {first.version}, torch {first.torch}.\nWritten by `make bench`."
    )
    return "\n".join([markdown(("", "jets", "nested autodiff", "ratio"), rows), "", prose])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_jets.py", description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=POINTS, help=f"default {POINTS}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
