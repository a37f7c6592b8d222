"""Calibrated bands hold what they promise, over many draws, for errors that no normal distribution describes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.errors import FileFormatError, InputError
from pdeml.linalg import Band, Calibrator

DRAWS, POINTS = 200, 25


def ensembles(count: int, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, std and truth (count, 1, POINTS) with errors that the std describes badly."""
    noise = torch.randn(count, 1, POINTS, generator=generator, dtype=torch.float64)
    std = torch.rand(count, 1, POINTS, generator=generator, dtype=torch.float64) + 0.1
    if kind == "heavy":  # Student's t with 2 degrees of freedom: no variance; neighbours share a factor
        chi = torch.randn(2, count, 1, 1, generator=generator, dtype=torch.float64).square().sum(0) / 2
        return 0 * std, std, 3 * std * noise / chi.sqrt()
    if kind == "uneven":  # the scale of the errors differs from sample to sample, the std does not know
        scale = torch.rand(count, 1, 1, generator=generator, dtype=torch.float64).exp2() ** 4
        return 0 * std, std, scale * noise * torch.linspace(0.1, 2, POINTS, dtype=torch.float64) + 0.3
    return 0 * std, std, noise * std  # the ensemble is right


def coverages(kind: str, samples: int, coverage: float, points: float | None) -> np.ndarray:
    """Return for each draw of a calibration the promised event, averaged over new samples."""
    generator = torch.Generator().manual_seed(7)
    found = []
    for _ in range(DRAWS):
        calibrator = Calibrator(coverage, points)
        calibrator.add(*ensembles(samples, kind, generator))
        held = calibrator.finish().held(*ensembles(50, kind, generator))
        found.append(float(held.mean() if points is None else (held >= points - 1e-9).double().mean()))
    return np.array(found)


@pytest.mark.parametrize("kind", ["right", "heavy", "uneven"])
@pytest.mark.parametrize("samples, coverage", [(19, 0.9), (40, 0.8)])
@pytest.mark.parametrize("points", [None, 0.8, 1.0])
def test_coverage_is_what_is_promised(kind: str, samples: int, coverage: float, points: float | None):
    found = coverages(kind, samples, coverage, points)
    slack = 3 * found.std() / math.sqrt(DRAWS)
    assert found.mean() >= coverage - slack
    if points is not None:  # and no wider than need be: ties do not occur
        assert found.mean() <= coverage + 1 / (samples + 1) + slack


def test_the_rank_is_that_of_finite_samples():
    scores = torch.arange(1.0, 20.0)[:, None, None]  # 19 samples of one point, of the scores 1 ... 19
    for coverage, expected in ((0.95, 19.0), (0.9, 18.0), (0.5, 10.0)):
        calibrator = Calibrator(coverage, 1.0)
        calibrator.add(torch.zeros_like(scores), torch.ones_like(scores), scores)
        assert calibrator.finish().factors == (expected,)


@pytest.mark.parametrize("count, coverage, outside", [(10, 0.8, 1), (19, 0.9, 1), (19, 0.95, 0), (30, 0.5, 14)])
def test_the_risk_of_points_is_that_of_finite_samples(count: int, coverage: float, outside: int):
    scores = torch.arange(1.0, count + 1)[:, None, None]
    calibrator = Calibrator(coverage, None)
    calibrator.add(torch.zeros_like(scores), torch.ones_like(scores), scores)
    assert calibrator.finish().factors[0] == pytest.approx(count - outside, rel=0.006)


def test_the_score_of_a_sample_holds_the_share_of_its_points():
    reference = torch.arange(1.0, 21.0).expand(9, 1, 20)
    for points, expected in ((1.0, 20.0), (0.95, 19.0), (0.5, 10.0), (0.01, 1.0)):
        calibrator = Calibrator(0.9, points)
        calibrator.add(torch.zeros_like(reference), torch.ones_like(reference), reference)
        assert calibrator.finish().factors == (expected,)


@pytest.mark.parametrize("points", [None, 0.9])
def test_batches_masks_and_channels(points: float | None):
    generator = torch.Generator().manual_seed(3)
    mean, std, reference = (torch.rand(30, 2, 5, 6, generator=generator) for _ in range(3))
    mask = torch.rand(30, 5, 6, generator=generator) > 0.3
    whole, parts = Calibrator(0.9, points, (0.0, 0.1)), Calibrator(0.9, points, (0.0, 0.1))
    whole.add(mean, std, reference, mask)
    spoilt = torch.where(mask[:, None], reference, torch.nan)
    for first in range(0, 30, 7):
        part = slice(first, first + 7)
        parts.add(mean[part], std[part], spoilt[part], mask[part])
    assert parts.finish() == whole.finish()
    for channel, floor in enumerate((0.0, 0.1)):
        alone = Calibrator(0.9, points, (floor,))
        one = slice(channel, channel + 1)
        alone.add(mean[:, one], std[:, one], reference[:, one], mask)
        assert alone.finish().factors[0] == whole.finish().factors[channel]


def test_limits_and_share_agree():
    generator = torch.Generator().manual_seed(3)
    mean, std, reference = (torch.rand(20, 2, 9, generator=generator, dtype=torch.float64) for _ in range(3))
    band = Band((1.0, 2.0), 0.9, None, (0.0, 0.01), 20)
    low, high = band.limits(mean, std)
    inside = ((low <= reference) & (reference <= high)).double().mean(2)
    torch.testing.assert_close(band.held(mean, std, reference), inside)


def test_where_all_members_agree_only_the_truth_is_inside():
    mean, std = torch.zeros(30, 1, 4), torch.zeros(30, 1, 4)
    reference = torch.zeros(30, 1, 4)
    calibrator = Calibrator(0.9, 1.0)
    calibrator.add(mean, std, reference)
    assert calibrator.finish().factors == (0.0,)
    reference[:, :, 2] = 1.0
    calibrator = Calibrator(0.9, 1.0)
    calibrator.add(mean, std, reference)
    band = calibrator.finish()
    assert band.factors == (math.inf,)
    assert band.limits(mean, std)[1].isinf().all()


@pytest.mark.parametrize("points", [None, 0.9])
@pytest.mark.parametrize("coverage, needed", [(0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_samples_are_refused_and_enough_are_not(points: float | None, coverage: float, needed: int):
    calibrator = Calibrator(coverage, points)
    fields = torch.rand(needed, 1, 4)
    calibrator.add(fields[1:], fields[1:] + 1, fields[1:])
    with pytest.raises(InputError, match=f"needs at least {needed} held-out samples, there are {needed - 1}"):
        calibrator.finish()
    calibrator.add(fields[:1], fields[:1] + 1, fields[:1])
    assert math.isfinite(calibrator.finish().factors[0])


def test_shares_are_checked():
    with pytest.raises(InputError, match="coverage is a share"):
        Calibrator(1.0)
    with pytest.raises(InputError, match="points is a share"):
        Calibrator(0.9, 0.0)


def test_a_band_survives_json():
    band = Band((1.5, math.inf), 0.9, 0.95, (0.0, 0.1), 40)
    assert Band.from_plain(json.loads(json.dumps(band.to_plain(), allow_nan=False))) == band
    assert "0.95 of the points" in band.promise
    assert "on average" in Band((1.5,), 0.9, None, (0.0,), 40).promise
    with pytest.raises(FileFormatError, match="damaged"):
        Band.from_plain({"factors": [1.0]})
