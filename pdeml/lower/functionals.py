"""Rows that are linear in the unknowns: what features, kernels and grids are collocated with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.lower.functions import run
from pdeml.lower.multi_index import Index
from pdeml.lower.statements import Statement

__all__ = ["Functionals", "indices_of", "linearised"]


@dataclass(frozen=True)
class Functionals:
    """N linear functionals ``ℓ_i(u) = Σ_ku c[i, k, u] ∂^{α_k} u_u(x_i)`` and the values they shall take.

    Args:
        name: of the statement.
        points: (N, D), columns in the order of the coordinates.
        indices: the K multi-indices α_k.
        coefficients: (N, K, U), in the units of the problem.
        values: (N,).
        scale: the size of the residual in the scaled equation; ``(ℓ(u) − value) / scale`` is dimensionless.
        weight: what the user multiplies each row by.
    """

    name: str
    points: Tensor
    indices: tuple[Index, ...]
    coefficients: Tensor
    values: Tensor
    scale: float
    weight: float

    def __len__(self) -> int:
        return len(self.values)

    def apply(self, jets_KNU: Tensor) -> Tensor:
        """Return ``ℓ_i(u)``, (N,), of functions whose derivatives ``indices`` at the points are given."""
        return torch.einsum("nku,knu->n", self.coefficients, jets_KNU)


def linearised(
    statement: Statement,
    points_ND: Tensor,
    unknowns: int,
    normals_Nd: Tensor | None = None,
    jets_KNU: Tensor | None = None,
) -> tuple[Functionals, ...]:
    """Linearise the M residuals of a statement at given functions: ``R'(u₀) u = R'(u₀) u₀ − R(u₀)``.

    A statement that is linear gives the same functionals whatever u₀.

    Args:
        statement: what holds; nothing in it is learned.
        points_ND: where.
        unknowns: number U of real unknowns of the problem.
        normals_Nd: unit outward normals over the space coordinates, on the boundary.
        jets_KNU: the derivatives `indices_of(statement)` of u₀ at the points, (K, N, U); zero by default.

    Returns: one for each residual. Its indices are `indices_of(statement)`.
    """
    plan, dimension = statement.plan, points_ND.shape[1]
    indices = indices_of(statement)
    place = {index: k for k, index in enumerate(indices)}
    columns = list(points_ND.unbind(1))
    wanted = len(plan.columns) - dimension
    columns += list(normals_Nd.unbind(1)) if normals_Nd is not None else [torch.zeros_like(columns[0])] * wanted
    if jets_KNU is None:
        jets_KNU = points_ND.new_zeros(len(indices), len(points_ND), unknowns)
    members = plan.spec.members

    def channel(slot_channel: int, unknown: int) -> Tensor:
        return sum(c * jets_KNU[place[index], :, unknown] for c, index in members[slot_channel])

    like = points_ND[:, 0]
    inputs = [*columns, *(channel(slot.channel, slot.unknown) for slot in plan.slots)]
    residuals = run(plan.residual, inputs, like)
    coefficients = points_ND.new_zeros(len(statement.scales), len(points_ND), len(indices), unknowns)
    for (m, v), partial in zip(plan.partial_of, run(plan.partials, inputs, like), strict=True):
        slot = plan.slots[v - len(plan.learned)]
        for c, index in members[slot.channel]:
            coefficients[m, :, place[index], slot.unknown] += c * partial
    names = [statement.name] if len(residuals) == 1 else [f"{statement.name} {m + 1}" for m in range(len(residuals))]
    return tuple(
        Functionals(
            name,
            points_ND,
            indices,
            rows,
            torch.einsum("nku,knu->n", rows, jets_KNU) - residual,
            scale,
            weight,
        )
        for name, residual, rows, scale, weight in zip(
            names, residuals, coefficients, statement.scales, statement.weights, strict=True
        )
    )


def indices_of(statement: Statement) -> tuple[Index, ...]:
    """Return every multi-index whose derivative occurs in a statement, collapsed sums taken apart, lowest first."""
    slots = {slot.channel for slot in statement.plan.slots}
    found = {index for channel in slots for _, index in statement.plan.spec.members[channel]}
    return tuple(sorted(found, key=lambda index: (sum(index), tuple(-i for i in index))))
