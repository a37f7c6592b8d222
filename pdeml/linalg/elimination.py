"""In which order the blocks of a sparse least-squares problem are eliminated, and what that costs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pdeml.errors import InputError

__all__ = ["Elimination", "eliminate"]


@dataclass(frozen=True)
class Elimination:
    """An order of elimination.

    Args:
        order: the blocks.
        others: for each of them, the blocks left that its rows touch, in the order in which they follow.
        bytes: memory at most held at once: triangles found so far, rows not yet reduced, the front and a copy of it.
        operations: multiplications, about.
    """

    order: tuple[int, ...]
    others: tuple[tuple[int, ...], ...]
    bytes: int
    operations: float

    @cached_property
    def place(self) -> dict[int, int]:
        """Position of each block in the order."""
        return {block: k for k, block in enumerate(self.order)}


def eliminate(rows: Mapping[tuple[int, ...], int], sizes: Sequence[int]) -> Elimination:
    """Order blocks by minimum degree: next comes the block whose rows touch the fewest unknowns.

    Args:
        rows: how many rows touch which blocks.
        sizes: number of unknowns of each block.

    Raises:
        InputError: a block has no rows.
    """
    near: list[set[int]] = [set() for _ in sizes]
    touched: set[int] = set()
    for blocks in rows:
        touched.update(blocks)
        for a, b in itertools.permutations(blocks, 2):
            near[a].add(b)
    if len(touched) < len(sizes):
        missing = next(k for k in range(len(sizes)) if k not in touched)
        raise InputError(f"no row touches block {missing} of the unknowns")
    order, others = _minimum_degree(near, sizes)
    return Elimination(order, others, *_cost(rows, sizes, order, others))


def _minimum_degree(near: list[set[int]], sizes: Sequence[int]) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    def degree(block: int) -> int:
        return sum(sizes[other] for other in near[block])

    heap = [(degree(block), block) for block in range(len(sizes))]
    heapq.heapify(heap)
    order: list[int] = []
    others: list[set[int]] = []
    done: set[int] = set()
    while heap:
        at, block = heapq.heappop(heap)
        if block in done or at != degree(block):
            continue
        done.add(block)
        order.append(block)
        others.append(near[block])
        for other in near[block]:
            near[other] |= near[block]
            near[other] -= {block, other}
        for other in near[block]:
            heapq.heappush(heap, (degree(other), other))
    place = {block: k for k, block in enumerate(order)}
    return tuple(order), tuple(tuple(sorted(found, key=place.__getitem__)) for found in others)


def _cost(
    rows: Mapping[tuple[int, ...], int],
    sizes: Sequence[int],
    order: Sequence[int],
    others: Sequence[tuple[int, ...]],
) -> tuple[int, float]:
    """Return 8 bytes times the most numbers held at once, and the multiplications of the factorisations."""
    place = {block: k for k, block in enumerate(order)}
    waiting: list[list[tuple[int, int]]] = [[] for _ in sizes]  # (rows, columns) by the block that takes them up
    for blocks, count in rows.items():
        waiting[min(blocks, key=place.__getitem__)].append((count, sum(sizes[block] for block in blocks)))
    held = sum(n * m for group in waiting for n, m in group)
    most, operations = held, 0.0
    for block, left in zip(order, others, strict=True):
        right = sum(sizes[other] for other in left)
        tall = sum(n for n, _ in waiting[block])
        most = max(most, held + 2 * tall * (sizes[block] + right))
        held -= sum(n * m for n, m in waiting[block])
        held += sizes[block] * (sizes[block] + right)
        rest = max(tall - sizes[block], 0)
        below = min(rest, right)
        operations += float(tall) * sizes[block] * (sizes[block] + 2 * right) + float(rest) * right**2
        if left:
            waiting[left[0]].append((below, right))
            held += below * right
    return 8 * most, operations
