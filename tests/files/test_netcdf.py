"""What is written is valid netCDF-4: xarray opens it with no options and finds the same."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.errors import FileFormatError, InputError
from pdeml.files import (
    Variable,
    create_coordinate,
    create_dimension,
    create_file,
    create_variable,
    read_netcdf,
    resize_dimension,
    variable_dims,
    write_netcdf,
)

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")

FORMAT = {"pdeml_format": "field/1"}
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
TYPES = st.sampled_from(["f8", "f4", "i1", "i4", "i8", "u1"])


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Variable]:
    dims = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    names = draw(st.lists(NAMES.filter(lambda name: name not in dims), min_size=1, max_size=3, unique=True))
    sizes = {dim: draw(st.integers(1, 4)) for dim in dims}
    result = {}
    for dim in draw(st.lists(st.sampled_from(dims), unique=True)):
        result[dim] = Variable((dim,), np.arange(sizes[dim], dtype=float), {"units": draw(st.sampled_from(["1", "m"]))})
    for name in names:
        used = tuple(draw(st.permutations(dims)))[: draw(st.integers(1, len(dims)))]
        data = draw(hnp.arrays(np.dtype(draw(TYPES)), tuple(sizes[dim] for dim in used)))
        result[name] = Variable(
            used, data, {"long_name": draw(st.text(st.characters(codec="utf-8", exclude_characters="\0")))}
        )
    return result


@settings(max_examples=40, deadline=None)
@given(contents())
def test_ours_and_xarray_read_what_was_written(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    path = tmp_path_factory.mktemp("netcdf") / "a.h5"
    write_netcdf(path, content, FORMAT)
    ours, attrs = read_netcdf(path, ["field/1"])
    assert attrs == FORMAT
    assert set(ours) == set(content)
    with xarray.open_dataset(path, engine="h5netcdf") as theirs:
        for name, variable in content.items():
            for found in (ours[name], theirs[name]):
                assert tuple(found.dims) == variable.dims
                np.testing.assert_array_equal(getattr(found, "data", found), variable.data)
                assert dict(found.attrs) == dict(variable.attrs)
            assert ours[name].data.dtype == theirs[name].dtype == variable.data.dtype


def test_attributes_of_every_kind_survive(tmp_path: Path) -> None:
    attrs = {
        "spec": "name: ü\n" * 20_000,
        "empty": "",
        "seed": 3,
        "flag": True,
        "rate": 0.5,
        "split": ["train", "test"],
        "mean": [1.0, 2.0],
        "nothing": None,
        **{f"a{k}": k for k in range(40)},
    }
    write_netcdf(tmp_path / "a.h5", {"x": Variable(("x",), np.arange(3.0))}, FORMAT | attrs)
    _, found = read_netcdf(tmp_path / "a.h5", ["field/1"])
    assert found["spec"] == attrs["spec"]
    assert (found["empty"], found["seed"], found["flag"], found["rate"]) == ("", 3, 1, 0.5)
    assert found["split"] == ["train", "test"]
    np.testing.assert_array_equal(found["mean"], [1.0, 2.0])
    assert "nothing" not in found
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dataset.attrs["spec"] == attrs["spec"]
        assert dataset.attrs["a39"] == 39


@pytest.mark.parametrize("value", [{"a": 1}, object(), "a\0b", [["a"]], 1j])
def test_attributes_that_cannot_be_stored_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match="attribute 'bad'"):
        write_netcdf(tmp_path / "a.h5", {"x": Variable(("x",), np.arange(3.0))}, {"bad": value})
    assert list(tmp_path.iterdir()) == []


def test_the_structure_is_netcdf(tmp_path: Path) -> None:
    content = {"x": Variable(("x",), np.arange(3.0)), "u": Variable(("sample", "x"), np.zeros((2, 3)))}
    write_netcdf(tmp_path / "a.h5", content, FORMAT)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["x"].attrs["CLASS"] == b"DIMENSION_SCALE"
        assert file["x"].attrs["NAME"] == b"x"
        assert file["sample"].attrs["NAME"].startswith(b"This is a netCDF dimension but not a netCDF variable")
        assert sorted(int(file[name].attrs["_Netcdf4Dimid"]) for name in ("x", "sample")) == [0, 1]
        assert np.isnan(file["u"].attrs["_FillValue"])
        assert "_FillValue" not in file["x"].attrs
        assert sorted(file) != ["x", "sample", "u"] == list(file), "creation order is kept"
        assert variable_dims(file["u"]) == ("sample", "x")


def test_an_unlimited_dimension_grows_with_its_arrays(tmp_path: Path) -> None:
    with create_file(tmp_path / "a.h5") as file:
        file.attrs["pdeml_format"] = "dataset/1"
        create_dimension(file, "sample", 0, unlimited=True)
        create_coordinate(file, "x", np.arange(3.0), {"units": "1"})
        array = create_variable(
            file, "u", ("sample", "x"), "f4", {}, chunks=(1, 3), fletcher32=True, compression="gzip"
        )
        for number in range(3):
            resize_dimension(file, "sample", number + 1)
            array[number] = number
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dict(dataset.sizes) == {"sample": 3, "x": 3}
        np.testing.assert_array_equal(dataset.u, np.arange(3)[:, None] * np.ones(3))


def test_other_fill_values_are_read_as_nan(tmp_path: Path) -> None:
    write_netcdf(tmp_path / "a.h5", {"u": Variable(("x",), np.array([1.0, -9.0, 3.0]))}, FORMAT)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["u"].attrs["_FillValue"] = np.array([-9.0])
    np.testing.assert_array_equal(read_netcdf(tmp_path / "a.h5", ["field/1"])[0]["u"].data, [1, np.nan, 3])


def test_sizes_that_disagree_are_refused(tmp_path: Path) -> None:
    content = {"x": Variable(("x",), np.arange(3.0)), "u": Variable(("x",), np.arange(4.0))}
    with pytest.raises(InputError, match="4 values along 'x'"):
        write_netcdf(tmp_path / "a.h5", content, {})
    with pytest.raises(InputError, match="both a dimension and an array"):
        write_netcdf(tmp_path / "a.h5", {"x": Variable(("y",), np.zeros(2)), "u": Variable(("x",), np.zeros(2))}, {})


@pytest.mark.parametrize(
    ("found", "message"), [(None, "no attribute 'pdeml_format'"), ("dataset/1", "'dataset/1'; expected field/1")]
)
def test_another_format_is_named(tmp_path: Path, found: str | None, message: str) -> None:
    write_netcdf(tmp_path / "a.h5", {"x": Variable(("x",), np.arange(3.0))}, {"pdeml_format": found})
    with pytest.raises(FileFormatError, match=message):
        read_netcdf(tmp_path / "a.h5", ["field/1"])
