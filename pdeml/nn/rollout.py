"""Applying an operator that goes on in time again and again: each window starts from the frames of the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from pdeml.nn.operator import Operator

__all__ = ["rollout", "windows"]


def windows(
    operator: Operator, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], count: int, *, push: bool = False
) -> Iterator[Tensor]:
    """Yield window after window: (B, C, window, *n).

    Args:
        operator: with a ``march``.
        inputs: under the name of each output its first ``history`` frames (B, history, *space); functions of the time
            at the times of all frames to be made (B, frames, ...); other inputs as they are.
        grid: dimension -> coordinates.
        count: number of windows.
        push: whether gradients flow through the last window only (the pushforward trick of Brandstetter, Worrall &
            Welling, *Message passing neural PDE solvers*, 2022, §3.2).
    """
    signature = operator.signature
    march = signature.march
    given = dict(inputs)
    for number in range(count):
        made = slice(number * march.window, (number + 1) * march.window)
        for quantity in signature.inputs:
            if march.time in quantity.dims:
                given[quantity.name] = inputs[quantity.name][:, made]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not (push and number < count - 1)):
            found = operator(given, grid)
        yield found
        for channel, quantity in enumerate(signature.outputs):
            seen = torch.cat([given[quantity.name], found[:, channel]], dim=1)
            given[quantity.name] = seen[:, -march.history :]


def rollout(operator: Operator, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], frames: int) -> Tensor:
    """Return the next frames, (B, C, frames, *n); see `windows`, which makes whole ones: functions of the time reach
    to the end of the last.
    """
    count = -(-frames // operator.signature.march.window)
    return torch.cat(list(windows(operator, inputs, grid, count)), dim=2)[:, :, :frames]
