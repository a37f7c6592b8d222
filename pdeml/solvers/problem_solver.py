"""What the solvers of one known problem share: `fit`, its preview, and the way from a checkpoint to a solution."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.lower import Ansatz
from pdeml.problem import Problem
from pdeml.solvers.options import Preview, SolverOptions
from pdeml.solvers.record import FOREIGN, UNTRUSTED, Record, recorded
from pdeml.solvers.refusals import refuse_what_is_open
from pdeml.solvers.solution import Solution
from pdeml.train import ENDED, Callback, Outcome, TrainState

__all__ = ["Found", "Monitor", "ProblemSolver", "Work"]

Monitor = Callable[[Ansatz, Tensor], float]
"""Error of an ansatz with parameters against a reference; it decides nothing."""


class Work(NamedTuple):
    """What a solver will do: a `pdeml.train.Trainable`, where it runs, what holds by construction, and notes."""

    problem: Problem
    task: Any
    device: str = "cpu"
    exact: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a state of the training has come to.

    Args:
        ansatz: family of functions.
        theta: its parameters.
        residuals: measures each statement's scaled residual on points that were not used; nothing where there is no
            such residual.
        notes: for the report, beside those of the work.
        estimate: the relative L2 error that the method itself estimates, where it can.
        converged: whether more steps would gain nothing, as far as the method can tell.
        remark: what is to be added to the reason why training ended.
        parameters: their number, where it is not that of ``theta``.
    """

    ansatz: Ansatz
    theta: Tensor
    residuals: Callable[[], Mapping[str, float]] = dict
    notes: tuple[str, ...] = ()
    estimate: float | None = None
    converged: bool = True
    remark: str = ""
    parameters: int | None = None


class ProblemSolver(SolverOptions):
    """Options of a method that solves one known problem. Subclasses say what is trained, and what a state has found."""

    def fit(
        self,
        problem: Problem | None = None,
        data: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        state: TrainState | None = None,
        error: Callable[[dict[str, np.ndarray]], float] | None = None,
        error_at: np.ndarray | None = None,
    ) -> Solution:
        """Solve a problem.

        Args:
            problem: equations, domain and conditions.
            data: observations; no method uses them yet.
            callbacks: watch the steps; see `pdeml.train.Callback`.
            state: of an earlier, interrupted fit of the same problem with the same options: go on from there.
            error: values at ``error_at`` -> error, shown with the metrics; it decides nothing.
            error_at: (N, D) points for ``error``.

        Returns: the solution, with the residual of every statement on points that were not used, an estimate of its
            error, or both.

        Raises:
            InputError: the problem needs what this method does not have, or does not fit into memory.
            DivergenceError: the method broke down; ``error.solution`` holds the best state, unless there was none yet.
        """
        started = time.perf_counter()
        self._refuse(problem, data)
        work = self._work(problem, tuple(callbacks), _monitor(problem, error, error_at))
        outcome = self._trained(work, state, callbacks)
        if outcome.diverged is not None and _is_empty(outcome.state):
            raise outcome.diverged
        found = self._found(work, outcome.state)
        residuals = found.residuals()
        good = found.converged and max(residuals.values(), default=0.0) <= UNTRUSTED
        solution = self._solution(
            work,
            outcome.state,
            found,
            reason=outcome.reason + found.remark,
            converged=outcome.diverged is None and ENDED in outcome.state.facts and good,
            residuals=residuals,
            seconds=time.perf_counter() - started,
        )
        if outcome.diverged is not None:
            outcome.diverged.solution = solution
            raise outcome.diverged
        return solution

    def preview(self, problem: Problem | None = None, data: Any = None) -> Preview:
        """Say what `fit` would do and refuse what it would refuse, before anything is computed.

        Raises:
            InputError: the problem needs what this method does not have, or the device is not there.
        """
        self._refuse(problem, data)
        return self._preview(self._work(problem, (), None))

    def check_state(self, problem: Problem, state: TrainState) -> None:
        """Refuse a state that is not of this problem and these options.

        Raises:
            InputError: it is another's.
        """
        if not self._owns(problem, state):
            raise InputError(FOREIGN)

    def restore(self, problem: Problem, state: TrainState, summary: Mapping[str, Any]) -> Solution:
        """Rebuild the solution of a saved run from its final state, on the CPU, and its summary.

        Raises:
            InputError: the state belongs to another problem or other options.
        """
        options = {"device": "cpu", "kernels": "torch"}
        here = self.model_copy(update={name: own for name, own in options.items() if name in type(self).model_fields})
        here.check_state(problem, state)
        if _is_empty(state):
            raise InputError("the checkpoint is from before the first solution")
        work = here._work(problem, (), None)
        found, saved = here._found(work, state), state.tensors["z"]
        if saved.shape == found.theta.shape:  # solved anew, the last digits may be others
            found = replace(found, theta=saved)
        told = recorded(summary)
        told["residuals"] = told["residuals"] or found.residuals()
        told["notes"] = told["notes"] or found.notes
        return self._solution(work, state, found, **told)

    @abstractmethod
    def _work(self, problem: Problem, callbacks: Sequence[Callback], monitor: Monitor | None) -> Work:
        """Return what is to be done; ``callbacks`` are for what goes on within a step."""

    @abstractmethod
    def _preview(self, work: Work) -> Preview:
        """Return what is known before the first step."""

    @abstractmethod
    def _trained(self, work: Work, state: TrainState | None, callbacks: Sequence[Callback]) -> Outcome:
        """Train from the state of a checkpoint, or from the start."""

    @abstractmethod
    def _found(self, work: Work, state: TrainState) -> Found:
        """Return what a state has come to."""

    @abstractmethod
    def _owns(self, problem: Problem, state: TrainState) -> bool:
        """Tell whether a state is of this problem and these options."""

    def _refuse(self, problem: Problem | None, data: Any) -> None:
        """Refuse what is no known problem."""
        refuse_what_is_open(self.kind, problem, data)

    def _solution(self, work: Work, state: TrainState, found: Found, **told: Any) -> Solution:
        """Return the solution that a state holds, with the record of how it came about."""
        theta = found.theta
        known = {
            "steps": state.step,
            "device": work.device,
            "precision": str(theta.dtype).removeprefix("torch."),
            "seed": self.seed,
            "parameters": len(theta) if found.parameters is None else found.parameters,
            "exact": work.exact,
            "notes": tuple(dict.fromkeys((*work.notes, *found.notes))),
            "estimate": found.estimate,
        }
        state = replace(state, tensors={**state.tensors, "z": theta})
        return Solution(work.problem, self, found.ansatz, state, Record(**{**known, **told}))


def _is_empty(state: TrainState) -> bool:
    """Tell whether a state is from before there was any solution."""
    return not state.step and not len(state.tensors.get("z", ()))


def _monitor(
    problem: Problem, error: Callable[[dict[str, np.ndarray]], float] | None, error_at: np.ndarray | None
) -> Monitor | None:
    """Return the error of an ansatz with parameters, if there is something to compare with."""
    if error is None or error_at is None:
        return None

    def monitor(ansatz: Ansatz, theta: Tensor) -> float:
        columns = ansatz.values(theta, torch.as_tensor(error_at).to(theta)).double().cpu().numpy().T
        return error(dict(zip(problem.names.real_unknowns, columns, strict=True)))

    return monitor
