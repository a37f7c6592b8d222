"""Statements on parts of a grid: which derivatives of which fields by matrices, which by stencils, and the programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from pdeml.lower.grid_derivatives import GridAxis
from pdeml.lower.grid_places import Place
from pdeml.lower.multi_index import Index
from pdeml.lower.plan import plain
from pdeml.lower.statements import Statement
from pdeml_kernels.grid import GridResidual, Stencil, Term

__all__ = ["grid_residual_of"]


def grid_residual_of(
    statement: Statement, place: Place, axes: Sequence[GridAxis], coordinates: Sequence[str], fields: Sequence[int]
) -> GridResidual:
    """Return the residuals of a statement on a part of a grid; they count as much as the part does of its region.

    Args:
        statement: what holds.
        place: the part.
        axes: of the grid, one for each coordinate.
        coordinates: of the problem, in the order of multi-indices.
        fields: number of the field of each unknown.

    Raises:
        InputError: an axis has too few points for a difference.
    """
    plan, operators = statement.plan, _Operators(axes)
    channels = tuple(
        tuple(
            operators.term(coefficient, fields[slot.unknown], dict(zip(coordinates, index, strict=True)))
            for coefficient, index in plan.spec.members[slot.channel]
        )
        for slot in plan.slots
    )
    kept = None if place.kept is None else torch.from_numpy(place.kept / place.kept.sum())
    return GridResidual(
        tuple(len(axis.points) for axis in axes),
        channels,
        plain(plan.residual),
        plain(plan.partials),
        plan.partial_of,
        statement.scales,
        tuple(weight**2 * place.share for weight in statement.weights),
        tuple((part.start, part.stop) for part in place.where),
        tuple((axis, matrix) for axis, matrix in operators.matrices.values()),
        tuple(operators.stencils.values()),
        kept,
    )


@dataclass
class _Operators:
    """The matrices and stencils of the derivatives asked for, each once."""

    axes: Sequence[GridAxis]
    matrices: dict[Index, tuple[int, torch.Tensor]] = field(default_factory=dict)
    stencils: dict[Index, Stencil] = field(default_factory=dict)

    def term(self, coefficient: float, number: int, orders: Mapping[str, int]) -> Term:
        """Return a derivative of a field: matrices along periodic axes, a stencil along one of the others.

        A further axis of differences takes their matrix.
        """
        wanted = [(place, orders[axis.name]) for place, axis in enumerate(self.axes) if orders[axis.name]]
        differences = [key for key in wanted if self.axes[key[0]].period is None]
        last = differences[-1] if differences else None
        matrices = tuple(self._matrix(key) for key in wanted if key != last)
        return Term(coefficient, number, matrices, -1 if last is None else self._stencil(last))

    def _matrix(self, key: tuple[int, int]) -> int:
        place, order = key
        if key not in self.matrices:
            self.matrices[key] = place, torch.from_numpy(self.axes[place].matrix(order))
        return list(self.matrices).index(key)

    def _stencil(self, key: tuple[int, int]) -> int:
        place, order = key
        if key not in self.stencils:
            first, weights = self.axes[place].stencil(order)
            self.stencils[key] = Stencil(place, torch.from_numpy(first), torch.from_numpy(weights))
        return list(self.stencils).index(key)
