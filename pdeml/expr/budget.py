"""Work with a budget: SymPy never gets a derivative to take or a product to multiply out that could run away.

The size of a result is estimated by a walk over the formula first, and what is too large is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import sympy
from sympy.core.function import AppliedUndef

from pdeml.errors import ExpressionError

__all__ = ["MAX_SIZE", "almost_everywhere", "bounded", "derivative_size", "diff", "expand", "size", "slopes"]

MAX_SIZE = 20_000
MAX_DERIVED = 10_000
MAX_TERMS = 1_000


def size(expression: sympy.Basic, limit: int = MAX_SIZE) -> int:
    """Number of nodes of the expression tree, counted up to ``limit + 1``."""
    count, stack = 0, [expression]
    while stack and count <= limit:
        count += 1
        stack.extend(stack.pop().args)
    return count


def bounded(expression: sympy.Expr) -> sympy.Expr:
    """Refuse a formula that grew to more than ``MAX_SIZE`` nodes."""
    if size(expression) > MAX_SIZE:
        raise ExpressionError("the formula grows too large here; introduce an unknown for a part of it")
    return expression


def diff(expression: sympy.Expr, symbol: sympy.Symbol, order: int = 1, limit: int = MAX_DERIVED) -> sympy.Expr:
    """Differentiate almost everywhere: kinks and jumps give no Dirac delta.

    Args:
        expression, symbol: what is differentiated, and by what.
        order: how often.
        limit: how many nodes the result may have.

    Raises: ExpressionError: a result that would be larger; this is known before any of the work is done.
    """
    for _ in range(order):
        if derivative_size(expression, symbol) > limit:
            raise ExpressionError("a derivative grows too large here; introduce an unknown for a part of the formula")
        try:
            expression = _step(expression, symbol)
        except RecursionError:
            raise ExpressionError("a formula is nested too deeply to be differentiated; shorten it") from None
    return expression


def slopes(expression: sympy.Expr, symbols: Iterable[sympy.Symbol]) -> Iterator[sympy.Expr]:
    """Yield the derivative with respect to each symbol, all of them together within the limit of one.

    Raises: ExpressionError: results that would be larger.
    """
    left = MAX_DERIVED
    for symbol in symbols:
        slope_size = derivative_size(expression, symbol)
        yield diff(expression, symbol, limit=left)
        left -= slope_size


def almost_everywhere(expression: sympy.Expr) -> sympy.Expr:
    """Drop the Dirac deltas that differentiating a kink or a jump leaves: they are zero almost everywhere."""
    expression = sympy.sympify(expression, strict=True)
    if not expression.has(sympy.DiracDelta):
        return expression
    return expression.replace(sympy.DiracDelta, lambda *_: sympy.S.Zero)


def derivative_size(expression: sympy.Basic, symbol: sympy.Symbol) -> int:
    """Nodes of the derivative, as the rules of differentiation write it; zero where the symbol does not occur."""
    return _sizes(expression, symbol, {})[1]


def _sizes(node: sympy.Basic, symbol: sympy.Symbol, seen: dict[sympy.Basic, tuple[int, int]]) -> tuple[int, int]:
    """Return the sizes of a node and of its derivative."""
    if node not in seen:
        parts = [_sizes(part, symbol, seen) for part in node.args]
        whole = 1 + sum(own for own, _ in parts)
        active = [(own, derived) for own, derived in parts if derived]
        if not parts:
            seen[node] = 1, int(node == symbol)
        elif not active:
            seen[node] = whole, 0
        elif isinstance(node, AppliedUndef | sympy.Derivative):
            seen[node] = whole, whole + 4
        elif node.is_Add:
            seen[node] = whole, 1 + sum(derived for _, derived in active)
        elif node.is_Mul:
            seen[node] = whole, 1 + sum(whole - own + derived for own, derived in active)
        else:  # the outer derivative repeats the arguments, that of a maximum twice
            seen[node] = whole, 1 + sum(2 * whole + 4 + derived for _, derived in active)
    return seen[node]


def expand(expression: sympy.Expr, limit: int = MAX_TERMS) -> sympy.Expr:
    """Multiply out the products of sums (powers of sums are kept).

    Raises: ExpressionError: more than ``limit`` terms; this is known before any of the work is done.
    """
    if _terms(expression, {}) > limit:
        raise ExpressionError("a product of sums here has too many terms to be multiplied out; shorten the formula")
    return sympy.expand_mul(expression)


def _terms(node: sympy.Basic, seen: dict[sympy.Basic, int]) -> int:
    """How many terms multiplying out gives, those inside of functions included."""
    if node not in seen:
        parts = [_terms(part, seen) for part in node.args]
        seen[node] = math.prod(parts) if node.is_Mul else max(1, sum(parts)) if node.is_Add else max([1, *parts])
    return seen[node]


def _step(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr:
    stand_ins = {}
    for index, found in enumerate(sorted(expression.atoms(sympy.Derivative), key=sympy.default_sort_key)):
        if isinstance(found.expr, AppliedUndef) and found.expr.is_real:
            # SymPy does not know that derivatives of real functions are real, and then splits abs() needlessly
            stand_ins[found] = sympy.Function(f"_derivative{index}", real=True)(*found.expr.args)
    if not expression.has(sympy.Abs, sympy.sign, sympy.Max, sympy.Min) or expression in stand_ins:
        stand_ins = {}
    result = expression.xreplace(stand_ins).diff(symbol) if stand_ins else expression.diff(symbol)
    result = almost_everywhere(result)
    return result.xreplace({stand_in: found for found, stand_in in stand_ins.items()}) if stand_ins else result
