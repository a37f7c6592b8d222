"""Norms agree with closed forms on single Fourier modes, with the norms of fields, and serve as losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.field.norms import derivative as derivative_in_numpy
from pdeml.field.norms import error_norms
from pdeml.linalg import Grid, published_h1, relative_error, squared_norm
from pdeml.linalg.norms import derivative

ORDERS = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]


def torus(*axes: tuple[int, float]) -> Grid:
    """Return a periodic grid from (points, period) of each axis."""
    return Grid(
        tuple(torch.arange(n, dtype=torch.float64) * (period / n) for n, period in axes),
        tuple(period for _, period in axes),
    )


def box(*axes: tuple[int, float], stretch: float = 0.0) -> Grid:
    """Return a grid with both ends from (points, length) of each axis."""
    parts = (torch.linspace(0, 1, n, dtype=torch.float64) for n, _ in axes)
    parts = [part + stretch * torch.sin(math.pi * part) for part in parts]
    return Grid(tuple(part * length for part, (_, length) in zip(parts, axes, strict=True)), (None,) * len(axes))


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("waves", [1, 4, 16])
@pytest.mark.parametrize("n, period", [(64, 1.0), (49, 2.5)])
def test_a_fourier_mode_has_the_norm_of_theory(order: float, waves: int, n: int, period: float):
    grid = torus((n, period))
    k = 2 * math.pi * waves / period
    found = squared_norm(3 * torch.sin(k * grid.axes[0])[None, None], grid, order)
    assert float(found) == pytest.approx(4.5 * (1 + k**2) ** order, rel=1e-10)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", [(12, 15), (9, 16)], ids=str)
def test_every_direction_counts_in_its_own_units(order: float, sizes: tuple[int, int]):
    grid = torus((sizes[0], 2.0), (sizes[1], 0.5))
    k = (2 * math.pi * 3 / 2.0, 2 * math.pi * 5 / 0.5)
    values = torch.cos(k[0] * grid.axes[0][:, None] - k[1] * grid.axes[1])[None, None]
    expected = 0.5 * (1 + k[0] ** 2 + k[1] ** 2) ** order
    assert float(squared_norm(values, grid, order)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_the_saw_tooth_counts_with_its_full_frequency(order: float):
    grid, n = torus((8, 1.0)), 8
    saw = (1 - 2 * (torch.arange(n) % 2)).double()[None, None]
    assert float(squared_norm(saw, grid, order)) == pytest.approx((1 + (math.pi * n) ** 2) ** order, rel=1e-12)


def test_along_mixed_axes_the_h1_norm_is_the_sum_of_its_parts():
    waves, n = 2, 33
    grid = Grid((torch.linspace(0, 2, n, dtype=torch.float64), torch.arange(16).double() * (3.0 / 16)), (None, 3.0))
    k = 2 * math.pi * waves / 3.0
    p = grid.axes[0] ** 3  # differences are exact for it
    values = p[:, None] * torch.sin(k * grid.axes[1])
    expected = 0.5 * ((1 + k**2) * p.square().mean() + (3 * grid.axes[0] ** 2).square().mean())
    assert float(squared_norm(values[None, None], grid, 1.0)) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("shape", [(1,), (2,), (4,), (11,), (7, 9), (4, 5, 6)], ids=str)
@pytest.mark.parametrize("stretch", [0.0, 0.1])
@pytest.mark.parametrize("holes", [False, True])
def test_errors_are_those_of_fields(shape: tuple[int, ...], stretch: float, holes: bool):
    grid = box(*((n, 1.0 + axis) for axis, n in enumerate(shape)), stretch=stretch)
    found, reference = noise(2, 1, *shape, seed=1), noise(2, 1, *shape, seed=2)
    mask = noise(2, *shape, seed=3) > -0.5 if holes else None
    inside = None if mask is None else mask.numpy()
    for sample in range(2):
        own = None if inside is None else inside[sample]
        axes = [(axis, points) for axis, points in enumerate(grid.points)]
        if own is not None and not own.any():
            continue
        expected = error_norms(found[sample, 0].numpy(), reference[sample, 0].numpy(), own, axes)
        l2, h1 = (relative_error(found, reference, grid, order, mask)[sample] for order in (0.0, 1.0))
        assert float(l2) == pytest.approx(expected.relative_l2, rel=1e-12)
        assert float(h1) == pytest.approx(expected.h1, rel=1e-12)


@pytest.mark.parametrize("n", [6, 1500])
@pytest.mark.parametrize("periodic", [False, True])
def test_derivatives_are_those_of_fields(n: int, periodic: bool):
    grid = torus((n, 2.0)) if periodic else box((n, 2.0))
    values = noise(1, 1, n)
    if periodic:  # continue by hand
        index = np.arange(-4, n + 4)
        points = index * (2.0 / n)
        expected = derivative_in_numpy(values[0, 0].numpy()[index % n], points, 0)[4:-4]
    else:
        expected = derivative_in_numpy(values[0, 0].numpy(), grid.points[0], 0)
    everywhere = torch.ones(n, dtype=torch.bool)
    for mask in (None, everywhere):
        np.testing.assert_allclose(derivative(values, grid, 0, mask)[0, 0], expected, rtol=1e-9, atol=1e-9 * n)


@pytest.mark.parametrize("periods", [(None, None), (1.0, None), (1.0, 1.0)], ids=["box", "mixed", "torus"])
def test_what_is_left_out_does_not_matter(periods: tuple):
    n = 12
    grid = Grid(tuple(torch.arange(n, dtype=torch.float64) / n for _ in range(2)), periods)
    mask = torch.ones(n, n, dtype=torch.bool)
    mask[3:6, 4:9] = mask[9, 2] = False
    found, reference = noise(2, 3, n, n, seed=1), noise(2, 3, n, n, seed=2)
    spoilt = torch.where(mask, found, torch.nan).requires_grad_()
    for order in (0.0, 1.0):
        error = relative_error(spoilt, reference.masked_fill(~mask, torch.inf), grid, order, mask)
        torch.testing.assert_close(error, relative_error(found, reference, grid, order, mask.expand(2, n, n)))
        (gradient,) = torch.autograd.grad(error.sum(), spoilt)
        assert gradient.isfinite().all()
        assert (gradient[..., ~mask] == 0).all()


def test_of_a_whole_torus_the_masked_norm_converges_to_that_by_modes():
    sizes, errors = [16, 32, 64], []
    for n in sizes:
        grid = torus((n, 2.0), (n, 1.0))
        values = (torch.sin(math.pi * grid.axes[0])[:, None] * torch.cos(2 * math.pi * grid.axes[1]))[None, None]
        everywhere = torch.ones(n, n, dtype=torch.bool)
        exact = float(squared_norm(values, grid, 1.0))
        errors.append(abs(float(squared_norm(values, grid, 1.0, everywhere)) / exact - 1))
    assert -np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("grid", [torus((6, 1.0), (5, 2.0)), box((6, 1.0), (5, 2.0))], ids=["torus", "box"])
@pytest.mark.parametrize("order", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_right(grid: Grid, order: float, masked: bool):
    mask = noise(6, 5, seed=4) > -0.8 if masked else None
    found, reference = noise(2, 2, 6, 5, seed=1).requires_grad_(), noise(2, 2, 6, 5, seed=2)
    if order < 0 and (masked or None in grid.periods):
        with pytest.raises(InputError, match="order 0 and 1"):
            relative_error(found, reference, grid, order, mask)
        return
    assert torch.autograd.gradcheck(lambda part: relative_error(part, reference, grid, order, mask), found)


@pytest.mark.parametrize("order", [0.0, 1.0])
def test_a_loss_that_is_zero_has_the_gradient_zero(order: float):
    grid = torus((8, 1.0))
    found = noise(1, 1, 8).requires_grad_()
    error = relative_error(found, found.detach().clone(), grid, order)
    (gradient,) = torch.autograd.grad(error.sum(), found)
    assert float(error.detach()) == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e30])
def test_units_do_not_matter_in_single_precision(factor: float):
    grid = torus((16, 1.0))
    found, reference = (noise(2, 2, 16, seed=seed, dtype=torch.float32) for seed in (1, 2))
    expected = relative_error(found, reference, grid, 1.0)
    torch.testing.assert_close(relative_error(found * factor, reference * factor, grid, 1.0), expected)


def test_where_the_reference_vanishes_the_error_is_absolute():
    grid = box((5, 1.0))
    reference = torch.zeros(1, 2, 5)
    reference[:, 1] = 2.0
    error = relative_error(reference + 0.5, reference, grid)
    torch.testing.assert_close(error, torch.tensor([[0.5, 0.25]]))


def test_a_sample_with_no_points_costs_nothing():
    grid = box((5, 1.0))
    found = noise(2, 1, 5).requires_grad_()
    mask = torch.tensor([[False] * 5, [True] * 5])
    error = relative_error(found, torch.ones(2, 1, 5).double(), grid, 1.0, mask)
    (gradient,) = torch.autograd.grad(error.sum(), found)
    assert float(error.detach()[0]) == 0
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype):
    grid = torus((10, 1.0))
    found, reference = noise(1, 1, 10, seed=1).to(dtype), noise(1, 1, 10, seed=2).to(dtype)
    half = relative_error(found, reference, grid, 1.0)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, relative_error(found.float(), reference.float(), grid, 1.0), rtol=1e-2, atol=0)


def test_a_grid_used_in_an_evaluation_serves_in_training():
    for grid in (torus((10, 1.0)), box((10, 1.0))):
        found, reference = noise(1, 1, 10, seed=1), noise(1, 1, 10, seed=2)
        with torch.inference_mode():
            relative_error(found, reference, grid, 1.0)
        relative_error(found.requires_grad_(), reference, grid, 1.0).sum().backward()
        assert found.grad is not None


def test_fine_grids_may_be_rounded_to_single_precision():
    n = 2**17
    grid = Grid((torch.arange(n).float() / n + 7,), (1.0,))
    wave = torch.sin(2 * math.pi * torch.arange(n, dtype=torch.float64) / n)[None, None]
    assert squared_norm(wave, grid, 1.0).item() == pytest.approx((1 + 4 * math.pi**2) / 2, rel=1e-9)


def test_grids_and_orders_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="is the end point"):
        Grid((torch.linspace(0, 1, 9),), (1.0,))
    with pytest.raises(InputError, match=r"between -2 and 2, got 2\.5"):
        squared_norm(torch.ones(1, 1, 4), torus((4, 1.0)), 2.5)


def published_by_hand(found: np.ndarray, reference: np.ndarray) -> float:
    """Follow the published definition term by term."""
    counted = [np.fft.fftfreq(n, 1 / n) for n in found.shape]
    counted = [np.where(np.abs(k) < 20, k, 0) for k in counted]
    weight = np.sqrt(1 + counted[0][:, None] ** 2 + counted[1] ** 2)
    size, error = (np.linalg.norm(weight * np.fft.fft2(part)) for part in (reference, found - reference))
    return error / size


@pytest.mark.parametrize("shape", [(64, 64), (41, 50)], ids=str)
def test_the_published_h1_is_that_of_its_definition(shape: tuple[int, int]):
    found, reference = noise(2, 2, *shape, seed=1), noise(2, 2, *shape, seed=2)
    by_hand = [
        [published_by_hand(*pair) for pair in zip(*rows, strict=True)]
        for rows in zip(found.numpy(), reference.numpy(), strict=True)
    ]
    np.testing.assert_allclose(published_h1(found, reference), by_hand, rtol=1e-12)


def test_the_published_h1_forgets_high_frequencies():
    x = torch.arange(64, dtype=torch.float64) / 64
    reference = torch.ones(1, 1, 64, 64, dtype=torch.float64)
    for waves, expected in ((3, math.sqrt(10 / 2)), (19, math.sqrt(362 / 2)), (20, math.sqrt(1 / 2))):
        error = torch.cos(2 * math.pi * waves * x).expand(64, 64)
        assert float(published_h1(reference + error, reference)) == pytest.approx(expected, rel=1e-12)
