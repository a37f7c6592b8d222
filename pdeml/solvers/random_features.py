"""Random features: linear least squares instead of training, refined until the estimated error is below a tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field as Option

from pdeml.errors import InputError, one_of
from pdeml.features.levels import LevelOptions
from pdeml.features.route import choose_route
from pdeml.lower import estimate_scales, statements
from pdeml.problem import Problem
from pdeml.solvers.device import choose_device
from pdeml.solvers.options import Preview
from pdeml.solvers.problem_solver import Found, Monitor, ProblemSolver, Work
from pdeml.solvers.random_features_task import Deadline, FeatureTask, stage_of
from pdeml.train import Callback, Limits, Outcome, TrainState, train

__all__ = ["RandomFeatures"]

Count = Annotated[int, Option(ge=1)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]


class RandomFeatures(ProblemSolver):
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

    def _work(self, problem: Problem, callbacks: Sequence[Callback], monitor: Monitor | None) -> Work:
        scales = estimate_scales(problem)
        stated = statements(problem, scales)
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
        most, sizes = self.levels - 1, scales.unknowns
        task = FeatureTask(problem, stated, sizes, route, self.tolerance, most, self.seed, callbacks, monitor)
        return Work(problem, task, notes=(*why, *notes, *problem.warnings))

    def _preview(self, work: Work) -> Preview:
        unknowns, text = work.task.route.first()
        return Preview(
            parameters=unknowns,
            points={},
            exact=(),
            optimisers=(("refinement", work.task.steps),),
            device=work.device,
            notes=(*work.notes, f"first level: {text}"),
        )

    def _trained(self, work: Work, state: TrainState | None, callbacks: Sequence[Callback]) -> Outcome:
        task = work.task
        watching = callbacks if self.max_seconds is None else (*callbacks, Deadline(task.route, self.max_seconds))
        return train(task, state or TrainState(0, {}), Limits(task.steps, self.max_seconds), watching)

    def _found(self, work: Work, state: TrainState) -> Found:
        facts = state.facts
        return Found(
            stage_of(work.task.route, state).ansatz,
            state.tensors["z"],
            lambda: facts["residuals"],
            work.task.notes(state),
            facts["estimate"],
            converged=facts["met"],
            parameters=facts["unknowns"],
        )

    def _owns(self, problem: Problem, state: TrainState) -> bool:
        if not state.step:
            return True
        if len(state.facts.get("stage", {}).get("counts", ())) != len(problem.names.coordinates):
            return False
        route = self._work(problem, (), None).task.route
        return stage_of(route, state).ansatz.parameter_count == len(state.tensors.get("z", ()))

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
