"""The family of functions: derivatives are those of the values, and everything is linear in the coefficients."""

from __future__ import annotations

import pytest
import torch

import pdeml as pm
from pdeml.features.ansatz import FeatureAnsatz
from pdeml.features.cells import make_cells
from pdeml.features.local import draw_space
from pdeml.lower import JetSpec

INDICES = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0))


@pytest.fixture(params=["sin", "tanh"])
def ansatz(request) -> FeatureAnsatz:
    domain = pm.Problem(
        coordinates={"x": (0.0, 2.0), "y": (-1.0, 1.0)},
        unknowns="u",
        equations="laplacian(u) = 0",
        conditions=[pm.Dirichlet(u=0)],
    ).domain
    space = draw_space(2, 2.0, 7, activation=request.param, degree=2, seed=3)
    return FeatureAnsatz(make_cells(domain, (2, 3)), space, unknowns=2)


def drawn(ansatz: FeatureAnsatz, count: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(ansatz.parameter_count, generator=generator, dtype=torch.float64)
    points = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 2 - torch.tensor([0.0, 1.0])
    return theta, points


def test_derivatives_are_those_of_finite_differences(ansatz):
    theta, points = drawn(ansatz)
    found = dict(zip(INDICES, ansatz.derivatives(theta, points, INDICES), strict=True))
    step = 1e-5
    for index in INDICES[:-1]:
        for axis in range(2):
            above = tuple(k + (axis == j) for j, k in enumerate(index))
            if above in found:
                shift = step * torch.eye(2, dtype=torch.float64)[axis]
                high, low = (ansatz.derivatives(theta, points + s * shift, (index,))[0] for s in (1, -1))
                torch.testing.assert_close((high - low) / (2 * step), found[above], rtol=1e-6, atol=1e-6)


def test_the_tape_is_the_derivative_of_the_jets(ansatz):
    theta, points = drawn(ansatz)
    spec = JetSpec.closed(((1, 0),), (((1.0, (2, 0)), (-0.5, (0, 2))),), dimension=2)
    prepared = ansatz.prepare(points, spec)
    jets, tape = prepared.linearise(theta)
    adjoint = torch.randn(jets.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = tape.jacobian(adjoint, jets.new_full((len(points), len(theta)), torch.nan))
    torch.testing.assert_close(rows @ theta, (adjoint * jets).sum((0, 2)))
    torch.testing.assert_close(tape.pullback(adjoint), rows.sum(0))
    other = drawn(ansatz)[0].flip(0)
    torch.testing.assert_close(prepared.jets(theta + other), jets + prepared.jets(other))


def test_many_points_are_evaluated_as_few(ansatz, monkeypatch):
    theta, points = drawn(ansatz, 40)
    whole = ansatz.values(theta, points)
    monkeypatch.setattr("pdeml.features.ansatz._BLOCK", 64)
    torch.testing.assert_close(ansatz.values(theta, points), whole, rtol=1e-13, atol=0)
