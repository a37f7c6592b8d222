"""References given by formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike

from pdeml.errors import InputError, one_of
from pdeml.expr import evaluate
from pdeml.problem import Problem, read_exact
from pdeml.problem.manufactured import real_formulas
from pdeml.reference.base import Parameters, Reference, as_points

__all__ = ["FLOOR", "ExactReference"]

FLOOR = 1e-15
"""Relative L2 error of evaluating a formula in double precision."""


@dataclass(frozen=True)
class ExactReference(Reference):
    """Formulas in coordinates and parameters, one for each unknown that is to be compared."""

    problem: Problem
    formulas: tuple[tuple[str, sympy.Expr], ...]
    floor: float = FLOOR

    @classmethod
    def read(cls, exact: Mapping[str, Any], problem: Problem) -> ExactReference:
        """Read ``{u: formula}``; complex unknowns are split into ``NAME_real`` and ``NAME_imag``.

        Raises:
            InputError: for no formula at all, a name that is no unknown, or a formula that is not allowed.
        """
        if not isinstance(exact, Mapping) or not exact:
            raise InputError(f"expected a mapping such as {{{problem.names.unknowns[0]}: formula}}, got {exact!r}")
        found = real_formulas(problem.names, read_exact(problem.names, exact))
        for name, formula in found.items():
            if formula.atoms(sympy.core.function.AppliedUndef):
                raise InputError("an exact solution contains no input functions", (name,))
        return cls(problem, tuple((name, found[name]) for name in problem.names.real_unknowns if name in found))

    @property
    def unknowns(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(name for name, _ in self.formulas)

    @property
    def description(self) -> str:  # type: ignore[override]
        return "exact: " + ", ".join(f"{name} = {formula}" for name, formula in self.formulas)

    def evaluate(self, points: ArrayLike, parameters: Parameters | None = None) -> dict[str, np.ndarray]:
        array = as_points(points, self.problem)
        values: dict[str, Any] = parameter_values(self.problem, parameters)
        values.update((name, array[:, k]) for k, name in enumerate(self.problem.names.coordinates))
        return {name: np.asarray(evaluate(formula, values), dtype=np.float64) for name, formula in self.formulas}


def parameter_values(problem: Problem, given: Parameters | None) -> dict[str, Any]:
    """Return the problem's parameter values, replaced by those given.

    Raises:
        InputError: for a name that is no parameter.
    """
    for name in given or {}:
        if name not in problem.parameters:
            raise InputError(one_of(name, problem.parameters, "a parameter"))
    return {**problem.parameter_values, **(given or {})}
