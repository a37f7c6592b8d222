"""Recipes for tests, and a solver that only pretends: its solution is a formula, and it can be told to fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from pdeml.errors import DivergenceError
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.method import Batch, Method
from pdeml.reference.solved import Solved

DECAY = """\
name: decay
seed: 3
problem:
  coordinates: {x: [0, 1], y: [0, 2], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {nu: {range: [0.1, 1]}, k: 2}
  inputs:
    a: {field: grf, over: [x, y], tau: 3, alpha: 2, modes: 16, map: "exp(k*g)"}
    f: {field: series, over: [t], terms: 4}
  equations: u_t = nu*laplacian(u) + f
  conditions:
    - {on: initial, value: {u: a}}
    - {on: boundary, value: {u: 0}}
reference: {exact: {u: "a*exp(-nu*t) + f*x"}}
generate: {samples: 10, output: {x: 9, y: 7, t: 5}, batch: 3}
"""

HOLE = """\
name: hole
problem:
  domain:
    space:
      difference:
        - rectangle: {x: [0, "2*r + w"], y: [0, 1]}
        - disk: {center: [0.5, 0.5], radius: r, name: hole}
  unknowns: [u]
  parameters: {r: {range: [0.1, 0.3]}, w: 1}
  equations: laplacian(u) = 4
  conditions:
    - {on: boundary, value: {u: x**2 + y**2}}
reference: {exact: {u: x**2 + y**2}}
generate: {samples: 4, output: {x: 33, y: 17}, precision: float64}
"""


class Pretended(Solved):
    """``a(x) exp(-t)`` in one dimension of space."""

    def __init__(self, problem: Problem, case: Case, times: np.ndarray):
        self.problem, self.case, self.times = problem, case, times
        self.array, self.facts = np.zeros(0), {"relative_residual": 1e-9, "steps": 3, "kind": "pretended"}

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        return {"u": np.exp(-self.times)[:, None] * self.case.inputs["a"].at(points)}


class Pretender(Method):
    """Solves nothing; remembers which batches it was given, and diverges where it is told to."""

    kind = "pretender"
    diverges_above: float = np.inf
    batches: ClassVar[list[int]] = []

    def refusal(self, problem: Problem) -> str | None:
        return None

    def order(self, problem: Problem) -> float:
        return 1.0

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        return {"x": 65, "t": 9}

    def _solve(self, batch: Batch) -> list[Solved]:
        self.batches.append(len(batch.cases))
        if any(case.numbers["c"] > self.diverges_above for case in batch.cases):
            raise DivergenceError("the numbers became infinite")
        return [Pretended(batch.problem, case, batch.times) for case in batch.cases]

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> Solved:
        return Pretended(problem, case, times)


PRETENDED = """\
name: pretended
problem:
  coordinates: {x: [0, 1], t: [0, 2]}
  time: t
  unknowns: [u]
  parameters: {c: {range: [0, 1]}}
  inputs:
    a: {field: grf, over: [x], basis: periodic, tau: 3, alpha: 2, modes: 9}
  equations: u_t = -u + c*u_xx
  conditions:
    - {on: initial, value: {u: a}}
    - {periodic: [x]}
reference: {solver: pretender}
generate: {samples: 9, batch: 4}
"""
