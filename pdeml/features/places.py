"""Where rows are collocated: points of equations and conditions by cell, and the orders that cells must agree in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pdeml.features.cells import Cells
from pdeml.features.local import gauss_points
from pdeml.geometry import Region
from pdeml.problem import Problem
from pdeml.problem.counting import order_of
from pdeml.sampling import sample

__all__ = ["Place", "condition_places", "equation_points", "orders", "trace_size"]

_PER_TRACE = 2
"""Points of a condition or a face for each function that the features leave there."""
_CURVED = 3  # a curve that runs through a cell is counted as so many of its sides


@dataclass(frozen=True, eq=False)
class Place:
    """Points of a statement in one cell.

    Args:
        cell: its number.
        points: (N, D).
        normals: (N, d) or none.
    """

    cell: int
    points: np.ndarray
    normals: np.ndarray | None


def trace_size(size: int, dimension: int, lower: int) -> int:
    """Return how many functions a space of ``size`` functions in D dimensions leaves on a set of lower dimension.

    It is counted as for polynomials: ``C(p + lower, lower)`` with ``C(p + D, D) = size``.
    """
    degree = next(p for p in range(size + 1) if math.comb(p + 1 + dimension, dimension) > size)
    return math.comb(degree + 1 + lower, lower)


def face_points(size: int, dimension: int) -> int:
    """Return how many points of a face are collocated."""
    return _PER_TRACE * trace_size(size, dimension, dimension - 1) if dimension > 1 else 1


def condition_places(region: Region, cells: Cells, size: int, seed: tuple[int, ...]) -> Iterator[Place]:
    """Yield points of a condition, cell by cell: as many as its traces on the cells have functions, twice.

    Args:
        region: where it holds.
        cells: of the domain.
        size: functions of a cell.
        seed: of the points.
    """
    dimension = len(cells.counts)
    for number, part in enumerate(region.split()):
        own = 0 if part.is_point else min(part.dimension, dimension)
        count = 1
        if own:
            probes = sample(part, 256 * 4**own, "sobol", (*seed, number)).x
            touched = len(np.unique(cells.locate(probes)[0]))
            bent = _CURVED if own < dimension and part.parts[0].plane is None and dimension > 1 else 1
            count = _PER_TRACE * trace_size(size, dimension, own) * touched * bent
        drawn = sample(part, count, "sobol", (*seed, number))
        cell, _ = cells.locate(drawn.x)
        for k in np.unique(cell):
            rows = cell == k
            yield Place(int(k), drawn.x[rows], None if drawn.normals is None else drawn.normals[rows])


def equation_points(cells: Cells, cell: int | None, count: int, seed: int) -> np.ndarray:
    """Return places ξ in a cell where the equations are collocated: (N, D).

    Args:
        cells: of the domain.
        cell: its number; none for a whole cell, which gets a grid of Gauss points.
        count: about how many.
        seed: of the quasi-random points in other cells.
    """
    if cell is None:
        dimension = len(cells.counts)
        return gauss_points(dimension, math.ceil(count ** (1 / dimension) - 1e-9))[0].numpy()
    return cells.local(cell, cells.draw(cell, count, seed))


def orders(problem: Problem) -> np.ndarray:
    """Return the order of each unknown along each coordinate, (U, D): cells agree in the derivatives below it."""
    names = problem.names
    return np.array([[order_of(problem, u, axis) for axis in names.coordinates] for u in names.real_unknowns])
