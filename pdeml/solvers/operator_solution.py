"""What an operator method found: predictions for new inputs, on any grid, with how wrong they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeml.data.mask import MASK
from pdeml.data.operator import OperatorData
from pdeml.data.signature import Signature
from pdeml.errors import InputError, one_of
from pdeml.field import Error, Field
from pdeml.nn.operator import Operator
from pdeml.problem import Problem
from pdeml.solvers.calibration import FUNCTIONS, calibrate, calibrated
from pdeml.solvers.operator_apply import apply_at, apply_on_grid, frames_to_make, known_frames
from pdeml.solvers.operator_inputs import (
    axis_points,
    check_samples,
    in_range,
    known_points,
    moved,
    split_sample,
)
from pdeml.solvers.operator_scores import error_entries, judged, score_parts, scores_text
from pdeml.solvers.record import Record, Result
from pdeml.solvers.solution import columns_of
from pdeml.train import TrainState
from pdeml.train.drawn import DrawnData

__all__ = ["SHOWN", "OperatorSolution"]

SHOWN = 8
"""Test samples that are shown where no inputs are given."""
FEWEST = round(1 / (1 - FUNCTIONS)) - 1
"""Held-out samples without which there is no band at all."""
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, repr=False)
class OperatorSolution(Result):
    """Trained operators (several: a deep ensemble), and how good they are.

    Args:
        problem: what the samples are solutions of, if known.
        solver: the solver's options, as they were used.
        members: the operators.
        data: what was learnt from: samples, or functions drawn anew; none where the file is no longer there.
        state: the final training state.
        record: how it came about.
        scores: part -> errors over its samples, as plain values; see `pdeml.linalg.metrics.Scores`.
        source: the key ``data`` of a spec that names the data.
        title: what it is called; default: as the problem, or the method.
    """

    problem: Problem | None
    solver: Any
    members: tuple[Operator, ...]
    data: OperatorData | DrawnData | None
    state: TrainState
    record: Record
    scores: Mapping[str, Any] = field(default_factory=dict)
    source: Any = None
    title: str = ""

    def __repr__(self) -> str:
        signature = self.signature
        given, made = (", ".join(q.name for q in part) for part in (signature.inputs, signature.outputs))
        return f"<Operator from {given or 'earlier frames'} to {made} by {self.solver.kind!r}: {self.verdict}>"

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return self.title or (self.solver.kind if self.problem is None else self.problem.name)

    @property
    def signature(self) -> Signature:
        """What the operator maps."""
        return self.members[0].signature

    @property
    def errors(self) -> dict[str, Error]:
        """Output -> error over the test part: mean relative L2 and H1 norms, largest absolute error."""
        return error_entries(self.scores)

    def predict(self, inputs: Mapping[str, Any], coordinates: Mapping[str, Any] | None = None) -> Field:
        """Apply the operator.

        An operator that goes on in time is given the first ``history`` frames of its outputs, (S, history, *n), and
        functions of the time at all times; it returns the frames that follow, as many as the training samples had.

        Args:
            inputs: name -> (S, *n of that input), on any grid, S samples; ``mask`` too where there is a geometry.
            coordinates: dimension -> values, of inputs and outputs; default: the range of training, with as many
                points as the inputs have.

        Returns: a field with the leading dimension ``sample``; where there are several members with a standard
            deviation ``std``, calibrated on the validation samples (see `pdeml.solvers.calibration`); NaN outside the
            mask.

        Raises:
            InputError: an input is missing or unknown, or of another shape.
        """
        arrays, grid = check_samples(self.signature, inputs, coordinates or {})
        return self._made(arrays, grid, frames_to_make(self.signature, arrays))

    def rollout(self, inputs: Mapping[str, Any], frames: int, coordinates: Mapping[str, Any] | None = None) -> Field:
        """Go on in time for any number of frames; see `predict`.

        Args:
            inputs: the first ``history`` frames of the outputs, and the other inputs; functions of the time at
                ``history + frames`` times.
            frames: how many follow.
            coordinates: see `predict`.

        Raises:
            InputError: the operator does not go on in time, or an input is of another shape.
        """
        if self.signature.march is None:
            raise InputError("this operator gives whole outputs at once; use predict")
        if frames < 1:
            raise InputError(f"at least one frame must be asked for, got {frames}", ("frames",))
        arrays, grid = check_samples(self.signature, inputs, coordinates or {})
        known = known_frames(self.signature, arrays)
        if known is not None and known < frames:
            raise InputError(f"the inputs that depend on time are given for {known} frames, not {frames}", ("frames",))
        return self._made(arrays, grid, frames)

    def on_grid(self, inputs: Mapping[str, Any] | None = None, **sizes: int) -> Field:
        """Apply the operator on a grid over the range of training, e.g. ``on_grid(x=128, y=128)``.

        Args:
            inputs: name -> (S, *n) on a grid of any size over that range, interpolated to the one asked for; default:
                the first test samples, and then the field also holds the outputs of the data (``reference``) where
                the points asked for are among theirs.
            **sizes: points per coordinate; those left out: as many as the inputs have.

        Returns: see `predict`.

        Raises:
            InputError: a name is no coordinate, a size is below 2, or there are no data to take inputs from.
        """
        if inputs is None:
            return self.on_samples(*self.samples(), sizes)
        return self.on_samples(inputs, {}, {}, sizes)

    def on_samples(self, inputs: Arrays, outputs: Arrays, points: Arrays, sizes: Mapping[str, int]) -> Field:
        """Apply the operator to samples and put their outputs beside what it gives; see `samples` and `on_grid`."""
        sample, grid = check_samples(self.signature, inputs, self._in_space(points))
        asked = {}
        for dim, size in sizes.items():
            size = self._size(dim, size)
            asked[dim] = axis_points(self.signature.axis(dim), size)
            rows = known_points(grid[dim], asked[dim])
            asked[dim] = asked[dim] if rows is None else grid[dim][rows]
        sample = moved(self.signature, sample, grid, asked)
        found = self._made(sample, {**grid, **asked}, frames_to_make(self.signature, sample))
        return self._with_reference(found, outputs, grid)

    def at(self, points: Any, inputs: Mapping[str, Any] | None = None) -> Field:
        """Evaluate the outputs at scattered points; on the inputs' grid and interpolated where the method needs that.

        Args:
            points: (P, D) with columns in the order x, y, z, t of those that the outputs have, or coordinate -> (P,).
            inputs: see `on_grid`.

        Returns: a field with the one dimension ``point``, sample after sample; ``sample`` is among its coordinates.

        Raises:
            InputError: a coordinate is missing or unknown, the shape does not fit, or a point is out of range.
        """
        signature = self.signature
        names = tuple(reversed(signature.dims))
        sample, _, known = self.samples() if inputs is None else (inputs, {}, {})
        arrays, grid = check_samples(signature, sample, self._in_space(known))
        frames = frames_to_make(signature, arrays)
        x = in_range(signature, columns_of(points, names), names, frames)
        found = apply_at(self.members, arrays, grid, x[:, ::-1].copy(), frames)
        count = found.shape[1]
        mean, std = self._spread(found)
        columns = np.column_stack([np.repeat(np.arange(count), len(x)), np.tile(x, (count, 1))])
        outputs = [quantity.name for quantity in signature.outputs]
        return Field.at_points(
            columns,
            ("sample", *names),
            {name: mean[:, number].ravel() for number, name in enumerate(outputs)},
            std={} if std is None else {name: std[:, number].ravel() for number, name in enumerate(outputs)},
            **self._labels(names),
        )

    @property
    def shown(self) -> str:
        """The part of the data that is shown: test, or where there is none validation, else training."""
        if self.data is None:
            raise InputError("the samples that it was trained on are not there any more; give inputs", ("inputs",))
        return next(part for part in ("test", "validation", "train") if len(self.data.numbers(part)))

    def samples(self, first: int = 0, count: int = SHOWN, part: str | None = None) -> tuple[Arrays, Arrays, Arrays]:
        """Return samples of the data.

        Args:
            first: number within the part.
            count: how many.
            part: of the data; default: the one that is shown.

        Returns: inputs, outputs (empty where they are not known), and the points of each dimension.

        Raises:
            InputError: the data are not there.
        """
        name = part or self.shown
        samples = self.data.part(name)
        if isinstance(self.data, OperatorData):
            batch = samples.dataset[first : first + count]
        else:
            batch = next(iter(samples.batches(0, count, shuffle=False)))
        inputs, outputs = split_sample(self.signature, {key: tensor.numpy() for key, tensor in batch.items()})
        return inputs, outputs, {dim: points.numpy() for dim, points in samples.coordinates.items()}

    def scored(self) -> OperatorSolution:
        """Return the solution with its errors over the parts of the data, and warnings that follow from them."""
        if not isinstance(self.data, OperatorData):
            return self
        size = self.solver.batch_size
        scores = {name: part.to_plain() for name, part in score_parts(self.members, self.data, size).items()}
        bands = calibrate(self.members, self.data, size)
        notes = judged(scores)[1]
        if bands is not None:
            scores["calibration"] = bands
        elif len(self.members) > 1:
            notes += (f"the spread of the members is not calibrated: that takes {FEWEST} validation samples or more",)
        record = replace(self.record, notes=(*self.record.notes, *notes))
        return replace(self, scores=scores, record=record)

    @property
    def verdict(self) -> str:
        """One line: how training ended, and the errors."""
        record = self.record
        state = "trained" if record.converged else "stopped"
        failed = judged(self.scores)[0]
        text = scores_text(self.scores)
        return f"{failed or state}: {record.reason}" + (f"; {text}" if text else "")

    def summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds."""
        return {**super().summary(), "scores": dict(self.scores), "members": len(self.members)}

    def report(self) -> str:
        """Return errors over the parts of the data, time, device, seed and verdict, for people to read."""
        record, count = self.record, len(self.members)
        lines = [f"{self.name}: {self.verdict}", *self._error_lines()]
        lines.append(record.cost(f"{record.parameters} parameters" + (f", {count} members" if count > 1 else "")))
        for name, band in self.scores.get("calibration", {}).items():
            measured = ", ".join(f"{output} {share:.1%}" for output, share in band.get("measured", {}).items())
            told = f"; measured on test samples: {measured}" if measured else ""
            lines.append(f"  band for a {name}: {band['promise']}{told}")
        return "\n".join([*lines, *(f"  note: {note}" for note in record.notes)])

    def spec(self) -> str:
        """Return the YAML text that defines data and solver."""
        from pdeml.spec import dump_spec, make_spec

        plain: dict[str, Any] = {"name": self.name, "data": self.source, "solver": self.solver.to_spec()}
        if self.problem is not None:
            plain["problem"] = self.problem.to_spec()
        return dump_spec(make_spec(plain))

    def export(self, path: str | os.PathLike[str]) -> str:
        """Write the operator as a program of `torch.export` (``.pt2``), which runs without pdeml.

        The program takes the inputs in the order of the signature (of an operator that goes on in time first the
        frames of its outputs), then the points of each dimension; it gives (S, outputs, *n), of an ensemble the mean.
        It is checked against this solution before the file gets its name.

        Returns: in words, which sizes may differ from those of training.

        Raises:
            InputError: the name does not end in ``.pt2``, or the operator cannot be exported.
            RunError: the program gives other values, or the disk refuses.
        """
        from pdeml.solvers.operator_export import export

        arrays = None if self.data is None else self.samples()[0]
        return export(self.members, Path(path), arrays)

    def _size(self, dim: str, size: int) -> int:
        march = self.signature.march
        known = [axis.name for axis in self.signature.axes if march is None or axis.name != march.time]
        if march is not None and dim == march.time:
            message = f"the times follow from the step {march.step:g} of the operator: leave {dim} out"
            raise InputError(f"{message}; in Python, rollout(inputs, frames) makes more of them", (dim,))
        if dim not in known:
            raise InputError(one_of(dim, known, "a coordinate of the operator"), (dim,))
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 2:
            raise InputError(f"must be a whole number of at least 2, got {size!r}", (dim,))
        return int(size)

    def _made(self, arrays: Arrays, grid: Arrays, frames: int) -> Field:
        """Apply the operator to what has been checked."""
        return self._field(*apply_on_grid(self.members, arrays, grid, frames), arrays.get(MASK))

    def _field(self, found: np.ndarray, axes: Arrays, mask: np.ndarray | None) -> Field:
        """Make a field of (members, S, C, *n)."""
        signature = self.signature
        mean, std = self._spread(found)
        names = [quantity.name for quantity in signature.outputs]
        whole = None
        if mask is not None:
            shape = (len(mask), *(1,) * (mean.ndim - 1 - mask.ndim), *mask.shape[1:])
            whole = np.broadcast_to(mask.reshape(shape) != 0, (len(mean), *mean.shape[2:]))
        return Field(
            ("sample", *signature.dims),
            axes,
            {name: mean[:, number] for number, name in enumerate(names)},
            std={} if std is None else {name: std[:, number] for number, name in enumerate(names)},
            mask=None if whole is None or whole.all() else whole,
            **self._labels(signature.dims),
        )

    def _spread(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return mean and calibrated standard deviation over the members."""
        if len(found) == 1:
            return found[0], None
        std = torch.from_numpy(found.std(0, ddof=1))
        return found.mean(0), calibrated(self.scores.get("calibration"), std).numpy()

    def _labels(self, dims: Sequence[str]) -> dict[str, Any]:
        signature, march = self.signature, self.signature.march
        units = {quantity.name: quantity.unit for quantity in signature.outputs}
        units |= {axis.name: axis.unit for axis in signature.axes if axis.name in dims}
        time = march.time if march is not None else (self.problem.names.time if self.problem is not None else None)
        time = time or "t"
        attrs = {"title": self.name, "seed": self.record.seed}
        return {"time": time if time in dims else None, "units": units, "attrs": attrs}

    def _in_space(self, points: Arrays) -> Arrays:
        """Leave out the time of an operator that goes on in it: it makes its own."""
        march = self.signature.march
        return {dim: own for dim, own in points.items() if march is None or dim != march.time}

    def _with_reference(self, found: Field, outputs: Arrays, points: Mapping[str, np.ndarray]) -> Field:
        """Put the outputs of the data beside the found ones, where the points are among theirs."""
        march, reference = self.signature.march, dict(outputs)
        for number, dim in enumerate(self.signature.dims):
            if march is not None and dim == march.time:
                continue
            rows = known_points(points[dim], found.coordinates[dim])
            if rows is None:
                return found
            reference = {name: values.take(rows, number + 1) for name, values in reference.items()}
        return replace(found, reference=reference)
