"""Derivatives on grids, input functions of batches, and where conditions lie on a grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.lower.given import GivenFunctions, input_jets
from pdeml.lower.grid_derivatives import GridAxis, along, differentiated
from pdeml.lower.grid_places import inner_place, places_of

ORDERS = (0, 1, 2, 3, 4)


def uneven(n: int) -> np.ndarray:
    steps = 1 + 0.4 * np.sin(5.0 * np.arange(n - 1))
    return np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()


def wave(x: np.ndarray, k: float, order: int) -> np.ndarray:
    return k**order * np.sin(k * x + 0.7 + 0.5 * np.pi * order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [4, 6])
def test_differences_are_exact_for_polynomials_up_to_the_ends_of_uneven_points(order: int, accuracy: int):
    axis = GridAxis("x", uneven(19), None, accuracy)
    polynomial = np.polynomial.Polynomial(np.random.default_rng(order).normal(size=order + accuracy))
    derived = polynomial.deriv(order) if order else polynomial
    at = np.linspace(0, 1, 37)
    np.testing.assert_allclose(axis.matrix(order) @ polynomial(axis.points), derived(axis.points), atol=1e-7)
    np.testing.assert_allclose(axis.matrix_at(at, order) @ polynomial(axis.points), derived(at), atol=1e-7)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("accuracy", [4, 6])
def test_differences_converge_with_their_order(order: int, accuracy: int):
    at, errors = np.random.default_rng(0).uniform(0, 1, 200), []
    for n in (33, 65):
        axis = GridAxis("x", np.linspace(0, 1, n), None, accuracy)
        values = wave(axis.points, 3.0, 0)
        found = (axis.matrix(order) @ values, axis.matrix_at(at, order) @ values)
        wanted = (wave(axis.points, 3.0, order), wave(at, 3.0, order))
        errors.append(max(np.abs(a - b).max() for a, b in zip(found, wanted, strict=True)))
    assert np.log2(errors[0] / errors[1]) > accuracy - 0.3


@pytest.mark.parametrize("n", [11, 12])
@pytest.mark.parametrize("order", ORDERS)
def test_fourier_derivatives_are_exact_for_waves_that_the_grid_holds(n: int, order: int):
    period, low = 3.0, -1.0
    axis = GridAxis("x", low + period * np.arange(n) / n, period)
    at = np.linspace(low, low + period, 29)
    for wavenumber in range(6 if n % 2 else 5):
        k = 2 * np.pi * wavenumber / period
        scale = max(k, 1) ** order
        values = wave(axis.points, k, 0)
        np.testing.assert_allclose(axis.matrix(order) @ values, wave(axis.points, k, order), atol=1e-11 * scale)
        np.testing.assert_allclose(axis.matrix_at(at, order) @ values, wave(at, k, order), atol=1e-11 * scale)


def test_highest_wave_of_an_even_grid_has_no_slope_and_its_own_curvature():
    axis = GridAxis("x", np.arange(8) / 8, 1.0)
    saw = (-1.0) ** np.arange(8)
    np.testing.assert_allclose(axis.matrix(1) @ saw, 0, atol=1e-12)
    np.testing.assert_allclose(axis.matrix(2) @ saw, -((8 * np.pi) ** 2) * saw, rtol=1e-12)


def test_mixed_derivatives_on_a_grid_of_both_kinds():
    x, t = GridAxis("x", np.arange(15) / 15, 1.0), GridAxis("t", np.linspace(0, 1, 9))
    k = 2 * np.pi
    values = torch.tensor(np.stack([c * np.outer(t.points**3, np.sin(k * x.points)) for c in (1.0, 2.0)]))
    found = differentiated(values, (t, x), {"x": 3, "t": 1})
    wanted = -3 * k**3 * np.outer(t.points**2, np.cos(k * x.points))
    np.testing.assert_allclose(found.numpy(), np.stack([wanted, 2 * wanted]), atol=1e-9)
    assert not differentiated(values, (t, x), {"y": 1}).any()


def test_derivatives_are_taken_in_full_precision_under_autocast():
    axis = GridAxis("x", np.linspace(0, 1, 33))
    values = torch.tensor(axis.points**2, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = along(values, axis.matrix(2), -1)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), 2.0, atol=2e-2)


@pytest.mark.parametrize(
    ("points", "period", "message"),
    [
        (np.array([0.0, 0.2, 0.1]), None, "must increase"),
        (np.linspace(0, 1, 9), 1.0, "is the end point"),
    ],
)
def test_unfit_axes_are_refused(points: np.ndarray, period: float | None, message: str):
    with pytest.raises(InputError, match=message):
        GridAxis("x", points, period)


def test_too_few_points_for_a_derivative_are_refused():
    with pytest.raises(InputError, match="order 2 along 'x' needs at least 6 points, there are 5"):
        GridAxis("x", np.linspace(0, 1, 5)).matrix(2)


def test_input_functions_at_points_and_on_the_grid():
    x, y = GridAxis("x", np.linspace(0, 2, 61)), GridAxis("y", np.arange(16) / 16, 1.0)
    factors = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    field = np.outer(np.sin(2 * np.pi * y.points), np.exp(x.points))
    given = GivenFunctions(
        ("x", "y", "t"),
        (("a", (1, 1, 0)),),
        {"x": x, "y": y},
        {"a": ("y", "x"), "nu": ()},
        {"a": factors[:, None, None] * torch.tensor(field), "nu": factors},
    )
    at = np.random.default_rng(1).uniform([0, 0, 0], [2, 1, 1], (20, 3))
    wanted = 2 * np.pi * np.cos(2 * np.pi * at[:, 1]) * np.exp(at[:, 0])
    np.testing.assert_allclose(given.at_points("a", (1, 1, 0), at), np.outer(factors, wanted), atol=1e-6)
    assert given.at_points("nu", (), at).shape == (3, 1)
    on_grid = given.on_grid("a", (0, 1, 0), ("t", "y", "x"))
    assert on_grid.shape == (3, 1, 16, 61)
    slope = 2 * np.pi * np.outer(np.cos(2 * np.pi * y.points), np.exp(x.points))
    np.testing.assert_allclose(on_grid[1, 0], -2 * slope, atol=1e-11)
    assert not given.on_grid("a", (0, 0, 1), ("t", "y", "x")).any()
    # Probes take one sample after the other, at the nearest points.
    probes = given.at(np.array([[0.0, 0.25, 0.5]] * 3))
    np.testing.assert_allclose(probes["a"], factors)
    np.testing.assert_allclose(probes["nu"], factors)


def diffusion(**more):
    return pm.Problem(
        **{
            "coordinates": {"x": (0, 1), "y": (0, 2), "t": (0, 1)},
            "time": "t",
            "unknowns": "u",
            "inputs": {"a": {"over": ["x", "y"]}, "g": {"over": ["x", "y"]}},
            "equations": "u_t = div(a*grad(u))",
            "conditions": [pm.Initial(u="g"), pm.Dirichlet(u=0, on="boundary.left"), {"periodic": ["y"]}],
            **more,
        }
    )


def test_the_derivatives_of_inputs_that_occur():
    assert input_jets(diffusion()) == (("a", (0, 0, 0)), ("a", (0, 1, 0)), ("a", (1, 0, 0)), ("g", (0, 0, 0)))


def test_conditions_lie_at_the_ends_and_equations_between():
    problem = diffusion()
    axes = (
        GridAxis("t", np.linspace(0, 1, 7)),
        GridAxis("y", np.arange(6) / 3, 2.0),
        GridAxis("x", np.linspace(0, 1, 5)),
    )
    initial, left = (places_of(c.region, axes, problem.names.space) for c in problem.constraints)
    assert [place.where for place in initial] == [(slice(0, 1), slice(0, 6), slice(0, 5))]
    assert [place.where for place in left] == [(slice(0, 7), slice(0, 6), slice(0, 1))]
    assert left[0].normals == {"x": -1.0, "y": 0.0}
    assert inner_place(problem, axes).where == (slice(1, 7), slice(0, 6), slice(1, 5))


def test_parts_of_a_boundary_count_by_their_measure():
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 3)},
        unknowns="u",
        equations="laplacian(u) = 1",
        conditions=[pm.Neumann(u=0), pm.Dirichlet(u=0, on={"where": "x + y < 0.6"})],
    )
    axes = (GridAxis("y", np.linspace(0, 3, 7)), GridAxis("x", np.linspace(0, 1, 5)))
    walls, inside = (places_of(c.region, axes, problem.names.space) for c in problem.constraints)
    assert sorted(place.share for place in walls) == pytest.approx([1 / 8, 1 / 8, 3 / 8, 3 / 8])
    assert sum(place.normals["x"] + place.normals["y"] for place in walls) == 0
    mesh = axes[1].points + axes[0].points[:, None]
    np.testing.assert_array_equal(inside[0].kept, mesh < 0.6)


def test_a_condition_beside_the_grid_is_refused():
    problem = diffusion()
    axes = (GridAxis("t", np.linspace(0.1, 1, 7)), GridAxis("x", np.linspace(0, 1, 5)))
    with pytest.raises(InputError, match="holds at t = 0, where the grid has no points"):
        places_of(problem.constraints[0].region, axes, problem.names.space)
