"""Real and imaginary part of a formula with complex unknowns."""

from __future__ import annotations

import math

import sympy
from sympy.core.function import AppliedUndef

from pdeml.errors import ExpressionError
from pdeml.expr.budget import bounded
from pdeml.expr.functions import conj, dn, is_complex, where
from pdeml.expr.names import Names

__all__ = ["split_complex"]

Parts = tuple[sympy.Expr, sympy.Expr]
_MAX_EXPANDED = 16


def split_complex(expression: sympy.Expr, names: Names) -> Parts:
    """Return the real formulas (a, b) with ``expression = a + i b``, ``psi`` being ``psi_real + i psi_imag``.

    Raises: ExpressionError: a function of a complex argument that is not available.
    """
    return _Splitter(names).parts(expression)


def _times(left: Parts, right: Parts) -> Parts:
    (a, b), (c, d) = left, right
    return bounded(a * c - b * d), bounded(a * d + b * c)


def _binomial(a: sympy.Expr, b: sympy.Expr, count: int) -> Parts:
    """Return the parts of ``(a + i b)**count``."""
    terms = [math.comb(count, k) * (-1) ** (k // 2) * a ** (count - k) * b**k for k in range(count + 1)]
    return bounded(sympy.Add(*terms[::2])), bounded(sympy.Add(*terms[1::2]))


class _Splitter:
    def __init__(self, names: Names):
        self.names = names
        self.seen: dict[sympy.Expr, Parts] = {}

    def parts(self, node: sympy.Expr) -> Parts:
        """Split one node; real nodes are returned as they are."""
        if node not in self.seen:
            real, imaginary = self._split(node) if is_complex(node) else (node, sympy.S.Zero)
            self.seen[node] = bounded(real), bounded(imaginary)
        return self.seen[node]

    def _split(self, node: sympy.Expr) -> Parts:
        if node == sympy.I:
            return sympy.S.Zero, sympy.S.One
        if isinstance(node, AppliedUndef):
            real, imaginary = self.names.complex_parts[node.func.__name__]
            return self.names.function(real), self.names.function(imaginary)
        if isinstance(node, sympy.Add):
            split = [self.parts(term) for term in node.args]
            return sympy.Add(*(a for a, _ in split)), sympy.Add(*(b for _, b in split))
        if isinstance(node, sympy.Mul):
            return self._product(node)
        if isinstance(node, conj):
            a, b = self.parts(node.args[0])
            return a, -b
        if isinstance(node, sympy.Pow):
            return self._power(node)
        return self._linear(node) or self._function(node)

    def _product(self, node: sympy.Mul) -> Parts:
        """Multiply the complex factors; pairs ``z conj(z)`` become sums of squares at once."""
        real = [factor for factor in node.args if not is_complex(factor)]
        result: Parts = (sympy.Mul(*real), sympy.S.Zero)
        waiting = [factor for factor in node.args if is_complex(factor)]
        while waiting:
            factor = waiting.pop()
            base, count = factor.as_base_exp()
            partner = conj(base) ** count
            if count.is_Integer and count > 0 and partner in waiting:
                waiting.remove(partner)
                a, b = self.parts(base)
                result = tuple(part * (a**2 + b**2) ** count for part in result)
            else:
                result = _times(result, self.parts(factor))
        return result

    def _power(self, node: sympy.Pow) -> Parts:
        count = node.exp
        a, b = self.parts(node.base)
        if node.base == sympy.E:
            return self._function(sympy.exp(count))
        if b == 0 and not is_complex(count):
            return sympy.Pow(a, count), sympy.S.Zero
        if not count.is_Integer:
            raise ExpressionError(f"the exponent {count} of a complex formula must be a whole number")
        if abs(count) > _MAX_EXPANDED:
            raise ExpressionError(f"the exponent {count} of a complex formula is too large; at most {_MAX_EXPANDED}")
        real, imaginary = _binomial(a, b, abs(int(count)))
        if count > 0:
            return real, imaginary
        norm = (a**2 + b**2) ** (-count)
        return real / norm, -imaginary / norm

    def _linear(self, node: sympy.Expr) -> Parts | None:
        """Operators that act on both parts alike."""
        if isinstance(node, sympy.Derivative):
            a, b = self.parts(node.expr)
            return a.diff(*node.variable_count), b.diff(*node.variable_count)
        if isinstance(node, sympy.Integral):
            if any(is_complex(limit) for limit in node.limits):
                raise ExpressionError("the bounds of an integral must be real")
            a, b = self.parts(node.function)
            return sympy.Integral(a, *node.limits), sympy.Integral(b, *node.limits)
        if isinstance(node, dn):
            a, b = self.parts(node.args[0])
            return dn(a), dn(b)
        if isinstance(node, where):
            (a, b), (c, d) = map(self.parts, node.args[1:])
            condition = self._condition(node.args[0])
            return where(condition, a, c), where(condition, b, d)
        return None

    def _condition(self, node: sympy.Basic) -> sympy.Basic:
        """Conditions compare real formulas such as ``re(psi)``, which are still written with the complex names."""
        if not is_complex(node):
            return node
        if isinstance(node, sympy.core.relational.Relational):
            return node.func(*(self.parts(side)[0] for side in node.args))
        return node.func(*(self._condition(part) for part in node.args))

    def _function(self, node: sympy.Expr) -> Parts:
        split = [self.parts(argument) for argument in node.args]
        if all(b == 0 for _, b in split):
            return node.func(*(a for a, _ in split)), sympy.S.Zero
        if len(node.args) != 1:
            raise ExpressionError(f"{type(node).__name__}() is not available for complex arguments")
        a, b = split[0]
        sin, cos, sinh, cosh = sympy.sin, sympy.cos, sympy.sinh, sympy.cosh
        formulas = {
            sympy.exp: lambda: (sympy.exp(a) * cos(b), sympy.exp(a) * sin(b)),
            sympy.sin: lambda: (sin(a) * cosh(b), cos(a) * sinh(b)),
            sympy.cos: lambda: (cos(a) * cosh(b), -sin(a) * sinh(b)),
            sympy.sinh: lambda: (sinh(a) * cos(b), cosh(a) * sin(b)),
            sympy.cosh: lambda: (cosh(a) * cos(b), sinh(a) * sin(b)),
            sympy.log: lambda: (sympy.log(a**2 + b**2) / 2, sympy.atan2(b, a)),
        }
        if node.func not in formulas:
            raise ExpressionError(f"{type(node).__name__}() is not available for complex arguments")
        return formulas[node.func]()
