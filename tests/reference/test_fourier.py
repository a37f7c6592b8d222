"""Fourier solvers against exact solutions: orders in time, exponential convergence in space, published data."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

import pdeml as pm
from pdeml.reference import named_reference
from pdeml.reference.case import Case
from pdeml.reference.fourier import ETDRK4, IMEX, RK4CN

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "periodic"
SCHEMES = [ETDRK4, RK4CN, IMEX]


def periodic(equations, conditions, lengths=(2 * np.pi,), end=1.0, unknowns="u", **more):
    names = "xyz"[: len(lengths)]
    sides = {name: (0, length) for name, length in zip(names, lengths, strict=True)}
    return pm.Problem(
        coordinates={**more.pop("sides", sides), "t": (0, end)},
        time="t",
        unknowns=unknowns,
        equations=equations,
        conditions=[conditions, *(pm.Periodic(name) for name in names)],
        **more,
    )


def solve(method, problem, grid=None, times=None):
    assert method.refusal(problem) is None
    stored = np.array([problem.domain.time[2]]) if times is None else times
    (found,) = method.solve(problem, [Case(problem)], grid or {}, stored)
    return found


def sup_error(method, problem, exact, grid=None, seed=0):
    """Largest error of the unknowns in ``exact`` (formulas) at random points of space and the last time."""
    bounds = problem.domain.bounds
    points = np.random.default_rng(seed).uniform(*bounds.T, (50, len(bounds)))
    points[:, problem.names.coordinates.index("t")] = problem.domain.time[2]
    found = solve(method, problem, grid).evaluate(points)
    return max(np.abs(found[name] - formula(*points.T)).max() for name, formula in exact.items())


MADE = "exp(sin(x - t))"
BURGERS = periodic("u_t + u*u_x = 0.3*u_xx", pm.Initial(u=0)).manufactured({"u": MADE})
TRANSPORT = periodic("u_t + sin(x)*u_x = u**2", pm.Initial(u=0)).manufactured({"u": MADE})
SOLITON = periodic(
    "i*psi_t = -psi_xx/2 - abs(psi)**2*psi",
    pm.Initial(psi="exp(i*x)/cosh(x)"),
    unknowns={"psi": "complex"},
    sides={"x": ("-11*pi", "11*pi")},  # sech(11 pi) is 2e-15
)
TELEGRAPH = periodic(
    ["u_tt + u_t = u_xx - u**3 + p_x", "p_xx - p = u**2"], pm.Initial({"u": 0}, rate={"u": 0}), unknowns="u p"
).manufactured({"u": MADE, "p": "cos(x + t)"})
SHOCK = periodic(
    "u_t + u*u_x = nu*u_xx", pm.Initial(u="-sin(pi*x)"), sides={"x": (-1, 1)}, parameters={"nu": "0.01/pi"}
)
EXACT = {
    "burgers": (BURGERS, {"u": lambda x, t: np.exp(np.sin(x - t))}, 48),
    "transport": (TRANSPORT, {"u": lambda x, t: np.exp(np.sin(x - t))}, 48),
    "soliton": (
        SOLITON,
        {"psi_real": lambda x, t: np.cos(x) / np.cosh(x - t), "psi_imag": lambda x, t: np.sin(x) / np.cosh(x - t)},
        640,
    ),
    "telegraph": (TELEGRAPH, {"u": lambda x, t: np.exp(np.sin(x - t)), "p": lambda x, t: np.cos(x + t)}, 48),
}
SOLITON_STEPS = {ETDRK4: 50, RK4CN: 50, IMEX: 400}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_order_in_time_is_the_one_stated(scheme, name):
    problem, exact, size = EXACT[name]
    steps = (SOLITON_STEPS[scheme] if name == "soliton" else 50) * np.array([1, 2, 4])
    errors = [sup_error(scheme(), problem, exact, {"x": size, "t": int(n) + 1}) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert min(errors) > 1e-12  # else rounding is measured
    assert abs(slope - scheme().order(problem)) < 0.2, errors


def test_the_order_of_rk4cn_is_four_without_linear_terms_only():
    assert [scheme().order(TRANSPORT) for scheme in SCHEMES] == [4, 4, 2]
    assert [scheme().order(BURGERS) for scheme in SCHEMES] == [4, 2, 2]


def test_convergence_in_space_is_exponential_at_the_rate_of_the_nearest_singularity():
    """1/(2 + sin x) has poles at distance arccosh(2) = 1.317 from the real axis: errors fall as exp(-1.317 m)."""
    made = periodic("u_t + u*u_x = 0.1*u_xx", pm.Initial(u=0), end=0.1).manufactured({"u": "1/(2 + sin(x - t))"})
    degrees = np.arange(6, 21, 2)
    exact = {"u": lambda x, t: 1 / (2 + np.sin(x - t))}
    errors = np.log([sup_error(ETDRK4(), made, exact, {"x": 3 * int(m) + 1, "t": 201}) for m in degrees])
    slope, level = np.polyfit(degrees, errors, 1)
    assert abs(-slope / np.arccosh(2) - 1) < 0.1
    assert np.abs(errors - slope * degrees - level).max() < 1.0


def test_burgers_agrees_with_the_cole_hopf_solution():
    axes = {"x": np.linspace(-1, 1, 129), "t": np.linspace(0.0, 1.0, 6)}
    found = solve(ETDRK4(), SHOCK, {"x": 3072, "t": 6001}, axes["t"]).on_grid(axes)["u"]
    points = np.stack([part.ravel() for part in np.meshgrid(axes["x"], axes["t"])], 1)
    expected = named_reference("cole-hopf", SHOCK).evaluate(points)["u"].reshape(found.shape)
    assert np.linalg.norm(found - expected) < 1e-11 * np.linalg.norm(expected)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_published_burgers_data():
    file = scipy.io.loadmat(DATA / "burgers_shock.mat")
    t, x, values = file["t"].ravel(), file["x"].ravel(), file["usol"].T
    found = solve(ETDRK4(), SHOCK, {"x": 2048, "t": 2001}, t).on_grid({"x": x, "t": t})["u"]
    assert np.linalg.norm(found - values) < 2e-5 * np.linalg.norm(values)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_published_allen_cahn_data():
    problem = periodic("u_t = 1e-4*u_xx + 5*u - 5*u**3", pm.Initial(u="x**2*cos(pi*x)"), sides={"x": (-1, 1)})
    file = scipy.io.loadmat(DATA / "AC.mat")
    t, x, values = file["tt"].ravel(), file["x"].ravel(), file["uu"].T
    found = solve(ETDRK4(), problem, {"x": 1024, "t": 1001}, t).on_grid({"x": x, "t": t})["u"]
    assert np.linalg.norm(found - values) < 2e-5 * np.linalg.norm(values)  # the file is about 1.2e-5 off


FLOW = ["w_t + psi_y*w_x - psi_x*w_y = nu*laplacian(w)", "laplacian(psi) = -w"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_taylor_green_vortices_decay(scheme):
    """N vanishes: ETDRK4 is exact, Crank-Nicolson with rate 0.02 and step 1/200 errs by at most 0.02^3 / 200^2 / 12."""
    flow = periodic(FLOW, pm.Initial(w="2*cos(x)*cos(y)"), (2 * np.pi,) * 2, unknowns="w psi", parameters={"nu": 0.01})
    exact = {
        "psi": lambda x, y, t: np.cos(x) * np.cos(y) * np.exp(-0.02 * t),
        "w": lambda x, y, t: 2 * np.cos(x) * np.cos(y) * np.exp(-0.02 * t),
    }
    allowed = 1e-14 if scheme is ETDRK4 else 2 * 0.02**3 / 200**2 / 12
    assert sup_error(scheme(), flow, exact, {"x": 24, "y": 16, "t": 201}) < allowed


def test_manufactured_flow_in_two_dimensions_with_forcing_in_time():
    flow = periodic(FLOW, pm.Initial(w=0), (2 * np.pi,) * 2, unknowns="w psi", parameters={"nu": 0.05}).manufactured(
        {"w": "sin(x)*cos(2*y + t) + cos(x + y)", "psi": "sin(x)*cos(2*y + t)/5 + cos(x + y)/2"}
    )
    exact = {"w": lambda x, y, t: np.sin(x) * np.cos(2 * y + t) + np.cos(x + y)}
    assert sup_error(ETDRK4(), flow, exact, {"x": 24, "y": 24, "t": 101}) < 1e-8


def test_flow_in_three_dimensions_by_vorticity_and_vector_potential():
    """The flow of Arnold, Beltrami and Childress is its own vorticity, so that it only decays."""
    curl = ("az_y - ay_z", "ax_z - az_x", "ay_x - ax_y")
    flow = periodic(
        [
            *(
                f"d({w}, t) + dot(curl(a), grad({w})) - dot(w, grad({u})) = 0.1*laplacian({w})"
                for w, u in zip(("wx", "wy", "wz"), curl, strict=True)
            ),
            "laplacian(a) = -w",
        ],
        pm.Initial({"wx": "sin(z) + cos(y)", "wy": "sin(x) + cos(z)", "wz": "sin(y) + cos(x)"}),
        (2 * np.pi,) * 3,
        unknowns="wx wy wz ax ay az",
        vectors={"w": ["wx", "wy", "wz"], "a": ["ax", "ay", "az"]},
    )
    exact = {name: lambda x, y, z, t: (np.sin(z) + np.cos(y)) * np.exp(-0.1 * t) for name in ("wx", "ax")}
    assert sup_error(ETDRK4(), flow, exact, {"x": 8, "y": 9, "z": 10, "t": 11}) < 1e-14


def test_an_unknown_for_a_derivative_changes_nothing():
    """Constraints are eliminated from L, so that the mixed form is as stiff, and as stable, as the plain one."""
    start, sides = pm.Initial(u="cos(x/16)*(1 + sin(x/16))"), {"x": (0, "32*pi")}
    plain = periodic("u_t + u*u_x + u_xx + d(u, x, 4) = 0", start, end=20.0, sides=sides)
    mixed = periodic(["u_t + u*u_x + v + v_xx = 0", "v = u_xx"], start, end=20.0, sides=sides, unknowns="u v")
    found = [solve(ETDRK4(), problem, {"x": 128, "t": 101}).array[:, 0] for problem in (plain, mixed)]
    assert np.abs(found[0] - found[1]).max() < 1e-12


def test_advection_and_diffusion_in_three_dimensions_are_exact():
    problem = periodic("u_t + u_x - 2*u_y = 0.1*laplacian(u)", pm.Initial(u="sin(x)*sin(2*y)*cos(z)"), (2 * np.pi,) * 3)
    exact = {"u": lambda x, y, z, t: np.sin(x - t) * np.sin(2 * (y + 2 * t)) * np.cos(z) * np.exp(-0.6 * t)}
    assert sup_error(ETDRK4(), problem, exact, {"x": 8, "y": 9, "z": 10, "t": 2}) < 1e-14


def test_any_linear_system_with_constant_coefficients_is_exact_in_one_step():
    """Maxwell's equations in one dimension, and waves of second order in time."""
    maxwell = periodic(["E_t = H_x", "H_t = E_x"], pm.Initial({"E": "sin(x)", "H": "cos(3*x)"}), unknowns="E H")
    exact = {"E": lambda x, t: np.sin(x) * np.cos(t) - np.sin(3 * x) * np.sin(3 * t)}
    assert sup_error(ETDRK4(), maxwell, exact, {"x": 16, "t": 2}) < 1e-14
    waves = periodic("u_tt = 4*u_xx", pm.Initial(u="sin(x)", rate={"u": "1 + cos(2*x)"}))
    exact = {"u": lambda x, t: np.sin(x) * np.cos(2 * t) + t + np.cos(2 * x) * np.sin(4 * t) / 4}
    assert sup_error(ETDRK4(), waves, exact, {"x": 16, "t": 2}) < 1e-14


def test_korteweg_de_vries_soliton():
    problem = periodic("u_t + 6*u*u_x + u_xxx = 0", pm.Initial(u="2/cosh(x)**2"), sides={"x": (-20, 20)})
    exact = {"u": lambda x, t: 2 / np.cosh(x - 4 * t) ** 2}
    assert sup_error(ETDRK4(), problem, exact, {"x": 512, "t": 2001}) < 2e-9


@pytest.mark.parametrize("name", EXACT)
def test_the_usual_grid_is_where_refinement_can_begin(name):
    problem, exact, _ = EXACT[name]
    assert sup_error(ETDRK4(), problem, exact) < 1e-4
