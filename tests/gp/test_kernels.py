"""Kernels and all their derivatives against mpmath and spectral moments; gradients; what is admissible."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp import Gaussian, Kernel, KernelCodec, Matern, ProductKernel, matern, rbf, spectral_mixture
from pdeml.gp.envelopes import Envelope
from pdeml_kernels import mixture as module

ENVELOPES = [Gaussian(), *(Matern(nu) for nu in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5))]


def highest_of(envelope: Envelope) -> int:
    return int(min(8, envelope.smoothness))


def mixture(envelope: Envelope, components: int = 3, seed: int = 0, fastest: float = 9.0) -> Kernel:
    rng = torch.Generator().manual_seed(seed)
    draw = [torch.rand(components, dtype=torch.float64, generator=rng) for _ in range(3)]
    return Kernel(envelope, draw[0] + 0.1, 3 * draw[1] + 0.2, fastest * (2 * draw[2] - 1))


def exact(kernel: Kernel, lag: float, order: int) -> float:
    """Differentiate the definition, with Bessel's function, in 60 digits."""

    def component(z, w, k, m):
        if isinstance(kernel.envelope, Gaussian):
            return w * mpmath.exp(-((k * z) ** 2) / 2) * mpmath.cos(m * z)
        nu = mpmath.mpf(kernel.envelope.nu)
        t = mpmath.sqrt(2 * nu) * k * abs(z)
        return w * 2 ** (1 - nu) / mpmath.gamma(nu) * t**nu * mpmath.besselk(nu, t) * mpmath.cos(m * z)

    parameters = list(zip(*(t.tolist() for t in (kernel.weights, kernel.widths, kernel.frequencies)), strict=True))
    with mpmath.workdps(60):
        parameters = [tuple(map(mpmath.mpf, row)) for row in parameters]
        return float(mpmath.diff(lambda z: sum(component(z, *row) for row in parameters), mpmath.mpf(lag), order))


def moment(kernel: Kernel, order: int) -> float:
    """Return ``k^(2p)(0) = (−1)^p Σ w E(m + κ ξ)^2p`` from the moments of the spectral density."""
    degrees = math.inf if isinstance(kernel.envelope, Gaussian) else 2 * kernel.envelope.nu
    raw = [0.0] * (order + 1)  # of a normal or t variable ξ
    for j in range(0, order + 1, 2):
        raw[j] = math.prod((2 * i - 1) / (1 - 2 * i / degrees) for i in range(1, j // 2 + 1))
    rows = zip(*(t.tolist() for t in (kernel.weights, kernel.widths, kernel.frequencies)), strict=True)
    sums = (
        w * sum(math.comb(order, j) * m ** (order - j) * k**j * raw[j] for j in range(order + 1)) for w, k, m in rows
    )
    return (-1) ** (order // 2) * sum(sums)


@pytest.mark.parametrize("envelope", ENVELOPES, ids=str)
def test_derivatives_are_those_of_the_definition(envelope: Envelope):
    kernel, lags = mixture(envelope), [-1.7, -0.013, 0.4, 2.9]
    found = kernel.derivatives(torch.tensor(lags, dtype=torch.float64), highest_of(envelope))
    scales = kernel.derivatives(torch.linspace(-3, 3, 301, dtype=torch.float64), len(found) - 1).abs().amax(1)
    for n, scale in enumerate(scales):
        expected = [exact(kernel, lag, n) for lag in lags]
        np.testing.assert_allclose(found[n].numpy(), expected, rtol=0, atol=2e-13 * float(scale))


@pytest.mark.parametrize("envelope", ENVELOPES, ids=str)
def test_derivatives_at_zero_are_spectral_moments(envelope: Envelope):
    kernel = mixture(envelope)
    for n, found in enumerate(kernel.moments(highest_of(envelope)).tolist()):
        assert found == (0.0 if n % 2 else pytest.approx(moment(kernel, n), rel=1e-12))


def test_large_arguments_are_accurate_and_finite():
    kernel = Kernel(Gaussian(), *torch.tensor([[1.0, 0.3], [0.3, 1e4], [500.0, 1e6]], dtype=torch.float64))
    lags = [0.0, 1e-3, 2 * math.pi, 50.0, 1e6]
    parameters = [t.clone().requires_grad_() for t in (kernel.weights, kernel.widths, kernel.frequencies)]
    found = Kernel(Gaussian(), *parameters).derivatives(torch.tensor(lags, dtype=torch.float64), 8)
    gradients = torch.autograd.grad(found.sum(), parameters)
    assert all(torch.isfinite(t).all() for t in (found, *gradients))
    for n in (0, 1, 4, 8):
        expected = [exact(kernel, lag, n) for lag in lags]
        np.testing.assert_allclose(found[n].detach().numpy(), expected, rtol=0, atol=1e-11 * max(map(abs, expected)))


@pytest.mark.parametrize("nu", [0.5, 2.5, 10.5])
def test_a_matern_kernel_vanishes_far_away_without_nan(nu: float):
    kernel = Kernel(Matern(nu), *torch.tensor([[1.0], [1e30], [1e3]], dtype=torch.float64))
    parameters = [t.clone().requires_grad_() for t in (kernel.weights, kernel.widths, kernel.frequencies)]
    found = Kernel(Matern(nu), *parameters).derivatives(torch.tensor([1e15, -3.0], dtype=torch.float64), 0)
    assert (found == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(found.sum(), parameters))


@pytest.mark.parametrize("envelope", ENVELOPES, ids=str)
def test_gradients(envelope: Envelope):
    kernel, highest = mixture(envelope, fastest=2.0), highest_of(envelope)
    lags = torch.tensor([0.0, 0.3, -1.1, 4.0], dtype=torch.float64)
    scale = kernel.derivatives(lags, highest).abs().amax(1, keepdim=True)
    parameters = [t.clone().requires_grad_() for t in (kernel.weights, kernel.widths, kernel.frequencies)]
    assert torch.autograd.gradcheck(lambda *p: Kernel(envelope, *p).derivatives(lags, highest) / scale, parameters)


def test_the_gradient_of_the_lags_is_the_next_derivative():
    kernel, lags = mixture(Gaussian()), torch.linspace(-1, 2, 7, dtype=torch.float64).requires_grad_()
    given = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = torch.autograd.grad(kernel.derivatives(lags, 3), lags, given)[0]
    torch.testing.assert_close(found, (given * kernel.derivatives(lags.detach(), 4)[1:]).sum(0))


@settings(max_examples=15, deadline=None)
@given(points=st.integers(0, 23), components=st.integers(1, 7), which=st.sampled_from(ENVELOPES))
def test_chunks_change_nothing(points: int, components: int, which: Envelope):
    lags = torch.randn(points, dtype=torch.float64, generator=torch.Generator().manual_seed(points))
    kernel, highest = mixture(which, components), highest_of(which)

    def both() -> tuple[Tensor, ...]:
        parameters = [t.clone().requires_grad_() for t in (kernel.weights, kernel.widths, kernel.frequencies)]
        table = Kernel(which, *parameters).derivatives(lags, highest)
        return table.detach(), *torch.autograd.grad((table / (1 + table.detach().abs())).sum(), parameters)

    whole = both()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", 11)
        torch.testing.assert_close(both(), whole, rtol=1e-9, atol=1e-9)


def test_any_shape_of_lags():
    kernel, lags = mixture(Matern(2.5)), torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.equal(kernel.derivatives(lags, 2)[:, 1, 2, 3], kernel.derivatives(lags[1, 2, 3], 2))


def test_named_kernels():
    z = torch.tensor([0.7, -2.0], dtype=torch.float64)
    torch.testing.assert_close(rbf(0.5, 2.0).derivatives(z, 0)[0], 2 * torch.exp(-(z**2) / 0.5))
    torch.testing.assert_close(matern(0.5, 0.5).derivatives(z, 0)[0], torch.exp(-z.abs() / 0.5))
    torch.testing.assert_close(
        spectral_mixture([0.0, 5.0], 2.0, 3.0).derivatives(z, 0)[0],
        1.5 * torch.exp(-2 * z**2) * (1 + torch.cos(5 * z)),
    )


@pytest.mark.parametrize("order", range(7))
def test_what_is_too_rough_is_refused_with_the_smallest_order_that_is_not(order: int):
    smallest = order / 2 + (0.5 if order % 2 == 0 else 1.0)  # ν > order / 2, half-integer
    assert torch.isfinite(matern(smallest, 1.0).moments(order)).all()
    if smallest > 0.5:
        with pytest.raises(InputError, match=rf"nu = {smallest}$"):
            matern(smallest - 1, 1.0).moments(order)


@pytest.mark.parametrize("nu", [0.0, 1.0, 2.2, -0.5, 11.5, math.nan, math.inf])
def test_other_orders_of_matern_are_refused(nu: float):
    with pytest.raises(InputError, match="half-integers"):
        Matern(nu)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rbf(-1.0),
        lambda: spectral_mixture([], 1.0),
        lambda: spectral_mixture([math.inf], 1.0),
        lambda: spectral_mixture([1.0], 1.0, 0.0),
        lambda: Kernel(Gaussian(), torch.ones(2), torch.ones(2), torch.ones(3)),
        lambda: KernelCodec.of((ProductKernel((rbf(1.0),)),), (1.0, 1.0)),
        lambda: KernelCodec.of((ProductKernel((rbf(1.0),)),), (0.0,)),
    ],
)
def test_bad_kernels_are_refused(make):
    with pytest.raises(InputError, match="allowed"):
        make()


def several() -> tuple[ProductKernel, ...]:
    return (
        ProductKernel((mixture(Gaussian(), 3, 1), mixture(Matern(2.5), 1, 2))),
        ProductKernel((mixture(Gaussian(), 2, 3), rbf(0.3))),
    )


def test_the_codec_returns_what_it_was_given():
    kernels = several()
    codec = KernelCodec.of(kernels, (2.0, 0.5))
    vector = codec.pack(kernels)
    assert vector.shape == (codec.size,) == (3 * 7,)
    for before, after in zip(kernels, codec.unpack(vector), strict=True):
        for a, b in zip(before.axes, after.axes, strict=True):
            assert a.envelope == b.envelope
            for name in ("weights", "widths", "frequencies"):
                torch.testing.assert_close(getattr(a, name), getattr(b, name))


def test_a_weight_of_zero_survives_the_codec():
    kernel = ProductKernel((Kernel(Gaussian(), *torch.tensor([[0.0, 1.0], [1, 1], [0, 1]], dtype=torch.float64)),))
    codec = KernelCodec.of((kernel,), (1.0,))
    assert torch.isfinite(codec.pack((kernel,))).all()
    assert float(codec.unpack(codec.pack((kernel,)))[0].axes[0].weights[0]) < 1e-300


def test_frequency_zero_stays_zero():
    kernels = (ProductKernel((rbf(0.4), matern(2.5, 0.3))),)
    codec = KernelCodec.of(kernels, (1.0, 1.0))
    vector = codec.pack(kernels).requires_grad_()
    lags = torch.linspace(-1, 2, 9, dtype=torch.float64)
    total = sum((axis.derivatives(lags, 4) ** 2).sum() for axis in codec.unpack(vector)[0].axes)
    gradient = torch.autograd.grad(total, vector)[0]
    assert (gradient[[2, 5]] == 0).all()
    assert (gradient[[0, 1, 3, 4]] != 0).all()


def test_scaling_multiplies_the_variance():
    for kernel in several():
        assert float(kernel.scaled(2.5).variance) == pytest.approx(2.5 * float(kernel.variance))
