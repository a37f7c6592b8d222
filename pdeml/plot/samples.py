"""A picture of a data set: a few samples, one row each, one panel an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.lines import draw_curve
from pdeml.plot.maps import Plane, draw_map, panel_size
from pdeml.plot.quantities import Gridded
from pdeml.plot.style import add_colourbar, new_figure, plain, styled

__all__ = ["plot_samples"]

CURVE = (3.2, 1.9)
PANEL = 0.75
"""Size of a map, relative to that of a picture of its own."""


@styled
def plot_samples(
    coordinates: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]],
    samples: Sequence[Mapping[str, np.ndarray]],
    *,
    labels: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    time: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a few samples.

    Along one coordinate a curve, over two a map (space and time too); with more, the middle of all but the last two
    coordinates is shown, of the time its end.

    Args:
        coordinates: name -> 1-D values.
        dims: array -> names of its dimensions in the order (t, z, y, x).
        samples: for each, array -> values; NaN (outside the geometry) stays blank.
        labels: of the rows, such as ``"sample 0"``.
        units: name -> unit for the labels.
        time: which coordinate is the time.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.
    """
    cuts = {name: _cut(coordinates, own, time) for name, own in dims.items()}
    sizes = {name: _size(cut, coordinates, units or {}) for name, (cut, _, _) in cuts.items()}
    width = sum(across for across, _ in sizes.values()) + 1.25 * len(sizes) + 0.3
    height = max(up for _, up in sizes.values()) + 0.6
    figure = new_figure(width, len(samples) * height + (0.5 if title else 0.2), title)
    ratios = [across for across, _ in sizes.values()]
    panels = figure.subplots(len(samples), len(dims), squeeze=False, gridspec_kw={"width_ratios": ratios})
    for number, (row, sample) in enumerate(zip(panels, samples, strict=True)):
        for axes, name in zip(row, dims, strict=True):
            kept, index, note = cuts[name]
            data = Gridded({dim: coordinates[dim] for dim in kept}, {name: sample[name][index]}, units=units or {})
            _draw(axes, data, name, sizes[name][0])
            axes.set_title(plain(", ".join(part for part in (data.quantities(name)[0].title, note) if part)))
            if number == len(samples) - 1:
                axes.set_xlabel(data.label(kept[-1]))
        if number < len(labels):
            first = row[0].get_ylabel()
            row[0].set_ylabel(plain(labels[number]) + (f"\n{first}" if first else ""))
    return figure


def _cut(
    coordinates: Mapping[str, np.ndarray], dims: Sequence[str], time: str | None
) -> tuple[tuple[str, ...], tuple[int | slice, ...], str]:
    """Return the dimensions that are shown, the index that takes them, and what is fixed in words."""
    free = [dim for dim in dims if len(coordinates[dim]) > 1] or list(dims[-1:])
    kept = tuple(free if len(free) <= 2 else [dim for dim in free if dim != time][-2:])
    data, index, notes = Gridded(coordinates, {}), [], []
    for dim in dims:
        size = len(coordinates[dim])
        index.append(slice(None) if dim in kept else size - 1 if dim == time else size // 2)
        if dim not in kept:
            notes.append(data.at(dim, index[-1]))
    return kept, tuple(index), ", ".join(notes)


def _size(
    kept: tuple[str, ...], coordinates: Mapping[str, np.ndarray], units: Mapping[str, str]
) -> tuple[float, float]:
    if len(kept) == 1:
        return CURVE
    data = Gridded({dim: coordinates[dim] for dim in kept}, {}, units=units)
    across, up = panel_size(data, Plane(kept[1], kept[0], (), ""))
    return PANEL * across, PANEL * up


def _draw(axes: Axes, data: Gridded, name: str, width: float) -> None:
    kept = tuple(data.coordinates)
    if len(kept) == 1:
        draw_curve(axes, data.coordinates[kept[0]], name, data.values[name], None, None)
        return
    quantity = data.quantities(name)[0]
    draw_map(axes, data, Plane(kept[1], kept[0], (), ""), quantity)
    axes.set_ylabel(data.label(kept[0]))
    add_colourbar(axes.figure, axes, quantity.colours, quantity.bounds, width=width)
