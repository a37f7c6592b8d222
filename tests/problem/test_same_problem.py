"""A problem is the same however it is written: text, SymPy, mappings, YAML."""

import copy

import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.problem import library

BURGERS = """
name: burgers
problem:
  coordinates: {x: [-1, 1], t: [0, 1]}
  time: t
  unknowns: [u]
  parameters: {nu: 0.01/pi}
  equations:
    - u_t + u*u_x = nu*u_xx
  conditions:
    - {on: initial, value: {u: -sin(pi*x)}}
    - {on: boundary, value: {u: 0}}
"""


def burgers(**changes):
    given = {
        "coordinates": {"x": (-1, 1), "t": (0, 1)},
        "time": "t",
        "unknowns": "u",
        "parameters": {"nu": "0.01/pi"},
        "equations": "u_t + u*u_x = nu*u_xx",
        "conditions": [pm.Initial(u="-sin(pi*x)"), pm.Dirichlet(u=0)],
    }
    return pm.Problem(**{**given, **changes})


def test_text_equals_yaml():
    assert burgers() == pm.Problem.from_yaml(BURGERS)


def test_text_equals_sympy():
    x, t, u, nu = pm.symbols("x t", "u", "nu")
    equation = sympy.Eq(u.diff(t) + u * u.diff(x), nu * u.diff(x, 2))
    conditions = [pm.Initial(u=-sympy.sin(sympy.pi * x)), pm.Dirichlet(u=sympy.Integer(0))]
    assert burgers(equations=equation, conditions=conditions) == burgers()


def test_a_user_s_own_symbols_mean_the_same():
    x, t, nu = sympy.symbols("x t nu")
    u = sympy.Function("u")(x, t)
    assert burgers(equations=sympy.Eq(u.diff(t) + u * u.diff(x), nu * u.diff(x, x))) == burgers()


def test_objects_equal_mappings():
    mappings = [{"on": "initial", "value": {"u": "-sin(pi*x)"}}, {"on": "boundary", "value": {"u": 0}}]
    assert burgers(conditions=mappings) == burgers()


def test_constants_equal_their_expressions():
    assert burgers(coordinates={"x": ("-1", "2/2"), "t": (0.0, 1)}) == burgers()


def test_a_geometry_equals_its_intervals():
    assert burgers(coordinates=None, domain=pm.Box(x=(-1, 1)), time={"t": (0, 1)}) == burgers()


@pytest.mark.parametrize(
    "changes",
    [
        {"equations": "u_t + u*u_x = 2*nu*u_xx"},
        {"parameters": {"nu": 0.01}},
        {"coordinates": {"x": (-1, 1), "t": (0, 2)}},
        {"conditions": [pm.Initial(u="-sin(pi*x)"), pm.Dirichlet(u=0, weight=2)]},
        {"conditions": [pm.Initial(u="-sin(pi*x)"), pm.Dirichlet(on="boundary.left", u=0)]},
        {"equations": {"equation": "u_t + u*u_x = nu*u_xx", "weight": 2}},
        {"unknowns": {"u": {"scale": 2}}},
    ],
)
def test_what_is_said_differently_differs(changes):
    assert burgers(**changes) != burgers()


def test_the_name_is_not_compared():
    assert burgers(name="other") == burgers()


def test_equal_problems_hash_equal():
    assert hash(burgers()) == hash(pm.Problem.from_yaml(BURGERS))


def test_a_problem_is_frozen():
    problem = burgers()
    with pytest.raises(AttributeError):
        problem.equations = ()
    with pytest.raises(TypeError):
        problem.parameters["nu"] = 1


def test_copies():
    problem = burgers()
    assert copy.deepcopy(problem) is problem
    make, arguments = problem.__reduce__()  # what other processes are sent
    assert make(*arguments) == problem


ROUND_TRIPS = {
    "burgers": burgers(),
    "weights": burgers(
        equations=[{"equation": "u_t + u*u_x = nu*u_xx", "weight": "1/3"}],
        conditions=[pm.Initial(u="where(x < 0, 1, exp(-x**2))", weight=10), pm.Neumann(on="boundary.left", u="sin(t)")],
    ),
    "masks": burgers(
        conditions=[
            pm.Initial(u=0),
            pm.Dirichlet(on={"piece": "left", "where": "t < 0.5 and not t < 0.1"}, u=1),
            pm.Condition("dn(u) + 2*u = sin(t)", on={"x": 1}),
            {"on": {"x": "1/3", "t": 0.25}, "value": {"u": "nu"}},
        ]
    ),
    "string": pm.Problem(
        coordinates={"t": {"range": (0, 2), "unit": "s"}, "x": {"range": (0, "2*pi"), "scale": 3}},
        time="t",
        unknowns={"u": {"unit": "m", "scale": "1e-3"}},
        parameters={"c": {"range": [0.5, 2]}},
        equations="u_tt = c^2*u_xx",
        conditions=[pm.Initial(u="sin(x)", rate={"u": 0}), pm.Periodic("x")],
    ),
    "schroedinger": pm.Problem(
        coordinates={"x": (-5, 5), "t": (0, 1)},
        time="t",
        unknowns={"psi": "complex"},
        equations="i*psi_t + psi_xx/2 + abs(psi)^2*psi = 0",
        conditions=[pm.Initial(psi="exp(i*x)/cosh(x)"), pm.Periodic("x")],
    ),
    "stokes": pm.Problem(
        domain=pm.Rectangle(x=(0, 2.2), y=(0, 0.41)) - pm.Disk(center=(0.2, 0.2), radius=0.05, name="cylinder"),
        unknowns="vx vy p",
        vectors={"v": ["vx", "vy"]},
        equations=["-laplacian(v) + grad(p) = [0, 0]", "div(v) = 0"],
        conditions=[
            pm.Dirichlet(on="boundary.left", v=["y*(0.41 - y)", 0]),
            pm.Dirichlet(on="boundary.cylinder", v=[0, 0]),
            pm.Dirichlet(on="boundary.right", p=0),
        ],
    ),
    "inverse": burgers(parameters={"nu": {"learn": 0.1, "bounds": [0, 1]}}, conditions=[], data=True),
    "decay": pm.Problem(
        coordinates={"t": (0, 3)}, time="t", unknowns="y", equations="y_t = -y", conditions=pm.Initial(y=1)
    ),
    "darcy": pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u",
        inputs={"a": {"field": "grf", "over": ["x", "y"], "tau": 3, "map": "where(g >= 0, 12, 3)"}},
        equations="-div(a*grad(u)) = 1",
        conditions=pm.Dirichlet(u=0),
    ),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_yaml_round_trip(name):
    problem = ROUND_TRIPS[name]
    again = pm.Problem.from_yaml(problem.to_yaml())
    assert again == problem
    assert again.to_yaml() == problem.to_yaml()


@pytest.mark.parametrize("name", library.names())
def test_yaml_round_trip_of_the_library(name):
    problem = library.load(name)
    assert pm.Problem.from_yaml(problem.to_yaml()) == problem


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-(10**6), 10**6)
ATOMS = st.sampled_from(["x", "t", "nu", "pi", "2", "0.3", "1e-3", "1/3"])


def _joined(parts):
    two = st.tuples(parts, st.sampled_from("+-*"), parts).map(lambda p: f"({p[0]} {p[1]} {p[2]})")
    one = st.tuples(st.sampled_from(["sin", "exp", "tanh", "abs", "-"]), parts).map(lambda p: f"{p[0]}({p[1]})")
    return two | one


FORMULAS = st.recursive(ATOMS, _joined, max_leaves=5)


@settings(max_examples=40, deadline=None)
@example(start="x", end=0.0, source="abs(abs((x + x)))", nu=0.0, weight=1.0, x=0.0)
@example(start="abs(x*abs(3*x))", end=0.0, source="abs(2*abs(x*abs(x)))", nu=0.0, weight=1.0, x=0.0)
@given(start=FORMULAS, end=NUMBERS, source=FORMULAS, nu=NUMBERS, weight=st.floats(1e-6, 1e6), x=st.floats(0, 1))
def test_yaml_round_trip_of_any_formula(start, end, source, nu, weight, x):
    problem = burgers(
        coordinates={"x": (x - 2, x), "t": (0, 1)},
        parameters={"nu": nu},
        equations={"equation": f"u_t + u*u_x = nu*u_xx + {source}", "weight": weight},
        conditions=[
            pm.Initial(u=f"tanh({start})", weight=weight),
            pm.Dirichlet(on="boundary.left", u=end),
            pm.Condition(f"dn(u) + u = tanh({source})", on="boundary.right"),
        ],
    )
    assert pm.Problem.from_yaml(problem.to_yaml()) == problem


def test_edges_of_a_domain_are_renamed():
    space = {"difference": [{"rectangle": {"x": [0, 2], "y": [0, 1]}}, {"disk": {"center": [1, 0.5], "radius": 0.2}}]}
    problem = pm.Problem(
        domain={"space": space, "edges": {"left": "inlet", "disk": "cylinder"}},
        unknowns="u",
        equations="laplacian(u) = 0",
        conditions=[
            {"on": f"boundary.{name}", "value": {"u": 0}} for name in ("inlet", "right", "top", "bottom", "cylinder")
        ],
    )
    assert set(problem.domain.pieces) == {"inlet", "right", "top", "bottom", "cylinder"}
    assert pm.Problem.from_yaml(problem.to_yaml()) == problem
