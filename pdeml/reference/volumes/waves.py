"""Speeds of waves: the eigenvalues of a flux Jacobian, in closed form where its characteristic polynomial factors."""

from __future__ import annotations

from collections.abc import Sequence

import sympy
import torch
from torch import Tensor

from pdeml.reference.volumes.formulas import Formulas, Known

__all__ = ["Waves"]

MOST_OPERATIONS = 2000
"""Largest Jacobian, in operations, whose characteristic polynomial is worked out."""
NOT_REAL = 1e-10
"""Negative discriminants up to this, relative to the square of the speed, are rounding errors."""
DEFECTIVE = 1e-6
"""Imaginary parts up to this, relative to the speed, are those of a numerical double eigenvalue."""


class Waves:
    """The smallest and the largest eigenvalue of ``A(w)``, and whether all are real.

    Where they are not, ``w`` is no physical state: with a negative depth or pressure the speed of sound
    is imaginary.

    Args:
        jacobian: (C, C), in ``states`` and known symbols.
        states: the unknowns.
    """

    def __init__(self, jacobian: sympy.Matrix, states: Sequence[sympy.Symbol]):
        self.count = len(states)
        pairs = _closed_form(jacobian, states)
        self.exact = pairs is not None
        outputs = list(jacobian) if pairs is None else [part for pair in pairs for part in pair]
        self.formulas = Formulas(outputs, states)

    def extremes(self, state: Tensor, known: Known) -> tuple[Tensor, Tensor, Tensor]:
        """Return smallest speed, largest speed and whether all are real and finite.

        Args:
            state: (C, B, …).
            known: values that broadcast with (B, …).
        Returns: three tensors (B, …).
        """
        values = self.formulas(state, known)
        finite = torch.isfinite(state).all(0) & torch.isfinite(values).all(0)
        if not self.exact:
            return self._numerical(values, finite)
        centre, discriminant = values[::2], values[1::2]
        real = (discriminant >= -NOT_REAL * centre.square()).all(0) & finite
        root = discriminant.clamp(min=0.0).sqrt()
        return (centre - root).amin(0), (centre + root).amax(0), real

    def _numerical(self, values: Tensor, finite: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        matrices = torch.where(finite, values, 0.0).movedim(0, -1).unflatten(-1, (self.count, self.count))
        speeds = torch.linalg.eigvals(matrices)
        size = speeds.abs().amax(-1)
        real = finite & (speeds.imag.abs().amax(-1) <= DEFECTIVE * size)
        return speeds.real.amin(-1), speeds.real.amax(-1), real


def _closed_form(jacobian: sympy.Matrix, states: Sequence[sympy.Symbol]) -> list[tuple[sympy.Expr, sympy.Expr]] | None:
    """Return (centre, discriminant) with eigenvalues ``centre ± sqrt(discriminant)``; None if there are no such."""
    if len(states) == 1:
        return [(jacobian[0, 0], sympy.S.Zero)]
    if len(states) == 2:
        (a, b), (c, d) = jacobian.tolist()
        return [((a + d) / 2, _simple((a - d) ** 2 / 4 + b * c))]
    rational = all(entry.is_rational_function(*states) for entry in jacobian)
    if not rational or sympy.count_ops(jacobian) > MOST_OPERATIONS:
        return None
    polynomial = jacobian.charpoly()
    speed = polynomial.gen
    numerator, _ = sympy.fraction(sympy.together(polynomial.as_expr()))
    pairs = []
    for factor, _ in sympy.factor_list(numerator)[1]:
        if speed in factor.free_symbols:
            coefficients = sympy.Poly(factor, speed).all_coeffs()
            if len(coefficients) > 3:
                return None
            pairs.append(_roots(*coefficients))
    return pairs


def _roots(*coefficients: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return centre and discriminant of the roots of a polynomial of degree 1 or 2."""
    if len(coefficients) == 2:
        return _simple(-coefficients[1] / coefficients[0]), sympy.S.Zero
    a, b, c = coefficients
    return _simple(-b / (2 * a)), _simple((b**2 - 4 * a * c) / (4 * a**2))


def _simple(expression: sympy.Expr) -> sympy.Expr:
    """Factor: ``g h`` says that a depth is negative, while a difference of large squares says so but for rounding."""
    small = sympy.count_ops(expression) <= MOST_OPERATIONS
    return sympy.factor(expression) if small and expression.is_rational_function() else expression
