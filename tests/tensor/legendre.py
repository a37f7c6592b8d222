"""Piecewise Legendre polynomials as an axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor


@dataclass(frozen=True)
class LegendreAxis:
    """Polynomials of degree below ``degree`` on each of some equal pieces, joined in ``order`` derivatives."""

    low: float
    high: float
    pieces: int
    degree: int
    order: int

    @property
    def size(self) -> int:
        return self.pieces * self.degree

    @property
    def joints(self) -> Tensor:
        rows = np.zeros((self.pieces - 1, self.order, self.pieces, self.degree))
        for p in range(self.order):
            for k in range(self.pieces - 1):
                rows[k, p, k] = self._local(np.array([1.0]), p)[0]
                rows[k, p, k + 1] = -self._local(np.array([-1.0]), p)[0]
        return torch.from_numpy(rows.reshape(-1, self.size))

    def matrix(self, x_N: Tensor, order: int) -> Tensor:
        x, edges = x_N.numpy(), np.linspace(self.low, self.high, self.pieces + 1)
        piece = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, self.pieces - 1)
        rows = np.zeros((len(x), self.pieces, self.degree))
        rows[np.arange(len(x)), piece] = self._local((x - edges[piece]) * 2.0 * self._scale - 1.0, order)
        return torch.from_numpy(rows.reshape(len(x), self.size))

    def nodes(self, low: int, high: int) -> Tensor:
        total = self.size - self.order * (self.pieces - 1) - low - high
        each, more = divmod(total, self.pieces)
        found = []
        for k in range(self.pieces):
            inner = legendre.leggauss(each + (k < more))[0] if each + (k < more) else np.zeros(0)
            found.append(self.low + (k + 0.5 * (inner + 1.0)) / self._scale)
        return torch.from_numpy(np.concatenate(found))

    @property
    def _scale(self) -> float:
        return self.pieces / (self.high - self.low)

    def _local(self, inner: np.ndarray, order: int) -> np.ndarray:
        series = legendre.legder(np.eye(self.degree), order, axis=0) if order else np.eye(self.degree)
        return legendre.legval(inner, series).reshape(self.degree, -1).T * (2.0 * self._scale) ** order
