"""Boxes, disks and polygons: closed forms, distances, normals, refusals."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.geometry import Box, Disk, Interval, Polygon, Rectangle, side_names

AXES = ("x", "y", "z", "a", "b", "c")
END = st.floats(-100, 100, allow_nan=False)
LENGTH = st.floats(1e-3, 100)


@st.composite
def boxes(draw: st.DrawFn, largest: int = 5) -> Box:
    dimension = draw(st.integers(1, largest))
    lows = [draw(END) for _ in range(dimension)]
    return Box({name: (low, low + draw(LENGTH)) for name, low in zip(AXES[:dimension], lows, strict=True)})


SHAPES = {
    "interval": Interval(x=(-1, 2)),
    "rectangle": Rectangle(x=(0, 2.2), y=(0, 0.41)),
    "box": Box(x=(0, 1), y=(-1, 1), z=(2, 5)),
    "disk": Disk(center=(0.2, -0.3), radius=0.7),
    "ball": Disk(center=(1, 2, 3), radius=2, name="ball"),
    "polygon": Polygon([(0, 0), (2, 0), (2, 1), (1, 0.4), (0, 1)]),
}


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest):
    return SHAPES[request.param]


def unit(n: int, dimension: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, dimension))


@given(boxes())
@settings(max_examples=50, deadline=None)
def test_box_volume_is_the_product_and_boundary_its_derivative(box: Box):
    lengths = box.bounds[:, 1] - box.bounds[:, 0]
    assert box.measure == pytest.approx(np.prod(lengths))
    surface = sum(piece.measure for piece in box.pieces.values())
    assert surface == pytest.approx(sum(2 * np.prod(np.delete(lengths, k)) for k in range(box.dimension)))
    assert len(box.pieces) == 2 * box.dimension


@given(boxes(), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_box_points_are_inside_and_sides_on_the_boundary(box: Box, seed: int):
    inside = box.draw(unit(50, box.dimension, seed))
    assert box.contains(inside).all()
    assert (box.signed_distance(inside) <= 0).all()
    for piece in box.pieces.values():
        points, _ = piece.draw(unit(20, piece.dimension, seed))
        np.testing.assert_array_equal(box.signed_distance(points), 0)


@given(boxes(3), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_box_distance_outside_is_that_to_the_nearest_point(box: Box, seed: int):
    points = box.bounds.mean(axis=1) + 3 * box.size * (unit(50, box.dimension, seed) - 0.5)
    nearest = np.clip(points, *box.bounds.T)
    outside = ~box.contains(points)
    expected = np.linalg.norm(points - nearest, axis=1)
    np.testing.assert_allclose(box.signed_distance(points)[outside], expected[outside], rtol=1e-12)


def test_distance_has_the_sign_of_membership(shape):
    low, high = shape.bounds.T
    points = low - 0.2 + (high - low + 0.4) * unit(2000, shape.dimension)
    distance = shape.signed_distance(points)
    np.testing.assert_array_equal(distance <= 0, shape.contains(points))
    assert (distance < 0).any()
    assert (distance > 0).any()


def test_distance_has_slope_at_most_one(shape):
    low, high = shape.bounds.T
    a, b = (low - 1 + (high - low + 2) * unit(2000, shape.dimension, seed) for seed in (1, 2))
    change = np.abs(shape.signed_distance(a) - shape.signed_distance(b))
    assert (change <= np.linalg.norm(a - b, axis=1) * (1 + 1e-12)).all()


def test_normals_are_the_gradient_of_the_distance(shape):
    step = 1e-6
    for piece in shape.pieces.values():
        points, normals = piece.draw(0.1 + 0.8 * unit(50, piece.dimension))
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-12)
        gradient = np.stack(
            [
                (shape.signed_distance(points + step * e) - shape.signed_distance(points - step * e)) / (2 * step)
                for e in np.eye(shape.dimension)
            ],
            axis=1,
        )
        np.testing.assert_allclose(gradient, normals, atol=1e-5)


def test_closed_forms():
    assert Disk((0, 0), 2).measure == pytest.approx(4 * math.pi)
    assert Disk((0, 0), 2).pieces["disk"].measure == pytest.approx(4 * math.pi)
    assert Disk((0, 0, 0), 2).measure == pytest.approx(32 / 3 * math.pi)
    assert Disk((0, 0, 0), 2).pieces["disk"].measure == pytest.approx(16 * math.pi)
    assert Polygon([(0, 0), (1, 0), (0, 1)]).measure == pytest.approx(0.5)
    assert Polygon([(0, 1), (1, 0), (0, 0)]).measure == pytest.approx(0.5)
    assert sum(p.measure for p in Polygon([(0, 0), (3, 0), (3, 4)]).pieces.values()) == pytest.approx(12)


@pytest.mark.parametrize("center", [(0.3, -1.0), (0.3, -1.0, 2.0)], ids=["disk", "ball"])
def test_points_of_a_disk_are_uniform(center: tuple[float, ...]):
    """Second moments of a uniform ball: r^2/(d+2) along each axis; on the sphere r^2/d."""
    shape, d = Disk(center, 1.5), len(center)
    inside = shape.draw(unit(200_000, d)) - np.array(center)
    np.testing.assert_allclose(np.cov(inside.T), np.eye(d) * 1.5**2 / (d + 2), atol=0.01)
    surface = shape.pieces["disk"].draw(unit(200_000, d - 1))[0] - np.array(center)
    np.testing.assert_allclose(np.cov(surface.T), np.eye(d) * 1.5**2 / d, atol=0.015)


def test_sides_are_named():
    assert list(Rectangle(x=(0, 1), y=(0, 1)).pieces) == ["left", "right", "bottom", "top"]
    assert side_names(("x", "y", "z", "w")) == (
        ("left", "right"), ("bottom", "top"), ("back", "front"), ("w_min", "w_max"),
    )  # fmt: skip
    assert side_names(("r", "s")) == (("left", "right"), ("bottom", "top"))
    assert side_names(("y", "z")) == (("bottom", "top"), ("back", "front"))
    assert side_names(("r", "x")) == (("r_min", "r_max"), ("left", "right"))
    names = [n for pair in side_names(tuple(f"x{k}" for k in range(10))) for n in pair]
    assert len(set(names)) == 20
    assert list(Polygon([(0, 0), (1, 0), (0, 1)], edges={"edge1": "slope"}).pieces) == ["edge0", "slope", "edge2"]


def test_side_has_the_value_its_name_says():
    box = Rectangle(x=(0, 1), y=(2, 3), edges={"left": "inlet"})
    assert box.sides == {"inlet": (0, 0.0), "right": (0, 1.0), "bottom": (1, 2.0), "top": (1, 3.0)}
    points, normals = box.pieces["top"].draw(unit(5, 1))
    assert (points[:, 1] == 3).all()
    np.testing.assert_array_equal(normals, np.tile([0.0, 1.0], (5, 1)))


def test_renaming_twice_is_renaming_once_and_swaps_are_allowed():
    box = Rectangle(x=(0, 1), y=(0, 1))
    assert box.rename({"left": "a"}).rename({"a": "b"}) == box.rename({"left": "b"})
    swapped = box.rename({"left": "right", "right": "left"})
    assert swapped.sides["left"] == (0, 1.0)
    assert swapped.rename({"left": "right", "right": "left"}) == box


def test_equal_descriptions_are_equal_and_hash_alike(shape):
    twin = pickle.loads(pickle.dumps(shape))
    assert shape.pieces
    assert twin == shape == copy.deepcopy(shape)
    assert hash(twin) == hash(shape)
    assert pickle.loads(pickle.dumps(shape)) == shape  # also once its pieces are known


def test_arrays_of_a_geometry_cannot_be_overwritten(shape):
    with pytest.raises(ValueError, match="read-only"):
        shape.bounds[0, 0] = 7


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Box(x=(1, 0)), "wrong order"),
        (lambda: Box(x=(1, 1)), "no length"),
        (lambda: Box(x=(0, math.inf)), "finite"),
        (lambda: Box(x=(math.nan, 0)), "finite"),
        (lambda: Box(x=(-1.7e308, 1.7e308)), "too long"),
        (lambda: Box(x=(0, True)), "must be a number"),
        (lambda: Box(x=3), "two ends"),
        (lambda: Box(x="01"), "two ends"),
        (lambda: Box(), "at least one"),
        (lambda: Box({"1x": (0, 1)}), "cannot name"),
        (lambda: Box({3: (0, 1)}), "cannot name"),
        (lambda: Rectangle(x=(0, 1)), "2 coordinates"),
        (lambda: Box(x=(0, 1), edges={"lft": "inlet"}), "did you mean 'left'"),
        (lambda: Box(x=(0, 1), edges={"left": "right"}), "two pieces"),
        (lambda: Box(x=(0, 1), edges={"left": "in let"}), "cannot name"),
        (lambda: Box(x=(0, 1), edges="left"), "edges must map"),
        (lambda: Disk((0, 0), 0), "positive"),
        (lambda: Disk((0, 0), -1), "positive"),
        (lambda: Disk((0, 0), math.nan), "finite"),
        (lambda: Disk((0, math.inf), 1), "finite"),
        (lambda: Disk((0,), 1), "two coordinates"),
        (lambda: Disk((0, 0), 1, axes=("x",)), "2 different names"),
        (lambda: Disk((0, 0), 1, axes=("x", "x")), "2 different names"),
        (lambda: Disk((0, 0), 1, name="a b"), "cannot name"),
        (lambda: Disk({"x": 0, "y": 0}, 1, axes=("x", "y")), "not both"),
        (lambda: Polygon([(0, 0), (1, 0)]), "3 to"),
        (lambda: Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "must not cross"),
        (lambda: Polygon([(0, 0), (0, 0), (1, 0), (0, 1)]), "same point"),
        (lambda: Polygon([(0, 0), (1, 0), (2, 0)]), "no area"),
        (lambda: Box(x=(0, 1)).signed_distance(np.zeros((3, 2))), "shape"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message: str):
    with pytest.raises(InputError, match=message):
        make()


def test_errors_say_where():
    with pytest.raises(InputError) as caught:
        Box(x=(0, 1), y=(0, math.nan))
    assert caught.value.path == ("y", 1)
