"""What holds for every Fourier solution: symmetries, conservation, batches, inputs; and what is refused."""

import numpy as np
import pytest
import sympy

import pdeml as pm
from pdeml.errors import DivergenceError, InputError
from pdeml.reference.case import Case
from pdeml.reference.fourier import ETDRK4, IMEX, RK4CN
from pdeml.reference.fourier.method import TOGETHER
from pdeml.sampling.functions import Function

SCHEMES = [ETDRK4, RK4CN, IMEX]
X = np.linspace(0, 2 * np.pi, 24, endpoint=False)


class Plane(Function):
    """``amplitude * sin(number * x_1 + x_2 + … + phase)``, with all derivatives."""

    def __init__(self, over, amplitude=1.0, number=1, phase=0.0):
        self.over, self.amplitude, self.number, self.phase = over, amplitude, number, phase

    def at(self, points, index=None):
        index = index or (0,) * len(self.over)
        rates = np.array([self.number] + [1] * (len(self.over) - 1))
        angle = points @ rates + self.phase + sum(index) * np.pi / 2
        return self.amplitude * np.prod(rates ** np.array(index)) * np.sin(angle)


def periodic(equations, conditions, axes="x", end=1.0, unknowns="u", **more):
    return pm.Problem(
        coordinates={**dict.fromkeys(axes, (0, "2*pi")), "t": (0, end)},
        time="t",
        unknowns=unknowns,
        equations=equations,
        conditions=[conditions, *(pm.Periodic(name) for name in axes)],
        **more,
    )


def run(method, problem, grid, times, **case):
    (found,) = method.solve(problem, [Case(problem, **case)], grid, np.asarray(times, dtype=float))
    return found


INITIAL = "sin(x) + cos(2*x + 1)/2"
EQUATIONS = {
    "burgers": "u_t + u*u_x = 0.1*u_xx",
    "korteweg-de vries": "u_t + u*u_x + 0.1*d(u, x, 3) = 0",
    "kuramoto-sivashinsky": "u_t + u*u_x + u_xx + 0.3*d(u, x, 4) = 0",
    "cahn-hilliard": "u_t = d(u**3 - u, x, 2) - 0.1*d(u, x, 4)",
}


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_shifted_start_gives_the_shifted_solution(scheme, name):
    x = sympy.Symbol("x", real=True)
    start = sympy.sin(x) + sympy.cos(2 * x + 1) / 2
    grid = {"x": 48, "t": 801}
    plain, moved = (
        run(scheme(), periodic(EQUATIONS[name], pm.Initial(u=str(formula))), grid, [1.0])
        for formula in (start, start.subs(x, x - 1))
    )
    found = moved.on_axes({"x": X})["u"], plain.on_axes({"x": X - 1})["u"]
    np.testing.assert_allclose(*found, atol=2e-8)  # the grid is not shifted: aliases of u**3 and truncation are left


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_mean_is_conserved(scheme, name):
    solved = run(
        scheme(), periodic(EQUATIONS[name], pm.Initial(u=f"0.3 + {INITIAL}")), {"x": 32, "t": 201}, [0, 0.5, 1]
    )
    values = solved.on_axes({"x": np.arange(64) * 2 * np.pi / 64})["u"]
    assert np.ptp(values[-1]) > 0.1
    np.testing.assert_allclose(values.mean(1), 0.3, atol=1e-13)


def drift(scheme, problem, steps, size, energy):
    solved = run(scheme(), problem, {"x": size, "t": steps + 1}, [0.0, 1.0])
    start, end = (energy({name: part[k] for name, part in solved.on_axes({"x": X}).items()}) for k in (0, 1))
    return abs(end / start - 1)


@pytest.mark.parametrize(
    "problem, energy",
    [
        (
            periodic(EQUATIONS["korteweg-de vries"], pm.Initial(u=INITIAL)),
            lambda u: (u["u"] ** 2).mean(),
        ),
        (
            periodic("i*q_t = -q_xx + 2*abs(q)**2*q", pm.Initial(q="(1 + sin(x))*exp(i*x)"), unknowns={"q": "complex"}),
            lambda u: (u["q_real"] ** 2 + u["q_imag"] ** 2).mean(),
        ),
    ],
    ids=["korteweg-de vries", "schroedinger"],
)
def test_the_space_discretisation_conserves_energy_so_that_only_the_error_in_time_is_left(problem, energy):
    """With 23 = 2 * 11 + 1 frequencies or fewer, the mean of a square over 24 points is exact."""
    coarse, fine = (drift(ETDRK4, problem, steps, 24, energy) for steps in (100, 200))
    assert fine < 1e-6
    assert coarse > 8 * fine


def test_flow_without_viscosity_conserves_energy_and_enstrophy():
    flow = periodic(
        ["w_t + psi_y*w_x - psi_x*w_y = 0", "laplacian(psi) = -w"],
        pm.Initial(w="sin(x)*cos(2*y) + cos(x + y)"),
        "xy",
        unknowns="w psi",
    )
    axes = {name: np.arange(32) * 2 * np.pi / 32 for name in "xy"}
    found = run(ETDRK4(), flow, {"x": 32, "y": 32, "t": 201}, [0.0, 1.0]).on_axes(axes)
    for quantity in (found["w"] ** 2, found["w"] * found["psi"]):
        start, end = quantity.mean((1, 2))
        assert abs(end / start - 1) < 1e-8
    assert np.abs(found["w"][1] - found["w"][0]).max() > 0.3


def test_cases_solved_together_equal_cases_solved_alone():
    problem = periodic(
        "u_t + d(a*u, x) = nu*laplacian(u) + f - u**2",
        pm.Initial(u="u0"),
        "xy",
        inputs={"a": {"over": ["x"]}, "u0": {"over": ["x", "y"]}, "f": {"over": ["y", "t"]}},
        parameters={"nu": 0.1},
    )
    cases = [
        Case(
            problem,
            {"a": Plane(("x",), 1 + k), "u0": Plane(("x", "y"), 0.5, k), "f": Plane(("y", "t"), k, 2)},
            {"nu": 0.1 + 0.1 * k},
        )
        for k in range(3)
    ]
    grid, times = {"x": 16, "y": 12, "t": 41}, np.array([0.3, 1.0])
    for scheme in SCHEMES:
        together = scheme().solve(problem, cases, grid, times)
        for case, solved in zip(cases, together, strict=True):
            (alone,) = scheme().solve(problem, [case], grid, times)
            np.testing.assert_allclose(solved.array, alone.array, atol=1e-15, rtol=1e-13)
        assert np.abs(together[0].array - together[1].array).max() > 0.01


def test_input_functions_are_initial_value_coefficient_and_source():
    """``u = a = sin(x + t)``: an input that depends on time, and its derivatives, in the equation."""
    problem = periodic("u_t + a*u_x = u_xx + a_t + a*a_x + a", pm.Initial(u="a"), inputs={"a": {"over": ["x", "t"]}})
    solved = run(ETDRK4(), problem, {"x": 16, "t": 81}, [0.5, 1.0], inputs={"a": Plane(("x", "t"))})
    np.testing.assert_allclose(solved.on_axes({"x": X})["u"], np.sin(X + np.array([[0.5], [1.0]])), atol=1e-8)


def test_coefficients_that_depend_on_place_parameters_and_time():
    problem = periodic(
        "u_t = where(t < 2, exp(-k*t)*sin(x), 0) + k*cos(x)**2*u_xx + k*u*cos(x)**2 - k*u",
        pm.Initial(u=0),
        parameters={"k": 1.0},
    )
    solved = run(ETDRK4(), problem, {"x": 16, "t": 201}, [1.0], parameters={"k": 0.5})
    np.testing.assert_allclose(solved.on_axes({"x": X})["u"][0], np.exp(-0.5) * np.sin(X), atol=1e-9)


def test_without_dealiasing_all_frequencies_below_the_highest_are_kept():
    problem = periodic(EQUATIONS["burgers"], pm.Initial(u=INITIAL))
    shapes = [run(ETDRK4(dealias=cut), problem, {"x": 24, "t": 11}, [0.1]).array.shape for cut in (True, False)]
    assert shapes == [(1, 1, 8, 2), (1, 1, 12, 2)]


def test_a_solution_is_made_again_from_its_array():
    problem = periodic(EQUATIONS["burgers"], pm.Initial(u=INITIAL))
    method, times, points = ETDRK4(), np.linspace(0, 1, 11), np.array([[0.3, 0.51], [6.0, 1.0]])
    solved = run(method, problem, {"x": 24, "t": 101}, times)
    again = method.solved(problem, Case(problem), {"x": 24, "t": 101}, times, solved.array)
    np.testing.assert_array_equal(again.evaluate(points)["u"], solved.evaluate(points)["u"])
    assert solved.facts["steps"] == 100


def test_scattered_points_agree_with_the_grid_also_between_stored_times():
    problem = periodic("u_t = laplacian(u)/9 + u_x", pm.Initial(u="sin(x)*cos(y)"), "xy")
    solved = run(ETDRK4(), problem, {"x": 9, "y": 8, "t": 2}, np.linspace(0, 1, 21))
    axes = {"x": X[:5], "y": X[3:7] + 0.1, "t": np.array([0.0, 0.05, 0.123, 0.77, 1.0])}
    points = np.stack([part.ravel() for part in np.meshgrid(*axes.values(), indexing="ij")], 1)
    found = solved.evaluate(points)["u"].reshape(5, 4, 5)
    np.testing.assert_allclose(found, solved.on_grid(axes)["u"].transpose(2, 1, 0), atol=1e-14)
    x, y, t = points.T
    np.testing.assert_allclose(found.ravel(), np.sin(x + t) * np.cos(y) * np.exp(-2 / 9 * t), atol=1e-9)


@pytest.mark.gpu
def test_a_gpu_gives_the_same():
    problem = periodic("u_t + u*u_x = laplacian(u)/9 + sin(t)*cos(y)", pm.Initial(u="sin(x)*cos(y)"), "xy")
    found = [
        ETDRK4().solve(problem, [Case(problem)] * 2, {"x": 24, "y": 16, "t": 51}, np.ones(1), device=device)[1].array
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(*found, atol=1e-14)


def test_output_times_do_not_change_the_solution():
    problem = periodic(EQUATIONS["burgers"], pm.Initial(u=INITIAL))
    few, many = (run(ETDRK4(), problem, {"x": 24, "t": 401}, times) for times in ([1.0], [0.0, 0.1, 0.3333, 0.9, 1.0]))
    np.testing.assert_allclose(many.array[-1], few.array[-1], atol=1e-10)
    start = run(ETDRK4(), problem, {"x": 24}, [0.0]).on_axes({"x": X})["u"][0]
    np.testing.assert_allclose(start, np.sin(X) + np.cos(2 * X + 1) / 2, atol=1e-14)


def test_progress_grows_to_one_over_all_cases(monkeypatch):
    monkeypatch.setitem(TOGETHER, "cpu", 32)  # the two cases are solved one after the other
    problem = periodic(EQUATIONS["burgers"], pm.Initial(u=INITIAL))
    told = []
    IMEX().solve(problem, [Case(problem)] * 2, {"x": 32, "t": 201}, np.array([1.0]), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert any(0 < share < 0.5 for share in told)
    assert any(0.5 < share < 1 for share in told)


def test_divergence_names_the_time_and_the_case():
    problem = periodic("u_t = u**2 + 0.1*u_xx", pm.Initial(u="c"), end=3.0, parameters={"c": 1.0})
    cases = [Case(problem, {}, {"c": value}) for value in (0.1, 1.0)]
    with pytest.raises(DivergenceError, match=r"case 2 of 2 became infinite before t = [1-3]\."):
        ETDRK4().solve(problem, cases, {"x": 8, "t": 3001}, np.array([3.0]))


REFUSED = {
    "not periodic": (
        pm.Problem(
            coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
            time="t",
            unknowns="u",
            equations="u_t = laplacian(u)",
            conditions=[pm.Initial(u=0), pm.Periodic("x"), pm.Dirichlet(u=0)],
        ),
        "every space coordinate periodic; y is not",
    ),
    "conservation law": (periodic("u_t + u*u_x = 0", pm.Initial(u=INITIAL)), "use fv"),
    "system of conservation laws": (
        periodic(["h_t + d(h*v, x) = 0", "v_t + v*v_x + h_x = 0"], pm.Initial({"h": 1, "v": 0}), unknowns="h v"),
        "use fv",
    ),
    "backward heat": (periodic("u_t = -u_xx", pm.Initial(u=INITIAL)), "ill-posed"),
    "integral": (periodic("u_t = u_xx + integral(u, x, 0, 1)", pm.Initial(u=INITIAL)), "integral"),
    "no initial value": (periodic("u_tt = u_xx", pm.Initial(u=INITIAL)), "initial rate"),
    "condition inside": (
        pm.Problem(
            coordinates={"x": (0, 1), "t": (0, 1)},
            time="t",
            unknowns="u",
            equations="u_t = u_xx",
            conditions=[pm.Initial(u=0), pm.Final(u=0), pm.Periodic("x")],
        ),
        "holds elsewhere than at the start",
    ),
    "non-linear constraint": (
        periodic(["u_t = p_x", "p_xx - p**3 = u"], pm.Initial({"u": 0}), unknowns="u p"),
        "not linear with constant coefficients",
    ),
    "pressure in no equation that fixes it": (
        periodic(
            ["a_t + p_x = laplacian(a)", "b_t + p_y = laplacian(b)", "a_x + b_y = 0"],
            pm.Initial({"a": 0, "b": 0}),
            "xy",
            unknowns="a b p",
        ),
        "do not determine p",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_why(name):
    problem, reason = REFUSED[name]
    assert reason in ETDRK4().refusal(problem)
    with pytest.raises(InputError, match="'imex' cannot solve it"):
        IMEX().solve(problem, [Case(problem)], {}, np.array([1.0]))


ACCEPTED = {
    "linear transport": periodic("u_t + 2*u_x = 0", pm.Initial(u=INITIAL)),
    "variable transport": periodic("u_t + sin(x)*u_x = 0", pm.Initial(u=INITIAL)),
    "reaction and transport": periodic("u_t + u_x = u - u**3", pm.Initial(u=INITIAL)),
    "dispersion": periodic(EQUATIONS["korteweg-de vries"], pm.Initial(u=INITIAL)),
    "porous medium": periodic("u_t = d(u**2, x, 2)", pm.Initial(u=2)),
    "constraint with a non-linear source": periodic(
        ["u_t = u_xx - p", "p_xx - p = u**2"], pm.Initial({"u": 0}), unknowns="u p"
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_not_refused(name):
    assert ETDRK4().refusal(ACCEPTED[name]) is None


@pytest.mark.parametrize(
    "grid, times, message",
    [
        ({"x": 3}, [1.0], "at least 4 points along x, got 3"),
        ({"t": 1}, [1.0], "at least 2 points along t"),
        ({"y": 8}, [1.0], "'y'"),
        ({"x": 8}, [0.5, 0.5], "must increase"),
        ({"x": 8}, [2.0], "at most"),
        ({"x": 8}, [], "give the times"),
    ],
)
def test_grids_and_times_that_do_not_fit(grid, times, message):
    problem = periodic("u_t = u_xx", pm.Initial(u=INITIAL))
    with pytest.raises(InputError, match=message):
        run(ETDRK4(), problem, grid, times)


def test_refinement_doubles_points_and_steps_and_keeps_explicit_diffusion_stable():
    problem = periodic("u_t = d(u**2, x, 2)", pm.Initial(u="2 + sin(x)"), end=0.05)
    method = ETDRK4()
    grid = method.full_grid(problem, {"x": 16})
    for _ in range(3):
        finer = method.refine(problem, grid)
        assert finer["x"] == 2 * grid["x"]
        assert (finer["t"] - 1) % (2 * (grid["t"] - 1)) == 0
        grid = finer
    values = run(method, problem, grid, [0.05]).on_axes({"x": X})["u"]
    assert values.max() < 3
