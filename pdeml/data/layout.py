"""The skeleton of a data set file: all metadata, and a place for every sample, before the first one is written.

Afterwards a sample is written by putting its bytes where the skeleton has reserved room for them, and by raising the
lengths of the arrays. No metadata moves, so that nothing a kill, a crash or a full disk interrupts can damage the file.
The file itself grows with the samples: its end, as the superblock states it, is raised as they come.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from pdeml.data.schema import PARTS, SAMPLE, SPLIT, STATISTICS, Schema, samples_per_chunk
from pdeml.data.source import ArrayInfo
from pdeml.files import (
    END_OF_FILE,
    array_places,
    chunk_index,
    chunk_index_bytes,
    create_coordinate,
    create_dimension,
    create_file,
    create_variable,
    write_attributes,
)

__all__ = ["CHECKSUM_BYTES", "chunk_order", "make_skeleton", "split_info", "stored_arrays"]

CHECKSUM_BYTES = 4


def split_info() -> ArrayInfo:
    """Return the array that says which part a sample belongs to."""
    return ArrayInfo(SPLIT, (), (), np.int8, "parameter", long_name="part of the data set")


def stored_arrays(schema: Schema) -> dict[str, ArrayInfo]:
    """Return all arrays with the dimension ``sample``, `split_info` last."""
    return {**schema.arrays, SPLIT: split_info()}


def chunk_order(schema: Schema, samples: int) -> Iterator[tuple[str, int]]:
    """Yield (array, number of the chunk) as they stand in the file: by their first sample."""
    chunks = [
        (first, place, name, number)
        for place, (name, info) in enumerate(stored_arrays(schema).items())
        for number, first in enumerate(range(0, samples, samples_per_chunk(info, samples)))
    ]
    for _, _, name, number in sorted(chunks):
        yield name, number


def make_skeleton(
    schema: Schema, samples: int, attrs: Mapping[str, Any], sizes: Mapping[tuple[str, int], int] | None = None
) -> bytes:
    """Build the metadata of a data set with room for all samples.

    Args:
        schema: of the data set.
        samples: how many there shall be.
        attrs: all root attributes.
        sizes: (array, chunk) -> stored bytes of that chunk; without it each has its raw bytes and the checksum.

    Returns:
        the bytes before the first chunk. The chunks shall follow them without gaps, in the order of `chunk_order`.
    """
    infos = stored_arrays(schema)
    image = io.BytesIO()
    with create_file(image) as file:
        _create(file, schema, samples, attrs)
        headers = {name: h5py.h5o.get_info(file[name].id).addr for name in infos}
    head = bytearray(image.getbuffer())
    roots = {
        name: array_places(lambda at, size: bytes(head[at : at + size]), at).index_at for name, at in headers.items()
    }
    indices = {
        name: chunk_index_bytes(1 + len(info.shape), -(-samples // samples_per_chunk(info, samples)))
        for name, info in infos.items()
    }
    chunks, end = _placed(schema, samples, len(head) + sum(indices.values()), sizes)
    for name, info in infos.items():
        head[roots[name] : roots[name] + 8] = struct.pack("<Q", len(head))
        shape = (samples_per_chunk(info, samples), *info.shape)
        head += chunk_index(len(head), shape, info.dtype.itemsize, *zip(*chunks[name], strict=True))
    head[END_OF_FILE : END_OF_FILE + 8] = struct.pack("<Q", end)
    return bytes(head)


def _placed(
    schema: Schema, samples: int, start: int, sizes: Mapping[tuple[str, int], int] | None
) -> tuple[dict[str, list[tuple[int, int]]], int]:
    """Return array -> (address, stored bytes) of its chunks, which follow each other from ``start``, and the end."""
    infos, end = stored_arrays(schema), start
    chunks: dict[str, list[tuple[int, int]]] = {name: [] for name in infos}
    for name, number in chunk_order(schema, samples):
        info = infos[name]
        raw = samples_per_chunk(info, samples) * info.sample_bytes
        size = sizes[name, number] if sizes else raw + CHECKSUM_BYTES
        chunks[name].append((end, size))
        end += size
    return chunks, end


def _create(file: h5py.File, schema: Schema, samples: int, attrs: Mapping[str, Any]) -> None:
    write_attributes(file, attrs)
    create_dimension(file, SAMPLE, samples, unlimited=True)
    for dim, size in schema.sizes.items():
        if dim in schema.coordinates:
            coordinate = schema.coordinates[dim]
            create_coordinate(file, dim, coordinate.values, coordinate.attributes(dim))
        else:
            create_dimension(file, dim, size)
    for info in stored_arrays(schema).values():
        _create_array(file, schema, info, samples)


def _create_array(file: h5py.File, schema: Schema, info: ArrayInfo, samples: int) -> None:
    storage: dict[str, Any] = {"chunks": (samples_per_chunk(info, samples), *info.shape), "fletcher32": True}
    if schema.gzip:
        storage.update(compression="gzip", compression_opts=schema.gzip, shuffle=True)
    create_variable(
        file, info.name, (SAMPLE, *info.dims), info.dtype.newbyteorder("<"), _attributes(schema, info), **storage
    )


def _attributes(schema: Schema, info: ArrayInfo) -> dict[str, Any]:
    common = {"units": info.unit, "long_name": info.long_name or info.name}
    if info.name == SPLIT:
        meanings = " ".join(PARTS)
        return {**common, "role": "coordinate", "flag_values": np.arange(3, dtype=np.int8), "flag_meanings": meanings}
    codec = schema.codecs.get(info.name)
    unknown = dict.fromkeys((*STATISTICS, *schema.largest(info.name)), np.nan)
    return {**common, "role": info.role, "coordinates": SPLIT, "codec": str(codec) if codec else None, **unknown}
