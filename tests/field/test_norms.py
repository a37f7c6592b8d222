"""Errors agree with closed forms, and the differences behind the H1 norm converge as declared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.field import Field, derivative


def fields(values: np.ndarray, reference: np.ndarray, **options: object) -> tuple[Field, Field]:
    x = np.linspace(0, 1, len(values))
    return Field(("x",), {"x": x}, {"u": values}, **options), Field(("x",), {"x": x}, {"u": reference}, **options)


@pytest.mark.parametrize("stretch", [False, True], ids=["equal", "stretched"])
def test_the_derivative_is_of_fourth_order(stretch: bool) -> None:
    sizes, errors = [40, 80, 160], []
    for n in sizes:
        x = np.linspace(0, 1, n)
        x = x + 0.05 * np.sin(2 * np.pi * x) if stretch else x
        wave = 2 * np.pi * 2
        errors.append(np.abs(derivative(np.sin(wave * x), x, 0) - wave * np.cos(wave * x)).max())
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert order == pytest.approx(4.0, abs=0.2)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=5, max_size=5), st.integers(5, 12), st.randoms(use_true_random=False))
def test_quartics_are_differentiated_exactly_on_any_points(coefficients: list, n: int, random: object) -> None:
    x = np.cumsum([random.uniform(0.1, 1.0) for _ in range(n)])
    x = (x - x.mean()) / np.ptp(x)
    p = np.polynomial.Polynomial(coefficients)
    np.testing.assert_allclose(derivative(p(x), x, 0), p.deriv()(x), atol=1e-9)


def test_gaps_use_only_points_inside() -> None:
    x = np.linspace(0, 1, 24)
    inside = np.ones(24, bool)
    inside[[7, 11, 14, 16, 17, 19]] = False  # runs of 7, 3, 2, 1, 1 and 4 points
    values = np.where(inside, 3 * x, 1e6)
    expected = np.where(inside, 3.0, 0.0)
    expected[[15, 18]] = 0.0  # no neighbour
    np.testing.assert_allclose(derivative(values, x, 0, inside), expected, atol=1e-9)


@pytest.mark.parametrize(("n", "expected"), [(1, 0.0), (2, 2.0), (3, 2.0), (4, 2.0)])
def test_short_axes_use_what_they_have(n: int, expected: float) -> None:
    x = np.linspace(0, 1, n)
    np.testing.assert_allclose(derivative(2 * x, x, 0), expected, atol=1e-12)


@pytest.mark.parametrize("waves", [1, 3])
def test_a_fourier_mode_has_the_h1_error_of_the_closed_form(waves: int) -> None:
    n = 401
    x = np.linspace(0, 1, n)
    field, reference = fields(np.sin(2 * np.pi * x) + 0.01 * np.sin(2 * np.pi * waves * x), np.sin(2 * np.pi * x))
    error = field.error(reference)["u"]
    assert error.relative_l2 == pytest.approx(0.01, rel=1e-12)
    assert error.max == pytest.approx(0.01, rel=1e-4)
    exact = 0.01 * np.sqrt((1 + (2 * np.pi * waves) ** 2) / (1 + (2 * np.pi) ** 2))
    assert error.h1 == pytest.approx(exact, rel=2.0 / n)


def test_all_coordinates_count_in_h1_but_parameters_do_not() -> None:
    axes = {"x": np.linspace(0, 1, 9), "t": np.linspace(0, 1, 7), "nu": np.linspace(1, 2, 6)}

    def make(c: float) -> Field:
        return Field.on_grid(
            axes,
            lambda p: {"u": 1 + c * (p[:, 0] + 2 * p[:, 1] + 50 * p[:, 2])},
            time="t",
            parameters=["nu"],
        )

    error = make(1.0).error(make(0.0))["u"]
    difference = make(1.0)["u"] - 1
    assert error.h1 == pytest.approx(np.sqrt(np.mean(difference**2) + 1 + 4), rel=1e-12)


def test_points_outside_do_not_count() -> None:
    inside = np.arange(50) < 30
    reference = np.where(inside, 2.0, 5.0)
    field, trusted = fields(np.where(inside, 2.5, 1e9), reference, mask=inside)
    error = field.error(trusted)["u"]
    assert (error.relative_l2, error.max, error.h1) == pytest.approx((0.25, 0.5, 0.25))


def test_only_points_inside_both_count() -> None:
    values = np.ones(50)
    x = np.linspace(0, 1, 50)
    field = Field(("x",), {"x": x}, {"u": values}, mask=np.arange(50) < 30)
    reference = Field(("x",), {"x": x}, {"u": values}, mask=np.arange(50) > 10)
    assert field.error(reference)["u"].relative_l2 == 0


def test_a_vanishing_reference_makes_the_error_absolute() -> None:
    error = fields(np.full(9, 0.5), np.zeros(9))
    assert error[0].error(error[1])["u"].relative_l2 == pytest.approx(0.5)
    assert error[1].error(error[1])["u"].relative_l2 == 0


def test_a_value_that_is_not_finite_makes_the_error_nan() -> None:
    values = np.ones(9)
    values[4] = np.nan
    field, reference = fields(values, np.ones(9))
    error = field.error(reference)["u"]
    assert np.isnan([error.relative_l2, error.max, error.h1]).all()


def test_samples_are_averaged() -> None:
    x = np.linspace(0, 1, 6)
    reference = Field(("sample", "x"), {"x": x}, {"u": np.array([np.ones(6), 10 * np.ones(6)])})
    field = Field(("sample", "x"), {"x": x}, {"u": np.array([1.1 * np.ones(6), 13 * np.ones(6)])})
    error = field.error(reference)["u"]
    assert (error.relative_l2, error.max, error.h1) == pytest.approx((0.2, 3.0, 0.2))


def test_scattered_errors_have_no_h1() -> None:
    points = np.random.default_rng(0).random((10, 2))
    field, reference = (Field.at_points(points, ["x", "y"], {"u": np.full(10, c)}) for c in (1.5, 1.0))
    error = field.error(reference)["u"]
    assert (error.relative_l2, error.max) == pytest.approx((0.5, 0.5))
    assert np.isnan(error.h1)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_relative_errors_do_not_depend_on_the_unit_of_the_unknown(scale: float, error: float) -> None:
    x = np.linspace(0, 1, 20)
    first = fields(np.sin(x) + error * np.cos(x), np.sin(x))
    second = fields(scale * (np.sin(x) + error * np.cos(x)), scale * np.sin(x))
    a, b = (one.error(other)["u"] for one, other in (first, second))
    assert (a.relative_l2, a.h1, a.max * scale) == pytest.approx((b.relative_l2, b.h1, b.max), rel=1e-9)


def test_references_elsewhere_are_refused() -> None:
    x = np.linspace(0, 1, 9)
    field = Field(("x",), {"x": x}, {"u": np.ones(9)})
    for other, message in [
        (Field(("x",), {"x": np.linspace(0, 1, 8)}, {"u": np.ones(8)}), "8 points in x, the field 9"),
        (Field(("x",), {"x": x + 1e-3}, {"u": np.ones(9)}), "other values of x"),
        (Field(("y",), {"y": x}, {"u": np.ones(9)}), "dimensions"),
        (Field(("x",), {"x": x}, {"v": np.ones(9)}), "none of u; it has v"),
    ]:
        with pytest.raises(InputError, match=message):
            field.error(other)
        with pytest.raises(InputError, match=message):
            field.with_reference(other)
    rounded = Field(("x",), {"x": x.astype(np.float32)}, {"u": np.ones(9)})
    assert field.error(rounded)["u"].relative_l2 == 0


def test_the_carried_reference_is_used() -> None:
    field, reference = fields(np.full(9, 1.5), np.ones(9))
    with pytest.raises(InputError, match="carries no reference"):
        field.error()
    assert field.with_reference(reference).error() == field.error(reference)
