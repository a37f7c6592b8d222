"""Sums of one-axis operators against the full matrix."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pdeml.tensor.kronecker_sum import KroneckerSum, Singular


def full(matrices: list[np.ndarray]) -> np.ndarray:
    sizes = [len(matrix) for matrix in matrices]
    return sum(
        functools.reduce(np.kron, [matrix if j == k else np.eye(n) for j, n in enumerate(sizes)])
        for k, matrix in enumerate(matrices)
    )


def jordan(size: int, value: float) -> np.ndarray:
    return value * np.eye(size) + np.eye(size, k=1)


def normal(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((size, size)))[0]
    return q @ np.diag(rng.uniform(1.0, 2.0, size)) @ q.T


def turning(size: int, seed: int) -> np.ndarray:
    """Complex pairs of eigenvalues with positive real part."""
    return np.random.default_rng(seed).standard_normal((size, size)) + 2.0 * size * np.eye(size)


def swirling(pairs: int, value: complex) -> np.ndarray:
    """Complex pairs of eigenvalues, all alike and defective."""
    block = np.array([[value.real, value.imag], [-value.imag, value.real]])
    return np.kron(np.eye(pairs), block) + np.kron(np.eye(pairs, k=1), np.eye(2))


CASES = {
    "two diagonal": [normal(5, 0), normal(7, 1)],
    "complex pairs": [turning(5, 0), turning(6, 1)],
    "one triangular": [normal(5, 0), jordan(7, 0.5)],
    "two triangular": [jordan(5, 0.5), jordan(6, 0.7)],
    "triangular first, two diagonal": [jordan(5, 0.5), normal(4, 1), normal(3, 2)],
    "diagonal between two triangular": [jordan(5, 0.5), normal(4, 1), jordan(3, 0.2)],
    "three triangular": [jordan(4, 0.5), jordan(5, 0.3), jordan(3, 0.2)],
    "four axes": [normal(3, 0), jordan(4, 0.5), normal(2, 1), normal(3, 2)],
    "two triangular, complex pairs": [swirling(2, 1.0 + 2.0j), swirling(3, 0.7 + 0.4j)],
    "one axis": [jordan(6, 0.5)],
    "the same twice": [normal(5, 3), normal(5, 3)],
}


@pytest.mark.parametrize("name", CASES)
def test_solves_like_the_full_matrix(name: str):
    matrices = CASES[name]
    right = np.random.default_rng(9).standard_normal([len(matrix) for matrix in matrices])
    (found,) = KroneckerSum(matrices).solve(right[None])
    np.testing.assert_allclose(full(matrices) @ found.ravel(), right.ravel(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_coupled_functions_are_solved_like_the_full_matrix(name: str):
    matrices, rng = CASES[name], np.random.default_rng(4)
    couplings = rng.standard_normal((len(matrices) + 1, 2, 2)) + 3.0 * np.eye(2)
    sizes = [len(matrix) for matrix in matrices]
    whole = np.kron(couplings[0], np.eye(np.prod(sizes)))
    for k, coupling in enumerate(couplings[1:]):
        alone = [matrix if j == k else np.zeros_like(matrix) for j, matrix in enumerate(matrices)]
        whole += np.kron(coupling, full(alone))
    right = rng.standard_normal([2, *sizes])
    found = KroneckerSum(matrices, couplings).solve(right)
    np.testing.assert_allclose(whole @ found.ravel(), right.ravel(), rtol=0, atol=1e-9)


def test_normal_axes_are_diagonalised_and_defective_ones_are_not():
    assert KroneckerSum([normal(5, 0), jordan(7, 0.5)]).diagonal == (True, False)
    assert KroneckerSum([turning(5, 0), swirling(2, 1.0 + 2.0j)]).diagonal == (True, False)


@pytest.mark.parametrize("second", [-1.0, -1.0 + 1e-15])
def test_eigenvalues_that_cancel_are_refused(second: float):
    with pytest.raises(Singular, match="do not determine the solution"):
        KroneckerSum([np.diag([1.0, 2.0]), np.diag([5.0, second])])
