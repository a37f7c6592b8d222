"""Pictures of the frequencies that a kernel has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.style import COLOURS, new_figure, plain, styled

__all__ = ["plot_frequencies"]

NAMED = 4
"""So many of the largest components carry their frequency as a label."""
_DECADES = 8
"""Shares below 10^-8 of the largest are not drawn."""

Lines = Sequence[tuple[float, float, float]]


@styled
def plot_frequencies(found: Mapping[str, Lines], *, title: str | None = None) -> Figure:
    """Draw the spectrum of a kernel: a stem for each component, its width as a bar; one panel a coordinate.

    Args:
        found: name of the coordinate -> (angular frequency, share of the variance, standard deviation of the
            frequency) for each component.
        title: of the whole figure.
    """
    figure = new_figure(4.6 * len(found), 3.2 + (0.3 if title else 0), title)
    for axes, (name, lines) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        _draw(axes, lines)
        axes.set_xlabel(f"angular frequency along {plain(name)}")
        axes.set_ylabel("share of the variance")
    return figure


def _draw(axes: Axes, lines: Lines) -> None:
    ordered = sorted(lines, key=lambda line: -line[1])
    floor = (ordered[0][1] if ordered else 1.0) * 10.0**-_DECADES
    axes.set_yscale("log")
    for number, (frequency, share, width) in enumerate(line for line in ordered if line[1] > floor):
        axes.vlines(frequency, floor, share, color=COLOURS[0], lw=1.4)
        axes.errorbar(frequency, share, xerr=width, fmt="o", ms=3.5, color=COLOURS[0], elinewidth=0.8, alpha=0.8)
        if number < NAMED:
            axes.annotate(f"{frequency:.4g}", (frequency, share), (4, 3), textcoords="offset points", fontsize=8)
    axes.set_ylim(floor, 10 * ordered[0][1] if ordered else 1.0)
    axes.set_xlim(0, 1.15 * max((frequency + width for frequency, _, width in ordered), default=1.0))
    axes.grid(True)
