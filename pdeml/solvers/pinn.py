"""Physics-informed networks, trained as least-squares problems by Gauss-Newton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field as Option
from torch import Tensor

from pdeml.errors import InputError
from pdeml.lower import Scales, Statement, estimate_scales, statements
from pdeml.nn import MLP, Lift, NetworkAnsatz, exact_lift, features
from pdeml.optim import LBFGS, Adam, GaussNewton, Optimiser
from pdeml.problem import Problem
from pdeml.sampling import default_count
from pdeml.solvers.device import check_kernels, choose_device
from pdeml.solvers.options import Preview
from pdeml.solvers.problem_solver import Found, Monitor, ProblemSolver, Work
from pdeml.train import Callback, CollocationTask, Limits, Outcome, Phase, Schedule, TrainState, train
from pdeml.train.distribution import current_world
from pdeml_kernels.contest import outcome
from pdeml_kernels.dispatch import jet_kernels, residual_kernels

__all__ = ["PINN"]

_DENSE_LIMIT = 5_000
_LEVELS = 2
_DEFAULT_STEPS = {"gauss_newton": 360, "adam": 20_000, "lbfgs": 10_000}
_COMPILED_FROM = 2e10
"""Numbers carried by all steps from which a CPU makes up for compiling: that takes seconds to half a minute."""
_DRAW_EVERY = {"gauss_newton": 20, "adam": 100, "lbfgs": 500}

Count = Annotated[int, Option(ge=1)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]


class PINN(ProblemSolver):
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
        kernels: triton (on a CUDA device), torch, or auto: whichever is faster there, measured once; on a CPU torch,
            with activations that are compiled where the run is long enough for that to pay.

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
    kernels: Literal["auto", "triton", "torch"] = "auto"

    def ansatz(self, problem: Problem) -> tuple[NetworkAnsatz, Scales, Lift]:
        """Return the network between its maps, the sizes it is scaled by, and what it satisfies exactly."""
        scales = estimate_scales(problem)
        lift = exact_lift(problem, scales.unknowns, self.exact_conditions)
        seen = features(problem, self.harmonics)
        network = MLP(len(seen), len(problem.names.real_unknowns), self.width, self.depth, self.activation)
        return NetworkAnsatz(problem.names, network, seen, lift.base, lift.factor, self.kernels), scales, lift

    def _work(self, problem: Problem, callbacks: Sequence[Callback], monitor: Monitor | None) -> Work:
        device, notes = choose_device(self.device)
        check_kernels(self.kernels, device)
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
        if self.kernels == "auto" and device == "cpu" and self._is_worth_compiling(stated, schedule.counts, phases):
            ansatz = replace(ansatz, kernels="inductor")
        count = ansatz.parameter_count
        own = None if monitor is None else lambda z: monitor(ansatz, z[:count])
        world = current_world(device)
        if world.size > 1 and first == "gauss_newton":
            raise InputError(
                "gauss_newton works in one process: start it without torchrun, or take adam", ("optimizer",)
            )
        task = CollocationTask(stated, ansatz, phases, schedule, self.seed, dtype, device, own, world, self.kernels)
        exact = (*lift.exact, *(f"periodic in {name}" for name in problem.periodic))
        return Work(problem, task, device, exact, (*notes, *problem.warnings))

    def _preview(self, work: Work) -> Preview:
        task = work.task
        return Preview(
            parameters=task.ansatz.parameter_count,
            points=dict(zip((s.name for s in task.statements), task.counts, strict=True)),
            exact=work.exact,
            optimisers=tuple((_name(phase.optimiser), phase.steps) for phase in task.phases),
            device=work.device,
            notes=(*work.notes, self._computed_by(task)),
        )

    def _trained(self, work: Work, state: TrainState | None, callbacks: Sequence[Callback]) -> Outcome:
        task = work.task
        begun = task.begin(self._initial(task.ansatz).to(task.device)) if state is None else task.continued(state)
        return train(task, begun, Limits(task.steps, self.max_seconds), callbacks, task.world)

    def _found(self, work: Work, state: TrainState) -> Found:
        z = state.tensors["z"]
        return Found(work.task.ansatz, z, lambda: work.task.fresh_norms(z), (self._computed_by(work.task),))

    def _computed_by(self, task: CollocationTask) -> str:
        """Say what networks and residuals are computed by, and what was measured of that on the points of the end."""
        chosen = [own for block in task.blocks for own in (block.parts[0].prepared.kernels, block.kernels)]
        if not chosen:
            ansatz, device = task.ansatz, torch.device(task.device)
            chosen = [jet_kernels(ansatz.kernels, device, ansatz.network.sizes)]
            chosen += [residual_kernels(task.kernels, device, own.plan.program) for own in task.statements]
        operators: dict[str, list[Callable]] = {}
        for own in chosen:
            operators.setdefault(own.note, []).extend(own[:-1])
        return "; ".join(outcome(note, own) for note, own in operators.items())

    def _owns(self, problem: Problem, state: TrainState) -> bool:
        return len(state.tensors.get("z", ())) == self.ansatz(problem)[0].parameter_count

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

    def _is_worth_compiling(self, stated: Sequence[Statement], counts: Sequence[int], phases: Sequence[Phase]) -> bool:
        """Tell whether compiled activations save more time than compiling takes.

        Measured: a gradient is 1.4 to 1.7 times as fast for orders three and four, 1.15 to 1.2 times for order two and
        64 units or more, and not faster for fewer. It follows from options alone: the same seed, the same result.
        """
        if self.width < 64 and max(s.plan.spec.order for s in stated) < 3:
            return False
        carried = sum(count * len(s.plan.spec) for s, count in zip(stated, counts, strict=True))
        return carried * self.width * self.depth * sum(phase.steps for phase in phases) >= _COMPILED_FROM

    def _counts(self, stated: Sequence[Statement], parameters: int) -> tuple[int, ...]:
        """Return the points of each statement's first draw: no condition gets more than the equations."""
        inside = max(default_count(s.region, parameters, s.residuals) for s in stated if s.name == "equation")
        inside = self.points or inside
        return tuple(
            inside if s.name == "equation" else self.condition_points or min(default_count(s.region), inside)
            for s in stated
        )


def _name(optimiser: Optimiser) -> str:
    return {GaussNewton: "gauss_newton", Adam: "adam", LBFGS: "lbfgs"}[type(optimiser)]
