"""Cole-Hopf: against more nodes, arbitrary precision, a published table, and limits."""

import os
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.io

import pdeml as pm
from pdeml.errors import InputError
from pdeml.problem import library
from pdeml.reference import burgers_sine, make_reference
from pdeml.reference.cole_hopf import stated_floor

SHARED = Path(os.environ.get("PDEML_SHARED", Path(__file__).parents[2].parent / "shared"))
TABLE = SHARED / "data" / "periodic" / "burgers_shock.mat"
VISCOSITIES = [1.0, 0.1, 0.01 / np.pi, 1e-3]


def relative(values, exact):
    return np.linalg.norm(values - exact) / np.linalg.norm(exact)


def slowly(x, t, nu):
    """The same integrals in 40 digits, by a trapezoidal rule much finer than needed."""
    with mpmath.workdps(40):
        height, c = 1 / (2 * mpmath.pi * mpmath.mpf(nu)), mpmath.sqrt(4 * mpmath.mpf(nu) * mpmath.mpf(t))
        step, above, below = mpmath.mpf(1) / 24, mpmath.mpf(0), mpmath.mpf(0)
        count = int(mpmath.sqrt(2 * height + 90) / step)
        for k in range(-count, count + 1):
            y = mpmath.mpf(x) - c * k * step
            weight = mpmath.exp(-((k * step) ** 2) - height * mpmath.cospi(y))
            above, below = above + mpmath.sinpi(y) * weight, below + weight
        return float(-above / below)


@pytest.mark.parametrize("nu", VISCOSITIES)
def test_floor_against_forty_digits(nu):
    rng = np.random.default_rng(3)
    x, t = rng.uniform(-1, 1, 10), rng.uniform(0, 1, 10)
    x[:3] = [1e-3, -2e-3, 1e-5]  # inside the layer
    exact = np.array([slowly(a, b, nu) for a, b in zip(x, t, strict=True)])
    assert relative(burgers_sine(x, t, nu), exact) < stated_floor(nu)


@pytest.mark.parametrize("nu", VISCOSITIES)
def test_more_nodes_change_nothing(nu):
    rng = np.random.default_rng(4)
    x, t = rng.uniform(-1, 1, 2000), rng.uniform(0, 1, 2000)
    assert relative(burgers_sine(x, t, nu, refine=1.7), burgers_sine(x, t, nu)) < stated_floor(nu)


def test_the_floor_of_the_shipped_problem_is_stated():
    reference = make_reference({"named": "cole-hopf"}, library.load("burgers"))
    assert reference.floor == stated_floor(0.01 / np.pi)
    assert 1e-15 < reference.floor < 1e-13


@pytest.mark.skipif(not TABLE.exists(), reason="the published table is not here")
def test_agrees_with_the_published_table():
    table = scipy.io.loadmat(TABLE)
    x, t, u = table["x"].ravel(), table["t"].ravel(), table["usol"].real
    assert u.shape == (256, 100)
    reference = make_reference({"named": "cole-hopf"}, library.load("burgers"))
    points = np.stack([part.ravel() for part in np.meshgrid(x, t, indexing="ij")], axis=1)
    assert relative(reference.evaluate(points)["u"].reshape(u.shape), u) < 1e-10


@pytest.mark.parametrize("nu", [1e-4, 1e-3, 0.1, 10.0])
def test_laws(nu):
    """The start, symmetry, period, zeros, the maximum principle, and decay at small and large viscosity."""
    rng = np.random.default_rng(5)
    x, t = rng.uniform(-1, 1, 200), rng.uniform(0, 3, 200)
    u = burgers_sine(x, t, nu)
    assert np.all(np.isfinite(u))
    assert np.all(np.abs(u) <= 1)
    np.testing.assert_allclose(burgers_sine(x, 0 * t, nu), -np.sin(np.pi * x), atol=1e-13)
    np.testing.assert_allclose(burgers_sine(-x, t, nu), -u, atol=1e-11)
    np.testing.assert_allclose(burgers_sine(x + 2, t, nu), u, atol=1e-9)
    np.testing.assert_allclose(burgers_sine(np.array([-1.0, 0, 1]), np.full(3, 0.7), nu), 0, atol=1e-10)


def test_it_solves_the_equation():
    """Central differences of the solution fulfil u_t + u u_x = nu u_xx to second order."""
    nu, h = 0.05, 1e-3
    rng = np.random.default_rng(6)
    x, t = rng.uniform(-1, 1, 100), rng.uniform(0.1, 1, 100)

    def u(dx=0.0, dt=0.0):
        return burgers_sine(x + dx, t + dt, nu)

    u_t = (u(dt=h) - u(dt=-h)) / (2 * h)
    u_x = (u(h) - u(-h)) / (2 * h)
    u_xx = (u(h) - 2 * u() + u(-h)) / h**2
    assert np.abs(u_t + u() * u_x - nu * u_xx).max() < 1e-2 * np.abs(u_t).max()


def test_refused_numbers():
    with pytest.raises(ValueError, match="nu must be positive"):
        burgers_sine(np.zeros(1), np.zeros(1), 0.0)
    with pytest.raises(ValueError, match="negative"):
        burgers_sine(np.zeros(1), -np.ones(1), 0.1)
    assert burgers_sine(np.zeros(0), np.zeros(0), 0.1).shape == (0,)


BURGERS = {
    "coordinates": {"x": (-1, 1), "t": (0, 1)},
    "time": "t",
    "unknowns": "u",
    "parameters": {"nu": 0.05},
    "equations": "u_t + u*u_x = nu*u_xx",
    "conditions": [pm.Initial(u="-sin(pi*x)"), pm.Dirichlet(u=0)],
}
SAME = {
    "names": {
        "coordinates": {"s": (0, 1), "y": (-1, 1)},
        "time": "s",
        "unknowns": "w",
        "equations": "nu*w_yy = w_s + d(w^2, y)/2",
        "conditions": [pm.Initial(w="-sin(pi*y)"), pm.Dirichlet(w=0)],
    },
    "factor": {"equations": "2*u_t + 2*u*u_x - nu*u_xx*2"},
    "later start": {"coordinates": {"x": (-1, 1), "t": (2, 3)}, "conditions": [pm.Initial(u="-sin(pi*x) + t - 2")]},
    "periodic": {"conditions": [pm.Initial(u="-sin(pi*x)"), pm.Periodic("x")]},
    "half": {"coordinates": {"x": (0, 1), "t": (0, 1)}},
}
OTHER = {
    "equation": {"equations": "u_t + u*u_x = nu*u_xx + u"},
    "sign": {"equations": "u_t - u*u_x = nu*u_xx"},
    "varying viscosity": {"equations": "u_t + u*u_x = nu*x**2*u_xx"},
    "no viscosity": {"equations": "u_t + u*u_x = 0", "parameters": {}},
    "start": {"conditions": [pm.Initial(u="sin(pi*x)"), pm.Dirichlet(u=0)]},
    "no start": {"conditions": [pm.Dirichlet(u=0)]},
    "ends": {"conditions": [pm.Initial(u="-sin(pi*x)"), pm.Dirichlet(u=1)]},
    "flux": {"conditions": [pm.Initial(u="-sin(pi*x)"), pm.Neumann(u=0)]},
    "interval": {"coordinates": {"x": (-0.5, 1), "t": (0, 1)}},
    "period": {"coordinates": {"x": (0, 1), "t": (0, 1)}, "conditions": [pm.Initial(u="-sin(pi*x)"), pm.Periodic("x")]},
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_problem_in_other_words(name):
    problem = pm.Problem(**{**BURGERS, **SAME[name]})
    reference = make_reference({"named": "cole-hopf"}, problem)
    start = problem.domain.time[1]
    x, t = np.linspace(0, 1, 7), np.linspace(0, 1, 7)
    columns = {problem.names.space[0]: x, problem.time: t + start}
    points = np.stack([columns[coordinate] for coordinate in problem.names.coordinates], axis=1)
    (values,) = reference.evaluate(points).values()
    np.testing.assert_allclose(values, burgers_sine(x, t, 0.05), atol=1e-14)


@pytest.mark.parametrize("name", OTHER)
def test_another_problem_is_refused(name):
    with pytest.raises(InputError, match="cole-hopf solves u_t"):
        make_reference({"named": "cole-hopf"}, pm.Problem(**{**BURGERS, **OTHER[name]}))


def test_the_viscosity_may_vary_from_point_to_point():
    problem = pm.Problem(**{**BURGERS, "parameters": {"nu": {"range": [0.01, 0.1]}}})
    reference = make_reference({"named": "cole-hopf"}, problem)
    points = np.array([[0.3, 0.5], [0.3, 0.5]])
    values = reference.evaluate(points, {"nu": np.array([0.02, 0.1])})["u"]
    np.testing.assert_allclose(values, [burgers_sine(0.3, 0.5, nu)[0] for nu in (0.02, 0.1)])
