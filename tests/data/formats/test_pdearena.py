"""PDEArena: the two layouts of HDF5, one or several parts in a file."""

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


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)


def _flow(group: h5py.Group, n: int, shift: float) -> dict[str, np.ndarray]:
    made = {name: _random(n, 4, 5, 6) + place + shift for place, name in enumerate(("u", "vx", "vy"))}
    made["buo_y"] = np.linspace(0.1, 0.5, n) + shift
    for name, values in made.items():
        group[name] = values
    for axis, size, low, high in (("t", 4, 18, 102), ("x", 5, 0, 32), ("y", 6, 0, 32)):
        group[axis] = np.tile(np.linspace(low, high, size), (n, 1))
        group[f"d{axis}"] = np.full(n, 0.5)
    return made


@settings(max_examples=20)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_navier_stokes(tmp_path_factory, counts: list[int]):
    file = tmp_path_factory.mktemp("ns") / "NavierStokes2D_train.h5"
    modes = ("train", "valid", "test")[: len(counts)]
    with h5py.File(file, "w") as h5:
        made = [
            _flow(h5.create_group(mode), n, place) for place, (mode, n) in enumerate(zip(modes, counts, strict=True))
        ]
    joined = {name: np.concatenate([part[name] for part in made]) for name in made[0]}
    with open_source(file) as source:
        expected = {name: ("t y x", joined[name].swapaxes(2, 3)) for name in ("u", "vx", "vy")}
        expected["buo_y"] = ("", joined["buo_y"])
        expected |= {name: ("", np.full(sum(counts), 0.5)) for name in ("dt", "dx", "dy")}
        axes = {"t": np.linspace(18, 102, 4), "x": np.linspace(0, 32, 5), "y": np.linspace(0, 32, 6)}
        agrees(source, expected, axes)
        assert source.format == "PDEArena"
        assert {name: len(numbers) for name, numbers in source.split.items()} == dict(
            zip(("train", "validation", "test"), counts, strict=False)
        )
        np.testing.assert_array_equal(np.concatenate(list(source.split.values())), np.arange(sum(counts)))


@pytest.mark.parametrize("varying", [False, True])
def test_kuramoto_sivashinsky(tmp_path: Path, varying: bool):
    file, u = tmp_path / "KS_valid_fixed.h5", _random(3, 5, 7)
    dt, dx = (np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.2, 0.2])) if varying else (np.full(3, 0.2), np.full(3, 0.25))
    with h5py.File(file, "w") as h5:
        group = h5.create_group("valid")
        group["pde_140-256"], group["dt"], group["dx"], group["v"] = u, dt, dx, np.ones(3)
    with open_source(file) as source:
        expected = {"pde_140_256": ("t x", u), "dt": ("", dt), "dx": ("", dx), "v": ("", np.ones(3))}
        agrees(source, expected, {"t": np.arange(5) * (1 if varying else 0.2), "x": np.arange(7) * dx[0]})
        assert source.arrays["v"].role == "parameter"
    with open_source(file, outputs={"u": "pde_140-256"}) as source:
        assert list(source.arrays) == ["u", "dt", "dx", "v"]
        np.testing.assert_array_equal(source.read("u", slice(None)), u)


def test_parts_of_other_shapes_are_told(tmp_path: Path):
    file = tmp_path / "wrong.h5"
    with h5py.File(file, "w") as h5:
        for mode, size in (("train", 7), ("test", 8)):
            h5[f"{mode}/pde_1"], h5[f"{mode}/dt"], h5[f"{mode}/dx"] = _random(2, 3, size), np.ones(2), np.ones(2)
    with pytest.raises(FileFormatError, match="different shapes"):
        open_source(file)
