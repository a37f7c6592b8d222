"""The evidence of rows: against a textbook formula written out, finite differences, and what leaves it unchanged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.gp import KernelCodec, Matern, ProductKernel, spectral_mixture
from pdeml.gp.evidence import Evidence
from pdeml.gp.rows import make_sites, rows_of
from pdeml.lower import Functionals, estimate_scales, statements

NUGGET = 1e-6


def beam() -> pm.Problem:
    conditions = [pm.Dirichlet(u="cos(3*x)", on="boundary.left"), pm.Condition("dn(u) + 2*u = 1", on="boundary.right")]
    return pm.Problem(
        coordinates={"x": (-0.3, 1.4)},
        unknowns="u",
        equations="(1 + x^2)*u_xx + u_x - u = sin(5*x)",
        conditions=conditions,
    )


def rows(problem: pm.Problem, *counts: int) -> tuple[Functionals, ...]:
    sites = make_sites(statements(problem, estimate_scales(problem)), problem.domain, counts)
    return rows_of(sites, len(problem.names.real_unknowns))


def evidence(problem: pm.Problem, *counts: int, envelope=None) -> tuple[Evidence, torch.Tensor]:
    extents = (problem.domain.bounds[:, 1] - problem.domain.bounds[:, 0]).tolist()
    axis = [spectral_mixture([0.0, 2.3, 7.1], 1.7, 0.8, envelope) for _ in extents]
    kernels = [ProductKernel(tuple(axis)) for _ in problem.names.real_unknowns]
    codec = KernelCodec.of(kernels, [2 * math.pi / extent for extent in extents], [0.1 / extent for extent in extents])
    found = Evidence(rows(problem, *counts), codec, NUGGET, torch.ones(codec.size, dtype=torch.float64))
    generator = torch.Generator().manual_seed(1)
    return found, codec.pack(kernels) + 0.2 * torch.randn(codec.size, generator=generator, dtype=torch.float64)


def test_it_is_the_logarithm_of_a_gaussian_density_at_its_best_amplitude():
    found, parameters = evidence(beam(), 11)
    matrix = found.matrix(found.codec.unpack(parameters)).numpy()
    covariance = matrix + NUGGET * np.diag(matrix.diagonal())
    y = found.values.numpy()
    n = len(y)
    best = y @ np.linalg.solve(covariance, y) / n

    def minus_log_density(amplitude: float) -> float:
        _, logdet = np.linalg.slogdet(2 * np.pi * amplitude * covariance)
        return 0.5 * (logdet + y @ np.linalg.solve(amplitude * covariance, y))

    constant = 0.5 * n * (1 + math.log(2 * math.pi))
    assert float(found.value(parameters)) == pytest.approx(minus_log_density(best) - constant, rel=1e-9)
    assert minus_log_density(best) < min(minus_log_density(0.97 * best), minus_log_density(1.03 * best))


@pytest.mark.parametrize(
    ("make", "counts", "envelope"),
    [
        (beam, (9,), None),
        (beam, (9,), Matern(4.5)),
        (
            lambda: pm.Problem(
                coordinates={"x": (0, 1), "t": (0, 2)},
                time="t",
                unknowns="u v",
                equations=["u_t = v_x", "v_t = x*u_x - u"],
                conditions=[pm.Initial(u="x", v=1), pm.Dirichlet(u=0, on="boundary.left")],
            ),
            (4, 5),
            None,
        ),
    ],
    ids=["gaussian", "matern", "system"],
)
@pytest.mark.parametrize("nugget", [NUGGET, 0.1])
def test_its_gradient_is_that_of_differences(make, counts: tuple[int, ...], envelope, nugget: float):
    found, parameters = evidence(make(), *counts, envelope=envelope)
    found = replace(found, nugget=nugget)
    value, gradient = found.gradient(parameters)
    assert math.isfinite(float(value))
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        along = torch.randn(len(parameters), generator=generator, dtype=torch.float64)
        step = 1e-4
        plus, minus = (float(found.value(parameters + sign * step * along)) for sign in (1, -1))
        assert float(gradient @ along) == pytest.approx((plus - minus) / (2 * step), rel=1e-5, abs=1e-5)


def test_parameters_that_are_not_free_have_no_gradient():
    found, parameters = evidence(beam(), 9)
    free = found.free.clone()
    free[3:6] = 0
    held = Evidence(found.rows, found.codec, found.nugget, free)
    assert torch.equal(held.gradient(parameters)[1][3:6], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(held.gradient(parameters)[1][6:], found.gradient(parameters)[1][6:])


def test_units_of_the_unknown_and_of_the_rows_shift_it_by_a_constant():
    found, parameters = evidence(beam(), 9)
    times = [
        Functionals(p.name, p.points, p.indices, 7.0 * p.coefficients, 7.0 * p.values, 1.0, 1.0) for p in found.rows
    ]
    other = Evidence(times, found.codec, NUGGET, found.free)
    shift = found.size * math.log(7.0)
    assert float(other.value(parameters)) == pytest.approx(float(found.value(parameters)) + shift, rel=1e-9)
    weights = parameters.clone()
    weights[:3] += math.log(5.0)  # an overall amplitude is profiled out
    assert float(found.value(weights)) == pytest.approx(float(found.value(parameters)), rel=1e-9)


def test_a_matrix_that_is_not_positive_definite_is_no_candidate():
    found, parameters = evidence(beam(), 60)
    singular = Evidence(found.rows, found.codec, 0.0, found.free)
    parameters[3:6] = math.log(1e-3)
    value, gradient = singular.gradient(parameters)
    assert math.isinf(float(value))
    assert not gradient.any()
