"""Gaussian random fields have the covariance, the spectrum and the boundary that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.fft import idctn
from scipy.special import gamma, kv

from pdeml.errors import InputError
from pdeml.sampling.functions import GRF
from pdeml.sampling.functions.grf import _scales

UNIT = np.array([[0.0, 1.0]])
SQUARE = np.array([[0.0, 1.0], [0.0, 1.0]])
CONFIDENCE = 1e-4
"""Probability that a correct sampler fails one of the statistical tests; seeds are fixed."""


def covariance(field: GRF, bounds: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The covariance of the series that is drawn, summed term by term."""
    bases, scale = _scales(field, tuple(map(tuple, bounds.tolist())))
    values = bases[0].values(points[:, 0])
    for basis, column in zip(bases[1:], points.T[1:], strict=True):
        values = (values[:, :, None] * basis.values(column)[:, None, :]).reshape(len(points), -1)
    return values * scale.ravel() ** 2 @ values.T


def draws(field: GRF, bounds: np.ndarray, points: np.ndarray, count: int) -> np.ndarray:
    over = ("x", "y")[: len(bounds)]
    return np.stack([field.draw(np.random.default_rng((7, k)), over, bounds).at(points) for k in range(count)])


@pytest.mark.parametrize(
    "field, bounds",
    [
        (GRF(tau=3, alpha=2, basis="neumann", modes=24), SQUARE),
        (GRF(tau=2, alpha=1.5, basis="dirichlet", modes=24), SQUARE),
        (GRF(tau=5, alpha=2, basis="periodic", amplitude=25, modes=65), UNIT),
        (GRF(kernel="rbf", length=0.3, amplitude=2), UNIT),
        (GRF(kernel="matern", length=0.4, nu=1.5, modes=36), SQUARE),
        (GRF(spectrum="k**2/(1 + (k/20)**8)", modes=31), 2 * SQUARE),
    ],
    ids=["neumann", "dirichlet", "periodic", "rbf", "matern", "spectrum"],
)
def test_samples_have_the_covariance_of_the_series(field: GRF, bounds: np.ndarray):
    """Whitened samples are standard normal: their squares add up to chi-squared, their products average to zero."""
    rng, count = np.random.default_rng(1), 600
    points = bounds[:, 0] + rng.uniform(0.05, 0.95, (5, len(bounds))) * np.ptp(bounds, axis=1)
    root = np.linalg.cholesky(covariance(field, bounds, points))
    white = np.linalg.solve(root, draws(field, bounds, points, count).T)
    low, high = stats.chi2.ppf([CONFIDENCE / 2, 1 - CONFIDENCE / 2], white.size)
    assert low < (white**2).sum() < high
    products = np.corrcoef(white)[np.triu_indices(len(points), 1)] * np.sqrt(count)
    assert np.abs(products).max() < stats.norm.ppf(1 - CONFIDENCE / 2 / len(products))
    assert stats.kstest(white.ravel(), "norm").pvalue > CONFIDENCE


def test_rbf_covariance_is_the_kernel():
    points = np.random.default_rng(0).uniform(size=(40, 2))
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    found = covariance(GRF(kernel="rbf", length=0.2, amplitude=3), SQUARE, points)
    assert np.allclose(found, 9 * np.exp(-(distance**2) / 0.08), rtol=0, atol=1e-7)


@pytest.mark.parametrize("nu, tolerance", [(0.5, 5e-3), (1.5, 1e-5), (2.5, 1e-7)])
def test_matern_covariance_is_the_kernel(nu: float, tolerance: float):
    """What the series leaves out falls as modes^(-2 nu)."""
    x = np.linspace(0, 1, 33)[:, None]
    r = np.sqrt(2 * nu) * (np.abs(x - x.T) + 1e-12) / 0.3
    kernel = 2 ** (1 - nu) / gamma(nu) * r**nu * kv(nu, r)
    found = covariance(GRF(kernel="matern", length=0.3, nu=nu), UNIT, x)
    assert np.abs(found - kernel).max() < tolerance


def test_power_field_on_a_free_boundary_is_matern():
    """(−Δ + τ²)^(−α) has the Matérn kernel of smoothness α − d/2 (Whittle, 1954)."""
    x, tau, nu = np.linspace(0, 1, 21)[:, None], 6.0, 1.5
    power = covariance(GRF(tau=tau, alpha=nu + 0.5, basis="free", amplitude=1, zero_mean=False), UNIT, x)
    matern = covariance(GRF(kernel="matern", nu=nu, length=np.sqrt(2 * nu) / tau), UNIT, x)
    assert np.allclose(power / power[0, 0], matern / matern[0, 0], rtol=0, atol=1e-7)


def test_neumann_field_is_that_of_li_et_al():
    """Their code: N τ^(α−1) (π²|k|² + τ²)^(−α/2) ξ, constant removed, orthonormal inverse cosine transform."""
    size, tau, alpha = 40, 3.0, 2.0
    field = GRF(tau=tau, alpha=alpha, basis="neumann", modes=size).draw(np.random.default_rng(5), ("x", "y"), SQUARE)
    noise = np.random.default_rng(5).standard_normal((size, size))
    k = np.arange(size)
    coefficients = size * tau ** (alpha - 1) * (np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** (-alpha / 2) * noise
    coefficients[0, 0] = 0
    centres = (k + 0.5) / size
    assert np.allclose(field.on_grid([centres, centres]), idctn(coefficients, norm="ortho"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("basis, slope", [("neumann", -4.0), ("periodic", -4.0), ("dirichlet", -4.0)])
def test_spectrum_falls_as_the_wavenumber_to_minus_two_alpha(basis: str, slope: float):
    """Far above τ, the variance of a coefficient is proportional to κ^(−2α)."""
    field = GRF(tau=1, alpha=2, basis=basis, modes=256)
    drawn = [field.draw(np.random.default_rng(k), ("x",), UNIT) for k in range(300)]
    energy = np.mean([function.coefficients**2 for function in drawn], axis=0)
    kept = slice(20, 250)
    wavenumbers = drawn[0].bases[0].wavenumbers[kept]
    found = np.polyfit(np.log(wavenumbers), np.log(energy[kept]), 1)[0]
    # log of a mean of 300 squares has a standard deviation of 0.082; that of the slope follows.
    spread = 0.082 / (np.std(np.log(wavenumbers)) * np.sqrt(len(wavenumbers)))
    assert abs(found - slope) < stats.norm.ppf(1 - CONFIDENCE / 2) * spread


def test_bases_keep_their_boundary_conditions():
    x = np.array([2.0, 5.0])
    bounds = x[None]
    rng = np.random.default_rng(0)
    dirichlet = GRF(tau=1, alpha=2, basis="dirichlet").draw(rng, ("x",), bounds)
    neumann = GRF(tau=1, alpha=2, basis="neumann").draw(rng, ("x",), bounds)
    periodic = GRF(tau=1, alpha=3, basis="periodic").draw(rng, ("x",), bounds)
    size = np.abs(periodic.on_grid([np.linspace(2, 5, 99)])).max()
    assert np.abs(dirichlet.on_grid([x])).max() < 1e-10
    assert np.abs(neumann.on_grid([x], (1,))).max() < 1e-9
    for order in range(3):
        low, high = periodic.on_grid([x], (order,))
        assert low == pytest.approx(high, abs=1e-9 * size)


def test_zero_mean_leaves_out_the_constant():
    x = np.arange(1024) / 1024
    without = GRF(tau=2, alpha=2, basis="periodic", modes=101).draw(np.random.default_rng(0), ("x",), UNIT)
    with_it = GRF(tau=2, alpha=2, basis="periodic", modes=101, zero_mean=False)
    assert abs(without.on_grid([x]).mean()) < 1e-12
    assert abs(with_it.draw(np.random.default_rng(0), ("x",), UNIT).on_grid([x]).mean()) > 1e-3


def test_variance_is_finite_or_refused():
    with pytest.raises(InputError, match="infinite for alpha <= 1"):
        GRF(tau=1, alpha=0.9, basis="free").draw(np.random.default_rng(0), ("x", "y"), SQUARE)


@pytest.mark.parametrize("options", [{"kernel": "rbf", "length": 1e-3}, {"kernel": "matern", "length": 1e-2, "nu": 1}])
def test_a_series_too_short_for_its_kernel_is_refused(options: dict):
    rng, x = np.random.default_rng(0), np.array([[0.3]])
    with pytest.raises(InputError, match=r"40 functions along each coordinate hold .* of the variance"):
        GRF(**options, modes=40).draw(rng, ("x",), UNIT)
    enough = GRF(**options, modes=4000)
    enough.draw(rng, ("x",), UNIT)
    assert 0.98 < covariance(enough, UNIT, x)[0, 0] < 1.001


@pytest.mark.parametrize(
    "options, text",
    [
        ({"tau": 3}, "needs alpha"),
        ({"kernel": "matern", "length": 1}, "needs nu"),
        ({"kernel": "rbf", "length": 1, "tau": 3}, "'tau' does not go with the kernel 'rbf'"),
        ({"kernel": "rfb", "length": 1}, "'rfb' is not allowed; allowed: 'power', 'rbf' or 'matern'"),
        ({"tau": -3, "alpha": 2}, "tau: must be greater than 0, got -3"),
        ({"tua": 3, "alpha": 2}, "did you mean 'tau'"),
        ({"spectrum": "q**2"}, "'q'"),
        ({"spectrum": "-1"}, "negative or infinite"),
        ({"spectrum": "1/k", "length": 1}, "'length' does not go with a spectrum"),
        ({"tau": 3, "alpha": 2, "modes": 1}, "modes: must be at least 2"),
    ],
)
def test_wrong_options_are_named(options: dict, text: str):
    with pytest.raises(InputError) as caught:
        GRF(**options)
    assert text in str(caught.value)
