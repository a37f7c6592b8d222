"""The SymPy functions the language adds, and the scalar functions it has by name."""

from __future__ import annotations

from collections.abc import Callable

import sympy
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from pdeml.expr.budget import expand

__all__ = ["SCALAR_FUNCTIONS", "conj", "dn", "is_complex", "is_real_valued", "modulus", "where"]


def is_complex(expression: sympy.Basic) -> bool:
    """Whether a formula holds the imaginary unit or a complex unknown."""
    if expression.has(sympy.I):
        return True
    return any(call.is_real is None for call in expression.atoms(AppliedUndef))


class where(sympy.Function):
    """``where(condition, a, b)``: a where the condition holds, else b; unlike ``Piecewise`` never rewritten."""

    nargs = (3,)

    @classmethod
    def eval(cls, condition: sympy.Basic, chosen: sympy.Expr, other: sympy.Expr) -> sympy.Expr | None:
        """Decide constant conditions and equal branches."""
        if isinstance(condition, BooleanTrue) or chosen == other:
            return chosen
        return other if isinstance(condition, BooleanFalse) else None

    def _eval_is_extended_real(self) -> bool | None:
        return True if self.args[1].is_extended_real and self.args[2].is_extended_real else None

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        condition, chosen, other = self.args
        return where(condition, chosen.diff(symbol), other.diff(symbol))


class dn(sympy.Function):
    """Outward normal derivative, carried out by ``Equation.residuals``."""

    nargs = (1,)

    def _eval_is_extended_real(self) -> bool | None:
        return None if is_complex(self.args[0]) else True


class conj(sympy.Function):
    """Complex conjugate; every formula without complex names is its own conjugate."""

    nargs = (1,)

    @classmethod
    def eval(cls, z: sympy.Expr) -> sympy.Expr | None:
        """Distribute over sums, products, integer powers; ``conj(conj(z)) = z``."""
        if z == sympy.I:
            return -z
        if not is_complex(z):
            return z
        if isinstance(z, conj):
            return z.args[0]
        if isinstance(z, sympy.Add | sympy.Mul):
            return z.func(*(conj(part) for part in z.args))
        if isinstance(z, sympy.Pow) and (z.exp.is_Integer or (not is_complex(z.exp) and is_real_valued(z.base))):
            return conj(z.base) ** z.exp
        if isinstance(z, sympy.Min | sympy.Max | sympy.Abs | sympy.sign | sympy.Heaviside | sympy.atan2):
            return z
        if isinstance(z, sympy.exp | sympy.sin | sympy.cos | sympy.sinh | sympy.cosh | sympy.tan | sympy.tanh):
            return z.func(conj(z.args[0]))
        return None

    def _eval_derivative(self, symbol: sympy.Symbol) -> sympy.Expr:
        return conj(self.args[0].diff(symbol))


def is_real_valued(z: sympy.Expr) -> bool:
    """Whether a formula equals its conjugate, as ``re(psi)`` does.

    Raises: ExpressionError: a formula too large to be multiplied out.
    """
    if not is_complex(z):
        return True
    mirrored = conj(z)
    return mirrored == z or expand(mirrored - z) == 0


def modulus(z: sympy.Expr) -> sympy.Expr:
    """``abs(z)``: of a complex formula the root of ``z conj(z)``."""
    if is_complex(z):
        return sympy.sqrt(z * conj(z))
    # SymPy leaves |2 |x|| as 2 ||x||, which is not what it makes of the same text read again.
    return sympy.Abs(sympy.Mul(*(f.args[0] if isinstance(f, sympy.Abs) else f for f in sympy.Mul.make_args(z))))


def real_part(z: sympy.Expr) -> sympy.Expr:
    """``re(z) = (z + conj(z))/2``."""
    return (z + conj(z)) / 2


def imaginary_part(z: sympy.Expr) -> sympy.Expr:
    """``im(z) = (z - conj(z))/(2 i)``."""
    return sympy.I * (conj(z) - z) / 2


# name -> (how to build it, fewest arguments, most arguments)
SCALAR_FUNCTIONS: dict[str, tuple[Callable[..., sympy.Expr], int, int]] = {
    **{name: (getattr(sympy, name), 1, 1) for name in "sin cos tan asin acos atan sinh cosh tanh exp log sqrt".split()},
    **{name: (getattr(sympy, name), 1, 1) for name in ("sign", "erf")},
    "atan2": (sympy.atan2, 2, 2),
    "abs": (modulus, 1, 1),
    "min": (sympy.Min, 2, 16),
    "max": (sympy.Max, 2, 16),
    "heaviside": (sympy.Heaviside, 1, 1),
    "re": (real_part, 1, 1),
    "im": (imaginary_part, 1, 1),
    "conj": (conj, 1, 1),
}
