"""The Well: files written here by its documentation are read, and files written by pdeml keep its rules."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data.formats.well_export import write_well
from pdeml.data.source import open_source
from pdeml.errors import FileFormatError, InputError, RunError

from .checks import agrees
from .well_validator import broken_rules

B, T, X, Y = 3, 4, 5, 6
TIME = np.linspace(0, 2, T, dtype=np.float32)
XS, YS = np.linspace(-1, 1, X, dtype=np.float32), np.linspace(0, 3, Y, dtype=np.float32)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


ARRAYS = {
    "t0_fields/pressure": (_random(B, T, X, Y), (1, 1, 1, 1)),
    "t0_fields/bottom": (_random(B, X), (1, 0, 1, 0)),
    "t0_fields/depth": (_random(X, Y), (0, 0, 1, 1)),
    "t1_fields/velocity": (_random(B, T, X, Y, 2), (1, 1, 1, 1)),
    "t2_fields/stress": (_random(B, T, X, Y, 2, 2), (1, 1, 1, 1)),
    "t2_fields/flat": (_random(B, T, X, Y, 4), (1, 1, 1, 1)),
    "scalars/Ra": (_random(1), (0, 0)),
    "scalars/forcing": (_random(B, T), (1, 1)),
    "scalars/seed_number": (_random(B), (1, 0)),
}


def _write(path: Path, arrays: dict = ARRAYS, time: np.ndarray = TIME) -> Path:
    strings = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        file.attrs["dataset_name"], file.attrs["grid_type"] = "ExampleDSet", "cartesian"
        file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = 2, B
        file.attrs["simulation_parameters"] = np.array(["ParamA"], dtype=strings)
        file.attrs["ParamA"] = 1.5
        dims = file.create_group("dimensions")
        dims.attrs["spatial_dims"] = np.array(["x", "y"], dtype=strings)
        for name, values in (("time", time), ("x", XS), ("y", YS)):
            dims[name] = values
            dims[name].attrs["sample_varying"], dims[name].attrs["time_varying"] = np.bool_(values.ndim > 1), np.False_
        for group in ("scalars", "t0_fields", "t1_fields", "t2_fields"):
            names = [key.partition("/")[2] for key in arrays if key.startswith(group)]
            file.create_group(group).attrs["field_names"] = np.array(names, dtype=strings)
        for key, (values, flags) in arrays.items():
            file[key] = values
            file[key].attrs["sample_varying"], file[key].attrs["time_varying"] = map(np.bool_, flags[:2])
            file[key].attrs["dim_varying"] = np.array(flags[2:], bool)
        for dim, kind in (("x", "PERIODIC"), ("y", "wall")):
            group = file.create_group(f"boundary_conditions/{dim}_boundary")
            group.attrs["associated_dims"], group.attrs["bc_type"] = np.array([dim], dtype=strings), kind
    return path


def test_all_kinds_of_fields(tmp_path: Path):
    field = {key.partition("/")[2]: values for key, (values, _) in ARRAYS.items()}
    turned = (0, 1, 3, 2)
    expected = {
        "pressure": ("t y x", field["pressure"].transpose(turned)),
        "bottom": ("x", field["bottom"]),
        "depth": ("y x", np.broadcast_to(field["depth"].T, (B, Y, X))),
        "velocity_x": ("t y x", field["velocity"][..., 0].transpose(turned)),
        "velocity_y": ("t y x", field["velocity"][..., 1].transpose(turned)),
        "forcing": ("t", field["forcing"]),
        "seed_number": ("", field["seed_number"]),
    }
    for k, ending in enumerate(("xx", "xy", "yx", "yy")):
        expected[f"stress_{ending}"] = ("t y x", field["stress"][..., k // 2, k % 2].transpose(turned))
        expected[f"flat_{ending}"] = ("t y x", field["flat"][..., k].transpose(turned))
    with open_source(_write(tmp_path / "well.hdf5")) as source:
        agrees(source, expected, {"x": XS, "y": YS, "t": TIME})
        roles = {"bottom": "input", "depth": "input", "forcing": "parameter", "seed_number": "parameter"}
        assert {name: info.role for name, info in source.arrays.items()} == {
            **dict.fromkeys(expected, "output"),
            **roles,
        }
        assert source.attrs["Ra"] == pytest.approx(float(field["Ra"][0]))
        assert source.attrs["ParamA"] == 1.5
        assert (source.attrs["boundary_x"], source.attrs["boundary_y"]) == ("periodic", "wall")


def test_times_that_vary_are_a_parameter(tmp_path: Path):
    times = np.stack([TIME, 2 * TIME, 3 * TIME])
    with open_source(
        _write(tmp_path / "well.hdf5", {"t0_fields/p": (_random(B, T, X, Y), (1, 1, 1, 1))}, times)
    ) as source:
        np.testing.assert_array_equal(source.read("time", slice(None)), times)
        assert list(source.coordinates["t"]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"t0_fields/p": (_random(B, T, X), (1, 1, 1, 1))}, "has 3 axes"),
        ({"t0_fields/p": (_random(B, T, X, Y), (1, 1, 1))}, "dim_varying"),
        ({"t0_fields/p": (_random(B + 1, T, X, Y), (1, 1, 1, 1))}, "4 samples"),
        ({"t1_fields/v": (_random(B, T, X, Y), (1, 1, 1, 1))}, "has 4 axes"),
        ({"scalars/s": (_random(2), (0, 0))}, "does not vary"),
    ],
)
def test_contradictions_are_told(tmp_path: Path, arrays: dict, said: str):
    with pytest.raises(FileFormatError, match=said):
        open_source(_write(tmp_path / "wrong.hdf5", arrays))


def test_what_is_written_keeps_the_rules_and_reads_back(tmp_path: Path):
    out = tmp_path / "out.h5"
    told = []
    with open_source(_write(tmp_path / "well.hdf5")) as source:
        write_well(source, out, "again", {"x": "periodic", "y": "wall"}, lambda done, count: told.append((done, count)))
        with open_source(out) as again:
            assert set(again.arrays) == set(source.arrays)
            for name, info in source.arrays.items():
                assert again.arrays[name].dims == info.dims
                np.testing.assert_array_equal(again.read(name, slice(None)), source.read(name, slice(None)))
            assert again.attrs["boundary_x"] == "periodic"
    assert broken_rules(out) == []
    assert told[-1] == (B, B)
    with h5py.File(out) as file:
        assert set(file["t1_fields"]) == {"velocity"}
        assert set(file["t2_fields"]) == {"stress", "flat"}
        np.testing.assert_array_equal(file["t1_fields/velocity"], ARRAYS["t1_fields/velocity"][0])
        np.testing.assert_array_equal(file["t2_fields/stress"], ARRAYS["t2_fields/stress"][0])


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), timed=st.booleans(), vector=st.booleans())
def test_any_grid_keeps_the_rules(tmp_path_factory, sizes: list[int], timed: bool, vector: bool):
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    names = [f"v_{dim}" for dim in "xyz"[: len(sizes)]] if vector else ["u"]
    arrays = {name: rng.standard_normal((2, *([3] if timed else []), *sizes)) for name in names}
    np.savez(folder / "in.npz", **arrays)
    axes = {**({"t": (0, 1)} if timed else {}), **dict.fromkeys("xyz"[: len(sizes)], (0, 1))}
    with open_source(folder / "in.npz", outputs={name: name for name in names}, coordinates=axes) as source:
        write_well(source, folder / "out.h5", "any", dict.fromkeys("xyz"[: len(sizes)], "open"))
    assert broken_rules(folder / "out.h5") == []
    with open_source(folder / "out.h5") as source:
        kept = {name: list(source.arrays[name].dims) for name in source.arrays}
        assert kept == {name: [*(["t"] if timed else []), *reversed("xyz"[: len(sizes)])] for name in names}


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open_source(_write(tmp_path / "well.hdf5")) as source:
        with pytest.raises(InputError, match="exists"):
            write_well(source, tmp_path / "well.hdf5", "same", {})
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
        with pytest.raises(RunError, match="the disk has 10"):
            write_well(source, tmp_path / "out.h5", "full", {})
    assert sorted(file.name for file in tmp_path.iterdir()) == ["well.hdf5"]
    np.savez(tmp_path / "numbers.npz", a=np.arange(4.0))
    with open_source(tmp_path / "numbers.npz") as source, pytest.raises(InputError, match="no space coordinate"):
        write_well(source, tmp_path / "out.h5", "none", {})


def test_the_validator_sees_what_is_missing(tmp_path: Path):
    rules = broken_rules(_write(tmp_path / "well.hdf5"))
    assert any("has no mask" in rule for rule in rules)
    assert any("lacks flags" in rule for rule in rules)
    assert any("/t2_fields/flat has the shape" in rule for rule in rules)
