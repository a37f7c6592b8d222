"""Formulas evaluated at fixed points of space, again and again, for changing times and values of the unknowns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import sympy

from pdeml.errors import DivergenceError
from pdeml.expr import Program, compile_program, jet_of
from pdeml.reference.case import Case

__all__ = ["Pointwise"]


class Pointwise:
    """Formulas in coordinates, parameters, inputs, normals and jet symbols at points of space.

    Args:
        case: gives parameters and inputs their values.
        points: (P, d) places in space.
        normals: (P, d) outward unit normals, on a boundary.
    """

    def __init__(self, case: Case, points: np.ndarray, normals: np.ndarray | None = None):
        names = case.problem.names
        self.case = case
        self.points = points
        self._fixed: dict[str, np.ndarray | float] = {**case.numbers, **dict(zip(names.space, points.T, strict=True))}
        if normals is not None:
            self._fixed.update({f"n[{axis}]": column for axis, column in zip(names.space, normals.T, strict=True)})
        self._inputs: dict[str, np.ndarray] = {}

    def evaluate(
        self,
        formulas: Sequence[sympy.Expr],
        time: float | None = None,
        known: Mapping[str, np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Return the value (P,) of each formula.

        Args:
            formulas: what is evaluated.
            time: the time.
            known: values (P,) of jet symbols of the unknowns.
        Raises:
            DivergenceError: a value is not finite.
        """
        formulas = tuple(formulas)
        program, used = _program(formulas)
        values = {**self._fixed, **(known or {}), **self._input_values(used, time)}
        if time is not None:
            values[self.case.problem.names.time] = time
        with np.errstate(all="ignore"):
            results = program.run([values[symbol.name] for symbol in used])
        found = [np.broadcast_to(np.asarray(result, dtype=np.float64), (len(self.points),)) for result in results]
        for formula, result in zip(formulas, found, strict=True):
            if not np.isfinite(result).all():
                raise DivergenceError(f"the formula {formula} is not a finite number at some points of the mesh")
        return found

    def full_points(self, time: float | None) -> np.ndarray:
        """Return the points with the time among their columns, (P, D)."""
        column = self.case.problem.domain.time_column
        return self.points if column is None else np.insert(self.points, column, time, axis=1)

    def _input_values(self, used: Sequence[sympy.Symbol], time: float | None) -> dict[str, np.ndarray]:
        found = {}
        for symbol in used:
            jet = jet_of(symbol)
            if jet is None or jet[0] not in self.case.inputs:
                continue
            if symbol.name not in self._inputs:
                values = self.case.at(symbol, self.full_points(time))
                if self.case.problem.names.time in self.case.inputs[jet[0]].over:
                    found[symbol.name] = values
                    continue
                self._inputs[symbol.name] = values
            found[symbol.name] = self._inputs[symbol.name]
        return found


@lru_cache(maxsize=256)
def _program(formulas: tuple[sympy.Expr, ...]) -> tuple[Program, tuple[sympy.Symbol, ...]]:
    """Return the compiled formulas, and the symbols whose values the program takes."""
    used = tuple(sorted(sympy.Tuple(*formulas).free_symbols, key=str))
    return compile_program(formulas, [symbol.name for symbol in used]), used
