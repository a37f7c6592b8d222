"""Formats whose arrays have names but whose axes have none: neuraloperator, MATLAB, NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data.source import open_source
from pdeml.errors import FileFormatError, InputError

from .checks import agrees

Arrays = Mapping[str, np.ndarray]
UNIT = {"x": (0, 1), "y": (0, 1)}


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)


def _pt(folder: Path, arrays: Arrays) -> Path:
    torch.save({name: torch.tensor(values) for name, values in arrays.items()}, folder / "data.pt")
    return folder / "data.pt"


def _npz(folder: Path, arrays: Arrays) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _packed_npz(folder: Path, arrays: Arrays) -> Path:
    np.savez_compressed(folder / "data.npz", **arrays)
    return folder / "data.npz"


def _npy(folder: Path, arrays: Arrays) -> Path:
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return folder


def _mat(folder: Path, arrays: Arrays) -> Path:
    scipy.io.savemat(folder / "data.mat", arrays)
    return folder / "data.mat"


def _packed_mat(folder: Path, arrays: Arrays) -> Path:
    scipy.io.savemat(folder / "data.mat", arrays, do_compression=True)
    return folder / "data.mat"


def _mat73(folder: Path, arrays: Arrays) -> Path:
    """As MATLAB writes it: a text in the first 512 bytes, axes reversed, the class as an attribute."""
    file = folder / "data.mat"
    with h5py.File(file, "w", userblock_size=512) as h5:
        for name, values in arrays.items():
            h5[name] = values.T
            h5[name].attrs["MATLAB_class"] = np.bytes_("single" if values.dtype == np.float32 else "double")
        h5["#refs#/a"] = [0]
        h5["note"] = np.frombuffer(b"text", np.uint8).astype(np.uint16)[:, None]
        h5["note"].attrs["MATLAB_class"] = np.bytes_("char")
    with file.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
    return file


WRITERS = [_pt, _npz, _packed_npz, _npy, _mat, _packed_mat, _mat73]
writers = pytest.mark.parametrize("write", WRITERS, ids=[write.__name__[1:] for write in WRITERS])
Write = Callable[[Path, Arrays], Path]


@writers
def test_steady_fields_named_by_the_user(tmp_path: Path, write: Write):
    a, u = _random(4, 3, 5), _random(4, 3, 5).astype(np.float32)
    file = write(tmp_path, {"coeff": a, "sol": u, "unused": _random(4, 3, 5)})
    with open_source(file, inputs={"a": "coeff"}, outputs={"u": "sol"}, coordinates=UNIT) as source:
        expected = {"a": ("y x", a.swapaxes(1, 2)), "u": ("y x", u.swapaxes(1, 2))}
        agrees(source, expected, {"x": np.linspace(0, 1, 3), "y": np.linspace(0, 1, 5)})
        assert [source.arrays[name].role for name in "au"] == ["input", "output"]
        assert source.arrays["u"].dtype == np.float32


@writers
@settings(max_examples=20)
@given(n=st.integers(2, 4), x=st.integers(2, 4), t=st.integers(2, 4))
def test_initial_value_and_evolution(tmp_path_factory, write: Write, n: int, x: int, t: int):
    a, u = _random(n, x), _random(n, t, x)
    # Time comes last in MATLAB, first elsewhere.
    turned = u.swapaxes(1, 2) if "mat" in write.__name__ else u
    file = write(tmp_path_factory.mktemp("burgers"), {"a0": a, "u0": turned, "visc": np.array([[0.01]])})
    axes = {"t": (0, 2), "x": (-1, 1)}
    with open_source(file, inputs={"a": "a0"}, outputs={"u": "u0"}, coordinates=axes) as source:
        agrees(source, {"a": ("x", a), "u": ("t x", u)}, {"t": np.linspace(0, 2, t), "x": np.linspace(-1, 1, x)})
        assert source.attrs["visc"] == 0.01


def test_what_neuraloperator_usually_holds(tmp_path: Path):
    x, y = _random(6, 5) > 0, _random(6, 4, 5)
    with open_source(_pt(tmp_path, {"x": x, "y": y, "visc": np.array([[0.01]])})) as source:
        agrees(source, {"a": ("x", x.astype(int)), "u": ("t x", y)}, {"t": range(4), "x": range(5)})
        assert source.arrays["a"].role == "input"


@pytest.mark.parametrize("write", [_mat, _packed_mat, _mat73])
def test_what_fno_usually_holds(tmp_path: Path, write: Write):
    a, u, times = _random(3, 4, 5), _random(3, 4, 5, 6), np.linspace(1, 20, 6)[None]
    with open_source(write(tmp_path, {"a": a, "u": u, "t": times})) as source:
        expected = {"a": ("y x", a.swapaxes(1, 2)), "u": ("t y x", u.transpose(0, 3, 2, 1))}
        agrees(source, expected, {"x": range(4), "y": range(5), "t": times[0]})
        assert source.arrays["a"].role == "input"


@pytest.mark.parametrize("write", [_mat, _mat73, _npz])
def test_one_solution_without_samples(tmp_path: Path, write: Write):
    u, x, t = _random(5, 7), np.linspace(-1, 1, 5)[:, None], np.linspace(0, 1, 7)[:, None]
    with open_source(write(tmp_path, {"usol": u, "x": x, "t": t})) as source:
        agrees(source, {"usol": ("t x", u.T[None])}, {"x": x[:, 0], "t": t[:, 0]})


def test_samples_last(tmp_path: Path):
    a, u = _random(3, 5, 8), _random(3, 5, 8)
    folder = _npy(tmp_path, {"Helmholtz_inputs": a, "Helmholtz_outputs": u})
    names = {"inputs": {"a": "Helmholtz_inputs"}, "outputs": {"u": "Helmholtz_outputs"}}
    with open_source(folder, **names, coordinates={"sample": "last", **UNIT}) as source:
        expected = {"a": ("y x", a.transpose(2, 1, 0)), "u": ("y x", u.transpose(2, 1, 0))}
        agrees(source, expected, {"x": np.linspace(0, 1, 3), "y": np.linspace(0, 1, 5)})


@pytest.mark.parametrize("order", ["xy", "yx"])
def test_numpy_axes_are_in_the_order_of_the_coordinates(tmp_path: Path, order: str):
    u = _random(2, 3, 5)
    np.save(tmp_path / "u.npy", u)
    with open_source(tmp_path / "u.npy", coordinates=dict.fromkeys(order, (0, 1))) as source:
        np.testing.assert_array_equal(source.read("u", [0, 1]), u if order == "yx" else u.swapaxes(1, 2))


def test_a_square_written_as_one_axis(tmp_path: Path):
    u = _random(3, 49)
    with open_source(_npz(tmp_path, {"u": u}), coordinates={"y": (0, 1), "x": (0, 1)}) as source:
        agrees(source, {"u": ("y x", u.reshape(3, 7, 7))}, {name: np.linspace(0, 1, 7) for name in "yx"})


def test_channels_of_one(tmp_path: Path):
    x, y = _random(3, 1, 4, 5), _random(3, 1, 4, 5)
    with open_source(_pt(tmp_path, {"x": x, "y": y})) as source:
        assert source.arrays["a"].dims == ("y", "x")
        np.testing.assert_array_equal(source.read("u", [2]), y[2:, 0].swapaxes(1, 2))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">i2", "u1", "<u2", "<u8", "?", "<f2"])
def test_types_and_orders_of_bytes(tmp_path: Path, kind: str, order: str):
    values = np.asarray(np.random.default_rng(0).integers(0, 2, (3, 4, 5)), kind, order=order)
    with open_source(_npz(tmp_path, {"u": values})) as source:
        found = source.read("u", slice(None))
        assert found.dtype.isnative
        assert found.dtype.kind in "iuf"
        np.testing.assert_array_equal(found, values.swapaxes(1, 2).astype(float))


@settings(max_examples=20)
@given(
    arrays=st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(1, 4), min_size=2, max_size=4), min_size=1),
    kind=st.sampled_from(["f8", "f4", "i4", "u1", "i8"]),
    packed=st.booleans(),
)
def test_matlab_arrays_of_any_shape(tmp_path_factory, arrays: dict, kind: str, packed: bool):
    from pdeml.data.formats.matlab5 import read_matlab5

    rng = np.random.default_rng(0)
    made = {name: rng.integers(0, 100, shape).astype(kind) for name, shape in arrays.items()}
    file = tmp_path_factory.mktemp("mat") / "data.mat"
    others = {"text": "some text", "cell": np.array([1, "a"], object), "record": {"a": 1.0}, "complex": np.array([1j])}
    scipy.io.savemat(file, {**others, **made}, do_compression=packed)
    found = read_matlab5(file)
    assert set(found) == set(made)
    for name, values in made.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name][...], values)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"inputs": {"a": "coef"}}, "did you mean 'coeff'"),
        ({"outputs": {"u": "sol"}, "coordinates": {"x": (0, 1)}}, "do not explain"),
        ({"outputs": {"u": "sol"}, "coordinates": {**UNIT, "z": (0, 1)}}, "depends on 'z'"),
        ({"outputs": {"u": "sol"}, "coordinates": {"x": "gridx", "y": (0, 1)}}, "1-D array"),
        ({"outputs": {"u": "sol"}, "coordinates": {"sample": "second"}}, "place of the sample"),
        ({"outputs": {"u": "sol"}, "coordinates": {**UNIT, "x": (1, 1)}}, "give \\(low, high\\)"),
        ({"inputs": {"u": "coeff"}, "outputs": {"u": "sol"}}, "both as an input"),
        ({"inputs": {"a": "few"}, "outputs": {"u": "sol"}}, "has 2 samples, others have 4"),
    ],
)
@writers
def test_wrong_names_are_told(tmp_path: Path, write: Write, names: dict, said: str):
    file = write(tmp_path, {"coeff": _random(4, 3, 5), "sol": _random(4, 3, 5), "few": _random(2, 3, 5)})
    with pytest.raises(InputError, match=said):
        open_source(file, **names)


def test_nothing_but_numbers(tmp_path: Path):
    with pytest.raises(FileFormatError, match="no arrays of samples"):
        open_source(_npz(tmp_path, {"a": np.array(3.0)}))
