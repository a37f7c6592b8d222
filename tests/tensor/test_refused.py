"""What tensor products cannot treat is refused, with the reason."""

from __future__ import annotations

import math

import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.tensor import TensorSystem
from pdeml.tensor import system as module

from .cases import CASES, VALUE, XY
from .legendre import LegendreAxis


def boxed(conditions: list, equations: str = "u_xx + u_yy = 0", **changes) -> pm.Problem:
    return pm.Problem(
        **{"coordinates": XY, "unknowns": "u", "equations": equations, "conditions": conditions, **changes}
    )


REST = [pm.Dirichlet(u=0, on=f"boundary.{side}") for side in ("right", "bottom", "top")]
REFUSED = {
    "its domain is no box": boxed([VALUE], coordinates=None, domain=pm.Disk((0, 0), 1)),
    "holds only where a mask does": boxed([*REST, {"on": {"piece": "left", "where": "y > 0"}, "value": {"u": 0}}]),
    "at single points": boxed([VALUE, {"on": {"x": 0, "y": 0.5}, "value": {"u": 0}}]),
    "inside the domain": boxed([VALUE, {"on": {"x": 0.5}, "value": {"u": 0}}]),
    "is not linear": boxed([*REST, pm.Condition("u**2 = 1", on="boundary.left")]),
    "has a derivative along its side": boxed([*REST, pm.Condition("u_x + u_y = 1", on="boundary.left")]),
    "change along its side": boxed([*REST, pm.Condition("u_x + (2 + y)*u = 1", on="boundary.left")]),
    "vanishes at a point of its side": boxed([*REST, pm.Condition("y*u = 1", on="boundary.left")]),
    "order 2 along x, which asks for 2 conditions, and there is 1": boxed(REST),
    "order 1 along x, which asks for 1 condition, and there are 2": boxed([VALUE], "u_x + u_yy = 0"),
    "contradict each other": boxed([VALUE, pm.Condition("2*u = 1", on="boundary.left")]),
    "u is of order 2 along x, which asks for 2 conditions, and there are 4": boxed(
        [pm.Dirichlet(u=0), pm.Neumann(u=0)], ["u_xx + u_yy = v", "v_xx + v_yy = u"], unknowns="u v"
    ),
    "its unknowns have conditions of different kinds along x": boxed(
        [pm.Dirichlet(u=0), pm.Neumann(v=0)], ["u_xx + u_yy = v", "v_xx + v_yy = u"], unknowns="u v"
    ),
    "couples unknowns: u, v": boxed(
        [pm.Condition("u = v"), pm.Dirichlet(u=0)], ["u_xx + u_yy = v", "v_xx + v_yy = u"], unknowns="u v"
    ),
    "2 equations for 1 unknowns": boxed([VALUE], ["u_xx + u_yy = 0", "u_x = 0"]),
    "from data": boxed([VALUE], "u_xx + u_yy = a", parameters={"a": {"learn": 1.0}}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_for_tensor_products_is_refused_with_the_reason(reason: str):
    problem = REFUSED[reason]
    assert reason in (TensorSystem.refusal(problem) or "")
    with pytest.raises(InputError, match=reason):
        TensorSystem(problem, [LegendreAxis(0.0, 1.0, 1, 6, 2), LegendreAxis(-1.0, 1.0, 1, 6, 2)])


UNIT = {"x": (0, 1), "t": (0, 1)}
CORNERS = {
    "two values": [pm.Dirichlet(u=1), pm.Initial(u="x")],
    "value and flux": [
        pm.Dirichlet(u=0, on="boundary.left"),
        pm.Neumann(u="t", on="boundary.right"),
        pm.Initial(u="x**2*(1 - x)"),
    ],
    "value and rate": [pm.Dirichlet(u="t"), pm.Initial(u=0, rate=0)],
    "period": [pm.Periodic("x"), pm.Initial(u="x*(1 - x)")],
}
"""The flux at the right end begins at −1, the boundary values rise where the rate is zero, and u_x is not periodic."""


@pytest.mark.parametrize("name", CORNERS)
def test_conditions_that_contradict_each_other_in_a_corner_are_refused(name: str):
    order = 2 if name == "value and rate" else 1
    problem = pm.Problem(
        coordinates=UNIT, time="t", unknowns="u", equations=f"d(u, t, {order}) = u_xx", conditions=CORNERS[name]
    )
    assert "contradict each other where the two sides meet" in TensorSystem.refusal(problem)


def test_a_small_contradiction_in_a_corner_is_told():
    problem = pm.Problem(
        coordinates=UNIT,
        time="t",
        unknowns="u",
        equations="u_t = u_xx/100",
        conditions=[pm.Dirichlet(u=2e-4), pm.Initial(u="sin(pi*x)")],
    )
    system = TensorSystem(problem, [LegendreAxis(0.0, 1.0, 1, 14, order) for order in (2, 1)])
    size = (0.5 * (1 - math.exp(-0.02 * math.pi**2)) / (0.02 * math.pi**2)) ** 0.5
    solved = system.solve()
    assert solved.contradiction == pytest.approx(2e-4 / size, rel=0.25)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    sides = system.ansatz.values(solved.coefficients.flatten(), torch.cartesian_prod(torch.tensor([0.0, 1.0]).to(t), t))
    torch.testing.assert_close(sides, torch.full_like(sides, 2e-4), msg="the first coordinate prevails")


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_coefficients_that_change_are_found_in_any_unit(length: float):
    for change in (0.0, 1e-4):
        condition = pm.Condition(f"dn(u) + {1 / length}*(1 + {change / length}*(x + y))*u = 0")
        problem = boxed([condition], coordinates={"x": (0, length), "y": (0, length)})
        assert (TensorSystem.refusal(problem) is None) == (change == 0.0)


def test_axes_must_fit_the_coordinates():
    problem = CASES["poisson"].problem
    axis = LegendreAxis(0.0, 1.0, 1, 6, 2)
    with pytest.raises(InputError, match="there are 1 axes for the coordinates x, y"):
        TensorSystem(problem, [axis])
    with pytest.raises(InputError, match="y runs from -1 to 1, its axis from 0 to 1"):
        TensorSystem(problem, [axis, axis])


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "available_memory", lambda: 100_000)
    with pytest.raises(InputError, match=r"16 x 32 functions needs about .* and 97.* available: about 9 x 18 would"):
        CASES["poisson"].solve()
