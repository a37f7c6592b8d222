"""Applying trained operators batch by batch: on grids, step after step in time, and at points.

Shapes: M (members of an ensemble), S (samples), C (outputs), n (points along each dimension), P (scattered points).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pdeml.data.signature import Signature
from pdeml.errors import InputError
from pdeml.nn.interpolate import interpolate
from pdeml.nn.operator import Operator
from pdeml.nn.rollout import rollout

__all__ = ["apply_at", "apply_on_grid", "frames_to_make", "known_frames"]

_POINTS = 2**19  # of a batch, so that what the layers hold fits into memory
_BATCH = 64

Arrays = Mapping[str, np.ndarray]


def known_frames(signature: Signature, arrays: Arrays) -> int | None:
    """Return for how many frames to be made the functions of the time are given; None where there are none."""
    march = signature.march
    sizes = [arrays[q.name].shape[1] for q in signature.inputs if march is not None and march.time in q.dims]
    return min(sizes) - march.history if march is not None and sizes else None


def frames_to_make(signature: Signature, arrays: Arrays) -> int:
    """Return how many frames follow: those of training, or those that the inputs are known for; 0 without a march.

    Raises:
        InputError: the inputs are known for none.
    """
    march = signature.march
    if march is None:
        return 0
    known = known_frames(signature, arrays)
    frames = signature.axis(march.time).size - march.history if known is None else known
    if frames < 1:
        raise InputError(f"the inputs that depend on time need more than {march.history} frames", ("inputs",))
    return frames


def apply_on_grid(
    members: Sequence[Operator], arrays: Arrays, grid: Arrays, frames: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Apply operators to samples on a grid.

    Args:
        members: of an ensemble.
        arrays: name -> (S, *n), checked.
        grid: dimension -> points.
        frames: to be made, of operators that go on in time.

    Returns: (M, S, C, *n) in float64, and the points of each of its dimensions.
    """
    signature = members[0].signature
    march = signature.march
    axes = dict(grid)
    if march is not None:
        start = signature.axis(march.time).low + march.history * march.step
        axes[march.time] = start + march.step * np.arange(frames)

    def apply(member: Operator, given: dict[str, Tensor], points: dict[str, Tensor]) -> Tensor:
        return member(given, points) if march is None else rollout(member, given, points, frames)

    each = int(np.prod([len(axes[dim]) for dim in signature.space]))
    found = _by_batches(members, _of_frames(signature, arrays, frames), grid, each, apply)
    return found, {dim: axes[dim] for dim in signature.dims}


def apply_at(members: Sequence[Operator], arrays: Arrays, grid: Arrays, points: np.ndarray, frames: int) -> np.ndarray:
    """Apply operators to samples and evaluate the outputs at points.

    Operators that are functions of the point give these values; of others the values on the grid are interpolated.

    Args:
        members: of an ensemble.
        arrays: name -> (S, *n), checked.
        grid: dimension -> points of the inputs.
        points: (P, D) in the order of the outputs' dimensions.
        frames: to be made, of operators that go on in time.

    Returns: (M, S, C, P) in float64.
    """
    signature = members[0].signature
    if signature.march is None and all(hasattr(member, "at") for member in members):
        like = next(members[0].parameters())

        def apply(member: Operator, given: dict[str, Tensor], own: dict[str, Tensor]) -> Tensor:
            return member.at(given, own, torch.from_numpy(points).to(like))

        return _by_batches(members, arrays, grid, max(len(points), 1), apply)
    found, axes = apply_on_grid(members, arrays, grid, frames)
    known = [signature.axis(dim) for dim in signature.dims]
    periods = [axis.high - axis.low if axis.periodic else None for axis in known]
    nodes = [torch.from_numpy(np.ascontiguousarray(axes[axis.name], np.float64)) for axis in known]
    return interpolate(torch.from_numpy(found), nodes, torch.from_numpy(points), periods).numpy()


def _by_batches(
    members: Sequence[Operator],
    arrays: Arrays,
    grid: Arrays,
    each: int,
    apply: Callable[[Operator, dict[str, Tensor], dict[str, Tensor]], Tensor],
) -> np.ndarray:
    like = next(members[0].parameters())
    points = {dim: _tensor(own, like) for dim, own in grid.items()}
    size, count = max(1, min(_BATCH, _POINTS // each)), len(next(iter(arrays.values())))
    found = []
    with torch.no_grad():
        for first in range(0, count, size):
            given = {name: _tensor(part[first : first + size], like) for name, part in arrays.items()}
            made = torch.stack([apply(member, given, points) for member in members])
            found.append(made.double().cpu().numpy())
    return np.concatenate(found, 1)


def _of_frames(signature: Signature, arrays: Arrays, frames: int) -> Arrays:
    """Cut functions of the time to the frames that are made."""
    march = signature.march
    if march is None:
        return arrays
    short = -frames % march.window  # the last window may reach beyond what is known
    cut = {}
    for quantity in signature.inputs:
        if march.time in quantity.dims:
            values = arrays[quantity.name][:, march.history : march.history + frames]
            cut[quantity.name] = np.concatenate([values, values[:, -1:].repeat(short, 1)], 1)
    return {**arrays, **cut}


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.require(values, requirements=["C", "W"])).to(like)  # torch warns of what is read-only
