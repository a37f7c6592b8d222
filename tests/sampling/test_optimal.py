"""Optimal points: densities, determinantal probabilities, unbiased least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import legendre

from pdeml.errors import InputError
from pdeml.sampling import OPTIMAL, Points, adapt, choose, christoffel

POOL = (np.arange(2000) + 0.5) / 1000 - 1


def polynomials(m: int, x: np.ndarray = POOL) -> np.ndarray:
    """Legendre polynomials, orthonormal for the uniform measure on [-1, 1]."""
    return legendre.legvander(x, m - 1) * np.sqrt(2 * np.arange(m) + 1)


def least_squares(features: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    root = np.sqrt(weights)
    return np.linalg.lstsq(root[:, None] * features, root * values, rcond=None)[0]


def test_density_of_polynomials_is_known():
    phi = polynomials(8)
    np.testing.assert_allclose(christoffel(phi), np.sum(phi**2, axis=1) / 8, rtol=1e-3)
    assert christoffel(phi).mean() == pytest.approx(1, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 3))
def test_density_does_not_depend_on_the_basis(seed: int, m: int, copies: int):
    rng = np.random.default_rng(seed)
    phi, measure = rng.standard_normal((30, m)), rng.random(30)
    mixed = phi @ (rng.standard_normal((m, m)) + 3 * np.eye(m))
    again = np.concatenate([mixed, phi[:, :1].repeat(copies, 1), np.zeros((30, 1))], axis=1)
    np.testing.assert_allclose(christoffel(again, measure), christoffel(phi, measure), rtol=1e-6)
    assert choose(again, 12, measure=measure).rank == m
    gram = np.linalg.inv((phi * (measure / measure.sum())[:, None]).T @ phi)
    np.testing.assert_allclose(christoffel(phi, measure), np.einsum("ij,jk,ik->i", phi, gram, phi) / m, rtol=1e-6)


@pytest.mark.parametrize("method", OPTIMAL)
def test_weighted_sums_are_unbiased_and_points_follow_the_density(method: str):
    phi, f = polynomials(6), np.exp(POOL) * np.sin(5 * POOL)
    draws = [choose(phi, 15, method, seed=(3, s)) for s in range(800)]
    means = np.array([drawn.weights @ f[drawn.indices] for drawn in draws])
    assert abs(means.mean() - f.mean()) < 4 * means.std() / np.sqrt(len(draws))
    counts, edges = np.histogram(np.concatenate([POOL[drawn.indices] for drawn in draws]), bins=12, range=(-1, 1))
    density = christoffel(phi)
    expected = np.array([density[(a <= POOL) & (b > POOL)].sum() for a, b in itertools.pairwise(edges)]) / len(POOL)
    scatter = np.sqrt(expected / counts.sum())  # of independent points; those that repel each other scatter less
    assert np.abs(counts / counts.sum() - expected).max() < 4 * scatter.max()


def test_sets_come_with_probabilities_of_their_determinants():
    """On a pool of six all 15 pairs can be counted."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 2)))[0]
    draws = 6000
    counts = dict.fromkeys(itertools.combinations(range(6), 2), 0)
    for s in range(draws):
        counts[tuple(sorted(choose(basis, 2, "dpp", seed=s).indices.tolist()))] += 1
    for pair, count in counts.items():
        expected = np.linalg.det(basis[list(pair)]) ** 2
        assert abs(count / draws - expected) < 4.5 * np.sqrt(max(expected, 1e-3) / draws)


def test_volume_sampling_gives_the_best_approximation_on_average():
    """Its least squares is unbiased, which independent points are not."""
    phi, f = polynomials(3, POOL[::40]), np.abs(POOL[::40]) ** 0.5
    best = np.linalg.lstsq(phi, f, rcond=None)[0]

    def off(method: str, draws: int) -> np.ndarray:
        found = []
        for s in range(draws):
            drawn = choose(phi, 4, method, seed=s)
            found.append(least_squares(phi[drawn.indices], f[drawn.indices], drawn.weights))
        found = np.array(found)
        return np.abs(found.mean(0) - best) / (found.std(0) / np.sqrt(draws))

    assert off("volume", 2500).max() < 4
    assert off("christoffel", 6000).max() > 5


def test_points_that_repel_each_other_give_better_least_squares():
    phi, f = polynomials(20), 1 / (1 + 16 * POOL**2)
    best = np.sqrt(np.mean((f - phi @ np.linalg.lstsq(phi, f, rcond=None)[0]) ** 2))

    def median(draw) -> float:
        errors = []
        for s in range(60):
            indices, weights = draw(s)
            errors.append(np.sqrt(np.mean((f - phi @ least_squares(phi[indices], f[indices], weights)) ** 2)) / best)
        return float(np.median(errors))

    def uniform(s: int) -> tuple[np.ndarray, np.ndarray]:
        return np.random.default_rng(s).integers(0, len(POOL), 40), np.ones(40)

    found = {method: median(lambda s, method=method: _pair(choose(phi, 40, method, seed=s))) for method in OPTIMAL}
    assert found["dpp"] < found["volume"] < found["christoffel"] < 0.1 * median(uniform)
    assert found["dpp"] < 1.5


def _pair(drawn) -> tuple[np.ndarray, np.ndarray]:
    return drawn.indices, drawn.weights


def test_nearly_dependent_features_of_an_operator():
    """Second derivatives of random waves, many more than are independent to rounding."""
    rng = np.random.default_rng(0)
    k, b = rng.uniform(-8, 8, 120), rng.uniform(-np.pi, np.pi, 120)
    rows = -(k**2) * np.sin(POOL[:, None] * k + b)
    drawn = choose(rows, 60, "dpp", seed=1)
    assert 15 < drawn.rank < 40
    exact = -(5.3**2) * np.cos(5.3 * POOL)
    theta = least_squares(rows[drawn.indices], exact[drawn.indices], drawn.weights)
    assert np.abs(rows @ theta - exact).max() < 1e-6 * np.abs(exact).max()


def test_a_set_is_drawn_without_repetition_and_by_its_seed():
    phi = polynomials(25)
    drawn = choose(phi, 25, seed=4)
    assert len(set(drawn.indices.tolist())) == 25
    np.testing.assert_array_equal(drawn.indices, choose(phi, 25, seed=4).indices)
    assert (drawn.indices != choose(phi, 25, seed=5).indices).any()


def test_candidates_keep_their_measure_and_normals():
    candidates = Points(POOL[:, None], np.linspace(1, 2, 2000) / 3000, np.ones((2000, 1)))
    drawn = choose(polynomials(5), 10, measure=candidates.weights)
    points = drawn.of(candidates)
    assert points.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(points.weights, drawn.weights / drawn.weights.sum())
    assert points.normals is not None
    assert len(points.normals) == 10
    evenly = adapt(candidates, christoffel(polynomials(5), candidates.weights), 50)
    assert np.mean(np.abs(evenly.x) > 0.9) > 0.15


def test_what_cannot_be_drawn_is_refused():
    phi = polynomials(5)
    with pytest.raises(InputError, match="did you mean 'christoffel'"):
        choose(phi, 9, "cristoffel")
    with pytest.raises(InputError, match="4 points for 5 independent functions; dpp takes at least 5"):
        choose(phi, 4)
    with pytest.raises(InputError, match="zero at every candidate"):
        christoffel(0 * phi)
    with pytest.raises(InputError, match="finite"):
        christoffel(np.full((3, 2), np.nan))
    with pytest.raises(InputError, match="2000 finite numbers"):
        choose(phi, 9, measure=np.ones(3))
    with pytest.raises(InputError, match="integer >= 1"):
        choose(phi, 0)
