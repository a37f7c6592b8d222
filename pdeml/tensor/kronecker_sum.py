"""Sums of operators that act along one axis each: Bartels-Stewart and fast diagonalisation in any dimension."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, rsf2csf, schur

from pdeml.errors import DivergenceError
from pdeml.tensor.reduced import along

__all__ = ["KroneckerSum", "Singular"]

MOST_CONDITION = 1e6
"""Eigenvectors with a larger condition number are not used: the axis is brought to Schur form instead."""
SMALLEST = 1e-14
"""An eigenvalue of the sum below this share of the largest one counts as zero."""


class Singular(DivergenceError):
    """The sum of operators has an eigenvalue zero."""


@dataclass(frozen=True, eq=False)
class _Form:
    """``S = V T V⁻¹`` with T triangular (n, n), or the vector (n,) of its diagonal."""

    vectors: np.ndarray
    inverse: np.ndarray
    middle: np.ndarray

    @property
    def is_diagonal(self) -> bool:
        return self.middle.ndim == 1

    @property
    def eigenvalues(self) -> np.ndarray:
        return self.middle if self.is_diagonal else np.diag(self.middle)


class KroneckerSum:
    """Solves ``M_0 X + Σ_k M_k S_k ×_k X = F`` for U coupled functions on a grid, X and F (U, n_1, …, n_d).

    Axes whose matrix has well-conditioned eigenvectors are diagonalised, the others (first derivatives with a condition
    at one end, whose matrices are far from normal) brought to complex Schur form. Triangular axes are eliminated by
    back substitution in halves, the last two of one function by LAPACK's triangular Sylvester solver.

    Args:
        matrices: S_k, (n_k, n_k).
        couplings: M_0, …, M_d, (d + 1, U, U); by default one function, M_0 zero and the others one.

    Raises:
        Singular: the sum has an eigenvalue zero.
    Reference: Bartels & Stewart, Comm. ACM 15 (1972) 820-826; Lynch, Rice & Thomas, Numer. Math. 6 (1964) 185-199.
    """

    def __init__(self, matrices: Sequence[np.ndarray], couplings: np.ndarray | None = None):
        if couplings is None:
            couplings = np.array([0.0, *np.ones(len(matrices))])[:, None, None]
        forms: list[_Form] = []
        for k, matrix in enumerate(matrices):
            same = next((forms[j] for j in range(k) if np.array_equal(matrices[j], matrix)), None)
            forms.append(same or _form(matrix))
        self._forms, self._couplings = forms, couplings
        # Triangular axes first: those that are diagonal are then done all at once.
        self._order = sorted(range(len(forms)), key=lambda k: forms[k].is_diagonal)
        sizes = np.abs(np.linalg.det(self._summed(range(len(forms)))))
        if not sizes.min() > SMALLEST ** len(couplings[0]) * sizes.max():
            raise Singular("the equation and its conditions do not determine the solution: an eigenvalue is zero")

    @property
    def diagonal(self) -> tuple[bool, ...]:
        """Which axes are diagonalised."""
        return tuple(form.is_diagonal for form in self._forms)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return X for F of the same shape, both real."""
        found = right
        for k, form in enumerate(self._forms):
            found = along(form.inverse, found, k + 1)
        found = found.transpose([*(k + 1 for k in self._order), 0])
        triangular = [k for k in self._order if not self._forms[k].is_diagonal]
        triangles = [_Triangle(self._forms[k].middle, self._couplings[k + 1]) for k in triangular]
        shift = self._summed(self._order[len(triangles) :])
        found = _solved(np.ascontiguousarray(found), triangles, shift)
        found = found.transpose([len(self._order), *np.argsort(self._order)])
        for k, form in enumerate(self._forms):
            found = along(form.vectors, found, k + 1)
        return np.ascontiguousarray(found.real)

    def _summed(self, axes: Iterable[int]) -> np.ndarray:
        """Return ``M_0 + Σ λ_k M_k`` for all combinations of eigenvalues of some axes, (*n, U, U)."""
        total = self._couplings[0]
        for k in axes:
            total = total[..., None, :, :] + self._forms[k].eigenvalues[:, None, None] * self._couplings[k + 1]
        return total


@dataclass(frozen=True, eq=False)
class _Triangle:
    """A part ``M T ×`` of the sum along one axis."""

    matrix: np.ndarray
    coupling: np.ndarray

    def part(self, rows: slice) -> _Triangle:
        return _Triangle(self.matrix[rows, rows], self.coupling)


def _form(matrix: np.ndarray) -> _Form:
    values, vectors = np.linalg.eig(matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            inverse = np.linalg.inv(vectors)
        except np.linalg.LinAlgError:
            inverse = np.full_like(vectors, np.inf)
    condition = np.linalg.norm(vectors, 1) * np.linalg.norm(inverse, 1)
    if condition < MOST_CONDITION * np.sqrt(len(matrix)):
        return _Form(vectors, inverse, values)
    triangle, unitary = rsf2csf(*schur(matrix))
    return _Form(unitary, unitary.conj().T, triangle)


def _solved(right: np.ndarray, triangles: Sequence[_Triangle], shift: np.ndarray) -> np.ndarray:
    """Solve with upper triangular matrices along the first axes of F (*n, U) and ``shift`` along the others."""
    if not triangles:
        return right / shift[..., 0] if shift.shape[-1] == 1 else np.linalg.solve(shift, right[..., None])[..., 0]
    if len(triangles) == 2 and shift.shape[-1] == 1:
        return _sylvester(right, triangles, shift)
    first, rest = triangles[0], triangles[1:]
    if len(right) == 1:
        return _solved(right[0], rest, shift + first.matrix[0, 0] * first.coupling)[None]
    half = len(right) // 2
    below = _solved(right[half:], [first.part(slice(half, None)), *rest], shift)
    coupled = (first.matrix[:half, half:] @ below.reshape(len(below), -1)).reshape(right[:half].shape)
    above = _solved(right[:half] - coupled @ first.coupling.T, [first.part(slice(half)), *rest], shift)
    return np.concatenate([above, below])


def _sylvester(right: np.ndarray, triangles: Sequence[_Triangle], shift: np.ndarray) -> np.ndarray:
    one, two = (np.asfortranarray(triangle.matrix * triangle.coupling[0, 0], dtype=complex) for triangle in triangles)
    shifts = shift[..., 0]
    found = np.empty(right.shape, dtype=complex)
    for place in np.ndindex(shifts.shape):
        moved = one + shifts[place] * np.eye(len(one))
        # The second factor acts from the right as its transpose; LAPACK knows the adjoint, so its conjugate is taken.
        solution, scale, _ = lapack.ztrsyl(moved, two.conj(), right[(..., *place)].astype(complex), tranb="C")
        found[(..., *place)] = solution / scale
    return found
