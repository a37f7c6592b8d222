"""Gaussian processes on grids over boxes, step by step: grids that grow until they agree, or the joint objective."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.gp.grid import GridModel, GridStage
from pdeml.gp.joint import JointObjective
from pdeml.gp.spectrum import frequencies_found, spectrum
from pdeml.lower import Ansatz, JetSpec, Prepared, Statement
from pdeml.optim import Adam
from pdeml.solvers.problem_solver import Found, Monitor
from pdeml.train import TrainState
from pdeml.train.loop import prefixed, unprefixed

__all__ = ["GridTask", "MapTask"]

_MOST_LEVELS = 10
_RATE = 1e-2  # as published
_LOOK_EVERY = 100


@dataclass(frozen=True, eq=False)
class GridAnsatz:
    """The functions of a grid's basis, with standard deviation and spectrum; an `Ansatz`.

    Args:
        model: the process on grids.
        stage: how far it has come.
        seed: of the functions drawn for the standard deviation.
    """

    model: GridModel
    stage: GridStage
    seed: int

    @cached_property
    def functions(self) -> Ansatz:
        """The family, without the rest."""
        return self.model.ansatz(self.stage)

    @property
    def parameter_count(self) -> int:
        """Number of coefficients."""
        return self.functions.parameter_count

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> Prepared:
        """Do the work for these points that does not depend on θ."""
        return self.functions.prepare(points_ND, spec)

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        return self.functions.values(theta_P, points_ND)

    def deviations(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the standard deviation of each unknown, (N, U), from functions drawn from the prior."""
        return self._drawn(points_ND)

    def frequencies(self, theta_P: Tensor) -> dict[str, list[tuple[float, float, float]]]:
        """Return, for each coordinate, (angular frequency, share of the variance, width) of the learned spectrum."""
        return {
            name: [(peak.frequency, peak.share, peak.width) for peak in peaks]
            for name, peaks in self.model.frequencies(self.stage).items()
        }

    @cached_property
    def _drawn(self) -> Callable[[Tensor], Tensor]:
        return self.model.deviations(self.stage, seed=self.seed)


@dataclass(frozen=True)
class GridTask:
    """One step is one grid, the last one the spectrum; see `GridModel`.

    Args:
        model: the process on grids.
        statements: what holds.
        seed: of the draws for the standard deviation.
        notes: what is known before the first step.
        monitor: error of an ansatz with parameters against a reference, or none.
    """

    model: GridModel
    statements: tuple[Statement, ...]
    seed: int
    notes: tuple[str, ...] = ()
    monitor: Monitor | None = None

    @property
    def steps(self) -> int:
        """Largest number of steps."""
        return _MOST_LEVELS

    @property
    def points(self) -> dict[str, int]:
        """The first grid."""
        names = self.model.problem.names.coordinates
        return {f"first grid, {name}": n for name, n in zip(names, self.model.sizes(0), strict=True)}

    @property
    def parameter_count(self) -> int:
        """Number of parameters of the kernels that are learned."""
        return self.model.codec.size

    def begin(self) -> TrainState:
        """Return the state before the first grid."""
        return TrainState(0, {"z": torch.zeros(0, dtype=torch.float64)}, {})

    def owns(self, state: TrainState) -> bool:
        """Tell whether a checkpoint is of this problem and these options."""
        return state.step == 0 or len(state.tensors.get("prior", ())) == self.model.codec.size

    def best(self, state: TrainState) -> TrainState:
        """Return the state before the step that broke down."""
        return state

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Solve on the next grid, or learn the spectrum."""
        stage = self.model.advance(self._stage(state))
        tensors, facts = self.model.pack(stage)
        metrics = {"loss": stage.estimate}
        if self.monitor is not None:
            metrics["error"] = self.monitor(self.model.ansatz(stage), tensors["z"])
        ended = self.model.ended(stage)
        return TrainState(state.step + 1, tensors, {**state.facts, **facts}), metrics, ended[0] if ended else None

    def solved(self, state: TrainState) -> Found:
        """Return the solution on the last grid."""
        stage = self._stage(state)
        assert stage is not None
        found = [f"along {name}, {frequencies_found(peaks)}" for name, peaks in self.model.frequencies(stage).items()]
        grid = " x ".join(map(str, stage.sizes))
        notes = (f"kernels on a grid of {grid} points", *found, *([stage.branch] if stage.branch else []))
        ended = self.model.ended(stage)
        ansatz = GridAnsatz(self.model, stage, self.seed)
        met = bool(ended and ended[1])
        return Found(ansatz, state.tensors["z"], notes=notes, estimate=stage.estimate, converged=met)

    def _stage(self, state: TrainState) -> GridStage | None:
        return self.model.unpack(state.tensors, state.facts) if state.step else None


@dataclass(frozen=True)
class MapTask:
    """The published joint objective over grid values, kernels and precisions, by Adam; see `JointObjective`.

    Args:
        objective: negative logarithm of the joint density.
        statements: what holds.
        most: steps at most.
        notes: what is known before the first step.
        monitor: error of an ansatz with parameters against a reference, or none.
    """

    objective: JointObjective
    statements: tuple[Statement, ...]
    most: int
    notes: tuple[str, ...] = ()
    monitor: Monitor | None = None

    @property
    def steps(self) -> int:
        """Largest number of steps."""
        return self.most

    @property
    def points(self) -> dict[str, int]:
        """The grid."""
        return dict(zip(self.objective.problem.names.coordinates, self.objective.sizes, strict=True))

    @property
    def parameter_count(self) -> int:
        """Number of grid values, kernel parameters and precisions."""
        return self.objective.size

    def begin(self) -> TrainState:
        """Return the state before the first step."""
        z = self.objective.start()
        residual = max(self.objective.norms(z).values())
        return TrainState(0, {"z": z[:0], "joint": z, **prefixed(self._adam.start(z))}, {"residual": residual})

    def owns(self, state: TrainState) -> bool:
        """Tell whether a checkpoint is of this problem and these options."""
        return len(state.tensors.get("joint", ())) == self.objective.size

    def best(self, state: TrainState) -> TrainState:
        """Return the state before the step that broke down."""
        return state

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Take one step of Adam. The loss shown is the largest residual: the density has no bound."""
        done = self._adam.step(self.objective, state.tensors["joint"], unprefixed(state.tensors))
        step, facts = state.step + 1, dict(state.facts)
        look = step % _LOOK_EVERY == 0 or step == self.most
        if look:
            facts["residual"] = max(self.objective.norms(done.z).values())
        new = TrainState(step, {"z": state.tensors["z"], "joint": done.z, **prefixed(done.state)}, facts)
        metrics = {"loss": facts["residual"] if math.isfinite(done.value) else math.nan, "joint": done.value}
        if look and self.monitor is not None:
            metrics["error"] = self.monitor(*self.objective.ansatz(done.z))
        return new, metrics, None

    @property
    def _adam(self) -> Adam:
        return Adam(_RATE, self.most)

    def solved(self, state: TrainState) -> Found:
        """Return the conditional mean of the grid values found so far."""
        z = state.tensors["joint"]
        ansatz, theta = self.objective.ansatz(z)
        kernels = self.objective.kernels(z)
        names = self.objective.problem.names.coordinates
        found = [
            f"along {name}, " + frequencies_found(spectrum(kernels[0].axes[j], 2 * math.pi / self.objective.extents[j]))
            for j, name in enumerate(names)
        ]
        return Found(ansatz, theta, notes=tuple(found))
