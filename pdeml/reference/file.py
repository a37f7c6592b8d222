"""References read from field files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import NdBSpline, RegularGridInterpolator, make_interp_spline

from pdeml.errors import InputError
from pdeml.field import Field
from pdeml.problem import Problem
from pdeml.reference.base import Parameters, Reference, as_points
from pdeml.reference.exact import parameter_values

__all__ = ["FileReference"]

SAME = 1e-9  # points this near to a grid point, relative to the extent of the grid, count as that point
MOST_CUBIC = 2_000_000  # larger grids are interpolated linearly
LEAST = 5  # points along every axis, so that interpolation from every second one says something
MOST_ERROR = 0.25  # of interpolation from every second point; beyond, its order is no guide to that from all points
ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class FileReference(Reference):
    """Values on a grid, read from a field file; between grid points by cubic (or linear) interpolation.

    At its own grid points the values are those of the file; how good they are only its maker knows, so that ``floor``
    is 0. Elsewhere the error of interpolation is the floor, estimated by leaving out every second point.

    Args:
        problem: whose unknowns the file holds.
        field: what the file holds.
        interpolation_floor: relative L2 error of interpolation; None where the grid is too coarse to tell, and then it
            is not interpolated.
        method: of interpolation, ``cubic`` or ``linear``.
        name: of the file.
    """

    problem: Problem
    field: Field
    interpolation_floor: float | None
    method: str
    name: str
    floor: float = 0.0

    @classmethod
    def read(cls, path: str | os.PathLike[str], problem: Problem) -> FileReference:
        """Read a field file.

        Raises:
            InputError: if it cannot be read, is no grid of the problem's coordinates, or has none of its unknowns.
        """
        field = Field.from_hdf5(path)
        return cls.of(field, problem, Path(path).name)

    @classmethod
    def of(cls, field: Field, problem: Problem, name: str = "field") -> FileReference:
        """Use a field that is already in memory; `read` says what may be wrong."""
        _check(field, problem, name)
        method = _method(field)
        known = [unknown for unknown in problem.names.real_unknowns if unknown in field.values]
        floors = [_interpolation_error(field, field.values[unknown], method) for unknown in known]
        floor = None if None in floors else max(part for part in floors if part is not None)
        return cls(problem, field, floor, method, name)

    @property
    def unknowns(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(name for name in self.problem.names.real_unknowns if name in self.field.values)

    @property
    def description(self) -> str:  # type: ignore[override]
        if self.interpolation_floor is None:
            return f"file: {self.name}, at its own grid points alone"
        error = f"relative error {self.interpolation_floor:.0e} there"
        return f"file: {self.name}, {self.method} between its grid points, {error}"

    def evaluate(self, points: ArrayLike, parameters: Parameters | None = None) -> dict[str, np.ndarray]:
        rows, nearest = self._rows(points, parameters)
        arrays = {name: self.field.values[name] for name in self.unknowns}
        if nearest is not None:
            return {name: np.array(part[nearest]) for name, part in arrays.items()}
        self._interpolates()
        places = np.stack(rows, axis=1)
        return {name: _interpolator(self._axes, part, self.method)(places) for name, part in arrays.items()}

    def floor_at(self, points: ArrayLike, parameters: Parameters | None = None) -> float:
        _, nearest = self._rows(points, parameters)
        return self._interpolates() if nearest is None else self.floor

    def known_points(self, count: int, rng: np.random.Generator) -> np.ndarray | None:
        inside = []
        for name, (low, high) in zip(self.problem.names.coordinates, self.problem.domain.bounds, strict=True):
            axis, slack = self.field.coordinates[name], SAME * (high - low)
            inside.append(axis[(axis >= low - slack) & (axis <= high + slack)].clip(low, high))
        sizes = [len(axis) for axis in inside]
        total = math.prod(sizes)
        if total == 0:
            return None
        chosen = np.unravel_index(rng.choice(total, min(count, total), replace=False), sizes)
        return np.stack([axis[k] for axis, k in zip(inside, chosen, strict=True)], axis=1)

    @property
    def _axes(self) -> list[np.ndarray]:
        return [self.field.coordinates[dim] for dim in self.field.dims]

    def _rows(
        self, points: ArrayLike, parameters: Parameters | None
    ) -> tuple[list[np.ndarray], tuple[np.ndarray, ...] | None]:
        """Return the places along each axis, and their indices if all are grid points."""
        array = as_points(points, self.problem)
        columns = dict(zip(self.problem.names.coordinates, array.T, strict=True))
        values = parameter_values(self.problem, parameters)
        columns.update((name, np.broadcast_to(values[name], len(array))) for name in self.field.parameters)
        axes = self._axes
        rows = [_clipped(dim, axis, columns[dim]) for dim, axis in zip(self.field.dims, axes, strict=True)]
        nearest = tuple(_nearest(axis, row) for axis, row in zip(axes, rows, strict=True))
        on_grid = all(np.all(np.abs(a[k] - r) <= SAME * np.ptp(a)) for a, k, r in zip(axes, nearest, rows, strict=True))
        return rows, nearest if on_grid else None

    def _interpolates(self) -> float:
        """Return the floor between grid points, or refuse."""
        if self.interpolation_floor is None:
            sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(self.field.dims, self.field.shape, strict=True))
            raise InputError(
                f"the grid of {self.name} ({sizes}) is too coarse to interpolate with a known error; give a finer one, "
                "or compare at its own points alone, by export.grid or `pdeml evaluate RUN --data FILE`"
            )
        return self.interpolation_floor


def _check(field: Field, problem: Problem, name: str) -> None:
    wanted = set(problem.names.coordinates)
    found = set(field.dims) - set(field.parameters)
    if field.is_scattered or found != wanted:
        listed = "scattered points" if field.is_scattered else f"a grid over {', '.join(field.dims)}"
        raise InputError(f"{name} holds {listed}; a grid over {', '.join(problem.names.coordinates)} is needed")
    for parameter in field.parameters:
        if parameter not in problem.parameters:
            raise InputError(f"{name} depends on {parameter!r}, which is no parameter of the problem")
    if not set(problem.names.real_unknowns) & set(field.values):
        raise InputError(
            f"{name} holds {', '.join(field.values)}, none of the unknowns {', '.join(problem.names.real_unknowns)}"
        )


def _method(field: Field) -> str:
    complete = all(np.all(np.isfinite(part)) for part in field.values.values())
    # Every second point must still carry a cubic, so that the error can be estimated.
    fine = min(field.shape) >= 7 and max(part.size for part in field.values.values()) <= MOST_CUBIC
    return "cubic" if complete and fine else "linear"


def _interpolator(axes: list[np.ndarray], values: np.ndarray, method: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that interpolates at points (N, D), columns in the order of ``axes``."""
    flips = tuple(slice(None, None, -1) if axis[0] > axis[-1] else slice(None) for axis in axes)
    ordered = [axis[flip] for axis, flip in zip(axes, flips, strict=True)]
    if method == "linear":
        return RegularGridInterpolator(ordered, values[flips], method="linear")
    # SciPy's own "cubic" solves for the coefficients iteratively, to 1e-5 only; axis by axis they are exact.
    coefficients, knots = values[flips], []
    for k, axis in enumerate(ordered):
        spline = make_interp_spline(axis, coefficients, k=3, axis=k)
        coefficients = np.moveaxis(spline.c, 0, k)
        knots.append(spline.t)
    return NdBSpline(tuple(knots), coefficients, 3)


def _interpolation_error(field: Field, values: np.ndarray, method: str) -> float | None:
    """Return the relative L2 error of interpolation: that with every second point, divided by 2^order.

    None where the grid is too coarse for that.
    """
    sizes = [size - (1 - size % 2) for size in field.shape]  # odd, so that the last point stays
    axes = [field.coordinates[dim][:size] for dim, size in zip(field.dims, sizes, strict=True)]
    part = values[tuple(slice(size) for size in sizes)]
    if min(sizes) < LEAST:
        return None
    coarse = _interpolator([axis[::2] for axis in axes], part[(slice(None, None, 2),) * part.ndim], method)
    guess = coarse(np.stack([m.ravel() for m in np.meshgrid(*axes, indexing="ij")], axis=1)).reshape(part.shape)
    seen = np.isfinite(guess) & np.isfinite(part)
    norm = float(np.linalg.norm(part[seen]))
    error = float(np.linalg.norm(guess[seen] - part[seen])) / (norm or 1.0)
    if not seen.any() or error > MOST_ERROR:
        return None
    return max(ROUNDING, error / (16 if method == "cubic" else 4))


def _clipped(name: str, axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Move values that miss the grid by rounding onto its ends; refuse those farther out."""
    lower, upper = float(axis.min()), float(axis.max())
    slack = SAME * (upper - lower)
    if values.size and (values.min() < lower - slack or values.max() > upper + slack):
        raise InputError(
            f"the reference covers {name} from {lower:g} to {upper:g}, but is wanted from {values.min():g} to "
            f"{values.max():g}"
        )
    return np.clip(values, lower, upper)


def _nearest(axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    order = np.argsort(axis)
    middles = (axis[order][1:] + axis[order][:-1]) / 2
    return order[np.searchsorted(middles, values)]
