"""The accuracy of random features and Gaussian processes on problems of high frequency, with default options.

``python benchmarks/meshfree.py --rows u1-gp u6-random_features --seeds 0``; like `accuracy`, whose machinery it is.
The problems stand in benchmarks/problems: u1 to u7, AC1 to AC3 and ADV are those of Fang, Cooley, Long, Li, Kirby &
Zhe, *Solving high frequency and multi-scale PDEs with Gaussian processes* (2024), §5; u2 and ADV on [0, 2 pi], ADV
from initial and inflow values alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from accuracy import FOLDER, Row, Target
from accuracy import main as measure_rows

__all__ = ["ROWS", "TABLE", "main"]

# problem: (bound of gp, of random_features, seconds of gp, of random_features)
BOUNDS = {
    "u1": (1e-6, 1e-9, 60, 5),
    "u2": (1e-5, 1e-9, 90, 5),
    "u3": (1e-6, 1e-9, 60, 5),
    "u4": (1e-4, 1e-8, 120, 10),
    "u5": (1e-5, 1e-9, 60, 5),
    "ac1": (1e-5, 1e-8, 120, 20),
    "ac2": (1e-5, 1e-8, 120, 20),
    "u6": (1e-4, 1e-6, 300, 120),
    "waves20": (1e-4, 1e-6, 300, 120),
    "u7": (1e-4, 1e-6, 300, 120),
    "ac3": (1e-3, 1e-5, 400, 200),
    "adv": (1e-3, 1e-6, 300, 120),
    "smooth": (1e-8, 1e-10, 20, 1),
    "disk": (1e-4, 1e-8, 120, 20),
    "l-shape": (1e-4, 1e-8, 120, 20),
}
ROWS = tuple(
    Row(f"{name}-{kind}", name, bound=bounds[k], limit=bounds[2 + k], solver=kind)
    for k, kind in enumerate(("gp", "random_features"))
    for name, bounds in BOUNDS.items()
)
TABLE = Target(
    "meshfree",
    FOLDER / "meshfree.csv",
    "Every row is a spec of `benchmarks/problems`, solved with default options in float64 on the CPU, two threads.\n"
    "The error is that of the last iterate on 10,000 points that were never used; it decides nothing. Seconds are\n"
    "CPU time divided by two, as above. Written by `make accuracy` from `benchmarks/meshfree.csv`.",
    (0, 1, 2),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are asked for (default: all); 1 if a bound is missed."""
    return measure_rows(arguments, rows=ROWS, target=TABLE)


if __name__ == "__main__":
    sys.exit(main())
