"""What the equation as a loss takes from samples, and what it refuses."""

from __future__ import annotations

import pytest
import torch

import pdeml as pm
from pdeml.data.signature import March, Quantity, Signature
from pdeml.errors import InputError
from pdeml.lower.given import input_jets
from pdeml.train.equation import EquationLoss

from .equation_cases import FLOAT, FLOW, grid_of, signature_of


def refused(problem: pm.Problem = FLOW, numbers=("nu",), change=lambda signature: signature, sizes=None, **inputs):
    dims = tuple(dim for dim in ("t", "y", "x") if dim in problem.names.coordinates)
    grid = grid_of(problem, sizes or {"x": 9, "y": 9, "t": 9})
    signature = change(signature_of(problem, dims, numbers))
    example = {q.name: torch.ones(2, *(len(grid[dim]) for dim in q.dims), dtype=FLOAT) for q in signature.inputs}
    return EquationLoss.of(problem, signature, {**example, **inputs}, grid)


TWO_PHASE = torch.where(torch.arange(9) > 3, 12.0, 3.0).double().expand(2, 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numbers": ()}, "the parameter 'nu', which differs from sample to sample"),
        (
            {"change": lambda s: Signature(s.inputs[1:], s.outputs, s.axes)},
            "the input function 'c', which is not given",
        ),
        ({"change": lambda s: Signature(s.inputs, (Quantity("w", ("t", "x")),), s.axes)}, "'u', which is no output"),
        ({"change": lambda s: Signature(s.inputs, (Quantity("u", ("x",)),), s.axes)}, "over x, t, the outputs over x"),
        ({"change": lambda s: Signature(s.inputs, s.outputs, s.axes, March(1, 1, 0.1))}, "leave out 'history'"),
        ({"change": lambda s: Signature(s.inputs, s.outputs, s.axes, masked=True)}, "on boxes only"),
        ({"c": TWO_PHASE}, "derivative of 'c', which jumps"),
        ({"sizes": {"x": 4, "t": 9}}, "needs at least 5 points, there are 4"),
        (
            {
                "problem": pm.Problem(
                    coordinates={"x": (0, 1)},
                    unknowns="u",
                    inputs={"f": {"over": ["x"]}},
                    equations="u_x + integral(u, x, 0, 1) = f",
                    conditions=pm.Dirichlet(u=0, on="boundary.left"),
                ),
                "numbers": (),
            },
            "the integral of an unknown",
        ),
        (
            {
                "problem": pm.Problem(
                    coordinates={"x": (0, 1)},
                    unknowns="u",
                    inputs={"f": {"over": ["x"]}},
                    equations="d(u, x, 5) = f",
                    conditions=pm.Dirichlet(u=0),
                ),
                "numbers": (),
            },
            "at most order 4",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        refused(**options)


def test_jumps_are_allowed_where_no_derivative_is_taken():
    assert refused(u0=TWO_PHASE).statements


def test_samples_from_elsewhere_are_refused():
    grid = {"x": torch.linspace(0, 2, 9, dtype=FLOAT), "t": torch.linspace(0, 0.5, 9, dtype=FLOAT)}
    signature = signature_of(FLOW, ("t", "x"), ("nu",))
    inputs = {q.name: torch.ones(1, *(9 for _ in q.dims), dtype=FLOAT) for q in signature.inputs}
    with pytest.raises(InputError, match="from 0 to 2 in the samples, but from 0 to 1"):
        EquationLoss.of(FLOW, signature, inputs, grid)


def test_derivatives_of_inputs_in_the_flow():
    assert input_jets(FLOW) == (("c", (0, 0)), ("c", (1, 0)), ("g", (0, 0)), ("s", (0, 0)), ("u0", (0, 0)))
