"""Compressing a finished data set: the same skeleton again, with chunks as small as they come out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.data.layout import chunk_order, make_skeleton, stored_arrays
from pdeml.data.schema import Schema
from pdeml.data.store import Store
from pdeml.errors import RunError
from pdeml.files import atomic_write, fletcher32

__all__ = ["compress"]


def compress(
    store: Store,
    path: Path,
    schema: Schema,
    attrs: Mapping[str, Any],
    statistics: Mapping[str, Mapping[str, float]],
    consequence: str,
) -> None:
    """Write a complete data set to ``path`` with byte shuffling and gzip, atomically; both need room at the same time.

    Args:
        store: of the complete, uncompressed file.
        path: of the compressed one.
        schema: of both.
        attrs: root attributes.
        statistics: array -> attribute -> value, those that `make_skeleton` leaves open.
        consequence: what an error of the disk means, for its message.
    """
    infos = stored_arrays(schema)
    start = end = store.first_chunk
    sizes = {}
    with atomic_write(path, consequence) as temporary:
        with temporary.open("r+b") as file:
            file.seek(start)
            for name, number in chunk_order(schema, store.samples):
                packed = _packed(store.chunk(name, number), infos[name].dtype.itemsize, schema.gzip)
                sizes[name, number] = file.write(packed)
                end += len(packed)
            head = make_skeleton(schema, store.samples, attrs, sizes)
            if len(head) != start:
                raise RunError(f"cannot compress {path}: its description does not fit in front of the data")
            file.seek(0)
            file.write(head)
        final = Store(temporary, schema, store.samples)
        for name, values in statistics.items():
            final.set_attributes(name, values)
        final.close()


def _packed(raw: bytes, width: int, level: int) -> bytes:
    """Shuffle bytes, compress, and append the checksum."""
    shuffled = np.frombuffer(raw, np.uint8).reshape(-1, width).T.tobytes()
    packed = zlib.compress(shuffled, level)
    return packed + struct.pack("<I", fletcher32(packed))
