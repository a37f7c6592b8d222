"""Covariances of functionals: against automatic differentiation of the kernel, on grids and off them."""

from __future__ import annotations

import importlib
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp import (
    Covariance,
    Gaussian,
    Kernel,
    KernelCodec,
    ProductKernel,
    covariance,
    evaluation,
    matern,
    rbf,
    spectral_mixture,
    variances,
)
from pdeml.lower.functionals import Functionals

# The package exports a function of the same name as the module.
module = importlib.import_module("pdeml.gp.covariance")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def functionals(points: Tensor, indices, unknowns: int = 1, seed: int | None = 0, constant=None) -> Functionals:
    """Rows with random coefficients (N, K, U), or the same ones (K, U) everywhere."""
    if constant is None:
        coefficients = noise(len(points), len(indices), unknowns, seed=seed)
    else:
        coefficients = torch.tensor(constant, dtype=torch.float64).expand(len(points), -1, -1)
    return Functionals("rows", points, tuple(indices), coefficients, points.new_zeros(len(points)), 1.0, 1.0)


def two_unknowns() -> tuple[ProductKernel, ...]:
    mixture = Kernel(Gaussian(), *torch.tensor([[0.7, 0.2], [0.9, 0.4], [0.0, 3.0]], dtype=torch.float64))
    return (
        ProductKernel((mixture, spectral_mixture([1.0, 4.0], 1.3))),
        ProductKernel((rbf(0.6, 1.7), mixture.scaled(0.3))),
    )


def by_autograd(kernels, left: Functionals, right: Functionals) -> Tensor:
    """Apply both functionals to the formula of the kernel by nested automatic differentiation, pair by pair."""
    shape = (len(left), len(right))
    x = [column[:, None].expand(shape).clone().requires_grad_() for column in left.points.unbind(1)]
    y = [column[None].expand(shape).clone().requires_grad_() for column in right.points.unbind(1)]

    def gaussian_mixture(axis: Kernel, z: Tensor) -> Tensor:
        z = z[..., None]
        return (axis.weights * torch.exp(-((axis.widths * z) ** 2) / 2) * torch.cos(axis.frequencies * z)).sum(-1)

    def derived(value: Tensor, variables, index) -> Tensor:
        for variable, order in zip(variables, index, strict=True):
            for _ in range(order):
                value = torch.autograd.grad(value.sum(), variable, create_graph=True)[0]
        return value

    total = torch.zeros(shape, dtype=torch.float64)
    for u, kernel in enumerate(kernels):
        k = gaussian_mixture(kernel.axes[0], x[0] - y[0])
        for axis, a, b in zip(kernel.axes[1:], x[1:], y[1:], strict=True):
            k = k * gaussian_mixture(axis, a - b)
        pairs = itertools.product(enumerate(left.indices), enumerate(right.indices))
        for (i, alpha), (j, beta) in pairs:
            both = derived(derived(k, x, alpha), y, beta).detach()
            total += left.coefficients[:, i, u, None] * both * right.coefficients[:, j, u]
    return total


@pytest.mark.parametrize("constant", [False, True])
def test_rows_of_equations_are_double_automatic_derivatives(constant: bool):
    first, second = ((2, 0), (0, 1), (0, 0)), ((1, 1), (0, 2))
    given = (
        {"constant": [[1.0, 0.0], [-0.5, 2.0], [0.0, 3.0]]} if constant else {"seed": 3},
        {"constant": [[2.0, 1.0], [0.7, 0.0]]} if constant else {"seed": 4},
    )
    left = functionals(noise(5, 2, seed=1), first, 2, **given[0])
    right = functionals(noise(4, 2, seed=2), second, 2, **given[1])
    kernels = two_unknowns()
    for a, b in ((left, right), (right, left), (left, left)):
        torch.testing.assert_close(covariance(kernels, a, b), by_autograd(kernels, a, b), rtol=1e-11, atol=1e-11)


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 9), min_size=2, max_size=3), seed=st.integers(0, 99))
def test_random_functionals_have_a_positive_semi_definite_covariance(sizes: list[int], seed: int):
    indices = ((0, 0), (1, 0), (0, 2), (2, 1))
    rows = [functionals(noise(n, 2, seed=seed + i), indices, 2, seed + i) for i, n in enumerate(sizes)]
    kernels = two_unknowns()
    found = covariance(kernels, rows)
    assert found.shape == (sum(sizes), sum(sizes))
    torch.testing.assert_close(found, found.T, rtol=1e-12, atol=1e-12)
    diagonal = torch.cat([variances(kernels, row) for row in rows])
    torch.testing.assert_close(found.diagonal(), diagonal, rtol=1e-12, atol=1e-12)
    if len(found):
        unit = found / (diagonal[:, None] * diagonal).sqrt()
        assert float(torch.linalg.eigvalsh(unit)[0]) > -1e-13 * len(found)


def on_grids(kind: str) -> tuple[Functionals, Functionals]:
    """Pairs of statements whose lags repeat."""
    x = torch.linspace(0, 2 * torch.pi, 23, dtype=torch.float64)
    plane = torch.cartesian_prod(*(torch.linspace(*ends, dtype=torch.float64) for ends in ((0.1, 2, 7), (-1, 3, 6))))
    plane = plane[torch.randperm(len(plane), generator=torch.Generator().manual_seed(0))[:31]]
    line, laplace = ((2,), (1,)), ((2, 0), (0, 2))
    return {
        "grid": (functionals(x[:, None], line, constant=[[1.0], [0.3]]),) * 2,
        "midpoints": (
            functionals(x[:, None], line, constant=[[1.0], [0.3]]),
            functionals((x[:-1] + x.diff() / 2)[:, None], line, seed=1),
        ),
        "ends": (functionals(x[[0, -1]][:, None], ((0,),), seed=1), functionals(x[:, None], line, seed=2)),
        "shifted": (functionals(x[:, None], line, seed=1), functionals(x[3:20, None] + 0.123, line, seed=2)),
        "coarse": (functionals(x[::2, None], line, seed=1), functionals(x[:, None], line, seed=2)),
        "plane": (functionals(plane, laplace, constant=[[1.0], [2.0]]),) * 2,
        "plane with coefficients": (functionals(plane, laplace, seed=1), functionals(plane[:9], laplace, seed=2)),
    }[kind]


KINDS = ["grid", "midpoints", "ends", "shifted", "coarse", "plane", "plane with coefficients"]


def with_gradient(left, right) -> tuple[Tensor, Tensor]:
    dimension = left.points.shape[1]
    kernels = (ProductKernel((spectral_mixture([0.0, 4.0, 9.0], 0.8), matern(5.5, 0.7))[:dimension]),)
    codec = KernelCodec.of(kernels, (1.0,) * dimension)
    vector = codec.pack(kernels).requires_grad_()
    found = Covariance(left, right)(codec.unpack(vector))
    return found.detach(), torch.autograd.grad(found, vector, noise(*found.shape, seed=5))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_distinct_lags_give_what_all_pairs_give(kind: str, monkeypatch: pytest.MonkeyPatch):
    left, right = on_grids(kind)
    counted = []
    derivatives = Kernel.derivatives
    monkeypatch.setattr(Kernel, "derivatives", lambda k, z, n: counted.append(len(z)) or derivatives(k, z, n))
    quick = with_gradient(left, right)
    few, pairs = sum(counted), len(left) * len(right)
    monkeypatch.setattr(module, "_shared_grid", lambda a, b: None)
    slow = with_gradient(left, right)
    for a, b in zip(quick, slow, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12 * float(b.abs().max()))
    # The two ends of a grid have as many lags as pairs, nearly.
    assert few < (pairs if kind == "ends" else pairs / 4)


def test_a_grid_gives_an_exactly_symmetric_matrix():
    left, _ = on_grids("grid")
    found, _ = with_gradient(left, left)
    assert float((found - found.T).abs().max()) <= 1e-15 * float(found.abs().max())


def test_points_that_only_seem_to_form_a_grid_are_told_apart():
    x = torch.linspace(0, 1, 12, dtype=torch.float64)
    x[5] += 1e-6
    rows = functionals(x[:, None], ((2,),), constant=[[1.0]])
    kernels = (ProductKernel((rbf(0.1),)),)
    torch.testing.assert_close(covariance(kernels, rows), by_autograd(kernels, rows, rows), rtol=1e-11, atol=1e-8)


@pytest.mark.parametrize("kind", ["grid", "plane with coefficients"])
def test_blocks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch):
    left, right = on_grids(kind)
    whole = with_gradient(left, right)
    monkeypatch.setattr(module, "_BLOCK", 50)
    for a, b in zip(with_gradient(left, right), whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13 * float(b.abs().max()))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_repeat_to_the_bit(kind: str):
    assert torch.equal(with_gradient(*on_grids(kind))[1], with_gradient(*on_grids(kind))[1])


@pytest.mark.parametrize("kind", ["grid", "plane", "plane with coefficients"])
def test_gradients(kind: str):
    left, right = (rows_of(rows, 6) for rows in on_grids(kind))
    dimension = left.points.shape[1]
    kernels = (ProductKernel((spectral_mixture([0.5, 2.0], 0.8), matern(4.5, 0.9))[:dimension]),)
    codec = KernelCodec.of(kernels, (1.0,) * dimension)
    plan = Covariance(left, right)
    vector = codec.pack(kernels).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: plan(codec.unpack(v)), [vector], atol=1e-4)


def rows_of(rows: Functionals, count: int) -> Functionals:
    return Functionals(
        "some", rows.points[:count], rows.indices, rows.coefficients[:count], rows.values[:count], 1.0, 1.0
    )


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_operator_of_order_m_needs_nu_above_m(order: int):
    rows = functionals(noise(7, 1), ((order,), (0,)))
    found = covariance((ProductKernel((matern(order + 0.5, 0.4),)),), rows)
    assert float(torch.linalg.eigvalsh(found)[0]) > 0
    with pytest.raises(InputError, match=rf"nu = {order + 0.5}$"):
        covariance((ProductKernel((matern(order - 0.5, 0.4),)),), rows)


def test_the_value_of_an_unknown_is_a_functional():
    points, kernels = noise(5, 2), two_unknowns()
    first, second = (evaluation(points, 2, u) for u in range(2))
    assert (covariance(kernels, first, second) == 0).all()
    expected = [variances(kernels, evaluation(points, 2, 1, (2, 1)))]
    orders = zip(kernels[1].axes, (4, 2), strict=True)
    expected.append(torch.full((5,), -float(torch.stack([axis.moments(n)[n] for axis, n in orders]).prod())))
    torch.testing.assert_close(expected[0], expected[1].double())
    assert float(expected[0].min()) > 0


def test_kernels_of_another_problem_are_refused():
    plan = Covariance(evaluation(noise(3, 2), 2))
    for kernels in (two_unknowns()[:1], (ProductKernel((rbf(1.0),)),) * 2):
        with pytest.raises(InputError, match=r"allowed: \(2, 2\)"):
            plan(kernels)
