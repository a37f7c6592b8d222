"""A run directory is at all times absent, continuable or finished; continuing changes nothing in the result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdeml.errors import FileFormatError, InputError, RunError
from pdeml.field import Field
from pdeml.files import TEMPORARY_SUFFIX, load_tensors
from pdeml.run import plan, train_spec
from pdeml.spec import Document, SpecError, apply_overrides, load_spec
from pdeml.train import Callback


class SignalAt(Callback):
    """Send this process a signal after a step."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_step(self, event):
        if event.state.step == self.step:
            os.kill(os.getpid(), self.number)


class FailAt(Callback):
    """Break the run after a step, as a kill would."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, event):
        if event.state.step == self.step:
            raise KeyboardInterrupt


def same_state(one: str, other: str) -> bool:
    """Compare every tensor and fact of two runs' checkpoints."""
    (a, facts), (b, others) = (load_tensors(Path(name) / "checkpoint" / "state.safetensors") for name in (one, other))
    return a.keys() == b.keys() and facts == others and all(np.array_equal(a[name], b[name]) for name in a)


def same_bytes(one: str, other: str, *names: str) -> bool:
    return all((Path(one) / name).read_bytes() == (Path(other) / name).read_bytes() for name in names)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupted_run_continues_to_the_same_tensors(spec, number, step):
    train_spec(spec(), "whole")
    result = train_spec(spec(), "parts", callbacks=[SignalAt(step, number)])
    assert (result.status, result.signal, result.solution.record.steps) == ("interrupted", number, step)
    assert not Path("parts/summary.json").exists()
    assert train_spec(spec(), "parts", resume=True).status == "finished"
    assert same_state("whole", "parts")
    assert same_bytes("whole", "parts", "spec.yaml", "metrics.jsonl", "fields.h5")


def test_a_signal_in_the_last_step_leaves_a_run_that_finishes_when_resumed(spec):
    assert train_spec(spec(), "run", callbacks=[SignalAt(8, signal.SIGINT)]).status == "interrupted"
    assert train_spec(spec(), "run", resume=True).status == "finished"
    assert json.loads(Path("run/summary.json").read_text())["steps"] == 8


def test_a_run_killed_before_its_first_checkpoint_starts_over(spec):
    train_spec(spec(), "whole")
    with pytest.raises(KeyboardInterrupt):
        train_spec(spec(), "run", callbacks=[FailAt(2)])
    assert not Path("run/checkpoint/state.safetensors").exists()
    with Path("run/metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    for folder in ("run", "run/checkpoint"):
        Path(folder, f".fields.h5.999999999-0123abcd{TEMPORARY_SUFFIX}").write_text("stray")
    assert train_spec(spec(), "run", resume=True).status == "finished"
    assert same_state("whole", "run")
    assert same_bytes("whole", "run", "metrics.jsonl", "fields.h5")
    assert not list(Path("run").rglob(f"*{TEMPORARY_SUFFIX}"))


def test_metrics_beyond_the_checkpoint_are_dropped(spec):
    train_spec(spec(), "whole")
    train_spec(spec(), "run", callbacks=[SignalAt(4, signal.SIGINT)])
    with Path("run/metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "loss": 1.0}\n{"step": 6, "lo')
    train_spec(spec(), "run", resume=True)
    assert same_bytes("whole", "run", "metrics.jsonl")


def test_training_that_ended_by_itself_is_not_continued_after_a_kill(spec):
    train_spec(spec("solver.tolerance=1000"), "run")
    before = load_tensors("run/checkpoint/state.safetensors")[1]
    Path("run/summary.json").unlink()
    again = train_spec(spec("solver.tolerance=1000"), "run", resume=True)
    assert again.status == "finished"
    assert "below the tolerance" in again.solution.verdict
    assert load_tensors("run/checkpoint/state.safetensors")[1] == before


def test_resume_of_a_finished_run_does_nothing(spec):
    train_spec(spec(), "run")
    before = {file: file.stat().st_mtime_ns for file in Path("run").rglob("*")}
    result = train_spec(spec(), "run", resume=True)
    assert result.status == "already"
    assert result.solution.errors
    assert {file: file.stat().st_mtime_ns for file in Path("run").rglob("*")} == before


def test_resume_with_more_steps_is_the_longer_run(spec):
    train_spec(spec("solver.steps=14"), "whole")
    train_spec(spec(), "run")
    assert train_spec(spec("solver.steps=14"), "run", resume=True).status == "finished"
    assert same_state("whole", "run")
    assert same_bytes("whole", "run", "spec.yaml", "metrics.jsonl", "fields.h5")


def test_resume_with_more_steps_when_the_optimiser_changes(spec):
    first = "solver={kind: pinn, width: 4, depth: 1, points: 32, precision: float32, steps: 6}"
    train_spec(spec(first), "run")
    result = train_spec(spec(first.replace("6}", "30}")), "run", resume=True)
    assert result.solution.record.steps == 30


@pytest.mark.parametrize(
    "override", ["solver.steps=5", "solver.width=5", "seed=1", "problem.parameters.alpha=0.2", "export.grid.x=10"]
)
def test_resume_with_another_spec_is_refused(spec, override):
    train_spec(spec(), "run")
    path = override.partition("=")[0]
    with pytest.raises(InputError, match=path.replace(".", r"\.") + r": .* -> ") as caught:
        train_spec(spec(override), "run", resume=True)
    assert "--overwrite" in str(caught.value)


def test_steps_that_were_left_out_may_be_given_if_they_are_more(spec):
    unbounded = "solver={kind: pinn, width: 2, depth: 1, points: 8}"
    train_spec(spec(unbounded), "run", callbacks=[SignalAt(2, signal.SIGINT)])
    with pytest.raises(InputError, match=r"solver\.steps"):
        train_spec(spec(unbounded, "solver.steps=300"), "run", resume=True)
    stop = [SignalAt(4, signal.SIGINT)]
    result = train_spec(spec(unbounded, "solver.steps=700"), "run", resume=True, callbacks=stop)
    assert result.solution.record.steps == 4


@pytest.mark.parametrize("what", ["run", "unfinished"])
def test_an_existing_run_is_refused(spec, what):
    train_spec(spec(), "run")
    if what == "unfinished":
        Path("run/summary.json").unlink()
    with pytest.raises(InputError, match=r"--resume.*--overwrite"):
        train_spec(spec(), "run")


def test_overwrite_replaces_the_run_and_leaves_other_files(spec):
    train_spec(spec("seed=1"), "run")
    Path("run/notes.txt").write_text("mine")
    train_spec(spec(), "run", overwrite=True)
    train_spec(spec(), "fresh")
    assert same_state("run", "fresh")
    assert Path("run/notes.txt").read_text() == "mine"


def test_a_run_that_filled_the_disk_goes_on_when_there_is_room(spec, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    train_spec(spec(), "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Field, "to_hdf5", full)
        with pytest.raises(RunError, match="No space left"):
            train_spec(spec(), "run")
    assert not Path("run/summary.json").exists()
    assert not Path("run/fields.h5").exists()
    assert train_spec(spec(), "run", resume=True).status == "finished"
    assert same_bytes("whole", "run", "fields.h5", "metrics.jsonl")


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_foreign_folder_is_never_touched(spec, options):
    Path("mine").mkdir()
    files = {"spec.yaml": "name: mine\n", "fields.h5": "data", "summary.json": "{}", "notes.txt": "x"}
    for name, text in files.items():
        Path("mine", name).write_text(text)
    with pytest.raises(InputError, match="no run of pdeml"):
        train_spec(spec(), "mine", **options)
    assert {file.name: file.read_text() for file in Path("mine").iterdir()} == files


def test_an_empty_folder_is_taken_and_a_file_refused(spec):
    Path("empty").mkdir()
    assert train_spec(spec(), "empty").status == "finished"
    Path("begun/checkpoint").mkdir(parents=True)
    Path("begun", f".spec.yaml.999999999-0123abcd{TEMPORARY_SUFFIX}").write_text("stray")
    assert train_spec(spec(), "begun").status == "finished"
    with pytest.raises(InputError, match="is a file"):
        train_spec(spec(), "small.yaml")


def test_a_damaged_checkpoint_is_told(spec):
    train_spec(spec(), "run", callbacks=[SignalAt(2, signal.SIGINT)])
    Path("run/checkpoint/state.safetensors").write_bytes(b"damaged")
    with pytest.raises(FileFormatError, match=r"state\.safetensors"):
        train_spec(spec(), "run", resume=True)


def test_the_resolved_spec_repeats_the_run_from_anywhere(spec, tmp_path):
    train_spec(spec(), "exact")
    Path("data").mkdir()
    Path("exact/fields.h5").rename("data/ref.h5")
    text = Path("small.yaml").read_text().replace("exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}", "file: data/ref.h5")
    Path("file.yaml").write_text(text)
    train_spec(spec("seed=3", "solver.activation=sin", file="file.yaml"), "run")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "pdeml", "train", str(tmp_path / "run/spec.yaml"), "--out", "again", "--quiet"]
    subprocess.run(command, cwd=elsewhere, check=True)
    assert same_state("run", str(elsewhere / "again"))
    assert same_bytes("run", str(elsewhere / "again"), "spec.yaml", "metrics.jsonl", "fields.h5")


def with_coarse_file(t: int, x: int) -> Document:
    """The small problem, with nothing but a coarse file to compare with."""
    axes = {"t": np.linspace(0, 1, t), "x": np.linspace(0, 1, x)}
    exact = Field.on_grid(axes, lambda p: {"u": np.exp(-0.1 * np.pi**2 * p[:, 0]) * np.sin(np.pi * p[:, 1])}, time="t")
    exact.to_hdf5("coarse.h5")
    text = Path("small.yaml").read_text().replace("exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}", "file: coarse.h5")
    Path("coarse.yaml").write_text(text)
    return load_spec("coarse.yaml")


def test_a_coarse_file_is_refused_before_training_unless_the_export_is_at_its_points(spec):
    spec()
    document = with_coarse_file(2, 9)
    with pytest.raises(SpecError, match=r"coarse\.yaml:12: reference: .*too coarse to interpolate"):
        train_spec(document, "refused")
    assert not Path("refused").exists()
    result = train_spec(apply_overrides(document, ["export.grid.t=2"]), "run")
    assert result.solution.floor == 0
    assert "at the floor" not in result.solution.verdict
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["reference_floor"] == 0
    assert summary["errors"]["u"]["relative_l2"] > 0


def test_an_error_below_that_of_the_reference_is_at_the_floor(spec, monkeypatch):
    made = plan.make_reference
    monkeypatch.setattr(plan, "make_reference", lambda *given: replace(made(*given), floor=1e6))
    assert "at the floor of the reference" in train_spec(spec(), "run").solution.verdict


def test_scattered_export(spec):
    Path("p.csv").write_text("t,x\n0.5,0.5\n0.1,0.2\n")
    result = train_spec(spec("export={points: p.csv}"), "run")
    assert result.solution.errors["u"].relative_l2 > 0
    assert json.loads(Path("run/summary.json").read_text())["errors"]["u"]["h1"] is None
