"""Pictures of how losses and errors fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdeml.plot.style import COLOURS, error_text, new_figure, plain, styled

__all__ = ["plot_history"]

Curves = Mapping[str, tuple[Sequence[float], Sequence[float]]]
STYLES = ("-", "--", "-.", ":")


@styled
def plot_history(
    losses: Curves,
    errors: Curves | None = None,
    *,
    final: Mapping[str, float] | None = None,
    log_steps: bool = False,
    across: str = "step",
    title: str | None = None,
) -> Figure:
    """Draw losses, and errors beside them, over the steps; values on logarithmic axes.

    Curves of one point each are no curves: their values are then shown with the final ones.

    Args:
        losses: name -> (steps, values); what is not positive and finite is left out.
        errors: the same for errors; None or empty: losses only.
        final: name -> what was reached at the end, in a panel of its own; None or empty: no such panel.
        log_steps: steps on a logarithmic axis, too.
        across: what the steps are.
        title: of the whole figure.

    Returns:
        a figure of one to three panels.
    """
    groups = {"loss": losses, "relative error": errors or {}}
    if all(len(steps) < 2 for curves in groups.values() for steps, _ in curves.values()):
        single = {name: values[0] for curves in groups.values() for name, (_, values) in curves.items() if len(values)}
        groups, final = {}, {**single, **(final or {})}
    groups = {name: curves for name, curves in groups.items() if curves} or ({} if final else {"loss": {}})
    count = len(groups) + bool(final)
    figure = new_figure(5.6 * count, 3.6 + (0.3 if title else 0), title)
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes, (name, curves) in zip(panels, groups.items(), strict=False):
        _draw(axes, curves, log_steps)
        axes.set_xlabel(plain(across))
        axes.set_ylabel(name)
    if final:
        _draw_final(panels[-1], final)
    return figure


def _draw(axes: Axes, curves: Curves, log_steps: bool) -> None:
    axes.set_yscale("log")
    if log_steps:
        axes.set_xscale("log")
    else:
        axes.xaxis.get_major_locator().set_params(integer=True)
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


def _draw_final(axes: Axes, final: Mapping[str, float]) -> None:
    """Draw one dot a value, with its name and its size; what is not positive and finite stands at the left end."""
    values = np.array(list(final.values()), dtype=float)
    good = np.isfinite(values) & (values > 0)
    sizes = values[good] if good.any() else np.ones(1)
    low, high = sizes.min() / 10, sizes.max()
    shown, rows = np.where(good, values, low), np.arange(len(values))[::-1]
    axes.set_xscale("log")
    axes.set_xlim(low, high * (high / low) ** 0.25)  # room for the last text
    axes.hlines(rows, low, shown, color=COLOURS[0], lw=1.4)
    axes.plot(shown[good], rows[good], "o", color=COLOURS[0], markersize=5)
    for value, place, row in zip(values, shown, rows, strict=True):
        axes.annotate(
            error_text(value) if value else "0", (place, row), (7, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(rows, [plain(name) for name in final])
    axes.set_ylim(-0.7, len(values) - 0.3)
    axes.grid(True, axis="x")
    axes.set_xlabel("at the end")
