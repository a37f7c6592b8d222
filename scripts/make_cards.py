"""Measure the shipped recipes, for their cards and for the table of all: ``python scripts/make_cards.py``.

A card is the ``README.md`` beside a ``recipe.yaml``. What stands between the markers is written here, the rest by hand.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import argparse
import math
import platform
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import pdeml
import pdeml_datasets
from pdeml.cli.generating import first_comment
from pdeml.data import open_source
from pdeml.problem import Problem
from pdeml.reference.generation import Recipe
from pdeml.reference.generation.sources import Solver
from pdeml.run import generate_spec, make_generation_plan
from pdeml.run.recipes import find_recipe

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TABLE = Path(__file__).parents[1] / "datasets" / "README.md"
LONGEST = 25.0
"""Seconds that the refined solution may take, as expected; else a coarser one tells the error."""
LARGEST, WIDEST, COLOURS = 120_000, 800, 255
"""Of a picture: bytes, pixels across, and colours."""


def main() -> None:
    """Write the cards of the recipes that are named, and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="recipes (default: all)")
    parser.add_argument("--samples", type=int, help="to measure with (default: one batch, at least 3)")
    arguments = parser.parse_args()
    shipped = pdeml_datasets.recipes()
    for name in arguments.names or shipped:
        write_card(shipped[name].parent, arguments.samples)
        print(f"wrote {shipped[name].parent / 'README.md'}", flush=True)
    write_table(shipped.values())


def write_table(recipes: Iterable[Path]) -> None:
    """Write the table of all from their cards."""
    rows = [row for path in recipes if (row := table_row(path))]
    replace(
        TABLE, "\n".join(["| Recipe | What | Samples | Size | CPU time | Error |", "|---|---|---|---|---|---|", *rows])
    )


def write_card(folder: Path, samples: int | None) -> None:
    """Measure one recipe; write the picture and the measured part of the card."""
    plan = make_generation_plan(find_recipe(folder.name))
    recipe, whole = plan.recipe, plan.samples
    seconds, stored = generated(folder.name, samples or max(3, recipe.batch), folder / "samples.png")
    parts = ", ".join(f"{part} {len(numbers)}" for part, numbers in plan.split.items())
    arrays = (
        f"{info.role} `{info.name}`"
        + (f" ({', '.join(f'{d} {n}' for d, n in zip(info.dims, info.shape, strict=True))})" if info.dims else "")
        for info in recipe.schema.arrays.values()
    )
    size = recipe.layout.sample_bytes
    rows = {
        "Generate": f"`pdeml generate {folder.name}`",
        "Samples": f"{whole} ({parts})",
        "Arrays": ", ".join(arrays),
        "Size": f"{in_bytes(size)} a sample, {in_bytes(size * whole)} in all, uncompressed {recipe.layout.dtype}",
        "Computed by": recipe.source.describe(),
        "Error": error_of(recipe, stored, seconds),
        "CPU time": f"{in_seconds(seconds)} a sample, {in_seconds(seconds * whole)} in all on one core",
        "Measured on": f"one core of an {machine()}, pdeml {pdeml.__version__}",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    replace(folder / "README.md", "\n".join(["![samples](samples.png)", "", "| | |", "|---|---|", *lines]))


def generated(name: str, samples: int, picture: Path) -> tuple[float, dict[str, np.ndarray]]:
    """Generate some samples in this process and save the picture; return the CPU time of one and the first sample."""
    clock: list[float] = []
    small = find_recipe(name, samples=samples, executor="serial", changes=["generate.check=false"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.h5"
        result = generate_spec(small, path, watch=lambda done: clock.append(time.process_time()))
        assert result.picture is not None, f"there is no picture of {name}"
        save_small(result.picture, picture)
        with open_source(path) as source:
            outputs = (name for name, info in source.arrays.items() if info.role == "output")
            first = {name: source.read(name, [0])[0].astype(np.float64) for name in outputs}
    return (clock[-1] - clock[0]) / samples, first


def error_of(recipe: Recipe, stored: Mapping[str, np.ndarray], seconds: float) -> str:
    """Compare sample 0 with the solution of a grid of halved steps, or, where that takes long, of doubled ones."""
    if not isinstance(recipe.source, Solver):
        return "none but rounding: the solution is exact"
    case = recipe.case(0)
    problem, grid, method = case.problem, recipe.source.grid, recipe.source.method
    finer = method.refine(problem, grid)
    if seconds * math.prod(finer.values()) / math.prod(grid.values()) <= LONGEST:
        how = "halved"
        found = differences(stored, solution(recipe, finer))
    else:
        finer = coarser(problem, grid)
        how = "doubled"
        found = differences(solution(recipe, finer), stored)
    listed = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
    steps = ", ".join(f"{name} {size}" for name, size in finer.items())
    return f"{listed}: relative L2 difference of sample 0 from the solution with {how} steps ({steps} points)"


def solution(recipe: Recipe, grid: Mapping[str, int]) -> Mapping[str, np.ndarray]:
    """Solve sample 0 on a grid; return its values at the points of the data set."""
    case = recipe.case(0)
    axes = recipe.layout.axes(case.problem)
    assert isinstance(recipe.source, Solver)
    source = Solver(recipe.source.method, grid, recipe.source.problem)
    ((values, _),) = source.solve(case.problem, [case], [axes])
    return values


def differences(coarse: Mapping[str, np.ndarray], fine: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the relative L2 difference of each unknown where both have values."""
    found = {}
    for name, values in ((name, fine[name]) for name in fine if name in coarse):
        both = np.isfinite(values) & np.isfinite(coarse[name])
        found[name] = float(np.linalg.norm((coarse[name] - values)[both]) / np.linalg.norm(values[both]))
    return found


def coarser(problem: Problem, grid: Mapping[str, int]) -> dict[str, int]:
    """Return the grid with every step doubled."""
    return {name: n // 2 if name in problem.periodic else (n - 1) // 2 + 1 for name, n in grid.items()}


def save_small(source: Path, target: Path) -> None:
    """Save a picture with few colours and no wider than a page shows."""
    with Image.open(source) as image:
        image.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE).save(target, optimize=True)
    if target.stat().st_size > LARGEST:
        print(f"{target} has {target.stat().st_size} bytes, more than {LARGEST}")


def replace(path: Path, text: str) -> None:
    """Put text between the markers of a file.

    Raises:
        SystemExit: there are no markers.
    """
    before = path.read_text(encoding="utf-8")
    begin, end = before.find(BEGIN), before.find(END)
    if begin < 0 or end < begin:
        raise SystemExit(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{before[:begin]}{BEGIN}\n{text}\n{before[end:]}", encoding="utf-8")


def table_row(recipe: Path) -> str | None:
    """Return the line of a recipe in the table of all, from its card; None where nothing has been measured yet."""
    name = recipe.parent.name
    rows = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", (recipe.parent / "README.md").read_text(encoding="utf-8"), re.M))
    if "Samples" not in rows:
        return None
    samples = rows["Samples"].partition(" ")[0]
    size = rows["Size"].split(", ")[1].removesuffix(" in all")
    spent = rows["CPU time"].partition(" a sample")[0]
    found = re.findall(r"\d\.\de[+-]\d+", rows["Error"].partition(":")[0])
    bound = "< " if "doubled" in rows["Error"] else ""
    error = bound + max(found, key=float) if found else "exact"
    link = f"[`{name}`](pdeml_datasets/recipes/{name}/README.md)"
    return f"| {link} | {first_comment(recipe)} | {samples} | {size} | {spent} | {error} |"


def in_bytes(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def in_seconds(seconds: float) -> str:
    """Return a duration for people."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def machine() -> str:
    """Return the name of the processor."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
