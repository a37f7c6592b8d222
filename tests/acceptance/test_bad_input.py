"""Every bad spec and command line is refused at once: exit code 2, one clear message, nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from .bad_specs import GOOD, OPTIONS, SHAPE, SPECS, STEADY
from .conftest import refused, untouched

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def test_there_are_enough_different_specs():
    texts = {bad.text for bad in SPECS.values()}
    assert len(texts) == len(SPECS) >= 150


@pytest.mark.parametrize("name", SPECS)
def test_a_bad_spec_is_refused_with_file_and_line(cli, tmp_path, name):
    bad = SPECS[name]
    Path("bad.yaml").write_bytes(bad.text if isinstance(bad.text, bytes) else bad.text.encode())
    started = time.process_time()
    with untouched(tmp_path):
        found = cli("train", "bad.yaml")
    refused(found, *bad.says)
    assert found.err.startswith("bad.yaml: " if bad.line is None else f"bad.yaml:{bad.line}: ")
    assert time.process_time() - started < 10


def test_the_good_specs_are_accepted(cli):
    """So that what is refused above is refused for what was changed."""
    for text in (GOOD, STEADY, SHAPE):
        Path("good.yaml").write_text(text)
        assert cli("validate", "good.yaml").code == 0


@pytest.mark.parametrize("command", ["validate", "plot"])
@pytest.mark.parametrize("name", ["on-misspelt", "import", "tag-runs-a-program", "alias-bomb", "binary"])
def test_other_commands_refuse_a_bad_spec_alike(cli, tmp_path, command, name):
    bad = SPECS[name]
    Path("bad.yaml").write_bytes(bad.text if isinstance(bad.text, bytes) else bad.text.encode())
    with untouched(tmp_path):
        refused(cli(command, "bad.yaml"), "bad.yaml", *bad.says)


NEW = ["train", "good.yaml", "--out", "new"]
ARGUMENTS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "unknown-command": (["trian", "good.yaml"], ("'trian'", "did you mean 'train'")),
    "unknown-option": (["train", "good.yaml", "--resum"], ("'--resum'", "did you mean '--resume'")),
    "option-without-value": (["train", "good.yaml", "--out"], ("--out",)),
    "no-spec": (["train"], ("SPEC",)),
    "too-many-arguments": (["train", "good.yaml", "more"], ("'more'",)),
    "resume-and-overwrite": (["train", "good.yaml", "--resume", "--overwrite"], ("--overwrite", "--resume")),
    "empty-spec-name": (["train", ""], ("give a spec file",)),
    "null-byte-in-spec-name": (["train", "go\0od.yaml"], ()),
    "spec-name-too-long": (["train", "x" * 5000 + ".yaml"], ("too long",)),
    "run-name-too-long": (["predict", "x" * 5000], ("too long",)),
    "out-name-too-long": (["train", "good.yaml", "--out", "x" * 5000], ("too long",)),
    "file-name-too-long": (["inspect", "x" * 5000], ("too long",)),
    "points-name-too-long": (["predict", "runs/good", "--points", "x" * 5000], ("too long",)),
    "missing-spec": (["train", "goood.yaml"], ("no such file", "did you mean 'good.yaml'")),
    "missing-folder": (["train", "none/good.yaml"], ("no such file", "none")),
    "misspelt-shipped-problem": (["train", "burger"], ("did you mean 'burgers'",)),
    "spec-is-a-folder": (["train", "runs"], ("folder",)),
    "spec-is-a-device": (["train", "/dev/zero"], ("regular file",)),
    "device-not-a-word": (["train", "good.yaml", "--device", "tpu"], ("--device tpu", "auto, cpu, cuda")),
    "set-without-equals": ([*NEW, "--set", "solver.width"], ("solver.width", "PATH=VALUE")),
    "set-without-path": ([*NEW, "--set", "=3"], ("not a path",)),
    "set-of-garbage": ([*NEW, "--set", "a b..c[=3"], ("not a path",)),
    "set-unknown-key": (
        [*NEW, "--set", "solver.widht=3"],
        ("--set solver.widht=3", "did you mean 'width'"),
    ),
    "set-unknown-top-key": ([*NEW, "--set", "sovler.width=3"], ("sovler", "did you mean 'solver'")),
    "set-wrong-type": (
        [*NEW, "--set", "solver.width=wide"],
        ("--set solver.width=wide", "whole number"),
    ),
    "set-bad-yaml": ([*NEW, "--set", "solver.width=[1"], ("--set solver.width=[1", "not closed")),
    "set-tag": ([*NEW, "--set", "seed=!!python/object/apply:os.system [x]"], ("tag", "os.system")),
    "set-index-past-the-end": ([*NEW, "--set", "problem.conditions[9].on=x"], ("2 entries", "[9]")),
    "set-unknown-parameter": ([*NEW, "--set", "problem.parameters.alhpa=1"], ("did you mean 'alpha'",)),
    "set-import": ([*NEW, "--set", "problem.parameters.alpha=__import__('os')"], ("__import__",)),
    "out-in-a-file": (["train", "good.yaml", "--out", "good.yaml/run"], ("good.yaml",)),
    "out-is-a-file": (["train", "good.yaml", "--out", "good.yaml"], ("good.yaml is a file",)),
    "out-is-foreign": (["train", "good.yaml", "--out", "mine"], ("mine holds notes.txt", "--out")),
    "out-is-foreign-resume": (["train", "good.yaml", "--out", "mine", "--resume"], ("mine holds notes.txt",)),
    "out-is-foreign-overwrite": (["train", "good.yaml", "--out", "mine", "--overwrite"], ("mine holds notes.txt",)),
    "out-is-this-folder": (["train", "good.yaml", "--out", "."], ("is no run of pdeml",)),
    "out-is-empty-text": (["train", "good.yaml", "--out", ""], ("--out",)),
    "run-exists": (["train", "good.yaml"], ("runs/good", "--resume", "--overwrite")),
    "resume-with-another-spec": (
        ["train", "good.yaml", "--resume", "--set", "solver.width=5"],
        ("solver.width: 4 -> 5", "--overwrite"),
    ),
    "resume-with-another-equation": (
        ["train", "good.yaml", "--resume", "--set", "problem.equations[0]=u_t = 2*u_xx"],
        ("problem.equations", "another spec"),
    ),
    "resume-with-fewer-steps": (
        ["train", "good.yaml", "--resume", "--set", "solver.steps=1"],
        ("solver.steps: 2 -> 1",),
    ),
    "run-missing": (["predict", "runs/goood"], ("no such run", "did you mean 'runs/good'")),
    "run-is-a-spec": (["evaluate", "good.yaml"], ("is a file",)),
    "run-is-any-folder": (["predict", "mine"], ("mine is no run",)),
    "plot-any-folder": (["plot", "mine"], ("mine is no run",)),
    "inspect-any-folder": (["inspect", "mine"], ("mine is no run",)),
    "inspect-a-text": (["inspect", "mine/notes.txt"], ("notes.txt",)),
    "inspect-nothing": (["inspect", "none.h5"], ("none.h5",)),
    "inspect-a-spec": (["inspect", "good.yaml"], ("pdeml validate",)),
    "plot-nothing": (["plot", "none.h5"], ("none.h5", "no such")),
    "plot-a-text": (["plot", "mine/notes.txt"], ("notes.txt",)),
    "plot-to-nowhere": (["plot", "runs/good", "-o", "none/p.png"], ("none",)),
    "plot-to-a-text": (["plot", "runs/good", "-o", "p.txt"], (".txt",)),
    "animate-a-spec": (["plot", "good.yaml", "--animate"], ("does not move",)),
    "animate-to-a-png": (["plot", "runs/good", "--animate", "-o", "p.png"], (".gif",)),
    "grid-unknown-coordinate": (["predict", "runs/good", "--grid", "q=5"], ("--grid", "'q'", "x, t")),
    "grid-of-one-point": (["predict", "runs/good", "--grid", "x=1"], ("at least 2",)),
    "grid-of-text": (["predict", "runs/good", "--grid", "x=many"], ("'many'", "whole number")),
    "grid-negative": (["predict", "runs/good", "--grid", "x=-5"], ("'-5'",)),
    "grid-without-value": (["predict", "runs/good", "--grid", "x"], ("NAME=VALUE",)),
    "grid-twice": (["predict", "runs/good", "--grid", "x=5,x=6"], ("twice",)),
    "grid-beyond-memory": (["predict", "runs/good", "--grid", "x=900000000,t=900000000"], ("memory",)),
    "grid-and-points": (["predict", "runs/good", "--grid", "x=5", "--points", "p.csv"], ("--points", "--grid")),
    "points-missing": (["predict", "runs/good", "--points", "none.csv"], ("none.csv", "no such file")),
    "points-a-folder": (["predict", "runs/good", "--points", "mine"], ("mine", "folder")),
    "predict-data-missing": (["predict", "runs/good", "--data", "none.h5"], ("none.h5", "no such file")),
    "predict-to-a-folder": (["predict", "runs/good", "-o", "mine"], ("is a folder",)),
    "predict-to-nowhere": (["predict", "runs/good", "-o", "none/p.h5"], ("there is no folder",)),
    "predict-set-unknown": (["predict", "runs/good", "--set", "alhpa=1"], ("did you mean 'alpha'",)),
    "predict-set-fixed": (["predict", "runs/good", "--set", "alpha=1"], ("only a parameter with a range",)),
    "predict-set-nan": (["predict", "runs/good", "--set", "alpha=nan"], ("nan",)),
    "evaluate-data-missing": (["evaluate", "runs/good", "--data", "none.h5"], ("none.h5", "no such file")),
    "init-in-no-folder": (["init", "none/first"], ("none",)),
    "init-of-a-bad-name": (["init", "a b!"], ("a b!",)),
    "init-of-nothing": (["init", ""], ("letters, digits",)),
    "init-over-a-file": (["init", "good"], ("exists already",)),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments_are_refused(cli, good, tmp_path, name):
    arguments, says = ARGUMENTS[name]
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    Path("p.csv").write_text("x,t\n0,0\n")
    with untouched(tmp_path):
        refused(cli(*arguments), *says)


@needs_no_gpu
@pytest.mark.parametrize("arguments", [["--device", "cuda"], ["--set", "device=cuda"], ["--set", "device=cuda:3"]])
def test_a_gpu_that_is_not_there(cli, tmp_path, arguments):
    Path("good.yaml").write_text(GOOD)
    with untouched(tmp_path):
        refused(cli("train", "good.yaml", *arguments), "cuda", "not on this machine", "cpu")


POINTS = {
    "column-missing": ("x\n0.5\n", "p.csv:1: the column 't' is missing"),
    "column-unknown": ("x,q\n0.5,1\n", "p.csv:1: 'q' is not a coordinate"),
    "column-twice": ("x,x,t\n0.5,1,1\n", "p.csv:1: the column 'x' stands twice"),
    "text": ("x,t\n0.5,1\n0.5,abc\n", "p.csv:3: t is 'abc', not a finite number"),
    "nan": ("x,t\nnan,1\n", "p.csv:2: x is 'nan'"),
    "ragged": ("x,t\n0.5,1\n0.5\n", "p.csv:3: has 1 values"),
    "no-header": ("0.5,1\n", "p.csv:1: '0.5' is not a coordinate"),
    "no-points": ("x,t\n", "has no points"),
    "empty": ("", "has no points"),
    "quote-never-closed": ('x,t\n"0.5,1\n', "p.csv:2: is not CSV"),
    "binary": (bytes(range(256)), "not a text file"),
    "null-bytes": (b"x,t\n0.5,\0\n", "p.csv"),
    "semicolons": ("x;t\n0.5;1\n", "'x;t' is not a coordinate"),
}


@pytest.mark.parametrize("name", POINTS)
def test_bad_points_are_refused(cli, good, tmp_path, name):
    content, message = POINTS[name]
    Path("p.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with untouched(tmp_path):
        refused(cli("predict", good, "--points", "p.csv"), message)


def process(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pdeml", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)


PROCESSES: dict[str, tuple[list[str], str]] = {
    "unknown-command": (["trian"], "did you mean 'train'"),
    "bad-name-in-an-equation": ([*NEW, "--set", "problem.equations[0]=u_t = w"], "'w'"),
    "import": (
        ["train", "good.yaml", "--set", "problem.equations[0]=__import__('os').system('touch pwned')"],
        "__import__",
    ),
    "missing-spec": (["validate", "none.yaml"], "no such file"),
    "bad-option": ([*NEW, "--set", "solver.widht=1"], "did you mean 'width'"),
    "no-run": (["evaluate", "runs"], "is no run"),
    "not-hdf5": (["inspect", "good.yaml.h5"], "no such"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_of_its_own_says_the_same(tmp_path, name):
    arguments, message = PROCESSES[name]
    (tmp_path / "good.yaml").write_text(GOOD.replace(OPTIONS, "width: 3"))
    (tmp_path / "runs").mkdir()
    with untouched(tmp_path):
        found = subprocess.run(
            [sys.executable, "-m", "pdeml", *arguments], cwd=tmp_path, capture_output=True, text=True
        )
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
