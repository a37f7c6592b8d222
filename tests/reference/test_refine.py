"""The estimate of the error is the error; refinement ends where it should."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pdeml as pm
from pdeml.expr import parse
from pdeml.problem import Problem
from pdeml.reference import Case, Method, Refinement, Solved
from pdeml.reference.method import Batch, substeps
from pdeml.reference.refine import difference, error_estimate
from pdeml.sampling.functions import Function


@dataclass(frozen=True, eq=False)
class Wave(Solved):
    """``sin(x) exp(-t) (1 + error)``."""

    problem: Problem
    times: np.ndarray | None
    array: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        decay = np.ones(1) if self.times is None else np.exp(-self.times)
        return {"u": decay[:, None] * np.sin(points[:, 0]) * (1.0 + self.array[0])}


class Known(Method):
    """Solves anything, with the error ``size * h**rate``."""

    kind: ClassVar[str] = "known"
    size: float = 1.0
    rate: float = 2.0

    def refusal(self, problem: Problem) -> str | None:
        return None

    def order(self, problem: Problem) -> float:
        return self.rate

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        return dict.fromkeys(problem.names.coordinates, 9)

    def _solve(self, batch: Batch) -> list[Wave]:
        array = np.array([self.size / (batch.grid["x"] - 1) ** self.rate])
        return [self.solved(batch.problem, case, batch.grid, batch.times, array) for case in batch.cases]

    def solved(self, problem: Problem, case: Case, grid, times, array) -> Wave:
        return Wave(problem, times, array)


def heat(**more):
    return pm.Problem(
        coordinates={"x": (0, 2), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = u_xx",
        conditions=[pm.Initial(u="sin(x)"), pm.Dirichlet(u=0)],
        **more,
    )


@pytest.mark.parametrize("rate", [2.0, 3.0, 4.0])
def test_the_estimate_is_the_error(rate):
    refinement = Refinement(Known(rate=rate), Case(heat()), tolerance=1e-6)
    stage = refinement.run()
    true = float(stage.solved.array[0])
    assert refinement.estimate(stage) == pytest.approx(true, rel=0.05)
    assert refinement.estimate(stage) <= 1e-6
    before = Refinement(Known(rate=rate), Case(heat()))
    assert float(before._solve(stage.level - 1, None).array[0]) > 0.9e-6, "it refined further than needed"


def test_a_given_grid_is_the_finest_and_its_error_is_told_by_coarser_ones():
    refinement = Refinement(Known(), Case(heat()), grid={"x": 65, "t": 33})
    stage = refinement.run()
    assert refinement.grid_of(stage.level) == {"x": 65, "t": 33}
    assert refinement.grid_of(0) == {"x": 17, "t": 9}
    assert refinement.estimate(stage) == pytest.approx(64.0**-2, rel=0.05)
    reason, met = refinement.ended(stage)
    assert not met
    assert "given grid" in reason


def test_a_tolerance_out_of_reach_is_said():
    refinement = Refinement(Known(rate=1.0), Case(heat()), tolerance=1e-12)
    reason, met = refinement.ended(refinement.run())
    assert not met
    assert "not met on the finest grid" in reason


@given(st.floats(0.6, 4.0), st.floats(1e-6, 1e-1))
def test_geometric_differences_give_the_error_of_the_finest(rate, error):
    differences = [error * (2.0**rate - 1) * 2.0 ** (rate * k) for k in (1, 0)]
    assert error_estimate(differences, 10.0) == pytest.approx(error, rel=1e-6)


def test_differences_that_do_not_fall_give_no_small_estimate():
    assert error_estimate([1e-3, 1e-3], 4.0) >= 1e-3
    assert error_estimate([1e-3, 5e-3], 4.0) >= 5e-3
    assert error_estimate([1e-3], 4.0) == 1e-3


def test_times_between_stored_ones_are_interpolated_with_order_six():
    problem, errors = heat(), []
    for count in (9, 17, 33):
        solved = Known(size=0.0).solved(problem, Case(problem), {}, np.linspace(0, 1, count), np.zeros(1))
        points = np.random.default_rng(0).uniform((0, 0), (2, 1), (500, 2))
        found = solved.evaluate(points)["u"]
        errors.append(np.abs(found - np.sin(points[:, 0]) * np.exp(-points[:, 1])).max())
    slopes = np.diff(np.log2(errors))
    assert np.all(slopes < -5.5), errors
    grid = solved.on_grid({"x": np.linspace(0, 2, 5), "t": np.array([0.0, 0.5, 1.0])})["u"]
    expected = np.exp(-np.array([0.0, 0.5, 1.0]))[:, None] * np.sin(np.linspace(0, 2, 5))
    np.testing.assert_array_equal(grid, expected)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20).map(lambda ts: np.unique(np.round(ts, 6))),
    st.integers(1, 50),
)
def test_substeps_hit_every_output_and_are_never_wider(times, steps):
    pieces = substeps(times, 0.0, 1.0, steps)
    now = 0.0
    for time, (h, count) in zip(times, pieces, strict=True):
        now += h * count
        assert now == pytest.approx(time, abs=1e-12)
        assert h <= 1.0 / steps * (1 + 1e-5)


def test_formulas_of_a_case_know_parameters_inputs_and_their_derivatives():
    class Ramp(Function):
        over = ("y",)

        def at(self, points, index=None):
            return 3.0 * points[:, 0] ** 2 if not index or not index[0] else 6.0 * points[:, 0]

    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 2)},
        unknowns="u",
        parameters={"k": 2},
        inputs={"a": {"over": ["y"], "field": "grf"}},
        equations="laplacian(u) = a",
        conditions=[pm.Dirichlet(u=0)],
    )
    case = Case(problem, {"a": Ramp()}, {"k": 5.0})
    formula = parse("k*a + x*d(a, y) + d(a, x)", problem.names)
    points = np.random.default_rng(0).uniform(size=(7, 2))
    x, y = points.T
    np.testing.assert_allclose(case.at(formula, points), 15 * y**2 + 6 * x * y)
    axes = {"y": np.linspace(0, 2, 4), "x": np.linspace(0, 1, 3)}
    grid = case.on_grid(formula, axes)
    np.testing.assert_allclose(grid, 15 * axes["y"][:, None] ** 2 + 6 * axes["x"] * axes["y"][:, None])
    np.testing.assert_allclose(case.on_grid(formula, {"x": axes["x"], "y": 1.0}), 15 + 6 * axes["x"])
    with pytest.raises(pm.errors.InputError, match="the input function 'a' is not given"):
        Case(problem)


def test_a_given_grid_is_checked_before_anything_runs():
    for grid, message in (({"y": 9}, "'y' is not a coordinate"), ({"x": 10**8, "t": 10**6}, "at most 1e\\+11")):
        with pytest.raises(pm.errors.InputError, match=message) as caught:
            Refinement(Known(), Case(heat()), grid=grid).grid_of(0)
        assert caught.value.path[0] == "grid"


def test_numbers_beyond_comparison_are_a_divergence():
    problem = heat()
    fine, coarse = (
        Known().solved(problem, Case(problem), {}, np.linspace(0, 1, 9), np.array([size])) for size in (1e300, -1e300)
    )
    with pytest.raises(pm.errors.DivergenceError, match="ill-posed"), np.errstate(over="ignore", invalid="ignore"):
        difference(fine, coarse)
