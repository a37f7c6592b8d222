"""From a problem to its residual statements: the equations in the interior, the conditions where they hold."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch

from pdeml.geometry import Region
from pdeml.lower.plan import ResidualPlan, make_residual_plan
from pdeml.lower.residual import Ansatz, Block, Part
from pdeml.lower.scales import Given, Scales, residual_scale
from pdeml.problem import Problem
from pdeml_kernels.dispatch import KernelChoice, residual_kernels

__all__ = ["Statement", "make_block", "statements"]

_PART = 1024
"""Most points of a part on a CPU. Measured for networks of width 20 to 128: best within a tenth in both precisions."""


@dataclass(frozen=True)
class Statement:
    """Residuals that hold on one region, before points and an ansatz are chosen.

    Args:
        name: "equation", or the condition's name.
        region: where it holds.
        plan: how its M residuals are computed.
        scales: the size of each residual.
        weights: what the user multiplies each row by; dimensionless.
    """

    name: str
    region: Region
    plan: ResidualPlan
    scales: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def residuals(self) -> int:
        """Number of residuals M."""
        return len(self.scales)


def statements(
    problem: Problem,
    scales: Scales,
    exact: Collection[str] = (),
    learned: tuple[str, ...] = (),
    given: Given | None = None,
) -> tuple[Statement, ...]:
    """Return the statements of a problem: all equations as one, each condition that is not met exactly as another.

    Args:
        problem: what is solved.
        scales: typical sizes.
        exact: names of the constraints that the ansatz satisfies by construction.
        learned: names of the parameters that are solved for.
        given: typical values of the input functions and parameters that come with the points.
    """
    names, values = problem.names, problem.parameter_values
    free = () if given is None else given.names
    found = []
    if problem.forms:
        inside = problem.domain.region("interior")
        plan = make_residual_plan(problem.forms, names, values, learned, free)
        sizes = tuple(residual_scale(form, problem, scales, inside, given) for form in problem.forms)
        found.append(Statement("equation", inside, plan, sizes, problem.form_weights))
    for constraint in problem.constraints:
        if constraint.name not in exact:
            plan = make_residual_plan([constraint.form], names, values, learned, free)
            size = residual_scale(constraint.form, problem, scales, constraint.region, given)
            found.append(Statement(constraint.name, constraint.region, plan, (size,), (constraint.weight,)))
    return tuple(found)


def make_block(
    statement: Statement,
    ansatz: Ansatz,
    x_ND: torch.Tensor,
    weights_N: torch.Tensor,
    normals_Nd: torch.Tensor | None,
    kernels: KernelChoice = "torch",
) -> Block:
    """Put a statement on points: a block of the residual system.

    Args:
        statement: what holds.
        ansatz: gives the jets.
        x_ND: the points.
        weights_N: their weights, summing to one.
        normals_Nd: unit outward normals over the space coordinates, where the points lie on the boundary.
        kernels: what computes the residuals from jets; see `pdeml_kernels.dispatch.wanted`.

    Raises:
        ValueError: the kernels cannot run on the device of the points.
    """
    scales, factors = (
        torch.tensor(numbers, dtype=x_ND.dtype, device=x_ND.device) for numbers in (statement.scales, statement.weights)
    )
    plan, count = statement.plan, math.ceil(len(x_ND) / _PART) if x_ND.device.type == "cpu" else 1
    normals = x_ND.new_zeros(len(x_ND), len(plan.columns) - x_ND.shape[1]) if normals_Nd is None else normals_Nd
    shares = zip(*(tensor.tensor_split(max(count, 1)) for tensor in (x_ND, weights_N, normals)), strict=True)
    parts = [
        Part(ansatz.prepare(x, plan.spec), torch.cat([x, n], 1).T.contiguous(), weights.sqrt())
        for x, weights, n in shares
    ]
    chosen = residual_kernels(kernels, x_ND.device, plan.program)
    return Block(statement.name, plan, tuple(parts), scales, factors, chosen)
