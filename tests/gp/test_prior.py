"""Samples of the prior have its covariance, and their derivatives are derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp import Matern, PriorSamples, ProductKernel, covariance, evaluation, prior, rbf, spectral_mixture

KERNELS = (
    ProductKernel((spectral_mixture([0.0, 6.0], 1.2, 2.0), spectral_mixture([3.0], 0.8, 1.0, Matern(3.5)))),
    ProductKernel((rbf(0.4), rbf(0.7, 0.5))),
)
EXTENTS = (1.0, 2.0)
INDICES = ((0, 0), (1, 0), (0, 2))


def draw(count: int, seed: int = 0, tail: float = 1e-6) -> PriorSamples:
    return PriorSamples(KERNELS, EXTENTS, count, torch.Generator().manual_seed(seed), tail)


def points(count: int) -> Tensor:
    unit = torch.rand(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return unit * torch.tensor(EXTENTS, dtype=torch.float64)


def test_the_empirical_covariance_is_that_of_the_kernels():
    count, x = 2000, points(3)
    values = draw(count).jets(x, INDICES)
    assert values.shape == (count, len(INDICES), 3, 2)
    rows = [evaluation(x, 2, u, index) for u in range(2) for index in INDICES]
    expected = covariance(KERNELS, rows)
    flat = values.permute(0, 3, 1, 2).reshape(count, -1)
    found = flat.T @ flat / count
    diagonal = expected.diagonal()
    # Isserlis: the variance of a product of two centred normal variables.
    deviation = ((diagonal[:, None] * diagonal + expected**2) / count).sqrt()
    assert float(((found - expected) / deviation).abs().max()) < 4.5
    assert float((flat.mean(0) / (diagonal / count).sqrt()).abs().max()) < 4.5


def test_derivatives_of_samples_are_those_of_automatic_differentiation():
    samples, x = draw(2), points(5).requires_grad_()
    found = samples.jets(x, ((0, 0), (1, 0), (1, 1), (1, 2)))
    for before, after, axis in ((0, 1, 0), (1, 2, 1), (2, 3, 1)):
        for s in range(2):
            for u in range(2):
                (slope,) = torch.autograd.grad(found[s, before, :, u].sum(), x, retain_graph=True)
                torch.testing.assert_close(found[s, after, :, u], slope[:, axis])


@pytest.mark.parametrize("index", [None, (2, 1)])
def test_a_grid_is_the_product_of_its_axes(index):
    samples = draw(3)
    x, y = torch.linspace(0, 1, 4, dtype=torch.float64), torch.linspace(0.5, 2, 5, dtype=torch.float64)
    scattered = samples.jets(torch.cartesian_prod(x, y), [index or (0, 0)])[:, 0]
    torch.testing.assert_close(samples.grid([x, y], index), scattered.reshape(3, 4, 5, 2))


def test_seeds_and_samples_are_independent():
    x = points(2)
    one, again, other = (draw(2, seed).jets(x, INDICES) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.isclose(one, other).any()
    assert not torch.isclose(one[0], one[1]).any()


def test_more_than_the_memory_holds_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prior, "available_memory", lambda: 10 * 2**20)
    with pytest.raises(InputError, match="the memory holds") as raised:
        draw(10**6)
    fit = int(str(raised.value).split("the memory holds ")[1].split(";")[0])
    draw(fit)
    with pytest.raises(InputError, match="the memory holds"):
        draw(fit + 1)
