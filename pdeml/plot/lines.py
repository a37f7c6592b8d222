"""Pictures of values along one coordinate, and over one coordinate and time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.quantities import Gridded, Quantity
from pdeml.plot.style import COLOURS, OUTSIDE, add_colourbar, limits, new_figure, plain

__all__ = ["draw_curve", "lines_figure", "space_time_figure"]

FEW = 24
SLICES = 3


def lines_figure(data: Gridded, title: str | None) -> Figure:
    """Draw each unknown over the only coordinate, one row an unknown; with a reference its error beside it."""
    (across, points), names = next(iter(data.coordinates.items())), list(data)
    columns = 2 if data.reference else 1
    figure = new_figure(5.2 * columns, 2.6 * len(names) + 0.4 + (0.3 if title else 0), title)
    panels = figure.subplots(len(names), columns, squeeze=False, sharex=True)
    for line, name in zip(panels, names, strict=True):
        found = {quantity.kind: quantity for quantity in data.quantities(name)}
        draw_curve(line[0], points, name, data.values[name], data.reference.get(name), data.std.get(name))
        line[0].set_ylabel(found["solution"].title)
        if len(line[0].get_legend_handles_labels()[0]) > 1:
            line[0].legend(loc="best")
        if "error" in found:
            _draw_error(line[1], points, found["error"])
        elif columns == 2:
            line[1].set_visible(False)
    for axes in panels[-1]:
        axes.set_xlabel(data.label(across))
    return figure


def draw_curve(
    axes: Axes, points: np.ndarray, name: str, values: np.ndarray, reference: np.ndarray | None, std: np.ndarray | None
) -> None:
    """Draw one curve, its reference dashed in black, and a band of two standard deviations."""
    marker = {"marker": "o", "markersize": 3.5} if len(points) <= FEW else {}
    (curve,) = axes.plot(points, values, label=plain(name), **marker)
    if std is not None:
        axes.fill_between(
            points, values - 2 * std, values + 2 * std, color=curve.get_color(), alpha=0.2, lw=0, label="± 2 std"
        )
    if reference is not None:
        axes.plot(points, reference, "--", color="black", lw=1.1, label="reference")
    _finish_panel(axes)


def space_time_figure(data: Gridded, title: str | None) -> Figure:
    """Draw each unknown over time (across) and space (up), and three moments as curves."""
    names = list(data)
    with_reference = bool(data.reference)
    columns = max(len(data.quantities(name)) for name in names)
    height = (5.0 if with_reference else 2.9) * len(names) + (0.35 if title else 0)
    figure = new_figure(4.1 * columns + 0.2 if with_reference else 4.3 * (columns + 1), height, title)
    blocks = np.atleast_1d(figure.subfigures(len(names), 1, hspace=0.02))
    for block, name in zip(blocks, names, strict=True):
        if with_reference:
            _with_reference(block, data, name, columns)
        else:
            _alone(block, data, name, columns)
    return figure


def _alone(block: Figure, data: Gridded, name: str, columns: int) -> None:
    """Images, and right of them the moments in one panel."""
    panels = block.subplots(1, columns + 1, squeeze=False)[0]
    for axes, quantity in zip(panels, data.quantities(name), strict=False):
        _draw_image(axes, data, quantity)
    for axes in panels[len(data.quantities(name)) : -1]:
        axes.set_visible(False)
    moments = _moments(data)
    for moment, colour in zip(moments, COLOURS, strict=False):
        panels[-1].plot(
            _space_points(data), data.values[name][moment], color=colour, label=plain(data.at(data.time, moment))
        )
        panels[0].axvline(data.coordinates[data.time][moment], color="white", ls=(0, (4, 3)), lw=0.9)
    _finish_slices(panels[-1], data, name)
    panels[-1].legend(loc="best")


def _with_reference(block: Figure, data: Gridded, name: str, columns: int) -> None:
    """Images of solution, reference and error, and below them the moments, each in its own panel."""
    images, slices = block.subplots(2, columns, squeeze=False, gridspec_kw={"height_ratios": [1.15, 1]})
    quantities = data.quantities(name)
    for axes, quantity in zip(images, quantities, strict=False):
        _draw_image(axes, data, quantity)
    for axes in images[len(quantities) :]:
        axes.set_visible(False)
    reference, std = data.reference.get(name), data.std.get(name)
    bounds = limits(data.values[name], reference)
    margin = 0.06 * (bounds[1] - bounds[0])
    moments = _moments(data)
    for axes, moment in zip(slices, moments, strict=False):
        parts = [None if part is None else part[moment] for part in (data.values[name], reference, std)]
        draw_curve(axes, _space_points(data), name, *parts)
        axes.set_title(plain(data.at(data.time, moment)))
        axes.set_ylim(bounds[0] - margin, bounds[1] + margin)
        _finish_slices(axes, data, name)
        images[0].axvline(data.coordinates[data.time][moment], color="white", ls=(0, (4, 3)), lw=0.9)
    for axes in slices[len(moments) :]:
        axes.set_visible(False)
    slices[0].legend(loc="best")


def _draw_image(axes: Axes, data: Gridded, quantity: Quantity) -> None:
    across, up = data.coordinates[data.time], _space_points(data)
    axes.set_facecolor(OUTSIDE)
    values = np.ma.masked_invalid(quantity.values.T)
    low, high = quantity.bounds
    axes.pcolormesh(across, up, values, cmap=quantity.colours, vmin=low, vmax=high, shading="nearest", rasterized=True)
    axes.set_xlim(across.min(), across.max())
    axes.set_ylim(up.min(), up.max())
    axes.set_title(quantity.title)
    axes.set_xlabel(data.label(data.time))
    axes.set_ylabel(data.label(data.space[0]))
    axes.locator_params(nbins=5)
    add_colourbar(axes.figure, axes, quantity.colours, quantity.bounds)


def _draw_error(axes: Axes, points: np.ndarray, quantity: Quantity) -> None:
    axes.axhline(0, color="0.6", lw=0.8)
    axes.plot(points, quantity.values, color=COLOURS[1])
    axes.set_title(quantity.title)
    _finish_panel(axes)


def _finish_slices(axes: Axes, data: Gridded, name: str) -> None:
    axes.set_xlabel(data.label(data.space[0]))
    axes.set_ylabel(data.label(name))
    _finish_panel(axes)


def _finish_panel(axes: Axes) -> None:
    axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    axes.locator_params(nbins=6)
    axes.grid(True)
    axes.margins(x=0.01)


def _moments(data: Gridded) -> list[int]:
    """Indices of three moments: after each third of the time (the start is known anyway)."""
    count = len(data.coordinates[data.time])
    return [int(k) for k in np.unique(np.linspace(0, count - 1, SLICES + 1).round()[1:])]


def _space_points(data: Gridded) -> np.ndarray:
    return data.coordinates[data.space[0]]
