"""How far an ensemble may be trusted: bands calibrated on held-out samples, their coverage measured on test samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pdeml.data.operator import OperatorData, Part
from pdeml.errors import InputError
from pdeml.linalg.conformal import Band, Calibrator
from pdeml.nn.operator import Operator
from pdeml.train.misfit import mask_of, outputs_of, split_batch

__all__ = ["calibrate", "calibrated"]

POINTS = 0.95
"""Of the band for points: the share of points that it holds on average; of that for functions: of each it holds."""
FUNCTIONS = 0.9
"""Of the band for functions: how often it holds so many points of a new function."""
_TWO_SIDED = 1.96  # standard deviations on both sides that hold 95 % of a normal distribution
_FLOOR = 0.1  # of the band's standard deviation, in units of its root mean square over training samples
_FEW = 64  # training samples that the floor comes from


def calibrate(members: Sequence[Operator], data: OperatorData, size: int = 16) -> dict[str, Any] | None:
    """Calibrate the spread of an ensemble on the validation part, and measure what that is worth on the test part.

    Members are not trained on the validation part. If its errors also ended their training (``patience``), the bands
    are a little too narrow; the coverage that is measured on the test part is honest in any case. See
    `pdeml.linalg.conformal.Calibrator` for the bands and what they promise.

    Args:
        members: at least two.
        data: with a validation part.
        size: samples of a batch.

    Returns: plain values: ``point`` and ``function``, each a `Band` with its ``promise`` and the ``measured`` coverage,
        output -> share; None if there are too few members or held-out samples for any band.
    """
    march = members[0].signature.march
    parts = {name: data.part(name, march, unroll=None) for name in ("validation", "test")}
    if len(members) < 2 or parts["validation"] is None:
        return None
    floor = _floor(members, data.part("train", march, unroll=None, most=_FEW), size)
    found = {}
    for name, options in {"point": (POINTS, None), "function": (FUNCTIONS, POINTS)}.items():
        band = _band(members, parts["validation"], Calibrator(*options, floor), size)
        if band is not None:
            found[name] = {**band.to_plain(), "promise": band.promise}
            if parts["test"] is not None:
                found[name]["measured"] = _coverage(members, parts["test"], band, size)
    return found or None


def calibrated(calibration: Mapping[str, Any] | None, std: Tensor) -> Tensor:
    """Return a standard deviation (B, C, *n) such that ±1.96 of it hold 95 % of the points, as far as that is known.

    Args:
        calibration: of `calibrate`.
        std: of the members.
    """
    if calibration is None or "point" not in calibration:
        return std
    plain = {key: value for key, value in calibration["point"].items() if key not in ("promise", "measured")}
    lower, upper = Band.from_plain(plain).limits(torch.zeros_like(std), std)
    return (upper - lower) / (2 * _TWO_SIDED)


def _band(members: Sequence[Operator], part: Part, calibrator: Calibrator, size: int) -> Band | None:
    for mean, std, reference, mask in _predicted(members, part, size):
        calibrator.add(mean, std, reference, mask)
    try:
        return calibrator.finish()
    except InputError:  # too few samples for this coverage
        return None


def _coverage(members: Sequence[Operator], part: Part, band: Band, size: int) -> dict[str, float]:
    """Return output -> share of points that the band holds; of a band for functions, how often it holds enough."""
    held = torch.cat([band.held(*batch) for batch in _predicted(members, part, size)])
    if band.points is not None:
        held = (held >= band.points - 1e-9).double()
    names = [quantity.name for quantity in members[0].signature.outputs]
    return dict(zip(names, held.mean(0).tolist(), strict=True))


def _floor(members: Sequence[Operator], part: Part, size: int) -> tuple[float, ...]:
    total, count = 0.0, 0
    for _, std, _, _ in _predicted(members, part, size):
        total, count = total + std.double().square().flatten(2).mean(2).sum(0), count + len(std)
    return tuple((_FLOOR * (total / count).sqrt()).tolist())


def _predicted(
    members: Sequence[Operator], part: Part, size: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Yield mean, standard deviation and reference of batches, (B, C, *n) each, and the mask."""
    like = next(members[0].parameters())
    grid = {name: points.to(like) for name, points in part.coordinates.items()}
    for batch in part.batches(0, size, shuffle=False):
        moved = {name: tensor.to(like) for name, tensor in batch.items()}
        inputs, reference = split_batch(members[0], moved)
        with torch.no_grad():
            found = torch.stack([outputs_of(member, inputs, grid, reference.shape[2]) for member in members])
        mask = mask_of(moved)
        if mask is not None and mask.ndim < reference.ndim - 1:  # of space alone, of an operator that goes on in time
            mask = mask.unsqueeze(1).expand(-1, *reference.shape[2:])
        yield found.mean(0), found.std(0), reference, mask
