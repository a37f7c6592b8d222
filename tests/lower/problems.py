"""Equations of every sort that the language can write: orders one to four, systems, coefficients, kinks."""

import pdeml as pm

XT = {"x": (-1, 1), "t": (0, 0.5)}
XY = {"x": (0, 2), "y": (-1, 1)}
START = pm.Initial(u="sin(x)")
EDGE = (pm.Dirichlet(u="x*y"),)


def over_time(equations, conditions=(START,), **more):
    return pm.Problem(
        **{
            "coordinates": XT,
            "time": "t",
            "unknowns": "u",
            "equations": equations,
            "conditions": list(conditions),
            **more,
        }
    )


def steady(equations, conditions=EDGE, **more):
    return pm.Problem(
        **{"coordinates": XY, "unknowns": "u", "equations": equations, "conditions": list(conditions), **more}
    )


PROBLEMS = {
    "burgers": lambda: over_time("u_t + u*u_x = nu*u_xx", [START, pm.Dirichlet(u=0)], parameters={"nu": "0.01/pi"}),
    "heat-2d": lambda: pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 2), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = 0.3*laplacian(u) + exp(-x*t)",
        conditions=[pm.Initial(u="x*y"), pm.Neumann(u="x"), pm.Condition("dn(u) + 2*u = y", on={"x": 0})],
    ),
    "wave": lambda: over_time("u_tt = 4*u_xx", [pm.Initial(u="cos(x)", rate={"u": "sin(x)"}), pm.Dirichlet(u=0)]),
    "kdv": lambda: over_time("u_t + 6*u*u_x + 0.02*d(u, x, 3) = 0", [START, pm.Periodic("x")]),
    "kuramoto-sivashinsky": lambda: over_time("u_t + u*u_x + u_xx + 0.1*u_xxxx = 0", [START, pm.Periodic("x")]),
    "biharmonic": lambda: steady("laplacian(laplacian(u)) = x*y + 1", [pm.Dirichlet(u=0), pm.Neumann(u=0)]),
    "navier-stokes": lambda: pm.Problem(
        coordinates={"x": (0, 2), "y": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u v p",
        vectors={"w": ["u", "v"]},
        parameters={"reynolds": 100},
        equations=[
            "u_t + u*u_x + v*u_y + p_x = laplacian(u)/reynolds",
            "v_t + u*v_x + v*v_y + p_y = laplacian(v)/reynolds",
            "div(w) = 0",
        ],
        conditions=[
            pm.Initial(u=0, v=0),
            pm.Dirichlet(u="y*(1-y)", v=0, on="boundary.left"),
            pm.Dirichlet(p=0, on="boundary.right"),
        ],
    ),
    "variable-coefficients": lambda: steady("-div((1 + x**2)*grad(u)) + exp(y)*u_x = sin(x)*y"),
    "nonlinear-diffusion": lambda: over_time("u_t = d((1 + u**2)*u_x, x)", [START, pm.Condition("dn(u) = u**4")]),
    "gray-scott": lambda: over_time(
        ["u_t = 0.2*u_xx - u*v**2 + f*(1 - u)", "v_t = 0.1*v_xx + u*v**2 - (f + k)*v"],
        [pm.Initial(u=1, v="exp(-x**2)"), pm.Periodic("x")],
        unknowns="u v",
        parameters={"f": 0.04, "k": 0.06},
    ),
    "schroedinger": lambda: over_time(
        "i*psi_t = -psi_xx/2 + (x**2 - abs(psi)**2)*psi",
        [pm.Initial(psi="exp(-x**2 + i*x)"), pm.Dirichlet(psi=0)],
        unknowns={"psi": "complex"},
    ),
    "mixed-derivative": lambda: steady("u_xx + 0.5*u_xy + u_yy + d(d(u, x, 2), y, 2) = x"),
    "kinks": lambda: steady(
        "where(x < 0.7, 0.1, 0.3)*u_xx + max(u, 0.2, u_y) + min(u_x, 0.1)*abs(u) + heaviside(y - 0.1)*u_y + sign(u_x)"
        " = 0.1*where(u > 0.1 and x < 1.3, u**3, 0)"
    ),
    "logarithm-and-powers": lambda: steady(
        "exp(-u_x)*u_xx + sqrt(1 + u_y**2) + (2 + sin(u))**0.3 + 1/(2 + u**2) + atan2(u_y, 3 + u) = 0"
    ),
    "two-forms-share-a-sum": lambda: steady(
        ["laplacian(u) = v", "laplacian(v) = u**2"], [pm.Dirichlet(u=0, v=1)], unknowns="u v"
    ),
    "a-sum-that-cannot-collapse": lambda: steady(
        ["u_xx + u_yy = v_x", "v_xx + 2*v_yy = u*u_xx"], [pm.Dirichlet(u=0, v=1)], unknowns="u v"
    ),
    "ordinary": lambda: pm.Problem(
        coordinates={"t": (0, 3)},
        time="t",
        unknowns="u",
        equations="u_tt + 0.1*u_t + u**3 = cos(t)",
        conditions=[pm.Initial(u=1, rate={"u": 0})],
    ),
    "fully-nonlinear": lambda: steady("u_xx*u_yy - u_xy**2 = 1 + x**2"),
    "point-and-final": lambda: over_time(
        "u_t + 0.5*u_x = 0", [pm.Final(u="cos(x)"), pm.Condition("u = 0.3", on={"x": 0, "t": 0})]
    ),
    "cut-out": lambda: pm.Problem(
        domain=pm.Rectangle(x=(0, 2), y=(0, 1)) - pm.Disk(center=(0.7, 0.5), radius=0.2),
        unknowns="u",
        equations="laplacian(u) + u = 1",
        conditions=[pm.Neumann(u=1, on="boundary.disk"), pm.Dirichlet(u="x", on="boundary.left")],
    ),
}
