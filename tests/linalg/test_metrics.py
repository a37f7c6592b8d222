"""Metrics agree with the definitions of the benchmarks on hand-computed functions, however samples are batched."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.linalg import Grid, Scores, Spectrum, relative_error, squared_norm


def grid_of(*sizes: int, periodic: bool = False) -> Grid:
    axes = tuple(torch.arange(n, dtype=torch.float64) / n for n in sizes)
    return Grid(axes, (1.0 if periodic else None,) * len(sizes))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def metrics_of(error: Tensor, reference: Tensor, mask: Tensor | None = None, time: int | None = None) -> dict:
    scores = Scores(["u"], grid_of(*reference.shape[2:]), time)
    scores.add(reference + error, reference, mask)
    return scores.to_plain()["outputs"]["u"]["metrics"]


def test_a_constant_error_is_measured_alike_by_all():
    reference = torch.full((3, 1, 8, 6), 2.0, dtype=torch.float64)
    found = metrics_of(torch.full_like(reference, -0.5), reference)
    for name in ("rmse", "crmse", "brmse", "mae"):
        assert found[name] == pytest.approx(0.5)
    assert found["nrmse"] == pytest.approx(0.25)
    assert found["mse"] == pytest.approx(0.25)
    assert found["nmse"] == pytest.approx(0.25 / 4)
    assert found["well_nrmse"] == pytest.approx(0.5 / math.sqrt(4 + 1e-7), rel=1e-12)
    assert found["vrmse"] == pytest.approx(0.5 / math.sqrt(1e-7))
    assert found["frmse_low"] == pytest.approx(0.5 / 3)  # in the first of the three shells that 8 x 6 points have
    assert found["frmse_mid"] is None


@pytest.mark.parametrize("waves, band, shells", [(3, "low", 4), (4, "mid", 8), (11, "mid", 8), (12, "high", 21)])
def test_a_mode_falls_into_its_band(waves: int, band: str, shells: int):
    x = torch.arange(64, dtype=torch.float64) / 64
    error = 3 * torch.cos(2 * math.pi * waves * x)[None, None]
    found = metrics_of(error, torch.ones(1, 1, 64, dtype=torch.float64))
    for name in ("low", "mid", "high"):
        expected = 1.5 / shells if name == band else 0.0  # half the amplitude is in the mode, half in its conjugate
        assert found[f"frmse_{name}"] == pytest.approx(expected, abs=1e-12)
    assert found["rmse"] == pytest.approx(3 / math.sqrt(2))
    assert found["crmse"] == pytest.approx(0, abs=1e-12)


def test_in_a_plane_shells_are_rounded_down_and_of_non_negative_numbers():
    n = 32
    x = torch.arange(n, dtype=torch.float64) / n
    phase = 2 * math.pi * (3 * x[:, None] + 3 * x)  # |m| = 4.24: in the middle band
    against = 2 * math.pi * (3 * x[:, None] - 3 * x)  # a negative number: counted by no band
    reference = torch.ones(1, 1, n, n, dtype=torch.float64)
    found = metrics_of(torch.cos(phase)[None, None], reference)
    assert found["frmse_mid"] == pytest.approx(0.5 / 8)
    assert found["frmse_low"] == pytest.approx(0, abs=1e-12)
    found = metrics_of(torch.cos(against)[None, None], reference)
    assert found["frmse_mid"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shape", [(17,), (9, 7), (4, 5, 6)], ids=str)
@pytest.mark.parametrize("timed", [False, True])
def test_metrics_follow_their_definitions(shape: tuple[int, ...], timed: bool):
    """Against loops over samples and frames in NumPy."""
    frames = 3 if timed else 1
    error, reference = noise(5, 1, frames, *shape, seed=1).numpy(), 2 + noise(5, 1, frames, *shape, seed=2).numpy()
    pick = (lambda part: torch.from_numpy(part)) if timed else (lambda part: torch.from_numpy(part[:, :, 0]))
    found = metrics_of(pick(error), pick(reference), time=0 if timed else None)
    e, y = error[:, 0].reshape(5, frames, -1), reference[:, 0].reshape(5, frames, -1)
    rmse = np.sqrt((e**2).mean(2))
    faces = np.concatenate(
        [
            np.take(error[:, 0], end, axis).reshape(5, frames, -1)
            for axis in range(2, 2 + len(shape))
            for end in (0, -1)
        ],
        axis=2,
    )
    expected = {
        "rmse": rmse.mean(),
        "nrmse": (rmse / np.sqrt((y**2).mean(2))).mean(),
        "crmse": np.sqrt((e.mean(2) ** 2).mean(0)).mean(),
        "brmse": np.sqrt((faces**2).mean(2)).mean(),
        "well_nrmse": (rmse / np.sqrt((y**2).mean(2) + 1e-7)).mean(),
        "vrmse": (rmse / np.sqrt(y.var(2) + 1e-7)).mean(),
        "mse": (e**2).mean(),
        "mae": np.abs(e).mean(),
        "nmse": (e**2).sum() / (y**2).sum(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-10), name


def test_batches_do_not_matter_and_the_worst_sample_is_found():
    reference, error = noise(11, 2, 4, 9, seed=1), noise(11, 2, 4, 9, seed=2)
    error[7] *= 5
    found, mask, baseline = reference + error, noise(11, 4, 9, seed=3) > -1, noise(11, 2, 1, 9, seed=4)
    numbers = list(range(100, 111))
    plain = []
    for size in (11, 4, 1):
        scores = Scores(["u", "v"], grid_of(4, 9), time=0)
        for first in range(0, 11, size):
            part = slice(first, first + size)
            scores.add(found[part], reference[part], mask[part], baseline=baseline[part], numbers=numbers[part])
        assert scores.worst == 107
        assert scores.count == 11
        plain.append(scores.to_plain())
        json.dumps(plain[-1], allow_nan=False)
    unnumbered = Scores(["u", "v"], grid_of(4, 9))
    for first in range(0, 11, 4):
        unnumbered.add(found[first : first + 4], reference[first : first + 4])
    assert unnumbered.worst == 7
    for other in plain[1:]:
        torch.testing.assert_close(other, plain[0], rtol=1e-12, atol=1e-12)


def test_quantiles_are_over_samples_and_errors_those_of_the_norms():
    grid = grid_of(9, periodic=True)
    reference, error = noise(40, 1, 9, seed=1), noise(40, 1, 9, seed=2)
    scores = Scores(["u"], grid)
    scores.add(reference + error, reference)
    own = scores.to_plain()["outputs"]["u"]
    for name, order in (("relative_l2", 0.0), ("h1", 1.0)):
        each = relative_error(reference + error, reference, grid, order)[:, 0].numpy()
        expected = [each.mean(), *np.quantile(each, [0.5, 0.9, 0.95]), each.max()]
        np.testing.assert_allclose([own[name][key] for key in ("mean", "median", "q90", "q95", "worst")], expected)
    assert own["max"]["worst"] == pytest.approx(float(error.abs().max()))


def test_what_lies_outside_is_left_out():
    mask = noise(3, 6, 7, seed=3) > -0.5
    reference, error = noise(3, 1, 6, 7, seed=1), noise(3, 1, 6, 7, seed=2)
    clean = metrics_of(error.masked_fill(~mask[:, None], 0), reference, mask)
    spoilt = metrics_of(error.masked_fill(~mask[:, None], torch.nan), reference.masked_fill(~mask[:, None], 9e9), mask)
    assert spoilt == clean
    e, y = error[:, 0].numpy(), reference[:, 0].numpy()
    each = [np.sqrt((a[m] ** 2).mean() / (b[m].var() + 1e-7)) for a, b, m in zip(e, y, mask.numpy(), strict=True)]
    assert clean["vrmse"] == pytest.approx(np.mean(each), rel=1e-10)


def test_the_baseline_is_measured_like_the_prediction():
    start = noise(2, 1, 8, seed=1)
    reference = start[:, :, None] + torch.tensor([0.5, 1.0, 1.5]).double()[:, None]
    grid = grid_of(3, 8)
    scores = Scores(["u"], grid, time=0)
    scores.add(reference, reference, baseline=start[:, :, None])
    own = scores.to_plain()["outputs"]["u"]
    changes = (0.25 + 1 + 2.25) / 3
    assert own["metrics"]["baseline_nmse"] == pytest.approx(changes / float(reference.square().mean()))
    each = relative_error(start[:, :, None].expand_as(reference), reference, grid)
    assert own["baseline"] == pytest.approx(float(each.mean()))
    assert own["metrics"]["nmse"] == 0


def test_the_spectrum_of_the_error_is_averaged_over_samples_and_frames():
    x = torch.arange(12).double() / 12
    wave = torch.cos(2 * math.pi * 3 * x)
    error = torch.stack([0 * x, wave, 2 * wave])[None, None].expand(2, 1, 3, 12)
    scores = Scores(["u"], Grid((torch.arange(3).double(), x), (None, 1.0)), time=0)
    scores.add(1 + error, torch.ones_like(error))
    found = scores.to_plain()["outputs"]["u"]["spectrum"]
    assert found["k"][3] == pytest.approx(2 * math.pi * 3)
    np.testing.assert_allclose(found["error"], [0, 0, 0, 0.5 * (0 + 1 + 4) / 3, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found["reference"], [1, *[0] * 6], atol=1e-12)


def test_errors_over_time_are_those_of_each_frame():
    reference, growth = 1 + noise(4, 1, 3, 8, seed=1), torch.tensor([0.0, 1.0, 2.0]).double()[:, None]
    scores = Scores(["u"], grid_of(3, 8), time=0)
    scores.add(reference * (1 + growth), reference)
    torch.testing.assert_close(scores.over_time()["nrmse"], torch.tensor([[0.0, 1.0, 2.0]]).double())
    # The axis of time need not be the first.
    other = Scores(["u"], grid_of(8, 3), time=1)
    other.add((reference * (1 + growth)).transpose(2, 3), reference.transpose(2, 3))
    torch.testing.assert_close(other.over_time(), scores.over_time())


def test_a_diverged_sample_is_the_worst_and_json_stays_valid():
    reference = torch.ones(3, 1, 8)
    found = reference.clone()
    found[1, 0, 3] = torch.nan
    scores = Scores(["u"], grid_of(8))
    scores.add(found, reference)
    assert scores.worst == 1
    assert scores.to_plain()["outputs"]["u"]["relative_l2"]["mean"] is None
    json.dumps(scores.to_plain(), allow_nan=False)


def test_along_unequal_steps_or_time_alone_there_is_no_spectrum_of_space():
    uneven = Scores(["u"], Grid((torch.tensor([0.0, 1.0, 3.0]),), (None,)))
    uneven.add(torch.ones(1, 1, 3), torch.ones(1, 1, 3))
    assert "spectrum" not in uneven.to_plain()["outputs"]["u"]
    alone = Scores(["u"], grid_of(6), time=0)
    alone.add(torch.ones(1, 1, 6), torch.ones(1, 1, 6))
    assert "over_time" not in alone.to_plain()["outputs"]["u"]


def test_without_samples_there_is_nothing():
    assert Scores(["u"], grid_of(4)).to_plain() == {"samples": 0, "worst": None, "outputs": {}}


@pytest.mark.parametrize("periods", [(1.0, 1.0, 2.0), (None, None, None), (1.0, None, 2.0)], ids=str)
@pytest.mark.parametrize("sizes", [(9,), (8, 7), (4, 5, 6)], ids=str)
def test_the_energy_of_all_shells_is_the_mean_square(sizes: tuple[int, ...], periods: tuple):
    periods = periods[: len(sizes)]
    axes = tuple(torch.arange(n).double() / n * (p or 1.5) for n, p in zip(sizes, periods, strict=True))
    grid, values = Grid(axes, periods), noise(2, 3, *sizes)
    spectrum = Spectrum(grid)
    energy = spectrum(values)
    assert energy.shape == (2, 3, len(spectrum.wave_numbers))
    torch.testing.assert_close(energy.sum(2), squared_norm(values, grid))


@pytest.mark.parametrize("waves", [(0, 3), (4, 4), (5, 0)])
def test_a_mode_lies_in_the_shell_of_its_wave_number(waves: tuple[int, int]):
    axes = (torch.arange(16).double() / 16, torch.arange(12).double() / 12)
    phase = 2 * math.pi * (waves[0] * axes[0][:, None] + waves[1] * axes[1])
    spectrum = Spectrum(Grid(axes, (1.0, 1.0)))
    energy = spectrum(torch.cos(phase)[None, None])[0, 0]
    shell = round(math.hypot(*waves))
    assert float(energy[shell]) == pytest.approx(0.5)
    assert float(spectrum.wave_numbers[shell]) == pytest.approx(2 * math.pi * shell)
    assert spectrum.resolved == 7


def test_a_cosine_between_walls_is_one_mode():
    n, length = 20, 2.0
    x = (torch.arange(n).double() + 0.5) * (length / n)
    spectrum = Spectrum(Grid((x,), (None,)))
    energy = spectrum(torch.cos(math.pi * 3 * x / length)[None, None])[0, 0]
    shell = int(energy.argmax())
    assert float(spectrum.wave_numbers[shell]) == pytest.approx(math.pi * 3 / length)
    assert float(energy[shell]) == pytest.approx(0.5)


def test_a_spectrum_needs_equal_steps():
    with pytest.raises(InputError, match="equally spaced"):
        Spectrum(Grid((torch.tensor([0.0, 1.0, 3.0]),), (None,)))
