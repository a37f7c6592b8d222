"""The naive residual: the original equation, its derivatives by nested reverse mode, node by node."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping

import numpy as np
import sympy
import torch
from sympy.core.function import AppliedUndef
from torch import Tensor

import pdeml as pm
from pdeml.expr import where
from pdeml.expr.equation import carry_out
from pdeml.lower import Block, ResidualSystem, make_block, statements
from pdeml.nn import NetworkAnsatz
from pdeml.sampling import Points, sample
from pdeml.solvers import PINN

CALLS: Mapping[type, Callable[..., Tensor]] = {
    sympy.sin: torch.sin,
    sympy.cos: torch.cos,
    sympy.exp: torch.exp,
    sympy.log: torch.log,
    sympy.tanh: torch.tanh,
    sympy.erf: torch.erf,
    sympy.Abs: torch.abs,
    sympy.sign: torch.sign,
    sympy.Heaviside: torch.heaviside,  # with its value at zero
    sympy.Min: lambda *a: functools.reduce(torch.minimum, a),
    sympy.Max: lambda *a: functools.reduce(torch.maximum, a),
    sympy.atan2: torch.atan2,
    sympy.And: lambda *a: functools.reduce(torch.logical_and, a),
    sympy.Or: lambda *a: functools.reduce(torch.logical_or, a),
    sympy.StrictLessThan: torch.lt,
    sympy.LessThan: torch.le,
    sympy.StrictGreaterThan: torch.gt,
    sympy.GreaterThan: torch.ge,
    where: torch.where,
    sympy.Add: lambda *a: functools.reduce(operator.add, a),
    sympy.Mul: lambda *a: functools.reduce(operator.mul, a),
    sympy.Pow: torch.pow,
}


def evaluate(node: sympy.Basic, known: Mapping[str, Tensor], x: Tensor, axes: tuple[str, ...]) -> Tensor:
    """The value of a formula at x (N, D); ``known`` holds coordinates, parameters, normals and unknowns."""
    if isinstance(node, sympy.Derivative):
        value = evaluate(node.expr, known, x, axes)
        for symbol, count in node.variable_count:
            for _ in range(int(count)):
                (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True, materialize_grads=True)
                value = slope[:, axes.index(symbol.name)]
        return value
    if isinstance(node, AppliedUndef):
        return known[node.func.__name__]
    if isinstance(node, sympy.Symbol):
        return known[node.name]
    if node.is_number:
        return torch.full((len(x),), float(node), dtype=torch.float64)
    return CALLS[node.func](*(evaluate(part, known, x, axes) for part in node.args))


def oracle(residual: sympy.Expr, problem: pm.Problem, ansatz: NetworkAnsatz, theta: Tensor, points: Points) -> Tensor:
    """R(x) of one real residual of `Equation.residuals`, (N,), differentiable by ``theta``."""
    x = torch.tensor(points.x).requires_grad_()
    names = problem.names
    known = {name: torch.tensor(value, dtype=torch.float64) for name, value in problem.parameter_values.items()}
    known |= dict(zip(names.coordinates, x.unbind(1), strict=True))
    known |= dict(zip(names.real_unknowns, ansatz.values(theta, x).unbind(1), strict=True))
    if points.normals is not None:
        columns = torch.tensor(points.normals).unbind(1)
        known |= {f"n[{axis}]": column for axis, column in zip(names.space, columns, strict=True)}
    return evaluate(carry_out(residual, names), known, x, names.coordinates)


def tiny(problem: pm.Problem, seed: int = 0, **options: object) -> tuple[NetworkAnsatz, Tensor]:
    """A small network for the problem and parameters that are nowhere special."""
    ansatz, _, _ = PINN(**{"width": 4, "depth": 2, "harmonics": 1, **options}).ansatz(problem)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(ansatz.parameter_count, generator=generator, dtype=torch.float64)
    return ansatz, ansatz.network.initial(generator) + 0.3 * noise


def blocks(
    problem: pm.Problem, ansatz: NetworkAnsatz, n: int = 6, sampler: str = "uniform"
) -> list[tuple[Block, Points]]:
    """All statements of the problem, none exact, each on n points."""
    _, scales, _ = PINN().ansatz(problem)
    found = []
    for k, statement in enumerate(statements(problem, scales)):
        points = sample(statement.region, n, sampler, (3, k))
        normals = None if points.normals is None else torch.tensor(points.normals)
        x, weights = torch.tensor(points.x), torch.tensor(points.weights)
        found.append((make_block(statement, ansatz, x, weights, normals), points))
    return found


def system(problem: pm.Problem, ansatz: NetworkAnsatz, n: int = 6, sampler: str = "uniform") -> ResidualSystem:
    return ResidualSystem(tuple(block for block, _ in blocks(problem, ansatz, n, sampler)), ansatz.parameter_count)


def rows_of(problem: pm.Problem, ansatz: NetworkAnsatz, theta: Tensor, pairs: list[tuple[Block, Points]]) -> Tensor:
    """The rows of `ResidualSystem.residual` by the oracle: equations, then conditions, weighted and scaled."""
    names = problem.names
    found = []
    equations = [residual for equation in problem.equations for residual in equation.residuals(names)]
    stated = [equations] if equations else []
    conditions = [constraint_residuals(problem, constraint) for constraint in problem.constraints]
    for (block, points), residuals in zip(pairs, [*stated, *conditions], strict=True):
        weights = torch.tensor(np.sqrt(points.weights))
        for residual, scale in zip(residuals, block.scales, strict=True):
            found.append(oracle(residual, problem, ansatz, theta, points) * weights / scale)
    return torch.cat(found)


def constraint_residuals(problem: pm.Problem, constraint: object) -> list[sympy.Expr]:
    """What must vanish, from the condition's kind and value alone."""
    names = problem.names
    if constraint.kind == "equation":
        statement = problem.conditions[constraint.index]
        residuals = statement.equation.residuals(names)
        same = [c for c in problem.constraints if c.index == constraint.index]
        return [residuals[same.index(constraint)]]
    unknown = sympy.Function(constraint.unknown, real=True)(*map(names.symbol, names.coordinates))
    match constraint.kind:
        case "value":
            left = unknown
        case "rate":
            left = unknown.diff(names.symbol(names.time))
        case "flux":
            left = sympy.Add(*(sympy.Symbol(f"n[{a}]", real=True) * unknown.diff(names.symbol(a)) for a in names.space))
    return [left - constraint.value]
