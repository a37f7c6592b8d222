"""Spectra: the density is the Fourier transform of the kernel, peaks are counted once, quadrature is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from pdeml.errors import InputError
from pdeml.gp import (
    Gaussian,
    Kernel,
    Matern,
    SpectralFeatures,
    frequencies_found,
    pruned,
    rbf,
    spectral_mixture,
    spectral_quadrature,
    spectrum,
)
from pdeml.gp.envelopes import Envelope


def kernel_of(envelope: Envelope, *rows: tuple[float, float, float]) -> Kernel:
    """Return a kernel from (weight, width, frequency) of each component."""
    return Kernel(envelope, *torch.tensor(rows, dtype=torch.float64).T)


ROWS = [(0.7, 0.9, 0.0), (0.4, 0.3, 5.0), (0.2, 1.5, -11.0)]


def density(kernel: Kernel, frequencies: torch.Tensor) -> torch.Tensor:
    """S with ``k(z) = ∫ S(ω) cos(ω z) dω`` over ``ω > 0``, of the densities that the quadrature samples."""
    away = torch.stack([frequencies[:, None] - kernel.frequencies, frequencies[:, None] + kernel.frequencies])
    return (kernel.envelope.density(away / kernel.widths) @ (kernel.weights / kernel.widths)).sum(0)


@pytest.mark.parametrize("envelope", [Gaussian(), Matern(0.5), Matern(2.5), Matern(4.5)], ids=str)
@pytest.mark.parametrize("lag", [0.0, 0.37, 2.1])
def test_the_density_is_the_cosine_transform_of_the_kernel(envelope: Envelope, lag: float):
    # Backwards, S(ω) = (2/π) ∫ k(z) cos(ω z) dz over z > 0: the kernel decays exponentially, the density need not.
    kernel, omega = kernel_of(envelope, *ROWS), 2.0 + 3 * lag

    def integrand(z: float) -> float:
        return float(kernel.derivatives(torch.tensor([z], dtype=torch.float64), 0))

    expected = 2 / math.pi * quad(integrand, 0, 80, weight="cos", wvar=omega, limit=400, epsabs=1e-11)[0]
    found = density(kernel, torch.tensor([omega], dtype=torch.float64))
    assert float(found) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "envelope, tail, highest, tol",
    [
        (Gaussian(), 1e-15, 8, 1e-12),
        (Gaussian(), 1e-8, 4, 1e-6),
        (Matern(4.5), 1e-12, 4, 1e-8),
        (Matern(2.5), 1e-10, 2, 1e-7),
    ],
    ids=str,
)
@pytest.mark.parametrize("extent", [0.5, 6.3])
def test_features_are_a_square_root_of_the_kernel_and_its_derivatives(envelope, tail, highest, tol, extent):
    kernel = kernel_of(envelope, *ROWS, (0.1, 1e-3, 11.2))
    features = SpectralFeatures.of(kernel, extent, tail)
    x = torch.linspace(-0.2, extent - 0.2, 61, dtype=torch.float64)
    table = kernel.derivatives(x[:, None] - x, highest)
    assert features.matrix(x).shape == (61, features.size)
    for n in range(highest + 1):
        p = n // 2
        found = (-1) ** p * features.matrix(x, n - p) @ features.matrix(x, p).T
        scale = float(table[n].abs().max())
        torch.testing.assert_close(found, table[n], rtol=0, atol=tol * scale)


def test_overlapping_peaks_share_nodes():
    one, _ = spectral_quadrature(spectral_mixture([5.0], 1.0), 6.0)
    many, _ = spectral_quadrature(spectral_mixture(torch.linspace(5, 8, 30), 1.0), 6.0)
    apart, _ = spectral_quadrature(spectral_mixture([5.0, 500.0], 1.0), 6.0)
    assert len(many) < 2 * len(one)
    assert len(apart) == 2 * len(one)


def test_the_masses_have_the_gradient_of_the_kernel():
    parameters = [column.clone().requires_grad_() for column in torch.tensor(ROWS, dtype=torch.float64).T]
    z = torch.linspace(0, 2, 7, dtype=torch.float64)
    given = torch.cos(3 * z)
    kernel = Kernel(Gaussian(), *parameters)
    omega, masses = spectral_quadrature(kernel, 2.0, 1e-14)
    found = torch.autograd.grad(given @ torch.cos(z[:, None] * omega) @ masses, parameters)
    expected = torch.autograd.grad(given @ kernel.derivatives(z, 0)[0], parameters)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


def test_a_quadrature_that_is_too_long_is_refused():
    with pytest.raises(InputError, match="larger tail"):
        spectral_quadrature(spectral_mixture([0.0], 1.0, 1.0, Matern(0.5)), 6.0, 1e-12)


def test_neighbours_are_one_peak_and_signs_do_not_matter():
    kernel = kernel_of(
        Gaussian(), (3.0, 0.1, 100.05), (1.0, 0.1, -99.97), (1.0, 0.2, -20.0), (1e-9, 0.1, 60.0), (1e-12, 50.0, 50.0)
    )
    peaks = spectrum(kernel)
    assert [peak.share for peak in peaks] == pytest.approx([0.8, 0.2])
    assert [peak.frequency for peak in peaks] == pytest.approx([100.03, 20.0])
    values = torch.tensor([100.05] * 3 + [99.97], dtype=torch.float64)
    assert peaks[0].width == pytest.approx(math.sqrt(0.01 + float(values.var(correction=0))))
    assert frequencies_found(peaks) == "frequencies found: 100.0, 20.0"


def test_what_is_small_in_the_function_and_large_in_the_equation_is_found():
    kernel = kernel_of(Gaussian(), (1.0, 0.3, 0.0), (1e-6, 1e-5, 100.0), (1e-5, 1e-5, 20.0))
    assert frequencies_found(spectrum(kernel)) == "frequencies found: 0.0"
    peaks = spectrum(kernel, order=2)
    assert [peak.frequency for peak in peaks] == [0.0, 100.0, 20.0]
    total = 1e-6 * 100**4 + 1e-5 * 20**4 + 3 * 0.3**4
    assert [peak.share for peak in peaks[1:]] == pytest.approx([100 / total, 1.6 / total], rel=1e-6)


def test_the_resolution_of_the_domain_joins_peaks():
    kernel = kernel_of(Gaussian(), (1.0, 0.01, 99.0), (1.0, 0.01, 100.0))
    assert len(spectrum(kernel)) == 2
    assert [peak.frequency for peak in spectrum(kernel, resolution=1.5)] == [99.5]


def test_a_peak_has_the_variance_of_the_density():
    kernel = kernel_of(Gaussian(), (0.5, 2.0, 50.0), (0.3, 1.0, 51.0))
    (peak,) = spectrum(kernel)
    omega = torch.linspace(20, 80, 20001, dtype=torch.float64)
    mass = (density(kernel, omega) / density(kernel, omega).sum()).numpy()
    mean = np.average(omega.numpy(), weights=mass)
    assert peak.frequency == pytest.approx(mean, rel=1e-9)
    assert peak.width == pytest.approx(math.sqrt(np.average((omega.numpy() - mean) ** 2, weights=mass)), rel=1e-9)


def test_pruning_keeps_the_kernel_and_at_least_one_component():
    kernel = kernel_of(Gaussian(), (1.0, 1.0, 3.0), (1e-14, 1.0, 50.0), (0.3, 1.0, 7.0))
    lags = torch.linspace(-2, 2, 31, dtype=torch.float64)
    assert len(pruned(kernel)) == 2
    torch.testing.assert_close(pruned(kernel).derivatives(lags, 0), kernel.derivatives(lags, 0), rtol=0, atol=1e-13)
    assert len(pruned(kernel, 2.0)) == 1
    assert len(pruned(rbf(1.0))) == 1
