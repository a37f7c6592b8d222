"""Conditions that are called exact hold for any parameters; periodic networks are periodic in every derivative."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.expr import Names, parse, to_text
from pdeml.lower import JetSpec, estimate_scales, make_block, make_residual_plan
from pdeml.lower.statements import Statement
from pdeml.nn import NetworkAnsatz, exact_lift
from pdeml.problem import Constraint
from pdeml.sampling import sample
from pdeml.solvers import PINN

AXES = {
    "interval": ("x",),
    "interval in time": ("x", "t"),
    "time first": ("t", "x"),
    "square": ("x", "y"),
    "square in time": ("x", "y", "t"),
    "cube": ("x", "y", "z"),
    "time alone": ("t",),
}
SMOOTH = ("sin(1.3*{a} + 0.4)*exp(0.3*{b}) + 0.2*{b}**2", "1 + {a}*{b} - 0.5*{a}**2", "cos({a} - 2*{b})*(2 + {a})")
ROUGH = (
    "abs({a} - 0.123)",
    "where({a} < 0.4, {b}, 1)",
    "heaviside({a} - 0.3)",
    "max({a}, {b}, 0.1)",
    "sign({a} - 0.1)*{b}",
)
SIDES = {"x": ("left", "right"), "y": ("bottom", "top"), "z": ("back", "front")}


def network(problem: pm.Problem, seed: int = 0, **options: object) -> tuple[NetworkAnsatz, torch.Tensor]:
    ansatz, _, _ = PINN(width=4, depth=1, **options).ansatz(problem)
    generator = torch.Generator().manual_seed(seed)
    return ansatz, torch.randn(ansatz.parameter_count, generator=generator, dtype=torch.float64)


def exact_of(problem: pm.Problem) -> tuple[str, ...]:
    return exact_lift(problem, estimate_scales(problem).unknowns).exact


def defect(problem: pm.Problem, constraint: Constraint, ansatz: NetworkAnsatz, theta: torch.Tensor) -> float:
    """Largest residual at points of the region, its corners among them."""
    region = constraint.region
    corners = np.indices((2,) * region.dimension).reshape(region.dimension, 2**region.dimension).T.astype(float)
    found = [0.0]
    points = sample(region, 30, "uniform", 5)
    for x, normals in ((points.x, points.normals), region.draw(corners)):
        plan = make_residual_plan([constraint.form], problem.names, problem.parameter_values)
        statement = Statement(constraint.name, region, plan, (1.0,), (1.0,))
        normals = None if normals is None else torch.tensor(normals)
        weights = torch.ones(len(x), dtype=torch.float64)
        block = make_block(statement, ansatz, torch.tensor(x), weights, normals)
        found.append(float(block.residual(theta, theta[:0]).abs().max()))
    return max(found)


def assert_exact_ones_hold(problem: pm.Problem, tolerance: float = 1e-10) -> tuple[str, ...]:
    ansatz, theta = network(problem)
    exact = exact_of(problem)
    for constraint in problem.constraints:
        if constraint.name in exact:
            assert defect(problem, constraint, ansatz, theta) <= tolerance, (
                constraint.name,
                ansatz.base,
                ansatz.factor,
            )
    return exact


def build(axes: tuple[str, ...], bounds: dict, conditions: list) -> pm.Problem:
    time = "t" if "t" in axes else None
    orders = "+".join(f"d(u, {axis}, 2)" for axis in axes)
    return pm.Problem(coordinates=bounds, time=time, unknowns="u", equations=f"{orders} = 1", conditions=conditions)


@st.composite
def problems(draw: st.DrawFn, formulas: st.SearchStrategy[str], one: bool) -> pm.Problem:
    """Values on some sides, at the start, and a rate: all of one function, or of several that need not agree."""
    axes = draw(st.sampled_from(sorted(AXES.values())))
    lows = {axis: draw(st.sampled_from([0.0, -1.0, 0.3, -2.5])) for axis in axes}
    bounds = {axis: (low, low + draw(st.sampled_from([1.0, 0.7, 3.0]))) for axis, low in lows.items()}
    common = draw(formulas)

    def value() -> str:
        a, b = draw(st.permutations([axes[0], axes[-1]]))
        return (common if one else draw(formulas)).format(a=axes[0] if one else a, b=axes[-1] if one else b)

    whole = pm.symbols(coordinates=" ".join(axes), unknowns="u")
    conditions: list = []
    for axis in axes:
        for side in SIDES.get(axis, ()):
            kind = draw(st.sampled_from(["value", "flux", "nothing"]))
            if kind == "value":
                conditions.append(pm.Dirichlet(on=f"boundary.{side}", u=value()))
            elif kind == "flux":
                conditions.append(pm.Neumann(on=f"boundary.{side}", u=1))
    if "t" in axes and draw(st.booleans()):
        formula = value()
        conditions.append(pm.Initial(u=formula))
        if draw(st.booleans()):
            names = Names(axes, "t")
            slope = parse(formula, names, "known").diff(whole[axes.index("t")])
            slope = slope.replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
            conditions.append(pm.Initial(rate={"u": to_text(slope, names)}))
    if not conditions:
        conditions.append(pm.Condition("u = 1", on={axis: low for axis, (low, _) in bounds.items()}))
    return build(axes, bounds, conditions)


@settings(max_examples=40, deadline=None)
@given(problem=problems(st.sampled_from(SMOOTH), one=True))
def test_values_of_one_smooth_function_are_all_exact(problem: pm.Problem):
    exact = assert_exact_ones_hold(problem, 1e-11)
    wanted = {c.name for c in problem.constraints if c.kind in ("value", "rate")}
    if not any(c.kind == "value" and "initial" in c.name for c in problem.constraints):
        wanted = {name for name in wanted if not name.startswith("rate")}
    assert set(exact) == wanted


@settings(max_examples=40, deadline=None)
@given(problem=problems(st.sampled_from(SMOOTH + ROUGH), one=False))
def test_whatever_is_called_exact_is_exact(problem: pm.Problem):
    assert_exact_ones_hold(problem)


@pytest.mark.parametrize("condition", [pm.Initial(u=text.format(a="x", b="x")) for text in ROUGH], ids=ROUGH)
def test_kinks_and_jumps_stay_rows(condition: pm.Initial):
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, [condition])
    assert exact_of(problem) == ()


@pytest.mark.parametrize("text", ["sqrt(x)", "x**1.5", "sqrt(1 - x**2)", "asin(x)"])
def test_singular_slopes_at_an_end_stay_rows(text: str):
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, [pm.Initial(u=text)])
    assert exact_of(problem) == ()


def test_values_too_large_to_be_differentiated_stay_rows():
    product = "*".join(f"(x + {k}/300)" for k in range(299))
    start = time.perf_counter()
    assert exact_of(build(("x", "t"), {"x": [0, 1], "t": [0, 1]}, [pm.Initial(u=product)])) == ()
    assert time.perf_counter() - start < 3.0


def test_a_formula_that_is_smooth_on_each_side_is_exact_though_it_is_rough_between():
    problem = build(("x", "y"), {"x": (0, 1), "y": (0, 1)}, [pm.Dirichlet(u="where(y > 0.5, 2, 2*y**0) + y*(1-y)*x")])
    assert_exact_ones_hold(problem)
    sides = [pm.Dirichlet(on=f"boundary.{side}", u="where(x > 0.5, 1, 0)") for side in ("left", "right")]
    problem = build(("x", "y"), {"x": (0, 1), "y": (0, 1)}, sides)
    assert set(assert_exact_ones_hold(problem)) == {"u on boundary.left", "u on boundary.right"}


def test_corners_that_disagree_give_way_to_the_space_sides():
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, [pm.Initial(u="1 + x"), pm.Dirichlet(u=0)])
    assert assert_exact_ones_hold(problem) == ("u on boundary",)


def test_edges_that_agree_only_at_round_places_disagree():
    """A difference sin(8 pi y), zero at the corners and at every eighth of the edge."""
    bounds = {"x": (0, 1), "y": (0, 1), "t": (0, 1)}
    problem = build(
        ("x", "y", "t"), bounds, [pm.Initial(u="cos(x)*sin(8*pi*y)"), pm.Dirichlet(on="boundary.left", u=0)]
    )
    assert assert_exact_ones_hold(problem) == ("u on boundary.left",)


def test_a_rate_that_disagrees_leaves_the_value_exact():
    conditions = [pm.Initial(u="sin(pi*x)", rate={"u": "1 + x"}), pm.Dirichlet(u=0)]
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, conditions)
    assert set(assert_exact_ones_hold(problem)) == {"u on initial", "u on boundary"}


def test_a_value_may_be_written_with_the_coordinate_that_is_fixed():
    """An exact solution is often given as it is, for all t, where only its start is meant."""
    conditions = [pm.Initial(u="sin(x)*cos(t) + t", rate={"u": "1 + t*x"}), pm.Dirichlet(on="boundary.left", u="t + x")]
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, conditions)
    assert len(assert_exact_ones_hold(problem)) == 3


@pytest.mark.parametrize("bounds", [(1000.0, 1000.001), (1e6, 1e6 + 1), (-1e-9, 1e-9), (0.1, 0.7)])
def test_far_from_the_origin(bounds: tuple[float, float]):
    problem = build(("x",), {"x": bounds}, [pm.Dirichlet(u=3)])
    assert assert_exact_ones_hold(problem, 1e-13) == ("u on boundary",)
    problem = build(("x",), {"x": bounds}, [pm.Dirichlet(u=3, on="boundary.right")])
    assert assert_exact_ones_hold(problem, 1e-13) == ("u on boundary.right",)


@pytest.mark.parametrize(
    "condition",
    [
        pm.Condition("u = 1", on={"x": 0.5}),
        pm.Condition("u = 1", on={"x": 0, "t": 0}),
        pm.Final(u=1),
        pm.Dirichlet(u=1, on={"piece": "left", "where": "t > 0.5"}),
        pm.Dirichlet(u=1, on={"x": 0, "t": 0.5}),
        pm.Dirichlet(u=1, on={"x": 0.5}),
        pm.Initial(rate={"u": 1}),
    ],
    ids=str,
)
def test_what_is_no_whole_side_stays_rows(condition: object):
    problem = build(("x", "t"), {"x": (0, 1), "t": (0, 1)}, [condition])
    assert exact_of(problem) == ()
    ansatz, theta = network(problem)
    assert defect(problem, problem.constraints[0], ansatz, theta) > 1e-3


def test_a_domain_with_a_hole_has_rows_only():
    shape = pm.Rectangle(x=(0, 2), y=(0, 1)) - pm.Disk(center=(0.7, 0.5), radius=0.2)
    problem = pm.Problem(domain=shape, unknowns="u", equations="laplacian(u) = 1", conditions=[pm.Dirichlet(u=0)])
    assert exact_of(problem) == ()


def test_nothing_is_imposed_if_so_wished():
    problem = build(("x",), {"x": (0, 1)}, [pm.Dirichlet(u=1)])
    lift = exact_lift(problem, {"u": 2.0}, impose=False)
    assert (lift.base, lift.factor, lift.exact) == ((0,), (2,), ())


@pytest.mark.parametrize("harmonics", [1, 3])
def test_both_sides_of_a_periodic_coordinate_agree_in_every_derivative(harmonics: int):
    bounds = {"x": (-1.3, 2.0), "y": (0, 1), "t": (0, 1)}
    conditions = [
        pm.Periodic("x"),
        pm.Initial(u="cos(2*pi*(x + 1.3)/3.3)*y"),
        pm.Dirichlet(u="y*(1 - y)", on="boundary.bottom"),
    ]
    problem = build(("x", "y", "t"), bounds, conditions)
    ansatz, theta = network(problem, harmonics=harmonics)
    spec = JetSpec.closed([i for i in itertools.product(range(5), repeat=3) if sum(i) <= 4], dimension=3)
    rest = np.random.default_rng(0).random((8, 2))
    left, right = (np.column_stack([np.full(8, x), rest]) for x in bounds["x"])
    one, two = (ansatz.prepare(torch.tensor(x), spec).jets(theta) for x in (left, right))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9 * float(one.abs().max()))
    middle = ansatz.prepare(torch.tensor((left + right) / 2), spec).jets(theta)
    assert float((one - middle).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("sin(pi*x)", True),
        ("exp(cos(pi*x))", True),
        ("x**2", False),
        ("x", False),
        ("x**2*cos(pi*x)", False),
        ("2", True),
    ],
)
def test_a_value_that_does_not_repeat_stays_rows(value: str, exact: bool):
    """Its jump, or that of its slope, would stay in the solution for all time, unseen by the residual inside."""
    problem = pm.Problem(
        coordinates={"x": (-1, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t = u_xx",
        conditions=[pm.Initial(u=value), pm.Periodic("x")],
    )
    assert bool(exact_lift(problem, {"u": 1.0}).exact) == exact
