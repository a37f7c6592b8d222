"""The default scaling is blind to units: coordinates, unknowns and equations may be measured in anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.errors import InputError
from pdeml.lower import estimate_scales, residual_scale
from pdeml.solvers import PINN

FACTORS = st.floats(-6, 6).map(lambda power: float(f"{10**power:.3g}"))


def burgers(x: float, t: float, u: float, factor: float) -> pm.Problem:
    """u_t + u u_x = 0.1 u_xx + source with x measured in 1/x of its unit, and so on, and the equation multiplied."""
    return pm.Problem(
        coordinates={"x": (-x, 2 * x), "t": (0, 0.5 * t)},
        time="t",
        unknowns="u",
        equations=f"{factor}*({t / u}*u_t + {x / u**2}*u*u_x)"
        f" = {factor}*({0.1 * x**2 / u}*u_xx + 1.7*cos(3*x/{x})*exp(-t/{t}))",
        conditions=[
            pm.Initial(u=f"{3 * u}*exp(-(x/{x})**2)"),
            pm.Neumann(u=f"{0.4 * u / x}*(1 + t/{t})", on={"x": -x}),
            pm.Condition(f"{x / u}*dn(u) + u/{u} = 2", on={"x": 2 * x}),
        ],
    )


def channel(x: float, y: float, u: float, p: float) -> pm.Problem:
    """Steady flow: nothing but the other terms says how large the pressure is."""
    return pm.Problem(
        coordinates={"x": (0, 2 * x), "y": (0, y)},
        unknowns="u v p",
        equations=[
            f"{x / u**2}*u*u_x + {y / u**2}*v*u_y + {x / p}*p_x = {0.1 * x**2 / u}*u_xx + {0.1 * y**2 / u}*u_yy",
            f"{x / u**2}*u*v_x + {y / u**2}*v*v_y + {y / p}*p_y = {0.1 * x**2 / u}*v_xx + {0.1 * y**2 / u}*v_yy",
            f"{x / u}*u_x + {y / u}*v_y = 0",
        ],
        conditions=[
            pm.Dirichlet(u=f"{4 * u}*y/{y}*(1 - y/{y})", v=0, on="boundary.left"),
            pm.Dirichlet(p=0, on="boundary.right"),
            pm.Neumann(u=0, v=0, on="boundary.right"),
        ],
    )


def rod(x: float, u: float, stress: float, factor: float) -> pm.Problem:
    """A system of first order: displacement and stress, of very different sizes."""
    return pm.Problem(
        coordinates={"x": (0, x)},
        unknowns="s u",
        equations=[f"s/{stress} = {x / u}*u_x", f"{factor * x / stress}*s_x = {factor}*sin(x/{x})"],
        conditions=[pm.Dirichlet(u=0, on="boundary.left"), pm.Condition(f"s = {0.3 * stress}", on="boundary.right")],
    )


def path(problem: pm.Problem, optimizer: str) -> tuple[torch.Tensor, dict[str, float]]:
    """The parameters after a few steps, and the residuals on fresh points."""
    solver = PINN(width=4, depth=1, optimizer=optimizer, steps=4, points=20, condition_points=5, adaptive=False)
    solution = solver.fit(problem)
    return solution.theta, dict(solution.record.residuals)


@pytest.mark.parametrize("make", [burgers, channel, rod])
@settings(max_examples=8, deadline=None)
@given(factors=st.tuples(FACTORS, FACTORS, FACTORS, FACTORS), optimizer=st.sampled_from(["gauss_newton", "adam"]))
def test_training_takes_the_same_path_in_any_units(make: Callable[..., pm.Problem], factors, optimizer: str):
    theta, residuals = path(make(*factors), optimizer)
    expected, usual = path(make(1.0, 1.0, 1.0, 1.0), optimizer)
    torch.testing.assert_close(theta, expected, rtol=1e-5, atol=1e-6)
    for norm, other in zip(residuals.values(), usual.values(), strict=True):
        assert norm == pytest.approx(other, rel=1e-5, abs=1e-9)


def test_an_unknown_without_values_is_as_large_as_the_other_terms_make_it():
    sizes = estimate_scales(channel(1e-3, 1e-3, 20.0, 5e4)).unknowns
    assert sizes["u"] == pytest.approx(20, rel=0.01)
    assert 5e4 / 10 < sizes["p"] < 5e4 * 100


def test_what_lies_in_a_hole_does_not_count():
    """A pole inside the disk that is cut out makes nothing large."""
    shape = pm.Rectangle(x=(-1, 1), y=(-1, 1)) - pm.Disk(center=(0, 0), radius=0.5)
    problem = pm.Problem(
        domain=shape, unknowns="u", equations="laplacian(u) = 1/(x**2 + y**2)", conditions=[pm.Dirichlet(u=1)]
    )
    scale = residual_scale(problem.forms[0], problem, estimate_scales(problem), problem.domain.region("interior"))
    assert 1.9 < scale <= 4.0


@pytest.mark.parametrize("term", ["sqrt(1 - u**2)", "log(u)", "1/(1 - u)", "sqrt(u - 1)"])
def test_a_singularity_at_the_typical_size_is_no_fault(term: str):
    problem = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", equations=f"u_xx = {term}", conditions=[pm.Dirichlet(u=1)]
    )
    scale = residual_scale(problem.forms[0], problem, estimate_scales(problem), problem.domain.region("interior"))
    assert 1 <= scale < 100


def test_a_term_that_is_not_finite_on_the_domain_is_refused():
    problem = pm.Problem(
        coordinates={"x": (-1, 1)}, unknowns="u", equations="u_xx = log(x)*u", conditions=[pm.Dirichlet(u=1)]
    )
    with pytest.raises(InputError, match="not finite on interior"):
        residual_scale(problem.forms[0], problem, estimate_scales(problem), problem.domain.region("interior"))


def test_the_users_sizes_are_taken():
    problem = pm.Problem(
        coordinates={"x": {"range": [0, 1], "scale": 0.1}},
        unknowns={"u": {"scale": 7.0}},
        equations="u_xx = u",
        conditions=[pm.Dirichlet(u=1)],
    )
    scales = estimate_scales(problem)
    assert scales.coordinates == (0.1,)
    assert scales.unknowns == {"u": 7.0}
    assert residual_scale(problem.forms[0], problem, scales, problem.domain.region("interior")) == pytest.approx(700)


@pytest.mark.parametrize("waves", [1, 4, 20])
def test_a_source_makes_the_unknown_as_large_as_its_waves_allow(waves: int):
    """The solution of -u'' = f for f = (k pi)² sin(k pi x) is of size one, however short the waves."""
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u",
        equations=f"-u_xx = {waves**2}*pi**2*sin({waves}*pi*x)",
        conditions=[pm.Dirichlet(u=0)],
    )
    assert estimate_scales(problem).unknowns["u"] == pytest.approx(1.0, rel=0.02)
