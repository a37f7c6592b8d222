"""References computed by a classical solver, with the error that refinement shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.reference.base import Parameters, Reference, as_points
from pdeml.reference.case import Case
from pdeml.reference.exact import parameter_values
from pdeml.reference.methods import make_method
from pdeml.reference.refine import Refinement, Stage

__all__ = ["ComputedReference"]

MOST_CASES = 64
"""Different values of the parameters that are solved for."""
USELESS = 0.1
"""A reference with a larger relative error is none."""


@dataclass(frozen=True, eq=False)
class ComputedReference(Reference):
    """What a classical solver finds. Nothing is computed before the first value is asked for.

    Args:
        problem: what is solved.
        refinement: the solver and its grids, for the problem's own parameters.
    """

    problem: Problem
    refinement: Refinement
    costly = True
    _stages: dict[tuple[float, ...], Stage] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(cls, given: Mapping[str, Any], problem: Problem) -> ComputedReference:
        """Read ``{solver: auto, grid: {x: 257}, tolerance: 1e-8, …}``; other keys are options of the solver.

        Raises:
            InputError: no solver of that name, an option it does not have, or a problem that it refuses.
        """
        options = dict(given)
        kind, grid = str(options.pop("solver")), options.pop("grid", None)
        tolerance = options.pop("tolerance", 1e-6)
        if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not tolerance > 0:
            raise InputError(f"the tolerance must be a positive number, got {tolerance!r}", ("tolerance",))
        return cls(
            problem, Refinement(make_method(kind, options, problem), Case.fixed(problem), grid, float(tolerance))
        )

    @property
    def unknowns(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.problem.names.real_unknowns

    @property
    def floor(self) -> float:  # type: ignore[override]
        return self.refinement.estimate(self._stage({}))

    @property
    def description(self) -> str:  # type: ignore[override]
        key = self._key({})
        kind = self.refinement.method.kind
        if key not in self._stages:
            return f"solver: {kind}"
        grid = ", ".join(f"{name} {size}" for name, size in (self.refinement.grid_of(self._stages[key].level)).items())
        return f"solver: {kind} on {grid} points, estimated relative error {self.floor:.0e}"

    def evaluate(self, points: ArrayLike, parameters: Parameters | None = None) -> dict[str, np.ndarray]:
        array = as_points(points, self.problem)
        values = parameter_values(self.problem, parameters)
        rows = np.stack([np.broadcast_to(values[name], len(array)) for name in values], 1) if values else None
        if rows is None or not parameters:
            return self._stage({}).solved.evaluate(array)
        different, inverse = np.unique(rows, axis=0, return_inverse=True)
        if len(different) > MOST_CASES:
            raise InputError(
                f"the reference would be computed for {len(different)} values of the parameters; at most {MOST_CASES}"
            )
        result = {name: np.empty(len(array)) for name in self.unknowns}
        for k, row in enumerate(different):
            chosen = inverse.ravel() == k
            solved = self._stage(dict(zip(values, map(float, row), strict=True))).solved
            for name, found in solved.evaluate(array[chosen]).items():
                result[name][chosen] = found
        return result

    def _key(self, parameters: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(parameter_values(self.problem, parameters).values())

    def _stage(self, parameters: Mapping[str, float]) -> Stage:
        key = self._key(parameters)
        if key not in self._stages:
            refinement = self.refinement
            case = Case.fixed(self.problem, parameters) if parameters else refinement.case
            whole = replace(refinement, case=case)
            stage = whole.run()
            if not whole.estimate(stage) <= USELESS:
                raise InputError(
                    f"the reference solver {refinement.method.kind!r} does not resolve the problem: "
                    f"{whole.ended(stage)[0]}; give a finer grid, or another solver",
                    ("solver",),
                )
            self._stages[key] = stage
        return self._stages[key]
