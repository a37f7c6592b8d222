"""Solutions on boxes: every kind of condition and of operator, exactness and convergence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.tensor import TensorSystem, grid

from .cases import CASES, LEFT, VALUE, WAVE, XY, Case, X
from .legendre import LegendreAxis


@pytest.mark.parametrize("name", CASES)
def test_smooth_solutions_are_found_to_rounding(name: str):
    system, solved, error = CASES[name].solve(20 if len(CASES[name].coordinates) < 3 else 14)
    assert error < 1e-9
    assert solved.coefficients.shape == system.ansatz.shape
    assert max(system.residual(solved.coefficients, 64).values()) < 1e-7
    assert TensorSystem.refusal(system.problem) is None


DIRECT = {
    **{name: CASES[name] for name in ("robin", "polar", "one common coefficient", "heat in the plane", "wave")},
    "a potential": Case(XY, "u_xx + (2 + y)*u_yy + (sin(x) - y**2 + 3)*u = 0", [VALUE], WAVE, (2, 2)),
    "two unknowns": Case(
        XY,
        ["u_xx + u_yy + v = 0", "v_xx + v_yy - 3*u = 0"],
        [pm.Dirichlet(u=0, v=0)],
        {"u": WAVE, "v": "cos(x - y)"},
        (2, 2),
    ),
}


@pytest.mark.parametrize("name", DIRECT)
def test_separable_operators_are_solved_without_iterations(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "_krylov", None)
    assert DIRECT[name].solve(14)[2] < 1e-7


POLYNOMIALS = ["poisson", "robin", "convection", "not separable", "heat", "transport", "wave", "allen-cahn", "space"]


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_in_the_space_are_exact(name: str):
    case = CASES[name]
    first, second, *third = case.coordinates
    exact = f"1 + {first}**2*{second} - {second}**3" + "".join(f" + {one}*{first}" for one in third)
    _, _, error = Case(case.coordinates, case.equations, case.conditions, exact, case.orders, case.pieces).solve(6)
    assert error < 1e-11


@pytest.mark.parametrize("name", ["poisson", "heat", "line", "allen-cahn", "not separable"])
def test_errors_fall_exponentially_with_the_degree(name: str):
    errors = [CASES[name].solve(degree)[2] for degree in (6, 8, 10, 12)]
    rates = np.diff(np.log10(errors))
    assert np.all(rates < -0.7), errors


@pytest.mark.parametrize(("order", "expected"), [(1, 6), (2, 8)])
def test_collocation_at_gauss_points_is_superconvergent_in_the_pieces(order: int, expected: int):
    """At the ends of pieces the error is of order twice the number of points (de Boor and Swartz 1973)."""
    equation, conditions = {1: ("u_x + 2*u = 0", [LEFT]), 2: ("u_xx - 2*u = 0", [VALUE])}[order]
    problem = Case(X, equation, conditions, "sin(4*x)", (order,)).problem
    pieces, errors = (4, 8, 16), []
    for count in pieces:
        system = TensorSystem(problem, [LegendreAxis(0.0, 1.0, count, order + expected // 2, order)])
        inner = torch.linspace(0.0, 1.0, count + 1, dtype=torch.float64)[1:-1]
        found = system.ansatz.values(system.solve().coefficients.flatten(), inner[:, None])[:, 0]
        errors.append(float((found - torch.sin(4.0 * inner)).abs().max()))
    slope = -np.polyfit(np.log(pieces), np.log(errors), 1)[0]
    assert slope == pytest.approx(expected, abs=0.3)
