"""Comparing with a reference: on fields, and on points held out while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pdeml.errors import InputError
from pdeml.field import Error, Field, grid_points
from pdeml.problem import Problem
from pdeml.reference import Reference
from pdeml.sampling import sample

__all__ = ["HeldOut", "errors_of", "field_points", "floor_of", "held_out", "with_reference"]

_COUNT = 2048
_STREAM = 2
"""Of the seeds: training draws from streams 0 and 1."""


@dataclass(frozen=True)
class HeldOut:
    """Trusted values at points that are never trained on.

    Args:
        points: (N, D).
        values: unknown -> (N,).
    """

    points: np.ndarray
    values: Mapping[str, np.ndarray]

    def error(self, found: Mapping[str, np.ndarray]) -> float:
        """Return the largest relative L2 error among the unknowns (absolute where the reference vanishes)."""
        return max(_relative(found[name] - values, values) for name, values in self.values.items())


def held_out(problem: Problem, reference: Reference, seed: int) -> HeldOut:
    """Evaluate the reference at points of its own if it has such; else at scrambled Sobol points, and at a few of the
    ends so that it covers the domain.

    Raises:
        InputError: the reference cannot be evaluated in the domain, or is nowhere finite.
    """
    points = reference.known_points(_COUNT, np.random.default_rng((seed, _STREAM)))
    if points is not None:
        points = points[problem.domain.contains(points)]
    if points is None or not len(points):
        names = problem.names.coordinates
        ends = dict(zip(names, (np.linspace(low, high, 3) for low, high in problem.domain.bounds), strict=True))
        few = grid_points(ends, names)[:4096]
        reference.evaluate(few[problem.domain.contains(few)])
        points = sample(problem.domain.region("interior"), _COUNT, "sobol", (seed, _STREAM)).x
    values = reference.evaluate(points)
    good = np.logical_and.reduce([np.isfinite(part) for part in values.values()])
    if not good.any():
        raise InputError("has no finite value in the domain")
    return HeldOut(points[good], {name: part[good] for name, part in values.items()})


def field_points(field: Field, names: tuple[str, ...]) -> np.ndarray:
    """Return the points of a field, (N, D), columns in the order of ``names``."""
    if field.is_scattered:
        return np.stack([field.coordinates[name] for name in names], axis=1)
    return grid_points({name: field.coordinates[name] for name in names}, field.dims)


def with_reference(field: Field, problem: Problem, reference: Reference) -> Field:
    """Return the field with the reference's values beside its own; NaN outside the geometry."""
    points, inside = _points_inside(field, problem)
    arrays = {}
    for name, values in reference.evaluate(points[inside]).items():
        whole = np.full(len(points), np.nan)
        whole[inside] = values
        arrays[name] = whole.reshape(field.shape)
    return replace(field, reference=arrays)


def floor_of(field: Field, problem: Problem, reference: Reference) -> float:
    """Return the relative L2 error of the reference itself at the points of the field."""
    points, inside = _points_inside(field, problem)
    return reference.floor_at(points[inside])


def errors_of(field: Field) -> dict[str, Error]:
    """Measure a field against the reference it carries, where that is finite."""
    known = np.logical_and.reduce([np.isfinite(part) for part in field.reference.values()])
    if field.mask is None and known.all():
        return field.error()
    mask = known if field.mask is None else known & field.mask
    return field.error(replace(field, values=field.reference, std={}, reference={}, units={}, mask=mask))


def _points_inside(field: Field, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    points = field_points(field, problem.names.coordinates)
    return points, np.ones(len(points), bool) if field.mask is None else field.mask.ravel()


def _relative(error: np.ndarray, reference: np.ndarray) -> float:
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(error)) / size if size > 0 else float(np.sqrt(np.mean(error**2)))
