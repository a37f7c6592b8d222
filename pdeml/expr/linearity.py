"""Is a formula affine in some symbols: decided by its second derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.budget import almost_everywhere, derivative_size, diff, size
from pdeml.expr.compiler import compile_program

__all__ = ["affine_in", "is_zero"]

_KINKS = (sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Min, sympy.Max, sympy.DiracDelta)
_MAX_DERIVED = 5_000
_PROBES = 24


def affine_in(expression: sympy.Expr, symbols: Iterable[sympy.Symbol]) -> bool:
    """Whether every second derivative with respect to ``symbols`` vanishes (a kink is never affine).

    What is too large to be differentiated twice counts as not affine.
    """
    ordered = sorted(symbols, key=lambda symbol: symbol.name)
    if _has_kink(expression, set(ordered)):
        return False
    try:
        return _curvature_vanishes(expression, ordered)
    except ExpressionError:
        return False


def _curvature_vanishes(expression: sympy.Expr, ordered: Sequence[sympy.Symbol]) -> bool:
    left = _MAX_DERIVED
    for k, symbol in enumerate(ordered):
        left -= derivative_size(expression, symbol)
        if left < 0:
            return False
        slope = diff(expression, symbol)
        for other in ordered[k:]:
            if other in slope.free_symbols:
                left -= derivative_size(slope, other)
                if left < 0 or not is_zero(diff(slope, other)):
                    return False
    return True


def _has_kink(expression: sympy.Expr, symbols: set[sympy.Symbol]) -> bool:
    calls = expression.atoms(*_KINKS)
    conditions = [
        part for call in expression.atoms(sympy.Function) for part in call.args if not isinstance(part, sympy.Expr)
    ]
    return any(part.free_symbols & symbols for part in (*calls, *conditions))


def is_zero(expression: sympy.Expr) -> bool:
    """Whether a formula is zero everywhere: by structure, else by its values at fixed pseudo-random places.

    A formula that cancels to rounding error at every one of 24 places where it is finite counts as zero.
    """
    if expression == 0:
        return True
    if expression.is_number is False and expression.is_Atom:
        return False
    if size(expression, _MAX_DERIVED) > _MAX_DERIVED:
        return False
    ordered = sorted(expression.free_symbols, key=lambda symbol: symbol.name)
    terms = sympy.Add.make_args(almost_everywhere(expression))
    try:
        program = compile_program([sympy.Add(*terms), *terms], [symbol.name for symbol in ordered])
    except ExpressionError:
        return False
    places = np.random.default_rng(20240607).uniform(0.2, 1.8, (len(ordered), _PROBES))
    places[:, _PROBES // 2 :] *= -1.0
    with np.errstate(all="ignore"):
        total, *parts = program.run(list(places))
    scale = sum(np.abs(np.broadcast_to(part, (_PROBES,))) for part in parts)
    total = np.broadcast_to(total, (_PROBES,))
    finite = np.isfinite(total) & np.isfinite(scale)
    return bool(finite.any() and np.all(np.abs(total[finite]) <= 1e-10 * scale[finite]))
