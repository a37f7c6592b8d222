"""Moving pictures of time-dependent values: GIF through Pillow, MP4 through ffmpeg where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.animation import FFMpegWriter
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from PIL import Image

from pdeml.errors import InputError, one_of
from pdeml.files import atomic_write
from pdeml.plot.maps import MAX_POINTS, Plane, panel_size
from pdeml.plot.quantities import Gridded, Quantity
from pdeml.plot.style import COLOURS, ERROR_MAP, MAP, OUTSIDE, add_colourbar, limits, new_figure, plain, styled

__all__ = ["ANIMATIONS", "animate_grid"]

ANIMATIONS = (".gif", ".mp4")
MAX_FRAMES = 60
FRAMES_PER_SECOND = 12
DPI = 90
Update = Callable[[int], None]


@styled
def animate_grid(
    path: str | os.PathLike[str],
    coordinates: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    *,
    time: str,
    reference: Mapping[str, np.ndarray] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> int:
    """Write an animation over time, atomically; colours and axes stay fixed, the title counts the time.

    Args:
        path: ends in ``.gif``, or in ``.mp4`` where ffmpeg is installed.
        coordinates: name -> 1-D values, in the order of the arrays' dimensions (t, z, y, x).
        values: unknown -> array, time first.
        time: the name of the first dimension.
        reference: unknown -> trusted array.
        units: name -> unit.
        title: stands before the time.

    Returns:
        the number of frames (at most 60).

    Raises:
        InputError: if there is nothing to move, or the ending is no animation.
        RunError: if the disk refuses.
    """
    save = _saver(path)
    data = Gridded(dict(coordinates), dict(values), dict(reference or {}), {}, dict(units or {}), time)
    if time not in data.coordinates or len(data.coordinates[time]) < 2:
        raise InputError("only values at several times can be animated; save a .png instead")
    if not 1 <= len(data.space) <= 3:
        raise InputError(f"animations show one to three space coordinates, got {len(data.space)}; save a .png instead")
    figure, updates = _lines(data) if len(data.space) == 1 else _maps(data)
    heading = figure.suptitle(" ")
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    count = len(data.coordinates[time])
    frames = np.unique(np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(int))

    def draw(frame: int) -> None:
        heading.set_text(plain(", ".join(part for part in (title, data.at(time, frame)) if part)))
        for update in updates:
            update(frame)

    with atomic_write(path) as temporary:
        save(temporary, figure, draw, [int(frame) for frame in frames])
    return len(frames)


def _saver(path: str | os.PathLike[str]) -> Callable[[Path, Figure, Update, list[int]], None]:
    ending = Path(path).suffix.lower()
    if ending not in ANIMATIONS:
        raise InputError(f"{os.fspath(path)!r}: " + one_of(ending, ANIMATIONS, "a format of animations"))
    if ending == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError("MP4 needs the program ffmpeg, which is not installed; save a .gif instead")
    return _save_gif if ending == ".gif" else _save_mp4


def _save_gif(path: Path, figure: Figure, draw: Update, frames: list[int]) -> None:
    """Write all frames with one palette made of our colour maps, so that colours neither shift nor flicker."""
    palette, images = _palette(), []
    for frame in frames:
        draw(frame)
        figure.canvas.draw()
        picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
        images.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
    with path.open("wb") as stream:
        duration = round(1000 / FRAMES_PER_SECOND)
        images[0].save(stream, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)


def _save_mp4(path: Path, figure: Figure, draw: Update, frames: list[int]) -> None:
    even = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
    writer = FFMpegWriter(fps=FRAMES_PER_SECOND, extra_args=["-f", "mp4", "-pix_fmt", "yuv420p", "-vf", even])
    with writer.saving(figure, str(path), DPI):
        for frame in frames:
            draw(frame)
            writer.grab_frame()


def _palette() -> Image.Image:
    ramp = np.linspace(0, 1, 96)
    maps = [colormaps[name](ramp)[:, :3] for name in (MAP, ERROR_MAP)]
    # No grey is so near to white that Pillow's coarse search takes it for white.
    greys = np.append(np.linspace(0, 0.92, 43), 1.0)[:, None].repeat(3, axis=1)
    lines = to_rgba_array(COLOURS)[:, :3]
    colours = np.concatenate([*maps, greys, lines, 0.5 + 0.5 * lines])
    image = Image.new("P", (1, 1))
    image.putpalette((255 * colours).round().astype(np.uint8).tobytes())
    return image


def _lines(data: Gridded) -> tuple[Figure, list[Update]]:
    """One row an unknown: the curve moves, the reference is dashed."""
    points, names = data.coordinates[data.space[0]], list(data)
    figure = new_figure(5.6, 2.5 * len(names) + 0.7)
    updates: list[Update] = []
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        low, high = limits(data.values[name], data.reference.get(name))
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axes.set_xlabel(data.label(data.space[0]))
        axes.set_ylabel(data.label(name))
        axes.grid(True)
        axes.margins(x=0.01)
        updates.append(_moving_line(axes, points, data.values[name], {"color": COLOURS[0], "label": plain(name)}))
        if name in data.reference:
            look = {"color": "black", "ls": "--", "lw": 1.1, "label": "reference"}
            updates.append(_moving_line(axes, points, data.reference[name], look))
            axes.legend(loc="upper right")
    return figure, updates


def _moving_line(axes: Axes, points: np.ndarray, values: np.ndarray, look: Mapping[str, object]) -> Update:
    (line,) = axes.plot(points, values[0], **look)
    return lambda frame: line.set_ydata(values[frame])


def _maps(data: Gridded) -> tuple[Figure, list[Update]]:
    """One row an unknown: solution, reference and error; of a box, its middle plane."""
    *fixed, up, across = data.space
    middle = tuple(len(data.coordinates[name]) // 2 for name in fixed)
    plane = Plane(across, up, middle, "")
    rows = [data.quantities(name) for name in data]
    columns = max(len(found) for found in rows)
    width, height = panel_size(data, plane)
    figure = new_figure(columns * (width + 1.2) + 0.2, len(rows) * (height + 0.75) + 0.4)
    note = "".join(f", {data.at(name, index)}" for name, index in zip(fixed, middle, strict=True))
    updates = []
    for line, found in zip(figure.subplots(len(rows), columns, squeeze=False), rows, strict=True):
        for axes in line[len(found) :]:
            axes.set_visible(False)
        for axes, quantity in zip(line, found, strict=False):
            updates.append(_moving_map(axes, data, plane, quantity))
            axes.set_title(quantity.title + plain(note))
            add_colourbar(figure, axes, quantity.colours, quantity.bounds)
    return figure, updates


def _moving_map(axes: Axes, data: Gridded, plane: Plane, quantity: Quantity) -> Update:
    across, up = data.coordinates[plane.across], data.coordinates[plane.up]
    strides = tuple(slice(None, None, max(1, -(-len(points) // MAX_POINTS))) for points in (up, across))

    def picture(frame: int) -> np.ndarray:
        return np.ma.masked_invalid(quantity.values[(frame, *plane.index)][strides])

    axes.set_facecolor(OUTSIDE)
    low, high = quantity.bounds
    mesh = axes.pcolormesh(
        across[strides[1]], up[strides[0]], picture(0), cmap=quantity.colours, vmin=low, vmax=high, shading="nearest"
    )
    axes.set_xlabel(data.label(plane.across))
    axes.set_ylabel(data.label(plane.up))
    if data.units.get(plane.across, "1") == data.units.get(plane.up, "1"):
        axes.set_aspect("equal")
    return lambda frame: mesh.set_array(picture(frame))
