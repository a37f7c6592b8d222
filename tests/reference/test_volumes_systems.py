"""What holds for `fv` on systems: gas and shallow water, against exact Riemann solutions, in one and two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.reference.case import Case
from pdeml.reference.volumes import FiniteVolumes
from pdeml.reference.volumes.law import conservation_law
from pdeml.reference.volumes.solved import NodalSolution
from pdeml.reference.volumes.waves import Waves

from . import riemann

GAMMA = 1.4
PRESSURE_1D = "(g - 1)*(E - m^2/(2*r))"
PRESSURE_2D = "(g - 1)*(E - (m^2 + k^2)/(2*r))"
GAS = ["r_t + d(m, x) = 0", f"m_t + d(m^2/r + {PRESSURE_1D}, x) = 0", f"E_t + d(m/r*(E + {PRESSURE_1D}), x) = 0"]
GAS_2D = [
    "r_t + d(m, x) + d(k, y) = 0",
    f"m_t + d(m^2/r + {PRESSURE_2D}, x) + d(m*k/r, y) = 0",
    f"k_t + d(m*k/r, x) + d(k^2/r + {PRESSURE_2D}, y) = 0",
    f"E_t + d(m/r*(E + {PRESSURE_2D}), x) + d(k/r*(E + {PRESSURE_2D}), y) = 0",
]
WATER = ["h_t + d(q, x) = 0", "q_t + d(q^2/h + g*h^2/2, x) = 0"]
WATER_2D = [
    "h_t + d(p, x) + d(q, y) = 0",
    "p_t + d(p^2/h + h^2/2, x) + d(p*q/h, y) = 0",
    "q_t + d(p*q/h, x) + d(q^2/h + h^2/2, y) = 0",
]
OPEN = pm.Neumann(r=0, m=0, E=0)


def system(
    equations: list[str], unknowns: str, initial: dict[str, Any], *sides: Any, end: float, **space: Any
) -> pm.Problem:
    return pm.Problem(
        coordinates={**(space or {"x": (0, 1)}), "t": (0, end)},
        time="t",
        unknowns=unknowns,
        parameters={"g": GAMMA},
        equations=equations,
        conditions=[pm.Initial(**initial), *sides],
    )


def gas(left: tuple[float, ...], right: tuple[float, ...], *sides: Any, end: float, at: float = 0.5) -> pm.Problem:
    energies = [p / (GAMMA - 1) + r * u**2 / 2 for r, u, p in (left, right)]
    pairs = {"r": (left[0], right[0]), "m": (left[0] * left[1], right[0] * right[1]), "E": tuple(energies)}
    initial = {name: f"where(x < {at}, {a!r}, {b!r})" for name, (a, b) in pairs.items()}
    return system(GAS, "r m E", initial, *(sides or [OPEN]), end=end)


def final(problem: pm.Problem, *sizes: int, **options: Any) -> NodalSolution:
    grid = {**dict(zip(problem.names.space, sizes, strict=True)), "t": 2}
    (solved,) = FiniteVolumes(**options).solve(problem, [Case(problem)], grid, np.array(problem.domain.time[1:]))
    return solved


def slope(sizes: list[int], errors: list[float]) -> float:
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


SOD = ((1.0, 0.0, 1.0), (0.125, 0.0, 0.1))
LAX = ((0.445, 0.698, 3.528), (0.5, 0.0, 0.571))


@pytest.mark.parametrize(("states", "end"), [(SOD, 0.2), (LAX, 0.13)], ids=["sod", "lax"])
def test_shock_tubes_converge_to_the_exact_solution(states: Any, end: float) -> None:
    problem, sizes, errors = gas(*states, end=end), [51, 101, 151], []
    for size in sizes:
        solved = final(problem, size)
        density, velocity, _ = riemann.euler(*states, GAMMA, (solved.nodes["x"] - 0.5) / end)
        r, m, _ = solved.array[-1]
        errors.append(np.abs(r - density).mean() + np.abs(m - density * velocity).mean())
    assert 0.8 <= slope(sizes, errors) <= 1.1


def test_the_density_of_sods_tube_does_not_overshoot() -> None:
    r = final(gas(*SOD, end=0.2), 101).array[-1, 0]
    assert r.max() <= 1 + 1e-3
    assert r.min() >= 0.125 - 1e-3


def test_a_dam_break_converges_to_stokers_solution() -> None:
    initial = {"h": "where(x < 0, 2, 1)", "q": 0}
    problem = system(WATER, "h q", initial, pm.Neumann(h=0, q=0), x=(-1, 1), end=0.3)
    sizes, errors = [51, 101, 201], []
    for size in sizes:
        solved = final(problem, size)
        depth, velocity = riemann.dam_break(2.0, 1.0, GAMMA, solved.nodes["x"] / 0.3)
        h, q = solved.array[-1]
        errors.append(np.abs(h - depth).mean() + np.abs(q - depth * velocity).mean())
    assert 0.8 <= slope(sizes, errors) <= 1.1


def test_shallow_water_stays_positive_where_it_is_nearly_dry() -> None:
    initial = {"h": "where(x < 0, 1, 1e-6)", "q": 0}
    solved = final(system(WATER, "h q", initial, pm.Neumann(h=0, q=0), x=(-1, 1), end=0.2), 101)
    speed, c = solved.nodes["x"] / 0.2, np.sqrt(GAMMA)
    ritter = np.select([speed < -c, speed < 2 * c], [1.0, (2 * c - speed) ** 2 / (9 * GAMMA)], 0.0)
    assert solved.array[:, 0].min() > 0
    assert np.abs(solved.array[-1, 0] - ritter).mean() < 5e-3


def test_blast_waves_between_walls_stay_positive_and_conserve() -> None:
    """Woodward and Colella (1984), with pressures of five orders of magnitude; half volumes at the walls."""
    initial = {"r": 1, "m": 0, "E": "where(x < 0.1, 2500, where(x > 0.9, 250, 0.025))"}
    solved = final(system(GAS, "r m E", initial, pm.Neumann(r=0, E=0), pm.Dirichlet(m=0), end=0.02), 101)
    r, m, energy = solved.array.swapaxes(0, 1)
    assert r.min() > 0
    assert (energy - m**2 / (2 * r)).min() > 0
    assert solved.facts["repairs"] > 0
    for total in (r, energy):
        mass = np.trapezoid(total, dx=0.01, axis=1)
        assert mass[1] == pytest.approx(mass[0], rel=1e-12)


def test_shu_and_oshers_shock_meets_waves() -> None:
    """Finite, the state behind untouched, and the shock where its speed in gas of density 1 (3.5496) brings it."""
    jump = {"r": ("3.857143", "1 + 0.2*sin(5*x)"), "m": ("3.857143*2.629369", "0")}
    jump["E"] = ("10.33333/0.4 + 3.857143*2.629369^2/2", "2.5")
    initial = {name: f"where(x < -4, {a}, {b})" for name, (a, b) in jump.items()}
    solved = final(system(GAS, "r m E", initial, OPEN, x=(-5, 5), end=1.8), 101)
    assert np.isfinite(solved.array).all()
    r, x = solved.array[-1, 0], solved.nodes["x"]
    np.testing.assert_allclose(r[x < -3], 3.857143, atol=0.02)
    assert r[(x > 0) & (x < 2)].min() > 3
    assert x[r > 2].max() == pytest.approx(-4 + 1.8 * 3.5496, abs=0.15)


def vortex(end: float) -> pm.Problem:
    """Isentropic vortex (Shu 1998) of strength 5, carried along the diagonal."""
    f = "exp(1 - x^2 - y^2)"
    heat, swirl = f"(1 - (g - 1)*25/(8*g*pi^2)*{f})", "5/(2*pi)*exp((1 - x^2 - y^2)/2)"
    r, u, v = f"{heat}^(1/(g - 1))", f"(1 - {swirl}*y)", f"(1 + {swirl}*x)"
    energy = f"{r}*{heat}/(g - 1) + {r}*({u}^2 + {v}^2)/2"
    initial = {"r": r, "m": f"{r}*{u}", "k": f"{r}*{v}", "E": energy}
    return system(GAS_2D, "r m k E", initial, pm.Periodic("x", "y"), x=(-5, 5), y=(-5, 5), end=end)


@pytest.mark.slow
def test_a_smooth_vortex_is_of_high_order_in_two_dimensions() -> None:
    problem, sizes, errors = vortex(0.5), [40, 56, 80], []
    for size in sizes:
        solved = final(problem, size, size)
        x = solved.nodes["x"]
        radius = (x[:, None] - 0.5) ** 2 + (x - 0.5) ** 2
        exact = (1 - 0.4 * 25 / (8 * GAMMA * np.pi**2) * np.exp(1 - radius)) ** 2.5
        errors.append(np.abs(solved.array[-1, 0] - exact).mean())
        assert max(value for name, value in solved.facts.items() if name.startswith("drift")) < 1e-13
    assert slope(sizes, errors) > 4.0


def test_a_radial_dam_break_keeps_every_symmetry_of_the_square() -> None:
    initial = {"h": "where(x^2 + y^2 < 0.2, 2, 1)", "p": 0, "q": 0}
    sides = [pm.Neumann(h=0), pm.Dirichlet(p=0, on={"x": -1}), pm.Dirichlet(p=0, on={"x": 1})]
    sides += [pm.Dirichlet(q=0, on={"y": -1}), pm.Dirichlet(q=0, on={"y": 1})]
    sides += [pm.Neumann(q=0, on={"x": a}) for a in (-1, 1)] + [pm.Neumann(p=0, on={"y": a}) for a in (-1, 1)]
    solved = final(system(WATER_2D, "h p q", initial, *sides, x=(-1, 1), y=(-1, 1), end=0.7), 33, 33)
    h, p, q = solved.array[-1]
    for mirrored in (h[::-1], h[:, ::-1], h.T):
        np.testing.assert_allclose(mirrored, h, atol=1e-11)
    np.testing.assert_allclose(p.T, q, atol=1e-11)
    np.testing.assert_allclose(p[::-1], -p, atol=1e-11)
    totals = [np.trapezoid(np.trapezoid(depth, dx=1 / 16), dx=1 / 16) for depth in solved.array[:, 0]]
    assert totals[1] == pytest.approx(totals[0], rel=1e-13)


def test_a_lake_over_a_bottom_stays_at_rest_up_to_the_error_of_the_scheme() -> None:
    bottom = "0.2*exp(-100*(x - 0.5)^2)"
    equations = [WATER[0], f"q_t + d(q^2/h + g*h^2/2, x) = -g*h*d({bottom}, x)"]
    problem = system(equations, "h q", {"h": f"1 - {bottom}", "q": 0}, pm.Periodic("x"), end=0.1)
    sizes = [50, 100, 200]
    assert slope(sizes, [np.abs(final(problem, size).array[-1, 1]).max() for size in sizes]) > 3.8


def test_speeds_in_closed_form_are_the_eigenvalues() -> None:
    for equations, unknowns in ((GAS, "r m E"), (GAS_2D, "r m k E")):
        space = {"x": (0, 1), "y": (0, 1)} if "k" in unknowns else {"x": (0, 1)}
        initial = dict.fromkeys(unknowns.split(), 1)
        law = conservation_law(system(equations, unknowns, initial, pm.Periodic(*space), end=1, **space))
        rng = np.random.default_rng(3)
        states = np.concatenate([rng.uniform(0.5, 2, (len(law.states) - 1, 20)), rng.uniform(8, 9, (1, 20))])
        known = {"g": torch.tensor(GAMMA, dtype=torch.float64)}
        for jacobian in law.jacobians:
            waves = Waves(jacobian, law.states)
            assert waves.exact
            low, high, real = waves.extremes(torch.as_tensor(states)[:, None], known)
            numbers = {law.problem.names.symbol("g"): GAMMA}
            for k, state in enumerate(states.T):
                point = jacobian.xreplace(numbers).subs(dict(zip(law.states, state, strict=True)))
                speeds = np.linalg.eigvals(np.array(point, dtype=float)).real
                assert float(low[0, k]) == pytest.approx(speeds.min(), abs=1e-9)
                assert float(high[0, k]) == pytest.approx(speeds.max(), abs=1e-9)
            assert bool(real.all())


def test_numerical_speeds_give_the_same_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = gas(*SOD, end=0.05)
    closed = final(problem, 31).array
    monkeypatch.setattr("pdeml.reference.volumes.waves._closed_form", lambda *_: None)
    np.testing.assert_allclose(final(problem, 31).array, closed, atol=1e-9)


def test_equations_with_complex_speeds_are_refused() -> None:
    equations = ["u_t + v_x = 0", "v_t - u_x = 0"]
    problem = system(equations, "u v", {"u": "sin(2*pi*x)", "v": 0}, pm.Periodic("x"), end=0.1)
    with pytest.raises(InputError, match="not hyperbolic"):
        final(problem, 20)


def test_a_system_that_is_not_conservative_is_refused() -> None:
    problem = system(["u_t + v*u_x = 0", "v_t + u*v_x = 0"], "u v", {"u": 1, "v": 0}, pm.Periodic("x"), end=0.1)
    assert "conservation form" in (FiniteVolumes().refusal(problem) or "")


@pytest.mark.gpu
def test_the_device_makes_no_difference() -> None:
    problem = gas(*SOD, end=0.1)
    here, there = (
        FiniteVolumes().solve(problem, [Case(problem)], {"x": 101, "t": 2}, device=device)[0].array
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(here, there, atol=1e-11)
