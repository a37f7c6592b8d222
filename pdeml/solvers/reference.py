"""Classical solvers as a method like any other: refined until the estimated error is below a tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pdeml.errors import DivergenceError, InputError
from pdeml.lower import JetSpec
from pdeml.problem import Problem
from pdeml.reference import Case, Method, Refinement, Solved, Stage, make_method
from pdeml.solvers.device import choose_device
from pdeml.solvers.options import Preview
from pdeml.solvers.problem_solver import Found, Monitor, ProblemSolver, Work
from pdeml.solvers.refusals import refuse_unknowns
from pdeml.train import Callback, Limits, Outcome, TrainState, train

__all__ = ["ReferenceSolver"]

MOST_LEVELS = 16


class ReferenceSolver(ProblemSolver):
    """Solve with a classical method: spectral, finite elements, finite volumes, …

    The grid is refined, every step halved, until the error that the last differences show is below ``tolerance``. Where
    the method breaks down on a finer grid, the solution on the last one is kept, and does not count as converged.

    Good at: problems that a classical method is made for, to many digits; trusted values for the other methods.
    Bad at: several space dimensions beyond three, parameters to be found, observations: these are refused.
    Source of the estimate: L. F. Richardson, Phil. Trans. R. Soc. A 210 (1911) 307-357.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.
    """

    kind: ClassVar[str] = "reference"

    method: str = Field("auto", description="of `pdeml.reference.METHODS`, or auto")
    tolerance: float = Field(1e-6, gt=0, description="wanted relative L2 error")
    grid: dict[str, int] | None = Field(None, description="points per coordinate, in place of refinement")
    options: dict[str, Any] = Field({}, description="of the method")
    seed: int = Field(0, ge=0, description="kept in the record; nothing is drawn")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")

    def _refuse(self, problem: Problem | None, data: Any) -> None:
        """Refuse what is not known; input functions that have formulas are, and so are trivial equations."""
        refuse_unknowns(self.kind, problem, data)

    def _work(self, problem: Problem, callbacks: Sequence[Callback], monitor: Monitor | None) -> Work:
        case = Case.fixed(problem)
        try:
            method = make_method(self.method, self.options, problem)
        except InputError as error:
            path = ("method",) if error.path == ("solver",) else ("options", *error.path)
            raise InputError(error.message, path) from None
        device, notes = choose_device(self.device)
        chosen = (f"auto chose the method {method.kind!r}",) if self.method == "auto" else ()
        refinement = Refinement(method, case, self.grid, self.tolerance, device)
        return Work(problem, _Task(refinement, callbacks, monitor), device, notes=(*chosen, *notes, *problem.warnings))

    def _preview(self, work: Work) -> Preview:
        grid = work.task.refinement.grid_of(0) or {}
        return Preview(
            parameters=0,
            points={f"first grid, {name}": size for name, size in grid.items()},
            exact=(),
            optimisers=(("refinement", MOST_LEVELS),),
            device=work.device,
            notes=work.notes,
        )

    def _trained(self, work: Work, state: TrainState | None, callbacks: Sequence[Callback]) -> Outcome:
        return train(work.task, state or TrainState(0, {}), Limits(MOST_LEVELS), callbacks)

    def _found(self, work: Work, state: TrainState) -> Found:
        refinement, stage = work.task.refinement, work.task.stage(state)
        ended = refinement.ended(stage)
        grid = ", ".join(f"{name} {size}" for name, size in state.facts["grid"].items())
        return Found(
            _ansatz(refinement, state),
            state.tensors["z"],
            notes=(f"method {refinement.method.kind!r} on {grid} points",),
            estimate=refinement.estimate(stage),
            converged=bool(ended and ended[1]),
        )

    def _owns(self, problem: Problem, state: TrainState) -> bool:
        return not state.step or bool(state.facts.get("grid"))


@dataclass(frozen=True)
class _SolvedAnsatz:
    """A numerical solution as a family of functions whose parameters are its coefficients."""

    method: Method
    case: Case
    grid: Mapping[str, int]
    times: np.ndarray | None
    shape: tuple[int, ...]

    @property
    def parameter_count(self) -> int:
        """Number of coefficients."""
        return int(np.prod(self.shape))

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> Any:
        """Derivatives are not available."""
        raise InputError(f"a solution by {self.method.kind!r} has values alone, no derivatives")

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        found = self.solved(theta_P).evaluate(points_ND.cpu().numpy())
        return torch.from_numpy(np.stack(list(found.values()), axis=1))

    def solved(self, theta_P: Tensor) -> Solved:
        """Return the numerical solution."""
        array = theta_P.cpu().numpy().reshape(self.shape)
        return self.method.solved(self.case.problem, self.case, self.grid, self.times, array)


class _Stopped(Exception):
    """A callback asked to stop within a step."""


@dataclass(frozen=True)
class _Task:
    """One step is one grid; the state holds the solution on it."""

    refinement: Refinement
    callbacks: tuple[Callback, ...]
    monitor: Monitor | None

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Solve on the next grid; the first step solves on two, so that there is a difference."""
        stage = self.stage(state) if state.step else None
        if not (stage and stage.differences):
            stage = self.refinement.advance(stage or self.refinement.advance())
        else:
            try:
                stage = self.refinement.advance(stage, self._progress)
            except _Stopped:
                return state, {"loss": self.refinement.estimate(stage)}, None
            except DivergenceError as error:
                return (
                    state,
                    {"loss": self.refinement.estimate(stage)},
                    f"the method breaks down on a finer grid: {error}",
                )
        ended = self.refinement.ended(stage)
        metrics = {"loss": self.refinement.estimate(stage), "difference": stage.differences[-1]}
        found = _state(stage, state, self.refinement)
        if self.monitor is not None:
            metrics["error"] = self.monitor(_ansatz(self.refinement, found), found.tensors["z"])
        return found, metrics, ended[0] if ended else None

    def best(self, state: TrainState) -> TrainState:
        """The last solution."""
        return state

    def _progress(self, share: float) -> None:
        for callback in self.callbacks:
            if callback.on_progress(share) is not None:
                raise _Stopped

    def stage(self, state: TrainState) -> Stage:
        """Return the solution that a state holds."""
        solved = _ansatz(self.refinement, state).solved(state.tensors["z"])
        return Stage(state.facts["level"], solved, tuple(state.facts["differences"]))


def _state(stage: Stage, before: TrainState, refinement: Refinement) -> TrainState:
    facts = {
        "level": stage.level,
        "grid": refinement.grid_of(stage.level),
        "shape": list(stage.solved.array.shape),
        "differences": list(stage.differences),
    }
    z = torch.from_numpy(np.ascontiguousarray(stage.solved.array, dtype=np.float64).ravel())
    return TrainState(before.step + 1, {"z": z}, {**before.facts, **facts})


def _ansatz(refinement: Refinement, state: TrainState) -> _SolvedAnsatz:
    grid = state.facts["grid"]
    return _SolvedAnsatz(refinement.method, refinement.case, grid, refinement.times(grid), tuple(state.facts["shape"]))
