"""The training loop: advance, look, tell the callbacks, stop for a stated reason."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from pdeml.errors import DivergenceError
from pdeml.train.distribution import World

__all__ = [
    "ENDED",
    "OPTIMISER",
    "Callback",
    "Event",
    "Limits",
    "Outcome",
    "TrainState",
    "Trainable",
    "prefixed",
    "train",
    "unprefixed",
]

ENDED = "ended"
"""The fact of a state after which nothing more is to be gained: why training ended there."""
OPTIMISER = "optimiser."
"""How the names of an optimiser's tensors begin within a state."""

_FIRST = "first_loss"
_GROWTH = 1e6  # a loss so many times the first one has diverged


@dataclass(frozen=True)
class TrainState:
    """Everything that training needs to go on: a checkpoint is exactly this.

    Args:
        step: steps done.
        tensors: parameters, optimiser state, points, ...
        facts: plain JSON values: counters, histories that decide when to stop.
    """

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)


def prefixed(tensors: Mapping[str, Tensor], prefix: str = OPTIMISER) -> dict[str, Tensor]:
    """Return tensors under names of their own within a state."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def unprefixed(tensors: Mapping[str, Tensor], prefix: str = OPTIMISER) -> dict[str, Tensor]:
    """Return those of the tensors that `prefixed` named, under their old names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


class Trainable(Protocol):
    """What is trained: a pure function from one state to the next."""

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Do one step. Returns the new state, metrics (``loss`` among them), and why it is finished, if it is."""

    def best(self, state: TrainState) -> TrainState:
        """Return the state to keep if training broke down after ``state``."""


@dataclass(frozen=True)
class Event:
    """What a callback sees after each step."""

    state: TrainState
    metrics: Mapping[str, float]
    steps: int
    seconds: float


class Callback:
    """Something that watches training; override what you need."""

    def on_step(self, event: Event) -> str | None:
        """Look at a step. A returned text stops the training for that reason."""
        return None

    def on_progress(self, share: float) -> str | None:
        """Look at the share of a long step that is done. A returned text asks to stop, as of `on_step`."""
        return None

    def on_end(self, event: Event) -> None:
        """Look at the last step, however training ended (unless it diverged)."""


@dataclass(frozen=True)
class Limits:
    """When to stop at the latest.

    Args:
        steps: number of steps in all, those of an earlier part of a resumed run included.
        max_seconds: wall time of this part of the run, or none. Stopping by time is not reproducible.
    """

    steps: int
    max_seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How training ended.

    Args:
        state: the last state (the best one if it broke down).
        reason: why it stopped, in words.
        finished: false if it was told to stop early (a callback, time) and could go on.
        diverged: the error that broke it, if one did.
    """

    state: TrainState
    reason: str
    finished: bool = True
    diverged: DivergenceError | None = None


def train(
    trainable: Trainable,
    state: TrainState,
    limits: Limits,
    callbacks: Sequence[Callback] = (),
    world: World | None = None,
) -> Outcome:
    """Advance until the trainable is finished, a limit is reached, or a callback asks to stop.

    Args:
        trainable: what advances the state.
        state: where to begin; a resumed run passes the state of its checkpoint.
        limits: the latest end.
        callbacks: called in order after every step.
        world: the processes that share the work: if one is told to stop, all do after the same step.

    Returns: the last state and the reason; if the loss became NaN, infinite, or a million times the first one, the
        best state and the error.
    """
    started = time.perf_counter()
    if ENDED in state.facts:
        return Outcome(state, state.facts[ENDED])
    if state.step >= limits.steps:
        return Outcome(state, f"all {limits.steps} steps done")
    while True:
        before = state
        state, metrics, reason = trainable.advance(state)
        first = before.facts.get(_FIRST, metrics["loss"])
        state = replace(state, facts={**state.facts, _FIRST: first})
        if not metrics["loss"] <= _GROWTH * first:  # NaN compares false
            message = f"the loss became {metrics['loss']:.3g} at step {state.step}; the best state so far is kept"
            return Outcome(trainable.best(before), message, diverged=DivergenceError(message))
        if reason is not None:
            state = replace(state, facts={**state.facts, ENDED: reason})
        seconds = time.perf_counter() - started
        event = Event(state, metrics, limits.steps, seconds)
        asked = [answer for callback in callbacks if (answer := callback.on_step(event)) is not None]
        outcome = _ended(state, reason, asked, limits, seconds)
        if world is not None and world.any(outcome is not None) and outcome is None:
            outcome = Outcome(state, "stopped by another process", finished=False)
        if outcome is not None:
            for callback in callbacks:
                callback.on_end(event)
            return outcome


def _ended(state: TrainState, reason: str | None, asked: list[str], limits: Limits, seconds: float) -> Outcome | None:
    """Return how training ended after this step, or none if it goes on."""
    if reason is not None:
        return Outcome(state, reason)
    if state.step >= limits.steps:
        return Outcome(state, f"all {limits.steps} steps done")
    if asked:
        return Outcome(state, asked[0], finished=False)
    if limits.max_seconds is not None and seconds >= limits.max_seconds:
        return Outcome(state, "stopped by time, not reproducible", finished=False)
    return None
