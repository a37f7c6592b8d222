"""What all operator methods share: options of training, and `fit` from samples to a solution."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field as Option

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.errors import InputError
from pdeml.nn.operator import Operator
from pdeml.problem import Problem
from pdeml.solvers.device import NO_KERNELS, check_kernels, choose_device
from pdeml.solvers.operator_data import as_data, strangers
from pdeml.solvers.operator_inputs import data_entry
from pdeml.solvers.operator_solution import OperatorSolution
from pdeml.solvers.options import Preview, SolverOptions
from pdeml.solvers.physics import EquationTerm
from pdeml.solvers.record import FOREIGN, Record, recorded
from pdeml.train import Callback, Limits, Outcome, TrainState, train
from pdeml.train.distribution import World, current_world
from pdeml.train.drawn import DrawnData
from pdeml.train.ensemble import EnsembleTask, member_weights
from pdeml.train.equation import PointOperator
from pdeml.train.fitting import Fitting
from pdeml.train.operator import OperatorTask
from pdeml_kernels.dispatch import KernelChoice

__all__ = ["OperatorSolver"]

Count = Annotated[int, Option(ge=1)]
Positive = Annotated[float, Option(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Option(gt=0, lt=1)]

_OF_TIME = ("window", "unroll", "pushforward", "residual")
_NARROW = (
    "'patience' looks at the validation part on which the spread of the members is calibrated: their bands may hold a "
    "little less than they promise; what is measured on the test part is not affected"
)


class OperatorSolver(SolverOptions):
    """Learn an operator from samples of functions, from the equation of a problem, or both.

    Subclasses add the architecture.

    Args:
        epochs: passes over the training samples.
        batch_size: samples a step.
        learning_rate: largest step size.
        schedule: of the step size: one_cycle, cosine or constant.
        weight_decay: of AdamW.
        loss: relative_l2, h1 or mse.
        clip: largest norm of the gradient; none: no bound.
        ema: decay of the average of the weights that becomes the result; none: the last weights do.
        patience: epochs without gain on the validation part before training ends; none: all epochs are done.
        augment: symmetries of the problem by which training samples are varied, such as x, y, xy or "shift x".
        resolutions: the training grids are thinned by one of these factors, drawn for each batch, such as [1, 2].
        physics: weight of the residual of the equation beside the loss on samples; none: samples alone.
        physics_points: points of a draw, for operators that are differentiated at points; default by dimension.
        physics_norm: order of the Sobolev norm of the residual over space, for operators on grids: 0, its mean square;
            -1, on periodic axes, plays down its high frequencies; 1 stresses them.
        history: frames an operator sees that goes on in time; none: it maps inputs to the whole output.
        window: frames that it makes at once.
        unroll: windows that a training step goes through.
        pushforward: whether gradients flow through the last of them only, and it alone counts.
        residual: learn the change from the last frame.
        ensemble: number of operators trained from different seeds, for an uncertainty; it is calibrated on the
            validation part (with ``patience``, which looks at the same part, a little too narrow).
        compile: run compiled code, if there is a compiler. Measured on a CPU, compiling takes 20 to 120 seconds and
            saves 15 to 30 % of each step: it pays for runs of more than about 10,000 to 30,000 steps. With the kernels
            auto it is torch that is compiled.
        max_seconds: stop after this wall time; the result is then not reproducible.
        seed: of weights and order; same seed, same machine, same result.
        device: auto, cpu or cuda.
        precision: float32 or float64.
        kernels: triton (on a CUDA device), torch, or auto: whichever is faster there, measured once; on a CPU torch.

    Raises:
        InputError: an option is unknown, of the wrong type or out of its range.
    """

    LENGTH: ClassVar[str] = "epochs"

    epochs: Count = 200
    batch_size: Count = 16
    learning_rate: Positive = 1e-3
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    weight_decay: Annotated[float, Option(ge=0, allow_inf_nan=False)] = 1e-4
    loss: Literal["relative_l2", "h1", "mse"] = "relative_l2"
    clip: Positive | None = 1.0
    ema: Share | None = None
    patience: Count | None = None
    augment: tuple[str, ...] = ()
    resolutions: tuple[Count, ...] = ()
    physics: Positive | None = None
    physics_points: Count | None = None
    physics_norm: Literal[-1, 0, 1] = 0
    history: Count | None = None
    window: Count = 1
    unroll: Count = 1
    pushforward: bool = False
    residual: bool = False
    ensemble: Count = 1
    compile: bool = False
    max_seconds: Positive | None = None
    seed: Annotated[int, Option(ge=0, lt=2**63)] = 0
    device: str = "auto"
    precision: Literal["float32", "float64"] = "float32"
    kernels: Literal["auto", "triton", "torch"] = "auto"

    @abstractmethod
    def operator(self, signature: Signature) -> Operator:
        """Build the operator for a signature, with random weights from torch's generator."""

    def start(self, operator: Operator, data: OperatorData) -> None:
        """Initialise from the training samples, where there are any; nothing is done here."""

    def fit(
        self,
        problem: Problem | None = None,
        data: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        state: TrainState | None = None,
        score: bool = True,
    ) -> OperatorSolution:
        """Learn the operator.

        Args:
            problem: what the samples are solutions of, if known.
            data: an `OperatorData`, a mapping of its arguments, or a file; none: functions are drawn from the
                problem's inputs, and the operator is trained by the equation alone.
            callbacks: watch the training.
            state: of an earlier, interrupted fit of the same data with the same options: go on from there.
            score: whether the errors over the parts of the data are measured, and an ensemble is calibrated.

        Returns: the solution, with errors over the test part.

        Raises:
            InputError: the data do not fit this method.
            DivergenceError: the loss became NaN or infinite; ``error.solution`` holds the last good state.
        """
        started = time.perf_counter()
        data = self._data(problem, data)
        world = current_world(choose_device(self.device)[0])
        task = self._task(data, self._signature(problem, data), world)
        begun = task.begin() if state is None else task.continued(state)
        outcome = train(task, begun, Limits(task.steps, self.max_seconds), callbacks, world)
        solution = self._solution(problem, data, outcome, time.perf_counter() - started, task.notes)
        if outcome.diverged is not None:
            outcome.diverged.solution = solution
            raise outcome.diverged
        return solution.scored() if score and world.is_first else solution

    def preview(self, problem: Problem | None = None, data: Any = None) -> Preview:
        """Say what `fit` would do and refuse what it would refuse, before anything is computed.

        Raises:
            InputError: the data do not fit this method, or the device is not there.
        """
        data = self._data(problem, data)
        signature = self._signature(problem, data)
        operator = self._built(signature, self.seed)
        train, _ = self._parts(data, signature, 0)
        if isinstance(data, OperatorData):
            data.check_finite()
        self._equation(data, signature, operator)
        self._equip(operator, data)
        counts = {part: len(data.numbers(part)) for part in ("train", "validation", "test")}
        steps = self.ensemble * self.epochs * -(-len(train) // self.batch_size)
        device, notes = choose_device(self.device)
        return Preview(
            parameters=operator.parameter_count,
            points={part: count for part, count in counts.items() if count},
            exact=(),
            optimisers=(("adamw", steps),),
            device=device,
            notes=(
                *notes,
                *operator.notes,
                *data.notes,
                *strangers(problem, signature, self.physics is not None),
                *self._warnings,
            ),
        )

    def check_state(self, problem: Problem | None, state: TrainState) -> None:
        """Refuse a state that is not of these options.

        Raises:
            InputError: it is another's.
        """
        if "signature" not in state.facts:
            raise InputError(FOREIGN)
        self._members(state)

    def restore(self, problem: Problem | None, state: TrainState, summary: Mapping[str, Any]) -> OperatorSolution:
        """Rebuild the solution of a saved run from its final state and its summary.

        Raises:
            InputError: the state belongs to other options.
        """
        self.check_state(problem, state)
        members = self._members(state)
        record = Record(parameters=members[0].parameter_count, **recorded(summary))
        return OperatorSolution(problem, self, members, None, state, record, scores=summary.get("scores", {}))

    def _data(self, problem: Problem | None, data: Any) -> OperatorData | DrawnData:
        """Return the data from what a user gives, and refuse options that do not go together."""
        data = as_data(data, problem, self.kind, self.seed)
        for name in _OF_TIME:
            if self.history is None and getattr(self, name) != type(self).model_fields[name].default:
                message = "is for operators that go on in time: give the number of frames they see, 'history', too"
                raise InputError(message, (name,))
        if self.pushforward and self.unroll < 2:
            message = "needs an 'unroll' of at least 2 windows: gradients flow through the last"
            raise InputError(message, ("pushforward",))
        for name in ("physics_points", "physics_norm"):
            if getattr(self, name) and not self._weight(data):
                raise InputError("is for training by the equation: give its weight, 'physics', too", (name,))
        for name in ("augment", "resolutions"):
            if getattr(self, name) and isinstance(data, DrawnData):
                raise InputError("varies samples of a data set: functions are drawn anew in any case", (name,))
        if self.patience is not None and not len(data.numbers("validation")):
            raise InputError("needs a validation part of the data, on which it sees when to stop", ("patience",))
        return data.told(problem) if isinstance(data, OperatorData) else data

    def _signature(self, problem: Problem | None, data: OperatorData | DrawnData) -> Signature:
        return data.signature(None if self.history is None else (self.history, self.window))

    def _parts(self, data: OperatorData | DrawnData, signature: Signature, member: int) -> tuple[Any, Any]:
        """Return the training part and the validation part, or none."""
        seed, march = self.seed + member, signature.march
        varied = {"augment": self.augment, "resolutions": self.resolutions}
        train = data.part("train", march, self.unroll, seed, **{name: own for name, own in varied.items() if own})
        return train, data.part("validation", march, self.unroll, seed)

    def _task(self, data: OperatorData | DrawnData, signature: Signature, world: World) -> EnsembleTask:
        def make(member: int) -> OperatorTask:
            operator = self._built(signature, self.seed + member)
            if isinstance(data, OperatorData):
                self.start(operator, data)
            operator = operator.to(choose_device(self.device)[0])
            self._equip(operator, data)
            equation = self._equation(data, signature, operator, self.kernels)
            train, validation = self._parts(data, signature, member)
            return OperatorTask(operator, train, self._fitting(), validation, equation, world, self.compile)

        return EnsembleTask(make, self.ensemble, {"signature": signature.to_plain()})

    def _equation(
        self, data: OperatorData | DrawnData, signature: Signature, operator: Operator, kernels: KernelChoice = "torch"
    ) -> EquationTerm | None:
        """Return the equation as a loss, if it is to be one."""
        weight = self._weight(data)
        if weight is None:
            return None
        options = {"points": self.physics_points, "norm": self.physics_norm, "seed": self.seed}
        return EquationTerm.of(data, signature, operator, weight, kernels=kernels, **options)

    def _weight(self, data: OperatorData | DrawnData) -> float | None:
        """Return the weight of the equation, if it is to be a loss; of functions without outputs it is the only one."""
        return 1.0 if self.physics is None and isinstance(data, DrawnData) else self.physics

    def _built(self, signature: Signature, seed: int) -> Operator:
        """Build an operator from a seed; torch's own generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.operator(signature).to(getattr(torch, self.precision))

    def _equip(self, operator: Operator, data: OperatorData | DrawnData) -> None:
        """Give an operator the kernels that it is trained with.

        Raises:
            InputError: triton is asked for, and cannot run here, or neither operator nor equation have such kernels.
        """
        device = choose_device(self.device)[0]
        check_kernels(self.kernels, device)
        kernels = "torch" if self.kernels == "auto" and self.compile else self.kernels
        fused = operator.use_kernels(kernels, torch.device(device))
        on_grid = self._weight(data) is not None and not isinstance(operator, PointOperator)
        if kernels == "triton" and not (fused or on_grid):
            raise InputError(f"{self.kind!r} {NO_KERNELS}", ("kernels",))

    def _members(self, state: TrainState) -> tuple[Operator, ...]:
        signature, members = Signature.from_plain(state.facts["signature"]), []
        for weights in member_weights(state):
            operator = self._built(signature, self.seed)
            try:
                operator.load_state_dict(weights)
            except RuntimeError:
                raise InputError(FOREIGN) from None
            device = choose_device(self.device)[0]
            # Whatever it was trained with: it may be applied elsewhere.
            operator.use_kernels("torch" if self.kernels == "torch" else "auto", torch.device(device))
            members.append(operator.to(device).eval())
        return tuple(members)

    def _solution(
        self,
        problem: Problem | None,
        data: OperatorData | DrawnData,
        outcome: Outcome,
        seconds: float,
        notes: tuple[str, ...],
    ) -> OperatorSolution:
        members = self._members(outcome.state)
        device, own = choose_device(self.device)
        equation = self._equation(data, members[0].signature, members[0])
        record = Record(
            reason=self._ending(outcome),
            converged=outcome.diverged is None and outcome.finished,
            seconds=seconds,
            steps=outcome.state.step,
            parameters=members[0].parameter_count,
            device=device,
            precision=self.precision,
            seed=self.seed,
            residuals={} if equation is None else equation.residuals(members, self.batch_size),
            notes=(*own, *data.notes, *self._warnings, *notes),
        )
        source = data_entry(data) if isinstance(data, OperatorData) else None
        return OperatorSolution(problem, self, members, data, outcome.state, record, source=source)

    @property
    def _warnings(self) -> tuple[str, ...]:
        """What is to be said of options that go together badly."""
        return (_NARROW,) if self.ensemble > 1 and self.patience is not None else ()

    def _ending(self, outcome: Outcome) -> str:
        """Return why training ended, counted in epochs."""
        done = outcome.finished and outcome.reason.startswith("all ")
        return f"all {self.epochs} epochs done" if done else outcome.reason

    def _fitting(self) -> Fitting:
        return Fitting(
            epochs=self.epochs,
            batch=self.batch_size,
            rate=self.learning_rate,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            loss=self.loss,
            clip=self.clip,
            ema=self.ema,
            patience=self.patience,
            unroll=self.unroll,
            pushforward=self.pushforward,
        )
