"""Elliptic, parabolic or hyperbolic, where the principal part tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy

from pdeml.errors import ExpressionError
from pdeml.expr.compiler import compile_program
from pdeml.expr.jets import jet_symbol
from pdeml.expr.names import Names
from pdeml.expr.normal_form import NormalForm, Term

__all__ = ["classify"]


def classify(forms: Sequence[NormalForm], names: Names, values: Mapping[str, float] | None = None) -> str | None:
    """Name the type of an equation, or of a system whose equations all have one type.

    Args:
        forms: the normal forms of the equations.
        names: the declared names.
        values: values of parameters; one without a value counts as positive.

    Returns: ``"elliptic"``, ``"parabolic"``, ``"hyperbolic"``, or None where the principal part does not tell: it is
        non-linear, changes with the coordinates, has odd order, or couples several unknowns.
    """
    kinds = {_kind(form, names, dict(values or {})) for form in forms}
    return kinds.pop() if len(kinds) == 1 else None


def _kind(form: NormalForm, names: Names, values: dict[str, float]) -> str | None:
    """Compare the sign of the highest time derivative with that of the space symbol."""
    axes = [names.coordinates.index(axis) for axis in names.space]
    if not axes or form.integrals:
        return None
    time_order = form.order(names.time) if names.time else 0
    space_order = max((sum(index[k] for k in axes) for _, index in form.jets), default=0)
    time_axis = names.coordinates.index(names.time) if names.time else None
    if time_axis is not None and space_order <= 2 and any(sum(at) > at[time_axis] > 0 for _, at in form.jets):
        return _by_inertia(form, names, values)
    space_terms = [term for term in form.terms if sum(term.index[k] for k in axes) == space_order]
    if (time_order, space_order) == (1, 1) and len(form.unknowns) == 1:
        return "hyperbolic"
    if space_order == 0 or not _principal_is_linear(form, axes, space_order):
        return None
    signs = _symbol_signs(space_terms, axes, names, values, relative=time_order < 2)
    if time_order == 0:
        return _steady(space_order, signs, len(axes))
    if any(sum(term.index) != space_order for term in space_terms) or len({term.unknown for term in space_terms}) != 1:
        return None
    unknown = space_terms[0].unknown
    leading = [term for term in form.terms if term.index[time_axis] == time_order]
    if [(term.unknown, sum(term.index)) for term in leading] != [(unknown, time_order)]:
        return None
    return _evolving(time_order, space_order, signs, _number(leading[0].coefficient, names, values))


def _by_inertia(form: NormalForm, names: Names, values: dict[str, float]) -> str | None:
    """The type of a second-order equation by the signs of the eigenvalues of its matrix over all coordinates."""
    leading = [term for term in form.terms if sum(term.index) == 2]
    top = {(unknown, index) for unknown, index in form.jets if sum(index) >= 2}
    if len(form.unknowns) != 1 or top != {(term.unknown, term.index) for term in leading}:
        return None
    if any(jet_symbol(*jet) in form.rest.free_symbols for jet in top):
        return None
    numbers = [_magnitude(term.coefficient, names, values) for term in leading]
    if None in numbers:
        numbers = [_magnitude(term.coefficient / leading[0].coefficient, names, values) for term in leading]
    if None in numbers:
        return None
    matrix = np.zeros((len(names.coordinates), len(names.coordinates)))
    for number, term in zip(numbers, leading, strict=True):
        i, j = [k for k, order in enumerate(term.index) for _ in range(order)]
        matrix[i, j] += number / 2
        matrix[j, i] += number / 2
    return _inertia_type(matrix)


def _inertia_type(matrix: np.ndarray) -> str | None:
    """The type, whatever the units: each row and column is divided by a common factor first."""
    diagonal = np.sqrt(np.abs(np.diag(matrix)))
    units = np.where(diagonal > 0, diagonal, np.max(np.abs(matrix) / np.where(diagonal > 0, diagonal, 1.0), axis=1))
    units = np.where(units > 0, units, 1.0)
    roots = np.linalg.eigvalsh(matrix / np.outer(units, units))
    floor = 1e-9 * np.max(np.abs(roots))
    plus, minus = int(np.sum(roots > floor)), int(np.sum(roots < -floor))
    if max(plus, minus) == len(roots):
        return "elliptic"
    if min(plus, minus) == 0 and plus + minus == len(roots) - 1:
        return "parabolic"
    return "hyperbolic" if min(plus, minus) == 1 and plus + minus == len(roots) else None


def _magnitude(coefficient: sympy.Expr, names: Names, values: dict[str, float]) -> float | None:
    """The number itself, where the sign alone does not tell; None without a value for each parameter."""
    free = {symbol.name for symbol in coefficient.free_symbols}
    return _number(coefficient, names, values) if free <= set(values) & set(names.parameters) else None


def _steady(order: int, signs: set[int] | None, dimensions: int) -> str | None:
    if order % 2 or signs is None:
        return None
    if len(signs) == 1 and 0 not in signs:
        return "elliptic"
    return "hyperbolic" if order == 2 and signs >= {1, -1} and dimensions == 2 else None


def _evolving(time_order: int, order: int, signs: set[int] | None, leading: float | None) -> str | None:
    if signs is None or len(signs) != 1 or 0 in signs:
        return None
    if time_order == 1 and order % 2 == 0:
        return "parabolic"
    if leading is None:
        return None
    same = np.sign(leading) in signs
    return ("elliptic" if same else "hyperbolic") if time_order == 2 and order == 2 else None


def _principal_is_linear(form: NormalForm, axes: list[int], space_order: int) -> bool:
    free = form.rest.free_symbols
    top = [
        (unknown, index)
        for unknown, index in form.jets
        if sum(index[k] for k in axes) == space_order or sum(index) > sum(index[k] for k in axes)
    ]
    return not any(jet_symbol(*jet) in free for jet in top)


def _symbol_signs(
    terms: list[Term], axes: list[int], names: Names, values: dict[str, float], relative: bool
) -> set[int] | None:
    """Signs of the homogeneous polynomial of the space terms over many directions; None where a coefficient varies.

    With ``relative`` a common factor of unknown sign, as ``a`` in ``div(a*grad(u))``, is divided out.
    """
    if len({term.unknown for term in terms}) != 1:
        return None
    numbers = [_number(term.coefficient, names, values) for term in terms]
    if None in numbers and relative:
        numbers = [_number(term.coefficient / terms[0].coefficient, names, values) for term in terms]
    if None in numbers:
        return None
    directions = np.random.default_rng(0).normal(size=(512, len(axes)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    symbol = sum(
        number * np.prod([directions[:, k] ** term.index[axis] for k, axis in enumerate(axes)], axis=0)
        for number, term in zip(numbers, terms, strict=True)
    )
    floor = 1e-6 * np.max(np.abs(symbol), initial=0.0)
    return set(np.where(np.abs(symbol) <= floor, 0, np.sign(symbol)).astype(int).tolist())


def _number(coefficient: sympy.Expr, names: Names, values: dict[str, float]) -> float | None:
    free = sorted(symbol.name for symbol in coefficient.free_symbols)
    if not set(free) <= set(names.parameters):
        if coefficient.is_extended_positive or coefficient.is_extended_negative:
            return 1.0 if coefficient.is_extended_positive else -1.0
        return None
    try:
        result = compile_program([coefficient], free).run([values.get(name, 1.0) for name in free])[0]
    except ExpressionError:
        return None
    return float(result) if np.isfinite(result) and result != 0 else None
