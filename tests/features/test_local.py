"""Random features on a cube: derivatives, orthonormality, what they span."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdeml.errors import InputError
from pdeml.features.local import ACTIVATIONS, LocalSpace, draw_space, gauss_points

FORMULAS = {"sin": torch.sin, "tanh": torch.tanh}


def naive(space: LocalSpace, points: Tensor, column: int) -> Tensor:
    """One of the features and monomials as it is defined."""
    if column < len(space.biases):
        return FORMULAS[space.activation](points @ space.weights[column] + space.biases[column])
    value = torch.ones_like(points[:, 0])
    for axis, power in enumerate(space.powers[column - len(space.biases)]):
        for _ in range(power):
            value = value * points[:, axis]
    return value


def differentiated(space: LocalSpace, points: Tensor, index: tuple[int, ...], column: int) -> Tensor:
    """A derivative of one of the features or monomials by nested reverse mode."""
    x = points.clone().requires_grad_()
    value = naive(space, x, column)
    for axis, order in enumerate(index):
        for _ in range(order):
            if not value.requires_grad:
                return torch.zeros_like(value)
            (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True, materialize_grads=True)
            value = slope[:, axis]
    return value.detach()


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@settings(max_examples=15, deadline=None)
@given(
    index=st.lists(st.integers(0, 4), min_size=1, max_size=3).filter(lambda index: sum(index) <= 5),
    seed=st.integers(0, 99),
)
def test_derivatives_are_those_of_the_formula(activation: str, index: list[int], seed: int):
    space = draw_space(len(index), 3.0, 5, activation=activation, seed=seed)
    points = 2 * torch.rand(7, len(index), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1
    found = space.features(points, index)
    for column in (0, 7, 14, space.mixing.shape[0] - 1):
        expected = differentiated(space, points, tuple(index), column)
        torch.testing.assert_close(found[:, column], expected, rtol=1e-10, atol=1e-10 * 3.0 ** sum(index))
    torch.testing.assert_close(space.values(points, index), found @ space.mixing)


@pytest.mark.parametrize("activation, radius", [("sin", 16.0), ("tanh", 1.0)])
@pytest.mark.parametrize("dimension, size", [(1, 31), (2, 45), (3, 50)])
def test_functions_are_orthonormal_also_at_other_points(activation: str, radius: float, dimension: int, size: int):
    """The functions made of nearly dependent features lose as many digits as their norm fell."""
    space = draw_space(dimension, radius / dimension, size, activation=activation, seed=3)
    points, weights = gauss_points(dimension, {1: 131, 2: 31, 3: 17}[dimension])
    values = space.values(points)
    gram = values.T @ (weights[:, None] * values)
    lost = torch.finfo(torch.float64).eps * space.singular[0] / space.singular
    allowed = 1e-13 + 300 * torch.maximum(lost[:, None], lost[None, :])
    assert torch.all((gram - torch.eye(space.size, dtype=torch.float64)).abs() <= allowed)


def test_the_quadrature_may_be_that_of_any_body():
    points, weights = gauss_points(2, 30)
    inside = points.norm(dim=1) < 0.9
    space = draw_space(2, 3.0, 40, quadrature=(points[inside], weights[inside]))
    values = space.values(points[inside])[:, :20]
    gram = values.T @ (weights[inside, None] * values)
    torch.testing.assert_close(gram, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("activation, radius", [("sin", 9.0), ("tanh", 1.0)])
def test_the_features_and_monomials_are_in_their_space(activation: str, radius: float):
    space = draw_space(1, radius, 60, activation=activation)
    points, weights = gauss_points(1, 150)
    root = weights.sqrt()[:, None]
    columns = [naive(space, points, k) for k in range(len(space.mixing))]
    members, basis = root * torch.stack(columns, 1), root * space.values(points)
    coefficients = torch.linalg.lstsq(basis, members).solution
    assert (basis @ coefficients - members).norm() < 1e-11 * members.norm()


def best_approximation(space: LocalSpace, wave: float) -> float:
    """Relative L2 distance of cos(wave x + 0.4) from the space."""
    points, weights = gauss_points(1, 200)
    basis = weights.sqrt()[:, None] * space.values(points)
    target = weights.sqrt() * torch.cos(wave * points[:, 0] + 0.4)
    left = target - basis @ torch.linalg.lstsq(basis, target[:, None]).solution[:, 0]
    return float(left.norm() / target.norm())


@pytest.mark.parametrize("seed", range(3))
def test_a_wave_within_the_radius_is_approximated_at_a_spectral_rate(seed: int):
    """The error falls by a constant factor a function, at least by 2.5, until rounding."""
    sizes = np.arange(15, 27, 3)
    errors = [best_approximation(draw_space(1, 16.0, int(m), seed=seed), 12.0) for m in sizes]
    slope = np.polyfit(sizes, np.log(errors), 1)[0]
    assert slope < -math.log(2.5)
    assert best_approximation(draw_space(1, 16.0, 40, seed=seed), 12.0) < 1e-11


def test_a_wave_beyond_the_radius_is_not_covered_by_any_number_of_functions():
    assert best_approximation(draw_space(1, 4.0, 18, degree=0), 32.0) > 0.5


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_seed_is_a_draw_whatever_was_drawn_before(activation: str):
    first = draw_space(2, 2.0, 7, activation=activation, seed=5)
    torch.rand(3)
    again, other = (draw_space(2, 2.0, 7, activation=activation, seed=seed) for seed in (5, 6))
    assert torch.equal(first.weights, again.weights)
    assert torch.equal(first.mixing, again.mixing)
    assert not torch.equal(first.weights, other.weights)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_weights_fill_the_ball_evenly(dimension: int):
    lengths = draw_space(dimension, 5.0, 60, seed=1).weights.norm(dim=1)
    assert lengths.max() <= 5.0
    assert float((lengths / 5.0).pow(dimension).mean()) == pytest.approx(0.5, abs=0.1)


def test_a_space_can_be_made_again_from_its_parts():
    space = draw_space(1, 4.0, 11)
    points = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    again = replace(space, mixing=space.mixing.clone())
    assert torch.equal(again.values(points, (1,)), space.values(points, (1,)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"activation": "tan"}, "did you mean 'tanh'"),
        ({"radius": 0.0}, "positive number"),
        ({"radius": math.inf}, "positive number"),
        ({"size": 0}, "at least one"),
        ({"size": 40_000}, "would fit"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict, message: str):
    with pytest.raises(InputError, match=message):
        draw_space(**{"dimension": 1, "radius": 1.0, "size": 5, **arguments})
