"""What an equation is made of: linear terms, non-linear rest, source; which derivatives it needs; is it linear."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import sympy

from pdeml.expr.budget import almost_everywhere, diff
from pdeml.expr.equation import carry_out
from pdeml.expr.jets import jet_of, jet_symbol, to_jets
from pdeml.expr.linearity import affine_in
from pdeml.expr.names import Names

__all__ = ["NormalForm", "Term", "analyse"]

Index = tuple[int, ...]
_MAX_PRODUCTS = 64
_MAX_PARTS = 200


@dataclass(frozen=True)
class Term:
    """``coefficient * derivative of unknown``; no unknown in the coefficient; ``index`` is over all coordinates."""

    coefficient: sympy.Expr
    unknown: str
    index: Index

    @property
    def expression(self) -> sympy.Expr:
        """The term as a formula in jet symbols."""
        return self.coefficient * jet_symbol(self.unknown, self.index)


@dataclass(frozen=True)
class NormalForm:
    """One real scalar residual, taken apart: ``residual = sum of terms + rest + source``.

    Args:
        residual: formula in coordinates, parameters, jet symbols ``u[2,0]`` (input functions have them too, ``a[0,0]``)
            and components ``n[x]`` of the normal.
        terms: the linear part, one term for each derivative.
        rest: the part that is not linear in the unknowns, zero for a linear residual.
        source: the part without unknowns.
        jets: every (unknown, multi-index) in the residual, sorted.
        input_jets: the same for input functions.
        unknown_orders: (unknown, ((coordinate, highest order), ...)) for each unknown that occurs.
        linear_in: the unknowns (of those that occur) in whose derivatives the residual is affine, the others fixed.
        is_linear: affine in all unknowns together.
        uses_normal: whether the normal occurs.
        integrals: whether an integral of an unknown occurs.
    """

    residual: sympy.Expr
    terms: tuple[Term, ...]
    rest: sympy.Expr
    source: sympy.Expr
    jets: tuple[tuple[str, Index], ...]
    input_jets: tuple[tuple[str, Index], ...]
    unknown_orders: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]
    linear_in: tuple[str, ...]
    is_linear: bool
    uses_normal: bool
    integrals: bool

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The unknowns that occur."""
        return tuple(unknown for unknown, _ in self.unknown_orders)

    @cached_property
    def orders(self) -> tuple[tuple[str, int], ...]:
        """(coordinate, highest order of any unknown) for every coordinate."""
        highest: dict[str, int] = {}
        for _, orders in self.unknown_orders:
            for axis, order in orders:
                highest[axis] = max(order, highest.get(axis, 0))
        return tuple(highest.items())

    def order(self, coordinate: str, unknown: str | None = None) -> int:
        """The highest order along ``coordinate``, of one unknown or of all."""
        orders = self.orders if unknown is None else dict(self.unknown_orders).get(unknown, ())
        return dict(orders).get(coordinate, 0)


def analyse(residual: sympy.Expr, names: Names) -> NormalForm:
    """Take a residual of `Equation.residuals` (or one already in jet symbols) apart.

    Raises: ExpressionError: an unknown is taken elsewhere than at the point itself.
    """
    expression = almost_everywhere(to_jets(carry_out(residual, names), names))
    found = {symbol: jet for symbol in expression.free_symbols if (jet := jet_of(symbol)) is not None}
    unknowns = {symbol: jet for symbol, jet in found.items() if jet[0] in names.real_unknowns}
    integrals = {call for call in expression.atoms(sympy.Integral) if call.free_symbols & set(unknowns)}
    terms, rest, source = _taken_apart(expression, set(unknowns), integrals)
    jets = tuple(sorted(unknowns.values(), key=lambda jet: (names.real_unknowns.index(jet[0]), sum(jet[1]), jet[1])))
    occurring = tuple(name for name in names.real_unknowns if any(name == unknown for unknown, _ in jets))
    linear = rest == 0 or _integrals_linear(rest, set(unknowns), integrals)
    return NormalForm(
        residual=expression,
        terms=_terms(terms, unknowns, jets),
        rest=rest,
        source=source,
        jets=jets,
        input_jets=tuple(sorted(jet for symbol, jet in found.items() if symbol not in unknowns)),
        unknown_orders=tuple((name, _orders(name, jets, names)) for name in occurring),
        linear_in=tuple(name for name in occurring if linear or _linear_in(expression, name, unknowns, integrals)),
        is_linear=linear,
        uses_normal=any(symbol.name.startswith("n[") for symbol in expression.free_symbols),
        integrals=bool(integrals),
    )


def _terms(
    coefficients: dict[sympy.Symbol, sympy.Expr], unknowns: dict[sympy.Symbol, tuple[str, Index]], jets: Iterable
) -> tuple[Term, ...]:
    by_jet = {unknowns[symbol]: coefficient for symbol, coefficient in coefficients.items()}
    return tuple(Term(by_jet[jet], *jet) for jet in jets if by_jet.get(jet, 0) != 0)


def _orders(name: str, jets: Iterable[tuple[str, Index]], names: Names) -> tuple[tuple[str, int], ...]:
    indices = [index for unknown, index in jets if unknown == name]
    return tuple((axis, max(index[k] for index in indices)) for k, axis in enumerate(names.coordinates))


Parts = tuple[dict[sympy.Symbol, sympy.Expr], sympy.Expr, sympy.Expr]


def _taken_apart(expression: sympy.Expr, jets: set[sympy.Symbol], integrals: set[sympy.Expr]) -> Parts:
    coefficients: dict[sympy.Symbol, list[sympy.Expr]] = {}
    rests: list[sympy.Expr] = []
    sources: list[sympy.Expr] = []
    _distribute(expression, sympy.S.One, jets, (coefficients, rests, sources))
    rest, source = sympy.Add(*rests), sympy.Add(*sources)
    linear = {symbol: sympy.Add(*parts) for symbol, parts in coefficients.items()}
    if rest != 0 and not integrals and affine_in(rest, jets & rest.free_symbols):
        more, constant = _affine_parts(rest, jets & rest.free_symbols)
        for symbol, coefficient in more.items():
            linear[symbol] = linear.get(symbol, sympy.S.Zero) + coefficient
        rest, source = sympy.S.Zero, source + constant
    return linear, rest, source


def _distribute(node: sympy.Expr, factor: sympy.Expr, jets: set[sympy.Symbol], into: tuple[dict, list, list]) -> None:
    """Add ``factor * node`` to the linear coefficients, the rest or the sources; from many on nothing is expanded."""
    coefficients, rests, sources = into
    full = len(rests) + len(sources) + sum(map(len, coefficients.values())) > _MAX_PARTS
    if not node.free_symbols & jets:
        sources.append(factor * node)
    elif node in jets:
        coefficients.setdefault(node, []).append(factor)
    elif node.is_Add:
        for term in node.args:
            _distribute(term, factor, jets, into)
    elif node.is_Mul:
        known, active = node.as_independent(*jets, as_Add=False)
        expanded = active if full else _expanded(active)
        if (known != 1 and not full) or expanded != active:
            _distribute(expanded, factor * known, jets, into)
        else:
            rests.append(factor * node)
    else:
        expanded = node if full else _expanded(node)
        if expanded != node:
            _distribute(expanded, factor, jets, into)
        else:
            rests.append(factor * node)


def _expanded(node: sympy.Expr) -> sympy.Expr:
    """Multiply out products and small powers of sums, where this gives few terms."""
    count = 1
    for factor in sympy.Mul.make_args(node):
        base, exponent = factor.as_base_exp()
        if base.is_Add and exponent.is_Integer and exponent > 0:
            count *= len(base.args) ** min(int(exponent), 8)
    return (
        sympy.expand(node, deep=False, power_base=False, power_exp=False, log=False)
        if 1 < count <= _MAX_PRODUCTS
        else node
    )


def _affine_parts(rest: sympy.Expr, jets: set[sympy.Symbol]) -> tuple[dict[sympy.Symbol, sympy.Expr], sympy.Expr]:
    """Slopes and value of an affine expression at a place where it is regular."""
    for place in (sympy.S.Zero, sympy.S.One, sympy.Rational(1, 3)):
        at = dict.fromkeys(jets, place)
        slopes = {symbol: diff(rest, symbol).xreplace(at) for symbol in jets}
        constant = rest.xreplace(at) - sympy.Add(*(place * slope for slope in slopes.values()))
        if not any(part.has(sympy.nan, sympy.zoo, sympy.oo) for part in (*slopes.values(), constant)):
            return slopes, constant
    return {}, rest


def _integrals_linear(rest: sympy.Expr, jets: set[sympy.Symbol], integrals: set[sympy.Expr]) -> bool:
    """Whether what is left is affine in integrals whose integrands are linear in the unknowns."""
    stand_ins = {call: sympy.Dummy(real=True) for call in integrals}
    replaced = rest.xreplace(stand_ins)
    active = (jets | set(stand_ins.values())) & replaced.free_symbols
    if not integrals or not affine_in(replaced, active):
        return False
    return all(affine_in(call.function, jets & call.function.free_symbols) for call in integrals)


def _linear_in(
    expression: sympy.Expr, name: str, unknowns: dict[sympy.Symbol, tuple[str, Index]], integrals: set[sympy.Expr]
) -> bool:
    own = {symbol for symbol, (unknown, _) in unknowns.items() if unknown == name}
    if any(call.free_symbols & own for call in integrals):
        return _integrals_linear(expression, own, {call for call in integrals if call.free_symbols & own})
    return affine_in(expression, own)
