"""How fast solutions vary: from formulas and symbols alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.lower.bandwidth import Bandwidth, bandwidth
from pdeml.lower.spectrum import chebyshev_length, expanded, exponential_length, frequencies, wave_number

TAU = 2 * math.pi


def line(equation: str, low: float, high: float, values: str = "0", **more) -> pm.Problem:
    return pm.Problem(
        coordinates={"x": (low, high)}, unknowns="u", equations=equation, conditions=[pm.Dirichlet(u=values)], **more
    )


def over_time(equation: str, start: str, *conditions, x=(0, 1), t=(0, 1)) -> pm.Problem:
    return pm.Problem(
        coordinates={"x": x, "t": t},
        time="t",
        unknowns="u",
        equations=equation,
        conditions=[pm.Initial(u=start), *conditions],
    )


def length_of(function, size: float | None = None) -> int:
    coefficients = expanded(function)
    return chebyshev_length(coefficients, size or float(np.linalg.norm(coefficients)))


@settings(max_examples=40, deadline=None)
@given(wave=st.floats(3, 3000), phase=st.floats(0, TAU), size=st.floats(1e-9, 1e9))
def test_a_wave_has_its_wave_number(wave: float, phase: float, size: float):
    length = length_of(lambda x: size * np.cos(wave * x + phase))
    assert wave_number(length) == pytest.approx(wave, rel=0.02, abs=1.5)


@pytest.mark.parametrize("root", [0.7, 5.0, 80.0, 3000.0, 9j, 200j, 20 + 20j, 3 + 100j])
def test_the_length_of_an_exponential_is_that_of_its_expansion(root: complex):
    shift = abs(np.real(root))
    waves = [lambda x, p=p: np.real(np.exp(root * x - shift + 1j * p)) for p in (0.0, 1.0, 2.0)]
    measured = max(length_of(wave, 1.0) for wave in waves)
    assert exponential_length(root) == pytest.approx(measured, rel=0.2, abs=2)


def test_trends_and_constants_have_no_wave_number():
    assert [wave_number(length_of(f)) for f in (np.ones_like, lambda x: 3 * x - 1, lambda x: x**2)] == [0, 0, 0]


@pytest.mark.parametrize(
    "terms, expected",
    [
        ([(1, 1), (40, 20), (500, 100)], [100, 20, 1]),
        ([(1, 94), (1.2, 106)], [106, 94]),
        ([(1, 3.3), (0.5, 7.9), (0.01, 31.7)], [3.3, 7.9, 31.7]),
    ],
)
def test_frequencies_of_a_sum_of_waves_are_found_whatever_their_weights(terms, expected):
    """On an interval of length 2 pi; none need be periodic on it."""

    def function(x):
        return sum(a * np.sin(w * math.pi * x + w) for a, w in terms) + 7 - 3 * x

    found = frequencies(function, length_of(function))
    np.testing.assert_allclose([w / math.pi for w, _ in found], expected, rtol=1e-3)
    weights = sorted((abs(a) for a, _ in terms), reverse=True)
    np.testing.assert_allclose(sorted((a for _, a in found), reverse=True), np.array(weights) / weights[0], rtol=1e-3)


ONE_DIMENSIONAL = {
    "u1": (line("u_xx = -1e4*sin(100*x)", 0, TAU), 100, [100]),
    "u2": (line("u_xx = -sin(x) - 40*sin(20*x) - 500*cos(100*x)", 0, TAU), 100, [1, 20, 100]),
    "u4": (line("u_xx = 400*cos(200*x) - 40000*x*sin(200*x)", 0, TAU), 200, [200]),
    "u5": (line("u_xx = -250000*sin(500*x) - 4", 0, 1), 500, [500]),
    "allen-cahn": (
        line("u_xx + u*(u**2 - 1) = -10001*sin(100*x) + sin(100*x)**3", 0, TAU, "sin(100*x)"),
        100,
        [100],
    ),
    "helmholtz-without-source": (line("u_xx + k**2*u = 0", 0, 2, "1", parameters={"k": 60}), 60, [60]),
    "varying-medium": (line("u_xx + (40*(1 + x))**2*u = 1", 0, 1, "1"), 80, None),
    "parameters-count": (line("u_xx = sin(a*b*x)", 0, 3, parameters={"a": 7, "b": 11}), 77, [77]),
}


@pytest.mark.parametrize("name", ONE_DIMENSIONAL)
def test_wave_numbers_of_sources_and_symbols(name: str):
    problem, highest, peaks = ONE_DIMENSIONAL[name]
    found = bandwidth(problem)
    assert found.highest[0] == pytest.approx(highest, rel=0.12)
    if peaks is not None:
        np.testing.assert_allclose(sorted(found.peaks[0]), peaks, rtol=1e-3)


OVER_TIME = {
    "advection": (over_time("u_t + 200*u_x = 0", "sin(x)", pm.Dirichlet(u=0, on={"x": 0}), x=(0, TAU)), (1, 200)),
    "inflow": (over_time("u_t + 5*u_x = 0", "0", pm.Dirichlet(u="sin(100*t)", on={"x": 0})), (20, 100)),
    "wave": (over_time("u_tt = 9*u_xx", "sin(30*x)", pm.Dirichlet(u=0), x=(0, 2)), (30, 90)),
    "schroedinger": (
        pm.Problem(
            coordinates={"x": (0, TAU), "t": (0, 1)},
            time="t",
            unknowns={"psi": "complex"},
            equations="i*psi_t = -psi_xx",
            conditions=[pm.Initial(psi="exp(i*20*x)"), pm.Periodic("x")],
        ),
        (20, 400),
    ),
    "dispersion": (over_time("u_t + u_xxx = 0", "sin(8*x)", pm.Periodic("x"), x=(0, TAU)), (8, 512)),
}


@pytest.mark.parametrize("name", OVER_TIME)
def test_the_equation_turns_wave_numbers_into_frequencies(name: str):
    problem, highest = OVER_TIME[name]
    found = bandwidth(problem)
    np.testing.assert_allclose(found.highest, highest, rtol=0.15, atol=2.0)
    assert min(abs(w - highest[1]) for w in found.peaks[1]) < 0.01 * highest[1]


def test_decay_is_as_hard_as_its_expansion_is_long():
    """Heat of wave number 30 decays as exp(-900 t): far less than a wave of frequency 900, more than that of 1."""
    slow, fast = (
        bandwidth(over_time("u_t = u_xx", f"sin({k}*x)", pm.Dirichlet(u=0), x=(0, 3))).highest[1] for k in (1, 30)
    )
    assert slow < 5
    assert 50 < fast < 250


def test_a_layer_of_a_non_linear_equation_is_guessed_and_noted():
    found = [bandwidth(over_time(f"u_t + u*u_x = {nu}*u_xx", "-sin(3*x)", pm.Dirichlet(u=0))) for nu in (0.1, 0.01)]
    assert found[1].highest[0] > 3 * found[0].highest[0] > 3 * 3
    assert bandwidth(over_time("u_t + u*u_x = 1e-9*u_xx", "-sin(3*x)", pm.Dirichlet(u=0))).highest[0] <= 800
    assert "guessed" in found[0].notes[0]
    assert bandwidth(over_time("u_t + u_x = 0.1*u_xx", "-sin(3*x)", pm.Dirichlet(u=0))).notes == ()


@pytest.mark.parametrize("equation, degree", [("u_t = u", 1), ("u_t = u - u**3", 3), ("u_t = u**2", 2)])
def test_in_time_the_terms_of_a_non_linear_equation_multiply_wave_numbers(equation: str, degree: int):
    found = bandwidth(over_time(equation, "sin(40*x)"))
    assert found.highest[0] == pytest.approx(40 * degree, rel=0.1)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-4, 1e4), unit=st.floats(1e-4, 1e4), wave=st.floats(5, 200))
def test_stretching_a_coordinate_divides_its_wave_numbers(factor: float, unit: float, wave: float):
    def problem(c: float, a: float) -> pm.Problem:
        return pm.Problem(
            coordinates={"x": (0, 2 * c), "y": (0, 1)},
            unknowns="u",
            equations=f"{a * c**2}*u_xx + {a}*u_yy + {400 * a}*u = {a}*sin({wave}*x/{c})*exp(y)",
            conditions=[pm.Dirichlet(u=f"cos(9*x/{c})*y")],
        )

    here, there = bandwidth(problem(1.0, 1.0)), bandwidth(problem(factor, unit))
    assert there.highest[0] * factor == pytest.approx(here.highest[0], rel=1e-6)
    assert there.highest[1] == pytest.approx(here.highest[1], rel=1e-6)
    np.testing.assert_allclose(np.array(there.peaks[0]) * factor, here.peaks[0], rtol=1e-4)


def test_a_jump_or_a_kink_is_no_endless_spectrum():
    jump, kink = (bandwidth(line(f"u_xx = {f}", 0, 1)).highest[0] for f in ("where(x < 0.3, 1, -2)", "abs(x - 0.7)"))
    assert 10 < jump < 2000
    assert 10 < kink < 2000


def test_rounding_errors_on_a_wall_are_no_waves():
    """sin(100 * 2 pi) is 1e-14, not zero."""
    problem = pm.Problem(
        coordinates={"x": (0, "2*pi"), "y": (0, "2*pi")},
        unknowns="u",
        equations="laplacian(u) = -2e4*sin(100*x)*sin(100*y)",
        conditions=[pm.Dirichlet(u="sin(100*x)*sin(100*y)")],
    )
    assert bandwidth(problem).peaks == ((pytest.approx(100),), (pytest.approx(100),))


def test_values_on_a_curved_boundary_are_sampled_along_it():
    disk = pm.Disk(center=(0, 0), radius=2)
    problem = pm.Problem(
        domain=disk, unknowns="u", equations="laplacian(u) = 0", conditions=[pm.Dirichlet(u="sin(40*atan2(y, x))")]
    )
    np.testing.assert_allclose(bandwidth(problem).highest, (20, 20), rtol=0.1)


def test_singular_formulas_and_holes_do_not_disturb():
    shape = pm.Rectangle(x=(-1, 1), y=(-1, 1)) - pm.Disk(center=(0, 0), radius=0.5)
    problem = pm.Problem(
        domain=shape, unknowns="u", equations="laplacian(u) = sin(60*x)/(x**2 + y**2)", conditions=[pm.Dirichlet(u=0)]
    )
    found = bandwidth(problem).highest
    assert found[0] == pytest.approx(60, rel=0.2)
    assert found[1] < 40


def test_systems_have_a_symbol_too():
    """The wave equation as a system of first order."""
    problem = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="p v",
        equations=["p_t + 6*v_x = 0", "v_t + 6*p_x = 0"],
        conditions=[pm.Initial(p="sin(25*x)", v=0), pm.Periodic("x")],
    )
    np.testing.assert_allclose(bandwidth(problem).highest, (25, 150), rtol=0.15)


def test_input_functions_tell_nothing():
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u",
        inputs={"f": {"over": ["x"]}},
        equations="u_xx = f",
        conditions=[pm.Dirichlet(u=0)],
    )
    assert bandwidth(problem) == Bandwidth((0.0,), ((),))
