"""One axis without its joints and conditions: cardinal functions of the collocation points that are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import lstsq, solve_triangular

from pdeml.errors import InputError
from pdeml.tensor.axis import AxisBasis

__all__ = ["Reduced", "along", "matrix_of", "reduce"]

DEPENDENT = 1e-12
"""Rows whose triangular factor falls below this share of its largest entry say something twice."""
FLAT = 1e-12
"""Functions whose derivative is below this share of the largest are not changed."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """The functions of a basis that meet its joints, split into a part for the conditions and one for the equation.

    A function with coefficients c meets the joints; r rows R of conditions act on it. Then
    ``c = lift R c + cardinal v`` with n = m − q − r numbers v, where ``R lift = 1`` and ``R cardinal = 0``. The
    equation is collocated at N ≥ n nodes, and v follow from the values of the second part there:
    ``test · values at nodes of cardinal = 1``.

    Args:
        basis: m functions.
        rows: R, (r, m).
        nodes: where the equation is collocated, (N,).
        lift: (m, r).
        cardinal: (m, n).
        test: what makes n equations of N, (n, N); None for the unit matrix.
        places: where a function is sampled to be represented, (K,).
        fit: from values at ``places`` to coefficients that meet the joints, (m, K).
    """

    basis: AxisBasis
    rows: np.ndarray
    nodes: np.ndarray
    lift: np.ndarray
    cardinal: np.ndarray
    test: np.ndarray | None
    places: np.ndarray
    fit: np.ndarray

    def derivative(self, order: int) -> np.ndarray:
        """Return the matrix (N, n) from v to a derivative at the nodes of the functions without conditions."""
        return matrix_of(self.basis, self.nodes, order) @ self.cardinal

    def tested(self, values: np.ndarray) -> np.ndarray:
        """Return the n equations for values (N, …) at the nodes."""
        return values if self.test is None else self.test @ values


def reduce(basis: AxisBasis, rows: np.ndarray, low: int, high: int, name: str, square: bool = True) -> Reduced:
    """Eliminate joints and conditions from an axis.

    Args:
        basis: m functions with q joints.
        rows: conditions (r, m), each acting on coefficients.
        low: how many of them hold at the low end.
        high: and at the high end; r in all.
        name: of the coordinate, for messages.
        square: collocate at as many nodes as there are functions. Otherwise there are twice as many, and the equation
            is tested by least squares: Gauss points are blind to the Legendre polynomial of which they are the zeros,
            which is continuous and periodic where an equation of odd order is.

    Raises:
        InputError: the conditions are not independent, or more than the functions.
    """
    joints = basis.joints.cpu().numpy()
    free = _factored(_scaled(joints).T, f"the joints along {name}")[0][:, len(joints) :]
    if len(rows) >= free.shape[1]:
        raise InputError(f"{free.shape[1]} functions along {name} cannot meet {len(rows)} conditions; take more")
    places = _refined(basis)
    fit = free @ _left_inverse(matrix_of(basis, places, 0) @ free)
    q, r = _factored((_scaled(rows) @ free).T, f"the conditions along {name}")
    kept = free @ q[:, len(rows) :]
    if square:
        nodes, test = basis.nodes(low, high).cpu().numpy(), None
        cardinal = np.linalg.solve((matrix_of(basis, nodes, 0) @ kept).T, kept.T).T
    else:
        nodes, cardinal = places[1:-1], kept
        test = _left_inverse(matrix_of(basis, nodes, 0) @ kept)
    lift = np.zeros((basis.size, 0))
    if len(rows):  # of all right inverses the smoothest: polynomials below degree r where these can do it
        lift = free @ np.linalg.solve(r, q[:, : len(rows)].T).T / np.abs(rows).max(1)
        bent = matrix_of(basis, nodes, len(rows))
        lift = lift - cardinal @ lstsq(bent @ cardinal, bent @ lift, cond=FLAT, lapack_driver="gelsy")[0]
    return Reduced(basis, rows, nodes, lift, cardinal, test, places, fit)


def matrix_of(basis: AxisBasis, x: np.ndarray, order: int) -> np.ndarray:
    """Return the derivatives of a basis at points, (N, m)."""
    return basis.matrix(torch.from_numpy(np.ascontiguousarray(x)), order).cpu().numpy()


def along(matrix: np.ndarray, array: np.ndarray, axis: int) -> np.ndarray:
    """Multiply an array by a matrix along one of its axes."""
    axis %= array.ndim
    if axis == array.ndim - 1:
        return array @ matrix.T
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    found = matrix @ array.reshape(*before, array.shape[axis], -1)
    return found.reshape(*before, len(matrix), *after)


def _scaled(rows: np.ndarray) -> np.ndarray:
    return rows / np.abs(rows).max(1, keepdims=True) if len(rows) else rows


def _refined(basis: AxisBasis) -> np.ndarray:
    """Return the nodes of an axis without conditions, its ends, and the places half-way between all these."""
    ends = np.array([basis.low, basis.high])
    coarse = np.unique(np.concatenate([basis.nodes(0, 0).cpu().numpy(), ends]))
    return np.unique(np.concatenate([coarse, 0.5 * (coarse[1:] + coarse[:-1])]))


def _left_inverse(matrix: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(matrix)
    return solve_triangular(r, q.T)


def _factored(columns: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a full orthogonal basis (m, m) that begins with the span of the columns, and the triangle (r, r)."""
    size, count = columns.shape
    if count == 0:
        return np.eye(size), np.zeros((0, 0))
    q, r = np.linalg.qr(columns, mode="complete")
    pivots = np.abs(np.diag(r[:count]))
    if pivots.min() < DEPENDENT * pivots.max():
        raise InputError(f"{what} are not independent of each other")
    return q, r[:count]
