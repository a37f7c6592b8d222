"""Errors of operators over parts of their data, as numbers and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pdeml.data.mask import MASK
from pdeml.data.part import Part
from pdeml.data.signature import Signature
from pdeml.linalg.metrics import QUANTILES, Scores
from pdeml.linalg.norms import Grid
from pdeml.nn.operator import Operator
from pdeml.nn.rollout import rollout

__all__ = ["score", "scores_table"]

_TITLES = {"relative_l2": "relative L2", "h1": "relative H1", "max": "maximum"}


def score(members: Sequence[Operator], part: Part, *, size: int = 16) -> Scores:
    """Measure the errors of an operator over a part, on the part's own grid, which need not be that of training.

    An operator that goes on in time starts from the first frames of each sample and goes on to its last: errors are
    those of the frames it made. The baseline is the last frame that it was given, or else the mean of the outputs over
    the training samples.

    Args:
        members: one operator, or an ensemble, whose mean is the prediction.
        part: whole samples, of any number: batches come and go.
        size: samples of a batch.

    Raises:
        InputError: the grid does not fit the operator.
    """
    signature, like = members[0].signature, next(members[0].parameters())
    training = [member.training for member in members]
    grid = {name: points.to(like) for name, points in part.coordinates.items()}
    scores = _empty(signature, part.coordinates)
    for member in members:
        member.eval()
    with torch.no_grad():
        for batch in part.batches(0, size, shuffle=False):
            given, reference, baseline = _split(signature, {name: tensor.to(like) for name, tensor in batch.items()})
            found = _mean(_applied(member, given, grid, reference.shape[2]) for member in members)
            scores.add(found, reference, _whole(given.get(MASK), reference), baseline=baseline)
    for member, was in zip(members, training, strict=True):
        member.train(was)
    return scores


def scores_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the errors of several parts of the data side by side, for people to read.

    Args:
        parts: name, such as ``test`` or ``train``, -> what `Scores.to_plain` returned.
    """
    lines = [["", "", *(f"{name} ({own['samples']})" for name, own in parts.items())]]
    first = next(iter(parts.values()))
    for output, own in first["outputs"].items():
        rows = list(_rows(own))
        for number, (title, path) in enumerate(rows):
            cells = [_text(part["outputs"][output], path) for part in parts.values()]
            lines.append([output if number == 0 else "", title, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _rows(own: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the title of each row, and where its number stands."""
    for key, title in _TITLES.items():
        yield f"{title}, mean", (key, "mean")
        for name, level in QUANTILES.items():
            if key == "relative_l2":
                yield f"{title}, {100 * level:g} %", (key, name)
        yield f"{title}, worst", (key, "worst")
    if "baseline" in own:
        yield "relative L2 of the trivial", ("baseline",)
    for key in own["metrics"]:
        yield key, ("metrics", key)


def _text(own: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = own
    for key in path:
        value = None if value is None else value.get(key)
    return "-" if value is None else f"{value:.2e}"


def _split(signature: Signature, batch: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return what the operator is given, what it should give (B, C, *n), and what a trivial prediction gives."""
    names = [quantity.name for quantity in signature.outputs]
    given = {name: tensor for name, tensor in batch.items() if name not in names}
    whole, march = torch.stack([batch[name] for name in names], 1), signature.march
    if march is None:
        means = whole.new_tensor([quantity.mean for quantity in signature.outputs])
        return given, whole, means.reshape(-1, *[1] * (whole.ndim - 2))
    given |= {name: batch[name][:, : march.history] for name in names}
    for quantity in signature.inputs:
        if march.time in quantity.dims:
            given[quantity.name] = batch[quantity.name][:, march.history :]
    return given, whole[:, :, march.history :], whole[:, :, march.history - 1 : march.history]


def _applied(operator: Operator, given: Mapping[str, Tensor], grid: Mapping[str, Tensor], frames: int) -> Tensor:
    march = operator.signature.march
    if march is None:
        return operator(given, grid)
    short = -frames % march.window  # the last window may reach beyond what is known of functions of the time
    longer = {
        quantity.name: torch.cat([given[quantity.name], given[quantity.name][:, -1:].repeat_interleave(short, 1)], 1)
        for quantity in operator.signature.inputs
        if march.time in quantity.dims
    }
    return rollout(operator, {**given, **longer}, grid, frames)


def _mean(found: Iterator[Tensor]) -> Tensor:
    parts = list(found)
    return parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)


def _empty(signature: Signature, coordinates: Mapping[str, Tensor]) -> Scores:
    """Return scores of no samples; of times the last ones are those of the frames that are made."""
    axes, march = [signature.axis(dim) for dim in signature.dims], signature.march
    made = {} if march is None else {march.time: slice(march.history, None)}
    points = tuple(coordinates[axis.name][made.get(axis.name, slice(None))] for axis in axes)
    grid = Grid(points, tuple(axis.high - axis.low if axis.periodic else None for axis in axes))
    name = "t" if march is None else march.time
    time = signature.dims.index(name) if name in signature.dims else None
    return Scores([quantity.name for quantity in signature.outputs], grid, time)


def _whole(mask: Tensor | None, reference: Tensor) -> Tensor | None:
    """Give a mask of some of the last dimensions, (B, ...), all of them."""
    if mask is None:
        return None
    shape = (len(mask), *[1] * (reference.ndim - 1 - mask.ndim), *mask.shape[1:])
    return mask.reshape(shape).expand(-1, *reference.shape[2:])
