"""Measure every operator against its twin, compilers and other packages.

    python -m pdeml_kernels.bench [--device cuda] [--rows spectral PINN] [--precision tf32x3] [--quick] [--write]

Times are medians: on a CUDA device by its own events, with inputs in turns; on a CPU by the clock, all implementations
in turns, so that the machine must have nothing else to do. What is computed is compared with the twin in float64 in the
same run. The exit code is 1 if something of ours is wrong. What is measured is added to bench.csv; --write also puts
the table of the device into README.md, both in the folder of kernels of a checkout, or else where the program is
started.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Read when torch is loaded: its profiler, which counts memory on CPUs, would tell of every start.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

import torch

from pdeml_kernels.bench import record
from pdeml_kernels.bench.case import PRECISIONS, Case
from pdeml_kernels.bench.cases import cases
from pdeml_kernels.bench.device import ceilings
from pdeml_kernels.bench.measure import Result, Setting, measure
from pdeml_kernels.bench.tables import README, markdown, replace_between

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, folder: Path | None = None) -> int:
    """Measure, show and record in a folder, by default that of kernels in a checkout. Returns the exit code."""
    options = _parse(arguments)
    folder = folder or (README.parent if README.exists() else Path.cwd())
    device = torch.device(options.device)
    precision = options.precision or ("tf32x3" if device.type == "cuda" else "ieee")
    chosen = [case for case in cases(device.type, precision, options.quick) if _named(case, options.rows)]
    limits, where = ceilings(device, options.quick), record.origin(device)
    described = record.described(where, limits, precision)
    print(described, flush=True)
    setting = Setting(device, precision, limits, 0.01 if options.quick else 1.0)
    found = [(case, _shown(case, setting)) for case in chosen]
    complaints = [f"{case}: {told}" for case, results in found for told in record.shortfalls(case, results)]
    print(*complaints, sep="\n")
    if not options.quick:
        for _, results in found:
            record.append(folder / "bench.csv", where, results)
    if options.write:
        _write(folder, device.type, described, found)
    return 1 if any(result.at_fault for _, results in found for result in results) else 0


def _named(case: Case, rows: Sequence[str]) -> bool:
    return not rows or any(row.lower() in str(case).lower() for row in rows)


def _shown(case: Case, setting: Setting) -> list[Result]:
    """Measure a case and print a line for each implementation and pass."""
    print(f"\n{case}")
    results = []
    for result in measure(case, setting):
        print(f"  {record.line(result)}", flush=True)
        results.append(result)
    return results


def _write(folder: Path, kind: str, described: str, found: Sequence[tuple[Case, Sequence[Result]]]) -> None:
    """Put the table between the markers of README.md; where no GPU has been measured, say so between its markers."""
    readme = folder / "README.md"
    lines = [line for case, results in found for line in record.rows(case, results)]
    replace_between(readme, f"bench-{kind}", f"{described}\n\n{markdown(record.HEADER, lines)}")
    if "cuda" not in record.kinds(folder / "bench.csv"):
        lines = [line for case in cases("cuda", "tf32x3") for line in record.unmeasured(case)]
        replace_between(readme, "bench-cuda", markdown(record.HEADER, lines))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pdeml_kernels.bench", description=__doc__.splitlines()[0])
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, help=f"default {default}")
    parser.add_argument(
        "--rows", nargs="+", default=[], help="only those whose operator or size has one of these words"
    )
    parser.add_argument("--precision", choices=PRECISIONS, help="default tf32x3 on CUDA devices, ieee on others")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, nothing compiled, nothing recorded in bench.csv"
    )
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
