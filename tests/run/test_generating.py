"""A data set is at all times absent, continuable or finished; resumed, it is the one that nobody interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray

from pdeml.data import open_source, validate
from pdeml.errors import InputError, RunError
from pdeml.reference.generation import Recipe
from pdeml.run import describe_recipe, generate_spec, generating, make_generation_plan
from pdeml.run.recipes import find_recipe
from pdeml.spec import Document, apply_overrides, dump_spec, parse_spec

RECIPE = """\
name: decay
seed: 5
problem:
  coordinates: {x: [0, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {nu: {range: [0.1, 1]}}
  inputs:
    a: {field: series, basis: sine, over: [x], terms: 4}
  equations: u_t = nu*u_xx
  conditions:
    - {on: initial, value: {u: a}}
    - {on: boundary, value: {u: 0}}
reference: {exact: {u: "a*exp(-nu*t)"}}
generate:
  samples: 12
  output: {x: 17, t: 5}
  split: {train: 8, validation: 2, test: 2}
  batch: 5
  executor: serial
"""


def recipe(*changes: str) -> Document:
    return apply_overrides(parse_spec(RECIPE, "decay.yaml"), changes)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with open_source(path) as source:
        return {name: source.read(name, slice(None)) for name in source.arrays}


def equal(one: Path, other: Path) -> bool:
    first, second = arrays(one), arrays(other)
    return first.keys() == second.keys() and all(first[name].tobytes() == second[name].tobytes() for name in first)


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else."""
    if "with_picture" not in request.fixturenames:
        monkeypatch.setattr(generating, "_picture", lambda path, plan: None)


@pytest.fixture
def with_picture() -> None:
    """Let pictures be drawn."""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return generate_spec(recipe(), tmp_path / "whole.h5").path


@pytest.mark.usefixtures("with_picture")
def test_a_finished_data_set_is_valid_and_opens_in_xarray(whole: Path):
    assert validate(whole) == []
    assert not whole.with_name("whole.h5.part").exists()
    assert whole.with_suffix(".png").stat().st_size > 10_000
    with xarray.open_dataset(whole, engine="h5netcdf") as data:
        assert data.u.dims == ("sample", "t", "x")
        assert data.attrs["seed"] == 5
        assert {name: data[name].attrs["role"] for name in ("a", "nu", "u")} == {
            "a": "input",
            "nu": "parameter",
            "u": "output",
        }
        expected = data.a * np.exp(-data.nu * data.t)
        assert np.allclose(data.u, expected.transpose("sample", "t", "x"), rtol=0, atol=1e-6)
    with open_source(whole) as source:
        assert {part: len(numbers) for part, numbers in source.split.items()} == {
            "train": 8,
            "validation": 2,
            "test": 2,
        }


def test_the_spec_in_the_file_makes_the_same_file(whole: Path, tmp_path: Path):
    with open_source(whole) as source:
        again = parse_spec(source.attrs["spec"], "again.yaml")
    assert equal(generate_spec(apply_overrides(again, ["generate.executor=serial"]), tmp_path / "b.h5").path, whole)


@pytest.mark.slow
def test_workers_change_nothing(whole: Path, tmp_path: Path):
    changes = ("generate.executor=processes", "generate.workers=2")
    assert equal(generate_spec(recipe(*changes), tmp_path / "b.h5").path, whole)


@pytest.mark.parametrize("stop", [0, 5, 10])
def test_what_was_interrupted_goes_on_to_the_same_arrays(whole: Path, tmp_path: Path, stop: int):
    path = tmp_path / "b.h5"

    def interrupt(done: int) -> None:
        if done == stop:
            os.kill(os.getpid(), signal.SIGTERM)

    first = generate_spec(recipe(), path, watch=interrupt)
    assert (first.status, first.done, first.signal) == ("interrupted", stop, signal.SIGTERM)
    assert not path.exists()
    with pytest.raises(InputError, match="--resume continues it, --overwrite starts again"):
        generate_spec(recipe(), path)
    second = generate_spec(recipe(), path, resume=True)
    assert (second.status, second.done, second.made) == ("finished", 12, 12 - stop)
    assert equal(path, whole)


def test_a_part_may_end_within_a_batch(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed between two samples of a batch: the batch is made again as a whole, and only what is missing is kept."""
    from pdeml.data.writer import Writer

    append, path = Writer.append, tmp_path / "b.h5"

    def fails_at_seven(writer: Writer, sample: dict, residual: float) -> None:
        if writer.done == 7:
            raise RunError("no space left")
        append(writer, sample, residual)

    monkeypatch.setattr(Writer, "append", fails_at_seven)
    with pytest.raises(RunError, match="no space left"):
        generate_spec(recipe(), path)
    monkeypatch.setattr(Writer, "append", append)
    with open_source(path.with_name("b.h5.part")) as source:
        assert source.length == 7
        assert not source.complete
    assert generate_spec(recipe(), path, resume=True).made == 5
    assert equal(path, whole)


def test_a_finished_file_is_kept(whole: Path):
    before = whole.read_bytes()
    with pytest.raises(InputError, match="--overwrite replaces it"):
        generate_spec(recipe(), whole)
    assert generate_spec(recipe(), whole, resume=True).status == "already"
    for changes, said in {
        ("seed=6",): "was made with another recipe: seed 5, now 6; --overwrite replaces it",
        ("problem.inputs.a.terms=5",): r"another recipe: problem\.inputs\.a\.terms 4, now 5;",
        ("precision=float32",): "another recipe: precision not given, now float32;",
        ("generate.samples=24", "seed=6"): "is finished with 12 samples, and 24 are asked for; .* is not extended",
    }.items():
        with pytest.raises(InputError, match=said):
            generate_spec(recipe(*changes), whole, resume=True)
    assert whole.read_bytes() == before
    generate_spec(recipe("seed=6"), whole, overwrite=True)
    assert arrays(whole)["a"].tobytes() != before


def test_another_recipe_does_not_continue_a_part(tmp_path: Path):
    def interrupt(done: int) -> None:
        if done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    path = tmp_path / "b.h5"
    generate_spec(recipe(), path, watch=interrupt)
    with pytest.raises(
        InputError, match=r"b\.h5\.part was made with another recipe: seed 5, now 6; --overwrite starts"
    ):
        generate_spec(recipe("seed=6"), path, resume=True)
    assert generate_spec(recipe("seed=6"), path, overwrite=True).status == "finished"


def test_a_sample_that_fails_leaves_those_before_it(tmp_path: Path):
    """1/(nu - c) is infinite in sample 6 alone."""
    nu = make_generation_plan(recipe()).recipe.case(6).parameters["nu"]
    path, blow = tmp_path / "b.h5", f"reference={{exact: {{u: a/(nu - {nu!r})}}}}"
    with pytest.raises(RunError, match="sample 6 cannot be solved: u is not finite"):
        generate_spec(recipe(blow), path)
    with open_source(path.with_name("b.h5.part")) as source:
        assert source.length == 5


@pytest.mark.parametrize(
    "name, text",
    [("b.csv", "HDF5 files"), ("none/b.h5", "there is no folder"), (".h5/", "end the name")],
)
def test_files_that_cannot_be_written_are_refused_first(tmp_path: Path, name: str, text: str):
    with pytest.raises(InputError, match=text):
        generate_spec(recipe(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(tmp_path: Path):
    with pytest.raises(InputError, match=r"of disk space, there are"):
        generate_spec(recipe("generate.samples=1000000000000"), tmp_path / "b.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_recipe_is_no_file():
    with pytest.raises(InputError, match=r"generate.split.train.*: a part is a count of samples or a fraction"):
        make_generation_plan(recipe("generate.split={train: other.h5}"))


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 200, 1200, 5000])
def test_another_number_of_samples_keeps_the_proportions(samples: int, tmp_path: Path):
    (tmp_path / "r.yaml").write_text(dump_spec(recipe().spec), encoding="utf-8")
    document = find_recipe(tmp_path / "r.yaml", samples)
    sizes = {part: len(numbers) for part, numbers in make_generation_plan(document).split.items()}
    assert sum(sizes.values()) == samples
    for part, share in {"train": 8 / 12, "validation": 2 / 12, "test": 2 / 12}.items():
        assert abs(sizes.get(part, 0) - share * samples) <= 1


@pytest.mark.slow
def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path: Path):
    (tmp_path / "r.yaml").write_text(dump_spec(recipe().spec), encoding="utf-8")
    (tmp_path / "script.py").write_text(
        "import pdeml as pm\nprint('started')\nprint(pm.generate('r.yaml', 'b.h5', samples=4, workers=2).done)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["started", "4"]


HEAT = """\
name: heat
problem:
  coordinates: {x: [0, 1], y: [0, 1]}
  unknowns: [u]
  inputs: {f: {field: series, basis: sine, over: [x, y], terms: 3}}
  equations: -laplacian(u) = f
  conditions:
    - {on: boundary, value: {u: 0}}
reference: {solver: fem, grid: {x: 33, y: 33}}
generate: {samples: 3, output: {x: 9, y: 9}, executor: serial}
"""


@pytest.mark.parametrize("gzip", ["", "generate.gzip=1"])
def test_a_data_set_says_how_wrong_it_is(tmp_path: Path, gzip: str):
    document = apply_overrides(parse_spec(HEAT, "heat.yaml"), [gzip] if gzip else [])

    def interrupt(done: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    path, small = tmp_path / "a.h5", ["generate.batch=1"]
    generate_spec(apply_overrides(document, small), path, watch=interrupt)
    result = generate_spec(apply_overrides(document, small), path, resume=True)
    with open_source(path) as source:
        attrs, found = source.attrs, source.read("u", slice(None)).astype(np.float64)
        residual = source.array_attributes("u")["reference_residual"]
    assert (attrs["reference"], attrs["reference_grid"]) == ("fem", "x 33, y 33")
    assert result.error == attrs["reference_error"]
    finer = apply_overrides(document, ["reference.grid={x: 129, y: 129}", "generate.check=false"])
    generate_spec(finer, tmp_path / "b.h5")
    with open_source(tmp_path / "b.h5") as source:
        better = source.read("u", slice(None)).astype(np.float64)
        assert np.isnan(source.attrs["reference_error"])
    true = np.linalg.norm(found[0] - better[0]) / np.linalg.norm(better[0])
    assert 0.5 * true < attrs["reference_error"] < 2 * true
    facts = [facts["relative_residual"] for _, facts in Recipe.parse(attrs["spec"]).samples(0, 3)]
    assert residual == result.residual == max(facts)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="not on this machine"):
        make_generation_plan(recipe("device=cuda:77"))


def test_a_recipe_is_told_in_words():
    text = describe_recipe(make_generation_plan(recipe()))
    for part in ("12 samples (train 8, validation 2, test 2)", "input a: x 17, float32", "output u: t 5, x 17", "sine"):
        assert part in text


def test_parameters_of_maps_and_domains_are_used(tmp_path: Path):
    plan = make_generation_plan(recipe("problem.inputs.a.map=g*nu", "problem.equations=u_t = u_xx"))
    assert not any("nu" in warning for warning in plan.warnings)
    plan = make_generation_plan(recipe("problem.equations=u_t = u_xx"))
    assert any("nu" in warning for warning in plan.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command(tmp_path: Path, number: signal.Signals):
    (tmp_path / "r.yaml").write_text(RECIPE.replace("samples: 12", "samples: 5000").replace("serial", "processes"))
    command = [sys.executable, "-m", "pdeml", "generate", "r.yaml", "--workers", "2", "-o", "r.h5"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    part = tmp_path / "r.h5.part"
    while not part.exists() or _length(part) < 5:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    children = [int(child) for child in _children(process.pid)]
    assert len(children) >= 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (128 + number if number != signal.SIGKILL else -number)
    assert "Traceback" not in errors
    assert number == signal.SIGKILL or "--resume" in errors
    deadline = time.monotonic() + 10
    while any(_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(child) for child in children)
    assert 5 <= _length(part) <= 5000


def _length(part: Path) -> int:
    try:
        with open_source(part) as source:
            return source.length
    except (InputError, OSError):
        return 0


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
