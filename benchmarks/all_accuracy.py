"""All accuracy tables: PINNs (accuracy.py), random features and Gaussian processes (meshfree.py), operators.

``python benchmarks/all_accuracy.py --rows burgers burgers-fno --seeds 0``: each script measures the rows it knows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import accuracy
import meshfree
import operators

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that are asked for (default: all); 1 if a bound is missed."""
    scripts = {script: [row.name for row in script.ROWS] for script in (accuracy, meshfree, operators)}
    names = [name for found in scripts.values() for name in found]
    parser = argparse.ArgumentParser(prog="all_accuracy.py", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", default=[], metavar="SEED", help="default: 0 to 4 for PINNs, else 0 to 2")
    options = parser.parse_args(arguments)
    missed = 0
    for script, known in scripts.items():
        rows = [name for name in options.rows if name in known]
        if rows:
            missed |= script.main(["--rows", *rows, *(["--seeds", *options.seeds] if options.seeds else [])])
    return missed


if __name__ == "__main__":
    sys.exit(main())
