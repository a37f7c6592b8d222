"""A spec with the file it came from: loading, and errors that name file and line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath

from ..errors import InputError
from .errors import SpecError
from .models import Spec
from .nodes import Node, Path, trace
from .reader import MAX_BYTES, read_tree
from .validate import check

__all__ = ["Document", "Source", "document_of", "load_spec", "parse_spec"]

MAX_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Where a spec was written.

    Args:
        file: as the user named it.
        text: the YAML text.
        root: its tree, with the overrides applied.
    """

    file: str
    text: str
    root: Node

    def error(self, message: str, path: Path = (), *, at_key: bool = False) -> SpecError:
        """The error for a path: file, line and the path as the text has it."""
        place = trace(self.root, path, at_key)
        return SpecError(message, place.path, file=self.file, line=place.line, origin=place.origin)


@dataclass(frozen=True, slots=True)
class Document:
    """A checked spec and its source."""

    spec: Spec
    source: Source

    @property
    def file(self) -> str:
        """The file as the user named it."""
        return self.source.file

    @property
    def text(self) -> str:
        """The YAML text as it was read, without overrides."""
        return self.source.text

    @property
    def folder(self) -> FilePath:
        """The folder that paths in the spec are relative to."""
        return FilePath(self.source.file).parent

    def locate(self, path: Path) -> int:
        """The line (from 1) of a path, or of its nearest written parent."""
        return trace(self.source.root, path).line

    def error(self, message: str, path: Path = ()) -> SpecError:
        """An error about one place of the spec, to be raised."""
        return self.source.error(message, path)

    @contextmanager
    def errors(self, *prefix: str | int) -> Iterator[None]:
        """Give every `InputError` raised inside its file, line and full path.

        Args:
            *prefix: where in the spec the paths of the errors begin, such as ``"problem"``.

        Raises:
            SpecError: in place of the InputError.
        """
        try:
            yield
        except SpecError:
            raise
        except InputError as error:
            raise self.source.error(error.message, (*prefix, *error.path)) from error


def load_spec(path: str | os.PathLike[str]) -> Document:
    """Read and check a spec.

    Raises:
        SpecError: one line a fault, ``FILE:LINE: path: message``.
    """
    file = os.fspath(path)
    return parse_spec(_read_text(file), file)


def parse_spec(text: str, name: str = "<string>") -> Document:
    """Check a spec given as text.

    Args:
        text: YAML.
        name: how errors name it.

    Raises:
        SpecError: one line a fault, ``NAME:LINE: path: message``.
    """
    if len(text) > MAX_BYTES:
        raise SpecError(f"is larger than {MAX_BYTES // 1024} KiB; a spec is small", file=name)
    text = text.removeprefix("\ufeff")
    return document_of(Source(name, text, read_tree(text, name)))


def document_of(source: Source) -> Document:
    """Check a tree.

    Raises:
        SpecError: the first faults in the order of their lines.
    """
    spec, faults = check(source.root.plain())
    if spec is not None:
        return Document(spec, source)
    errors = [source.error(message, path, at_key=at_key) for path, message, at_key in faults]
    errors.sort(key=lambda error: error.line or 0)
    raise _joined(errors)


def _joined(errors: list[SpecError]) -> SpecError:
    lines = list(dict.fromkeys(error.first for error in errors))
    first = errors[0]
    others = lines[1:MAX_FAULTS]
    if len(lines) > MAX_FAULTS:
        others.append(f"{first.file}: and {len(lines) - MAX_FAULTS} more")
    first.others = tuple(others)
    return first


def _read_text(file: str) -> str:
    path = FilePath(file)
    try:
        if path.is_dir():
            raise SpecError("is a folder; give a YAML file", file=file)
        if not path.exists():
            raise SpecError(f"no such file{_near_file(path)}", file=file)
        if not path.is_file():
            raise SpecError("is not a regular file", file=file)
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except SpecError:
        raise
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror or error}", file=file) from None
    except ValueError:
        raise SpecError("is not a file name", file=repr(file)) from None
    if len(data) > MAX_BYTES:
        raise SpecError(f"is larger than {MAX_BYTES // 1024} KiB; a spec is small", file=file)
    return _decode(data, file)


def _decode(data: bytes, file: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SpecError("is UTF-16; save it as UTF-8", file=file)
    if b"\0" in data or data[:4] == b"\x89HDF":
        raise SpecError("is not a text file; a spec is YAML in UTF-8", file=file)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError("is not UTF-8 text; save it as UTF-8", file=file, line=line) from None


def _near_file(path: FilePath) -> str:
    try:
        found = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml"))[:1000]
    except OSError:
        return f"; there is no folder {str(path.parent)!r} either"
    stems = {FilePath(name).stem: name for name in found}
    near = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {str(path.parent / stems[near[0]])!r}?"
    return f"; the YAML files there are {', '.join(found[:8])}" if found else ""
