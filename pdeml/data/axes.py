"""The grid that samples are on: points of every dimension, which of them repeat, and what was assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeml.data.signature import Axis
from pdeml.data.source import ArrayInfo, Source
from pdeml.errors import InputError, one_of
from pdeml.problem import Problem

__all__ = ["Axes"]

_OFF = 0.01  # of a step: how far the end of a period may be from where it should be


@dataclass(frozen=True, eq=False)
class Axes:
    """Points of every dimension that the arrays of an operator have.

    Args:
        points: dimension -> values, increasing; along a periodic one without the end of the period.
        periodic: dimension -> the end of its period.
        units: dimension -> unit.
        window: dimension -> the points to read, where not all are: the end of a period repeats its beginning.
        notes: what was assumed.
    """

    points: dict[str, np.ndarray]
    periodic: dict[str, float]
    units: dict[str, str]
    window: dict[str, slice]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        source: Source,
        arrays: Sequence[ArrayInfo],
        given: Mapping[str, Any],
        periodic: Sequence[str] | None,
        problem: Problem | None,
    ) -> Axes:
        """Find the points: those that the user gives or the file holds; else on the range of the problem, or 0 to 1.

        Args:
            source: the file, opened with the user's names.
            arrays: inputs and outputs.
            given: what the user says of coordinates.
            periodic: the user's word on which repeat, or None.
            problem: what the samples solve, or none.

        Raises:
            InputError: values do not increase, or do not cover the period.
        """
        sizes = {dim: size for info in arrays for dim, size in zip(info.dims, info.shape, strict=True)}
        repeating = _repeating(periodic, problem, sizes)
        made = cls({}, {}, {}, {}, ())
        assumed = []
        for dim, size in sizes.items():
            known = problem.coordinates.get(dim) if problem is not None else None
            made.units[dim] = source.units.get(dim, known.unit if known is not None else "1")
            values, ends = source.coordinates.get(dim), None
            if isinstance(given.get(dim), Sequence) and not isinstance(given[dim], str):
                ends = tuple(float(end) for end in given[dim])
            elif values is None or dim in source.counted:
                ends = (0.0, 1.0) if known is None else (known.lower, known.upper)
                assumed += [dim] if known is None else []
            if ends is not None:
                values = np.linspace(*ends, size, endpoint=dim not in repeating)
                made.periodic.update({dim: ends[1]} if dim in repeating else {})
            made.points[dim] = np.asarray(values, np.float64)
            _check_increasing(dim, made.points[dim])
            if dim in repeating and ends is None:
                made._close(dim, None if known is None else known.upper - known.lower)
        notes = (f"the file has no values of {', '.join(assumed)}: from 0 to 1, unless 'coordinates' says otherwise",)
        return cls(made.points, made.periodic, made.units, made.window, notes if assumed else ())

    def described(self) -> tuple[Axis, ...]:
        """Return the axes for a signature."""
        return tuple(
            Axis(
                dim,
                float(points[0]),
                float(self.periodic.get(dim, points[-1])),
                len(points),
                dim in self.periodic,
                self.units[dim],
            )
            for dim, points in self.points.items()
        )

    def _close(self, dim: str, period: float | None) -> None:
        """Find the end of the period of points from a file; a last point that repeats the first one is left out."""
        points = self.points[dim]
        step = (points[-1] - points[0]) / (len(points) - 1)
        span = points[-1] - points[0]
        if period is not None and abs(span - period) < _OFF * step:
            self.window[dim] = slice(0, len(points) - 1)
            self.points[dim] = points[:-1]
        elif period is not None and abs(span + step - period) > _OFF * step:
            raise InputError(
                f"{dim} is periodic with the period {period:.6g}, but its {len(points)} points run from "
                f"{points[0]:.6g} to {points[-1]:.6g}; they must cover one period",
                ("coordinates", dim),
            )
        self.periodic[dim] = float(points[0] + (period if period is not None else span + step))


def _repeating(periodic: Sequence[str] | None, problem: Problem | None, dims: Mapping[str, int]) -> tuple[str, ...]:
    if periodic is None:
        return () if problem is None else tuple(name for name in problem.periodic if name in dims)
    for number, name in enumerate(periodic):
        if name not in dims:
            raise InputError(one_of(name, dims, "a coordinate of the data"), ("periodic", number))
    return tuple(periodic)


def _check_increasing(dim: str, points: np.ndarray) -> None:
    if len(points) < 2:
        raise InputError(
            f"there is one point along {dim}: take the arrays there, as outputs: {{u: u({dim}=first)}}",
            ("coordinates", dim),
        )
    if not (np.diff(points) > 0).all():
        raise InputError(
            f"the values of {dim} do not increase (they begin {points[0]:.6g}, {points[1]:.6g}); operators need "
            f"increasing ones: turn the arrays round and store them anew",
            ("coordinates", dim),
        )
