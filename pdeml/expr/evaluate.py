"""Values of formulas on numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.compiler import compile_program
from pdeml.expr.complex_parts import split_complex
from pdeml.expr.functions import is_complex
from pdeml.expr.names import Names

__all__ = ["constant_value", "evaluate", "is_finite_constant", "with_values"]


def evaluate(expression: sympy.Basic, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
    """Evaluate a formula (or a condition: then the result is boolean) in double precision.

    Args:
        expression: SymPy, as `parse` returns it; known integrals are computed by Gauss-Legendre on 64 points.
        values: name of each coordinate, parameter, input or jet symbol -> array or number; they broadcast together.

    Returns: a new array of the common shape of *all* values, also where the formula is constant; outside the domain
        of a function the value is NaN or infinite, without a warning.

    Raises: ExpressionError: a name without a value, or a part that has no numeric value (an unknown's derivative).
    """
    arrays = {name: np.asarray(value) for name, value in values.items()}
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    program = compile_program([expression], tuple(arrays))
    numbers = [array if array.dtype == bool else array.astype(np.float64, copy=False) for array in arrays.values()]
    with np.errstate(all="ignore"):
        (result,) = program.run(numbers)
    return np.array(np.broadcast_to(result, shape))


def constant_value(expression: sympy.Expr) -> float:
    """The value of an expression without names; NaN where it is not a real number.

    Raises: ExpressionError: the expression has a name in it.
    """
    if isinstance(expression, sympy.Tuple):
        raise ExpressionError("a vector is not one number")
    if is_complex(expression):
        return float("nan")
    return float(evaluate(expression, {}))


def is_finite_constant(expression: sympy.Expr) -> bool:
    """Whether an expression without names is a finite number, real or complex."""
    return all(math.isfinite(float(evaluate(part, {}))) for part in split_complex(expression, Names(())))


def with_values(expression: sympy.Expr, names: Names, parameters: Mapping[str, float]) -> sympy.Expr:
    """Replace the parameters by their values."""
    known = {names.symbol(name): sympy.Float(value, 17) for name, value in parameters.items()}
    return sympy.sympify(expression, strict=True).xreplace(known)
