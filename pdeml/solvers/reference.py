"""Classical solvers as a method like any other: refined until the estimated error is below a tolerance."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from pdeml.solvers.options import Preview, SolverOptions
from pdeml.solvers.solution import Record, Solution
from pdeml.train import ENDED, Callback, Limits, TrainState, train

__all__ = ["ReferenceSolver"]

MOST_LEVELS = 16
Monitor = Callable[[dict[str, np.ndarray]], float]


class ReferenceSolver(SolverOptions):
    """Solve with a classical method: spectral, finite elements, finite volumes, …

    The grid is refined, every step halved, until the error that the last differences show is below ``tolerance``.

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

    def fit(
        self,
        problem: Problem | None = None,
        data: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        state: TrainState | None = None,
        error: Monitor | None = None,
        error_at: np.ndarray | None = None,
    ) -> Solution:
        """Refine until the tolerance is met, the grid is as fine as it may be, or a callback asks to stop.

        Args:
            problem: what is solved.
            data: not used: refused.
            callbacks: told after every grid.
            state: of a checkpoint, to go on from.
            error: the error of values at ``error_at``, for the metrics.
            error_at: points (N, D).

        Raises:
            InputError: the problem is refused by the method, with the reason.
            DivergenceError: the method broke down on the first grids. On a later one the refinement ends instead, with
                the solution before and ``converged`` false.
        """
        started = time.perf_counter()
        refinement, notes = self._refinement(problem, data)
        task = _Task(refinement, tuple(callbacks), error, error_at)
        outcome = train(task, state or TrainState(0, {}), Limits(MOST_LEVELS), callbacks)
        seconds = time.perf_counter() - started
        assert problem is not None
        if outcome.diverged is not None and not outcome.state.step:
            raise outcome.diverged
        solution = _solution(problem, self, refinement, outcome.state, outcome.reason, seconds, notes)
        if outcome.diverged is not None:
            outcome.diverged.solution = solution
            raise outcome.diverged
        return solution

    def preview(self, problem: Problem | None = None, data: Any = None) -> Preview:
        """Say which method would be used and refuse what it would refuse."""
        refinement, notes = self._refinement(problem, data)
        grid = refinement.grid_of(0) or {}
        return Preview(
            parameters=0,
            points={f"first grid, {name}": size for name, size in grid.items()},
            exact=(),
            optimisers=(("refinement", MOST_LEVELS),),
            device=refinement.device,
            notes=notes,
        )

    def check_state(self, problem: Problem, state: TrainState) -> None:
        """Refuse a state that is not of this problem and these options.

        Raises:
            InputError: it is another's.
        """
        if state.step and not state.facts.get("grid"):
            raise InputError("the checkpoint does not belong to this problem and these options")

    def restore(self, problem: Problem, state: TrainState, summary: dict[str, Any]) -> Solution:
        """Rebuild the solution of a saved run from its final state and its summary.

        Raises:
            InputError: the state belongs to another problem or other options.
        """
        self.check_state(problem, state)
        refinement, _ = self._refinement(problem, None)
        found = _solution(
            problem, self, refinement, state, summary.get("reason", ""), summary["seconds"], summary.get("notes", ())
        )
        return replace(found, record=replace(found.record, converged=bool(summary.get("converged"))))

    def _refinement(self, problem: Problem | None, data: Any) -> tuple[Refinement, tuple[str, ...]]:
        if problem is None:
            raise InputError("'reference' needs a problem")
        if data is not None:
            raise InputError("'reference' does not use observations", ("data",))
        for name, parameter in problem.parameters.items():
            if parameter.kind != "value":
                raise InputError(
                    f"'reference' solves with known parameters: give {name!r} a number", ("parameters", name)
                )
        case = Case.fixed(problem)
        try:
            method = make_method(self.method, self.options, problem)
        except InputError as error:
            path = ("method",) if error.path == ("solver",) else ("options", *error.path)
            raise InputError(error.message, path) from None
        device, notes = choose_device(self.device)
        chosen = (f"auto chose the method {method.kind!r}",) if self.method == "auto" else ()
        refinement = Refinement(method, case, self.grid, self.tolerance, device)
        return refinement, (*chosen, *notes, *problem.warnings)


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
    error: Monitor | None
    error_at: np.ndarray | None

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Solve on the next grid; the first step solves on two, so that there is a difference."""
        stage = self._stage(state)
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
        if self.error is not None and self.error_at is not None:
            metrics["error"] = self.error(stage.solved.evaluate(self.error_at))
        return _state(stage, state, self.refinement), metrics, ended[0] if ended else None

    def best(self, state: TrainState) -> TrainState:
        """The last solution."""
        return state

    def _progress(self, share: float) -> None:
        for callback in self.callbacks:
            if callback.on_progress(share) is not None:
                raise _Stopped

    def _stage(self, state: TrainState) -> Stage | None:
        if not state.step:
            return None
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


def _solution(
    problem: Problem,
    solver: ReferenceSolver,
    refinement: Refinement,
    state: TrainState,
    reason: str,
    seconds: float,
    notes: Sequence[str],
) -> Solution:
    if not state.step:
        raise InputError("the checkpoint is from before the first solution")
    ansatz = _ansatz(refinement, state)
    stage = Stage(state.facts["level"], ansatz.solved(state.tensors["z"]), tuple(state.facts["differences"]))
    ended = refinement.ended(stage)
    grid = ", ".join(f"{name} {size}" for name, size in ansatz.grid.items())
    record = Record(
        reason=reason,
        converged=bool(ended and ended[1] and ENDED in state.facts),
        seconds=seconds,
        steps=state.step,
        parameters=ansatz.parameter_count,
        device=refinement.device,
        precision="float64",
        seed=solver.seed,
        residuals={},
        notes=(
            *notes,
            *(note for note in (f"method {refinement.method.kind!r} on {grid} points",) if note not in notes),
        ),
        estimate=refinement.estimate(stage),
    )
    return Solution(problem, solver, ansatz, state, record)
