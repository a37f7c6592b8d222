"""What is wrong is said in one line, before anything is written; exit codes tell the kinds of errors apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdeml.errors import RunError


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trian"], "did you mean 'train'?"),
        (["train", "small.yaml", "--ot", "x"], "did you mean '--out'?"),
        (["train", "small.yaml", "more"], "'more' is one argument too many"),
        (["train"], "required: SPEC"),
        (["train", "small.yaml", "--resume", "--overwrite"], "not allowed with"),
        (["train", "smal"], "did you mean 'small.yaml'?"),
        (["train", "burger"], "did you mean 'burgers'?"),
        (["train", "smal.yaml"], "did you mean 'small.yaml'?"),
        (["evaluate", "runs/none"], "no such run"),
        (["evaluate", "small.yaml"], "is a file"),
        (["predict", "."], "is no run"),
        (["predict", ""], "give the folder of a run"),
        (["train", ""], "give a spec file"),
    ],
)
def test_wrong_arguments(cli, arguments, message):
    found = cli(*arguments)
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, start",
    [
        (["trian"], "pdeml: 'trian'"),
        (["train"], "pdeml train: "),
        (["train", "smal"], "pdeml: 'smal'"),
        (["predict", ""], "pdeml: give the folder"),
        (["evaluate", "small.yaml"], "pdeml: small.yaml is a file"),
        (["evaluate", "runs/none"], "runs/none: there is no such run"),
        (["train", "small.yaml", "--device", "gpu"], "pdeml: --device gpu: "),
        (["train", "small.yaml", "--set", "export={points: none.csv}"], "pdeml: --set export={points: none.csv}"),
    ],
)
def test_a_message_begins_with_a_place_or_with_the_name_of_the_program(cli, arguments, start):
    assert cli(*arguments).err.startswith(start)


@pytest.mark.parametrize(
    "override, message",
    [
        ("solver.widht=3", "did you mean 'width'?"),
        ("solver.width=0", "at least 1"),
        ("solver.width=three", "must be a whole number"),
        ("solver.kind=fnoo", "did you mean 'fno'"),
        ("solver.ensemble=3", "makes no ensembles yet"),
        ("solver.tolerance=1/0", "solver.tolerance"),
        ("solver.seed=3", None),
        ("data={file: obs.h5}", "'pinn' does not use data yet"),
        ("kernels=cuda", "triton"),
        ("precision=float32", None),
        ("device=cuda:77", "not on this machine"),
        ("export.grid={x: 1}", "at least 2 points"),
        ("export={points: none.csv}", "no such file"),
        ("reference={file: none.h5}", "no such file"),
        ("reference={solver: fen}", "did you mean 'fem'"),
        ("reference={solver: etdrk4}", "'etdrk4' cannot solve it"),
        ("reference={named: cole-hopf}", "cole-hopf solves"),
        ("problem.parameters.alpha={range: [0.1, 1]}", "not supported yet"),
        ("problem.equations=[u_t = alpha*u_xx + w]", "'w'"),
    ],
)
def test_overrides_are_checked_before_anything_is_written(cli, override, message):
    found = cli("train", "small.yaml", "--set", override, "--quiet")
    if message is None:
        assert (found.code, found.err) == (0, "")
        return
    assert found.code == 2
    assert message in found.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "old, new, place",
    [
        ("on: boundary,", "on: boundry,", "wrong.yaml:11: problem.conditions[1].on: "),
        ("width: 4", "widht: 4", "wrong.yaml:14: solver.widht: "),
        ("alpha*u_xx", "alpha*u_xy", "wrong.yaml:8: problem.equations[0]"),
        ("x: 9", "q: 9", "wrong.yaml:16: export.grid.q: "),
    ],
)
def test_errors_name_file_line_and_path(cli, old, new, place):
    Path("wrong.yaml").write_text(Path("small.yaml").read_text().replace(old, new))
    found = cli("train", "wrong.yaml")
    assert found.code == 2
    assert found.err.startswith(place)


def test_options_shared_with_the_top_of_the_spec_must_agree(cli):
    found = cli("train", "small.yaml", "--set", "seed=1", "--set", "solver.seed=2")
    assert found.code == 2
    assert "at the top of the spec" in found.err


def test_a_device_that_is_not_there_is_named_as_it_was_given(cli):
    found = cli("train", "small.yaml", "--device", "cuda:77")
    assert found.code == 2
    assert found.err.startswith("pdeml: --device cuda:77: ")


def test_recipes_are_not_trained(cli):
    text = Path("small.yaml").read_text()
    recipe = text[: text.index("solver:")].replace("exact: {u: exp(-alpha*pi**2*t)*sin(pi*x)}", "solver: fem")
    Path("recipe.yaml").write_text(recipe + "generate: {samples: 3}\n")
    found = cli("train", "recipe.yaml")
    assert found.code == 2
    assert "`pdeml generate` makes it" in found.err


def test_divergence_keeps_the_best_state_and_exits_1(cli):
    wild = "solver={kind: pinn, width: 4, depth: 1, points: 32, steps: 50, optimizer: adam, learning_rate: 1.0e+200}"
    found = cli("train", "small.yaml", "--set", wild)
    assert found.code == 1
    assert "diverged" in found.err
    summary = json.loads(Path("runs/small/summary.json").read_text())
    assert summary["status"] == "diverged"
    assert "diverged" in summary["verdict"]
    assert Path("runs/small/fields.h5").is_file()
    assert cli("evaluate", "runs/small").code == 0


def test_divergence_before_there_is_a_solution_is_one_sentence(cli):
    text = Path("small.yaml").read_text()
    exploding = "u_t = u_xx + 1000*u^2 + 1000"
    lines = [f"    - {exploding}" if "u_t" in line else line for line in text.splitlines()]
    Path("exploding.yaml").write_text("\n".join(lines) + "\n")
    found = cli("train", "exploding.yaml", "--set", "solver={kind: reference}")
    assert found.code == 1
    assert "no solution is found beyond the time" in found.err


@pytest.mark.parametrize(
    "error, message",
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory"),
        (MemoryError(), "out of memory"),
        (OSError(28, "No space left on device"), "No space left"),
        (RunError("the disk is full"), "the disk is full"),
    ],
)
def test_what_the_machine_refuses_exits_1(cli, monkeypatch, error, message):
    from pdeml.solvers import PINN

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(PINN, "fit", fail)
    found = cli("train", "small.yaml", "--quiet")
    assert found.code == 1
    assert message in found.err
    assert "Traceback" not in found.err
    assert not Path("runs/small/summary.json").exists()


def test_a_bug_is_called_one_and_can_be_traced(cli, monkeypatch):
    from pdeml.solvers import PINN

    def fail(*arguments, **options):
        raise TypeError("oops")

    monkeypatch.setattr(PINN, "fit", fail)
    found = cli("train", "small.yaml", "--quiet")
    assert found.code == 1
    assert found.err.startswith("pdeml: internal error: TypeError: oops")
    monkeypatch.setenv("PDEML_DEBUG", "1")
    with pytest.raises(TypeError):
        cli("train", "small.yaml", "--quiet", "--overwrite")


def test_no_command_shows_the_help(cli):
    found = cli()
    assert found.code == 2
    assert "validate" in found.err


@pytest.mark.parametrize("damage", ["summary.json", "spec.yaml", "checkpoint/state.safetensors"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_damaged_runs_are_told_in_one_line(cli, run, damage, content):
    (run / damage).write_bytes(content)
    found = cli("evaluate", run)
    assert found.code == 2
    assert Path(damage).name in found.err
    assert found.err.count("\n") == 1
