"""Processes given rows: against textbook conditioning, in both forms; standard deviations, parts and derivatives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.gp import Matern, ProductKernel, covariance, evaluation, matern, rbf, spectral_mixture
from pdeml.gp.nystrom import RepresenterAnsatz, thinned
from pdeml.gp.posterior import Space, trimmed
from pdeml.gp.prior import PriorSamples
from pdeml.gp.rows import make_sites, rows_of
from pdeml.gp.square_root import SpectralAnsatz, feature_count
from pdeml.lower import Functionals, JetSpec, estimate_scales, statements

FORMS = {"square root": SpectralAnsatz, "representers": RepresenterAnsatz}
both_forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def observed(points: torch.Tensor, values: torch.Tensor, unknowns: int = 1) -> Functionals:
    return replace(evaluation(points, unknowns), values=values)


def space(points: torch.Tensor) -> Space:
    low, high = points.amin(0), points.amax(0)
    names = ("x", "y")[: points.shape[1]]
    return Space(names, tuple(low.tolist()), tuple((high - low).tolist()), points)


def line(n: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.linspace(0, 3, n, dtype=torch.float64)[:, None]
    return x, torch.sin(2 * x[:, 0]) + 0.3 * x[:, 0]


@both_forms
def test_mean_and_deviation_are_those_of_the_textbook(form):
    x, y = line()
    kernel = (ProductKernel((rbf(0.4, 1.7),)),)
    ansatz = form(kernel, (observed(x, y),), space(x))
    new = torch.linspace(-0.0, 3, 23, dtype=torch.float64)[:, None]
    k = lambda a, b: 1.7 * np.exp(-0.5 * ((a - b.T) / 0.4) ** 2)  # noqa: E731 - the formula, beside its use
    K, cross = k(x.numpy(), x.numpy()), k(new.numpy(), x.numpy())
    mean = cross @ np.linalg.solve(K, y.numpy())
    amplitude = y.numpy() @ np.linalg.solve(K, y.numpy()) / (len(y) - 2)
    variance = amplitude * (1.7 - np.einsum("ij,ji->i", cross, np.linalg.solve(K, cross.T)))
    theta = ansatz.conditioned.theta
    np.testing.assert_allclose(ansatz.values(theta, new)[:, 0], mean, atol=1e-8)
    np.testing.assert_allclose(ansatz.deviations(theta, new)[:, 0] ** 2, variance, atol=1e-8)
    assert ansatz.conditioned.amplitude == pytest.approx(amplitude, rel=1e-7)


@both_forms
def test_rows_of_equations_hold_and_derivatives_are_exact(form):
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 2)},
        unknowns="u v",
        equations=["u_x - v_y = x", "u_y + v_x = 0"],
        conditions=[pm.Dirichlet(u="x*y")],
    )
    sites = make_sites(statements(problem, estimate_scales(problem)), problem.domain, (3, 4))
    rows = rows_of(sites, 2)
    kernel = ProductKernel((rbf(0.5), rbf(0.9)))
    ansatz = form((kernel, kernel.scaled(3.0)), rows, Space(("x", "y"), (0.0, 0.0), (1.0, 2.0), sites[0].points))
    theta = ansatz.conditioned.theta
    assert len(theta) == ansatz.parameter_count
    for part in rows:
        jets = ansatz.derivatives(theta, part.points, part.indices)
        np.testing.assert_allclose(part.apply(jets), part.values, atol=1e-5)
    at = torch.tensor([[0.31, 0.77], [0.9, 1.6]], dtype=torch.float64)
    spec = JetSpec.closed([(1, 1)], [((2.0, (2, 0)), (1.0, (0, 2)))], 2)
    jets, tape = ansatz.prepare(at, spec).linearise(theta)
    h = 1e-4
    shift = lambda a, b: ansatz.values(theta, at + h * torch.tensor([a, b], dtype=torch.float64))  # noqa: E731
    mixed = (shift(1, 1) - shift(1, -1) - shift(-1, 1) + shift(-1, -1)) / (4 * h * h)
    np.testing.assert_allclose(jets[spec.position[1, 1]], mixed, atol=1e-5)
    summed = 2 * (shift(1, 0) + shift(-1, 0)) + shift(0, 1) + shift(0, -1) - 6 * shift(0, 0)
    np.testing.assert_allclose(jets[-1], summed / h**2, atol=1e-4)
    adjoint = torch.randn(jets.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    jacobian = tape.jacobian(adjoint, torch.empty(2, len(theta), dtype=torch.float64))
    np.testing.assert_allclose(jacobian @ theta, (adjoint * jets).sum((0, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(tape.pullback(adjoint), jacobian.sum(0), rtol=1e-8, atol=1e-8)


def test_the_square_root_form_keeps_what_a_covariance_loses():
    """A parabola a million times smaller in the rows than the wave on top of it."""
    problem = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", equations="u_xx = 1", conditions=[pm.Dirichlet(u=0)]
    ).manufactured({"u": "sin(300*x) - 0.02*x^2"})
    sites = make_sites(statements(problem, estimate_scales(problem)), problem.domain, (240,))
    kernel = (ProductKernel((spectral_mixture([0.0, 300.0], 2.0),)),)
    at = Space(("x",), (0.0,), (1.0,), sites[0].points)
    x = torch.linspace(0.003, 0.997, 301, dtype=torch.float64)[:, None]
    exact = torch.sin(300 * x) - 0.02 * x**2
    errors = []
    for form in FORMS.values():
        ansatz = form(kernel, rows_of(sites, 1), at)
        errors.append(float((ansatz.values(ansatz.conditioned.theta, x) - exact).abs().max()))
    assert errors[0] < 1e-9
    assert errors[0] < 1e-2 * errors[1]


@both_forms
def test_the_band_of_two_deviations_covers_what_is_drawn_from_the_prior(form):
    """Coverage at held-out points of many functions, each known at a few points only."""
    kernel, count = rbf(0.5), 150
    samples = PriorSamples((ProductKernel((kernel,)),), (3.0,), count, torch.Generator().manual_seed(5))
    x = torch.linspace(0.0, 3.0, 6, dtype=torch.float64)[:, None]
    new = torch.tensor([[0.27], [1.41], [2.2]], dtype=torch.float64)
    known, truth = (samples.jets(at, ((0,),))[:, 0, :, 0] for at in (x, new))
    inside = []
    for values, hidden in zip(known, truth, strict=True):
        ansatz = form((ProductKernel((kernel,)),), (observed(x, values),), space(x))
        theta = ansatz.conditioned.theta
        off = (ansatz.values(theta, new)[:, 0] - hidden).abs() / ansatz.deviations(theta, new)[:, 0]
        inside.append((off < 1.96).double().mean())
    # Student's t with six degrees of freedom stays within 1.96 of its standard deviations 94.7 % of the time.
    assert float(torch.stack(inside).mean()) == pytest.approx(0.947, abs=0.035)


@both_forms
def test_the_parts_by_frequency_add_up_and_find_what_the_solution_is_made_of(form):
    x = torch.linspace(0, 2 * math.pi, 90, dtype=torch.float64)[:, None]
    y = 3.0 * torch.sin(4 * x[:, 0]) + 0.1 * torch.cos(25 * x[:, 0])
    kernel = (ProductKernel((spectral_mixture([0.0, 4.0, 13.0, 25.0], 0.2),)),)
    ansatz = form(kernel, (observed(x, y),), space(x))
    theta = ansatz.conditioned.theta
    parts = ansatz.parts(theta, x, 0, (2.0, 8.5, 19.0))
    np.testing.assert_allclose(parts.sum(0), ansatz.values(theta, x), atol=1e-6)
    (first, *_), (second, share, _) = ansatz.frequencies(theta)["x"][:2]
    assert (first, second) == pytest.approx((4.0, 25.0), abs=1e-9)
    assert share == pytest.approx(0.1**2 / 3.0**2, rel=0.05)


def test_few_representers_meet_all_rows_and_admit_what_they_do_not_know():
    x, y = line(61)
    kernel = (ProductKernel((rbf(0.5),)),)
    rows = (observed(x, y),)
    few = thinned(rows, 16)
    assert sum(map(len, few)) == 16
    gaps = few[0].points[:, 0].diff()
    assert float(gaps.max()) < 2.7 * float(gaps.min())
    ansatz = RepresenterAnsatz(kernel, rows, space(x), few)
    theta = ansatz.conditioned.theta
    assert len(theta) == 16
    between = 0.5 * (x[1:] + x[:-1])
    exact = torch.sin(2 * between[:, 0]) + 0.3 * between[:, 0]
    off = (ansatz.values(theta, between)[:, 0] - exact).abs()
    assert float(off.max()) < 1e-4
    assert bool((off < 4 * ansatz.deviations(theta, between)[:, 0]).all())
    assert thinned(rows, 100) == rows


def test_of_many_rows_the_short_statements_stay_whole():
    x, y = line(61)
    long, short = thinned((observed(x, y), observed(x[:2], y[:2])), 16)
    assert (len(long), len(short)) == (15, 2)
    np.testing.assert_array_equal(short.points, x[:2])


@both_forms
def test_deviations_grow_by_what_held_out_rows_are_missed_by(form):
    x, y = line()
    at = torch.linspace(0.2, 2.8, 7, dtype=torch.float64)[:, None]
    ansatz = form((ProductKernel((rbf(0.4),)),), (observed(x, y),), space(x))
    theta = ansatz.conditioned.theta
    mean, std = ansatz.values(theta, at)[:, 0], ansatz.deviations(theta, at)[:, 0]
    for off, factor in ((5.0, 5.0), (0.1, 1.0)):
        same = ansatz.calibrated([observed(at, mean + off * std.square().mean().sqrt())])
        np.testing.assert_array_equal(same.conditioned.theta, theta)
        np.testing.assert_allclose(same.deviations(theta, at)[:, 0], factor * std, rtol=1e-6)


def test_harmonics_without_width_repeat_exactly():
    base = spectral_mixture([0.0, 2.0, 4.0], 1e-12)
    x = torch.tensor([[0.1], [0.7], [2.0]], dtype=torch.float64)
    y = torch.tensor([1.0, -0.4, 0.3], dtype=torch.float64)
    ansatz = SpectralAnsatz((ProductKernel((base,)),), (observed(x, y),), Space(("x",), (0.0,), (math.pi,), x))
    theta = ansatz.conditioned.theta
    ends = torch.tensor([[0.0], [math.pi]], dtype=torch.float64)
    for order in range(3):
        low, high = ansatz.derivatives(theta, ends, ((order,),))[0, :, 0].tolist()
        assert low == pytest.approx(high, abs=1e-12)
    assert feature_count(ansatz.kernels, ansatz.space) == 6


def test_components_lost_in_rounding_are_dropped_unless_a_derivative_shows_them():
    kernel = spectral_mixture([0.0, 500.0, 3.0], 0.5)
    kernel = replace(kernel, weights=torch.tensor([1.0, 1e-13, 1e-13], dtype=torch.float64))
    (kept,) = trimmed([ProductKernel((kernel,))], (2,))
    assert kept.axes[0].frequencies.tolist() == [0.0, 500.0]


def test_a_rough_kernel_is_conditioned_by_representers():
    x, y = line(31)
    kernel = (ProductKernel((matern(2.5, 1.0),)),)
    assert kernel[0].axes[0].envelope == Matern(2.5)
    ansatz = RepresenterAnsatz(kernel, (observed(x, y),), space(x))
    solved = np.linalg.solve(covariance(kernel, observed(x, y)).numpy(), y.numpy())
    np.testing.assert_allclose(ansatz.conditioned.theta, solved, rtol=1e-5, atol=1e-6)
