"""The data of an operator: which arrays are given and asked for, which samples are trained, validated and tested on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pdeml.data.axes import Axes
from pdeml.data.choice import chosen_arrays, whole_names
from pdeml.data.dataset import Dataset, Frames
from pdeml.data.mask import MASK, hole_among, is_masked
from pdeml.data.part import Part
from pdeml.data.portions import Files, Portion, divided, refuse_same_files
from pdeml.data.resolution import Thinning
from pdeml.data.schema import PARTS
from pdeml.data.signature import March, Quantity, Signature
from pdeml.data.source import ArrayInfo, Source, open_source
from pdeml.data.statistics import Moments
from pdeml.data.symmetry import Symmetry
from pdeml.errors import InputError, one_of
from pdeml.problem import Problem, from_document
from pdeml.spec import parse_spec

__all__ = ["OperatorData", "Part"]

_BLOCK_BYTES, _LOOKED_AT_BYTES = 64 * 2**20, 2**30
_LOOK, _SAME = 4, 1e-4  # samples, and of the change over a step: whether the end of a period is stored too
_ROUNDING = 1e-13  # of a mean: a smaller spread is that of sums that were rounded


@dataclass(frozen=True)
class OperatorData:
    """Samples to learn an operator from: inputs and outputs by name, and the parts that never overlap.

    Args:
        file: any file that `open_source` reads, or several that continue each other.
        train: number of samples (integer), fraction of all (below 1), or another file; None: what the file itself
            calls so; where it does not, what the other parts leave, and 80 %, 10 %, 10 % where none is given.
        validation: the same; None, where another part is given and the file has none: none. A number that a file which
            names its parts does not know is taken from the end of its training part.
        test: the same.
        inputs: our name -> the file's, for formats that do not say; which of those that are there are given; or what
            they are at a place, as ``u0: u(t=first)``. None: those of the file.
        outputs: the same for what is asked for.
        coordinates: name -> (low, high) or the file's name, for formats that do not say. Along a periodic coordinate
            ``high`` is the end of the period, where no point is; otherwise that of the last point.
        periodic: coordinates along which functions repeat; None: those of the problem.
        problem: what the samples solve; None: the problem of the file's own spec, if it has one.

    Raises:
        InputError: parts overlap or are empty, names are missing, or files do not fit together; the path begins with
            the argument.
        FileFormatError: a file is damaged or of an unknown format.
    """

    file: Files
    train: Portion | None = None
    validation: Portion | None = None
    test: Portion | None = None
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    coordinates: Mapping[str, Any] | None = None
    periodic: Sequence[str] | None = None
    problem: Problem | None = None
    _memory: dict[tuple[str, int], dict[str, np.ndarray]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _unread: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.problem is None:
            problem, notes = _own_problem(self.source)
            object.__setattr__(self, "problem", problem)
            object.__setattr__(self, "_unread", notes)
        _ = self.arrays, self._parts, self._axes

    @cached_property
    def source(self) -> Source:
        """The file."""
        try:
            return open_source(self.file, **self._names)
        except InputError as error:
            error.path = error.path or ("file",)
            raise

    @cached_property
    def arrays(self) -> dict[str, list[ArrayInfo]]:
        """Arrays that are given (``inputs``, numbers among them) and asked for (``outputs``)."""
        return chosen_arrays(self.source)

    @property
    def points(self) -> dict[str, np.ndarray]:
        """Dimension -> its points."""
        return self._axes.points

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, and what looks wrong, in sentences."""
        return (*self._axes.notes, *self._unread, *self._closed)

    def told(self, problem: Problem | None) -> OperatorData:
        """Return the same data, known to be solutions of a problem (of none: as they are)."""
        return self if problem is None or problem == self.problem else replace(self, problem=problem)

    def numbers(self, part: str) -> np.ndarray:
        """Return the sample numbers of a part; empty where there is none."""
        return self._parts[part][1] if part in self._parts else np.zeros(0, np.int64)

    def signature(self, march: tuple[int, int] | None = None) -> Signature:
        """Return what an operator on these data maps.

        Args:
            march: (history, window) of an operator that goes on in time.

        Raises:
            InputError: nothing is given, or there is no time to go on in.
        """
        given, asked = (
            tuple(Quantity(info.name, info.dims, *self.statistics[info.name], info.unit) for info in self.arrays[key])
            for key in ("inputs", "outputs")
        )
        if not given and march is None:
            raise InputError(
                f"{self.source.path} holds no inputs; name them, as inputs: {{a: NAME}} or {{u0: "
                f"{asked[0].name}(t=first)}}, or give the solver a 'history' of frames to go on from",
                ("inputs",),
            )
        masked = any(is_masked(self.source, info.name) for info in self.arrays["outputs"])
        signature = Signature(given, asked, self._axes.described(), None, masked, len(self.numbers("train")))
        return signature if march is None else replace(signature, march=self._march(signature.dims, *march))

    def part(
        self,
        name: str,
        march: March | None = None,
        unroll: int | None = 1,
        seed: int = 0,
        *,
        augment: Sequence[str] = (),
        resolutions: Sequence[int] = (),
        most: int | None = None,
    ) -> Part | None:
        """Return a part; None where it is empty.

        Args:
            name: train, validation or test.
            march: cut series of time into items of ``history`` frames and those that follow; None: whole samples.
            unroll: how many windows follow; None: all that there are, from the first frames on, an item a sample.
            seed: of the order of the samples, and of what is drawn.
            augment: symmetries that are applied to batches at random; see `pdeml.data.symmetry.Symmetry`.
            resolutions: strides by which batches are thinned; see `pdeml.data.resolution.Thinning`.
            most: only so many samples, the first ones; None: all.

        Raises:
            InputError: frames do not fit, or the grid does not have the symmetry or the resolutions.
        """
        if name not in PARTS:
            raise InputError(one_of(name, PARTS, "a part of a data set"))
        if not len(self.numbers(name)):
            return None
        source, numbers = self._parts[name]
        numbers = numbers[:most]
        dataset = Dataset(
            self.file if source is self.source else source.path,
            numbers[:most].tolist(),
            arrays=[info.name for info in self._used],
            window=self._axes.window,
            frames=None if march is None else self._frames(march, unroll),
            names=self._names,
            dtype=None,
        )
        dims = {array: source.arrays[array].dims for array in dataset.arrays}
        variations = [
            *([Symmetry(augment, dims, self._axes.described(), self.points, self.problem)] if augment else []),
            *([Thinning(resolutions, dims, self._axes.described(), self.time)] if resolutions else []),
        ]
        return Part(dataset, self.points, seed, variations, self._memory.setdefault((name, len(numbers)), {}))

    def check_finite(self) -> None:
        """Refuse NaN and infinite values inside the geometry, in parts of a size that is kept in memory.

        The training samples are looked at too where that costs nothing: see `statistics`.

        Raises:
            InputError: naming file, array and sample.
        """
        _ = self.statistics
        for part, (source, numbers) in self._parts.items():
            size = len(numbers) * sum(source.arrays[info.name].sample_bytes for info in self._used)
            if part == "train" or size > _LOOKED_AT_BYTES:
                continue
            for info in self._used:
                for _ in self._blocks(part, info):
                    pass

    @cached_property
    def statistics(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each array over the training part; constant arrays are only shifted.

        Raises:
            InputError: an array has no finite values, or where they had to be read (or the file has counted them) some
                that are not finite inside the geometry.
        """
        source, numbers = self._parts["train"]
        own = source.split["train"] if "train" in source.split else np.arange(source.length)
        stored = source.statistics if np.array_equal(np.sort(own), numbers) else {}
        found = {}
        for info in self._used:
            values = stored.get(info.name, {})
            known = np.isfinite([values.get("mean", np.nan), values.get("std", np.nan)]).all()
            short = values.get("count", np.inf) < len(numbers) * math.prod(info.shape)
            if not known or (short and not is_masked(source, info.name)):
                values = self._measured(info)
            if not np.isfinite(values["mean"]):
                raise InputError(
                    f"{source.path}: {info.name!r} has no finite value in the training samples", ("train",)
                )
            mean, std = values["mean"], values["std"]
            found[info.name] = (mean, std if std > _ROUNDING * abs(mean) else 1.0)
        return found

    @property
    def _used(self) -> list[ArrayInfo]:
        return [*self.arrays["inputs"], *self.arrays["outputs"]]

    @cached_property
    def _names(self) -> dict[str, Any]:
        return whole_names(self.file, self.inputs, self.outputs, self.coordinates)

    @property
    def time(self) -> str:
        """Name of the time, whether the data have it or not."""
        return (self.problem.time if self.problem is not None else None) or "t"

    @cached_property
    def _axes(self) -> Axes:
        return Axes.of(self.source, self._used, self.coordinates or {}, self.periodic, self.problem)

    @cached_property
    def _closed(self) -> tuple[str, ...]:
        """Warnings of periodic axes whose last point seems to repeat the first one, though nothing says so."""
        return tuple(
            f"{dim} repeats, and its last point seems to be its first one again: store the samples without it, since "
            "the end of a period is left out"
            for dim in self._axes.periodic
            if dim not in self._axes.window and self._repeats(dim)
        )

    def _repeats(self, dim: str) -> bool:
        """Whether values at the last point are those at the first, in arrays that differ at the second."""
        source, numbers = self._parts["train"]
        steps = []
        for info in self._used:
            if dim in info.dims:
                ends = (slice(0, 1), slice(1, 2), slice(-1, None))
                read = (source.read(info.name, numbers[:_LOOK], {dim: end}).astype(np.float64) for end in ends)
                first, second, last = map(np.nan_to_num, read)
                steps.append(np.abs(second - first).max())
                if np.abs(last - first).max() > _SAME * steps[-1]:
                    return False
        return any(steps)

    @cached_property
    def _parts(self) -> dict[str, tuple[Source, np.ndarray]]:
        """Part -> its file, its sample numbers."""
        asked = {name: getattr(self, name) for name in PARTS if getattr(self, name) is not None}
        files = {name: portion for name, portion in asked.items() if isinstance(portion, str | os.PathLike)}
        sizes = {name: portion for name, portion in asked.items() if name not in files}
        refuse_same_files({"file": self.file, **files})
        parts = {name: (self.source, numbers) for name, numbers in divided(self.source, sizes, tuple(files)).items()}
        return parts | {name: self._other(name, file) for name, file in files.items()}

    def _other(self, name: str, file: str) -> tuple[Source, np.ndarray]:
        """Return a part that is another file, after checking that it holds the same functions on the same grid."""
        try:
            other = open_source(file, **self._names)
        except InputError as error:
            raise InputError(error.message, (name,)) from None
        if not other.length:
            raise InputError(f"{file} holds no samples", (name,))
        for array in self._used:
            found = other.arrays.get(array.name)
            if found is None or found.dims != array.dims:
                raise InputError(f"{file} has no array {array.name}({', '.join(array.dims)})", (name,))
            points = [(self.source.coordinates.get(dim), other.coordinates.get(dim)) for dim in array.dims]
            if found.shape != array.shape or not all(_same(*pair) for pair in points):
                raise InputError(
                    f"{file}: {array.name!r} is not on the grid of the training samples, {_grid(found, other)} instead "
                    f"of {_grid(array, self.source)}; errors on another grid: pdeml evaluate RUN --data FILE",
                    (name,),
                )
        return other, np.arange(other.length)

    def _measured(self, info: ArrayInfo) -> dict[str, float]:
        moments = Moments()
        for values in self._blocks("train", info):
            moments.add(values)
        return moments.statistics()

    def _blocks(self, part: str, info: ArrayInfo) -> Iterator[np.ndarray]:
        """Read an array of a part in blocks; refuse values inside the geometry that are not finite."""
        (source, numbers), window = self._parts[part], self._axes.window
        step = max(1, _BLOCK_BYTES // max(info.sample_bytes, 1))
        for start in range(0, len(numbers), step):
            rows = numbers[start : start + step]
            values = source.read(info.name, rows, window)
            bad = hole_among(source, info.name, rows, values, window)
            if bad is not None:
                where = " inside the geometry" if is_masked(source, info.name) else ""
                raise InputError(
                    f"{source.path}: {info.name!r} of sample {bad}, in the {part} part, holds NaN or infinite values"
                    f"{where}; remove such samples from the file, or store an array {MASK!r} that is 0 where there "
                    "are no values",
                    ("file",) if source is self.source else (part,),
                )
            yield values

    def _march(self, dims: Sequence[str], history: int, window: int) -> March:
        time = self.time
        if time not in dims:
            raise InputError(
                f"the outputs have no time {time} to go on in: they have {', '.join(dims)}; leave 'history' out",
                ("history",),
            )
        if MASK in self.source.arrays and time in self.source.arrays[MASK].dims:
            raise InputError(
                f"the geometry changes in time ({MASK!r} depends on {time}), which an operator that goes on in time "
                "does not see ahead; leave 'history' out",
                ("history",),
            )
        points = self.points[time]
        if history + window > len(points):
            raise InputError(
                f"{history} frames seen and {window} made do not fit into the {len(points)} of a sample", ("history",)
            )
        steps = np.diff(points)
        if np.ptp(steps) > 1e-3 * steps.mean():
            raise InputError(
                f"the steps of {time} differ, from {steps.min():.6g} to {steps.max():.6g}: an operator that goes on in "
                "time needs equal ones; leave 'history' out",
                ("history",),
            )
        return March(history, window, float(steps.mean()), time)

    def _frames(self, march: March, unroll: int | None) -> Frames:
        count = len(self.points[march.time])
        if unroll is None:
            windows = (count - march.history) // march.window
            return Frames(march.history, windows * march.window, count, march.time)
        if march.history + march.window * unroll > count:
            raise InputError(
                f"{march.history} frames and {unroll} windows of {march.window} do not fit into {count} of a sample",
                ("unroll",),
            )
        return Frames(march.history, march.window * unroll, 1, march.time)


def _own_problem(source: Source) -> tuple[Problem | None, tuple[str, ...]]:
    """Return the problem of the spec that a data set keeps; None, with the reason, where it cannot be read."""
    text = source.attrs.get("spec")
    if not isinstance(text, str) or not text.strip():
        return None, ()
    try:
        document = parse_spec(text, str(source.path))
        return (None if document.spec.problem is None else from_document(document)), ()
    except InputError as error:
        return None, (f"the problem that {source.path} keeps cannot be read, and is not used: {error}",)


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two coordinates have the same values, as far as is known."""
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=1e-5 * max(np.ptp(one), 1e-300)))


def _grid(info: ArrayInfo, source: Source) -> str:
    ranges = {dim: source.coordinates.get(dim) for dim in info.dims}
    return ", ".join(
        f"{size} points of {dim}" + (f" from {values[0]:.6g} to {values[-1]:.6g}" if values is not None else "")
        for (dim, values), size in zip(ranges.items(), info.shape, strict=True)
    )
