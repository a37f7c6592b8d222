"""Predictions of trained operators: on any grid, at points, over time; saved, loaded, exported; and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.data.operator import OperatorData
from pdeml.errors import InputError
from pdeml.solvers.operator_scores import judged, scores_text
from pdeml.solvers.operator_solution import OperatorSolution

from .operator_subjects import SMALL, line_data, march_data

ONCE = {"epochs": 2, "batch_size": 6, "precision": "float64"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def many(folder: Path) -> OperatorData:
    """Enough validation samples for a calibration."""
    return line_data(folder, 48, train=16, validation=24, test=8)


@pytest.fixture(scope="module")
def line(folder: Path) -> OperatorSolution:
    return pm.solve(data=many(folder), solver=pm.FNO(**SMALL["fno"], **ONCE, ensemble=2))


@pytest.fixture(scope="module")
def points(folder: Path) -> OperatorSolution:
    return pm.solve(data=many(folder), solver=pm.DeepONet(**SMALL["deeponet"], **ONCE))


@pytest.fixture(scope="module")
def marching(folder: Path) -> OperatorSolution:
    options = {**SMALL["fno"], **ONCE, "history": 2, "window": 2}
    return pm.solve(data=march_data(folder), solver=pm.FNO(**options))


def curves(size: int, samples: int = 3) -> np.ndarray:
    """Cubic polynomials on [0, 1]: interpolation to another grid is exact."""
    c, x = np.random.default_rng(0).normal(size=(samples, 4)), np.linspace(0, 1, size)
    return sum(c[:, k, None] * x**k for k in range(4))


def test_a_prediction_is_the_mean_of_the_members_with_a_calibrated_spread(line):
    a = curves(23)
    field = line.predict({"a": a})
    given = {"a": torch.from_numpy(a)}, {"x": torch.linspace(0, 1, 23, dtype=torch.float64)}
    with torch.no_grad():
        members = torch.stack([member(*given)[:, 0] for member in line.members]).numpy()
    assert field.dims == ("sample", "x")
    np.testing.assert_allclose(field["u"], members.mean(0), rtol=0, atol=1e-12)
    band = line.scores["calibration"]["point"]
    width = band["factors"][0] * (members.std(0, ddof=1) + band["floor"][0]) / 1.96
    np.testing.assert_allclose(field.std["u"], width, rtol=1e-10)
    assert "band for a point" in line.report()


def test_a_spread_that_cannot_be_calibrated_is_told(tmp_path):
    solution = pm.solve(data=line_data(tmp_path), solver=pm.FNO(**SMALL["fno"], **ONCE, ensemble=2))
    assert "calibration" not in solution.scores
    assert any("not calibrated" in note for note in solution.record.notes)
    assert solution.on_grid().std["u"].min() > 0


def test_many_samples_are_the_same_as_few_at_a_time(line, monkeypatch):
    from pdeml.solvers import operator_apply

    a = curves(16, 7)
    whole = line.predict({"a": a})
    monkeypatch.setattr(operator_apply, "_BATCH", 2)
    np.testing.assert_allclose(line.predict({"a": a})["u"], whole["u"], rtol=0, atol=1e-12)


def test_inputs_are_brought_to_the_grid_that_is_asked_for(line):
    fine = line.predict({"a": curves(31)})
    np.testing.assert_allclose(line.on_grid({"a": curves(12)}, x=31)["u"], fine["u"], rtol=0, atol=1e-9)


def test_without_inputs_the_test_samples_are_shown_beside_their_outputs(line, folder):
    data = many(folder)
    field, test = line.on_grid(), data.source.read("u", data.numbers("test"))
    np.testing.assert_array_equal(field.reference["u"], test[:8])
    np.testing.assert_array_equal(line.on_grid(x=6).reference["u"], test[:8, ::3])
    assert not line.on_grid(x=31).reference


@pytest.mark.parametrize("name", ["line", "points"])
def test_values_at_points_are_those_on_the_grid(name, request):
    solution, a = request.getfixturevalue(name), curves(16, 2)
    field, x = solution.predict({"a": a}), np.linspace(0, 1, 16)
    found = solution.at(x[:, None], {"a": a})
    assert set(found.coordinates) == {"sample", "x"}
    np.testing.assert_allclose(found["u"].reshape(2, 16), field["u"], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.coordinates["sample"], np.repeat([0, 1], 16))


def test_a_function_of_the_point_is_not_interpolated(points):
    """A DeepONet sees its inputs at sensors, and is as right between the points of the grid as on them."""
    a, fine = curves(16, 2), np.linspace(0, 1, 41)
    member = points.members[0]
    with torch.no_grad():
        wanted = member.at(
            {"a": torch.from_numpy(a)},
            {"x": torch.linspace(0, 1, 16, dtype=torch.float64)},
            torch.from_numpy(fine[:, None]),
        )
    np.testing.assert_allclose(points.at({"x": fine}, {"a": a})["u"].reshape(2, 41), wanted[:, 0], rtol=0, atol=1e-9)


def test_it_goes_on_in_time_from_its_own_frames(marching):
    start = np.random.default_rng(1).normal(size=(2, 2, 16))
    field = marching.rollout({"u": start}, 7)
    np.testing.assert_allclose(field.coordinates["t"], 0.1 * np.arange(2, 9))
    seen, found = start, []
    for _ in range(4):
        with torch.no_grad():
            made = marching.members[0](
                {"u": torch.from_numpy(seen)}, {"x": torch.arange(16, dtype=torch.float64) / 16}
            )[:, 0]
        found.append(made.numpy())
        seen = found[-1]
    np.testing.assert_allclose(field["u"], np.concatenate(found, 1)[:, :7], rtol=0, atol=1e-12)
    assert marching.predict({"u": start}).sizes["t"] == 5
    assert marching.on_grid().reference["u"].shape == (2, 5, 16)
    assert marching.scores["test"]["outputs"]["u"]["over_time"]["times"] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    "inputs, coordinates, message",
    [
        ({}, None, "the input 'a' is missing"),
        ({"b": curves(8)}, None, "'b' is not an input of the operator; allowed: a"),
        ({"a": curves(8)[0]}, None, r"must have the shape \(samples, x\).*array\[None\]"),
        ({"a": curves(8)[..., None]}, None, r"must have the shape \(samples, x\), got \(3, 8, 1\)"),
        ({"a": np.full((2, 8), np.nan)}, None, "sample 0 holds NaN"),
        ({"a": np.array([["x"]])}, None, "real numbers"),
        ({"a": curves(8)}, {"x": np.arange(7)}, "7 values, but 'a' has 8 points"),
        ({"a": curves(8)}, {"y": np.arange(8)}, "'y' is not a coordinate of the operator; allowed: x"),
        ({"a": curves(8)}, {"x": np.zeros(8)}, "must be finite values that increase"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(line, inputs, coordinates, message):
    with pytest.raises(InputError, match=message):
        line.predict(inputs, coordinates)


def test_grids_points_and_frames_that_do_not_fit_are_refused(line, marching):
    with pytest.raises(InputError, match="'y' is not a coordinate"):
        line.on_grid(y=8)
    with pytest.raises(InputError, match="at least 2"):
        line.on_grid(x=1)
    with pytest.raises(InputError, match="x lies between 0 and 1"):
        line.at([[1.5]])
    with pytest.raises(InputError, match="use predict"):
        line.rollout({"a": curves(8)}, 3)
    with pytest.raises(InputError, match=r"leave t out; in Python, rollout\("):
        marching.on_grid(t=9)
    with pytest.raises(InputError, match="must be the first 2 frames, got 3"):
        marching.predict({"u": np.zeros((1, 3, 16))})


def test_outside_the_mask_there_is_nothing(folder):
    rng, x = np.random.default_rng(2), np.linspace(0, 1, 12)
    u = rng.normal(size=(12, 1)) * np.sin(np.pi * x)
    mask = np.ones((12, 12), np.int8)
    mask[:, :3] = 0
    np.savez(folder / "masked.npz", a=u, u=np.where(mask, u, np.nan), mask=mask)
    names = {"inputs": {"a": "a", "mask": "mask"}, "outputs": {"u": "u"}, "coordinates": {"x": (0, 1)}}
    data = OperatorData(folder / "masked.npz", train=8, test=4, **names)
    solution = pm.solve(data=data, solver=pm.FNO(**SMALL["fno"], **ONCE))
    found = solution.on_grid()
    assert np.isnan(found["u"][:, :3]).all()
    assert np.isfinite(found["u"][:, 3:]).all()
    with pytest.raises(InputError, match="'mask' is missing"):
        solution.predict({"a": u})


def test_loaded_in_a_fresh_process_it_gives_the_same_values(line, tmp_path):
    line.save(tmp_path / "saved")
    line.predict({"a": curves(20)}).to_hdf5(tmp_path / "a.h5")
    np.save(tmp_path / "curves.npy", curves(20))
    code = (
        "import numpy as np, pdeml as pm\n"
        "s = pm.load('saved'); print(s.verdict); print(s.errors['u'].relative_l2)\n"
        "s.predict({'a': np.load('curves.npy')}).to_hdf5('b.h5'); s.on_grid().to_hdf5('c.h5')\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert told.splitlines() == [line.verdict, str(line.errors["u"].relative_l2)]
    assert pm.Field.from_hdf5(tmp_path / "b.h5").equals(pm.Field.from_hdf5(tmp_path / "a.h5"))
    assert pm.Field.from_hdf5(tmp_path / "c.h5").equals(line.on_grid())
    assert json.loads((tmp_path / "saved" / "summary.json").read_text())["members"] == 2


def test_where_the_data_are_gone_it_still_predicts(line, tmp_path):
    moved = replace(line, source={**line.source, "file": str(tmp_path / "gone.npz")})
    moved.save(tmp_path / "saved")
    loaded = pm.load(tmp_path / "saved")
    assert loaded.predict({"a": curves(9)}).equals(line.predict({"a": curves(9)}))
    with pytest.raises(InputError, match="not there any more; give inputs"):
        loaded.on_grid()


def test_an_exported_program_is_the_operator_on_other_grids_too(line, tmp_path):
    said = line.export(tmp_path / "line.pt2")
    assert said == "the number of samples and the numbers of points may differ from training"
    exported = torch.export.load(tmp_path / "line.pt2")
    assert "pdeml" not in str(exported.graph)  # it runs where pdeml is not installed
    program = exported.module()
    a, x = torch.from_numpy(curves(21, 5)), torch.linspace(0, 1, 21, dtype=torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(program(a, x)[:, 0], line.predict({"a": a})["u"], rtol=0, atol=1e-10)
    with pytest.raises(InputError, match=r"end in \.pt2"):
        line.export(tmp_path / "line.onnx")


def part(mean: float, worst: float, baseline: float = 1.0) -> dict:
    own = {"mean": mean, "worst": worst}
    return {
        "samples": 9,
        "worst": 0,
        "outputs": {"u": {"relative_l2": own, "max": own, "h1": own, "baseline": baseline}},
    }


@pytest.mark.parametrize(
    "scores, failed, notes",
    [
        ({}, "", ()),
        ({"test": part(0.02, 0.1), "train": part(0.01, 0.02)}, "", ()),
        ({"test": part(0.9, 1.5, 0.8), "train": part(0.7, 1)}, "not learnt", ("no smaller than that of the trivial",)),
        ({"test": part(0.04, 0.1), "train": part(0.01, 0.02)}, "", ("over-fitted: the test error is 4.0 times",)),
        ({"train": part(0.01, 0.02)}, "", ("no test part: the errors are those of the training samples",)),
    ],
)
def test_what_the_errors_say(scores, failed, notes):
    found = judged(scores)
    assert found[0] == failed
    assert len(found[1]) == len(notes)
    assert all(wanted in note for wanted, note in zip(notes, found[1], strict=True))


def test_the_verdict_tells_test_beside_training():
    text = scores_text({"test": part(0.02, 0.1), "train": part(0.01, 0.02)})
    assert text == "test relative L2 2.0e-02 (train 1.0e-02, worst 1.0e-01)"
