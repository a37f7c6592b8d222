"""Gaussian processes on grids through the solver: refinement, the joint objective, interruption, saving."""

from __future__ import annotations

import numpy as np
import pytest

import pdeml as pm
from pdeml.errors import InputError
from pdeml.solvers import GP
from pdeml.train import Callback, Event, TrainState

WAVES = pm.Problem(
    coordinates={"x": (0, 3), "y": (0, 3)},
    unknowns="u",
    equations="u_xx + u_yy = 0",
    conditions=pm.Dirichlet(u=0),
).manufactured({"u": "sin(40*x)*cos(30*y)"})
ALLEN_CAHN = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 1)},
    unknowns="u",
    equations="u_xx + u_yy + u*(u^2 - 1) = 0",
    conditions=pm.Dirichlet(u=0),
).manufactured({"u": "sin(3*x)*cos(2*y)"})


class _Until(Callback):
    """Stops after so many steps and keeps the state."""

    def __init__(self, step: int):
        self.last, self.state = step, TrainState(0, {})

    def on_step(self, event: Event) -> str | None:
        self.state = event.state
        return "enough" if event.state.step >= self.last else None


def _points(high: float) -> np.ndarray:
    return np.random.default_rng(0).random((500, 2)) * high


def test_many_waves_are_solved_on_a_grid_and_their_frequencies_found():
    solution = GP().fit(WAVES)
    x = _points(3.0)
    exact = np.sin(40 * x[:, 0]) * np.cos(30 * x[:, 1])
    error = np.abs(solution.values(x)["u"] - exact)
    assert solution.record.converged
    assert error.max() < 1e-7
    found = solution.frequencies
    assert found["x"][0][0] == pytest.approx(40, abs=0.1)
    assert found["y"][0][0] == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(("options", "stop"), [({}, 1), ({"mode": "map", "points": 8, "steps": 30}, 11)])
def test_an_interrupted_fit_goes_on_to_the_same_result(options: dict, stop: int):
    solver, watch = GP(**options), _Until(stop)
    whole = solver.fit(ALLEN_CAHN)
    solver.fit(ALLEN_CAHN, callbacks=[watch])
    resumed = solver.fit(ALLEN_CAHN, state=watch.state)
    assert resumed.record.steps == whole.record.steps
    np.testing.assert_array_equal(resumed.theta, whole.theta)


@pytest.mark.parametrize("options", [{}, {"mode": "map", "points": 8, "steps": 30}])
def test_a_saved_solution_is_the_same(tmp_path, options: dict):
    solution = GP(**options).fit(ALLEN_CAHN)
    solution.save(tmp_path / "run")
    again, x = pm.load(tmp_path / "run"), _points(1.0)
    np.testing.assert_array_equal(again.values(x)["u"], solution.values(x)["u"])


def test_the_joint_objective_comes_near_a_smooth_solution():
    """Slowly, as published: thousands of steps for a few digits."""
    solution = GP(mode="map", points=10, steps=1500).fit(ALLEN_CAHN)
    x = _points(1.0)
    exact = np.sin(3 * x[:, 0]) * np.cos(2 * x[:, 1])
    error = np.linalg.norm(solution.values(x)["u"] - exact) / np.linalg.norm(exact)
    assert error < 0.1


def test_a_grid_that_does_not_fit_into_memory_is_refused_beforehand():
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u",
        equations="laplacian(u) = sin(40*x)",
        conditions=[pm.Dirichlet(u=0)],
    )
    with pytest.raises(InputError, match="a grid of 100000 x 100000 points does not fit into memory"):
        GP(points=100_000).preview(problem)


def test_data_that_are_all_zero_do_not_make_a_solution_certain():
    missing = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = 0.1*u_xx",
        conditions=[pm.Dirichlet(u=0)],
    )
    solution = GP().fit(missing)
    assert not solution.record.converged
    assert solution.std(np.array([[0.5, 0.5]]))["u"] > 1e-3
