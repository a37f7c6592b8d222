"""Numbers are found where HDF5 keeps them, and an index made in advance is one that HDF5 reads."""

from __future__ import annotations

import io
import struct

import h5py
import numpy as np
import pytest

from pdeml.errors import FileFormatError
from pdeml.files import array_places, chunk_index, chunk_index_bytes, create_file


def places_of(image: bytes, name: str):
    with h5py.File(io.BytesIO(image)) as file:
        header = h5py.h5o.get_info(file[name].id).addr
    return array_places(lambda at, size: image[at : at + size], header)


@pytest.mark.parametrize("chunks", [1, 64, 65, 5000])
def test_lengths_attributes_and_chunks_of_a_file_of_hdf5(chunks: int) -> None:
    stream = io.BytesIO()
    with create_file(stream) as file:
        array = file.create_dataset("u", (2 * chunks, 3), "f8", chunks=(2, 3), maxshape=(None, 3), fletcher32=True)
        array[...] = np.arange(6 * chunks).reshape(-1, 3)
        for number in range(12):
            array.attrs[f"a{number}"] = number + 0.5
            array.attrs[f"ä{number}"] = "text" * number
        known = [array.id.get_chunk_info_by_coord((2 * n, 0)) for n in range(0, chunks, 50)]
    image = stream.getvalue()
    found = places_of(image, "u")
    assert struct.unpack_from("<Q", image, found.length_at) == (2 * chunks,)
    for number in range(12):
        assert struct.unpack_from("<d", image, found.attributes[f"a{number}"]) == (number + 0.5,)
    assert [place.number for place in found.chunks] == list(range(chunks))
    for place, info in zip(found.chunks[::50], known, strict=True):
        assert place.offset == info.byte_offset
        assert struct.unpack_from("<II", image, place.key_at) == (info.size, info.filter_mask)


@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("chunks", [1, 63, 64, 65, 4096, 4097])
def test_hdf5_reads_an_index_made_in_advance(rank: int, chunks: int) -> None:
    shape = (2, *range(2, rank + 1))
    stream = io.BytesIO()
    with create_file(stream) as file:
        file.create_dataset("u", (2 * chunks, *shape[1:]), "i4", chunks=shape)
    image = bytearray(stream.getvalue())
    at = len(image)
    size = 4 * int(np.prod(shape))
    start = at + chunk_index_bytes(rank, chunks)
    offsets = [start + (chunks - 1 - number) * size for number in range(chunks)]
    struct.pack_into("<Q", image, places_of(bytes(image), "u").index_at, at)
    image += chunk_index(at, shape, 4, offsets, [size] * chunks)
    assert len(image) == start
    values = np.arange(chunks * size // 4, dtype="<i4").reshape(2 * chunks, *shape[1:])
    image += b"".join(values[2 * number : 2 * number + 2].tobytes() for number in reversed(range(chunks)))
    struct.pack_into("<Q", image, 40, len(image))
    with h5py.File(io.BytesIO(bytes(image)), "r+") as file:
        np.testing.assert_array_equal(file["u"][...], values)
        assert file["u"].id.get_num_chunks() == chunks
        file["u"][-1] = 7
        np.testing.assert_array_equal(file["u"][:-1], values[:-1])


def test_newer_layouts_are_refused_in_plain_words() -> None:
    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        file["u"] = np.arange(3)
        header = h5py.h5o.get_info(file["u"].id).addr
    image = stream.getvalue()
    with pytest.raises(FileFormatError, match="superblock is not of version 0"):
        array_places(lambda at, size: image[at : at + size], header)
