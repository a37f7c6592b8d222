"""What is the Gaussian process's own: spectra found, branches, standard deviations, resuming, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.solvers.gp import GP
from pdeml.train import Callback, Event

LINE = {"coordinates": {"x": (0, 1)}, "unknowns": "u"}


def poisson(exact: str, low: float = 0, high: float = 1, equation: str = "u_xx = 0") -> pm.Problem:
    place = {"coordinates": {"x": (low, high)}, "unknowns": "u"}
    return pm.Problem(**place, equations=equation, conditions=[pm.Dirichlet(u=0)]).manufactured({"u": exact})


def error(solution: pm.Solution, exact: str, count: int = 400) -> tuple[float, np.ndarray, np.ndarray]:
    """Relative L2 error on random points, and there the error and the standard deviation."""
    low, high = solution.problem.domain.bounds.T
    points = low + (high - low) * np.random.default_rng(7).random((count, len(low)))
    field = solution.at(points[solution.problem.domain.contains(points)])
    off = field.values["u"] - pm.Field.from_expression({"u": exact}, like=field).values["u"]
    return float(np.linalg.norm(off) / np.linalg.norm(field.values["u"] - off)), np.abs(off), field.std["u"]


@pytest.mark.parametrize(
    ("exact", "high", "frequencies", "worst"),
    [("sin(100*x)", "2*pi", (100.0,), 1e-10), ("sin(500*x) - 2*(x - 0.5)^2", 1, (500.0, 0.0), 1e-8)],
    ids=["u1", "u5"],
)
def test_high_frequencies_are_found_and_solved_for(exact: str, high, frequencies: tuple, worst: float):
    solution = GP().fit(poisson(exact, 0, high))
    relative, off, std = error(solution, exact)
    assert relative < worst
    assert solution.record.converged
    assert [peak[0] for peak in solution.frequencies["x"]] == pytest.approx(frequencies, abs=0.05)
    assert any("frequencies found: " + f"{frequencies[0]:.1f}" in note for note in solution.record.notes)
    assert np.mean(off <= 2 * std) > 0.9
    assert solution.record.estimate < 1e-6


def test_more_points_make_it_exact():
    exact = "sin(30*x)*exp(-x)"
    few, more = (error(GP(points=n).fit(poisson(exact)), exact)[0] for n in (14, 40))
    assert more < 1e-8 < 1e-5 < few


def test_a_non_linear_equation_follows_the_branch_of_its_linear_part():
    exact = "sin(7*x) + 0.5*x"
    solution = GP(points=40).fit(poisson(exact, equation="u_xx + u*(u^2 - 1) = 0"))
    assert error(solution, exact)[0] < 1e-9
    assert "branch" in " ".join(solution.record.notes)
    assert "Gauss-Newton has converged" in solution.verdict


def test_an_equation_without_a_solution_is_told():
    beyond_the_fold = pm.Problem(**LINE, equations="u_xx + 6*exp(u) = 0", conditions=[pm.Dirichlet(u=0)])
    with pytest.raises(DivergenceError, match="does not converge"):
        GP(points=20, steps=5).fit(beyond_the_fold)


@pytest.mark.parametrize(
    ("equation", "conditions"),
    [
        ("u_xx = 2", [pm.Neumann(u=1)]),  # a constant is free
        ("u_xx = cos(40*pi*x)", [pm.Neumann(u=0)]),  # the same, where nothing slow is learned
        ("u_xx = cos(40*pi*x)", [pm.Periodic("x")]),
        ("u_x = 0", [pm.Dirichlet(u="x")]),  # contradiction
    ],
    ids=["free", "free and fast", "free and periodic", "contradicting"],
)
def test_what_the_conditions_leave_open_shows_in_the_standard_deviation(equation: str, conditions: list):
    solution = GP(points=90).fit(pm.Problem(**LINE, equations=equation, conditions=conditions))
    assert solution.record.estimate > 0.05
    assert not solution.record.converged
    assert "conditions are missing or contradict" in solution.verdict


def test_a_geometry_and_its_deviations_go_to_the_file(tmp_path):
    exact = "exp(x)*sin(2*y)"
    disk = pm.Problem(
        domain=pm.Disk(center=(0, 0), radius=1),
        unknowns="u",
        equations="laplacian(u) = 0",
        conditions=[pm.Dirichlet(u=0)],
    ).manufactured({"u": exact})
    solution = GP(points=10, steps=3).fit(disk)
    relative, off, std = error(solution, exact, 100)
    assert relative < 1e-6
    assert np.mean(off <= 3 * std) > 0.7
    solution.on_grid(x=9, y=8).to_hdf5(tmp_path / "fields.h5")
    read = pm.Field.from_hdf5(tmp_path / "fields.h5")
    np.testing.assert_array_equal(np.isnan(read.std["u"]), ~read.mask)
    solution.save(tmp_path / "saved")
    points = np.array([[0.1, 0.2], [-0.5, 0.3]])
    for name, column in pm.load(tmp_path / "saved").std(points).items():
        np.testing.assert_allclose(column, solution.std(points)[name], rtol=1e-6)


def test_periodic_solutions_repeat_exactly():
    problem = pm.Problem(
        coordinates={"x": (0, 3)}, unknowns="u", equations="u_xx - u = 0", conditions=[pm.Periodic("x")]
    ).manufactured({"u": "cos(4*pi*x/3) + 0.2*sin(2*pi*x/3)"})
    solution = GP(points=24).fit(problem)
    assert error(solution, "cos(4*pi*x/3) + 0.2*sin(2*pi*x/3)")[0] < 1e-9
    assert solution.record.exact == ("periodic in x",)
    low, high = solution.values(np.array([[0.0], [3.0]]))["u"]
    assert low == pytest.approx(high, abs=1e-13)


@pytest.mark.parametrize("equation", ["u_xx = 0", "u_xx + u^3 = 0"], ids=["linear", "non-linear"])
@pytest.mark.parametrize("stop", [3, 9])
def test_an_interrupted_fit_goes_on_to_the_same_result(equation: str, stop: int):
    class Stop(Callback):
        def on_step(self, event: Event) -> str | None:
            self.state = event.state
            return "enough" if event.state.step == stop else None

    problem, solver = poisson("sin(9*x)", equation=equation), GP(points=24, steps=6)
    whole, watch = solver.fit(problem), Stop()
    solver.fit(problem, callbacks=[watch])
    resumed = solver.fit(problem, state=watch.state)
    assert resumed.record.steps == whole.record.steps
    np.testing.assert_array_equal(resumed.theta, whole.theta)


@pytest.mark.parametrize(
    ("options", "equation", "match", "path"),
    [
        ({"kernel": "matern", "nu": 1.5}, "u_xx = 1", "2.5 at least", ("nu",)),
        ({"kernel": "student", "nu": 3.5}, "d(u, x, 4) = 1", "4.5 at least", ("nu",)),
        ({"nu": 2.5}, "u_xx = 1", "nu is for the kernels student and matern", ("nu",)),
        ({"mode": "evidence"}, "u_xx = u^2", "not linear: take gauss_newton", ("mode",)),
        ({"points": {"y": 9}}, "u_xx = 1", "'y' is not a coordinate", ("points", "y")),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict, equation: str, match: str, path: tuple):
    problem = pm.Problem(**LINE, equations=equation, conditions=[pm.Dirichlet(u=0), pm.Neumann(u=0)])
    for how in ("fit", "preview"):
        with pytest.raises(InputError, match=match) as caught:
            getattr(GP(**options), how)(problem)
        assert caught.value.path == path


def test_too_many_points_are_refused_before_anything_is_allocated():
    disk = pm.Problem(
        domain=pm.Disk(center=(0, 0), radius=1),
        unknowns="u",
        equations="laplacian(u) = 1",
        conditions=[pm.Dirichlet(u=0)],
    )
    with pytest.raises(InputError, match="rows fit") as caught:
        GP(points=100_000).preview(disk)
    assert caught.value.path == ("points",)


@pytest.mark.parametrize(("nu", "order"), [(2.5, 2), (3.5, 4)])
def test_a_rough_kernel_converges_as_fast_as_its_smoothness_says(nu: float, order: int):
    """The error falls like h^(2ν − 2m + 1), m = 2: the functions it takes for likely have few derivatives."""
    exact = "sin(6*x) + x"
    few, more = (error(GP(kernel="matern", nu=nu, points=n).fit(poisson(exact)), exact)[0] for n in (31, 61))
    assert np.log2(few / more) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(
    ("exact", "equation", "points"),
    [
        ("exp(500*(x - 1)) + x", "u_x - 0.002*u_xx = 0", 20),
        ("sin(3*x) + 0.1*sin(77*x)", "u_xx = 0", 24),
    ],
    ids=["layer", "many waves"],
)
def test_points_that_do_not_resolve_the_solution_show_in_the_standard_deviation(exact: str, equation: str, points: int):
    solution = GP(points=points).fit(poisson(exact, equation=equation))
    relative, off, std = error(solution, exact)
    assert relative > 0.05
    assert np.linalg.norm(std) > 0.2 * np.linalg.norm(off)
    assert np.mean(off <= 2 * std) > 0.5
    assert not solution.record.converged
    assert "do not resolve" in solution.verdict


def test_too_few_points_and_many_rows_are_told():
    few = GP(points=12).preview(poisson("sin(60*x)"))
    assert any("fewer than two points a wave" in note for note in few.notes)
    assert not any("a wave" in note for note in GP(points=30).preview(poisson("sin(60*x)")).notes)
    many = GP(points=6000).preview(poisson("sin(x)"))
    assert any("6002 rows" in note for note in many.notes)
    assert not any("rows" in note for note in GP(points=600).preview(poisson("sin(x)")).notes)


@pytest.mark.parametrize("kernel", ["student", "matern", "rbf", "spectral_mixture"])
def test_every_kernel_solves_a_smooth_problem(kernel: str):
    exact = "sin(6*x) + x"
    relative, off, std = error(GP(kernel=kernel, points=60).fit(poisson(exact)), exact)
    assert relative < {"student": 1e-8, "matern": 1e-7}.get(kernel, 1e-9)
    assert np.mean(off <= 2 * std) > 0.8
