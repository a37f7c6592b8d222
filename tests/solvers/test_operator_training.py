"""What every operator method takes from the base: options, data, physics, ensembles, divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import cumulative_simpson

import pdeml as pm
from pdeml.data.operator import OperatorData
from pdeml.errors import DivergenceError, InputError
from pdeml.solvers import solver_class
from pdeml.solvers.physics import EquationTerm
from pdeml.train import Callback, Event, load_state, save_state
from pdeml.train.drawn import DrawnData
from pdeml.train.ensemble import member_weights

from .operator_subjects import line_data, march_data, small

QUICK = {"epochs": 2, "batch_size": 4}
INTEGRAL = pm.Problem(
    coordinates={"x": (0, 1)},
    unknowns="u",
    inputs={"a": {"field": "grf", "over": ["x"], "basis": "neumann", "tau": 3, "alpha": 2}},
    equations="u_x = a",
    conditions=[pm.Condition("u = 0", on={"x": 0})],
)


class Watch(Callback):
    def __init__(self, stop: int | None = None):
        self.rows: list[dict] = []
        self.stop = stop

    def on_step(self, event: Event) -> str | None:
        self.rows.append(dict(event.metrics))
        return "seen enough" if event.state.step == self.stop else None


def weights(solution) -> dict[str, torch.Tensor]:
    return member_weights(solution.state)[0]


def same(first, second) -> bool:
    own, other = weights(first), weights(second)
    return all(torch.equal(tensor, other[name]) for name, tensor in own.items())


@pytest.mark.parametrize(
    "options, path, words",
    [
        ({"window": 2}, ("window",), "history"),
        ({"residual": True}, ("residual",), "history"),
        ({"unroll": 3}, ("unroll",), "history"),
        ({"history": 1, "pushforward": True}, ("pushforward",), "unroll"),
        ({"physics_points": 50}, ("physics_points",), "physics"),
        ({"physics_norm": -1}, ("physics_norm",), "physics"),
        ({"physics": 0.1}, ("physics",), "which equation"),
        ({"augment": ["mirror"]}, ("augment",), "mirror"),
        ({"resolutions": [40]}, ("resolutions",), "points"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_runs(options, path, words, tmp_path):
    data = march_data(tmp_path) if "history" in options else line_data(tmp_path)
    for refuses in (small("mgno", **options).preview, small("mgno", **options).fit):
        with pytest.raises(InputError, match=words) as caught:
            refuses(data=data)
        assert caught.value.path[:1] == path


def test_inputs_that_a_network_on_grids_cannot_take_are_refused_before_anything_runs(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "more.npz", a=rng.normal(size=(8, 5, 16)), u=rng.normal(size=(8, 5, 16)))
    data = OperatorData(tmp_path / "more.npz", inputs={"a": "a"}, outputs={"u": "u(y=last)"})
    for kind in ("fno", "mgno"):
        with pytest.raises(InputError, match=r"'a' depends on 'y', the outputs only on x.* a\(y=last\)") as caught:
            small(kind).preview(data=data)
        assert caught.value.path == ("inputs", "a")


def test_a_grid_on_which_the_equation_cannot_be_evaluated_is_refused_before_anything_runs(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 8, 16))
    for middles, words in ((True, "where the grid has no points"), (False, "needs at least 6 points")):
        size = 16 if middles else 5
        x = (np.arange(size) + 0.5) / size if middles else np.linspace(0, 1, size)
        np.savez(tmp_path / "cells.npz", a=values[0, :, :size], u=values[1, :, :size], x=x)
        data = OperatorData(tmp_path / "cells.npz", inputs={"a": "a"}, outputs={"u": "u"})
        problem = pm.Problem(
            coordinates={"x": (0, 1)}, unknowns="u", inputs={"a": {"over": ["x"]}},
            equations="u_xx = a", conditions=pm.Dirichlet(u=0),
        )  # fmt: skip
        with pytest.raises(InputError, match=words) as caught:
            small("mgno", physics=1.0).preview(problem, data)
        assert caught.value.path == ("data", "coordinates", "x")


def test_unknown_arguments_of_data_are_refused():
    for data, name in (({"file": "a.h5", "trian": 3}, "'train'"), ({"sampels": 3}, "'samples'")):
        with pytest.raises(InputError, match=f"did you mean {name}"):
            small("fno").preview(INTEGRAL, data=data)


def test_residuals_count_every_sample_the_same():
    class Loss:
        def __call__(self, member, inputs, grid, outputs, step):
            return None, {"equation": inputs["a"].square().mean().sqrt()}

    data = DrawnData(INTEGRAL, {"x": 8}, samples=5)
    operator = small("fno", modes=2).operator(data.signature())
    term = EquationTerm(Loss(), 1.0, data, 0)
    found = [term.residuals([operator], size)["equation"] for size in (5, 4, 3)]
    assert found == pytest.approx(found[:1] * 3, rel=1e-6)


def test_early_stopping_asks_for_a_validation_part(tmp_path):
    data = line_data(tmp_path, train=12, test=12)
    with pytest.raises(InputError, match="validation"):
        small("mgno", patience=3).preview(data=data)


@pytest.mark.parametrize("options", [{"augment": ["x"]}, {"resolutions": [1, 2]}, {"history": 1}, {"patience": 2}])
def test_drawn_functions_are_not_varied_and_have_no_frames(options):
    with pytest.raises(InputError) as caught:
        small("mgno", **options).preview(INTEGRAL)
    assert caught.value.path == tuple(options)


@pytest.mark.parametrize("data", [None, 3, {}])
def test_something_must_be_learnt_from(data):
    with pytest.raises(InputError, match="data"):
        small("deeponet").fit(data=data)


def test_preview_says_what_would_be_done(tmp_path):
    watch, solver = Watch(), small("mgno", ensemble=2, **QUICK)
    preview = solver.preview(data=line_data(tmp_path))
    assert preview.points == {"train": 12, "validation": 6, "test": 6}
    assert preview.optimisers == (("adamw", 2 * 2 * 3),)
    solution = solver.fit(data=line_data(tmp_path), callbacks=[watch], score=False)
    assert len(watch.rows) == solution.record.steps == preview.steps
    assert solution.record.parameters == preview.parameters
    assert [row["member"] for row in watch.rows] == [0] * 6 + [1] * 6
    assert all({"loss", "rate"} <= row.keys() for row in watch.rows)
    assert [k for k, row in enumerate(watch.rows) if "error" in row] == [2, 5, 8, 11]


def test_neither_the_test_part_nor_torchs_generator_takes_part(tmp_path):
    data, other = line_data(tmp_path), tmp_path / "other"
    other.mkdir()
    arrays = dict(np.load(tmp_path / "line.npz"))
    np.savez(
        other / "line.npz", **{name: np.where(np.arange(24)[:, None] < 18, v, 7 * v) for name, v in arrays.items()}
    )
    solver = small("mgno", patience=1, ema=0.9, **QUICK)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = solver.fit(data=data)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = solver.fit(data=line_data(other))
    assert same(first, second)
    assert first.scores["validation"] == second.scores["validation"]
    assert first.scores["test"] != second.scores["test"]


def test_varied_and_thinned_batches_are_resumed_too(tmp_path):
    data = march_data(tmp_path)
    options = {"augment": ["shift x"], "resolutions": [1, 2], "history": 2, "unroll": 2, "pushforward": True, **QUICK}
    solver = small("mgno", residual=True, **options)
    whole = solver.fit(data=data, score=False)
    half = solver.fit(data=data, callbacks=[Watch(stop=2)], score=False)
    assert half.record.reason == "seen enough"
    assert not half.record.converged
    save_state(tmp_path / "half", half.state)
    assert same(solver.fit(data=data, state=load_state(tmp_path / "half"), score=False), whole)
    plain = small("mgno", residual=True, **{**options, "augment": (), "resolutions": ()})
    assert not same(plain.fit(data=data, score=False), whole)


def test_what_breaks_down_leaves_a_solution(tmp_path):
    solver = small("mgno", learning_rate=1e30, clip=None, schedule="constant", **QUICK)
    with pytest.raises(DivergenceError, match="loss became") as caught:
        solver.fit(data=line_data(tmp_path))
    found = caught.value.solution.predict({"a": np.ones((1, 16))})
    assert np.isfinite(found.values["u"]).all()


def test_checkpoints_of_other_options_are_refused(tmp_path):
    state = small("mgno", **QUICK).fit(data=line_data(tmp_path), score=False).state
    small("mgno", **QUICK).check_state(None, state)
    for other in (small("mgno", width=5), small("deeponet")):
        with pytest.raises(InputError, match="does not belong"):
            other.check_state(None, state)
        with pytest.raises(InputError, match="does not belong"):
            other.fit(data=line_data(tmp_path), state=state)


def test_bands_of_an_ensemble_are_calibrated_on_validation_and_measured_on_test(tmp_path):
    data = line_data(tmp_path, samples=150, train=20, validation=40, test=90)
    solver = small("deeponet", epochs=8, batch_size=5, ensemble=3, linear=False, learning_rate=1e-2)
    bands = solver.fit(data=data).scores["calibration"]
    assert bands["point"]["samples"] == bands["function"]["samples"] == 40
    # 0.95 of the points, 0.9 of the functions are promised on average; three deviations of what can be measured.
    assert bands["point"]["measured"]["u"] > 0.85
    assert bands["function"]["measured"]["u"] > 0.9 - 3 * math.sqrt(0.09 / 40 + 0.09 / 90)
    assert all(factor > 0 for factor in bands["point"]["factors"])
    assert "calibration" not in small("deeponet", **QUICK).fit(data=data).scores
    assert not any("may hold a little less" in note for note in solver.preview(data=data).notes)
    stopped = small("deeponet", **QUICK, ensemble=2, patience=1)
    assert any("may hold a little less" in note for note in stopped.preview(data=data).notes)


def test_the_equation_is_added_to_the_loss_on_samples(tmp_path):
    problem = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", inputs={"a": {"field": "grf", "over": ["x"]}},
        equations="u_x = a", conditions=[pm.Condition("u = 0", on={"x": 0})],
    )  # fmt: skip
    losses = {}
    for weight in (None, 0.5, 1.0):
        watch = Watch()
        small("mgno", physics=weight, **QUICK).fit(problem, line_data(tmp_path), callbacks=[watch], score=False)
        losses[weight] = watch.rows[0]["loss"]
    added = losses[1.0] - losses[None]
    assert added > 0.01
    assert losses[0.5] - losses[None] == pytest.approx(0.5 * added, rel=1e-5)


TORUS = pm.Problem(
    coordinates={"x": (0, 1)},
    unknowns="u",
    inputs={"a": {"field": "grf", "over": ["x"], "tau": 3, "alpha": 2}},
    equations="u_x + u = a",
    conditions=[{"periodic": "x"}],
)


@pytest.mark.parametrize("norm", [0, -1])
def test_training_by_the_equation_is_the_same_with_and_without_kernels(norm):
    pytest.importorskip("triton")
    found = []
    for kernels in ("torch", "triton"):
        solver = small("mgno", physics_norm=norm, kernels=kernels, precision="float64", **QUICK)
        found.append(weights(solver.fit(TORUS, {"samples": 8, "grid": {"x": 16}}, score=False)))
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-9, atol=1e-12)


def test_the_norm_of_the_residual_is_that_asked_for():
    first = {}
    for norm in (-1, 0, 1):
        watch = Watch()
        small("mgno", physics_norm=norm, **QUICK).fit(
            TORUS, {"samples": 8, "grid": {"x": 16}}, callbacks=[watch], score=False
        )
        first[norm] = watch.rows[0]["loss"]
    assert first[-1] < first[0] < first[1]
    with pytest.raises(InputError, match="differentiated at points") as caught:
        small("deeponet", physics_norm=1, **QUICK).preview(TORUS, {"samples": 8, "grid": {"x": 16}})
    assert caught.value.path == ("physics_norm",)
    with pytest.raises(InputError, match="has no Triton kernels") as caught:
        small("deeponet", kernels="triton", **QUICK).preview(TORUS, {"samples": 8, "grid": {"x": 16}})
    assert caught.value.path == ("kernels",)


def test_without_data_the_equation_is_solved_for_drawn_functions():
    options = {
        "width": 32,
        "depth": 2,
        "basis": 16,
        "trunk_width": 32,
        "trunk_depth": 2,
        "epochs": 16,
        "batch_size": 16,
        "physics_points": 48,
    }
    solver = solver_class("deeponet")(learning_rate=5e-3, **options)
    solution = solver.fit(INTEGRAL, {"samples": 256, "grid": {"x": 33}})
    fresh = DrawnData(INTEGRAL, {"x": 33}, seed=7)
    a = np.stack([fresh.draw((number,))["a"] for number in range(20)])
    u = cumulative_simpson(a, x=np.linspace(0, 1, 33), initial=0)
    found = solution.predict({"a": a}).values["u"]
    errors = np.linalg.norm(found - u, axis=1) / np.linalg.norm(u, axis=1)
    assert np.median(errors) < 0.15
    assert solution.record.residuals["equation"] < 0.2
