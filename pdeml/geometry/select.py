"""From what a user writes under ``on`` to a region of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pdeml.errors import InputError, did_you_mean, one_of, under
from pdeml.geometry.base import ROUNDING, Geometry
from pdeml.geometry.box import Box
from pdeml.geometry.checks import number
from pdeml.geometry.piece import Piece, Placement, clip
from pdeml.geometry.quasi import fixed_points
from pdeml.geometry.region import Mask, Region

if TYPE_CHECKING:
    from pdeml.geometry.domain import Domain

__all__ = ["region_at"]

_NAMES = ("interior", "initial", "final", "boundary")


def region_at(domain: Domain, on: str | Mapping[str, Any], where: Mask | None) -> Region:
    """Return the region of ``domain`` that ``on`` names; see `Domain.region`."""
    if isinstance(on, str):
        return _by_name(domain, on, where)
    if not isinstance(on, Mapping):
        raise InputError(f"on must be a name or a mapping such as {{x: -1}}, got {on!r}")
    on = dict(on)
    if "where" in on:
        inner = on.pop("where")
        if where is not None or not callable(inner):
            raise InputError("the mask must be one function of the points", ("where",))
        where = inner
    return _by_mapping(domain, on, where)


def _by_name(domain: Domain, on: str, where: Mask | None) -> Region:
    if on == "interior":
        return _make(domain, on, (_interior(domain),), where=where)
    if on in ("initial", "final"):
        if domain.time is None:
            raise InputError(f"{on!r} needs a time coordinate, and this problem has none")
        return _make(domain, on, (_interior(domain),), instant=domain.time[1 if on == "initial" else 2], where=where)
    if on == "boundary":
        if not domain.pieces:
            why = "it is periodic in every direction" if domain.periodic else "there is no space coordinate"
            raise InputError(f"this domain has no boundary in space: {why}")
        return _make(domain, on, tuple(domain.pieces.values()), boundary=True, where=where)
    if on.startswith("boundary."):
        return _make(domain, on, (_piece(domain, on.removeprefix("boundary.")),), boundary=True, where=where)
    allowed = [*_NAMES, *(f"boundary.{name}" for name in domain.pieces)]
    if on in domain.pieces:
        raise InputError(f"{on!r} is a piece of the boundary: write 'boundary.{on}'")
    raise InputError(one_of(on, allowed, "a place of this domain"))


def _by_mapping(domain: Domain, on: dict[str, Any], where: Mask | None) -> Region:
    name = on.pop("piece", None)
    fixed = {key: _fixed_value(domain, key, value) for key, value in on.items()}
    instant = fixed.pop(domain.time[0], None) if domain.time else None
    if name is not None:
        with under("piece"):
            if not isinstance(name, str):
                raise InputError(one_of(str(name), domain.pieces, "a piece of this boundary"))
            parts, boundary = _cut_piece(domain, _piece(domain, name), fixed)
    else:
        parts, boundary = _at_fixed(domain, fixed)
    labels = [*([f"boundary.{name}"] if name else []), *(f"{key}={value:g}" for key, value in fixed.items())]
    if instant is not None:
        labels.append(f"{domain.time[0]}={instant:g}")
    if not labels and where is None:
        raise InputError("on needs a piece, a fixed coordinate or a mask; the whole domain is 'interior'")
    return _make(domain, ", ".join(labels) or "interior", parts, instant, boundary, fixed, where)


def _make(
    domain: Domain,
    name: str,
    parts: tuple[Piece, ...],
    instant: float | None = None,
    boundary: bool = False,
    fixed: Mapping[str, float] | None = None,
    where: Mask | None = None,
) -> Region:
    constant = dict(fixed or {})
    planes = {part.plane for part in parts}
    if len(planes) == 1 and (plane := planes.pop()) is not None:
        constant[domain.axes[plane[0]]] = plane[1]
    if instant is not None:
        constant[domain.time[0]] = instant
    times = instant if instant is not None or domain.time is None else domain.time[1:]
    return Region(
        name=name,
        coordinates=domain.coordinates,
        parts=parts,
        times=times,
        time_column=domain.time_column,
        pieces=tuple(part.name for part in parts) if boundary else (),
        fixed_coordinates=tuple((key, constant[key]) for key in domain.coordinates if key in constant),
        where=where,
    )


def _fixed_value(domain: Domain, name: Any, value: Any) -> float:
    """Return the value of a fixed coordinate, moved onto an end of its range that it misses by rounding only."""
    if name not in domain.coordinates:
        allowed = ("piece", "where", *domain.coordinates)
        raise InputError(one_of(str(name), allowed, "a coordinate or a key of on"), (str(name),))
    low, high = domain.bounds[domain.coordinates.index(name)]
    with under(str(name)):
        result = number(value, f"the value of {name}")
        for end in (low, high):
            if abs(result - end) <= ROUNDING * max(abs(low), abs(high), high - low):
                return float(end)
        if not low <= result <= high:
            raise InputError(f"{name} = {result:g} is outside the domain, where {name} runs from {low:g} to {high:g}")
    return result


def _piece(domain: Domain, name: str) -> Piece:
    pieces = domain.pieces
    if name in pieces:
        return pieces[name]
    if domain.space is None:
        raise InputError(f"this problem has no space coordinate, hence no piece of boundary {name!r}")
    if name in domain.space.pieces:
        axis = domain.axes[domain.space.pieces[name].plane[0]]
        raise InputError(f"{name!r} is no boundary: the problem is periodic in {axis}")
    if name in domain.space.piece_names:
        raise InputError(f"nothing is left of the piece {name!r}: it was cut away; there are: {', '.join(pieces)}")
    listed = ", ".join(pieces) if pieces else "(none)"
    raise InputError(f"{name!r} is not a piece of this boundary; there are: {listed}{did_you_mean(name, pieces)}")


def _interior(domain: Domain) -> Piece:
    space = domain.space
    if space is None:
        return _point("interior", np.zeros(0))

    def place(unit: np.ndarray) -> Placement:
        points, keep = space.place(unit)
        return points, None, keep

    return Piece("interior", space.measure, space.dimension, place, acceptance=space.acceptance)


def _point(name: str, point: np.ndarray) -> Piece:
    def place(unit: np.ndarray) -> Placement:
        return np.tile(point, (len(unit), 1)), None, np.ones(len(unit), dtype=bool)

    return Piece(name, 1.0, 0, place)


def _at_fixed(domain: Domain, fixed: Mapping[str, float]) -> tuple[tuple[Piece, ...], bool]:
    """Return the parts of space where coordinates have the given values, and whether they are boundary."""
    if not fixed:
        return (_interior(domain),), False
    sides = [
        piece
        for name, value in fixed.items()
        for piece in domain.pieces.values()
        if piece.plane == (domain.axes.index(name), value) and value in domain.bounds[domain.coordinates.index(name)]
    ]
    if sides and len(fixed) == 1:
        return tuple(sides), True
    if len(sides) == 1:  # where two sides meet there is no one normal
        return _cut_piece(domain, sides[0], fixed)
    return (_slice(domain.space, fixed),), False


def _cut_piece(domain: Domain, piece: Piece, fixed: Mapping[str, float]) -> tuple[tuple[Piece, ...], bool]:
    """Return the part of a piece where coordinates have the given values: it keeps the normals of the piece."""
    others = dict(fixed)
    if piece.plane is not None:
        name, value = domain.axes[piece.plane[0]], piece.plane[1]
        if others.get(name, value) != value:
            raise InputError(f"on the piece {piece.name!r} {name} is {value:g}, it cannot be {others[name]:g}")
        others.pop(name, None)
    if not others:
        return (piece,), True
    if piece.plane is None:
        raise InputError(f"the piece {piece.name!r} is curved: choose a part of it by where, not by fixed coordinates")
    normal = piece.draw(np.full((1, piece.dimension), 0.5))[1]
    if normal is None or len(normal) == 0:
        normal = piece.draw(fixed_points(piece.dimension, 8))[1]
    part = _slice(domain.space, {**others, name: value}, piece.name, on_boundary=True)

    def place(unit: np.ndarray) -> Placement:
        points, _, keep = part.place(unit)
        return points, np.tile(normal[:1], (len(unit), 1)), keep

    return (Piece(piece.name, part.measure, part.dimension, place, part.acceptance, piece.plane),), True


def _slice(space: Geometry, fixed: Mapping[str, float], name: str = "slice", on_boundary: bool = False) -> Piece:
    """Return the part of a shape, or of its boundary, where coordinates have the given values."""
    columns = [space.axes.index(axis) for axis in fixed]
    free = [k for k in range(space.dimension) if k not in columns]
    low, high = space.bounds[free].T

    def place(unit: np.ndarray) -> Placement:
        points = np.empty((len(unit), space.dimension))
        points[:, columns] = list(fixed.values())
        points[:, free] = low + (high - low) * unit[:, : len(free)]
        return points, None, np.ones(len(unit), dtype=bool)

    whole = Piece(name, float(np.prod(high - low)), len(free), place)
    furthest = space.rounding if on_boundary else np.inf
    part = whole
    if not isinstance(space, Box):
        part = clip(whole, lambda x, _: space.contains(x) & (np.abs(space.signed_distance(x)) <= furthest))
    if part is None:
        where = ", ".join(f"{axis} = {value:g}" for axis, value in fixed.items())
        raise InputError(f"no point of {f'the piece {name!r}' if on_boundary else 'the domain'} has {where}")
    return part
