"""From SymPy to straight-line programs: hash-consing, constant folding, powers by repeated squaring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import sympy
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanAtom

from pdeml.errors import ExpressionError, did_you_mean
from pdeml.expr.budget import size
from pdeml.expr.functions import where
from pdeml.expr.program import NUMPY, Program

__all__ = ["compile_program"]

_CALLS: dict[type, str] = {
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.asin: "asin",
    sympy.acos: "acos",
    sympy.atan: "atan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.erf: "erf",
    sympy.Abs: "abs",
    sympy.sign: "sign",
    sympy.Heaviside: "heaviside",
    sympy.Not: "not",
}
_FOLDS: dict[type, str] = {
    sympy.Min: "min",
    sympy.Max: "max",
    sympy.And: "and",
    sympy.Or: "or",
    sympy.atan2: "atan2",
    sympy.StrictLessThan: "lt",
    sympy.LessThan: "le",
    sympy.StrictGreaterThan: "gt",
    sympy.GreaterThan: "ge",
    sympy.Equality: "eq",
    sympy.Unequality: "ne",
}
_COMMUTATIVE = frozenset(("add", "mul", "min", "max", "and", "or", "eq", "ne"))
_GAUSS_POINTS = 64
_MAX_INTEGRAL_DEPTH = 2
_MAX_COPIED = 100_000
_MAX_POWER = 64


def compile_program(expressions: Sequence[sympy.Basic], inputs: Sequence[str]) -> Program:
    """Compile expressions (or conditions) that share their work.

    Args:
        expressions: SymPy; no derivatives and no unknown integrals (see `analyse` for jet symbols).
        inputs: names of the symbols, in the order in which `Program.run` takes their values; a function such as
            ``a(x, y)`` is found by its name.

    Returns: the program; inputs that no expression uses are kept, so that the order is the caller's.

    Raises: ExpressionError: a symbol that is not among ``inputs``, or something that has no numeric value.
    """
    builder = _Builder(tuple(inputs))
    try:
        outputs = [builder.visit(sympy.sympify(expression, strict=True)) for expression in expressions]
    except RecursionError:
        raise ExpressionError("a formula is nested too deeply to be evaluated; shorten it") from None
    return builder.finish(outputs)


class _Builder:
    """Collects registers; equal operations on equal registers are one register."""

    def __init__(self, inputs: tuple[str, ...]):
        self.inputs = inputs
        self.nodes: list[tuple] = [("input", position, -1) for position in range(len(inputs))]
        self.known: dict[tuple, int] = {}
        self.seen: dict[sympy.Basic, int] = {}
        self.positions = {name: position for position, name in enumerate(inputs)}
        self.integral_depth = 0
        self.copied = 0

    def constant(self, value: float | bool) -> int:
        return self._intern(("constant", bool(value) if isinstance(value, bool | np.bool_) else float(value), -1))

    def _intern(self, node: tuple) -> int:
        key = (*node, type(node[1]))
        if key not in self.known:
            self.known[key] = len(self.nodes)
            self.nodes.append(node)
        return self.known[key]

    def value(self, register: int) -> float | bool | None:
        """The number in a constant register, else None."""
        kind, value, _ = self.nodes[register]
        return value if kind == "constant" else None

    def emit(self, op: str, i: int, j: int = -1) -> int:
        """Return the register of an operation: folded, simplified or shared where possible."""
        if op in _COMMUTATIVE and j < i:
            i, j = j, i
        values = [self.value(register) for register in ((i,) if j < 0 else (i, j))]
        if None not in values:
            with np.errstate(all="ignore"):
                result = NUMPY[op](*(value if isinstance(value, bool) else np.float64(value) for value in values))
            return self.constant(result.item())
        return self._intern((op, i, j))

    def visit(self, node: sympy.Basic) -> int:
        """Return the register that holds ``node``."""
        register = self.seen.get(node)
        if register is None:
            register = self.seen[node] = self._build(node)
        return register

    def _build(self, node: sympy.Basic) -> int:
        name = node.name if isinstance(node, sympy.Symbol) else None
        if isinstance(node, AppliedUndef):
            name = node.func.__name__
        if name is not None:
            if name not in self.positions:
                raise ExpressionError(f"no value for {name!r} is given{did_you_mean(name, self.inputs)}")
            return self.positions[name]
        if isinstance(node, BooleanAtom):
            return self.constant(bool(node))
        if node.is_Number or isinstance(node, sympy.NumberSymbol):
            return self.constant(_float(node))
        return self._operation(node)

    def _operation(self, node: sympy.Basic) -> int:
        if node.func in _CALLS:
            return self.emit(_CALLS[node.func], self.visit(node.args[0]))
        if node.func in _FOLDS:
            return self._fold(_FOLDS[node.func], node.args)
        special: dict[type, Callable[[sympy.Basic], int]] = {
            sympy.Add: self._sum,
            sympy.Mul: self._product,
            sympy.Pow: self._power,
            where: lambda call: self._where(*call.args),
            sympy.Piecewise: self._piecewise,
            sympy.Integral: self._integral,
            sympy.DiracDelta: lambda _: self.constant(0.0),
        }
        if node.func not in special:
            raise ExpressionError(f"{type(node).__name__} has no numeric value here: {str(node)[:80]}")
        return special[node.func](node)

    def _fold(self, op: str, parts: Sequence[sympy.Basic]) -> int:
        return reduce(lambda i, j: self.emit(op, i, j), map(self.visit, parts))

    def _sum(self, node: sympy.Add) -> int:
        """Positive terms, then the negative ones by subtraction; constant terms are one constant."""
        plus, minus, constant = [], [], 0.0
        for term in node.args:
            negative = bool(term.as_coeff_Mul()[0].is_negative)
            register = self.visit(-term if negative else term)
            value = self.value(register)
            if value is not None:
                constant += -value if negative else value
            else:
                (minus if negative else plus).append(register)
        if constant != 0 or not (plus or minus):
            alone = not plus
            (plus if constant > 0 or alone else minus).append(self.constant(constant if alone else abs(constant)))
        if not plus:
            return self.emit("neg", self._reduced("add", minus))
        return reduce(lambda i, j: self.emit("sub", i, j), minus, self._reduced("add", plus))

    def _reduced(self, op: str, registers: list[int]) -> int:
        ordered = sorted(registers, key=lambda register: self.value(register) is None)
        return reduce(lambda i, j: self.emit(op, i, j), ordered)

    def _product(self, node: sympy.Mul) -> int:
        coefficient, factors = node.as_coeff_mul()
        upper, lower = [], []
        for factor in factors:
            exponent = factor.exp if factor.is_Pow else sympy.S.One
            negative = bool(exponent.is_Number and exponent.is_negative)
            (lower if negative else upper).append(self.visit(1 / factor if negative else factor))
        if abs(coefficient) != 1:
            upper.append(self.constant(_float(abs(coefficient))))
        result = self._quotient(upper, lower)
        return self.emit("neg", result) if coefficient.is_negative else result

    def _quotient(self, upper: list[int], lower: list[int]) -> int:
        if not lower:
            return self._reduced("mul", upper)
        divisor = self._reduced("mul", lower)
        return self.emit("div", self._reduced("mul", upper), divisor) if upper else self.emit("recip", divisor)

    def _power(self, node: sympy.Pow) -> int:
        exponent = node.exp
        base = self.visit(node.base)
        if exponent.is_Rational and exponent.q <= 2 and abs(exponent) <= _MAX_POWER and self.value(base) is None:
            return self._half_power(base, int(2 * exponent))
        return self.emit("pow", base, self.visit(exponent))

    def _half_power(self, base: int, twice: int) -> int:
        """``base**(twice/2)`` by repeated squaring and at most one root."""
        whole, root = divmod(abs(twice), 2)
        parts = [self.emit("sqrt", base)] if root else []
        square = base
        while whole:
            if whole & 1:
                parts.append(square)
            whole >>= 1
            if whole:
                square = self.emit("mul", square, square)
        result = reduce(lambda i, j: self.emit("mul", i, j), parts)
        return self.emit("recip", result) if twice < 0 else result

    def _where(self, condition: sympy.Basic, chosen: sympy.Expr, other: sympy.Expr) -> int:
        mask = self.visit(condition)
        decided = self.value(mask)
        if decided is not None:
            return self.visit(chosen if decided else other)
        parts = [
            self.emit(op, mask, self.visit(branch)) for op, branch in (("then", chosen), ("else", other)) if branch != 0
        ]
        return reduce(lambda i, j: self.emit("add", i, j), parts)

    def _piecewise(self, node: sympy.Piecewise) -> int:
        result: sympy.Expr = sympy.nan
        for branch, condition in reversed(node.args):
            result = where(condition, branch, result)
        if result.has(sympy.nan):
            raise ExpressionError(
                f"the Piecewise {str(node)[:80]} has no value where no condition holds; add (value, True)"
            )
        return self.visit(result)

    def _integral(self, node: sympy.Integral) -> int:
        """Gauss-Legendre on 64 points; the sum is part of the program."""
        if self.integral_depth >= _MAX_INTEGRAL_DEPTH or any(len(limit) != 3 for limit in node.limits):
            raise ExpressionError(f"only definite integrals, nested at most {_MAX_INTEGRAL_DEPTH} deep, have a value")
        self.copied += 0 if node.function.has(sympy.Integral) else _GAUSS_POINTS * size(node.function)
        if self.copied > _MAX_COPIED:
            raise ExpressionError("the integrals here are too large to be computed; use fewer, or shorter integrands")
        self.integral_depth += 1
        body = sympy.Integral(node.function, *node.limits[:-1]) if len(node.limits) > 1 else node.function
        axis, low, high = node.limits[-1]
        half, middle = (high - low) / 2, (high + low) / 2
        points, weights = np.polynomial.legendre.leggauss(_GAUSS_POINTS)
        terms = []
        for point, weight in zip(points, weights, strict=True):
            value = self.visit(body.subs(axis, middle + half * sympy.Float(float(point), 17)))
            terms.append(self.emit("mul", self.constant(float(weight)), value))
        self.integral_depth -= 1
        return self.emit("mul", self.visit(half), self._reduced("add", terms))

    def finish(self, outputs: list[int]) -> Program:
        """Drop what no output needs and number the registers: inputs, constants, instructions."""
        needed, stack = set(), list(outputs)
        while stack:
            register = stack.pop()
            if register not in needed:
                needed.add(register)
                op, i, j = self.nodes[register]
                if op not in ("input", "constant"):
                    stack += [i] if j < 0 else [i, j]
        kept = [register for register in sorted(needed) if register >= len(self.inputs)]
        constants = [register for register in kept if self.nodes[register][0] == "constant"]
        steps = [register for register in kept if self.nodes[register][0] != "constant"]
        numbers = {old: new for new, old in enumerate([*range(len(self.inputs)), *constants, *steps])}
        numbers[-1] = -1
        code = tuple((op, numbers[i], numbers[j]) for op, i, j in (self.nodes[step] for step in steps))
        values = tuple(self.nodes[register][1] for register in constants)
        return Program(self.inputs, values, code, tuple(numbers[output] for output in outputs))


def _float(number: sympy.Expr) -> float:
    if number in (sympy.zoo, sympy.nan):
        return float("nan")
    if isinstance(number, sympy.Rational):
        try:
            return int(number.p) / int(number.q)
        except OverflowError:
            return float("inf") if number > 0 else float("-inf")
    return float(number)
