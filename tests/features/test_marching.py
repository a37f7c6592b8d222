"""Least squares on cells: independent exact solutions, the same on any cells, in windows and for any sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import DivergenceError, RunError
from pdeml.features.marching import solve_cells
from pdeml.features.scattered import Resolution, Scattered

DISK = {"domain": pm.Disk(center=(0, 0), radius=1)}
SQUARE = {"coordinates": {"x": (0, 1), "y": (0, 2)}}
STRIP = {"coordinates": {"x": (-1, 1), "t": (0, 1)}, "time": "t"}
VALUE = pm.Dirichlet(u=0)


def manufactured(exact, equation, place, conditions=(VALUE,), unknowns="u"):
    problem = pm.Problem(**place, unknowns=unknowns, equations=equation, conditions=list(conditions))
    return problem.manufactured({"u": exact} if isinstance(exact, str) else exact)


def error(system: Scattered, exact, windows: int = 1, count: int = 800) -> float:
    """Relative L2 error against NumPy's own functions, of the first unknown."""
    found = solve_cells(system, windows)
    low, high = system.problem.domain.bounds.T
    points = low + (high - low) * np.random.default_rng(7).random((count, len(low)))
    points = points[system.problem.domain.contains(points)]
    values = system.ansatz.values(system.theta(found.parts), torch.tensor(points))[:, 0].numpy()
    wanted = exact(*points.T)
    return float(np.linalg.norm(values - wanted) / np.linalg.norm(wanted))


def wave(x, y):
    return np.exp(x) * np.sin(2 * y)


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("place", [SQUARE, DISK], ids=["box", "disk"])
def test_poisson_on_any_cells(place, counts):
    problem = manufactured("exp(x)*sin(2*y)", "laplacian(u) = 0", place)
    assert error(Scattered(problem, Resolution(counts, 70, 2.0)), wave) < 2e-6


def test_the_error_falls_faster_than_any_power_of_the_number_of_functions():
    problem = manufactured("exp(x)*sin(2*y)", "laplacian(u) = 0", DISK)
    sizes = (30, 60, 120)
    errors = [error(Scattered(problem, Resolution((1, 1), size, 2.0)), wave) for size in sizes]
    slopes = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    assert slopes[1] < slopes[0] < -4
    assert errors[-1] < 1e-9


def test_more_cells_of_the_same_functions_converge_at_a_high_order():
    problem = manufactured("sin(9*x)*cos(4*y)", "laplacian(u) = 0", SQUARE)
    errors = [
        error(Scattered(problem, Resolution((k, 2 * k), 36, 2.0)), lambda x, y: np.sin(9 * x) * np.cos(4 * y))
        for k in (1, 2, 4)
    ]
    assert np.log2(errors[1] / errors[2]) > 4


@pytest.mark.parametrize("sampler", ["christoffel", "volume", "dpp"])
def test_optimal_points_serve_as_well(sampler):
    problem = manufactured("exp(x)*sin(2*y)", "laplacian(u) = 0", DISK)
    system = Scattered(problem, Resolution((1, 1), 60, 2.0), sampler=sampler)
    assert error(system, wave) < 1e-5
    assert len(system.groups[0].points) == 120


@pytest.mark.parametrize("sampler", ["christoffel", "dpp"])
def test_points_drawn_more_densely_weigh_less(sampler):
    """The mean of x² + y² over the disk is 1/2; the points crowd near the edge."""
    problem = manufactured("exp(x)*sin(2*y)", "laplacian(u) = 0", DISK)
    plain, weighted = [], []
    for seed in range(6):
        group = Scattered(problem, Resolution((1, 1), 40, 3.0), ratio=3.0, sampler=sampler, seed=seed).groups[0]
        squares = group.points.square().sum(1)
        plain.append(float(squares.mean()))
        weighted.append(float((group.roots.square() * squares).mean()))
    assert np.mean(plain) > 0.6
    assert np.mean(weighted) == pytest.approx(0.5, abs=0.05)


def test_with_few_points_those_that_repel_each_other_serve_best():
    """As many points as functions: independent draws leave some functions almost undetermined."""
    problem = manufactured("exp(x)*sin(2*y)", "laplacian(u) = 0", DISK)

    def median(sampler: str) -> float:
        few = (
            Scattered(problem, Resolution((1, 1), 60, 4.0), ratio=1.0, sampler=sampler, seed=seed) for seed in range(5)
        )
        return float(np.median([error(system, wave) for system in few]))

    assert median("volume") < 0.5 * median("christoffel")
    assert median("dpp") < 0.5 * median("christoffel")


def test_periodic_coordinates_close():
    problem = manufactured(
        "sin(2*pi*(x - 0.5*t))",
        "u_t + 0.5*u_x = 0",
        {"coordinates": {"x": (0, 1), "t": (0, 1)}, "time": "t"},
        [pm.Initial(u=0), pm.Periodic("x")],
    )
    for counts in ((1, 1), (3, 2)):
        system = Scattered(problem, Resolution(counts, 90, 4.0))
        assert error(system, lambda x, t: np.sin(2 * np.pi * (x - 0.5 * t))) < 1e-4
        ends = torch.tensor([[0.0, 0.3], [1.0, 0.3]], dtype=torch.float64)
        theta = system.theta(solve_cells(system).parts)
        low, high = system.ansatz.derivatives(theta, ends, ((1, 0),))[0, :, 0].tolist()
        assert low == pytest.approx(high, rel=2e-3)


def front(x, t):
    return -np.tanh((x - 0.3 * t) / 0.4)


BURGERS = ("-tanh((x - 0.3*t)/0.4)", "u_t + u*u_x = 0.2*u_xx", STRIP, (pm.Initial(u=0), VALUE))


def test_windows_of_time_give_what_all_of_time_gives():
    problem = manufactured(*BURGERS)
    system = Scattered(problem, Resolution((2, 3), 90, 4.0))
    whole, marched = (error(system, front, windows) for windows in (1, 3))
    assert whole < 1e-4
    assert marched < 1e-4
    wave_equation = manufactured("sin(2*x)*cos(2*t)", "u_tt = u_xx", STRIP, [pm.Initial(u=0, rate={"u": 0}), VALUE])
    system = Scattered(wave_equation, Resolution((1, 4), 90, 3.0))
    assert error(system, lambda x, t: np.sin(2 * x) * np.cos(2 * t), 4) < 1e-5


def test_a_start_saves_iterations_and_changes_nothing():
    problem = manufactured("sin(3*x)*cos(2*y)", "laplacian(u) + u^3 - u = 0", DISK)
    coarse = Scattered(problem, Resolution((1, 1), 60, 3.0))
    theta = coarse.theta(solve_cells(coarse).parts)
    fine = Scattered(problem, Resolution((1, 1), 90, 3.0))
    cold, warm = solve_cells(fine), solve_cells(fine, start=lambda *at: coarse.ansatz.derivatives(theta, *at))
    assert warm.solves < cold.solves
    torch.testing.assert_close(warm.parts[0], cold.parts[0], rtol=0, atol=1e-7)


def test_what_has_no_solution_diverges():
    """Bratu's equation has none for a factor above 2 on the unit disk."""
    problem = pm.Problem(**DISK, unknowns="u", equations="laplacian(u) + 6*exp(u) = 0", conditions=[VALUE])
    with pytest.raises(DivergenceError, match="nonlinear terms"):
        solve_cells(Scattered(problem, Resolution((1, 1), 25, 2.0)))


def test_what_is_left_free_is_counted_and_kept_small():
    problem = manufactured("x^2 - y^2", "laplacian(u) = 0", DISK, [pm.Neumann(u=0)])
    system = Scattered(problem, Resolution((1, 1), 120, 2.0))
    found = solve_cells(system)
    assert found.null == 1
    values = system.ansatz.values(system.theta(found.parts), torch.tensor([[0.0, 0.0], [0.5, 0.0]]).double())[:, 0]
    assert float(values[1] - values[0]) == pytest.approx(0.25, abs=1e-5)
    assert abs(float(values[0])) < 0.1


def test_with_many_unknowns_what_is_left_free_is_an_error(monkeypatch):
    problem = manufactured("x^2 - y^2", "laplacian(u) = 0", DISK, [pm.Neumann(u=0)])
    monkeypatch.setattr("pdeml.features.marching._DENSE", 10)
    with pytest.raises(RunError, match="not unique"):
        solve_cells(Scattered(problem, Resolution((1, 1), 120, 2.0)))


def test_units_change_nothing():
    """Metres or millimetres, volts or millivolts: the same solution to rounding."""
    errors = []
    for unit in (1.0, 1e3):
        exact = f"{1e6 / unit}*exp(x/{unit})*sin(2*y/{unit})"
        place = {"coordinates": {"x": (0, unit), "y": (0, 2 * unit)}}
        problem = manufactured(exact, "laplacian(u) = 0", place)
        found = solve_cells(Scattered(problem, Resolution((1, 2), 60, 2.0)))
        errors.append(torch.cat(found.parts))
    torch.testing.assert_close(errors[0], errors[1], rtol=1e-7, atol=1e-9)
