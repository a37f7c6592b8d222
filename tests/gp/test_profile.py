"""The likelihood of values on a grid: against dense matrices, finite differences, and spectra that are known."""

from __future__ import annotations

import math

import pytest
import torch

from pdeml.gp.grid_algebra import Covariance1D, along, diagonal_sums, toeplitz
from pdeml.gp.kernels import KernelCodec, ProductKernel, spectral_mixture
from pdeml.gp.profile import GridLikelihood, learn_spectrum


def _kernel() -> ProductKernel:
    return ProductKernel((spectral_mixture([0.0, 1.0, 3.0], 0.7), spectral_mixture([0.5, 2.0], 0.9)))


def _likelihood(nugget: float = 1e-6) -> GridLikelihood:
    values = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return GridLikelihood(values, (0.3, 0.4), KernelCodec.of((_kernel(),), (1.0, 2.0)), nugget)


@pytest.mark.parametrize("odd", [False, True])
def test_diagonal_sums_are_the_adjoint_of_toeplitz(odd: bool):
    """<T(k), G> = <k, S(G)> for every k and G."""
    generator = torch.Generator().manual_seed(2)
    lags, other = torch.randn(6, generator=generator).double(), torch.randn(6, 6, generator=generator).double()
    lags[0] *= 1 - odd  # an odd function vanishes there
    assert float((toeplitz(lags, odd) * other).sum()) == pytest.approx(
        float(lags @ diagonal_sums(other, odd)), abs=1e-13
    )


def test_toeplitz_is_the_kernel_between_all_points():
    """Also for odd derivatives, whose sign is that of x − x'."""
    x, kernel = torch.linspace(0, 2, 9, dtype=torch.float64), spectral_mixture([1.0, 4.0], 0.8)
    table = kernel.derivatives(x - x[0], 3)
    direct = kernel.derivatives(x[:, None] - x, 3)
    for order in range(4):
        torch.testing.assert_close(toeplitz(table[order], odd=order % 2 == 1), direct[order], rtol=0, atol=1e-12)


def test_the_value_is_that_of_the_dense_gaussian_at_its_best_amplitude():
    """-log N(U; 0, a K1 x K2) at the best a, up to constants, per value."""
    likelihood = _likelihood()
    lags = [
        k.derivatives(torch.arange(n).double() * h, 0)[0]
        for k, n, h in zip(_kernel().axes, (7, 5), (0.3, 0.4), strict=True)
    ]
    dense = torch.kron(*(Covariance1D(row, likelihood.nugget).matrix for row in lags))
    fields = likelihood.values.reshape(2, -1)
    square = (fields * torch.linalg.solve(dense, fields.T).T).sum() / fields.numel()
    expected = 0.5 * square.log() + 0.5 * torch.logdet(dense) / dense.shape[0]
    found = likelihood.value(likelihood.codec.pack((_kernel(),)))
    assert float(found) == pytest.approx(float(expected), rel=1e-8)


def test_the_gradient_is_that_of_finite_differences():
    likelihood = _likelihood(1e-3)
    z = likelihood.codec.pack((_kernel(),))
    _, slope = likelihood.gradient(z)
    step = 1e-5
    for k, unit in enumerate(torch.eye(len(z), dtype=torch.float64)):
        central = (likelihood.value(z + step * unit) - likelihood.value(z - step * unit)) / (2 * step)
        assert float(slope[k]) == pytest.approx(float(central), abs=2e-7)


def test_frequencies_of_a_sum_of_waves_are_found():
    """sin 6x cos 20x + the same in y holds 14 and 26 along each coordinate, and constants."""
    n, extent = 80, 2 * math.pi
    x = torch.linspace(0, extent, n, dtype=torch.float64)
    wave = torch.sin(6 * x) * torch.cos(20 * x)
    axis = spectral_mixture(torch.linspace(0, 30, 24), 0.6)
    codec = KernelCodec.of((ProductKernel((axis, axis)),), (1.0, 1.0), (0.1 / extent,) * 2)
    likelihood = GridLikelihood((wave[:, None] + wave)[None], (extent / (n - 1),) * 2, codec)
    found = learn_spectrum(likelihood, ProductKernel((axis, axis)), 60)
    for kernel in found.axes:
        top = kernel.frequencies[kernel.weights > 1e-2]
        for wanted in (0.0, 14.0, 26.0):
            assert float((top.abs() - wanted).abs().min()) < 0.05
        assert all(min(abs(m - wanted) for wanted in (0.0, 14.0, 26.0)) < 0.5 for m in top.abs().tolist())
        assert float(kernel.variance) == pytest.approx(1.0)


def test_along_is_a_product_with_one_axis():
    values, matrix = torch.randn(3, 4, 5).double(), torch.randn(6, 4).double()
    torch.testing.assert_close(along(matrix, values, 1), torch.einsum("ij,ajb->aib", matrix, values))
