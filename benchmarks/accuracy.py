"""The accuracy table: shipped problems solved with default options, measured where nothing was trained.

``make accuracy ROWS='burgers heat' SEEDS='0 1'`` or ``python benchmarks/accuracy.py --rows burgers heat --seeds 0 1``.
Each (row, seed) runs in a process of its own and adds a line to accuracy.csv; one that is there already for the same
code and machine is skipped, so that an interrupted run goes on where it was. On a busy machine ``--repeat 3`` repeats
each seed: the errors must agree to the last bit, the best time counts. The exit code is 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from accuracy_table import Measured, on_screen, readme_text, summarise
from records import ROOT, Origin, append, code_state, origin, read
from rich.console import Console
from tables import replace_between

__all__ = ["PINN_TABLE", "ROWS", "MeasurementError", "Row", "Target", "main", "measure_apart"]

FOLDER = Path(__file__).resolve().parent
SEEDS = (0, 1, 2, 3, 4)
THREADS = "2"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        name: of the row.
        problem: name in the library, or of a spec in benchmarks/problems.
        bound: on the relative L2 error, if one is stated.
        limit: on the CPU seconds divided by two, if one is stated.
        solver: kind of solver.
        options: of the solver; the rows of the table have none, so that its defaults are measured.
    """

    name: str
    problem: str
    bound: float | None = None
    limit: float | None = None
    solver: str = "pinn"
    options: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("burgers", "burgers", bound=3e-4, limit=20),
    Row("poisson", "poisson", bound=1e-8, limit=15),
    Row("heat", "heat", bound=1e-7, limit=15),
    Row("advection", "advection"),
    Row("wave", "wave"),
    Row("helmholtz", "helmholtz"),
)

Measure = Callable[[Row, int], dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """Where the measurements of some rows go.

    Args:
        name: of the markers in README.md.
        csv: the lines.
        readme: the file with the markers.
        prose: what stands below the table.
        seeds: measured by default.
    """

    name: str
    csv: Path
    prose: str
    seeds: tuple[int, ...] = SEEDS
    readme: Path = ROOT / "README.md"


PINN_TABLE = Target(
    "accuracy",
    FOLDER / "accuracy.csv",
    "Every row is a shipped problem, solved by a PINN with default options in float64 on the CPU, two threads.\n"
    "The error is that of the last iterate, not of the best, against an independent reference on 10,000 points that\n"
    "were never trained on. Seconds are CPU time divided by two: what it takes on two cores that do nothing else,\n"
    "imports not counted. Wall time is what went by on the machine below, whatever else it did.\n"
    "Written by `make accuracy` from `benchmarks/accuracy.csv`.",
)


class MeasurementError(Exception):
    """A measurement that gave no result."""


def measure_apart(row: Row, seed: int) -> dict[str, Any]:
    """Run one measurement in a fresh process and return what it prints; see `measure.measure`.

    Raises:
        MeasurementError: if the process fails.
    """
    job = {"problem": row.problem, "solver": row.solver, "options": row.options, "seed": seed}
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, THREADS)}
    command = [sys.executable, str(FOLDER / "measure.py"), json.dumps(job)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasurementError(f"the process ended with status {done.returncode}:\n{done.stderr.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def main(
    arguments: Sequence[str] | None = None,
    *,
    rows: Sequence[Row] = ROWS,
    measure: Measure = measure_apart,
    target: Target = PINN_TABLE,
) -> int:
    """Measure what is asked for and not there yet, show the table, write it to README.md.

    Args:
        arguments: of the command line.
        rows: that may be measured.
        measure: (row, seed) -> what `measure.measure` returns.
        target: where the lines are and where the table goes.

    Returns: the exit code: 0, or 1 if a bound is missed, a measurement fails or a repetition gives another error.
    """
    console = Console()
    options = _parse(arguments, [row.name for row in rows], target.seeds)
    csv = target.csv
    if options.table:
        _write_table(console, target, rows)
        return 0
    chosen = [row for row in rows if row.name in options.rows]
    here = origin()
    troubles: list[str] = []
    try:
        for row, seed in itertools.product(chosen, options.seeds):
            troubles += _measure_seed(console, row, seed, here, measure, csv, options)
            if code_state() != here.code:
                troubles.append("the code of pdeml changed, so this ends here; the same command measures the new code")
                break
    except KeyboardInterrupt:
        console.print(f"interrupted; what was measured is in {csv.name}, the same command goes on from there")
        return 130
    mine = [m for m in _lines(csv, rows) if m.key == here.key and m.seed in options.seeds]
    measured = [[m for m in mine if m.row == row.name] for row in chosen]
    summaries = [summarise(lines) for lines in measured if lines]
    console.print(on_screen(summaries))
    for trouble in troubles:
        console.print(trouble, style="red", markup=False, soft_wrap=True)
    _write_table(console, target, rows)
    return 1 if troubles or any(s.error_missed or s.time_missed for s in summaries) else 0


def _measure_seed(
    console: Console, row: Row, seed: int, here: Origin, measure: Measure, csv: Path, options: argparse.Namespace
) -> list[str]:
    """Measure one seed as often as is missing; return what went wrong."""
    there = [m for m in read(csv, Measured) if m.key == here.key and (m.row, m.seed) == (row.name, seed)]
    missing = options.repeat if options.again else options.repeat - len(there)
    if missing <= 0:
        text = f"{row.name} seed {seed}: skipped, measured on {there[-1].date} UTC with this code; --again repeats it"
        console.print(text, soft_wrap=True)
        return []
    lines = [] if options.again else there
    for _ in range(missing):
        try:
            found = measure(row, seed)
        except MeasurementError as error:
            return [f"{row.name} seed {seed}: {error}"]
        if code_state() != here.code:
            return [f"{row.name} seed {seed}: not recorded, the code of pdeml changed meanwhile"]
        line = Measured(**asdict(origin()), row=row.name, seed=seed, bound=row.bound, limit=row.limit, **found)
        append(csv, line)
        lines = [*lines, line]
        text = (
            f"{row.name} seed {seed}: error {line.error:.2e}, {line.seconds:.1f} s (CPU/2), {line.wall:.1f} s wall, "
            f"{line.steps} steps, {line.gflops:.0f} GFLOP/s; {line.reason}"
        )
        console.print(text, markup=False, soft_wrap=True)
    errors = sorted({line.error for line in lines})
    if len(errors) > 1:
        return [f"{row.name} seed {seed} is not reproducible: {', '.join(map(repr, errors))}"]
    return []


def _lines(csv: Path, rows: Sequence[Row]) -> list[Measured]:
    """Return the lines of the rows that there are, with the bounds that are stated now."""
    by_name = {row.name: row for row in rows}
    known = [m for m in read(csv, Measured) if m.row in by_name]
    return [replace(m, bound=by_name[m.row].bound, limit=by_name[m.row].limit) for m in known]


def _write_table(console: Console, target: Target, rows: Sequence[Row]) -> None:
    readme = target.readme
    text = readme_text(_lines(target.csv, rows), [row.name for row in rows], target.prose)
    if replace_between(readme, target.name, text):
        console.print(f"wrote the table of {readme.name} from {target.csv.name}")
    else:
        marks = f"<!-- {target.name}:begin --> and <!-- {target.name}:end -->"
        console.print(f"{readme.name} has no marks {marks}; the table would be:\n", markup=False, soft_wrap=True)
        console.print(text, markup=False, soft_wrap=True)


def _parse(arguments: Sequence[str] | None, names: Sequence[str], seeds: tuple[int, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="accuracy.py", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=_seed, default=seeds, metavar="SEED", help=f"default: {seeds}")
    parser.add_argument("--again", action="store_true", help="measure also what was measured with this code already")
    parser.add_argument("--repeat", type=_positive, default=1, metavar="N", help="N times each, keep the best time")
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    return parser.parse_args(arguments)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a seed is a whole number >= 0, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
