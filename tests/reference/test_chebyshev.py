"""What holds for `chebyshev` in one coordinate: exactness, exponential convergence, all conditions, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.problem import Problem
from pdeml.reference import make_reference
from pdeml.reference.case import Case
from pdeml.reference.chebyshev import Chebyshev
from pdeml.reference.chebyshev.basis import Basis, values_of

from .functions import Sine

LINE = {"coordinates": {"x": (0, 1)}}
PLANE = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t"}


def error(problem: Problem, exact: dict[str, str], points: int, **options: Any) -> float:
    """Largest error of all unknowns on a fine grid, relative to the largest value of each."""
    (axis,) = problem.names.coordinates
    (found,) = Chebyshev(**options).solve(problem, [Case(problem)], {axis: points})
    places = np.linspace(*problem.domain.bounds[0], 1001)[:, None]
    trusted = make_reference({"exact": exact}, problem).evaluate(places)
    values = found.evaluate(places)
    return max(float(np.abs(values[name] - u).max() / np.abs(u).max()) for name, u in trusted.items())


@given(
    st.integers(0, 4), st.integers(5, 12), st.integers(1, 4), st.floats(-5, 5), st.floats(0.1, 10), st.integers(0, 99)
)
@example_settings(max_examples=60)
def test_the_basis_takes_exact_derivatives_of_its_polynomials(order, size, pieces, low, length, seed):
    basis = Basis(order, size, (low, low + length), pieces)
    rng = np.random.default_rng(seed)
    polynomial = np.polynomial.Polynomial(rng.normal(size=size), domain=[low, low + length])
    numbers = basis.interpolate(polynomial(basis.points)[:, None])
    places = rng.uniform(low, low + length, 20)
    for derivative in range(order + 1):
        wanted = polynomial.deriv(derivative)
        scale = np.abs(wanted(np.linspace(low, low + length, 99))).max()
        assert np.allclose(
            (basis.matrix(places, derivative) @ numbers)[:, 0], wanted(places), rtol=0, atol=1e-8 * scale
        )
        assert np.allclose(basis.jumps(derivative) @ numbers, 0, rtol=0, atol=1e-8 * scale)
    assert np.allclose(values_of(basis.series(numbers), basis.breaks, places)[0], polynomial(places), atol=1e-11 * size)


def test_errors_fall_geometrically_with_the_rate_of_the_nearest_singularity():
    """``1/(1 + 16 x^2)`` has poles at ±i/4: the errors of polynomials fall like ``(1/4 + sqrt(17)/4)^-degree``."""
    exact = {"u": "1/(1 + 16*x**2)"}
    problem = pm.Problem(
        coordinates={"x": (-1, 1)}, unknowns="u", equations="u_xx - u = 0", conditions=[pm.Dirichlet(u=0)]
    ).manufactured(exact)
    sizes = np.arange(25, 106, 16)
    errors = [error(problem, exact, size, degree=256) for size in sizes]
    rate = -np.polyfit(sizes, np.log(errors), 1)[0]
    assert rate == pytest.approx(np.log((1 + np.sqrt(17)) / 4), rel=0.1)


def test_a_boundary_layer_is_resolved_to_rounding():
    """``u - k u'' = 1``: the errors fall faster and faster, by the degree or by the number of pieces."""
    exact = {"u": "1 - cosh(100*(x - 1/2))/cosh(50)"}
    problem = pm.Problem(
        **LINE, unknowns="u", parameters={"k": 1e-4}, equations="u - k*u_xx = 1", conditions=[pm.Dirichlet(u=0)]
    )
    degrees = np.array([17, 25, 33, 41, 49, 57])
    errors = np.array([error(problem, exact, size, degree=256) for size in degrees])
    rates = np.log(errors[:-1] / errors[1:]) / 8
    assert np.all(rates[1:] > rates[:-1])
    assert error(problem, exact, 81, degree=256) < 1e-12
    assert error(problem, exact, 321, degree=16) < 1e-12


@pytest.mark.parametrize("degree", [8, 11])
def test_the_order_in_the_number_of_pieces_is_that_of_the_degree(degree):
    """Polynomials of a degree are collocated: the order is at least the degree less one, at most superconvergence."""
    exact = {"u": "sin(9*x)*exp(x)"}
    problem = pm.Problem(
        **LINE, unknowns="u", equations="u_xx + x*u_x - u = 0", conditions=[pm.Dirichlet(u=0)]
    ).manufactured(exact)
    pieces = np.array([2, 3, 4, 6])
    errors = [error(problem, exact, degree * count + 1, degree=degree) for count in pieces]
    slope = -np.polyfit(np.log(pieces), np.log(errors), 1)[0]
    assert degree - 0.5 <= slope <= degree + 2.5


@pytest.mark.parametrize("points", [17, 65, 257])
@pytest.mark.parametrize("degree", [16, 256])
def test_high_order_problems_lose_no_digits_on_fine_grids(points, degree):
    """A differentiation matrix of order 4 on 257 points has a condition number near 1e17; here all digits survive."""
    exact = {"u": "sin(3*x) + x**2"}
    clamped = [pm.Dirichlet(u=0), pm.Neumann(u=0)]
    beam = pm.Problem(**LINE, unknowns="u", equations="u_xxxx + u = 0", conditions=clamped).manufactured(exact)
    assert error(beam, exact, points, degree=degree) < 1e-12


CURVE, OTHER = "cos(2*x) + x", "exp(x) - x**2"
LEFT, RIGHT = {"on": "boundary.left"}, {"on": "boundary.right"}


@pytest.mark.parametrize("degree", [12, 64])
@pytest.mark.parametrize(
    "equations, conditions",
    [
        pytest.param("u_x = u**2", [pm.Dirichlet(u=0, **RIGHT)], id="first order from the right"),
        pytest.param("u_xx + u*u_x = 0", [pm.Dirichlet(u=0)], id="values"),
        pytest.param("u_xx = u + u**3", [pm.Neumann(u=0)], id="fluxes"),
        pytest.param("u_xx = sinh(u)", [pm.Condition("dn(u) + 2*u = 0")], id="Robin"),
        pytest.param("u_xx = sinh(u)", [pm.Condition("dn(u) + u**3 = 0"), ], id="radiation"),
        pytest.param("u_xx = u_x", [pm.Dirichlet(u=0, on={"x": 0.3}), pm.Neumann(u=0, **RIGHT)], id="a point inside"),
        pytest.param("u_xxx + u*u_xx = 1", [pm.Dirichlet(u=0), pm.Neumann(u=0, **LEFT)], id="Blasius"),
        pytest.param("u_xxxx = u*u_xx", [pm.Dirichlet(u=0), pm.Condition("u_xx = 0")], id="hinged beam"),
        pytest.param("d((1 + u**2)*u_x, x) = 0", [pm.Dirichlet(u=0)], id="quasi-linear"),
        pytest.param(
            ["u_x = v*u", "v_x = u - v"], [pm.Dirichlet(u=0, **LEFT), pm.Dirichlet(v=0, **RIGHT)], id="two ends"
        ),
        pytest.param(
            ["u_xx = v", "v_xx = u*v"], [pm.Dirichlet(u=0), pm.Condition("dn(v) = u*v")], id="coupled conditions"
        ),
        pytest.param(["u_xx + v = 0", "v = u**2"], [pm.Dirichlet(u=0)], id="algebraic"),
    ],
)  # fmt: skip
def test_boundary_value_problems_of_every_kind(equations, conditions, degree):
    exact = {"u": CURVE, "v": OTHER} if isinstance(equations, list) else {"u": CURVE}
    problem = pm.Problem(**LINE, unknowns=list(exact), equations=equations, conditions=conditions).manufactured(exact)
    assert error(problem, exact, 37, degree=degree) < 1e-11


def test_the_turning_point_of_bratus_problem():
    """``u'' + l e^u = 0`` has a solution for ``l`` up to 3.5138 only."""

    def bratu(size: float) -> Problem:
        return pm.Problem(
            **LINE,
            unknowns="u",
            parameters={"l": size},
            equations="u_xx + l*exp(u) = 0",
            conditions=[pm.Dirichlet(u=0)],
        )

    with pytest.raises(DivergenceError, match="Newton"):
        Chebyshev().solve(bratu(3.6), [Case(bratu(3.6))], {"x": 33})
    below = bratu(1.0)
    (found,) = Chebyshev().solve(below, [Case(below)], {"x": 33})
    theta = brentq(lambda angle: angle - np.sqrt(2) * np.cosh(angle / 4), 1, 2, xtol=1e-15)
    x = np.linspace(0, 1, 11)
    wanted = -2 * np.log(np.cosh((x - 0.5) * theta / 2) / np.cosh(theta / 4))
    assert np.allclose(found.evaluate(x[:, None])["u"], wanted, atol=1e-13)


def test_coefficients_may_be_singular_at_an_end():
    """Emden's equation for the index 5: no equation is collocated at the ends."""
    problem = pm.Problem(
        coordinates={"r": (0, 5)},
        unknowns="u",
        equations="u_rr + 2*u_r/r = -u**5",
        conditions=[pm.Neumann(u=0, on="boundary.left"), pm.Dirichlet(u=1, on={"r": 0})],
    )
    assert error(problem, {"u": "1/sqrt(1 + r**2/3)"}, 65) < 1e-10


def antiderivative() -> Problem:
    return pm.Problem(
        **LINE,
        unknowns="s",
        inputs={"u": {"over": ["x"], "field": "grf"}},
        equations="s_x = u",
        conditions=[pm.Dirichlet(s=0, on={"x": 0})],
    )


def pendulum(end: float = 1.0) -> Problem:
    return pm.Problem(
        coordinates={"t": (0, end)},
        time="t",
        unknowns="s1 s2",
        parameters={"k": 1.0},
        inputs={"u": {"over": ["t"], "field": "grf"}},
        equations=["s1_t = s2", "s2_t = -k*sin(s1) + u"],
        conditions=[pm.Initial(s1=0, s2=0)],
    )


def test_antiderivatives_of_input_functions():
    problem = antiderivative()
    cases = [Case(problem, {"u": Sine(("x",), rate)}) for rate in (1.0, 7.0, 40.0)]
    x = np.linspace(0, 1, 301)
    for case, found in zip(cases, Chebyshev().solve(problem, cases, {}), strict=True):
        rate = case.inputs["u"].rate
        assert np.allclose(found.on_grid({"x": x})["s"], (1 - np.cos(rate * x)) / rate, atol=1e-13)


@pytest.mark.parametrize("end, points", [(1.0, 33), (30.0, 513)])
def test_a_driven_pendulum_against_runge_kutta(end, points):
    problem = pendulum(end)
    (found,) = Chebyshev().solve(problem, [Case(problem, {"u": Sine(("t",), 3.0)}, {"k": 2.0})], {"t": points})
    times = np.linspace(0, end, 101)
    wanted = solve_ivp(
        lambda t, s: [s[1], -2 * np.sin(s[0]) + np.sin(3 * t)],
        (0, end),
        [0, 0],
        "DOP853",
        times,
        rtol=1e-13,
        atol=1e-14,
    ).y
    evaluated = found.evaluate(times[:, None])
    assert np.allclose(evaluated["s1"], wanted[0], atol=1e-10)
    assert np.allclose(evaluated["s2"], wanted[1], atol=1e-10)
    assert np.array_equal(found.on_grid({"t": times})["s1"], evaluated["s1"])
    assert np.allclose(found.at_space(np.zeros((2, 0)))["s1"].T, found.evaluate(found.times[:, None])["s1"])


@pytest.mark.parametrize("make, axis", [(pendulum, "t"), (antiderivative, "x")])
def test_many_cases_together_are_those_one_by_one(make, axis):
    problem = make()
    cases = [
        Case(problem, {"u": Sine((axis,), 1.0 + k, 5.0)}, dict.fromkeys(problem.parameters, 1.0 + k)) for k in range(5)
    ]
    together = Chebyshev().solve(problem, cases, {axis: 65})
    for case, found in zip(cases, together, strict=True):
        (alone,) = Chebyshev().solve(problem, [case], {axis: 65})
        assert np.allclose(alone.array, found.array, rtol=0, atol=1e-12)


@pytest.mark.parametrize("points", [65, 257])
def test_non_linear_cases_of_a_boundary_value_problem_together_are_those_one_by_one(points):
    problem = pm.Problem(
        **LINE,
        unknowns="u",
        parameters={"k": 1.0},
        inputs={"a": {"over": ["x"], "field": "grf"}},
        equations="d((2 + a)*u_x, x) = k*u**3 + 1",
        conditions=[pm.Dirichlet(u=1)],
    )
    cases = [Case(problem, {"a": Sine(("x",), 3.0 + k)}, {"k": 1.0 + 9 * k}) for k in range(4)]
    for case, found in zip(cases, Chebyshev().solve(problem, cases, {"x": points}), strict=True):
        (alone,) = Chebyshev().solve(problem, [case], {"x": points})
        assert np.allclose(alone.array, found.array, rtol=0, atol=1e-12)


def test_a_relaxation_oscillator_is_solved_however_long_the_first_pieces_are():
    """Van der Pol: Newton's method fails on the longest pieces, which are then halved; fine ones converge fast."""
    problem = pm.Problem(
        coordinates={"t": (0, 15)},
        time="t",
        unknowns="y",
        equations="y_tt = 5*(1 - y**2)*y_t - y",
        conditions=[pm.Initial(y=2, rate={"y": 0})],
    )
    times = np.linspace(0, 15, 40)
    wanted = solve_ivp(
        lambda t, y: [y[1], 5 * (1 - y[0] ** 2) * y[1] - y[0]], (0, 15), [2, 0], "DOP853", times, rtol=1e-12, atol=1e-13
    ).y[0]
    errors = []
    for points in (33, 257, 513, 1025):
        (found,) = Chebyshev().solve(problem, [Case(problem)], {"t": points})
        errors.append(np.abs(found.evaluate(times[:, None])["y"] - wanted).max())
    assert np.isfinite(errors[0])
    assert errors[2] < errors[1] / 50
    assert errors[3] < 1e-6


def test_conditions_at_both_ends_of_time():
    problem = pm.Problem(
        coordinates={"t": (0, 2)},
        time="t",
        unknowns="u",
        equations="u_tt = -u",
        conditions=[pm.Initial(u=0), pm.Final(u=1)],
    )
    assert error(problem, {"u": "sin(t)/sin(2)"}, 33) < 1e-13


def test_a_solution_is_rebuilt_from_its_array():
    problem = antiderivative()
    case, method = Case(problem, {"u": Sine(("x",), 9.0)}), Chebyshev()
    (found,) = method.solve(problem, [case], {"x": 65})
    again = method.solved(problem, case, {"x": 65}, None, found.array)
    x = np.random.default_rng(0).uniform(0, 1, (50, 1))
    assert np.array_equal(found.evaluate(x)["s"], again.evaluate(x)["s"])


def test_what_does_not_determine_a_solution_is_told():
    problem = pm.Problem(**LINE, unknowns="u", equations="u_xx = 1", conditions=[pm.Neumann(u=1 / 2)])
    with pytest.raises(DivergenceError, match="do not determine"):
        Chebyshev().solve(problem, [Case(problem)], {"x": 33})


def test_too_small_a_grid_and_a_wrong_name_are_told():
    problem = pm.Problem(**LINE, unknowns="u", equations="u_xx = 1", conditions=[pm.Dirichlet(u=0)])
    for grid, message in [({"x": 3}, "at least 4 points"), ({"y": 9}, "'y' is not a coordinate")]:
        with pytest.raises(InputError, match=message):
            Chebyshev().solve(problem, [Case(problem)], grid)


START = pm.Initial(u=0)


@pytest.mark.parametrize(
    "words, place, equations, conditions",
    [
        ("2 space coordinates", {"coordinates": {"x": (0, 1), "y": (0, 1)}}, "laplacian(u) = 1", [pm.Dirichlet(u=0)]),
        ("periodic", PLANE, "u_t = u_xx", [START, pm.Periodic("x")]),
        ("add up to 2", LINE, "u_xx = 1", [pm.Dirichlet(u=0, **LEFT)]),
        ("add up to 1", LINE, "u_x = 1", [pm.Dirichlet(u=0)]),
        ("higher derivative", LINE, "u_xx = 1", [pm.Dirichlet(u=0, **LEFT), pm.Condition("u_xxx = 1", **RIGHT)]),
        ("integral", PLANE, "u_t = u_xx + integral(u, x, 0, 1)", [START, pm.Dirichlet(u=0)]),
        ("one moment", PLANE, "u_t = u_xx", [START, pm.Dirichlet(u=0), pm.Final(u=0)]),
        ("shocks", PLANE, "u_t + u*u_x = 0", [START, pm.Dirichlet(u=0, **LEFT)]),
        ("initial value of u", PLANE, "u_t = u_xx", [pm.Dirichlet(u=0)]),
        ("higher time derivative", PLANE, "u_t = u_xx", [START, pm.Condition("u_tt = u")]),
        ("holds inside", PLANE, "u_t = u_xx", [START, pm.Dirichlet(u=0, on={"x": 0.4}), pm.Dirichlet(u=0, **LEFT)]),
        ("none at the other end", PLANE, "u_t = u_xx", [START, pm.Dirichlet(u=0, **LEFT), pm.Neumann(u=0, **LEFT)]),
        ("where a mask does", PLANE, "u_t = u_xx", [START, pm.Dirichlet(u=0, on={"where": "t < 0.5"})]),
        ("single points", LINE, "u_x = 1", [pm.Condition("u = 0", on="interior")]),
    ],
)  # fmt: skip
def test_what_it_would_do_badly_is_refused_in_words(words, place, equations, conditions):
    problem = pm.Problem(**place, unknowns="u", equations=equations, conditions=conditions)
    assert words in (Chebyshev().refusal(problem) or "accepted")
    with pytest.raises(InputError, match="'chebyshev' cannot solve it"):
        Chebyshev().solve(problem, [Case(problem)], {})


@pytest.mark.parametrize("equation", ["u_xx + pi^2*u = 0", "u_xx + 25*pi^2*u = 1"])
def test_a_resonant_problem_is_called_singular(equation: str):
    """``sin(k pi x)`` solves the homogeneous problem: there are many solutions or none, though no pivot vanishes."""
    problem = pm.Problem(**LINE, unknowns="u", equations=equation, conditions=[pm.Dirichlet(u=0)])
    with pytest.raises(DivergenceError, match="singular"):
        Chebyshev().solve(problem, [Case(problem)], {"x": 33})
