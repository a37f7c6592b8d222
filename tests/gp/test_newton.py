"""Rows of non-linear equations: what they are at a given function, with the non-linear terms switched on in part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.gp import ProductKernel, rbf
from pdeml.gp.newton import change, next_rows
from pdeml.gp.posterior import Space
from pdeml.gp.rows import make_sites, rows_of
from pdeml.gp.square_root import SpectralAnsatz
from pdeml.lower import estimate_scales, statements


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_step_linearises_the_equation_with_its_non_linear_terms_in_part(share: float):
    problem = pm.Problem(
        coordinates={"x": (0, 1)}, unknowns="u", equations="u_xx + u^3 = x", conditions=[pm.Dirichlet(u=1)]
    )
    sites = make_sites(statements(problem, estimate_scales(problem)), problem.domain, (9,))
    x = sites[0].points
    ansatz = SpectralAnsatz((ProductKernel((rbf(0.5),)),), rows_of(sites, 1), Space(("x",), (0.0,), (1.0,), x))
    theta = ansatz.conditioned.theta
    rows, seen = next_rows(ansatz, theta, sites, share)
    u = seen[:, 0]
    (second,) = ansatz.derivatives(theta, x, ((2,),))[..., 0]
    jets = ansatz.derivatives(theta, x, rows[0].indices)
    missed = rows[0].apply(jets) - rows[0].values
    np.testing.assert_allclose(missed, second + share * u**3 - x[:, 0], atol=1e-9)
    place = rows[0].indices.index((0,))
    np.testing.assert_allclose(rows[0].coefficients[:, place, 0], share * 3 * u**2, atol=1e-12)


def test_how_much_a_step_moves():
    before, after = torch.tensor([[3.0], [4.0]]), torch.tensor([[3.0], [5.0]])
    assert change(before, after) == pytest.approx(1 / 34**0.5)
    assert change(before[:0], after) == 1.0
    assert change(0 * before, 0 * after) == 0.0
