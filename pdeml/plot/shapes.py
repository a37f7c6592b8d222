"""Pictures of a geometry: its named pieces in colours, its inside in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.errors import InputError
from pdeml.plot.style import COLOURS, label, new_figure, plain, styled

__all__ = ["plot_geometry"]

INSIDE = "0.72"


@styled
def plot_geometry(
    pieces: Mapping[str, np.ndarray],
    axes: Sequence[str],
    *,
    interior: np.ndarray | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the boundary pieces of a geometry, each in its colour and named in the legend.

    Args:
        pieces: name -> (N, d) points of the piece, d = 1, 2 or 3; neighbours in the array that are neighbours on a
            curve are joined.
        axes: names of the d coordinates.
        interior: (N, d) points inside, drawn as grey dots.
        units: coordinate -> unit.
        title: of the figure.

    Returns:
        a figure of one panel.

    Raises:
        InputError: with more than three coordinates.
    """
    if not 1 <= len(axes) <= 3:
        raise InputError(f"pictures show geometries of one to three coordinates, got {', '.join(axes)}")
    parts = {name: _columns(points, len(axes)) for name, points in pieces.items()}
    inside = None if interior is None else _columns(interior, len(axes))
    figure = new_figure(*_size(parts, inside, len(axes)), title)
    panel = figure.add_subplot(projection="3d") if len(axes) == 3 else figure.add_subplot()
    names = [label(name, (units or {}).get(name, "1")) for name in axes]
    for number, (name, points) in enumerate(parts.items()):
        _draw_piece(panel, name, points, COLOURS[number % len(COLOURS)], number // len(COLOURS))
    if inside is not None:
        panel.scatter(*_drawable(inside).T, s=(8, 3, 3)[len(axes) - 1], color=INSIDE, lw=0, label="inside", zorder=1)
    _finish(panel, names)
    return figure


def _draw_piece(panel: Axes, name: str, points: np.ndarray, colour: str, turn: int) -> None:
    dimension = points.shape[1]
    if dimension == 2 and points[:, 0].size > 2 and _is_ordered(points):
        panel.plot(
            *_with_gaps(points).T,
            ("-", "--", ":")[turn % 3],
            color=colour,
            lw=3,
            label=plain(name),
            solid_capstyle="round",
        )
        return
    size = 60 if dimension == 1 else 12 if dimension == 2 else 5
    panel.scatter(*_drawable(points).T, s=size, color=colour, marker="os^"[turn % 3], lw=0, label=plain(name), zorder=3)


def _finish(panel: Axes, names: list[str]) -> None:
    panel.set_xlabel(names[0])
    if len(names) == 1:
        panel.set_yticks([])
        panel.spines[["left", "right", "top"]].set_visible(False)
        panel.set_ylim(-1, 1)
    elif len(names) == 2:
        panel.set_ylabel(names[1])
        panel.set_aspect("equal")
        panel.spines[["right", "top"]].set_visible(False)
        panel.margins(0.04)
        panel.locator_params(axis="y", nbins=5)
    else:
        panel.set_ylabel(names[1])
        panel.set_zlabel(names[2])
        panel.set_aspect("equal")
    if panel.get_legend_handles_labels()[0]:
        scale = 1.6 if len(names) > 1 else 0.8
        panel.legend(
            loc="upper left", bbox_to_anchor=(1.02 if len(names) < 3 else 1.1, 1.0), markerscale=scale, borderaxespad=0
        )


def _size(parts: Mapping[str, np.ndarray], inside: np.ndarray | None, dimension: int) -> tuple[float, float]:
    if dimension == 1:
        return 6.5, 1.8
    if dimension == 3:
        return 6.6, 5.0
    points = np.concatenate([*parts.values(), *([] if inside is None else [inside]), np.zeros((0, 2))])
    extent = np.ptp(points, axis=0) if len(points) else np.ones(2)
    ratio = float(np.clip(extent[0] / extent[1] if extent[1] > 0 else 1.0, 0.25, 6))
    width = 3.6 * np.sqrt(ratio) if ratio >= 1 else 3.6 * ratio**0.25
    width = min(width, 8.0)
    return width + 1.9, width / ratio + 1.0


def _columns(points: np.ndarray, dimension: int) -> np.ndarray:
    points = np.asarray(points, dtype=float).reshape(-1, dimension)
    return points[np.isfinite(points).all(axis=1)]


def _drawable(points: np.ndarray) -> np.ndarray:
    """Put points of a line on the axis of a plane."""
    return np.column_stack([points, np.zeros(len(points))]) if points.shape[1] == 1 else points


def _steps(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(points, axis=0), axis=1)


def _is_ordered(points: np.ndarray) -> bool:
    """Whether neighbours in the array are neighbours in the plane."""
    extent = np.linalg.norm(np.ptp(points, axis=0))
    return bool(np.median(_steps(points)) * len(points) < 8 * extent)


def _with_gaps(points: np.ndarray) -> np.ndarray:
    """Insert NaN where the curve jumps."""
    steps = _steps(points)
    jumps = np.flatnonzero(steps > 6 * np.median(steps)) + 1
    return np.insert(points, jumps, np.nan, axis=0)
