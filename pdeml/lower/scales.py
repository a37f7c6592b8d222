"""Sizes: of the coordinates, of the unknowns, and of each residual in the scaled equation.

A residual is divided by the size of its largest term when every unknown and coordinate has its typical size. That
depends on the problem only, never on the current residual, so that blocks of different units can be added; and it
changes with the units as the residual does, so that the defaults work whatever the units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import sympy

from pdeml.errors import ExpressionError, InputError
from pdeml.expr import NormalForm, almost_everywhere, diff, evaluate, jet_symbol, normal_symbol, slopes, to_jets
from pdeml.geometry import Region
from pdeml.problem import Constraint, Problem

__all__ = ["Given", "Scales", "coordinate_sizes", "estimate_scales", "residual_scale"]

_PROBES = 512
_ROUNDING = 1e-9  # of what the sources make of an unknown: smaller given values say nothing of its size
_SIDE_OFFSET = 0.381966  # an irrational shift: probes avoid the zeros that symmetric formulas have at round places
_MULTIPLES = (1.0, 1.3247, 0.7549, 0.3247, -0.5698, -1.3247)
"""Of the typical size: where a slope is singular (a logarithm, a root, a pole) the next one is taken."""

Probes = Mapping[str, np.ndarray | float]
"""Points of a region: coordinates, components of the normal and parameters by name, (N,) or numbers."""


class Given(Protocol):
    """What a problem leaves open, by example: input functions, and parameters that differ from sample to sample."""

    @property
    def names(self) -> frozenset[str]:
        """Of these input functions and parameters."""

    def at(self, points: np.ndarray) -> Probes:
        """Return typical values of their symbols (``nu``, ``a[1,0]``) at points (N, D): (N,) each."""


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
        """Return the typical size of ``∂^index unknown``; zero for an unknown without a size."""
        return self.unknowns.get(unknown, 0.0) / self.length(index)

    def length(self, index: tuple[int, ...]) -> float:
        """Return what a derivative divides by."""
        return float(np.prod([s**k for s, k in zip(self.coordinates, index, strict=True)]))


def coordinate_sizes(problem: Problem) -> tuple[float, ...]:
    """Return half the length of each coordinate's interval, or what the user gave."""
    return tuple(
        declared.scale if (declared := problem.coordinates[name]).scale is not None else 0.5 * float(high - low)
        for name, (low, high) in zip(problem.names.coordinates, problem.domain.bounds, strict=True)
    )


def estimate_scales(problem: Problem, given: Given | None = None) -> Scales:
    """Estimate the sizes from the intervals, the given values, the sources and the other unknowns.

    An unknown is as large as the largest value given for it in a condition; where these are zero or missing, as large
    as its equations' sources make it: ``max |source| / max_α (|c_α| / ℓ^α)`` over the linear terms, ℓ being the
    lengths over which the source varies; failing that, as large as balances the largest term of the other unknowns in
    its equations (a pressure, a flux).
    """
    lengths = coordinate_sizes(problem)
    empty, points = Scales(lengths, {}), _probes(problem, problem.domain.region("interior"), given)
    sizes = {
        name: _declared(problem, name)
        or _unless_rounding(_from_values(problem, name, lengths, given), _balanced(problem, name, empty, points))
        for name in problem.names.real_unknowns
    }
    known = {name: size for name, size in sizes.items() if size}
    while known and len(known) < len(sizes):
        scales = Scales(lengths, known)
        more = {name: _balanced(problem, name, scales, points) for name in sizes if name not in known}
        if not any(more.values()):
            break
        known |= {name: size for name, size in more.items() if size}
    largest = max(known.values(), default=1.0)
    return Scales(lengths, {name: known.get(name, largest) for name in sizes})


def residual_scale(
    form: NormalForm, problem: Problem, scales: Scales, region: Region, given: Given | None = None
) -> float:
    """Return the size of the largest term of a residual at typical sizes, on the region where it shall vanish.

    The term of each jet is ``|∂R/∂u_α| · size(u_α)`` with the other jets at their typical size.
    """
    points = _probes(problem, region, given)
    size = max(_largest(form.source, points), *_terms(form, scales, points).values())
    if not np.isfinite(size):
        raise InputError(f"a term of the equation is not finite on {region.name}: {form.residual} = 0")
    return size if size > 0 else 1.0


def _terms(form: NormalForm, scales: Scales, points: Probes) -> dict[tuple[str, tuple[int, ...]], float]:
    """Return the size of each term of the unknowns that have a size; infinite where it is not finite at the points."""
    typical = {jet_symbol(unknown, index).name: scales.of(unknown, index) for unknown, index in form.jets}
    found = {}
    sized = [jet for jet in form.jets if jet[0] in scales.unknowns]
    partials = slopes(form.residual, [jet_symbol(*jet) for jet in sized])
    for (unknown, index), slope in zip(sized, partials, strict=True):
        best = np.asarray(np.nan)
        for multiple in _MULTIPLES:
            jets = {name: multiple * size for name, size in typical.items()}
            here = np.abs(evaluate(slope, {**points, **jets}))
            best = np.where(np.isfinite(best), best, here)
            if np.isfinite(best).all():
                break
        found[unknown, index] = float(np.max(np.where(np.isfinite(best), best, np.inf))) * scales.of(unknown, index)
    return found


def _largest(expression: sympy.Expr, points: Probes) -> float:
    """Return the largest absolute value at the points, infinite if one is not finite."""
    values = np.abs(evaluate(almost_everywhere(expression), points))
    return float(np.max(np.where(np.isfinite(values), values, np.inf)))


def _probes(problem: Problem, region: Region, given: Given | None) -> Probes:
    """Return points of a rank-1 lattice over a region, with normals where it has them, parameters and inputs."""
    count = _PROBES
    x, normals = region.draw(_lattice(count, region.dimension))
    while len(x) == 0 and count < 2**18:  # a mask leaves little
        count *= 8
        x, normals = region.draw(_lattice(count, region.dimension))
    columns: dict[str, np.ndarray | float] = dict(problem.parameter_values)
    columns |= dict(zip(problem.names.coordinates, x.T, strict=True))
    if normals is not None:
        columns |= {normal_symbol(axis).name: n for axis, n in zip(problem.names.space, normals.T, strict=True)}
    return columns if given is None else {**columns, **given.at(x)}


def _lattice(count: int, dimension: int) -> np.ndarray:
    roots = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0]))
    steps = np.resize(roots, dimension)
    return (np.arange(count if dimension else 1)[:, None] * steps + _SIDE_OFFSET) % 1.0


def _declared(problem: Problem, unknown: str) -> float | None:
    """Return the size that the user gave; the parts of a complex unknown share it."""
    parts = {part: name for name, both in problem.names.complex_parts.items() for part in both}
    return problem.unknowns[parts.get(unknown, unknown)].scale


def _from_values(problem: Problem, unknown: str, lengths: tuple[float, ...], given: Given | None) -> float:
    sizes = [0.0]
    for constraint in problem.constraints:
        known = given is not None or not constraint.form.input_jets
        if known and constraint.unknown == unknown and constraint.value is not None:
            value = to_jets(constraint.value, problem.names)
            size = _largest(value, _probes(problem, constraint.region, given))
            sizes.append(size * _unit_of(constraint, problem, lengths))
    return max(size for size in sizes if np.isfinite(size))


def _unless_rounding(from_values: float, balanced: float) -> float:
    """Return the size by given values, or by sources where these values are rounding errors: sin(100*pi) at a wall."""
    return from_values if from_values > _ROUNDING * balanced else balanced


def _unit_of(constraint: Constraint, problem: Problem, lengths: tuple[float, ...]) -> float:
    """Return the length or time by which a flux or a rate becomes a value."""
    names = problem.names
    if constraint.kind == "rate":
        return lengths[names.coordinates.index(names.time)]
    if constraint.kind == "flux":
        planes = [part.plane for part in constraint.region.parts]
        axes = names.space if None in planes else [names.space[axis] for axis, _ in planes]
        return max(lengths[names.coordinates.index(axis)] for axis in axes)
    return 1.0


def _balanced(problem: Problem, unknown: str, scales: Scales, points: Probes) -> float:
    """Return the size that balances sources and unknowns of known size in the unknown's equations, or zero."""
    sizes = [0.0]
    for form in problem.forms:
        if any(jet_symbol(*jet).name not in points for jet in form.input_jets):
            continue  # nothing is known of its input functions
        own = [(_largest(t.coefficient, points), t.index) for t in form.terms if t.unknown == unknown]
        if any(size > 0 for size, _ in own):
            others = _terms(form, scales, points).values() if scales.unknowns else ()
            usual = max(size / scales.length(index) for size, index in own)
            finest = Scales(_lengths_in(form.source, problem, scales, points), {})
            within = max(size / finest.length(index) for size, index in own)
            sizes.append(max(_largest(form.source, points) / within, max(others, default=0.0) / usual))
    return max((size for size in sizes if np.isfinite(size)), default=0.0)


def _lengths_in(source: sympy.Expr, problem: Problem, scales: Scales, points: Probes) -> tuple[float, ...]:
    """Return over what length a source varies along each coordinate: ``√(max |f| / max |∂²f|)``, at most the usual."""
    size, found = _largest(source, points), []
    for name, usual in zip(problem.names.coordinates, scales.coordinates, strict=True):
        bend = _bend(source, problem.names.symbol(name), points)
        found.append(min(usual, float(np.sqrt(size / bend))) if min(bend, size) > 0 and np.isfinite(bend) else usual)
    return tuple(found)


def _bend(source: sympy.Expr, axis: sympy.Symbol, points: Probes) -> float:
    """Return the largest second derivative, infinite (which tells nothing) if it is too large a formula."""
    try:
        return _largest(diff(source, axis, 2), points)
    except ExpressionError:
        return math.inf
