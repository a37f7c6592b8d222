"""Pictures of data sets show every array of every sample, whatever its dimensions."""

from __future__ import annotations

import numpy as np
import pytest

from pdeml.plot import plot_samples

AXES = {"t": np.linspace(0, 1, 4), "z": np.linspace(0, 1, 5), "y": np.linspace(0, 2, 6), "x": np.linspace(0, 1, 7)}


@pytest.mark.parametrize(
    "dims, title",
    [
        (("x",), "u"),
        (("t",), "u"),
        (("t", "x"), "u"),
        (("y", "x"), "u"),
        (("t", "y", "x"), "u, t = 1"),
        (("t", "z", "y", "x"), "u, t = 1, z = 0.5"),
    ],
)
def test_each_array_gets_a_panel_that_says_what_it_shows(dims: tuple[str, ...], title: str):
    shape = tuple(len(AXES[dim]) for dim in dims)
    samples = [{"a": np.arange(7.0), "u": np.random.default_rng(k).normal(size=shape)} for k in range(3)]
    labels = [f"sample {k}" for k in range(3)]
    figure = plot_samples(AXES, {"a": ("x",), "u": dims}, samples, labels=labels, time="t", title="a_set")
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["a", title] * 3
    assert [axes.get_ylabel().split("\n")[0] for axes in panels[::2]] == labels
    assert panels[-1].get_xlabel() == dims[-1]


def test_a_map_shows_the_last_time_and_leaves_out_what_is_outside():
    values = np.zeros((4, 6, 7))
    values[-1] = 1.0
    values[:, :2] = np.nan
    figure = plot_samples(AXES, {"u": ("t", "y", "x")}, [{"u": values}], time="t")
    levels = figure.axes[0].collections[0].levels
    assert levels.min() <= 1 <= levels.max()
    assert levels.min() > 0
