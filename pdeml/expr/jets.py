"""Jet symbols: one real symbol for each partial derivative of an unknown or of an input function."""

from __future__ import annotations

import re
from collections.abc import Sequence

import sympy
from sympy.core.function import AppliedUndef

from pdeml.errors import ExpressionError
from pdeml.expr.names import Names

__all__ = ["jet_of", "jet_symbol", "normal_symbol", "to_jets"]

_JET = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\[(\d+(?:,\d+)*)\]")


def jet_symbol(unknown: str, index: Sequence[int]) -> sympy.Symbol:
    """The symbol ``u[2,0]`` of the derivative with multi-index ``index`` over ``names.coordinates``."""
    return sympy.Symbol(f"{unknown}[{','.join(map(str, index))}]", real=True)


def jet_of(symbol: sympy.Basic) -> tuple[str, tuple[int, ...]] | None:
    """The (function, multi-index) a jet symbol stands for; None for any other symbol."""
    match = _JET.fullmatch(symbol.name) if isinstance(symbol, sympy.Symbol) else None
    return (match[1], tuple(int(order) for order in match[2].split(","))) if match else None


def normal_symbol(axis: str) -> sympy.Symbol:
    """The symbol ``n[x]`` of the outward unit normal's component along ``axis``."""
    return sympy.Symbol(f"n[{axis}]", real=True)


def to_jets(expression: sympy.Basic, names: Names) -> sympy.Basic:
    """Replace unknowns, inputs and their derivatives by jet symbols.

    Raises: ExpressionError: a function is taken elsewhere than at the point itself.
    """
    found = expression.atoms(sympy.Derivative, AppliedUndef)
    return expression.xreplace({call: _jet(call, names) for call in found})


def _jet(call: sympy.Expr, names: Names) -> sympy.Expr:
    base = call.expr if isinstance(call, sympy.Derivative) else call
    known = (*names.real_unknowns, *names.input_names)
    if (
        not isinstance(base, AppliedUndef)
        or base.func.__name__ not in known
        or base != names.function(base.func.__name__)
    ):
        raise ExpressionError(f"{call} cannot be written with derivatives of the unknowns at one point")
    orders = dict.fromkeys(names.coordinates, 0)
    for symbol, count in call.variable_count if isinstance(call, sympy.Derivative) else ():
        orders[symbol.name] += int(count)
    return jet_symbol(base.func.__name__, tuple(orders.values()))
