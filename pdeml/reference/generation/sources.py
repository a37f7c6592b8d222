"""Where the solutions of a data set come from: a classical solver, formulas, a shipped function."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from pdeml.errors import DivergenceError, InputError, under
from pdeml.field import canonical_dims, grid_points
from pdeml.problem import Problem, read_exact
from pdeml.problem.manufactured import real_formulas
from pdeml.reference.case import Case
from pdeml.reference.method import Method
from pdeml.reference.methods import make_method
from pdeml.reference.named import named_reference
from pdeml.reference.refine import Refinement

__all__ = ["SampleSource", "make_source"]

Axes = Mapping[str, np.ndarray]
Found = tuple[dict[str, np.ndarray], Mapping[str, Any]]
TOGETHER, MOST_TOGETHER = 2**17, 32
"""Points of space that are solved for at once in all samples of a batch; samples of a batch."""


class SampleSource(ABC):
    """What turns cases into solutions on a grid.

    Attributes:
        grid: points per coordinate that are computed with; empty where values are exact.
    """

    grid: Mapping[str, int]

    @property
    def batch(self) -> int:
        """How many samples are best solved together."""
        return 1

    @abstractmethod
    def solve(self, problem: Problem, cases: Sequence[Case], axes: Sequence[Axes]) -> list[Found]:
        """Solve cases of one problem.

        Args:
            problem: of the cases.
            axes: for each case, coordinate -> values.
        Returns: for each case, real unknown -> array in the order (t, z, y, x); and facts about the solution.
        """

    @abstractmethod
    def describe(self) -> str:
        """Say in one line where the solutions come from."""

    @abstractmethod
    def error(self, case: Case) -> float:
        """Return the relative L2 error of the solution of one case, estimated; NaN where nothing is known."""

    def about(self) -> dict[str, str]:
        """Return what a data set says about it, as attributes."""
        return {"reference": self.describe()}


@dataclass(frozen=True)
class Solver(SampleSource):
    """A classical solver on a grid."""

    method: Method
    grid: Mapping[str, int]
    problem: Problem
    device: str = "cpu"

    @property
    def batch(self) -> int:
        points = math.prod(size for name, size in self.grid.items() if name != self.problem.time)
        return max(1, min(MOST_TOGETHER, TOGETHER // max(1, points)))

    def solve(self, problem: Problem, cases: Sequence[Case], axes: Sequence[Axes]) -> list[Found]:
        times = None if problem.time is None else np.asarray(axes[0][problem.time], dtype=np.float64)
        found = self.method.solve(problem, cases, self.grid, times, device=self.device)
        return [(solved.on_grid(grid), solved.facts) for solved, grid in zip(found, axes, strict=True)]

    def describe(self) -> str:
        return f"solver {self.method.kind} on {self._listed} points"

    def error(self, case: Case) -> float:
        """Solve on the grid and on at most two coarser ones, whose differences tell the order and the error."""
        refinement = Refinement(self.method, case, self.grid, device=self.device)
        try:
            return refinement.estimate(refinement.run())
        except (DivergenceError, InputError):
            return math.nan

    def about(self) -> dict[str, str]:
        return {"reference": self.method.kind, "reference_grid": self._listed}

    @property
    def _listed(self) -> str:
        return ", ".join(f"{name} {size}" for name, size in self.grid.items())


@dataclass(frozen=True)
class Formulas(SampleSource):
    """Formulas in coordinates, parameters and input functions."""

    formulas: Mapping[str, sympy.Expr]
    grid: Mapping[str, int] = field(default_factory=dict)

    def solve(self, problem: Problem, cases: Sequence[Case], axes: Sequence[Axes]) -> list[Found]:
        order = canonical_dims(problem.names.coordinates, problem.time)
        grids = [{name: grid[name] for name in order} for grid in axes]
        return [
            ({name: case.on_grid(formula, grid) for name, formula in self.formulas.items()}, {})
            for case, grid in zip(cases, grids, strict=True)
        ]

    def describe(self) -> str:
        return "exact: " + ", ".join(f"{name} = {formula}" for name, formula in self.formulas.items())

    def error(self, case: Case) -> float:
        return 0.0


@dataclass(frozen=True)
class Named(SampleSource):
    """A shipped function."""

    name: str
    grid: Mapping[str, int] = field(default_factory=dict)

    def solve(self, problem: Problem, cases: Sequence[Case], axes: Sequence[Axes]) -> list[Found]:
        reference = named_reference(self.name, problem)
        order = canonical_dims(problem.names.coordinates, problem.time)
        found: list[Found] = []
        for case, grid in zip(cases, axes, strict=True):
            shape = tuple(len(grid[name]) for name in order)
            points = grid_points({name: grid[name] for name in problem.names.coordinates}, order)
            values = reference.evaluate(points, case.numbers)
            found.append(({name: part.reshape(shape) for name, part in values.items()}, {}))
        return found

    def describe(self) -> str:
        return f"named: {self.name}"

    def error(self, case: Case) -> float:
        return named_reference(self.name, case.problem).floor or math.nan


def make_source(reference: Mapping[str, Any] | None, problem: Problem, device: str = "cpu") -> SampleSource:
    """Build what a recipe says under ``reference``.

    Args:
        reference: ``{solver: fem, grid: {x: 421, y: 421}, …}``, ``{exact: …}`` or ``{named: …}``.
        problem: with the parameters in the middle of their ranges.
        device: for the solver.
    Raises:
        InputError: with the path below ``reference``: nothing is given, a file, a solver that refuses the problem, a
            grid that is no grid of it.
    """
    if not reference:
        raise InputError("a recipe needs a reference, such as {solver: auto}: it says how samples are solved")
    given = dict(reference)
    if "solver" in given:
        grid = given.pop("grid", {})
        method = make_method(str(given.pop("solver")), given, problem)
        return Solver(method, method.full_grid(problem, _checked(grid, problem)), problem, device)
    ((kind, value),) = given.items()
    if kind == "named":
        with under("named"):
            named_reference(str(value), problem)
        return Named(str(value))
    if kind == "exact":
        with under("exact"):
            found = real_formulas(problem.names, read_exact(problem.names, value, complete=True))
        return Formulas({name: found[name] for name in problem.names.real_unknowns})
    raise InputError("a field file is one solution; samples come from solver, exact or named", (str(kind),))


def _checked(grid: Mapping[str, int], problem: Problem) -> Mapping[str, int]:
    for name in grid:
        if name not in problem.names.coordinates:
            listed = ", ".join(problem.names.coordinates)
            raise InputError(f"{name!r} is no coordinate; allowed: {listed}", ("grid", name))
    return grid
