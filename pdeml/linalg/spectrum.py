"""Energy of gridded functions by wave number, averaged over directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.linalg.norms import Grid, hermitian, inside_of, only_inside, wave_numbers

__all__ = ["Spectrum"]


class Spectrum:
    """The energy spectrum E(k), by shells of the wave number: Σ E = mean of u² over the grid (Parseval).

    Along an axis that is not periodic functions are continued evenly (a cosine transform, DCT-II), so that its ends
    make no jump. Shell j holds |k - j Δ| <= Δ/2, where Δ is the largest of the basic wave numbers of the axes.

    Args:
        grid: with equally spaced axes.

    Raises:
        InputError: an axis is not equally spaced.

    Reference: Pope, Turbulent Flows (2000), section 6.5, without its factor ½.
    """

    def __init__(self, grid: Grid):
        if not grid.equally_spaced:
            raise InputError("a spectrum needs equally spaced coordinates")
        self.grid = grid
        torus = _continued(grid)
        numbers = torch.stack(torch.broadcast_tensors(*wave_numbers(torus))).square().sum(0).sqrt()
        basic = [2 * math.pi / period for period, own in zip(torus.periods, grid.points, strict=True) if len(own) > 1]
        step = max(basic, default=2 * math.pi)
        shells = (numbers / step).round().long()
        self._count = int(shells.max()) + 1
        self.wave_numbers: Tensor = torch.arange(self._count, dtype=torch.float64) * step
        """(K,) the wave number k of each shell, in radians per unit of the coordinates."""
        self._shells, self._weights = shells.flatten(), (hermitian(len(torus.points[-1])) + 0 * numbers).flatten()

    @property
    def resolved(self) -> int:
        """Number of shells that lie within the resolution along every axis; those beyond are corners."""
        steps = [float(own[1] - own[0]) for own in self.grid.points if len(own) > 1]
        top = math.pi / max(steps, default=1.0)
        return int((self.wave_numbers <= top * (1 + 1e-9)).sum())

    def __call__(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the energy in each shell.

        Args:
            values: (B, C, *n).
            mask: points that count (functions are zero at the others); see `squared_norm`.

        Returns: (B, C, K), in the square of the units of ``values``.
        """
        values = only_inside(values, inside_of(values, mask))
        dims = tuple(range(2, values.ndim))
        for dim, period in zip(dims, self.grid.periods, strict=True):
            values = torch.cat((values, values.flip(dim)), dim) if period is None else values
        modes = torch.view_as_real(torch.fft.rfftn(values, dim=dims, norm="forward")).square().sum(-1)
        energy = modes.flatten(2) * self._weights.to(modes)
        return modes.new_zeros(*energy.shape[:2], self._count).index_add_(2, self._shells.to(modes.device), energy)


def _continued(grid: Grid) -> Grid:
    """Return the torus on which functions are after their even continuation, with its coordinates from 0."""
    found: list[tuple[Tensor, float]] = []
    for own, period in zip(grid.points, grid.periods, strict=True):
        step = (own[-1] - own[0]) / (len(own) - 1) if len(own) > 1 else 1.0
        size = len(own) * (2 if period is None else 1)
        length = size * step if period is None else period
        found.append((torch.arange(size, dtype=torch.float64) * (length / size), length))
    return Grid(tuple(axis for axis, _ in found), tuple(length for _, length in found))
