"""Where the statements of a problem are asked of a Gaussian process, and the linear rows that they give there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.geometry import Domain, Region
from pdeml.lower import Functionals, Statement, indices_of, linearised
from pdeml.sampling import Points, sample

__all__ = ["Site", "blended", "held_out_sites", "highest_orders", "make_sites", "rows_of"]

_STREAM = 2  # of random numbers, for points of which nothing is learned


@dataclass(frozen=True)
class Site:
    """A statement with the points where it is asked.

    Args:
        statement: what holds.
        points: (N, D).
        normals: unit outward normals (N, d) over the space coordinates, on the boundary.
    """

    statement: Statement
    points: Tensor
    normals: Tensor | None = None


def make_sites(
    statements: Sequence[Statement], domain: Domain, counts: Sequence[int], device: str = "cpu"
) -> tuple[Site, ...]:
    """Place the equations on a uniform grid over the domain, and each condition on grids over its pieces.

    On uniform grids distances repeat, so that kernels are evaluated on few of them. Of a geometry that is no box the
    grid over its bounding box is cut out.

    Args:
        statements: what holds.
        domain: where.
        counts: points of the grid along each coordinate.
        device: of the tensors.

    Raises:
        InputError: no point of the grid is inside.
    """
    inside = _grid(domain, counts)
    if not len(inside):
        raise InputError(f"no point of a grid of {'x'.join(map(str, counts))} is inside the geometry", ("points",))
    found = []
    for statement in statements:
        points = Points.equal(inside) if statement.name == "equation" else _on(statement.region, domain, counts)
        x, normals = (None if a is None else torch.tensor(a, device=device) for a in (points.x, points.normals))
        found.append(Site(statement, x, normals))
    return tuple(found)


def held_out_sites(statements: Sequence[Statement], count: int, seed: int, device: str = "cpu") -> tuple[Site, ...]:
    """Place each statement on scrambled Sobol points, those that hold at single points left out.

    Args:
        statements: what holds.
        count: points of each.
        seed: of the points.
        device: of the tensors.
    """
    found = []
    for number, statement in enumerate(statements):
        if not statement.region.is_point:
            points = sample(statement.region, count, "sobol", (seed, _STREAM, number))
            x, normals = (None if a is None else torch.tensor(a, device=device) for a in (points.x, points.normals))
            found.append(Site(statement, x, normals))
    return tuple(found)


def rows_of(sites: Sequence[Site], unknowns: int, jets: Sequence[Tensor] | None = None) -> tuple[Functionals, ...]:
    """Return the rows of all sites, linearised at given functions.

    Args:
        sites: statements at points.
        unknowns: their number U.
        jets: for each site the derivatives ``indices_of(statement)`` of the functions, (K, N, U); zero by default.

    Raises:
        InputError: a row is not finite.
    """
    found: list[Functionals] = []
    for number, site in enumerate(sites):
        at = None if jets is None else jets[number]
        found += linearised(site.statement, site.points, unknowns, site.normals, at)
    for rows in found:
        if not (torch.isfinite(rows.coefficients).all() and torch.isfinite(rows.values).all()):
            raise InputError(f"{rows.name}: a coefficient or value is not finite at one of its points")
    return tuple(found)


def blended(first: Sequence[Functionals], second: Sequence[Functionals], share: float) -> tuple[Functionals, ...]:
    """Return ``(1 − share) · first + share · second``, rows of the same statements at the same points."""
    return tuple(
        replace(
            b,
            coefficients=torch.lerp(a.coefficients, b.coefficients, share),
            values=torch.lerp(a.values, b.values, share),
        )
        for a, b in zip(first, second, strict=True)
    )


def highest_orders(statements: Sequence[Statement], dimension: int) -> tuple[int, ...]:
    """Return the highest order of differentiation along each coordinate."""
    indices = [index for statement in statements for index in indices_of(statement)]
    return tuple(max((index[a] for index in indices), default=0) for a in range(dimension))


def _grid(domain: Domain, counts: Sequence[int]) -> np.ndarray:
    """A grid with its ends, of which the second of a periodic coordinate is left out; cell centres where it is cut."""
    axes = []
    for name, (low, high), n in zip(domain.coordinates, domain.bounds.tolist(), counts, strict=True):
        if name in domain.periodic:
            axes.append(low + (high - low) * np.arange(n) / n)
        elif domain.is_box or name not in domain.axes:
            axes.append(np.linspace(low, high, n))
        else:
            axes.append(low + (high - low) * (np.arange(n) + 0.5) / n)
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)
    return points if domain.is_box else points[domain.contains(points)]


def _on(region: Region, domain: Domain, counts: Sequence[int]) -> Points:
    """Grids on the pieces of a region, about as fine as that of the equations."""
    parts = region.split()
    perimeter = sum(piece.measure for piece in domain.pieces.values())
    return Points.concatenate([sample(part, _count(part, domain, counts, perimeter), "grid") for part in parts])


def _count(part: Region, domain: Domain, counts: Sequence[int], perimeter: float) -> int:
    moving = [n for name, n in zip(domain.coordinates, counts, strict=True) if name not in part.fixed]
    if domain.is_box or not part.pieces:
        return max(math.prod(moving), 1)
    space = [n for name, n in zip(domain.coordinates, counts, strict=True) if name in domain.axes]
    times = math.prod(counts) // math.prod(space) if isinstance(part.times, tuple) else 1
    piece = domain.pieces[part.pieces[0]]
    around = 2 * domain.space.dimension * math.prod(sorted(space)[1:]) if len(space) > 1 else 1
    return max(round(around * piece.measure / perimeter), 2) * times
