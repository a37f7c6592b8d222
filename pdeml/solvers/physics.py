"""The equation as a loss beside, or in place of, that on samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.errors import InputError
from pdeml.nn.operator import Operator
from pdeml.train.drawn import DrawnData
from pdeml.train.equation import EquationLoss
from pdeml.train.misfit import split_batch
from pdeml_kernels.dispatch import KernelChoice

__all__ = ["EquationTerm"]

Values = Mapping[str, Tensor]
_EXAMPLES = 16
_CHECKED = 64
"""Samples on which the residuals of the result are measured."""
_FRESH = 2**32
"""Added to the seed of drawn functions, and to the step that points follow from: what measures was not trained on."""


@dataclass(frozen=True)
class EquationTerm:
    """``weight`` times the mean square of the scaled residuals of the equation; a `pdeml.train.operator.Further`.

    Args:
        loss: of the equation.
        weight: of this loss.
        data: what is trained on.
        seed: of training.
    """

    loss: EquationLoss
    weight: float
    data: OperatorData | DrawnData
    seed: int

    @classmethod
    def of(
        cls,
        data: OperatorData | DrawnData,
        signature: Signature,
        operator: Operator,
        weight: float,
        *,
        points: int | None = None,
        seed: int = 0,
        norm: float = 0.0,
        kernels: KernelChoice = "torch",
    ) -> EquationTerm:
        """Prepare the loss.

        Args:
            data: they know whose problem they are solutions of.
            signature: of the operator.
            operator: on its device.
            weight: of this loss.
            points: of a draw, for operators that are differentiated at points.
            seed: of these points.
            norm: order of the norm of residuals on grids; see `EquationLoss`.
            kernels: what computes residuals on grids.

        Raises:
            InputError: the equation is not known, or cannot be evaluated from what the operator is given and gives.
        """
        if signature.march is not None:
            raise InputError("the equation asks for whole outputs: leave out 'history' or 'physics'", ("physics",))
        if data.problem is None:
            raise InputError("the data do not say which equation they solve: give the 'problem' too", ("physics",))
        inputs, grid = next(_batches(operator, data.part("train"), min(len(data.numbers("train")), _EXAMPLES)))
        try:
            loss = EquationLoss.of(
                data.problem, signature, inputs, grid, points=points, seed=seed, norm=norm, kernels=kernels
            )
            with torch.no_grad():  # what it refuses of this grid it refuses here
                loss(operator, {name: values[:1] for name, values in inputs.items()}, grid)
        except InputError as error:
            if error.path[:1] == ("coordinates",):  # an option of some operators is called so too
                error.path = ("data" if isinstance(data, OperatorData) else "problem", *error.path)
            raise
        return cls(loss, weight, data, seed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the residuals are computed by."""
        return self.loss.notes

    def __call__(self, operator: Operator, inputs: Values, grid: Values, found: Tensor | None, step: int) -> Tensor:
        """Return the loss of a batch."""
        return self.weight * self.loss(operator, inputs, grid, found, step)[0]

    def residuals(self, members: Sequence[Operator], size: int) -> dict[str, float]:
        """Return the root mean square of each scaled residual, on functions not trained on where there are any.

        Args:
            members: operators; the mean over them is taken.
            size: samples of a batch.
        """
        part, squares, count = self._held_out(), {}, 0
        for number, (inputs, grid) in enumerate(_batches(members[0], part, size)):
            own = len(next(iter(inputs.values())))  # the last batch may be smaller
            for member in members:
                with torch.no_grad():
                    _, norms = self.loss(member, inputs, grid, None, _FRESH + number)
                for name, norm in norms.items():
                    squares[name] = squares.get(name, 0.0) + own * norm.item() ** 2 / len(members)
            count += own
            if count >= _CHECKED:
                break
        return {name: (total / count) ** 0.5 for name, total in squares.items()}

    def _held_out(self) -> Any:
        if isinstance(self.data, DrawnData):
            return self.data.part("train", seed=self.seed + _FRESH)
        return next(part for name in ("test", "validation", "train") if (part := self.data.part(name)) is not None)


def _batches(operator: Operator, part: Any, size: int) -> Any:
    """Yield the inputs of batches, and their grid."""
    like = next(operator.parameters())
    grid = {name: points.to(like) for name, points in part.coordinates.items()}
    for batch in part.batches(0, size, shuffle=False):
        inputs, _ = split_batch(operator, {name: tensor.to(like) for name, tensor in batch.items()})
        yield inputs, grid
