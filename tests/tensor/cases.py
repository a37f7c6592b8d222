"""Problems on boxes with known solutions: every kind of condition and of operator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
import torch

import pdeml as pm
from pdeml.tensor import TensorSolved, TensorSystem

from .legendre import LegendreAxis

X, Y, T, XY, XT = {"x": (0, 1)}, {"y": (-1, 1)}, {"t": (0, 1)}, {"x": (0, 1), "y": (-1, 1)}, {"x": (0, 1), "t": (0, 1)}
XYT, XYZ = {**XY, **T}, {**XY, "z": (0, 2)}
VALUE, START = pm.Dirichlet(u=0), pm.Initial(u=0)
LEFT, RIGHT = pm.Dirichlet(u=0, on="boundary.left"), pm.Dirichlet(u=0, on="boundary.right")
WAVE = "sin(2*x - y + 0.3)*exp(x*y/2)"
SOUND = "sin(2*x - 3*t) + x**2*t"
DEGREE = 16


@dataclass(frozen=True)
class Case:
    """A problem, its solution, and pieces along each coordinate."""

    coordinates: dict
    equations: str | list[str]
    conditions: list
    exact: str | dict[str, str]
    orders: tuple[int, ...]
    pieces: tuple[int, ...] = (1, 2, 1)

    @property
    def formulas(self) -> dict[str, str]:
        return self.exact if isinstance(self.exact, dict) else {"u": self.exact}

    @cached_property
    def problem(self) -> pm.Problem:
        time = "t" if "t" in self.coordinates else None
        problem = pm.Problem(
            coordinates=self.coordinates,
            time=time,
            unknowns=list(self.formulas),
            equations=self.equations,
            conditions=self.conditions,
        )
        return problem.manufactured(self.formulas)

    def axes(self, degree: int = DEGREE) -> tuple[LegendreAxis, ...]:
        bounds = self.coordinates.values()
        return tuple(
            LegendreAxis(low, high, pieces, degree, order)
            for (low, high), pieces, order in zip(bounds, self.pieces, self.orders, strict=False)
        )

    def solve(self, degree: int = DEGREE) -> tuple[TensorSystem, TensorSolved, float]:
        """Return the system, its solution, and the largest error relative to the largest value."""
        system = TensorSystem(self.problem, self.axes(degree))
        solved = system.solve()
        return system, solved, self.error(system, solved)

    def error(self, system: TensorSystem, solved: TensorSolved) -> float:
        bounds = np.array(list(self.coordinates.values()), dtype=float)
        unit = np.random.default_rng(0).uniform(size=(200, len(bounds)))
        points = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * unit
        found = system.ansatz.values(solved.coefficients.flatten(), torch.from_numpy(points)).numpy()
        symbols = [sympy.Symbol(name) for name in self.coordinates]
        expected = [
            np.broadcast_to(sympy.lambdify(symbols, sympy.sympify(exact))(*points.T), len(points))
            for exact in self.formulas.values()
        ]
        return float(np.abs(found - np.stack(expected, 1)).max() / np.abs(expected).max())


CASES = {
    "poisson": Case(XY, "u_xx + u_yy = 0", [VALUE], WAVE, (2, 2)),
    "neumann": Case(XY, "u_xx + u_yy = u", [pm.Neumann(u=0)], WAVE, (2, 2)),
    "robin": Case(XY, "u_xx + u_yy = 0", [pm.Condition("dn(u) + 2*u = 0")], WAVE, (2, 2)),
    "mixed": Case(
        XY,
        "u_xx + u_yy = 0",
        [
            LEFT,
            pm.Neumann(u=0, on="boundary.right"),
            pm.Condition("u_y - 3*u = 0", on="boundary.bottom"),
            pm.Dirichlet(u=0, on="boundary.top"),
        ],
        WAVE,
        (2, 2),
    ),
    "a factor that varies along the side": Case(XY, "u_xx + u_yy = 0", [pm.Condition("(2 + x*y)*u = 0")], WAVE, (2, 2)),
    "said twice": Case(XY, "u_xx + u_yy = 0", [VALUE, LEFT], WAVE, (2, 2)),
    "convection": Case(XY, "u_xx + 3*u_yy + u_x - x*u_y + (x + y)*u = 0", [VALUE], WAVE, (2, 2)),
    "polar": Case(
        {"r": (1, 2), "phi": (0, 1)},
        "u_rr + u_r/r + d(u, phi, 2)/r**2 = 0",
        [VALUE],
        "r**2*cos(2*phi) + log(r)",
        (2, 2),
    ),
    "one common coefficient": Case(XY, "(2 + x*y)*(u_xx + u_yy) = 0", [VALUE], WAVE, (2, 2)),
    "not separable": Case(XY, "(2 + x*y)*u_xx + u_yy + x*u_xy = sin(x*y)*u", [VALUE], WAVE, (2, 2)),
    "fourth order": Case(XY, "d(u, x, 4) + 2*u_xxyy + d(u, y, 4) = 0", [VALUE, pm.Neumann(u=0)], WAVE, (4, 4), (1, 1)),
    "heat": Case(XT, "u_t = u_xx", [VALUE, START], SOUND, (2, 1)),
    "heat backwards": Case(XT, "u_t + u_xx = 0", [VALUE, pm.Final(u=0)], SOUND, (2, 1)),
    "heat in the plane": Case(XYT, "u_t = u_xx + u_yy", [VALUE, START], "exp(-t)*sin(x + 2*y)", (2, 2, 1)),
    "space": Case(XYZ, "u_xx + u_yy + u_zz = 0", [VALUE], "exp(x)*sin(y + z)", (2, 2, 2), (1, 1, 2)),
    "transport": Case(XT, "u_t + 20*u_x = 0", [LEFT, START], "sin(x - 20*t)", (1, 1), (2, 4)),
    "transport in the plane": Case(
        XYT,
        "u_t + u_x + 2*u_y = 0",
        [LEFT, pm.Dirichlet(u=0, on="boundary.bottom"), START],
        "sin(x + y - 3*t)",
        (1, 1, 1),
    ),
    "wave": Case(XT, "u_tt = 4*u_xx", [VALUE, pm.Initial(u=0, rate=0)], SOUND, (2, 2)),
    "periodic": Case(XT, "u_t + u_x = u_xx", [pm.Periodic("x"), START], "exp(-t)*sin(2*pi*x) + t", (2, 1), (2, 1)),
    "periodic transport": Case(
        XT, "u_t + u_x = 0", [pm.Periodic("x"), START], "exp(-t)*sin(2*pi*x) + t", (1, 1), (2, 1)
    ),
    "periodic of third order": Case(
        XT, "u_t + u_xxx/50 = 0", [pm.Periodic("x"), START], "exp(-t)*sin(2*pi*x) + t", (3, 1), (2, 1)
    ),
    "a coordinate without derivatives": Case(
        {"t": (0, 1), "y": (-1, 1)}, "u_t + y*u = 0", [START], "exp(-t*y) + t", (1, 0), (1, 1)
    ),
    "allen-cahn": Case(XY, "u_xx + u_yy + u*(u**2 - 1) = 0", [VALUE], WAVE, (2, 2)),
    "burgers": Case(XT, "u_t + u*u_x = u_xx/20", [VALUE, START], SOUND, (2, 1)),
    "quasilinear": Case(
        XY, "(1 + u_y**2)*u_xx - 2*u_x*u_y*u_xy + (1 + u_x**2)*u_yy = 0", [VALUE], "sin(x)*y + x", (2, 2)
    ),
    "porous medium": Case(XT, "u_t = u*u_xx + u_x**2", [VALUE, START], "1 + x**2*t", (2, 1)),
    "line": Case(X, "u_xx + u = 0", [LEFT, pm.Neumann(u=0, on="boundary.right")], "sin(5*x)", (2,), (2,)),
    "line, periodic": Case(X, "u_xx - u = 0", [pm.Periodic("x")], "sin(2*pi*x)", (2,), (2,)),
    "line, periodic of first order": Case(X, "u_x + u = 0", [pm.Periodic("x")], "sin(2*pi*x)", (1,), (2,)),
    "line, non-linear condition": Case(
        X, "u_xx = exp(u)", [LEFT, pm.Condition("u_x + u**4 = 0", on="boundary.right")], "cos(x)", (2,), (2,)
    ),
    "pendulum": Case(T, "u_tt + sin(u) = 0", [pm.Initial(u=0, rate=0)], "sin(5*t)", (2,), (2,)),
    "system of first order": Case(
        X,
        ["u_x = v", "v_x = u**2"],
        [LEFT, RIGHT],
        {"u": "sin(3*x)", "v": "3*cos(3*x) + x"},
        (1,),
        (3,),
    ),
    "system, conditions couple": Case(
        X,
        ["u_xx + v = 0", "v_xx + x*u_x = 0"],
        [pm.Condition("u + v_x = 0"), pm.Condition("v = 2*u")],
        {"u": "sin(3*x)", "v": "exp(x)"},
        (2,),
        (2,),
    ),
    "system, orders differ": Case(
        X, ["u_xx = v", "v + u**2 = 0"], [VALUE], {"u": "sin(3*x)", "v": "exp(x)"}, (2,), (2,)
    ),
    "two unknowns": Case(
        XY,
        ["u_xx + u_yy + v = 0", "2*v_xx + v_yy - x*u = 0"],
        [pm.Dirichlet(u=0, v=0)],
        {"u": WAVE, "v": "cos(x - y)"},
        (2, 2),
    ),
    "schroedinger": Case(
        XT,
        ["u_t = -v_xx/2 - v", "v_t = u_xx/2 + u"],
        [pm.Dirichlet(u=0, v=0), pm.Initial(u=0, v=0)],
        {"u": "cos(3*x - 2*t)", "v": "sin(3*x - 2*t)"},
        (2, 1),
    ),
    "brusselator": Case(
        XT,
        ["u_t = u_xx/50 + 1 - 3*u + u**2*v", "v_t = v_xx/20 + 2*u - u**2*v"],
        [pm.Neumann(u=0, v=0), pm.Initial(u=0, v=0)],
        {"u": SOUND, "v": "exp(-t)*cos(2*x)"},
        (2, 1),
    ),
    "two unknowns, periodic": Case(
        XT,
        ["u_t = v_x", "v_t = u_x"],
        [pm.Periodic("x"), pm.Initial(u=0, v=0)],
        {"u": "sin(2*pi*(x - t))", "v": "cos(2*pi*x) + t"},
        (1, 1),
        (2, 1),
    ),
}
