"""Adam with a cosine schedule, as pure steps on a state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.optim.base import Objective, State, Step

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam:
    """First-order descent with per-parameter step sizes.

    Args:
        rate: step size at the start.
        horizon: number of steps over which the rate falls to ``final · rate`` along a cosine.
        final: ratio of the last rate to the first.
        beta1: decay of the mean gradient.
        beta2: decay of the mean squared gradient.
        epsilon: added to the root of the mean square.

    Reference: Kingma & Ba, *Adam* (2015), algorithm 1.
    """

    rate: float = 1e-3
    horizon: int = 20_000
    final: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def start(self, z: Tensor) -> State:
        """Return zero moments."""
        return {"count": torch.tensor(0), "mean": torch.zeros_like(z), "square": torch.zeros_like(z)}

    def restart(self, state: State) -> State:
        """Keep the moments: they average over points anyway."""
        return state

    def step(self, objective: Objective, z: Tensor, state: State) -> Step:
        """Take one step; the value returned is the one before it."""
        value, gradient = objective.gradient(z)
        count = int(state["count"]) + 1
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1 - self.beta2) * gradient.square()
        unbiased = mean / (1 - self.beta1**count)
        spread = (square / (1 - self.beta2**count)).sqrt() + self.epsilon
        new_state = {"count": torch.tensor(count), "mean": mean, "square": square}
        return Step(z - self._rate(count) * unbiased / spread, new_state, float(value))

    def _rate(self, count: int) -> float:
        progress = min(count / self.horizon, 1.0)
        return self.rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress)))
