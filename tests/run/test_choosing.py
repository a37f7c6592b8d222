"""What ``auto`` stands for where a problem is solved and nothing learnt from samples."""

from __future__ import annotations

import pytest

import pdeml as pm
from pdeml.run.choosing import choose

SQUARE = {"coordinates": {"x": (0, 1), "y": (0, 1)}}
L_SHAPE = {"domain": pm.Polygon([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]])}
HOUSE = {"domain": pm.Polygon([[0, 0], [2, 0], [2, 1], [1, 2], [0, 1]])}
FOUR = {"coordinates": dict.fromkeys("xyzt", (0, 1)), "time": "t"}
VALUE = pm.Dirichlet(u=0)


def problem(equation: str, place: dict = SQUARE, conditions=(VALUE,)) -> pm.Problem:
    return pm.Problem(**place, unknowns="u", equations=equation, conditions=list(conditions))


@pytest.mark.parametrize("place", [SQUARE, HOUSE, {"domain": pm.Disk(center=(0, 0), radius=1)}])
def test_smooth_linear_problems_are_for_random_features(place):
    kind, (note,) = choose("auto", problem=problem("laplacian(u) = x*exp(y)", place))
    assert kind == "random_features"
    assert "auto chose 'random_features'" in note


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        (problem("laplacian(u) + u^3 = 1"), (), "not linear"),
        (problem("laplacian(u) = abs(x - y)"), (), "kinks"),
        (problem("laplacian(u) = 1", L_SHAPE), (), "corner"),
        (problem("u_t = laplacian(u)", FOUR, [VALUE, pm.Initial(u=0)]), (), "4 coordinates"),
        (problem("laplacian(u) = 1", SQUARE, [pm.Dirichlet(u=0, on="boundary.left")]), (), "missing"),
        (problem("laplacian(u) = 1"), ("seed", "width"), "'width'"),
        (None, (), "not known"),
    ],
)
def test_other_problems_are_for_networks_and_the_note_says_why(given, options, why):
    kind, (note,) = choose("auto", problem=given, options=options)
    assert kind == "pinn"
    assert why in note


def test_what_is_asked_for_is_not_chosen():
    assert choose("pinn", problem=problem("laplacian(u) = 1")) == ("pinn", ())


def test_a_smooth_problem_is_solved_without_a_word():
    solution = pm.solve(problem("laplacian(u) = -2*pi^2*sin(pi*x)*sin(pi*y)"))
    assert "auto chose 'random_features'" in solution.report()
    assert float(solution.at([[0.5, 0.5]]).values["u"][0]) == pytest.approx(1, abs=1e-9)
