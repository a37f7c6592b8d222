"""Input functions and numbers of a batch of samples, known on a grid: what equations of operators take from data.

Shapes: B (samples), n (points along each axis), N (scattered points), D (coordinates).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.expr import jet_symbol
from pdeml.lower.grid_derivatives import GridAxis, along, differentiated
from pdeml.lower.multi_index import Index
from pdeml.problem import Problem

__all__ = ["GivenFunctions", "input_jets"]

JUMP = 0.5
"""A step from one grid point to the next of more than this share of a function's range is a jump."""
SMOOTH = 6
"""Order of the interpolation of input functions between their grid points."""

InputJet = tuple[str, Index]


def input_jets(problem: Problem) -> tuple[InputJet, ...]:
    """Return the derivatives of input functions that occur in a problem's equations and conditions."""
    forms = (*problem.forms, *(constraint.form for constraint in problem.constraints))
    return tuple(sorted({jet for form in forms for jet in form.input_jets}))


@dataclass(frozen=True, eq=False)
class GivenFunctions:
    """Input functions and numbers of B samples.

    Args:
        coordinates: of the problem, in its order.
        jets: the derivatives of input functions that are asked for.
        axes: coordinate -> its axis.
        dims: name -> dimensions of its array, without the samples.
        values: name -> (B, *dims), in their own units.
    """

    coordinates: tuple[str, ...]
    jets: tuple[InputJet, ...]
    axes: Mapping[str, GridAxis]
    dims: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Tensor]

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the functions and numbers."""
        return frozenset(self.dims)

    def on_grid(self, name: str, index: Index, dims: Sequence[str]) -> Tensor:
        """Return a derivative (or a number) on a grid: (B, *n), with length 1 along dimensions it does not have.

        Args:
            name: of the function or number.
            index: order of differentiation along each of the problem's coordinates; empty for a number.
            dims: of the grid.
        """
        found = self._derivative(name, index)
        sizes = dict(zip(self.dims[name], found.shape[1:], strict=True))
        return found.reshape(len(found), *(sizes.get(dim, 1) for dim in dims))

    def at_points(self, name: str, index: Index, points_ND: np.ndarray) -> Tensor:
        """Return a derivative (or a number) at points, columns in the order of the coordinates: (B, N), or (B, 1)."""
        orders, values = self._orders(name, index), self.values[name]
        if values.ndim == 1:
            return values[:, None]
        matrices = [
            self.axes[dim].matrix_at(points_ND[:, self.coordinates.index(dim)], orders[dim], SMOOTH)
            for dim in self.dims[name]
        ]
        # One axis by a product, (B, ..., N); the others point by point.
        result = along(values, matrices[-1], -1)
        for matrix in reversed(matrices[:-1]):
            own = torch.as_tensor(matrix, dtype=result.dtype, device=result.device)
            result = (result * own.T).sum(-2)
        return result

    def at(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Return the values of every symbol at the grid points nearest to ``points`` (N, D), of one sample after the
        other: typical sizes follow from them; see `pdeml.lower.scales.Given`."""
        found = {}
        for name, index in (*((name, ()) for name in self.dims), *self.jets):
            values = self._derivative(name, index).double().cpu().numpy()
            places = [
                np.abs(points[:, self.coordinates.index(dim), None] - self.axes[dim].points).argmin(1)
                for dim in self.dims[name]
            ]
            symbol = jet_symbol(name, index).name if index else name
            found[symbol] = values[(np.arange(len(points)) % len(values), *places)]
        return found

    def refuse_jumps(self) -> None:
        """Refuse derivatives of functions that jump.

        Raises:
            InputError: a function whose derivative occurs jumps from one point of the grid to the next.
        """
        for name, index in self.jets:
            if sum(index) and self._jumps(name):
                raise InputError(
                    f"the equation contains a derivative of {name!r}, which jumps: at a jump it does not hold in this "
                    "form, and differences across it are as large as the grid is fine; train without the equation",
                    ("inputs", name),
                )

    def _jumps(self, name: str) -> bool:
        """Whether more than half of the samples jump."""
        values = self.values[name].detach().double().flatten(1)
        spread = values.amax(1) - values.amin(1)
        steps = [
            self.values[name].detach().double().diff(dim=place).abs().flatten(1).amax(1)
            for place in range(1, self.values[name].ndim)
        ]
        jumps = torch.stack(steps).amax(0) > JUMP * spread
        return bool((jumps & (spread > 0)).double().mean() > 0.5)

    def _derivative(self, name: str, index: Index) -> Tensor:
        orders = self._orders(name, index)
        if not any(orders.values()):
            return self.values[name]
        return differentiated(self.values[name], [self.axes[dim] for dim in self.dims[name]], orders)

    def _orders(self, name: str, index: Index) -> dict[str, int]:
        return dict(zip(self.coordinates, index, strict=False)) or dict.fromkeys(self.dims[name], 0)
