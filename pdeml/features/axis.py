"""One coordinate cut into patches, each with the same random features: the axes of tensor products of features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.features.local import LocalSpace, gauss_points

__all__ = ["PatchedAxis"]


@dataclass(frozen=True, eq=False)
class PatchedAxis:
    """Functions of one coordinate that are combinations of `LocalSpace` on each of P equal patches.

    An `AxisBasis` of size ``m = P · space.size``: for an equation of order s along the coordinate, the joints make
    neighbouring patches agree in the derivatives 0 … s − 1, and the equation is collocated at the Gauss points of the
    patches, as in Gauss collocation for boundary value problems (de Boor and Swartz 1973).

    Args:
        low, high: ends of the interval, in the units of the coordinate.
        patches: P.
        order: s, of the equation along this coordinate.
        space: the functions on [−1, 1]; all patches have the same, so that they are made once.

    Raises:
        InputError: no patch, an empty interval, or fewer functions than joints.
    """

    low: float
    high: float
    patches: int
    order: int
    space: LocalSpace

    def __post_init__(self) -> None:
        if self.patches < 1:
            raise InputError(f"a coordinate needs at least one patch, got {self.patches}", ("patches",))
        if not self.low < self.high:
            raise InputError(f"the interval of a coordinate must not be empty, got {(self.low, self.high)}")
        if self.space.size <= self.order:
            raise InputError(
                f"{self.space.size} functions a patch cannot meet an equation of order {self.order}; take more features"
            )

    @property
    def size(self) -> int:
        """Dimension m."""
        return self.patches * self.space.size

    @property
    def half_width(self) -> float:
        """Half the width of a patch."""
        return 0.5 * (self.high - self.low) / self.patches

    @cached_property
    def joints(self) -> Tensor:
        """Rows (s (P − 1), m): the jumps of the derivatives 0 … s − 1, each with entries of size one at most."""
        own = self.space.size
        ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64, device=self.space.weights.device)
        rows = ends.new_zeros(self.patches - 1, self.order, self.patches, own)
        for p in range(self.order):
            first, last = self.space.values(ends, (p,))
            largest = torch.maximum(first.abs().max(), last.abs().max())
            for k in range(self.patches - 1):
                rows[k, p, k], rows[k, p, k + 1] = last / largest, -first / largest
        return rows.reshape(-1, self.size)

    def local(self, x_N: Tensor, order: int = 0) -> tuple[Tensor, Tensor]:
        """Return the patch of each point, (N,), and the derivatives of that patch's functions, (N, m / P).

        A point on the edge of two patches belongs to the upper one.
        """
        edges = torch.linspace(self.low, self.high, self.patches + 1, dtype=x_N.dtype, device=x_N.device)
        patch = torch.bucketize(x_N, edges[1:-1], right=True)
        places = (x_N - 0.5 * (edges[patch] + edges[patch + 1])) / self.half_width
        return patch, self.space.values(places[:, None], (order,)) / self.half_width**order

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        """Return the derivatives ``φ_j^(order)(x_i)`` of the basis, (N, m)."""
        patch, values = self.local(x_N, order)
        rows = values.new_zeros(len(x_N), self.patches, self.space.size)
        rows[torch.arange(len(x_N), device=x_N.device), patch] = values
        return rows.reshape(len(x_N), self.size)

    def nodes(self, low: int, high: int) -> Tensor:
        """Return m − s (P − 1) − low − high points, ascending: the Gauss points of each patch.

        With s conditions in all each patch has its m / P − s; what is over or missing is spread over the patches.

        Raises:
            InputError: there are more conditions than functions.
        """
        total = self.size - self.order * (self.patches - 1) - low - high
        if total < 0:
            raise InputError(f"{low + high} conditions are more than the functions left, {total + low + high}")
        each, more = divmod(total, self.patches)
        spread = {(2 * k + 1) * self.patches // (2 * more) for k in range(more)}
        found = []
        for k in range(self.patches):
            count = each + (k in spread)
            if count:
                centre = self.low + (2 * k + 1) * self.half_width
                found.append(centre + self.half_width * gauss_points(1, count)[0][:, 0])
        device = self.space.weights.device
        return torch.cat(found).to(device) if found else torch.zeros(0, dtype=torch.float64, device=device)
