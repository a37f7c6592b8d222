"""What holds for `fv` on scalar equations: orders, conservation, entropy, boundaries, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.expr import jet_symbol
from pdeml.reference.case import Case
from pdeml.reference.volumes import FiniteVolumes
from pdeml.reference.volumes.law import conservation_law
from pdeml.reference.volumes.scheme import weno
from pdeml.reference.volumes.solved import NodalSolution
from pdeml.sampling.functions import Function

from . import riemann
from .functions import Sine


def scalar(equation: str, initial: str, *sides: Any, x: tuple[float, float] = (0, 1), end: float = 1.0, **more: Any):
    return pm.Problem(
        coordinates={"x": x, "t": (0, end)},
        time="t",
        unknowns="u",
        equations=equation,
        conditions=[pm.Initial(u=initial), *(sides or [pm.Periodic("x")])],
        **more,
    )


def final(problem: pm.Problem, size: int, steps: int = 1, **options: Any) -> NodalSolution:
    end = problem.domain.time[2]
    (solved,) = FiniteVolumes(**options).solve(problem, [Case(problem)], {"x": size, "t": steps + 1}, np.array([end]))
    return solved


def slope(sizes: list[int], errors: list[float]) -> float:
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def burgers_before_the_shock(x: np.ndarray, t: float) -> np.ndarray:
    """u = sin(2πx - 2πut), by Newton's method."""
    u = np.sin(2 * np.pi * x)
    for _ in range(50):
        phase = 2 * np.pi * (x - u * t)
        u = u - (u - np.sin(phase)) / (1 + 2 * np.pi * t * np.cos(phase))
    return u


def test_interpolation_to_faces_is_of_fifth_order() -> None:
    sizes, errors = [16, 32, 64], []
    for size in sizes:
        x = np.arange(-2, size + 2) * 2 * np.pi / size
        below, above = weno(torch.as_tensor(np.sin(x))[None], 1)
        inside, half = x[2:-2], np.pi / size
        misses = (below[0].numpy() - np.sin(inside - half), above[0].numpy() - np.sin(inside + half))
        errors.append(np.abs(np.stack(misses)).mean())
    assert slope(sizes, errors) == pytest.approx(5.0, abs=0.2)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=12))
def test_interpolation_is_mirrored_with_its_values(values: list[float]) -> None:
    nodes = torch.tensor(values, dtype=torch.float64)[None]
    below, above = weno(nodes, 1)
    np.testing.assert_array_equal(below.flip(1), weno(nodes.flip(1), 1)[1])
    np.testing.assert_array_equal(above.flip(1), weno(nodes.flip(1), 1)[0])


def test_space_is_of_fifth_order_before_a_shock() -> None:
    """Time steps so short that only the error of space is seen."""
    problem, sizes, errors = scalar("u_t + u*u_x = 0", "sin(2*pi*x)", end=0.06), [64, 96, 128, 192], []
    for size in sizes:
        solved = final(problem, size, cfl=0.5)
        errors.append(np.abs(solved.array[-1, 0] - burgers_before_the_shock(solved.nodes["x"], 0.06)).mean())
    assert slope(sizes, errors) == pytest.approx(5.0, abs=0.2)


def test_time_is_of_fourth_order() -> None:
    """On one grid, against very short steps: only the error of time is left."""
    problem = scalar("u_t + u*u_x = 0", "2 + sin(2*pi*x)", end=0.06)
    exact = final(problem, 32, steps=64, cfl=3.0).array[-1, 0]
    steps = [4, 6, 8, 12]
    errors = [np.abs(final(problem, 32, steps=n, cfl=3.0).array[-1, 0] - exact).max() for n in steps]
    assert slope(steps, errors) == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize(("left", "right"), [(2.0, 0.0), (-1.0, 1.0), (0.3, 1.0)], ids=["shock", "sonic", "fan"])
def test_jumps_are_of_first_order_in_l1(left: float, right: float) -> None:
    problem = scalar("u_t + d(u^2/2, x) = 0", f"where(x < 0.5, {left}, {right})", pm.Neumann(u=0), end=0.2)
    sizes, errors = [51, 101, 201], []
    for size in sizes:
        solved = final(problem, size)
        exact = riemann.burgers(left, right, (solved.nodes["x"] - 0.5) / 0.2)
        errors.append(np.abs(solved.array[-1, 0] - exact).mean())
    assert 0.8 <= slope(sizes, errors) <= 1.1


@given(left=st.floats(0.2, 2), jump=st.floats(0.3, 2))
@example_settings(max_examples=4)
def test_a_shock_moves_as_rankine_and_hugoniot_say(left: float, jump: float) -> None:
    """The mass left of a shock between u_l and u_r grows by its speed times the jump; here exact to rounding."""
    right, end = left - jump, 0.1
    problem = scalar("u_t + u*u_x = 0", f"where(x < 0.5, {left}, {right})", pm.Neumann(u=0), end=end)
    solved = final(problem, 81)
    u, x = solved.array[-1, 0], solved.nodes["x"]
    mass = np.trapezoid(u - right, x)
    assert mass / jump - 0.5 == pytest.approx(0.5 * (left + right) * end, abs=1e-10)
    middle = x[np.argmin(np.abs(u - 0.5 * (left + right)))]
    assert abs(middle - 0.5 - 0.5 * (left + right) * end) <= 1.01 * (x[1] - x[0])


def test_a_flux_with_an_inflection_gets_the_compound_wave() -> None:
    """Buckley and Leverett: a shock at 1.36603 to sqrt(1/3), then a fan (Welge's tangent)."""
    problem = scalar("u_t + d(u^2/(u^2 + (1-u)^2/2), x) = 0", "where(x < 0.2, 1, 0)", pm.Neumann(u=0), end=0.4)
    u = np.linspace(np.sqrt(1 / 3), 1, 20001)[::-1]
    speeds = u * (1 - u) / (u**2 + (1 - u) ** 2 / 2) ** 2
    solved = final(problem, 101)
    speed = (solved.nodes["x"] - 0.2) / 0.4
    exact = np.where(speed < 0, 1.0, np.where(speed > (1 + np.sqrt(3)) / 2, 0.0, np.interp(speed, speeds, u)))
    assert np.abs(solved.array[-1, 0] - exact).mean() < 6e-3


@given(shift=st.integers(1, 59), waves=st.integers(1, 3))
@example_settings(max_examples=4)
def test_periodic_problems_conserve_and_do_not_know_where_they_begin(shift: int, waves: int) -> None:
    texts = [f"sin({waves}*2*pi*(x + {k}/60)) + where(sin(2*pi*(x + {k}/60 + 1/120)) > 0, 1, 0)" for k in (0, shift)]
    one, other = (final(scalar("u_t + u*u_x = 0", text, end=0.3), 60) for text in texts)
    assert one.facts["drift u"] < 1e-14
    np.testing.assert_allclose(np.roll(one.array[-1, 0], -shift), other.array[-1, 0], atol=1e-12)


def test_reflection_is_a_symmetry() -> None:
    right = final(scalar("u_t + u*u_x = 0", "where(x < 0.3, 1, 0) + sin(2*pi*x)", pm.Neumann(u=0), end=0.3), 101)
    left = final(scalar("u_t + u*u_x = 0", "-where(x > 0.7, 1, 0) + sin(2*pi*x)", pm.Neumann(u=0), end=0.3), 101)
    np.testing.assert_allclose(right.array[-1, 0], -left.array[-1, 0][::-1], atol=1e-12)


def test_inflow_and_outflow_are_at_least_of_second_order() -> None:
    problem = scalar(
        "u_t + (1 + x/2)*u_x = 0", "sin(4*log(1 + x/2))", pm.Dirichlet(u="sin(-2*t)", on={"x": 0}), end=0.5
    )
    sizes, errors = [41, 81, 161], []
    for size in sizes:
        solved = final(problem, size)
        exact = np.sin(4 * np.log(1 + solved.nodes["x"] / 2) - 2 * 0.5)
        errors.append(np.abs(solved.array[-1, 0] - exact).max())
    assert slope(sizes, errors) > 1.8


def test_sources_are_of_high_order() -> None:
    problem = scalar("u_t + u_x = -u + cos(2*pi*x)*t", "sin(2*pi*x)", end=0.5)
    manufactured = problem.manufactured({"u": "exp(-t)*sin(2*pi*(x - t)) + t^2*cos(2*pi*x)"})
    sizes, errors = [16, 32, 64], []
    for size in sizes:
        solved = final(manufactured, size)
        x, t = solved.nodes["x"], 0.5
        exact = np.exp(-t) * np.sin(2 * np.pi * (x - t)) + t**2 * np.cos(2 * np.pi * x)
        errors.append(np.abs(solved.array[-1, 0] - exact).max())
    assert slope(sizes, errors) > 3.8


class Wave(Function):
    """1 + a sin(2πx), with derivatives."""

    over = ("x",)

    def __init__(self, size: float):
        self.size = size

    def at(self, points: np.ndarray, index: Any = None) -> np.ndarray:
        order = index[0] if index is not None else 0
        return (order == 0) + self.size * (2 * np.pi) ** order * np.sin(2 * np.pi * points[:, 0] + order * np.pi / 2)


def test_input_functions_may_be_the_start_and_the_inflow() -> None:
    """u = sin(k(x - t)), whose start and inflow are functions of x and of t."""
    inputs = {"f": {"over": ["x"]}, "g": {"over": ["t"]}}
    problem = scalar("u_t + u_x = 0", "f", pm.Dirichlet(u="g", on={"x": 0}), end=0.5, inputs=inputs)
    cases = [Case(problem, {"f": Sine(("x",), k), "g": Sine(("t",), -k)}) for k in (2.0, 5.0)]
    for k, solved in zip((2, 5), FiniteVolumes().solve(problem, cases, {"x": 81}, np.array([0.5])), strict=True):
        np.testing.assert_allclose(solved.array[0, 0], np.sin(k * (solved.nodes["x"] - 0.5)), atol=2e-3)


def test_a_batch_is_each_case_alone() -> None:
    """Each case has its own input function, parameter and steps."""
    problem = scalar(
        "u_t + d(a*u^2, x) = -k*u", "sin(2*pi*x)", end=0.2, parameters={"k": 1.0}, inputs={"a": {"over": ["x"]}}
    )
    cases = [Case(problem, {"a": Wave(s)}, {"k": k}) for s, k in ((0.1, 0.0), (0.5, 3.0), (0.9, 1.0))]
    times, grid = np.array([0.0, 0.07, 0.2]), {"x": 48, "t": 5}
    together = FiniteVolumes().solve(problem, cases, grid, times)
    assert len({solved.facts["steps"] for solved in together}) > 1
    for case, solved in zip(cases, together, strict=True):
        (alone,) = FiniteVolumes().solve(problem, [case], grid, times)
        assert alone.facts["steps"] == solved.facts["steps"]
        np.testing.assert_allclose(alone.array, solved.array, rtol=0, atol=1e-13)


def test_coefficients_in_and_outside_of_the_derivative_differ_by_a_source() -> None:
    inside = conservation_law(scalar("u_t + d(x^2*u, x) = 0", "1"))
    outside = conservation_law(scalar("u_t + x^2*u_x = 0", "1"))
    x, u = sympy.Symbol("x", real=True), jet_symbol("u", (0, 0))
    assert inside.fluxes == outside.fluxes == ((x**2 * u,),)
    assert inside.source == (0,)
    assert sympy.expand(outside.source[0] - 2 * x * u) == 0


@pytest.mark.parametrize(
    ("equation", "reason"),
    [
        ("u_t = u_xx", "second derivative u_xx"),
        ("u_t + u_x^2 = 0", "not linear in the space derivatives"),
        ("u*u_t + u_x = 0", "coefficient of u_t depends on the unknowns"),
        ("u_t = -u", "no space derivative"),
    ],
)
def test_what_is_no_conservation_law_is_refused(equation: str, reason: str) -> None:
    assert reason in (FiniteVolumes().refusal(scalar(equation, "sin(2*pi*x)")) or "")


def test_second_time_derivatives_and_steady_problems_are_refused() -> None:
    conditions = [pm.Initial(u=0, rate=0), pm.Periodic("x")]
    wave = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)}, time="t", unknowns="u", equations="u_tt = u_x", conditions=conditions
    )
    assert "second time derivatives" in (FiniteVolumes().refusal(wave) or "")
    steady = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", equations="u_x = 0", conditions=[pm.Dirichlet(u=0, on={"x": 0})]
    )
    assert "needs time" in (FiniteVolumes().refusal(steady) or "")


@pytest.mark.parametrize("side", [pm.Neumann(u=1), pm.Condition("dn(u) + u = 0")])
def test_other_conditions_are_refused(side: Any) -> None:
    assert "condition" in (FiniteVolumes().refusal(scalar("u_t + u*u_x = 0", "0", side)) or "")


def test_infinite_solutions_are_reported() -> None:
    with pytest.raises(DivergenceError):
        final(scalar("u_t + u_x = u^2", "5 + sin(2*pi*x)"), 32, steps=50)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        final(scalar("u_t + u*u_x = 0", "0"), 2)


def test_values_between_nodes_keep_jumps_and_are_of_sixth_order() -> None:
    problem = scalar("u_t + u_x = 0", "sin(2*pi*x)")
    points, errors, sizes = np.linspace(0, 1, 999), [], [16, 32, 64]
    for size in sizes:
        x = np.arange(size) / size
        solved = NodalSolution(problem, np.zeros(1), np.sin(2 * np.pi * x)[None, None], {}, {"x": x})
        errors.append(np.abs(solved.at_space(points[:, None])["u"][0] - np.sin(2 * np.pi * points)).max())
    assert slope(sizes, errors) == pytest.approx(6.0, abs=0.2)
    step = NodalSolution(problem, np.zeros(1), (x < 0.5).astype(float)[None, None], {}, {"x": x})
    values = step.on_axes({"x": points})["u"]
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert ((values > 0) & (values < 1)).mean() <= 2 / 64 + 1e-3


def test_a_solution_is_rebuilt_from_its_array() -> None:
    problem = scalar("u_t + u*u_x = 0", "sin(2*pi*x)", end=0.1)
    solved = final(problem, 32)
    again = FiniteVolumes().solved(problem, Case(problem), {"x": 32, "t": 2}, solved.times, solved.array)
    points = np.array([[0.123, 0.1], [0.987, 0.1]])
    assert np.array_equal(again.evaluate(points)["u"], solved.evaluate(points)["u"])
