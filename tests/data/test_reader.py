"""Reading: any part equals numpy's slicing; what is damaged, hostile or unknown is one clear error."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data import Writer, open_source, validate
from pdeml.data.native import NativeSource
from pdeml.errors import FileFormatError, InputError, PdemlError

from .making import expected, mixed_schema, sample, small_schema, write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.h5", mixed_schema(), 9)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.h5", mixed_schema(gzip=1), 9)


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same content as another program would store it: big-endian, other chunks, another filter."""
    path = write(tmp_path_factory.mktemp("data") / "a.h5", mixed_schema(), 9)
    with h5py.File(path, "r+") as file:
        for name, storage in {"big": {"chunks": (2, 60, 70), "compression": "lzf"}, "little": {}}.items():
            old = file[name]
            new = file.create_dataset("new", data=old[...].astype(old.dtype.newbyteorder(">")), **storage)
            for number, dim in enumerate(old.dims):
                new.dims[number].attach_scale(dim[0])
            for key in ("units", "long_name", "role"):
                new.attrs[key] = old.attrs[key]
            del file[name]
            file.move("new", name)
    return path


slices = st.builds(slice, st.none() | st.integers(-12, 12), st.none() | st.integers(-12, 12), st.integers(1, 4))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["finished", "packed", "rewritten"]),
    slices | st.lists(st.integers(-9, 8), max_size=12),
    st.fixed_dictionaries({}, optional={"x": slices, "y": slices}),
)
def test_any_part_is_that_of_numpy(request: pytest.FixtureRequest, which: str, samples: object, window: dict) -> None:
    schema = mixed_schema()
    with open_source(request.getfixturevalue(which)) as source:
        for name, info in schema.arrays.items():
            index = tuple(window.get(dim, slice(None)) for dim in info.dims)
            wanted = expected(schema, name, range(9))[samples if isinstance(samples, slice) else list(samples)]
            found = source.read(name, samples, window)
            np.testing.assert_array_equal(found, wanted[(slice(None), *index)])
            assert found.dtype == info.dtype
            assert found.flags.c_contiguous


def test_reading_is_lazy(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda *args: read.append(preadv(*args)) or read[-1])
    with open_source(finished) as source:
        source.read("big", slice(2, 4))
    assert sum(read) == 2 * (200 * 200 * 8 + 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s.read("bg", slice(None)), "did you mean 'big'"),
        (lambda s: s.read("big", [9]), "there is no sample 9; it holds 9"),
        (lambda s: s.read("big", [0.5]), "a slice or a list of integers"),
        (lambda s: s.read("big", slice(None), {"z": slice(1)}), "'z' is not a dimension"),
        (lambda s: s.read("big", slice(None), {"x": 3}), "the window of 'x' must be a slice"),
        (lambda s: s.read("big", slice(None), {"x": slice(None, None, -1)}), "a positive step"),
    ],
)
def test_what_is_not_there_is_named(finished: Path, call: Callable, message: str) -> None:
    with open_source(finished) as source, pytest.raises(InputError, match=message):
        call(source)


@pytest.mark.parametrize("which", ["finished", "packed"])
def test_a_flipped_byte_names_file_array_and_sample(request: pytest.FixtureRequest, tmp_path: Path, which: str) -> None:
    content = bytearray(request.getfixturevalue(which).read_bytes())
    with h5py.File(request.getfixturevalue(which)) as file:
        place = file["big"].id.get_chunk_info_by_coord((5, 0, 0))
    content[place.byte_offset + place.size // 2] ^= 4
    path = tmp_path / "flipped.h5"
    path.write_bytes(content)
    message = f"{path}: array 'big', sample 5: the data has a wrong checksum; the file is damaged"
    with open_source(path) as source:
        source.read("big", slice(0, 5))
        with pytest.raises(FileFormatError, match=message):
            source.read("big", slice(None))
    assert validate(path) == []
    assert validate(path, data=True) == [message.removeprefix(f"{path}: ")]


def test_a_flipped_byte_in_a_shared_chunk_names_its_samples(finished: Path, tmp_path: Path) -> None:
    content = bytearray(finished.read_bytes())
    with h5py.File(finished) as file:
        content[file["little"].id.get_chunk_info(0).byte_offset] ^= 1
    (tmp_path / "a.h5").write_bytes(content)
    with open_source(tmp_path / "a.h5") as source, pytest.raises(FileFormatError, match="'little', samples 0 to 8: "):
        source.read("little", [3])


def test_a_part_without_its_checksum_yet_is_read(tmp_path: Path) -> None:
    schema = small_schema()
    with Writer(tmp_path / "a.h5", schema, 7, {}) as writer:
        for number in range(3):
            writer.append(sample(schema, number))
        with open_source(writer.part) as source:
            assert (source.length, source.announced, source.complete) == (3, 7, False)
            np.testing.assert_array_equal(source.read("u", slice(None)), expected(schema, "u", range(3)))
            assert np.isnan(source.statistics["u"]["mean"])
        assert validate(writer.part, data=True) == []


def read_all(path: Path) -> None:
    with open_source(path) as source:
        for name in source.arrays:
            source.read(name, slice(None))


def edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def renamed(file: h5py.File) -> None:
    file.attrs["pdeml_format"] = "field/1"


def shorter(file: h5py.File) -> None:
    file["u"].resize(2, axis=0)


def wrong_coordinate(file: h5py.File) -> None:
    new = file.create_dataset("new", data=np.arange(5.0))
    new.make_scale("x")
    for key in ("units", "role"):
        new.attrs[key] = file["x"].attrs[key]
    for name in ("a", "u", "mask"):
        axis = file[name].ndim - 1
        file[name].dims[axis].detach_scale(file["x"])
        file[name].dims[axis].attach_scale(new)
    del file["x"]
    file.move("new", "x")


def other_role(file: h5py.File) -> None:
    file["u"].attrs["role"] = "ouput"


def external_link(file: h5py.File) -> None:
    file["far"] = h5py.ExternalLink("/etc/passwd", "/")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("far", (3,), "f8", external=[("far.bin", 0, 24)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[...] = h5py.VirtualSource("other.h5", "u", (3,))
    file.create_virtual_dataset("far", layout)


def huge(file: h5py.File) -> None:
    far = file.create_dataset("far", (3, 2**42), "f8", chunks=(1, 2**28), compression="gzip")
    far.attrs.update({"units": "1", "role": "output"})
    far.dims[0].attach_scale(file["sample"])
    scale = file.create_dataset("n", (2**42,), ">f4", chunks=(1024,))
    scale.make_scale("This is a netCDF dimension but not a netCDF variable.")
    far.dims[1].attach_scale(scale)


def many(file: h5py.File) -> None:
    for item in file.values():
        if item.maxshape[0] is None:
            item.resize(10**12, axis=0)


DAMAGED = {
    renamed: "its pdeml_format is 'field/1'; expected dataset/1",
    shorter: "array 'u' has 2 samples, others have 3",
    wrong_coordinate: "array 'a' has 9 points along 'x', but the coordinate has 5",
    other_role: "array 'u': 'ouput' is not a role.*did you mean 'output'",
    external_link: "far is an external link",
    external_storage: "far keeps its data in another file",
    virtual: "far is a virtual data set",
    huge: "'far' declares .* of memory are available",
    many: "array '/split' declares .* of memory are available",
}


@pytest.mark.parametrize("change", DAMAGED, ids=lambda change: change.__name__)
def test_damaged_and_hostile_files_are_one_clear_error(tmp_path: Path, change: Callable) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 3)
    edit(path, change)
    with pytest.raises(FileFormatError, match=DAMAGED[change]) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_damage_ends_in_anything_but_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / "a.h5"
    content = bytearray(write(path, small_schema(), 3).read_bytes())
    head = content[: len(content) - 3 * 2**8]
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(PdemlError):
        read_all(path)


@pytest.mark.parametrize("name", ["missing.h5", "empty.h5", "text.h5"])
def test_what_is_no_data_set_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("no data")
    with pytest.raises(FileFormatError, match=name):
        open_source(tmp_path / name)
    with pytest.raises(FileFormatError, match=name):
        NativeSource(tmp_path / name)


def test_several_files_are_one(tmp_path: Path) -> None:
    schema = small_schema()
    paths = [write(tmp_path / f"{n}.h5", schema, n, {"train": range(n - 1), "test": [n - 1]}) for n in (2, 4, 3)]
    with open_source(paths) as source:
        assert source.length == 9
        np.testing.assert_array_equal(source.split["train"], [0, 2, 3, 4, 6, 7])
        np.testing.assert_array_equal(source.split["test"], [1, 5, 8])
        whole = np.concatenate([expected(schema, "u", range(n)) for n in (2, 4, 3)])
        seen = np.concatenate([expected(schema, "u", range(n - 1)) for n in (2, 4, 3)])
        assert source.statistics["u"] == pytest.approx(
            {"mean": seen.mean(), "std": seen.std(), "min": seen.min(), "max": seen.max(), "count": seen.size}
        )
        for samples in (slice(None), slice(1, 8, 3), [8, 0, 5, 5]):
            np.testing.assert_array_equal(
                source.read("u", samples, {"x": slice(None, None, 2)}), whole[samples][..., ::2]
            )
    other = write(tmp_path / "other.h5", mixed_schema(), 2)
    with pytest.raises(FileFormatError, match=r"other.h5 does not continue .*2.h5: array 'a' is missing or different"):
        open_source([paths[0], other])


RULES = {
    "has no Fletcher-32 checksums": lambda f: replace(f, chunks=f["u"].chunks),
    "is not stored in chunks of whole samples": lambda f: replace(f, chunks=(3, 2, 9), fletcher32=True),
    "has no attribute 'units'": lambda f: f["u"].attrs.pop("units"),
    "the attribute 'seed' is missing": lambda f: f.attrs.pop("seed"),
    "lacks the statistics mean": lambda f: f["u"].attrs.modify("mean", np.nan),
    "it holds 3 of 5 samples": lambda f: f.attrs.modify("samples", 5),
    "is a group": lambda f: f.create_group("more"),
    "'u' has chunks below 256 KiB": lambda f: replace(f, chunks=(1, 4, 9), fletcher32=True),
}


def replace(file: h5py.File, **storage: object) -> None:
    old = file["u"]
    new = file.create_dataset("new", data=old[...], **storage)
    for number, dim in enumerate(old.dims):
        new.dims[number].attach_scale(dim[0])
    for key in ("units", "long_name", "role", "mean", "std", "min", "max", "count"):
        new.attrs[key] = old.attrs[key]
    del file["u"]
    file.move("new", "u")


@pytest.mark.parametrize("rule", RULES)
def test_the_validator_knows_every_rule(tmp_path: Path, rule: str) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 3)
    assert validate(path, data=True) == []
    edit(path, RULES[rule])
    problems = validate(path)
    assert len(problems) == 1
    assert rule in problems[0]


@pytest.mark.parametrize("key, change", [("mean", 1e-3), ("std", 1e-3), ("min", 1e-12), ("max", -1e-12), ("count", 1)])
def test_the_validator_computes_the_statistics_anew(tmp_path: Path, key: str, change: float) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 5, {"train": [0, 3], "test": [1, 2]})
    assert validate(path, data=True) == []
    edit(path, lambda f: f["u"].attrs.modify(key, f["u"].attrs[key] + change))
    assert validate(path) == []
    (problem,) = validate(path, data=True)
    assert problem.startswith(f"array 'u': its {key} is ")


def test_a_seed_belongs_to_a_spec(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", small_schema(), 2, attrs={"title": "of somebody else"})
    with h5py.File(path) as file:
        assert "seed" not in file.attrs
    assert validate(path, data=True) == []
