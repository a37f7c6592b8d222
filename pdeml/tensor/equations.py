"""The equations of a problem at points, linearised: whole, or with a share of their non-linear part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy
import torch
from torch import Tensor

from pdeml.expr import NormalForm
from pdeml.lower import Index, Statement, indices_of, linearised, make_residual_plan
from pdeml.problem import Problem

__all__ = ["Equations"]


@dataclass(frozen=True)
class Equations:
    """M equations for U unknowns, and the same without what is not linear.

    Args:
        whole: the statement of the equations.
        linear: the statement of their linear terms and sources; None where nothing would be left of one of them.
        unknowns: U.
    """

    whole: Statement
    linear: Statement | None
    unknowns: int

    @classmethod
    def of(cls, problem: Problem, whole: Statement) -> Equations:
        """Take the linear part of the equations of a problem."""
        if all(form.is_linear for form in problem.forms):
            return cls(whole, whole, len(problem.names.real_unknowns))
        linear = None
        if all(_keeps_order(form) for form in problem.forms):
            plan = make_residual_plan(
                [_linear(form) for form in problem.forms], problem.names, problem.parameter_values
            )
            linear = replace(whole, plan=plan)
        return cls(whole, linear, len(problem.names.real_unknowns))

    @property
    def is_linear(self) -> bool:
        """Whether the equations are linear."""
        return self.linear is self.whole

    @cached_property
    def indices(self) -> tuple[Index, ...]:
        """The K multi-indices that occur."""
        found = indices_of(self.whole)
        if self.linear is None:
            return found
        return found + tuple(index for index in indices_of(self.linear) if index not in found)

    def at(self, points_ND: Tensor, jets_KNU: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Linearise ``linear + share · (whole − linear)``.

        Returns: coefficients (M, N, K, U) of the derivative, and residuals (M, N), each in units of its scale.
        """
        parts = [(self.whole, share)] if share else []
        if share != 1.0:
            assert self.linear is not None
            parts.append((self.linear, 1.0 - share))
        coefficients, residuals = 0.0, 0.0
        for statement, weight in parts:
            found = self._of(statement, points_ND, jets_KNU)
            coefficients = coefficients + weight * found[0]
            residuals = residuals + weight * found[1]
        return coefficients, residuals  # type: ignore[return-value]

    def _of(self, statement: Statement, points_ND: Tensor, jets_KNU: Tensor) -> tuple[Tensor, Tensor]:
        places = [self.indices.index(index) for index in indices_of(statement)]
        own = jets_KNU[places]
        functionals = linearised(statement, points_ND, self.unknowns, None, own)
        coefficients = points_ND.new_zeros(len(functionals), len(points_ND), len(self.indices), self.unknowns)
        coefficients[:, :, places] = torch.stack([one.coefficients / one.scale for one in functionals])
        return coefficients, torch.stack([(one.apply(own) - one.values) / one.scale for one in functionals])


def _keeps_order(form: NormalForm) -> bool:
    """Tell whether the linear terms have the highest derivatives along every coordinate."""
    indices: Sequence[Index] = [term.index for term in form.terms]
    highest = [max((index[k] for _, index in form.jets), default=0) for k in range(len(form.jets[0][1]))]
    return bool(indices) and all(max(i[k] for i in indices) == order for k, order in enumerate(highest))


def _linear(form: NormalForm) -> NormalForm:
    terms = sympy.Add(*(term.expression for term in form.terms))
    jets = tuple((term.unknown, term.index) for term in form.terms)
    return replace(form, residual=terms + form.source, rest=sympy.S.Zero, jets=jets, is_linear=True)
