"""Linearised statements: exact where a statement is linear, its tangent where it is not."""

from __future__ import annotations

import pytest
import torch

import pdeml as pm
from pdeml.lower import Statement, estimate_scales, indices_of, linearised, statements


def stated(equations: str | list[str], unknowns: str = "u", **more: object) -> tuple[Statement, ...]:
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 2)},
        unknowns=unknowns,
        equations=equations,
        conditions=more.pop("conditions", [pm.Dirichlet(**dict.fromkeys(unknowns.split(), 0))]),
    )
    return statements(problem, estimate_scales(problem))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_linear_equation_is_taken_apart_collapsed_sums_too():
    equation = stated("u_xx + 2*u_yy + x*u_x - 3*u = sin(y)")[0]
    x = draw(7, 2)
    (rows,) = linearised(equation, x, 1)
    assert rows.indices == indices_of(equation) == ((0, 0), (1, 0), (2, 0), (0, 2))
    ones = torch.ones(7, dtype=torch.float64)
    torch.testing.assert_close(rows.coefficients[..., 0], torch.stack([-3 * ones, x[:, 0], ones, 2 * ones], 1))
    torch.testing.assert_close(rows.values, x[:, 1].sin())
    jets = draw(4, 7, 1, seed=1)
    (again,) = linearised(equation, x, 1, jets_KNU=jets)
    torch.testing.assert_close(again.coefficients, rows.coefficients)
    torch.testing.assert_close(again.values, rows.values)


def test_a_nonlinear_equation_has_its_tangent_and_newtons_values():
    equation = stated("laplacian(u) + u*(u^2 - 1)*u_x = 2")[0]
    x, jets, step = draw(5, 2), draw(4, 5, 1, seed=1), draw(4, 5, 1, seed=2)

    def residual(j: torch.Tensor) -> torch.Tensor:
        return j[2] + j[3] + j[0] * (j[0] ** 2 - 1) * j[1] - 2

    (rows,) = linearised(equation, x, 1, jets_KNU=jets)
    at = jets.clone().requires_grad_()
    (tangent,) = torch.autograd.grad(residual(at[..., 0]).sum(), at)  # points do not mix
    torch.testing.assert_close(rows.apply(step), (tangent * step).sum((0, 2)))
    torch.testing.assert_close(rows.apply(jets) - rows.values, residual(jets[..., 0]))


def test_systems_have_one_set_of_rows_for_each_residual():
    equations = stated(["u_x = v", "v_y = x*u"], "u v")[0]
    x = draw(4, 2)
    first, second = linearised(equations, x, 2)
    assert (first.name, second.name) == ("equation 1", "equation 2")
    jets = draw(len(first.indices), 4, 2, seed=3)
    place = {index: k for k, index in enumerate(first.indices)}
    torch.testing.assert_close(first.apply(jets), jets[place[1, 0], :, 0] - jets[place[0, 0], :, 1])
    torch.testing.assert_close(second.apply(jets), jets[place[0, 1], :, 1] - x[:, 0] * jets[place[0, 0], :, 0])


@pytest.mark.parametrize("normal", [(1.0, 0.0), (0.0, -1.0)])
def test_normal_derivatives_take_the_normals(normal: tuple[float, float]):
    robin = stated("laplacian(u) = 0", conditions=[pm.Condition("dn(u) + 2*u = y", on="boundary")])[1]
    x = draw(3, 2)
    (rows,) = linearised(robin, x, 1, torch.tensor([normal] * 3, dtype=torch.float64))
    wanted = {(0, 0): 2.0, (1, 0): normal[0], (0, 1): normal[1]}
    for k, index in enumerate(rows.indices):
        torch.testing.assert_close(rows.coefficients[:, k, 0], torch.full((3,), wanted[index], dtype=torch.float64))
    torch.testing.assert_close(rows.values, x[:, 1])
