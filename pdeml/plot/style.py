"""What all pictures share: fonts, colours safe for the colour-blind, labels with units, saving."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from pdeml.errors import InputError, one_of
from pdeml.files import atomic_write

__all__ = [
    "COLOURS",
    "add_colourbar",
    "error_text",
    "house_style",
    "label",
    "limits",
    "new_figure",
    "number",
    "plain",
    "save_figure",
    "styled",
    "symmetric_limits",
]

# Okabe & Ito, "Color universal design" (2008), without its yellow, which is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MAP, ERROR_MAP, STD_MAP = "viridis", "RdBu_r", "cividis"
OUTSIDE = "0.88"
FORMATS = (".png", ".pdf", ".svg")
DPI = 150

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.7,
    "grid.color": "0.88",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "svg.hashsalt": "pdeml",
}

Maker = TypeVar("Maker", bound=Callable[..., Any])


@contextmanager
def house_style() -> Iterator[None]:
    """Use our settings inside, and the user's again afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def styled(make: Maker) -> Maker:
    """Run a function that makes figures in our style; the user's settings are as before afterwards."""

    @functools.wraps(make)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with house_style():
            return make(*args, **kwargs)

    return inner  # type: ignore[return-value]


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """Make a figure of its own (no pyplot, no display), in inches; panels keep clear of one another."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.05)
    if title:
        figure.suptitle(plain(title))
    return figure


def plain(text: str) -> str:
    """Keep matplotlib from reading dollar signs as formulas: text may come from strangers."""
    return text.replace("$", r"\$")


def label(name: str, unit: str = "1") -> str:
    """Write a quantity with its unit: ``u [m/s]``; just the name where the unit is one."""
    return plain(name if unit in ("", "1") else f"{name} [{unit}]")


def number(value: float) -> str:
    """Write a coordinate for a title, with three digits."""
    return f"{value:.3g}"


def error_text(value: float) -> str:
    """Write the size of an error with two digits: ``8.4e-04``, ``2.2``."""
    return f"{value:.2g}" if 1e-2 <= value < 1e4 else f"{value:.1e}"


def limits(*arrays: np.ndarray | None) -> tuple[float, float]:
    """Return the range of all finite values, widened where it is empty."""
    parts = [part[np.isfinite(part)] for part in arrays if part is not None]
    parts = [part for part in parts if part.size]
    if not parts:
        return 0.0, 1.0
    low, high = float(min(part.min() for part in parts)), float(max(part.max() for part in parts))
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    margin = 0.5 * abs(low) if low else 0.5
    return low - margin, high + margin


def symmetric_limits(*arrays: np.ndarray) -> tuple[float, float]:
    """Return limits around zero, so that a diverging map has its neutral colour there."""
    low, high = limits(*arrays, np.zeros(1))
    top = max(abs(low), abs(high))
    return -top, top


def add_colourbar(
    figure: Figure,
    axes: Axes | list[Axes],
    colours: str,
    bounds: tuple[float, float],
    text: str = "",
    width: float = 3.5,
) -> Colorbar:
    """Add a colour bar with few, short ticks: beside one panel of ``width`` inches, or shared by a row of panels."""
    mappable = ScalarMappable(Normalize(*bounds), colours)
    formatter = ScalarFormatter(useMathText=True)
    formatter.set_powerlimits((-3, 4))
    place: dict[str, Any] = {"ax": axes, "pad": 0.02, "aspect": 22}
    if isinstance(axes, Axes):
        place = {"cax": axes.inset_axes([1 + 0.1 / width, 0, 0.12 / width, 1])}
    bar = figure.colorbar(mappable, format=formatter, **place)
    bar.ax.locator_params(nbins=6)
    bar.ax.yaxis.set_offset_position("left")
    bar.outline.set_linewidth(0.5)
    bar.set_label(text)
    return bar


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure, atomically; the ending says how: .png, .pdf or .svg.

    Raises:
        InputError: if the ending is another.
        RunError: if the disk refuses.
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{os.fspath(path)!r}: " + one_of(ending, FORMATS, "a format of pictures"))
    stamp = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}[ending]
    with house_style(), atomic_write(path) as temporary:
        figure.savefig(temporary, format=ending[1:], dpi=DPI, metadata=stamp)
