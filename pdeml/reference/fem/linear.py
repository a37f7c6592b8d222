"""Sparse linear systems: factorised directly, or by conjugate gradients with algebraic multigrid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import block_array, csc_array, csr_array
from scipy.sparse.linalg import LinearOperator, cg, splu

from pdeml.errors import DivergenceError, InputError

__all__ = [
    "DIRECT_LIMIT",
    "ITERATIVE_TOLERANCE",
    "conjugate_gradients",
    "factorised",
    "multigrid",
    "solved_with_mean_zero",
]

DIRECT_LIMIT = 60_000
"""Definite systems with more unknowns are solved by multigrid; below this a factorisation is as fast."""
ITERATIVE_TOLERANCE = 1e-11
_MOST_ITERATIONS = 300

Solve = Callable[[np.ndarray], np.ndarray]


def factorised(matrix: csc_array, definite: bool = False) -> Solve:
    """Return the map from right-hand sides to solutions.

    Args:
        matrix: square.
        definite: whether it is symmetric and positive or negative definite; only then large ones go to multigrid.
    Raises:
        DivergenceError: the matrix is singular.
    """
    if definite and matrix.shape[0] > DIRECT_LIMIT:
        precondition = multigrid(matrix)
        return lambda right: conjugate_gradients(matrix, right, precondition)
    options = {"permc_spec": "MMD_AT_PLUS_A", "options": {"SymmetricMode": True}, "diag_pivot_thresh": 0.1}
    try:
        return splu(csc_array(matrix), **(options if definite else {})).solve
    except RuntimeError:
        raise DivergenceError("the linear system is singular: the conditions do not determine the solution") from None


def multigrid(matrix: csc_array) -> LinearOperator:
    """Return one cycle of algebraic multigrid (Ruge & Stuben 1987, in pyamg) for a symmetric definite matrix.

    Raises:
        InputError: pyamg is not installed.
    """
    try:
        import pyamg
    except ImportError:
        raise InputError("so large a system needs pyamg: pip install 'pdeml[fem]'") from None
    from scipy.sparse import csr_matrix, safely_cast_index_arrays

    sign = float(np.sign(matrix.diagonal().sum()))
    rows = csr_matrix(sign * csr_array(matrix))
    rows.indices, rows.indptr = safely_cast_index_arrays(rows, np.int32)  # pyamg takes no others
    hierarchy = pyamg.ruge_stuben_solver(rows, max_coarse=500)
    cycle = hierarchy.aspreconditioner(cycle="V")
    return LinearOperator(matrix.shape, matvec=lambda x: sign * cycle.matvec(x), dtype=np.float64)


def conjugate_gradients(
    matrix: csc_array | LinearOperator,
    right: np.ndarray,
    precondition: LinearOperator,
    tolerance: float = ITERATIVE_TOLERANCE,
    callback: Callable[[np.ndarray], None] | None = None,
) -> np.ndarray:
    """Solve a symmetric definite system to a relative residual of ``tolerance``.

    Raises:
        DivergenceError: this takes too many iterations.
    """
    found, failed = cg(matrix, right, rtol=tolerance, maxiter=_MOST_ITERATIONS, M=precondition, callback=callback)
    if failed or not np.isfinite(found).all():
        raise DivergenceError(f"conjugate gradients did not converge within {_MOST_ITERATIONS} iterations")
    return found


def solved_with_mean_zero(matrix: csc_array, weights: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve a system whose kernel are the constants, for the solution with ``weights · u = 0``.

    Returns: the solution, and the multiplier: how far, per unit of measure, the data are from being compatible.
    """
    column = csc_array(weights[:, None])
    bordered = csc_array(block_array([[matrix, column], [column.T, None]]))
    found = factorised(bordered)(np.append(right, 0.0))
    return found[:-1], float(found[-1])
