"""A field keeps names, order, units and geometry, and refuses what does not fit together."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from pdeml.errors import InputError
from pdeml.field import Field, canonical_dims, grid_sizes
from pdeml.problem import Dirichlet, Problem

X, Y, T = np.linspace(0, 1, 5), np.linspace(0, 2, 4), np.linspace(0, 3, 3)


@pytest.mark.parametrize("declared", list(itertools.permutations("xyzt")))
def test_dims_are_t_z_y_x_in_whatever_order_they_were_declared(declared: tuple[str, ...]) -> None:
    assert canonical_dims(declared, "t") == ("t", "z", "y", "x")


@pytest.mark.parametrize(("names", "usual"), [("x", 101), ("xy", 101), ("xyz", 33), ("xyzw", 17), ("xyzwv", 15)])
def test_a_grid_has_a_usual_number_of_points_and_fits_into_memory(
    names: str, usual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = dict.fromkeys(names, (0, 1))
    problem = Problem(coordinates=axes, unknowns="u", equations="u_x = 0", conditions=Dirichlet(u=0))
    assert grid_sizes(problem, {}) == dict.fromkeys(names, usual)
    assert grid_sizes(problem, {"x": np.int64(7)}) == {**dict.fromkeys(names, usual), "x": 7}
    for wrong in (1, True, 2.5):
        with pytest.raises(InputError, match="at least 2 points along 'x'"):
            grid_sizes(problem, {"x": wrong})
    with pytest.raises(InputError, match="is not a coordinate"):
        grid_sizes(problem, {"t": 7})
    monkeypatch.setattr("pdeml.field.grid.available_memory", lambda: 1000)
    with pytest.raises(InputError, match="GiB of memory; take fewer points"):
        grid_sizes(problem, {})


def test_parameters_come_first_and_other_names_in_reverse() -> None:
    assert canonical_dims(("x", "t", "nu"), "t", ("nu",)) == ("nu", "t", "x")
    assert canonical_dims(("r", "theta"), None) == ("theta", "r")


@pytest.mark.parametrize("declared", list(itertools.permutations(["x", "y", "t", "nu"])))
def test_on_grid_gives_columns_as_declared_and_arrays_in_standard_order(declared: tuple[str, ...]) -> None:
    axes = {"x": X, "y": Y, "t": T, "nu": np.array([1.0, 2.0])}

    def evaluate(points: np.ndarray) -> dict[str, np.ndarray]:
        x, y, t, nu = (points[:, declared.index(name)] for name in ("x", "y", "t", "nu"))
        return {"u": x + 10 * y + 100 * t + 1000 * nu}

    field = Field.on_grid({name: axes[name] for name in declared}, evaluate, time="t", parameters=["nu"])
    assert field.dims == ("nu", "t", "y", "x")
    expected = X + 10 * Y[:, None] + 100 * T[:, None, None] + 1000 * axes["nu"][:, None, None, None]
    np.testing.assert_array_equal(field["u"], expected)
    assert field.sizes == {"nu": 2, "t": 3, "y": 4, "x": 5}
    assert field.space == ("x", "y")


def test_arrays_in_another_order_are_transposed() -> None:
    values, mask = np.arange(20.0).reshape(5, 4), np.ones((5, 4), bool)
    mask[2, 3] = False
    field = Field(("x", "y"), {"x": X, "y": Y}, {"u": values}, mask=mask, std={"u": values + 1})
    assert field.dims == ("y", "x")
    expected = values.T.copy()
    expected[3, 2] = np.nan
    np.testing.assert_array_equal(field["u"], expected)
    np.testing.assert_array_equal(field.std["u"], expected + 1)


def test_outside_the_geometry_is_nan_and_is_never_evaluated() -> None:
    def evaluate(points: np.ndarray) -> tuple[dict, dict]:
        assert (points[:, 0] <= 0.5).all()
        return {"u": points[:, 0]}, {"u": np.ones(len(points))}

    field = Field.on_grid({"x": X, "y": Y}, evaluate, inside=lambda points: points[:, 0] <= 0.5)
    np.testing.assert_array_equal(np.isnan(field["u"]), ~field.mask)
    np.testing.assert_array_equal(np.isnan(field.std["u"]), ~field.mask)
    np.testing.assert_array_equal(field["u"][0], [0, 0.25, 0.5, np.nan, np.nan])


def test_arrays_are_own_read_only_copies() -> None:
    values = np.zeros(5, np.float32)
    field = Field(("x",), {"x": X}, {"u": values})
    values[0] = 1
    assert field["u"][0] == 0
    assert field["u"].dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        field["u"][0] = 1
    with pytest.raises(AttributeError):
        field.dims = ()


U = {"u": np.zeros(5)}
WRONG = {
    "shape": ((("x",), {"x": X}, {"u": np.zeros(4)}), {}, "sizes"),
    "rank": ((("x",), {"x": X}, {"u": np.zeros((5, 1))}), {}, "1 dimensions"),
    "two shapes": ((("sample", "x"), {"x": X}, {"u": np.zeros((2, 5)), "v": np.zeros((3, 5))}), {}, "differ in shape"),
    "no coordinate": ((("x",), {}, U), {}, "no coordinate values"),
    "no dimension": ((("x",), {"x": X, "q": X}, U), {}, "'q' is not a dimension"),
    "twice": ((("x", "x"), {"x": X}, {"u": np.zeros((5, 5))}), {}, "twice"),
    "not monotonic": ((("x",), {"x": X[[0, 2, 1, 3, 4]]}, U), {}, "increase strictly"),
    "not finite": ((("x",), {"x": X * np.nan}, U), {}, "finite"),
    "complex": ((("x",), {"x": X}, {"u": np.zeros(5, complex)}), {}, "real and imaginary"),
    "text": ((("x",), {"x": X}, {"u": np.array(list("abcde"))}), {}, "real numbers"),
    "nothing": ((("x",), {"x": X}, {}), {}, "at least one unknown"),
    "both": ((("x",), {"x": X}, {"x": np.zeros(5)}), {}, "rename one"),
    "unit": ((("x",), {"x": X}, U), {"units": {"uu": "m"}}, "'uu' is not .* did you mean 'u'"),
    "std": ((("x",), {"x": X}, U), {"std": {"v": np.zeros(5)}}, "no unknown of the field"),
    "mask": ((("x",), {"x": X}, U), {"mask": np.ones(4, bool)}, "mask has shape"),
    "time": ((("x",), {"x": X}, U), {"time": "t"}, "'t' is not a coordinate"),
    "mixed": ((("point", "x"), {"x": X}, {"u": np.zeros((2, 5))}), {}, "one dimension 'point'"),
    "columns": ((("point",), {"x": X, "y": Y}, U), {}, "differ in length"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case: str) -> None:
    arguments, options, message = WRONG[case]
    with pytest.raises(InputError, match=message):
        Field(*arguments, **options)


def test_unknown_names_are_told_with_the_nearest() -> None:
    field = Field(("x",), {"x": X}, {"velocity": np.zeros(5)})
    with pytest.raises(InputError, match="did you mean 'velocity'"):
        field["velocty"]
    with pytest.raises(InputError, match="allowed: x"):
        field.isel(t=0)


def test_isel_drops_the_dimension() -> None:
    values = np.arange(12.0).reshape(3, 4)
    field = Field(("t", "y"), {"t": T, "y": Y}, {"u": values}, time="t", units={"t": "s", "y": "m"}, mask=np.ones(4))
    last = field.isel(t=-1)
    assert (last.dims, last.time, dict(last.units)) == (("y",), None, {"y": "m"})
    np.testing.assert_array_equal(last["u"], values[-1])


def test_equals_sees_every_part() -> None:
    field = Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, units={"u": "1"})
    assert field.equals(Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, attrs={"title": "other"}))
    for other in (
        Field(("x",), {"x": X + 1}, {"u": np.full(5, np.nan)}),
        Field(("x",), {"x": X}, {"u": np.zeros(5)}),
        Field(("x",), {"x": X}, {"v": np.full(5, np.nan)}),
        Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, units={"u": "m"}),
        Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, mask=np.ones(5)),
        Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, time="x"),
        Field(("x",), {"x": X}, {"u": np.full(5, np.nan)}, std={"u": np.zeros(5)}),
    ):
        assert not field.equals(other)


def test_repr_is_short() -> None:
    field = Field(("t", "x"), {"t": T, "x": X}, {"u": np.zeros((3, 5))}, units={"u": "m/s"}, time="t")
    assert repr(field) == "<Field u [m/s] on t: 3 in [0, 3], x: 5 in [0, 1]>"
    points = Field.at_points(np.zeros((7, 2)), ["x", "y"], {"u": np.zeros(7)})
    assert repr(points) == "<Field u at 7 points (x, y)>"
    assert "sample: 2" in repr(Field(("sample", "x"), {"x": X}, {"u": np.zeros((2, 5))}))


def test_scattered_points_have_one_column_a_name() -> None:
    with pytest.raises(InputError, match=r"shape \(N, 3\)"):
        Field.at_points(np.zeros((7, 2)), ["x", "y", "t"], {"u": np.zeros(7)})


def test_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'matplotlib', 'xarray', 'sympy', 'scipy'}"
    code = f"import sys, pdeml.field, pdeml.field.storage; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


class Parameter:
    """Stands for a problem's parameter: only its value matters."""

    def __init__(self, value: float | None):
        self.value = value


def test_formulas_are_evaluated_at_the_points() -> None:
    like = Field.on_grid(
        {"x": X, "y": Y, "t": T, "nu": np.array([1.0, 2.0])},
        lambda points: {"u": points[:, 0]},
        time="t",
        parameters=["nu"],
        inside=lambda points: points[:, 0] < 0.9,
        units={"u": "m", "x": "km"},
    )
    field = Field.from_expression(
        {"u": "k*sin(pi*x)*exp(-nu*t) + y", "w": 3}, like=like, parameters={"k": Parameter(2.0), "nu": Parameter(None)}
    )
    nu = np.array([1.0, 2.0])[:, None, None, None]
    expected = 2 * np.sin(np.pi * X) * np.exp(-nu * T[:, None, None]) + Y[:, None]
    np.testing.assert_allclose(field["u"], np.where(like.mask, expected, np.nan), rtol=1e-14)
    np.testing.assert_array_equal(field["w"], np.where(like.mask, 3.0, np.nan))
    assert dict(field.units) == {"u": "m", "x": "km"}


def test_formulas_at_scattered_points() -> None:
    like = Field.at_points(np.array([[1.0, 2.0], [3.0, 4.0]]), ["x", "t"], {"u": [0, 0]}, time="t")
    np.testing.assert_allclose(Field.from_expression({"u": "x + c*t"}, like, {"c": "1/2"})["u"], [2, 5])


def test_formulas_with_unknown_names_are_refused() -> None:
    like = Field(("x",), {"x": X}, U)
    with pytest.raises(InputError, match=r"u: .*'nu'"):
        Field.from_expression({"u": "nu*x"}, like)
    with pytest.raises(InputError, match="must be a number"):
        Field.from_expression({"u": "nu*x"}, like, {"nu": [1, 2]})
