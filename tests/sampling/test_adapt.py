"""Residual-adaptive sampling: inclusion probabilities, unbiased sums, variance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.geometry import Domain
from pdeml.sampling import Points, adapt, rad_density, sample
from pdeml.sampling.adapt import inclusion

DOMAIN = Domain.box({"x": (-1, 1), "t": (0, 1)}, time="t")
CANDIDATES = sample(DOMAIN.region("interior"), 800, seed=7)


def peak(x: np.ndarray) -> np.ndarray:
    return np.exp(-200 * (x[:, 0] - 0.3) ** 2) + 0.01


def test_sums_are_unbiased():
    """Over many draws the weighted mean is that of the candidates, whatever the function."""
    density = rad_density(peak(CANDIDATES.x))
    draws = [adapt(CANDIDATES, density, 100, seed=(1, s)) for s in range(600)]
    for f in (peak, lambda x: peak(x) ** 2, lambda x: x[:, 0], lambda x: np.sin(3 * x[:, 0] + 5 * x[:, 1])):
        means = np.array([points.mean(f(points.x)) for points in draws])
        values = f(CANDIDATES.x)
        allowed = 4 * means.std() / np.sqrt(len(draws)) + 2e-4 * np.abs(values).max()
        assert abs(means.mean() - CANDIDATES.mean(values)) < allowed


def test_unweighted_sums_would_be_biased():
    density = rad_density(peak(CANDIDATES.x))
    means = [peak(adapt(CANDIDATES, density, 100, seed=s).x).mean() for s in range(50)]
    assert np.mean(means) > 2 * CANDIDATES.mean(peak(CANDIDATES.x))


def test_candidates_are_drawn_as_often_as_the_density_says():
    density = rad_density(peak(CANDIDATES.x))
    counts = np.zeros(len(CANDIDATES))
    rows = {tuple(row): k for k, row in enumerate(CANDIDATES.x)}
    draws = 400
    for s in range(draws):
        for row in adapt(CANDIDATES, density, 100, seed=s).x:
            counts[rows[tuple(row)]] += 1
    expected = inclusion(density / density.sum(), 100)
    z = (counts / draws - expected) / np.sqrt(np.maximum(expected * (1 - expected), 1e-3) / draws)
    assert np.abs(z).max() < 5
    assert np.mean(z**2) == pytest.approx(1, abs=0.3)


def test_adapted_points_estimate_a_peak_better_than_plain_ones():
    """The scatter of the mean square of a peaked residual falls against uniform draws of as many points."""
    density = rad_density(peak(CANDIDATES.x))

    def scatter(q: np.ndarray) -> float:
        values = [p.mean(peak(p.x) ** 2) for p in (adapt(CANDIDATES, q, 100, seed=s) for s in range(200))]
        return float(np.std(values))

    assert scatter(density) < 0.5 * scatter(np.ones(len(CANDIDATES)))


def test_systematic_draws_scatter_less_than_independent_ones():
    density = rad_density(peak(CANDIDATES.x))
    p = density / density.sum()
    exact = CANDIDATES.mean(CANDIDATES.x[:, 0])
    ours, independent = [], []
    for s in range(200):
        points = adapt(CANDIDATES, density, 100, seed=s)
        ours.append(points.mean(points.x[:, 0]) - exact)
        drawn = np.random.default_rng(s).choice(len(p), 100, p=p)
        weights = (1 / p[drawn]) / np.sum(1 / p[drawn])
        independent.append(weights @ CANDIDATES.x[drawn, 0] - exact)
    assert np.std(ours) < 0.4 * np.std(independent)


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 1e6)), min_size=1, max_size=60).filter(lambda q: max(q) > 1e-3),
    st.integers(1, 100),
)
@settings(max_examples=100, deadline=None)
def test_inclusion_probabilities(density: list[float], n: int):
    q = np.array(density)
    expected = inclusion(q, n)
    assert expected.sum() == pytest.approx(n)
    assert (expected[q == 0] == 0).all()
    if n < (q > 0).sum():
        assert expected.max() <= 1 + 1e-12
        free = (expected < 1 - 1e-9) & (q > 0)
        np.testing.assert_allclose(expected[free] / q[free], (expected[free] / q[free]).mean(), rtol=1e-6)


@given(st.integers(1, 64), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_no_point_comes_twice_and_weights_sum_to_one(n: int, seed: int):
    candidates = sample(DOMAIN.region("interior"), 64, seed=seed)
    points = adapt(candidates, rad_density(peak(candidates.x), k=2), n, seed=seed)
    assert len(points) == len(np.unique(points.x, axis=0)) == n
    assert points.weights.sum() == pytest.approx(1)
    assert 1 <= points.effective_size <= n + 1e-9
    if n == 64:
        np.testing.assert_allclose(points.weights, candidates.weights)


def test_more_draws_than_candidates_repeat_them_evenly():
    candidates = sample(DOMAIN.region("interior"), 10)
    points = adapt(candidates, np.ones(10), 35)
    _, counts = np.unique(points.x, axis=0, return_counts=True)
    assert set(counts) <= {3, 4}
    assert len(points) == 35


def test_same_seed_same_draw():
    density = rad_density(peak(CANDIDATES.x))
    a, b, c = (adapt(CANDIDATES, density, 50, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.x, b.x)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert not np.array_equal(a.x, c.x)


def test_weights_of_the_candidates_count():
    """Candidates with weights of their own: the mean they stand for is kept."""
    weights = np.linspace(1, 3, len(CANDIDATES))
    candidates = Points(CANDIDATES.x, weights / weights.sum())
    density = rad_density(peak(candidates.x))
    means = [p.mean(p.x[:, 1] ** 2) for p in (adapt(candidates, density, 200, seed=s) for s in range(300))]
    expected = candidates.mean(candidates.x[:, 1] ** 2)
    assert np.mean(means) == pytest.approx(expected, abs=4 * np.std(means) / np.sqrt(300) + 2e-4)


def test_normals_follow_their_points():
    candidates = sample(DOMAIN.region("boundary"), 100)
    points = adapt(candidates, np.ones(100), 20)
    np.testing.assert_array_equal(points.normals[:, 0], points.x[:, 0])


def test_rad_density():
    r = np.array([0.0, 1.0, -3.0])
    np.testing.assert_allclose(rad_density(r), np.array([0, 1, 3]) / (4 / 3) + 1)
    np.testing.assert_allclose(rad_density(r, k=2, c=0), np.array([0, 1, 9]) / (10 / 3))
    np.testing.assert_allclose(rad_density(1e200 * r, k=2), rad_density(r, k=2))
    np.testing.assert_allclose(rad_density(np.stack([r, r], axis=1)), rad_density(r))
    assert np.ptp(rad_density(np.zeros(5))) == 0
    assert (rad_density(np.zeros(5), c=0) > 0).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: rad_density([np.nan]), "not finite"),
        (lambda: rad_density([]), "empty"),
        (lambda: rad_density([1.0], c=-1), "negative"),
        (lambda: adapt(CANDIDATES, np.ones(3), 5), "800 finite numbers"),
        (lambda: adapt(CANDIDATES, -np.ones(800), 5), "finite numbers >= 0"),
        (lambda: adapt(CANDIDATES, np.full(800, np.inf), 5), "finite numbers"),
        (lambda: adapt(CANDIDATES, np.zeros(800), 5), "zero at every"),
        (lambda: adapt(CANDIDATES, np.ones(800), 0), "integer >= 1"),
    ],
)
def test_wrong_arguments_are_refused(call, message: str):
    with pytest.raises(InputError, match=message):
        call()
