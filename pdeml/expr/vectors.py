"""Vector calculus on tuples of expressions, in Cartesian space coordinates."""

from __future__ import annotations

from collections.abc import Callable

import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.bounds import derivative
from pdeml.expr.names import Names

__all__ = ["Value", "cross_curl", "divergence", "dot", "each", "gradient", "laplacian"]

Value = sympy.Expr | sympy.Tuple


def each(action: Callable[..., sympy.Expr], *values: Value) -> Value:
    """Apply to a scalar, or component by component to vectors of one length."""
    if isinstance(values[0], sympy.Tuple):
        return sympy.Tuple(*(action(*parts) for parts in zip(*values, strict=True)))
    return action(*values)


def _space(names: Names, operator: str) -> tuple[sympy.Symbol, ...]:
    if not names.space:
        raise ExpressionError(
            f"{operator} needs a space coordinate; this problem has only time: use d(u, {names.time})"
        )
    return tuple(names.symbol(axis) for axis in names.space)


def _scalar(value: Value, operator: str, hint: str) -> sympy.Expr:
    if isinstance(value, sympy.Tuple):
        raise ExpressionError(f"{operator} takes a scalar, not a vector of {len(value)} components; {hint}")
    return value


def _vector(value: Value, names: Names, operator: str, hint: str) -> sympy.Tuple:
    if not isinstance(value, sympy.Tuple):
        raise ExpressionError(f"{operator} takes a vector such as [a, b], not a scalar; {hint}")
    if len(value) != len(names.space):
        axes = ", ".join(names.space)
        raise ExpressionError(
            f"{operator} got a vector of {len(value)} components in a space of {len(names.space)} dimensions ({axes})"
        )
    return value


def gradient(value: Value, names: Names) -> sympy.Tuple:
    """``grad(f)``: the vector of the space derivatives."""
    axes = _space(names, "grad")
    scalar = _scalar(value, "grad", "apply it to each component, as in dot(v, grad(vx))")
    return sympy.Tuple(*(derivative(scalar, axis) for axis in axes))


def divergence(value: Value, names: Names) -> sympy.Expr:
    """``div(v)``: the sum of ``d(v_k, x_k)``."""
    axes = _space(names, "div")
    vector = _vector(value, names, "div", "use grad(u), or d(u, x)")
    return sympy.Add(*(derivative(part, axis) for part, axis in zip(vector, axes, strict=True)))


def laplacian(value: Value, names: Names) -> Value:
    """``laplacian(f)``: the sum of second space derivatives, of a vector by component."""
    axes = _space(names, "laplacian")
    return each(lambda part: sympy.Add(*(derivative(part, axis, 2) for axis in axes)), value)


def cross_curl(value: Value, names: Names) -> Value:
    """``curl``: in 3-D of a vector; in 2-D of a vector the scalar, of a scalar the vector ``[f_y, -f_x]``."""
    axes = _space(names, "curl")
    if len(axes) == 1:
        raise ExpressionError("curl needs two or three space coordinates, this problem has one")
    if len(axes) == 2 and not isinstance(value, sympy.Tuple):
        return sympy.Tuple(derivative(value, axes[1]), -derivative(value, axes[0]))
    vector = _vector(value, names, "curl", "a scalar has a curl in two dimensions only")
    if len(axes) == 2:
        return derivative(vector[1], axes[0]) - derivative(vector[0], axes[1])
    if len(axes) > 3:
        raise ExpressionError(f"curl is defined in two and three dimensions, not in {len(axes)}")
    turns = ((1, 2), (2, 0), (0, 1))
    return sympy.Tuple(*(derivative(vector[k], axes[j]) - derivative(vector[j], axes[k]) for j, k in turns))


def dot(left: Value, right: Value) -> sympy.Expr:
    """``dot(a, b)``: the sum of products of components."""
    if not isinstance(left, sympy.Tuple) or not isinstance(right, sympy.Tuple):
        raise ExpressionError("dot takes two vectors such as [a, b]; write the product of scalars as a*b")
    if len(left) != len(right):
        raise ExpressionError(f"dot takes vectors of one length, got {len(left)} and {len(right)} components")
    return sympy.Add(*(a * b for a, b in zip(left, right, strict=True)))
