"""Steps in time: strong-stability-preserving Runge-Kutta with steps that each case chooses for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import DivergenceError
from pdeml.reference.volumes.scheme import Scheme

__all__ = ["March"]

ROUNDS = 4
"""How often the volumes that get the scheme of first order are extended before a step is given up."""
SAME = 1e-12
"""Times this near to each other, relative to the duration, are one."""
MOST_STEPS = 10_000_000


@dataclass(eq=False)
class March:
    """Marches a batch of cases, each with its own steps, so that no case depends on the others of its batch.

    The method is SSPRK(10,4): ten Euler steps of a sixth of the step, combined convexly to order 4. After each of
    them the states are checked; volumes that are no longer physical are done again with the scheme of first order,
    which keeps densities and pressures positive, and what is conserved stays so.

    Args:
        scheme: the space discretisation.
        cfl: how many volumes the fastest wave crosses in one step, at most.
        widest: longest step.
        duration: of the whole interval.

    Attributes:
        steps: how many steps each case took, (B,).
        repairs: how often volumes of each case were done again, (B,).
    Reference: Ketcheson, SIAM J. Sci. Comput. 30 (2008) 2113-2136; Clain, Diot & Loubère, J. Comput. Phys. 230
        (2011) 4028-4050 (checking afterwards).
    """

    scheme: Scheme
    cfl: float
    widest: float
    duration: float
    steps: Tensor | None = None
    repairs: Tensor | None = None

    def to(self, stop: float, state: Tensor, now: Tensor, tell: Callable[[float], None]) -> tuple[Tensor, Tensor]:
        """March all cases to the time ``stop``.

        Args:
            stop: the same for all.
            state: (C, B, …).
            now: their times, (B,).
            tell: told the time of the slowest case after each step.
        Returns: states and times.
        Raises:
            DivergenceError: a state became infinite or unphysical, or the waves so fast that the steps vanish.
        """
        if self.steps is None:
            self.steps, self.repairs = (torch.zeros_like(now, dtype=torch.int64) for _ in range(2))
        while bool((active := stop - now > SAME * self.duration).any()):
            limit = (self.cfl / self.scheme.frequency(state, now)).clamp(max=self.widest)
            self._check(limit, active, now)
            left = torch.where(active, stop - now, 0.0)
            count = torch.ceil(left / limit - 1e-9).clamp(min=1.0)
            after = self._step(state, now, left / count)
            state = torch.where(_like(active, state[0]), after, state)
            now = torch.where(active, torch.where(count <= 1.0, stop, now + left / count), now)
            self.steps += active
            tell(float(now.min()))
        return state, now

    def _check(self, limit: Tensor, active: Tensor, now: Tensor) -> None:
        if not bool(torch.isfinite(limit).all()):
            raise DivergenceError(f"the states became infinite at {float(now.min()):g}")
        if bool((active & (limit < self.duration / MOST_STEPS)).any()):
            raise DivergenceError(f"the waves became so fast at {float(now.min()):g} that the steps vanish")

    def _step(self, state: Tensor, now: Tensor, step: Tensor) -> Tensor:
        sixth = step / 6.0
        stage = state
        for k in range(5):
            stage = self._euler(stage, now + k * sixth, sixth)
        half = stage
        stage = 0.6 * state + 0.4 * stage
        for k in range(2, 6):
            stage = self._euler(stage, now + k * sixth, sixth)
        last = self._euler(stage, now + step, sixth, now + step)
        return self.scheme.fixed(0.04 * state + 0.36 * half + 0.6 * last, now + step)

    def _euler(self, state: Tensor, now: Tensor, step: Tensor, after: Tensor | None = None) -> Tensor:
        """Make one Euler step and bring the prescribed values to the time ``after``, by default its end."""
        after = now + step if after is None else after
        rough = None
        for _ in range(ROUNDS):
            result = state + _like(step, state[0]) * self.scheme.rate(state, now, rough)
            result = self.scheme.fixed(result, after)
            good = self.scheme.admissible(result, after)
            if bool(good.all()):
                return result
            self.repairs += (~good).flatten(1).sum(1)
            rough = ~good if rough is None else rough | ~good
        raise DivergenceError(f"the states are no longer physical at {float(now.min()):g}")


def initial_states(values: np.ndarray, scheme: Scheme, start: float, device: str) -> tuple[Tensor, Tensor]:
    """Return states (C, B, …) and times (B,) at the start."""
    state = torch.as_tensor(values, dtype=torch.float64, device=device)
    now = torch.full((state.shape[1],), start, dtype=torch.float64, device=device)
    return scheme.fixed(state, now), now


def _like(values: Tensor, batch: Tensor) -> Tensor:
    """Give (B,) the dimensions of (B, …)."""
    return values.reshape(-1, *(1 for _ in batch.shape[1:]))
