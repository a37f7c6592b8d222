"""Chunks of whole samples, read past HDF5: with ``pread``, several threads at once, checksums verified.

HDF5 reads under one lock of the whole process, and its checksum costs more than reading from a warm cache. Here numpy
and zlib do the work, and both release Python's lock.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

import h5py
import numpy as np

from pdeml.data.source import ArrayInfo
from pdeml.errors import FileFormatError
from pdeml.files import fletcher32, require_memory

__all__ = ["ChunkReader"]

_GZIP, _SHUFFLE, _FLETCHER = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32


@dataclass(frozen=True, eq=False)
class ChunkReader:
    """Reads the chunks of one array, each of ``per_chunk`` whole samples.

    Attributes:
        where: file and array, for messages.
        shape: of a chunk: (samples, ...).
        dtype: as stored.
        filters: codes in the order in which they were applied.
        table: shape (chunks, 3): address, stored bytes, mask of left-out filters.
    """

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    filters: tuple[int, ...]
    table: np.ndarray

    @staticmethod
    def of(dataset: h5py.Dataset, info: ArrayInfo, where: str) -> ChunkReader | None:
        """Return a reader, or None if the array is stored in another way and must be read by HDF5."""
        if dataset.chunks is None or dataset.chunks[1:] != info.shape or not info.sample_bytes:
            return None
        plist = dataset.id.get_create_plist()
        filters = tuple(plist.get_filter(number)[0] for number in range(plist.get_nfilters()))
        if not set(filters) <= {_GZIP, _SHUFFLE, _FLETCHER} or dataset.dtype.kind not in "iuf":
            return None
        require_memory(dataset.chunks[0] * info.sample_bytes, f"{where}: one chunk")
        count = -(-dataset.shape[0] // dataset.chunks[0])
        if dataset.id.get_num_chunks() < count:
            return None  # some were never written: HDF5 knows what to return for them
        table = np.zeros((count, 3), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            number = chunk.chunk_offset[0] // dataset.chunks[0]
            if number < count:
                table[number] = chunk.byte_offset, chunk.size, chunk.filter_mask

        if count:
            dataset.id.chunk_iter(note)
        return ChunkReader(where, dataset.chunks, dataset.dtype, filters, table) if table[:, 1].all() else None

    @property
    def per_chunk(self) -> int:
        """Samples in a chunk."""
        return self.shape[0]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def read(self, file: int, number: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read one chunk.

        Args:
            file: descriptor of the open file.
            number: of the chunk.
            out: C-contiguous array of the chunk's bytes to read into; without it, one is made.

        Returns:
            shape ``self.shape``, as stored.

        Raises:
            FileFormatError: if the chunk is cut short, its checksum is wrong, or it cannot be decompressed.
        """
        offset, size, mask = (int(value) for value in self.table[number])
        used = [code for place, code in enumerate(self.filters) if not mask >> place & 1]
        out = np.empty(self.shape, self.dtype) if out is None else out
        raw = out.reshape(-1).view(np.uint8)
        if used in ([], [_FLETCHER]) and size == len(raw) + 4 * len(used):
            tail = bytearray(4 * len(used))
            if os.preadv(file, [raw.data, tail], offset) != size:
                raise self._damaged(number, "is cut short")
            self._verify(raw, tail, number)
        else:
            raw[:] = self._decoded(os.pread(file, size, offset), used, number)
        return out

    def samples(self, number: int) -> str:
        """Say which samples a chunk holds."""
        first = number * self.per_chunk
        return f"sample {first}" if self.per_chunk == 1 else f"samples {first} to {first + self.per_chunk - 1}"

    def _decoded(self, data: bytes, used: list[int], number: int) -> np.ndarray:
        for code in reversed(used):
            if code == _FLETCHER:
                self._verify(data[:-4], data[-4:], number)
                data = data[:-4]
            elif code == _GZIP:
                try:
                    data = zlib.decompressobj().decompress(data, self.chunk_bytes)
                except zlib.error:
                    raise self._damaged(number, "cannot be decompressed") from None
            elif len(data) == self.chunk_bytes:
                data = np.frombuffer(data, np.uint8).reshape(self.dtype.itemsize, -1).T.tobytes()
        if len(data) != self.chunk_bytes:
            raise self._damaged(number, "is cut short")
        return np.frombuffer(data, np.uint8)

    def _verify(self, data: bytes | np.ndarray, tail: bytes | bytearray, number: int) -> None:
        if len(tail) and fletcher32(data) != int.from_bytes(tail, "little"):
            raise self._damaged(number, "has a wrong checksum")

    def _damaged(self, number: int, what: str) -> FileFormatError:
        return FileFormatError(f"{self.where}, {self.samples(number)}: the data {what}; the file is damaged")
