"""Time and memory of the joint objective of Gaussian processes on grids, and how both grow with the number of points.

Poisson's equation with waves of 100 radians per unit, n x n points, 30 components along each coordinate: one evaluation
of the objective with its gradient, on two threads, each size in a process of its own. Lines are added to gp_cost.csv,
the picture gp_cost.png is drawn, and README.md says what the largest grid took. The exit code is 1 if 400 x 400 points
take more than 0.3 s, 1000 x 1000 more than 4 s, or any more than 2 GB.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from calibration import THREADS, matmul_rate
from records import Origin, append, origin, read
from rich.console import Console
from tables import replace_between

from pdeml.gp.joint import JointObjective
from pdeml.gp.kernels import ProductKernel, spectral_mixture
from pdeml.problem import Problem

__all__ = ["Measured", "main", "measure"]

FOLDER = Path(__file__).resolve().parent
SIZES = (100, 200, 300, 400, 550, 700, 850, 1000)
COMPONENTS, HIGHEST, REPEATS = 30, 40 * math.pi, 5
SECONDS, MEGABYTES = {400: 0.3, 1000: 4.0}, 2000.0


@dataclass(frozen=True)
class Measured(Origin):
    """One line of gp_cost.csv: an evaluation with gradient on n x n points; the peak is that of the whole process."""

    n: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    gflops: float


def main(
    arguments: Sequence[str] | None = None,
    *,
    csv: Path = FOLDER / "gp_cost.csv",
    picture: Path = FOLDER / "gp_cost.png",
    readme: Path = FOLDER.parent / "README.md",
    sizes: Sequence[int] = SIZES,
) -> int:
    """Measure, show and record. Returns the exit code."""
    options = _parse(arguments)
    if options.one:
        print(json.dumps(measure(options.one)))
        return 0
    console, where, lines = Console(), asdict(origin()), []
    for n in sizes:
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        lines.append(Measured(**where, n=n, **json.loads(done.stdout)))
        append(csv, lines[-1])
        console.print(f"{n} x {n}: {lines[-1].seconds:.3f} s, peak {lines[-1].megabytes:.0f} MB")
    _draw(lines, picture)
    replace_between(readme, "joint", readme_text(newest(csv)))
    late = [line for line in lines if line.seconds > SECONDS.get(line.n, math.inf) or line.megabytes > MEGABYTES]
    return int(bool(late))


def measure(n: int) -> dict[str, float]:
    """Return seconds of the wall and of the processor, MB at the peak, and the rate of the machine at that time."""
    torch.set_num_threads(THREADS)
    problem = Problem.from_yaml(FOLDER / "problems" / "u6.yaml")
    axis = spectral_mixture(torch.linspace(0, HIGHEST, COMPONENTS), HIGHEST / COMPONENTS / 2)
    objective = JointObjective(problem, (n, n), [ProductKernel((axis, axis))])
    z = objective.start()
    z[: n * n] = torch.randn(n * n, dtype=z.dtype, generator=torch.Generator().manual_seed(0))
    objective.gradient(z)
    walls, processor = [], time.process_time()
    for _ in range(REPEATS):
        started = time.perf_counter()
        objective.gradient(z)
        walls.append(time.perf_counter() - started)
    cpu = (time.process_time() - processor) / REPEATS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"seconds": statistics.median(walls), "cpu_seconds": cpu, "megabytes": peak, "gflops": matmul_rate()}


def newest(csv: Path = FOLDER / "gp_cost.csv") -> list[Measured]:
    """Return the last line of each size, smallest first."""
    return sorted({line.n: line for line in read(csv, Measured)}.values(), key=lambda line: line.n)


def readme_text(lines: Sequence[Measured]) -> str:
    """Return what the largest grid took, in words."""
    if not lines:
        return "Nothing has been measured yet: `make bench`."
    last = lines[-1]
    return (
        f"On a grid of {last.n} x {last.n} points the published joint objective (`mode: map`), with its gradient,\n"
        f"takes {last.seconds:.2f} s and {last.megabytes / 1000:.1f} GB ([growth](benchmarks/gp_cost.png)). "
        f"Measured: {last.date.split(' ')[0]}, {last.machine}; pdeml {last.version}.\n"
        "Written by `benchmarks/bench_gp.py`."
    )


def _draw(lines: Sequence[Measured], path: Path) -> None:
    """Draw time and memory against the number of points N = n², with the powers of N they are expected to follow."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    points = np.array([line.n**2 for line in lines], float)
    for axes, name, values, power in (
        (left, "seconds", [line.seconds for line in lines], 1.5),
        (right, "peak memory in MB", [line.megabytes for line in lines], None),
    ):
        axes.plot(points, values, "o-", ms=4, label="measured")
        if power is not None:
            axes.plot(points, values[-1] * (points / points[-1]) ** power, "--", lw=1, label=f"N^{power:g}")
        axes.set(xscale="log", yscale="log", xlabel="grid points N", ylabel=name)
        axes.legend()
    figure.suptitle("joint objective and gradient on n x n points")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_gp.py", description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, metavar="N", help="measure N x N points here and print a line of JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
