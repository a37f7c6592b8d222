"""Piecewise polynomials on an interval, by the Chebyshev coefficients of one of their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import chebyshev
from scipy.sparse import coo_array

__all__ = ["Basis", "values_of"]


@dataclass(frozen=True)
class Basis:
    """Polynomials of degree below ``size`` on each of some equal pieces of an interval.

    The ``size`` numbers that stand for one polynomial are the Chebyshev coefficients of its derivative of order
    ``order``, before them those of ``T_0, …, T_{order-1}``, which integration leaves open. Values and lower derivatives
    follow by integration, which is bounded: the matrix of a boundary value problem of this order then has a condition
    number that does not grow with ``size``, where one of differentiation matrices grows like ``size^(2 order)``. The
    polynomials, and so the solution, are those of rectangular collocation.

    Args:
        order: of the derivative, less than ``size``.
        size: dimension of the polynomials on one piece.
        interval: its ends.
        pieces: their number; nothing joins them here.
    Reference: Greengard, SIAM J. Numer. Anal. 28 (1991) 1071-1080; Driscoll & Hale, IMA J. Numer. Anal. 36 (2016)
        108-132; Du, SIAM J. Sci. Comput. 38 (2016) A3284-A3306.
    """

    order: int
    size: int
    interval: tuple[float, float]
    pieces: int = 1

    @property
    def dimension(self) -> int:
        """How many numbers stand for a function."""
        return self.pieces * self.size

    @property
    def breaks(self) -> np.ndarray:
        """Ends of the pieces (pieces + 1,)."""
        return np.linspace(*self.interval, self.pieces + 1)

    @property
    def points(self) -> np.ndarray:
        """As many points (dimension,) as determine the polynomials well, the ends of each piece among them."""
        count = self.size
        return self._outer(-np.cos(np.arange(count) * np.pi / (count - 1)) if count > 1 else np.zeros(1))

    def inside(self, count: int) -> np.ndarray:
        """Return the zeros (pieces * count,) of the Chebyshev polynomial of degree ``count`` on each piece."""
        return self._outer(-np.cos((np.arange(count) + 0.5) * np.pi / count))

    def matrix(self, points: np.ndarray, derivative: int = 0) -> coo_array:
        """Return the matrix (len(points), dimension) that takes a derivative, of at most ``order``, at points."""
        piece = _piece(self.breaks, points)
        inner = _inner(points, self.breaks[piece], self.breaks[piece + 1])
        return self._placed(inner, piece, derivative)

    def jumps(self, derivative: int) -> coo_array:
        """Return the matrix (pieces - 1, dimension) that takes the jump of a derivative from each piece to the next."""
        before, ones = np.arange(self.pieces - 1), np.ones(self.pieces - 1)
        return (self._placed(-ones, before + 1, derivative) - self._placed(ones, before, derivative)).tocoo()

    def series(self, numbers: np.ndarray) -> np.ndarray:
        """Return the Chebyshev coefficients (B, pieces, size) of what numbers (dimension, B) stand for."""
        return np.einsum("ij,pjb->bpi", self._derivatives[0], numbers.reshape(self.pieces, self.size, -1))

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers (dimension, B) for given values (dimension, B) at `points`."""
        inner = Basis(self.order, self.size, (-1.0, 1.0)).points
        columns = values.reshape(self.pieces, self.size, -1).transpose(1, 0, 2).reshape(self.size, -1)
        series = np.linalg.solve(chebyshev.chebvander(inner, self.size - 1), columns)
        # The constants are taken last, so that the rounding errors of differentiation do not enter the values.
        highest = chebyshev.chebder(series, self.order) * self._scale**self.order
        free = (series - self._derivatives[0][:, self.order :] @ highest)[: self.order]
        found = np.concatenate([free, highest]).reshape(self.size, self.pieces, -1)
        return found.transpose(1, 0, 2).reshape(values.shape)

    @property
    def _scale(self) -> float:
        """Slope of the map from a piece to [-1, 1]."""
        return 2.0 * self.pieces / (self.interval[1] - self.interval[0])

    @cached_property
    def _derivatives(self) -> list[np.ndarray]:
        """Chebyshev coefficients of the derivatives of order 0 to ``order`` of every basis function, (size, size)."""
        free, rest = np.eye(self.order), np.eye(self.size - self.order)
        found = []
        for derivative in range(self.order + 1):
            left = chebyshev.chebder(free, derivative) if self.order else free
            right = chebyshev.chebint(rest, self.order - derivative)
            whole = np.zeros((self.size, self.size))
            if derivative < self.order:
                whole[: len(left), : self.order] = left * self._scale**derivative
            whole[: len(right), self.order :] = right * self._scale ** (derivative - self.order)
            found.append(whole)
        return found

    def _placed(self, inner: np.ndarray, piece: np.ndarray, derivative: int) -> coo_array:
        """Return the matrix that takes a derivative at places ``inner`` in [-1, 1] of the given pieces."""
        values = chebyshev.chebvander(inner, self.size - 1) @ self._derivatives[derivative]
        rows = np.repeat(np.arange(len(inner)), self.size)
        columns = (piece[:, None] * self.size + np.arange(self.size)).ravel()
        return coo_array((values.ravel(), (rows, columns)), shape=(len(inner), self.dimension))

    def _outer(self, inner: np.ndarray) -> np.ndarray:
        low, high = self.breaks[:-1, None], self.breaks[1:, None]
        return ((low * (1.0 - inner) + high * (1.0 + inner)) / 2.0).ravel()


def values_of(series: np.ndarray, breaks: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Evaluate piecewise polynomials.

    Args:
        series: Chebyshev coefficients (…, pieces, M).
        breaks: ends of the pieces (pieces + 1,), increasing.
        points: (N,).
    Returns: (…, N).
    """
    piece = _piece(breaks, points)
    result = np.empty((*series.shape[:-2], len(points)))
    for k in np.unique(piece):
        here = piece == k
        terms = chebyshev.chebvander(_inner(points[here], breaks[k], breaks[k + 1]), series.shape[-1] - 1)
        result[..., here] = series[..., k, :] @ terms.T
    return result


def _piece(breaks: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(breaks, points, side="right") - 1, 0, len(breaks) - 2)


def _inner(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return ((points - low) - (high - points)) / (high - low)
