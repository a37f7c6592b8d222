"""What holds for every method: options, determinism, what it refuses, what it gives back, and that it solves."""

from __future__ import annotations

import numpy as np
import pytest

import pdeml as pm
from pdeml.errors import InputError
from pdeml.solvers import KINDS, SolverOptions, solver_class
from pdeml.train import Callback, Event

from .operator_subjects import OPERATOR_KINDS
from .subjects import ABLE, DETERMINISTIC, KNOWN, REFUSED, SMALL

every_kind = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OPERATOR_KINDS])
HEAT = KNOWN["heat"].problem


def small(kind: str, **options: object) -> SolverOptions:
    return solver_class(kind)(**{**SMALL[kind], **options})


def values(solution: pm.Solution, problem: pm.Problem) -> np.ndarray:
    low, high = problem.domain.bounds.T
    points = low + (high - low) * np.random.default_rng(0).random((50, len(low)))
    return np.stack(list(solution.values(points).values()))


@every_kind
def test_a_solution_says_how_good_it_is(kind: str):
    solution = small(kind).fit(HEAT())
    assert solution.record.residuals or solution.record.estimate is not None
    assert all(np.isfinite(norm) and norm >= 0 for norm in solution.record.residuals.values())
    report = solution.report()
    measured = "residual" if solution.record.residuals else "estimated"
    for word in (measured, f"seed {solution.record.seed}", solution.verdict, solution.record.device, " s on "):
        assert word in report
    for name in solution.record.exact:
        assert name in report
    summary = solution.summary()
    assert {"residuals", "seconds", "steps", "parameters", "device", "precision", "seed", "versions"} <= summary.keys()


@every_kind
def test_the_seed_decides(kind: str):
    problem = HEAT()
    first, again, other = (values(small(kind, seed=seed).fit(problem), problem) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (kind in DETERMINISTIC)


@every_kind
def test_fit_changes_nothing_in_the_options(kind: str):
    solver = small(kind)
    before = solver.model_dump()
    solver.fit(HEAT())
    assert solver.model_dump() == before
    with pytest.raises(Exception, match="frozen"):
        solver.seed = 3
    assert solver == small(kind)
    assert solver != small(kind, seed=1)


@every_kind
def test_an_unknown_option_names_the_nearest(kind: str):
    with pytest.raises(InputError, match="did you mean 'seed'"):
        solver_class(kind)(sed=1)


@every_kind
@pytest.mark.parametrize("seed", ["many", -1, True, 1.5, None])
def test_a_wrong_option_is_told_in_words(kind: str, seed: object):
    with pytest.raises(InputError, match=r"seed: must be .*got") as caught:
        solver_class(kind)(seed=seed)
    assert caught.value.path == ("seed",)
    assert "pydantic" not in str(caught.value)


@every_kind
def test_a_whole_number_may_be_written_with_an_exponent(kind: str):
    assert solver_class(kind)(seed=1e3) == solver_class(kind)(seed=1000)


@every_kind
def test_an_option_without_its_name_is_refused(kind: str):
    with pytest.raises(InputError, match=r"write for example \w+\(\w+=32\)"):
        solver_class(kind)(32)


@every_kind
def test_options_round_trip_as_a_spec(kind: str):
    solver = small(kind)
    spec = dict(solver.to_spec())
    assert spec.pop("kind") == kind
    assert solver_class(kind)(**spec) == solver


def test_a_method_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(InputError, match="did you mean 'pinn'") as caught:
        solver_class("pin")
    assert "pinn" in str(caught.value)


@every_kind
@pytest.mark.parametrize("how", ["fit", "preview"])
def test_nothing_to_solve_is_refused(kind: str, how: str):
    with pytest.raises(InputError, match="needs a problem"):
        getattr(small(kind), how)()


LINE = {"coordinates": {"x": (0, 1)}, "unknowns": "u", "conditions": [pm.Dirichlet(u=0)]}
WITHOUT = {
    "learnt": ({**LINE, "parameters": {"k": {"learn": 1.0}}, "equations": "k*u_xx = 1"}, ("parameters", "k"), "'k'"),
    "range": ({**LINE, "parameters": {"k": {"range": [1, 2]}}, "equations": "k*u_xx = 1"}, ("parameters", "k"), "'k'"),
    "eigenvalue": (
        {**LINE, "parameters": {"k": {"eigen": 9.0}}, "equations": "u_xx + k*u = 0"},
        ("parameters", "k"),
        "'k'",
    ),
    "input": (
        {**LINE, "inputs": {"a": {"field": "grf", "over": ["x"]}}, "equations": "a*u_xx = 1"},
        ("inputs", "a"),
        "'a'",
    ),
    "high order": ({**LINE, "equations": "d(u, x, 6) = 1"}, (), "order 6"),
    "integral": ({**LINE, "equations": "u_xx = integral(u, x, 0, 1)"}, (), "integral"),
    "too few equations": (
        {**LINE, "unknowns": "u v", "equations": "u_xx = v", "data": True},
        (),
        "2 unknowns but 1 equation",
    ),
    "no conditions": ({**LINE, "conditions": [], "equations": "u_xx = 1", "data": True}, (), "no conditions"),
}


@pytest.mark.parametrize("how", ["fit", "preview"])
@pytest.mark.parametrize(("given", "path", "word"), WITHOUT.values(), ids=WITHOUT)
def test_what_a_pinn_cannot_do_is_refused_before_anything_runs(given: dict, path: tuple, word: str, how: str):
    with pytest.raises(InputError, match=word) as caught:
        getattr(small("pinn"), how)(pm.Problem(**given))
    assert caught.value.path == path


def test_a_pinn_refuses_observations():
    with pytest.raises(InputError, match="observations") as caught:
        small("pinn").fit(HEAT(), data={"u": 1})
    assert caught.value.path == ("data",)


@every_kind
@pytest.mark.parametrize("name", ["heat", "complex", "rectangle minus disk", "one point"])
def test_what_is_saved_is_loaded(kind: str, name: str, tmp_path):
    problem = KNOWN[name].problem()
    solution = small(kind).fit(problem)
    solution.save(tmp_path / "saved")
    loaded = pm.load(tmp_path / "saved")
    np.testing.assert_array_equal(values(loaded, problem), values(solution, problem))
    assert loaded.problem == problem
    assert loaded.solver == solution.solver
    assert loaded.record.residuals == solution.record.residuals
    assert loaded.report() == solution.report()


@every_kind
def test_what_was_found_on_another_device_is_restored_on_the_cpu(kind: str):
    problem = HEAT()
    solution, elsewhere = small(kind).fit(problem), small(kind, device="cuda:7")
    found = elsewhere.restore(problem, solution.state, {**solution.summary(), "device": "cuda:7"})
    np.testing.assert_array_equal(values(found, problem), values(solution, problem))
    assert found.solver == elsewhere
    assert found.record.device == "cuda:7"


@every_kind
@pytest.mark.parametrize("name", ["heat", "system", "rectangle minus disk", "one point"])
def test_a_grid_holds_the_values_of_its_points(kind: str, name: str):
    problem = KNOWN[name].problem()
    solution = small(kind).fit(problem)
    field = solution.on_grid(**dict(zip(problem.names.coordinates, (9, 8), strict=False)))
    axes = np.meshgrid(*[field.coordinates[dim] for dim in field.dims], indexing="ij")
    points = {dim: axis.ravel() for dim, axis in zip(field.dims, axes, strict=True)}
    scattered = solution.at(points)
    for unknown, grid in field.values.items():
        np.testing.assert_allclose(scattered.values[unknown], grid.ravel(), rtol=1e-12, atol=1e-14)
    holes = np.isnan(next(iter(field.values.values()))).ravel()
    inside = problem.domain.contains(np.stack([points[name] for name in problem.names.coordinates], 1))
    np.testing.assert_array_equal(holes, ~inside)
    assert holes.any() == (name == "rectangle minus disk")


@every_kind
def test_points_and_grids_are_checked(kind: str):
    solution = small(kind).fit(HEAT())
    with pytest.raises(InputError, match="did you mean"):
        solution.on_grid(xx=3)
    with pytest.raises(InputError, match="at least 2"):
        solution.on_grid(x=1)
    with pytest.raises(InputError, match="lack t"):
        solution.at({"x": [0.1]})
    with pytest.raises(InputError, match="shape"):
        solution.at(np.zeros((3, 3)))
    assert np.isnan(solution.at([[2.0, 0.5], [0.5, 0.5]]).values["u"]).tolist() == [True, False]
    assert solution.at(np.zeros((0, 2))).values["u"].shape == (0,)
    many = np.random.default_rng(0).random((70_000, 2))
    whole = solution.at(many).values["u"]
    np.testing.assert_allclose(whole[-5:], solution.at(many[-5:]).values["u"], rtol=1e-12)


@every_kind
def test_callbacks_see_every_step_and_may_stop(kind: str):
    class Stop(Callback):
        def on_step(self, event: Event) -> str | None:
            assert np.isfinite(event.metrics["loss"])
            return "enough" if event.state.step == 2 else None

    unending = {} if kind == "pinn" else {"tolerance": 1e-30}
    solution = small(kind, **unending).fit(HEAT(), callbacks=[Stop()])
    assert solution.record.steps == 2
    assert not solution.record.converged
    assert "enough" in solution.verdict


@every_kind
@pytest.mark.parametrize("name", KNOWN)
def test_known_solutions_are_found(kind: str, name: str):
    known = KNOWN[name]
    problem = known.problem()
    if (kind, name) in REFUSED:
        with pytest.raises(InputError, match="can solve it"):
            solver_class(kind)(**ABLE[kind]).preview(problem)
        return
    solution = solver_class(kind)(**ABLE[kind]).fit(problem)
    size = {1: 101, 2: 41}[len(problem.names.coordinates)]
    field = solution.on_grid(**dict.fromkeys(problem.names.coordinates, size))
    exact = pm.Field.from_expression(real_parts(problem, known.exact), like=field, parameters=problem.parameter_values)
    for unknown, error in field.error(exact).items():
        assert error.relative_l2 < known.error, unknown


def real_parts(problem: pm.Problem, exact: dict[str, str]) -> dict[str, str]:
    """Formulas of the real unknowns: here the one complex wave is cos + i sin."""
    if not problem.names.complex_parts:
        return exact
    return {"psi_real": "cos(x - 0.5*t)", "psi_imag": "sin(x - 0.5*t)"}
