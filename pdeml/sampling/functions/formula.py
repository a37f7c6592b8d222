"""Functions given by a formula, in coordinates and, where it maps a drawn field, in that field ``g``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import Names, diff, evaluate, jet_of, parse, to_jets, where
from pdeml.sampling.functions.base import Function

__all__ = ["RAW", "Formula", "read_formula"]

RAW = "g"
"""Name of the drawn field in ``map``; it hides a parameter of that name."""
JUMPS = (where, sympy.Heaviside, sympy.sign)
KINKS = (sympy.Abs, sympy.Min, sympy.Max)


@dataclass(frozen=True, eq=False)
class Formula(Function):
    """``f(x) = F(x, g(x))``.

    Args:
        over: names of the coordinates.
        names: declares them, the parameters, and the input ``g``.
        expression: F, as `read_formula` returns it.
        parameters: name -> number.
        raw: g, or None for a formula without it.
    """

    over: tuple[str, ...]
    names: Names
    expression: sympy.Expr
    parameters: Mapping[str, float]
    raw: Function | None = None

    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        columns = dict(zip(self.over, np.asarray(points, dtype=np.float64).T, strict=True))
        return self._evaluate(columns, index, lambda raw, orders: raw.at(points, orders), (len(points),))

    def on_grid(self, axes: Sequence[np.ndarray], index: Sequence[int] | None = None) -> np.ndarray:
        columns = dict(zip(self.over, np.meshgrid(*axes, indexing="ij", sparse=True), strict=True))
        shape = tuple(len(axis) for axis in axes)
        return self._evaluate(columns, index, lambda raw, orders: raw.on_grid(axes, orders), shape)

    def _evaluate(self, columns: dict[str, np.ndarray], index: Any, drawn: Any, shape: tuple[int, ...]) -> np.ndarray:
        formula = to_jets(self._derived(index), self.names)
        jets = {
            symbol.name: drawn(self.raw, jet[1])
            for symbol in sorted(formula.free_symbols, key=str)
            if (jet := jet_of(symbol))
        }
        values = evaluate(formula, {**self.parameters, **columns, **jets})
        return np.ascontiguousarray(np.broadcast_to(values, shape))

    def _derived(self, index: Sequence[int] | None) -> sympy.Expr:
        orders = tuple(index or ())
        if self.expression.has(*JUMPS):
            self._refuse_derivative(index, "its formula jumps")
        if sum(orders) > 1 and self.expression.has(*KINKS):
            self._refuse_derivative(index, "its formula has kinks, and a first derivative only")
        formula = self.expression
        for name, order in zip(self.over, orders, strict=False):
            formula = diff(formula, self.names.symbol(name), order)
        return formula


def read_formula(
    text: str | float, over: tuple[str, ...], parameters: Mapping[str, float], raw: bool
) -> tuple[Names, sympy.Expr]:
    """Read ``map`` or ``value`` of an input.

    Args:
        text: the formula.
        over: coordinates that may stand in it.
        parameters: names that may stand in it.
        raw: whether ``g`` may.
    Returns: the names, and the formula in them.
    Raises:
        InputError: it is not one number at each point, or has other names in it.
    """
    known = tuple(name for name in parameters if not (raw and name == RAW))
    names = Names(over, parameters=known, inputs=((RAW, over),) if raw else ())
    expression = parse(text, names, "known")
    if isinstance(expression, sympy.Tuple):
        raise InputError(f"an input function is one number at each point, got the vector {text!r}")
    return names, expression
