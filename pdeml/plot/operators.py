"""Pictures of what an operator gets wrong: its worst sample, errors over samples, wave numbers and time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pdeml.plot.lines import draw_curve
from pdeml.plot.maps import Plane, draw_map, panel_size, planes_of
from pdeml.plot.quantities import Gridded, Quantity
from pdeml.plot.style import (
    COLOURS,
    MAP,
    add_colourbar,
    error_text,
    label,
    limits,
    new_figure,
    number,
    plain,
    styled,
    symmetric_limits,
)

__all__ = ["plot_case", "plot_distribution", "plot_over_time", "plot_spectrum"]

MOST_INPUTS = 3
CURVE = (3.5, 2.4)
BINS = 24
WIDE = 3.0
"""Errors that differ by more than this factor are drawn on a logarithmic axis."""
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")

Values = tuple[Sequence[str], np.ndarray]
Curves = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class _Cell:
    """A panel: its size in inches, and what draws it."""

    width: float
    height: float
    draw: Callable[[Axes], None]


@styled
def plot_case(
    coordinates: Mapping[str, np.ndarray],
    inputs: Mapping[str, Values],
    found: Mapping[str, Values],
    reference: Mapping[str, Values],
    *,
    std: Mapping[str, np.ndarray] | None = None,
    units: Mapping[str, str] | None = None,
    time: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one sample: input, reference, prediction and error; reference and prediction on one scale.

    Along one coordinate curves, over two maps (time across); over time and a plane a few moments, in a box its middle
    planes. Of many inputs the first three; inputs that are numbers stand in the title.

    Args:
        coordinates: name -> 1-D values.
        inputs: name -> (names of its dimensions in the order (t, z, y, x), values).
        found: of each output what the operator gives; NaN (outside the geometry) stays blank.
        reference: of each output what is true.
        std: of each output the standard deviation over an ensemble; drawn where outputs are curves.
        units: name -> unit for the labels.
        time: which coordinate is the time.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.
    """
    functions = {name: part for name, part in inputs.items() if part[0]}
    numbers = [f"{name} = {number(float(values))}" for name, (dims, values) in inputs.items() if not dims]
    heading = ", ".join([*([title] if title else []), *numbers])
    rows: list[list[_Cell | None]] = []
    given: list[_Cell | None] = [
        _input_cell(coordinates, name, part, units or {}, time) for name, part in list(functions.items())[:MOST_INPUTS]
    ]
    for name, (dims, values) in found.items():
        data = _gridded(coordinates, name, (dims, values), units or {}, time)
        spread = {} if std is None else {name: std[name]}
        data = replace(data, reference={name: reference[name][1]}, std=spread)
        block = _case_rows(data.without_single_points()[0], name)
        if len(block) == 1:
            block[0][:0] = given
            given = [None] * len(given)  # the outputs stay below one another
        elif any(given):
            rows.append(given)
            given = []
        rows += block
    return _draw_rows(rows, heading or None)


@styled
def plot_distribution(errors: Curves, *, across: str = "relative L2 error", title: str | None = None) -> Figure:
    """Draw how errors are distributed over samples: a panel an output, one histogram a part of the data.

    Args:
        errors: output -> part (such as ``train``, ``test``) -> error of each sample.
        across: what the errors are.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.
    """
    figure, panels = _row_of_panels(errors, title)
    for axes, (name, parts) in zip(panels, errors.items(), strict=True):
        kept = {part: np.asarray(values, float) for part, values in parts.items()}
        kept = {part: values[np.isfinite(values) & (values > 0)] for part, values in kept.items()}
        low, high = limits(*kept.values())
        wide = high > WIDE * low > 0
        edges = np.geomspace(low, high, BINS + 1) if wide else np.linspace(low, high, BINS + 1)
        for order, (part, values) in enumerate(kept.items()):
            if not len(values):
                continue
            colour, share = COLOURS[order % len(COLOURS)], np.full(len(values), 1 / len(values))
            text = f"{part} ({len(values)}): median {error_text(np.median(values))}, worst {error_text(values.max())}"
            # By rounding, the smallest and the largest may lie beyond the edges.
            inside = np.clip(values, edges[0], edges[-1])
            axes.hist(inside, edges, weights=share, color=colour, alpha=0.22)
            axes.hist(inside, edges, weights=share, color=colour, histtype="step", lw=1.5, label=plain(text))
            axes.axvline(np.median(values), color=colour, ls="--", lw=1.2)
        axes.set_xscale("log" if wide else "linear")
        axes.set_xlabel(plain(f"{across} of {name}"))
        _finish(axes, above=True)
    panels[0].set_ylabel("share of samples")
    return figure


@styled
def plot_spectrum(
    wave_numbers: np.ndarray, spectra: Curves, *, unit: str = "1", resolved: int | None = None, title: str | None = None
) -> Figure:
    """Draw energies over the wave number, both logarithmic: a panel an output, one curve each.

    Args:
        wave_numbers: (K,) of the shells, in radians per unit of the coordinates; 0 is not drawn.
        spectra: output -> name (such as ``reference``, which is black, ``error on test``) -> (K,) energies.
        unit: of the coordinates.
        resolved: number of shells that every axis resolves; those beyond are not drawn.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.
    """
    figure, panels = _row_of_panels(spectra, title)
    for axes, (name, curves) in zip(panels, spectra.items(), strict=True):
        shown = {part: np.asarray(values)[1:resolved] for part, values in curves.items()}
        _draw_curves(axes, np.asarray(wave_numbers)[1:resolved], shown)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())  # over less than a decade its texts lie upon each other
        axes.set_xlabel(label("wave number", "" if unit in ("", "1") else f"rad/{unit}"))
        axes.set_title(plain(name))
        _finish(axes)
    panels[0].set_ylabel("energy in the shell")
    return figure


@styled
def plot_over_time(
    times: np.ndarray, errors: Curves, *, unit: str = "1", up: str = "relative L2 error", title: str | None = None
) -> Figure:
    """Draw errors over time on a logarithmic axis: a panel an output, one curve each.

    Args:
        times: (T,) of the frames.
        errors: output -> name (such as ``train``, ``test``) -> (T,) errors.
        unit: of the time.
        up: what the errors are.
        title: of the whole figure.

    Returns:
        a figure that pyplot does not know.
    """
    figure, panels = _row_of_panels(errors, title)
    for axes, (name, curves) in zip(panels, errors.items(), strict=True):
        _draw_curves(axes, np.asarray(times), curves)
        axes.set_xlabel(label("t", unit))
        axes.set_title(plain(name))
        _finish(axes)
    panels[0].set_ylabel(plain(up))
    return figure


def _case_rows(data: Gridded, name: str) -> list[list[_Cell]]:
    """Return the panels of one output: one row; where there are several planes a row each for what is shown."""
    if len(data.coordinates) == 1:
        return [_curve_cells(data, name)]
    shown = {quantity.kind: quantity for quantity in _turned(data).quantities(name)}
    texts = {"reference": f"{name} reference", "solution": f"{name} predicted"}
    unit = data.units.get(name, "1")
    ordered = [
        (kind, label(texts[kind], unit) if kind in texts else shown[kind].title)
        for kind in ("reference", "solution", "error")
    ]
    if data.time is not None and len(data.space) == 1:
        data = _turned(data)
        return [[_map_cell(data, Plane(data.time, data.space[0], (), ""), shown[kind], text) for kind, text in ordered]]
    planes = planes_of(data)
    if len(planes) == 1:
        return [[_map_cell(data, planes[0], shown[kind], text) for kind, text in ordered]]
    rows = []
    for kind, text in ordered:
        alike = [shown["solution"], shown["reference"]] if kind != "error" else [shown["error"]]
        parts = [quantity.values[plane.index] for quantity in alike for plane in planes]
        bounds = symmetric_limits(*parts) if kind == "error" else limits(*parts)
        quantity = Quantity(kind, shown[kind].values, text, shown[kind].colours, bounds)
        rows.append([_map_cell(data, plane, quantity, f"{text}\n{plain(plane.title)}", 0.8) for plane in planes])
    return rows


def _gridded(
    coordinates: Mapping[str, np.ndarray], name: str, part: Values, units: Mapping[str, str], time: str | None
) -> Gridded:
    dims, values = part
    own = {dim: np.asarray(coordinates[dim]) for dim in dims}
    return Gridded(own, {name: np.asarray(values)}, units=units, time=time if time in own else None)


def _turned(data: Gridded) -> Gridded:
    """Return values over time and one coordinate with the time last, so that it is drawn across."""
    if data.time is None or len(data.space) != 1:
        return data
    order = (*data.space, data.time)
    if tuple(data.coordinates) == order:
        return data
    groups = [{name: part.T for name, part in group.items()} for group in (data.values, data.reference, data.std)]
    return Gridded({dim: data.coordinates[dim] for dim in order}, *groups, data.units, data.time)


def _curve_cells(data: Gridded, name: str) -> list[_Cell]:
    """Return two panels: prediction over the reference, and the error."""
    (across, points) = next(iter(data.coordinates.items()))
    error = next(quantity for quantity in data.quantities(name) if quantity.kind == "error")

    def both(axes: Axes) -> None:
        draw_curve(axes, points, f"{name} predicted", data.values[name], data.reference[name], data.std.get(name))
        axes.set_title(data.label(name))
        axes.set_xlabel(data.label(across))
        axes.legend(loc="best")

    def difference(axes: Axes) -> None:
        axes.axhline(0, color="0.6", lw=0.8)
        axes.plot(points, error.values, color=COLOURS[1])
        axes.set_title(error.title)
        axes.set_xlabel(data.label(across))
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        axes.locator_params(nbins=6)
        axes.grid(True)
        axes.margins(x=0.01)

    return [_Cell(*CURVE, both), _Cell(*CURVE, difference)]


def _input_cell(
    coordinates: Mapping[str, np.ndarray], name: str, part: Values, units: Mapping[str, str], time: str | None
) -> _Cell:
    """Return the panel of an input: a curve, a map, or of more dimensions its first moment or middle plane."""
    data, _ = _gridded(coordinates, name, part, units, time).without_single_points()
    if len(data.coordinates) == 1:
        return _Cell(*CURVE, lambda axes: _input_curve(axes, data, name))
    data = _turned(data)
    if data.time is not None and len(data.space) == 1:
        plane = Plane(data.time, data.space[0], (), "")
    else:
        plane = planes_of(data)[0]
    values = data.values[name]
    quantity = Quantity("input", values, "", MAP, limits(values[plane.index]))
    return _map_cell(data, plane, quantity, ", ".join([_input_title(data, name), *filter(None, [plain(plane.title)])]))


def _input_curve(axes: Axes, data: Gridded, name: str) -> None:
    (across, points) = next(iter(data.coordinates.items()))
    draw_curve(axes, points, name, data.values[name], None, None)
    axes.lines[0].set_color("black")
    axes.set_title(_input_title(data, name))
    axes.set_xlabel(data.label(across))


def _input_title(data: Gridded, name: str) -> str:
    return label(f"input {name}", data.units.get(name, "1"))


def _map_cell(data: Gridded, plane: Plane, quantity: Quantity, text: str, scale: float = 0.85) -> _Cell:
    width, height = panel_size(data, plane)
    width, height = scale * width, scale * height

    def draw(axes: Axes) -> None:
        draw_map(axes, data, plane, quantity)
        axes.set_title(text)
        axes.set_xlabel(data.label(plane.across))
        axes.set_ylabel(data.label(plane.up))
        axes.locator_params(nbins=4)
        add_colourbar(axes.figure, axes, quantity.colours, quantity.bounds, width=width)

    return _Cell(width + 1.05, height + 0.75, draw)


def _draw_rows(rows: list[list[_Cell | None]], title: str | None) -> Figure:
    """Draw rows of panels; where there is none, and on the right of shorter rows, nothing."""
    columns = max(map(len, rows))
    widths = [max(row[k].width for row in rows if k < len(row) and row[k]) for k in range(columns)]
    heights = [max(cell.height for cell in row if cell) for row in rows]
    figure = new_figure(sum(widths) + 0.3, sum(heights) + (0.5 if title else 0.2), title)
    ratios = {"width_ratios": widths, "height_ratios": heights}
    for panels, row in zip(figure.subplots(len(rows), columns, squeeze=False, gridspec_kw=ratios), rows, strict=True):
        for axes, cell in itertools.zip_longest(panels, row):
            if cell:
                cell.draw(axes)
            else:
                axes.set_visible(False)
    return figure


def _row_of_panels(curves: Curves, title: str | None) -> tuple[Figure, list[Axes]]:
    figure = new_figure(4.8 * len(curves), 3.4 + (0.3 if title else 0), title)
    return figure, list(figure.subplots(1, len(curves), squeeze=False)[0])


def _draw_curves(axes: Axes, across: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """Draw positive values on a logarithmic axis; what is called ``reference`` is black and dashed."""
    order = 0
    for name, values in curves.items():
        values = np.asarray(values, float)
        good = np.isfinite(values) & (values > 0)
        few = {"marker": MARKERS[order % len(MARKERS)], "markersize": 4} if good.sum() <= BINS else {}
        look = {"color": "black", "ls": (0, (5, 2)), "lw": 1.3}
        if name != "reference":
            look = {"color": COLOURS[order % len(COLOURS)], "ls": LINES[order % len(LINES)], "lw": 1.7, **few}
            order += 1
        axes.plot(across[good], values[good], label=plain(name), **look)
    axes.set_yscale("log")


def _finish(axes: Axes, above: bool = False) -> None:
    axes.grid(True)
    if axes.get_legend_handles_labels()[0]:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1)} if above else {"loc": "best"}
        axes.legend(**place)
