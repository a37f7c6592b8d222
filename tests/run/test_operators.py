"""Runs that learn an operator: continued to the same bits, read again, applied to other files in bounded memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray

import pdeml as pm
from pdeml.data import Writer, open_source
from pdeml.errors import DivergenceError, InputError, RunError
from pdeml.files import load_tensors
from pdeml.run import evaluate, find_run, operator_files, train_spec, write_prediction
from pdeml.run.pictures import draw_history, plot
from pdeml.run.plan import make_plan
from pdeml.solvers.deeponet import DeepONet
from pdeml.solvers.operator import OperatorSolver
from pdeml.spec import DataSpec, Document, SpecError, apply_overrides, load_spec
from pdeml.spec.models import OPERATOR_OPTIONS
from pdeml.train import Callback

SPEC = """\
name: line
data: {file: line.npz, train: 12, validation: 4, test: 4, inputs: {a: a}, outputs: {u: u}, coordinates: {x: [0, 1]}}
solver: {kind: deeponet, width: 8, depth: 1, basis: 4, epochs: 4, batch_size: 4, schedule: constant}
"""
STEPS = 12


def write_lines(path: str, samples: int = 20, points: int = 17) -> None:
    """Squares of antiderivatives: no linear operator."""
    rng, x = np.random.default_rng(samples), np.linspace(0, 1, points)
    c = rng.normal(size=(samples, 3))
    a = sum(c[:, k, None] * np.cos(k * np.pi * x) for k in range(3))
    u = c[:, :1] * x + sum(c[:, k, None] * np.sin(k * np.pi * x) / (k * np.pi) for k in (1, 2))
    np.savez(path, a=a, u=u**2)


def write_waves(path: str, samples: int = 10, frames: int = 7) -> None:
    rng, x, t = np.random.default_rng(4), np.arange(16) / 16, 0.1 * np.arange(frames)
    c = rng.normal(size=(samples, 1, 1))
    np.savez(path, u=c * np.sin(2 * np.pi * (x - t[:, None])), x=x, t=t)


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Document]:
    """Read ``line.yaml`` with overrides, in the test's own folder, beside its samples."""
    monkeypatch.chdir(tmp_path)
    Path("line.yaml").write_text(SPEC)
    write_lines("line.npz")

    def document(*overrides: str) -> Document:
        return apply_overrides(load_spec("line.yaml"), overrides)

    return document


class SignalAt(Callback):
    """Send this process a signal after a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, event):
        if event.state.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def same_state(one: str, other: str) -> bool:
    (a, facts), (b, others) = (load_tensors(Path(name) / "checkpoint" / "state.safetensors") for name in (one, other))
    return a.keys() == b.keys() and facts == others and all(np.array_equal(a[name], b[name]) for name in a)


def same_bytes(one: str, other: str, *names: str) -> bool:
    return all((Path(one) / name).read_bytes() == (Path(other) / name).read_bytes() for name in names)


def test_a_run_directory_holds_errors_over_the_test_samples_and_their_fields(spec):
    result = train_spec(spec(), "run")
    summary = json.loads(Path("run/summary.json").read_text())
    field = pm.Field.from_hdf5("run/fields.h5")
    assert field.sizes == {"sample": 4, "x": 17}
    test = open_source("line.npz", inputs={"a": "a"}, outputs={"u": "u"}, coordinates={"x": (0, 1)}).read(
        "u", slice(16, 20)
    )
    np.testing.assert_array_equal(field.reference["u"], test)
    found = field.error()["u"].relative_l2
    assert summary["errors"]["u"]["relative_l2"] == pytest.approx(found, rel=1e-4)
    assert summary["scores"]["train"]["samples"] == 12
    assert {"relative_l2", "h1", "max", "metrics", "baseline", "spectrum"} <= set(
        summary["scores"]["test"]["outputs"]["u"]
    )
    assert summary["verdict"] == result.solution.verdict
    assert "all 4 epochs done; test relative L2" in summary["verdict"]
    with xarray.open_dataset("run/fields.h5", engine="h5netcdf") as data:
        assert {"u", "u_reference", "u_error"} <= set(data)


@pytest.mark.parametrize("options", [[], ["solver.ensemble=2"], ["solver.ema=0.9", "solver.patience=9"]])
def test_an_interrupted_run_continues_to_the_same_tensors(spec, options):
    train_spec(spec(*options), "whole")
    result = train_spec(spec(*options), "parts", callbacks=[SignalAt(5)])
    assert (result.status, result.solution.record.steps) == ("interrupted", 5)
    assert not Path("parts/summary.json").exists()
    assert train_spec(spec(*options), "parts", resume=True).status == "finished"
    assert same_state("whole", "parts")
    assert same_bytes("whole", "parts", "spec.yaml", "metrics.jsonl", "fields.h5")
    assert train_spec(spec(*options), "parts", resume=True).status == "already"


def test_more_epochs_may_be_asked_for_and_nothing_else(spec):
    train_spec(spec("solver.epochs=6"), "whole")
    train_spec(spec(), "run")
    assert train_spec(spec("solver.epochs=6"), "run", resume=True).status == "finished"
    assert same_state("whole", "run")
    for change in ("solver.epochs=3", "solver.width=9", "data.train=11"):
        with pytest.raises(InputError, match=r"only more solver\.epochs may be asked for"):
            train_spec(spec(change), "run", resume=True)
    train_spec(spec("solver.ensemble=2"), "several")
    with pytest.raises(InputError, match=r"made with another spec"):
        train_spec(spec("solver.ensemble=2", "solver.epochs=6"), "several", resume=True)


def test_the_resolved_spec_repeats_the_run_from_anywhere(spec, tmp_path):
    train_spec(spec("seed=3"), "run")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "pdeml", "train", str(tmp_path / "run/spec.yaml"), "--out", "again", "--quiet"]
    subprocess.run(command, cwd=elsewhere, check=True)
    assert same_state("run", str(elsewhere / "again"))
    assert same_bytes("run", str(elsewhere / "again"), "spec.yaml", "metrics.jsonl", "fields.h5")


def test_a_run_that_diverges_keeps_the_last_good_weights(spec):
    with pytest.raises(DivergenceError, match="diverged"):
        train_spec(spec("solver.learning_rate=1e30", "solver.clip=1e30"), "run")
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["status"] == "diverged"
    assert "diverged" in summary["verdict"]
    assert np.isfinite(pm.Field.from_hdf5("run/fields.h5")["u"]).all()


def test_out_of_memory_is_told_with_a_remedy(spec, monkeypatch):
    def fit(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(DeepONet, "fit", fit)
    with pytest.raises(RunError, match="out of memory; take a smaller network, fewer points or samples a step"):
        train_spec(spec(), "run")


def test_fields_on_another_grid_have_the_outputs_where_points_agree(spec):
    train_spec(spec("export={grid: {x: 9}}"), "coarse")
    coarse = pm.Field.from_hdf5("coarse/fields.h5")
    assert coarse.sizes["x"] == 9
    assert "u" in coarse.reference
    train_spec(spec("export={grid: {x: 20}}"), "other")
    assert not pm.Field.from_hdf5("other/fields.h5").reference


def test_predictions_of_a_file_are_made_block_by_block(spec, monkeypatch):
    train_spec(spec(), "run")
    write_lines("other.npz", 23, 33)
    folder, whole, rows = find_run("run"), Path("whole.h5"), []
    names = {"inputs": {"a": "a"}, "outputs": {"u": "u"}, "coordinates": {"x": (0, 1)}}
    write_prediction(folder, whole, data="other.npz", names=names)
    monkeypatch.setattr(operator_files, "_BLOCK_BYTES", 5 * 2 * 33 * 8)
    on_samples = pm.solvers.OperatorSolution.on_samples

    def watched(self, inputs, *rest):
        rows.append(len(inputs["a"]))
        return on_samples(self, inputs, *rest)

    monkeypatch.setattr(pm.solvers.OperatorSolution, "on_samples", watched)
    said, _ = write_prediction(folder, Path("run/prediction.h5"), data="other.npz", names=names)
    assert rows == [5, 5, 5, 5, 3]
    assert said.startswith("23 samples of u, u_reference, u_error on x 33")
    with open_source("whole.h5") as one, open_source("run/prediction.h5") as two, np.load("other.npz") as given:
        found = two.read("u", slice(None))
        np.testing.assert_allclose(found, one.read("u", slice(None)), rtol=0, atol=1e-6)
        np.testing.assert_allclose(two.read("u_error", slice(None)), found - given["u"], rtol=0, atol=1e-6)
    field = pm.load("run").predict({"a": np.load("other.npz")["a"]})
    np.testing.assert_allclose(found, field["u"], rtol=0, atol=1e-6)


def test_a_prediction_that_fails_leaves_the_earlier_one(spec, monkeypatch):
    train_spec(spec(), "run")
    folder, target = find_run("run"), Path("run/prediction.h5")
    write_prediction(folder, target, data="line.npz")
    before = target.read_bytes()

    def full(self, split=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "finish", full)
    with pytest.raises(OSError, match="No space"):
        write_prediction(folder, target, data="line.npz")
    assert target.read_bytes() == before
    assert sorted(path.name for path in Path("run").iterdir() if path.name.startswith(".")) == []


def test_errors_of_a_run_and_on_another_grid(spec):
    result = train_spec(spec(), "run")
    found = evaluate(find_run("run")).to_json()
    assert found["errors"]["u"]["relative_l2"] == pytest.approx(result.solution.errors["u"].relative_l2, rel=1e-6)
    assert set(found["scores"]) == {"test", "validation", "train"}
    write_lines("fine.npz", 20, 65)
    finer = evaluate(find_run("run"), "fine.npz", {"coordinates": {"x": (0.0, 1.0)}})
    assert "relative L2, mean" in finer.table()
    a, u = (np.load("fine.npz")[name] for name in ("a", "u"))
    field = pm.load("run").predict({"a": a})
    wanted = np.mean(np.linalg.norm(field["u"] - u, axis=1) / np.linalg.norm(u, axis=1))
    assert finer.to_json()["errors"]["u"]["relative_l2"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"b": np.ones((3, 17))}, r"has no input a\(x\) of the operator"),
        ({"a": np.ones((3, 4, 17)), "u": np.ones((3, 4, 17))}, "dimensions"),
    ],
)
def test_files_that_do_not_fit_are_refused(spec, arrays, message):
    train_spec(spec("solver.epochs=1"), "run")
    np.savez("wrong.npz", **arrays)
    given = {"inputs": {name: name for name in arrays if name != "u"}}
    with pytest.raises(InputError, match=message):
        write_prediction(find_run("run"), Path("p.h5"), data="wrong.npz", names=given)
    assert not Path("p.h5").exists()


def test_an_operator_that_goes_on_in_time_predicts_the_frames_that_follow(spec):
    write_waves("waves.npz")
    data = "data={file: waves.npz, train: 6, validation: 2, test: 2, outputs: {u: u}, coordinates: {x: x, t: t}}"
    options = "solver={kind: deeponet, width: 8, depth: 1, basis: 4, epochs: 1, history: 2, window: 2}"
    train_spec(spec(data, options), "run")
    field = pm.Field.from_hdf5("run/fields.h5")
    np.testing.assert_allclose(field.coordinates["t"], [0.2, 0.3, 0.4, 0.5, 0.6])
    write_prediction(find_run("run"), Path("p.h5"), data="waves.npz")
    with open_source("p.h5") as found:
        assert found.arrays["u_error"].shape == (5, 16)
        np.testing.assert_allclose(found.read("u", slice(8, 10)), field["u"], rtol=0, atol=1e-6)
    write_waves("short.npz", 3, 2)
    with pytest.raises(InputError, match="2 frames; the operator sees 2 and makes those that follow"):
        write_prediction(find_run("run"), Path("p.h5"), data="short.npz")


def test_auto_chooses_by_the_grid(spec):
    assert make_plan(spec("solver={kind: auto, epochs: 1}")).solver.kind == "fno"
    np.savez("uneven.npz", a=np.ones((9, 8)), u=np.ones((9, 8)), x=np.linspace(0, 1, 8) ** 2)
    data = "data={file: uneven.npz, inputs: {a: a}, outputs: {u: u}, coordinates: {x: x}}"
    plan = make_plan(spec(data, "solver={kind: auto, epochs: 1}"))
    assert plan.solver.kind == "deeponet"
    assert "not equally spaced" in plan.notes[0]


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.file=none.npz", r"line\.yaml.*data\.file|none\.npz"),
        ("data.train=40", "20"),
        ("data.test=0", r"data\.test"),
        ("data.outputs={v: v}", "v"),
        ("solver.history=9", "no time t to go on in"),
        ("solver={kind: fno, modes: 99, epochs: 1}", "modes"),
        ("solver.kind=pinn", "'pinn' does not use data yet"),
        ("reference={named: cole-hopf}", "remove 'reference'"),
        ("export={points: p.csv}", r"give export\.grid"),
        ("export={grid: {y: 8}}", "'y' is not a coordinate of the outputs; allowed: x"),
        ("kernels=cuda", "triton"),
        ("solver.epochs=0", "at least 1"),
        ("solver.patience=x", "whole number"),
    ],
)
def test_wrong_specs_are_refused_before_anything_is_written(spec, override, message):
    with pytest.raises(SpecError, match=message) as caught:
        train_spec(spec(override), "run")
    assert "data" in str(caught.value) or "solver" in str(caught.value) or "--set" in str(caught.value)
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_write_one_run_with_the_same_losses(spec):
    """Only the first one writes; a batch is shared, so that losses agree to rounding."""
    train_spec(spec("solver.precision=float64"), "alone")
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pdeml", "train"]
    arguments = ["line.yaml", "--set", "solver.precision=float64", "--out", "shared"]
    told = subprocess.run([*program, *arguments], check=True, capture_output=True, text=True).stdout
    assert told.count("trained:") + told.count("not learnt:") == 1
    losses = [
        [json.loads(line)["loss"] for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
        for run in ("alone", "shared")
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-8)
    assert not list(Path("shared").glob(".*"))


def test_options_of_the_solver_under_data_are_sent_to_the_solver(spec):
    assert set(OPERATOR_OPTIONS) == set(OperatorSolver.model_fields) - set(DataSpec.model_fields)
    with pytest.raises(SpecError, match=r"data\.history.*: is an option of the solver: write it as solver\.history"):
        spec("data.history=2")


def problem_of(unknown: str) -> str:
    """Return the override to a problem that has no input."""
    place = f"domain: {{space: {{interval: {{x: [0, 1]}}}}}}, conditions: {{on: boundary, value: {{{unknown}: 0}}}}"
    return f"problem={{{place}, unknowns: [{unknown}], equations: laplacian({unknown}) = 1}}"


def test_a_problem_that_does_not_know_the_functions_is_told(spec):
    notes = " ".join(make_plan(spec(problem_of("w"))).notes)
    assert "the problem has no input 'a' (it has none); no unknown 'u' (it has w): of it only" in notes
    with pytest.raises(SpecError, match="contains 'w', which is no output"):
        make_plan(spec(problem_of("w"), "solver.physics=1"))
    with pytest.raises(SpecError, match="whose equation is asked for, has no input 'a'"):
        make_plan(spec(problem_of("u"), "solver.physics=1"))


def test_the_history_of_an_ensemble_is_drawn_member_by_member(spec, monkeypatch):
    drawn = {}
    monkeypatch.setattr("pdeml.plot.plot_history", lambda *given, **options: drawn.update(given=given, **options))
    monkeypatch.setattr("pdeml.plot.save_figure", lambda figure, path: None)
    rows = [{"step": k, "loss": 1.0, "member": k // 3, "gradient": 1.0, "error": 2.0} for k in range(6)]
    Path("m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert draw_history(Path("m.jsonl"), Path("h.png"), {}) is None
    losses, errors = drawn["given"]
    assert {name: steps for name, (steps, _) in losses.items()} == {
        "on training points, member 0": (0, 1, 2),
        "on training points, member 1": (3, 4, 5),
    }
    assert list(errors) == ["validation, member 0", "validation, member 1"]
    assert "member" in drawn["across"]


def test_the_first_samples_of_a_data_set_are_drawn(spec):
    train_spec(spec("solver.epochs=1"), "run")
    write_prediction(find_run("run"), Path("p.h5"), data="line.npz", names={"inputs": {"a": "a"}})
    assert plot("p.h5") == (Path("p.png"),)
    assert Path("p.png").stat().st_size > 5000
    with pytest.raises(InputError, match="do not move"):
        plot("p.h5", animate=True)


@pytest.mark.parametrize("sample", [3, 13, 18])  # of the three parts
def test_values_that_are_not_finite_are_refused_before_a_run_is_replaced(spec, sample):
    train_spec(spec(), "run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    arrays = dict(np.load("line.npz"))
    arrays["a"][sample, 2] = np.nan
    np.savez("line.npz", **arrays)
    with pytest.raises(SpecError, match=rf"line\.yaml:2.*'a' of sample {sample}, .*an array 'mask'"):
        train_spec(spec(), "run", overwrite=True)
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_a_run_that_finds_a_bad_sample_while_fitting_leaves_nothing(spec, monkeypatch):
    arrays = dict(np.load("line.npz"))
    arrays["u"][14, 2] = np.inf
    np.savez("line.npz", **arrays)
    monkeypatch.setattr("pdeml.data.operator._LOOKED_AT_BYTES", 0)  # as of parts that are streamed
    with pytest.raises(InputError, match="sample 14: holds NaN or infinite"):
        train_spec(spec(), "run")
    assert not Path("run").exists()
