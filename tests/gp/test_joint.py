"""The published joint objective: against dense Gaussians and finite differences; what it refuses."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.gp import grid_algebra
from pdeml.gp.envelopes import Matern
from pdeml.gp.joint import JointObjective
from pdeml.gp.joint_program import Specialised
from pdeml.gp.kernels import ProductKernel, spectral_mixture
from pdeml.lower import JetSpec
from pdeml.lower.functions import TORCH

PROBLEMS = {
    "poisson": pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 2)},
        unknowns="u",
        equations="u_xx + u_yy = sin(3*x)*y",
        conditions=pm.Dirichlet(u="x*y"),
    ),
    "semilinear": pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = 0.1*u_xx - u^3 + x",
        conditions=[pm.Initial(u="x"), pm.Dirichlet(u="x")],
    ),
    "periodic": pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t + 2*u_x = 0",
        conditions=[pm.Initial(u="sin(2*pi*x)"), pm.Periodic("x")],
    ),
    "system": pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="u v",
        equations=["u_x = v", "v_x = -u*v + sin(x)"],
        conditions=[{"on": "boundary.left", "value": {"u": 1, "v": 0}}],
    ),
}


def _objective(name: str, n: int = 6) -> JointObjective:
    problem = PROBLEMS[name]
    axes = tuple(spectral_mixture([0.0, 3.0], 2.0) for _ in problem.names.coordinates)
    sizes = tuple(n + k for k in range(len(axes)))
    return JointObjective(problem, sizes, [ProductKernel(axes)] * len(problem.names.real_unknowns), nugget=1e-4)


def _somewhere(objective: JointObjective) -> torch.Tensor:
    noise = torch.randn(objective.size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return objective.start() + 0.3 * noise


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gradient_is_that_of_finite_differences(name: str):
    """Along random directions, each block of the unknowns (values, kernels, precisions) by itself."""
    objective = _objective(name)
    z, step = _somewhere(objective), 1e-6
    _, slope = objective.gradient(z)
    generator = torch.Generator().manual_seed(4)
    ends = np.cumsum([0, objective.size - objective.codec.size - 2, objective.codec.size, 2])
    for start, stop in itertools.pairwise(ends):
        direction = torch.zeros_like(z)
        direction[start:stop] = torch.randn(int(stop - start), dtype=torch.float64, generator=generator)
        central = (objective.value(z + step * direction) - objective.value(z - step * direction)) / (2 * step)
        assert float(slope @ direction) == pytest.approx(float(central), rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_evaluated_where_it_is_told(name: str):
    """Where nothing is said of the device, tensors are on another one, whose numbers do not mix with those."""
    here = _objective(name)
    z = _somewhere(here)
    axes = tuple(spectral_mixture([0.0, 3.0], 2.0) for _ in here.sizes)
    kernels = [ProductKernel(axes)] * here.unknowns
    with torch.device("meta"):
        there = JointObjective(PROBLEMS[name], here.sizes, kernels, nugget=1e-4, device="cpu")
        found = there.start(), *there.gradient(z), there.values(z), there.ansatz(z)[1]
    torch.testing.assert_close(found, (here.start(), *here.gradient(z), here.values(z), here.ansatz(z)[1]))


def test_the_value_is_the_published_one():
    """Written out with dense Kronecker matrices for Poisson's equation, residuals from differentiation matrices."""
    objective = _objective("poisson", 5)
    z = _somewhere(objective)
    values, (kernel,) = objective.values(z)[0], objective.kernels(z)
    log_tau, log_v = z[-2:].tolist()
    matrices, second = [], []
    for k, x in zip(kernel.axes, objective.axes, strict=True):
        table = k.derivatives(x[:, None] - x, 2)
        matrices.append(table[0] + 1e-4 * k.variance * torch.eye(len(x)))
        second.append(table[2] @ torch.linalg.inv(matrices[-1]))
    dense = torch.kron(*matrices)
    x, y = torch.meshgrid(*objective.axes, indexing="ij")
    residual = second[0] @ values + values @ second[1].T - torch.sin(3 * x) * y
    gaps = [(values - x * y)[side] for side in ((0, ...), (-1, ...), (..., 0), (..., -1))]
    equation, condition = (scaled[0] for scaled in (_scales(objective, 0), _scales(objective, 1)))
    flat, count = values.reshape(-1), values.numel()
    expected = 0.5 * torch.logdet(dense) + 0.5 * flat @ torch.linalg.solve(dense, flat)
    expected = expected + 0.5 * math.exp(log_v) * (residual / equation).square().sum() - 0.5 * count * log_v
    for gap in gaps:
        square = (gap / condition).square().sum()
        expected = expected + 200 * (0.5 * math.exp(log_tau) * square - 0.5 * gap.numel() * log_tau)
    assert float(objective.value(z)) == pytest.approx(float(expected) / count, rel=1e-9)


def _scales(objective: JointObjective, block: int) -> tuple[float, ...]:
    return objective._blocks[block].statement.scales


def test_the_ansatz_is_the_conditional_mean():
    """Values off the grid by the dense formula, derivatives by differences of values."""
    objective = _objective("poisson")
    z = _somewhere(objective)
    ansatz, theta = objective.ansatz(z)
    (kernel,), values = objective.kernels(z), objective.values(z)[0]
    points = torch.tensor([[0.13, 0.9], [0.71, 1.7], [0.5, 0.02]], dtype=torch.float64)
    sides = []
    for k, x, at in zip(kernel.axes, objective.axes, points.T, strict=True):
        covariance = k.derivatives(x[:, None] - x, 0)[0] + 1e-4 * k.variance * torch.eye(len(x))
        sides.append(k.derivatives(at[:, None] - x, 0)[0] @ torch.linalg.inv(covariance))
    expected = torch.einsum("ni,ij,nj->n", sides[0], values, sides[1])
    torch.testing.assert_close(ansatz.values(theta, points)[:, 0], expected, rtol=1e-8, atol=1e-8)
    step = torch.tensor([1e-5, 0.0], dtype=torch.float64)
    slope = (ansatz.values(theta, points + step) - ansatz.values(theta, points - step))[:, 0] / 2e-5
    jets = ansatz.prepare(points, JetSpec(((0, 0), (1, 0)))).jets(theta)
    torch.testing.assert_close(jets[1, :, 0], slope, rtol=1e-5, atol=1e-6)


def test_a_specialised_program_gives_what_the_program_gives():
    """With its columns fixed, for other values of the channels."""
    objective = _objective("poisson")
    plan = objective._blocks[0].statement.plan
    generator = torch.Generator().manual_seed(5)
    columns = [torch.rand(7, dtype=torch.float64, generator=generator) for _ in plan.columns]
    slots = [torch.rand(7, dtype=torch.float64, generator=generator) for _ in plan.slots]
    (whole,) = plan.residual.run([*columns, *slots], TORCH)
    torch.testing.assert_close(Specialised.of(plan.residual, columns)(slots)[0], whole, rtol=1e-14, atol=1e-14)
    assert len(Specialised.of(plan.residual, columns).program.code) < len(plan.residual.code)


def test_too_many_points_for_the_memory_are_refused_before_they_are_allocated(monkeypatch: pytest.MonkeyPatch):
    """The number of points that would fit is named, and does fit."""
    monkeypatch.setattr(grid_algebra, "available_memory", lambda: 10**6)
    kernel = ProductKernel((spectral_mixture([0.0], 1.0),) * 2)
    with pytest.raises(InputError, match="a grid of 500 x 500 points does not fit into memory; about") as caught:
        JointObjective(PROBLEMS["poisson"], (500, 500), [kernel])
    fit = [int(n) for n in str(caught.value).split("about ")[1].split(" do")[0].split(" x ")]
    JointObjective(PROBLEMS["poisson"], fit, [kernel])


def test_a_kernel_that_is_too_rough_is_refused():
    """Second derivatives of a mean need a kernel with as many."""
    kernel = ProductKernel((spectral_mixture([0.0], 1.0, envelope=Matern(0.5)),) * 2)
    objective = JointObjective(PROBLEMS["poisson"], (5, 5), [kernel])
    with pytest.raises(InputError, match="nu = 1"):
        objective.value(objective.start())
