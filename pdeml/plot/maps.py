"""Pictures of two-dimensional values: filled contours, side by side, at several times or in several planes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.quantities import Gridded, Quantity
from pdeml.plot.style import OUTSIDE, add_colourbar, limits, new_figure, plain, symmetric_limits

__all__ = ["Plane", "draw_map", "maps_figure", "panel_size", "planes_of"]

LEVELS = 32
MAX_POINTS = 500
SNAPSHOTS = 4
# Wider than this, panels are stacked instead of put side by side.
WIDE = 2.2
# Within this ratio both axes get the same scale.
EQUAL = 8.0


@dataclass(frozen=True)
class Plane:
    """A two-dimensional cut through the arrays: ``index`` takes it, ``across`` and ``up`` name its coordinates."""

    across: str
    up: str
    index: tuple[int | slice, ...]
    title: str


def planes_of(data: Gridded) -> list[Plane]:
    """Choose what to show: the plane; a few moments of it; or three middle planes of a box at the last moment."""
    space = data.space
    if len(space) == 2:
        up, across = space
        if data.time is None:
            return [Plane(across, up, (), "")]
        count = len(data.coordinates[data.time])
        moments = np.unique(np.linspace(0, count - 1, SNAPSHOTS).round().astype(int))
        return [Plane(across, up, (int(k),), data.at(data.time, int(k))) for k in moments]
    last = () if data.time is None else (len(data.coordinates[data.time]) - 1,)
    planes = []
    for axis, name in enumerate(space):
        middle = len(data.coordinates[name]) // 2
        index = (*last, *(middle if k == axis else slice(None) for k in range(len(space))))
        up, across = (other for other in space if other != name)
        title = data.at(name, middle) + (f", {data.at(data.time, last[0])}" if last else "")
        planes.append(Plane(across, up, index, title))
    return planes


def maps_figure(data: Gridded, title: str | None) -> Figure:
    """Draw every unknown in every plane: as rows of planes, or, with one plane, as solution | reference | error."""
    planes = planes_of(data)
    shown = {name: data.quantities(name) for name in data}
    if len(planes) == 1:
        return _side_by_side(data, planes[0], shown, title)
    rows = [_fit_colours(quantity, found, planes) for found in shown.values() for quantity in found]
    return _rows_of_planes(data, planes, rows, title)


def panel_size(data: Gridded, plane: Plane) -> tuple[float, float]:
    """Return width and height in inches of one panel that suits the plane's proportions."""
    ratio = _proportion(data, plane)
    if ratio is None:
        return 3.6, 2.9
    if ratio >= 1:
        width = min(3.3 * np.sqrt(ratio), 7.0)
        return width, max(width / ratio, 1.0)
    height = min(3.0 / np.sqrt(ratio), 5.5)
    return max(height * ratio, 1.1), height


def draw_map(axes: Axes, data: Gridded, plane: Plane, quantity: Quantity) -> None:
    """Draw filled contours of one quantity in one plane; what is not finite stays grey."""
    across, up = data.coordinates[plane.across], data.coordinates[plane.up]
    values = quantity.values[plane.index]
    strides = tuple(slice(None, None, max(1, -(-size // MAX_POINTS))) for size in values.shape)
    values = np.ma.masked_invalid(values[strides])
    axes.set_facecolor(OUTSIDE)
    if values.mask.all():
        axes.text(0.5, 0.5, "no finite values", ha="center", va="center", transform=axes.transAxes)
    else:
        levels = np.linspace(*quantity.bounds, LEVELS + 1)
        axes.contourf(across[strides[1]], up[strides[0]], values, levels=levels, cmap=quantity.colours)
    axes.set_xlim(across.min(), across.max())
    axes.set_ylim(up.min(), up.max())
    if _proportion(data, plane) is not None:
        axes.set_aspect("equal")


def _fit_colours(quantity: Quantity, found: list[Quantity], planes: list[Plane]) -> Quantity:
    """Let the colours span what the planes show; solution and reference keep sharing theirs."""
    alike = [other for other in found if other.colours == quantity.colours]
    parts = [other.values[plane.index] for other in alike for plane in planes]
    bounds = symmetric_limits(*parts) if quantity.kind == "error" else limits(*parts)
    return replace(quantity, bounds=bounds)


def _side_by_side(data: Gridded, plane: Plane, shown: dict[str, list[Quantity]], title: str | None) -> Figure:
    width, height = panel_size(data, plane)
    columns = max(len(found) for found in shown.values())
    stacked = columns > 1 and width / height > WIDE
    rows = [[quantity] for found in shown.values() for quantity in found] if stacked else list(shown.values())
    columns = 1 if stacked else columns
    figure = new_figure(columns * (width + 1.2) + 0.2, len(rows) * (height + 0.42) + (0.8 if title else 0.45), title)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for number, (line, found) in enumerate(zip(panels, rows, strict=True)):
        for axes in line[len(found) :]:
            axes.set_visible(False)
        for axes, quantity in zip(line, found, strict=False):
            draw_map(axes, data, plane, quantity)
            axes.set_title(quantity.title)
            add_colourbar(figure, axes, quantity.colours, quantity.bounds, width=width)
            _label_axes(axes, data, plane, bottom=number == len(rows) - 1, left=axes is line[0])
    return figure


def _rows_of_planes(data: Gridded, planes: list[Plane], rows: list[Quantity], title: str | None) -> Figure:
    sizes = [panel_size(data, plane) for plane in planes]
    scale = min(1.0, 13.0 / sum(width for width, _ in sizes))
    height = max(height for _, height in sizes) * scale
    same = len({(plane.across, plane.up) for plane in planes}) == 1
    width = sum(width for width, _ in sizes) * scale + (0.45 if same else 0.75) * len(planes) + 1.2
    figure = new_figure(width, len(rows) * (height + (0.35 if same else 0.75)) + 0.5 + (0.35 if title else 0), title)
    ratios = [width for width, _ in sizes]
    panels = figure.subplots(len(rows), len(planes), squeeze=False, gridspec_kw={"width_ratios": ratios})
    for number, (line, quantity) in enumerate(zip(panels, rows, strict=True)):
        for axes, plane in zip(line, planes, strict=True):
            draw_map(axes, data, plane, quantity)
            if number == 0:
                axes.set_title(plain(plane.title))
            _label_axes(axes, data, plane, bottom=not same or number == len(rows) - 1, left=not same or axes is line[0])
        add_colourbar(figure, list(line), quantity.colours, quantity.bounds, quantity.title.replace(", max", "\nmax"))
    return figure


def _label_axes(axes: Axes, data: Gridded, plane: Plane, bottom: bool, left: bool) -> None:
    axes.locator_params(nbins=5)
    axes.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        axes.set_xlabel(data.label(plane.across))
    if left:
        axes.set_ylabel(data.label(plane.up))


def _proportion(data: Gridded, plane: Plane) -> float | None:
    """Return width over height where both axes have the same unit and comparable lengths, else None."""
    if data.units.get(plane.across, "1") != data.units.get(plane.up, "1"):
        return None
    ratio = float(np.ptp(data.coordinates[plane.across]) / np.ptp(data.coordinates[plane.up]))
    return ratio if 1 / EQUAL <= ratio <= EQUAL else None
