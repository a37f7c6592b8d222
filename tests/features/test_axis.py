"""A coordinate cut into patches: joints, collocation points, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdeml.errors import InputError
from pdeml.features.axis import PatchedAxis
from pdeml.features.local import draw_space, gauss_points

SPACE = draw_space(1, 5.0, 13)
WHOLE = draw_space(1, 5.0, 40)
"""All that the features and monomials span."""
POLYNOMIAL = np.polynomial.Polynomial([0.3, -1.0, 0.7, 0.4, -0.2])


def coefficients(axis: PatchedAxis, function) -> Tensor:
    """Coefficients of the best approximation on each patch."""
    places, weights = gauss_points(1, 60)
    basis = weights.sqrt()[:, None] * axis.space.values(places)
    found = []
    for k in range(axis.patches):
        x = axis.low + (2 * k + 1 + places[:, 0]) * axis.half_width
        found.append(torch.linalg.lstsq(basis, (weights.sqrt() * function(x))[:, None]).solution[:, 0])
    return torch.cat(found)


@settings(max_examples=60, deadline=None)
@given(patches=st.integers(1, 9), order=st.integers(0, 4), low=st.integers(0, 5), high=st.integers(0, 5))
def test_nodes_are_as_many_as_make_the_system_square(patches: int, order: int, low: int, high: int):
    axis = PatchedAxis(-1.3, 2.9, patches, order, SPACE)
    nodes = axis.nodes(low, high)
    assert len(axis.joints) == order * (patches - 1)
    assert len(nodes) + len(axis.joints) + low + high == axis.size
    assert torch.all(nodes.diff() > 0)
    patch, _ = axis.local(nodes)
    counts = torch.bincount(patch, minlength=patches)
    assert counts.max() - counts.min() <= 1
    if low + high == order:
        assert torch.all(counts == SPACE.size - order)
    edges = torch.linspace(-1.3, 2.9, patches + 1, dtype=torch.float64)
    nearest = (nodes[:, None] - edges).abs().min()
    assert nearest > 0.5 * axis.half_width / SPACE.size**2, "no node on an edge"
    assert nodes.diff().min() > 0.5 * axis.half_width / SPACE.size**2, "no two nodes at one place"


@pytest.mark.parametrize("patches, order", [(1, 2), (2, 1), (5, 2), (4, 3), (3, 4)])
def test_joints_hold_for_smooth_functions_and_for_no_others(patches: int, order: int):
    axis = PatchedAxis(0.0, 3.0, patches, order, WHOLE)
    smooth = coefficients(axis, lambda x: torch.as_tensor(POLYNOMIAL(x.numpy())))
    assert axis.joints.shape == (order * (patches - 1), axis.size)
    torch.testing.assert_close(axis.joints @ smooth, torch.zeros(len(axis.joints), dtype=torch.float64))
    edge = axis.low + 2 * axis.half_width
    for p in range(order if patches > 1 else 0):
        kinked = coefficients(axis, lambda x, p=p: torch.clamp(x - edge, min=0) ** p * (x > edge))
        jumps = (axis.joints @ kinked)[:order].abs()
        assert jumps[p] > 1e-8, "the derivative that jumps"
        assert torch.all(jumps[:p] < 1e-3 * jumps[p]), "those that do not"
    assert torch.linalg.matrix_rank(axis.joints) == len(axis.joints)


@pytest.mark.parametrize("order", range(5))
def test_matrix_differentiates_in_the_units_of_the_coordinate(order: int):
    axis = PatchedAxis(-2.0, 5.0, 3, 2, WHOLE)
    theta = coefficients(axis, lambda x: torch.as_tensor(POLYNOMIAL(x.numpy())))
    x = torch.linspace(-2.0, 5.0, 37, dtype=torch.float64)
    expected = torch.as_tensor(POLYNOMIAL.deriv(order)(x.numpy()) if order else POLYNOMIAL(x.numpy()))
    torch.testing.assert_close(axis.matrix(x, order) @ theta, expected, rtol=0, atol=1e-11 * 100**order)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-6, 1e6), order=st.integers(0, 3))
def test_units_of_the_coordinate_divide_derivatives(factor: float, order: int):
    x = torch.tensor([-0.9, -0.2, 0.11, 0.77], dtype=torch.float64)
    here = PatchedAxis(-1.0, 1.0, 3, 2, SPACE).matrix(x, order)
    there = PatchedAxis(-factor, factor, 3, 2, SPACE).matrix(factor * x, order)
    torch.testing.assert_close(there * factor**order, here, rtol=1e-6, atol=1e-7)


def test_a_point_on_an_edge_belongs_to_the_upper_patch_and_the_last_to_the_last():
    axis = PatchedAxis(0.0, 1.0, 4, 2, SPACE)
    patch, _ = axis.local(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64))
    assert patch.tolist() == [0, 1, 2, 3, 3]
    rows = axis.matrix(torch.tensor([0.25], dtype=torch.float64), 0).reshape(4, -1)
    assert torch.count_nonzero(rows.abs().sum(1)) == 1


@pytest.mark.parametrize("arguments", [{"patches": 0}, {"low": 1.0}, {"order": 13}])
def test_an_axis_that_cannot_be_is_refused(arguments: dict):
    with pytest.raises(InputError):
        PatchedAxis(**{"low": 0.0, "high": 1.0, "patches": 2, "order": 2, "space": SPACE, **arguments})


def test_more_conditions_than_functions_are_refused():
    with pytest.raises(InputError, match="more than the functions left"):
        PatchedAxis(0.0, 1.0, 1, 2, SPACE).nodes(SPACE.size, 1)
