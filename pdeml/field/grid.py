"""The order of dimensions, how many points a grid has, and the points of a tensor grid in that order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pdeml.errors import InputError, one_of
from pdeml.files import available_memory

if TYPE_CHECKING:
    from pdeml.problem import Problem

__all__ = ["canonical_dims", "grid_points", "grid_sizes", "sort_dims"]

CARTESIAN = ("z", "y", "x")
USUAL = {1: 101, 2: 101, 3: 33, 4: 17}  # number of coordinates -> points along each
MOST_POINTS = 1_000_000  # of a usual grid in more dimensions
ARRAYS = 6  # of the size of the grid that are alive at once, for each unknown


def canonical_dims(
    coordinates: Sequence[str], time: str | None = None, parameters: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the order of array dimensions in memory and in files: (parameter..., t, z, y, x).

    Args:
        coordinates: names in declared order, time included.
        time: the name of the time coordinate, if there is one.
        parameters: names of parameters that are dimensions.

    Returns:
        all names; space other than x, y, z comes in reverse declared order, so that the first one runs fastest.
    """
    space = [name for name in coordinates if name != time and name not in parameters]
    first = [*parameters, *([time] if time is not None else [])]
    return sort_dims((*first, *reversed(space)), time, parameters)


def sort_dims(dims: Sequence[str], time: str | None, parameters: Sequence[str]) -> tuple[str, ...]:
    """Sort dimensions to (sample, parameter..., t, space), space to (z, y, x) where it has only such names."""
    first = [name for name in ("sample", *parameters, time) if name in dims]
    space = [name for name in dims if name not in first]
    if set(space) <= set(CARTESIAN):
        space.sort(key=CARTESIAN.index)
    return (*first, *space)


def grid_points(axes: Mapping[str, np.ndarray], dims: Sequence[str]) -> np.ndarray:
    """Return the points of the tensor grid of ``axes``.

    Args:
        axes: name -> 1-D values; its order is the order of the columns.
        dims: the same names in the order of the array's dimensions; the last runs fastest.

    Returns:
        (N, D) points, so that a value per point reshapes to the array.
    """
    mesh = dict(zip(dims, np.meshgrid(*(axes[name] for name in dims), indexing="ij"), strict=True))
    return np.stack([mesh[name].ravel() for name in axes], axis=1)


def grid_sizes(problem: Problem, given: Mapping[str, int]) -> dict[str, int]:
    """Return the number of points along every coordinate of a problem.

    Args:
        problem: whose coordinates and unknowns the grid is for.
        given: coordinate -> points; those left out get 101 in one and two dimensions, 33 in three, 17 in four.

    Raises:
        InputError: a name is no coordinate, a number is not a whole one of at least 2, or the memory does not suffice.
    """
    names = problem.names.coordinates
    for name, size in given.items():
        if name not in names:
            raise InputError(one_of(name, names, "a coordinate"), (name,))
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 2:
            raise InputError(f"a grid needs at least 2 points along {name!r}, got {size!r}", (name,))
    usual = USUAL.get(len(names), max(2, int(MOST_POINTS ** (1 / len(names)))))
    sizes = {name: int(given.get(name, usual)) for name in names}
    needed = math.prod(sizes.values()) * 8 * (2 * len(names) + ARRAYS * len(problem.names.real_unknowns))
    if needed > available_memory():
        listed = " x ".join(str(size) for size in sizes.values())
        raise InputError(f"a grid of {listed} points needs about {needed / 2**30:.0f} GiB of memory; take fewer points")
    return sizes
