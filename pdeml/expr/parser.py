"""The expression language: text (or SymPy) to checked SymPy, by a white list over the syntax tree; nothing is run."""

from __future__ import annotations

import ast
import math
import numbers
from collections.abc import Callable

import sympy

from pdeml.errors import ExpressionError, did_you_mean
from pdeml.expr import vectors
from pdeml.expr.bounds import MAX_ORDER, checked, derivative, exact, power
from pdeml.expr.budget import MAX_SIZE, size
from pdeml.expr.evaluate import constant_value, is_finite_constant
from pdeml.expr.functions import SCALAR_FUNCTIONS, dn, is_real_valued, where
from pdeml.expr.lookup import CONTEXTS, lookup
from pdeml.expr.names import FUNCTION_NAMES, Names
from pdeml.expr.text import read_tree, shown
from pdeml.expr.vectors import Value

__all__ = ["Source", "parse", "parse_condition", "parse_constant"]

Source = str | int | float | sympy.Basic
_MAX_COMPARISONS = 300
_DERIVATIVES = frozenset(("d", "grad", "div", "curl", "laplacian", "dot"))
_RELATIONS: dict[type, type] = {
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}


def parse(source: Source, names: Names, context: str = "equation") -> Value:
    """Read one expression.

    Args:
        source: text of the language, a number, or SymPy (symbols and functions are matched by name).
        names: the declared names.
        context: ``"equation"`` (all but ``dn`` and ``n``), ``"boundary"`` (all), ``"known"`` (no unknowns),
            ``"constant"`` (no names but ``pi`` and ``e``).

    Returns: a SymPy expression of `Names.symbol` and `Names.function`, or a ``Tuple`` of them for a vector.

    Raises: ExpressionError: anything outside the language; the message names it and the nearest match.
    """
    if context not in CONTEXTS:
        raise ValueError(f"context must be one of {CONTEXTS}, got {context!r}")
    if isinstance(source, sympy.Basic | sympy.MatrixBase):
        from pdeml.expr.sympy_input import normalise

        return normalise(source, names, context)
    return _guarded(_as_text(source), names, context, _Reader.value)


def parse_condition(source: str | sympy.Basic, names: Names, context: str = "known") -> sympy.Basic:
    """Read a condition such as ``"x < 0.5 and y > 0"``.

    Returns: a SymPy relation or boolean combination of relations (possibly constant true or false).

    Raises: ExpressionError: not a condition, or a name that the context does not allow.
    """
    if isinstance(source, sympy.Basic):
        from pdeml.expr.sympy_input import normalise_condition

        return normalise_condition(source, names, context)
    return _guarded(_as_text(source), names, context, _Reader.condition)


def parse_constant(value: Source) -> float:
    """Read a constant such as ``"0.01/pi"`` or ``3``: a finite real number.

    Raises: ExpressionError: a name, a boolean, a complex or a non-finite result.
    """
    parsed = parse(value, Names(()), "constant")
    if isinstance(parsed, sympy.Tuple):
        raise ExpressionError(f"{shown(str(value))} is a vector; one number is expected")
    number = constant_value(parsed)
    if not math.isfinite(number):
        raise ExpressionError(f"{shown(str(value))} is not a finite real number")
    return number


def _as_text(source: object) -> str:
    if isinstance(source, str):
        return str(source)
    if isinstance(source, bool) or not isinstance(source, numbers.Real):
        kind = type(source).__name__
        raise ExpressionError(f"a formula is text, a number or SymPy, not {kind} {shown(str(source))}")
    if isinstance(source, numbers.Integral):
        if int(source).bit_length() > 1024:
            raise ExpressionError("the number is larger than double precision holds (1.8e308)")
        return repr(int(source))
    if not math.isfinite(source):
        raise ExpressionError(f"{float(source)!r} is not a finite number")
    return repr(float(source))


def _guarded(text: str, names: Names, context: str, read: Callable[[_Reader, ast.expr], sympy.Basic]) -> sympy.Basic:
    """Run the reader; whatever SymPy refuses is the formula's fault, and every message quotes the formula."""
    tree = read_tree(text)
    try:
        result = read(_Reader(names, context), tree)
        if not names.complex_unknowns and result.has(sympy.I):
            raise ExpressionError("the root of a negative number is not real")
        return result
    except ExpressionError as error:
        raise ExpressionError(f"{error.message} (in the formula {shown(text)})") from None
    except (TypeError, ValueError, ArithmeticError, NotImplementedError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ExpressionError(f"cannot make sense of the formula {shown(text)}: {reason}") from None


class _Reader:
    """Walks a syntax tree; every node is on the white list or refused."""

    def __init__(self, names: Names, context: str):
        self.names = names
        self.context = context
        self.nodes_left = MAX_SIZE
        self.comparisons_left = _MAX_COMPARISONS

    def value(self, node: ast.expr) -> Value:
        """Read an expression: a scalar or a vector."""
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return _number(number)
            case ast.Name(id=name):
                return lookup(name, self.names, self.context)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                value = self.value(operand)
                return vectors.each(lambda part: -part, value) if isinstance(sign, ast.USub) else value
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
                return self._chain(node)
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                return power(self.scalar(base, "a power"), self.scalar(exponent, "an exponent"))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
            case ast.List(elts=elements):
                return self._list(elements)
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                raise ExpressionError(
                    f"the condition {_source(node)} stands outside where(); write where(condition, value, other)"
                )
        raise ExpressionError(f"{_source(node)} is not allowed in a formula{_advice(node)}")

    def scalar(self, node: ast.expr, what: str) -> sympy.Expr:
        """Read an expression that must not be a vector."""
        value = self.value(node)
        if isinstance(value, sympy.Tuple):
            raise ExpressionError(
                f"{_source(node)} is a vector, but {what} needs a scalar; use dot(a, b) or components"
            )
        return value

    def condition(self, node: ast.expr) -> sympy.Basic:
        """Read a comparison or a combination of comparisons."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return sympy.And(*(self.condition(part) for part in parts))
            case ast.BoolOp(op=ast.Or(), values=parts):
                return sympy.Or(*(self.condition(part) for part in parts))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return sympy.Not(self.condition(part))
            case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in _RELATIONS for op in ops):
                sides = [self._real(side) for side in (left, *rights)]
                pairs = zip(ops, sides, sides[1:], strict=False)
                return sympy.And(*(_RELATIONS[type(op)](a, b) for op, a, b in pairs))
        raise ExpressionError(f"{_source(node)} is not a condition; write a comparison such as x < 0.5 and y > 0")

    def _real(self, node: ast.expr) -> sympy.Expr:
        value = self.scalar(node, "a comparison")
        if not is_real_valued(value):
            raise ExpressionError(f"{_source(node)} is complex and cannot be compared; take re(), im() or abs()")
        return value

    def _chain(self, node: ast.expr) -> Value:
        """Evaluate a left-leaning chain such as ``a*b/c + d`` without recursion along its length.

        Sums, and products once they are neither a number nor a sum, wait and are built at once: that gives what going
        from left to right gives, in linear time.
        """
        spine = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            spine.append((node.op, node.right))
            node = node.left
        total, terms, factors = self.value(node), [], []
        for op, right in reversed(spine):
            value = self.value(right)
            if isinstance(op, ast.Mult | ast.Div):
                total, terms = _sum(total, terms), []
                value = _factor(op, value)
                if isinstance(total, sympy.Mul) and not isinstance(value, sympy.Tuple):
                    factors.append(value)
                else:
                    total, factors = _scaled(_product(total, factors), value), []
            else:
                total, factors = _product(total, factors), []
                _check_sum(total, value, right)
                terms.append(vectors.each(lambda part: -part, value) if isinstance(op, ast.Sub) else value)
        return _product(_sum(total, terms), factors)

    def _list(self, elements: list[ast.expr]) -> sympy.Tuple:
        if not elements:
            raise ExpressionError("the vector [] has no components; write [a, b]")
        return sympy.Tuple(*(self.scalar(element, "a component") for element in elements))

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name in SCALAR_FUNCTIONS:
            return self._scalar_call(name, arguments)
        special = getattr(self, f"_call_{name}", None) if name in FUNCTION_NAMES else None
        if special is None:
            if name in self.names.all_names:
                raise ExpressionError(
                    f"{name!r} is a name, not a function: write {name} alone, or {name}*(...) for a product"
                )
            near = f"; write {_ELSEWHERE[name]}" if name in _ELSEWHERE else did_you_mean(name, FUNCTION_NAMES)
            raise ExpressionError(f"unknown function {name!r}{near}")
        return self._paid(special(arguments)) if name in _DERIVATIVES else special(arguments)

    def _paid(self, result: Value) -> Value:
        """Count what derivatives and conjugates add to the formula, and refuse too much of it."""
        self.nodes_left -= size(result)
        if self.nodes_left < 0:
            raise ExpressionError("the derivatives and absolute values here make the formula too large; shorten it")
        return result

    def _compared(self, values: list[sympy.Expr]) -> None:
        """Count the comparisons of a minimum or maximum with those inside of it, which SymPy makes in pairs."""
        inside = [len(value.args) if isinstance(value, sympy.Max | sympy.Min) else 1 for value in values]
        self.comparisons_left -= sum(inside) * (sum(inside) - 1) // 2
        if self.comparisons_left < 0:
            raise ExpressionError(
                "min() and max() have too many arguments together; shorten the formula or introduce an unknown"
            )

    def _scalar_call(self, name: str, arguments: list[ast.expr]) -> sympy.Expr:
        build, fewest, most = SCALAR_FUNCTIONS[name]
        _check_count(name, arguments, fewest, most)
        values = [self.scalar(argument, f"{name}()") for argument in arguments]
        if name in ("min", "max", "sign", "heaviside", "atan2") and not all(map(is_real_valued, values)):
            raise ExpressionError(f"{name}() needs real arguments; take re(), im() or abs() of complex ones")
        if name in ("min", "max"):
            self._compared(values)
        result = power(values[0], sympy.Rational(1, 2)) if name == "sqrt" else checked(build(*values))
        if name in ("re", "im", "abs", "conj"):
            self._paid(result)
        if not result.free_symbols and not is_finite_constant(result):
            raise ExpressionError(f"{name}() of a constant is not a finite number here")
        return result

    def _call_where(self, arguments: list[ast.expr]) -> sympy.Expr:
        _check_count("where", arguments, 3, 3)
        condition = self.condition(arguments[0])
        return where(condition, self.scalar(arguments[1], "where()"), self.scalar(arguments[2], "where()"))

    def _call_integral(self, arguments: list[ast.expr]) -> Value:
        _check_count("integral", arguments, 4, 4)
        axis = self._axis(arguments[1], "integral")
        limits = [self.scalar(argument, "a bound of integral()") for argument in arguments[2:]]
        return vectors.each(lambda part: integral(part, axis, *limits), self.value(arguments[0]))

    def _call_d(self, arguments: list[ast.expr]) -> Value:
        _check_count("d", arguments, 2, 3)
        axis = self._axis(arguments[1], "d")
        order = self.value(arguments[2]) if len(arguments) == 3 else sympy.S.One
        if not (isinstance(order, sympy.Integer) and 0 < order <= MAX_ORDER):
            raise ExpressionError(
                f"the order of d() must be a whole number from 1 to {MAX_ORDER}, got {_source(arguments[2])}"
            )
        return vectors.each(lambda part: derivative(part, axis, int(order)), self.value(arguments[0]))

    def _axis(self, node: ast.expr, what: str) -> sympy.Symbol:
        if isinstance(node, ast.Name) and node.id in self.names.coordinates:
            return self.names.symbol(node.id)
        near = did_you_mean(node.id, self.names.coordinates) if isinstance(node, ast.Name) else ""
        listed = ", ".join(self.names.coordinates) or "(none)"
        raise ExpressionError(f"{what}() needs a coordinate, one of {listed}, got {_source(node)}{near}")

    def _call_grad(self, arguments: list[ast.expr]) -> Value:
        return vectors.gradient(self._only("grad", arguments), self.names)

    def _call_div(self, arguments: list[ast.expr]) -> Value:
        return vectors.divergence(self._only("div", arguments), self.names)

    def _call_curl(self, arguments: list[ast.expr]) -> Value:
        return vectors.cross_curl(self._only("curl", arguments), self.names)

    def _call_laplacian(self, arguments: list[ast.expr]) -> Value:
        return vectors.laplacian(self._only("laplacian", arguments), self.names)

    def _call_dot(self, arguments: list[ast.expr]) -> Value:
        _check_count("dot", arguments, 2, 2)
        return vectors.dot(*map(self.value, arguments))

    def _call_dn(self, arguments: list[ast.expr]) -> Value:
        if self.context != "boundary":
            raise ExpressionError("dn() is the outward normal derivative and exists in boundary conditions only")
        if not self.names.space:
            raise ExpressionError("dn() needs a space coordinate; this problem has only time")
        return vectors.each(dn, self._only("dn", arguments))

    def _only(self, name: str, arguments: list[ast.expr]) -> Value:
        _check_count(name, arguments, 1, 1)
        return self.value(arguments[0])


def integral(body: sympy.Expr, axis: sympy.Symbol, low: sympy.Expr, high: sympy.Expr) -> sympy.Expr:
    """The unevaluated integral of ``body`` along ``axis`` from ``low`` to ``high``."""
    return sympy.S.Zero if body == 0 or low == high else sympy.Integral(body, (axis, low, high))


def _number(number: int | float) -> sympy.Number:
    return checked(sympy.Integer(number)) if isinstance(number, int) else exact(number)


def _sum(total: Value, terms: list[Value]) -> Value:
    return vectors.each(lambda *parts: checked(sympy.Add(*parts)), total, *terms) if terms else total


def _product(total: Value, factors: list[sympy.Expr]) -> Value:
    return checked(sympy.Mul(total, *factors)) if factors else total


def _factor(op: ast.operator, right: Value) -> Value:
    if not isinstance(op, ast.Div):
        return right
    if isinstance(right, sympy.Tuple):
        raise ExpressionError("division by a vector; divide by its length sqrt(dot(a, a)) or by a component")
    return power(right, sympy.S.NegativeOne)


def _scaled(left: Value, right: Value) -> Value:
    if isinstance(left, sympy.Tuple) and isinstance(right, sympy.Tuple):
        raise ExpressionError("the product of two vectors is ambiguous; write dot(a, b)")
    if isinstance(right, sympy.Tuple):
        left, right = right, left
    return vectors.each(lambda part: checked(part * right), left)


def _check_sum(left: Value, right: Value, node: ast.expr) -> None:
    lengths = [len(side) if isinstance(side, sympy.Tuple) else 0 for side in (left, right)]
    if lengths[0] != lengths[1]:
        kinds = [f"a vector of {length} components" if length else "a scalar" for length in lengths]
        raise ExpressionError(f"{kinds[0]} and {kinds[1]} ({_source(node)}) cannot be added")


def _check_count(name: str, arguments: list[ast.expr], fewest: int, most: int) -> None:
    if not fewest <= len(arguments) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        raise ExpressionError(f"{name}() takes {wanted} argument{'s' if most > 1 else ''}, got {len(arguments)}")


_ELSEWHERE = {"ln": "log(...)", "diff": "u_t, or d(u, x, 2)", "derivative": "u_t, or d(u, x, 2)"}
"""What functions of other languages are called here."""


def _source(node: ast.expr) -> str:
    text = ast.unparse(node)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _advice(node: ast.expr) -> str:
    match node:
        case ast.IfExp():
            return "; write where(condition, a, b)"
        case ast.Tuple():
            return "; a vector is written [a, b], and decimals have a point"
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod()):
            return "; allowed are + - * / ** ^"
        case ast.Call(keywords=[_, *_]):
            return "; arguments have no names"
        case ast.Call(func=ast.Attribute(attr=name)) if name in FUNCTION_NAMES:
            return f"; write {name}(...)"
        case ast.Attribute() | ast.Subscript():
            return "; there are no attributes and no indices"
    return ""
