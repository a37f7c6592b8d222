"""Samplers: exact counts, reproducibility, uniform density, order of integration."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.geometry import Disk, Domain, Rectangle
from pdeml.sampling import METHODS, Points, default_count, sample

SQUARE = Domain.box({"x": (0, 1), "y": (0, 1)})
HOLE = Domain.over(Rectangle(x=(0, 1), y=(0, 1)) - Disk((0.5, 0.5), 0.4), {"t": (0, 2)})
LENS = Domain.over(Disk((0, 0), 1, "a") & Disk((1, 0), 1, "b"))
RANDOM = [m for m in METHODS if m != "grid"]


@pytest.mark.parametrize("method", RANDOM)
@pytest.mark.parametrize("n", [1, 2, 7, 100, 1000, 1025])
@pytest.mark.parametrize("region", [SQUARE.region("interior"), HOLE.region("interior"), LENS.region("boundary.a")])
def test_exactly_n_points_and_weights_of_sum_one(method: str, n: int, region):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = sample(region, n, method, seed=1)
    assert points.x.shape[0] == len(points) == n
    assert points.weights.sum() == pytest.approx(1)
    assert points.effective_size == pytest.approx(n)


@pytest.mark.parametrize("method", RANDOM)
def test_same_seed_same_points(method: str):
    region = HOLE.region("interior")
    first = sample(region, 100, method, seed=(3, 1)).x
    np.random.seed(5)  # noqa: NPY002 - the global generator must not matter
    np.testing.assert_array_equal(first, sample(region, 100, method, seed=(3, 1)).x)
    assert not np.array_equal(first, sample(region, 100, method, seed=(3, 2)).x)
    assert not np.array_equal(first, sample(region, 100, method, seed=3).x)


@pytest.mark.parametrize("method", ["sobol", "halton", "uniform"])
@pytest.mark.parametrize("region", [SQUARE.region("interior"), HOLE.region("interior"), HOLE.region("boundary")])
def test_fewer_points_are_the_first_of_more(method: str, region):
    more = sample(region, 777, method, seed=2).x
    np.testing.assert_array_equal(more[:100], sample(region, 100, method, seed=2).x)


@pytest.mark.parametrize("method", METHODS)
def test_density_is_uniform(method: str):
    """Means over a square with a hole against means over the square and the disk."""
    points = sample(HOLE.region("interior"), 20_000, method)
    disk = np.pi * 0.16
    expected_xx = (1 / 3 - disk * (0.25 + 0.16 / 4)) / (1 - disk)
    assert points.mean(points.x[:, 0] ** 2) == pytest.approx(expected_xx, abs=6e-3)
    assert points.mean(points.x[:, 2]) == pytest.approx(1, abs=1.5e-2)


def error_slope(region, method: str, exact: float) -> float:
    def f(x: np.ndarray) -> np.ndarray:
        return np.prod(np.exp(x[:, :2]), axis=1)

    counts = [2**k for k in range(5, 13)]
    errors = [
        np.sqrt(np.mean([(f(sample(region, n, method, seed=s).x).mean() - exact) ** 2 for s in range(12)]))
        for n in counts
    ]
    return float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def test_orders_of_integration():
    """Errors fall like N^-1/2 for uniform points; for scrambled Sobol points the mean square like N^-3.

    That mean square is made by rare draws, so that a few seeds show -1.5 or a steeper slope.
    """
    exact = (np.e - 1) ** 2
    region = SQUARE.region("interior")
    assert error_slope(region, "uniform", exact) == pytest.approx(-0.5, abs=0.15)
    assert error_slope(region, "sobol", exact) < -1.3
    assert error_slope(region, "latin", exact) < -0.4
    assert error_slope(region, "halton", exact) < -0.75


def test_rejection_keeps_low_discrepancy():
    """Inside a lens cut from a box an indicator is integrated, for which N^-3/4 is expected in the plane."""
    region = LENS.region("interior")
    reference = sample(region, 2**18, "sobol", seed=99).x
    exact = float(np.prod(np.exp(reference), axis=1).mean())
    assert error_slope(region, "sobol", exact) < -0.65
    assert error_slope(region, "uniform", exact) > -0.65


@pytest.mark.parametrize("n", [1, 10, 64, 100, 1000])
@pytest.mark.parametrize("on", ["interior", "boundary", {"x": 0.5}, {"x": 0.5, "y": 0.5}])
def test_grid_is_a_tensor_grid_of_about_n(n: int, on):
    region = SQUARE.region(on)
    points = sample(region, n, "grid")
    if region.dimension == 0:
        assert len(points) == 1
        return
    assert len(points) == pytest.approx(n, rel=0.1, abs=len(region.parts))
    if on == "interior" and n > 1:
        assert len(np.unique(points.x[:, 0])) * len(np.unique(points.x[:, 1])) == len(points)
    np.testing.assert_array_equal(points.x, sample(region, n, "grid", seed=9).x)


def test_grid_on_a_boundary_repeats_no_point():
    region = Domain.box({"x": (0, 1), "t": (0, 1)}, time="t").region("boundary")
    points = sample(region, 100, "grid")
    assert len(np.unique(points.x, axis=0)) == len(points) == 100
    assert points.normals.shape == (100, 1)


@pytest.mark.parametrize("method", METHODS)
def test_flux_through_a_boundary(method: str):
    """The mean of x.n over the boundary, times its measure, is d times the volume."""
    steady = Domain.over(Rectangle(x=(0, 1), y=(0, 1)) - Disk((0, 0), 0.5)).region("boundary")
    points = sample(steady, 4000, method)
    flux = steady.measure * points.mean((points.x * points.normals).sum(axis=1))
    assert flux == pytest.approx(2 * (1 - np.pi / 16), abs=0.06 if method == "uniform" else 0.02)


def test_grid_on_a_cut_region_has_about_n_points():
    assert len(sample(HOLE.region("interior"), 5000, "grid")) == pytest.approx(5000, rel=0.1)


def test_two_ends_get_one_point_each():
    points = sample(Domain.box({"x": (0, 1)}).region("boundary"), 2)
    assert sorted(points.x[:, 0]) == [0, 1]
    np.testing.assert_array_equal(points.normals[:, 0], 2 * points.x[:, 0] - 1)


def test_interior_points_are_not_on_the_boundary():
    points = sample(SQUARE.region("interior"), 2**14)
    assert (SQUARE.space.signed_distance(points.x) < 0).all()


@given(st.integers(1, 6), st.integers(1, 300), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_boxes_of_any_dimension(dimension: int, n: int, seed: int):
    domain = Domain.box({f"x{k}": (-k - 1, k + 1) for k in range(dimension)})
    for on in ("interior", "boundary"):
        points = sample(domain.region(on), n, seed=seed)
        assert points.x.shape == (n, dimension)
        assert domain.contains(points.x).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n": 0}, "integer >= 1"),
        ({"n": 1.5}, "integer >= 1"),
        ({"n": True}, "integer >= 1"),
        ({"n": 4, "method": "sobel"}, "did you mean 'sobol'"),
        ({"n": 4, "seed": -1}, "seed"),
        ({"n": 4, "seed": None}, "seed"),
        ({"n": 4, "seed": 0.5}, "seed"),
        ({"n": 4, "seed": ()}, "seed"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, message: str):
    with pytest.raises(InputError, match=message):
        sample(SQUARE.region("interior"), **arguments)


def test_joined_points_stand_for_their_shares():
    left = sample(SQUARE.region("boundary.left"), 10)
    top = sample(SQUARE.region("boundary.top"), 30)
    joined = Points.concatenate([left, top])
    assert joined.weights.sum() == pytest.approx(1)
    assert np.ptp(joined.weights) == pytest.approx(0)
    assert joined.normals.shape == (40, 2)
    by_measure = Points.concatenate([left, top], shares=[1, 1])
    assert by_measure.weights[:10].sum() == pytest.approx(0.5)
    assert Points.concatenate([left, sample(SQUARE.region("interior"), 5)]).normals is None
    with pytest.raises(InputError, match="no point sets"):
        Points.concatenate([])
    with pytest.raises(InputError, match="shares"):
        Points.concatenate([left, top], shares=[-1, 1])


def test_default_counts_grow_with_what_they_must_determine():
    time_dependent = Domain.box({"x": (0, 1), "t": (0, 1)}, time="t")
    inside, initial = time_dependent.region("interior"), time_dependent.region("initial")
    assert default_count(inside) > default_count(initial) > 1
    assert default_count(time_dependent.region({"x": 0, "t": 0})) == 1
    assert default_count(Domain.box({"x": (0, 1)}).region("boundary")) == 2
    assert default_count(inside, size=10_000) == 11_000
    assert default_count(inside, size=10_000, residuals=3) * 3 == pytest.approx(11_000, rel=1e-3)
    assert default_count(inside, size=10) == 500
    for bad in ({"residuals": 0}, {"size": -1}):
        with pytest.raises(InputError, match="default_count"):
            default_count(inside, **bad)
