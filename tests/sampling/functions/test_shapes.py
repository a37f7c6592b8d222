"""Jumping functions, series and constants: their values follow the stated distributions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy import stats
from scipy.spatial import cKDTree

from pdeml.sampling.functions import Box, Multiscale, Piecewise, Series, Uniform

UNIT = np.array([[0.0, 1.0]])
SQUARE = np.array([[0.0, 1.0], [0.0, 2.0]])
CONFIDENCE = 1e-4


def draws(distribution, count: int, over: tuple[str, ...] = ("x",), bounds: np.ndarray = UNIT) -> list:
    return [distribution.draw(np.random.default_rng((11, k)), over, bounds) for k in range(count)]


def uniform(values: np.ndarray, low: float, high: float) -> bool:
    return stats.kstest((np.ravel(values) - low) / (high - low), "uniform").pvalue > CONFIDENCE


@pytest.mark.parametrize("log", [False, True])
def test_constants_are_uniform_in_their_range(log: bool):
    values = np.array([f.at(np.zeros((1, 1)))[0] for f in draws(Uniform(range=(0.1, 10), log=log), 500)])
    assert uniform(np.log(values), np.log(0.1), np.log(10)) if log else uniform(values, 0.1, 10)


def test_blocks_are_constant_on_cells_and_independent():
    functions = draws(Piecewise(cells=(4, 3), range=(1, 2)), 60, ("x", "y"), SQUARE)
    centres = [(np.arange(4) + 0.5) / 4, (np.arange(3) + 0.5) / 1.5]
    values = np.stack([f.on_grid(centres) for f in functions])
    assert uniform(values, 1, 2)
    shifted = [axis + 0.49 * width for axis, width in zip(centres, (1 / 4, 2 / 3), strict=True)]
    assert np.array_equal(values[0], functions[0].on_grid(shifted))
    correlation = np.corrcoef(values.reshape(60, -1).T)[np.triu_indices(12, 1)] * np.sqrt(60)
    assert np.abs(correlation).max() < stats.norm.ppf(1 - CONFIDENCE / len(correlation))


def test_levels_are_chosen_equally_often():
    values = np.concatenate([f.values.ravel() for f in draws(Piecewise(cells=10, levels=(3, 12)), 100)])
    assert set(values) == {3.0, 12.0}
    assert stats.binomtest(int((values == 3).sum()), len(values)).pvalue > CONFIDENCE


def test_voronoi_cells_belong_to_the_nearest_site():
    function = draws(Piecewise(cells=6, shape="voronoi", range=(0, 1)), 1, ("x", "y"), SQUARE)[0]
    points = np.random.default_rng(0).uniform(size=(500, 2)) * [1, 2]
    values = function.at(points)
    assert len(np.unique(values)) <= 6
    nearest = cKDTree(function.sites.data * [1, 2] * [1, 0.5]).query(points * [1, 0.5])[1]
    assert np.array_equal(values, function.values[nearest])


def test_boxes_have_the_drawn_height_width_and_place():
    x = np.linspace(0, 1, 20001)
    found = []
    for function in draws(Box(), 200):
        values = function.on_grid([x])
        inside = x[values > 0]
        assert len(np.unique(values)) == 2
        found.append((values.max(), np.ptp(inside), inside.mean()))
    heights, widths, centres = np.array(found).T
    assert uniform(heights, 1, 2)
    assert uniform(widths, 0.3, 0.6)
    assert uniform(centres, 0.3, 0.7)


def test_half_ellipses_have_the_height_of_their_box():
    """√max(h² − a²(x − c)², 0) has height h, width 2 h/a and area π h²/(2 a)."""
    x = np.linspace(0, 1.2, 120_001)
    box = Box(height=(0.5, 2), width=(0.1, 0.2), center=(0.2, 0.3), ellipse={"center": (0.7, 0.8), "slope": (8, 10)})
    for function in draws(box, 20):
        values = function.on_grid([x])
        right = values[x > 0.45]
        assert right.max() == pytest.approx(values[x < 0.35].max(), rel=1e-4)
        height, slope = function.heights[0], function.slopes[0]
        assert 0.5 <= height <= 2
        assert 8 <= slope <= 10
        assert right.sum() * 1e-5 == pytest.approx(np.pi * height**2 / (2 * slope), rel=1e-3)


def test_several_boxes_add_up():
    one, three = (
        np.mean([f.on_grid([np.linspace(0, 1, 999)]).mean() for f in draws(Box(count=n), 300)]) for n in (1, 3)
    )
    # The area of a box is height times width, mean 1.5 · 0.45, standard deviation 0.18.
    assert one == pytest.approx(0.675, abs=4 * 0.18 / np.sqrt(300))
    assert three == pytest.approx(3 * 0.675, abs=4 * np.sqrt(3) * 0.18 / np.sqrt(300))


def test_chebyshev_coefficients_are_uniform_and_decay():
    functions = draws(Series(terms=12, range=(-2, 2), decay=1.5), 100, bounds=np.array([[1.0, 4.0]]))
    nodes = chebyshev.chebpts1(12)
    values = np.stack([f.on_grid([2.5 + 1.5 * nodes]) for f in functions])
    coefficients = chebyshev.chebfit(nodes, values.T, 11).T * np.maximum(1, np.arange(12)) ** 1.5
    assert uniform(coefficients, -2, 2)


@pytest.mark.parametrize("basis, at_ends", [("sine", 0), ("cosine", 1)])
def test_sine_and_cosine_series_vanish_at_the_ends(basis: str, at_ends: int):
    function = draws(Series(basis=basis, terms=9), 1)[0]
    assert np.abs(function.at(np.array([[0.0], [1.0]]), (at_ends,))).max() < 1e-11


@pytest.mark.parametrize("basis", ["fourier", "sine", "cosine"])
def test_single_terms_have_the_height_of_their_coefficient(basis: str):
    function = draws(Series(basis=basis, terms=3, range=1.0), 1, bounds=np.array([[0.0, 3.0]]))[0]
    x = np.linspace(0, 3, 1201)
    for basis_function in function.coefficients * function.bases[0].values(x):
        assert np.isfinite(basis_function).all()
    assert np.allclose(np.abs(function.coefficients * function.bases[0].values(x)).max(0), 1, rtol=0, atol=1e-12)


def test_multiscale_is_the_product_of_the_literature():
    function = draws(Multiscale(), 1, ("x", "y"))[0]
    a = function.frequencies
    assert np.all((a >= 2.0 ** np.arange(6)) & (a <= 1.5 * 2.0 ** np.arange(6)))
    x, y = np.random.default_rng(0).uniform(size=(2, 200))
    expected = np.ones(200)
    for frequency in a:
        expected *= 1 + 0.5 * np.cos(frequency * np.pi * (x + y))
        expected *= 1 + 0.5 * np.sin(frequency * np.pi * (y - 3 * x))
    assert np.allclose(function.at(np.stack([x, y], 1)), expected, rtol=1e-12)
    assert np.all(expected > 0)


def test_multiscale_frequencies_are_uniform():
    a = np.stack([f.frequencies for f in draws(Multiscale(scales=4), 200, ("x", "y"))])
    assert uniform(a / 2.0 ** np.arange(4), 1, 1.5)
