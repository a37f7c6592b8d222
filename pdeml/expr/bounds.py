"""Arithmetic with bounds: SymPy never gets a power or a number that could run away."""

from __future__ import annotations

import math

import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.budget import diff
from pdeml.expr.evaluate import is_finite_constant

__all__ = ["MAX_EXPONENT", "MAX_ORDER", "checked", "deeper_than", "derivative", "exact", "power"]

MAX_EXPONENT = 1000
MAX_ORDER = 8
_MAX_BITS = 1024


def exact(value: float) -> sympy.Rational:
    """The rational number that a decimal literal writes: ``0.1`` is one tenth."""
    if not math.isfinite(value):
        raise ExpressionError(f"the number {value!r} is not finite in double precision")
    return sympy.Rational(repr(float(value)))


def deeper_than(expression: sympy.Basic, limit: int) -> bool:
    """Whether the expression tree is nested more than ``limit`` deep (found without recursion)."""
    level = {expression}
    for _ in range(limit):
        level = {argument for node in level for argument in node.args}
    return bool(level)


def checked(expression: sympy.Expr) -> sympy.Expr:
    """Refuse infinities and numbers beyond double precision; round numbers with too many digits."""
    if expression.is_Mul and any(factor.is_Mul for factor in expression.args):
        expression = sympy.Mul(*expression.args)  # SymPy leaves sqrt(a*b)**2 as a product in a product
    number = expression if expression.is_Number else expression.args[0] if expression.is_Mul else None
    if expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
        raise ExpressionError("division by zero, or a number that is not finite")
    if isinstance(number, sympy.Rational) and max(number.p.bit_length(), number.q.bit_length()) > _MAX_BITS:
        rounded = _rounded(number)
        return rounded if expression.is_Number else sympy.Mul(rounded, *expression.args[1:])
    return expression


def _rounded(number: sympy.Rational) -> sympy.Rational:
    try:
        return exact(int(number.p) / int(number.q))
    except OverflowError:
        raise ExpressionError("a number here is larger than double precision holds (1.8e308)") from None


def power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """``base**exponent`` with numeric exponents up to ``MAX_EXPONENT`` in magnitude.

    Raises: ExpressionError: a larger exponent, a result out of range, or zero to a negative power.
    """
    if exponent.is_Number and abs(exponent) > MAX_EXPONENT:
        raise ExpressionError(f"the exponent {_brief(exponent)} is too large; at most {MAX_EXPONENT} is allowed")
    if base.is_Number and exponent.is_Number:
        return _number_power(base, exponent)
    coefficient = base.as_coeff_Mul()[0] if base.is_Mul else sympy.S.One
    if exponent.is_Number and coefficient.is_Number and coefficient not in (1, -1):
        _number_power(abs(coefficient), exponent)
    result = checked(sympy.Pow(base, exponent))
    if not result.is_Number and not result.free_symbols and not is_finite_constant(result):
        raise ExpressionError("a power of constants here is not a finite number")
    if result.is_Pow and result.exp.is_Number and abs(result.exp) > MAX_EXPONENT:
        raise ExpressionError(
            f"nested powers give the exponent {_brief(result.exp)}; at most {MAX_EXPONENT} is allowed"
        )
    return result


def _number_power(base: sympy.Number, exponent: sympy.Number) -> sympy.Expr:
    if base.is_zero and exponent.is_negative:
        raise ExpressionError("zero to a negative power is a division by zero")
    bits = max(base.p.bit_length(), base.q.bit_length()) * abs(exponent)
    if bits <= _MAX_BITS or base in (0, 1, -1):
        return checked(sympy.Pow(base, exponent))
    try:
        value = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        value = math.inf
    if isinstance(value, complex):
        raise ExpressionError(f"the root of the negative number {_brief(base)} is not real")
    if not math.isfinite(value):
        raise ExpressionError(f"{_brief(base)} to the power {_brief(exponent)} is larger than double precision holds")
    return exact(value)


def _brief(number: sympy.Expr) -> str:
    text = str(number) if max(number.p.bit_length(), number.q.bit_length()) < 200 else "of many digits"
    return text if len(text) <= 30 else f"{text[:27]}..."


def derivative(expression: sympy.Expr, symbol: sympy.Symbol, order: int = 1) -> sympy.Expr:
    """Differentiate ``order`` times, as `diff` does.

    Raises: ExpressionError: more than ``MAX_ORDER`` derivatives, or a result that grows too large.
    """
    expression = diff(expression, symbol, order)
    for found in expression.atoms(sympy.Derivative):
        if found.derivative_count > MAX_ORDER:
            raise ExpressionError(f"derivatives of order {found.derivative_count} are refused; at most {MAX_ORDER}")
    return expression
