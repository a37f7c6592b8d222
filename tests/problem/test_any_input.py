"""Whatever is given, a problem is made or an `InputError` says why not."""

import contextlib

import numpy as np
import pytest
import sympy

import pdeml as pm
from pdeml.errors import InputError

HEAT = {
    "coordinates": {"x": (0, 1), "t": (0, 1)},
    "time": "t",
    "unknowns": "u",
    "parameters": {"a": 1},
    "equations": "u_t = a*u_xx",
    "conditions": [pm.Initial(u=0)],
}
ODD = [
    *(5, None, "", [], {}, [5], [None], [["u"]], {"u": None}, {"u": 5}, {"x": [0, 1, 2]}, {5: 5}, object()),
    *(float("nan"), True, ("a", "b"), "u u", b"u", np.zeros(3), sympy.Symbol("q"), {"a": {"range": 5}}),
]
NESTED = [
    lambda odd: {"conditions": [pm.Initial(u=odd)]},
    lambda odd: {"conditions": [pm.Dirichlet(on=odd, u=0)]},
    lambda odd: {"conditions": [pm.Dirichlet(on={"x": odd}, u=0)]},
    lambda odd: {"conditions": [pm.Dirichlet(on={"where": odd}, u=0)]},
    lambda odd: {"conditions": [pm.Dirichlet(on={"piece": odd}, u=0)]},
    lambda odd: {"conditions": [pm.Dirichlet(u=0, weight=odd)]},
    lambda odd: {"conditions": [pm.Condition(odd)]},
    lambda odd: {"conditions": [{"periodic": odd}]},
    lambda odd: {"conditions": [{"on": "boundary", "value": odd}]},
    lambda odd: {"equations": [{"equation": odd}]},
    lambda odd: {"equations": [{"equation": "u_t = u_xx", "weight": odd}]},
    lambda odd: {"unknowns": {"u": odd}},
    lambda odd: {"vectors": {"v": odd}},
    lambda odd: {"parameters": {"a": {"learn": 1, "bounds": odd}}},
    lambda odd: {"inputs": {"b": {"over": odd}}},
    lambda odd: {"coordinates": None, "time": None, "domain": {"space": odd, "time": {"t": (0, 1)}}},
    lambda odd: {"coordinates": None, "time": odd, "domain": pm.Box(x=(0, 1))},
]


@pytest.mark.parametrize("argument", [*HEAT, "vectors", "inputs", "domain", "name"])
def test_odd_arguments(argument):
    for odd in ODD:
        with contextlib.suppress(InputError):
            pm.Problem(**{**HEAT, argument: odd})


@pytest.mark.parametrize("place", range(len(NESTED)))
def test_odd_parts(place):
    for odd in ODD:
        with contextlib.suppress(InputError):
            pm.Problem(**{**HEAT, **NESTED[place](odd)})


def test_odd_solutions():
    problem = pm.Problem(**HEAT)
    for odd in ODD:
        for exact in (odd, {"u": odd}):
            with contextlib.suppress(InputError):
                problem.manufactured(exact)
