"""The data that a spec names: a file, or a recipe generated on first use; what is wrong is told with file and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pdeml.errors import InputError
from pdeml.run.datafiles import data_entry, data_of, recipe_of
from pdeml.spec import Document, load_spec, parse_spec

RECIPE = """\
name: decay
seed: 5
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  inputs:
    a: {field: series, basis: fourier, over: [x], terms: 4}
  equations: u_t = 0
  conditions:
    - {on: initial, value: {u: a}}
    - periodic: [x]
reference: {exact: {u: "a"}}
generate:
  samples: 12
  output: {x: 16, t: 5}
  split: {train: 6, validation: 3, test: 3}
  executor: serial
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder ``specs`` that holds the recipe."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(data: str) -> Document:
    Path("specs/spec.yaml").write_text(f"# a test\ndata:\n  {data}\nsolver: fno\n")
    return load_spec("specs/spec.yaml")


def counts(document: Document) -> list[int]:
    data = data_of(document)
    return [len(data.numbers(name)) for name in ("train", "validation", "test")]


def test_a_recipe_is_generated_on_first_use_only(folder: Path) -> None:
    document = spec("recipe: recipe.yaml")
    made = recipe_of(document)
    assert (made.path, made.is_there, made.plan.samples) == (Path("decay.h5"), False, 12)
    assert data_of(document, generate=False) is None
    assert not Path("decay.h5").exists()
    seen: list[int] = []
    data = data_of(document, watch=seen.append, announce=lambda plan, path: seen.append(plan.samples))
    assert seen[0] == seen[-1] == 12
    assert data.signature().axis("x").periodic, "as the recipe's own problem says"
    before = Path("decay.h5").stat().st_mtime_ns
    assert counts(document) == [6, 3, 3]
    assert counts(spec("{recipe: recipe.yaml, train: 4}")) == [4, 3, 3]
    assert Path("decay.h5").stat().st_mtime_ns == before


def test_fewer_samples_than_there_are_keep_the_proportions() -> None:
    assert counts(spec("{recipe: recipe.yaml, samples: 8}")) == [4, 2, 2]
    assert counts(spec("{recipe: recipe.yaml, samples: 4}")) == [2, 1, 1]
    with pytest.raises(InputError, match=r"spec.yaml:3: data.recipe: decay.h5 holds 8 samples, 12 are asked for: say"):
        data_of(spec("recipe: recipe.yaml"))


def test_the_place_of_a_recipe_s_data_is_relative_to_the_spec_and_written_out(folder: Path) -> None:
    document = spec("{recipe: recipe.yaml, samples: 4, file: ../kept.h5, outputs: [u]}")
    assert data_entry(document) == {
        "recipe": str(folder / "specs" / "recipe.yaml"),
        "samples": 4,
        "file": str(folder / "kept.h5"),
        "outputs": {"u": "u"},
    }
    data_of(document)
    assert (folder / "kept.h5").exists()
    assert data_entry(spec("recipe: antiderivative"))["recipe"] == "antiderivative"


def test_a_file_of_another_recipe_is_refused(folder: Path) -> None:
    data_of(spec("{recipe: recipe.yaml, samples: 4}"))
    (folder / "specs" / "recipe.yaml").write_text(RECIPE.replace("terms: 4", "terms: 5"))
    with pytest.raises(InputError, match=r"spec.yaml:3: data.recipe: decay.h5 was made with another .*terms 4, now 5"):
        data_of(spec("{recipe: recipe.yaml, samples: 4}"))


def test_files_are_relative_to_the_spec_and_ranges_may_be_formulas(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, count in (("train.pt", 9), ("test.pt", 4)):
        torch.save({k: torch.from_numpy(rng.normal(size=(count, 8))) for k in "xy"}, folder / "specs" / name)
    document = spec("{file: train.pt, validation: 0.2, test: test.pt, coordinates: {x: [0, 2*pi]}, periodic: x}")
    assert counts(document) == [7, 2, 4]
    data = data_of(document)
    np.testing.assert_allclose(data.points["x"], 2 * np.pi * np.arange(8) / 8)
    assert data_entry(document)["test"] == str(folder / "specs" / "test.pt")
    assert recipe_of(document) is None
    assert (
        data_of(
            parse_spec(
                "problem: {coordinates: {x: [0, 1]}, unknowns: u, equations: u_x = 0, "
                "conditions: {on: boundary, value: {u: 0}}}"
            )
        )
        is None
    )


@pytest.mark.parametrize(
    "data, message",
    [
        ("recipe: antiderivativ", "3: data.recipe: 'antiderivativ' is not a shipped recipe; .* mean 'antiderivative'?"),
        ("recipe: none.yaml", "3: data.recipe: .*none.yaml.*no such file"),
        ("{file: bare.npz, noise: 1%}", "3: data.noise: goes with observations of one solution"),
        ("{file: bare.npz, weight: 2}", "3: data.weight: goes with observations"),
        ("{file: bare.npz, unknowns: [u]}", "3: data.unknowns: goes with observations"),
        ("[{file: bare.npz}, {file: bare.npz}]", r"3: data\[1\]: an operator learns from one data set"),
        ("{file: bare.npz, samples: 3}", "3: data.samples: goes with 'recipe'"),
        ("{train: 3}", "2: data: needs the key 'file', or 'recipe'"),
        ("{file: bare.npy}", "3: data.file: .*bare.npy: no such file"),
        (
            "file: bare.npz\n  outputs:\n    v: w\n  inputs: {a: a}",
            "5: data.outputs.v: 'w' is not an array of bare.npz",
        ),
        ("file: bare.npz\n  outputs: [w]", "4: data.outputs"),
        ("file: bare.npz\n  train: 7\n  test: 2", "5: data.test: the parts .train 7, test 2. add up to 9"),
        ("file: bare.npz\n  train: 4\n  test: bare.npz", "5: data.test: .* is the same data as"),
        ("file: bare.npz\n  coordinates:\n    x: [0, nu]", "5: data.coordinates.x"),
        (
            "file: bare.npz\n  periodic: [y]\n  inputs: [a]\n  outputs: [u]",
            "4: data.periodic.0.: 'y' is not a coordinate",
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(folder: Path, data: str, message: str) -> None:
    np.savez(folder / "specs" / "bare.npz", a=np.ones((8, 5)), u=np.ones((8, 5)))
    with pytest.raises(InputError, match=f"spec.yaml:{message}"):
        data_of(spec(data))
