"""Where in an HDF5 file the numbers stand that change while a data set grows, and an index of chunks made in advance.

HDF5 writes its metadata in an order that a killed process can tear. A file whose metadata is complete from the start,
and in which afterwards only single numbers of eight bytes are exchanged in place, is readable at every moment. This
module finds those numbers in files of the oldest layout (superblock 0, object headers 1, chunks in a version 1 B-tree),
which h5py writes by default and which has no checksums over its metadata; and it writes such a B-tree for chunks that
are yet to come, which HDF5 itself makes only together with their data.

Reference: HDF5 File Format Specification Version 3.0 (The HDF Group), II.A, III.A.1, IV.A.1.a, IV.A.2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pdeml.errors import FileFormatError

__all__ = ["END_OF_FILE", "ArrayPlaces", "ChunkPlace", "array_places", "chunk_index", "chunk_index_bytes", "chunk_key"]

END_OF_FILE = 40  # the superblock's end-of-file address
_DATASPACE, _LAYOUT, _ATTRIBUTE, _CONTINUATION = 0x0001, 0x0008, 0x000C, 0x0010
_UNDEFINED = 2**64 - 1
_ENTRIES = 64  # of a node: twice the "indexed storage internal node K" that superblock 0 implies

Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class ChunkPlace:
    """One chunk: its number along the first axis, address of its bytes, and of its key in the index."""

    number: int
    offset: int
    key_at: int


@dataclass(frozen=True)
class ArrayPlaces:
    """Addresses of one array.

    Attributes:
        length_at: of the first number of its shape.
        attributes: name -> of the value of an attribute.
        index_at: of the number that is the address of its index of chunks.
        chunks: by number.
    """

    length_at: int
    attributes: dict[str, int]
    index_at: int
    chunks: tuple[ChunkPlace, ...]


def chunk_key(size: int, mask: int) -> bytes:
    """Return the eight bytes that say how many bytes a chunk stores and which filters were left out."""
    return struct.pack("<II", size, mask)


def array_places(read: Read, header: int) -> ArrayPlaces:
    """Find the numbers of one array.

    Args:
        read: ``read(offset, size)`` returns bytes of the file.
        header: address of the array's object header (``h5py.h5o.get_info(dataset.id).addr``).

    Raises:
        FileFormatError: if the file is of another layout than the oldest.
    """
    if read(0, 9) != b"\x89HDF\r\n\x1a\n\0" or read(13, 2) != b"\x08\x08":
        raise FileFormatError("its HDF5 superblock is not of version 0")
    length_at = index_at = -1
    attributes, chunks = {}, ()
    for kind, at, size in _messages(read, header):
        if kind == _DATASPACE:
            length_at = at + 8
        elif kind == _ATTRIBUTE:
            name, value_at = _attribute(read, at, size)
            attributes[name] = value_at
        elif kind == _LAYOUT:
            index_at = at + 3
            chunks = tuple(sorted(_chunks(read, at), key=lambda chunk: chunk.number))
    if length_at < 0:
        raise FileFormatError("an array in it has no shape")
    return ArrayPlaces(length_at, attributes, index_at, chunks)


def chunk_index_bytes(rank: int, chunks: int) -> int:
    """Return the size of the index of ``chunks`` chunks of an array with ``rank`` dimensions."""
    nodes, level = 0, chunks
    while level > 1 or not nodes:
        level = -(-level // _ENTRIES)
        nodes += level
    return nodes * _node_bytes(rank)


def chunk_index(at: int, shape: Sequence[int], itemsize: int, offsets: Sequence[int], sizes: Sequence[int]) -> bytes:
    """Make the index of an array whose chunks follow each other along the first axis and fill all others.

    Args:
        at: address where the index will stand; its root comes first.
        shape: of a chunk.
        itemsize: bytes of a number.
        offsets: address of each chunk.
        sizes: stored bytes of each chunk.

    Returns:
        `chunk_index_bytes` bytes.
    """
    rank = len(shape)
    pack = struct.Struct(f"<{rank + 1}Q").pack
    keys = [chunk_key(size, 0) + pack(number * shape[0], *[0] * rank) for number, size in enumerate(sizes)]
    last = chunk_key(0, 0) + pack((len(keys) - 1) * shape[0], *shape[1:], itemsize)
    levels = [list(zip(keys, offsets, strict=True))]
    while len(levels) == 1 or len(levels[-1]) > 1:
        levels.append([(part[0][0], 0) for part in _grouped(levels[-1])])
    # From the root down: each level's nodes stand behind those of the level above.
    nodes, start = [], at
    for level in range(len(levels) - 2, -1, -1):
        groups = _grouped(levels[level])
        below = start + len(groups) * _node_bytes(rank)
        if level:
            levels[level] = [(key, below + n * _node_bytes(rank)) for n, (key, _) in enumerate(levels[level])]
        nodes += _nodes(_grouped(levels[level]), level, start, rank, last)
        start = below
    return b"".join(nodes)


def _nodes(groups: list[list[tuple[bytes, int]]], level: int, start: int, rank: int, last: bytes) -> Iterator[bytes]:
    """Yield the nodes of one level, which stand one behind the other from ``start``."""
    size = _node_bytes(rank)
    for number, group in enumerate(groups):
        left = start + (number - 1) * size if number else _UNDEFINED
        right = start + (number + 1) * size if number + 1 < len(groups) else _UNDEFINED
        end = groups[number + 1][0][0] if number + 1 < len(groups) else last
        node = struct.pack("<4sBBHQQ", b"TREE", 1, level, len(group), left, right)
        node += b"".join(key + struct.pack("<Q", child) for key, child in group) + end
        yield node.ljust(size, b"\0")


def _grouped(entries: list) -> list[list]:
    return [entries[start : start + _ENTRIES] for start in range(0, len(entries), _ENTRIES)]


def _node_bytes(rank: int) -> int:
    return 24 + _ENTRIES * 8 + (_ENTRIES + 1) * (8 + 8 * (rank + 1))


def _messages(read: Read, header: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, address, size) of the messages of a version 1 object header."""
    version, _, _, _, size = struct.unpack("<BBHII", read(header, 12))
    if version != 1:
        raise FileFormatError(f"an object header in it is of version {version}, not 1")
    blocks = [(header + 16, size)]
    while blocks:
        at, left = blocks.pop(0)
        while left >= 8:
            kind, length = struct.unpack("<HH", read(at, 4))
            if kind == _CONTINUATION:
                blocks.append(struct.unpack("<QQ", read(at + 8, 16)))
            yield kind, at + 8, length
            at, left = at + 8 + length, left - 8 - length


def _attribute(read: Read, at: int, size: int) -> tuple[str, int]:
    """Return name and address of the value of an attribute message."""
    content = read(at, size)
    version, _, name, dtype, space = struct.unpack("<BBHHH", content[:8])
    if version not in (1, 2, 3):
        raise FileFormatError(f"an attribute in it is of version {version}")
    start = 9 if version == 3 else 8
    text = content[start : start + name].rstrip(b"\0").decode("utf-8", errors="replace")
    parts = [-(-part // 8) * 8 if version == 1 else part for part in (name, dtype, space)]
    return text, at + start + sum(parts)


def _chunks(read: Read, layout: int) -> Iterator[ChunkPlace]:
    """Walk the version 1 B-tree of a chunked array."""
    version, kind, rank = struct.unpack("<BBB", read(layout, 3))
    if (version, kind) != (3, 2):
        return
    root, step = struct.unpack("<QI", read(layout + 3, 12))
    waiting = [root] if root != _UNDEFINED else []
    key = 8 + 8 * rank
    while waiting:
        node = waiting.pop()
        magic, _, level, entries = struct.unpack("<4sBBH", read(node, 8))
        if magic != b"TREE":
            raise FileFormatError("an index of chunks in it is damaged")
        content = read(node + 24, entries * (key + 8))
        for number in range(entries):
            start = number * (key + 8)
            (child,) = struct.unpack("<Q", content[start + key : start + key + 8])
            if level:
                waiting.append(child)
            else:
                (first,) = struct.unpack("<Q", content[start + 8 : start + 16])
                yield ChunkPlace(first // step, child, node + 24 + start)
