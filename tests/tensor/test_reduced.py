"""Elimination of joints and conditions from one axis."""

from __future__ import annotations

import numpy as np
import pytest

from pdeml.errors import InputError
from pdeml.tensor.reduced import along, matrix_of, reduce

from .legendre import LegendreAxis

AXES = {
    "one piece": LegendreAxis(-1.0, 2.0, 1, 9, 2),
    "three pieces": LegendreAxis(0.0, 1.0, 3, 7, 2),
    "first order": LegendreAxis(0.0, 4.0, 3, 6, 1),
    "fourth order": LegendreAxis(0.0, 1.0, 2, 10, 4),
}


def rows_for(axis: LegendreAxis) -> tuple[np.ndarray, int, int]:
    """Values and derivatives at the low end and then at the high end, as many as the order."""
    low, high = (axis.order + 1) // 2, axis.order // 2
    ends = [matrix_of(axis, np.array([axis.low]), p) for p in range(low)]
    ends += [matrix_of(axis, np.array([axis.high]), p) for p in range(high)]
    return np.concatenate(ends), low, high


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("square", [True, False])
def test_the_two_parts_are_complementary(name: str, square: bool):
    axis = AXES[name]
    rows, low, high = rows_for(axis)
    reduced = reduce(axis, rows, low, high, "x", square)
    joints = axis.joints.numpy()
    count = axis.size - len(joints) - len(rows)
    values = matrix_of(axis, reduced.nodes, 0) @ reduced.cardinal
    close = {"rtol": 0, "atol": 1e-8}
    np.testing.assert_allclose(joints @ reduced.cardinal, 0.0, **close)
    np.testing.assert_allclose(joints @ reduced.lift, 0.0, **close)
    np.testing.assert_allclose(rows @ reduced.cardinal, 0.0, **close)
    np.testing.assert_allclose(rows @ reduced.lift, np.eye(len(rows)), **close)
    np.testing.assert_allclose(reduced.tested(values), np.eye(count), **close)


@pytest.mark.parametrize("name", AXES)
def test_lifts_are_polynomials_below_the_number_of_conditions(name: str):
    axis = AXES[name]
    rows, low, high = rows_for(axis)
    lift = reduce(axis, rows, low, high, "x").lift
    x = np.linspace(axis.low, axis.high, 41)
    bend = matrix_of(axis, x, axis.order) @ lift
    assert np.abs(bend).max() < 1e-6 * np.abs(matrix_of(axis, x, 0) @ lift).max()


@pytest.mark.parametrize("name", AXES)
def test_fit_represents_polynomials_exactly(name: str):
    axis = AXES[name]
    reduced = reduce(axis, np.zeros((0, axis.size)), 0, 0, "x")
    x = np.linspace(axis.low, axis.high, 50)
    for degree in range(axis.degree):
        found = matrix_of(axis, x, 0) @ (reduced.fit @ reduced.places**degree)
        np.testing.assert_allclose(found, x**degree, rtol=1e-10, atol=1e-10)


def test_conditions_that_say_the_same_are_refused():
    axis = AXES["one piece"]
    row = matrix_of(axis, np.array([axis.low]), 0)
    with pytest.raises(InputError, match="conditions along x are not independent"):
        reduce(axis, np.concatenate([row, 2.0 * row]), 2, 0, "x")


def test_more_conditions_than_functions_are_refused():
    axis = LegendreAxis(0.0, 1.0, 1, 2, 2)
    with pytest.raises(InputError, match="2 functions along x cannot meet 2 conditions"):
        reduce(axis, *rows_for(axis), "x")


def test_along_is_a_product_with_one_axis():
    rng = np.random.default_rng(0)
    array = rng.standard_normal((3, 4, 5))
    for axis, letters in enumerate(["zj,jbc->zbc", "zj,ajc->azc", "zj,abj->abz"]):
        matrix = rng.standard_normal((2, array.shape[axis]))
        np.testing.assert_allclose(along(matrix, array, axis), np.einsum(letters, matrix, array))
