"""Writing a data set sample by sample, so that a killed process or a full disk loses no finished sample."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdeml.data.compress import compress
from pdeml.data.layout import stored_arrays
from pdeml.data.native import PART_SUFFIX, NativeSource
from pdeml.data.schema import CODEC_ERRORS, FORMAT, PARTS, RESIDUAL, SPLIT, Schema, samples_per_chunk
from pdeml.data.statistics import Moments
from pdeml.data.store import Store
from pdeml.errors import DivergenceError, InputError, one_of
from pdeml.files import disk_errors, flush_folder

__all__ = ["Writer"]

_FIXED = ("Conventions", "pdeml_format", "pdeml_version", "samples")


class Writer:
    """Writes ``NAME.h5.part`` sample by sample; `finish` adds statistics and split and renames it to ``NAME.h5``.

    At every moment the ``.part`` is a valid HDF5 file with all finished samples, and what is finished stays: through a
    kill, a crash of the program, or a full disk (a power cut may lose samples that the system had not yet written out).
    A context manager: leaving it without `finish` keeps the ``.part``, which ``resume=True`` continues, or removes it
    (``keep=False``). ``done`` counts the finished samples, ``attrs`` are the root attributes in the file.

    Args:
        path: the finished file, ``NAME.h5``.
        schema: arrays and coordinates.
        samples: how many samples the data set shall hold.
        attrs: root attributes beside the fixed ones: ``title``, ``history``, ``spec`` (text), ``seed`` (integer), ...;
            a ``.part`` that is continued keeps those it was begun with.
        resume: continue the ``.part`` (begin it where there is none); it must have been begun with an equal schema,
            number of samples, ``seed`` and ``spec``. A sample that was not finished is dropped.
        keep: whether the ``.part`` stays when the context is left without `finish`.

    Raises:
        InputError: if ``path`` or (without ``resume``) the ``.part`` exists, or the ``.part`` does not fit.
        RunError: if the disk refuses.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: Schema,
        samples: int,
        attrs: Mapping[str, Any],
        resume: bool = False,
        keep: bool = True,
    ):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + PART_SUFFIX)
        self.schema = schema
        self.samples = samples
        self.keep = keep
        self.done = 0
        self.attrs = _root_attributes(attrs, samples)
        self._largest = {name: dict.fromkeys(schema.largest(name), math.nan) for name in schema.arrays}
        _check_new(self.path, self.part, samples, resume)
        with disk_errors(self.part, "no sample was written"):
            self._store = self._resumed() if self.part.exists() else self._begun()

    @property
    def residual(self) -> float:
        """The largest relative residual of a sample so far; NaN where none is known."""
        return max((errors[RESIDUAL] for errors in self._largest.values() if RESIDUAL in errors), default=math.nan)

    def append(self, sample: Mapping[str, np.ndarray], residual: float = math.nan) -> None:
        """Write the next sample; when this returns it is finished.

        Args:
            sample: name -> array of ``schema.arrays[name].shape``; converted to the type of the schema.
            residual: relative residual of its outputs, if known; kept where the schema says so.

        Raises:
            InputError: if an array is missing, unknown or of another shape, if all samples are there already, or if a
                lossy codec would exceed its tolerance.
            DivergenceError: if an array holds infinite values, or no finite one.
            RunError: if the disk refuses; all finished samples stay, and ``resume`` continues after them.
        """
        if self.done >= self.samples:
            raise InputError(f"{self.path}: all {self.samples} samples are written")
        for name in sample:
            if name not in self.schema.arrays:
                raise InputError(f"sample {self.done}: {one_of(name, self.schema.arrays, 'an array of the schema')}")
        arrays = {name: self._checked(name, sample) for name in self.schema.arrays}
        arrays = {name: self._coded(name, array) for name, array in arrays.items()}
        with disk_errors(self.part, self._left(f"its {self.done} finished samples are kept")):
            for name, array in arrays.items():
                self._store.write(name, self.done, array)
            self._store.write(SPLIT, self.done, np.int8(-1))
            for name, errors in self._largest.items():
                if RESIDUAL in errors:
                    errors[RESIDUAL] = float(np.fmax(errors[RESIDUAL], residual))
                self._store.set_attributes(name, errors)
            self._store.set_length(self.done + 1)
        self.done += 1

    def finish(self, split: Mapping[str, Sequence[int]] | None = None) -> None:
        """Add split and statistics, flush everything to the disk, and rename the file.

        The statistics are those of the training part, or of all samples where there is none.

        Args:
            split: ``train``, ``validation`` and ``test`` (any of them) -> sample numbers, which must not overlap.

        Raises:
            InputError: if samples are still missing, or the parts overlap.
            RunError: if the disk refuses; the ``.part`` stays complete and can be finished later.
        """
        if self.done < self.samples:
            raise InputError(f"{self.path}: only {self.done} of {self.samples} samples are written")
        parts = _part_numbers(split or {}, self.samples)
        consequence = self._left(f"all samples are kept in {self.part.name!r}")
        with disk_errors(self.path, consequence):
            for number, part in enumerate(parts):
                self._store.write(SPLIT, number, part)
            statistics = self._statistics(_seen_in_training(parts))
            for name, values in statistics.items():
                self._store.set_attributes(name, values)
            self._store.flush()
            if self.schema.gzip:
                statistics = {name: {**values, **self._largest[name]} for name, values in statistics.items()}
                compress(self._store, self.path, self.schema, self.attrs, statistics, consequence)
                self.part.unlink()
            else:
                self.part.replace(self.path)
            flush_folder(self.path.parent)
        self.close()

    def close(self) -> None:
        """Close the file; what is not finished stays a ``.part``."""
        self._store.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if not self.keep:
            self.part.unlink(missing_ok=True)

    def _left(self, kept: str) -> str:
        """Return what an error of the disk leaves, for its message."""
        return kept if self.keep else "nothing is left behind"

    def _begun(self) -> Store:
        return Store.create(self.part, self.schema, self.samples, self.attrs)

    def _resumed(self) -> Store:
        with NativeSource(self.part) as source:
            self._check_same(source)
            self.attrs = dict(source.attrs)
            self.done = source.length
            for name, errors in self._largest.items():
                stored = source.array_attributes(name)
                errors.update({error: float(stored[error]) for error in errors})
        store = Store(self.part, self.schema, self.samples)
        with NativeSource(self.part) as source:
            if source.length != self.done:
                store.close()
                raise InputError(f"{self.part}: another process has just written this data set; try again")
        store.set_length(self.done)
        if self.done < self.samples:
            for name, info in stored_arrays(self.schema).items():
                if self.done % samples_per_chunk(info, self.samples):
                    store.reopen(name, self.done)
        return store

    def _check_same(self, source: NativeSource) -> None:
        """Refuse to continue what was begun as something else."""
        names = ("samples", "seed", "spec")
        begun = {**source.schema().describe(), **{f"{name!r}": source.attrs.get(name) for name in names}}
        asked = {**self.schema.describe(), **{f"{name!r}": self.attrs.get(name) for name in names}}
        for key in (*asked, *begun):
            if begun.get(key) != asked.get(key):
                raise InputError(
                    f"{self.part} was begun with another {key}: {begun.get(key)!r:.80}, now {asked.get(key)!r:.80}; "
                    "remove it to start again"
                )

    def _checked(self, name: str, sample: Mapping[str, np.ndarray]) -> np.ndarray:
        info = self.schema.arrays[name]
        if name not in sample:
            raise InputError(f"sample {self.done} has no array {name!r}; it needs {', '.join(self.schema.arrays)}")
        array = np.asarray(sample[name])
        if array.shape != info.shape:
            raise InputError(f"sample {self.done}: {name!r} must have the shape {info.shape}, got {array.shape}")
        with np.errstate(over="ignore"):
            array = array.astype(info.dtype)
        if info.dtype.kind == "f" and (np.isinf(array).any() or np.isnan(array).all()):
            what = "infinite values" if np.isinf(array).any() else "no finite value"
            raise DivergenceError(f"sample {self.done}: {name!r} holds {what} (as {info.dtype})")
        return array

    def _coded(self, name: str, array: np.ndarray) -> np.ndarray:
        """Pass an array through its codec and remember the largest errors."""
        if name not in self.schema.codecs:
            return array
        try:
            coded, error = self.schema.codecs[name].apply(array, self.schema.axes(name))
        except InputError as refusal:
            raise InputError(f"sample {self.done}: {name!r}: {refusal}") from None
        largest = self._largest[name]
        for key, value in zip(CODEC_ERRORS, (error.relative_l2, error.max, error.h1), strict=True):
            largest[key] = float(np.fmax(largest[key], value))
        return coded

    def _statistics(self, counted: np.ndarray) -> dict[str, dict[str, float]]:
        result = {name: Moments() for name in self.schema.arrays}
        with NativeSource(self.part) as source:
            for name, info in self.schema.arrays.items():
                step = samples_per_chunk(info, self.samples)
                for start in range(0, self.samples, step):
                    if (kept := counted[start : start + step]).any():
                        result[name].add(source.read(name, slice(start, start + step))[kept])
        return {name: moments.statistics() for name, moments in result.items()}


def _seen_in_training(parts: np.ndarray) -> np.ndarray:
    """Return which samples the statistics are over: what is tested on must not shift and scale what is trained on."""
    training = parts == PARTS.index("train")
    return training if training.any() else np.ones(len(parts), bool)


def _root_attributes(attrs: Mapping[str, Any], samples: int) -> dict[str, Any]:
    from pdeml import __version__ as version

    fixed = {"Conventions": "CF-1.11", "pdeml_format": FORMAT, "pdeml_version": version, "samples": samples}
    given = {name: value for name, value in attrs.items() if name not in _FIXED}
    usual = {"title": "", "history": f"created by pdeml {version}", "spec": ""}
    return {**fixed, **usual, **({"seed": 0} if given.get("spec") else {}), **given}


def _check_new(path: Path, part: Path, samples: int, resume: bool) -> None:
    if samples < 1:
        raise InputError(f"a data set needs at least one sample, got {samples}")
    if path.exists():
        raise InputError(f"{path} exists; remove it, or give another name")
    if part.exists() and not resume:
        raise InputError(f"{part} exists: a data set being generated; resume it, or remove it to start again")


def _part_numbers(split: Mapping[str, Sequence[int]], samples: int) -> np.ndarray:
    """Return the number of the part of each sample, -1 for none."""
    parts = np.full(samples, -1, np.int8)
    for name, numbers in split.items():
        if name not in PARTS:
            raise InputError(f"split: {one_of(name, PARTS, 'a part of a data set')}")
        chosen = np.asarray(numbers, dtype=np.int64)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < samples):
            raise InputError(f"split: {name} names samples outside 0 ... {samples - 1}")
        if (parts[chosen] >= 0).any() or len(np.unique(chosen)) < len(chosen):
            raise InputError(f"split: a sample of {name} belongs to two parts")
        parts[chosen] = PARTS.index(name)
    return parts
