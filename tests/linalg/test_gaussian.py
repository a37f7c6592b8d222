"""Gaussian conditioning: closed forms, exact constraints, conserved masses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml.linalg.gaussian as gaussian
from pdeml.errors import InputError, RunError
from pdeml.linalg import condition, observe, observe_features


def spd(n: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((n, n + 2))
    return a @ a.T / n


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 13), m=st.integers(1, 9), seed=st.integers(0, 10**6), kind=st.sampled_from("one many full".split())
)
def test_formulas(n: int, m: int, seed: int, kind: str):
    rng = np.random.default_rng(seed)
    mean, sigma, rows, b = rng.standard_normal(n), spd(n, seed), rng.standard_normal((m, n)), rng.standard_normal(m)
    r = {"one": 0.3 * np.eye(m), "many": np.diag(rng.random(m) + 0.1), "full": spd(m, seed + 1) + np.eye(m)}[kind]
    given_r = {"one": 0.3, "many": tensor(np.diag(r)), "full": tensor(r)}[kind]
    found = condition(tensor(mean), tensor(sigma), tensor(rows), tensor(b), given_r)
    s = r + rows @ sigma @ rows.T
    gain = np.linalg.solve(s, rows @ sigma).T
    np.testing.assert_allclose(found.mean, mean - gain @ (rows @ mean - b), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.covariance, sigma - gain @ rows @ sigma, rtol=1e-8, atol=1e-9)
    exact = scipy.stats.multivariate_normal(rows @ mean, s).logpdf(b)
    assert found.log_evidence == pytest.approx(exact, rel=1e-8, abs=1e-8)
    assert found.observed.rank == m


def test_covariance_may_be_an_operator():
    sigma, rows, b = tensor(spd(11, 0)), tensor(np.eye(11)[:4]), tensor(np.arange(4))
    mean = torch.zeros(11, dtype=torch.float64)
    dense, free = (condition(mean, given, rows, b, 0.1) for given in (sigma, lambda v: sigma @ v))
    torch.testing.assert_close(free.mean, dense.mean)
    torch.testing.assert_close(free.covariance, dense.covariance)
    torch.testing.assert_close(free.times(rows.T), dense.covariance @ rows.T)


def test_one_after_the_other_is_all_at_once():
    sigma, rows, b = tensor(spd(9, 2)), tensor(np.random.default_rng(1).standard_normal((5, 9))), tensor(np.arange(5))
    mean, noise = tensor(np.ones(9)), tensor(np.linspace(0.1, 1, 5))
    whole = condition(mean, sigma, rows, b, noise)
    first = condition(mean, sigma, rows[:2], b[:2], noise[:2])
    second = condition(first.mean, first.covariance, rows[2:], b[2:], noise[2:])
    torch.testing.assert_close(second.mean, whole.mean)
    torch.testing.assert_close(second.covariance, whole.covariance)
    assert first.log_evidence + second.log_evidence == pytest.approx(whole.log_evidence)


def test_several_vectors_of_one_covariance():
    sigma, rows = tensor(spd(7, 3)), tensor(np.random.default_rng(1).standard_normal((3, 7)))
    mean, b = tensor(np.random.default_rng(2).standard_normal((7, 4))), tensor(np.random.default_rng(3).random((3, 4)))
    found = condition(mean, sigma, rows, b, 0.2)
    single = [condition(mean[:, k], sigma, rows, b[:, k], 0.2) for k in range(4)]
    torch.testing.assert_close(found.mean, torch.stack([one.mean for one in single], 1))
    assert found.log_evidence == pytest.approx(sum(one.log_evidence for one in single))
    other = tensor(np.arange(3))
    s = 0.2 * torch.eye(3, dtype=torch.float64) + rows @ sigma @ rows.T
    scale = s.diagonal().rsqrt()
    torch.testing.assert_close(scale * found.observed.solve(scale * other), torch.linalg.solve(s, other))


X = np.linspace(0, 1, 201)
TRAPEZIUM = np.full(201, 1 / 200) * np.where((X == 0) | (X == 1), 0.5, 1)
T = 0.05


def stefan(u_star: float = 0.6) -> tuple[np.ndarray, float]:
    """Melting front: u at time T, and the mass it has in closed form."""
    z = scipy.optimize.brentq(
        lambda z: u_star * scipy.special.erf(z) * z * math.exp(z * z) - (1 - u_star) / math.sqrt(math.pi), 1e-6, 5
    )
    alpha, c = 2 * z, (1 - u_star) / scipy.special.erf(z)
    front = alpha * math.sqrt(T)
    return np.where(front >= X, 1 - c * scipy.special.erf(X / (2 * math.sqrt(T))), 0.0), 2 * c * math.sqrt(T / math.pi)


def porous(m: int = 3, t: float = 0.5) -> tuple[np.ndarray, float]:
    return (m * np.maximum(t - X, 0)) ** (1 / m), m ** (1 + 1 / m) / (m + 1) * t ** (1 + 1 / m)


@pytest.mark.parametrize("case", [stefan, porous])
def test_mass_becomes_that_of_the_exact_solution_and_the_error_falls(case):
    """A front that lags, with a variance that is large where the front is: the mass is put there."""
    exact, mass = case()
    assert TRAPEZIUM @ exact == pytest.approx(mass, abs=5e-3)
    late = np.interp(X + 0.03, X, exact)
    deviation = 1e-3 + np.abs(np.interp(X + 0.05, X, late) - np.interp(X - 0.05, X, late))
    sigma = deviation[:, None] * np.exp(-(((X[:, None] - X) / 0.02) ** 2)) * deviation
    found = condition(tensor(late), tensor(sigma), tensor(TRAPEZIUM[None]), tensor(np.array([mass])))
    assert abs(TRAPEZIUM @ found.mean.numpy() - mass) < 1e-13
    assert abs(TRAPEZIUM @ late - mass) > 1e-3
    w = TRAPEZIUM
    closed = late + sigma @ w * (mass - w @ late) / (w @ sigma @ w)
    np.testing.assert_allclose(found.mean, closed, rtol=1e-10, atol=1e-12)
    assert float(tensor(w) @ found.covariance @ tensor(w)) == pytest.approx(0, abs=1e-14)
    plain = late + w * (mass - w @ late) / (w @ w)
    errors = [np.linalg.norm(u - exact) for u in (found.mean.numpy(), plain, late)]
    assert errors == sorted(errors)


def test_projection_when_the_covariance_is_one():
    rows, mean = tensor(np.random.default_rng(0).standard_normal((3, 8))), tensor(np.arange(8))
    found = condition(mean, torch.eye(8, dtype=torch.float64), rows, torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(found.mean, mean - torch.linalg.pinv(rows) @ (rows @ mean))


def test_repeated_constraints_count_once_and_contradictions_show():
    sigma = tensor(spd(6, 1))
    rows = tensor(np.random.default_rng(0).standard_normal((2, 6)))
    rows = torch.cat([rows, rows[:1] + rows[1:]])
    mean, good = torch.zeros(6, dtype=torch.float64), tensor(np.array([1.0, 2.0, 3.0]))
    found, fewer = condition(mean, sigma, rows, good), condition(mean, sigma, rows[:2], good[:2])
    torch.testing.assert_close(found.mean, fewer.mean)
    assert found.observed.rank == 2
    assert found.observed.misfit < 1e-12
    bad = condition(mean, sigma, rows, tensor(np.array([1.0, 2.0, 4.0])))
    assert bad.observed.misfit > 0.05


def test_gaussian_process_prediction_by_representers():
    """`observe` with cross covariances is kriging; against the joint covariance conditioned on its last part."""
    x = np.sort(np.random.default_rng(0).random(12))
    at = np.linspace(0, 1, 7)
    k = lambda a, b: np.exp(-0.5 * ((a[:, None] - b) / 0.15) ** 2)  # noqa: E731
    values = np.sin(6 * x)
    noise = 1e-4
    seen = observe(tensor(k(x, x) + noise * np.eye(12)), tensor(values))
    both = np.concatenate([at, x])
    rows = tensor(np.eye(19)[7:])
    joint = condition(torch.zeros(19, dtype=torch.float64), tensor(k(both, both)), rows, tensor(values), noise)
    torch.testing.assert_close(seen.mean(tensor(k(at, x))), joint.mean[:7], rtol=1e-8, atol=1e-8)
    variance = seen.variance(torch.ones(7, dtype=torch.float64), tensor(k(at, x)))
    torch.testing.assert_close(variance, joint.covariance.diagonal()[:7], rtol=1e-6, atol=1e-9)


def test_many_rows_by_cholesky_agree_with_eigenvectors(monkeypatch: pytest.MonkeyPatch):
    matrix, values = tensor(spd(40, 5)), tensor(np.random.default_rng(6).standard_normal((40, 2)))
    few = observe(matrix, values)
    monkeypatch.setattr(gaussian, "_EIGEN_LIMIT", 10)
    many = observe(matrix, values, 1e-12)
    assert many.jitter == 1e-12
    torch.testing.assert_close(many.weights, few.weights, rtol=1e-8, atol=1e-8)
    assert many.log_evidence == pytest.approx(few.log_evidence, rel=1e-9)
    torch.testing.assert_close(many.root @ many.root.T, few.root @ few.root.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("m, features", [(5, 12), (9, 9), (14, 6)])
def test_square_root_form_is_the_same_with_more_digits(m: int, features: int):
    rng = np.random.default_rng(m)
    a = tensor(rng.standard_normal((m, features)))
    d = a @ tensor(rng.standard_normal((features, 2)))
    found, dense = observe_features(a, d), observe(a @ a.T, d)
    torch.testing.assert_close(found.mean, a.T @ dense.weights, rtol=1e-7, atol=1e-7)
    assert found.rank == dense.rank == min(m, features)
    assert found.square == pytest.approx(dense.square, rel=1e-7)
    assert found.log_determinant == pytest.approx(dense.log_determinant, rel=1e-7)
    assert found.misfit < 1e-12
    other = tensor(rng.standard_normal((3, features)))
    variance = dense.variance(other.square().sum(1), other @ a.T)
    left = other - other @ found.known @ found.known.T
    torch.testing.assert_close(left.square().sum(1), variance, rtol=1e-6, atol=1e-9)


def test_small_directions_of_a_covariance_are_kept_and_rounding_is_not():
    rng = np.random.default_rng(1)
    q = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    sizes = np.append(np.logspace(0, -11, 11), 0.0)
    matrix = tensor((q * sizes) @ q.T)
    found = observe(matrix, matrix @ tensor(rng.standard_normal(12)))
    assert found.rank == 11
    assert found.misfit < 1e-12


def test_square_root_form_keeps_what_a_covariance_loses():
    """Singular values down to 1e-10: their squares are below rounding."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((n, 12)))[0] for n in (12, 20))
    a, theta = tensor(u @ np.diag(np.logspace(0, -10, 12)) @ v.T), tensor(v @ rng.standard_normal(12))
    found = observe_features(a, a @ theta)
    assert float((found.mean - theta).norm() / theta.norm()) < 1e-4
    lost = a.T @ observe(a @ a.T, a @ theta).weights
    assert float((lost - theta).norm() / theta.norm()) > 0.1


def test_what_does_not_fit_is_refused():
    mean, sigma, rows = torch.zeros(4), torch.eye(4), torch.eye(2, 4)
    with pytest.raises(InputError, match="do not fit"):
        condition(mean, sigma, rows, torch.zeros(3))
    with pytest.raises(InputError, match="not negative"):
        condition(mean, sigma, rows, torch.zeros(2), -1.0)
    with pytest.raises(InputError, match=r"noise of shape \(3,\)"):
        condition(mean, sigma, rows, torch.zeros(2), torch.ones(3))
    with pytest.raises(RunError, match="not finite"):
        observe(torch.full((2, 2), math.nan), torch.zeros(2))
