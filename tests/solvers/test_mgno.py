"""What is MgNO's own: its boundary, its levels, what it refuses."""

from dataclasses import replace

import pytest
import torch

from pdeml.data.signature import Axis, Quantity, Signature
from pdeml.errors import InputError
from pdeml.nn.mgno import default_levels
from pdeml.solvers.mgno import MgNO

SIGNATURE = Signature(
    (Quantity("a", ("y", "x"), 7.5, 4.5),),
    (Quantity("u", ("y", "x"), 0.1, 0.2),),
    (Axis("y", 0, 1, 17), Axis("x", 0, 1, 16, periodic=True)),
)


@pytest.mark.parametrize(
    "option, expected",
    [
        ("auto", ("dirichlet", "periodic")),
        ("neumann", ("neumann", "neumann")),
        ({"y": "neumann"}, ("neumann", "periodic")),
        ({"x": "dirichlet", "y": "auto"}, ("dirichlet", "dirichlet")),
    ],
)
def test_the_boundary_is_that_of_each_axis(option, expected):
    operator = MgNO(width=2, depth=1, boundary=option).operator(SIGNATURE)
    assert operator.network.layers[0].cycle.levels[0].before[0].smoother.boundary == expected


@pytest.mark.parametrize(
    "option, expected",
    [
        (None, ((1, 0), (2, 0))),
        (3, ((1, 0), (1, 0), (2, 0))),
        ([[1, 0], [2, 1]], ((1, 0), (2, 1))),
    ],
)
def test_levels_are_a_number_or_iterations(option, expected):
    cycle = MgNO(width=2, depth=1, levels=option).operator(SIGNATURE).network.layers[0].cycle
    assert tuple((len(level.before), len(level.after)) for level in cycle.levels) == expected


@pytest.mark.parametrize("n, grids", [(2, 1), (8, 1), (16, 2), (17, 2), (64, 4), (65, 4), (211, 6), (256, 6), (257, 6)])
def test_by_default_about_eight_intervals_are_left(n, grids):
    assert len(default_levels((n, 2))) == grids


@pytest.mark.parametrize(
    "mean, boundary, expected", [(0.1, "auto", 0), (5.0, "auto", 5.0), (0.1, "neumann", 0.1), (0.1, "periodic", 0.1)]
)
def test_where_values_vanish_so_do_those_of_the_network(mean, boundary, expected):
    outputs = (Quantity("u", ("y", "x"), mean, 0.2),)
    operator = MgNO(width=2, depth=1, boundary=boundary).operator(replace(SIGNATURE, outputs=outputs))
    torch.nn.init.zeros_(operator.network.last.weight)
    grid = {"y": torch.linspace(0, 1, 17), "x": torch.arange(16) / 16}
    found = operator({"a": torch.rand(2, 17, 16)}, grid)
    torch.testing.assert_close(found, torch.full_like(found, expected))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"boundary": "neuman"}, "did you mean 'neumann'"),
        ({"boundary": {"x": "zero"}}, "'zero' is not a kind of boundary"),
        ({"boundary": {"xy": "neumann"}}, "'xy' is no coordinate of the outputs"),
        ({"levels": 6}, "6 levels are too many for a grid of 17 × 16 points: at most 5"),
        ({"levels": 0}, "must be a number of grids"),
        ({"levels": True}, "must be a number of grids"),
        ({"levels": [1, 2]}, "must be a number of grids"),
        ({"levels": [[0, 1], [2, 0]]}, "the first grid needs one before"),
        ({"activation": "sigmoid"}, "'sigmoid' is not allowed"),
    ],
)
def test_refusals(options, match):
    with pytest.raises(InputError, match=match):
        MgNO(**options).operator(SIGNATURE)
