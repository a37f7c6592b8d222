"""Training several operators one after the other, from different seeds: a deep ensemble (or one operator alone).

Reference: Lakshminarayanan, Pritzel & Blundell, *Simple and scalable predictive uncertainty estimation using deep
ensembles* (2017), §2.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pdeml.errors import InputError
from pdeml.train.loop import TrainState, unprefixed
from pdeml.train.operator import OperatorTask

__all__ = ["EnsembleTask", "member_weights"]

_FINISHED, _BEST, _AVERAGE, _MODEL = "member.", "best.", "ema.", "model."
_FOREIGN = "the checkpoint does not belong to these data and these options"


@dataclass(frozen=True)
class EnsembleTask:
    """A `Trainable` that trains member after member. A finished member is kept as its weights ``member.K.*``.

    Args:
        make: number of a member -> its task.
        members: their number.
        facts: plain values that every state carries along (what is needed to rebuild the operator).
    """

    make: Callable[[int], OperatorTask]
    members: int
    facts: Mapping[str, Any]
    _tasks: dict[int, OperatorTask] = field(default_factory=dict, compare=False, repr=False)

    @property
    def steps(self) -> int:
        """Largest number of steps of all members; those that stop early do fewer."""
        task = next(iter(self._tasks.values()), None) or self.task(0)
        return self.members * task.steps

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how it is trained."""
        return next((task.notes for task in self._tasks.values()), ())

    def task(self, member: int) -> OperatorTask:
        """Return the task of a member; only the one at work is kept."""
        if member not in self._tasks:
            self._tasks.clear()
            self._tasks[member] = self.make(member)
        return self._tasks[member]

    def begin(self) -> TrainState:
        """Return the state before the first step."""
        return self._wrapped(TrainState(0, {}, {"member": 0, "begun": 0}), self.task(0).begin())

    def continued(self, state: TrainState) -> TrainState:
        """Load a saved state, to go on from it.

        Raises:
            InputError: it is of other operators; or some members have been trained to their end with fewer steps.
        """
        member = state.facts.get("member")
        if not isinstance(member, int) or not 0 <= member < self.members or "inner" not in state.facts:
            raise InputError(_FOREIGN)
        if member and state.facts.get("member_steps") != self.task(member).steps:
            raise InputError(
                "members that are trained to their end are not trained further: train the ensemble anew (--overwrite)",
                ("epochs",),
            )
        inner, tensors = self.task(member).continued(_inner(state)), state.tensors
        if inner.step < self.task(member).steps:  # trained to its end once, and now further
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(f"{_FINISHED}{member}.")}
        return self._wrapped(TrainState(state.step, tensors, state.facts), inner)

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Do one step of the member at work; the last step of a member sets the next one to work."""
        member = state.facts["member"]
        task = self.task(member)
        inner, metrics, reason = task.advance(_inner(state))
        if self.members > 1:
            metrics["member"] = member
        state = self._wrapped(state, inner)
        broken = not math.isfinite(metrics["loss"])  # that ends training: what is to be kept is this member's
        if broken or (reason is None and inner.step < task.steps):
            return state, metrics, None
        weights = {f"{_FINISHED}{member}.{name}": tensor.clone() for name, tensor in _chosen(inner.tensors).items()}
        state = TrainState(state.step, {**state.tensors, **weights}, state.facts)
        if member + 1 == self.members:
            return state, metrics, reason if state.step >= self.steps else reason or "all members are trained"
        facts = {**state.facts, "member": member + 1, "begun": state.step}
        begun = TrainState(state.step, _finished(state.tensors), facts)
        return self._wrapped(begun, self.task(member + 1).begin()), metrics, None

    def best(self, state: TrainState) -> TrainState:
        """Return the state with what is to be kept of the member at work; see `OperatorTask`."""
        return self._wrapped(state, self.task(state.facts["member"]).best(_inner(state)))

    def _wrapped(self, outer: TrainState, inner: TrainState) -> TrainState:
        """Return the state with a member at work in another state; its steps are counted."""
        facts = {**outer.facts, **self.facts, "inner": dict(inner.facts), "inner_step": inner.step}
        facts["member_steps"] = self.task(outer.facts["member"]).steps
        step = outer.facts["begun"] + inner.step
        return TrainState(step, {**_finished(outer.tensors), **inner.tensors}, facts)


def member_weights(state: TrainState) -> list[dict[str, Tensor]]:
    """Return the weights of every member that a state holds: finished ones, or what the one at work has so far."""
    found, number = [], 0
    while member := unprefixed(state.tensors, f"{_FINISHED}{number}."):
        found.append(member)
        number += 1
    return found or [_chosen(state.tensors)]


def _chosen(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights to use: the best on validation where such are kept, the average, or the last ones."""
    return unprefixed(tensors, _BEST) or {**unprefixed(tensors, _MODEL), **unprefixed(tensors, _AVERAGE)}


def _inner(state: TrainState) -> TrainState:
    """Return the state of the member at work."""
    tensors = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(_FINISHED)}
    return TrainState(state.facts["inner_step"], tensors, state.facts["inner"])


def _finished(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(_FINISHED)}
