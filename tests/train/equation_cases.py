"""Problems with input functions, and samples of them by formulas, for the tests of the equation as a loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sympy
import torch
from torch import Tensor

import pdeml as pm
from pdeml.data.signature import Axis, Quantity, Signature

X, Y, T = sympy.symbols("x y t", real=True)
FLOAT = torch.float64

# An evolution with ends: nonlinear, a variable coefficient, a number of the sample, a flux and an initial value.
FLOW = pm.Problem(
    coordinates={"x": (0, 1), "t": (0, 0.5)},
    time="t",
    unknowns="u",
    parameters={"nu": {"range": (0.1, 0.4)}},
    inputs={"c": {"over": ["x"]}, "u0": {"over": ["x"]}, "g": {"over": ["t"]}, "s": {"over": ["x", "t"]}},
    equations="u_t + u*u_x = nu*d(c*u_x, x) + s",
    conditions=[
        pm.Initial(u="u0"),
        pm.Dirichlet(u=0, on="boundary.left"),
        pm.Neumann(u="g", on="boundary.right"),
    ],
)
V = sympy.exp(-T) * sympy.sin(2 * X)
C = 1 + X**2 / 2
FLOW_EXACT = {
    "u": V,
    "nu": 0.3,
    "c": C,
    "u0": V.subs(T, 0),
    "g": V.diff(X).subs(X, 1),
    "s": V.diff(T) + V * V.diff(X) - sympy.Float(0.3) * (C * V.diff(X)).diff(X),
}


def evaluated(formula: sympy.Expr, dims: tuple[str, ...], grid: Mapping[str, Tensor]) -> Tensor:
    """A formula on the tensor grid of ``dims``, (1, *n)."""
    mesh = torch.meshgrid(*(grid[dim] for dim in dims), indexing="ij")
    values = sympy.lambdify([sympy.Symbol(dim, real=True) for dim in dims], formula, "numpy")
    found = np.broadcast_to(values(*(part.numpy() for part in mesh)), mesh[0].shape)
    return torch.tensor(np.ascontiguousarray(found))[None]


def grid_of(problem: pm.Problem, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    return {
        name: torch.tensor(np.linspace(low, high, sizes[name], endpoint=name not in problem.periodic))
        for name, (low, high) in zip(problem.names.coordinates, problem.domain.bounds, strict=True)
    }


def signature_of(problem: pm.Problem, dims: tuple[str, ...], numbers: tuple[str, ...] = ()) -> Signature:
    ends = dict(zip(problem.names.coordinates, problem.domain.bounds.tolist(), strict=True))
    axes = tuple(Axis(dim, *ends[dim], 8, dim in problem.periodic) for dim in dims)
    given = [Quantity(name, tuple(d for d in dims if d in own.over)) for name, own in problem.inputs.items()]
    given += [Quantity(name, ()) for name in numbers]
    return Signature(tuple(given), tuple(Quantity(name, dims) for name in problem.names.real_unknowns), axes)
