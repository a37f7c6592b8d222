"""Which solution is found, how fast, and what its linearisation makes of other data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import DivergenceError
from pdeml.tensor import TensorSystem, grid

from .cases import CASES, LEFT, VALUE, WAVE, XY, Case, X
from .legendre import LegendreAxis


@pytest.mark.parametrize("name", ["allen-cahn", "burgers", "pendulum", "line, non-linear condition"])
def test_steps_of_newton_shrink_quadratically(name: str):
    system, solved, _ = CASES[name].solve(12)
    steps = np.array([step for step in system.solve(start=0.9 * solved.coefficients).history if step > 1e-11])
    assert len(steps) >= 3
    assert np.all(steps[1:] < 5.0 * steps[:-1] ** 2), steps


def test_the_branch_is_the_one_that_continues_the_linear_part():
    case = Case(X, "u_xx + 30*u*(u**2 - 1) = 0", [VALUE], "0", (2,), (4,))
    system = TensorSystem(case.problem, case.axes())
    solved = system.solve()
    assert float(solved.coefficients.abs().max()) < 1e-12
    assert "continued from the linear part" in solved.branch
    x = torch.linspace(0, 1, 200, dtype=torch.float64)
    pulse = 2.0**0.5 / torch.cosh(30.0**0.5 * (x - 0.5))
    bump = torch.linalg.lstsq(case.axes()[0].matrix(x, 0), pulse).solution
    other = system.solve(start=bump[None])
    assert other.branch == "the one near the start that was given"
    assert float(system.ansatz.values(other.coefficients.flatten(), x[:, None]).abs().max()) > 0.5
    assert system.residual(other.coefficients)["equation"] < 1e-8


def test_a_branch_that_ends_is_told():
    """Bratu's problem has no solution beyond 3.51; the path from the linear part turns there."""
    problem = pm.Problem(coordinates=X, unknowns="u", equations="u_xx + 5*exp(u) = 0", conditions=[VALUE])
    with pytest.raises(DivergenceError, match=r"ends where 0\.\d+ of the rest is added"):
        TensorSystem(problem, [LegendreAxis(0.0, 1.0, 2, 12, 2)]).solve()


def test_a_start_is_brought_to_the_conditions():
    case = CASES["allen-cahn"]
    system, solved, _ = case.solve()
    noise = torch.randn(solved.coefficients.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    again = system.solve(start=solved.coefficients + 1e-3 * noise / (1 + torch.arange(noise[0].numel()).view_as(noise)))
    assert case.error(system, again) < 1e-9


@pytest.mark.parametrize("name", ["robin", "heat", "periodic", "periodic transport", "allen-cahn", "line, periodic"])
def test_functions_in_the_space_are_recovered_from_their_data(name: str):
    case = CASES[name]
    system, solved, _ = case.solve(8)
    again = system.recovered(
        lambda places, index: system.ansatz.on_grid(solved.coefficients, places, index), solved.coefficients
    )
    torch.testing.assert_close(again, solved.coefficients, rtol=0, atol=1e-9)


def test_recovery_is_linear_and_keeps_its_factors(monkeypatch: pytest.MonkeyPatch):
    system, solved, _ = CASES["allen-cahn"].solve(8)

    def wave(places, index):
        grid = torch.meshgrid(*places, indexing="ij")
        phase = sum((k + 2) * x for k, x in enumerate(grid)) + 0.5 * np.pi * sum(index)
        return (torch.sin(phase) * np.prod([(k + 2.0) ** order for k, order in enumerate(index)]))[..., None]

    once = system.recovered(wave, solved.coefficients)
    monkeypatch.setattr(type(system._system), "_solver", None)
    twice = system.recovered(lambda places, index: 2.0 * wave(places, index), solved.coefficients)
    torch.testing.assert_close(twice, 2.0 * once)


def test_undetermined_problems_are_told():
    case = Case(XY, "u_xx + u_yy = 0", [pm.Neumann(u=0)], WAVE, (2, 2))
    with pytest.raises(DivergenceError, match="do not determine the solution"):
        case.solve(8)
    with pytest.raises(DivergenceError, match="do not determine the solution"):
        Case(X, "u_xx = 0", [pm.Neumann(u=0)], "x**2", (2,)).solve(8)


def test_where_newton_cannot_go_on_is_told():
    with pytest.raises(DivergenceError, match=r"stops after 0 steps: linearised there, .* singular"):
        Case(X, "u_x**2 = 1", [LEFT], "x", (1,)).solve(8)


def test_where_gmres_fails_small_systems_are_factorised(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "KRYLOV", 1)
    monkeypatch.setattr(grid, "RESTARTS", 1)
    case = Case(XY, "u_xx + u_yy + 60*sin(5*x*y)*u = 0", [VALUE], WAVE, (2, 2))
    assert case.solve()[2] < 1e-10
    monkeypatch.setattr(grid, "MOST_DIRECT", 1)
    with pytest.raises(DivergenceError, match="GMRES did not solve the linearised equation within 1 steps"):
        case.solve()


def test_a_potential_far_smaller_than_the_derivatives_still_counts():
    """The rounding of a fourth derivative is larger than the potential times the solution."""
    case = Case(XY, "d(u, x, 4) + d(u, y, 4) + 2000*sin(9*x*y)*u = 0", [VALUE, pm.Neumann(u=0)], WAVE, (4, 4), (2, 2))
    assert case.solve(20)[2] < 1e-8
