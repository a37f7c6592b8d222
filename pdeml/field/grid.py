"""The order of dimensions, and the points of a tensor grid in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["canonical_dims", "grid_points", "sort_dims"]

CARTESIAN = ("z", "y", "x")


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
