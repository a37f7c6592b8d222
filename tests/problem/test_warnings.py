"""What is probably not meant is a warning that names it; what is complete has none."""

import pytest

import pdeml as pm
from pdeml.problem import counts, library
from pdeml.spec import starter


def wave(*conditions, **changes):
    given = {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t", "unknowns": "u", "equations": "u_tt = u_xx"}
    return pm.Problem(**{**given, "conditions": conditions, **changes})


COMPLETE = (pm.Initial(u="sin(pi*x)", rate={"u": 0}), pm.Dirichlet(u=0))


def test_a_complete_problem_has_no_warning():
    assert wave(*COMPLETE).warnings == ()


@pytest.mark.parametrize("name", library.names())
def test_the_library_has_no_warning(name):
    assert library.load(name).warnings == ()


def test_the_starter_has_no_warning():
    assert pm.Problem.from_yaml(starter("first")).warnings == ()


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


SQUARE = {"coordinates": {"x": (0, 1), "y": (0, 1)}, "unknowns": "u"}
BOUNDARY = (pm.Dirichlet(u=0), pm.Neumann(u=0))


@pytest.mark.parametrize(
    ("axes", "equation", "name"),
    [("xt", "u_t = u_xx", "t"), ("xt", "u_tt = u_xx", "t"), ("xy", "u_y = u_xx", "y"), ("t", "u_t = -u", "t")],
)
def test_a_coordinate_that_looks_like_time(axes, equation, name):
    given = {"coordinates": dict.fromkeys(axes, (0, 1)), "unknowns": "u", "equations": equation}
    problem = pm.Problem(**given, conditions=pm.Dirichlet(on=f"boundary.{'left' if axes == 't' else 'bottom'}", u=0))
    assert any(warning.startswith(f"{name} looks like time") for warning in problem.warnings)


@pytest.mark.parametrize("equation", ["laplacian(u) = 1", "u_x + u_y = 1", "u_xx + u_yy + u_x = 1"])
def test_steady_problems_have_no_time(equation):
    problem = pm.Problem(**SQUARE, equations=equation, conditions=pm.Dirichlet(u=0))
    assert not any("looks like time" in warning for warning in problem.warnings)


@pytest.mark.parametrize(
    ("equation", "conditions", "words"),
    [
        ("u_t = u_xx", [pm.Initial(u=0), *BOUNDARY], "2 conditions along x; there are 4"),
        ("u_t = u_xx", [pm.Initial(u=0), pm.Final(u=0), BOUNDARY[0]], "1 condition along t; there are 2"),
        ("u_t + u_x = 0", [pm.Initial(u=0), BOUNDARY[0]], "1 condition along x; there are 2"),
    ],
)
def test_too_many_conditions(equation, conditions, words):
    (warning,) = wave(*conditions, equations=equation).warnings
    assert words in warning


@pytest.mark.parametrize("equation", ["u_t + u*u_x = 0", "u_t + (x - 0.5)*u_x = 0"])
def test_transport_may_enter_from_both_sides(equation):
    assert wave(pm.Initial(u=0), BOUNDARY[0], equations=equation).warnings == ()


@pytest.mark.parametrize(
    "conditions",
    [
        [pm.Dirichlet(u="x"), pm.Dirichlet(on="boundary.left", u=0)],
        [
            pm.Dirichlet(on={"piece": "left", "where": "y < 0.5"}, u=0),
            pm.Neumann(on={"piece": "left", "where": "y >= 0.5"}, u=0),
            *(pm.Neumann(on=f"boundary.{name}", u=0) for name in ("right", "top", "bottom")),
        ],
        [pm.Neumann(u=0), pm.Dirichlet(on={"x": 0, "y": 0}, u=0)],
    ],
    ids=["said twice", "two halves of a side", "one point"],
)
def test_enough_conditions_are_not_too_many(conditions):
    assert pm.Problem(**SQUARE, equations="laplacian(u) = 1", conditions=conditions).warnings == ()


def test_too_many_conditions_on_a_piece_of_a_shape():
    shape = pm.Rectangle(x=(0, 1), y=(0, 1)) - pm.Disk(center=(0.5, 0.5), radius=0.2, name="hole")
    conditions = [pm.Dirichlet(u=0), pm.Neumann(on="boundary.hole", u=0)]
    (warning,) = pm.Problem(domain=shape, unknowns="u", equations="laplacian(u) = 1", conditions=conditions).warnings
    assert "boundary.hole; there are 2" in warning


def test_fluxes_alone_leave_a_constant_free():
    (warning,) = pm.Problem(**SQUARE, equations="laplacian(u) = 1", conditions=pm.Neumann(u=0)).warnings
    assert "up to a constant" in warning
    assert pm.Problem(**SQUARE, equations="laplacian(u) = u", conditions=pm.Neumann(u=0)).warnings == ()
    assert wave(pm.Initial(u=0, rate=0), pm.Neumann(u=0)).warnings == ()
