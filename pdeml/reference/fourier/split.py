"""``u_t = L u + N(u)``: the terms with constant coefficients, and the rest, of a problem's own equations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import sympy

from pdeml.errors import InputError
from pdeml.expr import NormalForm, analyse, jet_of
from pdeml.problem import Problem
from pdeml.reference.evolution import Evolution, make_evolution

__all__ = ["LinearTerm", "Remainder", "Split", "hoisted", "make_split"]

Index = tuple[int, ...]


@dataclass(frozen=True)
class LinearTerm:
    """``coefficient * derivative of column`` in a row; ``index`` is over the space coordinates.

    Rows are the state variables, then the constraints; columns the state variables, then the constrained unknowns.
    """

    row: int
    column: int
    index: Index
    coefficient: sympy.Expr


@dataclass(frozen=True)
class Remainder:
    """Formulas whose parts that are known once and for all have got names.

    Attributes:
        formulas: in the names below.
        jets: name -> (column, space index) of the derivatives of unknowns.
        fixed: name -> formula in space coordinates, parameters and input functions that do not depend on time.
        moving: name -> jet symbol of an input function that depends on time.
    """

    formulas: tuple[sympy.Expr, ...]
    jets: Mapping[str, tuple[int, Index]]
    fixed: Mapping[str, sympy.Expr]
    moving: Mapping[str, sympy.Expr]


@dataclass(frozen=True)
class Split:
    """An evolution with its rows ``L u + N(u)`` taken apart.

    Attributes:
        evolution: what is split.
        linear: the terms of L (and of the constraints) whose coefficients hold nothing but parameters.
        rest: N, one formula for each row; those of constraints contain no constrained unknown.
        products: whether N depends on the unknowns, so that products make new wave numbers.
    """

    evolution: Evolution
    linear: tuple[LinearTerm, ...]
    rest: tuple[sympy.Expr, ...]
    products: bool

    @property
    def size(self) -> int:
        """Number of state variables."""
        return len(self.evolution.state)

    def column(self, jet: tuple[str, Index]) -> tuple[int, Index]:
        """Return the column an (unknown, multi-index) belongs to, and its space index."""
        return _column(self.evolution, jet)


@lru_cache(maxsize=32)
def make_split(problem: Problem) -> Split:
    """Take the equations of a problem apart.

    Raises:
        InputError: they are in no evolution form, hold integrals of unknowns, or a constraint is not linear with
            constant coefficients in the unknowns that it is to determine.
    """
    evolution = make_evolution(problem)
    forms = [*(analyse(rate, problem.names) for rate in evolution.rates), *evolution.constraints]
    if any(form.integrals for form in forms):
        raise InputError("an integral of an unknown occurs in the equations")
    parts = [_parts(evolution, row, form) for row, form in enumerate(forms)]
    rest = tuple(part for _, part in parts)
    for formula in rest[len(evolution.state) :]:
        _check_constraint(evolution, formula)
    products = any(_unknowns(evolution, formula) for formula in rest)
    return Split(evolution, tuple(term for terms, _ in parts for term in terms), rest, products)


def hoisted(split: Split, formulas: tuple[sympy.Expr, ...]) -> Remainder:
    """Give names to all that needs to be evaluated once: the largest parts without unknowns and without time."""
    names = split.evolution.problem.names
    over = dict(names.inputs)
    jets, moving = {}, {}
    for symbol in sorted({s for formula in formulas for s in formula.free_symbols}, key=str):
        jet = jet_of(symbol)
        if jet and jet[0] in names.real_unknowns:
            jets[symbol.name] = split.column(jet)
        elif jet and names.time in over[jet[0]]:
            moving[symbol.name] = symbol
    active = {sympy.Symbol(name, real=True) for name in (*jets, *moving, names.time)}
    fixed: dict[sympy.Expr, sympy.Symbol] = {}
    replaced = tuple(_hoist(formula, active, fixed) for formula in formulas)
    return Remainder(replaced, jets, {symbol.name: part for part, symbol in fixed.items()}, moving)


def _hoist(node: sympy.Basic, active: set[sympy.Symbol], fixed: dict[sympy.Expr, sympy.Symbol]) -> sympy.Basic:
    def named(part: sympy.Expr) -> sympy.Expr:
        return part if not part.free_symbols else fixed.setdefault(part, sympy.Symbol(f"known.{len(fixed)}", real=True))

    if isinstance(node, sympy.Expr) and not node.free_symbols & active:
        return named(node)
    if isinstance(node, sympy.Integral):  # its variable is bound: only what is free in it is named
        return node.xreplace({s: named(s) for s in node.free_symbols - active})
    if not node.args:
        return node
    known = [part for part in node.args if not part.free_symbols & active] if node.is_Add or node.is_Mul else []
    others = [_hoist(part, active, fixed) for part in node.args if part not in known]
    return node.func(*([named(node.func(*known))] if known else []), *others)


def _column(evolution: Evolution, jet: tuple[str, Index]) -> tuple[int, Index]:
    names, (unknown, index) = evolution.problem.names, jet
    orders = dict(zip(names.coordinates, index, strict=True))
    space = tuple(orders[axis] for axis in names.space)
    if unknown in evolution.constrained:
        return len(evolution.state) + evolution.constrained.index(unknown), space
    return evolution.state.index((unknown, orders[names.time or ""])), space


def _parts(evolution: Evolution, row: int, form: NormalForm) -> tuple[list[LinearTerm], sympy.Expr]:
    """Part one row into terms with constant coefficients and the rest."""
    constants = {evolution.problem.names.symbol(name) for name in evolution.problem.parameters}
    linear, others = [], [form.rest, form.source]
    for term in form.terms:
        if term.coefficient.free_symbols <= constants:
            linear.append(LinearTerm(row, *_column(evolution, (term.unknown, term.index)), term.coefficient))
        else:
            others.append(term.expression)
    return linear, sympy.Add(*others)


def _unknowns(evolution: Evolution, formula: sympy.Expr) -> set[str]:
    jets = {jet[0] for symbol in formula.free_symbols if (jet := jet_of(symbol))}
    return jets & set(evolution.problem.names.real_unknowns)


def _check_constraint(evolution: Evolution, formula: sympy.Expr) -> None:
    for name in sorted(_unknowns(evolution, formula) & set(evolution.constrained)):
        raise InputError(f"{name} has no time derivative, and its equation is not linear with constant coefficients")
