"""Structured triangulations of rectangles: every cell of a tensor grid cut along the same diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdeml.geometry import Box
from pdeml.reference.mesh.triangulation import Triangulation

__all__ = ["grid_triangulation"]


def grid_triangulation(box: Box, counts: Sequence[int]) -> Triangulation:
    """Cut the cells of a uniform grid into two right triangles each.

    Args:
        box: a rectangle.
        counts: points along the two axes, each at least 2; point (i, j) has the number ``i * counts[1] + j``.
    """
    n, m = counts
    x, y = (np.linspace(*ends, count) for ends, count in zip(box.bounds, counts, strict=True))
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=2).reshape(-1, 2)
    numbers = np.arange(n * m).reshape(n, m)
    a, b, c, d = (part.ravel() for part in (numbers[:-1, :-1], numbers[1:, :-1], numbers[1:, 1:], numbers[:-1, 1:]))
    triangles = np.stack([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)], axis=1).reshape(-1, 3)
    chains = [numbers[0, ::-1], numbers[-1, :], numbers[:, 0], numbers[::-1, -1]]
    edges = [np.stack([chain[:-1], chain[1:]], axis=1) for chain in chains]
    joined = np.concatenate(edges)
    return Triangulation(
        points=points,
        triangles=triangles,
        edges=joined,
        middles=points[joined].mean(axis=1),
        owners=np.repeat(np.arange(4), [len(part) for part in edges]),
        pieces=box.piece_names,
    )
