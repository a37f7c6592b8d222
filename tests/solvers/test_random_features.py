"""Random features: figures, estimates that hold, routes, resuming, what is refused and what is only said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.features.levels import LevelOptions
from pdeml.features.route import choose_route
from pdeml.solvers.random_features import RandomFeatures
from pdeml.solvers.random_features_task import Deadline, _error
from pdeml.train import Callback, Event, TrainState

VALUE = pm.Dirichlet(u=0)
SQUARE = {"coordinates": {"x": (0, 1), "y": (0, 1)}}
DISK = {"domain": pm.Disk(center=(0, 0), radius=1)}
L_SHAPE = {"domain": pm.Polygon([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]])}
STRIP = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t"}


def manufactured(exact: str, equation: str, place: dict, conditions=(VALUE,)) -> pm.Problem:
    problem = pm.Problem(**place, unknowns="u", equations=equation, conditions=list(conditions))
    return problem.manufactured({"u": exact})


def error(solution: pm.Solution, exact, count: int = 1500) -> float:
    """Relative L2 error against NumPy's own functions."""
    domain = solution.problem.domain
    low, high = domain.bounds.T
    points = low + (high - low) * np.random.default_rng(11).random((count, len(low)))
    points = points[domain.contains(points)]
    found, wanted = solution.values(points)["u"], exact(*points.T)
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


ROWS = {
    "wave number 100": ("sin(100*x)", "u_xx = 0", {"coordinates": {"x": (0, "2*pi")}}, lambda x: np.sin(100 * x)),
    "smooth": (
        "sin(pi*x)*sin(2*pi*y) + x^3",
        "laplacian(u) = 0",
        SQUARE,
        lambda x, y: np.sin(np.pi * x) * np.sin(2 * np.pi * y) + x**3,
    ),
    "disk": (
        "exp(x)*sin(2*y) + x^2*y",
        "laplacian(u) = 0",
        DISK,
        lambda x, y: np.exp(x) * np.sin(2 * y) + x**2 * y,
    ),
    "L-shape": (
        "exp(x)*sin(2*y) + x^2*y",
        "laplacian(u) = 0",
        L_SHAPE,
        lambda x, y: np.exp(x) * np.sin(2 * y) + x**2 * y,
    ),
    "Allen-Cahn": (
        "sin(3*x)*cos(y)",
        "laplacian(u) + u^3 - u = 0",
        DISK,
        lambda x, y: np.sin(3 * x) * np.cos(y),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_eight_digits_by_default_and_the_estimate_tells_them(name: str):
    exact, equation, place, function = ROWS[name]
    solution = RandomFeatures().fit(manufactured(exact, equation, place))
    assert solution.record.converged
    reached = error(solution, function)
    assert reached < 1e-9
    assert reached < 5 * solution.record.estimate < 5e-8


@pytest.mark.parametrize("activation", ["sin", "tanh"])
@pytest.mark.parametrize("method", ["tensor", "scattered"])
def test_every_method_and_activation_solves(method: str, activation: str):
    problem = manufactured("sin(2*x)*exp(y)", "laplacian(u) = 0", SQUARE)
    solver = RandomFeatures(method=method, activation=activation, tolerance=1e-5)
    assert error(solver.fit(problem), lambda x, y: np.sin(2 * x) * np.exp(y)) < 1e-5


def test_the_user_may_say_how_many_and_how_fast():
    problem = manufactured("sin(12*x)*exp(y)", "laplacian(u) = 0", SQUARE)
    options = {"method": "scattered", "features": 60, "patches": {"x": 2, "y": 1}, "radius": 5.0, "points": 1.5}
    solution = RandomFeatures(**options, levels=2).fit(problem)
    assert "2 patches of at most 90 functions, radius 5" in solution.report()
    fast = RandomFeatures(method="scattered", bandwidth={"x": 100.0, "y": 1.0}).preview(problem)
    slow = RandomFeatures(method="scattered", bandwidth=1.0).preview(problem)
    assert fast.parameters > 4 * slow.parameters


class Stop(Callback):
    """Ends a run after some steps."""

    def __init__(self, after: int):
        self.after, self.states = after, []

    def on_step(self, event: Event) -> str | None:
        """Keep the state."""
        self.states.append(event.state)
        return "enough" if len(self.states) == self.after else None


@pytest.mark.parametrize("method", ["tensor", "scattered"])
def test_what_was_interrupted_goes_on_as_if_it_was_not(method: str):
    problem = manufactured("sin(9*x)*exp(y)", "laplacian(u) + u^3 = 0", SQUARE)
    solver = RandomFeatures(method=method, tolerance=1e-30, levels=4, features=24)
    whole, first = solver.fit(problem), Stop(1)
    solver.fit(problem, callbacks=[first])
    state: TrainState = first.states[0]
    solver.check_state(problem, state)
    resumed = solver.fit(problem, state=state)
    assert resumed.record.steps == whole.record.steps == 3
    torch.testing.assert_close(resumed.state.tensors["z"], whole.state.tensors["z"], rtol=0, atol=0)
    with pytest.raises(InputError, match="does not belong"):
        solver.check_state(manufactured("sin(x)", "u_xx = 0", {"coordinates": {"x": (0, 1)}}), state)


def test_a_saved_solution_does_not_depend_on_how_the_features_were_made_orthonormal(monkeypatch, tmp_path):
    """Another machine may find other signs of singular vectors."""
    problem = manufactured("sin(2*x)*exp(y)", "laplacian(u) = 0", SQUARE)
    solve = torch.linalg.svd

    def flipped(matrix, **options):
        left, singular, right = solve(matrix, **options)
        return -left, singular, -right

    for method in ("tensor", "scattered"):
        solution = RandomFeatures(method=method, tolerance=1e-4).fit(problem)
        solution.save(tmp_path / method)
        with monkeypatch.context() as patch:
            patch.setattr(torch.linalg, "svd", flipped)
            loaded = pm.load(tmp_path / method)
            points = np.array([[0.2, 0.3], [0.9, 0.5]])
            np.testing.assert_allclose(loaded.values(points)["u"], solution.values(points)["u"], rtol=1e-12)


def test_no_level_is_begun_that_would_end_too_late():
    problem = manufactured("sin(9*x)*exp(y)", "laplacian(u) = 0", SQUARE)
    whole = RandomFeatures(tolerance=1e-30, levels=4).fit(problem)
    short = RandomFeatures(tolerance=1e-30, levels=4, max_seconds=1e-3).fit(problem)
    assert short.record.steps == 1
    assert "the next level would take about" in short.record.reason
    resumed = RandomFeatures(tolerance=1e-30, levels=4).fit(problem, state=short.state)
    torch.testing.assert_close(resumed.state.tensors["z"], whole.state.tensors["z"], rtol=0, atol=0)


class Tenfold:
    """A route on which each level is ten times the work of the one before."""

    def work(self, level: int, facts: object) -> float:
        """Return the work."""
        return 10.0**level


def test_the_time_of_a_level_is_foretold_from_the_one_before():
    first, second = (
        Event(TrainState(step, {}, {"stage": {"level": step}}), {}, 9, seconds) for step, seconds in ((1, 1.1), (2, 12))
    )
    assert Deadline(Tenfold(), 11.0).on_step(first) == (
        "stopped by time, not reproducible: the next level would take about 10 s, and 9.9 s are left"
    )
    patient = Deadline(Tenfold(), 100.0)
    assert patient.on_step(first) is None
    assert "about 1.1e+02 s, and 88 s are left" in patient.on_step(second)


@pytest.mark.parametrize("method", ["tensor", "scattered"])
def test_work_grows_as_factorisations_do(method: str):
    problem = manufactured("sin(2*x)*exp(y)", "laplacian(u) = 0", SQUARE)
    few, many = (
        choose_route(problem, LevelOptions(features=20, patches=(k, k), radius=3.0), method)[0].work(0, None)
        for k in (2, 4)
    )
    assert 5 * few < many < 20 * few


class Hasty(Callback):
    """Asks to stop as soon as it is told anything."""

    def on_progress(self, share: float) -> str | None:
        """Ask."""
        assert 0 <= share <= 1
        return "enough"

    def on_step(self, event: Event) -> str | None:
        """Ask."""
        return "enough"


@pytest.mark.parametrize("method", ["tensor", "scattered"])
def test_who_stops_within_the_first_levels_gets_a_solution(method: str):
    problem = manufactured("sin(2*x)*exp(y)", "laplacian(u) + u^3 = 0", SQUARE)
    solution = RandomFeatures(method=method, features=24, tolerance=1e-30).fit(problem, callbacks=[Hasty()])
    assert (solution.record.steps, solution.record.reason) == (1, "enough")


def test_what_products_leave_open_is_solved_on_cells(tmp_path):
    problem = manufactured("x^2 - y^2", "laplacian(u) = 0", SQUARE, [pm.Neumann(u=0)])
    solver, first = RandomFeatures(tolerance=1e-30, levels=3, features=40, patches=1), Stop(1)
    solution = solver.fit(problem)
    assert "products of features of one coordinate find no solution" in solution.report()
    low, high = solution.values(np.array([[0.0, 0.0], [0.5, 0.0]]))["u"]
    assert high - low == pytest.approx(0.25, abs=1e-5)
    solver.fit(problem, callbacks=[first])
    resumed = solver.fit(problem, state=first.states[0])
    torch.testing.assert_close(resumed.state.tensors["z"], solution.state.tensors["z"], rtol=0, atol=0)
    solution.save(tmp_path / "run")
    at = np.array([[0.2, 0.3], [0.9, 0.5]])
    np.testing.assert_array_equal(pm.load(tmp_path / "run").values(at)["u"], solution.values(at)["u"])


def test_an_estimate_near_rounding_promises_nothing():
    assert _error(1e-16, 1e-9, 1e-9) == 1e-13
    assert _error(2e-12, 1e-9, 1e-9) == pytest.approx(8e-12)  # levels share their rounding errors
    assert _error(1e-5, 1e-2, 1e-9) == pytest.approx(1e-5 * 0.01 / 0.99)
    assert _error(1e-5, 5.0, 1e-9) == pytest.approx(4e-5)  # the residual did not fall
    assert _error(1e-14, 1e-9, 0.3) == 0.05  # two levels that agree on what solves nothing


def test_a_jump_is_not_called_solved():
    problem = pm.Problem(**DISK, unknowns="u", equations="laplacian(u) = sign(x)", conditions=[VALUE])
    solution = RandomFeatures(levels=4, features=60, patches=1).fit(problem)
    assert not solution.record.converged
    assert solution.record.estimate > 1e-6


def test_a_missing_condition_is_told():
    problem = pm.Problem(**STRIP, unknowns="u", equations="u_t = u_xx", conditions=[pm.Dirichlet(u="sin(t)")])
    solution = RandomFeatures().fit(problem)
    assert not solution.record.converged
    assert "not unique" in solution.verdict
    assert "add the initial value" in solution.verdict


def test_a_free_constant_is_told():
    problem = manufactured("x^2 - y^2", "laplacian(u) = 0", DISK, [pm.Neumann(u=0)])
    solution = RandomFeatures().fit(problem)
    assert any("1 direction free" in note for note in solution.record.notes)
    low, high = solution.values(np.array([[0.0, 0.0], [0.5, 0.0]]))["u"]
    assert high - low == pytest.approx(0.25, abs=1e-6)


def test_an_eigenvalue_is_told():
    problem = manufactured("x^2 - y^2", "laplacian(u) = 0", SQUARE, [pm.Neumann(u=0)])
    with pytest.raises(DivergenceError, match="do not determine"):
        RandomFeatures(method="tensor").fit(problem)


def test_what_has_no_solution_is_told():
    problem = pm.Problem(**DISK, unknowns="u", equations="laplacian(u) + 6*exp(u) = 0", conditions=[VALUE])
    with pytest.raises(DivergenceError, match="does not converge"):
        RandomFeatures(features=24, radius=2.0, patches=1).fit(problem)


def test_too_much_for_the_memory_is_refused_with_what_fits(monkeypatch):
    monkeypatch.setattr("pdeml.features.levels.available_memory", lambda: 20_000_000)
    problem = manufactured("sin(2*x)*exp(y)", "laplacian(u) = 0", DISK)
    for how in ("preview", "fit"):
        with pytest.raises(InputError, match=r"about \d+ functions a cell would fit") as caught:
            getattr(RandomFeatures(features=900), how)(problem)
        assert caught.value.path == ("features",)


LINE = {"coordinates": {"x": (0, 1)}, "unknowns": "u", "conditions": [VALUE]}
WITHOUT = {
    "learnt": ({**LINE, "parameters": {"k": {"learn": 1.0}}, "equations": "k*u_xx = 1"}, ("parameters", "k"), "'k'"),
    "range": ({**LINE, "parameters": {"k": {"range": [1, 2]}}, "equations": "k*u_xx = 1"}, ("parameters", "k"), "'k'"),
    "input": (
        {**LINE, "inputs": {"a": {"field": "grf", "over": ["x"]}}, "equations": "a*u_xx = 1"},
        ("inputs", "a"),
        "'a'",
    ),
    "high order": ({**LINE, "equations": "d(u, x, 6) = 1"}, (), "order 6"),
    "integral": ({**LINE, "equations": "u_xx = integral(u, x, 0, 1)"}, (), "integral"),
    "no conditions": ({**LINE, "conditions": [], "equations": "u_xx = 1", "data": True}, (), "no conditions"),
}


@pytest.mark.parametrize("how", ["fit", "preview"])
@pytest.mark.parametrize(("given", "path", "word"), WITHOUT.values(), ids=WITHOUT)
def test_what_it_cannot_do_is_refused_before_anything_runs(given: dict, path: tuple, word: str, how: str):
    with pytest.raises(InputError, match=word) as caught:
        getattr(RandomFeatures(), how)(pm.Problem(**given))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("options", "path", "word"),
    [
        ({"patches": {"z": 2}}, ("patches", "z"), "'z'"),
        ({"windows": 3}, ("windows",), "has none"),
        ({"method": "tensor"}, ("method",), "no box"),
    ],
)
def test_options_that_do_not_suit_the_problem_are_refused(options: dict, path: tuple, word: str):
    with pytest.raises(InputError, match=word) as caught:
        RandomFeatures(**options).preview(manufactured("x*y", "laplacian(u) = 0", DISK))
    assert caught.value.path == path


def test_windows_cannot_look_ahead():
    problem = manufactured("cos(x - 0.5*t)", "u_t + 0.5*u_x = 0", STRIP, [pm.Final(u=0), VALUE])
    with pytest.raises(InputError, match="looks ahead"):
        RandomFeatures(windows=2).fit(problem)
