"""The linear part at every wave number: its matrices, constraints eliminated, and functions of them.

Operators have the shape (B, s, *modes) where L is diagonal in the state variables, else (B, s, s, *modes); B is 1
where all cases share their parameters. Blocks are kept whole rather than treating the coupling as a part of N: the
coupling of a second-order equation, or of the two parts of a complex unknown, is as stiff as the diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import factorial

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.expr import evaluate
from pdeml.reference.fourier.modes import multiplier
from pdeml.reference.fourier.split import Split

__all__ = ["Blocks", "Operator", "coefficients", "phi_functions"]

SINGULAR = 1e-12
"""A determinant this small, relative to the product of the lengths of the rows, counts as zero."""
SWEEPS = 4
"""Rounds of balancing; one is enough for two state variables."""
TAYLOR = 16
"""Terms of the series of phi functions for arguments of size up to 1/2: an error below 1e-18."""


def coefficients(split: Split, numbers: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Return the coefficient of every linear term, (B, terms), from the parameters of B cases; B = 1 if all agree."""
    rows = [[float(evaluate(term.coefficient, values)) for term in split.linear] for values in numbers]
    table = np.array(rows).reshape(len(numbers), len(split.linear))
    return table[:1] if np.all(table == table[0]) else table


class Blocks:
    """The symbols of a split at given wave numbers.

    Args:
        split: the terms.
        table: their coefficients (B, terms).
        waves: the wave numbers along each axis, as tensors that broadcast to the shape ``modes``.
    Attributes:
        linear: L with the constrained unknowns eliminated, (B, s, s, *modes).
        follow: matrix P (B, c, s, *modes): constrained unknowns from the state; None where there are none.
        react: matrix (B, c, c, *modes) that gives the constrained unknowns' part due to the rest of the constraints.
        feed: matrix (B, s, c, *modes) of the constrained unknowns in the rates.
    Raises:
        InputError: the constraints do not fix the constrained unknowns at some wave number other than zero.
    """

    def __init__(self, split: Split, table: np.ndarray, waves: Sequence[Tensor]):
        whole = self._assembled(split, table, waves)
        s = split.size
        self.linear = whole[:, :s, :s]
        self.follow: Tensor | None = None
        if len(split.evolution.constrained):
            self.feed = whole[:, :s, s:]
            self.react = -self._inverted(split, whole[:, s:, s:], waves)
            self.follow = apply(self.react, whole[:, s:, :s])
            self.linear = self.linear + apply(self.feed, self.follow)

    @staticmethod
    def _assembled(split: Split, table: np.ndarray, waves: Sequence[Tensor]) -> Tensor:
        modes = torch.broadcast_shapes(*(wave.shape for wave in waves))
        count = split.size + len(split.evolution.constrained)
        whole = torch.zeros((len(table), count, count, *modes), dtype=torch.complex128, device=waves[0].device)
        for term, numbers in zip(split.linear, table.T, strict=True):
            factor = torch.as_tensor(numbers, device=whole.device).reshape(-1, *(1 for _ in modes))
            whole[:, term.row, term.column] += factor * multiplier(waves, term.index)
        return whole

    @staticmethod
    def _inverted(split: Split, block: Tensor, waves: Sequence[Tensor]) -> Tensor:
        """Invert the matrices of the constraints; at wave number zero in the sense of least squares.

        There a constraint such as ``laplacian(psi) = -w`` fixes nothing: the mean of psi becomes zero, and that of w
        is taken as zero.
        """
        matrices = block.movedim((1, 2), (-2, -1)).contiguous()
        lengths = torch.linalg.vector_norm(matrices, dim=-1).prod(-1)
        singular = torch.linalg.det(matrices).abs() <= SINGULAR * lengths
        still = torch.ones(matrices.shape[1:-2], dtype=torch.bool, device=block.device)
        for wave in waves:
            still = still & (wave == 0)
        if bool((singular & ~still).any()):
            listed = ", ".join(split.evolution.constrained)
            raise InputError(f"the equations without time derivatives do not determine {listed} at all wave numbers")
        unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=block.device)
        inverse = torch.linalg.inv(torch.where(still[..., None, None], unit, matrices))
        inverse[:, still] = torch.linalg.pinv(matrices[:, still], rtol=SINGULAR)
        return inverse.movedim((-2, -1), (1, 2)).contiguous()

    @property
    def operator(self) -> Operator:
        """L in its cheapest form."""
        size = self.linear.shape[1]
        coupled = ~torch.eye(size, dtype=torch.bool, device=self.linear.device)
        if bool((self.linear[:, coupled] != 0).any()):
            return Operator(self.linear.contiguous(), matrix=True)
        return Operator(torch.diagonal(self.linear, dim1=1, dim2=2).movedim(-1, 1).contiguous(), matrix=False)


class Operator:
    """A linear map of the state at each wave number, and the functions of it that time steps need.

    Args:
        values: (B, s, *modes) if diagonal, else (B, s, s, *modes).
        matrix: which of the two.
    """

    def __init__(self, values: Tensor, matrix: bool):
        self.values, self.matrix = values, matrix

    def __call__(self, state: Tensor) -> Tensor:
        """Apply to coefficients (B, s, *modes)."""
        return apply(self.values, state) if self.matrix else self.values * state

    def crank_nicolson(self, step: float) -> tuple[Operator, Operator]:
        """Return ``1 + step/2 L`` and the inverse of ``1 - step/2 L``."""
        half = 0.5 * step * self._square()
        one = torch.eye(half.shape[-1], dtype=half.dtype, device=half.device) if self.matrix else 1.0
        inverse = torch.linalg.inv(one - half) if self.matrix else 1.0 / (1.0 - half)
        return self._back(one + half), self._back(inverse)

    def phi(self, step: float) -> list[Operator]:
        """Return ``phi_0 = exp, phi_1, phi_2, phi_3`` of ``step L``."""
        if not self.matrix:
            return [Operator(part, False) for part in phi_functions(step * self.values, torch.mul, False)]
        matrices, scale = _balanced(step * self._square())
        change = scale[..., :, None] / scale[..., None, :]
        return [self._back(change * part) for part in phi_functions(matrices, torch.matmul, True)]

    def _square(self) -> Tensor:
        """Return the values with the matrices, if any, in the last two dimensions."""
        return self.values.movedim((1, 2), (-2, -1)).contiguous() if self.matrix else self.values

    def _back(self, values: Tensor) -> Operator:
        return Operator(values.movedim((-2, -1), (1, 2)).contiguous() if self.matrix else values, self.matrix)


def apply(matrices: Tensor, state: Tensor) -> Tensor:
    """Multiply (B, r, c, *modes) with (B, c, *modes) or (B, c, q, *modes)."""
    many = state.ndim == matrices.ndim
    parts = (
        matrices[:, :, k].unsqueeze(2) * state[:, k].unsqueeze(1) if many else matrices[:, :, k] * state[:, None, k]
        for k in range(matrices.shape[2])
    )
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def phi_functions(z: Tensor, product: Callable[[Tensor, Tensor], Tensor], matrix: bool) -> list[Tensor]:
    """Return ``phi_j(z) = sum_k z^k / (k + j)!`` for j = 0 … 3, of numbers or of matrices in the last dimensions.

    The series of ``z / 2^d``, then d doublings, d for each z by itself; unlike the quotients ``(exp(z) - 1) / z`` it
    loses no digits near zero (Hochbruck & Ostermann 2010, Acta Numerica 19, §2; Skaflestad & Wright 2009).
    """
    norm = torch.linalg.matrix_norm(z, ord=1)[..., None, None] if matrix else z.abs()
    doublings = torch.ceil(torch.log2(norm.clamp_min(0.5))) + 1
    one = torch.eye(z.shape[-1] if matrix else 1, dtype=z.dtype, device=z.device)
    one = one if matrix else one[0]
    small = z / 2**doublings
    third = one / factorial(TAYLOR + 3)
    for k in reversed(range(TAYLOR)):
        third = product(small, third) + one / factorial(k + 3)
    second = product(small, third) + 0.5 * one
    first = product(small, second) + one
    phis = [product(small, first) + one, first, second, third]
    for k in range(int(doublings.max())):
        e, p1, p2, p3 = phis
        twice = (
            product(e, e),
            (product(e, p1) + p1) / 2,
            (product(e, p2) + p1 + p2) / 4,
            (product(e, p3) + p1 / 2 + p2 + p3) / 8,
        )
        phis = [torch.where(k < doublings, after, before) for before, after in zip(phis, twice, strict=True)]
    return phis


def _balanced(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``D^-1 A D`` with rows and columns of equal length, where that can be, and the diagonal of D.

    The matrix of ``u_tt = c^2 u_xx`` has the entries 1 and ``-(c k)^2``; balanced its norm is that of its eigenvalues,
    ``c k``, and so fewer doublings lose fewer digits (Parlett & Reinsch 1969).
    """
    size = matrices.shape[-1]
    scale = torch.ones(matrices.shape[:-1], dtype=torch.float64, device=matrices.device)
    matrices = matrices.clone()
    for _ in range(SWEEPS):
        for k in range(size):
            others = [j for j in range(size) if j != k]
            row, column = matrices[..., k, others].abs().sum(-1), matrices[..., others, k].abs().sum(-1)
            ratio = torch.where((row > 0) & (column > 0), (row / column).sqrt(), 1.0)
            matrices[..., k, :] /= ratio[..., None]
            matrices[..., :, k] *= ratio[..., None]
            scale[..., k] *= ratio
    return matrices, scale
