"""What every optimiser of a residual system is: options, an initial state, and one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["Objective", "Optimiser", "State", "Step"]

State = Mapping[str, Tensor]
"""Everything an optimiser remembers between steps, as tensors, so that a checkpoint holds it exactly."""


class Objective(Protocol):
    """What is minimised: ½‖r(z)‖², with its gradient and, where small, the Jacobian of r."""

    def value(self, z: Tensor) -> Tensor:
        """Return ½‖r‖²."""

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return ½‖r‖² and its gradient."""

    def residual(self, z: Tensor) -> Tensor:
        """Return r, shape (R,)."""

    def linearise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return r and its Jacobian (R, P)."""


@dataclass(frozen=True)
class Step:
    """The outcome of one step.

    Args:
        z: the new iterate (the old one if nothing better was found).
        state: the optimiser's new state.
        value: ½‖r‖² at ``z``, or, where that would cost an evaluation more (Adam), at the iterate before.
        stopped: why no further step can help on this objective, or none.
    """

    z: Tensor
    state: State
    value: float
    stopped: str | None = None


class Optimiser(Protocol):
    """Options of a method; holds no state of its own."""

    def start(self, z: Tensor) -> State:
        """Return the state before the first step."""

    def restart(self, state: State) -> State:
        """Return the state for a changed objective (new points): what it learnt of the old one may not hold."""

    def step(self, objective: Objective, z: Tensor, state: State) -> Step:
        """Improve ``z`` once."""
