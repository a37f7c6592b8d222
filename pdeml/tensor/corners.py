"""Whether the conditions of two sides of a box agree where the sides meet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from pdeml.errors import InputError
from pdeml.expr import diff, evaluate, normal_symbol
from pdeml.lower import estimate_scales
from pdeml.problem import Problem
from pdeml.sampling import sample
from pdeml.tensor.conditions import PROBES, Side

__all__ = ["refuse_contradictions"]

CONTRADICTION = 1e-3
"""Conditions that disagree by more, relative to the solution, are refused; what is less is an error of that size."""


@dataclass(frozen=True)
class _Row:
    """``R u = Σ_e sign_e Σ_p orders[p] ∂_axis^p u(x_axis = at_e) = value`` for one unknown.

    Args:
        name: of the condition.
        unknown: its name.
        axis: the coordinate that is constant, by number.
        ends: pairs (sign_e, at_e): one end of the axis, or for a periodic coordinate both.
        orders: coefficients of the derivatives.
        value: a formula.
    """

    name: str
    unknown: str
    axis: int
    ends: tuple[tuple[float, float], ...]
    orders: tuple[float, ...]
    value: sympy.Expr

    def of(self, other: _Row, problem: Problem, points_ND: np.ndarray) -> np.ndarray:
        """Apply the row to the value of a row across another axis, where the sides meet, (N,)."""
        coordinates, total = problem.names.coordinates, np.zeros(len(points_ND))
        symbol = problem.names.symbol(coordinates[self.axis])
        points = points_ND.copy()
        points[:, other.axis] = other.ends[0][1]
        for sign, at in self.ends:
            points[:, self.axis] = at
            columns = dict(zip(coordinates, points.T, strict=True)) | problem.parameter_values
            for p, c in enumerate(self.orders):
                if c:
                    total += sign * c * evaluate(diff(other.value, symbol, p), columns)
        return total

    def size(self, lengths: np.ndarray) -> float:
        """Return about what the row makes of a function of size one that varies over the whole axis."""
        return max(abs(c) / lengths[self.axis] ** p for p, c in enumerate(self.orders))


def refuse_contradictions(problem: Problem, sides: Sequence[Side]) -> None:
    """Refuse conditions ``R_j u = G_j`` and ``R_k u = G_k`` with ``R_j G_k ≠ R_k G_j`` in a corner or on an edge.

    The solution is singular there, if there is one; products of smooth functions could only meet one of the
    conditions with an error along the whole other side.

    Args:
        problem: in two and more coordinates.
        sides: its conditions.
    Raises:
        InputError: they contradict each other.
    """
    lengths, sizes = np.diff(problem.domain.bounds, axis=1)[:, 0], estimate_scales(problem).unknowns
    points = sample(problem.domain.region("interior"), PROBES).x
    for one, other in itertools.combinations(_rows(problem, sides), 2):
        if one.axis == other.axis or one.unknown != other.unknown:
            continue
        gap = np.abs(one.of(other, problem, points) - other.of(one, problem, points))
        size = one.size(lengths) * other.size(lengths) * sizes[one.unknown]
        if gap[np.isfinite(gap)].max(initial=0.0) > CONTRADICTION * size:
            raise InputError(f"'{one.name}' and '{other.name}' contradict each other where the two sides meet")


def _rows(problem: Problem, sides: Sequence[Side]) -> Iterator[_Row]:
    names, forms = problem.names, {constraint.name: constraint.form for constraint in problem.constraints}
    for side in sides:
        form, coordinate = forms[side.statement.name], names.coordinates[side.axis]
        outward = {normal_symbol(axis): (1 if side.high else -1) * (axis == coordinate) for axis in names.space}
        top = int(np.argmax(np.abs(side.orders)))
        own = [term.coefficient for term in form.terms if sum(term.index) == term.index[side.axis] == top]
        value = (-form.source * side.orders[top] / sympy.Add(*own)).subs(outward)
        unknown = names.real_unknowns[side.unknowns[0]]
        yield _Row(side.statement.name, unknown, side.axis, ((1.0, side.at),), side.orders, value)
    for coordinate in problem.periodic:
        axis = names.coordinates.index(coordinate)
        low, high = problem.domain.bounds[axis].tolist()
        for unknown in names.real_unknowns:
            for p in range(max(form.order(coordinate, unknown) for form in problem.forms)):
                orders = (*(0.0 for _ in range(p)), 1.0)
                ends = ((1.0, high), (-1.0, low))
                yield _Row(f"periodic {coordinate}", unknown, axis, ends, orders, sympy.S.Zero)
