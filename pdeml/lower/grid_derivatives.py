"""Derivatives of functions known on a tensor grid: spectral along periodic axes, by differences along the others.

Every derivative is a product with one small matrix along each axis: from the values at n points to a derivative at
N points, the grid's own or others. On the axes of training data (some hundred points) that is as fast as a transform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml_kernels import grid
from pdeml_kernels.constants import kept

__all__ = ["ACCURACY", "GridAxis", "difference_matrix", "difference_stencil", "differentiated", "fourier_matrix"]

ACCURACY = 4
"""Order of the differences along axes that are not periodic."""
UNEVEN = 1e-3
"""Share of a step by which the points of a periodic axis may miss their places: single precision in a file."""


@dataclass(frozen=True, eq=False)
class GridAxis:
    """One axis of a tensor grid. It keeps the matrices it has made.

    Args:
        name: of the coordinate.
        points: (n,) strictly increasing, float64; a periodic axis leaves out its end point.
        period: in the unit of the coordinate; None where functions do not repeat.
        accuracy: order of the differences.

    Raises:
        InputError: the points do not increase, or those of a periodic axis are not equally spaced over the period.
    """

    name: str
    points: np.ndarray
    period: float | None = None
    accuracy: int = ACCURACY
    _kept: dict[tuple, np.ndarray | Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        steps = np.diff(self.points)
        if not np.all(steps > 0):
            raise InputError(f"the points along {self.name!r} must increase", ("coordinates", self.name))
        if self.period is None:
            return
        step = self.period / len(self.points)
        if not np.allclose(steps, step, rtol=0, atol=UNEVEN * step):
            raise InputError(
                f"along the periodic {self.name!r} {len(self.points)} points of period {self.period:g} have the step "
                f"{step:g}; these run from {self.points[0]:g} to {self.points[-1]:g}: is the end point, which repeats "
                "the first, among them?",
                ("coordinates", self.name),
            )

    def matrix(self, order: int) -> np.ndarray:
        """Return the matrix (n, n) of the derivative of the given order at the points themselves."""
        return self._once((order,), lambda: self.matrix_at(self.points, order))

    def tensor(self, order: int, like: Tensor) -> Tensor:
        """Return `matrix` with the type and on the device of ``like``."""
        return self._once((order, like.dtype, like.device), lambda: torch.from_numpy(self.matrix(order)).to(like))

    def column(self, like: Tensor) -> Tensor:
        """Return the points with the type and on the device of ``like``."""
        return self._once((like.dtype, like.device), lambda: torch.from_numpy(self.points).to(like))

    def matrix_at(self, at: np.ndarray, order: int, accuracy: int | None = None) -> np.ndarray:
        """Return the matrix (N, n) of the derivative at any points ``at`` (N,) between the ends.

        Args:
            at: where.
            order: of the derivative; 0 interpolates.
            accuracy: in place of the axis's own.

        Raises:
            InputError: the axis has too few points.
        """
        if self.period is not None:
            return fourier_matrix(self.points, self.period, at, order)
        return difference_matrix(self.points, at, order, self._width(order, accuracy))

    def stencil(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the differences that `matrix` holds along an axis that is not periodic; see `difference_stencil`.

        Raises:
            InputError: the axis has too few points.
        """
        return difference_stencil(self.points, self.points, order, self._width(order))

    def _width(self, order: int, accuracy: int | None = None) -> int:
        """Return how many points a stencil takes."""
        needed = order + (self.accuracy if accuracy is None else accuracy)
        if len(self.points) < needed:
            raise InputError(
                f"a derivative of order {order} along {self.name!r} needs at least {needed} points, there are "
                f"{len(self.points)}",
                ("coordinates", self.name),
            )
        return needed

    def _once(self, key: tuple, make: Callable[[], Any]) -> Any:
        return kept(self._kept, key, make)


def fourier_matrix(points: np.ndarray, period: float, at: np.ndarray, order: int) -> np.ndarray:
    """Return the matrix (N, n) from values at equally spaced points to a derivative of their Fourier interpolant.

    With an even number of points the highest wave is taken as the cosine that it is on the grid, so that its odd
    derivatives vanish there (Trefethen, *Spectral Methods in MATLAB* (2000), ch. 3).

    Args:
        points: (n,) over one period, without its end.
        period: in the unit of the points.
        at: (N,) where the derivative is wanted.
        order: of the derivative.
    """
    n = len(points)
    waves = np.arange(n // 2 + 1) * (2 * np.pi / period)
    counts = np.full(len(waves), 2.0)
    counts[0] = 1.0
    if n % 2 == 0:
        counts[-1] = 1.0
    # The points themselves are rounded, equal steps are not: phases at the grid's places are exact.
    turns = 2 * np.pi / n * (np.outer(np.arange(n), np.arange(len(waves))) % n)
    phases = np.outer(at - points[0], waves) + 0.5 * np.pi * order
    factors = counts * waves**order / n
    result = (np.cos(phases) * factors) @ np.cos(turns).T
    factors[counts == 1.0] = 0.0
    return result + (np.sin(phases) * factors) @ np.sin(turns).T


def difference_matrix(points: np.ndarray, at: np.ndarray, order: int, width: int) -> np.ndarray:
    """Return the matrix (N, n) of `difference_stencil`."""
    first, weights = difference_stencil(points, at, order, width)
    result = np.zeros((len(at), len(points)))
    np.put_along_axis(result, first[:, None] + np.arange(width), weights, axis=1)
    return result


def difference_stencil(points: np.ndarray, at: np.ndarray, order: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for a derivative of the polynomial through the ``width`` nearest points, the first of them and weights.

    It is exact for polynomials of degree ``width - 1``, on any distinct points, up to the ends.

    Args:
        points: (n,) increasing.
        at: (N,) where the derivative is wanted.
        order: of the derivative.
        width: points of a stencil, more than ``order``.

    Returns: numbers of the first points (N,), weights (N, width).
    """
    n = len(points)
    nearest = np.searchsorted(0.5 * (points[1:] + points[:-1]), at)
    # An even stencil takes its further point on the side on which the place lies.
    lean = (width % 2 == 0) & (at < points[nearest])
    first = np.clip(nearest - (width - 1) // 2 - lean, 0, n - width)
    columns = first[:, None] + np.arange(width)
    return first, _fornberg(points[columns] - at[:, None], order)


def _fornberg(nodes: np.ndarray, order: int) -> np.ndarray:
    """Return the weights (N, w) of a derivative at zero on nodes (N, w).

    Reference: Fornberg, Math. Comp. 51 (1988) 699, the recursion of §2.
    """
    count, width = nodes.shape
    weights = np.zeros((count, width, order + 1))
    weights[:, 0, 0] = 1.0
    before = np.ones(count)
    for i in range(1, width):
        product = np.ones(count)
        highest = min(i, order)
        for j in range(i):
            distance = nodes[:, i] - nodes[:, j]
            product = product * distance
            if j == i - 1:
                for k in range(highest, -1, -1):
                    lower = k * weights[:, j, k - 1] if k else 0.0
                    weights[:, i, k] = before * (lower - nodes[:, j] * weights[:, j, k]) / product
            for k in range(highest, -1, -1):
                lower = k * weights[:, j, k - 1] if k else 0.0
                weights[:, j, k] = (nodes[:, i] * weights[:, j, k] - lower) / distance
        before = product
    return weights[:, :, order]


def differentiated(values: Tensor, axes: Sequence[GridAxis], orders: Mapping[str, int]) -> Tensor:
    """Return a partial derivative on the grid itself, differentiable by autograd.

    Args:
        values: (..., *n), the last dimensions along ``axes``.
        axes: of the grid.
        orders: coordinate -> order of differentiation; an order along a coordinate that is no axis gives zero.
    """
    names = [axis.name for axis in axes]
    if any(order for name, order in orders.items() if name not in names):
        return torch.zeros_like(values)
    for place, axis in enumerate(axes):
        order = orders.get(axis.name, 0)
        if order:
            values = along(values, axis.tensor(order, full(values)), place - len(axes))
    return values


def full(values: Tensor) -> Tensor:
    """Return values in at least single precision."""
    return values.float() if values.element_size() < 4 else values


def along(values: Tensor, matrix: np.ndarray | Tensor, dim: int) -> Tensor:
    """Multiply by a matrix (N, n) along dimension ``dim`` of length n, in at least single precision."""
    values = full(values)
    return grid.along(values, torch.as_tensor(matrix, dtype=values.dtype, device=values.device), dim)
