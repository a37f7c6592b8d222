"""The equation as a loss by Triton kernels, interpreted where there is no GPU, and in Sobolev norms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pdeml as pm
from pdeml.errors import InputError
from pdeml.train.equation import EquationLoss

from .equation_cases import FLOAT, FLOW, grid_of, signature_of

BURGERS = pm.Problem(
    coordinates={"x": (0, 1), "t": (0, 0.5)},
    time="t",
    unknowns="u",
    inputs={"u0": {"over": ["x"]}},
    equations="u_t + u*u_x = 0.01*u_xx",
    conditions=[{"periodic": "x"}, pm.Initial(u="u0")],
)
DARCY = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 2)},
    unknowns="u",
    inputs={"a": {"over": ["x", "y"]}},
    equations="-div(a*grad(u)) = 1",
    conditions=[pm.Dirichlet(u=0)],
)
# Vorticity and stream function: two outputs, three axes of which two are periodic.
NAVIER_STOKES = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
    time="t",
    unknowns=["w", "s"],
    inputs={"w0": {"over": ["x", "y"]}},
    equations=["w_t + s_y*w_x - s_x*w_y = 0.01*(w_xx + w_yy)", "s_xx + s_yy = -w"],
    conditions=[{"periodic": ["x", "y"]}, pm.Initial(w="w0")],
)
# A mixed derivative, differences of several orders along one axis, a condition on a part of an end.
MIXED = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 2)},
    unknowns="u",
    inputs={"f": {"over": ["x", "y"]}},
    equations="u_xy + u_xxy*u_x + u_yyy = f",
    conditions=[pm.Dirichlet(u="x*y", on={"piece": "left", "where": "y > 0.5"})],
)
CASES = {
    "burgers": (BURGERS, ("t", "x"), {"x": 9, "t": 7}, ()),
    "darcy": (DARCY, ("x", "y"), {"x": 8, "y": 9}, ()),
    "navier-stokes": (NAVIER_STOKES, ("t", "x", "y"), {"x": 6, "y": 5, "t": 6}, ()),
    "mixed": (MIXED, ("y", "x"), {"x": 8, "y": 9}, ()),
    "flow": (FLOW, ("x", "t"), {"x": 9, "t": 7}, ("nu",)),
}


class Fixed(nn.Module):
    """An operator that gives these outputs whatever it is given."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs, grid):
        return self.outputs


def drawn(name, dtype=FLOAT):
    """Smooth inputs of two samples, random outputs."""
    problem, dims, sizes, numbers = CASES[name]
    grid = {dim: points.to(dtype) for dim, points in grid_of(problem, sizes).items()}
    signature, generator = signature_of(problem, dims, numbers), torch.Generator().manual_seed(0)
    inputs = {
        quantity.name: 1 + 0.1 * torch.rand(2, *(sizes[dim] for dim in quantity.dims), generator=generator, dtype=FLOAT)
        for quantity in signature.inputs
    }
    for quantity in signature.inputs:
        for place, _ in enumerate(quantity.dims, start=1):
            inputs[quantity.name] = inputs[quantity.name].cumsum(place)
    outputs = torch.rand(2, len(signature.outputs), *(sizes[dim] for dim in dims), generator=generator, dtype=FLOAT)
    inputs = {own: values.to(dtype) for own, values in inputs.items()}
    return problem, signature, inputs, grid, outputs.to(dtype).requires_grad_()


def loss_and_gradient(name, dtype=FLOAT, **options):
    problem, signature, inputs, grid, outputs = drawn(name, dtype)
    loss = EquationLoss.of(problem, signature, inputs, grid, **options)
    value, norms = loss(Fixed(outputs), inputs, grid)
    return value, norms, torch.autograd.grad(value, outputs)[0]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_kernels_give_the_loss_of_torch(name, dtype, tolerance):
    pytest.importorskip("triton")
    value, norms, gradient = loss_and_gradient(name, dtype, kernels="triton")
    expected, exact, slope = loss_and_gradient(name, kernels="torch")
    assert value.item() == pytest.approx(expected.item(), rel=tolerance)
    assert list(norms) == list(exact)
    for statement, norm in norms.items():
        assert norm.item() == pytest.approx(exact[statement].item(), rel=tolerance)
    assert gradient.dtype == dtype
    assert ((gradient - slope).abs().max() / slope.abs().max()).item() < tolerance


@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_differences_of_polynomials_are_exact(kernels):
    """u = x²y³ has u_xy = 6xy², u_xxy u_x = 12xy⁵ and u_yyy = 6x²."""
    pytest.importorskip("triton")
    problem, dims, sizes, _ = CASES["mixed"]
    grid, signature = grid_of(problem, sizes), signature_of(problem, dims)
    y, x = torch.meshgrid(grid["y"], grid["x"], indexing="ij")
    f = 6 * x * y**2 + 12 * x * y**5 + 6 * x**2
    inputs, outputs = {"f": f[None]}, (x**2 * y**3)[None, None]
    loss = EquationLoss.of(problem, signature, inputs, grid, kernels=kernels)
    _, norms = loss(Fixed(outputs), inputs, grid)
    assert norms["equation"].item() < 1e-12
    _, norms = loss(Fixed(outputs + torch.where(y > 0.5, 1.0, 100.0)), inputs, grid)
    _, at_left = norms.values()
    assert at_left.item() == pytest.approx(1 / loss.statements[1].scales[0])


@pytest.mark.parametrize("name, norm", [("burgers", -1), ("burgers", 1), ("navier-stokes", -1), ("darcy", 1)])
def test_kernels_give_the_norms_of_torch(name, norm):
    pytest.importorskip("triton")
    value, _, gradient = loss_and_gradient(name, norm=norm, kernels="triton")
    expected, _, slope = loss_and_gradient(name, norm=norm, kernels="torch")
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, slope, rtol=1e-11, atol=1e-11 * slope.abs().max().item())


@pytest.mark.parametrize("norm", [-1, 0, 1])
def test_a_wave_in_the_residual_counts_by_its_number(norm):
    """u = sin(2πkx) / (2πk): R = cos(2πkx), whose squared norm is (1 + 4π²k²)^s / 2, in the units of x."""
    problem = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)}, time="t", unknowns="u", inputs={"u0": {"over": ["x"]}},
        equations="u_t + u_x = 0", conditions=[{"periodic": "x"}, pm.Initial(u="u0")],
    )  # fmt: skip
    grid, signature = grid_of(problem, {"x": 16, "t": 9}), signature_of(problem, ("t", "x"))
    squares = []
    for k in (1, 5):
        u0 = (torch.sin(2 * np.pi * k * grid["x"]) / (2 * np.pi * k))[None]
        inputs = {"u0": u0}
        loss = EquationLoss.of(problem, signature, inputs, grid, norm=norm)
        _, norms = loss(Fixed(u0.expand(9, 16)[None, None]), inputs, grid)
        squares.append(norms["equation"].item() ** 2 / loss.statements[0].scales[0] ** -2)
        assert norms["u on initial"].item() == pytest.approx(0, abs=1e-14)
    waves = 1 + (2 * np.pi * np.array([1, 5])) ** 2
    assert squares == pytest.approx(waves**norm / 2, rel=1e-10)


def test_norms_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="an axis is not periodic") as caught:
        loss_and_gradient("darcy", norm=-1)
    assert caught.value.path == ("physics_norm",)


def test_kernels_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="kernels must be one of auto, triton, torch") as caught:
        loss_and_gradient("darcy", kernels="cuda")
    assert caught.value.path == ("kernels",)
