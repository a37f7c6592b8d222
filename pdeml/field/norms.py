"""Errors of gridded values: relative L2, maximum, relative full H1 norm; derivatives by fourth-order differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdeml.linalg.differences import weights, windows

__all__ = ["Error", "derivative", "error_norms"]


@dataclass(frozen=True)
class Error:
    """How far an unknown is from its reference, over the points inside the geometry.

    Attributes:
        relative_l2: root mean square of the error over that of the reference (of the error alone where the reference
            vanishes: then it is absolute). With a sample dimension: the mean over samples.
        max: the largest absolute error, in the unit of the unknown.
        h1: the same as ``relative_l2`` in the full H1 norm, sqrt(|e|^2 + sum of |de/dx|^2 over all coordinates, time
            included, in the units given). NaN at scattered points, where there are no differences to take.
    """

    relative_l2: float
    max: float
    h1: float

    def __str__(self) -> str:
        return f"relative L2 {self.relative_l2:.2e}, max {self.max:.2e}, H1 {self.h1:.2e}"


def error_norms(
    values: np.ndarray, reference: np.ndarray, inside: np.ndarray | None, axes: Sequence[tuple[int, np.ndarray]] | None
) -> Error:
    """Measure ``values - reference``.

    Args:
        values: array of any shape.
        reference: of the same shape.
        inside: of the same shape, True at points that count; None: all.
        axes: (axis, coordinate values) along which the H1 norm differentiates; None: there is no grid.

    Returns:
        the norms; all NaN if no point is inside.
    """
    inside = np.ones(values.shape, bool) if inside is None else inside
    if not inside.any():
        return Error(np.nan, np.nan, np.nan)
    error = np.where(inside, values - reference, 0.0)
    reference = np.where(inside, reference, 0.0)
    squares = [np.square(part[inside]).mean() for part in (error, reference)]
    result = Error(_ratio(*squares), float(np.abs(error).max()), np.nan)
    if axes is None:
        return result
    for axis, points in axes:
        for number, part in enumerate((error, reference)):
            squares[number] += np.square(derivative(part, points, axis, inside)[inside]).mean()
    return Error(result.relative_l2, result.max, _ratio(*squares))


def derivative(values: np.ndarray, points: np.ndarray, axis: int, inside: np.ndarray | None = None) -> np.ndarray:
    """Differentiate along one axis by five-point differences: fourth-order accurate, exact for quartic polynomials.

    Each point takes the most centred window of five neighbours that lies inside; where a run of inside points is
    shorter than five, the largest window that fits (order = points - 1). A point with no neighbour gets 0.

    Args:
        values: array of any shape.
        points: distinct coordinate values along ``axis``, equally spaced or not.
        axis: the axis to differentiate along.
        inside: True at points that may be used, of the shape of ``values``; None: all.

    Returns:
        the derivative in units of ``values`` per unit of ``points``; 0 at points outside.

    Reference: Fornberg, Math. Comp. 51 (1988) 699: weights on arbitrarily spaced points.
    """
    moved = np.moveaxis(values, axis, -1)
    good = np.ones(moved.shape, bool) if inside is None else np.moveaxis(inside, axis, -1)
    result = np.zeros(moved.shape)
    waiting = good.copy()
    for width, left in windows(len(points)):
        if not waiting.any():
            break
        _fill(result, waiting, moved, good, points, width, left)
    return np.moveaxis(result, -1, axis)


def _fill(
    result: np.ndarray,
    waiting: np.ndarray,
    values: np.ndarray,
    good: np.ndarray,
    points: np.ndarray,
    width: int,
    left: int,
) -> None:
    """Fill, and mark as done, the points whose window of ``width`` starting ``left`` to their left is inside."""
    count = len(points) - width + 1
    target = slice(left, left + count)
    usable = waiting[..., target].copy()
    total = np.zeros(usable.shape)
    factors = weights(points, width, left)
    for number in range(width):
        usable &= good[..., number : number + count]
        total += factors[:, number] * values[..., number : number + count]
    result[..., target] = np.where(usable, total, result[..., target])
    waiting[..., target] &= ~usable


def _ratio(error: float, reference: float) -> float:
    return float(np.sqrt(error / reference) if reference > 0 else np.sqrt(error))
