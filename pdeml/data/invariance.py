"""Whether the equations of a problem stay the same when space is reflected, exchanged or moved.

The residuals are compared at random values of everything that they depend on: formulas that agree there are equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy

from pdeml.expr.jets import jet_of, jet_symbol
from pdeml.problem import Problem

__all__ = ["Change", "changed_equation"]

_TRIALS, _EQUAL = 3, 1e-9
Bounds = Mapping[str, list[float]]


@dataclass(frozen=True)
class Change:
    """A change of the space coordinates.

    Args:
        turned: coordinate -> the one it is exchanged with; itself: it is reflected.
        shifted: the coordinate that is moved, or none.
        directions: component of a vector -> the coordinate along which it points.
        exchanged: component -> the one it is exchanged with.
    """

    turned: Mapping[str, str] = field(default_factory=dict)
    shifted: str | None = None
    directions: Mapping[str, str] = field(default_factory=dict)
    exchanged: Mapping[str, str] = field(default_factory=dict)

    def image(self, symbol: sympy.Symbol, names: tuple[str, ...], bounds: Bounds) -> sympy.Expr:
        """Return what comes in place of a coordinate or a derivative; of anything else, itself.

        Args:
            symbol: in a residual of `NormalForm`.
            names: of all coordinates.
            bounds: coordinate -> its range.
        """
        name = str(symbol)
        if name == self.shifted:
            return symbol + math.sqrt(2) * (bounds[name][1] - bounds[name][0])
        if name in self.turned:
            other = self.turned[name]
            return sum(bounds[name]) - symbol if other == name else sympy.Symbol(other, **symbol.assumptions0)
        if (jet := jet_of(symbol)) is None:
            return symbol
        function, index = jet
        reflected = {dim for dim, other in self.turned.items() if dim == other}
        odd = sum(index[names.index(dim)] for dim in reflected) + (self.directions.get(function) in reflected)
        order = tuple(index[names.index(self.turned.get(dim, dim))] for dim in names)
        return (-1) ** odd * jet_symbol(self.exchanged.get(function, function), order)


def changed_equation(problem: Problem, change: Change) -> str:
    """Return the first equation that becomes one which is not among the equations (up to its sign); "" if none does."""
    if any(form.integrals for form in problem.forms):
        return ""  # of derivatives at one point only can this be said
    names, rng = problem.names.coordinates, np.random.default_rng(0)
    bounds = dict(zip(problem.domain.coordinates, problem.domain.bounds.tolist(), strict=True))
    residuals = [form.residual for form in problem.forms]
    symbols = set().union(*(residual.free_symbols for residual in residuals))
    images = {symbol: change.image(symbol, names, bounds) for symbol in symbols}
    every = sorted(symbols.union(*(image.free_symbols for image in images.values())), key=str)
    before, after = [], []
    for _ in range(_TRIALS):
        values = {symbol: rng.uniform(*bounds.get(str(symbol), (0.5, 1.5))) for symbol in every}
        moved = {symbol: image.subs(values) for symbol, image in images.items()}
        before.append([complex(residual.subs(values, simultaneous=True)) for residual in residuals])
        after.append([complex(residual.subs(moved, simultaneous=True)) for residual in residuals])
    old, new = np.array(before), np.array(after)
    for number, column in enumerate(new.T):
        allowed = _EQUAL * np.abs(column).max()
        if not any(np.abs(column - sign * other).max() <= allowed for other in old.T for sign in (1, -1)):
            ends = np.cumsum([len(group) for group in problem.equation_forms])
            return str(problem.equations[int(np.searchsorted(ends, number, side="right"))])
    return ""
