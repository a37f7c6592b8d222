"""Random features: linear least squares instead of training, refined until the estimated error is below a tolerance."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field as Option

from pdeml.errors import InputError, one_of
from pdeml.features.levels import LevelOptions
from pdeml.features.route import choose_route
from pdeml.lower import estimate_scales, statements
from pdeml.problem import Problem
from pdeml.solvers.device import choose_device
from pdeml.solvers.options import Preview, SolverOptions
from pdeml.solvers.random_features_task import Deadline, FeatureTask, stage_of
from pdeml.solvers.refusals import refuse_what_is_open
from pdeml.solvers.solution import Record, Solution
from pdeml.train import Callback, Limits, TrainState, train

__all__ = ["RandomFeatures"]

Count = Annotated[int, Option(ge=1)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]


class RandomFeatures(SolverOptions):
    """Solve by combinations of random features on patches, whose coefficients come from linear least squares.

    Hidden weights are drawn once and kept. On each patch the features are orthonormalised; patches are joined by their
    values and derivatives. Boxes whose equation allows it are solved with products of features of one coordinate each,
    other domains and equations with features of all coordinates by least squares. Nonlinear problems are solved by
    Gauss-Newton, from the linear part on.

    The number of features, then of patches grows, level by level, until the estimated relative L2 error is below
    ``tolerance``. The estimate is the difference between two levels times how much the residual on points not
    collocated has fallen.

    Good at: smooth solutions in up to three coordinates, time included: many digits in seconds.
    Bad at: jumps and sharp layers, solutions with singularities, four and more coordinates.

    Args:
        features: functions of a patch on the first level (of products: along each coordinate); by default by dimension
            and bandwidth, more on each level.
        patches: on the first level, along all coordinates or ``{x: 4, t: 1}``; by default from the bandwidth.
        bandwidth: largest angular wave number of the solution along all coordinates or ``{x: 100}``, in place of what
            the problem's sources, conditions and symbol tell.
        radius: largest wave number of the features on a patch scaled to [−1, 1]; by default chosen by the residual.
        activation: sin or tanh.
        tolerance: wanted relative L2 error.
        levels: at most.
        method: tensor (products, boxes only), scattered, or auto: products, and where these do not suit the problem or
            find no solution, scattered.
        points: collocation points of the equations for each function of a patch (scattered).
        windows: of time, solved one after another (scattered); by default one, and one for each layer of patches
            where the problem is not linear.
        sampler: of collocation points (scattered): sobol, with Gauss points on patches inside the domain; christoffel,
            volume or dpp, which choose them by the features; see `pdeml.sampling.optimal`. Where there are hardly more
            points than functions, the last two do as well as sobol, independent ones far worse.
        max_seconds: no level beyond the first two is begun that would end after this wall time, by what those before
            took; the result is then not reproducible.
        seed: of features and points; same seed, same machine, same result.
        device: auto, cpu or cuda; whatever it is, the factorisations of this method are done on the CPU.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.

    Reference: Chen, Chi, E & Yang, *Bridging traditional and machine learning-based algorithms for solving PDEs: the
        random feature method* (2022); Dong & Li, *Local extreme learning machines and domain decomposition* (2021).
    """

    kind: ClassVar[str] = "random_features"

    features: Annotated[int, Option(ge=8, le=4096)] | None = None
    patches: Count | dict[str, Count] | None = None
    bandwidth: Positive | dict[str, Positive] | None = None
    radius: Positive | None = None
    activation: Literal["sin", "tanh"] = "sin"
    tolerance: Positive = 1e-8
    levels: Annotated[int, Option(ge=2, le=32)] = 8
    method: Literal["auto", "tensor", "scattered"] = "auto"
    points: Annotated[float, Option(ge=1, le=16)] = 2.0
    windows: Count | None = None
    sampler: Literal["sobol", "christoffel", "volume", "dpp"] = "sobol"
    max_seconds: Positive | None = None
    seed: Annotated[int, Option(ge=0, lt=2**63)] = 0
    device: str = "auto"

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
        """Refine until the tolerance is met, nothing is gained any more, or a callback asks to stop.

        Args:
            problem: equations, domain and conditions.
            data: not used by this method.
            callbacks: told after every level; see `pdeml.train.Callback`.
            state: of an earlier, interrupted fit of the same problem with the same options: go on from there.
            error: values at ``error_at`` -> error, shown with the metrics; it decides nothing.
            error_at: (N, D) points for ``error``.

        Returns: the solution, with its estimated error and the residual of every statement on points not collocated.

        Raises:
            InputError: the problem needs what this method does not have, or does not fit into memory.
            DivergenceError: no solution was found on the first levels.
        """
        started = time.perf_counter()
        task, notes = self._task(problem, data, tuple(callbacks), error, error_at)
        watching = callbacks if self.max_seconds is None else (*callbacks, Deadline(task.route, self.max_seconds))
        outcome = train(task, state or TrainState(0, {}), Limits(self.levels - 1, self.max_seconds), watching)
        seconds = time.perf_counter() - started
        if outcome.diverged is not None and not outcome.state.step:
            raise outcome.diverged
        solution = self._solution(task, outcome.state, outcome.reason, seconds, notes)
        if outcome.diverged is not None:
            outcome.diverged.solution = solution
            raise outcome.diverged
        return solution

    def preview(self, problem: Problem | None = None, data: Any = None) -> Preview:
        """Say what `fit` would do and refuse what it would refuse, before anything is computed.

        Raises:
            InputError: the problem needs what this method does not have, or the device is not there.
        """
        task, notes = self._task(problem, data, (), None, None)
        unknowns, text = task.route.first()
        return Preview(
            parameters=unknowns,
            points={},
            exact=(),
            optimisers=(("refinement", self.levels - 1),),
            device="cpu",
            notes=(*notes, f"first level: {text}"),
        )

    def check_state(self, problem: Problem, state: TrainState) -> None:
        """Refuse a state that is not of this problem and these options.

        Raises:
            InputError: it is another's.
        """
        stage = state.facts.get("stage")
        wrong = state.step and (stage is None or len(stage.get("counts", ())) != len(problem.names.coordinates))
        if not wrong and state.step:
            task, _ = self._task(problem, None, (), None, None)
            wrong = stage_of(task.route, state).ansatz.parameter_count != len(state.tensors.get("z", ()))
        if wrong:
            raise InputError("the checkpoint does not belong to this problem and these options")

    def restore(self, problem: Problem, state: TrainState, summary: dict[str, Any]) -> Solution:
        """Rebuild the solution of a saved run from its final state and its summary.

        Raises:
            InputError: the state belongs to another problem or other options.
        """
        self.check_state(problem, state)
        task, _ = self._task(problem, None, (), None, None)
        notes = summary.get("notes", ())
        found = self._solution(task, state, summary.get("reason", ""), summary["seconds"], notes, restored=True)
        told = {"converged": bool(summary.get("converged")), "notes": tuple(notes)}
        return replace(found, record=replace(found.record, **told))

    def _task(
        self,
        problem: Problem | None,
        data: Any,
        callbacks: tuple[Callback, ...],
        error: Callable[[dict[str, np.ndarray]], float] | None,
        error_at: np.ndarray | None,
    ) -> tuple[FeatureTask, tuple[str, ...]]:
        refuse_what_is_open(self.kind, problem, data)
        assert problem is not None
        stated = statements(problem, estimate_scales(problem))
        device, notes = choose_device(self.device)
        if device != "cpu" and self.device != "auto":
            notes = (*notes, f"random features are computed on the CPU, not on {device}")
        options = LevelOptions(
            features=self.features,
            patches=self._per_coordinate(problem, "patches"),
            bandwidth=self._per_coordinate(problem, "bandwidth"),
            radius=self.radius,
            activation=self.activation,
            ratio=self.points,
            windows=self.windows,
            sampler=self.sampler,
            seed=self.seed,
        )
        route, why = choose_route(problem, options, self.method)
        task = FeatureTask(
            problem, stated, route, self.tolerance, self.levels - 1, self.seed, callbacks, error, error_at
        )
        return task, (*why, *notes, *problem.warnings)

    def _per_coordinate(self, problem: Problem, option: str) -> tuple[Any, ...] | None:
        """Return an option for each coordinate, none where it is not given."""
        given, names = getattr(self, option), problem.names.coordinates
        if given is None:
            return None
        if not isinstance(given, Mapping):
            return (given,) * len(names)
        for name in given:
            if name not in names:
                raise InputError(one_of(name, names, "a coordinate"), (option, name))
        return tuple(given.get(name) for name in names)

    def _solution(
        self,
        task: FeatureTask,
        state: TrainState,
        reason: str,
        seconds: float,
        notes: Sequence[str],
        restored: bool = False,
    ) -> Solution:
        if not state.step:
            raise InputError("the checkpoint is from before the first solution")
        stage, facts = stage_of(task.route, state), state.facts
        record = Record(
            reason=reason,
            converged=bool(facts["met"]),
            seconds=seconds,
            steps=state.step,
            parameters=facts["unknowns"],
            device="cpu",
            precision="float64",
            seed=self.seed,
            residuals=facts["residuals"],
            notes=tuple(notes) if restored else (*notes, *task.notes(state)),
            estimate=facts["estimate"],
        )
        return Solution(task.problem, self, stage.ansatz, state, record)
