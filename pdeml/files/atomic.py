"""Files that are either absent or complete: write under a temporary name, flush to disk, rename."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pdeml.errors import InputError, PdemlError, RunError

__all__ = [
    "TEMPORARY_SUFFIX",
    "atomic_bytes",
    "atomic_json",
    "atomic_text",
    "atomic_write",
    "disk_errors",
    "flush_folder",
    "sweep_temporaries",
]

TEMPORARY_SUFFIX = ".pdeml-tmp"
_TEMPORARY = re.compile(r"^\..*\.(\d+)-[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX) + "$")
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large",
}
_FULL_TEXT = re.compile(r"errno = (\d+)")
_NAME_BYTES = 100


@contextmanager
def atomic_write(path: str | os.PathLike[str], consequence: str = "nothing was written") -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it is flushed to disk and renamed to ``path``.

    On any exception, a keyboard interrupt among them, the temporary is removed and an older file stays as it was.
    A killed process leaves at most one stray temporary, which `sweep_temporaries` removes.

    Args:
        path: where the finished file shall stand; its folder must exist. A symbolic link is followed.
        consequence: what an error of the disk means, for its message.

    Yields:
        the temporary path: an empty file to be opened and written.

    Raises:
        InputError: if the folder does not exist, or ``path`` is a folder or a device.
        RunError: if the file cannot be written (full disk, no permission); nothing is left behind.
    """
    target = _checked_target(path)
    with disk_errors(target, consequence):
        temporary = _create_temporary(target)
        try:
            yield temporary
            _flush_to_disk(temporary)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    flush_folder(target.parent)


@contextmanager
def disk_errors(target: Path, consequence: str = "nothing was written") -> Iterator[None]:
    """Turn what the disk refuses while ``target`` is written into a `RunError`; anything else passes unchanged.

    Args:
        target: the file being written.
        consequence: end of the message: what is left on the disk.
    """
    try:
        yield
    except PdemlError:
        raise
    except (OSError, RuntimeError) as error:
        reason = _disk_reason(error, target)
        if reason is None:
            raise
        raise RunError(f"cannot write {str(target)!r}: {reason}; {consequence}") from error


def flush_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to disk, after a rename; a disk that cannot do so is ignored."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def atomic_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path`` atomically; raises as `atomic_write`."""
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        stream.write(content)


def atomic_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 with the line ends it has; raises as `atomic_write`."""
    atomic_bytes(path, text.encode("utf-8"))


def atomic_json(path: str | os.PathLike[str], value: object) -> None:
    """Write ``value`` as indented JSON with a final newline; raises as `atomic_write`."""
    atomic_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sweep_temporaries(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Remove the temporaries that killed processes left in ``folder``; those of living processes stay.

    Args:
        folder: an existing folder; sub-folders are not entered.

    Returns:
        the removed paths.
    """
    removed = []
    for entry in sorted(Path(folder).iterdir()):
        match = _TEMPORARY.match(entry.name)
        if match and entry.is_file() and not _is_alive(int(match.group(1))):
            with suppress(OSError):
                entry.unlink()
                removed.append(entry)
    return tuple(removed)


def _checked_target(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(
            f"cannot write {os.fspath(path)!r}: the folder {str(target.parent)!r} does not exist; create it first"
        )
    if target.exists() and not target.is_file():
        what = "a folder" if target.is_dir() else "not a regular file"
        raise InputError(f"cannot write {os.fspath(path)!r}: it is {what}; give the path of a file")
    return target


def _create_temporary(target: Path) -> Path:
    stem = target.name.encode()[:_NAME_BYTES].decode(errors="ignore")
    temporary = target.with_name(f".{stem}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _disk_reason(error: BaseException, target: Path) -> str | None:
    """Say why the disk refused, or None if the error is not about writing ``target``."""
    seen: BaseException | None = error
    while seen is not None:
        text = _FULL_TEXT.search(str(seen))
        number = int(text.group(1)) if text else getattr(seen, "errno", None)
        if number in _FULL:
            return _FULL[number]
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO) and _concerns(seen, target):
            return os.strerror(number).lower()
        seen = seen.__context__
    return None


def _concerns(error: BaseException, target: Path) -> bool:
    named = getattr(error, "filename", None)
    return named is None or Path(os.fsdecode(named)).parent == target.parent


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
