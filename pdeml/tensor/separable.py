"""The part of an operator on a grid that is a sum of operators along one axis each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pdeml.lower import Index
from pdeml.tensor.kronecker_sum import KroneckerSum, Singular

__all__ = ["SeparablePart"]

EXACT = 1e-12
STEEPEST = 1e-3
"""An equation is not divided by a coefficient that falls below this share of its largest value."""
SHIFT = 1e-6


Derivative = Callable[[int, int], np.ndarray]
"""(axis, order) -> the matrix of a derivative at the nodes, (N, n)."""


@dataclass(frozen=True, eq=False)
class SeparablePart:
    """``M_0 + Σ_k M_k S_k ≈ factor · L`` for ``L = Σ_α c_α ∂^α`` on a grid, with matrices c_α for U unknowns.

    Each S_k takes the derivatives along axis k, with their coefficients averaged over the other axes; what multiplies
    the function itself is replaced by the best sum of functions of one coordinate. With several unknowns all of them
    share S_k, the one that leaves least out. One equation is first multiplied by the function that leaves least out:
    Laplace's equation in polar coordinates is separable times r².

    Args:
        factor: what the equation is multiplied by, on the grid or one.
        inverse: solves with the sum.
        exact: whether nothing is left out.
    """

    factor: np.ndarray
    inverse: KroneckerSum
    exact: bool

    @classmethod
    def of(
        cls,
        coefficients: Mapping[Index, np.ndarray],
        derivative: Derivative,
        tested: Callable[[int, np.ndarray], np.ndarray],
    ) -> SeparablePart:
        """Find it.

        Args:
            coefficients: multi-index -> c_α on the grid, (U, U, N_1, …, N_d).
            derivative: at the nodes.
            tested: (axis, rows at the nodes (N, n)) -> equations (n, n).
        Raises:
            Singular: the operator is its separable part, and has an eigenvalue zero.
        """
        factors = _factors(coefficients)
        best = min((_averaged(coefficients, one, derivative) for one in factors), key=lambda found: found.left)
        matrices = [tested(k, line.matrix(k, derivative)) for k, line in enumerate(best.lines)]
        couplings = np.stack([best.constant, *(line.coupling for line in best.lines)])
        try:
            return cls(best.factor, KroneckerSum(matrices, couplings), best.exact)
        except Singular:
            if best.exact:
                raise
        couplings[0] += SHIFT * max(np.abs(matrix).max() for matrix in matrices) * np.eye(len(couplings[0]))
        return cls(best.factor, KroneckerSum(matrices, couplings), False)


@dataclass(frozen=True, eq=False)
class _Line:
    """``M Σ_p c_p(x) ∂^p`` along one axis.

    Args:
        coupling: M, (U, U).
        profile: order p -> c_p at the nodes, (N,).
    """

    coupling: np.ndarray
    profile: dict[int, np.ndarray]

    def matrix(self, axis: int, derivative: Derivative) -> np.ndarray:
        return sum(values[:, None] * derivative(axis, order) for order, values in self.profile.items())


@dataclass(frozen=True, eq=False)
class _Averaged:
    """A separable operator, which share of the largest terms it leaves out, and whether it leaves out nothing."""

    factor: np.ndarray
    constant: np.ndarray
    lines: tuple[_Line, ...]
    left: float
    exact: bool


def _factors(coefficients: Mapping[Index, np.ndarray]) -> Iterator[np.ndarray]:
    """Yield one, and for one unknown the reciprocals of the coefficients of highest order along each axis."""
    yield np.ones(())
    for k in range(len(next(iter(coefficients)))):
        own = [index for index in coefficients if index[k] and sum(index) == index[k]]
        c = coefficients[max(own)] if own else np.zeros((1, 1))
        if len(c) == 1 and np.ptp(c) and np.abs(c).min() > STEEPEST * np.abs(c).max():
            yield 1.0 / c[0, 0]


def _averaged(coefficients: Mapping[Index, np.ndarray], factor: np.ndarray, derivative: Derivative) -> _Averaged:
    dimension = len(next(iter(coefficients)))
    unknowns, _, *shape = next(iter(coefficients.values())).shape
    parts: list[dict[int, np.ndarray]] = [{0: np.zeros((unknowns, unknowns, n))} for n in shape]
    constant = np.zeros((unknowns, unknowns))
    left, total, exact = 0.0, 0.0, True
    for index, plain in coefficients.items():
        c = factor * plain
        axes = [k for k, order in enumerate(index) if order]
        mean = c.mean(axis=tuple(range(2, c.ndim)))
        model = np.zeros(c.shape)
        if not axes:
            constant += mean
            model += mean.reshape(unknowns, unknowns, *(1 for _ in shape))
        for k in (axes or range(dimension)) if len(axes) <= 1 else ():
            line = c.mean(axis=tuple(j + 2 for j in range(dimension) if j != k))
            line = line if axes else line - mean[:, :, None]
            parts[k][index[k]] = parts[k].get(index[k], 0.0) + line
            model += line.reshape(unknowns, unknowns, *(-1 if j == k else 1 for j in range(dimension)))
        weight = float(np.prod([_size(derivative(k, index[k])) for k in axes]))
        size, rest = float(np.abs(c).max()), float(np.abs(c - model).max())
        left, total, exact = left + weight * rest, total + weight * size, exact and rest <= EXACT * size
    lines = []
    for k, part in enumerate(parts):
        weights = {order: _size(derivative(k, order)) if order else 1.0 for order in part}
        line = _common(part, weights)
        for order, c in part.items():
            rest = float(np.abs(c - line.coupling[:, :, None] * line.profile[order]).max())
            size = max(float(np.abs(c).max()), 0.0 if order else float(np.abs(constant).max()))
            left, exact = left + weights[order] * rest, exact and rest <= EXACT * size
        lines.append(line)
    return _Averaged(factor, constant, tuple(lines), left / total, exact)


def _common(part: Mapping[int, np.ndarray], weights: Mapping[int, float]) -> _Line:
    """Return the operator along an axis that leaves least out when it is coupled by one matrix."""
    unknowns = len(next(iter(part.values())))
    if unknowns == 1:
        return _Line(np.ones((1, 1)), {order: c[0, 0] for order, c in part.items()})
    stacked = np.concatenate([weights[order] * c.reshape(unknowns**2, -1) for order, c in part.items()], axis=1)
    left, sizes, right = np.linalg.svd(stacked, full_matrices=False)
    profiles = np.split(sizes[0] * right[0], len(part))
    return _Line(
        left[:, 0].reshape(unknowns, unknowns),
        {order: values / weights[order] for order, values in zip(part, profiles, strict=True)},
    )


def _size(matrix: np.ndarray) -> float:
    """Return the root mean square of the row norms of a matrix."""
    return float(np.linalg.norm(matrix) / np.sqrt(len(matrix)))
