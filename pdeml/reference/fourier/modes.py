"""Trigonometric polynomials on a periodic grid: the wave numbers that are kept, transforms, derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pdeml.problem import Problem

__all__ = ["Modes", "multiplier", "periods_of"]


def periods_of(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower ends and the lengths of the space coordinates' intervals."""
    columns = [problem.names.coordinates.index(name) for name in problem.names.space]
    lower, upper = problem.domain.bounds[columns].T
    return lower, upper - lower


def multiplier(waves: Sequence[Tensor], index: Sequence[int]) -> Tensor:
    """Return ``Π (i k_j)^index_j`` for wave numbers that broadcast together; complex128."""
    product = torch.ones((), dtype=torch.complex128, device=waves[0].device)
    for wave, order in zip(waves, index, strict=True):
        product = product * (1j * wave) ** order if order else product
    return product.expand(torch.broadcast_shapes(*(wave.shape for wave in waves)))


class Modes:
    """Real trigonometric polynomials ``Σ c_k exp(i k·(x - lower))`` with ``|k_j| <= 2 pi m_j / period_j``.

    Coefficients have the shape ``(2 m_1 + 1, …, m_d + 1)``: along all axes but the last the frequencies are
    ``0 … m, -m … -1``, along the last ``0 … m`` (the others are their conjugates).

    Args:
        sizes: grid points along each axis, the end point left out.
        periods: length of each axis.
        truncate: keep ``3 m < n``, so that products of two polynomials are exact in the modes that are kept (Orszag
            1971); else ``2 m < n``: all but the highest frequency of an even grid, whose sign is not defined.
        device: of the tensors.
    """

    def __init__(self, sizes: Sequence[int], periods: Sequence[float], truncate: bool, device: str = "cpu"):
        self.sizes = tuple(sizes)
        self.degrees = tuple((n - 1) // (3 if truncate else 2) for n in sizes)
        self.device = torch.device(device)
        self.waves = [self._wave(axis, 2 * np.pi / period) for axis, period in enumerate(periods)]
        self.shape = (*(2 * m + 1 for m in self.degrees[:-1]), self.degrees[-1] + 1)
        self._padded: dict[tuple[int, ...], Tensor] = {}

    def _wave(self, axis: int, unit: float) -> Tensor:
        m, last = self.degrees[axis], len(self.sizes) - 1
        count = np.arange(m + 1) if axis == last else np.concatenate([np.arange(m + 1), np.arange(-m, 0)])
        shape = [-1 if k == axis else 1 for k in range(last + 1)]
        return torch.as_tensor(unit * count, dtype=torch.float64, device=self.device).reshape(shape)

    def forward(self, values: Tensor) -> Tensor:
        """Transform real values (…, n_1, …, n_d) on the grid to coefficients (…, *shape)."""
        found = torch.fft.rfft(values, norm="forward")[..., : self.shape[-1]]
        for axis, m in enumerate(self.degrees[:-1]):
            at = axis - len(self.sizes)
            found = torch.fft.fft(found, dim=at, norm="forward")
            size = found.shape[at]
            found = torch.cat([found.narrow(at, 0, m + 1), found.narrow(at, size - m, m)], at)
        return found

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the values on the grid; only columns of wave numbers that are kept are transformed."""
        found = coefficients
        for axis in range(len(self.sizes) - 1):
            at, m, size = axis - len(self.sizes), self.degrees[axis], self.sizes[axis]
            padded = self._buffer(axis, (*found.shape[:at], size, *found.shape[at + 1 :]))
            padded.narrow(at, 0, m + 1).copy_(found.narrow(at, 0, m + 1))
            padded.narrow(at, size - m, m).copy_(found.narrow(at, m + 1, m))
            found = torch.fft.ifft(padded, dim=at, norm="forward")
        padded = self._buffer(len(self.sizes) - 1, (*found.shape[:-1], self.sizes[-1] // 2 + 1))
        padded[..., : self.shape[-1]] = found
        return torch.fft.irfft(padded, n=self.sizes[-1], norm="forward")

    def _buffer(self, axis: int, shape: tuple[int, ...]) -> Tensor:
        """Return zeros to be filled along an axis, made once: the same entries are written each time."""
        key = (axis, *shape)
        if key not in self._padded:
            self._padded[key] = torch.zeros(shape, dtype=torch.complex128, device=self.device)
        return self._padded[key]

    def derivative(self, index: Sequence[int]) -> Tensor:
        """Return the factors, of shape ``shape``, that differentiate."""
        return multiplier(self.waves, index)
