"""Physics-informed networks, trained as least-squares problems by Gauss-Newton."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field as Option
from torch import Tensor

from pdeml.errors import InputError
from pdeml.lower import Scales, Statement, estimate_scales, statements
from pdeml.nn import MLP, Lift, NetworkAnsatz, exact_lift, features
from pdeml.optim import LBFGS, Adam, GaussNewton, Optimiser
from pdeml.problem import Problem
from pdeml.sampling import default_count
from pdeml.solvers.device import choose_device
from pdeml.solvers.options import Preview, SolverOptions
from pdeml.solvers.refusals import refuse_what_is_open
from pdeml.solvers.solution import UNTRUSTED, Record, Solution
from pdeml.train import Callback, CollocationTask, Limits, Outcome, Phase, Schedule, TrainState, train
from pdeml.train.distribution import current_world

__all__ = ["PINN"]

_DENSE_LIMIT = 5_000
_LEVELS = 2
_DEFAULT_STEPS = {"gauss_newton": 360, "adam": 20_000, "lbfgs": 10_000}
_DRAW_EVERY = {"gauss_newton": 20, "adam": 100, "lbfgs": 500}

Count = Annotated[int, Option(ge=1)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]


class PINN(SolverOptions):
    """Solve a problem by a network whose residuals are minimised in the least-squares sense.

    Initial and Dirichlet values on boxes hold exactly, and so does periodicity; other conditions are rows of the
    residual system. Up to about 5,000 parameters the default optimiser is damped Gauss-Newton with geodesic
    acceleration on adaptively redrawn points; beyond, Adam followed by L-BFGS.

    Args:
        width: units of each hidden layer.
        depth: number of hidden layers.
        activation: tanh, sin, gelu or silu.
        optimizer: gauss_newton, adam, lbfgs, or auto.
        steps: optimiser steps; by default a number by optimiser, at most: Gauss-Newton then ends when the residual on
            fresh points is flat.
        learning_rate: first step size of Adam.
        points: interior points of a first draw, which Gauss-Newton doubles as needed; default about 1.1 rows
            for each parameter.
        condition_points: points of a draw for each condition that is not exact; default by dimension.
        sampler: sobol, halton, latin, uniform or grid.
        adaptive: draw points where the residual is large, with importance weights.
        resample: steps between draws; default by optimiser.
        exact_conditions: impose initial and Dirichlet values exactly where that can be done.
        harmonics: cosines and sines of each periodic coordinate that the network sees.
        tolerance: stop when the scaled residual on fresh points is below.
        max_seconds: stop after this wall time; the result is then not reproducible.
        seed: of weights and points; same seed, same machine, same result.
        device: auto, cpu or cuda.
        precision: float64, or float32 for first-order optimisers.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: Raissi, Perdikaris & Karniadakis (2019), §3, for the residual; Müller & Zeinhofer, *Achieving high
        accuracy with PINNs via energy natural gradient descent* (2023), §3, for Gauss-Newton in function space;
        Wu et al. (2023) for adaptive points.
    """

    kind: ClassVar[str] = "pinn"

    width: Annotated[int, Option(ge=1, le=4096)] = 16
    depth: Annotated[int, Option(ge=1, le=64)] = 3
    activation: Literal["tanh", "sin", "gelu", "silu"] = "tanh"
    optimizer: Literal["auto", "gauss_newton", "adam", "lbfgs"] = "auto"
    steps: Count | None = None
    learning_rate: Positive = 1e-3
    points: Count | None = None
    condition_points: Count | None = None
    sampler: Literal["sobol", "halton", "latin", "uniform", "grid"] = "sobol"
    adaptive: bool = True
    resample: Count | None = None
    exact_conditions: bool = True
    harmonics: Annotated[int, Option(ge=1, le=64)] = 2
    tolerance: Positive | None = None
    max_seconds: Positive | None = None
    seed: Annotated[int, Option(ge=0, lt=2**63)] = 0
    device: str = "auto"
    precision: Literal["float64", "float32"] = "float64"

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
            data: not used by this method yet.
            callbacks: watch the training; see `pdeml.train.Callback`.
            state: of an earlier, interrupted fit of the same problem with the same options: go on from there.
            error: values at ``error_at`` -> error, shown with the metrics; it decides nothing.
            error_at: (N, D) points for ``error``.

        Returns: the solution, with the residual of every statement on points never trained on.

        Raises:
            InputError: the problem needs what this method does not have.
            DivergenceError: the loss became NaN or infinite; ``error.solution`` holds the best state.
        """
        started = time.perf_counter()
        refuse_what_is_open(self.kind, problem, data)
        task, exact, notes = self._task(problem, error, error_at)
        begun = task.begin(self._initial(task.ansatz).to(task.device)) if state is None else task.continued(state)
        outcome = train(task, begun, Limits(task.steps, self.max_seconds), callbacks, task.world)
        seconds = time.perf_counter() - started
        solution = self._solution(problem, task, outcome, seconds, (exact, notes))
        if outcome.diverged is not None:
            outcome.diverged.solution = solution
            raise outcome.diverged
        return solution

    def preview(self, problem: Problem | None = None, data: Any = None) -> Preview:
        """Say what `fit` would do and refuse what it would refuse, before anything is computed.

        Raises:
            InputError: the problem needs what this method does not have, or the device is not there.
        """
        refuse_what_is_open(self.kind, problem, data)
        task, exact, notes = self._task(problem, None, None)
        return Preview(
            parameters=task.ansatz.parameter_count,
            points=dict(zip((s.name for s in task.statements), task.counts, strict=True)),
            exact=exact,
            optimisers=tuple((_name(phase.optimiser), phase.steps) for phase in task.phases),
            device=task.device,
            notes=notes,
        )

    def check_state(self, problem: Problem, state: TrainState) -> None:
        """Refuse a state that is not of this problem and these options.

        Raises:
            InputError: it is another's.
        """
        if len(state.tensors.get("z", ())) != self.ansatz(problem)[0].parameter_count:
            raise InputError("the checkpoint does not belong to this problem and these options")

    def restore(self, problem: Problem, state: TrainState, summary: dict[str, Any]) -> Solution:
        """Rebuild the solution of a saved run from its final state and its summary.

        Raises:
            InputError: the state belongs to another problem or other options.
        """
        self.check_state(problem, state)
        ansatz, _, _ = self.ansatz(problem)
        record = Record(
            **{name: summary[name] for name in ("seconds", "steps", "device", "precision", "seed")},
            parameters=ansatz.parameter_count,
            reason=summary.get("reason", ""),
            converged=bool(summary.get("converged")),
            residuals=summary.get("residuals", {}),
            exact=tuple(summary.get("exact_conditions", ())),
            notes=tuple(summary.get("notes", ())),
        )
        return Solution(problem, self, ansatz, state, record)

    def ansatz(self, problem: Problem) -> tuple[NetworkAnsatz, Scales, Lift]:
        """Return the network between its maps, the sizes it is scaled by, and what it satisfies exactly."""
        scales = estimate_scales(problem)
        lift = exact_lift(problem, scales.unknowns, self.exact_conditions)
        seen = features(problem, self.harmonics)
        network = MLP(len(seen), len(problem.names.real_unknowns), self.width, self.depth, self.activation)
        return NetworkAnsatz(problem.names, network, seen, lift.base, lift.factor), scales, lift

    def _task(
        self, problem: Problem, error: Callable[[dict[str, np.ndarray]], float] | None, error_at: np.ndarray | None
    ) -> tuple[CollocationTask, tuple[str, ...], tuple[str, ...]]:
        """Return what is trained, the names of the conditions that hold exactly, and notes."""
        device, notes = choose_device(self.device)
        dtype = getattr(torch, self.precision)
        ansatz, scales, lift = self.ansatz(problem)
        stated = statements(problem, scales, lift.exact)
        phases = self._phases(ansatz.parameter_count)
        first = _name(phases[0].optimiser)
        schedule = Schedule(
            counts=self._counts(stated, ansatz.parameter_count),
            sampler=self.sampler,
            adaptive=self.adaptive,
            tolerance=self.tolerance,
            levels=_LEVELS if first == "gauss_newton" else 0,
            flat_stop=first == "gauss_newton" and self.steps is None,
        )
        monitor = None
        if error is not None and error_at is not None:
            x = torch.as_tensor(error_at, dtype=dtype, device=device)

            def monitor(z: Tensor) -> float:
                columns = ansatz.values(z[: ansatz.parameter_count], x).double().cpu().numpy().T
                return error(dict(zip(problem.names.real_unknowns, columns, strict=True)))

        world = current_world(device)
        if world.size > 1 and first == "gauss_newton":
            raise InputError(
                "gauss_newton works in one process: start it without torchrun, or take adam", ("optimizer",)
            )
        task = CollocationTask(stated, ansatz, phases, schedule, self.seed, dtype, device, monitor, world)
        exact = (*lift.exact, *(f"periodic in {name}" for name in problem.periodic))
        return task, exact, (*notes, *problem.warnings)

    def _initial(self, ansatz: NetworkAnsatz) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return ansatz.network.initial(generator, getattr(torch, self.precision))

    def _phases(self, parameters: int) -> tuple[Phase, ...]:
        chosen = self.optimizer
        if chosen == "auto":
            chosen = "gauss_newton" if parameters <= _DENSE_LIMIT and self.precision == "float64" else "adam+lbfgs"
        if chosen == "gauss_newton" and self.precision == "float32":
            raise InputError("gauss_newton needs float64; use adam with float32", ("precision",))
        steps = [self.steps or _DEFAULT_STEPS[part] for part in chosen.split("+")]
        if self.steps and len(steps) == 2:
            steps = [self.steps - self.steps // 3, self.steps // 3]
        made = {
            "gauss_newton": GaussNewton(),
            "adam": Adam(rate=self.learning_rate, horizon=steps[0]),
            "lbfgs": LBFGS(),
        }
        return tuple(
            Phase(made[part], count, self.resample or _DRAW_EVERY[part])
            for part, count in zip(chosen.split("+"), steps, strict=True)
            if count
        )

    def _counts(self, stated: Sequence[Statement], parameters: int) -> tuple[int, ...]:
        """Return the points of each statement's first draw: no condition gets more than the equations."""
        inside = max(default_count(s.region, parameters, s.residuals) for s in stated if s.name == "equation")
        inside = self.points or inside
        return tuple(
            inside if s.name == "equation" else self.condition_points or min(default_count(s.region), inside)
            for s in stated
        )

    def _solution(
        self,
        problem: Problem,
        task: CollocationTask,
        outcome: Outcome,
        seconds: float,
        told: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> Solution:
        z, (exact, notes) = outcome.state.tensors["z"], told
        residuals = task.fresh_norms(z)
        ended = outcome.diverged is None and outcome.finished and outcome.state.step < task.steps
        record = Record(
            reason=outcome.reason,
            converged=ended and max(residuals.values()) <= UNTRUSTED,
            seconds=seconds,
            steps=outcome.state.step,
            parameters=len(z),
            device=task.device,
            precision=self.precision,
            seed=self.seed,
            residuals=residuals,
            exact=exact,
            notes=notes,
        )
        return Solution(problem, self, task.ansatz, outcome.state, record)


def _name(optimiser: Optimiser) -> str:
    return {GaussNewton: "gauss_newton", Adam: "adam", LBFGS: "lbfgs"}[type(optimiser)]
