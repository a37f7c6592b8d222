"""Pictures: arrays and names in, figures out; the only package that imports matplotlib, and never pyplot."""

from pdeml.plot.animation import ANIMATIONS, animate_grid
from pdeml.plot.fields import plot_grid, plot_points
from pdeml.plot.frequencies import plot_frequencies
from pdeml.plot.history import plot_history
from pdeml.plot.operators import plot_case, plot_distribution, plot_over_time, plot_spectrum
from pdeml.plot.samples import plot_samples
from pdeml.plot.shapes import plot_geometry
from pdeml.plot.style import save_figure

__all__ = [
    "ANIMATIONS",
    "animate_grid",
    "plot_case",
    "plot_distribution",
    "plot_frequencies",
    "plot_geometry",
    "plot_grid",
    "plot_history",
    "plot_over_time",
    "plot_points",
    "plot_samples",
    "plot_spectrum",
    "save_figure",
]
