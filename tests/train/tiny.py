"""A small heat problem as a training task, and a trainable of one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

import pdeml as pm
from pdeml.lower import estimate_scales, statements
from pdeml.nn import MLP, NetworkAnsatz, exact_lift, features
from pdeml.optim import GaussNewton, Optimiser
from pdeml.train import Callback, CollocationTask, Event, Phase, Schedule, TrainState

HEAT = pm.Problem(
    coordinates={"x": (0, 1), "t": (0, 1)},
    time="t",
    unknowns="u",
    equations="u_t = 0.3*u_xx",
    conditions=[
        pm.Initial(u="sin(pi*x)"),
        pm.Dirichlet(u=0, on="boundary.left"),
        pm.Neumann(u="-pi*exp(-0.3*pi**2*t)", on="boundary.right"),
    ],
)


def heat_task(optimisers: Sequence[tuple[Optimiser, int]] = ((GaussNewton(), 12),), seed: int = 0, **schedule: Any):
    """A task of two statements (equation and flux), and its first state."""
    scales = estimate_scales(HEAT)
    lift = exact_lift(HEAT, scales.unknowns)
    seen = features(HEAT)
    ansatz = NetworkAnsatz(HEAT.names, MLP(len(seen), 1, 5, 1), seen, lift.base, lift.factor)
    stated = statements(HEAT, scales, lift.exact)
    every = schedule.pop("every", 3)
    phases = tuple(Phase(optimiser, steps, every) for optimiser, steps in optimisers)
    wanted = Schedule(**{"counts": (40, 8), **schedule})
    task = CollocationTask(stated, ansatz, phases, wanted, seed)
    return task, task.begin(ansatz.network.initial(torch.Generator().manual_seed(seed)))


@dataclass(frozen=True)
class Counting:
    """Counts in a tensor; its loss is given per step; finished after some steps."""

    losses: tuple[float, ...] = ()
    finish: int | None = None

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        loss = self.losses[state.step] if state.step < len(self.losses) else 1.0
        new = replace(state, step=state.step + 1, tensors={"z": state.tensors["z"] + 1})
        return new, {"loss": loss}, "counted enough" if new.step == self.finish else None

    def best(self, state: TrainState) -> TrainState:
        return replace(state, tensors={"z": -state.tensors["z"]})


class Recorder(Callback):
    """Remembers what it saw; asks to stop at a step."""

    def __init__(self, stop_at: int | None = None):
        self.steps: list[int] = []
        self.states: list[TrainState] = []
        self.ended, self.stop_at = 0, stop_at

    def on_step(self, event: Event) -> str | None:
        self.steps.append(event.state.step)
        self.states.append(event.state)
        return "enough seen" if event.state.step == self.stop_at else None

    def on_end(self, event: Event) -> None:
        self.ended += 1


def zero() -> TrainState:
    return TrainState(0, {"z": torch.zeros(1, dtype=torch.float64)})
