"""Converting data sets and describing them: every format becomes the same samples in a file of ours."""

from __future__ import annotations

import errno
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from pdeml.data import Coordinate, Dataset, Schema, Writer, open_source
from pdeml.data.source import ArrayInfo
from pdeml.data.store import Store
from pdeml.errors import FileFormatError, InputError, PdemlError, RunError
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


@pytest.mark.parametrize(("method", "gzip"), [("write", 0), ("chunk", 3)])
def test_a_full_disk_is_told_as_it_is(tmp_path: Path, flow: Path, method: str, gzip: int, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, method, full)
    with pytest.raises(RunError, match="the disk is full; nothing is left behind"):
        convert(flow, tmp_path / "out.h5", gzip=gzip)
    assert [file.name for file in tmp_path.iterdir()] == ["flow.h5"]


def _write_masked(file: Path, missing: float) -> Path:
    """Write a data set with the point 0 outside the geometry, and ``missing`` at point 2 of sample 1."""
    arrays = {
        "mask": ArrayInfo("mask", ("x",), (4,), np.int8, "input"),
        "u": ArrayInfo("u", ("x",), (4,), np.float64, "output"),
    }
    with Writer(file, Schema(arrays, {"x": Coordinate(np.arange(4.0))}), 2, {"spec": "a: 1"}) as writer:
        writer.append({"mask": [0, 1, 1, 1], "u": [np.nan, 1, 2, 3]})
        writer.append({"mask": [0, 1, 1, 1], "u": [np.nan, 4, missing, 6]})
        writer.finish()
    return file


def test_what_is_missing_outside_the_geometry_is_no_fault(tmp_path: Path):
    one, other = _write_masked(tmp_path / "a.h5", 5.0), tmp_path / "b.h5"
    convert(one, other)
    with open_source(one) as before, open_source(other) as after:
        np.testing.assert_array_equal(after.read("u", slice(None)), before.read("u", slice(None)))
    assert "checked: 2 samples read, every value inside the geometry is finite, checksums" in inspect(other, check=True)
    convert(one, tmp_path / "well.h5", to="well")
    convert(tmp_path / "well.h5", tmp_path / "c.h5")
    for file in (one, tmp_path / "c.h5"):
        item = Dataset(file, normalise=True)[1]
        np.testing.assert_array_equal(item["mask"], [0, 1, 1, 1])
        assert item["u"][0] == 0
        assert item["u"].isfinite().all()


@pytest.mark.parametrize("to", ["pdeml", "well"])
@pytest.mark.parametrize("block", [1, 2**27])
def test_what_is_missing_inside_is_refused_unless_allowed(tmp_path: Path, to: str, block: int, monkeypatch):
    monkeypatch.setattr("pdeml.run.converting._BLOCK_BYTES", block)
    file = _write_masked(tmp_path / "a.h5", np.nan)
    with pytest.raises(FileFormatError, match=r"a\.h5: array 'u', sample 1: .* inside the geometry; --allow-nan"):
        convert(file, tmp_path / "b.h5", to=to)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    convert(file, tmp_path / "b.h5", to=to, allow_nan=True)
    with open_source(tmp_path / "b.h5") as source:
        np.testing.assert_array_equal(source.read("u", [1]), [[np.nan, 4, np.nan, 6]])
        assert to == "well" or source.statistics["u"]["mean"] == 3.2
    with pytest.raises(FileFormatError, match="sample 1: holds"):
        inspect(tmp_path / "b.h5", check=True)


def test_no_seed_is_made_up_for_what_others_made(tmp_path: Path, flow: Path):
    convert(flow, tmp_path / "ours.h5")
    assert "seed" not in inspect(tmp_path / "ours.h5")
    _write_ours(tmp_path / "a.h5", "a: 1")
    convert(tmp_path / "a.h5", tmp_path / "b.h5")
    assert "seed: 3" in inspect(tmp_path / "b.h5")


def test_inspect_checks_when_asked(tmp_path: Path, flow: Path):
    _write_ours(tmp_path / "a.h5", "a: 1")
    assert "ranges are as the file states them; --check" in inspect(tmp_path / "a.h5")
    assert "checked: 4 samples read, every value is finite, checksums and statistics" in inspect(
        tmp_path / "a.h5", check=True
    )
    assert inspect(flow, check=True).endswith("checked: 7 samples read, every value is finite")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["u"].attrs["max"] = 2.0
    with pytest.raises(FileFormatError, match=r"a\.h5: array 'u': its max is 0.767544, but 2 is stated"):
        inspect(tmp_path / "a.h5", check=True)
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[data.index(np.sin(np.linspace(0, 1, 8, endpoint=False)).tobytes()) + 12] ^= 1
    (tmp_path / "a.h5").write_bytes(data)
    assert "u(x: 8)" in inspect(tmp_path / "a.h5")
    with pytest.raises(FileFormatError, match=r"a\.h5: array 'u', .*checksum"):
        inspect(tmp_path / "a.h5", check=True)


def test_only_data_sets_can_be_checked(tmp_path: Path):
    (tmp_path / "x.safetensors").touch()
    with pytest.raises(InputError, match="no data set; only data sets can be checked"):
        inspect(tmp_path / "x.safetensors", check=True)


def test_an_unfinished_data_set_can_be_checked(tmp_path: Path):
    _write_ours(tmp_path / "a.h5", "a: 1", done=3)
    assert inspect(tmp_path / "a.h5.part", check=True).endswith("checked: 3 samples read, every value is finite")


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
