"""Measure the orders of convergence of the classical solvers: ``make bench``.

Every case has a known solution and is solved on grids that are refined. An order is the slope of a straight line
through the logarithms of error and step, over all grids; where the error falls exponentially the line is through the
logarithm of the error and the number of points. Errors are relative, over a fixed set of random points (at the last
time). Lines are added to orders.csv; the table of README.md and the picture orders.png are rewritten. The exit
code is 1 if an order is more than 0.2 away from theory (P1 on the L-shape and shocks included; across a shock more than
1.1 would be wrong too), or an exponential fit is not straight.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from order_cases import CASES, Case
from records import ROOT, Origin, append, origin, read
from rich.console import Console
from tables import markdown, replace_between

from pdeml.reference import Case as Instance
from pdeml.reference import make_method, make_reference

__all__ = ["Measured", "main", "measure"]

FOLDER = Path(__file__).resolve().parent
WITHIN = 0.2
POINTS = {1: 50_000, 2: 2_000}
"""Random points by the number of space coordinates; across a shock many are needed for a norm."""
STRAIGHT = 0.98
"""Least squared correlation of an exponential fit."""


@dataclass(frozen=True)
class Measured(Origin):
    """One line of orders.csv: the errors on all grids as text, the slope, and what it should be."""

    case: str
    sizes: str
    errors: str
    slope: float
    theory: float | None
    straight: float
    good: int


def error_on(case: Case, grid: dict[str, int]) -> float:
    """Return the relative error of the case on one grid, the largest of all unknowns."""
    problem = case.problem
    kind, options = case.method
    method = make_method(kind, options, problem)
    domain = problem.domain
    times = None if domain.time is None else np.linspace(domain.time[1], domain.time[2], 3)
    (solved,) = method.solve(problem, [Instance(problem)], grid, times)
    low, high = domain.bounds.T
    points = low + (high - low) * np.random.default_rng(0).random((POINTS[len(domain.axes)], len(low)))
    if domain.time is not None:
        points[:, problem.names.coordinates.index(domain.time[0])] = domain.time[2]
    points = points[domain.contains(points)]
    trusted = make_reference({"exact": dict(case.exact)}, problem).evaluate(points)
    found = solved.evaluate(points)
    return max(
        float(np.linalg.norm(found[name] - values, case.norm) / np.linalg.norm(values, case.norm))
        for name, values in trusted.items()
    )


def measure(case: Case) -> tuple[list[int], list[float], float, float, bool]:
    """Return sizes, errors, slope, squared correlation, and whether the slope is as it should be."""
    sizes = [grid[case.refined] for grid in case.grids]
    errors = [error_on(case, dict(grid)) for grid in case.grids]
    x = np.array(sizes, float) if case.theory is None else np.log(np.array(sizes, float) - 1)
    slope = -float(np.polyfit(x, np.log(errors), 1)[0])
    straight = float(np.corrcoef(x, np.log(errors))[0, 1] ** 2)
    if case.theory is None:
        return sizes, errors, slope, straight, straight >= STRAIGHT and slope > 0
    return sizes, errors, slope, straight, abs(slope - case.theory) <= WITHIN


def main(
    arguments: Sequence[str] | None = None, *, csv: Path = FOLDER / "orders.csv", readme: Path = ROOT / "README.md"
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    console = Console()
    if not options.table:
        where = asdict(origin())
        for case in CASES:
            sizes, errors, slope, straight, good = measure(case)
            texts = {"sizes": " ".join(map(str, sizes)), "errors": " ".join(f"{e:.3e}" for e in errors)}
            record = Measured(
                **where, case=case.name, **texts, slope=slope, theory=case.theory, straight=straight, good=int(good)
            )
            append(csv, record)
            console.print(
                f"{case.name}: {texts['errors']}  slope {slope:.2f}" + ("" if good else "  NOT AS IT SHOULD BE")
            )
    newest = _newest(read(csv, Measured))
    replace_between(readme, "orders", _readme_text(newest))
    if newest and not options.no_picture:
        _draw(newest, FOLDER / "orders.png")
    return 0 if all(line.good for line in newest) else 1


def _newest(lines: Sequence[Measured]) -> list[Measured]:
    last = max((line.date for line in lines), default="")
    return [line for line in lines if line.date == last]


def _readme_text(lines: Sequence[Measured]) -> str:
    if not lines:
        return "Nothing has been measured yet: `make bench`."
    rows = [
        (
            line.case,
            f"{line.slope:.2f}" if line.theory is not None else "exponential",
            f"{line.theory:.2f}".rstrip("0").rstrip(".") if line.theory is not None else "exponential",
            line.errors.split()[-1],
        )
        for line in lines
    ]
    first = lines[0]
    prose = (
        "Slopes fitted over four or five grids, errors against known solutions; the errors themselves are in\n"
        "`benchmarks/orders.csv` and [drawn](benchmarks/orders.png), exponential ones on a logarithmic axis.\n"
        f"Measured: {first.date.split(' ')[0]}, {first.machine}; pdeml {first.version}. Written by `make bench`."
    )
    return "\n".join([markdown(("", "order measured", "in theory", "error on the finest grid"), rows), "", prose])


def _draw(lines: Sequence[Measured], path: Path) -> None:
    """Draw orders (both axes logarithmic) and exponential convergence (semilogarithmic, with the fit)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for line in lines:
        sizes, errors = (np.array(text.split(), float) for text in (line.sizes, line.errors))
        axes, label = (right, line.case) if line.theory is None else (left, f"{line.case}: {line.slope:.2f}")
        (drawn,) = axes.plot(sizes, errors, "o", ms=4, label=label)
        x = sizes if line.theory is None else np.log(sizes - 1)
        fit = np.exp(np.polyval(np.polyfit(x, np.log(errors), 1), x))
        axes.plot(sizes, fit, "-", lw=1, color=drawn.get_color())
        axes.set(yscale="log", xlabel="points along the refined coordinate", ylabel="relative error")
    left.set(xscale="log", title="fitted orders")
    right.set(title="exponential convergence, semilogarithmic fit")
    left.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    right.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_orders.py", description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="measure nothing, only write the table of README.md")
    parser.add_argument("--no-picture", action="store_true", help="do not draw orders.png")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
