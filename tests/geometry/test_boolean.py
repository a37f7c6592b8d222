"""Union, difference, intersection: set laws, divergence theorem, clipped boundaries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from pdeml.errors import InputError
from pdeml.geometry import Box, Disk, Geometry, Interval, Polygon, Rectangle

CHANNEL = Rectangle(x=(0, 2.2), y=(0, 0.41)) - Disk(center=(0.2, 0.2), radius=0.05, name="cylinder")
SQUARE = Rectangle(x=(0, 1), y=(0, 1))
INNER = Rectangle(x=(0, 0.5), y=(0, 0.5), edges={"left": "l", "right": "r", "bottom": "b", "top": "t"})
CUBE = Box(x=(0, 1), y=(0, 1), z=(0, 1))
SHAPES: dict[str, Geometry] = {
    "channel": CHANNEL,
    "disk": Disk((0.1, 0.2), 0.8),
    "box3": Box(x=(0, 1), y=(-1, 1), z=(2, 3.5)),
    "bitten": SQUARE - Disk((0, 0), 0.5),
    "lens": Disk((0, 0), 1, "a") & Disk((1, 0), 1, "b"),
    "eight": Disk((0, 0), 1, "a") + Disk((1, 0), 1, "b"),
    "corner": SQUARE - INNER,
    "annulus": Disk((0, 0), 1, "outer") - Disk((0, 0), 0.4, "inner"),
    "polygon": Polygon([(0, 0), (2, 0), (2, 1), (1, 0.4), (0, 1)]) - Disk((1, 0), 0.2),
    "holes": SQUARE - Disk((0.3, 0.3), 0.2, "a") - Disk((0.5, 0.3), 0.2, "b"),
    "cubehole": CUBE - Disk((0.5, 0.5, 0.5), 0.3, "hole"),
    "cubebite": CUBE - Disk((0, 0, 0), 0.5, "bite"),
    "intervals": Interval(x=(0, 3)) - Interval(x=(1, 2), edges={"left": "a", "right": "b"}),
}


def unit(dimension: int, log2: int = 13, seed: int = 3) -> np.ndarray:
    if dimension == 0:
        return np.zeros((1, 0))
    return qmc.Sobol(dimension, rng=np.random.default_rng(seed)).random_base2(log2)


@pytest.mark.parametrize("name", SHAPES)
def test_divergence_theorem(name: str):
    """The integral of div F over the shape is that of F.n over its boundary, for a field with no symmetry."""
    shape = SHAPES[name]
    d = shape.dimension
    waves = np.array([1.3, 0.7, 0.9])[:d]

    def field(x: np.ndarray) -> np.ndarray:
        return np.sin(x * waves + 0.3) * (1 + x[:, ::-1] ** 2)

    def divergence(x: np.ndarray) -> np.ndarray:
        own = np.cos(x * waves + 0.3) * waves * (1 + x[:, ::-1] ** 2)
        if d % 2:  # the middle component is multiplied by its own coordinate
            m = d // 2
            own[:, m] += np.sin(x[:, m] * waves[m] + 0.3) * 2 * x[:, m]
        return own.sum(axis=1)

    inside = shape.measure * divergence(shape.draw(unit(d, 15))).mean()
    across = 0.0
    for piece in shape.pieces.values():
        points, normals = piece.draw(unit(piece.dimension, 14))
        across += piece.measure * (field(points) * normals).sum(axis=1).mean()
    assert inside == pytest.approx(across, abs=2e-3 * max(shape.measure, 1))


@pytest.mark.parametrize("name", SHAPES)
def test_points_are_inside_and_pieces_on_the_boundary(name: str):
    shape = SHAPES[name]
    inside = shape.draw(unit(shape.dimension))
    assert shape.contains(inside).all()
    assert (shape.signed_distance(inside) <= 0).all()
    for piece in shape.pieces.values():
        points, normals = piece.draw(unit(piece.dimension))
        assert len(points) > 0
        assert np.abs(shape.signed_distance(points)).max() < 1e-12
        step = 1e-7 * normals
        assert (shape.signed_distance(points - step) < 0).mean() > 0.999  # but for points next to a corner
        assert (shape.signed_distance(points + step) > 0).mean() > 0.999


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "corner"])  # its distance is zero on a seam too
def test_no_part_of_the_boundary_is_missing(name: str):
    """The volume within a small distance of the boundary is that of the pieces times twice the distance."""
    shape = SHAPES[name]
    if shape.dimension == 1:
        assert sorted(float(p.draw(unit(0))[0][0, 0]) for p in shape.pieces.values()) == [0, 1, 2, 3]
        return
    low, high = shape.bounds.T
    width = 1e-3 * float(np.min(high - low))
    points = low - width + (high - low + 2 * width) * unit(shape.dimension, 18)
    shell = np.abs(shape.signed_distance(points)) < width
    estimate = shell.mean() * np.prod(high - low + 2 * width) / (2 * width)
    assert estimate == pytest.approx(sum(p.measure for p in shape.pieces.values()), rel=0.05)


def test_measures_against_closed_forms():
    lens = 2 * math.pi / 3 - math.sqrt(3) / 2
    assert CHANNEL.measure == pytest.approx(2.2 * 0.41 - math.pi * 0.05**2, rel=1e-15)
    assert SHAPES["lens"].measure == pytest.approx(lens, rel=1e-10)
    assert SHAPES["eight"].measure == pytest.approx(2 * math.pi - lens, rel=1e-10)
    assert SHAPES["bitten"].measure == pytest.approx(1 - math.pi / 16, rel=1e-10)
    assert SHAPES["corner"].measure == pytest.approx(0.75, rel=1e-14)
    assert SHAPES["intervals"].measure == pytest.approx(2)
    assert SHAPES["cubehole"].measure == pytest.approx(1 - 4 / 3 * math.pi * 0.027, rel=1e-14)
    assert SHAPES["cubebite"].measure == pytest.approx(1 - math.pi / 48, rel=2e-4)
    assert SHAPES["cubebite"].pieces["bite"].measure == pytest.approx(math.pi / 8, rel=1e-3)
    assert SHAPES["cubebite"].pieces["left"].measure == pytest.approx(1 - math.pi / 16, rel=1e-3)
    assert SHAPES["lens"].pieces["a"].measure == pytest.approx(2 * math.pi / 3, rel=1e-10)
    assert SHAPES["bitten"].pieces["left"].measure == pytest.approx(0.5, rel=1e-10)


def test_untouched_pieces_keep_their_exact_measure():
    assert CHANNEL.pieces["bottom"].measure == 2.2
    assert CHANNEL.pieces["cylinder"].measure == 2 * math.pi * 0.05
    assert SHAPES["cubehole"].pieces["hole"].measure == 4 * math.pi * 0.3**2


centers = st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))


@given(centers, st.floats(0.05, 0.6))
@settings(max_examples=25, deadline=None)
def test_inclusion_and_exclusion(center: tuple[float, float], radius: float):
    """|A+B| = |A| + |B| - |A&B| and |A-B| = |A| - |A&B|, each measured by its own boundary.

    The tolerance is for circles that touch a side, where the cut is known to the square root of rounding.
    """
    disk = Disk(center, radius)
    try:
        common = (SQUARE & disk).measure
    except InputError:
        common = 0.0
    assert (SQUARE + disk).measure == pytest.approx(1 + disk.measure - common, abs=1e-5)
    assert (SQUARE - disk).measure == pytest.approx(1 - common, abs=1e-5)


@given(centers, st.floats(0.05, 0.6), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_membership_is_that_of_sets(center: tuple[float, float], radius: float, seed: int):
    disk = Disk(center, radius)
    points = -0.5 + 2 * np.random.default_rng(seed).random((200, 2))
    a, b = SQUARE.contains(points), disk.contains(points)
    np.testing.assert_array_equal((SQUARE + disk).contains(points), a | b)
    np.testing.assert_array_equal((SQUARE - disk).contains(points), a & ~b)


def test_normals_of_a_hole_point_into_it():
    points, normals = CHANNEL.pieces["cylinder"].draw(unit(1))
    np.testing.assert_allclose(normals, (np.array([0.2, 0.2]) - points) / 0.05, atol=1e-12)


def test_shared_edges_of_touching_boxes_vanish():
    right = Rectangle(x=(1, 2), y=(0, 1), edges={"left": "l", "right": "r", "bottom": "b", "top": "t"})
    both = SQUARE + right
    assert set(both.pieces) == {"left", "bottom", "top", "r", "b", "t"}
    assert both.measure == pytest.approx(2)
    assert sum(p.measure for p in both.pieces.values()) == pytest.approx(6)


def test_coincident_edges_are_counted_once():
    """A smaller box flush with the larger one adds no boundary; cut away it takes the shared edges with it."""
    assert sum(p.measure for p in (SQUARE + INNER).pieces.values()) == pytest.approx(4)
    pieces = SHAPES["corner"].pieces
    assert {name: round(p.measure, 9) for name, p in pieces.items()} == {
        "left": 0.5, "right": 1.0, "bottom": 0.5, "top": 1.0, "r": 0.5, "t": 0.5,
    }  # fmt: skip


def test_a_seam_is_not_part_of_the_set():
    """Edges that a flush box takes away are outside, though the distance to both boxes is zero there."""
    corner, both = SHAPES["corner"], SQUARE + Rectangle(x=(1, 2), y=(0, 1), edges=dict(INNER.edges))
    expected = {(0, 0.2): False, (0.2, 0): False, (0, 0): False, (0, 0.5): True, (0.5, 0.5): True, (0.5, 0.2): True}
    np.testing.assert_array_equal(corner.contains(list(expected)), list(expected.values()))
    assert both.contains([(1, 0.5), (1, 0), (1, 1), (0, 0), (2, 1)]).all()


def test_filling_a_hole_restores_the_boundary():
    patch = Rectangle(x=(0, 0.5), y=(0, 0.5), edges={"left": "l2", "right": "r2", "bottom": "b2", "top": "t2"})
    whole = SHAPES["corner"] + patch
    assert whole.measure == pytest.approx(1)
    assert {name: round(p.measure, 5) for name, p in whole.pieces.items()} == {
        "left": 0.5, "right": 1.0, "bottom": 0.5, "top": 1.0, "l2": 0.5, "b2": 0.5,
    }  # fmt: skip


def test_a_hole_outside_changes_nothing():
    far = SQUARE - Disk((5, 5), 1)
    assert far.measure == 1
    assert list(far.pieces) == list(SQUARE.pieces)


def test_renaming_reaches_the_parts():
    renamed = CHANNEL.rename({"left": "inlet", "cylinder": "wall"})
    assert set(renamed.pieces) == {"inlet", "right", "bottom", "top", "wall"}
    with pytest.raises(InputError, match="two pieces"):
        CHANNEL.rename({"cylinder": "left"})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SQUARE - Disk((0.5, 0.5), 2), "empty: the second shape covers"),
        (lambda: SQUARE - Box(x=(-1, 2), y=(-1, 2), edges=dict(INNER.edges)), "empty"),
        (lambda: SQUARE & Disk((5, 5), 1), "empty: the shapes do not overlap"),
        (lambda: Disk((0, 0), 1, "a") & Disk((1.9, 1.9), 1, "b"), "do not overlap"),
        (lambda: SQUARE & Rectangle(x=(1, 2), y=(0, 1), edges=dict(INNER.edges)), "do not overlap"),
        (lambda: SQUARE - SQUARE, "name them apart"),
        (lambda: SQUARE + Interval(x=(0, 1)), "different coordinates"),
        (lambda: SQUARE - Disk((0, 0), 0.1, axes=("x", "z")), "different coordinates"),
        (lambda: SQUARE - Disk((0, 0, 0), 0.1), "different coordinates"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message: str):
    with pytest.raises(InputError, match=message):
        make()


def test_only_geometries_combine():
    with pytest.raises(TypeError):
        SQUARE - 1
