"""Interpolation: exact for polynomials, of the order of its width, its derivatives too, and differentiable."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from pdeml.lower.multi_index import JetSpec
from pdeml.nn.interpolate import interpolate, interpolated_jet, regrid, stencil

WIDTHS = [2, 4, 6]


def _polynomial(coefficients: Tensor, x: Tensor, derivative: int = 0) -> Tensor:
    total = torch.zeros_like(x)
    for power, factor in enumerate(coefficients.tolist()):
        if power >= derivative:
            total = total + factor * math.perm(power, derivative) * x ** (power - derivative)
    return total


@pytest.fixture(autouse=True)
def _double():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_polynomials_of_the_degree_are_exact_on_uneven_nodes(width: int, derivative: int):
    nodes, points = torch.cumsum(0.1 + torch.rand(11), 0), torch.rand(40) * 7
    coefficients = torch.randn(width)
    index, weight = stencil(nodes, points, width=width, derivative=derivative)
    found = (_polynomial(coefficients, nodes)[index] * weight).sum(1)
    exact = _polynomial(coefficients, points, derivative)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-8 * float(exact.abs().max()))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("periodic", [True, False])
def test_the_order_is_the_width(width: int, periodic: bool):
    points, errors = torch.linspace(-1.7, 2.3, 301) if periodic else torch.linspace(0, 1, 301), []
    for n in (24, 48, 96):
        nodes = torch.arange(n) / n if periodic else torch.linspace(0, 1, n)
        found = interpolate(
            torch.sin(2 * math.pi * nodes + 1), [nodes], points[:, None], [1.0 if periodic else None], width
        )
        errors.append(float((found - torch.sin(2 * math.pi * points + 1)).abs().max()))
    slopes = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(abs(slope - width) < 0.25 for slope in slopes), slopes


@pytest.mark.parametrize("periods", [(None, None), (3.0, None), (3.0, 2.0)])
def test_grids_and_points_agree(periods: tuple[float | None, float | None]):
    grid = [torch.arange(7) * 3 / 7, torch.arange(5) * 2 / 5]
    target = [torch.rand(4) * 3, torch.rand(6) * 2]
    values = torch.randn(2, 3, 7, 5)
    points = torch.stack([part.flatten() for part in torch.meshgrid(*target, indexing="ij")], 1)
    on_grid = regrid(values, grid, target, periods)
    torch.testing.assert_close(on_grid.flatten(2), interpolate(values, grid, points, periods))
    assert on_grid.shape == (2, 3, 4, 6)


def test_nodes_are_met_and_periods_repeat():
    nodes = torch.cumsum(0.1 + torch.rand(9), 0)
    values = torch.randn(9)
    torch.testing.assert_close(interpolate(values, [nodes], nodes[:, None]), values, rtol=1e-14, atol=0)
    period = float(nodes[-1] - nodes[0]) + 0.3
    points = torch.rand(20) * period
    near, far = (interpolate(values, [nodes], (points + turns * period)[:, None], [period]) for turns in (0, 3))
    torch.testing.assert_close(near, far)


def test_few_nodes_are_enough():
    one = interpolate(torch.tensor([5.0]), [torch.tensor([0.3])], torch.rand(4, 1))
    assert torch.equal(one, torch.full((4,), 5.0))
    nodes = torch.tensor([0.0, 1.0, 3.0])
    points = torch.rand(6) * 3
    torch.testing.assert_close(interpolate(nodes**2, [nodes], points[:, None]), points**2)


def test_jets_are_those_of_a_polynomial_in_two_coordinates():
    grid = [torch.cumsum(0.1 + torch.rand(10), 0), torch.cumsum(0.1 + torch.rand(9), 0)]
    x, y = torch.meshgrid(*grid, indexing="ij")
    points = 0.2 + 2 * torch.rand(15, 2)
    spec = JetSpec.closed([(1, 1)], [((2.0, (2, 0)), (-3.0, (0, 2)))], dimension=2)
    found = interpolated_jet((x**3 * y**2)[None], grid, points, spec)
    a, b = points.unbind(1)
    exact = {(0, 0): a**3 * b**2, (1, 0): 3 * a**2 * b**2, (0, 1): 2 * a**3 * b, (1, 1): 6 * a**2 * b}
    for index, values in exact.items():
        torch.testing.assert_close(found[spec.position[index], 0], values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[-1, 0], 12 * a * b**2 - 6 * a**3, rtol=1e-5, atol=1e-5)


def test_gradients_in_values_and_points():
    nodes = torch.cumsum(0.1 + torch.rand(7), 0)
    values = torch.randn(2, 7, requires_grad=True)
    points = (0.4 + torch.rand(3, 1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, p: interpolate(v, [nodes], p), (values, points))
