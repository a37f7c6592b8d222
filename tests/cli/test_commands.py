"""Each command does what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pdeml_datasets
from pdeml.field import Field


def test_init_writes_a_spec_that_validates(cli):
    assert cli("init", "first").code == 0
    found = cli("validate", "first.yaml")
    assert found.code == 0
    assert "u_t = alpha*u_xx" in found.out


def test_init_keeps_an_existing_file(cli):
    Path("first.yaml").write_text("mine")
    found = cli("init", "first")
    assert (found.code, Path("first.yaml").read_text()) == (2, "mine")
    assert "exists already" in found.err


def test_validate_says_what_would_be_solved(cli):
    found = cli("validate", "small.yaml", "--set", "solver.width=7")
    assert found.code == 0
    assert found.err == ""
    for part in (
        "linear",
        "29 parameters",
        "exact by construction",
        "equation: 32 points",
        "width 7",
        "x 9, t 7",
    ):
        assert part in found.out, part


def test_validate_warns_of_missing_conditions_on_stderr(cli):
    text = Path("small.yaml").read_text().replace("    - {on: boundary, value: {u: 0}}\n", "")
    Path("open.yaml").write_text(text)
    found = cli("validate", "open.yaml")
    assert found.code == 0
    assert "warning: " in found.err
    assert "warning" not in found.out


def test_validate_writes_nothing(cli, tmp_path):
    cli("validate", "small.yaml")
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.yaml"]


def test_train_writes_the_whole_run_directory(cli):
    found = cli("train", "small.yaml")
    assert found.code == 0
    folder = Path("runs/small")
    names = {"spec.yaml", "metrics.jsonl", "checkpoint", "fields.h5", "fields.png", "history.png", "summary.json"}
    assert {entry.name for entry in folder.iterdir()} == names
    assert {entry.name for entry in (folder / "checkpoint").iterdir()} == {"state.safetensors", "checkpoint.json"}
    assert "relative L2" in found.out
    assert "step 4 of at most 4" in found.err
    summary = json.loads((folder / "summary.json").read_text())
    wanted = "errors residuals seconds steps parameters device precision seed versions verdict".split()
    assert set(wanted) <= summary.keys()
    assert summary["errors"]["u"].keys() == {"relative_l2", "max", "h1"}
    assert summary["steps"] == 4
    field = Field.from_hdf5(folder / "fields.h5")
    assert field.sizes == {"t": 7, "x": 9}
    assert set(field.reference) == {"u"}


def test_quiet_is_silent(cli):
    found = cli("train", "small.yaml", "--quiet")
    assert (found.code, found.out, found.err) == (0, "", "")


def test_train_knows_the_shipped_problems_by_name(cli):
    found = cli("train", "heat", "--set", "solver={kind: pinn, width: 3, depth: 1, steps: 1, points: 16}")
    assert found.code == 0
    assert Path("runs/heat/summary.json").is_file()


def test_predict_on_a_grid(cli, run):
    assert cli("predict", run, "--grid", "x=5,t=3", "-o", "out.h5").code == 0
    assert Field.from_hdf5("out.h5").sizes == {"t": 3, "x": 5}


def test_predict_goes_into_the_run_by_default_and_agrees_with_fields(cli, run):
    assert cli("predict", run).code == 0
    again, first = Field.from_hdf5(run / "prediction.h5"), Field.from_hdf5(run / "fields.h5")
    np.testing.assert_array_equal(again["u"], first["u"])


def test_predict_at_points_takes_columns_by_name(cli, run):
    Path("p.csv").write_text("t, x\n0.5,0.25\n0,1\n\n0.5,3\n")
    found = cli("predict", run, "--points", "p.csv", "-o", "out.h5")
    assert found.code == 0
    assert "1 of 3 points lie outside" in found.err
    field = Field.from_hdf5("out.h5")
    np.testing.assert_array_equal(field["x"], [0.25, 1, 3])
    np.testing.assert_array_equal(field["t"], [0.5, 0, 0.5])
    assert np.isnan(field["u"]).tolist() == [False, False, True]


def test_predict_at_the_points_of_a_field_file(cli, run):
    cli("predict", run, "--grid", "x=5,t=3", "-o", "a.h5")
    assert cli("predict", run, "--data", "a.h5", "-o", "b.h5").code == 0
    assert Field.from_hdf5("a.h5").equals(Field.from_hdf5("b.h5"))


@pytest.mark.parametrize(
    "text, message",
    [
        ("t,x\n0.1,abc\n", "p.csv:2: x is 'abc'"),
        ("t,x\n0.1,0.2\n0.1\n", "p.csv:3: has 1 values"),
        ("t,x\n0.1,inf\n", "p.csv:2: x is 'inf'"),
        ("t,xx\n0.1,1\n", "p.csv:1: 'xx' is not a coordinate"),
        ("t\n0.1\n", "p.csv:1: the column 'x' is missing"),
        ("t,x,t\n0,0,0\n", "p.csv:1: the column 't' stands twice"),
        ("t,x\n", "p.csv: has no points"),
        ("", "p.csv: has no points"),
    ],
)
def test_wrong_points_are_refused_with_their_line(cli, run, text, message):
    Path("p.csv").write_text(text)
    found = cli("predict", run, "--points", "p.csv", "-o", "out.h5")
    assert found.code == 2
    assert found.err.startswith(message)
    assert not Path("out.h5").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--grid", "y=3"], "'y' is not a coordinate"),
        (["--grid", "x=1"], "at least 2 points"),
        (["--grid", "x"], "NAME=VALUE"),
        (["--grid", "x=two"], "whole number"),
        (["--grid", "x=3,x=4"], "twice"),
        (["--grid", "x=99999999,t=99999999"], "memory"),
        (["--set", "alpha=0.2"], "with a range"),
        (["--set", "alhpa=0.2"], "did you mean 'alpha'"),
        (["--points", "none.csv"], "no such file"),
        (["-o", "none/out.h5"], "there is no folder none"),
        (["-o", "."], "is a folder"),
        (["-o", "out.csv"], "end the name in .h5, .hdf5 or .nc"),
        (["--grid", "x=3", "--points", "p.csv"], "not allowed with"),
    ],
)
def test_wrong_predictions_are_refused(cli, run, arguments, message):
    found = cli("predict", run, *arguments)
    assert found.code == 2
    assert message in found.err


def test_evaluate_repeats_the_errors_of_the_summary(cli, run):
    found = cli("evaluate", run, "--json")
    assert found.code == 0
    told = json.loads(found.out)["errors"]["u"]
    assert told == pytest.approx(json.loads((run / "summary.json").read_text())["errors"]["u"], rel=1e-9)
    assert "relative L2" in cli("evaluate", run).out


def test_evaluate_against_its_own_prediction_is_exact(cli, run):
    cli("predict", run, "--grid", "x=5,t=3", "-o", "a.h5")
    found = json.loads(cli("evaluate", run, "--data", "a.h5", "--json").out)
    assert found["errors"]["u"] == {"relative_l2": 0.0, "max": 0.0, "h1": 0.0}
    assert found["points"] == 15


def test_evaluate_at_points_writes_null_for_the_h1_norm(cli, run):
    Path("p.csv").write_text("x,t\n0.5,0.25\n")
    cli("predict", run, "--points", "p.csv", "-o", "a.h5")
    assert json.loads(cli("evaluate", run, "--data", "a.h5", "--json").out)["errors"]["u"]["h1"] is None


def test_evaluate_without_a_reference_says_what_to_give(cli):
    text = Path("small.yaml").read_text()
    start, end = text.index("reference:"), text.index("solver:")
    Path("bare.yaml").write_text(text[:start] + text[end:])
    assert cli("train", "bare.yaml", "--quiet", "--out", "bare").code == 0
    found = cli("evaluate", "bare")
    assert found.code == 2
    assert "--data FILE" in found.err


def test_plot_of_run_file_and_spec(cli, run):
    (run / "fields.png").unlink()
    assert cli("plot", run).out.split() == ["wrote", "runs/small/fields.png", "wrote", "runs/small/history.png"]
    assert cli("plot", run / "fields.h5", "-o", "u.png").code == 0
    assert cli("plot", "small.yaml").out.strip() == "wrote small-geometry.png"
    for file in (run / "fields.png", Path("u.png"), Path("small-geometry.png")):
        assert file.read_bytes().startswith(b"\x89PNG"), file


def test_plot_animates(cli, run):
    assert cli("plot", run, "--animate", "-o", "u.gif").code == 0
    assert Path("u.gif").read_bytes().startswith(b"GIF8")


@pytest.mark.parametrize("arguments", [["small.yaml", "--animate"], ["runs/small", "-o", "u.xyz"], ["none"]])
def test_what_cannot_be_drawn_is_refused(cli, run, arguments):
    found = cli("plot", *arguments)
    assert found.code == 2
    assert found.err.count("\n") == 1


def test_inspect_describes_run_field_and_checkpoint(cli, run):
    found = cli("inspect", run)
    assert found.code == 0
    for part in ("finished", "verdict", "checkpoint: step 4", "metrics: 4 steps", "u_reference(t: 7, x: 9)"):
        assert part in found.out, part
    assert "u(t: 7, x: 9), unknown" in cli("inspect", run / "fields.h5").out
    assert "step 4" in cli("inspect", run / "checkpoint" / "state.safetensors").out
    assert "step 4" in cli("inspect", run / "checkpoint").out


@pytest.mark.parametrize("name", ["small.yaml", "notes.txt", "broken.h5", "none", "x.safetensors"])
def test_inspect_refuses_what_is_not_ours(cli, name):
    Path("notes.txt").write_text("hello")
    Path("x.safetensors").write_text("hello")
    Path("broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    found = cli("inspect", name)
    assert found.code == 2
    assert name in found.err
    assert found.err.count("\n") == 1


def test_inspect_of_a_run_loads_no_torch(run, tmp_path):
    code = (
        "import sys; from pdeml.cli import main; code = main(['inspect', 'runs/small']);"
        "sys.exit(code or ('torch' in sys.modules) * 9)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, stdout=subprocess.DEVNULL).returncode
        == 0
    )


def test_help_loads_no_numpy():
    code = (
        "import sys; from pdeml.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'sympy', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_problems_lists_every_shipped_problem_and_recipe(cli):
    from pdeml.problem import library

    lines = cli("problems").out.splitlines()
    assert [line.split()[0] for line in lines] == [*library.names(), *pdeml_datasets.recipes()]


def test_schema_is_json_and_knows_the_options_of_solvers(cli):
    found = cli("schema")
    assert found.code == 0
    assert "exact_conditions" in json.dumps(json.loads(found.out)["$defs"]["SolverSpec"])


def test_a_closed_pipe_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "pdeml", "problems"], stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, check=False
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (0, b"")
