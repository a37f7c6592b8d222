"""Where the statements of a problem hold on a tensor grid: the ends where conditions are given, and what is between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdeml.errors import InputError
from pdeml.geometry import Region
from pdeml.lower.grid_derivatives import GridAxis
from pdeml.problem import Problem

__all__ = ["Place", "inner_place", "places_of"]

NEAR = 1e-3
"""Share of a step by which a grid point may miss the place of a condition: single precision in a file."""


@dataclass(frozen=True, eq=False)
class Place:
    """A part of a grid.

    Args:
        where: a slice along each dimension of the grid.
        share: of the region it belongs to.
        normals: component of the outward normal along each space coordinate; empty away from the boundary.
        kept: which of its points count, of the shape of the part; all by default.
    """

    where: tuple[slice, ...]
    share: float = 1.0
    normals: Mapping[str, float] | None = None
    kept: np.ndarray | None = None


def places_of(region: Region, axes: Sequence[GridAxis], space: Sequence[str]) -> tuple[Place, ...]:
    """Return the parts of a grid on which a condition holds.

    Args:
        region: where it holds.
        axes: of the grid, in the order of its dimensions.
        space: names of the space coordinates, in the order of the normals.

    Raises:
        InputError: the grid has no points there.
    """
    total = sum(part.measure for part in region.parts)
    found = []
    for part in region.parts:
        fixed = region.fixed
        normals = None
        if part.plane is not None:
            name = space[part.plane[0]]
            fixed = {**fixed, name: part.plane[1]}
        if region.has_normals and part.plane is not None:
            outward = part.draw(np.full((1, part.dimension), 0.5))[1]
            normals = dict(zip(space, outward[0].tolist(), strict=True))
        where = tuple(_slice(axis, fixed, region) for axis in axes)
        kept = None if region.where is None else _kept(region, axes, where)
        found.append(Place(where, part.measure / total, normals, kept))
    return tuple(found)


def inner_place(problem: Problem, axes: Sequence[GridAxis]) -> Place:
    """Return the part of a grid on which the equations are asked for: without the ends at which a condition holds.

    There the condition says what the unknowns are; and a solution whose initial and boundary values do not meet is
    not smooth in the corners.
    """
    ends = {(axis, value) for constraint in problem.constraints for axis, value in _ends(constraint.region, problem)}
    return Place(tuple(_between(axis, ends) for axis in axes))


def _ends(region: Region, problem: Problem) -> Collection[tuple[str, float]]:
    if region.where is not None:
        return ()
    planes = [(problem.names.space[part.plane[0]], part.plane[1]) for part in region.parts if part.plane is not None]
    fixed = tuple(region.fixed.items())
    return (*planes, *(fixed if len(fixed) == 1 else ()))


def _between(axis: GridAxis, ends: Collection[tuple[str, float]]) -> slice:
    own = [value for name, value in ends if name == axis.name]
    first, last = (any(_near(axis, number, value) for value in own) for number in (0, len(axis.points) - 1))
    return slice(int(first), len(axis.points) - int(last))


def _near(axis: GridAxis, number: int, value: float) -> bool:
    step = np.diff(axis.points).min() if len(axis.points) > 1 else 1.0
    return bool(abs(axis.points[number] - value) <= NEAR * step)


def _slice(axis: GridAxis, fixed: Mapping[str, float], region: Region) -> slice:
    if axis.name not in fixed:
        return slice(0, len(axis.points))
    value = fixed[axis.name]
    number = int(np.abs(axis.points - value).argmin())
    if not _near(axis, number, value):
        raise InputError(
            f"a condition holds at {axis.name} = {value:g}, where the grid has no points: along {axis.name!r} it runs "
            f"from {axis.points[0]:g} to {axis.points[-1]:g}; give samples that hold the points of '{region.name}'",
            ("coordinates", axis.name),
        )
    return slice(number, number + 1)


def _kept(region: Region, axes: Sequence[GridAxis], where: Sequence[slice]) -> np.ndarray:
    names = [axis.name for axis in axes]
    mesh = np.meshgrid(*(axis.points[part] for axis, part in zip(axes, where, strict=True)), indexing="ij")
    points = np.stack([mesh[names.index(name)].ravel() for name in region.coordinates], axis=1)
    assert region.where is not None
    values = np.asarray(region.where(points))
    kept = np.broadcast_to((values != 0).reshape(-1) if values.ndim else values != 0, len(points))
    if not kept.any():
        raise InputError(f"no point of the grid is in {region.name}, where a condition holds")
    return kept.reshape(mesh[0].shape)
