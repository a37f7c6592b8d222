"""A stranger's file reaches nothing outside itself, and its faults are told in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pdeml.errors import FileFormatError
from pdeml.files import (
    Variable,
    available_memory,
    open_hdf5,
    read_array,
    read_attributes,
    read_netcdf,
    size_text,
    write_netcdf,
)


def good(path: Path) -> None:
    content = {"x": Variable(("x",), np.arange(30.0)), "u": Variable(("x",), np.arange(30.0))}
    write_netcdf(path, content, {"pdeml_format": "field/1", "title": "good"})


def external_link(file: h5py.File) -> None:
    file.create_group("deep")["secret"] = h5py.ExternalLink("other.h5", "/u")


def soft_to_external(file: h5py.File) -> None:
    file["way"] = h5py.SoftLink("/door/u")
    file["door"] = h5py.ExternalLink("other.h5", "/")


def dangling(file: h5py.File) -> None:
    file["nowhere"] = h5py.SoftLink("/not/there")


def circular(file: h5py.File) -> None:
    file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("leak", (4,), "f8", external=[("/etc/hostname", 0, 32)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((30,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "u", (30,))
    file.create_virtual_dataset("v", layout)


def huge(file: h5py.File) -> None:
    scale = file.create_dataset("big", (2**50,), "f8", chunks=(1024,))
    scale.make_scale("big")


def text(file: h5py.File) -> None:
    file.create_dataset("words", (3,), h5py.string_dtype()).make_scale("words")


def references(file: h5py.File) -> None:
    file.create_dataset("refs", data=[file["u"].ref], dtype=h5py.ref_dtype).make_scale("refs")


def ragged(file: h5py.File) -> None:
    file.create_dataset("ragged", (2,), h5py.vlen_dtype(np.float64)).make_scale("ragged")


def compound(file: h5py.File) -> None:
    file.create_dataset("pairs", (2,), np.dtype([("a", "f8"), ("b", "i4")])).make_scale("pairs")


def nameless(file: h5py.File) -> None:
    file.create_dataset("loose", (2, 2), "f8")


def empty(file: h5py.File) -> None:
    file["empty"] = h5py.Empty("f8")


def bad_attribute(file: h5py.File) -> None:
    file["u"].attrs["where"] = file["x"].ref


def wrong_dimensions(file: h5py.File) -> None:
    del file["u"].attrs["DIMENSION_LIST"]
    file["u"].attrs.create("DIMENSION_LIST", 5)


HOSTILE: dict[Callable[[h5py.File], None], str] = {
    external_link: "/deep/secret is an external link",
    soft_to_external: "/door is an external link",
    dangling: "nowhere is a soft link that leads nowhere",
    circular: "is a soft link that leads nowhere",
    external_storage: "/leak keeps its data in another file",
    virtual: "/v is a virtual data set",
    huge: "only .* of memory are available",
    text: "holds text",
    references: "holds references",
    ragged: "lists of varying length",
    compound: "a compound type",
    nameless: "no named dimensions",
    empty: "empty",
    bad_attribute: "attribute 'where' of '/u' holds references",
    wrong_dimensions: "damaged list of dimensions",
}


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_hostile_files_are_refused_in_one_line(tmp_path: Path, spoil: Callable[[h5py.File], None]) -> None:
    good(tmp_path / "other.h5")
    path = tmp_path / "bad.h5"
    good(path)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(FileFormatError, match=HOSTILE[spoil]) as caught:
        read_netcdf(path, ["field/1"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_links_within_the_file_are_fine(tmp_path: Path) -> None:
    good(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["group/again"] = h5py.SoftLink("/u")
        file["group/loop"] = file["/"]
    with open_hdf5(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(read_array(file["group/again"]), np.arange(30.0))


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, b"\x89HDF\r\n\x1a\n"])
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.h5"):
        read_netcdf(tmp_path / "a.h5", ["field/1"])


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    good(path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            read_netcdf(path, ["field/1"])


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir], ids=["missing", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.h5")
    with pytest.raises(FileFormatError, match=r"no such file|not a file"):
        read_netcdf(tmp_path / "a.h5", ["field/1"])


def test_lenient_attributes_leave_out_what_is_no_number_or_text(tmp_path: Path) -> None:
    good(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        bad_attribute(file)
        file["u"].attrs["fixed"] = np.bytes_(b"abc")
    with open_hdf5(tmp_path / "a.h5") as file:
        assert read_attributes(file["u"], strict=False) == {"fixed": "abc"}


def test_a_file_that_is_being_written_can_be_looked_at(tmp_path: Path) -> None:
    good(tmp_path / "a.h5")
    code = "from pdeml.files import open_hdf5\nwith open_hdf5('a.h5') as file: print(list(file['u'][:2]))"
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.flush()
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors_of_our_own_are_not_hidden(tmp_path: Path) -> None:
    good(tmp_path / "a.h5")
    with pytest.raises(ZeroDivisionError), open_hdf5(tmp_path / "a.h5"):
        _ = 1 / 0


def test_memory_is_known() -> None:
    assert 2**20 < available_memory() < 2**50


@pytest.mark.parametrize("power, unit", list(enumerate(["bytes", "KiB", "MiB", "GiB", "TiB"])))
def test_a_size_has_three_digits_and_the_unit_that_fits(power: int, unit: str):
    for factor in (1, 3, 40, 500, 1000, 1023):
        number, found = size_text(factor * 1024**power).split(" ")
        assert (float(number), found) == (factor, unit)
    assert size_text(1.5 * 1024**4).startswith("1.5 ")
    assert size_text(2.0**60) == "1048576 TiB"
