"""Lines through a domain and along its boundary, on which formulas are sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import sympy

from pdeml.expr import almost_everywhere, compile_program, normal_symbol
from pdeml.geometry import Region
from pdeml.lower.spectrum import Function
from pdeml.problem import Problem

__all__ = ["Line", "along", "interior_lines", "region_lines"]

_LINES = 4  # parallel ones; at irrational places, where symmetric formulas do not vanish
_SCAN = 1025
_STEPS = np.sqrt([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0])


@dataclass(frozen=True, eq=False)
class Line:
    """A line, or a piece of a curve, with a parameter in [−1, 1].

    Args:
        halves: pairs (coordinate, half-length of the line): the coordinates that change along it.
        place: maps parameters (N,) to points (N, D).
    """

    halves: tuple[tuple[int, float], ...]
    place: Callable[[np.ndarray], np.ndarray]


def interior_lines(problem: Problem) -> Iterator[Line]:
    """Yield lines inside the domain along each coordinate."""
    yield from _parallels(problem, {}, not problem.domain.is_box)


def region_lines(problem: Problem, region: Region) -> Iterator[Line]:
    """Yield lines along every coordinate that varies over a region, and along the curves of a curved boundary."""
    names = problem.names.coordinates
    for part in region.split():
        fixed = {names.index(name): value for name, value in part.fixed.items()}
        if fixed or problem.domain.is_box:
            yield from _parallels(problem, fixed, not problem.domain.is_box)
        else:
            yield from _curves(part)


def along(formula: sympy.Expr, line: Line, problem: Problem) -> Function:
    """Return a formula in coordinates and parameters as a function on a line; normals count as one."""
    names = problem.names
    constants = {normal_symbol(axis).name: 1.0 for axis in names.space} | problem.parameter_values
    program = compile_program([almost_everywhere(formula)], (*names.coordinates, *constants))

    def function(parameters: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            (values,) = program.run([*line.place(parameters).T, *constants.values()])
        return np.broadcast_to(np.asarray(values, dtype=np.float64), parameters.shape)

    return function


def _parallels(problem: Problem, fixed: Mapping[int, float], clipped: bool) -> Iterator[Line]:
    """Yield lines parallel to the axes where some coordinates are fixed, within the domain if it is no box."""
    bounds = problem.domain.bounds
    free = [axis for axis in range(len(bounds)) if axis not in fixed]
    for axis in free:
        for k in range(_LINES if len(free) > 1 else 1):
            shares = (0.381966 + k * np.resize(_STEPS, len(bounds))) % 1.0
            base = bounds[:, 0] + shares * (bounds[:, 1] - bounds[:, 0])
            base[list(fixed)] = list(fixed.values())
            ends = _inside(problem, base, axis) if clipped else tuple(bounds[axis])
            if ends is not None:
                yield _straight(base, axis, *ends)


def _straight(base: np.ndarray, axis: int, low: float, high: float) -> Line:
    centre, half = 0.5 * (low + high), 0.5 * (high - low)

    def place(parameters: np.ndarray) -> np.ndarray:
        points = np.tile(base, (len(parameters), 1))
        points[:, axis] = centre + half * parameters
        return points

    return Line(((axis, half),), place)


def _inside(problem: Problem, base: np.ndarray, axis: int) -> tuple[float, float] | None:
    """Return the ends of the longest part of a line that is in the domain, or None."""
    low, high = problem.domain.bounds[axis]
    places = np.linspace(low, high, _SCAN)
    points = np.tile(base, (_SCAN, 1))
    points[:, axis] = places
    inside = np.concatenate([[False], problem.domain.contains(points), [False]])
    starts, ends = np.flatnonzero(~inside[:-1] & inside[1:]), np.flatnonzero(inside[:-1] & ~inside[1:]) - 1
    if not len(starts):
        return None
    longest = np.argmax(ends - starts)
    start, end = places[starts[longest]], places[ends[longest]]
    return (start, end) if start < end else None


def _curves(part: Region) -> Iterator[Line]:
    """Yield the curves on which one of the parameters of a curved part varies."""
    for column in range(part.dimension):
        for k in range(_LINES if part.dimension > 1 else 1):
            base = (0.381966 + k * np.resize(_STEPS, part.dimension)) % 1.0

            def place(parameters: np.ndarray, base: np.ndarray = base, column: int = column) -> np.ndarray:
                unit = np.tile(base, (len(parameters), 1))
                unit[:, column] = 0.5 + 0.499 * parameters  # the ends may be poles of the parameters
                return part.place(unit)[0]

            points = place(np.linspace(-1.0, 1.0, _SCAN))
            steps = np.diff(points, axis=0)
            half = 0.5 * float(np.linalg.norm(steps, axis=1).sum())
            moved = np.flatnonzero(np.abs(steps).max(axis=0) > 1e-9 * np.abs(steps).max())
            if half > 0:
                yield Line(tuple((int(axis), half) for axis in moved), place)
