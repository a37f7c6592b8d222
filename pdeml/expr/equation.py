"""An equation: two sides, its canonical text, and its real scalar residuals."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.bounds import derivative
from pdeml.expr.complex_parts import split_complex
from pdeml.expr.functions import dn
from pdeml.expr.jets import normal_symbol
from pdeml.expr.names import Names
from pdeml.expr.parser import Source, parse
from pdeml.expr.printer import to_text
from pdeml.expr.text import shown
from pdeml.expr.vectors import Value, each

__all__ = ["Equation", "carry_out", "parse_equation", "real_parts"]


@dataclass(frozen=True)
class Equation:
    """``lhs = rhs``; equal when both sides are structurally equal. ``str()`` is text that parses to an equal equation.

    Args:
        lhs, rhs: SymPy expressions, or ``Tuple`` of one length for an equation of vectors.
        text: the canonical text.
    """

    lhs: Value
    rhs: Value
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text

    def residuals(self, names: Names) -> tuple[sympy.Expr, ...]:
        """Return ``lhs - rhs`` as real scalar formulas.

        Vectors give one residual a component; a complex one gives its real and its imaginary part (a part that is
        identically zero is left out). ``dn`` is carried out with the components of the normal.

        Raises: ExpressionError: a function of complex arguments that is not available.
        """
        difference = each(lambda a, b: a - b, self.lhs, self.rhs)
        parts = list(difference) if isinstance(difference, sympy.Tuple) else [difference]
        split = [real_parts(carry_out(part, names), names) for part in parts]
        return tuple(residual for pair in split for residual in pair)


def carry_out(expression: sympy.Expr, names: Names) -> sympy.Expr:
    """Write ``dn(f)`` as the sum of ``n[x] d(f, x)`` over the space coordinates."""

    def expanded(inner: sympy.Expr) -> sympy.Expr:
        return sympy.Add(*(normal_symbol(axis) * derivative(inner, names.symbol(axis)) for axis in names.space))

    return expression.replace(dn, expanded) if expression.has(dn) else expression


def real_parts(expression: sympy.Expr, names: Names) -> tuple[sympy.Expr, ...]:
    """The real formulas that are zero exactly where ``expression`` is: one, or real and imaginary part."""
    real, imaginary = split_complex(expression, names)
    kept = tuple(part for part in (real, imaginary) if part != 0)
    return kept or (sympy.S.Zero,)


def parse_equation(source: Source | Equation, names: Names, context: str = "equation") -> Equation:
    """Read ``lhs = rhs``, or an expression that means ``= 0``.

    Args:
        source: text, SymPy ``Eq`` or expression, or an `Equation` (returned as it is).
        names: the declared names.
        context: as in `parse`.

    Raises: ExpressionError: more than one ``=``, sides of different kind, or anything `parse` refuses.
    """
    if isinstance(source, Equation):
        return source
    lhs, rhs = (parse(side, names, context) for side in _sides(source))
    lhs, rhs = _like(lhs, rhs), _like(rhs, lhs)
    lengths = [len(side) if isinstance(side, sympy.Tuple) else 0 for side in (lhs, rhs)]
    if lengths[0] != lengths[1]:
        kinds = [f"a vector of {length} components" if length else "a scalar" for length in lengths]
        raise ExpressionError(f"the equation {shown(str(source))} sets {kinds[0]} equal to {kinds[1]}")
    return Equation(lhs, rhs, f"{to_text(lhs, names)} = {to_text(rhs, names)}")


def _like(side: Value, other: Value) -> Value:
    """A plain zero stands for the zero vector."""
    if isinstance(other, sympy.Tuple) and not isinstance(side, sympy.Tuple) and side == 0:
        return sympy.Tuple(*[sympy.S.Zero] * len(other))
    return side


def _sides(source: Source) -> tuple[Source, Source]:
    if isinstance(source, sympy.Equality):
        return source.lhs, source.rhs
    if source is sympy.true or source is sympy.false:
        raise ExpressionError("SymPy reduced this equation to a constant True or False; give the two sides as text")
    if not isinstance(source, str):
        return source, 0
    cuts = _equals_signs(source)
    if len(cuts) > 1:
        raise ExpressionError(
            f"the equation {shown(source)} has {len(cuts)} '=' signs; one is allowed, comparisons use '=='"
        )
    if not cuts:
        return source, 0
    left, right = source[: cuts[0]], source[cuts[0] + 1 :]
    if not left.strip() or not right.strip():
        raise ExpressionError(f"one side of the equation {shown(source)} is empty")
    return left, right


def _equals_signs(text: str) -> list[int]:
    """Positions of the single ``=`` outside all brackets."""
    found, depth = [], 0
    for position, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        alone = char == "=" and text[position + 1 : position + 2] != "=" and text[max(position - 1, 0)] not in "<>=!"
        if depth == 0 and alone:
            found.append(position)
    return found
