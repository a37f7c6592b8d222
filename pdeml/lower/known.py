"""Known functions of the coordinates, with every derivative that a jet specification asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy
import torch
from torch import Tensor

from pdeml.expr import Names, Program, almost_everywhere, compile_program, diff
from pdeml.lower.functions import run
from pdeml.lower.jets import Jet
from pdeml.lower.multi_index import Combination, JetSpec

__all__ = ["KnownFunctions"]


@dataclass(frozen=True)
class KnownFunctions:
    """F closed-form functions of the coordinates and all channels of a jet.

    Args:
        spec: the channels.
        count: F.
        program: from the coordinates to all channels of all functions, channel by channel.
    """

    spec: JetSpec
    count: int
    program: Program

    @classmethod
    def of(cls, expressions: Sequence[sympy.Expr], names: Names, spec: JetSpec) -> KnownFunctions:
        """Differentiate the expressions (in the coordinates alone) symbolically and compile them."""
        outputs = [differentiated(e, members, names) for members in spec.members for e in expressions]
        return cls(spec, len(expressions), compile_program(outputs, names.coordinates))

    def jet(self, points_ND: Tensor) -> Jet:
        """Return the jet at the points, (K, N, F)."""
        outputs = run(self.program, points_ND.unbind(1), points_ND)
        return Jet(self.spec, torch.stack(outputs, 1).view(-1, len(self.spec), self.count).transpose(0, 1).contiguous())


def differentiated(expression: sympy.Expr, members: Combination, names: Names) -> sympy.Expr:
    """Return ``Σ c_α ∂^α expression``, dropping Dirac measures at kinks and jumps.

    Raises: ExpressionError: a derivative would be too large a formula.
    """
    total = sympy.Integer(0)
    for coefficient, index in members:
        derivative = expression
        for name, order in zip(names.coordinates, index, strict=True):
            derivative = diff(derivative, names.symbol(name), order)
        total += sympy.Float(coefficient, 17) * derivative if coefficient != 1 else derivative
    return almost_everywhere(total)
