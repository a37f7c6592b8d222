"""From checked SymPy back to text of the language, such that parsing it gives the same expression."""

from __future__ import annotations

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from pdeml.errors import ExpressionError
from pdeml.expr.functions import conj, dn, where
from pdeml.expr.lookup import splits
from pdeml.expr.names import Names

__all__ = ["to_text"]

# how tightly the outermost operator binds: a part is bracketed where its context binds more tightly
_OR, _AND, _NOT, _RELATION, _SUM, _PRODUCT, _POWER, _ATOM = range(8)
_CALLS: dict[type, str] = {
    getattr(sympy, name): name for name in "sin cos tan asin acos atan atan2 sinh cosh tanh exp log sign erf".split()
} | {sympy.Abs: "abs", sympy.Min: "min", sympy.Max: "max", sympy.Heaviside: "heaviside", conj: "conj", dn: "dn"}
_RELATIONS: dict[type, str] = {
    sympy.StrictLessThan: "<",
    sympy.LessThan: "<=",
    sympy.StrictGreaterThan: ">",
    sympy.GreaterThan: ">=",
    sympy.Equality: "==",
    sympy.Unequality: "!=",
}


def to_text(expression: sympy.Basic, names: Names) -> str:
    """Write an expression, a vector or a condition: ``parse(to_text(e)) == e`` for all that `parse` returns.

    Raises: ExpressionError: the expression holds something the language cannot say.
    """
    return _Printer(names).text(expression)


class _Printer:
    def __init__(self, names: Names):
        self.names = names

    def text(self, node: sympy.Basic, tight: int = _OR) -> str:
        """Write a node, in brackets if it binds less tightly than ``tight``."""
        text, binds = self._written(node)
        return f"({text})" if binds < tight else text

    def _written(self, node: sympy.Basic) -> tuple[str, int]:
        if isinstance(node, sympy.Tuple):
            return f"[{', '.join(map(self.text, node))}]", _ATOM
        if isinstance(node, sympy.Symbol):
            return self._symbol(node.name), _ATOM
        if isinstance(node, AppliedUndef):
            return node.func.__name__, _ATOM
        if node in (sympy.pi, sympy.E, sympy.I):
            return {sympy.pi: "pi", sympy.E: "e", sympy.I: "i"}[node], _ATOM
        if isinstance(node, sympy.Rational):
            return _number(node)
        if isinstance(node, sympy.Add):
            return self._sum(node), _SUM
        if isinstance(node, sympy.Mul):
            return self._product(node)
        if isinstance(node, sympy.Pow):
            return self._power(node)
        return self._call(node)

    def _symbol(self, name: str) -> str:
        for axis in self.names.space:
            if name == f"n[{axis}]":
                parts = ", ".join("1" if other == axis else "0" for other in self.names.space)
                return f"dot(n, [{parts}])"
        return name

    def _sum(self, node: sympy.Add) -> str:
        pieces = []
        for term in _ordered(node):
            negative = bool(term.as_coeff_Mul()[0].is_negative)
            text = self.text(-term if negative else term, _PRODUCT)
            if negative and not pieces and text.startswith("("):
                text = f"({text})"  # a leading minus would be distributed over the first bracket
            pieces.append((" - " if negative else " + ") + text)
        first = pieces[0]
        return (first[3:] if first.startswith(" +") else f"-{first[3:]}") + "".join(pieces[1:])

    def _product(self, node: sympy.Mul) -> tuple[str, int]:
        """Numbers never meet a single sum first: the reader, as Python, would distribute them."""
        coefficient, unordered = node.as_coeff_mul()
        factors = sorted(unordered, key=_factor_rank)
        sums = [factor for factor in factors if factor.is_Add]
        others = [factor for factor in factors if not factor.is_Add]
        over = [factor for factor in others if factor.is_Pow and factor.exp.is_Number and factor.exp.is_negative]
        upper = [factor for factor in others if factor not in over]
        if not others:
            text = "*".join(self.text(part, _POWER) for part in sums)
            return (f"({text})*({coefficient.p})" if coefficient.p != 1 else text) + _over(coefficient), _PRODUCT
        head, tail = _coefficient(coefficient)
        text = "*".join(([head] if head else []) + [self.text(part, _POWER) for part in upper])
        text = text or "1"
        text += "".join(f"/{self.text(1 / part, _POWER)}" for part in over) + tail
        text += "".join(f"*{self.text(part, _POWER)}" for part in sums)
        return (f"-{text}", _SUM) if coefficient.is_negative else (text, _PRODUCT)

    def _power(self, node: sympy.Pow) -> tuple[str, int]:
        base, exponent = node.args
        if base == sympy.E:
            return f"exp({self.text(exponent)})", _ATOM
        if exponent.is_Number and exponent.is_negative:
            return f"1/{self.text(1 / node, _POWER)}", _PRODUCT
        if exponent == sympy.Rational(1, 2):
            return f"sqrt({self.text(base)})", _ATOM
        return f"{self.text(base, _ATOM)}**{self.text(exponent, _ATOM)}", _POWER

    def _call(self, node: sympy.Basic) -> tuple[str, int]:
        if isinstance(node, sympy.exp):
            return f"exp({self.text(node.args[0])})", _ATOM
        if isinstance(node, sympy.Heaviside):
            return f"heaviside({self.text(node.args[0])})", _ATOM
        if isinstance(node, sympy.Derivative):
            return self._derivative(node), _ATOM
        if isinstance(node, sympy.Integral):
            return self._integral(node), _ATOM
        if isinstance(node, where):
            condition, chosen, other = node.args
            return f"where({self.text(condition)}, {self.text(chosen)}, {self.text(other)})", _ATOM
        if node.func in _CALLS:
            ordered = (
                node.args
                if not isinstance(node, sympy.Min | sympy.Max)
                else sorted(node.args, key=sympy.default_sort_key)
            )
            return f"{_CALLS[node.func]}({', '.join(map(self.text, ordered))})", _ATOM
        return self._condition(node)

    def _condition(self, node: sympy.Basic) -> tuple[str, int]:
        if isinstance(node, Relational):
            lhs, rhs = (self.text(side, _SUM) for side in node.args)
            return f"{lhs} {_RELATIONS[node.func]} {rhs}", _RELATION
        if isinstance(node, sympy.And | sympy.Or):
            word, binds = (" and ", _AND) if isinstance(node, sympy.And) else (" or ", _OR)
            parts = sorted(node.args, key=sympy.default_sort_key)
            return word.join(self.text(part, binds + 1) for part in parts), binds
        if isinstance(node, sympy.Not):
            return f"not {self.text(node.args[0], _RELATION)}", _NOT
        if isinstance(node, BooleanAtom):
            return ("0 == 0" if node else "0 == 1"), _RELATION
        raise ExpressionError(f"{type(node).__name__} cannot be written in the expression language: {str(node)[:80]}")

    def _derivative(self, node: sympy.Derivative) -> str:
        axes = tuple(symbol.name for symbol, count in node.variable_count for _ in range(count))
        if isinstance(node.expr, AppliedUndef):
            subscript = "".join(axes)
            text = f"{node.expr.func.__name__}_{subscript}"
            if self._reads_as(text, node.expr.func.__name__, subscript):
                return text
        text = self.text(node.expr)
        for symbol, count in node.variable_count:
            text = f"d({text}, {symbol.name})" if count == 1 else f"d({text}, {symbol.name}, {count})"
        return text

    def _reads_as(self, text: str, base: str, subscript: str) -> bool:
        """Whether the subscript form has exactly one reading."""
        if text in self.names.all_names or len(splits(subscript, self.names)) != 1:
            return False
        cuts = [text[:k] for k, char in enumerate(text) if char == "_"]
        return sum(cut in self.names.all_names for cut in cuts) == 1 and base in cuts

    def _integral(self, node: sympy.Integral) -> str:
        text = self.text(node.function)
        for limit in node.limits:
            axis, low, high = limit
            text = f"integral({text}, {axis.name}, {self.text(low)}, {self.text(high)})"
        return text


def _ordered(node: sympy.Add) -> list[sympy.Expr]:
    """Terms in a fixed order: derivatives of high order first, as equations are written."""

    def rank(term: sympy.Expr) -> tuple:
        orders = [found.derivative_count for found in term.atoms(sympy.Derivative)]
        return (-max(orders, default=0), len(orders), term.is_number, sympy.default_sort_key(term))

    return sorted(node.args, key=rank)


def _factor_rank(factor: sympy.Expr) -> tuple:
    """Constants, plain names, functions of them, derivatives: ``nu*u*u_x``."""
    orders = [found.derivative_count for found in factor.atoms(sympy.Derivative)]
    return (max(orders, default=0), bool(factor.free_symbols), not factor.is_Symbol, sympy.default_sort_key(factor))


def _decimal(value: sympy.Rational) -> str:
    """The shortest decimal that is read back as ``value``; empty if there is none."""
    try:
        text = repr(int(value.p) / int(value.q))
    except OverflowError:
        return ""
    return text.removesuffix(".0") if sympy.Rational(text) == value else ""


def _number(value: sympy.Rational) -> tuple[str, int]:
    if value.is_negative:
        return f"-{_number(-value)[0]}", _SUM
    text = str(value.p) if value.q == 1 and value.p < 10**16 else _decimal(value)
    if text and (value.q == 1 or value.q not in (2, 4, 8)):
        return text, _ATOM
    return (f"{value.p}/{value.q}", _PRODUCT) if value.q != 1 else (str(value.p), _ATOM)


def _coefficient(value: sympy.Rational) -> tuple[str, str]:
    """A factor's magnitude as what stands before and after: ``0.1``, or ``3`` and ``/7``."""
    text, binds = _number(abs(value))
    if binds == _ATOM:
        return ("" if text == "1" else text), ""
    return ("" if abs(value.p) == 1 else str(abs(value.p))), _over(value)


def _over(value: sympy.Rational) -> str:
    return f"/{value.q}" if value.q != 1 else ""
