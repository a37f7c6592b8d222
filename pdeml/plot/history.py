"""Pictures of how losses and errors fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.style import COLOURS, new_figure, plain, styled

__all__ = ["plot_history"]

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
STYLES = ("-", "--", "-.", ":")


@styled
def plot_history(
    losses: Curves,
    errors: Curves | None = None,
    *,
    log_steps: bool = False,
    across: str = "step",
    title: str | None = None,
) -> Figure:
    """Draw losses, and errors beside them, over the steps; values on logarithmic axes.

    Args:
        losses: name -> (steps, values); what is not positive and finite is left out.
        errors: the same for errors; None or empty: losses only.
        log_steps: steps on a logarithmic axis, too.
        across: what the steps are.
        title: of the whole figure.

    Returns:
        a figure of one or two panels.
    """
    groups = {"loss": losses, "relative error": errors or {}}
    groups = {name: curves for name, curves in groups.items() if curves} or {"loss": {}}
    figure = new_figure(5.6 * len(groups), 3.6 + (0.3 if title else 0), title)
    for axes, (name, curves) in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True):
        _draw(axes, curves, log_steps)
        axes.set_xlabel(plain(across))
        axes.set_ylabel(name)
    return figure


def _draw(axes: Axes, curves: Curves, log_steps: bool) -> None:
    axes.set_yscale("log")
    if log_steps:
        axes.set_xscale("log")
    for number, (name, (steps, values)) in enumerate(curves.items()):
        steps, values = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
        good = np.isfinite(steps) & np.isfinite(values) & (values > 0) & ((steps > 0) | (not log_steps))
        marker = {"marker": "o", "markersize": 3} if good.sum() <= 20 else {}
        line = STYLES[number // len(COLOURS) % len(STYLES)]
        axes.plot(
            steps[good], values[good], line, color=COLOURS[number % len(COLOURS)], lw=1.4, label=plain(name), **marker
        )
    axes.grid(True)
    axes.margins(x=0.01)
    if curves:
        crowded = len(curves) > 5
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if crowded else {"loc": "best"}
        axes.legend(**place)
