"""Systems of velocity and pressure: one sparse factorisation with the boundary values taken out.

The unknowns are ordered by nested dissection of the plane (George, SIAM J. Numer. Anal. 10 (1973) 345-363): the domain
is cut in two along a line of nodes, these come last, and each half is cut again. Within a group velocities come before
pressures, so that the zeros on the diagonal are filled before they are pivots.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import block_array, csc_array, csr_array, kron
from scipy.sparse.linalg import splu

from pdeml.errors import DivergenceError
from pdeml.reference.flow.space import TaylorHood

__all__ = ["Elimination", "Saddle"]

PIVOT = 1e-3
"""Diagonal entries are pivots unless this much smaller than others: it keeps the ordering, hence sparsity."""
LEAF = 60
"""So few unknowns are not cut further."""


class Elimination:
    """Which unknowns of ``A u + Bᵀ p = f``, ``B u = 0`` are free, and in which order they are eliminated.

    Args:
        space: of velocity and pressure; B is its divergence.
        fixed: which of the 2 N values of velocity are given.
        enclosed: whether all boundary values are given, so that the pressure has a free constant; its mean is then 0,
            and what the boundary values let in or out in sum by rounding is taken from the whole domain evenly.
    """

    def __init__(self, space: TaylorHood, fixed: np.ndarray, enclosed: bool):
        self.space, self.enclosed = space, enclosed
        self.free = np.flatnonzero(~fixed)
        self.kept = np.arange(space.divergence.shape[0] - (1 if enclosed else 0))
        self.divergence = space.divergence[self.kept][:, self.free]
        coupled = csr_array(kron(np.ones((2, 2)), space.mass))[self.free][:, self.free]
        graph = csr_array(block_array([[abs(coupled), abs(self.divergence.T)], [abs(self.divergence), None]]))
        places = np.concatenate([np.tile(space.nodes, (2, 1))[self.free], space.vertices[self.kept]])
        self.order = _dissected(graph, places, np.arange(len(places)) >= len(self.free))


class Saddle:
    """``A u + Bᵀ p = f``, ``B u = 0`` with u given at some nodes, factorised.

    Args:
        elimination: of the unknowns.
        matrix: A (2 N, 2 N).
    Raises:
        DivergenceError: the matrix is singular or not finite.
    """

    def __init__(self, elimination: Elimination, matrix: csr_array):
        self._elimination = elimination
        free, order, divergence = elimination.free, elimination.order, elimination.divergence
        self._rows = csr_array(matrix)[free]
        inner = self._rows[:, free]
        self._scale = float(np.abs(inner.diagonal()).mean())
        whole = csr_array(block_array([[inner / self._scale, divergence.T], [divergence, None]]))
        self._matrix = csc_array(whole[order][:, order])
        try:
            self._factor = splu(
                self._matrix, permc_spec="NATURAL", diag_pivot_thresh=PIVOT, options={"SymmetricMode": True}
            )
        except RuntimeError as error:
            raise DivergenceError(f"the equations of the flow could not be solved: {error}") from None

    def solve(self, load: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return velocity (2, N) and pressure (M,).

        Args:
            load: f (2, N).
            given: (2, N), the boundary values at the nodes that are fixed, zero elsewhere.
        """
        elimination, velocity = self._elimination, given.ravel().copy()
        space, free, kept = elimination.space, elimination.free, elimination.kept
        defect = -(space.divergence @ velocity)
        if elimination.enclosed:
            defect -= space.pressure_weights * (defect.sum() / space.pressure_weights.sum())
        right = np.concatenate([(load.ravel()[free] - self._rows @ velocity) / self._scale, defect[kept]])
        ordered = right[elimination.order]
        solution = self._factor.solve(ordered)
        solution += self._factor.solve(ordered - self._matrix @ solution)
        found = np.empty_like(solution)
        found[elimination.order] = solution
        velocity[free] = found[: len(free)]
        pressure = np.zeros(len(defect))
        pressure[kept] = self._scale * found[len(free) :]
        if elimination.enclosed:
            pressure -= space.pressure_weights @ pressure / space.pressure_weights.sum()
        return velocity.reshape(2, -1), pressure


def _dissected(graph: csr_array, places: np.ndarray, late: np.ndarray) -> np.ndarray:
    """Return the order in which unknowns at places (K, 2) with the given couplings (K, K) are eliminated.

    Args:
        late: which of them (K,) come last within a group.
    """
    order: list[np.ndarray] = []
    waiting = [np.arange(len(places))]
    while waiting:  # groups come from the end of the order to its beginning: first a cut, then its two halves
        group = waiting.pop()
        x = places[group]
        line = x[:, np.argmax(np.ptp(x, axis=0))] if len(group) > LEAF else np.zeros(len(group))
        lower = line <= np.median(line) * (1 - 1e-12)
        upper = group[~lower]
        if not lower.any() or not len(upper):
            order.append(group[np.argsort(late[group], kind="stable")])
            continue
        marked = np.zeros(len(places))
        marked[group[lower]] = 1.0
        touching = graph[upper] @ marked > 0
        cut = upper[touching]
        order.append(cut[np.argsort(late[cut], kind="stable")])
        waiting += [part for part in (group[lower], upper[~touching]) if len(part)]
    return np.concatenate(order[::-1])
