"""Pictures of a field: what a picture cannot show (samples, parameters, further dimensions) is fixed first."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import InputError
from pdeml.field.field import Field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_field"]

MAX_SAMPLES = 3
MAX_SPACE = 3


def plot_field(field: Field, path: str | os.PathLike[str] | None = None, title: str | None = None) -> Figure | None:
    """Draw ``field``; see `Field.plot`."""
    from pdeml import plot

    flat, notes = _fix(field)
    title = ", ".join(part for part in (title or str(field.attrs.get("title", "")), *notes) if part)
    arrays = {name: _by_sample(flat, getattr(flat, name)) for name in ("values", "reference", "std")}
    units = {name: flat.unit(name.split(",")[0]) for name in (*arrays["values"], *flat.coordinates)}
    coordinates = (
        {name: flat.coordinates[name] for name in flat.dims if name != "sample"}
        if not flat.is_scattered
        else flat.coordinates
    )
    if path is not None and Path(path).suffix.lower() in plot.ANIMATIONS:
        if flat.time is None or flat.is_scattered:
            raise InputError(
                f"{os.fspath(path)!r}: only a grid with a time coordinate can be animated; save a .png instead"
            )
        arrays.pop("std")
        plot.animate_grid(path, coordinates, time=flat.time, units=units, title=title, **arrays)
        return None
    if flat.is_scattered:
        figure = plot.plot_points(coordinates, units=units, title=title, **arrays)
    else:
        figure = plot.plot_grid(coordinates, units=units, time=flat.time, title=title, **arrays)
    if path is None:
        return figure
    plot.save_figure(figure, path)
    return None


def _fix(field: Field) -> tuple[Field, list[str]]:
    """Take the middle of parameters and of space beyond three dimensions; say so in notes."""
    if field.is_scattered:
        return field, []
    excess = field.space[MAX_SPACE:]
    fixed = {name: field.sizes[name] // 2 for name in (*field.parameters, *excess)}
    if set(fixed) >= set(field.dims) - {"sample"}:
        fixed.pop(next(iter(fixed)), None)
    notes = [_note(field, name, index) for name, index in fixed.items()]
    return (field.isel(**fixed) if fixed else field), notes


def _note(field: Field, name: str, index: int) -> str:
    unit = field.unit(name)
    return f"{name} = {field.coordinates[name][index]:.4g}" + ("" if unit == "1" else f" {unit}")


def _by_sample(field: Field, arrays: Any) -> dict[str, np.ndarray]:
    """Make each of the first samples a row of the picture."""
    if "sample" not in field.dims:
        return dict(arrays)
    count = min(field.sizes["sample"], MAX_SAMPLES)
    return {f"{name}, sample {k}": array[k] for name, array in arrays.items() for k in range(count)}
