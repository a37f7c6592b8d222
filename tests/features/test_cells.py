"""Cells cover a domain, once, and faces join them where the domain goes through."""

from __future__ import annotations

import numpy as np
import pytest

import pdeml as pm
from pdeml.features.cells import make_cells

SQUARE = {"x": (0.0, 2.0), "y": (-1.0, 1.0)}
L_SHAPE = pm.Polygon([[-1, -1], [1, -1], [1, 0], [0, 0], [0, 1], [-1, 1]])


def domain(shape=None, time=None, periodic=()):
    where = {"domain": shape} if shape is not None else {"coordinates": SQUARE}
    if time:
        where["time"] = {"t": time}
    conditions = [pm.Periodic(name) for name in periodic] or [pm.Dirichlet(u=0)]
    return pm.Problem(**where, unknowns="u", equations="laplacian(u) = 0", conditions=conditions).domain


def inside(of, count=4000):
    low, high = of.bounds.T
    points = low + (high - low) * np.random.default_rng(0).random((count, len(low)))
    return points[of.contains(points)]


@pytest.mark.parametrize("counts", [(1, 1), (3, 2), (5, 7)])
def test_on_a_box_each_box_is_a_cell_and_holds_its_points(counts):
    of = domain()
    cells = make_cells(of, counts)
    assert len(cells) == np.prod(counts)
    assert cells.whole.all()
    points = inside(of)
    cell, local = cells.locate(points)
    assert np.abs(local).max() <= 1 + 1e-12
    np.testing.assert_allclose(cells.centres[cell] + cells.half * local, points, atol=1e-12)
    assert set(cell) == set(range(len(cells)))


@pytest.mark.parametrize("shape", [pm.Disk(center=(0.3, 0), radius=0.7), L_SHAPE])
def test_outside_boxes_are_left_out_and_slivers_go_to_a_neighbour(shape):
    of = domain(shape)
    cells = make_cells(of, (8, 7))
    assert len(cells) < 56
    cell, local = cells.locate(inside(of))
    assert np.abs(local).max() < 3.0  # in the own box, or the one beside it
    counts = np.bincount(cell, minlength=len(cells))
    assert counts.min() > 0.1 * counts.max()


def test_points_of_a_cell_lie_in_it_and_in_the_domain():
    of = domain(pm.Disk(center=(0, 0), radius=1))
    cells = make_cells(of, (3, 3))
    for cell in range(len(cells)):
        points = cells.draw(cell, 50)
        assert len(points) == 50
        assert of.contains(points).all()
        assert (cells.locate(points)[0] == cell).all()


def test_inner_faces_of_a_grid_are_counted():
    assert len(list(make_cells(domain(), (4, 3)).faces())) == 3 * 3 + 4 * 2
    closed = list(make_cells(domain(periodic=("x",)), (4, 3)).faces((0,)))
    assert len(closed) == 4 * 3 + 4 * 2
    assert [face.shift for face in closed if face.shift] == [-2.0] * 3


def test_faces_are_sampled_within_the_domain_only():
    of = domain(L_SHAPE)
    cells = make_cells(of, (2, 2))
    assert len(cells) == 3
    for face in cells.faces():
        points = cells.on_face(face, 12)
        assert of.contains(points).all()
        np.testing.assert_array_equal(points[:, face.axis], face.value)
    cut = domain(pm.Disk(center=(0, 0), radius=1))
    cells = make_cells(cut, (3, 3))
    counts = [len(cells.on_face(face, 12)) for face in cells.faces()]
    assert min(counts) >= 6


def test_time_is_a_coordinate_like_any_other():
    of = domain(pm.Disk(center=(0, 0), radius=1), time=(0.0, 3.0))
    cells = make_cells(of, (2, 2, 3))
    assert len(cells) == 12
    assert cells.half[2] == 0.5
