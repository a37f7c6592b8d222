"""The result of a computation: named arrays on named coordinates, with units."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import InputError, one_of
from pdeml.field.checks import checked_arrays, checked_coordinates, checked_dims, checked_mask, same_coordinates
from pdeml.field.grid import canonical_dims, grid_points
from pdeml.field.norms import Error, error_norms

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

__all__ = ["Field"]


@dataclass(frozen=True, eq=False, repr=False)
class Field:
    """Unknowns on a tensor grid or at scattered points. Arrays are float64 and read-only.

    Attributes:
        dims: dimensions of the arrays in the order (sample, parameter..., t, z, y, x), or ``("point",)``. Given in
            another order, arrays are transposed to this one.
        coordinates: name -> 1-D values: one per dimension (``sample`` may lack them), or several on ``point``.
        values: unknown -> array of the dims' shape.
        units: name of a coordinate or unknown -> unit; what is missing has the unit ``"1"``.
        std: unknown -> standard deviation, where there is one.
        reference: unknown -> trusted values, where there are any.
        mask: True inside the geometry, of the dims' shape or of its last dimensions; None: everywhere. Outside,
            values are NaN.
        time: the name of the time coordinate.
        parameters: names of coordinates that are parameters.
        attrs: ``title``, ``spec``, ``seed``, ``history`` and other text or numbers that go with it.

    Raises:
        InputError: if names, shapes or coordinates do not fit together.
    """

    dims: tuple[str, ...]
    coordinates: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    units: Mapping[str, str] = field(default_factory=dict)
    std: Mapping[str, np.ndarray] = field(default_factory=dict)
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None
    time: str | None = None
    parameters: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = tuple(self.dims)
        names = {"time": self.time, "parameters": tuple(self.parameters)}
        dims = checked_dims(given, tuple(self.coordinates), **names)
        coordinates = checked_coordinates(dims, self.coordinates)
        mask = checked_mask(given, dims, coordinates, self.values, self.mask)
        arrays = {
            name: checked_arrays(name, getattr(self, name), given, dims, coordinates, mask, self.values)
            for name in ("values", "std", "reference")
        }
        known = {**coordinates, **arrays["values"]}
        for name in self.units:
            if name not in known:
                raise InputError(one_of(name, known, "a coordinate or unknown of the field"), ("units", name))
        made = {**names, **arrays, "dims": dims, "coordinates": coordinates, "mask": mask}
        for name, value in {**made, "units": dict(self.units), "attrs": dict(self.attrs)}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def on_grid(
        cls,
        axes: Mapping[str, np.ndarray],
        evaluate: Callable[[np.ndarray], Mapping[str, np.ndarray]],
        *,
        time: str | None = None,
        parameters: Sequence[str] = (),
        inside: Callable[[np.ndarray], np.ndarray] | None = None,
        units: Mapping[str, str] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> Field:
        """Evaluate functions on a tensor grid.

        Args:
            axes: name -> 1-D values, in declared order (parameters included).
            evaluate: points (N, D), columns in the order of ``axes``, -> unknown -> (N,) values; it gets all points
                inside the geometry at once. It may also return a pair (values, standard deviations).
            time: the name of the time coordinate.
            parameters: names among ``axes`` that are parameters.
            inside: points (N, D) -> (N,) True inside the geometry; None: everywhere.
            units: name -> unit.
            attrs: as of the class.

        Returns:
            the field, its dimensions in the order (parameter..., t, z, y, x); NaN outside the geometry.
        """
        axes = {name: np.atleast_1d(np.asarray(values, dtype=float)) for name, values in axes.items()}
        dims = canonical_dims(tuple(axes), time, parameters)
        points = grid_points(axes, dims)
        mask = None if inside is None else np.asarray(inside(points), dtype=bool)
        result = evaluate(points if mask is None else points[mask])
        values, std = result if isinstance(result, tuple) else (result, {})
        shape = tuple(axes[name].size for name in dims)
        spread = {
            key: {name: _spread(part, mask, shape) for name, part in parts.items()}
            for key, parts in (("values", values), ("std", std))
        }
        return cls(
            dims,
            {name: axes[name] for name in dims},
            **spread,
            units=units or {},
            time=time,
            attrs=attrs or {},
            parameters=tuple(parameters),
            mask=None if mask is None else mask.reshape(shape),
        )

    @classmethod
    def at_points(
        cls, points: np.ndarray, names: Sequence[str], values: Mapping[str, np.ndarray], **options: Any
    ) -> Field:
        """Make a scattered field.

        Args:
            points: (N, D).
            names: of the columns.
            values: unknown -> (N,).
            **options: ``units``, ``std``, ``reference``, ``mask``, ``time``, ``parameters``, ``attrs`` of the class.
        """
        points = np.asarray(points, dtype=float)
        if points.ndim != 2 or points.shape[1] != len(names):
            raise InputError(
                f"points must have shape (N, {len(names)}), a column for each of {', '.join(names)}; got {points.shape}"
            )
        return cls(("point",), {name: points[:, number] for number, name in enumerate(names)}, values, **options)

    @classmethod
    def from_expression(
        cls, formulas: Mapping[str, Any], like: Field, parameters: Mapping[str, Any] | None = None
    ) -> Field:
        """Evaluate formulas at the points of another field.

        Args:
            formulas: unknown -> formula in the coordinates and parameters, such as ``{"u": "exp(-t)*sin(pi*x)"}``.
            like: gives points, units and geometry; parameters that are its dimensions may be used.
            parameters: name -> number or constant expression; the ``parameters`` of a problem will do.

        Raises:
            ExpressionError: naming what is not understood.
        """
        from pdeml.field.formula import formula_values

        values = formula_values(formulas, like, parameters or {})
        units = {name: unit for name, unit in like.units.items() if name in values or name in like.coordinates}
        return replace(like, values=values, units=units, std={}, reference={}, attrs={})

    @classmethod
    def from_hdf5(cls, path: str | os.PathLike[str]) -> Field:
        """Read a file that `to_hdf5` wrote; raises `FileFormatError`, naming file and reason, for any other."""
        from pdeml.field.storage import read_field

        return read_field(path)

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(self.values)

    @property
    def is_scattered(self) -> bool:
        """Whether the values stand at scattered points instead of on a grid."""
        return self.dims == ("point",)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every array."""
        return next(iter(self.values.values())).shape

    @property
    def sizes(self) -> dict[str, int]:
        """Dimension -> number of points."""
        return dict(zip(self.dims, self.shape, strict=True))

    @property
    def space(self) -> tuple[str, ...]:
        """Coordinates that are neither time nor parameters, x before y before z."""
        names = self.coordinates if self.is_scattered else reversed(self.dims)
        return tuple(name for name in names if name not in ("sample", self.time, *self.parameters))

    def unit(self, name: str) -> str:
        """Return the unit of a coordinate or unknown; ``"1"`` if it has none."""
        return self.units.get(name, "1")

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the array of an unknown, or the values of a coordinate."""
        found = {**self.coordinates, **self.values}
        if name not in found:
            raise InputError(one_of(name, found, "an unknown or coordinate of the field"))
        return found[name]

    def __repr__(self) -> str:
        unit = {
            name: f" [{self.units[name]}]" if self.unit(name) != "1" else ""
            for name in (*self.values, *self.coordinates)
        }
        arrays = ", ".join(f"{name}{unit[name]}" for name in self.values)
        if self.is_scattered:
            return f"<Field {arrays} at {self.shape[0]} points ({', '.join(self.coordinates)})>"
        ranges = (
            f"{dim}: {self.sizes[dim]}{_range_text(self.coordinates.get(dim))}{unit.get(dim, '')}" for dim in self.dims
        )
        extra = [
            name
            for name in ("std", "reference", "mask")
            if getattr(self, name) is not None and len(getattr(self, name))
        ]
        return f"<Field {arrays} on {', '.join(ranges)}{'; with ' + ', '.join(extra) if extra else ''}>"

    def equals(self, other: Field) -> bool:
        """Return whether dimensions, coordinates, units and arrays are equal (NaN equals NaN); ``attrs`` may differ."""
        plain = ("dims", "time", "parameters")
        if any(getattr(self, name) != getattr(other, name) for name in plain):
            return False
        if any(self.unit(name) != other.unit(name) for name in (*self.coordinates, *self.values)):
            return False
        groups = [(getattr(self, name), getattr(other, name)) for name in ("coordinates", "values", "std", "reference")]
        groups.append(({} if self.mask is None else {"": self.mask}, {} if other.mask is None else {"": other.mask}))
        return all(
            set(a) == set(b) and all(np.array_equal(a[key], b[key], equal_nan=True) for key in a) for a, b in groups
        )

    def isel(self, **indices: int) -> Field:
        """Fix dimensions at an index: ``field.isel(t=-1)`` is the last moment. The fixed coordinates are dropped."""
        for name in indices:
            if name not in self.dims:
                raise InputError(one_of(name, self.dims, "a dimension of the field"))
        key = tuple(indices.get(dim, slice(None)) for dim in self.dims)
        dims = tuple(dim for dim in self.dims if dim not in indices)
        arrays = {
            name: {unknown: part[key] for unknown, part in getattr(self, name).items()}
            for name in ("values", "std", "reference")
        }
        return Field(
            dims,
            {name: part for name, part in self.coordinates.items() if name not in indices},
            **arrays,
            units={name: unit for name, unit in self.units.items() if name not in indices},
            mask=None if self.mask is None else self.mask[key],
            time=None if self.time in indices else self.time,
            parameters=tuple(name for name in self.parameters if name not in indices),
            attrs=self.attrs,
        )

    def with_reference(self, reference: Field) -> Field:
        """Return this field with trusted values beside its own; `error`, files and pictures then use them.

        Raises:
            InputError: if the reference stands at other points or shares no unknown.
        """
        return replace(self, reference={name: reference.values[name] for name in self._common(reference)})

    def error(self, reference: Field | None = None) -> dict[str, Error]:
        """Measure the distance to a reference over the points inside the geometry of both.

        Args:
            reference: a field at the same points; None: the reference this field carries.

        Returns:
            unknown -> `Error`, for the unknowns that both have.

        Raises:
            InputError: if the reference stands at other points (to rounding) or shares no unknown.
        """
        if reference is None:
            if not self.reference:
                raise InputError("the field carries no reference; pass one: field.error(reference)")
            reference = replace(self, values=self.reference, std={}, reference={}, units={})
        masks = [part.mask for part in (self, reference) if part.mask is not None]
        inside = np.logical_and.reduce(masks) if masks else None
        return {
            name: self._error_of(self.values[name], reference.values[name], inside) for name in self._common(reference)
        }

    def to_hdf5(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF-4 file that `xarray.open_dataset` opens; raises `RunError` if the disk refuses."""
        from pdeml.field.storage import write_field

        write_field(self, path)

    def to_xarray(self) -> xarray.Dataset:
        """Return what `xarray.open_dataset` would read from the file of `to_hdf5`; needs xarray."""
        from pdeml.field.storage import to_dataset

        return to_dataset(self)

    def plot(self, path: str | os.PathLike[str] | None = None, title: str | None = None) -> Figure | None:
        """Draw the field; with a reference: solution, reference and error side by side.

        Args:
            path: where to save: ``.png``, ``.pdf``, ``.svg``, or ``.gif`` / ``.mp4`` for an animation over time.
            title: of the whole figure; None: the field's own.

        Returns:
            the matplotlib figure if ``path`` is None.
        """
        from pdeml.field.pictures import plot_field

        return plot_field(self, path, title)

    def _common(self, reference: Field) -> list[str]:
        """Return the unknowns that both fields have; refuse references at other points."""
        same_coordinates(
            self.dims, self.coordinates, reference.dims, reference.coordinates, self.shape, reference.shape
        )
        common = [name for name in self.values if name in reference.values]
        if not common:
            raise InputError(
                f"the reference has none of {', '.join(self.values)}; it has {', '.join(reference.values)}"
            )
        return common

    def _error_of(self, values: np.ndarray, reference: np.ndarray, inside: np.ndarray | None) -> Error:
        if "sample" in self.dims:
            parts = [
                self._sample_error(values[k], reference[k], None if inside is None else inside[k])
                for k in range(len(values))
            ]
            columns = np.array([(part.relative_l2, part.max, part.h1) for part in parts]).T
            return Error(float(columns[0].mean()), float(columns[1].max()), float(columns[2].mean()))
        return self._sample_error(values, reference, inside)

    def _sample_error(self, values: np.ndarray, reference: np.ndarray, inside: np.ndarray | None) -> Error:
        dims = [dim for dim in self.dims if dim != "sample"]
        axes = (
            [(dims.index(dim), self.coordinates[dim]) for dim in dims if dim not in self.parameters]
            if not self.is_scattered
            else None
        )
        return error_norms(values, reference, inside, axes)


def _spread(values: np.ndarray, mask: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Put values of the points inside into the whole grid, NaN elsewhere."""
    values = np.asarray(values)
    if mask is None:
        return values.reshape(shape)
    whole = np.full(mask.size, np.nan)
    whole[mask] = values.reshape(-1)
    return whole.reshape(shape)


def _range_text(values: np.ndarray | None) -> str:
    return "" if values is None or not values.size else f" in [{values[0]:.4g}, {values[-1]:.4g}]"
