"""What the contract suite runs every method on: options that make it small, and problems with known solutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pdeml as pm

SMALL: dict[str, dict[str, Any]] = {
    "pinn": {"width": 5, "depth": 1, "steps": 4, "points": 30, "condition_points": 8},
    "random_features": {"tolerance": 1e-3, "features": 30, "radius": 2.0},
    "gp": {"points": 7, "steps": 3},
    "reference": {"tolerance": 1e-5},
}
"""kind -> options with which a fit takes a moment."""

ABLE: dict[str, dict[str, Any]] = {
    "pinn": {"width": 8, "depth": 2, "steps": 60, "points": 250, "condition_points": 32},
    "random_features": {"tolerance": 1e-6},
    "gp": {"points": 14, "steps": 20},
    "reference": {"tolerance": 1e-5},
}
"""kind -> options that solve the problems below in about a second each."""


REFUSED = {("reference", "from the end")}
"""(kind, problem below) that the method says it cannot do."""

DETERMINISTIC = ("gp", "reference")
"""Kinds that draw nothing."""


@dataclass(frozen=True)
class Known:
    """A problem, its exact solution, and the relative L2 error that has to be reached."""

    make: Callable[[], pm.Problem]
    exact: dict[str, str]
    error: float = 1e-4
    options: tuple[tuple[str, Any], ...] = ()

    def problem(self) -> pm.Problem:
        """The problem with sources and values that the exact solution needs."""
        return self.make().manufactured(self.exact)


def _over_time(equations: Any, conditions: list, unknowns: Any = "u", **more: Any) -> Callable[[], pm.Problem]:
    place = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t", **more}
    return lambda: pm.Problem(**place, unknowns=unknowns, equations=equations, conditions=conditions)


def _cut_out() -> pm.Problem:
    shape = pm.Rectangle(x=(0, 2), y=(0, 1)) - pm.Disk(center=(0.8, 0.5), radius=0.25)
    return pm.Problem(domain=shape, unknowns="u", equations="laplacian(u) = 0", conditions=[pm.Dirichlet(u=0)])


VALUE = "sin(pi*x)*exp(-t)"
KNOWN = {
    "poisson": Known(
        lambda: pm.Problem(
            coordinates={"x": (0, 1)}, unknowns="u", equations="u_xx = 0", conditions=[pm.Dirichlet(u=0)]
        ),
        {"u": "sin(2*x)*exp(x)"},
        1e-5,
    ),
    "heat": Known(_over_time("u_t = 0.2*u_xx", [pm.Initial(u=0), pm.Dirichlet(u=0)]), {"u": VALUE}, 1e-4),
    "periodic advection": Known(
        _over_time("u_t + 0.5*u_x = 0", [pm.Initial(u=0), pm.Periodic("x")]), {"u": "sin(2*pi*(x - 0.5*t))"}, 1e-3
    ),
    "system": Known(
        _over_time(["u_t = v_x", "v_t = u_x + u"], [pm.Initial(u=0, v=0), pm.Dirichlet(u=0)], "u v"),
        {"u": "sin(x + t)", "v": "1 + x*cos(t)"},
    ),
    "complex": Known(
        _over_time("i*psi_t = -0.5*psi_xx", [pm.Initial(psi=0), pm.Dirichlet(psi=0)], {"psi": "complex"}),
        {"psi": "exp(i*(x - 0.5*t))"},
    ),
    "neumann and robin": Known(
        _over_time(
            "u_t = 0.3*u_xx",
            [
                pm.Initial(u=0),
                pm.Neumann(u=0, on="boundary.left"),
                pm.Condition("dn(u) + 2*u = 0", on="boundary.right"),
            ],
        ),
        {"u": "cos(x)*exp(-t) + x*t"},
    ),
    "wave": Known(
        _over_time("u_tt = u_xx", [pm.Initial(u=0, rate={"u": 0}), pm.Dirichlet(u=0)]),
        {"u": "sin(2*x)*cos(2*t) + x*t"},
    ),
    "from the end": Known(_over_time("u_t + 0.5*u_x = 0", [pm.Final(u=0), pm.Dirichlet(u=0)]), {"u": "cos(x - 0.5*t)"}),
    "one point": Known(
        lambda: pm.Problem(
            coordinates={"t": (0, 2)},
            time="t",
            unknowns="u",
            equations="u_t = -u",
            conditions=[pm.Condition("u = 0", on={"t": 0})],
        ),
        {"u": "exp(-t)"},
        1e-5,
    ),
    "inner point": Known(
        lambda: pm.Problem(
            coordinates={"x": (0, 1)},
            unknowns="u",
            equations="u_x = 0",
            conditions=[pm.Condition("u = 0", on={"x": 0.5})],
        ),
        {"u": "sin(3*x)"},
        1e-5,
    ),
    "rectangle minus disk": Known(_cut_out, {"u": "exp(x)*cos(y)"}, 2e-4),
    "plate": Known(
        lambda: pm.Problem(
            coordinates={"x": (0, 1), "y": (0, 2)},
            unknowns="u",
            equations="laplacian(u) - 2*u = 0",
            conditions=[
                pm.Dirichlet(u=0, on="boundary.left"),
                pm.Dirichlet(u=0, on="boundary.top"),
                pm.Neumann(u=0, on="boundary.right"),
                pm.Neumann(u=0, on="boundary.bottom"),
            ],
        ),
        {"u": "cos(x + 0.5*y) + x*y"},
    ),
}
