"""Domains and the regions that `on` names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pdeml.errors import InputError
from pdeml.geometry import Disk, Domain, Rectangle
from pdeml.sampling import sample

BURGERS = Domain.box({"x": (-1, 1), "t": (0, 2)}, time="t")
PLATE = Domain.box({"x": (0, 1), "y": (0, 3)})
CHANNEL = Domain.over(
    Rectangle(x=(0, 2.2), y=(0, 0.41)) - Disk(center=(0.2, 0.2), radius=0.05, name="cylinder"), {"t": (0, 4)}
)
CLOCK = Domain.box({"t": (0, 5)}, time="t")
TIME_FIRST = Domain.box({"t": (0, 2), "x": (-1, 1), "y": (0, 3)}, time="t")

CASES = [
    # domain, on, measure, dimension, fixed, pieces
    (BURGERS, "interior", 4, 2, {}, ()),
    (BURGERS, "initial", 2, 1, {"t": 0}, ()),
    (BURGERS, "final", 2, 1, {"t": 2}, ()),
    (BURGERS, "boundary", 4, 2, {}, ("left", "right")),
    (BURGERS, "boundary.left", 2, 1, {"x": -1}, ("left",)),
    (BURGERS, {"x": -1}, 2, 1, {"x": -1}, ("left",)),
    (BURGERS, {"piece": "left"}, 2, 1, {"x": -1}, ("left",)),
    (BURGERS, {"piece": "left", "x": -1}, 2, 1, {"x": -1}, ("left",)),
    (BURGERS, {"x": 0.3}, 2, 1, {"x": 0.3}, ()),
    (BURGERS, {"t": 0.5}, 2, 1, {"t": 0.5}, ()),
    (BURGERS, {"x": -1, "t": 0.5}, 1, 0, {"x": -1, "t": 0.5}, ("left",)),
    (BURGERS, {"x": 0, "t": 0}, 1, 0, {"x": 0, "t": 0}, ()),
    (PLATE, "interior", 3, 2, {}, ()),
    (PLATE, "boundary", 8, 1, {}, ("left", "right", "bottom", "top")),
    (PLATE, {"x": 0, "y": 1}, 1, 0, {"x": 0, "y": 1}, ("left",)),
    (PLATE, {"x": 0, "y": 0}, 1, 0, {"x": 0, "y": 0}, ()),
    (PLATE, {"piece": "left", "y": 0}, 1, 0, {"x": 0, "y": 0}, ("left",)),
    (CHANNEL, "interior", 4 * (2.2 * 0.41 - math.pi * 0.05**2), 3, {}, ()),
    (CHANNEL, "initial", 2.2 * 0.41 - math.pi * 0.05**2, 2, {"t": 0}, ()),
    (CHANNEL, "boundary.cylinder", 4 * 2 * math.pi * 0.05, 2, {}, ("cylinder",)),
    (CHANNEL, {"piece": "cylinder", "t": 1}, 2 * math.pi * 0.05, 1, {"t": 1}, ("cylinder",)),
    (CHANNEL, {"x": 0}, 4 * 0.41, 2, {"x": 0}, ("left",)),
    (CHANNEL, {"x": 0.2}, 4 * 0.31, 2, {"x": 0.2}, ()),
    (CHANNEL, {"x": 0, "y": 0.1, "t": 1}, 1, 0, {"x": 0, "y": 0.1, "t": 1}, ("left",)),
    (CLOCK, "interior", 5, 1, {}, ()),
    (CLOCK, "initial", 1, 0, {"t": 0}, ()),
    (CLOCK, {"t": 2}, 1, 0, {"t": 2}, ()),
    (TIME_FIRST, "boundary.top", 4, 2, {"y": 3}, ("top",)),
    (TIME_FIRST, "final", 6, 2, {"t": 2}, ()),
]


@pytest.mark.parametrize("domain, on, measure, dimension, fixed, pieces", CASES)
def test_regions(domain: Domain, on, measure: float, dimension: int, fixed: dict, pieces: tuple):
    region = domain.region(on)
    assert region.measure == pytest.approx(measure, rel=1e-9)
    assert region.dimension == dimension
    assert region.fixed == fixed
    assert region.pieces == pieces
    points = sample(region, 257)
    assert points.x.shape == (257, len(domain.coordinates))
    assert domain.contains(points.x).all()
    for name, value in fixed.items():
        assert (points.x[:, domain.coordinates.index(name)] == value).all()
    assert (points.normals is not None) == bool(pieces) == region.has_normals
    if pieces:
        assert points.normals.shape == (257, len(domain.axes))
        space = points.x[:, [domain.coordinates.index(name) for name in domain.axes]]
        assert np.abs(domain.space.signed_distance(space)).max() < 1e-12
        assert (domain.space.signed_distance(space + 1e-6 * points.normals) > 0).all()


@pytest.mark.parametrize("domain", [BURGERS, PLATE, CHANNEL, TIME_FIRST])
def test_the_boundary_is_shared_out_by_measure(domain: Domain):
    """Equal weights are right: the share of points on each piece is its share of the measure."""
    points = sample(domain.region("boundary"), 4096)
    space = points.x[:, [domain.coordinates.index(name) for name in domain.axes]]
    total = sum(piece.measure for piece in domain.pieces.values())
    for name, piece in domain.pieces.items():
        if piece.plane is not None:
            on_it = space[:, piece.plane[0]] == piece.plane[1]
        else:
            on_it = np.abs(np.linalg.norm(space - [0.2, 0.2], axis=1) - 0.05) < 1e-12
        assert on_it.mean() == pytest.approx(piece.measure / total, abs=2e-3), name


def test_clipped_pieces_get_their_share_too():
    """Surfaces that are sampled by rejection are proposed more often, so that what is kept has equal density."""
    from pdeml.geometry import Box

    domain = Domain.over(Box(x=(0, 1), y=(0, 1), z=(0, 1)) - Disk((0, 0, 0), 0.8, "bite"))
    points = sample(domain.region("boundary"), 20_000)
    total = sum(piece.measure for piece in domain.pieces.values())
    assert (points.x[:, 0] == 0).mean() == pytest.approx((1 - math.pi * 0.16) / total, abs=3e-3)
    on_ball = np.abs(np.linalg.norm(points.x, axis=1) - 0.8) < 1e-12
    assert on_ball.mean() == pytest.approx(math.pi * 0.64 / 2 / total, abs=3e-3)


def test_a_mask_keeps_what_it_says():
    region = PLATE.region("boundary", where=lambda p: p[:, 1] < 1)
    assert region.measure == pytest.approx(3, rel=1e-3)
    points = sample(region, 1000)
    assert (points.x[:, 1] < 1).all()
    assert (points.x[:, 1] == 0).mean() == pytest.approx(1 / 3, abs=5e-3)
    quarter = PLATE.region({"where": lambda p: (p[:, 0] < 0.5) & (p[:, 1] < 1.5)})
    assert quarter.measure == pytest.approx(0.75, rel=1e-3)
    assert quarter.name == "interior"
    half_side = PLATE.region({"piece": "left"}, where=lambda p: p[:, 1] > 1.5)
    assert half_side.measure == pytest.approx(1.5, rel=1e-3)
    assert half_side.fixed == {"x": 0}


def test_a_mask_sees_time_in_its_declared_place():
    region = TIME_FIRST.region("interior", where=lambda p: p[:, 0] > 1.5)
    assert region.measure == pytest.approx(3, rel=1e-3)


@pytest.mark.parametrize(
    "where, message",
    [
        (lambda p: p[:, 0] > 2, "nothing of interior is left"),
        (lambda p: p[:, 0] == 0.123, "fixed coordinate"),
        (lambda p: np.full(len(p), np.nan), "nothing of interior"),
        (lambda p: p > 0, "one value for each point"),
        (lambda p: np.full(len(p), "yes"), "true or false"),
    ],
)
def test_bad_masks_are_refused(where, message: str):
    with pytest.raises(InputError, match=message):
        PLATE.region("interior", where=where)


@pytest.mark.parametrize(
    "domain, on, message",
    [
        (BURGERS, "boundry", "did you mean 'boundary'"),
        (BURGERS, "left", "write 'boundary.left'"),
        (BURGERS, "boundary.lft", "there are: left, right; did you mean 'left'"),
        (BURGERS, {"piece": "lft"}, "did you mean 'left'"),
        (BURGERS, {"x": 2}, "x runs from -1 to 1"),
        (BURGERS, {"t": -0.1}, "t runs from 0 to 2"),
        (BURGERS, {"y": 0}, "'y' is not a coordinate"),
        (BURGERS, {"x": math.nan}, "finite"),
        (BURGERS, {"piece": "left", "x": 1}, "cannot be 1"),
        (BURGERS, {}, "on needs"),
        (BURGERS, 3, "name or a mapping"),
        (BURGERS, {"piece": 3}, "not a piece"),
        (PLATE, "initial", "needs a time coordinate"),
        (PLATE, {"t": 0}, "'t' is not a coordinate"),
        (CLOCK, "boundary", "no boundary"),
        (CLOCK, "boundary.left", "no space coordinate"),
        (CHANNEL, {"piece": "cylinder", "x": 0.2}, "curved"),
        (CHANNEL, {"x": 0.2, "y": 0.2}, "no point of the domain"),
    ],
)
def test_wrong_places_are_refused(domain: Domain, on, message: str):
    with pytest.raises(InputError, match=message) as caught:
        domain.region(on)
    assert caught.value.path[0] == "on"


def test_a_fixed_value_off_by_rounding_is_the_side():
    domain = Domain.box({"x": (0, 0.3), "t": (0, 1)}, time="t")
    assert domain.region({"x": 0.1 + 0.2}).pieces == ("right",)


def test_a_point_of_a_piece_is_on_the_piece():
    step = Rectangle(x=(0, 1), y=(0, 1)) - Rectangle(
        x=(0, 0.5), y=(0, 0.5), edges={"left": "l", "right": "riser", "bottom": "b", "top": "tread"}
    )
    domain = Domain.over(step)
    point = domain.region({"piece": "riser", "y": 0.2})
    x, normals = point.draw(np.zeros((1, 0)))
    np.testing.assert_array_equal(x, [[0.5, 0.2]])
    np.testing.assert_array_equal(normals, [[-1, 0]])
    with pytest.raises(InputError, match="no point of the piece 'riser'"):
        domain.region({"piece": "riser", "y": 0.7})
    assert domain.region({"x": 0.5, "y": 0.7}).pieces == ()


def test_periodic_sides_are_no_boundary():
    domain = Domain.box({"x": (0, 1), "y": (0, 1), "t": (0, 1)}, time="t", periodic=["x"])
    assert domain.region("boundary").pieces == ("bottom", "top")
    assert domain.region({"x": 0}).pieces == ()
    with pytest.raises(InputError, match="periodic in x"):
        domain.region("boundary.left")
    ring = Domain.box({"x": (0, 1)}, periodic=["x"])
    with pytest.raises(InputError, match="periodic in every direction"):
        ring.region("boundary")


@pytest.mark.parametrize("domain", [BURGERS, CHANNEL, TIME_FIRST])
def test_splitting_a_region_keeps_its_measure(domain: Domain):
    whole = domain.region("boundary")
    parts = whole.split()
    assert sum(part.measure for part in parts) == pytest.approx(whole.measure)
    for part in parts:
        alone = domain.region(part.name)
        assert (part.pieces, part.fixed, part.measure) == (alone.pieces, alone.fixed, alone.measure)
    lower = PLATE.region("boundary", where=lambda p: p[:, 1] < 1)
    assert {part.pieces for part in lower.split()} == {("left",), ("right",), ("bottom",)}


def test_domain_facts():
    assert CHANNEL.coordinates == ("x", "y", "t")
    np.testing.assert_array_equal(TIME_FIRST.bounds, [[0, 2], [-1, 1], [0, 3]])
    assert TIME_FIRST.measure == 12
    assert (BURGERS.is_box, CHANNEL.is_box, CLOCK.is_box) == (True, False, True)
    assert Domain.box({"x": (-1, 1), "t": (0, 2)}, time="t") == BURGERS
    assert hash(Domain.box({"x": (-1, 1), "t": (0, 2)}, time="t")) == hash(BURGERS)
    inside = CHANNEL.contains([[1, 0.2, 1], [0.2, 0.2, 1], [1, 0.2, 5], [3, 0.2, 1], [0, 0, 0]])
    np.testing.assert_array_equal(inside, [True, False, False, False, True])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Domain.box({"x": (0, 1)}, time="t"), "'t' is not a coordinate"),
        (lambda: Domain.box({"x": (1, 0)}), "wrong order"),
        (lambda: Domain.box({}), "must map names"),
        (lambda: Domain.box({"x": (0, 1)}, periodic=["y"]), "'y' is not a space coordinate"),
        (lambda: Domain.box({"x": (0, 1), "t": (0, 1)}, time="t", periodic=["t"]), "not a space coordinate"),
        (lambda: Domain.over(Disk((0, 0), 1), periodic=["x"]), "box in space"),
        (lambda: Domain(("y", "x"), Rectangle(x=(0, 1), y=(0, 1))), "same order"),
        (lambda: Domain(("x", "y", "x"), Rectangle(x=(0, 1), y=(0, 1))), "not all different"),
        (lambda: Domain(()), "at least one"),
    ],
)
def test_bad_domains_are_refused(make, message: str):
    with pytest.raises(InputError, match=message):
        make()


def test_ten_dimensions():
    domain = Domain.box({f"x{k}": (0, 1) for k in range(10)})
    points = sample(domain.region("boundary"), 2000)
    counts = [(points.x == end).sum(axis=0) for end in (0, 1)]
    assert np.min(counts) > 80
    assert np.max(counts) < 120
    assert domain.region("boundary").measure == 20
