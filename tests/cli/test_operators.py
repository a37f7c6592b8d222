"""The commands on operators: what they print, what they write, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pdeml.cli import main
from pdeml.data import open_source
from pdeml.field import Field

SPEC = """\
name: line
data:
  file: line.npz
  train: 12
  validation: 4
  test: 4
  inputs: {a: a}
  outputs: {u: u}
  coordinates: {x: [0, 1]}
solver: {kind: deeponet, width: 8, depth: 1, basis: 4, epochs: 2, batch_size: 4}
"""
NAMES = ("--inputs", "a=a", "--outputs", "u=u", "--coordinates", "x=0:1")


def write_lines(path: Path, samples: int = 20, points: int = 17) -> None:
    rng, x = np.random.default_rng(samples), np.linspace(0, 1, points)
    c = rng.normal(size=(samples, 3))
    u = c[:, :1] * x + sum(c[:, k, None] * np.sin(k * np.pi * x) / (k * np.pi) for k in (1, 2))
    np.savez(path, a=sum(c[:, k, None] * np.cos(k * np.pi * x) for k in range(3)), u=u**2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_lines(folder / "line.npz")
    (folder / "line.yaml").write_text(SPEC)
    assert main(["train", str(folder / "line.yaml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder


@pytest.fixture
def line(cli: Callable, trained: Path, tmp_path: Path) -> Path:
    """``line.yaml``, its samples and a copy of its run as ``runs/line`` in the test's folder."""
    for name in ("line.npz", "line.yaml"):
        shutil.copy(trained / name, tmp_path)
    shutil.copytree(trained / "run", tmp_path / "runs" / "line")
    return Path("runs/line")


def test_training_writes_and_names_all_files(cli, line):
    found = cli("train", "line.yaml", "--overwrite")
    assert found.code == 0
    assert ": all 2 epochs done; test relative L2" in found.out
    files = ["spec.yaml", "metrics.jsonl", "checkpoint/", "fields.h5", "fields.png", "history.png", "worst.png"]
    assert f"{', '.join(files)}, spectrum.png, summary.json" in found.out
    assert {path.name for path in line.iterdir()} == {
        name.rstrip("/") for name in (*files, "spectrum.png", "summary.json")
    }
    drawn = cli("plot", line).out.splitlines()
    assert drawn == [f"wrote {line}/{name}.png" for name in ("fields", "history", "worst", "spectrum")]


def test_validate_says_what_would_be_learnt(cli, line):
    found = cli("validate", "line.yaml")
    assert found.code == 0
    for text in (
        "a(x) -> u(x)",
        "x: 17 points from 0 to 1",
        "train 12, validation 4, test 4",
        "adamw for at most 6 steps",
    ):
        assert text in found.out


def test_a_recipe_that_is_not_generated_yet_is_not_generated_by_validate(cli, tmp_path):
    (tmp_path / "r.yaml").write_text("data: {recipe: antiderivative, samples: 30}\nsolver: {kind: deeponet}\n")
    found = cli("validate", "r.yaml")
    assert found.code == 0
    assert "antiderivative.h5, generated when it is trained: 30 samples" in found.out
    assert not (tmp_path / "antiderivative.h5").exists()


def test_inspect_and_evaluate(cli, line, tmp_path):
    shown = cli("inspect", line).out
    assert "error of u: relative_l2" in shown
    assert "u_reference(sample: 4, x: 17), reference" in shown
    table = cli("evaluate", line).out
    assert "test (4)  validation (4)  train (12)" in table
    plain = json.loads(cli("evaluate", line, "--json").out)
    assert plain["errors"]["u"].keys() == {"relative_l2", "max", "h1"}
    assert plain["scores"]["train"]["samples"] == 12
    write_lines(tmp_path / "fine.npz", 5, 33)
    finer = json.loads(cli("evaluate", line, "--data", "fine.npz", *NAMES, "--json").out)
    assert finer["scores"]["data"]["samples"] == 5
    assert finer["errors"]["u"]["relative_l2"] == finer["scores"]["data"]["outputs"]["u"]["relative_l2"]["mean"]


def test_predictions_of_a_file_and_of_the_test_samples(cli, line, tmp_path):
    write_lines(tmp_path / "new.npz", 7, 33)
    found = cli("predict", line, "--data", "new.npz", *NAMES, "-o", "new.h5")
    assert found.code == 0
    assert "wrote new.h5: 7 samples of u, u_reference, u_error on x 33" in found.out
    assert cli("predict", line, "--data", "new.npz", *NAMES, "--grid", "x=9", "-o", "coarse.h5").code == 0
    with open_source("coarse.h5") as coarse, open_source("new.h5") as fine:
        assert coarse.arrays["u_error"].shape == (9,)
        assert fine.arrays["u"].shape == (33,)
    assert cli("predict", line, "--grid", "x=41").code == 0
    assert Field.from_hdf5(line / "prediction.h5").sizes == {"sample": 4, "x": 41}
    (tmp_path / "p.csv").write_text("x\n0.25\n0.5\n")
    assert cli("predict", line, "--points", "p.csv", "-o", "p.h5").code == 0
    assert Field.from_hdf5("p.h5")["u"].shape == (8,)


def test_a_program_is_exported(cli, line):
    found = cli("convert", line, "line.pt2")
    assert found.code == 0
    assert "wrote line.pt2: the number of samples" in found.out
    refused = cli("convert", line, "line.h5")
    assert refused.code == 2
    assert "is a run, which becomes a program: pdeml convert " in refused.err
    assert ".pt2" in refused.err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data", "none.npz"], "no such file"),
        (["--data", "wrong.npz"], "if it goes by another name: --inputs a=NAME"),
        (["--grid", "y=9"], "'y' is not a coordinate of the operator; allowed: x"),
        (["--data", "line.npz", "--grid", "z=9"], "'z' is not a coordinate of the operator; allowed: x"),
        (["--data", "line.npz", "--points", "p.csv"], "leave out --points"),
        (["--set", "nu=1"], "given its parameters with the samples"),
        (["--grid", "x=9", "-o", "p.txt"], "end the name in .h5"),
        (["--data", "line.h5", "-o", "line.h5"], "is the file of the samples itself"),
    ],
)
def test_predict_refuses(cli, line, tmp_path, arguments, message):
    np.savez(tmp_path / "wrong.npz", b=np.ones((3, 8)), u=np.ones((3, 8)))
    cli("convert", "line.npz", "line.h5", *NAMES, "--quiet")
    found = cli("predict", line, *arguments)
    assert found.code == 2
    assert message in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    "old, new, line_number, message",
    [
        ("file: line.npz", "file: none.npz", 3, "no such file"),
        ("  train: 12\n", "  train: 30\n", 4, "20"),
        ("  test: 4\n", "  test: 0.5\n", 6, "data.test"),
        ("{u: u}", "{u: v}", 8, "'v'"),
        ("{a: a}", "{a: b}", 7, "'b'"),
        ("kind: deeponet, width: 8, depth: 1, basis: 4", "kind: fno, modes: 40", 10, "modes"),
        ("kind: deeponet", "kind: deeponet, history: 3", 10, "no time"),
        ("width: 8", "width: 0", 10, "at least 1"),
        ("kind: deeponet", "kind: fnoo", 10, "did you mean 'fno'"),
        ("epochs: 2", "epoch: 2", 10, "did you mean 'epochs'"),
    ],
)
def test_wrong_specs_are_refused_with_their_line(cli, line, old, new, line_number, message):
    text = SPEC.replace(old, new)
    assert text != SPEC
    Path("wrong.yaml").write_text(text.replace("name: line", "name: wrong"))
    for command in ("validate", "train"):
        found = cli(command, "wrong.yaml")
        assert found.code == 2
        assert found.err.startswith(f"wrong.yaml:{line_number}: "), found.err
        assert message in found.err
    assert not Path("runs/wrong").exists()


def test_an_operator_without_samples_is_refused(cli, tmp_path):
    text, _, _ = (tmp_path / "small.yaml").read_text().partition("reference:")
    (tmp_path / "none.yaml").write_text(f"{text}solver: {{kind: fno}}\n")
    found = cli("validate", "none.yaml")
    assert found.code == 2
    assert found.err.startswith("none.yaml:12: solver.kind: 'fno' learns from samples: give data")


def test_problems_lists_what_can_be_trained(cli):
    assert "pdeml generate, pdeml train)" in cli("problems").out
