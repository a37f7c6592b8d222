"""Data without solutions: input functions drawn from the problem's own distributions, new ones each epoch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.errors import InputError, one_of, under
from pdeml.field import canonical_dims
from pdeml.lower import estimate_scales
from pdeml.problem import Problem
from pdeml.sampling.functions import DrawnInput
from pdeml.train.equation_inputs import given_batch

__all__ = ["DrawnData", "DrawnPart"]

USUAL_SAMPLES = 1024
EXAMPLES = 64
"""Draws that statistics are taken from."""
USUAL_POINTS = {1: 128, 2: 64, 3: 32}
FEWEST_POINTS = 8


@dataclass(frozen=True, eq=False)
class DrawnData:
    """What an operator is trained on by the equation alone: inputs, and no outputs.

    Args:
        problem: with input functions that have a distribution, or parameters that have a range.
        grid: coordinate -> number of points; by default 128, 64 or 32, by the number of coordinates.
        samples: of an epoch.
        seed: of the draws.

    Raises:
        InputError: nothing is drawn, or not on a box; with its place in the problem.
    """

    problem: Problem
    grid: Mapping[str, int] | None = None
    samples: int = USUAL_SAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        problem = self.problem
        if not problem.domain.is_box:
            raise InputError("functions are drawn on boxes only; give data", ("problem", "domain"))
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1:
            raise InputError(f"an epoch needs at least one sample, a whole number, got {self.samples!r}", ("samples",))
        if not problem.inputs and not self._ranges:
            raise InputError(
                "nothing differs from sample to sample: give the problem 'inputs' with a distribution, or a parameter "
                "a range",
                ("problem", "inputs"),
            )
        _ = self.coordinates, self._inputs
        for name, parameter in problem.parameters.items():
            if parameter.kind in ("learn", "eigen"):
                raise InputError(f"needs a value or a range, not {parameter.kind!r}", ("problem", "parameters", name))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed: nothing."""
        return ()

    @cached_property
    def coordinates(self) -> dict[str, np.ndarray]:
        """Points along each coordinate; a periodic one leaves out its end."""
        problem, asked = self.problem, dict(self.grid or {})
        names = problem.names.coordinates
        for name, size in asked.items():
            if name not in names:
                raise InputError(one_of(str(name), names, "a coordinate"), ("grid", str(name)))
            if isinstance(size, bool) or not isinstance(size, int) or size < FEWEST_POINTS:
                raise InputError(f"needs at least {FEWEST_POINTS} points, got {size!r}", ("grid", name))
        usual = USUAL_POINTS.get(len(names), min(USUAL_POINTS.values()))
        return {
            name: np.linspace(low, high, asked.get(name, usual), endpoint=name not in problem.periodic)
            for name, (low, high) in zip(names, problem.domain.bounds, strict=True)
        }

    def signature(self, march: tuple[int, int] | None = None, periodic: Sequence[str] = ()) -> Signature:
        """Return what an operator on these data maps: all inputs and numbers to all unknowns.

        Statistics of inputs are those of some draws; outputs have mean zero and the typical size of the unknown.

        Args:
            march: not possible here.
            periodic: further to the problem's own.

        Raises:
            InputError: ``march`` is given.
        """
        if march is not None:
            raise InputError("an operator that goes on in time learns from samples: give data", ("history",))
        return replace(self._signature, axes=tuple(self._axis(axis, periodic) for axis in self._signature.axes))

    def part(self, name: str, march: March | None = None, unroll: int = 1, seed: int = 0) -> DrawnPart | None:
        """Return the training part; there is no other. Every ``seed`` gives other functions."""
        return DrawnPart(self, seed) if name == "train" else None

    def numbers(self, part: str) -> np.ndarray:
        """Return the sample numbers of a part."""
        return np.arange(self.samples if part == "train" else 0)

    def draw(self, seed: Sequence[int]) -> dict[str, np.ndarray]:
        """Draw one sample: every parameter and every input from a stream of its own.

        Args:
            seed: integers, such as (seed, epoch, number); the sample follows from them alone.

        Returns: name -> array over the input's dimensions, in the order (t, z, y, x); numbers without any.
        """
        bounds = dict(zip(self.problem.names.coordinates, self.problem.domain.bounds, strict=True))
        found = {name: np.asarray(_stream(seed, name).uniform(*ends)) for name, ends in self._ranges.items()}
        numbers = {**self.problem.parameter_values, **{name: float(value) for name, value in found.items()}}
        for name, source in self._inputs.items():
            with under("problem", "inputs", name):
                ends = np.stack([bounds[axis] for axis in source.over])
                function = source.draw(_stream(seed, name), ends, numbers)
            values = function.on_grid([self.coordinates[axis] for axis in source.over])
            found[name] = values.transpose([source.over.index(dim) for dim in self._dims(source.over)])
        return found

    @cached_property
    def _inputs(self) -> dict[str, DrawnInput]:
        found = {}
        for name, declared in self.problem.inputs.items():
            with under("problem", "inputs", name):
                found[name] = DrawnInput.read(declared.write(), self.problem.parameter_values)
        return found

    @property
    def _ranges(self) -> dict[str, tuple[float, float]]:
        parameters = self.problem.parameters.items()
        return {name: own.bounds for name, own in parameters if own.kind == "range" and own.bounds is not None}

    def _dims(self, over: Sequence[str]) -> tuple[str, ...]:
        names = self.problem.names
        return tuple(dim for dim in canonical_dims(names.coordinates, names.time) if dim in over)

    @cached_property
    def _signature(self) -> Signature:
        problem = self.problem
        batch = stacked([self.draw((self.seed, number)) for number in range(EXAMPLES)])
        given = []
        for name, values in batch.items():
            over = self._inputs[name].over if name in self._inputs else ()
            given.append(Quantity(name, self._dims(over), values.mean().item(), values.std().item() or 1.0))
        ends = zip(problem.names.coordinates, problem.domain.bounds, strict=True)
        axes = {
            name: Axis(
                name,
                float(low),
                float(high),
                len(self.coordinates[name]),
                name in problem.periodic,
                problem.coordinates[name].unit,
            )
            for name, (low, high) in ends
        }
        dims = self._dims(problem.names.coordinates)
        outputs = tuple(Quantity(name, dims) for name in problem.names.real_unknowns)
        signature = Signature(tuple(given), outputs, tuple(axes[dim] for dim in dims), samples=self.samples)
        grid = {name: torch.from_numpy(points) for name, points in self.coordinates.items()}
        sizes = estimate_scales(problem, given_batch(problem, signature, batch, grid)).unknowns
        return replace(signature, outputs=tuple(replace(own, std=sizes[own.name]) for own in outputs))

    def _axis(self, axis: Axis, periodic: Sequence[str]) -> Axis:
        return replace(axis, periodic=axis.periodic or axis.name in periodic)


class DrawnPart:
    """Endless samples of input functions as batches: sample i of an epoch follows from the seeds, the epoch and i.

    Args:
        data: what is drawn.
        seed: of this part, beside that of the data.
    """

    def __init__(self, data: DrawnData, seed: int = 0):
        self.data, self.seed = data, seed
        self.coordinates = {name: torch.from_numpy(points) for name, points in data.coordinates.items()}

    def __len__(self) -> int:
        return self.data.samples

    @property
    def samples(self) -> int:
        """Number of samples of an epoch."""
        return self.data.samples

    def batches(
        self, epoch: int, size: int, *, shuffle: bool = True, rank: int = 0, world: int = 1
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the batches of one epoch, the same ones each time they are asked for: name -> (batch, *dims).

        Args:
            epoch: 0, 1, 2, ...; each has functions of its own.
            size: samples a batch, over all processes; the last one may be smaller.
            shuffle: of no effect, since all are drawn alike.
            rank: number of this process, which gets every ``world``-th sample of each batch.
            world: number of processes.
        """
        for start in range(0, len(self), size):
            numbers = range(start, min(start + size, len(self)))[rank::world]
            samples = [self.data.draw((self.data.seed, self.seed, epoch, number)) for number in numbers]
            yield stacked(samples) if samples else self._none

    @cached_property
    def _none(self) -> dict[str, Tensor]:
        return {name: values[:0] for name, values in stacked([self.data.draw((self.data.seed, 0))]).items()}


def stacked(samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
    """Put samples together: name -> (B, *dims), double precision."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def _stream(seed: Sequence[int], name: str) -> np.random.Generator:
    return np.random.default_rng((*seed, zlib.crc32(name.encode())))
