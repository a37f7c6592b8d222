"""Pictures: the right panels, titles with units, real content, no global state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pdeml.errors import InputError
from pdeml.field import Field
from pdeml.plot import plot_frequencies, plot_geometry, plot_grid, plot_history, plot_points, save_figure

AXES = {"x": np.linspace(0, 1, 12), "y": np.linspace(0, 1, 10), "z": np.linspace(0, 1, 8), "t": np.linspace(0, 2, 7)}


def make(names: str, unknowns: str = "u", reference: bool = False, **options: object) -> Field:
    def evaluate(points: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.sin(3 * points.sum(1) + k) for k, name in enumerate(unknowns)}

    time = "t" if "t" in names else None
    field = Field.on_grid({name: AXES[name] for name in names}, evaluate, time=time, **options)
    if not reference:
        return field
    trusted = {name: values - 0.25 for name, values in field.values.items()}
    return field.with_reference(Field(field.dims, field.coordinates, trusted, mask=field.mask, time=time))


def panels(figure: Figure) -> list[str]:
    """Titles of the visible panels; colour bars have none of their own."""
    return [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


CASES = {
    "line": ("x", "u", False, [""]),
    "line with reference": ("x", "u", True, ["", "error of u, max 0.25"]),
    "ode, two unknowns": ("t", "uv", False, ["", ""]),
    "space-time": ("xt", "u", False, ["u", ""]),
    "space-time with reference": (
        "xt",
        "u",
        True,
        ["u", "u reference", "error of u, max 0.25", "t = 0.667", "t = 1.33", "t = 2"],
    ),
    "plane": ("xy", "u", False, ["u"]),
    "plane with reference": ("xy", "u", True, ["u", "u reference", "error of u, max 0.25"]),
    "plane, two unknowns": ("xy", "uv", False, ["u", "v"]),
    "plane in time": ("xyt", "u", False, ["t = 0", "t = 0.667", "t = 1.33", "t = 2"]),
    "plane in time with reference": ("xyt", "u", True, ["t = 0", "t = 0.667", "t = 1.33", "t = 2", *[""] * 8]),
    "box": ("xyz", "u", False, ["z = 0.571", "y = 0.556", "x = 0.545"]),
    "box in time": ("xyzt", "u", False, ["z = 0.571, t = 2", "y = 0.556, t = 2", "x = 0.545, t = 2"]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_field_has_its_picture(case: str, tmp_path: Path) -> None:
    names, unknowns, reference, titles = CASES[case]
    field = make(names, unknowns, reference)
    figure = field.plot()
    assert panels(figure) == titles
    assert field.plot(tmp_path / "a.png") is None
    with Image.open(tmp_path / "a.png") as picture:
        width, height = figure.get_size_inches() * 150
        assert picture.format == "PNG"
        assert picture.size == pytest.approx((width, height), abs=1)
        colours = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert len(colours) > 50
    assert max(count for count, _ in colours) < 0.97 * width * height


def test_units_stand_in_titles_and_labels() -> None:
    figure = make("xy", reference=True, units={"u": "m/s", "x": "m", "y": "1"}).plot(title="flow")
    assert panels(figure) == ["u [m/s]", "u reference [m/s]", "error of u [m/s], max 0.25"]
    assert figure.axes[0].get_xlabel() == "x [m]"
    assert figure.axes[0].get_ylabel() == "y"
    assert figure.get_suptitle() == "flow"


def test_the_title_of_the_field_is_the_title_of_the_picture() -> None:
    assert make("x", attrs={"title": "heat"}).plot().get_suptitle() == "heat"


@pytest.mark.parametrize("text", ["$\\bad$", "a $ b", "$x", "\\frac{"])
def test_text_of_strangers_is_no_formula(text: str, tmp_path: Path) -> None:
    make("x", units={"u": text}, attrs={"title": text}).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_solution_and_reference_share_colours_and_the_error_is_centred() -> None:
    figure = make("xt", reference=True).plot()
    solution, reference, error = (axes.collections[0] for axes in figure.axes[:3])
    assert solution.get_clim() == reference.get_clim()
    low, high = error.get_clim()
    assert low == -high < 0


def test_the_hole_of_a_geometry_stays_grey(tmp_path: Path) -> None:
    def area_of_grey(inside: object) -> int:
        make("xy", inside=inside).plot(tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as picture:
            return int((np.asarray(picture.convert("RGB")) == round(0.88 * 255)).all(axis=2).sum())

    whole = area_of_grey(None)
    assert area_of_grey(lambda points: points[:, 0] < 0.5) > whole + 10_000


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e-300, -1e300])
@pytest.mark.parametrize("names", ["x", "xt", "xy", "xyz"])
def test_constant_and_diverged_fields_can_be_drawn(value: float, names: str, tmp_path: Path) -> None:
    field = Field.on_grid({name: AXES[name] for name in names}, lambda points: {"u": np.full(len(points), value)})
    field.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_single_points_become_a_note() -> None:
    axes = {"x": AXES["x"], "t": np.array([0.5]), "nu": np.array([0.1, 0.2, 0.3])}
    options = {"time": "t", "parameters": ["nu"], "units": {"t": "s"}, "attrs": {"title": "heat"}}
    field = Field.on_grid(axes, lambda points: {"u": points[:, 0]}, **options)
    figure = field.plot()
    assert figure.get_suptitle() == "heat, nu = 0.2, t = 0.5 s"
    assert len(panels(figure)) == 1


def test_the_first_samples_are_rows() -> None:
    values = np.random.default_rng(0).random((5, 10, 12))
    figure = Field(("sample", "y", "x"), {"x": AXES["x"], "y": AXES["y"]}, {"u": values}, units={"u": "K"}).plot()
    assert panels(figure) == [f"u, sample {k} [K]" for k in range(3)]


def test_wide_domains_are_stacked_and_square_ones_side_by_side() -> None:
    def rows(width: float) -> int:
        values = {"u": np.random.default_rng(0).random((10, 12))}
        coordinates = {"y": AXES["y"], "x": width * AXES["x"]}
        figure = plot_grid(coordinates, values, reference=values)
        return figure.axes[0].get_gridspec().nrows

    assert (rows(1.0), rows(6.0)) == (1, 3)


def test_scattered_points() -> None:
    points = np.random.default_rng(0).random((50, 2))
    field = Field.at_points(points, ["x", "y"], {"u": points[:, 0]}, units={"u": "K"})
    assert panels(field.plot()) == ["u [K]"]
    assert panels(plot_points({"x": points[:, 0]}, {"u": points[:, 1]}, reference={"u": points[:, 1]}))[2].startswith(
        "error"
    )


def test_histories_are_logarithmic_and_named() -> None:
    steps = np.arange(1, 101)
    figure = plot_history(
        {"total": (steps, 1.0 / steps), "odd": (steps, np.where(steps % 2, 1.0, -1.0))}, {"u": (steps, 2.0 / steps)}
    )
    losses, errors = figure.axes
    assert losses.get_yscale() == errors.get_yscale() == "log"
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["total", "odd"]
    np.testing.assert_array_equal(losses.lines[0].get_ydata(), 1 / steps)
    assert len(losses.lines[1].get_ydata()) == 50
    assert plot_history({"a": (steps, steps)}, log_steps=True).axes[0].get_xscale() == "log"
    assert len(plot_history({}).axes) == 1


def test_single_values_are_shown_with_the_final_ones() -> None:
    one = {"estimate": ([1], [1e-9])}
    (axes,) = plot_history(one, final={"residual of equation": 1e-7, "residual of u on boundary": 0.0}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "estimate",
        "residual of equation",
        "residual of u on boundary",
    ]
    assert [text.get_text() for text in axes.texts] == ["1.0e-09", "1.0e-07", "0"]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1e-9, 1e-7])
    low, high = axes.get_xlim()
    assert low < 1e-9 < 1e-7 < high
    steps = np.arange(1, 4)
    assert len(plot_history({"a": (steps, 1.0 / steps)}, {"b": (steps, 1.0 / steps)}, final={"c": 1.0}).axes) == 3
    assert plot_history({}, final={"nothing": float("nan")}).axes[0].texts[0].get_text() == "nan"


def test_a_spectrum_names_its_largest_lines_and_leaves_out_what_is_nothing():
    lines = [(20.0, 0.4, 0.5), (100.0, 0.1, 0.2), (3.0, 1e-12, 0.1), (55.0, 1e-5, 9.0)]
    figure = plot_frequencies({"x": lines, "y": []}, title="learnt")
    axes = figure.axes
    assert [one.get_xlabel() for one in axes] == [f"angular frequency along {name}" for name in "xy"]
    assert [text.get_text() for text in axes[0].texts] == ["20", "100", "55"]
    assert axes[0].get_xlim()[1] > 100.2


def test_geometries_name_their_pieces() -> None:
    s = np.linspace(0, 1, 50)
    pieces = {"left": np.c_[0 * s, s], "cylinder": 0.5 + 0.1 * np.c_[np.cos(6.28 * s), np.sin(6.28 * s)]}
    figure = plot_geometry(pieces, ["x", "y"], interior=np.random.default_rng(0).random((20, 2)), units={"x": "m"})
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["left", "cylinder", "inside"]
    assert len({line.get_color() for line in panel.lines}) == 2
    assert panel.get_xlabel() == "x [m]"
    assert plot_geometry({"left": [[0.0]]}, ["x"]).axes[0].get_xlabel() == "x"
    assert plot_geometry({"front": np.random.default_rng(0).random((9, 3))}, "xyz").axes[0].name == "3d"
    with pytest.raises(InputError, match="one to three"):
        plot_geometry({}, "abcd")


def test_curves_with_gaps_are_not_joined() -> None:
    s = np.linspace(0, 1, 50)
    gap = np.concatenate([np.c_[s, 0 * s], np.c_[s + 3, 0 * s]])
    (line,) = plot_geometry({"bottom": gap}, "xy").axes[0].lines
    assert np.isnan(line.get_xdata()).sum() == 1


@pytest.mark.parametrize("ending", [".jpg", "", ".gif"])
def test_other_endings_are_refused(ending: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a format of pictures; allowed: \.png"):
        save_figure(plot_history({}), tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".pdf", ".svg"])
def test_vector_formats(ending: str, tmp_path: Path) -> None:
    make("x").plot(tmp_path / f"a{ending}")
    assert (tmp_path / f"a{ending}").read_bytes()[:5] in (b"%PDF-", b"<?xml")


def test_equal_fields_give_equal_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        make("xy").plot(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_settings_of_the_user_stay_and_pyplot_is_not_used(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    make("xy").plot(tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    code = "import sys, pdeml.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
