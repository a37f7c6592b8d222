"""How often the 95 % band of a Gaussian process holds the exact solution, over many random problems.

Each problem has as its solution a sum of six waves of random frequencies, phases and sizes, and source and conditions
that follow from it. The points are so few that the error is far above rounding. Coverage is the share of 200 held-out
points at which the exact solution lies within 1.96 standard deviations of the mean; its mean and its quartiles over the
problems, with the median error, are added to band_coverage.csv and, as a table, to README.md. The exit code is 1 if the
mean coverage of a row is below 0.85.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from tables import markdown, replace_between

from pdeml.gp.grid import GridModel
from pdeml.problem import Problem
from pdeml.solvers import solver_class

__all__ = ["Measured", "main"]

FOLDER = Path(__file__).resolve().parent
PROBLEMS, HELD_OUT, WAVES, LEAST = 30, 200, 6, 0.85
ROWS = {
    # name: (equation, coordinates, highest frequency, points along each coordinate, how it is solved)
    "1-D Poisson, evidence": ("u_xx = 0", "x", 40.0, 20, "evidence"),
    "1-D reaction-diffusion, evidence": ("u_xx - 100*u = 0", "x", 40.0, 20, "evidence"),
    "2-D Poisson, evidence": ("u_xx + u_yy = 0", "xy", 15.0, 12, "evidence"),
    "2-D Poisson, grid": ("u_xx + u_yy = 0", "xy", 25.0, 18, "grid"),
    "2-D advection-diffusion, grid": ("u_xx + u_yy + 10*u_x - 5*u_y = 0", "xy", 25.0, 18, "grid"),
    "1-D heat in time, grid": ("u_t = 0.1*u_xx", "xt", 25.0, 18, "grid"),
}


@dataclass(frozen=True)
class Measured(Origin):
    """One line of band_coverage.csv: shares of held-out points within the band, over random problems."""

    row: str
    points: int
    problems: int
    coverage: float
    lower_quartile: float
    upper_quartile: float
    error: float
    score: float


def main(
    arguments: Sequence[str] | None = None,
    *,
    csv: Path = FOLDER / "band_coverage.csv",
    readme: Path = ROOT / "README.md",
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console, where, low = Console(), asdict(origin()), False
    for row in () if options.table else options.rows or ROWS:
        found = np.array([_one(row, seed) for seed in range(options.problems)])
        quartiles = np.quantile(found[:, 0], [0.25, 0.75])
        error, score = np.median(found[:, 1]), np.median(found[:, 2])
        numbers = (options.problems, found[:, 0].mean(), *quartiles, error, score)
        line = Measured(**where, row=row, points=ROWS[row][3], **dict(zip(_NUMBERS, numbers, strict=True)))
        append(csv, line)
        low |= line.coverage < LEAST
        console.print(f"{row}: coverage {line.coverage:.3f}, median error {line.error:.1e}, score {line.score:.2f}")
    lines = {line.row: line for line in read(csv, Measured)}
    if lines:
        replace_between(readme, "coverage", _table([lines[row] for row in ROWS if row in lines]))
    return int(low)


_NUMBERS = ("problems", "coverage", "lower_quartile", "upper_quartile", "error", "score")


def _one(row: str, seed: int) -> tuple[float, float, float]:
    """Return the coverage, the relative L2 error, and the root mean square of error over standard deviation."""
    equation, names, highest, points, how = ROWS[row]
    problem, exact = _problem(equation, names, highest, np.random.default_rng([seed, len(row)]))
    x = np.random.default_rng([seed, 1]).random((HELD_OUT, len(names)))
    wanted = exact(x)
    if how == "grid":
        model = GridModel(problem, (highest,) * len(names), points=(points,) * len(names))
        stage = model.advance(model.advance())
        stage = model.learned(stage)
        at = torch.from_numpy(x)
        mean = model.ansatz(stage).values(stage.values.reshape(-1), at)[:, 0].numpy()
        std = model.deviations(stage, seed=seed)(at)[:, 0].numpy()
    else:
        solution = solver_class("gp")(mode="evidence", points=points, kernel="spectral_mixture").fit(problem)
        mean, std = solution.values(x)["u"], solution.std(x)["u"]
    gap = np.abs(mean - wanted)
    score = np.sqrt(np.mean((gap / std) ** 2))
    return float(np.mean(gap <= 1.96 * std)), float(np.linalg.norm(gap) / np.linalg.norm(wanted)), float(score)


def _problem(equation: str, names: str, highest: float, rng: np.random.Generator):
    """Return a problem and its exact solution."""
    sizes = rng.standard_normal(WAVES)
    waves = rng.uniform(0, highest, (WAVES, len(names)))
    phases = rng.uniform(0, 2 * np.pi, (WAVES, len(names)))
    text = " + ".join(
        f"({a:.6f})" + "".join(f"*sin({k:.6f}*{x} + {p:.6f})" for x, k, p in zip(names, ks, ps, strict=True))
        for a, ks, ps in zip(sizes, waves, phases, strict=True)
    )
    sizes, waves, phases = (np.round(numbers, 6) for numbers in (sizes, waves, phases))
    conditions = [{"on": "boundary", "value": {"u": 0}}] + [{"on": "initial", "value": {"u": 0}}] * ("t" in names)
    problem = Problem(
        coordinates=dict.fromkeys(names, (0, 1)),
        time="t" if "t" in names else None,
        unknowns="u",
        equations=equation,
        conditions=conditions,
    ).manufactured({"u": text})
    return problem, lambda x: np.sin(x[:, None] * waves + phases).prod(2) @ sizes


def _table(lines: Sequence[Measured]) -> str:
    rows = [
        (
            line.row,
            f"{line.points}",
            f"{line.error:.0e}",
            f"{line.coverage:.2f}",
            f"{line.lower_quartile:.2f}–{line.upper_quartile:.2f}",
        )
        for line in lines
    ]
    header = (
        "problem, mode",
        "points along each coordinate",
        "median relative error",
        "coverage of the 95 % band",
        "quartiles",
    )
    first = lines[0]
    prose = (
        f"{first.problems} random problems each, {HELD_OUT} held-out points. "
        f"Measured: {first.date.split(' ')[0]}, pdeml {first.version}. Written by `benchmarks/band_coverage.py`."
    )
    return "\n".join([markdown(header, rows), "", prose])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="band_coverage.py", description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="random problems a row")
    parser.add_argument("--rows", nargs="*", choices=tuple(ROWS), help="only these")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
