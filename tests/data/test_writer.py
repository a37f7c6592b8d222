"""A data set is what was put into it, valid netCDF-4, and refuses what does not belong there."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.data import ArrayInfo, Coordinate, Schema, Writer, open_source, validate
from pdeml.data.statistics import Moments
from pdeml.data.store import Store
from pdeml.errors import DivergenceError, InputError

from .making import ATTRS, expected, mixed_schema, sample, small_schema, write

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    sizes = draw(st.dictionaries(st.sampled_from("xyzt"), st.integers(1, 40), min_size=1))
    arrays = {}
    for name in draw(st.lists(st.sampled_from(["a", "u", "v", "p"]), min_size=1, unique=True)):
        dims = [dim for dim in "tzyx" if dim in sizes and draw(st.booleans())]
        dtype = draw(st.sampled_from(["f4", "f8", "i1", "i8"]))
        role = draw(st.sampled_from(["input", "output", "parameter"]))
        arrays[name] = ArrayInfo(name, tuple(dims), tuple(sizes[dim] for dim in dims), np.dtype(dtype), role, "m/s")
    with_values = {dim: Coordinate(np.linspace(1, 0, size)) for dim, size in sizes.items() if draw(st.booleans())}
    return Schema(arrays, with_values, gzip=draw(st.sampled_from([0, 0, 5])))


@settings(max_examples=8, deadline=None)
@given(schemas(), st.integers(1, 30))
def test_everybody_reads_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, schema: Schema, samples: int
) -> None:
    path = write(tmp_path_factory.mktemp("data") / "a.h5", schema, samples, {"train": [0]})
    assert validate(path, data=True) == []
    with open_source(path) as source, h5py.File(path) as file, xarray.open_dataset(path, engine="h5netcdf") as data:
        assert source.complete
        assert source.schema().describe() == schema.describe()
        assert list(source.split) == ["train"]
        for name, info in schema.arrays.items():
            assert source.arrays[name] == info
            assert data[name].dims == ("sample", *info.dims)
            assert data[name].attrs["role"] == file[name].attrs["role"] == info.role
            values = expected(schema, name, range(samples))
            for found in (source.read(name, slice(None)), file[name][...], data[name].values):
                np.testing.assert_array_equal(found, values)
                assert found.dtype == info.dtype


def test_the_file_says_what_the_contract_asks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 5, {"train": [0, 1, 2], "validation": [3], "test": [4]})
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        for name, value in {"Conventions": "CF-1.11", "pdeml_format": "dataset/1", **ATTRS}.items():
            assert data.attrs[name] == value
        assert {"pdeml_version", "history"} <= set(data.attrs)
        assert data.x.attrs == {"units": "m", "long_name": "x", "axis": "X", "role": "coordinate"}
        assert (data.u.attrs["units"], data.u.attrs["long_name"]) == ("K", "temperature")
        assert "split" in data.coords
        meanings = data.split.attrs["flag_meanings"].split()
        assert [meanings[number] for number in data.split.values] == ["train"] * 3 + ["validation", "test"]
    with h5py.File(path) as file:
        for name in ("a", "u", "nu", "mask"):
            assert file[name].fletcher32
            assert file[name].chunks == file[name].shape, "small samples share a chunk"
            assert not file[name].compression


def test_large_samples_are_chunks_of_their_own(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5", mixed_schema(), 3)) as file:
        assert file["big"].chunks == (1, *file["big"].shape[1:])


def test_a_chunk_of_many_samples_has_at_least_256_kib(tmp_path: Path) -> None:
    schema = Schema({"u": ArrayInfo("u", ("x",), (1000,), np.float32, "output")})
    with h5py.File(write(tmp_path / "a.h5", schema, 150)) as file:
        assert 256 * 1024 <= np.prod(file["u"].chunks) * 4 < 2 * 256 * 1024
        assert file["u"].id.get_num_chunks() == 3


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 4097])
def test_the_index_of_chunks_is_that_of_hdf5_at_any_depth(tmp_path: Path, samples: int) -> None:
    schema = Schema({"u": ArrayInfo("u", ("x",), (2**16,), np.float32, "output")})
    with Writer(tmp_path / "a.h5", schema, samples, ATTRS) as writer:
        for number in range(min(samples, 3)):
            writer.append({"u": np.full(2**16, number)})
        with h5py.File(writer.part) as file:
            places = [file["u"].id.get_chunk_info_by_coord((number, 0)) for number in range(min(samples, 3))]
            assert len({place.byte_offset for place in places}) == len(places)
            np.testing.assert_array_equal(file["u"][:, 5], range(min(samples, 3)))
            assert file["u"].id.get_num_chunks() == samples


def test_another_program_can_extend_a_finished_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 70)
    with h5py.File(path, "r+") as file:
        file["u"].attrs["comment"] = "touched"
        file["u"].resize(200, axis=0)
        file["u"][150] = 1.0
        file.create_dataset("more", data=np.arange(10_000))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["u"][:70], expected(small_schema(), "u", range(70)))
        assert (file["u"][150] == 1).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-1e3, 1e3) | st.just(np.nan)), max_size=8),
    st.sampled_from([0.0, 1e8]),
)
def test_statistics_are_those_of_all_finite_numbers(parts: list[np.ndarray], shift: float) -> None:
    moments = Moments()
    for part in parts:
        moments.add(part + shift)
    found = moments.statistics()
    whole = np.concatenate([np.zeros(0), *(part + shift for part in parts)])
    whole = whole[np.isfinite(whole)]
    assert found["count"] == len(whole)
    if len(whole):
        assert found["min"] == whole.min()
        assert found["max"] == whole.max()
        assert found["mean"] == pytest.approx(whole.mean(), rel=1e-13, abs=1e-11)
        exact = np.longdouble(whole)
        assert found["std"] == pytest.approx(float(exact.std()), rel=1e-10, abs=1e-7 if shift else 1e-12)


def test_statistics_leave_out_nan(tmp_path: Path) -> None:
    schema = Schema({"u": ArrayInfo("u", ("x",), (3,), np.float64, "output")})
    with Writer(tmp_path / "a.h5", schema, 2, ATTRS) as writer:
        writer.append({"u": [1.0, np.nan, 3.0]})
        writer.append({"u": [5.0, 7.0, np.nan]})
        writer.finish()
    with open_source(writer.path) as source:
        assert source.statistics["u"] == {"mean": 4.0, "std": np.sqrt(5.0), "min": 1.0, "max": 7.0, "count": 4.0}
    assert validate(writer.path) == []
    assert validate(writer.path, data=True) == ["array 'u', sample 0: holds values that are not finite"]


def test_statistics_are_those_of_the_training_part(tmp_path: Path) -> None:
    schema = Schema({"u": ArrayInfo("u", ("x",), (2,), np.float64, "output")})
    with Writer(tmp_path / "a.h5", schema, 4, ATTRS) as writer:
        for value in (1.0, 100.0, 3.0, -100.0):
            writer.append({"u": [value, value]})
        writer.finish({"train": [0, 2], "test": [1, 3]})
    with open_source(writer.path) as source:
        assert source.statistics["u"] == {"mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0, "count": 4.0}


WRONG = {
    "an array too few": (lambda s: {k: v for k, v in s.items() if k != "nu"}, "sample 0 has no array 'nu'"),
    "an unknown array": (lambda s: {**s, "w": 0}, "'w' is not an array of the schema"),
    "a wrong shape": (lambda s: {**s, "a": np.zeros(8)}, r"'a' must have the shape \(9,\), got \(8,\)"),
    "infinite values": (lambda s: {**s, "nu": np.inf}, "sample 0: 'nu' holds infinite values"),
    "too large for float32": (lambda s: {**s, "a": np.full(9, 1e39)}, "sample 0: 'a' holds infinite values"),
    "nothing but NaN": (lambda s: {**s, "u": np.full((4, 9), np.nan)}, "sample 0: 'u' holds no finite value"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_samples_are_refused_and_change_nothing(tmp_path: Path, case: str) -> None:
    change, message = WRONG[case]
    schema = small_schema()
    with Writer(tmp_path / "a.h5", schema, 2, ATTRS) as writer:
        before = writer.part.read_bytes()
        with pytest.raises((InputError, DivergenceError), match=message):
            writer.append(change(sample(schema, 0)))
        assert writer.part.read_bytes() == before
        assert writer.done == 0


def test_only_the_same_data_set_is_continued(tmp_path: Path) -> None:
    schema, path = small_schema(), tmp_path / "a.h5"
    with Writer(path, schema, 3, ATTRS) as writer:
        writer.append(sample(schema, 0))
    moved = Schema(schema.arrays, {**schema.coordinates, "x": Coordinate(np.linspace(0, 2, 9), "m")})
    other = Schema({**schema.arrays, "nu": dataclasses.replace(schema.arrays["nu"], unit="kg")}, schema.coordinates)
    for changed, samples, attrs, message in (
        (moved, 3, ATTRS, "another coordinate 'x'"),
        (other, 3, ATTRS, "another array 'nu'"),
        (small_schema(gzip=3), 3, ATTRS, "another gzip"),
        (schema, 4, ATTRS, "another 'samples': 3, now 4"),
        (schema, 3, {**ATTRS, "seed": 8}, "another 'seed': 7, now 8"),
        (schema, 3, {**ATTRS, "spec": "name: other\n"}, "another 'spec'"),
    ):
        with pytest.raises(InputError, match=message):
            Writer(path, changed, samples, attrs, resume=True)
    with pytest.raises(InputError, match="a data set being generated; resume it"):
        Writer(path, schema, 3, ATTRS)
    with Writer(path, schema, 3, {**ATTRS, "title": "may differ"}, resume=True) as writer:
        assert writer.done == 1
    path.touch()
    with pytest.raises(InputError, match="exists; remove it"):
        Writer(path, schema, 3, ATTRS, resume=True)


def test_two_writers_exclude_each_other(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from making import ATTRS, small_schema\nfrom pdeml.data import Writer\n"
        f"Writer({str(tmp_path / 'a.h5')!r}, small_schema(), 3, ATTRS, resume=True)"
    )
    with Writer(tmp_path / "a.h5", small_schema(), 3, ATTRS):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "another process is writing this data set" in done.stderr


@pytest.mark.parametrize(
    "split, message",
    [
        ({"train": [0, 1], "test": [1]}, "a sample of test belongs to two parts"),
        ({"train": [0, 0]}, "a sample of train belongs to two parts"),
        ({"train": [3]}, "train names samples outside 0 ... 2"),
        ({"trian": [0]}, "did you mean 'train'"),
    ],
)
def test_splits_never_overlap(tmp_path: Path, split: dict, message: str) -> None:
    schema = small_schema()
    with Writer(tmp_path / "a.h5", schema, 3, ATTRS) as writer:
        with pytest.raises(InputError, match="only 0 of 3"):
            writer.finish(split)
        for number in range(3):
            writer.append(sample(schema, number))
        with pytest.raises(InputError, match="all 3 samples are written"):
            writer.append(sample(schema, 3))
        with pytest.raises(InputError, match=message):
            writer.finish(split)
        writer.finish({"train": [0, 2]})
    assert validate(writer.path, data=True) == []


ARRAY = ArrayInfo("u", ("x",), (3,), np.float64, "output")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Schema({}), "at least one array"),
        (lambda: Schema({"v": ARRAY}), "listed under the name 'v'"),
        (lambda: Schema({"u": ARRAY}, {"x": Coordinate(np.arange(4.0))}), "has 3 points along 'x', others have 4"),
        (lambda: Schema({"u": ARRAY}, {"x": Coordinate([0.0, 1.0, 1.0])}), "strictly monotone"),
        (lambda: Schema({"u": ARRAY}, {"x": Coordinate([0.0, 1.0, np.nan])}), "finite numbers"),
        (lambda: Schema({"u": ARRAY}, gzip=10), "from 0"),
        (lambda: Schema({"split": dataclasses.replace(ARRAY, name="split")}), "'split' is taken"),
        (lambda: Schema({"x": dataclasses.replace(ARRAY, name="x")}), "'x' is taken"),
        (lambda: Schema({"u": dataclasses.replace(ARRAY, dtype=np.dtype("c16"))}), "is not a type that is stored"),
        (lambda: Schema({"u": dataclasses.replace(ARRAY, shape=(2**30,))}), "chunks below 4 GiB"),
        (lambda: Schema({"u": dataclasses.replace(ARRAY, shape=(0,))}), "no points along 'x'"),
        (lambda: ArrayInfo("u", ("x",), (3, 3), np.float64, "output"), "1 names for them"),
        (lambda: ArrayInfo("u", (), (), np.float64, "ouput"), "did you mean 'output'"),
    ],
)
def test_wrong_schemas_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_what_another_process_wrote_meanwhile_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, schema = tmp_path / "a.h5", small_schema()
    with Writer(path, schema, 3, ATTRS) as writer:
        writer.append(sample(schema, 0))

    def intruded(*arguments: object) -> Store:
        monkeypatch.undo()
        with Writer(path, schema, 3, ATTRS, resume=True) as other:
            other.append(sample(schema, 1))
        return Store(*arguments)

    monkeypatch.setattr("pdeml.data.writer.Store", intruded)
    with pytest.raises(InputError, match="another process has just written"):
        Writer(path, schema, 3, ATTRS, resume=True)
    with Writer(path, schema, 3, ATTRS, resume=True) as writer:
        assert writer.done == 2
