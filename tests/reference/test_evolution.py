"""Equations solved for their highest time derivatives."""

import pytest
import sympy

import pdeml as pm
from pdeml.errors import InputError
from pdeml.expr import is_zero, jet_of
from pdeml.reference.evolution import make_evolution


def problem(equations, unknowns="u", initial=None, **more):
    conditions = more.pop("conditions", [initial if initial is not None else pm.Initial(u="sin(x)")])
    return pm.Problem(
        coordinates={"t": (0.5, 1), "x": (0, "2*pi")},
        time="t",
        unknowns=unknowns,
        equations=equations,
        conditions=[*conditions, pm.Periodic("x")],
        **more,
    )


SYSTEMS = {
    "scaled": problem("2*u_t + x*u_x = u_xx + 1"),
    "second order": problem("u_tt + u_tx = u_xx - u_t", initial=pm.Initial(u="sin(x)", rate={"u": "cos(x)"})),
    "coupled": problem(
        ["u_t + v_t = u_xx", "u_t - (2 + sin(x))*v_t = v*u"], "u v", pm.Initial({"u": "sin(x)", "v": "t*x"})
    ),
    "constrained": problem(["u_t = p_x*u_x", "p_xx - p = u"], "p u"),
    "complex": problem("i*psi_t = -psi_xx + abs(psi)**2*psi", {"psi": "complex"}, pm.Initial(psi="exp(i*x)")),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_rates_satisfy_the_equations(name):
    evolution = make_evolution(SYSTEMS[name])
    names = evolution.problem.names
    tops = dict(evolution.state)
    found = {
        sympy.Symbol(f"{unknown}[{k + 1},0]", real=True): rate
        for (unknown, k), rate in zip(evolution.state, evolution.rates, strict=True)
        if tops[unknown] == k
    }
    for form in evolution.problem.forms:
        if form not in evolution.constraints:
            assert is_zero(form.residual.xreplace(found))
    for rate in evolution.rates:
        jets = [jet for s in rate.free_symbols if (jet := jet_of(s))]
        assert all(index[names.coordinates.index("t")] <= tops.get(unknown, 0) for unknown, index in jets)
    assert {unknown for unknown, _ in evolution.state} | set(evolution.constrained) == set(names.real_unknowns)


def test_initial_values_are_those_at_the_start_also_from_equations():
    evolution = make_evolution(SYSTEMS["coupled"])
    x = sympy.Symbol("x", real=True)
    assert evolution.initial == (sympy.sin(x), x / 2)
    assert (evolution.start, evolution.end) == (0.5, 1.0)
    by_equation = problem("u_t = u_xx", conditions=[pm.Condition("3*u = sin(x) + t", on="initial")])
    assert is_zero(make_evolution(by_equation).initial[0] - (sympy.sin(x) + sympy.Rational(1, 2)) / 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (problem("u_tt = u_xx"), "initial rate of u"),
        (problem("u_t = u_xx + v", "u v"), "the numbers must agree"),
        (problem("u_t - d(d(u, x, 2), t) = u_x"), "in space too"),
        (problem("u_t**2 = u_xx"), "not linear in the highest time derivatives"),
        (problem(["u_t + v_t = u", "u_t + v_t = v"], "u v", pm.Initial({"u": 1, "v": 1})), "do not fix them all"),
        (
            problem("u_t = u_xx", conditions=[{"on": {"t": 0.5, "where": "x < 1"}, "value": {"u": 1}}]),
            "initial value of u is not given everywhere",
        ),
        (
            pm.Problem(coordinates={"x": (0, 1)}, unknowns="u", equations="u_xx = 1", conditions=[pm.Dirichlet(u=0)]),
            "no time coordinate",
        ),
    ],
)
def test_what_is_no_evolution_is_refused_in_words(given, message):
    with pytest.raises(InputError, match=message):
        make_evolution(given)
