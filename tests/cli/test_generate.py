"""``pdeml generate`` and what else knows recipes, as a user meets them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pdeml_datasets

RECIPE = """\
# a sine that decays
name: decay
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  inputs:
    a: {field: series, basis: sine, over: [x], terms: 4}
  equations: u_t = u_xx
  conditions:
    - {on: initial, value: {u: a}}
    - {on: boundary, value: {u: 0}}
reference: {exact: {u: "a*exp(-t)"}}
generate: {samples: 6, output: {x: 9, t: 3}, split: {train: 4, test: 2}, executor: serial}
"""


@pytest.fixture
def generate(cli):
    Path("decay.yaml").write_text(RECIPE)
    return lambda *arguments: cli("generate", "decay.yaml", *arguments)


def test_a_data_set_and_its_picture_are_written(generate, cli):
    found = generate()
    assert found.code == 0
    assert "wrote decay.h5: 6 samples" in found.out
    assert "samples/s" in found.out
    assert re.search(r" [\d.]+ KiB, in ", found.out)
    assert "warning" not in found.err
    assert "wrote decay.png" in found.out
    assert "6 of 6 samples" in found.err
    assert Path("decay.png").read_bytes().startswith(b"\x89PNG")
    assert "u" in cli("inspect", "decay.h5").out


def test_samples_output_and_quiet(generate):
    found = generate("--samples", "3", "-o", "small.h5", "--quiet")
    assert (found.code, found.out, found.err) == (0, "", "")
    assert Path("small.h5").is_file()
    assert not Path("decay.h5").exists()


def test_a_finished_file_is_refused_unless_it_is_to_be_replaced(generate):
    assert generate("--quiet").code == 0
    found = generate()
    assert found.code == 2
    assert "--overwrite replaces it" in found.err
    assert generate("--overwrite").code == 0
    again = generate("--resume")
    assert again.code == 0
    assert "nothing to do" in again.out


@pytest.mark.parametrize(
    "arguments, text",
    [
        (("--samples", "0"), "--samples 0: must be a whole number of at least 1"),
        (("--workers", "two"), "--workers two: must be a whole number"),
        (("--samples", "2", "--set", "generate.split.train=20"), "--set generate.split.train=20: with this part 20"),
        (
            ("--set", "generate.samples=2"),
            "decay.yaml:14: generate.split.train: with this part 4 samples are asked for",
        ),
        (("--executor", "threads"), "--executor threads: allowed are processes, dask, serial"),
        (("--set", "problem.inputs.a.basis=sinus"), "problem.inputs.a.basis=sinus: 'sinus' is not allowed"),
        (("--set", "generate.output={q: 3}"), "'q' is not a coordinate"),
        (("--set", "reference={solver: fvm}"), "'fvm' is not a reference solver"),
        (("-o", "nowhere/a.h5"), "there is no folder nowhere"),
        (("-o", "a.txt"), "data sets are HDF5 files"),
        (("--resume", "--overwrite"), "not allowed with"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(generate, arguments: tuple[str, ...], text: str):
    found = generate(*arguments)
    assert found.code == 2
    assert text in found.err
    assert found.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["decay.yaml", "small.yaml"]


STEADY = """\
# a string that is pulled at
name: string
problem:
  coordinates: {x: [0, 1]}
  unknowns: [u]
  inputs: {f: {field: series, basis: sine, over: [x], terms: 16}}
  equations: -u_xx = f
  conditions: {on: boundary, value: {u: 0}}
reference: {solver: chebyshev, grid: {x: POINTS}}
generate: {samples: 1, executor: serial}
"""


@pytest.mark.parametrize("points, warned", [(17, True), (129, False)])
def test_a_coarse_grid_is_warned_of(cli, points: int, warned: bool):
    Path("string.yaml").write_text(STEADY.replace("POINTS", str(points)), encoding="utf-8")
    found = cli("generate", "string.yaml")
    assert found.code == 0
    assert ("warning: the estimated relative error of sample 0 is" in found.err) == warned
    assert cli("generate", "string.yaml", "--overwrite", "--quiet").err == ""


def test_a_spec_that_is_no_recipe_is_refused(cli):
    found = cli("generate", "small.yaml")
    assert found.code == 2
    assert "no recipe" in found.err


def test_a_recipe_that_does_not_exist_is_told_with_the_nearest(cli, monkeypatch, tmp_path):
    (tmp_path / "darcy.yaml").write_text(RECIPE)
    monkeypatch.setattr(pdeml_datasets, "recipes", lambda: {"darcy-smooth": tmp_path / "darcy.yaml"})
    found = cli("generate", "darcy-smoth")
    assert found.code == 2
    assert "did you mean 'darcy-smooth'" in found.err
    assert cli("generate", "darcy-smooth", "--quiet", "-o", "d.h5").code == 0


def test_a_recipe_may_have_the_name_of_a_problem(cli, monkeypatch, tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    monkeypatch.setattr(pdeml_datasets, "recipes", lambda: {"heat": tmp_path / "r.yaml"})
    assert cli("generate", "heat", "--quiet").code == 0
    assert "counts" in cli("validate", "heat").out
    assert "generate" not in cli("validate", "heat").out


def test_a_recipe_is_validated_and_listed(generate, cli, monkeypatch):
    generate("--quiet")
    found = cli("validate", "decay.yaml")
    assert found.code == 0
    assert "6 samples (train 4, test 2)" in found.out
    monkeypatch.setattr(pdeml_datasets, "recipes", lambda: {"decay": Path("decay.yaml")})
    listed = cli("problems").out.splitlines()
    assert any(line.startswith("decay ") and "a sine that decays" in line for line in listed)
