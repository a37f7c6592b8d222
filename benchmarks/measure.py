"""One measurement, in a process of its own: solve a shipped problem, measure the error where nothing was trained.

``python benchmarks/measure.py '{"problem": "heat", "solver": "pinn", "options": {}, "seed": 0}'`` prints one JSON line.
The clock starts when everything is imported. It covers reading the problem, compiling it, and the fit; neither the
imports nor the evaluation of the error.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from calibration import THREADS, matmul_rate

from pdeml.errors import DivergenceError
from pdeml.problem import Problem, library
from pdeml.reference import Reference, make_reference
from pdeml.sampling import sample
from pdeml.solvers import Solution, solver_class
from pdeml.spec import load_spec

__all__ = ["held_out", "measure", "relative_error"]

OWN = Path(__file__).resolve().parent / "problems"
COMMON = {"device": "cpu", "precision": "float64"}
HELD_OUT_POINTS = 10_000
# More than 32 bits, so that no training seed, which is the first word of a sequence of small numbers, begins like it.
HELD_OUT_SEED = 8_462_201_731_997


def measure(problem: str, solver: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Solve and time a problem.

    Args:
        problem: name in the library, or of a spec in benchmarks/problems.
        solver: kind of solver; it runs on the CPU in float64.
        options: of the solver; empty for its defaults.
        seed: of the training.

    Returns: ``error`` (largest relative L2 error of any unknown), ``floor`` (of the reference), ``seconds`` (CPU time
        of the process, divided by the number of threads), ``wall``, ``steps``, ``gflops``, ``reason``.
    """
    torch.set_num_threads(THREADS)
    kind = solver_class(solver)
    path = OWN / f"{problem}.yaml"
    path = path if path.exists() else library.path(problem)
    common = {key: value for key, value in COMMON.items() if key in kind.model_fields}
    gflops = matmul_rate()
    wall, cpu = time.perf_counter(), time.process_time()
    loaded = Problem.from_yaml(path)
    try:
        solution = kind(**{**common, "seed": seed, **options}).fit(loaded)
        diverged = False
    except DivergenceError as error:
        solution, diverged = error.solution, True
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    document = load_spec(path)
    reference = make_reference(document.spec.reference, loaded, document.folder)
    return {
        "error": float("inf") if diverged else relative_error(solution, reference, loaded),
        "floor": reference.floor_at(held_out(loaded)),
        "seconds": cpu / THREADS,
        "wall": wall,
        "steps": solution.record.steps,
        "gflops": gflops,
        "reason": solution.record.reason,
    }


def held_out(problem: Problem) -> np.ndarray:
    """Return the points (N, D) of the interior on which the error is measured: scrambled Sobol, always the same."""
    return sample(problem.domain.region("interior"), HELD_OUT_POINTS, "sobol", HELD_OUT_SEED).x


def relative_error(solution: Solution, reference: Reference, problem: Problem) -> float:
    """Return the largest relative L2 error of any unknown that the reference knows, on the held-out points."""
    points = held_out(problem)
    exact = reference.evaluate(points, problem.parameter_values)
    values = solution.values(points)
    errors = [np.linalg.norm(values[name] - exact[name]) / np.linalg.norm(exact[name]) for name in exact]
    return float(np.max(errors))


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
