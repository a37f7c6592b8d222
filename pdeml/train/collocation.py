"""Training a residual system on resampled points: what turns statements, an ansatz and an optimiser into steps.

Points are drawn anew every few steps from fresh candidates. Before they are trained on, the candidates measure the
residual honestly. Where it is flat, or far above the residual on the points trained on, the number of points is
doubled, twice at most; where it stays flat then, training is finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.lower import Ansatz, Block, ResidualSystem, Statement, make_block
from pdeml.optim import Optimiser
from pdeml.sampling import Points, adapt, rad_density, sample
from pdeml.train.loop import TrainState

__all__ = ["CollocationTask", "Schedule"]

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
        sampler: way of sampling; see `pdeml.sampling.sample`.
        adaptive: draw interior points where the residual is large, with importance weights.
        every: steps between draws.
        levels: how often the number of points may be doubled: when the residual on fresh points is flat, or far
            above that on the points trained on.
        tolerance: finished when the residual on fresh points is below, or none.
        flat_stop: whether a flat residual on fresh points ends training.
    """

    counts: tuple[int, ...]
    sampler: str = "sobol"
    adaptive: bool = True
    every: int = 20
    levels: int = 2
    tolerance: float | None = None
    flat_stop: bool = True


@dataclass(frozen=True)
class CollocationTask:
    """A `Trainable` whose state holds z, the optimiser's state and the points.

    Args:
        statements: what must vanish.
        ansatz: the family of functions.
        optimisers: used one after the other, each for its number of steps.
        schedule: points and stopping.
        seed: of all draws.
        dtype: of all tensors.
        device: where they live.
        monitor: error of an iterate against a reference, or none; it decides nothing.
    """

    statements: tuple[Statement, ...]
    ansatz: Ansatz
    optimisers: tuple[tuple[Optimiser, int], ...]
    schedule: Schedule
    seed: int
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    monitor: Callable[[Tensor], float] | None = None
    _systems: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def steps(self) -> int:
        """Number of steps of all optimisers."""
        return sum(count for _, count in self.optimisers)

    def begin(self, z: Tensor) -> TrainState:
        """Return the state before the first step."""
        optimiser, _ = self._phase(0)
        facts = {"round": -1, "level": 0, "next_draw": 0, "fresh": [], "stalled": 0}
        return TrainState(0, {"z": z, "best": z, **_prefixed(optimiser.start(z))}, facts)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of points of each statement in the first draw."""
        return tuple(_count(s, wanted) for s, wanted in zip(self.statements, self.schedule.counts, strict=True))

    def continued(self, state: TrainState) -> TrainState:
        """Return a saved state to go on from; an optimiser that was not at work then (other steps) starts anew."""
        optimiser, _ = self._phase(state.step)
        own = optimiser.start(state.tensors["z"])
        if own.keys() == _unprefixed(state.tensors).keys():
            return state
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(_PREFIX)}
        return replace(state, tensors={**kept, **_prefixed(own)})

    def best(self, state: TrainState) -> TrainState:
        """Return the state with the parameters that had the smallest residual on fresh points."""
        return replace(state, tensors={**state.tensors, "z": state.tensors["best"]})

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Draw points if it is time, then take one step of the optimiser."""
        metrics: dict[str, float] = {}
        if state.step >= state.facts["next_draw"]:
            state, metrics, reason = self._draw(state)
            if reason is not None:
                return state, {"loss": state.facts["fresh"][-1], **metrics}, reason
        optimiser, first = self._phase(state.step)
        z = state.tensors["z"]
        own = optimiser.start(z) if first and state.step else _unprefixed(state.tensors)
        done = optimiser.step(self._system(state), z, own)
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(_PREFIX)}
        facts = {**state.facts, "loss": (2 * done.value) ** 0.5}
        if done.stopped is not None:
            facts |= {"next_draw": state.step + 1, "stalled": facts["stalled"] + 1}
        new = TrainState(state.step + 1, {**kept, "z": done.z, **_prefixed(done.state)}, facts)
        ended = f"{done.stopped} (on three draws of points)" if facts["stalled"] >= _FLAT_OVER[1] else None
        return new, {"loss": facts["loss"], **metrics}, ended

    def system(self, state: TrainState) -> ResidualSystem:
        """Return the residual system on the points of the state."""
        return self._system(state)

    def fresh_norms(self, z: Tensor, count: int = 4096) -> dict[str, float]:
        """Return each statement's root mean square residual, scaled, on points of a stream never trained on."""
        points = [
            sample(s.region, _count(s, count), self.schedule.sampler, (self.seed, _CHECK_STREAM, k))
            for k, s in enumerate(self.statements)
        ]
        return ResidualSystem(tuple(self._blocks(points)), self.ansatz.parameter_count).norms(z)

    def _phase(self, step: int) -> tuple[Optimiser, bool]:
        """Return the optimiser of a step and whether the step is its first."""
        start = 0
        for optimiser, count in self.optimisers:
            if step < start + count:
                return optimiser, step == start
            start += count
        return self.optimisers[-1][0], False

    def _draw(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Draw new points; measure the residual on the candidates before any of them is trained on."""
        facts, z = dict(state.facts), state.tensors["z"]
        facts["round"] += 1
        candidates = [self._candidates(k, facts) for k in range(len(self.statements))]
        blocks = list(self._blocks(candidates))
        norms = ResidualSystem(tuple(blocks), self.ansatz.parameter_count).norms(z)
        fresh = float(np.sqrt(sum(norm**2 for norm in norms.values())))
        best = z if fresh <= min(facts["fresh"], default=np.inf) else state.tensors["best"]
        facts["fresh"] = [*facts["fresh"], fresh]
        metrics = {"residual": fresh, **({"error": self.monitor(z)} if self.monitor else {})}
        reason, facts["level"] = self._judge(facts)
        if facts["level"] > state.facts["level"]:
            candidates = [self._candidates(k, facts) for k in range(len(self.statements))]
            blocks = list(self._blocks(candidates))
        chosen = [self._choose(k, c, b, z, facts) for k, (c, b) in enumerate(zip(candidates, blocks, strict=True))]
        optimiser, _ = self._phase(state.step)
        own = _prefixed(optimiser.restart(_unprefixed(state.tensors)))
        stalled = 0 if len(facts["fresh"]) < 2 or fresh < _FLAT_RATIO * facts["fresh"][-2] else facts["stalled"]
        facts |= {"next_draw": state.step + self.schedule.every, "stalled": stalled}
        tensors = {**state.tensors, **own, "best": best, **self._as_tensors(chosen)}
        stale = [name for name in tensors if name.startswith("points.") and int(name.split(".")[1]) >= len(chosen)]
        return (
            replace(state, tensors={k: v for k, v in tensors.items() if k not in stale}, facts=facts),
            metrics,
            reason,
        )

    def _judge(self, facts: dict[str, Any]) -> tuple[str | None, int]:
        """Return why training is finished, if it is, and the level of points to go on with."""
        fresh, level, most = facts["fresh"], facts["level"], self.schedule.levels
        if self.schedule.tolerance is not None and fresh[-1] <= self.schedule.tolerance:
            return f"the residual on fresh points, {fresh[-1]:.1e}, is below the tolerance", level
        over = _FLAT_OVER[level >= most]
        recent, before = fresh[-over:], fresh[facts.get("level_since", 0) : -over]
        flat = bool(before) and min(recent) > _FLAT_RATIO * min(before)
        overfit = fresh[-1] > _OVERFIT_RATIO * facts.get("loss", fresh[-1])
        if level < most and (flat or overfit):
            facts["level_since"] = len(fresh)
            return None, level + 1
        if flat and self.schedule.flat_stop:
            return f"the residual on fresh points is flat at {min(fresh):.1e}", level
        return None, level

    def _candidates(self, number: int, facts: dict[str, Any]) -> Points:
        statement = self.statements[number]
        count = self._count(number, facts)
        if self._adapts(statement):
            count *= _CANDIDATES
        seed = (self.seed, _TRAIN_STREAM, number, facts["round"], facts["level"])
        return sample(statement.region, count, self.schedule.sampler, seed)

    def _count(self, number: int, facts: dict[str, Any]) -> int:
        return _count(self.statements[number], self.schedule.counts[number] * 2 ** facts["level"])

    def _adapts(self, statement: Statement) -> bool:
        return self.schedule.adaptive and not statement.region.is_point and self.schedule.sampler != "grid"

    def _choose(self, number: int, candidates: Points, block: Block, z: Tensor, facts: dict[str, Any]) -> Points:
        if not self._adapts(self.statements[number]):
            return candidates
        theta, learned = z[: self.ansatz.parameter_count], z[self.ansatz.parameter_count :]
        residual = block.unweighted(theta, learned).cpu().numpy().T
        if not np.isfinite(residual).all():
            return candidates
        seed = (self.seed, _TRAIN_STREAM, number, facts["round"], facts["level"], 1)
        return adapt(candidates, rad_density(residual), self._count(number, facts), seed)

    def _blocks(self, points: Sequence[Points]) -> Sequence[Block]:
        return [self._block(number, *self._tensors(p)) for number, p in enumerate(points)]

    def _block(self, number: int, x: Tensor, weights: Tensor, normals: Tensor | None) -> Block:
        return make_block(self.statements[number], self.ansatz, x, weights, normals)

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

    def _system(self, state: TrainState) -> ResidualSystem:
        """Build the system on the state's points, or take the last one built if these are its points."""
        first = state.tensors["points.0.x"]
        if self._systems.get("points") is not first:
            blocks = []
            for number in range(len(self.statements)):
                parts = [state.tensors.get(f"points.{number}.{part}") for part in ("x", "weights", "normals")]
                blocks.append(self._block(number, *parts))
            system = ResidualSystem(tuple(blocks), self.ansatz.parameter_count)
            self._systems.update(points=first, system=system)
        return self._systems["system"]


def _count(statement: Statement, wanted: int) -> int:
    """Return how many points a region takes: a point, or two, are taken once."""
    return len(statement.region.parts) if statement.region.is_point else wanted


_PREFIX = "optimiser."


def _prefixed(state: Any) -> dict[str, Tensor]:
    return {f"{_PREFIX}{name}": tensor for name, tensor in state.items()}


def _unprefixed(tensors: Any) -> dict[str, Tensor]:
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
