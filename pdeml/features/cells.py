"""The cells of a box grid that meet a domain: where patches of features live, and the faces where they join.

Shapes: N (points), D (coordinates, time included).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import qmc

from pdeml.geometry import Domain

__all__ = ["Cells", "Face", "make_cells"]

_PROBES = 10  # 2^10 points decide how much of a cell lies in the domain
_SLIVER = 0.15  # a cell of which less lies in the domain is joined to a neighbour


@dataclass(frozen=True)
class Face:
    """Where two boxes of the grid touch across a coordinate; around a period the second lies beyond the far end.

    Args:
        axis: number of the coordinate.
        below, above: indices of the boxes in the grid.
        value: of the coordinate, seen from below.
        shift: what is added to the coordinate to see the face from above.
    """

    axis: int
    below: tuple[int, ...]
    above: tuple[int, ...]
    value: float
    shift: float = 0.0


@dataclass(frozen=True, eq=False)
class Cells:
    """A grid of equal boxes, the cells that represent them, and what lies in the domain. Made by `make_cells`.

    Args:
        domain: what they cover.
        counts: boxes along each coordinate.
        hosts: number of the cell that represents each box, (boxes,) in C order.
        boxes: the box of each cell, (cells,).
        whole: whether a cell lies in the domain as a whole and represents its own box only, (cells,).
    """

    domain: Domain
    counts: tuple[int, ...]
    hosts: np.ndarray
    boxes: np.ndarray
    whole: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    @cached_property
    def half(self) -> np.ndarray:
        """Half the lengths of a box, (D,)."""
        low, high = self.domain.bounds.T
        return 0.5 * (high - low) / np.array(self.counts)

    def locate(self, points_ND: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cell of each point, (N,), and the coordinates ξ in it, (N, D): [−1, 1]^D on its own box."""
        low = self.domain.bounds[:, 0]
        place = np.floor((points_ND - low) / (2 * self.half)).astype(np.int64)
        place = np.clip(place, 0, np.array(self.counts) - 1)
        cell = self.hosts[np.ravel_multi_index(tuple(place.T), self.counts)]
        return cell, self.local(cell, points_ND)

    def local(self, cell: np.ndarray | int, points_ND: np.ndarray) -> np.ndarray:
        """Return coordinates ξ in a given cell."""
        return (points_ND - self.centres[cell]) / self.half

    def points(self, cell: int, local_ND: np.ndarray) -> np.ndarray:
        """Return the points with coordinates ξ in a cell."""
        return self.centres[cell] + self.half * local_ND

    @cached_property
    def centres(self) -> np.ndarray:
        """Of the cells, (cells, D)."""
        return self._centre(self.boxes)

    def _centre(self, boxes: np.ndarray) -> np.ndarray:
        places = np.stack(np.unravel_index(boxes, self.counts), 1)
        return self.domain.bounds[:, 0] + (2 * places + 1) * self.half

    def draw(self, cell: int, count: int, seed: int = 0) -> np.ndarray:
        """Return about ``count`` quasi-random points of what a cell represents: the part of its boxes in the domain."""
        centres = self._centre(np.flatnonzero(self.hosts == cell))
        low, high = centres.min(0) - self.half, centres.max(0) + self.half
        sequence = qmc.Sobol(len(low), scramble=True, rng=np.random.default_rng((seed, cell)))
        found, kept, proposed = [], 0, 0
        while kept < count and proposed < 64 * count:
            points = low + (high - low) * sequence.random_base2((max(count, proposed) - 1).bit_length())
            proposed += len(points)
            points = points[self.domain.contains(points)]
            points = points[self.locate(points)[0] == cell]
            found.append(points)
            kept += len(points)
        return np.concatenate(found)[:count]

    def faces(self, periodic: tuple[int, ...] = ()) -> Iterator[Face]:
        """Yield the faces between boxes of different cells, and those that close periodic coordinates."""
        low, high = self.domain.bounds.T
        for box in itertools.product(*map(range, self.counts)):
            for axis, count in enumerate(self.counts):
                last = box[axis] == count - 1
                if last and axis not in periodic:
                    continue
                above = tuple((k + (i == axis)) % count if i == axis else k for i, k in enumerate(box))
                value = low[axis] + 2 * (box[axis] + 1) * self.half[axis]
                if last or self.host(box) != self.host(above):
                    yield Face(axis, box, above, value, low[axis] - high[axis] if last else 0.0)

    def host(self, box: tuple[int, ...]) -> int:
        """Return the cell that represents a box of the grid."""
        return int(self.hosts[np.ravel_multi_index(box, self.counts)])

    def on_face(self, face: Face, count: int) -> np.ndarray:
        """Return about ``count`` points of a face that lie in the domain, as seen from below; none where it is outside.

        A face within the domain gets a tensor grid of Gauss points, another one a finer grid of which some are kept.
        """
        tangential = [axis for axis in range(len(self.counts)) if axis != face.axis]
        side = max(1, round(count ** (1 / max(len(tangential), 1))))
        points = self._face_grid(face, tangential, side)
        if self.domain.is_box:
            return points
        inside = self.domain.contains(self._face_grid(face, tangential, max(16, side)))
        if not inside.any():
            return points[:0]
        finer = side if inside.all() else int(np.ceil(side / inside.mean() ** (1 / max(len(tangential), 1))))
        points = self._face_grid(face, tangential, min(finer, 8 * side))
        return points[self.domain.contains(points)]

    def _face_grid(self, face: Face, tangential: list[int], side: int) -> np.ndarray:
        nodes = np.polynomial.legendre.leggauss(side)[0]
        grid = np.array(list(itertools.product(nodes, repeat=len(tangential))))
        box = np.array([np.ravel_multi_index(face.below, self.counts)])
        points = np.tile(self._centre(box), (len(grid), 1))
        points[:, tangential] += grid * self.half[tangential]
        points[:, face.axis] = face.value
        return points


def make_cells(domain: Domain, counts: tuple[int, ...]) -> Cells:
    """Put a grid of boxes over a domain and leave out what lies outside it.

    A box of which little lies in the domain is represented by the neighbour of which most does: features on a sliver
    would hardly be determined.

    Args:
        domain: space and time.
        counts: boxes along each coordinate.
    """
    boxes = np.arange(int(np.prod(counts)))
    if domain.is_box:
        return Cells(domain, counts, boxes, boxes, np.ones(len(boxes), dtype=bool))
    share = _shares(domain, counts)
    hosts = np.full(len(boxes), -1)
    kept = np.flatnonzero(share >= min(_SLIVER, share.max()))
    hosts[kept] = np.arange(len(kept))
    places = np.stack(np.unravel_index(boxes, counts), 1)
    for box in np.flatnonzero(hosts < 0):
        distance = np.abs(places[kept] - places[box]).sum(1)
        nearest = np.flatnonzero(distance == distance.min())
        hosts[box] = nearest[np.argmax(share[kept][nearest])]
    joined = np.unique(hosts[(share > 0) & ~np.isin(boxes, kept)])
    whole = share[kept] == 1
    whole[joined] = False
    return Cells(domain, counts, hosts, kept, whole)


def _shares(domain: Domain, counts: tuple[int, ...]) -> np.ndarray:
    """Return how much of each box lies in the domain, (boxes,)."""
    dimension = len(counts)
    low, high = domain.bounds.T
    half = 0.5 * (high - low) / np.array(counts)
    unit = 2 * qmc.Sobol(dimension, scramble=False).random_base2(_PROBES) - 1  # the low corner among them
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=dimension)))
    probes = np.concatenate([unit, (1 - 1e-9) * corners])
    found = []
    for box in itertools.product(*map(range, counts)):
        inside = domain.contains(low + (2 * np.array(box) + 1) * half + half * probes)
        found.append(inside.mean())
    return np.array(found)
