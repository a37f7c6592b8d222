"""What holds for `characteristics`: jumps are carried exactly, order 4 in time, inflow, input functions, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.errors import InputError
from pdeml.field import grid_points
from pdeml.reference.case import Case
from pdeml.reference.characteristics import Characteristics, TransportSolution
from pdeml.sampling.functions import Function

from .functions import Sine

POINTS = np.random.default_rng(1).random((400, 2))
INFLOW = pm.Dirichlet(u="sin(5*t)", on={"x": 0})


def transport(equation: str, initial: str, *conditions: Any, **more: Any) -> pm.Problem:
    return pm.Problem(
        **{"coordinates": {"x": (0, 1), "t": (0, 1)}, **more},
        time="t",
        unknowns="u",
        equations=equation,
        conditions=[pm.Initial(u=initial), *conditions],
    )


def solve(problem: pm.Problem, steps: int = 64, inputs: Any = None, times: Any = (0.0, 0.3, 1.0)) -> TransportSolution:
    case = Case(problem, inputs or {})
    (solved,) = Characteristics().solve(problem, [case], {"t": steps + 1}, np.array(times))
    return solved


def slope(sizes: list[int], errors: list[float]) -> float:
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


class Reciprocal(Function):
    """a = 1/(1 + s cos(2πx)/2), whose travel time is x + s sin(2πx)/(4π)."""

    over = ("x",)

    def __init__(self, size: float):
        self.size = size

    def at(self, points: np.ndarray, index: Any = None) -> np.ndarray:
        x = 2 * np.pi * points[:, 0]
        value = 1 / (1 + self.size * np.cos(x) / 2)
        return value if not index or not index[0] else np.pi * self.size * np.sin(x) * value**2

    def travel(self, x: np.ndarray) -> np.ndarray:
        return x + self.size * np.sin(2 * np.pi * x) / (4 * np.pi)


@given(speed=st.floats(-3, 3), low=st.floats(0, 0.4), width=st.floats(0.1, 0.5))
@example_settings(max_examples=20)
def test_a_box_is_carried_round_exactly(speed: float, low: float, width: float) -> None:
    problem = transport(
        "u_t + c*u_x = 0",
        f"where(x > {low!r} and x < {low + width!r}, 1, 0)",
        pm.Periodic("x"),
        parameters={"c": speed},
    )
    x = np.mod(POINTS[:, 0] - speed * POINTS[:, 1], 1.0)
    clear = np.minimum(np.abs(x - low), np.abs(x - low - width)) > 1e-12
    found = solve(problem).evaluate(POINTS)["u"]
    assert np.array_equal(found[clear], ((x > low) & (x < low + width))[clear])


def test_inflow_is_carried_in_exactly() -> None:
    """Second case of the advection problems of DeepONet: u_t + u_x = 0 with values at x = 0."""
    found = solve(transport("u_t + u_x = 0", "0", INFLOW)).evaluate(POINTS)["u"]
    x, t = POINTS.T
    np.testing.assert_allclose(found, np.where(t > x, np.sin(5 * (t - x)), 0.0), atol=1e-14)


@pytest.mark.parametrize("size", [-0.9, 0.9])
def test_variable_speed_is_of_fourth_order(size: float) -> None:
    """Third case: a(x) is an input function; u = u_0 where the travel time is shorter by t, else the inflow."""
    problem = transport(
        "u_t + a*u_x = 0",
        "sin(-5*(x + s*sin(2*pi*x)/(4*pi)))",
        INFLOW,
        inputs={"a": {"over": ["x"]}},
        parameters={"s": size},
    )
    function = Reciprocal(size)
    exact = np.sin(5 * (POINTS[:, 1] - function.travel(POINTS[:, 0])))
    steps, errors = [16, 32, 64, 128], []
    for count in steps:
        found = solve(problem, count, {"a": function}).evaluate(POINTS)["u"]
        errors.append(float(np.abs(found - exact).max()))
    assert slope(steps, errors) == pytest.approx(4.0, abs=0.3)


def test_conservation_form_grows_by_the_divergence() -> None:
    """u = f(τ(x) - t)/a(x) solves u_t + (a u)_x = 0."""
    function = Reciprocal(0.7)
    start = "sin(2*pi*(x + 0.7*sin(2*pi*x)/(4*pi)))*(1 + 0.35*cos(2*pi*x))"
    problem = transport("u_t + d(a*u, x) = 0", start, pm.Periodic("x"), inputs={"a": {"over": ["x"]}})
    found = solve(problem, 256, {"a": function}).evaluate(POINTS)["u"]
    x, t = POINTS.T
    exact = np.sin(2 * np.pi * (function.travel(x) - t)) * (1 + 0.35 * np.cos(2 * np.pi * x))
    np.testing.assert_allclose(found, exact, atol=1e-7)


def test_sources_and_time_dependent_coefficients_are_of_fourth_order() -> None:
    problem = transport("u_t + (1 + x*sin(3*t)/2)*u_x = cos(x*t)*u", "1", INFLOW)
    manufactured = problem.manufactured({"u": "exp(-t)*sin(3*x) + t^2*x"})
    x, t = POINTS.T
    steps, errors = [8, 16, 32, 64], []
    for count in steps:
        found = solve(manufactured, count).evaluate(POINTS)["u"]
        errors.append(float(np.abs(found - np.exp(-t) * np.sin(3 * x) - t**2 * x).max()))
    assert slope(steps, errors) == pytest.approx(4.0, abs=0.3)


def test_a_rotation_in_two_dimensions_brings_everything_back() -> None:
    """After a quarter turn the picture is turned, jumps included."""
    problem = transport(
        "u_t - y*u_x + x*u_y = 0",
        "where(abs(x - 0.4) < 0.2 and abs(y) < 0.1, 1, 0) + x",
        pm.Dirichlet(u=0),
        coordinates={"x": (-1, 1), "y": (-1, 1), "t": (0, "pi/2")},
    )
    solved = solve(problem, 128, times=(0.0, np.pi / 2))
    points = np.random.default_rng(2).uniform(-0.65, 0.65, (2000, 2))
    x, y = points.T
    turned = (np.abs(y - 0.4) < 0.2) & (np.abs(x) < 0.1)
    near = np.minimum(np.abs(np.abs(y - 0.4) - 0.2), np.abs(np.abs(x) - 0.1)) < 1e-7
    np.testing.assert_allclose(solved.at_space(points)["u"][1][~near], (turned + y)[~near], atol=1e-8)


def test_input_functions_may_be_the_start_and_the_inflow() -> None:
    inputs = {"f": {"over": ["x"]}, "g": {"over": ["t"]}}
    problem = transport("u_t + u_x = 0", "f", pm.Dirichlet(u="g", on={"x": 0}), inputs=inputs)
    found = solve(problem, 1, {"f": Sine(("x",), 5.0), "g": Sine(("t",), -5.0)}).evaluate(POINTS)["u"]
    np.testing.assert_allclose(found, np.sin(5 * (POINTS[:, 0] - POINTS[:, 1])), atol=1e-13)


def test_a_corner_sends_both_inflows() -> None:
    """u = f(x - t, y - 2t), continued by the values on the two sides where it enters."""
    exact = "sin(3*(x - t)) + cos(2*(y - 2*t))"
    problem = transport(
        "u_t + u_x + 2*u_y = 0",
        "sin(3*x) + cos(2*y)",
        pm.Dirichlet(u=exact, on={"x": 0}),
        pm.Dirichlet(u=exact, on={"y": 0}),
        coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
    )
    points = np.random.default_rng(3).random((500, 3))
    x, y, t = points.T
    found = solve(problem).evaluate(points)["u"]
    np.testing.assert_allclose(found, np.sin(3 * (x - t)) + np.cos(2 * (y - 2 * t)), atol=1e-13)


@pytest.mark.parametrize("equation", ["u_t + (1 + x)*u_x = -u + x", "u_t + (1 + x*t)*u_x = -u + x"])
def test_all_ways_of_asking_agree(equation: str) -> None:
    """Steady coefficients share characteristics between times; every way is exact to the error of the steps."""
    solved = solve(transport(equation, "cos(x)", INFLOW), 256)
    axes = {"x": np.linspace(0, 1, 7), "t": np.array([0.0, 0.11, 0.3, 0.77])}
    grid = solved.on_grid(axes)["u"]
    single = solved.evaluate(grid_points(axes, ("x", "t")))["u"].reshape(7, 4).T
    np.testing.assert_allclose(grid, single, atol=2e-9)
    np.testing.assert_allclose(solved.at_space(axes["x"][:, None])["u"][1], grid[2], atol=2e-9)


def test_an_inflow_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="enter at x = 1"):
        solve(transport("u_t - u_x = 0", "0", INFLOW))


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("u_t + u*u_x = 0", "not linear"),
        ("u_t + u_x = u^2", "not linear"),
        ("u_t + u_x = u_xx", "higher derivatives"),
        ("u_t + u_xx*x = 0", "higher derivatives"),
    ],
)
def test_other_equations_are_refused(equation: str, reason: str) -> None:
    assert reason in (Characteristics().refusal(transport(equation, "0", pm.Periodic("x"))) or "")


def test_systems_are_refused() -> None:
    conditions = [pm.Initial(u=0, v=0), pm.Periodic("x")]
    both = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u v",
        equations=["u_t+v_x=0", "v_t+u_x=0"],
        conditions=conditions,
    )
    assert "one real equation" in (Characteristics().refusal(both) or "")
