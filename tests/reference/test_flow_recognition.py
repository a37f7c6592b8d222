"""Which problems are flows: any names, vectors, factors; and what is refused, with the reason."""

import numpy as np
import pytest

import pdeml as pm
from pdeml.reference.case import Case

pytest.importorskip("skfem")

from pdeml.reference.flow import NavierStokes
from pdeml.reference.flow.equations import recognise

BOX = {"x": (0, 1), "y": (0, 1)}
PLAIN = ["u*u_x + v*u_y + p_x = nu*laplacian(u)", "u*v_x + v*v_y + p_y = nu*laplacian(v)", "u_x + v_y = 0"]
LID = [pm.Dirichlet(on="boundary.top", u=1, v=0)] + [
    pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("left", "right", "bottom")
]


def steady(equations=PLAIN, conditions=LID, unknowns="u v p", parameters=None, **others):
    given = {"coordinates": BOX, "unknowns": unknowns, "parameters": {"nu": 0.1, "rho": 2, **(parameters or {})}}
    return pm.Problem(**{**given, "equations": equations, "conditions": conditions, **others})


def reason(**changes):
    return NavierStokes().refusal(steady(**changes))


SAME = {
    "factors": [
        "rho*(u*u_x + v*u_y) + p_x - rho*nu*laplacian(u) = 0",
        "3*(u*v_x + v*v_y) = -3/rho*p_y + 3*nu*laplacian(v)",
        "-u_x = v_y",
    ],
    "conservative": [
        "d(u*u, x) + d(u*v, y) + p_x/rho = nu*laplacian(u)",
        "d(u*v, x) + d(v*v, y) + p_y/rho = nu*laplacian(v)",
        "u_x + v_y = 0",
    ],
    "symmetric stress": [
        "u*u_x + v*u_y + p_x/rho = nu*(2*u_xx + u_yy + v_xy)",
        "u*v_x + v*v_y + p_y/rho = nu*(v_xx + 2*v_yy + u_xy)",
        "u_x + v_y = 0",
    ],
}


@pytest.mark.parametrize("form", SAME)
def test_forms_that_differ_by_factors_or_continuity_are_the_same_flow(form):
    problem = steady(SAME[form])
    flow = recognise(problem)
    numbers = {problem.names.symbol("nu"): 0.1, problem.names.symbol("rho"): 2.0}
    assert float(flow.convection.subs(numbers)) == pytest.approx(2.0)
    assert float(flow.viscosity.subs(numbers)) == pytest.approx(0.2)
    assert flow.inertia == 0


def test_names_and_order_do_not_matter():
    plain = steady(parameters={"nu": 0.05})
    renamed = pm.Problem(
        coordinates={"a": (0, 1), "b": (0, 1)},
        unknowns="q second first",
        parameters={"k": 0.05},
        equations=[
            "0 = d(second, b) + d(first, a)",
            "dot([first, second], grad(second)) = -d(q, b) + k*laplacian(second)",
            "k*laplacian(first) - dot([first, second], grad(first)) = d(q, a)",
        ],
        conditions=[
            {"on": {"b": 1}, "value": {"first": 1, "second": 0}},
            *[{"on": place, "value": {"first": 0, "second": 0}} for place in ({"a": 0}, {"a": 1}, {"b": 0})],
        ],
    )
    method, grid, points = NavierStokes(), {"x": 9, "y": 9}, np.random.default_rng(0).uniform(0, 1, (40, 2))
    (one,) = method.solve(plain, [Case(plain)], grid)
    (other,) = method.solve(renamed, [Case(renamed)], {"a": 9, "b": 9})
    found, again = one.evaluate(points), other.evaluate(points)
    for name, new in {"u": "first", "v": "second", "p": "q"}.items():
        assert np.allclose(found[name], again[new], atol=1e-9)


def test_vectors_are_recognised_by_their_components():
    problem = pm.Problem(
        coordinates={**BOX, "t": (0, 1)},
        time="t",
        unknowns="wx wy p",
        vectors={"w": ["wx", "wy"]},
        parameters={"rho": 2, "mu": 0.1},
        equations=[
            "rho*(d(wx, t) + dot(w, grad(wx))) = -p_x + mu*laplacian(wx)",
            "rho*(d(wy, t) + dot(w, grad(wy))) = -p_y + mu*laplacian(wy)",
            "div(w) = 0",
        ],
        conditions=[{"on": "initial", "value": {"w": [0, 0]}}, {"on": "boundary", "value": {"w": ["y", "-x"]}}],
    )
    flow = recognise(problem)
    assert flow.velocity == ("wx", "wy")
    assert flow.pressure == "p"
    assert [str(factor) for factor in (flow.inertia, flow.convection, flow.viscosity)] == ["rho", "rho", "mu"]
    assert NavierStokes().refusal(problem) is None


@pytest.mark.parametrize(
    "equations, words",
    [
        ([PLAIN[0], PLAIN[1], "laplacian(p) = -u_x**2 - 2*u_y*v_x - v_y**2"], "u_x + v_y = 0"),
        ([PLAIN[0], PLAIN[1], "u_x + v_y = x"], "without a source"),
        ([PLAIN[0] + " + u", PLAIN[1], PLAIN[2]], "not a term of the momentum"),
        (["u**2*u_x + v*u_y + p_x = nu*laplacian(u)", PLAIN[1], PLAIN[2]], "not a multiple of the convection"),
        ([PLAIN[0], "u*v_x + v*v_y + p_y = 2*nu*laplacian(v)", PLAIN[2]], "viscosity"),
        (["u*u_x + v*u_y + p_x = nu*(u_xx + 2*u_yy)", PLAIN[1], PLAIN[2]], "Laplacian"),
        ([line.replace("nu", "(1+x)") for line in PLAIN], "must be constant"),
        ([line.split(" = ")[0] + " = 0" for line in PLAIN], "friction"),
    ],
)
def test_other_equations_are_refused_with_the_reason(equations, words):
    assert words in reason(equations=equations)


@pytest.mark.parametrize(
    "conditions, words",
    [
        (LID[:3], "nothing is said about 'u' on boundary.bottom"),
        ([*LID[:3], {"on": "boundary.bottom", "equation": "u + dn(u) = 0"}], "mixes"),
        ([*LID[:3], {"on": "boundary.bottom", "equation": "u*v = 0"}], "not linear"),
        ([*LID, {"on": {"x": 0.5, "y": 0.5}, "value": {"u": 0}}], "single point"),
        ([*LID, {"on": {"x": 0.5}, "value": {"u": 0}}], "inside the domain"),
        ([*LID[:3], {"on": "boundary.bottom", "equation": "7*dn(u) - p*dot([1, 0], n) = 0"}], "viscosity"),
    ],
)
def test_other_conditions_are_refused_with_the_reason(conditions, words):
    assert words in reason(conditions=conditions)


def test_periodic_flows_are_left_to_others():
    problem = steady(conditions=[pm.Periodic("x", "y")])
    assert "periodic" in NavierStokes().refusal(problem)


def test_other_problems_are_refused_in_words():
    heat = pm.Problem(coordinates=BOX, unknowns="u", equations="laplacian(u) = 1", conditions=pm.Dirichlet(u=0))
    assert "three equations" in NavierStokes().refusal(heat)


def test_more_in_than_out_is_refused():
    conditions = [pm.Dirichlet(on="boundary.left", u=1, v=0)] + [
        pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("top", "right", "bottom")
    ]
    problem = steady(conditions=conditions)
    with pytest.raises(pm.errors.InputError, match="loses nothing"):
        NavierStokes().solve(problem, [Case(problem)], {"x": 9, "y": 9})


def test_a_missing_initial_velocity_is_named():
    problem = pm.Problem(
        coordinates={**BOX, "t": (0, 1)},
        time="t",
        unknowns="u v p",
        parameters={"nu": 0.1},
        equations=["u_t + " + PLAIN[0], "v_t + " + PLAIN[1], PLAIN[2]],
        conditions=[pm.Initial(u=0), pm.Dirichlet(u=0, v=0)],
    )
    assert "initial value of 'v'" in NavierStokes().refusal(problem)
