"""What a generated data set holds: its axes and its arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdeml.data.codecs import Codec, parse_codec
from pdeml.data.schema import Coordinate, Schema
from pdeml.data.source import ArrayInfo, Role
from pdeml.errors import InputError, one_of, under
from pdeml.expr import parse_constant
from pdeml.field import canonical_dims
from pdeml.files import available_memory
from pdeml.problem import Problem
from pdeml.reference.generation.varying import VaryingProblem
from pdeml.spec import GenerateSpec

__all__ = ["Layout"]

USUAL_TIMES = 101
MASK = "mask"


@dataclass(frozen=True, eq=False)
class Layout:
    """Axes and arrays of a data set.

    Args:
        problem: with the parameters in the middle of their ranges.
        fractions: coordinate -> places between its ends, from 0 to 1 (a periodic one leaves out the end).
        unknowns: real unknowns that are written.
        moving: coordinates whose ends differ from sample to sample; in the file they run from 0 to 1.
        dtype: of the numbers in the file.
        codecs: array -> lossy codec.
        gzip: level of compression, 0 for none.
    """

    problem: Problem
    fractions: Mapping[str, np.ndarray]
    unknowns: tuple[str, ...]
    moving: tuple[str, ...]
    dtype: str
    codecs: Mapping[str, Codec]
    gzip: int

    @classmethod
    def read(cls, spec: GenerateSpec, varying: VaryingProblem, grid: Mapping[str, int]) -> Layout:
        """Lay out what ``generate:`` asks for.

        Args:
            grid: points per coordinate where ``output`` says nothing.
        Raises:
            InputError: with the path below ``generate``.
        """
        problem, moving = varying.middle, varying.varying_axes()
        sizes = _sizes(problem, spec.output or {}, grid)
        first = _first_time(problem, spec)
        fractions = {}
        for name, size in sizes.items():
            if name == problem.time:
                fractions[name] = np.linspace(first, 1, size) if size > 1 else np.ones(1)
            else:
                fractions[name] = np.linspace(0, 1, size, endpoint=name not in problem.periodic)
        dtype = "float64" if spec.precision == "float64" else "float32"
        layout = cls(problem, fractions, _unknowns(problem, spec), moving, dtype, _codecs(spec), spec.gzip or 0)
        _ = layout.schema
        return layout

    @property
    def dims(self) -> tuple[str, ...]:
        """The coordinates in the order (t, z, y, x)."""
        return canonical_dims(self.problem.names.coordinates, self.problem.time)

    def axes(self, problem: Problem) -> dict[str, np.ndarray]:
        """Return the values of each coordinate in one sample's problem, in declared order."""
        ends = dict(zip(problem.names.coordinates, problem.domain.bounds, strict=True))
        return {name: ends[name][0] + part * np.ptp(ends[name]) for name, part in self.fractions.items()}

    @cached_property
    def schema(self) -> Schema:
        """The arrays and coordinates of the file."""
        listed = self._arrays()
        arrays = {info.name: info for info in listed}
        if len(arrays) < len(listed):
            raise InputError(f"a name is used twice; the data set adds {MASK!r} and the ends of moving coordinates")
        middle = self.axes(self.problem)
        coordinates = {}
        for name in self.dims:
            described = self.problem.coordinates[name]
            moves = name in self.moving
            coordinates[name] = Coordinate(
                self.fractions[name] if moves else middle[name],
                "1" if moves else described.unit,
                "T" if name == self.problem.time else "",
                f"place between {name}_low and {name}_high" if moves else "",
            )
        return Schema(arrays, coordinates, self.codecs, self.gzip, residuals=True)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample in the file, without compression."""
        return sum(info.sample_bytes for info in self.schema.arrays.values())

    def _arrays(self) -> list[ArrayInfo]:
        problem, dims = self.problem, self.dims
        found = [
            self._info(name, tuple(dim for dim in dims if dim in declared.over), "input", long_name=f"input {name}")
            for name, declared in problem.inputs.items()
        ]
        if not problem.domain.is_box:
            space = tuple(dim for dim in dims if dim != problem.time)
            found.append(self._info(MASK, space, "input", dtype="int8", long_name="1 inside the geometry"))
        for name, parameter in problem.parameters.items():
            if parameter.kind == "range":
                found.append(self._info(name, (), "parameter", long_name=f"parameter {name}"))
        for name in self.moving:
            unit = problem.coordinates[name].unit
            found += [self._info(f"{name}_{end}", (), "parameter", unit) for end in ("low", "high")]
        for name in self.unknowns:
            found.append(self._info(name, dims, "output", _unit(problem, name), f"solution {name}"))
        return found

    def _info(
        self, name: str, dims: tuple[str, ...], role: Role, unit: str = "1", long_name: str = "", dtype: str = ""
    ) -> ArrayInfo:
        shape = tuple(len(self.fractions[dim]) for dim in dims)
        return ArrayInfo(name, dims, shape, np.dtype(dtype or self.dtype), role, unit, long_name)


def _sizes(problem: Problem, given: Mapping[str, int], grid: Mapping[str, int]) -> dict[str, int]:
    names = problem.names.coordinates
    for name, size in given.items():
        if name not in names:
            raise InputError(one_of(name, names, "a coordinate"), ("output", name))
        if size < 2 and name != problem.time:
            raise InputError(f"needs at least 2 points along {name!r}, got {size}", ("output", name))
    usual = {**grid, **({problem.time: USUAL_TIMES} if problem.time else {}), **given}
    for name in names:
        if name not in usual:
            raise InputError(f"say how many points the data set has along {name!r}", ("output",))
    sizes = {name: int(usual[name]) for name in names}
    if (needed := 8 * math.prod(sizes.values())) > available_memory():
        listed = " x ".join(map(str, sizes.values()))
        raise InputError(f"one sample of {listed} points takes {needed / 2**30:.0f} GiB; take fewer", ("output",))
    return sizes


def _unknowns(problem: Problem, spec: GenerateSpec) -> tuple[str, ...]:
    if spec.unknowns is None:
        return problem.names.real_unknowns
    allowed = (*problem.unknowns, *problem.names.vector_members)
    for index, name in enumerate(spec.unknowns):
        if name not in allowed:
            raise InputError(one_of(name, allowed, "an unknown"), ("unknowns", index))
    wanted = {member for name in spec.unknowns for member in problem.names.vector_members.get(name, (name,))}
    parts = problem.names.complex_parts
    return tuple(part for name in problem.unknowns if name in wanted for part in parts.get(name, (name,)))


def _first_time(problem: Problem, spec: GenerateSpec) -> float:
    """Return the first recorded time as a share of the duration."""
    if spec.start is None:
        return 0.0
    if problem.domain.time is None:
        raise InputError("a steady problem has no first time", ("start",))
    _, start, end = problem.domain.time
    first = parse_constant(spec.start)
    if not start <= first < end:
        raise InputError(
            f"must lie in the time from {start:g} to {end:g} and before its end, got {first:g}", ("start",)
        )
    return (first - start) / (end - start)


def _codecs(spec: GenerateSpec) -> dict[str, Codec]:
    found = {}
    for name, options in (spec.codecs or {}).items():
        with under("codecs", name):
            found[name] = parse_codec(json.dumps(options))
    return found


def _unit(problem: Problem, real_unknown: str) -> str:
    for name, unknown in problem.unknowns.items():
        if real_unknown in (name, *problem.names.complex_parts.get(name, ())):
            return unknown.unit
    return "1"
