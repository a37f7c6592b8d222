"""SymPy formulas from users: the same white list and the same names as for text."""

from __future__ import annotations

import sympy
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from pdeml.errors import ExpressionError, did_you_mean
from pdeml.expr import vectors
from pdeml.expr.bounds import checked, deeper_than, derivative, exact, power
from pdeml.expr.budget import MAX_SIZE, size
from pdeml.expr.functions import SCALAR_FUNCTIONS, conj, dn, where
from pdeml.expr.jets import normal_symbol
from pdeml.expr.lookup import lookup
from pdeml.expr.names import FUNCTION_NAMES, Names
from pdeml.expr.parser import integral
from pdeml.expr.vectors import Value

__all__ = ["normalise", "normalise_condition"]

_MAX_DEPTH = 100
_CALLS: dict[type, str] = {
    getattr(sympy, name): name
    for name in "sin cos tan asin acos atan atan2 sinh cosh tanh exp log sign erf re im".split()
} | {
    sympy.Abs: "abs",
    sympy.Min: "min",
    sympy.Max: "max",
    sympy.Heaviside: "heaviside",
    sympy.conjugate: "conj",
    conj: "conj",
}


def normalise(expression: sympy.Basic | sympy.MatrixBase, names: Names, context: str) -> Value:
    """Rebuild a SymPy formula from the declared names, matched by name whatever their assumptions.

    Raises: ExpressionError: an undeclared name, a function the language does not have, arguments out of place.
    """
    if isinstance(expression, sympy.MatrixBase):
        if 1 not in expression.shape:
            raise ExpressionError(f"a matrix of shape {expression.shape} is not a vector")
        expression = sympy.Tuple(*expression)
    return _guarded(expression, _Normaliser(names, context).value)


def normalise_condition(condition: sympy.Basic, names: Names, context: str) -> sympy.Basic:
    """The same for a condition."""
    return _guarded(condition, _Normaliser(names, context).condition)


def _guarded(expression: sympy.Basic, read: object) -> Value:
    if deeper_than(expression, _MAX_DEPTH):
        raise ExpressionError(f"the SymPy expression is nested too deeply; at most {_MAX_DEPTH} levels are read")
    if size(expression) > MAX_SIZE:
        raise ExpressionError(f"the SymPy expression is too large; at most {MAX_SIZE} nodes are read")
    try:
        return read(expression)
    except ExpressionError:
        raise
    except (TypeError, ValueError, ArithmeticError, NotImplementedError, AttributeError, RecursionError) as error:
        raise ExpressionError(f"cannot make sense of the SymPy expression {str(expression)[:80]}: {error}") from None


class _Normaliser:
    def __init__(self, names: Names, context: str):
        self.names = names
        self.context = context
        self.seen: dict[sympy.Basic, Value] = {}

    def value(self, node: sympy.Basic) -> Value:
        """Rebuild one node (each shared node once)."""
        if node not in self.seen:
            self.seen[node] = self._rebuilt(node)
        return self.seen[node]

    def _rebuilt(self, node: sympy.Basic) -> Value:
        if isinstance(node, sympy.Tuple):
            return sympy.Tuple(*map(self.value, node))
        if isinstance(node, sympy.Symbol):
            return self._symbol(node.name)
        if isinstance(node, sympy.Float):
            return exact(float(node))
        if isinstance(node, sympy.Rational) or node in (sympy.pi, sympy.E):
            return checked(node)
        if node == sympy.I:
            return lookup("i", self.names, self.context)
        if isinstance(node, AppliedUndef):
            return self._applied(node)
        if isinstance(node, sympy.Add | sympy.Mul):
            return checked(node.func(*map(self.value, node.args)))
        if isinstance(node, sympy.Pow):
            return power(*map(self.value, node.args))
        return self._operator(node)

    def _operator(self, node: sympy.Basic) -> Value:
        if isinstance(node, sympy.Derivative):
            result = self.value(node.expr)
            for symbol, count in node.variable_count:
                result = derivative(result, self._axis(symbol), int(count))
            return result
        if isinstance(node, sympy.Integral):
            return self._integral(node)
        if isinstance(node, where):
            return where(self.condition(node.args[0]), self.value(node.args[1]), self.value(node.args[2]))
        if isinstance(node, sympy.Piecewise):
            return self._piecewise(node)
        if isinstance(node, dn):
            return self._dn(node)
        if node.func in _CALLS:
            arguments = node.args[:1] if isinstance(node, sympy.Heaviside) else node.args
            return checked(SCALAR_FUNCTIONS[_CALLS[node.func]][0](*map(self.value, arguments)))
        raise ExpressionError(f"SymPy's {type(node).__name__} is not in the expression language: {str(node)[:80]}")

    def _symbol(self, name: str) -> Value:
        if self.context == "boundary" and name in (f"n[{axis}]" for axis in self.names.space):
            return normal_symbol(name[2:-1])
        found = lookup(name, self.names, self.context)
        if not isinstance(found, sympy.Symbol):
            over = ", ".join(self.names.coordinates)
            raise ExpressionError(
                f"{name!r} is a function of {over}, but a plain Symbol was given; use pdeml.symbols()"
            )
        return found

    def _applied(self, node: AppliedUndef) -> Value:
        name = node.func.__name__
        if name == "dn" and isinstance(node.func, UndefinedFunction):
            return self._dn(node)
        if name in FUNCTION_NAMES or name not in self.names.all_names:
            raise ExpressionError(
                f"unknown function {name!r} in SymPy's {node}{did_you_mean(name, self.names.all_names)}"
            )
        found = lookup(name, self.names, self.context)
        if not isinstance(found, AppliedUndef):
            raise ExpressionError(f"{name!r} is not a function, but SymPy's {node} was given; use Symbol({name!r})")
        given = sorted(str(argument) for argument in node.args)
        if given != sorted(symbol.name for symbol in found.args):
            raise ExpressionError(f"{node} must be {found}: values at other places are not available")
        return found

    def _dn(self, node: sympy.Expr) -> Value:
        if self.context != "boundary":
            raise ExpressionError("dn() is the outward normal derivative and exists in boundary conditions only")
        return vectors.each(dn, self.value(node.args[0]))

    def _axis(self, symbol: sympy.Basic) -> sympy.Symbol:
        if not isinstance(symbol, sympy.Symbol) or symbol.name not in self.names.coordinates:
            listed = ", ".join(self.names.coordinates)
            raise ExpressionError(
                f"{symbol} is not a coordinate to differentiate or integrate along; these are {listed}"
            )
        return self.names.symbol(symbol.name)

    def _integral(self, node: sympy.Integral) -> Value:
        result = self.value(node.function)
        for limit in node.limits:
            if len(limit) != 3:
                raise ExpressionError(f"only definite integrals are allowed, got {str(node)[:80]}")
            result = integral(result, self._axis(limit[0]), *map(self.value, limit[1:]))
        return result

    def _piecewise(self, node: sympy.Piecewise) -> Value:
        *branches, (last, always) = node.args
        if always != sympy.true:
            raise ExpressionError(f"the Piecewise {str(node)[:80]} needs a last branch (value, True)")
        result = self.value(last)
        for branch, condition in reversed(branches):
            result = where(self.condition(condition), self.value(branch), result)
        return result

    def condition(self, node: sympy.Basic) -> sympy.Basic:
        """Rebuild a condition."""
        if isinstance(node, BooleanAtom):
            return node
        if isinstance(node, Relational):
            return node.func(*map(self.value, node.args))
        if isinstance(node, sympy.And | sympy.Or | sympy.Not):
            return node.func(*map(self.condition, node.args))
        raise ExpressionError(f"{str(node)[:80]} is not a condition; use comparisons, And, Or, Not")
