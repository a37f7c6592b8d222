"""One coordinate's share of a tensor product: a space of functions, where it is joined and where it is collocated."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["AxisBasis"]


class AxisBasis(Protocol):
    """An m-dimensional space of functions of one coordinate on ``[low, high]``, in the units of the coordinate.

    Patched bases have joints: q rows that make neighbouring patches agree in value and derivatives. What is left,
    m − q, is shared between conditions at the two ends and collocation points of the equation, so that the system of
    one coordinate is square.
    """

    low: float
    high: float

    @property
    def size(self) -> int:
        """Dimension m."""

    @property
    def joints(self) -> Tensor:
        """Rows (q, m) whose products with the coefficients vanish; q may be zero."""

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        """Return the derivatives ``φ_j^(order)(x_i)`` of the basis, (N, m)."""

    def nodes(self, low: int, high: int) -> Tensor:
        """Return m − q − low − high points where the equation is collocated.

        Args:
            low: number of conditions at the low end.
            high: number of conditions at the high end.
        """
