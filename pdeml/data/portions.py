"""Which samples are trained, validated and tested on: by count, by fraction, by another file, or as the file says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from pdeml.data.schema import PARTS
from pdeml.data.source import Source
from pdeml.data.splits import split_numbers
from pdeml.errors import FileFormatError, InputError

__all__ = ["Files", "Portion", "divided", "refuse_same_files"]

Portion = int | float | str | os.PathLike[str]
Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_USUAL: Mapping[str, float] = {"validation": 0.1, "test": 0.1}


def divided(source: Source, asked: Mapping[str, int | float], others: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Cut the samples of a file into parts that never overlap.

    Where the file names parts itself, a part consists of the first of its samples there, of all if no size is asked
    for; one that is asked for and not named there is cut from the end of the file's training part. Otherwise the parts
    follow each other in the order train, validation, test, and the training part is what the
    others leave if its size is not asked for; if nothing is, they are 80 %, 10 % and 10 %.

    Args:
        source: the file.
        asked: part -> count, or fraction below 1 of all samples.
        others: parts that are other files.

    Returns:
        part -> sample numbers, at least one each.

    Raises:
        InputError: a part is empty, or more samples are asked for than there are; its path is the part.
        FileFormatError: the parts that the file names overlap.
    """
    if source.split:
        own = _own_parts(source, asked)
        parts = {name: _first(source, own, name, asked.get(name)) for name in PARTS if name not in others}
        parts = {name: numbers for name, numbers in parts.items() if len(numbers) or name in asked}
    else:
        usual = not asked and not others
        parts = split_numbers(_USUAL if usual else asked, source.length)
        if "train" not in (*asked, *others):
            counts = {name: len(numbers) for name, numbers in parts.items()}
            parts = split_numbers({"train": source.length - sum(counts.values()), **counts}, source.length)
        if usual:
            parts = {name: numbers for name, numbers in parts.items() if len(numbers)}
    for name, numbers in parts.items():
        if not len(numbers):
            raise InputError(f"no samples are left for it; {source.path} holds {source.length}", (name,))
    if "train" not in (*parts, *others):
        raise InputError(f"{source.path} has no part 'train'; say how many samples, as train: 100", ("train",))
    return parts


def refuse_same_files(files: Mapping[str, Files]) -> None:
    """Refuse parts that are one file, also under two names (links) or within a folder that is another part.

    Args:
        files: part -> its file, or list of files.

    Raises:
        InputError: with the later part as its path.
    """
    seen: dict[tuple[int, int], tuple[str, Path]] = {}
    for name, given in files.items():
        paths = [given] if isinstance(given, str | os.PathLike) else given
        for number, path in enumerate(map(Path, paths)):
            for entry in _entries(path):
                found = entry.stat()
                other, earlier = seen.setdefault((found.st_dev, found.st_ino), (f"{name} {number}", path))
                if other != f"{name} {number}":
                    raise InputError(
                        f"{path} is the same data as {earlier}, which are used already: parts must not overlap; give a "
                        "number of samples, such as 100, or another file",
                        (name,),
                    )


def _entries(path: Path) -> Iterator[Path]:
    """Yield a file, or the files in a folder."""
    if path.is_dir():
        yield from (entry for entry in path.rglob("*") if entry.is_file())
    elif path.exists():
        yield path


def _own_parts(source: Source, asked: Mapping[str, int | float]) -> dict[str, np.ndarray]:
    """Return the parts that the file names; of its training samples the last ones are those it does not name."""
    own = {name: np.asarray(source.split.get(name, ()), np.int64) for name in PARTS}
    for one, other in combinations(source.split, 2):
        if len(np.intersect1d(source.split[one], source.split[other])):
            raise FileFormatError(f"{source.path}: its parts {one!r} and {other!r} overlap; is it damaged?")
    for name in ("test", "validation"):
        if name in asked and not len(own[name]):
            count = _count(source, name, asked[name])
            if count >= len(own["train"]):
                raise InputError(
                    f"{count} samples are asked for; {source.path} names no part {name!r}, and there are "
                    f"{len(own['train'])} to train on, of which they would be taken",
                    (name,),
                )
            own["train"], own[name] = np.split(own["train"], [len(own["train"]) - count])
    return own


def _first(source: Source, own: Mapping[str, np.ndarray], name: str, size: int | float | None) -> np.ndarray:
    """Return the first samples of a part."""
    count = len(own[name]) if size is None else _count(source, name, size)
    if count > len(own[name]):
        has = f"there are {len(own[name])} in the part {name!r}"
        raise InputError(f"{count} samples are asked for; {has} of {source.path}, which holds {source.length}", (name,))
    return own[name][:count]


def _count(source: Source, name: str, size: int | float) -> int:
    return len(split_numbers({name: size}, source.length)[name])
