"""How fast a solution varies along each coordinate: from sources, conditions and the symbol, never from the solution.

All wave numbers are angular, in the inverse units of their coordinate. A function counts as having the wave number W
along a line of half-length h if its Chebyshev expansion there is as long as that of ``cos(W x)``, which has
``W h + 2.8 (W h)^(1/3)`` terms above a thousandth: so a trend, which has a long Fourier series, is no high frequency.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from pdeml.expr import NormalForm, jet_symbol
from pdeml.lower.lines import Line, along, interior_lines, region_lines
from pdeml.lower.scales import Scales, estimate_scales, residual_scale
from pdeml.lower.spectrum import chebyshev_length, expanded, exponential_length, frequencies, wave_number
from pdeml.lower.symbol import exponents, symbols
from pdeml.problem import Problem

__all__ = ["Bandwidth", "bandwidth"]

_PEAKS = 16  # of a coordinate
_COMBINED = 4  # of those, how many are combined with waves along the other coordinates
_NOTHING = 1e-9  # of the terms of an equation or a condition: a smaller source is rounding error
_STEEPEST = 400.0  # on [−1, 1]: steeper layers of non-linear equations are not believed
_NOTE = (
    "the equation is not linear: how steep the solution becomes is guessed from the linearised equation and from the "
    "degree of its terms"
)

Peaks = list[tuple[float, float]]
"""Pairs (wave number, strength relative to the strongest)."""


@dataclass(frozen=True)
class Bandwidth:
    """Angular wave numbers of a problem, in the order of its coordinates.

    Args:
        highest: the largest that matters along each coordinate; zero where at most a quadratic trend is known.
        peaks: where the spectra are concentrated, strongest first; none below a quarter of a wave on the interval.
        notes: sentences on what could not be known.
    """

    highest: tuple[float, ...]
    peaks: tuple[tuple[float, ...], ...]
    notes: tuple[str, ...] = ()


def bandwidth(problem: Problem) -> Bandwidth:
    """Estimate how fast the solution varies along each coordinate.

    Sources and given values are sampled along lines. Where other coordinates vary with ``exp(i κ y)``, the equation
    lets the solution vary with ``exp(λ x)`` along this one, λ being a root of its symbol: the wave number of
    Helmholtz' equation, ``β κ`` of advection, ``c κ`` of waves, the decay ``α κ²`` of heat. Non-linear equations are
    linearised at zero and at the typical size of the unknowns, and multiply what conditions give by their degree.

    Args:
        problem: what is solved. Equations and conditions with input functions or integrals tell nothing.
    """
    halves = 0.5 * np.diff(problem.domain.bounds, axis=1)[:, 0]
    forms = [form for form in problem.forms if _is_known(form)]
    # In time the products of non-linear terms build up; in a steady equation the source holds them already.
    degree = max(map(_degree, forms), default=1) if problem.time else 1
    scales, inside = estimate_scales(problem), problem.domain.region("interior")
    found = [
        (1, _spectra(form.source, interior_lines(problem), problem, residual_scale(form, problem, scales, inside)))
        for form in forms
    ]
    for constraint in problem.constraints:
        if _is_known(constraint.form):
            size = residual_scale(constraint.form, problem, scales, constraint.region)
            lines = region_lines(problem, constraint.region)
            found.append((degree, _spectra(constraint.form.source, lines, problem, size)))
    given = np.max([np.zeros(len(halves)), *(factor * highest for factor, (highest, _) in found)], axis=0)
    peaks = [_merged([p for _, (_, own) in found for p in own[a]], half) for a, half in enumerate(halves)]
    highest = given
    if len(forms) == len(problem.names.real_unknowns):
        made, more = _from_symbol(problem, forms, scales, given, peaks, halves)
        highest = np.maximum(given, made)
        peaks = [_merged(a + b, half) for a, b, half in zip(peaks, more, halves, strict=True)]
    return Bandwidth(
        tuple(map(float, highest)),
        tuple(tuple(float(w) for w, _ in own[:_PEAKS]) for own in peaks),
        () if all(form.is_linear for form in forms) else (_NOTE,),
    )


def _is_known(form: NormalForm) -> bool:
    return not form.input_jets and not form.integrals


def _degree(form: NormalForm) -> int:
    """Return the degree of a residual in the unknowns, three for one that is no polynomial."""
    jets = [jet_symbol(*jet) for jet in form.jets]
    if not sympy.sympify(form.rest, strict=True).is_polynomial(*jets):
        return 3
    return max(1, sympy.Poly(form.rest, *jets).total_degree()) if form.rest != 0 else 1


def _spectra(
    formula: sympy.Expr, lines: Iterable[Line], problem: Problem, scale: float
) -> tuple[np.ndarray, list[Peaks]]:
    """Return the wave number of a formula along each coordinate, and its peaks there; ``scale`` is the usual size."""
    highest = np.zeros(len(problem.names.coordinates))
    peaks: list[Peaks] = [[] for _ in highest]
    varying = {problem.names.symbol(name) for name in problem.names.coordinates}
    groups: dict[tuple[int, ...], list[Line]] = {}
    for line in lines if formula.free_symbols & varying else ():
        groups.setdefault(tuple(axis for axis, _ in line.halves), []).append(line)
    for parallel in groups.values():
        functions = [along(formula, line, problem) for line in parallel]
        expansions = [expanded(function) for function in functions]
        known = [k for k, coefficients in enumerate(expansions) if np.isfinite(coefficients).all()]
        size = max((float(np.linalg.norm(expansions[k])) for k in known), default=0.0)
        if size <= _NOTHING * scale:
            continue
        lengths = {k: chebyshev_length(expansions[k], size) for k in known}
        best = max(known, key=lambda k: float(np.linalg.norm(expansions[k])))
        waves = frequencies(functions[best], lengths[best])
        for k in known:
            for axis, half in parallel[k].halves:
                highest[axis] = max(highest[axis], wave_number(lengths[k]) / half)
        for axis, half in parallel[best].halves:
            peaks[axis] += [(w / half, strength) for w, strength in waves]
    return highest, peaks


def _merged(peaks: Peaks, half: float) -> Peaks:
    """Return the peaks, strongest first; of those closer than a quarter of a wave on the interval the strongest."""
    least, kept = 0.25 * np.pi / half, []
    for w, strength in sorted(peaks, key=lambda peak: -peak[1]):
        if w >= least and all(abs(w - other) >= least for other, _ in kept):
            kept.append((w, strength))
    return kept


def _from_symbol(
    problem: Problem,
    forms: Sequence[NormalForm],
    scales: Scales,
    given: np.ndarray,
    peaks: list[Peaks],
    halves: np.ndarray,
) -> tuple[np.ndarray, list[Peaks]]:
    """Return the wave numbers that the equations make along each coordinate of those given along the others."""
    highest = np.zeros(len(halves))
    waves: list[Peaks] = [[] for _ in halves]
    at_zero = list(symbols(forms, problem, scales, 0.0))
    at_size = [] if all(form.is_linear for form in forms) else list(symbols(forms, problem, scales, 1.0))
    # What the highest wave number makes counts for the highest alone; a peak is made by peaks, or where nothing varies.
    choices = [[(0.0, 1.0), (w, 0.0), *own[:_COMBINED]] for w, own in zip(given, peaks, strict=True)]
    for axis, half in enumerate(halves):
        others = [[(0.0, 1.0)] if b == axis else own for b, own in enumerate(choices)]
        for chosen in itertools.product(*others):
            wave, strength = [w for w, _ in chosen], float(np.prod([s for _, s in chosen]))
            for symbol in at_zero:
                for root in exponents(symbol, axis, wave, halves):
                    highest[axis] = max(highest[axis], wave_number(exponential_length(root)) / half)
                    if strength and abs(root.imag) > 10 * abs(root.real):
                        waves[axis].append((abs(root.imag) / half, strength))
            for symbol in at_size:
                for root in exponents(symbol, axis, wave, halves):
                    # A layer of a non-linear equation may lie inside, where only short patches resolve it.
                    steep = max(wave_number(exponential_length(root)), 0.5 * abs(root))
                    highest[axis] = max(highest[axis], min(steep, _STEEPEST) / half)
    return highest, waves
