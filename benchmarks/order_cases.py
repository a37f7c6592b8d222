"""What bench_orders.py measures: classical solvers on problems with known solutions, on grids that are refined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import pdeml as pm

__all__ = ["CASES", "Case"]

Exact = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One measured order.

    Args:
        name: for the table.
        method: kind of the solver, with its options.
        problem: what is solved.
        exact: real unknown -> formula.
        grids: from coarse to fine.
        refined: the coordinate whose size is the x axis of the fit.
        theory: the order, or None where the error falls exponentially.
        norm: 1 or 2.
    """

    name: str
    method: tuple[str, Mapping[str, Any]]
    problem: pm.Problem
    exact: Mapping[str, str]
    grids: tuple[Mapping[str, int], ...]
    refined: str
    theory: float | None
    norm: int = 2


def _over_time(equation: str, *conditions: Any, x: tuple = (0, 1), t: tuple = (0, 1), **more: Any) -> pm.Problem:
    place = {"coordinates": {"x": x, "t": t}, "time": "t", "unknowns": "u"}
    return pm.Problem(**place, equations=equation, conditions=list(conditions), **more)


def _sizes(name: str, sizes: tuple[int, ...], **fixed: int) -> tuple[dict[str, int], ...]:
    return tuple({**fixed, name: size} for size in sizes)


def _squares(*sizes: int) -> tuple[dict[str, int], ...]:
    return tuple({"x": size, "y": size} for size in sizes)


def _both(*sizes: int) -> tuple[dict[str, int], ...]:
    return tuple({"x": size, "t": 2 * size + 1} for size in sizes)


TURNING = {"u": "sin(2*pi*(x - t)) + 0.3*cos(4*pi*x)*exp(-t)"}
RING = _over_time("u_t + u*u_x = 0.05*u_xx", pm.Initial(u=0), pm.Periodic("x")).manufactured(TURNING)
NARROW = {"u": "exp(-t)/(1.2 - cos(2*pi*x))"}
BELL = _over_time("u_t + u*u_x = 0.05*u_xx", pm.Initial(u=0), pm.Periodic("x")).manufactured(NARROW)
COOLING = {"u": "sin(pi*x)*cos(6*t)"}
ROD = _over_time("u_t = 0.2*u_xx - u**3", pm.Initial(u=0), pm.Dirichlet(u=0)).manufactured(COOLING)
LAYER = {"u": "1/(1 + 9*(x - 0.3)**2)*exp(-t)"}
STEEP = _over_time("u_t = 0.2*u_xx - u**3", pm.Initial(u=0), pm.Dirichlet(u=0)).manufactured(LAYER)

PLATE = {"u": "sin(2*x)*exp(y)"}
SQUARE = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 1)},
    unknowns="u",
    equations="-div((1 + x*y)*grad(u)) + u = 0",
    conditions=[pm.Dirichlet(u=0)],
).manufactured(PLATE)
# r^(2/3) sin(2 phi / 3) with phi counted from the lower edge of the corner that enters the domain at the origin.
ANGLE = "where(atan2(y, x) < 0, atan2(y, x) + 2*pi, atan2(y, x))"
CORNER = {"u": f"(x**2 + y**2)**(1/3)*sin(2/3*({ANGLE}))"}
L_SHAPE = pm.Problem(
    domain=pm.Polygon([(-1, -1), (0, -1), (0, 0), (1, 0), (1, 1), (-1, 1)]),
    unknowns="u",
    equations="laplacian(u) = 0",
    conditions=[pm.Dirichlet(u=CORNER["u"])],
)
WARM = {"u": "(1 + x + 2*y)*cos(6*t)"}  # linear elements hold it exactly
HEATED = pm.Problem(
    coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
    time="t",
    unknowns="u",
    equations="u_t = laplacian(u)",
    conditions=[pm.Initial(u=0), pm.Dirichlet(u=0)],
).manufactured(WARM)

SMOOTH = {"u": "1.5 + 0.5*sin(2*pi*(x - t))"}
ADVECTED = _over_time("u_t + d(u**2/2, x) = 0", pm.Initial(u=0), pm.Periodic("x")).manufactured(SMOOTH)
SHOCK = {"u": "where(x < 0.25 + 0.75*t, 1, 0.5)"}
JUMP = _over_time("u_t + d(u**2/2, x) = 0", pm.Initial(u="where(x < 0.25, 1, 0.5)"), pm.Dirichlet(u=1, on={"x": 0}),
                  pm.Dirichlet(u=0.5, on={"x": 1}), t=(0, 0.6))  # fmt: skip

LAMBDA = "(10 - sqrt(100 + 4*pi**2))"
KOVASZNAY = {
    "u": f"1 - exp({LAMBDA}*x)*cos(2*pi*y)",
    "v": f"{LAMBDA}/(2*pi)*exp({LAMBDA}*x)*sin(2*pi*y)",
}
PRESSURE = f"(1 - exp(2*{LAMBDA}*x))/2"
FLOW = pm.Problem(
    coordinates={"x": (-0.5, 1), "y": (-0.5, 0.5)},
    unknowns="u v p",
    parameters={"nu": "1/20"},
    equations=["u*u_x + v*u_y + p_x = nu*laplacian(u)", "u*v_x + v*v_y + p_y = nu*laplacian(v)", "u_x + v_y = 0"],
    conditions=[
        pm.Dirichlet(u=KOVASZNAY["u"], v=KOVASZNAY["v"]),
        pm.Condition(f"p = {PRESSURE}", on={"x": 1, "y": 0.5}),
    ],
)

P1, P2, FLOWS = ("fem", {"degree": 1}), ("fem", {"degree": 2}), ("navier_stokes", {})
RK4CN, IMEX, VOLUMES = ("rk4cn", {}), ("imex", {}), ("fv", {})
ETDRK4, CHEBYSHEV = ("etdrk4", {}), ("chebyshev", {})

CASES = (
    Case("ETDRK4, time", ETDRK4, RING, TURNING, _sizes("t", (11, 21, 41, 81), x=64), "t", 4),
    Case("RK4 and Crank-Nicolson, time", RK4CN, RING, TURNING, _sizes("t", (41, 81, 161, 321), x=64), "t", 2),
    Case("Heun and Crank-Nicolson, time", IMEX, RING, TURNING, _sizes("t", (41, 81, 161, 321), x=64), "t", 2),
    Case("Fourier, space", ETDRK4, BELL, NARROW, _sizes("x", (16, 24, 32, 48, 64), t=2001), "x", None),
    Case(
        "Radau IIA of 3 stages, time",
        ("chebyshev", {"stages": 3}),
        ROD,
        COOLING,
        _sizes("t", (5, 9, 17, 33), x=33),
        "t",
        5,
    ),
    Case("Chebyshev, space", CHEBYSHEV, STEEP, LAYER, _sizes("x", (9, 13, 17, 25, 33), t=129), "x", None),
    Case("finite elements P1", P1, SQUARE, PLATE, _squares(17, 33, 65, 129), "x", 2),
    Case("finite elements P2", P2, SQUARE, PLATE, _squares(9, 17, 33, 65), "x", 3),
    Case("finite elements P1, L-shape", P1, L_SHAPE, CORNER, _squares(17, 33, 65, 129), "x", 4 / 3),
    Case("finite elements P1, time", P1, HEATED, WARM, _sizes("t", (17, 33, 65, 129), x=9, y=9), "t", 2),
    Case("finite volumes, smooth", VOLUMES, ADVECTED, SMOOTH, _both(32, 64, 128, 256), "x", 5),
    Case("finite volumes, shock, L1", VOLUMES, JUMP, SHOCK, _both(65, 129, 257, 513), "x", 1, 1),
    Case("Taylor-Hood, velocity", FLOWS, FLOW, KOVASZNAY, _squares(9, 17, 33, 65), "x", 3),
)
