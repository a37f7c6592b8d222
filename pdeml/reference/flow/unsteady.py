"""Flows in time: two-step backward differences, convection by the velocity extrapolated from the last two times.

``(a0 uⁿ⁺¹ + a1 uⁿ + a2 uⁿ⁻¹)/τ + (u*·∇)uⁿ⁺¹ + ½ (∇·u*) uⁿ⁺¹ - ν Δuⁿ⁺¹ + ∇pⁿ⁺¹ = f`` with ``u* = 2uⁿ - uⁿ⁻¹``: linear,
of second order, and stable for any step and viscosity, since convection written so does no work (Temam, Bull. Soc.
Math. France 96 (1968) 115-152). Each step is one sparse factorisation; without convection the matrix stays and so does
its factorisation. Reference: John, Finite Element Methods for Incompressible Flow Problems (2016), ch. 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pdeml.errors import DivergenceError
from pdeml.reference.flow.model import Model
from pdeml.reference.flow.saddle import Saddle
from pdeml.reference.method import substeps

__all__ = ["solve_unsteady"]

LEVELS = 2
"""So many times in the past take part in a step: the order of the method."""


def solve_unsteady(
    model: Model, interval: tuple[float, float], steps: int, times: np.ndarray, progress: Callable[[float], None]
) -> tuple[np.ndarray, np.ndarray, dict[str, float | int]]:
    """Return velocities (T, 2, N), pressures (T, M) at the given times, and facts: steps, the divergence that is left.

    Raises:
        DivergenceError: the flow became infinite.
    """
    march = _March(model, interval[0])
    duration = interval[1] - interval[0]
    velocities, pressures = [], []
    for width, count in substeps(times, *interval, steps):
        if not count:
            march.find_pressure(duration / steps)
        for _ in range(count):
            march.step(width)
            progress((march.time - interval[0]) / duration)
        velocities.append(model.boundary.shown(march.velocity, march.time))
        pressures.append(model.boundary.shift(march.pressure, march.time))
    return (
        np.stack(velocities),
        np.stack(pressures),
        {"steps": march.steps, "divergence": model.divergence(march.velocity)},
    )


class _March:
    """A flow that advances in time."""

    def __init__(self, model: Model, start: float):
        initial, given = model.initial(start), model.boundary.velocity(start)
        self._model = model
        self._friction = model.friction(float(max(np.abs(initial).max(), np.abs(given).max())))
        self._past = [(start, initial)]
        self._factored: tuple[float, Saddle] | None = None
        self.pressure = np.zeros(model.space.divergence.shape[0])
        self.steps = 0

    @property
    def time(self) -> float:
        """The time that has been reached."""
        return self._past[0][0]

    @property
    def velocity(self) -> np.ndarray:
        """The velocity (2, N) at this time."""
        return self._past[0][1]

    def step(self, width: float) -> None:
        """Advance by ``width``."""
        model, time = self._model, self.time + width
        past = [then for then, _ in self._past]
        rates, ahead = _weights([time, *past], time, 1), _weights(past, time, 0)
        history = -sum(rate * velocity for rate, (_, velocity) in zip(rates[1:], self._past, strict=True))
        carried = sum(weight * velocity for weight, (_, velocity) in zip(ahead, self._past, strict=True))
        right = model.load(time) + model.inertia * (model.mass @ history.ravel()).reshape(2, -1)
        found, self.pressure = self._saddle(rates[0], carried).solve(right, model.boundary.velocity(time))
        if not np.isfinite(found).all():
            raise DivergenceError(f"the flow became infinite at time {time:.4g}; take more steps, or a finer grid")
        self._past = [(time, found), *self._past[: LEVELS - 1]]
        self.steps += 1

    def find_pressure(self, width: float) -> None:
        """Set the pressure to that of the present velocity: the one that keeps its rate without divergence."""
        model = self._model
        given, later = model.boundary.velocity(self.time), model.boundary.velocity(self.time + width)
        right = model.load(self.time) - model.convection * model.space.convection(self.velocity)
        right = right - (self._friction @ self.velocity.ravel()).reshape(2, -1)
        self.pressure = model.factorised(model.inertia * model.mass).solve(right, (later - given) / width)[1]

    def _saddle(self, rate: float, carried: np.ndarray) -> Saddle:
        model = self._model
        if self._factored is not None and np.isclose(self._factored[0], rate, rtol=1e-9, atol=0.0):
            return self._factored[1]
        matrix = model.inertia * rate * model.mass + self._friction
        if model.convection:
            matrix = matrix + model.transport(carried) + model.convection * model.space.dilation(carried)
        saddle = model.factorised(matrix)
        self._factored = None if model.convection else (rate, saddle)
        return saddle


def _weights(times: Sequence[float], at: float, derivative: int) -> np.ndarray:
    """Return the weights of values at ``times`` in the value or first derivative, at a time, of their interpolation."""
    length = abs(times[0] - times[-1]) or 1.0
    powers = np.vander((np.asarray(times) - at) / length, increasing=True).T
    wanted = np.zeros(len(times))
    wanted[derivative] = length**-derivative
    return np.linalg.solve(powers, wanted)
