"""What is probably not meant is a warning that names it; what is complete has none."""

import pytest

import pdeml as pm
from pdeml.problem import counts, library


def wave(*conditions, **changes):
    given = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t", "unknowns": "u", "equations": "u_tt = u_xx"}
    return pm.Problem(**{**given, "conditions": conditions, **changes})


COMPLETE = (pm.Initial(u="sin(pi*x)", rate={"u": 0}), pm.Dirichlet(u=0))


def test_a_complete_problem_has_no_warning():
    assert wave(*COMPLETE).warnings == ()


@pytest.mark.parametrize("name", library.names())
def test_the_library_has_no_warning(name):
    assert library.load(name).warnings == ()


def test_a_periodic_problem_is_complete():
    assert wave(COMPLETE[0], pm.Periodic("x")).warnings == ()


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([pm.Initial(u=0), pm.Dirichlet(u=0)], "add the initial rate of u"),
        ([pm.Initial(rate={"u": 0}), pm.Dirichlet(u=0)], "add the initial value of u"),
        ([COMPLETE[0], pm.Dirichlet(on="boundary.left", u=0)], "boundary.right"),
        ([COMPLETE[0], pm.Neumann(on={"x": 1}, u=0)], "boundary.left"),
        ([*COMPLETE, pm.Dirichlet(u=0)], "repeats conditions[1]"),
    ],
)
def test_what_is_missing_is_named(conditions, words):
    (warning,) = wave(*conditions).warnings
    assert words in warning


def test_a_rate_of_a_first_order_equation():
    heat = wave(pm.Initial(u=0, rate={"u": 0}), pm.Dirichlet(u=0), equations="u_t = u_xx")
    assert any("order 1 in t" in warning for warning in heat.warnings)


def test_unused_names():
    (warning,) = wave(*COMPLETE, parameters={"c": 2}).warnings
    assert "parameter c" in warning


def test_an_unknown_without_equation_needs_data():
    problem = wave(*COMPLETE, unknowns="u c", equations="u_tt = c*u_xx")
    assert problem.needs_data
    assert any("2 unknowns but 1 equation" in warning for warning in problem.warnings)
    assert not wave(*COMPLETE).needs_data


def test_too_many_equations():
    problem = wave(*COMPLETE, equations=["u_tt = u_xx", "u_t = u_x"])
    assert any("2 equations for 1 unknown" in warning for warning in problem.warnings)


def test_a_first_order_system_shares_its_conditions():
    problem = wave(pm.Initial(u=0, v=1), pm.Dirichlet(u=0), unknowns="u v", equations=["u_t = v_x", "v_t = u_x"])
    assert problem.warnings == ()


def test_each_piece_of_a_shape_is_asked_for():
    shape = pm.Rectangle(x=(0, 1), y=(0, 1)) - pm.Disk(center=(0.5, 0.5), radius=0.2, name="hole")
    sides = [pm.Dirichlet(on=f"boundary.{name}", u=0) for name in ("left", "right", "bottom", "top")]
    problem = pm.Problem(domain=shape, unknowns="u", equations="laplacian(u) = 1", conditions=sides)
    assert all("boundary.hole" in warning for warning in problem.warnings)
    assert problem.warnings
    whole = pm.Problem(domain=shape, unknowns="u", equations="laplacian(u) = 1", conditions=pm.Dirichlet(u=0))
    assert whole.warnings == ()


def test_fixed_pressure_completes_a_cavity():
    given = {
        "coordinates": {"x": (0, 1), "y": (0, 1)},
        "unknowns": "u v p",
        "equations": [
            "u*u_x + v*u_y = -p_x + 0.01*laplacian(u)",
            "u*v_x + v*v_y = -p_y + 0.01*laplacian(v)",
            "u_x + v_y = 0",
        ],
    }
    walls = [pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("left", "right", "bottom")]
    lid = pm.Dirichlet(on="boundary.top", u=1, v=0)
    free = pm.Problem(**given, conditions=[*walls, lid])
    assert any(warning.startswith("p is of order 1") for warning in free.warnings)
    fixed = pm.Problem(**given, conditions=[*walls, lid, {"on": {"x": 0, "y": 0}, "value": {"p": 0}}])
    assert fixed.warnings == ()


def test_a_beam_asks_for_four():
    given = {"coordinates": {"x": (0, 1)}, "unknowns": "w", "equations": "d(w, x, 4) = 1"}
    (count,) = counts(pm.Problem(**given, conditions=[pm.Dirichlet(w=0)]))
    assert (count.wanted, count.given, count.lacking) == (4, 2, 2)
    assert pm.Problem(**given, conditions=[pm.Dirichlet(w=0), pm.Neumann(w=0)]).warnings == ()


def test_summary_says_what_is_solved():
    text = wave(*COMPLETE, parameters={}, name="string").summary()
    for words in ("string", "hyperbolic", "order 2 in x", "order 2 in t", "linear", "rate of u = 0 on initial"):
        assert words in text
    burgers = library.load("burgers").summary()
    assert "parabolic" in burgers
    assert "non-linear" in burgers
    assert "u in x: 2 wanted, 2 given" in burgers
