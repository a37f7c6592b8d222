"""From equations to a conservation law: fluxes found by integrating the coefficients of the space derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import sympy

from pdeml.errors import ExpressionError, InputError
from pdeml.expr import diff, is_zero, jet_of, jet_symbol
from pdeml.problem import Problem
from pdeml.reference.evolution import Evolution, make_evolution

__all__ = ["ConservationLaw", "conservation_law"]

ADVICE = "write it in conservation form, d(flux, x), in the conserved unknowns: elsewhere shocks are not defined"
MOST_OPERATIONS = 500
"""Of a coefficient that is integrated."""


@dataclass(frozen=True)
class ConservationLaw:
    """``w_t + Σ_k d(F_k(w, x, t), x_k) = S(w, x, t)``.

    Attributes:
        problem: whose equations these are.
        states: the symbols ``w``, C of them, in the order of the real unknowns.
        fluxes: ``F_k`` for each space coordinate, C formulas each.
        jacobians: ``dF_k/dw``, (C, C) each.
        source: ``S``; formulas in the same symbols.
        initial: ``w`` at the start.
    """

    problem: Problem
    states: tuple[sympy.Symbol, ...]
    fluxes: tuple[tuple[sympy.Expr, ...], ...]
    jacobians: tuple[sympy.ImmutableMatrix, ...]
    source: tuple[sympy.Expr, ...]
    initial: tuple[sympy.Expr, ...]


@lru_cache(maxsize=64)
def conservation_law(problem: Problem) -> ConservationLaw:
    """Find the fluxes and sources of a problem's equations.

    The derivatives in equations are carried out when they are read, so that ``d(F(w), x)`` has become
    ``Σ_j A_j(w) d(w_j, x)``. A flux is found again as the potential of ``A``, which exists if and only if
    ``dA_j/dw_k = dA_k/dw_j``; it is unique but for a function of x alone, which changes nothing.

    Raises:
        InputError: the equations are not of this kind, with the reason.
    """
    evolution = make_evolution(problem)
    _check_state(evolution)
    states = tuple(_jet(problem, name) for name, _ in evolution.state)
    try:
        slopes = [_matrix(problem, evolution.rates, axis) for axis in problem.names.space]
        fluxes = tuple(
            tuple(_flux(matrix.row(i), states, name) for i, (name, _) in enumerate(evolution.state))
            for matrix in slopes
        )
        source = tuple(_source(problem, rate, [flux[i] for flux in fluxes]) for i, rate in enumerate(evolution.rates))
    except ExpressionError as error:
        raise InputError(f"its fluxes are too large to be found ({error.message})") from None
    if not any(matrix.free_symbols or any(matrix) for matrix in slopes):
        raise InputError("no space derivative occurs, so that there is no flux")
    jacobians = tuple(sympy.ImmutableMatrix(matrix) for matrix in slopes)
    return ConservationLaw(problem, states, fluxes, jacobians, source, evolution.initial)


def _check_state(evolution: Evolution) -> None:
    problem = evolution.problem
    if evolution.constrained:
        raise InputError(f"{evolution.constrained[0]} has no time derivative")
    if any(order for _, order in evolution.state):
        raise InputError("it has second time derivatives; write it as a system of first order")
    time = problem.names.coordinates.index(problem.names.time or "")
    for form in problem.forms:
        if form.integrals:
            raise InputError("it has integrals of unknowns")
        for name, index in form.jets:
            if sum(index) > 1:
                raise InputError(f"it has the second derivative {name}_{_letters(problem, index)}")
            if index[time] and _unknown_symbols(problem, diff(form.residual, jet_symbol(name, index))):
                raise InputError(f"the coefficient of {name}_{problem.time} depends on the unknowns; {ADVICE}")


def _matrix(problem: Problem, rates: Sequence[sympy.Expr], axis: str) -> sympy.Matrix:
    """Return ``A`` of ``w_t = -A w_x - …``.

    Raises:
        InputError: the rates are not affine in the derivatives.
    """
    jets = [_jet(problem, name, axis) for name in problem.names.real_unknowns]
    matrix = sympy.Matrix([[-diff(rate, jet) for jet in jets] for rate in rates]).applyfunc(_tidy)
    if any(sum(jet_of(symbol)[1]) for symbol in _unknown_symbols(problem, matrix)):  # type: ignore[index]
        raise InputError(f"it is not linear in the space derivatives; {ADVICE}")
    return matrix


def _flux(slopes: sympy.Matrix, states: Sequence[sympy.Symbol], name: str) -> sympy.Expr:
    """Return the formula whose derivatives with respect to ``states`` are ``slopes``."""
    pairs = list(zip(slopes, states, strict=True))
    for (a, first), (b, second) in combinations(pairs, 2):
        if not is_zero(diff(a, second) - diff(b, first)):
            raise InputError(f"the equation of {name} is not the derivative of a flux; {ADVICE}")
    total = sympy.S.Zero
    for slope, state in pairs:
        left = _tidy(slope - diff(total, state))
        total += _antiderivative(left, state)
    if total.has(sympy.Integral) or not all(is_zero(diff(total, state) - slope) for slope, state in pairs):
        raise InputError(f"no formula is found for the flux in the equation of {name}")
    return total


def _antiderivative(slope: sympy.Expr, state: sympy.Symbol) -> sympy.Expr:
    """Integrate; what SymPy cannot do, or what would take it long, stays an integral."""
    if state not in slope.free_symbols:
        return slope * state
    if sympy.count_ops(slope) > MOST_OPERATIONS:
        return sympy.Integral(slope, state)
    try:
        return sympy.integrate(slope, state)
    except (ArithmeticError, NotImplementedError, RecursionError, TypeError, ValueError):
        return sympy.Integral(slope, state)


def _source(problem: Problem, rate: sympy.Expr, fluxes: Sequence[sympy.Expr]) -> sympy.Expr:
    """Return the rate without space derivatives, and what the fluxes depend on x explicitly."""
    still = {symbol: 0 for symbol in _unknown_symbols(problem, rate) if sum(jet_of(symbol)[1])}  # type: ignore[index]
    explicit = [_explicit(problem, flux, axis) for flux, axis in zip(fluxes, problem.names.space, strict=True)]
    return _tidy(rate.xreplace(still) + sympy.Add(*explicit))


def _explicit(problem: Problem, flux: sympy.Expr, axis: str) -> sympy.Expr:
    """Differentiate along a coordinate with the unknowns held fixed."""
    names = problem.names
    place = names.coordinates.index(axis)
    total = diff(flux, names.symbol(axis))
    for symbol in sorted(flux.free_symbols, key=str):
        jet = jet_of(symbol)
        if jet and jet[0] in names.input_names and axis in dict(names.inputs)[jet[0]]:
            index = [order + (k == place) for k, order in enumerate(jet[1])]
            total += diff(flux, symbol) * jet_symbol(jet[0], index)
    return total


def _tidy(expression: sympy.Expr) -> sympy.Expr:
    """Cancel what cancels: without it, sources that vanish would be computed, and leave rounding errors."""
    expanded = sympy.expand(expression)
    return sympy.S.Zero if is_zero(expanded) else expanded


def _unknown_symbols(problem: Problem, expression: sympy.Basic) -> list[sympy.Symbol]:
    known = problem.names.real_unknowns
    return [symbol for symbol in expression.free_symbols if (jet := jet_of(symbol)) and jet[0] in known]


def _jet(problem: Problem, name: str, axis: str | None = None) -> sympy.Symbol:
    return jet_symbol(name, [int(coordinate == axis) for coordinate in problem.names.coordinates])


def _letters(problem: Problem, index: Sequence[int]) -> str:
    return "".join(axis * order for axis, order in zip(problem.names.coordinates, index, strict=True))
