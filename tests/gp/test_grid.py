"""Kernels on grids: the basis, the solver against dense conditioning, refinement, checkpoints and deviations."""

from __future__ import annotations

import math

import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.gp.envelopes import Gaussian, Matern
from pdeml.gp.grid import GridModel
from pdeml.gp.grid_axis import CardinalAxis, KernelAxis
from pdeml.gp.kernels import ProductKernel, spectral_mixture
from pdeml.gp.pathwise import Deviations
from pdeml.tensor import TensorSystem

POISSON = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 1)},
    unknowns="u",
    equations="u_xx + u_yy = -5*pi^2*sin(pi*x)*sin(2*pi*y) + 6*x",
    conditions=pm.Dirichlet(u="x^3"),
)


def _exact(points: torch.Tensor) -> torch.Tensor:
    x, y = points.unbind(1)
    return torch.sin(math.pi * x) * torch.sin(2 * math.pi * y) + x**3


def _points(count: int, dimension: int = 2) -> torch.Tensor:
    return torch.rand(count, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("envelope", [Gaussian(), Matern(4.5)], ids=str)
def test_the_basis_spans_the_kernel_on_the_grid(envelope):
    """k(., X) c and its derivatives are reproduced from values at the nodes, where the grid is coarse."""
    kernel = spectral_mixture([0.0, 9.0], 4.0, envelope=envelope)
    axis = KernelAxis(kernel, -1.0, 1.5, 15)
    assert axis.size == 15
    nodes, x = axis.nodes(0, 0), torch.linspace(-1, 1.5, 33, dtype=torch.float64)
    mixing = torch.randn(15, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    cardinal = CardinalAxis(axis, nodes)
    values = kernel.derivatives(nodes[:, None] - axis.grid, 0)[0] @ mixing
    for order in range(3):
        wanted = kernel.derivatives(x[:, None] - axis.grid, order)[order] @ mixing
        found = cardinal.matrix(x, order) @ values
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8 * float(wanted.abs().max()))


def test_the_basis_is_orthonormal_on_the_grid_and_leaves_rounding_out():
    """A band of 20 radians has some 20 functions on an interval of length 2, whatever the number of points."""
    axis = KernelAxis(spectral_mixture(torch.linspace(0, 20, 12), 1.0), 0.0, 2.0, 80)
    assert 20 * 2 / math.pi < axis.size < 45
    values = axis.matrix(axis.grid, 0)
    torch.testing.assert_close(values.T @ values / 80, torch.eye(axis.size).double(), rtol=0, atol=1e-2)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 1), (2, 0), (1, 0)])
def test_nodes_are_as_many_as_the_conditions_leave(low: int, high: int):
    axis = KernelAxis(spectral_mixture([0.0, 3.0, 6.0], 1.5), 0.0, 2.0, 30)
    nodes = axis.nodes(low, high)
    assert len(nodes) == axis.size - low - high
    assert bool((nodes.diff() > 0).all())
    assert 0 < float(nodes[0]) < float(nodes[-1]) < 2


def test_on_a_grid_the_solution_is_that_of_the_dense_kernel():
    """Kansa's collocation with k(., X_i) k(., Y_j) at the same nodes, as one dense system."""
    kernel = spectral_mixture([0.0, 5.0], 3.0)
    axes = [KernelAxis(kernel, 0.0, 1.0, 8) for _ in range(2)]
    assert [axis.size for axis in axes] == [8, 8]
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)}, unknowns="u", equations="u_xx + u_yy = x*exp(y)",
        conditions=pm.Dirichlet(u=0),
    )  # fmt: skip
    system = TensorSystem(problem, axes)
    found = system.solve().coefficients
    x = _points(50)
    rows = torch.cat([torch.tensor([0.0]), axes[0].nodes(1, 1), torch.tensor([1.0])]).double()
    one = [kernel.derivatives(rows[:, None] - axes[0].grid, 2)[p] for p in (0, 2)]
    dense = torch.kron(one[0], one[0])
    inner = torch.zeros(len(rows), len(rows), dtype=torch.bool)
    inner[1:-1, 1:-1] = True
    dense[inner.reshape(-1)] = (torch.kron(one[1], one[0]) + torch.kron(one[0], one[1]))[inner.reshape(-1)]
    a, b = torch.meshgrid(rows, rows, indexing="ij")
    weights = torch.linalg.solve(dense, (inner * a * torch.exp(b)).reshape(-1))
    sides = [kernel.derivatives(column[:, None] - axes[0].grid, 0)[0] for column in x.unbind(1)]
    wanted = torch.einsum("ni,ij,nj->n", sides[0], weights.reshape(8, 8), sides[1])
    torch.testing.assert_close(system.ansatz.values(found.reshape(-1), x)[:, 0], wanted, rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def solved():
    """A model and its last stage."""
    model, stage = GridModel(POISSON, (2 * math.pi,) * 2, components=12, tolerance=1e-9), None
    while stage is None or model.ended(stage) is None:
        stage = model.advance(stage)
    return model, stage


def test_refinement_reaches_the_tolerance(solved):
    model, stage = solved
    assert model.ended(stage)[1]
    points = _points(300)
    error = model.ansatz(stage).values(stage.values.reshape(-1), points)[:, 0] - _exact(points)
    assert float(error.norm() / _exact(points).norm()) < 1e-9


def test_a_checkpoint_holds_a_stage(solved):
    """Also where rounding turns the basis: θ are values at nodes."""
    model, stage = solved
    tensors, facts = model.pack(stage)
    again = model.unpack(tensors, facts)
    points = _points(100)
    first, second = (model.ansatz(s).values(tensors["z"], points) for s in (stage, again))
    assert torch.equal(first, second)
    nudged = ProductKernel(tuple(axis.scaled(1 + 1e-15) for axis in stage.prior.axes))
    tensors["prior"] = model.pack(stage.__class__(**{**stage.__dict__, "prior": nudged}))[0]["prior"]
    turned = model.unpack(tensors, facts)
    torch.testing.assert_close(model.ansatz(turned).values(tensors["z"], points), first, rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="does not belong"):
        model.unpack({}, facts)


def test_deviations_are_those_of_the_dense_posterior():
    """One coordinate, so few points that the error is large: root mean square of 200 draws against linear algebra."""
    problem = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", equations="u_xx = sin(9*x)", conditions=pm.Dirichlet(u="x")
    )
    kernel = spectral_mixture([0.0, 12.0], 4.0)
    axis = KernelAxis(kernel, 0.0, 1.0, 7)
    assert axis.size == 7
    system = TensorSystem(problem, [axis])
    found = system.solve().coefficients
    x = torch.linspace(0.03, 0.97, 11, dtype=torch.float64)
    drawn = Deviations.of(system, found, [ProductKernel((kernel,))], 200, seed=1)
    # The error of the estimator Φ(x) A⁻¹ rows is linear in the function: its covariance in closed form.
    rows = [(axis.nodes(1, 1), 2), (torch.tensor([0.0, 1.0]).double(), 0)]
    solve = axis.matrix(x, 0) @ torch.linalg.inv(torch.cat([axis.matrix(at, p) for at, p in rows]))
    every = [(x, 0, torch.eye(len(x)).double())] + [
        (at, p, -solve[:, k : k + len(at)]) for (at, p), k in zip(rows, (0, 5), strict=True)
    ]
    covariance = torch.zeros(len(x), len(x), dtype=torch.float64)
    for a, p, left in every:
        for b, q, right in every:
            covariance += left @ ((-1) ** q * kernel.derivatives(a[:, None] - b, p + q)[p + q]) @ right.T
    ratio = drawn(x[:, None])[:, 0] / drawn.factor / covariance.diagonal().sqrt()
    assert float((ratio - 1).abs().max()) < 5 / math.sqrt(2 * 200)


def test_deviations_on_a_grid_are_those_at_its_points(solved):
    model, stage = solved
    drawn = model.deviations(stage, count=4, seed=2)
    places = [torch.linspace(0.1, 0.9, n, dtype=torch.float64) for n in (3, 4)]
    points = torch.stack([column.reshape(-1) for column in torch.meshgrid(*places, indexing="ij")], 1)
    grid = drawn.on_grid(places).reshape(-1, 1)
    scattered = torch.cat([drawn(point[None]) for point in points])
    torch.testing.assert_close(grid, scattered, rtol=0.05, atol=1e-13)
    again = model.deviations(stage, count=4, seed=2).on_grid(places).reshape(-1, 1)
    assert torch.equal(grid, again)


def test_a_non_linear_equation_is_followed_from_its_linear_part():
    """Steady Allen-Cahn in two coordinates, with a solution chosen beforehand."""
    exact = "sin(2*x)*cos(3*y)"
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)}, unknowns="u", equations="u_xx + u_yy + u*(u^2 - 1) = 0",
        conditions=pm.Dirichlet(u=0),
    ).manufactured({"u": exact})  # fmt: skip
    model = GridModel(problem, (2.0, 3.0), components=8)
    stage = model.advance(model.advance())
    points = _points(200)
    wanted = torch.sin(2 * points[:, 0]) * torch.cos(3 * points[:, 1])
    found = model.ansatz(stage).values(stage.values.reshape(-1), points)[:, 0]
    assert float((found - wanted).abs().max()) < 1e-8
    assert "linear part" in stage.branch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"highest": (1.0,)}, "one finite number for each coordinate"),
        ({"highest": (1.0, math.inf)}, "one finite number for each coordinate"),
        ({"envelope": Matern(1.5)}, "nu = 2.5"),
    ],
)
def test_what_is_refused(change: dict, message: str):
    with pytest.raises(InputError, match=message):
        GridModel(POISSON, **{"highest": (1.0, 1.0), **change})


def test_a_problem_that_is_no_tensor_product_is_refused_with_the_reason():
    disk = pm.Problem(
        domain=pm.Disk(center=(0, 0), radius=1.0),
        unknowns="u",
        equations="u_xx + u_yy = 1",
        conditions=pm.Dirichlet(u=0),
    )
    with pytest.raises(InputError, match="no box"):
        GridModel(disk, (1.0, 1.0))
