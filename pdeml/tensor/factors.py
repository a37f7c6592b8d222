"""Factors of sparse and full matrices, with rows and columns scaled, and an error where a matrix is singular."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.sparse.linalg import splu

from pdeml.errors import DivergenceError

__all__ = ["full_solver", "sparse_solver"]

Solver = Callable[[np.ndarray], np.ndarray]
DENSE = 200
"""Up to this size, and from this share of entries on, a matrix is factorised as a full one."""
FULL = 0.25
SMALLEST_PIVOT = 1e-15
SINGULAR = "the equations and conditions do not determine the solution: their matrix is singular"
NOT_FINITE = "the equations have no finite value on the way to a solution"


def sparse_solver(matrix: csr_array) -> Solver:
    """Return what solves with a matrix (N, N), for right sides (N,).

    Raises:
        DivergenceError: it is singular or not finite.
    """
    size = matrix.shape[0]
    if size <= DENSE or matrix.nnz > FULL * size**2:
        return full_solver(matrix.toarray())
    if not np.all(np.isfinite(matrix.data)):
        raise DivergenceError(NOT_FINITE)
    rows = _reciprocal(abs(matrix).max(axis=1).toarray().ravel())
    scaled = diags_array(rows) @ matrix
    columns = _reciprocal(abs(scaled).max(axis=0).toarray().ravel())
    try:
        factors = splu(csc_array(scaled @ diags_array(columns)))
    except RuntimeError:
        raise DivergenceError(SINGULAR) from None
    _check(factors.U.diagonal())
    return lambda right: columns * factors.solve(rows * right)


def full_solver(matrix: np.ndarray) -> Solver:
    """Return what solves with a full matrix (N, N), for right sides of N numbers in any shape.

    Raises:
        DivergenceError: it is singular or not finite.
    """
    if not np.all(np.isfinite(matrix)):
        raise DivergenceError(NOT_FINITE)
    rows = _reciprocal(np.abs(matrix).max(1))
    scaled = rows[:, None] * matrix
    columns = _reciprocal(np.abs(scaled).max(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        factors = lu_factor(scaled * columns, check_finite=False)
    _check(np.diag(factors[0]))

    def solve(right: np.ndarray) -> np.ndarray:
        found = columns * lu_solve(factors, rows * right.ravel(), check_finite=False)
        return found.reshape(right.shape)

    return solve


def _check(pivots: np.ndarray) -> None:
    if np.abs(pivots).min() < SMALLEST_PIVOT * np.abs(pivots).max():
        raise DivergenceError(SINGULAR)


def _reciprocal(sizes: np.ndarray) -> np.ndarray:
    if not np.all(sizes):
        raise DivergenceError(SINGULAR)
    return 1.0 / sizes
