"""Training an operator on samples: minibatches, AdamW with a schedule, averaging, early stopping on validation."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property

import torch
from torch import Tensor

from pdeml.data.operator import Part
from pdeml.errors import InputError
from pdeml.nn.operator import Operator
from pdeml.nn.rollout import windows
from pdeml.train.compiled import compile_operator, uncompiled
from pdeml.train.distribution import World
from pdeml.train.fitting import Fitting
from pdeml.train.loop import TrainState
from pdeml.train.misfit import Misfit, mask_of, relative_errors, split_batch

__all__ = ["Further", "OperatorTask"]

Values = Mapping[str, Tensor]
Further = Callable[[Operator, Values, Values, Tensor | None, int], Tensor]
"""A further loss: of the operator, its inputs, the grid, its outputs where they are known, and the step."""

_LOOK = 16
"""Steps between looks at the loss on a GPU: each look waits for all that the GPU has to do."""


_KEEP = 20
"""Fewest steps between two states that are kept in case training breaks down."""


class OperatorTask:
    """A `Trainable` around an operator. The tensors of its states are the live ones: they change with the next step.

    If training breaks down, what is kept is the state at the end of the last epoch in which all went well (of short
    epochs, of one of the last few), or, before there is one, that in which this task began.

    Args:
        operator: what is trained, on its device.
        train: the training part.
        fitting: how.
        validation: watched once an epoch, or none.
        further: a loss beside that on the samples (an equation), or none.
        world: the processes that share the work.
        compiled: whether steps run compiled code, if there is a compiler; see ``notes``.
    """

    def __init__(
        self,
        operator: Operator,
        train: Part,
        fitting: Fitting,
        validation: Part | None = None,
        further: Further | None = None,
        world: World | None = None,
        compiled: bool = False,
    ):
        if fitting.patience is not None and validation is None:
            raise InputError("stopping early needs a validation part", ("patience",))
        self.operator, self.train, self.validation, self.fitting = operator, train, validation, fitting
        self.further, self.world, self.compiled = further, world or World(), compiled
        self._refused: tuple[str, ...] = ()
        self.misfit = Misfit(operator, fitting.loss)
        self.parameters = {name: p for name, p in operator.named_parameters() if p.requires_grad}
        self.like = next(iter(self.parameters.values()))
        self.optimiser = self._optimiser()
        self.averaged = _copied(operator, self.parameters) if fitting.ema else None
        self._stream: Iterator[Values] = iter(())
        self._next = -1
        self._grids: dict[tuple, dict[str, Tensor]] = {}
        self._loss_seen: float | None = None
        self._kept: TrainState | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how the operator is computed."""
        return (*self._refused, *self.operator.notes, *getattr(self.further, "notes", ()))

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.train) // self.fitting.batch)

    @property
    def steps(self) -> int:
        """Steps of all epochs."""
        return self.fitting.epochs * self.per_epoch

    def begin(self) -> TrainState:
        """Return the state before the first step."""
        return self._begun(TrainState(0, self._live, {"best_error": None, "best_epoch": 0}))

    def continued(self, state: TrainState) -> TrainState:
        """Load a saved state, to go on from it.

        Raises:
            InputError: it is of another operator, or of other options.
        """
        own = self._live
        kept = {name: tensor for name, tensor in state.tensors.items() if not name.startswith(_BEST)}
        if kept.keys() != own.keys() or any(kept[name].shape != own[name].shape for name in own):
            raise InputError("the checkpoint does not belong to these data and these options")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(kept[name])
        return self._begun(TrainState(state.step, {**own, **_best(state)}, state.facts))

    def advance(self, state: TrainState) -> tuple[TrainState, dict[str, float], str | None]:
        """Do one step on the next batch; at the end of an epoch look at the validation part."""
        step = state.step
        ends = (step + 1) % self.per_epoch == 0
        rate = self.fitting.rate_at(step, self.steps)
        loss, norm = self._step(step, rate)
        if self._loss_seen is None or ends or self.like.device.type == "cpu" or (step + 1) % _LOOK == 0:
            self._loss_seen = loss.item()
        metrics = {"loss": self._loss_seen, "rate": rate}
        new = TrainState(step + 1, {**self._live, **_best(state)}, state.facts)
        if not ends:
            return new, metrics, None
        if norm is not None:
            metrics["gradient"] = norm.item()
        reason = None
        if self.validation is not None:
            metrics["error"] = self.validation_error()
            new, reason = self._judged(new, metrics["error"])
        if new.step - self._kept.step >= _KEEP and all(torch.isfinite(p).all() for p in self.parameters.values()):
            self._keep(new)
        return new, metrics, reason

    def best(self, state: TrainState) -> TrainState:
        """Return the state at the end of the last epoch in which all went well; the tensors of ``state`` are live."""
        return self._kept or state

    def result(self) -> Operator:
        """Return the operator to use: the average where there is one."""
        return self.operator if self.averaged is None else self.averaged

    def validation_error(self) -> float:
        """Return the mean relative L2 error of the validation part."""
        with uncompiled() if self.compiled else nullcontext():
            errors = relative_errors(self.result(), self.validation, self.fitting.batch, self.world)
        return errors.double().mean().item()

    def _step(self, step: int, rate: float) -> tuple[Tensor, Tensor | None]:
        """Do a step; return the loss before it and the norm of its gradient, if that was needed."""
        batch, grid, share = self._batch(step)
        if not self.operator.training:
            self.operator.train()
        self.optimiser.zero_grad(set_to_none=True)
        # The last batch of an epoch may be smaller: that is not worth compiling for.
        with uncompiled() if self.compiled and (step + 1) % self.per_epoch == 0 else nullcontext():
            # Where a batch has fewer samples than there are processes, some have nothing to do.
            loss = self._loss(batch, grid, step) * share if share else _nothing(self.parameters.values())
            loss.backward()
        loss = self.world.sum_gradients(self.parameters.values(), loss)
        norm = None
        if self.fitting.clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.fitting.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        if self.averaged is not None:
            with torch.no_grad():
                torch._foreach_lerp_(self._averages, list(self.parameters.values()), 1 - self.fitting.ema_at(step))
        return loss.detach(), norm

    def _loss(self, batch: Values, grid: Values, step: int) -> Tensor:
        inputs, reference = split_batch(self.operator, batch)
        found, march = None, self.operator.signature.march
        if reference is not None and march is None:
            found = self.operator(inputs, grid)
        elif reference is not None:
            made = list(windows(self.operator, inputs, grid, self.fitting.unroll, push=self.fitting.pushforward))
            if self.fitting.pushforward:
                made, reference = made[-1:], reference[:, :, -march.window :]
            found = torch.cat(made, dim=2)
        loss = 0.0 if found is None else self.misfit(found, reference, grid, mask_of(batch))
        return loss if self.further is None else loss + self.further(self.operator, inputs, grid, found, step)

    def _batch(self, step: int) -> tuple[Values, Values, float]:
        """Return what this process has of the batch of a step, its grid, and its share of the samples."""
        epoch, number = divmod(step, self.per_epoch)
        size = self.fitting.batch
        if step != self._next or number == 0:
            batches = self.train.batches(epoch, size, shuffle=True, rank=self.world.rank, world=self.world.size)
            self._stream = itertools.islice(batches, number, None)
        self._next = step + 1
        batch = next(self._stream)
        grid = self._grid(getattr(batch, "coordinates", self.train.coordinates))
        tensors = {name: tensor.to(self.like) for name, tensor in batch.items()}
        own, total = len(next(iter(tensors.values()))), min(size, len(self.train) - number * size)
        return tensors, grid, own / total

    def _grid(self, coordinates: Values) -> Values:
        """Return coordinates beside the weights: the same mapping for the same grid."""
        key = tuple((name, points.numpy().tobytes()) for name, points in coordinates.items())
        if key not in self._grids:
            self._grids[key] = {name: points.to(self.like) for name, points in coordinates.items()}
        return self._grids[key]

    def _judged(self, state: TrainState, error: float) -> tuple[TrainState, str | None]:
        """Note the error of an epoch; return whether training should end."""
        facts, epoch, patience = dict(state.facts), state.step // self.per_epoch, self.fitting.patience
        best = _best(state)
        if math.isfinite(error) and (facts["best_error"] is None or error < facts["best_error"]):
            facts |= {"best_error": error, "best_epoch": epoch}
            if patience is not None:
                best = {f"{_BEST}{name}": tensor.clone() for name, tensor in self.result().state_dict().items()}
        reason = None
        if patience is not None and epoch - facts["best_epoch"] >= patience:
            reason = f"no gain on the validation part since epoch {facts['best_epoch']}"
        return TrainState(state.step, {**state.tensors, **best}, facts), reason

    def _optimiser(self) -> torch.optim.Optimizer:
        """Return AdamW with zero moments: present from the start, so that every state holds the same tensors."""
        optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=self.fitting.rate, weight_decay=self.fitting.weight_decay, fused=True
        )
        for p in self.parameters.values():
            moments = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            optimiser.state[p] = {"step": torch.zeros((), device=p.device), **moments}
        return optimiser

    @cached_property
    def _live(self) -> dict[str, Tensor]:
        """Return everything that training needs to go on, not copied."""
        found = {f"model.{name}": tensor for name, tensor in self.operator.state_dict().items()}
        for name, p in self.parameters.items():
            for key, tensor in self.optimiser.state[p].items():
                found[f"optimiser.{name}.{key}"] = tensor
        if self.averaged is not None:
            found |= {f"ema.{name}": mean for name, mean in zip(self.parameters, self._averages, strict=True)}
        return found

    @cached_property
    def _averages(self) -> list[Tensor]:
        """Return the averages of the trained weights, in their order."""
        return [p.detach() for name, p in self.averaged.named_parameters() if name in self.parameters]

    def _begun(self, state: TrainState) -> TrainState:
        self.world.spread(self._live.values())
        if self.compiled:
            self._compile()
        self._next, self._loss_seen = -1, None
        self._keep(state)
        return state

    def _compile(self) -> None:
        batch, grid, share = self._batch(0)
        note = compile_operator(self.operator, lambda: (self._loss(batch, grid, 0) * share).backward())
        if note is not None:
            self.compiled, self._refused = False, (note,)

    def _keep(self, state: TrainState) -> None:
        best = _best(state)
        tensors = {name: tensor if name in best else tensor.clone() for name, tensor in state.tensors.items()}
        self._kept = TrainState(state.step, tensors, state.facts)


_BEST = "best."


def _best(state: TrainState) -> dict[str, Tensor]:
    """Return the best weights on validation, which are not live."""
    return {name: tensor for name, tensor in state.tensors.items() if name.startswith(_BEST)}


def _nothing(parameters: Iterable[Tensor]) -> Tensor:
    """Return a loss of zero with gradients of zero."""
    return sum(p.sum() * 0 for p in parameters)


def _copied(operator: Operator, parameters: Mapping[str, Tensor]) -> Operator:
    """Return a copy with trained weights of its own; all else, which no step changes, it shares."""
    trained = {id(p) for p in parameters.values()}
    rest = [*operator.buffers(), *(p for p in operator.parameters() if id(p) not in trained)]
    return copy.deepcopy(operator, {id(tensor): tensor for tensor in rest}).requires_grad_(False)
