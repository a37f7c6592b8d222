"""Training a residual system on resampled points: what turns statements, an ansatz and an optimiser into steps.

Points are drawn anew every few steps from fresh candidates. Before they are trained on, the candidates measure the
residual honestly. Where it is flat, or far above the residual on the points trained on, the number of points is
doubled, as often as the schedule allows; where it stays flat then, training is finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.lower import Ansatz, Block, ResidualSystem, Statement, make_block
from pdeml.optim import Optimiser
from pdeml.sampling import Points, adapt, rad_density, sample
from pdeml.train.distribution import World
from pdeml.train.loop import OPTIMISER, TrainState, prefixed, unprefixed
from pdeml_kernels.dispatch import KernelChoice

__all__ = ["CollocationTask", "Phase", "Schedule"]

_CANDIDATES = 4
_FLAT_OVER = (2, 3)  # draws without gain before the points are doubled, and before training is finished
_FLAT_RATIO = 0.8
_OVERFIT_RATIO = 2.0  # of the residual on fresh points to that on trained ones, beyond which points are doubled
_CHECK_STREAM, _TRAIN_STREAM = 1, 0


@dataclass(frozen=True)
class Schedule:
    """How points are drawn and when training is finished.

    Args:
        counts: number of points of each statement.
        sampler: way of sampling; see `pdeml.sampling.sample`. Fresh points that measure are never a grid: a grid is
            the same in every draw.
        adaptive: draw interior points where the residual is large, with importance weights.
        levels: how often the number of points may be doubled: when the residual on fresh points is flat, or far
            above that on the points trained on.
        tolerance: finished when each statement's scaled residual on fresh points is below, or none.
        flat_stop: whether a flat residual on fresh points ends training.
    """

    counts: tuple[int, ...]
    sampler: str = "sobol"
    adaptive: bool = True
    levels: int = 2
    tolerance: float | None = None
    flat_stop: bool = True


@dataclass(frozen=True)
class Phase:
    """An optimiser, for how many steps, and how many steps lie between draws of points."""

    optimiser: Optimiser
    steps: int
    every: int


@dataclass(frozen=True)
class CollocationTask:
    """A `Trainable` whose state holds z, the optimiser's state and the points.

    Args:
        statements: what must vanish.
        ansatz: the family of functions.
        phases: optimisers, used one after the other.
        schedule: points and stopping.
        seed: of all draws.
        dtype: of all tensors.
        device: where they live.
        monitor: error of an iterate against a reference, or none; it decides nothing.
        world: the processes that share the rows; only first-order optimisers can do that.
        kernels: what computes residuals from jets; see `pdeml_kernels.dispatch.wanted`.
    """

    statements: tuple[Statement, ...]
    ansatz: Ansatz
    phases: tuple[Phase, ...]
    schedule: Schedule
    seed: int
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    monitor: Callable[[Tensor], float] | None = None
    world: World = field(default_factory=World)
    kernels: KernelChoice = "torch"
    _systems: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def steps(self) -> int:
        """Number of steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def begin(self, z: Tensor) -> TrainState:
        """Return the state before the first step, on its first points."""
        facts = {"round": -1, "level": 0, "level_since": 0, "next_draw": 0, "fresh": [], "stalled": 0}
        state = TrainState(0, {"z": z, "best": z, **prefixed(self._phase(0)[0].optimiser.start(z))}, facts)
        return self._draw(state)[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of points of each statement in the first draw."""
        return tuple(_count(s, wanted) for s, wanted in zip(self.statements, self.schedule.counts, strict=True))

    def continued(self, state: TrainState) -> TrainState:
        """Return a saved state to go on from; an optimiser that was not at work then (other steps) starts anew."""
        own = self._phase(state.step)[0].optimiser.start(state.tensors["z"])
        if own.keys() == unprefixed(state.tensors).keys():
            return state
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(OPTIMISER)}
        return replace(state, tensors={**kept, **prefixed(own)})

    def best(self, state: TrainState) -> TrainState:
        """Return the state with the parameters that had the smallest residual on fresh points."""
        return replace(state, tensors={**state.tensors, "z": state.tensors["best"]})

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Take one step of the optimiser; then draw points if it is time, and see whether training is finished."""
        phase, first = self._phase(state.step)
        z = state.tensors["z"]
        own = phase.optimiser.start(z) if first and state.step else unprefixed(state.tensors)
        done = phase.optimiser.step(self._system(state), z, own)
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(OPTIMISER)}
        facts = {**state.facts, "loss": (2 * done.value) ** 0.5}
        if done.stopped is not None:
            facts |= {"next_draw": state.step + 1, "stalled": facts["stalled"] + 1}
        new = TrainState(state.step + 1, {**kept, "z": done.z, **prefixed(done.state)}, facts)
        if facts["stalled"] >= _FLAT_OVER[1]:
            return new, {"loss": facts["loss"]}, f"{done.stopped} (on three draws of points)"
        if new.step < facts["next_draw"] or not math.isfinite(facts["loss"]):
            return new, {"loss": facts["loss"]}, None
        new, metrics, reason = self._draw(new)
        return new, {"loss": facts["loss"], **metrics}, reason

    @property
    def blocks(self) -> Sequence[Block]:
        """The rows of the last step, of this process; none before the first step."""
        system = self._systems.get("system")
        if system is None:
            return ()
        return (system.own if isinstance(system, SharedSystem) else system).blocks

    def system(self, state: TrainState) -> ResidualSystem:
        """Return the residual system on the points of the state."""
        return self._on_points(state)

    def fresh_norms(self, z: Tensor, count: int = 4096) -> dict[str, float]:
        """Return each statement's root mean square residual, scaled, on points of a stream never trained on."""
        points = [
            sample(s.region, _count(s, count), self._measuring, (self.seed, _CHECK_STREAM, k))
            for k, s in enumerate(self.statements)
        ]
        return ResidualSystem(tuple(self._blocks(points)), self.ansatz.parameter_count).norms(z)

    @property
    def _measuring(self) -> str:
        """The sampler of points that measure: fresh in every draw."""
        return "sobol" if self.schedule.sampler == "grid" else self.schedule.sampler

    def _phase(self, step: int) -> tuple[Phase, bool]:
        """Return the phase of a step and whether the step is its first."""
        start = 0
        for phase in self.phases:
            if step < start + phase.steps:
                return phase, step == start
            start += phase.steps
        return self.phases[-1], False

    def _draw(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Draw new points; measure the residual on the candidates before any of them is trained on."""
        facts, z = dict(state.facts), state.tensors["z"]
        facts["round"] += 1
        candidates, system = self._candidates(facts)
        norms, fresh = system.norms(z), float((2 * system.value(z)).sqrt())
        best = z if fresh <= min(facts["fresh"], default=math.inf) else state.tensors["best"]
        facts["fresh"] = [*facts["fresh"], fresh]
        metrics = {"residual": max(norms.values()), **({"error": self.monitor(z)} if self.monitor else {})}
        reason = self._finished(facts, metrics["residual"])
        if reason is None and self._should_grow(facts):
            facts |= {"level": facts["level"] + 1, "level_since": len(facts["fresh"])}
            candidates, system = self._candidates(facts)
        parts = enumerate(zip(candidates, system.blocks, strict=True))
        chosen = self._as_tensors([self._choose(k, points, block, z, facts) for k, (points, block) in parts])
        self.world.spread(chosen.values())
        phase, _ = self._phase(state.step)
        own = prefixed(phase.optimiser.restart(unprefixed(state.tensors)))
        stalled = 0 if len(facts["fresh"]) < 2 or fresh < _FLAT_RATIO * facts["fresh"][-2] else facts["stalled"]
        facts |= {"next_draw": state.step + phase.every, "stalled": stalled}
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith("points.")}
        return replace(state, tensors={**kept, **own, "best": best, **chosen}, facts=facts), metrics, reason

    def _finished(self, facts: dict[str, Any], residual: float) -> str | None:
        """Return why training is finished after a draw, or none."""
        if self.schedule.tolerance is not None and residual <= self.schedule.tolerance:
            return f"the residual on fresh points, {residual:.1e}, is below the tolerance"
        if self.schedule.flat_stop and facts["level"] >= self.schedule.levels and _is_flat(facts, _FLAT_OVER[1]):
            return f"the residual on fresh points is flat at {residual:.1e}"
        return None

    def _should_grow(self, facts: dict[str, Any]) -> bool:
        """Tell whether more points are called for: the residual is flat, or large beside that on trained points."""
        overfit = facts["fresh"][-1] > _OVERFIT_RATIO * facts.get("loss", math.inf)
        return facts["level"] < self.schedule.levels and (overfit or _is_flat(facts, _FLAT_OVER[0]))

    def _candidates(self, facts: dict[str, Any]) -> tuple[list[Points], ResidualSystem]:
        """Draw fresh points for every statement, several times as many where some will be chosen."""
        found = []
        for number, statement in enumerate(self.statements):
            count = self._count(number, facts) * (_CANDIDATES if self._adapts(statement) else 1)
            seed = (self.seed, _TRAIN_STREAM, number, facts["round"], facts["level"])
            found.append(sample(statement.region, count, self._measuring, seed))
        return found, ResidualSystem(tuple(self._blocks(found)), self.ansatz.parameter_count)

    def _count(self, number: int, facts: dict[str, Any]) -> int:
        return _count(self.statements[number], self.schedule.counts[number] * 2 ** facts["level"])

    def _adapts(self, statement: Statement) -> bool:
        return self.schedule.adaptive and not statement.region.is_point and self.schedule.sampler != "grid"

    def _choose(self, number: int, candidates: Points, block: Block, z: Tensor, facts: dict[str, Any]) -> Points:
        if self.schedule.sampler == "grid":
            return sample(self.statements[number].region, self._count(number, facts), "grid")
        if not self._adapts(self.statements[number]):
            return candidates
        theta, learned = z[: self.ansatz.parameter_count], z[self.ansatz.parameter_count :]
        residual = block.scaled(theta, learned).cpu().numpy().T
        if not np.isfinite(residual).all():
            return candidates
        seed = (self.seed, _TRAIN_STREAM, number, facts["round"], facts["level"], 1)
        return adapt(candidates, rad_density(residual), self._count(number, facts), seed)

    def _blocks(self, points: Sequence[Points]) -> Sequence[Block]:
        return [self._block(number, *self._tensors(p)) for number, p in enumerate(points)]

    def _block(self, number: int, x: Tensor, weights: Tensor, normals: Tensor | None) -> Block:
        return make_block(self.statements[number], self.ansatz, x, weights, normals, self.kernels)

    def _tensors(self, points: Points) -> tuple[Tensor, Tensor, Tensor | None]:
        def move(array: np.ndarray) -> Tensor:
            # A copy in torch's own memory: its alignment, and with it the last bits of sums, is always the same.
            return torch.tensor(np.ascontiguousarray(array), dtype=self.dtype, device=self.device)

        return move(points.x), move(points.weights), None if points.normals is None else move(points.normals)

    def _as_tensors(self, points: Sequence[Points]) -> dict[str, Tensor]:
        found = {}
        for number, (x, weights, normals) in enumerate(map(self._tensors, points)):
            found |= {f"points.{number}.x": x, f"points.{number}.weights": weights}
            if normals is not None:
                found[f"points.{number}.normals"] = normals
        return found

    def _system(self, state: TrainState) -> ResidualSystem | SharedSystem:
        """Build the system on the state's points, or take the last one built if these are its points.

        Of several processes each has rows of its own: one point of each block in turn.
        """
        first = state.tensors["points.0.x"]
        if self._systems.get("points") is not first:
            world, system = self.world, self._on_points(state, self.world.rank, self.world.size)
            shared = system if world.size == 1 else SharedSystem(system, world)
            self._systems.update(points=first, system=shared)
        return self._systems["system"]

    def _on_points(self, state: TrainState, first: int = 0, every: int = 1) -> ResidualSystem:
        blocks = []
        for number in range(len(self.statements)):
            parts = [state.tensors.get(f"points.{number}.{part}") for part in ("x", "weights", "normals")]
            own = [part if part is None else part[first::every] for part in parts]
            if len(own[0]):
                blocks.append(self._block(number, *own))
        return ResidualSystem(tuple(blocks), self.ansatz.parameter_count)


@dataclass(frozen=True)
class SharedSystem:
    """An objective of first-order optimisers whose rows are spread over processes: values and gradients are summed.

    Args:
        own: the rows of this process.
        world: all processes.
    """

    own: ResidualSystem
    world: World

    def value(self, z: Tensor) -> Tensor:
        """Return ½‖r(z)‖² of all rows."""
        return self.gradient(z)[0]

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return ½‖r‖² and its gradient, of all rows."""
        value, gradient = self.own.gradient(z)
        summed = self.world.sum(torch.cat([value.reshape(1), gradient]))
        return summed[0], summed[1:]


def _is_flat(facts: dict[str, Any], over: int) -> bool:
    """Tell whether the last draws brought no gain over those before them since points were last added."""
    fresh, since = facts["fresh"], facts["level_since"]
    before = fresh[since:-over]
    return bool(before) and min(fresh[-over:]) > _FLAT_RATIO * min(before)


def _count(statement: Statement, wanted: int) -> int:
    """Return how many points a region takes: a point, or two, are taken once."""
    return len(statement.region.parts) if statement.region.is_point else wanted
