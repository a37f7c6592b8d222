"""A field comes back from its file as it was, and xarray sees the same."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdeml.errors import FileFormatError, InputError
from pdeml.field import Field

xarray = pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")

UNITS = st.sampled_from(["1", "m", "m/s", "s", "seconds", "days", "K", "µm", "$"])
NUMBERS = st.floats(width=64, allow_nan=True, allow_infinity=True)


@st.composite
def fields(draw: st.DrawFn) -> Field:
    space = draw(st.sampled_from([("x",), ("y", "x"), ("z", "y", "x"), ("r",), ("theta", "r"), ()]))
    time = draw(st.booleans()) or not space
    parameters = draw(st.sampled_from([(), ("nu",), ("nu", "k")]))
    sample = draw(st.booleans())
    dims = (*(["sample"] if sample else []), *parameters, *(["t"] if time else []), *space)
    sizes = [draw(st.integers(1, 3)) for _ in dims]
    coordinates = {
        dim: np.sort(draw(st.floats(-5, 5)) + np.arange(size)) for dim, size in zip(dims, sizes, strict=True)
    }
    if sample and draw(st.booleans()):
        coordinates.pop("sample")
    unknowns = draw(st.lists(st.sampled_from(["u", "v", "psi_real", "p2"]), min_size=1, unique=True))
    arrays = hnp.arrays(np.float64, tuple(sizes), elements=NUMBERS)
    return Field(
        dims,
        coordinates,
        {name: draw(arrays) for name in unknowns},
        units={name: draw(UNITS) for name in draw(st.lists(st.sampled_from([*coordinates, *unknowns]), unique=True))},
        std={name: draw(arrays) for name in unknowns if draw(st.booleans())},
        reference={name: draw(arrays) for name in unknowns if draw(st.booleans())},
        mask=draw(st.none() | hnp.arrays(bool, tuple(sizes)) | hnp.arrays(bool, sizes[-1:])),
        time="t" if time else None,
        parameters=parameters,
        attrs=draw(st.sampled_from([{}, {"title": "heat"}, {"title": "a\nb", "spec": "name: ü", "seed": 3}])),
    )


@settings(max_examples=60, deadline=None)
@given(fields())
@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, field: Field) -> None:
    path = tmp_path_factory.mktemp("field") / "fields.h5"
    field.to_hdf5(path)
    found = Field.from_hdf5(path)
    assert found.equals(field)
    assert found.attrs == field.attrs
    # Older xarray takes a time in seconds for a duration, unless it is told not to.
    with xarray.open_dataset(path, engine="h5netcdf", decode_timedelta=False) as dataset:
        xarray.testing.assert_identical(dataset.load(), field.to_xarray())


def heat() -> Field:
    axes = {"x": np.linspace(0, 1, 6), "y": np.linspace(0, 2, 5), "t": np.linspace(0, 1, 4)}
    units = {"u": "K", "x": "m", "t": "s"}
    field = Field.on_grid(
        axes,
        lambda p: ({"u": p.sum(1)}, {"u": np.ones(len(p))}),
        time="t",
        units=units,
        inside=lambda p: p[:, 0] > 0.3,
        attrs={"title": "heat", "spec": "name: heat", "seed": 7},
    )
    return field.with_reference(Field.from_expression({"u": "x"}, field))


def test_xarray_sees_the_contract(tmp_path: Path) -> None:
    field = heat()
    field.to_hdf5(tmp_path / "fields.h5")
    with xarray.open_dataset(tmp_path / "fields.h5", engine="h5netcdf") as dataset:
        assert dataset.attrs["Conventions"] == "CF-1.11"
        assert dataset.attrs["pdeml_format"] == "field/1"
        assert {"pdeml_version", "title", "history", "spec", "seed"} <= set(dataset.attrs)
        assert dataset.u.dims == ("t", "y", "x")
        assert (dataset.u.units, dataset.u.long_name, dataset.y.units) == ("K", "u", "1")
        assert [dataset[name].axis for name in ("x", "y", "t")] == ["X", "Y", "T"]
        assert set(dataset.data_vars) == {"u", "u_std", "u_reference", "u_error", "mask"}
        np.testing.assert_array_equal(dataset.u_error, field["u"] - field.reference["u"])
        assert dataset.mask.dtype == np.int8
        assert dataset.mask.dims == ("y", "x")
        np.testing.assert_array_equal(np.isnan(dataset.u[0]), dataset.mask == 0)


def test_scattered_fields_have_coordinates_on_point(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((7, 3))
    options = {"time": "t", "units": {"u": "K"}, "std": {"u": np.ones(7)}, "mask": np.arange(7) > 0}
    field = Field.at_points(points, ["x", "y", "t"], {"u": points[:, 0]}, **options)
    field.to_hdf5(tmp_path / "a.h5")
    assert Field.from_hdf5(tmp_path / "a.h5").equals(field)
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dataset.u.dims == ("point",)
        assert set(dataset.u.coords) == {"x", "y", "t"}
        xarray.testing.assert_identical(dataset.load(), field.to_xarray())


def test_a_file_rewritten_by_xarray_is_the_same_field(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((7, 2))
    for field in (heat(), Field.at_points(points, ["x", "t"], {"u": points[:, 0]}, time="t")):
        field.to_hdf5(tmp_path / "a.h5")
        with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
            dataset.to_netcdf(tmp_path / "b.h5", engine="h5netcdf")
        assert Field.from_hdf5(tmp_path / "b.h5").equals(field)


def test_equal_fields_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        heat().to_hdf5(tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("names", [("u", "u_std"), ("mask", "u"), ("sample", "u"), ("point", "u")])
def test_names_that_would_collide_in_the_file_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    x = np.arange(3.0)
    field = Field(
        ("point",),
        {"x": x},
        dict.fromkeys(names, x),
        std={"u": x},
        mask=np.ones(3),
    )
    if names[0] == "sample":
        field.to_hdf5(tmp_path / "a.h5")
        assert Field.from_hdf5(tmp_path / "a.h5").equals(field)
        return
    with pytest.raises(InputError, match="rename"):
        field.to_hdf5(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def rename_format(file: h5py.File) -> None:
    file.attrs["pdeml_format"] = "field/2"


def drop_unknown(file: h5py.File) -> None:
    for name in ("u", "u_std", "u_reference", "u_error"):
        del file[name]


def shuffle_axis(file: h5py.File) -> None:
    file["x"][...] = file["x"][()][::-1] ** 2 * [1, -1, 1, -1, 1, -1]


def drop_dimension_names(file: h5py.File) -> None:
    del file["u"].attrs["DIMENSION_LIST"]


SPOILT = {
    rename_format: "'field/2'; expected field/1",
    drop_unknown: "it holds no unknown",
    shuffle_axis: "increase strictly",
    drop_dimension_names: "no named dimensions",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_files_that_are_no_fields_are_refused(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "a.h5"
    heat().to_hdf5(path)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(FileFormatError, match=SPOILT[spoil]) as caught:
        Field.from_hdf5(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_xarray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match="pip install"):
        heat().to_xarray()
