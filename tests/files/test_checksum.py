"""The checksum is the one of HDF5 itself."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.files import checksum, fletcher32


def by_hdf5(data: np.ndarray) -> int:
    with h5py.File(io.BytesIO(), "w") as file:
        stored = file.create_dataset("a", data=data, chunks=data.shape, fletcher32=True)
        return int.from_bytes(stored.id.read_direct_chunk((0,))[1][-4:], "little")


def definition(data: bytes) -> int:
    """Sum 16-bit big-endian words and their partial sums, modulo 65535."""
    first = second = 0
    for start in range(0, len(data), 2):
        first += int.from_bytes(data[start : start + 2].ljust(2, b"\0"), "big")
        second += first
    first, second = ((value - 1) % 65535 + 1 if value else 0 for value in (first, second))
    return second << 16 | first


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=5000))
def test_short_data(data: bytes) -> None:
    assert fletcher32(data) == definition(data) == by_hdf5(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize("value", [0, 255, None])
@pytest.mark.parametrize("size", [1, 2, 719, 720, 2047, 2048, 2049, 2**20 + 3])
def test_long_and_extreme_data(size: int, value: int | None) -> None:
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, size, dtype=np.uint8) if value is None else np.full(size, value, np.uint8)
    assert fletcher32(data) == by_hdf5(data)


@pytest.mark.parametrize("rest", [0, 1, 2, 5001])
def test_more_words_than_one_block(monkeypatch: pytest.MonkeyPatch, rest: int) -> None:
    monkeypatch.setattr(checksum, "_BLOCK", 4096)
    data = np.random.default_rng(rest).integers(0, 256, 6 * 4096 + rest, dtype=np.uint8)
    assert fletcher32(data) == by_hdf5(data)


def test_column_sums_of_a_whole_block_fit_their_type() -> None:
    assert checksum._BLOCK // checksum._COLUMNS * 0xFFFF < 2**32


@given(st.binary(min_size=2, max_size=300), st.data())
def test_every_flipped_bit_is_seen(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert fletcher32(changed) != fletcher32(data)
