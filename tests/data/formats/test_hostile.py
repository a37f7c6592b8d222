"""Files from strangers: damaged, lying about their sizes, or made to run something. All get one clear sentence."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data.source import open_source
from pdeml.errors import FileFormatError, PdemlError
from pdeml.run import inspect

HUGE = 10**7


class _Runs:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _refused(file: Path, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as caught:
        open_source(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["data.pt", "data.npz", "data.npy", "data.pkl", "old.pt"])
def test_nothing_is_unpickled(tmp_path: Path, name: str):
    file, trap = tmp_path / name, tmp_path / "executed"
    if name == "data.pt":
        torch.save({"x": torch.zeros(2, 2), "y": _Runs(trap)}, file)
    elif name == "old.pt":
        torch.save({"x": _Runs(trap)}, file, _use_new_zipfile_serialization=False)
    elif name == "data.pkl":
        file.write_bytes(pickle.dumps(_Runs(trap)))
    else:
        save = np.savez if name == "data.npz" else np.save
        with file.open("wb") as stream:
            save(stream, np.array([_Runs(trap)], dtype=object))
    _refused(file, "unpickled|never loaded")
    assert not trap.exists()


@pytest.mark.parametrize(
    "held",
    [
        {"x": torch.zeros(3, 3).to_sparse(), "y": torch.zeros(3)},
        {"x": torch.zeros(3, dtype=torch.complex64)},
        {"x": [1, 2]},
        [torch.zeros(3, 3)],
        {1: torch.zeros(3, 3)},
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # torch says so of any sparse tensor
def test_tensors_that_are_no_plain_arrays(tmp_path: Path, held: object):
    torch.save(held, tmp_path / "data.pt")
    _refused(tmp_path / "data.pt", "plain array|dictionary of tensors|more than tensors")


def test_compressed_members_of_a_torch_file(tmp_path: Path):
    torch.save({"x": torch.zeros(100, 100), "y": torch.zeros(100, 100)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as old, zipfile.ZipFile(tmp_path / "data.pt", "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), zipfile.ZIP_DEFLATED)
    _refused(tmp_path / "data.pt", "is compressed")


def _npy_header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(HUGE, HUGE), (5, 5)])
def test_arrays_that_declare_more_than_they_hold(tmp_path: Path, shape: tuple[int, ...]):
    content = _npy_header(shape) + bytes(16)
    (tmp_path / "data.npy").write_bytes(content)
    _refused(tmp_path / "data.npy", "cut short")
    with zipfile.ZipFile(tmp_path / "plain.npz", "w") as archive:
        archive.writestr("a.npy", content)
    _refused(tmp_path / "plain.npz", "cut short")
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    with open_source(tmp_path / "packed.npz") as source, pytest.raises(FileFormatError, match=r"memory|cannot be read"):
        source.read("a", slice(None))


def test_a_header_of_numpy_is_not_evaluated(tmp_path: Path):
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').getpid(),)}".ljust(117) + b"\n"
    (tmp_path / "data.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(800))
    _refused(tmp_path / "data.npy", "cannot be read")


@pytest.mark.parametrize("packed", [False, True])
def test_matlab_arrays_whose_sizes_lie(tmp_path: Path, packed: bool):
    import zlib

    def element(kind: int, body: bytes) -> bytes:
        return struct.pack("<2I", kind, len(body)) + body.ljust(-(-len(body) // 8) * 8, b"\0")

    head = element(6, struct.pack("<2I", 6, 0)) + element(5, struct.pack("<2i", HUGE, HUGE)) + element(1, b"a")
    matrix = element(14, head + element(9, bytes(16)))
    body = element(15, zlib.compress(matrix)) if packed else matrix
    (tmp_path / "data.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + body)
    _refused(tmp_path / "data.mat", "instead of")


def test_memory_is_asked_before_inflating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scipy.io.savemat(tmp_path / "data.mat", {"u": np.zeros((100, 100, 10))}, do_compression=True)
    np.savez_compressed(tmp_path / "data.npz", u=np.zeros((100, 100, 10)))
    monkeypatch.setattr("pdeml.files.safe.available_memory", lambda: 10_000)
    for name in ("data.mat", "data.npz"):
        with open_source(tmp_path / name) as source, pytest.raises(FileFormatError, match="declares"):
            source.read("u", [0])


def test_declared_shapes_beyond_memory_are_read_by_the_window(tmp_path: Path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("tensor", (HUGE, 1000, 1000), "f4", chunks=(1, 10, 1000))
        file["x-coordinate"], file["t-coordinate"] = np.arange(1000), np.arange(1000)
    with open_source(tmp_path / "data.h5") as source:
        assert source.read("tensor", [HUGE - 1], {"t": slice(0, 5)}).shape == (1, 5, 1000)
        with pytest.raises(FileFormatError, match="memory"):
            source.read("tensor", slice(None))


def test_chunks_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("tensor", (100, 100, 100), "f4", chunks=(100, 100, 100), compression="gzip")
        file["x-coordinate"] = np.arange(100)
    monkeypatch.setattr("pdeml.files.safe.available_memory", lambda: 100_000)
    _refused(tmp_path / "data.h5", "one chunk")


@pytest.mark.parametrize("kind", ["link", "storage", "virtual"])
def test_hdf5_that_reaches_outside(tmp_path: Path, kind: str):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x-coordinate"], file["t-coordinate"] = np.arange(2), np.arange(2)
        if kind == "link":
            file["tensor"] = h5py.ExternalLink("/etc/passwd", "/tensor")
        elif kind == "storage":
            file.create_dataset("tensor", (2, 2, 2), "u1", external=[("/etc/passwd", 0, 8)])
        else:
            layout = h5py.VirtualLayout((2, 2, 2), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "tensor", (2, 2, 2))
            file.create_virtual_dataset("tensor", layout)
    _refused(tmp_path / "data.h5", "refused")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "data.bin",
            b"nothing in particular",
            "unknown content, which is no known data set; known formats: pdeml, PDEB",
        ),
        ("data.pt", b"", "empty"),
        ("data.csv", b"x,y\n1,2\n", "known formats"),
        ("data.npz", b"PK\x03\x04" + bytes(40), "known formats"),
    ],
)
def test_unknown_files(tmp_path: Path, name: str, content: bytes, said: str):
    (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, said)


def test_unknown_hdf5_says_what_it_holds(tmp_path: Path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["density_of_states"] = [1.0]
    _refused(tmp_path / "data.h5", "holds density_of_states, which is no known")


def test_missing_and_empty(tmp_path: Path):
    _refused(tmp_path / "nothing.h5", "no such file")
    _refused(tmp_path, "a folder, which is no known")


def _files(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    u = rng.standard_normal((3, 4, 5))
    torch.save({"x": torch.tensor(u), "y": torch.tensor(u)}, folder / "a.pt")
    np.savez(folder / "b.npz", u=u)
    np.savez_compressed(folder / "c.npz", u=u)
    np.save(folder / "d.npy", u)
    scipy.io.savemat(folder / "e.mat", {"u": u})
    scipy.io.savemat(folder / "f.mat", {"u": u}, do_compression=True)
    with h5py.File(folder / "g.h5", "w") as file:
        file["tensor"], file["x-coordinate"], file["t-coordinate"] = u, np.arange(5), np.arange(4)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> list[Path]:
    return _files(tmp_path_factory.mktemp("whole"))


@settings(max_examples=150)
@given(number=st.integers(0, 6), data=st.data())
def test_damage_is_either_harmless_or_told(tmp_path_factory, samples: list[Path], number: int, data: st.DataObject):
    whole = samples[number]
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans(), "cut"):
        del content[data.draw(st.integers(0, len(content) - 1), "at") :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.mktemp("damaged") / whole.name
    file.write_bytes(content)
    try:
        with open_source(file) as source:
            for name in source.arrays:
                source.read(name, slice(0, 2))
    except PdemlError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.h5")
    for look in (open_source, inspect):
        with pytest.raises(FileFormatError, match="not a file but a folder or a device"):
            look(tmp_path / "a.h5")
