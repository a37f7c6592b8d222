"""Solutions of Darcy flow a second: the finite element fast path against sparse factorisations, on two processes.

The recipe is the one of data sets for operators: ``-div(a grad u) = 1`` on the unit square, ``u = 0`` on its boundary,
``a`` 12 or 3 by the sign of a Gaussian random field, solved on 421² and kept on 211² points. Every process solves its
samples one after the other on one thread; for each sample the competitors take turns. Ours is charged with everything
(evaluating ``a``, assembling, solving to a relative residual of 1e-8 or less, interpolating to 211²), scipy's
factorisations with the solution of the assembled system alone. Samples a second are those of all processes together,
by the time that went by and by CPU time (what an idle machine would give). Lines are added to darcy.csv. The exit
code is 1 if fewer than 4 samples a second are solved by CPU time, fewer than twice those of the fastest
factorisation, or the solutions disagree.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from records import Origin, append, origin
from rich.console import Console
from rich.table import Table
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu, spsolve

import pdeml as pm
from pdeml.reference.case import Case
from pdeml.reference.fem import FEM
from pdeml.reference.fem.conditions import sort_conditions
from pdeml.reference.fem.stencil import Stencil, stencil_problem
from pdeml.reference.fem.weak import make_weak
from pdeml.sampling.functions import DrawnInput

__all__ = ["Timed", "main"]

FOLDER = Path(__file__).resolve().parent
GRID, OUTPUT = 421, 211
LEAST_RATE, LEAST_RATIO = 4.0, 2.0
RESIDUAL, AGREE = 1e-8, 1e-6
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
INPUT = {
    "field": "grf",
    "over": ["x", "y"],
    "basis": "neumann",
    "tau": 3,
    "alpha": 2,
    "map": "where(g >= 0, 12, 3)",
}
Seconds = tuple[float, float]
"""Wall and CPU."""


@dataclass(frozen=True)
class Timed(Origin):
    """One line of darcy.csv: medians over the samples; ``rate`` counts all processes."""

    method: str
    grid: int
    output: int
    samples: int
    processes: int
    wall_seconds: float
    cpu_seconds: float
    rate: float
    cpu_rate: float
    iterations: float
    residual: float
    difference: float


def main(arguments: Sequence[str] | None = None, *, csv: Path = FOLDER / "darcy.csv") -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console = Console()
    numbers = [range(k, options.samples, options.processes) for k in range(options.processes)]
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # the processes below inherit it
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        rows = [row for part in pool.map(_solve_all, numbers, chunksize=1) for row in part]
    lines = [_line(method, rows, options) for method in ("fem", "spsolve", "splu")]
    for line in lines:
        append(csv, line)
    console.print(_on_screen(lines))
    ours, *others = lines
    ratio = ours.cpu_rate / max(other.cpu_rate for other in others)
    console.print(f"{ours.cpu_rate:.1f} samples a second by CPU time, {ratio:.1f} times the fastest factorisation")
    good = ours.cpu_rate >= LEAST_RATE and ratio >= LEAST_RATIO and ours.residual <= RESIDUAL
    return 0 if good and max(line.difference for line in lines) <= AGREE else 1


def darcy() -> pm.Problem:
    """Return the problem."""
    return pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u",
        inputs={"a": INPUT},
        equations="-div(a*grad(u)) = 1",
        conditions=pm.Dirichlet(u=0),
    )


def _solve_all(numbers: range) -> list[dict]:
    """Solve some samples in turns; the first one once more before, which is not counted."""
    problem = darcy()
    return [_solve_one(problem, number) for number in (numbers[0], *numbers)][1:]


def _solve_one(problem: pm.Problem, number: int) -> dict:
    drawn = DrawnInput.read(INPUT, {}).draw(np.random.default_rng((0, number)), problem.domain.bounds, {})
    case, axis = Case(problem, {"a": drawn}), np.linspace(0, 1, OUTPUT)

    def fem() -> tuple[np.ndarray, dict]:
        (solved,) = FEM().solve(problem, [case], {"x": GRID, "y": GRID})
        return solved.on_grid({"x": axis, "y": axis})["u"].T, dict(solved.facts)

    weak = make_weak(problem)
    form = stencil_problem(weak, sort_conditions(weak))
    assert form is not None
    stencil = Stencil(case, form, (GRID, GRID))
    matrix, right = csc_array(stencil.matrix), (stencil.source * stencil.weights)[stencil.free].ravel()
    seconds = {}
    (values, facts), seconds["fem"] = _timed(fem)
    found = {}
    found["spsolve"], seconds["spsolve"] = _timed(lambda: spsolve(matrix, right))
    symmetric = {"permc_spec": "MMD_AT_PLUS_A", "options": {"SymmetricMode": True}, "diag_pivot_thresh": 0.0}
    found["splu"], seconds["splu"] = _timed(lambda: splu(matrix, **symmetric).solve(right))
    exact = np.pad(found["splu"].reshape(GRID - 2, GRID - 2), 1)[::2, ::2]
    return {
        "seconds": seconds,
        "iterations": facts["iterations"],
        "residual": facts["relative_residual"],
        "difference": float(np.linalg.norm(values - exact) / np.linalg.norm(exact)),
    }


def _timed(work: Callable) -> tuple:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def _line(method: str, rows: list[dict], options: argparse.Namespace) -> Timed:
    wall, cpu = (statistics.median(row["seconds"][method][k] for row in rows) for k in range(2))
    own = method == "fem"
    return Timed(
        **asdict(origin()),
        method=method,
        grid=GRID,
        output=OUTPUT,
        samples=len(rows),
        processes=options.processes,
        wall_seconds=wall,
        cpu_seconds=cpu,
        rate=options.processes / wall,
        cpu_rate=options.processes / cpu,
        iterations=statistics.median(row["iterations"] for row in rows) if own else 0,
        residual=max(row["residual"] for row in rows) if own else 0.0,
        difference=max(row["difference"] for row in rows) if own else 0.0,
    )


def _on_screen(lines: Sequence[Timed]) -> Table:
    first = lines[0]
    title = f"Darcy {GRID}² -> {OUTPUT}², {first.samples} samples, {first.processes} processes ({first.machine})"
    table = Table(title=title)
    for name in ("", "s (wall)", "s (CPU)", "samples/s (wall)", "samples/s (CPU)", "iterations", "residual"):
        table.add_column(name, justify="right" if name else "left")
    for m in lines:
        more = (f"{m.iterations:.0f}", f"{m.residual:.0e}") if m.iterations else ("", "")
        numbers = (f"{m.wall_seconds:.2f}", f"{m.cpu_seconds:.2f}", f"{m.rate:.1f}", f"{m.cpu_rate:.1f}")
        table.add_row(m.method, *numbers, *more)
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_darcy.py", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=12, help="default 12")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
