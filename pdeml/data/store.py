"""A data set file while it grows: samples are put into their reserved places, then the lengths are raised.

Whatever is exchanged in place is a single number of eight bytes, and the order of writing leaves, at every moment, a
file that any HDF5 library reads with all samples up to its lengths:

- a chunk being filled is marked "stored without filters", so that samples can be added to it; when it is full it gets
  its checksum, and then the mark changes to "with the checksum";
- the end of the file and the bytes of a sample come first, the lengths of the arrays last.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeml.data.layout import CHECKSUM_BYTES, make_skeleton, stored_arrays
from pdeml.data.schema import SAMPLE, Schema, samples_per_chunk
from pdeml.data.source import ArrayInfo
from pdeml.errors import FileFormatError, InputError
from pdeml.files import END_OF_FILE, ArrayPlaces, array_places, atomic_write, chunk_key, fletcher32, open_hdf5

__all__ = ["Store"]


@dataclass(frozen=True)
class _Slots:
    """Where the samples of one array stand."""

    info: ArrayInfo
    places: ArrayPlaces
    per_chunk: int

    @property
    def chunk_bytes(self) -> int:
        return self.per_chunk * self.info.sample_bytes


class Store:
    """The file of a data set, with the skeleton of `make_skeleton`, open for adding samples.

    Args:
        path: the file.
        schema: of the data set; that of the file must be equal.
        samples: how many there shall be.

    Raises:
        InputError: if another process is writing the file.
        FileFormatError: if the file has another layout.
        OSError: if the disk refuses; so do all methods.
    """

    def __init__(self, path: Path, schema: Schema, samples: int):
        self.samples = samples
        # Filters stand in the order shuffle, gzip, checksum; a set bit says that a filter was left out.
        self._sealed_mask, self._open_mask = (0b011, 0b111) if schema.gzip else (0b0, 0b1)
        self._file = os.open(path, os.O_RDWR)
        try:
            _lock(self._file, path)
            self._slots, self._length_at = self._find(path, schema)
        except BaseException:
            self.close()
            raise

    @staticmethod
    def create(path: Path, schema: Schema, samples: int, attrs: Mapping[str, Any]) -> Store:
        """Write a data set without samples to ``path``, atomically, and open it."""
        head = bytearray(make_skeleton(schema, samples, attrs))
        head[END_OF_FILE : END_OF_FILE + 8] = struct.pack("<Q", len(head))
        with atomic_write(path) as temporary:
            temporary.write_bytes(head)
            store = Store(temporary, schema, samples)
            store.set_length(0)
            store.close()
        return Store(path, schema, samples)

    def write(self, name: str, number: int, sample: np.ndarray) -> None:
        """Put sample ``number`` of one array into its place; it counts once `set_length` says so."""
        slots = self._slots[name]
        chunk, row = divmod(number, slots.per_chunk)
        offset = slots.places.chunks[chunk].offset
        if row == 0:
            self._reserve(offset + slots.chunk_bytes + CHECKSUM_BYTES)
            self.reopen(name, number)
        raw = np.ascontiguousarray(sample, slots.info.dtype.newbyteorder("<"))
        self._write_at(offset + row * slots.info.sample_bytes, raw.reshape(-1).view(np.uint8).data)
        if row == slots.per_chunk - 1 or number == self.samples - 1:
            self._seal(slots, chunk)

    def reopen(self, name: str, number: int) -> None:
        """Mark the chunk of sample ``number`` as being filled."""
        slots = self._slots[name]
        place = slots.places.chunks[number // slots.per_chunk]
        self._write_at(place.key_at, chunk_key(slots.chunk_bytes, self._open_mask))

    def set_length(self, length: int) -> None:
        """State how many samples all arrays hold, the dimension last."""
        for at in (*(slots.places.length_at for slots in self._slots.values()), self._length_at):
            self._write_at(at, struct.pack("<Q", length))

    def set_attributes(self, name: str, values: Mapping[str, float]) -> None:
        """Exchange float64 attributes of an array."""
        for attribute, value in values.items():
            self._write_at(self._slots[name].places.attributes[attribute], struct.pack("<d", value))

    @property
    def first_chunk(self) -> int:
        """Address of the first chunk: where the metadata ends."""
        return min(slots.places.chunks[0].offset for slots in self._slots.values())

    def chunk(self, name: str, number: int) -> bytes:
        """Return the bytes of one chunk, without checksum."""
        slots = self._slots[name]
        return self._read_at(slots.places.chunks[number].offset, slots.chunk_bytes)

    def flush(self) -> None:
        """Wait until everything is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, and let others write it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _seal(self, slots: _Slots, chunk: int) -> None:
        """Add the checksum of a full chunk, then say that it has one."""
        place = slots.places.chunks[chunk]
        checksum = fletcher32(self._read_at(place.offset, slots.chunk_bytes))
        self._write_at(place.offset + slots.chunk_bytes, struct.pack("<I", checksum))
        self._write_at(place.key_at, chunk_key(slots.chunk_bytes + CHECKSUM_BYTES, self._sealed_mask))

    def _reserve(self, end: int) -> None:
        """Let the file end at ``end`` or later, and then say so."""
        if os.fstat(self._file).st_size < end:
            os.ftruncate(self._file, end)
        if struct.unpack("<Q", self._read_at(END_OF_FILE, 8))[0] < end:
            self._write_at(END_OF_FILE, struct.pack("<Q", end))

    def _find(self, path: Path, schema: Schema) -> tuple[dict[str, _Slots], int]:
        infos = stored_arrays(schema)
        with open_hdf5(path) as file:
            headers = {name: h5py.h5o.get_info(file[name].id).addr for name in (*infos, SAMPLE)}
            places = {name: array_places(self._read_at, header) for name, header in headers.items()}
        slots = {
            name: _Slots(info, places[name], samples_per_chunk(info, self.samples)) for name, info in infos.items()
        }
        for name, part in slots.items():
            if len(part.places.chunks) != math.ceil(self.samples / part.per_chunk):
                raise FileFormatError(f"{path}: array {name!r} has no room for {self.samples} samples")
        return slots, places[SAMPLE].length_at

    def _read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset)

    def _write_at(self, offset: int, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            written = os.pwrite(self._file, left, offset)
            left, offset = left[written:], offset + written


def _lock(handle: int, path: Path) -> None:
    """Take the file for writing, by a lock of Linux that does not hinder HDF5 (which has another kind) from reading."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except BlockingIOError:
        raise InputError(f"{path}: another process is writing this data set; wait for it or stop it") from None
