"""Laws of every drawn function: grids agree with points, derivatives with differences, one draw with itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.sampling.functions import DISTRIBUTIONS, DrawnInput, Function

PARAMETERS = {"nu": 0.3, "g": 7.0}
LINE = {
    "grf": {"field": "grf", "tau": 3, "alpha": 2, "modes": 40},
    "free": {"field": "grf", "kernel": "rbf", "length": 0.2},
    "series": {"field": "series", "terms": 7, "decay": 1},
    "fourier": {"field": "series", "basis": "fourier", "terms": 7},
    "uniform": {"field": "uniform", "range": [1, 2]},
    "mapped": {"field": "grf", "tau": 3, "alpha": 3, "modes": 20, "map": "exp(nu*g) + x**2"},
    "formula": {"value": "sin(3*x)*nu"},
}
PLANE = {
    "grf": {"field": "grf", "tau": 3, "alpha": 2, "modes": 20},
    "periodic": {"field": "grf", "tau": 3, "alpha": 3, "basis": "periodic", "modes": 21},
    "multiscale": {"field": "multiscale", "scales": 3},
    "series": {"field": "series", "terms": 5, "decay": 1},
    "mapped": {"field": "grf", "tau": 3, "alpha": 3, "modes": 12, "map": "tanh(g)*y + nu"},
}
JUMPY = {
    "blocks": {"field": "piecewise", "cells": 5, "range": [1, 2]},
    "chosen": {"field": "piecewise", "cells": [4, 3], "levels": [3, 12]},
    "voronoi": {"field": "piecewise", "cells": 9, "shape": "voronoi", "range": [0.1, 10], "log": True},
    "box": {"field": "box", "ellipse": {"center": 0.7, "slope": [5, 10]}},
    "thresholded": {"field": "grf", "tau": 3, "alpha": 2, "modes": 12, "map": "where(g >= 0, 12, 3)"},
}
SUBJECTS = [
    *(pytest.param(("x",), options, id=f"{name}-line") for name, options in LINE.items()),
    *(pytest.param(("x", "y"), options, id=f"{name}-plane") for name, options in {**PLANE, **JUMPY}.items()),
]
SMOOTH = SUBJECTS[: len(LINE) + len(PLANE)]
SHIFTED = np.array([[0.0, 1.0], [-1.0, 2.0]])


def draw(over: tuple[str, ...], options: dict, seed: int = 0) -> Function:
    source = DrawnInput.read({"over": over, **options}, PARAMETERS)
    return source.draw(np.random.default_rng(seed), SHIFTED[: len(over)], PARAMETERS)


def inside(count: int, dimension: int, seed: int = 3) -> np.ndarray:
    share = np.random.default_rng(seed).uniform(0.02, 0.98, (count, dimension))
    return SHIFTED[:dimension, 0] + share * np.ptp(SHIFTED[:dimension], axis=1)


def grid(over: tuple[str, ...], *sizes: int) -> list[np.ndarray]:
    return [np.linspace(*ends, size) for ends, size in zip(SHIFTED[: len(over)], sizes, strict=False)]


@pytest.mark.parametrize("over, options", SUBJECTS)
def test_a_grid_has_the_values_of_its_points(over: tuple[str, ...], options: dict):
    function, axes = draw(over, options), grid(over, 6, 5)
    assert function.over == over
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    # Points along a diagonal do not lie on a small tensor grid, and take the other way.
    diagonal = mesh[range(5), range(5)] if len(over) == 2 else mesh[:5]
    values = function.on_grid(axes)
    assert values.shape == tuple(len(axis) for axis in axes)
    assert np.allclose(function.at(mesh.reshape(-1, len(over))).reshape(values.shape), values, rtol=1e-12, atol=1e-12)
    expected = values[range(5), range(5)] if len(over) == 2 else values[:5]
    assert np.allclose(function.at(diagonal), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("over, options", SUBJECTS)
def test_a_draw_does_not_depend_on_the_grid(over: tuple[str, ...], options: dict):
    fine, coarse = (draw(over, options).on_grid(grid(over, size, size)) for size in (65, 17))
    assert np.allclose(fine[(slice(None, None, 4),) * len(over)], coarse, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("over, options", SUBJECTS)
def test_a_draw_follows_from_its_stream(over: tuple[str, ...], options: dict):
    points = inside(50, len(over))
    first, again, other = (draw(over, options, seed).at(points) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert "value" in options or not np.array_equal(first, other)


@pytest.mark.parametrize("over, options", SMOOTH)
def test_derivatives_are_limits_of_differences(over: tuple[str, ...], options: dict):
    """Central differences of step h differ by O(h²): by a quarter of it after halving."""
    function, points = draw(over, options), inside(20, len(over))
    for axis in range(len(over)):
        index = tuple(int(k == axis) for k in range(len(over)))
        exact = function.at(points, index)
        errors = []
        for step in (2e-4, 1e-4):
            shift = step * np.eye(len(over))[axis]
            errors.append(
                np.abs((function.at(points + shift) - function.at(points - shift)) / (2 * step) - exact).max()
            )
        size = np.abs(exact).max()
        assert errors[1] < 1e-3 * size + 1e-9
        assert errors[1] < 0.3 * errors[0] + 1e-8 * size + 1e-9


@pytest.mark.parametrize("over, options", [subject for subject in SMOOTH if "multiscale" not in subject.id])
def test_second_derivatives_are_derivatives_of_first_ones(over: tuple[str, ...], options: dict):
    function, points, step = draw(over, options), inside(20, len(over)), 1e-5
    index = (2,) if len(over) == 1 else (1, 1)
    shift = step * np.eye(len(over))[0]
    lower = (1,) if len(over) == 1 else (0, 1)
    difference = (function.at(points + shift, lower) - function.at(points - shift, lower)) / (2 * step)
    exact = function.at(points, index)
    assert np.allclose(difference, exact, rtol=0, atol=1e-5 * np.abs(exact).max() + 1e-6)


@pytest.mark.parametrize("options", JUMPY.values(), ids=JUMPY)
def test_what_jumps_has_no_derivative(options: dict):
    function = draw(("x", "y"), options)
    with pytest.raises(InputError, match=r"the derivative of order \(0, 1\) over x, y is needed, but"):
        function.at(inside(2, 2), (0, 1))
    assert np.array_equal(function.at(inside(9, 2), (0, 0)), function.at(inside(9, 2)))


@given(st.integers(1, 60), st.integers(1, 60))
def test_any_shape_of_points_is_evaluated(count: int, repeats: int):
    """Scattered points, and points with repeated abscissae, give the same numbers."""
    function = draw(("x", "y"), PLANE["grf"])
    points = np.repeat(inside(count, 2, seed=count), repeats, axis=0)
    values = function.at(points)
    assert np.allclose(values, function._at(points, (0, 0)), rtol=0, atol=1e-12)


def test_the_raw_field_hides_a_parameter_of_its_name():
    raw = draw(("x",), LINE["grf"])
    doubled = draw(("x",), {**LINE["grf"], "map": "2*g"})
    assert np.allclose(doubled.at(inside(9, 1)), 2 * raw.at(inside(9, 1)), rtol=1e-14)


def test_maps_with_kinks_have_one_derivative():
    folded = draw(("x",), {**LINE["grf"], "map": "abs(g)"})
    raw = draw(("x",), LINE["grf"])
    points = inside(30, 1)
    assert np.allclose(folded.at(points, (1,)), np.sign(raw.at(points)) * raw.at(points, (1,)), rtol=1e-12)
    with pytest.raises(InputError, match="kinks"):
        folded.at(points, (2,))


@pytest.mark.parametrize(
    "description, text",
    [
        ({}, "needs 'field' (one of grf"),
        ({"field": "gfr"}, "field: 'gfr' is not a kind of random field"),
        ({"field": "grf", "tau": 3, "alpha": 2, "map": "where(h > 0, 1, 2)"}, "map: "),
        ({"field": "grf", "tau": 3, "alpha": 2, "map": "[g, 1]"}, "map: an input function is one number"),
        ({"field": "uniform", "range": [0, 1], "log": True}, "log needs positive numbers"),
        ({"field": "uniform", "range": [2, 1]}, "range: must be a number or [low, high]"),
        ({"field": "uniform"}, "range"),
        ({"field": "piecewise"}, "needs one of range, levels"),
        ({"field": "piecewise", "cells": 0, "range": [0, 1]}, "cells must be at least 1"),
        ({"field": "box", "ellipse": {"centre": 1}}, "did you mean 'center'"),
        ({"field": "series", "terms": 0}, "terms: must be at least 1"),
        ({"value": "sin(x)", "map": "2*g"}, "'map' goes with 'field'"),
        ({"value": "sin(q)"}, "value: "),
    ],
)
def test_wrong_descriptions_are_named(description: dict, text: str):
    with pytest.raises(InputError) as caught:
        DrawnInput.read({"over": ("x",), **description}, PARAMETERS)
    assert text in str(caught.value)


@pytest.mark.parametrize("options", [{"field": "multiscale"}, {"field": "piecewise", "cells": [2, 2], "range": [0, 1]}])
def test_functions_of_a_plane_need_one(options: dict):
    with pytest.raises(InputError, match="depends on 2 coordinates, got x"):
        draw(("x",), options)


def test_every_kind_of_the_spec_is_drawn():
    from pdeml.spec.problem import FIELD_KINDS

    assert set(DISTRIBUTIONS) == set(FIELD_KINDS)
