"""What holds for `chebyshev` in one space coordinate and time: equations of every kind, orders, known solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.field import grid_points
from pdeml.problem import Problem
from pdeml.reference import make_reference
from pdeml.reference.base import Reference
from pdeml.reference.case import Case
from pdeml.reference.chebyshev import Chebyshev
from pdeml.reference.solved import Solved
from pdeml.sampling.functions import Function

PLANE = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t"}
START, MOVING = pm.Initial(u=0), pm.Initial(u=0, rate={"u": 0})
LEFT, RIGHT = {"on": "boundary.left"}, {"on": "boundary.right"}


class Ramp(Function):
    """``slope * t``, as an input."""

    over = ("t",)

    def __init__(self, slope: float):
        self.slope = slope

    def at(self, points: np.ndarray, index: Any = None) -> np.ndarray:
        order = sum(index or ())
        return self.slope * (points[:, 0] if order == 0 else np.full(len(points), float(order == 1)))


def solved(problem: Problem, grid: dict[str, int], times: Any, **options: Any) -> Solved:
    (found,) = Chebyshev(**options).solve(problem, [Case(problem)], grid, np.asarray(times, dtype=float))
    return found


def error(found: Solved, reference: Reference) -> float:
    """Largest error of all unknowns at the stored times, relative to the largest value of each."""
    names = found.problem.names
    low, high = found.problem.domain.bounds[names.coordinates.index("x")]
    axes = {"x": np.linspace(low, high, 201), "t": found.times}
    points = grid_points(axes, names.coordinates)
    trusted, values = reference.evaluate(points), found.evaluate(points)
    return max(float(np.abs(values[name] - u).max() / np.abs(u).max()) for name, u in trusted.items())


WAVY, FADING = "cos(2*x - t) + t*x", "exp(-t)*sin(2*x + 1)"


@pytest.mark.parametrize("degree", [12, 64])
@pytest.mark.parametrize(
    "equations, conditions",
    [
        pytest.param("u_t = u_xx + u - u**3", [START, pm.Dirichlet(u=0)], id="Allen-Cahn"),
        pytest.param("u_t + u*u_x = 0.1*u_xx", [START, pm.Dirichlet(u=0)], id="Burgers"),
        pytest.param("u_t = d((1 + u**2)*u_x, x)", [START, pm.Condition("dn(u) + 2*u = 0")], id="Robin"),
        pytest.param("u_t = u_xx", [START, pm.Dirichlet(u=0, **LEFT), pm.Condition("u_t = -u_x", **RIGHT)], id="sink"),
        pytest.param("u_t + u_x = -u**2", [START, pm.Dirichlet(u=0, **LEFT)], id="transport"),
        pytest.param("u_t + u*u_x + u_xxx = 0", [START, pm.Dirichlet(u=0), pm.Neumann(u=0, **RIGHT)], id="KdV"),
        pytest.param("u_tt = 4*u_xx - sin(u)", [MOVING, pm.Dirichlet(u=0)], id="sine-Gordon"),
        pytest.param(
            "u_tt + u_t = u_xx", [MOVING, pm.Neumann(u=0, **LEFT), pm.Condition("dn(u) + u_t = 0", **RIGHT)], id="open"
        ),
        pytest.param("u_tt = -u_xxxx", [MOVING, pm.Dirichlet(u=0), pm.Condition("u_xx = 0")], id="hinged beam"),
        pytest.param(
            "u_tt = -u_xxxx",
            [
                MOVING,
                pm.Dirichlet(u=0, **LEFT),
                pm.Neumann(u=0, **LEFT),
                *(pm.Condition(f"{moment} = 0", **RIGHT) for moment in ("u_xx", "u_xxx")),
            ],
            id="cantilever",
        ),
        pytest.param(
            ["u_t = u_xx - u*v**2", "v_t = 0.1*v_xx + u*v**2 - v"],
            [pm.Initial(u=0, v=0), pm.Neumann(u=0), pm.Dirichlet(v=0)],
            id="reaction-diffusion",
        ),
        pytest.param(["u_t = v_x", "v_t = u_x"], [pm.Initial(u=0, v=0), pm.Dirichlet(u=0)], id="two waves"),
        pytest.param(["u_t = u_xx + u*v", "v_t = u - v"], [pm.Initial(u=0, v=0), pm.Dirichlet(u=0)], id="memory"),
        pytest.param(
            ["u_t = u_xx + u*v", "v_xx - v = u"], [START, pm.Neumann(u=0), pm.Neumann(v=0)], id="parabolic-elliptic"
        ),
        pytest.param(
            ["u_t = v_xx", "v = u**3 - u - 0.1*u_xx"], [START, pm.Neumann(u=0), pm.Neumann(v=0)], id="Cahn-Hilliard"
        ),
    ],
)
def test_evolution_equations_of_every_kind(equations, conditions, degree):
    """The times that are asked for are none of the grid, so that steps of several lengths are taken."""
    exact = {"u": WAVY, "v": FADING} if isinstance(equations, list) else {"u": WAVY}
    problem = pm.Problem(**PLANE, unknowns=list(exact), equations=equations, conditions=conditions).manufactured(exact)
    found = solved(problem, {"x": 25, "t": 17}, [0, 0.3, 1], degree=degree)
    assert error(found, make_reference({"exact": exact}, problem)) < 2e-11


def test_complex_unknowns():
    exact = {"psi": "exp(-i*t)*sin(2*x) + x"}
    problem = pm.Problem(
        **PLANE,
        unknowns={"psi": "complex"},
        equations="i*psi_t = -psi_xx + conj(psi)*psi**2",
        conditions=[pm.Initial(psi=0), pm.Dirichlet(psi=0)],
    ).manufactured(exact)
    found = solved(problem, {"x": 25, "t": 17}, [0, 0.5, 1])
    assert error(found, make_reference({"exact": exact}, problem)) < 1e-11


def slope(exact: str, stages: int, steps: list[int]) -> tuple[float, float]:
    """Return the measured and the declared order for Burgers' equation."""
    problem = pm.Problem(
        **PLANE, unknowns="u", equations="u_t + u*u_x = 0.1*u_xx", conditions=[START, pm.Dirichlet(u=0)]
    ).manufactured({"u": exact})
    reference = make_reference({"exact": {"u": exact}}, problem)
    errors = [error(solved(problem, {"x": 25, "t": n + 1}, [1.0], stages=stages), reference) for n in steps]
    return float(-np.polyfit(np.log(steps), np.log(errors), 1)[0]), Chebyshev(stages=stages).order(problem)


@pytest.mark.parametrize(
    "stages, steps", [(1, [64, 128]), (2, [16, 32, 64]), (3, [8, 16, 32]), (4, [8, 12, 16]), (5, [6, 8, 10])]
)
def test_the_order_in_time_is_twice_the_stages_less_one(stages, steps):
    measured, declared = slope("sin(pi*x)*(2 + sin(4*t))", stages, steps)
    assert declared == 2 * stages - 1
    assert measured == pytest.approx(declared, abs=0.2)


@pytest.mark.parametrize("stages, steps", [(2, [16, 32, 64]), (3, [16, 32, 64]), (5, [8, 12, 16])])
def test_moving_boundary_values_reduce_the_order_in_time_to_the_stages_and_one(stages, steps):
    measured, declared = slope("1 + t*x + sin(3*x - 5*t)/2", stages, steps)
    assert declared == stages + 1
    assert measured == pytest.approx(declared, abs=0.2)


@pytest.mark.parametrize("name, grid, bound", [("heat", (33, 33), 1e-13), ("wave", (33, 65), 1e-11)])
def test_shipped_problems_with_formulas(name, grid, bound):
    spec = pm.Problem.from_yaml(name)
    exact = {"heat": "exp(-pi**2*alpha*t)*sin(pi*x)", "wave": "sin(pi*x)*cos(c*pi*t) + sin(4*pi*x)*cos(4*c*pi*t)/2"}
    found = solved(spec, {"x": grid[0], "t": grid[1]}, np.linspace(0, 1, 6))
    assert error(found, make_reference({"exact": {"u": exact[name]}}, spec)) < bound


def test_the_layer_of_burgers_equation_against_the_cole_hopf_integral():
    """The layer is a hundredth of the domain: more pieces of degree 32 find it, with an order near their degree."""
    problem = pm.Problem.from_yaml("burgers")
    reference = make_reference({"named": "cole-hopf"}, problem)
    errors = [error(solved(problem, {"x": 64 * k + 1, "t": 65}, [0.25, 0.5, 1]), reference) for k in (4, 8, 16)]
    assert errors[0] < 1e-3
    assert errors[1] < 1e-5
    assert errors[2] < 1e-7


def test_allen_cahn_against_finite_differences():
    """An independent method: lines of second order on two grids, their error removed by extrapolation."""
    problem = pm.Problem(
        coordinates={"x": (-1, 1), "t": (0, 2)},
        time="t",
        unknowns="u",
        equations="u_t = 0.02*u_xx + u - u**3",
        conditions=[pm.Initial(u="x + sin(pi*x)/2"), pm.Dirichlet(u=-1, **LEFT), pm.Dirichlet(u=1, **RIGHT)],
    )

    def lines(count: int) -> np.ndarray:
        x = np.linspace(-1, 1, count + 1)
        ends = lambda u: np.concatenate([[-1], u, [1]])  # noqa: E731
        rate = lambda _, u: 0.02 * np.diff(ends(u), 2) * (count / 2) ** 2 + u - u**3  # noqa: E731
        start = (x + np.sin(np.pi * x) / 2)[1:-1]
        return ends(solve_ivp(rate, (0, 2), start, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1])

    coarse, fine = lines(96), lines(192)[::2]
    found = solved(problem, {"x": 65, "t": 33}, [2.0]).on_axes({"x": np.linspace(-1, 1, 97)})["u"][0]
    assert np.abs(found - (4 * fine - coarse) / 3).max() < 1e-6
    assert np.abs(found - fine).max() > 1e-5  # without extrapolation the other one is worse: the bound means something


def test_corners_that_do_not_fit_are_forgotten():
    """``u = 1`` at the start, 0 at the ends: Fourier's series at later times; the first instants are less accurate."""
    problem = pm.Problem(**PLANE, unknowns="u", equations="u_t = u_xx", conditions=[pm.Initial(u=1), pm.Dirichlet(u=0)])
    times, x = np.array([0.01, 0.1, 1.0]), np.linspace(0, 1, 41)
    odd = np.arange(1, 120, 2)[:, None, None]
    series = 4 / np.pi / odd * np.sin(odd * np.pi * x) * np.exp(-((odd * np.pi) ** 2) * times[:, None])
    exact = series.sum(0)
    errors = [
        np.abs(solved(problem, {"x": 65, "t": n}, times).on_axes({"x": x})["u"] - exact).max(1) for n in (65, 257)
    ]
    assert np.all(errors[0][1:] < 1e-9)
    assert errors[1][0] < 1e-5 < errors[0][0]


def test_many_cases_together_are_those_one_by_one():
    """Linear ones share their matrices unless a parameter in them differs; the others are solved in turn."""
    problem = pm.Problem(
        **PLANE,
        unknowns="u",
        parameters={"k": 1.0, "f": 1.0},
        inputs={"g": {"over": ["t"], "field": "grf"}},
        equations="u_tt + u = k*u_xx + f",
        conditions=[
            pm.Initial(u="x*(1 - x)**3", rate={"u": 0}),
            pm.Dirichlet(u=0, **LEFT),
            pm.Dirichlet(u="g", **RIGHT),
        ],
    )
    for parameters in ([{"f": 1.0}, {"f": 5.0}, {"f": 0.0}], [{"k": 1.0}, {"k": 2.0}]):
        cases = [Case(problem, {"g": Ramp(1.0 + k)}, given) for k, given in enumerate(parameters)]
        shares: list[float] = []
        together = Chebyshev().solve(problem, cases, {"x": 17, "t": 9}, np.array([0.5, 1]), progress=shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == 1
        for case, found in zip(cases, together, strict=True):
            (alone,) = Chebyshev().solve(problem, [case], {"x": 17, "t": 9}, np.array([0.5, 1]))
            assert np.allclose(alone.array, found.array, rtol=0, atol=1e-12)
            assert np.allclose(found.at_space(np.ones((1, 1)))["u"][:, 0], case.inputs["g"].slope * found.times)


def test_the_order_of_the_coordinates_does_not_matter():
    found = {}
    for names in (("x", "t"), ("t", "x")):
        problem = pm.Problem(
            coordinates=dict.fromkeys(names, (0, 1)),
            time="t",
            unknowns="u",
            equations="u_t = u_xx + x*t",
            conditions=[pm.Initial(u="x"), pm.Dirichlet(u="x*exp(t)")],
        )
        found[names] = solved(problem, {"x": 17, "t": 9}, [0, 1]).array
    assert np.array_equal(*found.values())


def test_a_solution_is_rebuilt_from_its_array_and_grids_agree_with_points():
    problem = pm.Problem.from_yaml("heat")
    found = solved(problem, {"x": 65, "t": 9}, np.linspace(0, 1, 9))
    again = Chebyshev().solved(problem, Case(problem), {"x": 65, "t": 9}, found.times, found.array)
    axes = {"x": np.linspace(0, 1, 12), "t": np.array([0.0, 0.31, 1.0])}
    grid = found.on_grid(axes)["u"]
    points = grid_points(axes, ("x", "t"))
    assert np.array_equal(again.evaluate(points)["u"], found.evaluate(points)["u"])
    assert np.allclose(found.evaluate(points)["u"].reshape(12, 3).T, grid, atol=1e-14)


def test_a_solution_that_blows_up_names_the_time():
    problem = pm.Problem(
        **PLANE,
        unknowns="u",
        equations="u_t = u_xx + u**2",
        conditions=[pm.Initial(u="50*sin(pi*x)"), pm.Dirichlet(u=0)],
    )
    with pytest.raises(DivergenceError, match=r"beyond the time 0\.0"):
        solved(problem, {"x": 17, "t": 17}, [1])


@pytest.mark.parametrize("times", [[0.5, 0.2], [-0.5, 1.0], [0.5, 1.5]])
def test_times_that_do_not_fit_are_told(times):
    with pytest.raises(InputError, match="times"):
        solved(pm.Problem.from_yaml("heat"), {"x": 17, "t": 9}, times)
