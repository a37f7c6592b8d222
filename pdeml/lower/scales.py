"""Sizes: of the coordinates, of the unknowns, and of each residual in the scaled equation.

A residual is divided by the size of its largest term when every unknown and coordinate has its typical size. That
depends on the problem only, never on the current residual, so that blocks of different units can be added and the
defaults work whatever the units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import NormalForm, evaluate, jet_symbol, normal_symbol
from pdeml.problem import Constraint, Problem

__all__ = ["Scales", "estimate_scales", "residual_scale"]

_PROBES = 512
_SIDE_OFFSET = 0.381966  # an irrational shift: probes avoid the zeros that symmetric formulas have at round places


@dataclass(frozen=True)
class Scales:
    """Typical sizes in the units of the problem.

    Args:
        coordinates: half the length of each coordinate's interval, or what the user gave, in order.
        unknowns: real unknown -> size.
    """

    coordinates: tuple[float, ...]
    unknowns: Mapping[str, float]

    def of(self, unknown: str, index: tuple[int, ...]) -> float:
        """Return the typical size of ``∂^index unknown``."""
        return self.unknowns[unknown] / float(np.prod([s**k for s, k in zip(self.coordinates, index, strict=True)]))


def estimate_scales(problem: Problem) -> Scales:
    """Estimate the sizes from the intervals, the given values and the sources.

    An unknown is as large as the largest value given for it in a condition; where these are zero or missing, as large
    as its equations' sources make it: ``max |source| / max_α (|c_α| / ℓ^α)`` over the linear terms.
    """
    lengths = tuple(
        declared.scale if (declared := problem.coordinates[name]).scale is not None else 0.5 * float(high - low)
        for name, (low, high) in zip(problem.names.coordinates, problem.domain.bounds, strict=True)
    )
    points = _probes(problem)
    unknowns = {}
    for name in problem.names.real_unknowns:
        given = _declared(problem, name)
        unknowns[name] = given or _from_values(problem, name, lengths, points) or _from_sources(problem, name, lengths, points)
    largest = max((size for size in unknowns.values() if size), default=1.0)
    return Scales(lengths, {name: size or largest for name, size in unknowns.items()})


def residual_scale(form: NormalForm, problem: Problem, scales: Scales) -> float:
    """Return the size of the largest term of a residual at typical sizes.

    The term of each jet is ``|∂R/∂u_α| · size(u_α)`` with the other jets at their typical size.
    """
    values = {**_probes(problem), **problem.parameter_values}
    values |= {normal_symbol(axis).name: np.float64(1.0) for axis in problem.names.space}
    values |= {jet_symbol(unknown, index).name: scales.of(unknown, index) for unknown, index in form.jets}
    sizes = [_largest(form.source, values)]
    for unknown, index in form.jets:
        slope = sympy.diff(form.residual, jet_symbol(unknown, index))
        sizes.append(_largest(slope, values) * scales.of(unknown, index))
    size = max(sizes)
    if not np.isfinite(size):
        raise InputError(f"a term of the equation is not finite on the domain: {form.residual} = 0")
    return size if size > 0 else 1.0


def _largest(expression: sympy.Expr, values: Mapping[str, object]) -> float:
    """Return the largest absolute value at the probes; Dirac measures at kinks and jumps count as zero."""
    expression = sympy.sympify(expression, strict=True).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    return float(np.max(np.abs(evaluate(expression, values))))


def _probes(problem: Problem) -> dict[str, np.ndarray]:
    """Return points of a rank-1 lattice over the bounding box, coordinate by coordinate."""
    lattice = np.arange(_PROBES)[:, None] * np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0]))
    unit = (lattice + _SIDE_OFFSET) % 1.0
    return {
        name: low + (high - low) * unit[:, k % unit.shape[1]]
        for k, (name, (low, high)) in enumerate(zip(problem.names.coordinates, problem.domain.bounds, strict=True))
    }


def _declared(problem: Problem, unknown: str) -> float | None:
    """Return the size that the user gave; the parts of a complex unknown share it."""
    parts = {part: name for name, both in problem.names.complex_parts.items() for part in both}
    return problem.unknowns[parts.get(unknown, unknown)].scale


def _from_values(problem: Problem, unknown: str, lengths: tuple[float, ...], points: Mapping[str, np.ndarray]) -> float:
    sizes = [0.0]
    for constraint in problem.constraints:
        if constraint.unknown == unknown and constraint.value is not None:
            given = _largest(constraint.value, {**points, **constraint.region.fixed, **problem.parameter_values})
            sizes.append(given * _unit_of(constraint, problem, lengths))
    return max(sizes)


def _unit_of(constraint: Constraint, problem: Problem, lengths: tuple[float, ...]) -> float:
    """Return the length or time by which a flux or a rate becomes a value."""
    names = problem.names
    if constraint.kind == "rate":
        return lengths[names.coordinates.index(names.time)]
    if constraint.kind == "flux":
        return max(lengths[names.coordinates.index(axis)] for axis in names.space)
    return 1.0


def _from_sources(problem: Problem, unknown: str, lengths: tuple[float, ...], points: Mapping[str, np.ndarray]) -> float:
    values = {**points, **problem.parameter_values}
    sizes = [0.0]
    for form in problem.forms:
        stiffness = [
            _largest(term.coefficient, values)
            / float(np.prod([length**k for length, k in zip(lengths, term.index, strict=True)]))
            for term in form.terms
            if term.unknown == unknown
        ]
        if stiffness and max(stiffness) > 0:
            sizes.append(_largest(form.source, values) / max(stiffness))
    return max(sizes)
