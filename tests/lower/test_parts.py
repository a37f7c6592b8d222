"""Points are worked on part by part: the sums are those of all points at once, and memory is that of one part."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import pdeml as pm
from pdeml.lower import ResidualSystem, make_block, statements
from pdeml.sampling import sample
from pdeml.solvers import PINN

from .oracle import system, tiny
from .problems import PROBLEMS


def made(monkeypatch: pytest.MonkeyPatch, name: str, most: int, n: int = 23) -> tuple[ResidualSystem, torch.Tensor]:
    monkeypatch.setattr(sys.modules["pdeml.lower.statements"], "_PART", most)
    ansatz, theta = tiny(PROBLEMS[name]())
    return system(PROBLEMS[name](), ansatz, n), theta


@pytest.mark.parametrize("name", ["heat-2d", "kdv", "fully-nonlinear", "cut-out"])
@pytest.mark.parametrize("most", [1, 5, 22])
def test_parts_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch, name: str, most: int):
    whole, theta = made(monkeypatch, name, 10**6)
    parts, _ = made(monkeypatch, name, most)
    assert all(len(block.parts) == 1 for block in whole.blocks)
    assert all(len(part.roots) <= most for block in parts.blocks for part in block.parts)
    assert [block.points for block in parts.blocks] == [block.points for block in whole.blocks]
    for found, expected in [
        (parts.residual(theta), whole.residual(theta)),
        (parts.gradient(theta)[0], whole.gradient(theta)[0]),
        (parts.gradient(theta)[1], whole.gradient(theta)[1]),
        (parts.linearise(theta)[0], whole.linearise(theta)[0]),
        (parts.linearise(theta)[1], whole.linearise(theta)[1]),
        (parts.value(theta), whole.value(theta)),
    ]:
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))
    assert parts.norms(theta) == pytest.approx(whole.norms(theta), rel=1e-12)


REACTION = pm.Problem(
    coordinates={"x": (0, 1), "t": (0, 1)},
    time="t",
    unknowns="u",
    parameters={"k": 0.3, "nu": 0.7},
    equations="u_t = nu*k*u_xx - k^2*u",
    conditions=[pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)],
)


def learning(monkeypatch: pytest.MonkeyPatch, most: int) -> tuple[ResidualSystem, torch.Tensor]:
    """Return a system with two learned parameters, which stand last in z, and z."""
    monkeypatch.setattr(sys.modules["pdeml.lower.statements"], "_PART", most)
    ansatz, theta = tiny(REACTION)
    blocks = []
    for statement in statements(REACTION, PINN().ansatz(REACTION)[1], learned=("k", "nu")):
        points = sample(statement.region, 23, "uniform", (0,))
        normals = None if points.normals is None else torch.tensor(points.normals)
        blocks.append(make_block(statement, ansatz, torch.tensor(points.x), torch.tensor(points.weights), normals))
    learned = torch.tensor([0.3, 0.7], dtype=torch.float64)
    return ResidualSystem(tuple(blocks), ansatz.parameter_count), torch.cat([theta, learned])


@pytest.mark.parametrize("most", [5, 10**6])
def test_derivatives_by_learned_parameters_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch, most: int):
    """In parts and as a whole, against differences; the part that does not depend on them has zeros."""
    whole, z = learning(monkeypatch, most)
    rows, jacobian = whole.linearise(z)
    step = 1e-5
    for place in (len(z) - 2, len(z) - 1):
        shift = torch.zeros_like(z)
        shift[place] = step
        slope = (whole.residual(z + shift) - whole.residual(z - shift)) / (2 * step)
        assert slope.abs().max() > 0.01
        torch.testing.assert_close(jacobian[:, place], slope, rtol=1e-7, atol=1e-8)
    value, gradient = whole.gradient(z)
    torch.testing.assert_close(gradient, jacobian.T @ rows, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(value, 0.5 * rows @ rows, rtol=1e-12, atol=0)


def test_the_memory_of_a_gradient_does_not_grow_with_the_number_of_points(monkeypatch: pytest.MonkeyPatch):
    few, many = (_peak(*made(monkeypatch, "heat-2d", 64, n)) for n in (64, 1024))
    assert many < 1.5 * few
    assert _peak(*made(monkeypatch, "heat-2d", 10**6, 1024)) > 5 * many  # what is measured is there at all


def _peak(whole: ResidualSystem, theta: torch.Tensor) -> int:
    """Return the most bytes that a gradient holds at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        whole.gradient(theta)
    held = most = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def test_an_empty_system_has_a_zero_gradient():
    value, gradient = ResidualSystem((), 3).gradient(torch.ones(3, dtype=torch.float64))
    assert float(value) == 0.0
    assert gradient.tolist() == [0.0, 0.0, 0.0]
