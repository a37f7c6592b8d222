"""What tensor products cannot treat is refused, with the reason."""

from __future__ import annotations

import pytest

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
