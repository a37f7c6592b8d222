"""How far an operator is from samples: as the loss of a batch, and as the errors of a part.

Shapes: B (samples), C (outputs), n (points along each axis). Of an operator that goes on in time every frame counts
the same: errors are taken over space, and averaged over the frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pdeml.data.dataset import NEXT
from pdeml.data.mask import MASK
from pdeml.data.operator import Part
from pdeml.linalg.norms import Grid, inside_of, relative_error
from pdeml.nn.operator import Operator
from pdeml.nn.rollout import windows
from pdeml.train.distribution import World

__all__ = ["Misfit", "mask_of", "outputs_of", "relative_errors", "split_batch"]

Batch = Mapping[str, Tensor]
_ORDERS = {"relative_l2": 0.0, "h1": 1.0}


def split_batch(operator: Operator, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
    """Return what the operator is given, and the outputs it should give, if they are known.

    Returns: inputs by name; outputs (B, C, *n), or (B, C, frames, *space) of an operator that goes on in time.
    """
    signature = operator.signature
    names = [quantity.name for quantity in signature.outputs]
    march = signature.march
    if march is None:
        given = {name: tensor for name, tensor in batch.items() if name not in names}
        return given, torch.stack([batch[name] for name in names], 1) if names[0] in batch else None
    given = {name: tensor for name, tensor in batch.items() if not name.endswith(NEXT)}
    for quantity in signature.inputs:
        if march.time in quantity.dims:
            given[quantity.name] = batch[quantity.name + NEXT]
    return given, torch.stack([batch[name + NEXT] for name in names], 1)


def mask_of(batch: Batch) -> Tensor | None:
    """Return the mask of what an operator should give, if there is one."""
    return batch.get(MASK + NEXT, batch.get(MASK))


class Misfit:
    """The loss of an operator on samples; it keeps the grids it has seen.

    Args:
        operator: whose outputs are compared.
        kind: ``relative_l2``, ``h1`` or ``mse``; see `pdeml.train.fitting.Fitting`.
    """

    def __init__(self, operator: Operator, kind: str = "relative_l2"):
        self.signature, self.kind = operator.signature, kind
        self.scale = torch.tensor([quantity.std for quantity in self.signature.outputs])
        self._grids: dict[int, tuple[Mapping[str, Tensor], Grid]] = {}

    def __call__(self, found: Tensor, reference: Tensor, grid: Mapping[str, Tensor], mask: Tensor | None) -> Tensor:
        """Return the loss, a mean over samples.

        Args:
            found: (B, C, *n).
            reference: of the same shape.
            grid: dimension -> coordinates. Give the same mapping for the same grid: norms keep their matrices with it.
            mask: points that count, of the dimensions of the outputs or those of space; none: all.
        """
        if self.kind in _ORDERS:
            return self.errors(found, reference, grid, mask, _ORDERS[self.kind]).mean()
        error, inside = found - reference, inside_of(found, self._over_frames(mask, found))
        error = error if inside is None else torch.where(inside, error, 0.0)  # before what makes NaN of gradients
        squares = (error / self.scale.to(found).view(-1, *[1] * (found.ndim - 2))).square()
        if inside is None:
            return squares.mean()
        dims = tuple(range(2, squares.ndim))
        return (squares.sum(dims) / inside.sum(dims).clamp(min=1)).mean()

    def errors(
        self, found: Tensor, reference: Tensor, grid: Mapping[str, Tensor], mask: Tensor | None, order: float = 0.0
    ) -> Tensor:
        """Return the relative error of every sample and output, (B, C), in the Sobolev norm of an order."""
        inside = self._over_frames(mask, found)
        if self.signature.march is None:
            return relative_error(found, reference, self._grid(grid), order, inside)
        frames = found.shape[2]
        if inside is not None:  # of every frame
            inside = inside.expand(len(found), frames, *found.shape[3:]).flatten(0, 1)
        by_frame = (tensor.movedim(2, 1).flatten(0, 1) for tensor in (found, reference))
        errors = relative_error(*by_frame, self._grid(grid), order, inside)
        return errors.unflatten(0, (-1, frames)).mean(1)

    def _over_frames(self, mask: Tensor | None, values: Tensor) -> Tensor | None:
        """Give a mask of space alone the axis of frames."""
        if mask is None or self.signature.march is None or mask.ndim == values.ndim - 1:
            return mask
        return mask.unsqueeze(1)

    def _grid(self, coordinates: Mapping[str, Tensor]) -> Grid:
        key = id(coordinates)
        if key not in self._grids:
            axes = [self.signature.axis(dim) for dim in self.signature.space]
            grid = Grid(
                tuple(coordinates[axis.name] for axis in axes),
                tuple(axis.high - axis.low if axis.periodic else None for axis in axes),
            )
            self._grids[key] = coordinates, grid  # the mapping too, so that its number is not given to another
        return self._grids[key][1]


def relative_errors(
    operator: Operator, part: Part, size: int, world: World | None = None, order: float = 0.0
) -> Tensor:
    """Return the relative error of every item of a part, (items, C), in the order of the part.

    Args:
        operator: its outputs are compared with the part's; one that goes on in time goes through all frames of an item.
        part: the samples.
        size: items a batch, over all processes.
        world: the processes that share the work.
        order: of the Sobolev norm.
    """
    world = world or World()
    like = next(operator.parameters())
    grid = {name: points.to(like) for name, points in part.coordinates.items()}
    misfit, was_training = Misfit(operator), operator.training
    found = like.new_zeros(len(part), len(operator.signature.outputs))
    operator.eval()
    with torch.no_grad():
        batches = part.batches(0, size, shuffle=False, rank=world.rank, world=world.size)
        for number, batch in enumerate(batches):
            rows = torch.arange(len(part), device=like.device)[number * size : (number + 1) * size]
            rows = rows[world.rank :: world.size]
            if len(rows):
                batch = {name: tensor.to(like) for name, tensor in batch.items()}
                inputs, reference = split_batch(operator, batch)
                made = outputs_of(operator, inputs, grid, reference.shape[2])
                found[rows] = misfit.errors(made, reference, grid, mask_of(batch), order)
    operator.train(was_training)
    return world.sum(found)


def outputs_of(operator: Operator, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], frames: int) -> Tensor:
    """Apply an operator; one that goes on in time as often as so many frames (a multiple of its window) need."""
    march = operator.signature.march
    if march is None:
        return operator(inputs, grid)
    return torch.cat(list(windows(operator, inputs, grid, frames // march.window)), dim=2)
