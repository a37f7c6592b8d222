"""The residual system against the original equations, evaluated naively by nested reverse mode in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import pdeml as pm
from pdeml.errors import InputError
from pdeml.lower import ResidualSystem, make_residual_plan

from .oracle import blocks, rows_of, system, tiny
from .problems import PROBLEMS, over_time, steady


def close(actual: Tensor, expected: Tensor) -> None:
    size = float(expected.detach().abs().max())
    torch.testing.assert_close(actual.detach(), expected.detach(), rtol=1e-10, atol=1e-10 * max(size, 1.0))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("exact", [True, False], ids=["lifted", "plain"])
def test_rows_jacobian_and_gradient(name: str, exact: bool):
    problem = PROBLEMS[name]()
    ansatz, theta = tiny(problem, exact_conditions=exact)
    pairs = blocks(problem, ansatz)
    whole = ResidualSystem(tuple(block for block, _ in pairs), ansatz.parameter_count)
    theta = theta.requires_grad_()
    expected = rows_of(problem, ansatz, theta, pairs)
    slopes = torch.stack(
        [torch.autograd.grad(row, theta, retain_graph=True, materialize_grads=True)[0] for row in expected]
    )
    z = theta.detach()
    close(whole.residual(z), expected)
    rows, jacobian = whole.linearise(z)
    close(rows, expected)
    close(jacobian, slopes)
    value, gradient = whole.gradient(z)
    close(value, 0.5 * expected.square().sum())
    close(gradient, slopes.T @ expected)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("heat-2d", 5),  # u, u_x, u_y, u_t, the sum; not u, u_x, u_y, u_t, u_xx, u_yy
        ("wave", 4),
        ("two-forms-share-a-sum", 4),
        ("biharmonic", 11),
        ("kdv", 4),
        ("fully-nonlinear", 6),
    ],
)
def test_sums_are_carried_as_one_channel(name: str, channels: int):
    problem = PROBLEMS[name]()
    ansatz, _ = tiny(problem)
    assert len(blocks(problem, ansatz)[0][0].plan.spec) <= channels


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (lambda: over_time("u_t = d(u, x, 5)"), "order 5"),
        (lambda: over_time("u_t = d(u, x, 3) + d(d(d(u, x, 2), t), x, 2)"), "order 5"),
        (lambda: over_time("u_t = integral(u, x, -1, 1)"), "integral"),
        (lambda: steady("-div(a*grad(u)) = 1", inputs={"a": {"field": "grf", "over": ["x", "y"]}}), "'a'"),
    ],
)
def test_what_cannot_be_lowered_is_refused(problem, message: str):
    made = problem()
    with pytest.raises(InputError, match=message):
        make_residual_plan(made.forms, made.names, {})


@pytest.mark.parametrize("sampler", ["sobol", "latin", "grid"])
def test_the_sum_of_squares_estimates_a_mean_square_whatever_the_points(sampler: str):
    """Of any sampler and any number of points, with conditions on edges of different lengths."""
    problem = PROBLEMS["cut-out"]()
    ansatz, theta = tiny(problem)
    norms = [system(problem, ansatz, n, sampler).norms(theta) for n in (1024, 4096)]
    reference = system(problem, ansatz, 16384).norms(theta)
    for found in norms:
        for name, norm in found.items():
            assert norm == pytest.approx(reference[name], rel=0.03)


def test_weights_multiply_the_rows_but_not_the_norms():
    def rows_and_norms(weight: float) -> tuple[torch.Tensor, dict[str, float]]:
        problem = over_time([{"equation": "u_t = u_xx", "weight": weight}], [pm.Initial(u=1, weight=weight)])
        ansatz, theta = tiny(problem)
        made = system(problem, ansatz)
        return made.residual(theta), made.norms(theta)

    (once, norms), (often, same) = rows_and_norms(1.0), rows_and_norms(4.0)
    torch.testing.assert_close(often, 4 * once)
    assert same == pytest.approx(norms)
