"""Manufactured problems are solved by what they were made from."""

import numpy as np
import pytest
import sympy

import pdeml as pm
from pdeml.errors import InputError
from pdeml.expr import evaluate
from pdeml.problem import residual_of
from pdeml.problem.checks import probe
from pdeml.problem.manufactured import read_exact, substitute

LINE = {"coordinates": {"x": (-1, 2), "t": (0.5, 1)}, "time": "t", "unknowns": "u"}
SHAPE = pm.Rectangle(x=(0, 2), y=(0, 1)) - pm.Disk(center=(0.7, 0.5), radius=0.2, name="hole")

CASES = {
    "burgers": (
        pm.Problem(
            **LINE,
            parameters={"nu": 0.1},
            equations={"equation": "u_t + u*u_x = nu*u_xx", "weight": 3},
            conditions=[pm.Initial(u=0, weight=2), pm.Dirichlet(on="boundary.left", u=0), pm.Neumann(on={"x": 2}, u=1)],
        ),
        {"u": "exp(-t)*sin(pi*x) + nu*x**2"},
    ),
    "wave with an absorbing end": (
        pm.Problem(
            **LINE,
            equations="u_tt = u_xx + integral(u, x, -1, 2)",
            conditions=[
                pm.Initial(u=0, rate={"u": 1}),
                pm.Final(u=0),
                pm.Condition("dn(u) + u_t + 3*u = t", on="boundary.right"),
                pm.Condition("dot(n, [u_x]) = 0", on="boundary.left"),
            ],
        ),
        {"u": "x**2*t**3"},
    ),
    "schroedinger": (
        pm.Problem(
            coordinates={"x": (-1, 1), "t": (0, 1)},
            time="t",
            unknowns={"psi": "complex"},
            equations="i*psi_t + psi_xx/2 + abs(psi)^2*psi = 0",
            conditions=[pm.Initial(psi=0), pm.Periodic("x")],
        ),
        {"psi": "exp(i*t)*cos(pi*x)/2"},
    ),
    "stokes around a hole": (
        pm.Problem(
            domain=SHAPE,
            unknowns="vx vy p",
            vectors={"v": ["vx", "vy"]},
            equations=["-laplacian(v) + grad(p) = 0", "div(v) = 0"],
            conditions=[
                pm.Dirichlet(on="boundary.hole", v=[0, 0]),
                pm.Neumann(on={"piece": "left", "where": "y < 0.5"}, v=[1, 0]),
                pm.Condition("dn(v) - p*n = [0, 0]", on="boundary.right"),
            ],
        ),
        {"v": ["sin(y)*x", "x*cos(y)"], "p": "x*y"},
    ),
}


def _size_of_residuals(problem, exact):
    formulas = read_exact(problem.names, exact)
    values = dict(problem.parameter_values)
    sizes = []
    for region, statement in _rows(problem):
        points = probe(region)
        _, normals = _with_normals(region)
        values.update((name, points[:, k]) for k, name in enumerate(problem.names.coordinates))
        if normals is not None:
            values.update((f"n[{axis}]", normals[:, k]) for k, axis in enumerate(problem.domain.axes))
        for residual in statement.residuals(problem.names):
            there = substitute(residual, problem.names, formulas).doit()
            sizes.append(np.abs(evaluate(there, values)).max())
    return max(sizes)


def _with_normals(region):
    calls = []

    class Recorder:
        dimension = region.dimension

        def draw(self, unit):
            calls.append(region.draw(unit))
            return calls[-1]

    probe(Recorder())
    return calls[-1]


def _rows(problem):
    from pdeml.problem.constraints import equation_of

    inside = problem.domain.region("interior")
    yield from ((inside, equation) for equation in problem.equations)
    for statement in problem.conditions:
        region = statement.place.region(problem.domain, problem.parameter_values)
        if statement.equation is not None:
            yield region, statement.equation
        for name, value in statement.values:
            yield region, equation_of(statement.kind, name, value, problem.names)


@pytest.mark.parametrize("name", CASES)
def test_exact_solves_what_was_made_from_it(name):
    problem, exact = CASES[name]
    made = problem.manufactured(exact)
    assert _size_of_residuals(problem, exact) > 0.1
    assert _size_of_residuals(made, exact) < 1e-11
    assert pm.manufactured(problem, exact) == made


@pytest.mark.parametrize("name", CASES)
def test_domain_places_and_weights_stay(name):
    problem, exact = CASES[name]
    made = problem.manufactured(exact)
    assert (made.names, made.domain, made.weights) == (problem.names, problem.domain, problem.weights)
    places = [(str(condition.place), condition.weight) for condition in problem.conditions]
    found = [(str(condition.place), condition.weight) for condition in made.conditions]
    assert list(dict.fromkeys(found)) == list(dict.fromkeys(places))


@pytest.mark.parametrize("name", CASES)
def test_manufacturing_twice_changes_nothing(name):
    problem, exact = CASES[name]
    made = problem.manufactured(exact)
    assert _size_of_residuals(made.manufactured(exact), exact) < 1e-11


def test_residual_of_a_solution_is_zero():
    heat = pm.Problem(
        coordinates={"x": (0, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        parameters={"a": 0.1},
        equations="u_t = a*u_xx",
        conditions=[pm.Dirichlet(u=0)],
    )
    (residual,) = residual_of(heat, {"u": "exp(-pi**2*a*t)*sin(pi*x)"})
    assert residual == 0
    (residual,) = heat.residual_of({"u": "x**2"})
    assert residual == -2 * sympy.Symbol("a", real=True)


def test_every_unknown_needs_a_formula():
    problem, _ = CASES["stokes around a hole"]
    with pytest.raises(InputError, match=r"none for p"):
        problem.manufactured({"v": ["x", "y"]})
    with pytest.raises(InputError, match=r"did you mean 'vx'|allowed: vx, vy, p"):
        problem.manufactured({"vz": "x"})
