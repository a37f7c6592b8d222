"""Weights of differences on arbitrarily spaced points, in NumPy alone: shared by fields and by losses of networks."""

from __future__ import annotations

import numpy as np

__all__ = ["WIDTH", "weights", "windows"]

WIDTH = 5
"""Points of a full window: its differences are fourth-order accurate, exact for quartic polynomials."""


def windows(size: int) -> list[tuple[int, int]]:
    """List (width, number of points to the left) of all windows along ``size`` points, the best first.

    The widest come first, of those the most centred: a point takes the first one that fits.
    """
    return [
        (width, left)
        for width in range(min(WIDTH, size), 1, -1)
        for left in sorted(range(width), key=lambda left: (abs(2 * left - width + 1), left))
    ]


def weights(points: np.ndarray, width: int, left: int) -> np.ndarray:
    """Return the weights (windows, width) of the first derivative at each window's node number ``left``.

    Args:
        points: (n,) distinct coordinates, equally spaced or not.
        width: points of a window; there are n - width + 1 windows.
        left: points of the window to the left of the one where the derivative is taken.

    Reference: Fornberg, Math. Comp. 51 (1988) 699, by Lagrange polynomials.
    """
    nodes = np.lib.stride_tricks.sliding_window_view(points, width)
    differences = nodes[:, :, None] - nodes[:, None, :]
    result = np.empty(nodes.shape)
    others = [number for number in range(width) if number != left]
    for number in others:
        rest = [other for other in others if other != number]
        result[:, number] = differences[:, left, rest].prod(1) / differences[:, number, [*rest, left]].prod(1)
    result[:, left] = (1 / differences[:, left, others]).sum(1)
    return result
