"""Least squares with polynomials from few points: how far from the best approximation, by how the points are drawn.

The function 1 / (1 + 16 x²) on [-1, 1] is approximated by 30 Legendre polynomials from n points, independent and
uniform, or chosen from 4,000 candidates by the Christoffel density, by volume sampling, or by determinantal point
processes. Over many draws, the median and the 95 % quantile of the error over that of the best approximation, both in
L2, are written to sampling.csv and, as a table, to README.md. The exit code is 1 if optimal points are not better than
uniform ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from tables import markdown, replace_between

from pdeml.sampling import OPTIMAL, choose

__all__ = ["Measured", "main"]

FOLDER = Path(__file__).resolve().parent
FUNCTIONS, CANDIDATES = 30, 4000
COUNTS = (30, 45, 60, 120)
METHODS = ("uniform", *OPTIMAL)


@dataclass(frozen=True)
class Measured(Origin):
    """One line of sampling.csv: errors over that of the best approximation."""

    method: str
    points: int
    functions: int
    draws: int
    median: float
    quantile95: float


def main(
    arguments: Sequence[str] | None = None, *, csv: Path = FOLDER / "sampling.csv", readme: Path = ROOT / "README.md"
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console, where = Console(), asdict(origin())
    medians = {}
    for method in METHODS:
        for n in COUNTS:
            errors = ratios(method, n, options.draws)
            found = Measured(
                **where,
                method=method,
                points=n,
                functions=FUNCTIONS,
                draws=options.draws,
                median=float(np.median(errors)),
                quantile95=float(np.quantile(errors, 0.95)),
            )
            append(csv, found)
            console.print(f"{method:12} {n:4} points: {found.median:.3g} ({found.quantile95:.3g})")
            medians[method, n] = found.median
    replace_between(readme, "sampling", _readme_text(read(csv, Measured)))
    return 0 if all(medians[method, n] < medians["uniform", n] for method in OPTIMAL for n in COUNTS) else 1


def ratios(method: str, n: int, draws: int) -> np.ndarray:
    """Return the error of each draw over that of the best approximation."""
    pool = (2 * np.arange(CANDIDATES) + 1) / CANDIDATES - 1
    features, values = basis(pool), function(pool)
    nodes, mass = legendre.leggauss(400)
    fine, exact = basis(nodes), function(nodes)
    projected = fine.T @ (0.5 * mass * exact)
    best = np.sqrt(0.5 * mass @ (exact - fine @ projected) ** 2)
    found = []
    for s in range(draws):
        if method == "uniform":
            x = np.random.default_rng((n, s)).uniform(-1, 1, n)
            rows, right, root = basis(x), function(x), np.ones(n)
        else:
            drawn = choose(features, n, method, seed=(n, s))
            rows, right, root = features[drawn.indices], values[drawn.indices], np.sqrt(drawn.weights)
        theta = np.linalg.lstsq(root[:, None] * rows, root * right, rcond=None)[0]
        found.append(np.sqrt(0.5 * mass @ (exact - fine @ theta) ** 2) / best)
    return np.array(found)


def basis(x: np.ndarray) -> np.ndarray:
    """Return Legendre polynomials, orthonormal for the uniform measure."""
    return legendre.legvander(x, FUNCTIONS - 1) * np.sqrt(2 * np.arange(FUNCTIONS) + 1)


def function(x: np.ndarray) -> np.ndarray:
    """Return Runge's function, a little less peaked."""
    return 1 / (1 + 16 * x**2)


def _readme_text(lines: Sequence[Measured]) -> str:
    newest = {(line.method, line.points): line for line in lines}
    cells = [(str(n), *(_cell(newest.get((method, n))) for method in METHODS)) for n in COUNTS]
    last = lines[-1]
    return "\n".join(
        [
            markdown(("points", *METHODS), cells),
            "",
            "Least squares with 30 Legendre polynomials for 1/(1 + 16 x²): error over that of the best approximation,",
            f"median and, in brackets, 95 % quantile of {last.draws} draws. Measured: {last.date.split(' ')[0]},",
            f"{last.machine}; pdeml {last.version}. Written by `make bench`.",
        ]
    )


def _cell(line: Measured | None) -> str:
    return "" if line is None else f"{line.median:.3g} ({line.quantile95:.2g})"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sampling_table.py", description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300, help="default 300")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
