"""What ``auto`` stands for where a problem is solved and nothing learnt from samples."""

from __future__ import annotations

import pytest

import pdeml as pm
from pdeml.errors import InputError
from pdeml.run.choosing import choose
from pdeml.run.plan import make_plan
from pdeml.solvers.random_features import RandomFeatures

SQUARE = {"coordinates": {"x": (0, 1), "y": (0, 1)}}
L_SHAPE = {"domain": pm.Polygon([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]])}
HOUSE = {"domain": pm.Polygon([[0, 0], [2, 0], [2, 1], [1, 2], [0, 1]])}
FOUR = {"coordinates": dict.fromkeys("xyzt", (0, 1)), "time": "t"}
VALUE = pm.Dirichlet(u=0)


def problem(equation: str, place: dict = SQUARE, conditions=(VALUE,)) -> pm.Problem:
    return pm.Problem(**place, unknowns="u", equations=equation, conditions=list(conditions))


@pytest.mark.parametrize("place", [SQUARE, HOUSE, {"domain": pm.Disk(center=(0, 0), radius=1)}])
def test_smooth_linear_problems_are_for_random_features(place):
    chosen = choose("auto", problem=problem("laplacian(u) = x*exp(y)", place))
    assert chosen.kind == "random_features"
    assert "auto chose 'random_features'" in chosen.notes[0]


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        (problem("laplacian(u) + u^3 = 1"), {}, "not linear"),
        (problem("laplacian(u) = abs(x - y)"), {}, "kinks"),
        (problem("laplacian(u) = 1", L_SHAPE), {}, "corner"),
        (problem("u_t = laplacian(u)", FOUR, [VALUE, pm.Initial(u=0)]), {}, "4 coordinates"),
        (problem("laplacian(u) = 1", SQUARE, [pm.Dirichlet(u=0, on="boundary.left")]), {}, "missing"),
        (problem("laplacian(u) = 1"), {"seed": 1, "width": 32}, "'width'"),
        (None, {}, "not known"),
    ],
)
def test_other_problems_are_for_networks_and_the_note_says_why(given, options, why):
    chosen = choose("auto", problem=given, options=options)
    assert chosen.kind == "pinn"
    assert why in chosen.notes[0]


def test_what_is_asked_for_is_not_chosen():
    assert choose("pinn", problem=problem("laplacian(u) = 1")) == ("pinn", (), None)


def test_what_was_found_out_for_the_choice_is_the_preview_of_the_plan(spec, monkeypatch):
    made, preview = [], RandomFeatures.preview
    monkeypatch.setattr(RandomFeatures, "preview", lambda self, *given: made.append(self) or preview(self, *given))
    plan = make_plan(spec("solver={kind: auto, patches: 3}", "seed=4"))
    assert made == [plan.solver]
    assert plan.preview == preview(plan.solver, plan.problem)


@pytest.mark.parametrize(
    ("options", "kind"), [({}, "pinn"), ({"seed": 3}, "pinn"), ({"patches": 2}, "random_features")]
)
def test_a_method_that_does_not_fit_is_left_unless_options_of_its_own_are_given(monkeypatch, options, kind):
    def refuse(self, problem):
        raise InputError("does not fit into memory")

    monkeypatch.setattr(RandomFeatures, "preview", refuse)
    chosen = choose("auto", problem=problem("laplacian(u) = 1"), options=options)
    assert (chosen.kind, chosen.preview) == (kind, None)


def test_options_that_are_wrong_are_left_to_the_method_to_refuse():
    chosen = choose("auto", problem=problem("laplacian(u) = 1"), options={"tolerance": -1.0})
    assert (chosen.kind, chosen.preview) == ("random_features", None)


def test_a_smooth_problem_is_solved_without_a_word():
    solution = pm.solve(problem("laplacian(u) = -2*pi^2*sin(pi*x)*sin(pi*y)"))
    assert "auto chose 'random_features'" in solution.report()
    assert float(solution.at([[0.5, 0.5]]).values["u"][0]) == pytest.approx(1, abs=1e-9)
