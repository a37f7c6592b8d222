"""Converting data sets and describing them: every format becomes the same samples in a file of ours."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from pdeml.data import Coordinate, Schema, Writer, open_source
from pdeml.data.source import ArrayInfo
from pdeml.errors import InputError, PdemlError, RunError
from pdeml.run import convert, inspect


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A file of PDEArena with two parts."""
    file = tmp_path / "flow.h5"
    with h5py.File(file, "w") as h5:
        for mode, n in (("train", 5), ("test", 2)):
            for name in ("u", "vx", "vy"):
                h5[f"{mode}/{name}"] = _random(n, 3, 4, 6) + n
            h5[f"{mode}/buo_y"] = np.linspace(0, 1, n)
            for axis, size in (("t", 3), ("x", 4), ("y", 6)):
                h5[f"{mode}/{axis}"] = np.tile(np.linspace(0, 2, size), (n, 1))
    return file


@pytest.mark.parametrize("gzip", [0, 5])
@pytest.mark.parametrize("block", [1, 1000, 2**27])
def test_values_coordinates_and_split_survive(tmp_path: Path, flow: Path, monkeypatch, gzip: int, block: int):
    monkeypatch.setattr("pdeml.run.converting._BLOCK_BYTES", block)
    told = []
    convert(flow, tmp_path / "ours.h5", gzip=gzip, progress=lambda done, count: told.append((done, count)))
    with open_source(flow) as theirs, open_source(tmp_path / "ours.h5") as ours:
        assert ours.arrays == theirs.arrays
        for name in theirs.arrays:
            np.testing.assert_array_equal(ours.read(name, slice(None)), theirs.read(name, slice(None)))
        for name, values in theirs.coordinates.items():
            np.testing.assert_array_equal(ours.coordinates[name], values)
        assert {name: list(part) for name, part in ours.split.items()} == {"train": [0, 1, 2, 3, 4], "test": [5, 6]}
        assert "flow.h5 (PDEArena)" in ours.attrs["history"]
    assert told == [(k + 1, 7) for k in range(7)]
    with xarray.open_dataset(tmp_path / "ours.h5", engine="h5netcdf") as seen:
        assert seen["u"].dims == ("sample", "t", "y", "x")
    assert not list(tmp_path.glob("*.part"))


def test_memory_does_not_depend_on_the_size(tmp_path: Path, monkeypatch):
    with h5py.File(tmp_path / "large.hdf5", "w") as file:
        file.create_dataset("tensor", (1600, 20, 250), "f4", chunks=(1, 20, 250), fillvalue=1)
        file["x-coordinate"], file["t-coordinate"] = np.arange(250), np.arange(20)
    monkeypatch.setattr("pdeml.run.converting._BLOCK_BYTES", 2**20)
    monkeypatch.setattr("pdeml.data.formats.well_export._BLOCK_BYTES", 2**20)
    for to in ("pdeml", "well"):
        tracemalloc.start()
        convert(tmp_path / "large.hdf5", tmp_path / f"{to}.h5", to=to)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**23
        assert (tmp_path / f"{to}.h5").stat().st_size > 2**24


def test_one_of_ours_keeps_its_units_and_its_residual(tmp_path: Path):
    arrays = {
        "a": ArrayInfo("a", ("x",), (4,), np.float64, "input", "m"),
        "u": ArrayInfo("u", ("x",), (4,), np.float64, "output", "K"),
    }
    schema = Schema(arrays, {"x": Coordinate(np.arange(4.0), "km", long_name="way")}, residuals=True)
    with Writer(tmp_path / "a.h5", schema, 3, {"reference_error": 0.25}) as writer:
        for number, residual in enumerate((1e-9, 3e-9, 2e-9)):
            writer.append({"a": _random(4), "u": _random(4) + number}, residual)
        writer.finish()
    convert(tmp_path / "a.h5", tmp_path / "b.h5", gzip=3)
    with open_source(tmp_path / "b.h5") as source:
        assert source.array_attributes("x")["units"] == "km"
        assert source.array_attributes("x")["long_name"] == "way"
        assert source.array_attributes("u")["reference_residual"] == 3e-9
        assert "reference_residual" not in source.array_attributes("a")
        assert source.attrs["reference_error"] == 0.25


def test_names_of_the_user(tmp_path: Path, flow: Path):
    names = {"inputs": {"f": "vx"}, "outputs": {"w": "u"}, "coordinates": {"x": (-1, 1)}}
    convert(flow, tmp_path / "ours.h5", **names)
    with open_source(flow) as theirs, open_source(tmp_path / "ours.h5") as ours:
        assert {name: info.role for name, info in ours.arrays.items()} == {
            "f": "input",
            "w": "output",
            "buo_y": "parameter",
        }
        np.testing.assert_array_equal(ours.read("w", [3]), theirs.read("u", [3]))
        np.testing.assert_array_equal(ours.coordinates["x"], np.linspace(-1, 1, 4))


def test_ours_may_be_renamed_and_compressed(tmp_path: Path, flow: Path):
    convert(flow, tmp_path / "a.h5")
    convert(tmp_path / "a.h5", tmp_path / "b.h5", gzip=9, outputs={"smoke": "u"})
    with open_source(tmp_path / "a.h5") as a, open_source(tmp_path / "b.h5") as b:
        np.testing.assert_array_equal(b.read("smoke", slice(None)), a.read("u", slice(None)))
        assert {name: list(part) for name, part in a.split.items()} == {
            name: list(part) for name, part in b.split.items()
        }
        assert b.attrs["history"].count("converted by") == 2


def test_to_the_well_and_back(tmp_path: Path, flow: Path):
    convert(flow, tmp_path / "well.hdf5", to="well")
    convert(tmp_path / "well.hdf5", tmp_path / "ours.h5")
    with open_source(flow) as theirs, open_source(tmp_path / "ours.h5") as ours:
        assert set(ours.arrays) == set(theirs.arrays)
        for name, info in theirs.arrays.items():
            assert ours.arrays[name].dims == info.dims
            values = theirs.read(name, slice(None)).astype(np.float32)
            np.testing.assert_array_equal(ours.read(name, slice(None)), values)


def _write_ours(file: Path, spec: str = "", done: int = 4) -> None:
    axis = np.linspace(0, 1, 8, endpoint=False)
    arrays = {"u": ArrayInfo("u", ("x",), (8,), np.float64, "output")}
    with Writer(file, Schema(arrays, {"x": Coordinate(axis)}), 4, {"spec": spec, "seed": 3}) as writer:
        for _ in range(done):
            writer.append({"u": np.sin(axis)})
        if done == 4:
            writer.finish({"train": [0, 1], "test": [2, 3]})


@pytest.mark.parametrize(("periodic", "kind"), [(True, "periodic"), (False, "wall")])
def test_boundaries_of_the_spec_reach_the_well(tmp_path: Path, periodic: bool, kind: str):
    condition = "periodic: [x]" if periodic else "{on: boundary, value: {u: 0}}"
    spec = (
        "problem:\n  coordinates: {x: [0, 1], t: [0, 1]}\n  time: t\n  unknowns: [u]\n  equations:\n    - u_t = u_xx\n"
        f"  conditions:\n    - {{on: initial, value: {{u: 0}}}}\n    - {condition}\n"
    )
    _write_ours(tmp_path / "ours.h5", spec)
    convert(tmp_path / "ours.h5", tmp_path / "well.h5", to="well")
    with h5py.File(tmp_path / "well.h5") as file:
        assert file["boundary_conditions/x_boundary"].attrs["bc_type"] == kind


@pytest.mark.parametrize("fail_at", [0, 3])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError("the disk is full")])
@pytest.mark.parametrize("to", ["pdeml", "well"])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, flow: Path, fail_at: int, error, to: str, monkeypatch):
    monkeypatch.setattr("pdeml.run.converting._BLOCK_BYTES", 1)
    monkeypatch.setattr("pdeml.data.formats.well_export._BLOCK_BYTES", 1)

    def fail(done: int, _: int) -> None:
        if done > fail_at:
            raise error

    with pytest.raises((PdemlError, KeyboardInterrupt)):
        convert(flow, tmp_path / "out.h5", to=to, progress=fail)
    assert [file.name for file in tmp_path.iterdir()] == ["flow.h5"]


def test_the_part_of_somebody_else_stays(tmp_path: Path, flow: Path):
    _write_ours(tmp_path / "out.h5", done=2)
    before = (tmp_path / "out.h5.part").read_bytes()
    with pytest.raises(InputError, match=r"out\.h5\.part exists"):
        convert(flow, tmp_path / "out.h5")
    assert (tmp_path / "out.h5.part").read_bytes() == before


@pytest.mark.parametrize(
    ("out", "options", "said"),
    [
        ("flow.h5", {}, "exists"),
        ("out.txt", {}, "end the name"),
        ("none/out.h5", {}, "no folder"),
        ("out.h5", {"to": "wel"}, "did you mean 'well'"),
        ("out.h5", {"to": "well", "gzip": 3}, "written plain"),
        ("out.h5", {"outputs": {"u": "uu"}}, "did you mean 'u'"),
        ("out.h5", {"outputs": {"x": "u"}}, "'x' is taken"),
    ],
)
def test_refusals(tmp_path: Path, flow: Path, out: str, options: dict, said: str):
    with pytest.raises(InputError, match=said):
        convert(flow, tmp_path / out, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["flow.h5"]


def test_inspect_tells_everything(tmp_path: Path, flow: Path):
    text = inspect(flow)
    for part in (
        "data set (PDEArena), 7 samples",
        "u(t: 3, y: 4".replace("4", "6"),
        "output, float64, from",
        "train 5",
    ):
        assert part in text
    convert(flow, tmp_path / "ours.h5")
    text = inspect(tmp_path / "ours.h5")
    with open_source(flow) as source:
        u = source.read("u", source.split["train"])
    for part in (
        "(dataset/1), 7 samples",
        f"from {u.min():.4g} to {u.max():.4g}, mean {u.mean():.4g}",
        "in training",
        "train 5, test 2",
    ):
        assert part in text
    assert "f(t: 3, y: 6, x: 4), input" in inspect(flow, inputs={"f": "u"})


def test_inspect_of_a_part_says_how_much_is_done(tmp_path: Path):
    _write_ours(tmp_path / "ours.h5", done=3)
    assert "unfinished: 3 of 4 samples are done" in inspect(tmp_path / "ours.h5.part")


def test_inspect_tells_of_numbers_that_are_not_finite(tmp_path: Path):
    u = np.ones((2, 3))
    u[0, 1] = np.nan
    np.savez(tmp_path / "u.npz", u=u, v=np.full((2, 3), np.inf))
    text = inspect(tmp_path / "u.npz")
    assert "from 1 to 1, 1 not finite in all samples" in text
    assert "no finite value, 6 not finite" in text


def test_inspect_of_large_samples_reads_a_part(tmp_path: Path, monkeypatch):
    np.save(tmp_path / "u.npy", np.arange(4 * 50 * 3, dtype=float).reshape(4, 50, 3))
    monkeypatch.setattr("pdeml.run.describing._LOOK_BYTES", 200)
    assert "in parts of the first sample" in inspect(tmp_path / "u.npy")
    monkeypatch.setattr("pdeml.run.describing._LOOK_BYTES", 2500)
    assert "from 0 to 299 in the first 2 samples" in inspect(tmp_path / "u.npy")
