"""Geometries from specs and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.geometry import Box, Disk, Domain, Geometry, Polygon, Rectangle, from_spec

CHANNEL = {
    "difference": [
        {"rectangle": {"x": [0, 2.2], "y": [0, 0.41]}},
        {"disk": {"center": [0.2, 0.2], "radius": 0.05, "name": "cylinder"}},
    ]
}


def test_the_channel_of_the_manual():
    expected = Rectangle(x=(0, 2.2), y=(0, 0.41)) - Disk(center=(0.2, 0.2), radius=0.05, name="cylinder")
    assert from_spec(CHANNEL) == Geometry.from_spec(CHANNEL) == expected
    assert from_spec({**CHANNEL, "edges": {"left": "inlet"}}) == expected.rename({"left": "inlet"})


def test_edges_are_renamed_inside_or_beside_a_shape():
    body = {"x": [0, 1], "y": [0, 1]}
    expected = Rectangle(x=(0, 1), y=(0, 1), edges={"left": "inlet"})
    assert from_spec({"rectangle": {**body, "edges": {"left": "inlet"}}}) == expected
    assert from_spec({"rectangle": body, "edges": {"left": "inlet"}}) == expected


@st.composite
def geometries(draw: st.DrawFn, depth: int = 2) -> Geometry:
    tag = draw(st.integers(0, 10**9))
    kind = draw(st.sampled_from(["box", "disk", "polygon"] + ["boolean"] * (2 * (depth > 0))))
    x, y = draw(st.floats(-1, 1)), draw(st.floats(-1, 1))
    if kind == "box":
        sides = {side: f"{side}{tag}" for side in ("left", "right", "bottom", "top")}
        return Rectangle(x=(x, x + draw(st.floats(0.5, 3))), y=(y, y + draw(st.floats(0.5, 3))), edges=sides)
    if kind == "disk":
        return Disk((x, y), draw(st.floats(0.5, 3)), f"disk{tag}")
    if kind == "polygon":
        return Polygon([(x, y), (x + 1, y), (x, y + 1)], edges={f"edge{k}": f"e{tag}_{k}" for k in range(3)})
    first, second = draw(geometries(depth - 1)), draw(geometries(depth - 1))
    try:
        return draw(st.sampled_from([lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a & b]))(first, second)
    except InputError:
        return first


@given(geometries())
@settings(max_examples=60, deadline=None)
def test_round_trip(shape: Geometry):
    assert from_spec(shape.to_spec()) == shape
    assert from_spec(shape.to_spec()).to_spec() == shape.to_spec()


def test_domain_round_trip():
    domain = Domain.from_spec({"time": {"t": [0, 1]}, "space": CHANNEL, "edges": {"left": "inlet"}})
    assert domain.coordinates == ("x", "y", "t")
    assert "inlet" in domain.pieces
    assert Domain.from_spec(domain.to_spec()) == domain
    assert hash(Domain.from_spec(domain.to_spec())) == hash(domain)


def test_lists_of_more_than_two_fold_from_the_left():
    holes = [{"disk": {"center": [0.2 + 0.3 * k, 0.2], "radius": 0.05, "name": f"d{k}"}} for k in range(3)]
    shape = from_spec({"difference": [CHANNEL["difference"][0], *holes]})
    assert shape.measure == pytest.approx(2.2 * 0.41 - 3 * math.pi * 0.05**2)
    assert len(shape.to_spec()["difference"]) == 4


def test_numbers_may_be_constant_expressions():
    pytest.importorskip("pdeml.expr")
    assert from_spec({"interval": {"x": [0, "2*pi"]}}) == Box(x=(0, 2 * math.pi))
    assert from_spec({"disk": {"center": ["1/2", 0], "radius": "sqrt(2)"}}).radius == math.sqrt(2)


def test_a_centre_may_name_its_axes():
    assert from_spec({"disk": {"center": {"x": 0, "z": 1}, "radius": 1}}).axes == ("x", "z")


@pytest.mark.parametrize(
    "spec, path, message",
    [
        (3, (), "is a mapping"),
        ({}, (), "exactly one kind"),
        ({"disk": {}, "box": {}}, (), "exactly one kind"),
        ({"disc": {}}, ("disc",), "did you mean 'disk'"),
        ({"disk": {"center": [0, 0]}}, ("disk",), "needs radius"),
        ({"disk": {"center": [0, 0], "radius": -1}}, ("disk", "radius"), "positive"),
        ({"disk": {"center": [0, 0], "raduis": 1}}, ("disk", "raduis"), "did you mean 'radius'"),
        ({"disk": {"center": [0, "a"], "radius": 1}}, ("disk", "center", 1), "a"),
        ({"disk": [0, 0]}, ("disk",), "needs a mapping"),
        ({"rectangle": {"x": [0, 1]}}, ("rectangle",), "2 coordinates"),
        ({"rectangle": {"x": [0, 1], "y": [1, 0]}}, ("rectangle", "y"), "wrong order"),
        ({"rectangle": {"x": [0, 1], "y": [0, 1], "edges": {"lft": "a"}}}, ("rectangle", "edges", "lft"), "left"),
        ({"union": {"disk": {}}}, ("union",), "list of at least two"),
        ({"union": []}, ("union",), "list of at least two"),
        ({"difference": [CHANNEL["difference"][0], {"disk": 3}]}, ("difference", 1, "disk"), "needs a mapping"),
        ({"polygon": {"vertices": [[0, 0], [1, 0], [1]]}}, ("polygon", "vertices", 2), "two numbers"),
    ],
)
def test_errors_say_where(spec, path: tuple, message: str):
    with pytest.raises(InputError, match=message) as caught:
        from_spec(spec)
    assert caught.value.path == path


def test_nesting_is_bounded():
    spec = {"interval": {"x": [0, 1]}}
    for _ in range(200):
        spec = {"union": [spec, {"interval": {"x": [0, 1]}}]}
    with pytest.raises(InputError, match="deep"):
        from_spec(spec)


@pytest.mark.parametrize(
    "spec, message",
    [
        ({"space": CHANNEL, "tme": {"t": [0, 1]}}, "did you mean 'time'"),
        ({"space": CHANNEL, "time": {"x": [0, 1]}}, "cannot be an axis"),
        ({"space": CHANNEL, "time": {"t": [1, 0]}}, "wrong order"),
        ({"space": CHANNEL, "time": [0, 1]}, "one interval"),
        ({}, "needs space"),
    ],
)
def test_bad_domains_are_refused(spec, message: str):
    with pytest.raises(InputError, match=message):
        Domain.from_spec(spec)
