"""Files that others published, where they are at hand: values against the libraries they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from pdeml.data.source import open_source

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published files are not here")


@pytest.mark.parametrize(("name", "count", "size"), [("train_16", 1000, 16), ("test_16", 50, 16), ("test_32", 50, 32)])
def test_darcy(name: str, count: int, size: int):
    file = DATA / "darcy" / f"darcy_{name}.pt"
    held = torch.load(file, weights_only=True)
    with open_source(file, inputs={"a": "x"}, outputs={"u": "y"}, coordinates={"x": (0, 1), "y": (0, 1)}) as source:
        assert (source.length, source.arrays["u"].shape) == (count, (size, size))
        np.testing.assert_array_equal(source.read("a", slice(None)), held["x"].numpy().swapaxes(1, 2))
        np.testing.assert_array_equal(source.read("u", [count - 1, 0]), held["y"].numpy()[[-1, 0]].swapaxes(1, 2))


def test_burgers():
    file = DATA / "burgers" / "burgers_test_16.pt"
    held = torch.load(file, weights_only=True)
    with open_source(file) as source:
        assert source.arrays["u"].dims == ("t", "x")
        assert source.attrs["visc"] == 0.01
        np.testing.assert_array_equal(source.read("u", slice(None)), held["y"].numpy())
        # The first time is the input.
        np.testing.assert_allclose(
            source.read("u", slice(None), {"t": slice(0, 1)})[:, 0], source.read("a", slice(None)), atol=1e-12
        )


@pytest.mark.parametrize(("name", "array", "time"), [("burgers_shock", "usol", "t"), ("AC", "uu", "tt")])
def test_periodic(name: str, array: str, time: str):
    file = DATA / "periodic" / f"{name}.mat"
    held = scipy.io.loadmat(file)
    with open_source(file) as source:
        np.testing.assert_array_equal(source.read(array, [0])[0], held[array].T)
        np.testing.assert_array_equal(source.coordinates["x"], held["x"].ravel())
        np.testing.assert_array_equal(source.coordinates["t"], held[time].ravel())


@pytest.mark.parametrize("number", [100, 400])
def test_cavity(number: int):
    names = {"u": f"u_ldc_Re{number}_fem_129", "v": f"v_ldc_Re{number}_fem_129"}
    axes = {"sample": "none", "y": (0, 1), "x": (0, 1)}
    with open_source(DATA / "cavity", outputs=names, coordinates=axes) as source:
        u, v = source.read("u", [0])[0], source.read("v", [0])[0]
        assert source.arrays["u"].dims == ("y", "x")
    # The lid moves at y = 1, the other walls stand still; the flow neither enters nor leaves.
    np.testing.assert_array_equal(u[-1], 1)
    assert np.abs(u[0]).max() == np.abs(v[:, 0]).max() == np.abs(v[:, -1]).max() == 0
    assert u[64, 64] == pytest.approx({100: -0.2069, 400: -0.1138}[number], abs=1e-4)
