"""Flows: orders of convergence, flows the elements contain, divergence, symmetry, and what is shown at corners."""

from pathlib import Path

import numpy as np
import pytest

import pdeml as pm
from pdeml.reference.case import Case
from pdeml.reference.exact import ExactReference

pytest.importorskip("skfem")

from pdeml.reference.flow import NavierStokes

STEADY = [
    "u*u_x + v*u_y + p_x = nu*laplacian(u)",
    "u*v_x + v*v_y + p_y = nu*laplacian(v)",
    "u_x + v_y = 0",
]
UNSTEADY = ["u_t + " + STEADY[0], "v_t + " + STEADY[1], STEADY[2]]
STOKES = ["p_x = nu*laplacian(u)", "p_y = nu*laplacian(v)", "u_x + v_y = 0"]
WALLS = ("left", "right", "bottom", "top")
DECAY = "exp(-2*pi**2*nu*t)"
TAYLOR_GREEN = {
    "u": f"-cos(pi*x)*sin(pi*y)*{DECAY}",
    "v": f"sin(pi*x)*cos(pi*y)*{DECAY}",
    "p": f"-(cos(2*pi*x) + cos(2*pi*y))/4*{DECAY}**2",
}
RATE = "(1/(2*nu) - sqrt(1/(4*nu**2) + 4*pi**2))"
KOVASZNAY = {
    "u": f"1 - exp({RATE}*x)*cos(2*pi*y)",
    "v": f"{RATE}/(2*pi)*exp({RATE}*x)*sin(2*pi*y)",
    "p": f"(1 - exp(2*{RATE}*x))/2",
}


def solve(problem, times=None, options=None, **grid):
    method = NavierStokes(**(options or {}))
    (solved,) = method.solve(problem, [Case(problem)], grid, times)
    return solved


def errors(solved, exact, time=None):
    """Relative L2 errors at points inside."""
    bounds = solved.problem.domain.space.bounds
    share = np.random.default_rng(0).uniform(0.0, 1.0, (3000, 2))
    points = bounds[:, 0] + share * (bounds[:, 1] - bounds[:, 0])
    points = points if time is None else np.insert(points, 2, time, axis=1)
    truth = ExactReference.read(exact, solved.problem).evaluate(points)
    found = solved.evaluate(points)
    return {name: np.linalg.norm(found[name] - truth[name]) / np.linalg.norm(truth[name]) for name in truth}


def slope(sizes, values):
    return -np.polyfit(np.log(sizes), np.log(values), 1)[0]


def taylor_green(nu=0.05, duration=1.0):
    return pm.Problem(
        coordinates={"x": (-0.4, 0.9), "y": (-0.3, 0.8), "t": (0, duration)},
        time="t",
        unknowns="u v p",
        parameters={"nu": nu},
        equations=UNSTEADY,
        conditions=[
            pm.Initial(u=TAYLOR_GREEN["u"], v=TAYLOR_GREEN["v"]),
            pm.Dirichlet(u=TAYLOR_GREEN["u"], v=TAYLOR_GREEN["v"]),
            pm.Dirichlet(on={"x": -0.4, "y": -0.3}, p=TAYLOR_GREEN["p"]),
        ],
    )


def cavity(reynolds, lid=("u", 1), moving="top"):
    still = [pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in WALLS if name != moving]
    return pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u v p",
        parameters={"nu": f"1/{reynolds}"},
        equations=STEADY,
        conditions=[pm.Dirichlet({"u": 0, "v": 0, lid[0]: lid[1]}, on=f"boundary.{moving}"), *still],
    )


@pytest.mark.parametrize("grading", [0.0, 0.6])
def test_kovasznay_flow_converges_as_taylor_and_hood_say(grading):
    problem = pm.Problem(
        coordinates={"x": (-0.5, 1), "y": (-0.5, 0.5)},
        unknowns="u v p",
        parameters={"nu": 1 / 40},
        equations=STEADY,
        conditions=[
            pm.Dirichlet(u=KOVASZNAY["u"], v=KOVASZNAY["v"]),
            pm.Dirichlet(on={"x": -0.5, "y": -0.5}, p=KOVASZNAY["p"]),
        ],
    )
    cells = np.array([12, 18, 27])
    found = [errors(solve(problem, options={"grading": grading}, x=n + 1, y=n + 1), KOVASZNAY) for n in cells]
    for name, order in {"u": 3, "v": 3, "p": 2}.items():
        assert order - 0.3 < slope(cells, [error[name] for error in found]) < order + 0.6
        assert found[-1][name] < {"u": 3e-4, "v": 6e-4, "p": 1e-2}[name]


def test_time_stepping_is_of_second_order():
    problem, times = taylor_green(), np.array([0.0, 1.0])
    fine = solve(problem, times, x=9, y=9, t=129)
    steps, ends = (
        np.array([8, 16, 32]),
        {"velocity": slice(0, 2 * fine.space.size), "pressure": slice(2 * fine.space.size, None)},
    )
    coarse = [solve(problem, times, x=9, y=9, t=n + 1) for n in steps]
    for part in ends.values():
        differences = [np.abs(one.array[-1, part] - fine.array[-1, part]).max() for one in coarse]
        assert slope(steps, differences) == pytest.approx(2.0, abs=0.5)


def test_uneven_output_times_do_not_lower_the_accuracy():
    problem = taylor_green()
    even = solve(problem, np.linspace(0, 1, 5), x=13, y=13, t=33)
    uneven = solve(problem, np.array([0.0, 0.13, 0.5, 0.51, 1.0]), x=13, y=13, t=33)
    assert errors(uneven, TAYLOR_GREEN, 1.0)["u"] < 1.1 * errors(even, TAYLOR_GREEN, 1.0)["u"] < 2e-3


def test_the_initial_pressure_belongs_to_the_initial_velocity():
    solved = solve(taylor_green(duration=0.25), np.array([0.0, 0.25]), x=17, y=17, t=17)
    assert errors(solved, TAYLOR_GREEN, 0.0)["p"] < 0.05


@pytest.mark.parametrize("equations", [STEADY, STOKES], ids=["navier-stokes", "stokes"])
@pytest.mark.parametrize(
    "outlet",
    [
        {"on": "boundary.right", "value": {"p": 0}},
        {"on": "boundary.right", "equation": "nu*dn(u) - p*dot([1, 0], n) = 0"},
    ],
    ids=["pressure", "stress"],
)
def test_a_parabola_is_reproduced(equations, outlet):
    exact = {"u": "4*y*(1-y)", "v": "0", "p": "8*nu*(2-x)"}
    rest = [{"on": "boundary.right", "flux": {"v": 0}}]
    problem = pm.Problem(
        coordinates={"x": (0, 2), "y": (0, 1)},
        unknowns="u v p",
        parameters={"nu": 0.1},
        equations=equations,
        conditions=[
            pm.Dirichlet(on="boundary.left", u=exact["u"], v=0),
            pm.Dirichlet(on="boundary.bottom", u=0, v=0),
            pm.Dirichlet(on="boundary.top", u=0, v=0),
            outlet,
            *(rest if "equation" in outlet else []),
        ],
    )
    found = errors(solve(problem, x=7, y=6), {"u": exact["u"], "p": exact["p"]})
    assert max(found.values()) < 1e-9


def test_pressures_at_both_ends_drive_a_parabola():
    problem = pm.Problem(
        coordinates={"x": (0, 2), "y": (0, 1)},
        unknowns="u v p",
        parameters={"nu": 0.1},
        equations=STEADY,
        conditions=[
            pm.Dirichlet(on="boundary.left", p="1.6"),
            pm.Dirichlet(on="boundary.right", p=0),
            pm.Dirichlet(on="boundary.bottom", u=0, v=0),
            pm.Dirichlet(on="boundary.top", u=0, v=0),
        ],
    )
    assert max(errors(solve(problem, x=7, y=6), {"u": "4*y*(1-y)", "p": "0.8*(2-x)"}).values()) < 1e-8


def test_half_a_channel_with_symmetry_is_half_of_the_channel():
    problem = pm.Problem(
        coordinates={"x": (0, 2), "y": (0, 0.5)},
        unknowns="u v p",
        parameters={"nu": 0.1},
        equations=STEADY,
        conditions=[
            pm.Dirichlet(on="boundary.left", u="4*y*(1-y)", v=0),
            pm.Dirichlet(on="boundary.bottom", u=0, v=0),
            pm.Dirichlet(on="boundary.top", v=0),
            pm.Neumann(on="boundary.top", u=0),
            pm.Dirichlet(on="boundary.right", p=0),
        ],
    )
    assert errors(solve(problem, x=7, y=5), {"u": "4*y*(1-y)"})["u"] < 1e-9


def test_a_body_force_with_a_potential_moves_nothing():
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1)},
        unknowns="u v p",
        parameters={"nu": 1, "g": 9.81},
        equations=[STEADY[0], STEADY[1] + " - g", STEADY[2]],
        conditions=[pm.Dirichlet(u=0, v=0), pm.Dirichlet(on={"x": 0, "y": 1}, p=0)],
    )
    solved = solve(problem, x=6, y=6)
    assert np.abs(solved.array[0, : 2 * solved.space.size]).max() < 1e-12
    assert errors(solved, {"p": "g*(1-y)"})["p"] < 1e-11


def test_the_divergence_vanishes_against_every_pressure():
    assert solve(cavity(100), x=17, y=17).facts["divergence"] < 1e-12


def test_a_mirrored_cavity_has_the_mirrored_flow():
    points = np.random.default_rng(1).uniform(0.02, 0.98, (200, 2))
    one, other = solve(cavity(100), x=25, y=25), solve(cavity(100, ("u", -1)), x=25, y=25)
    mirrored = other.evaluate(points * [-1, 1] + [1, 0])
    found = one.evaluate(points)
    assert np.abs(found["u"] + mirrored["u"]).max() < 5e-3
    assert np.abs(found["v"] - mirrored["v"]).max() < 5e-3


def test_the_lid_is_shown_with_its_corners_but_nothing_leaks_through_the_walls():
    axis = np.linspace(0, 1, 9)
    found = solve(cavity(100), x=17, y=17).on_grid({"x": axis, "y": axis})
    assert found["u"][-1] == pytest.approx(np.ones(9), abs=1e-12)
    assert found["u"][:-1, 0] == pytest.approx(np.zeros(8), abs=1e-12)


@pytest.mark.parametrize(("reynolds", "centre"), [(100, -0.2092), (400, -0.1150)])
def test_the_centre_of_a_cavity(reynolds, centre):
    found = solve(cavity(reynolds), x=25, y=25).evaluate(np.array([[0.5, 0.5]]))["u"][0]
    assert found == pytest.approx(centre, rel=2e-3 if reynolds == 100 else 4e-3)


def test_a_cylinder_is_cut_out_and_resists():
    shape = pm.Rectangle(x=(0, 2.2), y=(0, 0.41)) - pm.Disk(center=(0.2, 0.2), radius=0.05, name="cylinder")
    problem = pm.Problem(
        domain=shape,
        unknowns="u v p",
        parameters={"nu": 1e-3},
        equations=STEADY,
        conditions=[
            pm.Dirichlet(on="boundary.left", u="1.2*y*(0.41-y)/0.41**2", v=0),
            *[pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in ("bottom", "top", "cylinder")],
            pm.Dirichlet(on="boundary.right", p=0),
        ],
    )
    solved = solve(problem, x=45, y=9)
    found = solved.evaluate(np.array([[0.2, 0.2], [0.15, 0.2], [0.25, 0.2]]))
    assert np.isnan(found["u"][0])
    assert found["p"][1] - found["p"][2] == pytest.approx(0.11752, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("reynolds", [100, 400])
def test_a_cavity_agrees_with_data_of_others(reynolds):
    folder = Path(__file__).parents[3] / "shared" / "data" / "cavity"
    if not folder.is_dir():
        pytest.skip("the data is absent")
    axis = np.linspace(0, 1, 129)
    solved = solve(cavity(reynolds), x=65, y=65)
    found = solved.on_grid({"x": axis, "y": axis})
    for name in "uv":
        data = np.load(folder / f"{name}_ldc_Re{reynolds}_fem_129.npy").reshape(129, 129)
        assert np.linalg.norm(found[name] - data) < 0.02 * np.linalg.norm(data)
    centre = {100: -0.2092, 400: -0.1150}[reynolds]
    assert solved.evaluate(np.array([[0.5, 0.5]]))["u"][0] == pytest.approx(centre, rel=2e-3)


def test_an_array_gives_the_solution_back():
    problem, method = cavity(100), NavierStokes()
    (solved,) = method.solve(problem, [Case(problem)], {"x": 9, "y": 9})
    again = method.solved(problem, Case(problem), {"x": 9, "y": 9}, None, solved.array)
    points = np.random.default_rng(0).uniform(0, 1, (50, 2))
    for name, values in solved.evaluate(points).items():
        assert np.array_equal(again.evaluate(points)[name], values)


def test_parameters_of_a_case_replace_those_of_the_problem():
    problem = cavity(100)
    (given,) = NavierStokes().solve(problem, [Case(problem, parameters={"nu": 0.1})], {"x": 9, "y": 9})
    assert np.allclose(given.array, solve(cavity(10), x=9, y=9).array, atol=1e-9)


def test_subgrid_friction_vanishes_for_velocities_linear_in_space_and_keeps_wild_flow_finite():
    problem = pm.Problem(
        coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 4)},
        time="t",
        unknowns="u v p",
        parameters={"nu": 1e-5},
        equations=UNSTEADY,
        conditions=[
            pm.Initial(u=0, v=0),
            pm.Dirichlet(on="boundary.top", u=1, v=0),
            *[pm.Dirichlet(on=f"boundary.{name}", u=0, v=0) for name in WALLS[:3]],
        ],
    )
    solved = solve(problem, np.array([0.0, 4.0]), {"subgrid": 0.05}, x=13, y=13, t=21)
    assert np.abs(solved.array[-1, : 2 * solved.space.size]).max() < 1.5
    assert np.abs(solved.space.subgrid(1.0) @ solved.space.nodes).max() < 1e-12
