"""Pictures of fields: the kind of picture follows from the dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pdeml.errors import InputError
from pdeml.plot.lines import lines_figure, space_time_figure
from pdeml.plot.maps import maps_figure
from pdeml.plot.quantities import Gridded, Quantity
from pdeml.plot.style import OUTSIDE, add_colourbar, new_figure, plain, styled

__all__ = ["plot_grid", "plot_points"]


@styled
def plot_grid(
    coordinates: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    *,
    reference: Mapping[str, np.ndarray] | None = None,
    std: Mapping[str, np.ndarray] | None = None,
    units: Mapping[str, str] | None = None,
    time: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw arrays on a tensor grid.

    One coordinate: curves. Space and time: an image and three moments. Plane: filled contours, at a few moments where
    there is time. Box: its three middle planes, at the last moment. With references: solution, reference and signed
    error side by side, one row an unknown.

    Args:
        coordinates: name -> 1-D values, in the order of the arrays' dimensions (t, z, y, x).
        values: unknown -> array; NaN (outside the geometry) stays blank.
        reference: unknown -> trusted array.
        std: unknown -> standard deviation.
        units: name -> unit for the labels; ``"1"`` is not written.
        time: which coordinate is the time.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.

    Raises:
        InputError: with more than three dimensions of space.
    """
    data = Gridded(dict(coordinates), dict(values), dict(reference or {}), dict(std or {}), dict(units or {}), time)
    data, note = data.without_single_points()
    title = ", ".join(part for part in (title, note) if part)
    if len(data.space) > 3:
        raise InputError(
            f"pictures show at most three space coordinates, got {', '.join(data.space)}; fix some of them"
        )
    if len(data.coordinates) == 1:
        return lines_figure(data, title)
    if len(data.space) == 1:
        return space_time_figure(data, title)
    return maps_figure(data, title)


@styled
def plot_points(
    coordinates: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    *,
    reference: Mapping[str, np.ndarray] | None = None,
    std: Mapping[str, np.ndarray] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw values at scattered points: over the only coordinate, or as colours over the first two.

    Args:
        coordinates: name -> (N,) values; the first is drawn across, the second up.
        values: unknown -> (N,) values.
        reference: unknown -> trusted values.
        std: unknown -> standard deviation.
        units: name -> unit for the labels.
        title: of the whole figure.

    Returns:
        a figure, one row an unknown.
    """
    data = Gridded(dict(coordinates), dict(values), dict(reference or {}), dict(std or {}), dict(units or {}))
    rows = [data.quantities(name) for name in data]
    columns = max(len(found) for found in rows)
    figure = new_figure(4.4 * columns + 0.2, 3.3 * len(rows) + (0.35 if title else 0), title)
    for line, found in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for axes in line[len(found) :]:
            axes.set_visible(False)
        for axes, quantity in zip(line, found, strict=False):
            _scatter(axes, data, list(data.coordinates), quantity)
    return figure


def _scatter(axes: object, data: Gridded, names: Sequence[str], quantity: Quantity) -> None:
    axes.set_xlabel(data.label(names[0]))
    axes.set_title(quantity.title)
    size = float(np.clip(6000 / max(len(quantity.values), 1), 3, 30))
    if len(names) == 1:
        axes.scatter(data.coordinates[names[0]], quantity.values, s=size, lw=0)
        axes.grid(True)
        return
    low, high = quantity.bounds
    axes.set_facecolor("white" if quantity.kind != "error" else OUTSIDE)
    axes.scatter(
        data.coordinates[names[0]],
        data.coordinates[names[1]],
        c=quantity.values,
        cmap=quantity.colours,
        vmin=low,
        vmax=high,
        s=size,
        lw=0,
    )
    axes.set_ylabel(data.label(names[1]))
    add_colourbar(axes.figure, axes, quantity.colours, quantity.bounds)
    if len(names) > 2:
        axes.set_title(quantity.title + plain(f" (all {', '.join(names[2:])})"))
