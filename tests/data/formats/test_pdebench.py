"""PDEBench, its five layouts, written here as its documentation and generators describe them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data.source import open_source
from pdeml.errors import FileFormatError

from .checks import agrees

sizes = st.integers(1, 5)


def _write(path: Path, arrays: dict, attrs: dict | None = None) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
        file.attrs.update(attrs or {})
    return path


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


@settings(max_examples=20)
@given(n=sizes, t=sizes, x=sizes, extra=st.integers(0, 1), packed=st.booleans(), ending=st.sampled_from(["h5", "hdf5"]))
def test_scalar(tmp_path_factory, n: int, t: int, x: int, extra: int, packed: bool, ending: str):
    tensor = _random(n, t, x)
    times, points = np.linspace(0, 2, t + extra), np.linspace(0, 1, x)
    stored = tensor[None] if packed else tensor
    file = _write(
        tmp_path_factory.mktemp("scalar") / f"1D_Advection_Sols_beta0.1.{ending}",
        {"tensor": stored, "x-coordinate": points, "t-coordinate": times},
        {"beta": 0.1},
    )
    with open_source(file) as source:
        agrees(source, {"tensor": ("t x", tensor)}, {"x": points, "t": times[:t]})
        assert source.format == "PDEBench"
        assert source.attrs["beta"] == 0.1
        assert source.arrays["tensor"].role == "output"


@settings(max_examples=20)
@given(n=sizes, x=sizes, y=sizes)
def test_darcy(tmp_path_factory, n: int, x: int, y: int):
    solution, nu = _random(n, 1, x, y), _random(n, x, y)
    xs, ys = np.linspace(0, 1, x), np.linspace(0, 2, y)
    file = _write(
        tmp_path_factory.mktemp("darcy") / "2D_DarcyFlow_beta1.0_Train.hdf5",
        {"tensor": solution, "nu": nu, "x-coordinate": xs, "y-coordinate": ys},
        {"beta": 1.0},
    )
    with open_source(file) as source:
        expected = {"nu": ("y x", nu.swapaxes(1, 2)), "tensor": ("y x", solution[:, 0].swapaxes(1, 2))}
        agrees(source, expected, {"x": xs, "y": ys})
        assert [source.arrays[name].role for name in ("nu", "tensor")] == ["input", "output"]
    with open_source(file, inputs={"a": "nu"}, outputs={"u": "tensor"}, coordinates={"y": (0, 3)}) as source:
        agrees(source, {"a": expected["nu"], "u": expected["tensor"]}, {"x": xs, "y": np.linspace(0, 3, y)})


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_compressible_flow(tmp_path: Path, dimension: int):
    shape = (3, 4, *(5, 6, 7)[:dimension])
    names = ["density", "pressure", *("Vx", "Vy", "Vz")[:dimension]]
    axes = {name: np.linspace(-1, 1, size) for name, size in zip("xyz", shape[2:], strict=False)}
    arrays = {name: _random(*shape) + place for place, name in enumerate(names)}
    times = np.linspace(0, 1, 5)
    stored = {**arrays, "t-coordinate": times, **{f"{name}-coordinate": values for name, values in axes.items()}}
    file = _write(tmp_path / "CFD_Rand_M0.1_Eta1e-08_Zeta1e-08_periodic_Train.hdf5", stored, {"eta": 1e-8, "M": 0.1})
    turned = [0, 1, *range(dimension + 1, 1, -1)]
    with open_source(file) as source:
        dims = " ".join(["t", *reversed(axes)])
        expected = {name: (dims, array.transpose(turned)) for name, array in arrays.items()}
        agrees(source, expected, {**axes, "t": times[:4]})
        assert source.attrs["eta"] == 1e-8


@pytest.mark.parametrize("components", [1, 2])
def test_a_group_a_sample(tmp_path: Path, components: int):
    data = _random(3, 4, 5, 6, components)
    times, xs, ys = np.linspace(0, 5, 4), np.linspace(-1, 1, 5), np.linspace(-2, 2, 6)
    file = tmp_path / "2D_diff-react_NA_NA.h5"
    with h5py.File(file, "w") as h5:
        for seed in range(3):
            group = h5.create_group(str(seed).zfill(4))
            group.create_dataset("data", data=data[seed], compression="lzf")
            group["grid/x"], group["grid/y"], group["grid/t"] = xs, ys, times
            group.attrs["config"] = (
                f"sim:\n  Du: 0.001\n  seed: {seed}\n  name: run{seed}\n  radius: {seed / 4 + 1e-3}\n"
            )
    names = ["data"] if components == 1 else ["data_0", "data_1"]
    with open_source(file) as source:
        expected = {name: ("t y x", data[..., k].transpose(0, 1, 3, 2)) for k, name in enumerate(names)}
        expected |= {"seed": ("", np.arange(3.0)), "radius": ("", np.arange(3) / 4 + 1e-3)}
        agrees(source, expected, {"x": xs, "y": ys, "t": times})
        assert source.arrays["radius"].role == "parameter"
        assert "Du: 0.001" in source.attrs["config"]


def test_incompressible_flow(tmp_path: Path):
    particles, velocity, force = _random(2, 3, 4, 5, 1), _random(2, 3, 4, 5, 2), _random(2, 4, 5, 2)
    times = np.linspace(0, 1, 3)
    stored = {"particles": particles, "velocity": velocity, "force": force, "t": np.stack([times, times])}
    file = _write(tmp_path / "ns_incom_inhom_2d_512-0.h5", stored, {"config": "NU: 0.01", "latestIndex": 2})
    with open_source(file) as source:
        expected = {
            "particles": ("t y x", particles[..., 0].swapaxes(2, 3)),
            "velocity_x": ("t y x", velocity[..., 0].swapaxes(2, 3)),
            "velocity_y": ("t y x", velocity[..., 1].swapaxes(2, 3)),
            "force_x": ("y x", force[..., 0].swapaxes(1, 2)),
            "force_y": ("y x", force[..., 1].swapaxes(1, 2)),
        }
        agrees(source, expected, {"x": range(4), "y": range(5), "t": times})
        assert source.arrays["force_x"].role == "input"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"tensor": _random(2, 3, 4), "x-coordinate": np.arange(5), "t-coordinate": np.arange(3)},
            "4 values along 'x'",
        ),
        ({"tensor": _random(2, 3), "x-coordinate": np.arange(3)}, "has the shape"),
        ({"tensor": _random(2, 3, 4, 5), "x-coordinate": np.arange(4)}, "has the shape"),
        (
            {"density": _random(2, 3, 4), "pressure": _random(2, 3), "Vx": _random(2), "x-coordinate": 0},
            "has the shape",
        ),
        ({"tensor": ["text"], "x-coordinate": np.arange(3)}, "not numbers"),
        ({"particles": _random(2, 3, 4), "velocity": _random(2), "t": [1.0]}, "4 components"),
    ],
)
def test_contradictions_are_told(tmp_path: Path, arrays: dict, said: str):
    with pytest.raises(FileFormatError, match=said):
        open_source(_write(tmp_path / "wrong.hdf5", arrays))


def test_samples_of_other_shapes_are_told(tmp_path: Path):
    file = tmp_path / "2D_rdb_NA_NA.h5"
    with h5py.File(file, "w") as h5:
        for seed, size in (("0000", 4), ("0001", 5)):
            h5[f"{seed}/data"] = _random(3, size, 4, 1)
            h5[f"{seed}/grid/x"], h5[f"{seed}/grid/y"], h5[f"{seed}/grid/t"] = range(size), range(4), range(3)
    with open_source(file) as source:
        source.read("data", [0])
        with pytest.raises(FileFormatError, match="'0001' has the shape"):
            source.read("data", [1])


def test_a_damaged_chunk_names_the_sample(tmp_path: Path):
    file = tmp_path / "damaged.hdf5"
    with h5py.File(file, "w") as h5:
        h5.create_dataset("tensor", data=_random(4, 3, 5), chunks=(1, 3, 5), fletcher32=True)
        h5["x-coordinate"], h5["t-coordinate"] = np.arange(5), np.arange(3)
        place = h5["tensor"].id.get_chunk_info(2).byte_offset
    content = bytearray(file.read_bytes())
    content[place + 7] ^= 1
    file.write_bytes(content)
    with open_source(file) as source:
        source.read("tensor", [0, 1, 3])
        with pytest.raises(FileFormatError, match="samples 2 to 2 of 'tensor'"):
            source.read("tensor", [2])
