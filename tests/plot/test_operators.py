"""Pictures of operators show a case on one scale, and the errors of all parts of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from pdeml.plot import plot_case, plot_distribution, plot_over_time, plot_spectrum, save_figure

AXES = {"t": np.linspace(0, 1, 5), "z": np.linspace(0, 1, 5), "y": np.linspace(0, 2, 6), "x": np.linspace(0, 1, 7)}


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_title()]


def values_of(dims: tuple[str, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=tuple(len(AXES[dim]) for dim in dims))


def case(dims: tuple[str, ...], inputs: dict | None = None, outputs: str = "u", **options: object) -> Figure:
    inputs = {"a": (("x",), values_of(("x",), 5))} if inputs is None else inputs
    found = {name: (dims, 9 * values_of(dims, k)) for k, name in enumerate(outputs)}
    reference = {name: (dims, values_of(dims, k)) for k, name in enumerate(outputs)}
    return plot_case(AXES, inputs, found, reference, time="t", **options)


TITLES = {
    ("x",): ["input a", "u", "error of u"],
    ("t",): ["input a", "u", "error of u"],
    ("t", "x"): ["input a", "u reference", "u predicted", "error of u"],
    ("y", "x"): ["input a", "u reference", "u predicted", "error of u"],
    ("t", "y", "x"): ["input a", *["u reference"] * 4, *["u predicted"] * 4, *["error of u"] * 4],
    ("z", "y", "x"): ["input a", *["u reference"] * 3, *["u predicted"] * 3, *["error of u"] * 3],
    ("t", "z", "y", "x"): ["input a", *["u reference"] * 3, *["u predicted"] * 3, *["error of u"] * 3],
}


@pytest.mark.parametrize("dims", TITLES, ids="".join)
def test_a_case_shows_input_reference_prediction_and_error(dims: tuple[str, ...], tmp_path: Path):
    figure = case(dims, title="worst")
    shown = [axes.get_title().split("\n")[0].split(", max")[0] for axes in panels(figure)]
    assert shown == TITLES[dims]
    if len(dims) > 2:
        return  # the layout of many panels takes seconds
    save_figure(figure, tmp_path / "case.png")
    with Image.open(tmp_path / "case.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_reference_and_prediction_share_their_scale_and_the_error_is_around_zero():
    maps = {axes.get_title().split(",")[0]: axes.collections[0] for axes in panels(case(("y", "x")))[1:]}
    reference, prediction = maps["u reference"].levels, maps["u predicted"].levels
    np.testing.assert_array_equal(reference, prediction)
    assert reference[0] == pytest.approx(9 * values_of(("y", "x"), 0).min())
    error = maps["error of u"].levels
    assert error[0] == -error[-1]


def test_over_time_and_space_the_time_is_across():
    picture = panels(case(("t", "x")))[1]
    assert (picture.get_xlabel(), picture.get_ylabel()) == ("t", "x")


def test_outputs_stand_below_one_another_and_numbers_in_the_title():
    inputs = {"a": (("y", "x"), values_of(("y", "x"), 5)), "nu": ((), np.array(0.125))}
    figure = case(("y", "x"), inputs, outputs="uv", title="worst")
    assert figure.get_suptitle() == "worst, nu = 0.125"
    columns = {axes.get_title().split(",")[0]: axes.get_subplotspec().colspan.start for axes in panels(figure)}
    assert columns["u reference"] == columns["v reference"] == 1
    assert columns["error of u"] == columns["error of v"] == 3


def test_a_case_without_functions_as_inputs_and_with_points_outside():
    values = values_of(("y", "x"), 1)
    values[:2] = np.nan
    figure = plot_case(AXES, {}, {"u": (("y", "x"), values)}, {"u": (("y", "x"), values - 1)}, time="t")
    assert len(panels(figure)) == 3


def test_curves_show_the_spread_of_an_ensemble():
    figure = case(("x",), std={"u": np.full(7, 0.5)})
    texts = [text.get_text() for text in panels(figure)[1].get_legend().get_texts()]
    assert texts == ["u predicted", "± 2 std", "reference"]


def test_a_distribution_counts_every_sample():
    errors = {"u": {"train": np.logspace(-3, -1, 50), "test": np.array([0.02] * 7)}}
    axes = plot_distribution(errors).axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0].startswith("train (50): median 0.01")
    assert texts[1] == "test (7): median 0.02, worst 0.02"
    totals = [sum(bar.get_height() for bar in group) for group in axes.containers if len(group) > 1]
    assert totals == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("values", [[], [0.0], [np.nan, 0.5], [0.25, 0.25]], ids=str)
def test_a_distribution_of_odd_errors_is_drawn(values: list[float], tmp_path: Path):
    save_figure(plot_distribution({"u": {"test": np.array(values)}}), tmp_path / "errors.png")


def test_a_spectrum_leaves_out_the_mean_and_what_is_not_resolved():
    k = np.arange(8.0)
    figure = plot_spectrum(
        k, {"u": {"reference": k + 1, "error on test": k}, "v": {"reference": k}}, resolved=5, unit="m"
    )
    reference, error = figure.axes[0].lines
    np.testing.assert_array_equal(reference.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(error.get_ydata(), [1, 2, 3, 4])
    assert reference.get_color() == "black"
    assert figure.axes[0].get_xlabel() == "wave number [rad/m]"
    assert [axes.get_title() for axes in figure.axes] == ["u", "v"]


def test_errors_over_time_have_a_line_for_each_part():
    times = np.linspace(0, 1, 4)
    figure = plot_over_time(times, {"u": {"train": times + 1, "test": np.array([1.0, np.nan, 2.0, 0.0])}}, unit="s")
    train, test = figure.axes[0].lines
    np.testing.assert_array_equal(train.get_xdata(), times)
    np.testing.assert_array_equal(test.get_xdata(), times[[0, 2]])
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xlabel() == "t [s]"
