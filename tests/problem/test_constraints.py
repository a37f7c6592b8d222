"""Conditions become real scalar residuals on regions."""

import numpy as np
import pytest
import sympy

import pdeml as pm
from pdeml.expr import jet_symbol

HEAT = {"coordinates": {"x": (0, 1), "t": (0, 2)}, "time": "t", "unknowns": "u", "equations": "u_t = u_xx"}


def only(condition, **changes):
    (constraint,) = pm.Problem(**{**HEAT, **changes, "conditions": [condition]}).constraints
    return constraint


def test_kinds_and_residuals():
    u, u_t, u_x = (jet_symbol("u", index) for index in ((0, 0), (0, 1), (1, 0)))
    x = sympy.Symbol("x", real=True)
    normal = sympy.Symbol("n[x]", real=True)
    cases = [
        (pm.Initial(u="x"), "value", u - x),
        (pm.Initial(rate={"u": "x"}), "rate", u_t - x),
        (pm.Neumann(u="x"), "flux", normal * u_x - x),
        (pm.Condition("dn(u) = u - x"), "equation", normal * u_x - u + x),
    ]
    for condition, kind, residual in cases:
        constraint = only(condition)
        assert constraint.kind == kind
        assert sympy.expand(constraint.form.residual - residual) == 0
        assert constraint.unknown == (None if kind == "equation" else "u")
        assert constraint.value == (None if kind == "equation" else x)


@pytest.mark.parametrize(
    ("on", "fixed", "pieces"),
    [
        ("initial", {"t": 0}, ()),
        ("final", {"t": 2}, ()),
        ("boundary", {}, ("left", "right")),
        ("boundary.left", {"x": 0}, ("left",)),
        ({"x": 1}, {"x": 1}, ("right",)),
        ({"x": 0.25, "t": "1/2"}, {"x": 0.25, "t": 0.5}, ()),
    ],
)
def test_places(on, fixed, pieces):
    constraint = only({"on": on, "value": {"u": 0}})
    assert constraint.region.fixed == fixed
    assert constraint.region.pieces == pieces
    assert constraint.index == 0


def test_a_mask_restricts_the_region():
    constraint = only(pm.Initial(u=0), parameters={"a": 0.5})
    masked = only({"on": {"t": 0, "where": "x < a"}, "value": {"u": 0}}, parameters={"a": 0.5})
    assert masked.masked
    assert not constraint.masked
    points, _ = masked.region.draw(np.linspace(0, 1, 101)[:, None])
    assert points[:, 0].max() < 0.5
    assert masked.region.measure == pytest.approx(constraint.region.measure / 2, rel=1e-3)


def test_vectors_and_complex_unknowns_become_real_rows():
    given = {
        "coordinates": {"x": (0, 1), "y": (0, 1)},
        "unknowns": {"psi": "complex", "vx": None, "vy": None},
        "vectors": {"v": ["vx", "vy"]},
        "equations": ["laplacian(psi) = 0", "laplacian(v) = 0"],
    }
    problem = pm.Problem(**given, conditions=[pm.Dirichlet(psi="exp(i*x)", v=["x", "y"])])
    x, y = sympy.symbols("x y", real=True)
    assert {c.unknown: c.value for c in problem.constraints} == {
        "psi_real": sympy.cos(x),
        "psi_imag": sympy.sin(x),
        "vx": x,
        "vy": y,
    }
    assert pm.Problem(**given, conditions=[pm.Dirichlet(psi="exp(i*x)", v="[x, y]")]) == problem
    assert pm.Problem(**given, conditions=[pm.Dirichlet(psi="exp(i*x)", vx="x", vy="y")]) == problem


def test_names_are_unique():
    conditions = [pm.Dirichlet(on="boundary.left", u=0), pm.Dirichlet(on="boundary.left", u="x")]
    names = [c.name for c in pm.Problem(**HEAT, conditions=conditions).constraints]
    assert len(set(names)) == 2


def test_parameters_have_values():
    given = {"a": "0.01/pi", "b": {"learn": 1, "bounds": [0, 2]}, "c": {"range": [1, 3]}, "d1": {"eigen": "pi^2"}}
    problem = pm.Problem(
        **{**HEAT, "equations": "u_t = (a + b + c + d1)*u_xx"}, parameters=given, conditions=pm.Initial(u=0)
    )
    assert problem.parameter_values == pytest.approx({"a": 0.01 / np.pi, "b": 1, "c": 2, "d1": np.pi**2})
    assert problem.needs_data
    assert float(problem.parameters["a"]) == 0.01 / np.pi


def test_forms_follow_the_equations_with_their_weights():
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="p q",
        equations=[{"equation": "grad(p) = [q, 0]", "weight": 2}, "q_x = 1"],
        conditions=pm.Dirichlet(p=0),
    )
    assert problem.form_weights == (2, 2, 1)
    assert [form.unknowns for form in problem.forms] == [("p", "q"), ("p",), ("q",)]
