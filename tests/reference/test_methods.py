"""What holds for every classical solver: it solves, tells its own error, can be rebuilt, and refuses in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pdeml as pm
from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.reference import METHODS, Case, Refinement, make_method, make_reference
from pdeml.reference.method import Method


@dataclass(frozen=True)
class Subject:
    """A problem with its exact solution, which method `auto` takes for it, and a tolerance that is soon met."""

    problem: Problem
    exact: dict[str, str]
    kind: str
    tolerance: float

    def error(self, evaluated: dict[str, np.ndarray], points: np.ndarray) -> float:
        """Relative L2 error, the largest of all unknowns."""
        trusted = make_reference({"exact": self.exact}, self.problem).evaluate(points)
        return max(
            float(np.linalg.norm(evaluated[name] - values) / np.linalg.norm(values)) for name, values in trusted.items()
        )


def on_a_line(**more: Any) -> dict[str, Any]:
    return {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t", "unknowns": "u", **more}


TURNING = "sin(2*pi*(x - t))"
SUBJECTS = {
    "transport": Subject(
        pm.Problem(**on_a_line(equations="u_t + u_x = 0", conditions=[pm.Initial(u="sin(2*pi*x)"), pm.Periodic("x")])),
        {"u": TURNING},
        "characteristics",
        1e-9,
    ),
    "steepening": Subject(
        pm.Problem(
            **on_a_line(equations="u_t + u*u_x = 0", conditions=[pm.Initial(u=1), pm.Dirichlet(u=0)])
        ).manufactured({"u": "1.5 + 0.1*sin(2*(x - t))"}),
        {"u": "1.5 + 0.1*sin(2*(x - t))"},
        "fv",
        1e-3,
    ),
    "ring": Subject(
        pm.Problem(
            **on_a_line(equations="u_t + u*u_x = 0.05*u_xx", conditions=[pm.Initial(u=0), pm.Periodic("x")])
        ).manufactured({"u": TURNING}),
        {"u": TURNING},
        "etdrk4",
        1e-6,
    ),
    "rod": Subject(
        pm.Problem(
            **on_a_line(equations="u_t = 0.2*u_xx - u**3", conditions=[pm.Initial(u=0), pm.Dirichlet(u=0)])
        ).manufactured({"u": "exp(-t)*cos(3*x)"}),
        {"u": "exp(-t)*cos(3*x)"},
        "chebyshev",
        1e-6,
    ),
    "plate": Subject(
        pm.Problem(
            domain=pm.Rectangle(x=(0, 1), y=(0, 1)) - pm.Disk(center=(0.5, 0.5), radius=0.2),
            unknowns="u",
            equations="-div((1 + x*y)*grad(u)) + u = 0",
            conditions=[pm.Dirichlet(u=0)],
        ).manufactured({"u": "sin(2*x)*exp(y)"}),
        {"u": "sin(2*x)*exp(y)"},
        "fem",
        1e-4,
    ),
    "channel": Subject(
        pm.Problem(
            coordinates={"x": (0, 2), "y": (0, 1)},
            unknowns="u v p",
            parameters={"nu": 0.1},
            equations=[
                "u*u_x + v*u_y + p_x = nu*laplacian(u)",
                "u*v_x + v*v_y + p_y = nu*laplacian(v)",
                "u_x + v_y = 0",
            ],
            conditions=[
                pm.Dirichlet(on="boundary.left", u="4*y*(1 - y)", v=0),
                pm.Dirichlet(on="boundary.right", u="4*y*(1 - y)", v=0),
                pm.Dirichlet(on="boundary.top", u=0, v=0),
                pm.Dirichlet(on="boundary.bottom", u=0, v=0),
                pm.Condition("p = 0", on={"x": 2, "y": 0}),
            ],
        ),
        {"u": "4*y*(1 - y)"},
        "navier_stokes",
        1e-6,
    ),
}
every_subject = pytest.mark.parametrize("name", SUBJECTS)


def points_in(problem: Problem, count: int = 400) -> np.ndarray:
    low, high = problem.domain.bounds.T
    points = low + (high - low) * np.random.default_rng(0).random((count, len(low)))
    return points[problem.domain.contains(points)]


def small(problem: Problem) -> dict[str, int]:
    return dict.fromkeys(problem.names.coordinates, 17)


def method_of(subject: Subject) -> Method:
    return make_method("auto", {}, subject.problem)


@every_subject
def test_auto_takes_the_method_made_for_it(name: str):
    assert method_of(SUBJECTS[name]).kind == SUBJECTS[name].kind


@every_subject
def test_the_estimated_error_is_met_and_is_about_the_true_one(name: str):
    subject = SUBJECTS[name]
    refinement = Refinement(method_of(subject), Case(subject.problem), tolerance=subject.tolerance)
    stage = refinement.run()
    points = points_in(subject.problem)
    true, estimate = subject.error(stage.solved.evaluate(points), points), refinement.estimate(stage)
    assert estimate <= subject.tolerance
    assert true <= 10 * max(estimate, 1e-10), (true, estimate)


@every_subject
def test_a_solution_is_rebuilt_from_its_numbers_and_solving_again_gives_the_same(name: str):
    problem = SUBJECTS[name].problem
    method, case = method_of(SUBJECTS[name]), Case(problem)
    grid = small(problem)
    times = None if problem.domain.time is None else np.array([0.0, 0.3, 1.0])
    first, again = (method.solve(problem, [case], grid, times)[0] for _ in range(2))
    np.testing.assert_array_equal(first.array, again.array)
    assert first.array.dtype == np.float64
    rebuilt = method.solved(problem, case, grid, times, first.array.ravel().reshape(first.array.shape))
    points = points_in(problem)
    if times is not None:
        points[:, problem.names.coordinates.index("t")] = 0.3
    for unknown, values in first.evaluate(points).items():
        np.testing.assert_array_equal(rebuilt.evaluate(points)[unknown], values)


@every_subject
def test_a_grid_holds_the_values_of_its_points(name: str):
    problem = SUBJECTS[name].problem
    method = method_of(SUBJECTS[name])
    times = None if problem.domain.time is None else np.linspace(0, 1, 5)
    (solved,) = method.solve(problem, [Case(problem)], small(problem), times)
    axes = {n: np.linspace(*ends, 5) for n, ends in zip(problem.names.coordinates, problem.domain.bounds, strict=True)}
    whole = solved.on_grid(axes)
    dims = pm.Field.on_grid(axes, lambda p: {"u": p[:, 0]}, time=problem.names.time).dims
    mesh = np.meshgrid(*[axes[dim] for dim in dims], indexing="ij")
    points = np.stack([mesh[dims.index(n)].ravel() for n in problem.names.coordinates], axis=1)
    inside = problem.domain.contains(points)
    for unknown, values in solved.evaluate(points[inside]).items():
        np.testing.assert_allclose(whole[unknown].ravel()[inside], values, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", METHODS)
def test_what_a_method_cannot_do_is_said_in_one_sentence(kind: str):
    hyper = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1), "z": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = integral(u, x, 0, 1)",
        conditions=[pm.Initial(u=1)],
    )
    with pytest.raises(InputError, match=f"'{kind}' cannot solve it: ") as caught:
        make_method(kind, {}, hyper)
    assert caught.value.path == ("solver",)
    assert "\n" not in str(caught.value)


def test_auto_says_why_every_method_refuses():
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u",
        equations="d(u, x, 2) = integral(u, x, 0, 1)",
        conditions=[pm.Dirichlet(u=0)],
    )
    with pytest.raises(InputError, match="no reference solver can solve it") as caught:
        make_method("auto", {}, problem)
    for kind in METHODS:
        assert f"{kind}: " in str(caught.value)


def test_unknown_methods_and_options_name_the_nearest():
    problem = SUBJECTS["ring"].problem
    with pytest.raises(InputError, match="did you mean 'etdrk4'"):
        make_method("etdrk", {}, problem)
    with pytest.raises(InputError, match="is not an option of 'fem'"):
        make_method("fem", {"degre": 2}, SUBJECTS["plate"].problem)


def test_a_reference_is_computed_when_it_is_asked_for_and_tells_its_error():
    subject = SUBJECTS["ring"]
    reference = make_reference({"solver": "auto", "tolerance": 1e-5}, subject.problem)
    assert reference.costly
    assert not reference._stages
    points = points_in(subject.problem)
    assert subject.error(reference.evaluate(points), points) <= 1e-4
    assert reference.floor <= 1e-5
    assert "etdrk4" in reference.description
    assert f"{reference.floor:.0e}" in reference.description


@pytest.mark.parametrize("name", ["ring", "plate"])
def test_as_a_solver_it_meets_the_tolerance_and_reports(name: str, tmp_path):
    subject = SUBJECTS[name]
    solution = pm.solve(subject.problem, "reference", tolerance=subject.tolerance)
    assert solution.record.converged
    assert solution.record.estimate <= subject.tolerance
    assert "estimated relative L2 error" in solution.report()
    points = points_in(subject.problem)
    assert subject.error(solution.at(points).values, points) <= 10 * subject.tolerance
    solution.save(tmp_path / "run")
    np.testing.assert_array_equal(pm.load(tmp_path / "run").at(points).values["u"], solution.at(points).values["u"])


def test_a_tolerance_out_of_reach_is_not_called_converged():
    problem = SUBJECTS["rod"].problem
    solution = pm.solve(problem, "reference", grid={"x": 9, "t": 5}, tolerance=1e-12)
    assert not solution.record.converged
    assert "estimated" in solution.verdict


def test_what_diverges_is_said_and_a_solution_before_is_kept(monkeypatch):
    exploding = pm.Problem(
        **on_a_line(equations="u_t = u_xx + u^2", conditions=[pm.Initial(u="100*sin(pi*x)"), pm.Dirichlet(u=0)])
    )
    with pytest.raises(pm.errors.DivergenceError, match="no solution is found beyond"):
        pm.solve(exploding, "reference")
    advance = Refinement.advance

    def third_breaks(self, stage=None, progress=None):
        if stage is not None and stage.level == 1:
            raise pm.errors.DivergenceError("too steep")
        return advance(self, stage, progress)

    monkeypatch.setattr(Refinement, "advance", third_breaks)
    solution = pm.solve(SUBJECTS["rod"].problem, "reference", tolerance=1e-14)
    assert not solution.record.converged
    assert "breaks down on a finer grid: too steep" in solution.record.reason
    assert 0 < solution.record.estimate < 1e-3


def test_a_wrong_option_of_the_method_is_named():
    with pytest.raises(InputError, match="at most 7") as caught:
        pm.solve(SUBJECTS["rod"].problem, "reference", method="chebyshev", options={"stages": 99})
    assert caught.value.path[-2:] == ("options", "stages")


def test_an_input_with_a_formula_is_known_and_a_random_one_is_not():
    given = {"coordinates": {"x": (0, 1)}, "unknowns": "u", "equations": "-u_xx = f", "conditions": [pm.Dirichlet(u=0)]}
    problem = pm.Problem(**given, inputs={"f": {"over": ["x"], "value": "pi**2*sin(pi*x)"}})
    solution = pm.solve(problem, "reference", tolerance=1e-8)
    x = np.linspace(0, 1, 33)
    np.testing.assert_allclose(solution.at({"x": x}).values["u"], np.sin(np.pi * x), atol=1e-8)
    trusted = make_reference({"solver": "auto"}, problem).evaluate(x[:, None])["u"]
    np.testing.assert_allclose(trusted, np.sin(np.pi * x), atol=1e-6)
    drawn = pm.Problem(**given, inputs={"f": {"over": ["x"], "field": "grf"}})
    with pytest.raises(InputError, match="give 'f' a 'value'"):
        pm.solve(drawn, "reference")
