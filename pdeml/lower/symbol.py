"""The symbol of equations: how solutions may vary along one coordinate when they are waves along the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pdeml.expr import NormalForm, evaluate, jet_symbol, slopes
from pdeml.lower.multi_index import Index
from pdeml.lower.scales import Scales
from pdeml.problem import Problem

__all__ = ["Symbol", "exponents", "symbols"]

Symbol = Mapping[Index, np.ndarray]
"""Multi-index -> matrix (U, U): what multiplies the derivatives of the unknowns (columns) in the equations (rows)."""

_PLACES = 6
_STEPS = np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0])
_MAX_UNKNOWNS = 5
_ROUNDING = 1e-12


def symbols(forms: Sequence[NormalForm], problem: Problem, scales: Scales, multiple: float) -> Iterator[Symbol]:
    """Yield the coefficients of the equations, linearised at a constant, at a few places of the domain.

    Args:
        forms: as many equations as there are unknowns, without input functions and integrals.
        problem: whose they are.
        scales: typical sizes of the unknowns.
        multiple: of the typical sizes, at which the unknowns and their derivatives are taken.
    """
    unknowns = problem.names.real_unknowns
    region = problem.domain.region("interior")
    varying = any(slope.free_symbols for form in forms for slope in (term.coefficient for term in form.terms))
    count = _PLACES if varying or not all(form.is_linear for form in forms) else 1
    unit = (0.381966 + np.arange(8 * count)[:, None] * np.resize(_STEPS, region.dimension)) % 1.0
    points = region.draw(unit)[0][:count]
    values = dict(problem.parameter_values) | dict(zip(problem.names.coordinates, points.T, strict=True))
    values |= {jet_symbol(u, at).name: multiple * scales.of(u, at) for form in forms for u, at in form.jets}
    found: dict[Index, np.ndarray] = {}
    for row, form in enumerate(forms):
        for (unknown, index), slope in zip(
            form.jets, slopes(form.residual, [jet_symbol(*jet) for jet in form.jets]), strict=True
        ):
            matrices = found.setdefault(index, np.zeros((len(points), len(unknowns), len(unknowns))))
            matrices[:, row, unknowns.index(unknown)] = evaluate(slope, values)
    for k in range(len(points)):
        if all(np.isfinite(matrices[k]).all() for matrices in found.values()):
            yield {index: matrices[k] for index, matrices in found.items()}


def exponents(symbol: Symbol, axis: int, waves: Sequence[float], halves: np.ndarray) -> np.ndarray:
    """Return every λ for which ``exp(λ x / h)`` along one coordinate, times waves along the others, is a solution.

    Args:
        symbol: coefficients at one place.
        axis: the coordinate x; h is half the length of its interval.
        waves: the angular wave number along each coordinate; that of ``axis`` is not used.
        halves: half the length of each coordinate's interval.
    """
    order = max(index[axis] for index in symbol)
    size = len(next(iter(symbol.values())))
    if order == 0 or size > _MAX_UNKNOWNS:
        return np.zeros(0, dtype=complex)
    powers = np.zeros((order + 1, size, size), dtype=complex)
    for index, matrix in symbol.items():
        factor = np.prod([(1j * w) ** p for b, (w, p) in enumerate(zip(waves, index, strict=True)) if b != axis])
        powers[index[axis]] += factor * matrix / halves[axis] ** index[axis]
    return _roots(*_determinant(powers))


def _determinant(powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the determinant of a matrix of polynomials, (degree + 1,), and the size of what was added up for it."""
    size = powers.shape[1]
    total = np.zeros(size * (len(powers) - 1) + 1, dtype=complex)
    added = np.zeros(len(total))
    for permutation in itertools.permutations(range(size)):
        sign = (-1) ** sum(a > b for a, b in itertools.combinations(permutation, 2))
        product, large = np.ones(1, dtype=complex), np.ones(1)
        for row, column in enumerate(permutation):
            product = np.convolve(product, powers[:, row, column])
            large = np.convolve(large, np.abs(powers[:, row, column]))
        total += sign * product
        added += large
    return total, added


def _roots(polynomial: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Return the roots, coefficients that cancelled to rounding error being zero; none of the zero polynomial."""
    kept = np.where(np.abs(polynomial) > _ROUNDING * added, polynomial, 0.0)
    nonzero = np.flatnonzero(kept)
    return np.roots(kept[: nonzero[-1] + 1][::-1]) if len(nonzero) else np.zeros(0, dtype=complex)
