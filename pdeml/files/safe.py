"""Opening HDF5 files from strangers: what could reach outside the file or exhaust the memory is refused first."""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeml.errors import FileFormatError, PdemlError

__all__ = [
    "available_memory",
    "open_hdf5",
    "open_shared",
    "read_array",
    "read_attributes",
    "reading",
    "require_memory",
    "size_text",
]

MAX_OBJECTS = 100_000
MAX_ATTRIBUTE_BYTES = 64 * 2**20
UNITS = ("KiB", "MiB", "GiB", "TiB")
# What netCDF itself keeps among the attributes.
STRUCTURAL = frozenset(
    {
        "CLASS",
        "NAME",
        "DIMENSION_LIST",
        "REFERENCE_LIST",
        "_FillValue",
        "_NCProperties",
        "_Netcdf4Coordinates",
        "_Netcdf4Dimid",
    }
)
# What h5py, zipfile, zlib, numpy and struct raise when they meet a damaged file.
_LIBRARY_ERRORS = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    EOFError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def reading(path: str | os.PathLike[str], what: str, folder: bool = False) -> Iterator[None]:
    """Turn any error of a file library inside into a one-line `FileFormatError` that names ``path``.

    Args:
        path: the file being read.
        what: what it should be, such as ``"an HDF5 file"``.
        folder: whether it may be a folder too.

    Raises:
        FileFormatError: also if the file does not exist, is a folder, is empty or may not be read.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise FileFormatError(f"{file}: no such file")
        if not file.is_file() and not (folder and file.is_dir()):
            raise FileFormatError(f"{file}: not a file but a folder or a device")
        if file.stat().st_size == 0:
            raise FileFormatError(f"{file}: the file is empty; expected {what}")
        yield
    except PdemlError:
        raise
    except PermissionError:
        raise FileFormatError(f"{file}: no permission to read it") from None
    except Exception as error:
        if not isinstance(error, _LIBRARY_ERRORS) and type(error).__name__ != "SafetensorError":
            raise
        reason = " ".join(str(error).strip("'\"").split()) or type(error).__name__
        raise FileFormatError(
            f"{file}: cannot be read as {what} ({reason[:200]}); is it damaged or cut short?"
        ) from None


@contextmanager
def open_hdf5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a stranger's HDF5 file for reading, after looking at everything in it.

    Refused are external links, soft links that lead nowhere, user-defined links, external storage and virtual data
    sets. Use `read_array` and `read_attributes` inside: they check sizes and types.

    Args:
        path: the file; one that is being written elsewhere may be opened too.

    Yields:
        the open file. Errors of h5py inside the ``with`` block become `FileFormatError`.

    Raises:
        FileFormatError: naming the file and the reason in one line.
    """
    with reading(path, "an HDF5 file"):
        if not h5py.is_hdf5(path):
            raise FileFormatError(f"{Path(path)}: not an HDF5 file")
        with open_shared(path) as file:
            _check_objects(file, Path(path))
            yield file


def read_array(dataset: h5py.Dataset, kinds: str = "biuf") -> np.ndarray:
    """Read a whole array after checking its type and its declared size.

    Args:
        dataset: an array of an open file.
        kinds: allowed numpy kinds of the type; ``"biufc"`` allows complex numbers too.

    Returns:
        the array in native byte order.

    Raises:
        FileFormatError: if the type is another (text, references, compounds, ...) or the memory does not suffice.
    """
    where = f"{dataset.file.filename}: array {dataset.name!r}"
    if not isinstance(dataset, h5py.Dataset):
        raise FileFormatError(f"{where} is a group, not an array")
    if dataset.shape is None:
        raise FileFormatError(f"{where} is empty")
    if dataset.dtype.kind not in kinds or dataset.dtype.subdtype is not None:
        raise FileFormatError(f"{where} holds {_type_name(dataset.dtype)}, not numbers")
    require_memory(_declared_bytes(dataset), where)
    array = dataset[()]
    return np.asarray(array, dtype=dataset.dtype.newbyteorder("="))


def read_attributes(target: h5py.Group | h5py.Dataset, strict: bool = True) -> dict[str, Any]:
    """Read attributes as Python text, numbers or numpy arrays; those of netCDF's own structure are left out.

    Args:
        target: a group or an array of an open file.
        strict: refuse attributes of other types (references, compounds, ...) instead of leaving them out.

    Raises:
        FileFormatError: if an attribute is too large, or of another type and ``strict``.
    """
    result = {}
    for name in target.attrs:
        if name in STRUCTURAL:
            continue
        where = f"{target.file.filename}: attribute {name!r} of {target.name!r}"
        attribute = target.attrs.get_id(name)
        if math.prod(attribute.shape) * attribute.dtype.itemsize > MAX_ATTRIBUTE_BYTES:
            raise FileFormatError(f"{where} is larger than {MAX_ATTRIBUTE_BYTES // 2**20} MiB")
        if attribute.dtype.kind in "biufcS" or h5py.check_string_dtype(attribute.dtype):
            result[name] = _plain(target.attrs[name])
        elif strict:
            raise FileFormatError(f"{where} holds {_type_name(attribute.dtype)}, not text or numbers")
    return result


def require_memory(needed: int, where: str) -> None:
    """Refuse to read ``needed`` bytes where that many are not available; ``where`` starts the message."""
    available = available_memory()
    if needed > available:
        raise FileFormatError(
            f"{where} declares {size_text(needed)} but only {size_text(available)} of memory are available"
        )


def available_memory() -> int:
    """Return how many bytes of memory this process may still take: of the machine, or of its control group."""
    limits = [_machine_memory()]
    maximum, current = (_first_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if maximum is not None and current is not None:
        limits.append(max(maximum - current, 0))
    return min(limits)


def _machine_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**33


def _first_number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def open_shared(path: str | os.PathLike[str]) -> h5py.File:
    """Open for reading, also where another process is still writing (and therefore locks the file)."""
    try:
        return h5py.File(path, "r")
    except BlockingIOError:
        return h5py.File(path, "r", locking=False)


def _check_objects(file: h5py.File, path: Path) -> None:
    """Walk the hard links; soft links are resolved last, once nothing can lead outside the file any more."""
    soft: list[tuple[h5py.Group, str]] = []
    waiting, seen = [file["/"]], set()
    while waiting:
        group = waiting.pop()
        for name in group:
            where = f"{path}: {group.name.rstrip('/')}/{name}"
            if _check_link(group, name, where, soft):
                found = h5py.h5o.open(group.id, group._e(name))
                address = h5py.h5o.get_info(found).addr
                if address in seen:
                    continue
                seen.add(address)
                if len(seen) > MAX_OBJECTS:
                    raise FileFormatError(f"{path}: holds more than {MAX_OBJECTS} objects")
                if isinstance(found, h5py.h5g.GroupID):
                    waiting.append(h5py.Group(found))
                elif isinstance(found, h5py.h5d.DatasetID):
                    _check_storage(found, where)
    for group, name in soft:
        try:
            h5py.h5o.open(group.id, group._e(name))
        except (KeyError, OSError, RuntimeError):
            where = f"{path}: {group.name.rstrip('/')}/{name}"
            raise FileFormatError(f"{where} is a soft link that leads nowhere") from None


def _check_link(group: h5py.Group, name: str, where: str, soft: list[tuple[h5py.Group, str]]) -> bool:
    """Return whether the link is a hard one; remember soft ones, refuse all others."""
    kind = group.id.links.get_info(group._e(name)).type
    if kind == h5py.h5l.TYPE_SOFT:
        soft.append((group, name))
        return False
    if kind != h5py.h5l.TYPE_HARD:
        what = "an external link" if kind == h5py.h5l.TYPE_EXTERNAL else "a user-defined link"
        raise FileFormatError(
            f"{where} is {what} to another place; such files are refused, copy the data into one file"
        )
    return True


def _check_storage(dataset: h5py.h5d.DatasetID, where: str) -> None:
    plist = dataset.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        raise FileFormatError(f"{where} is a virtual data set; such files are refused, copy the data into one file")
    if plist.get_external_count() > 0:
        raise FileFormatError(
            f"{where} keeps its data in another file; such files are refused, copy the data into one file"
        )


def _declared_bytes(dataset: h5py.Dataset) -> int:
    whole = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
    return max(whole, chunk)


def _plain(value: Any) -> Any:
    """Turn what h5py returns for an attribute into text, a Python number or an array of them."""
    if isinstance(value, h5py.Empty):
        return "" if value.dtype.kind in "SO" else np.zeros(0, value.dtype)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        return [_plain(part) for part in value.ravel()]
    return value.item() if isinstance(value, np.generic) else value


def _type_name(dtype: np.dtype) -> str:
    if h5py.check_ref_dtype(dtype):
        return "references"
    if h5py.check_string_dtype(dtype):
        return "text"
    if h5py.check_vlen_dtype(dtype):
        return "lists of varying length"
    return "a compound type" if dtype.kind == "V" else f"values of type {dtype}"


def size_text(count: float) -> str:
    """Return a number of bytes for people: three digits and ``KiB``, ``MiB``, ..., below 1024 the bytes."""
    if count < 1024:
        return f"{count:.0f} bytes"
    power = min(int(math.log2(count)) // 10, len(UNITS))
    size = count / 1024**power
    return f"{size:.3g} {UNITS[power - 1]}" if size < 999.5 else f"{size:.0f} {UNITS[power - 1]}"
