"""Newton's method with damping, for collocated equations, and the linear systems in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgWarning, get_lapack_funcs, lu_factor, lu_solve
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import splu

from pdeml.errors import DivergenceError

__all__ = ["DENSE", "Solve", "factorised", "inverted", "newton"]

Solve = Callable[[np.ndarray], np.ndarray]
"""Maps right-hand sides (N, B) to solutions (N, B) of a linear system."""

STEPS = 100
SMALLEST_DAMPING = 1e-8
SQUARED = 1e-8
"""A full step of this size, relative to the solution, leaves an error of its square."""
SINGULAR = "the linearised equations are singular: the conditions do not determine the solution"
SMALLEST_PIVOT = 1e-15
"""And the smallest reciprocal condition number: pivots alone do not show that a matrix is singular."""
DENSE = 160
"""Up to this size a full matrix is factorised faster than a sparse one."""


def newton(
    residual: Callable[[np.ndarray], np.ndarray], linearised: Callable[[np.ndarray], Solve], start: np.ndarray
) -> np.ndarray:
    """Solve ``residual(y) = 0`` for several columns, each with its own damping.

    A step is shortened until the next one, with the old matrix, is shorter: this test does not depend on how the
    equations are scaled.

    Args:
        residual: maps (N, B) to (N, B), column by column.
        linearised: maps (N, B) to what solves with the derivative there.
        start: (N, B).
    Returns: (N, B).
    Raises:
        DivergenceError: it does not converge, or the matrix is singular.
    Reference: Deuflhard, Newton Methods for Nonlinear Problems (2004), section 3.3.
    """
    y, damping = start, np.ones(start.shape[1])
    found = residual(y)
    for _ in range(STEPS):
        solve = linearised(y)
        step = -solve(found)
        length = _longest(step)
        if not np.all(np.isfinite(length)):
            raise DivergenceError("the equations have no finite value where Newton's method begins")
        done = length <= SQUARED * _longest(y)
        if np.all(done):
            return y + step
        damping = np.where(done, 1.0, damping)
        while True:
            trial = y + damping * step
            found = residual(trial)
            worse = ~(done | (_longest(solve(found)) <= (1.0 - damping / 4.0) * length))
            if not np.any(worse):
                break
            damping = np.where(worse, damping / 2.0, damping)
            if damping.min() < SMALLEST_DAMPING:
                raise DivergenceError("Newton's method comes no nearer to a solution: more points, or there is none")
        y, damping = trial, np.minimum(1.0, 2.0 * damping)
    raise DivergenceError(f"Newton's method did not converge within {STEPS} steps")


def _longest(columns: np.ndarray) -> np.ndarray:
    return np.abs(columns).max(axis=0, initial=0.0)


def factorised(matrix: csc_array) -> Solve:
    """Return the solution operator of a real or complex matrix.

    Raises:
        DivergenceError: it is singular, or not finite.
    """
    if not np.all(np.isfinite(matrix.data)):
        raise DivergenceError("the linearised equations are not finite")
    rows = _reciprocal(abs(matrix).max(axis=1).toarray().ravel())
    scaled = diags_array(rows) @ matrix
    columns = _reciprocal(abs(scaled).max(axis=0).toarray().ravel())
    solve = _solver((scaled @ diags_array(columns)).tocsc())
    return lambda right: columns[:, None] * solve(rows[:, None] * right)


def inverted(matrices: np.ndarray) -> Solve:
    """Return what solves with one matrix of ``matrices`` (B, N, N) for each column.

    Raises:
        DivergenceError: one is singular, or not finite.
    """
    if not np.all(np.isfinite(matrices)):
        raise DivergenceError("the linearised equations are not finite")
    rows = _reciprocal(np.abs(matrices).max(axis=2))
    scaled = rows[:, :, None] * matrices
    columns = _reciprocal(np.abs(scaled).max(axis=1))
    try:
        inverse = np.linalg.inv(scaled * columns[:, None, :])
    except np.linalg.LinAlgError:
        raise DivergenceError(SINGULAR) from None
    if np.abs(inverse).max() > 1.0 / SMALLEST_PIVOT:
        raise DivergenceError(SINGULAR)
    return lambda right: columns.T * np.einsum("bij,jb->ib", inverse, rows.T * right)


def _solver(matrix: csc_array) -> Solve:
    """Return the solution operator of a matrix whose rows and columns have entries of order one."""
    if matrix.shape[0] > DENSE:
        try:
            factors = splu(matrix)
        except RuntimeError:
            raise DivergenceError(SINGULAR) from None
        pivots, solve = factors.U.diagonal(), factors.solve
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LinAlgWarning)
            full = lu_factor(matrix.toarray(), check_finite=False)
        pivots = full[0].diagonal()
        (condition,) = get_lapack_funcs(("gecon",), (full[0],))
        if condition(full[0], abs(matrix).sum(axis=0).max())[0] < SMALLEST_PIVOT:
            raise DivergenceError(SINGULAR)

        def solve(right: np.ndarray) -> np.ndarray:
            return lu_solve(full, right, check_finite=False)

    if np.abs(pivots).min() < SMALLEST_PIVOT * np.abs(pivots).max():
        raise DivergenceError(SINGULAR)
    return solve


def _reciprocal(sizes: np.ndarray) -> np.ndarray:
    if not np.all(sizes):
        raise DivergenceError(SINGULAR)
    return 1.0 / sizes
