"""Solutions as trigonometric polynomials, evaluated anywhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pdeml.problem import Problem
from pdeml.reference.fourier.modes import periods_of
from pdeml.reference.solved import Solved

__all__ = ["FourierSolved"]

CHUNK = 8_000_000
"""At most this many complex numbers in memory at once."""
EVEN = 1e-10
"""An axis counts as evenly spaced, and its step as a fraction of the period, up to this share of the period."""


class FourierSolved(Solved):
    """``u(t, x) = Re Σ_k c_k(t) exp(i k·(x - lower))``: the polynomial itself, so that no interpolation error is added.

    Attributes:
        array: (T, unknowns, 2 m_1 + 1, …, m_d + 1, 2), real and imaginary parts; frequencies in the order of `Modes`.
    """

    def __init__(
        self,
        problem: Problem,
        times: np.ndarray,
        array: np.ndarray,
        facts: Mapping[str, float | int | str] | None = None,
    ):
        self.problem, self.times, self.array = problem, np.asarray(times, dtype=np.float64), array
        self.facts = dict(facts or {})
        self._lower, self._period = periods_of(problem)

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        return self._by_name(self._sums(points, slice(None)))

    def evaluate(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate at points of space and time; only the stored times next to each point take part."""
        names = self.problem.names
        space = points[:, [names.coordinates.index(name) for name in names.space]]
        rows, weights = self._stencils(points[:, names.coordinates.index(names.time or "")])
        found = np.empty((1, len(names.real_unknowns), len(points)))
        for first in np.unique(rows[:, 0]):
            own = np.flatnonzero(rows[:, 0] == first)
            near = self._sums(space[own], slice(first, first + rows.shape[1]))
            found[0, :, own] = np.einsum("tun,nt->nu", near, weights[own])
        return {name: values[0] for name, values in self._by_name(found).items()}

    def on_axes(self, axes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self._coefficients()
        for axis, values in enumerate(axes.values()):
            found = self._along(found, np.asarray(values, dtype=np.float64), axis)
        return self._by_name(found.real)

    def _by_name(self, values: np.ndarray) -> dict[str, np.ndarray]:
        names = self.problem.names.real_unknowns
        return {name: np.ascontiguousarray(values[:, k]) for k, name in enumerate(names)}

    def _coefficients(self, rows: slice = slice(None)) -> np.ndarray:
        """Return complex coefficients, those along the last axis doubled for the conjugates that are not stored."""
        found = np.ascontiguousarray(self.array[rows]).view(np.complex128)[..., 0].copy()
        found[..., 1:] *= 2.0
        return found

    def _sums(self, points: np.ndarray, rows: slice) -> np.ndarray:
        """Return all unknowns at points of space and some of the stored times, (T, unknowns, N)."""
        coefficients = self._coefficients(rows)
        found = np.empty((*coefficients.shape[:2], len(points)))
        step = max(1, CHUNK * coefficients.shape[-1] // max(1, coefficients.size))
        for start in range(0, len(points), step):
            part = points[start : start + step]
            sums = coefficients @ self._waves(part[:, -1], len(self._period) - 1).T
            for axis in reversed(range(len(self._period) - 1)):
                sums = np.einsum("...kn,nk->...n", sums, self._waves(part[:, axis], axis))
            found[..., start : start + step] = sums.real
        return found

    def _frequencies(self, axis: int) -> np.ndarray:
        """Return the whole numbers that belong to the stored coefficients along an axis."""
        size = self.array.shape[2 + axis]
        return np.arange(size) if axis == len(self._period) - 1 else np.fft.fftfreq(size, 1 / size).round().astype(int)

    def _waves(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return ``exp(i k (x - lower))``, (N, K)."""
        phase = 2 * np.pi * (values - self._lower[axis]) / self._period[axis]
        return np.exp(1j * phase[:, None] * self._frequencies(axis))

    def _along(self, coefficients: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
        """Sum along one axis of coefficients (T, U, x_1, …, k_axis, …): by an FFT where the points are even."""
        moved = np.moveaxis(coefficients, 2 + axis, -1)
        count = self._divisions(values, axis)
        if count is None:
            found = moved @ self._waves(values, axis).T
        else:
            frequencies = self._frequencies(axis)
            start = self._waves(values[:1], axis)[0]
            folded = _folded(moved * start, frequencies, count)
            found = np.fft.ifft(folded, norm="forward")[..., np.arange(len(values)) % count]
        return np.moveaxis(found, -1, 2 + axis)

    def _divisions(self, values: np.ndarray, axis: int) -> int | None:
        """Return into how many steps of the axis the period is divided; None if it is not."""
        if len(values) < 2:
            return None
        period = self._period[axis]
        count = round(period / (values[1] - values[0])) if values[1] - values[0] > EVEN * period else 0
        even = values[0] + np.arange(len(values)) * (period / max(count, 1))
        return count if count > 0 and np.all(np.abs(values - even) <= EVEN * period) else None


def _folded(coefficients: np.ndarray, frequencies: np.ndarray, count: int) -> np.ndarray:
    """Add up coefficients (…, K) of frequencies equal modulo ``count``: on so many points they are the same wave."""
    order = np.argsort(frequencies)
    turns = -(-len(order) // count)
    padded = np.zeros((*coefficients.shape[:-1], turns * count), dtype=np.complex128)
    padded[..., : len(order)] = coefficients[..., order]
    summed = padded.reshape(*padded.shape[:-1], turns, count).sum(-2)
    return np.roll(summed, frequencies[order[0]], -1)
