"""Geometries from the mappings of a spec, such as ``{difference: [{rectangle: {...}}, {disk: {...}}]}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from pdeml.errors import InputError, one_of, under
from pdeml.geometry.base import Geometry
from pdeml.geometry.boolean import Difference, Intersection, Union
from pdeml.geometry.box import Box, Interval, Rectangle
from pdeml.geometry.disk import Disk
from pdeml.geometry.polygon import Polygon

__all__ = ["from_spec"]

_OPERATIONS = {"union": Union, "difference": Difference, "intersection": Intersection}
_BOXES: dict[str, Callable[..., Box]] = {"interval": Interval, "rectangle": Rectangle, "box": Box}
_SHAPES: dict[str, tuple[Callable[..., Geometry], tuple[str, ...], tuple[str, ...]]] = {
    "disk": (Disk, ("center", "radius"), ("name", "axes")),
    "polygon": (Polygon, ("vertices",), ("axes",)),
}
"""kind -> class, options it needs, options it may have besides edges"""
_MAX_DEPTH = 32


def from_spec(spec: Mapping[str, Any], _depth: int = 0) -> Geometry:
    """Build a geometry from one mapping ``{kind: description}``; beside it ``edges: {old: new}`` may rename pieces.

    Args:
        spec: kinds are interval, rectangle, box, disk, polygon, and union, difference, intersection of a list of
            such mappings. Every number may be the text of a constant expression.

    Raises:
        InputError: with the path of what is wrong.
    """
    if isinstance(spec, Geometry):
        return spec
    if not isinstance(spec, Mapping):
        raise InputError(f"a geometry is a mapping such as {{rectangle: {{x: [0, 1], y: [0, 1]}}}}, got {spec!r}")
    if _depth > _MAX_DEPTH:
        raise InputError(f"geometries are nested more than {_MAX_DEPTH} deep")
    kinds = [key for key in spec if key != "edges"]
    if len(kinds) != 1:
        raise InputError(f"a geometry has exactly one kind, got {', '.join(map(str, kinds)) or 'none'}")
    kind = kinds[0]
    with under(str(kind)):
        shape = _build(kind, spec[kind], _depth)
    if "edges" not in spec:
        return shape
    with under("edges"):
        return shape.rename(spec["edges"])


def _build(kind: str, body: Any, depth: int) -> Geometry:
    if kind in _OPERATIONS:
        return _combine(kind, body, depth)
    if kind not in _BOXES and kind not in _SHAPES:
        raise InputError(one_of(str(kind), [*_BOXES, *_SHAPES, *_OPERATIONS], "a geometry"))
    if not isinstance(body, Mapping):
        raise InputError(f"{kind} needs a mapping, got {body!r}")
    options = {name: value for name, value in body.items() if name != "edges"}
    shape = _BOXES[kind](options) if kind in _BOXES else _with_options(kind, options)
    if "edges" not in body:
        return shape
    with under("edges"):
        return shape.rename(body["edges"])


def _with_options(kind: str, body: Mapping[str, Any]) -> Geometry:
    make, needed, optional = _SHAPES[kind]
    allowed = (*needed, *optional, "edges")
    for key in body:
        if key not in allowed:
            raise InputError(one_of(str(key), allowed, f"an option of {kind}"), (str(key),))
    for key in needed:
        if key not in body:
            raise InputError(f"{kind} needs {key}")
    return make(**body)


def _combine(kind: str, body: Any, depth: int) -> Geometry:
    if isinstance(body, (str, Mapping)) or not isinstance(body, Sequence) or len(body) < 2:
        raise InputError(f"{kind} needs a list of at least two geometries, got {body!r}")
    parts = []
    for k, part in enumerate(body):
        with under(k):
            parts.append(from_spec(part, depth + 1))
    return reduce(_OPERATIONS[kind], parts)
