"""The fast path of finite elements: equal to the elements it stands for, and solved at any contrast."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.errors import InputError
from pdeml.geometry import Box
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.fem import FEM
from pdeml.reference.fem.conditions import sort_conditions
from pdeml.reference.fem.stencil import Stencil, StencilProblem, stencil_problem
from pdeml.reference.fem.weak import make_weak
from pdeml.reference.mesh import grid_triangulation

EQUATION = "-div(exp(x*y)*grad(u)) + (1 + x)*u = sin(3*x) + y"
SIDES = ("left", "right", "bottom", "top")
BOX = {"x": (0, 2), "y": (-1, 0.5)}


def problem(equation: str, conditions: Any, **more: Any) -> Problem:
    return Problem(coordinates=BOX, unknowns="u", equations=equation, conditions=conditions, **more)


def form_of(which: Problem) -> StencilProblem | None:
    weak = make_weak(which)
    return stencil_problem(weak, sort_conditions(weak))


def stencil(which: Problem, counts: tuple[int, int]) -> Stencil:
    form = form_of(which)
    assert form is not None
    return Stencil(Case(which), form, counts)


def sides(free: tuple[bool, ...], value: str = "cos(x + 2*y)") -> list[Any]:
    return [
        pm.Neumann(on=f"boundary.{side}", u=0) if is_free else pm.Dirichlet(on=f"boundary.{side}", u=value)
        for side, is_free in zip(SIDES, free, strict=True)
    ]


def assembled(counts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and right-hand side of `EQUATION`, triangle by triangle, the vertices as quadrature points."""
    mesh = grid_triangulation(Box(BOX), counts)
    matrix, right = np.zeros((len(mesh.points),) * 2), np.zeros(len(mesh.points))
    for corners, area in zip(mesh.triangles, mesh.areas, strict=True):
        x, y = mesh.points[corners].T
        slopes = np.linalg.inv(np.stack([np.ones(3), x, y], axis=1))[1:]
        local = area * np.exp(x * y).mean() * slopes.T @ slopes + area / 3 * np.diag(1 + x)
        matrix[np.ix_(corners, corners)] += local
        right[corners] += area / 3 * (np.sin(3 * x) + y)
    return matrix, right


def test_stencil_is_the_matrix_of_the_elements():
    counts = (6, 9)
    matrix, right = assembled(counts)
    found = stencil(problem(EQUATION, sides((False, True, False, True))), counts)
    applied = np.stack([found.apply(row.reshape(counts)).ravel() for row in np.eye(54)])
    np.testing.assert_allclose(applied, matrix, atol=1e-13)
    np.testing.assert_allclose((found.source * found.weights).ravel(), right, atol=1e-14)
    numbers = np.arange(54).reshape(counts)[found.free].ravel()
    np.testing.assert_allclose(found.matrix.toarray(), matrix[np.ix_(numbers, numbers)], atol=1e-13)


@pytest.mark.parametrize("free", list(itertools.product([True, False], repeat=4))[1:])
def test_solution_solves_the_system_whatever_ends_are_free(free: tuple[bool, ...]):
    counts = (13, 10)
    matrix, right = assembled(counts)
    values, facts = stencil(problem(EQUATION, sides(free)), counts).solve()
    grid = np.arange(130).reshape(counts)
    i, j = (slice(None if low else 1, None if high else -1) for low, high in (free[:2], free[2:]))
    numbers = grid[i, j].ravel()
    given_at = np.setdiff1d(grid, numbers)
    x, y = np.meshgrid(np.linspace(0, 2, 13), np.linspace(-1, 0.5, 10), indexing="ij")
    np.testing.assert_allclose(values.ravel()[given_at], np.cos(x + 2 * y).ravel()[given_at], rtol=1e-14)
    residual = (right - matrix @ values.ravel())[numbers]
    assert np.linalg.norm(residual) < 1e-7 * np.linalg.norm(right)
    assert facts["preconditioner"] == "transforms"


@pytest.mark.parametrize("free", list(itertools.product([True, False], repeat=4))[1:])
def test_transforms_invert_constant_coefficients_exactly(free: tuple[bool, ...]):
    found = stencil(problem("-3*laplacian(u) + 2*u = sin(3*x) + y", sides(free)), (14, 11))
    if any(free):
        found.reaction = np.zeros(found.counts)  # with free ends the weights of the corners are not a product
    precondition = found._transforms()
    vector = np.random.default_rng(0).normal(size=precondition.shape[0])
    np.testing.assert_allclose(precondition @ (found.matrix @ vector), vector, atol=1e-11)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(1.0, 1e4), st.booleans())
def test_matrix_is_symmetric_positive_definite_and_of_non_negative_type(seed: int, contrast: float, free: bool):
    found = stencil(problem("-laplacian(u) = 1", sides((False, free, False, free))), (7, 6))
    found.diffusion = contrast ** np.random.default_rng(seed).random((7, 6))
    matrix = found.matrix.toarray()
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-13)
    assert np.linalg.eigvalsh(matrix).min() > 0
    off = matrix - np.diag(np.diag(matrix))
    assert off.max() <= 0
    assert np.linalg.inv(matrix).min() >= 0  # the discrete maximum principle


def test_order_is_two():
    exact = {"u": "sin(2*x + 1)*cos(3*y)"}
    which = problem("-div((1.1 + sin(x*y))*grad(u)) + u = 0", pm.Dirichlet(u=0)).manufactured(exact)
    errors, sizes = [], [17, 33, 65]
    for size in sizes:
        (solved,) = FEM().solve(which, [Case(which)], {"x": size, "y": size})
        x, y = np.meshgrid(np.linspace(0, 2, 50), np.linspace(-1, 0.5, 40), indexing="ij")
        found = solved.evaluate(np.stack([x.ravel(), y.ravel()], axis=1))["u"]
        errors.append(np.abs(found - (np.sin(2 * x + 1) * np.cos(3 * y)).ravel()).max())
    assert -np.polyfit(np.log(np.array(sizes) - 1), np.log(errors), 1)[0] == pytest.approx(2, abs=0.1)
    assert "preconditioner" in solved.facts


@pytest.mark.parametrize(
    "map_, name", [("where(sin(9*x)*sin(8*y) > 0, 12, 3)", "transforms"), ("MULTISCALE", "multigrid")]
)
def test_relative_residual_at_moderate_and_at_high_contrast(map_: str, name: str):
    if name == "multigrid":
        pytest.importorskip("pyamg")
        waves = [f"(1 + 0.9*cos({k}*pi*(x + y)))*(1 + 0.9*sin({k}*pi*(y - 3*x)))" for k in (2, 8)]
        map_ = "*".join(waves)
    found = stencil(problem(f"-div({map_}*grad(u)) = 1", pm.Dirichlet(u=0)), (129, 97))
    values, facts = found.solve()
    assert facts["preconditioner"] == name
    assert facts["iterations"] < 60
    assert facts["relative_residual"] < 1e-8
    residual = (found.source * found.weights - found.apply(values))[found.free]
    assert np.linalg.norm(residual) < 1e-8 * np.linalg.norm((found.source * found.weights)[found.free])
    if name == "multigrid":
        assert found.contrast > 1e4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_multiscale_coefficient_of_contrast_above_1e5_on_a_million_nodes():
    pytest.importorskip("pyamg")
    waves = [f"(1 + 0.7*cos({2**k}*1.2*pi*(x + y)))*(1 + 0.7*sin({2**k}*1.2*pi*(y - 3*x)))" for k in range(6)]
    found = stencil(problem(f"-div({'*'.join(waves)}*grad(u)) = 1", pm.Dirichlet(u=0)), (1023, 1023))
    assert found.contrast > 1e5
    assert found.solve()[1]["relative_residual"] < 1e-8


def test_solution_between_nodes_is_linear_on_the_triangles_of_the_mesh():
    pytest.importorskip("skfem")
    which = problem(EQUATION, pm.Dirichlet(u="x*y"))
    (solved,) = FEM().solve(which, [Case(which)], {"x": 6, "y": 5})
    from pdeml.reference.fem.space import make_space

    space = make_space(which.domain.space, (6, 5), 1)
    points = which.domain.space.draw(np.random.default_rng(2).random((500, 2)))
    np.testing.assert_allclose(
        solved.evaluate(points)["u"], space.interpolation(points) @ solved.array[0, 0], atol=1e-13
    )


def test_grid_of_a_part_of_the_nodes_takes_their_values():
    which = problem(EQUATION, pm.Dirichlet(u=0))
    (solved,) = FEM().solve(which, [Case(which)], {"x": 21, "y": 31})
    field = solved.on_grid({"x": np.linspace(0, 2, 11), "y": np.linspace(-1, 0.5, 16)})["u"]
    np.testing.assert_array_equal(field, solved.array.reshape(21, 31)[::2, ::2].T)


NOT_FAST = {
    "first derivative": ("-laplacian(u) + u_x = 1", pm.Dirichlet(u=0)),
    "anisotropic": ("-u_xx - 2*u_yy = 1", pm.Dirichlet(u=0)),
    "not linear": ("-laplacian(u) + u**3 = 1", pm.Dirichlet(u=0)),
    "flux": ("-laplacian(u) = 1", [*sides((False, True, True, False))[:3], pm.Neumann(on="boundary.top", u=1)]),
    "nothing prescribed": ("-laplacian(u) = 1", pm.Neumann(u=0)),
}


@pytest.mark.parametrize("equation, conditions", NOT_FAST.values(), ids=NOT_FAST)
def test_other_problems_take_the_general_path(equation: str, conditions: Any):
    assert form_of(problem(equation, conditions)) is None


def test_indefinite_problem_takes_the_general_path():
    """-laplacian(u) - 10 u = 0 is of the form of the fast path, but conjugate gradients would fail."""
    pytest.importorskip("skfem")
    exact = {"u": "sin(3*x)*cos(4*y)"}
    which = problem("-laplacian(u) - 10*u = 0", pm.Dirichlet(u=0)).manufactured(exact)
    (solved,) = FEM(degree=1).solve(which, [Case(which)], {"x": 65, "y": 65})
    assert "preconditioner" not in solved.facts
    points = which.domain.space.draw(np.random.default_rng(2).random((500, 2)))
    wanted = np.sin(3 * points[:, 0]) * np.cos(4 * points[:, 1])
    assert np.abs(solved.evaluate(points)["u"] - wanted).max() < 0.02


def test_fast_path_needs_no_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "skfem", None)
    monkeypatch.setitem(sys.modules, "pyamg", None)
    which = problem(EQUATION, pm.Dirichlet(u=0))
    (solved,) = FEM().solve(which, [Case(which)], {"x": 9, "y": 9})
    assert np.isfinite(solved.array).all()
    rough = problem("-div(where(sin(9*x) > 0, 1, 1e3)*grad(u)) = 1", pm.Dirichlet(u=0))
    with pytest.raises(InputError, match=r"pip install 'pdeml\[fem\]'"):
        FEM().solve(rough, [Case(rough)], {"x": 9, "y": 9})
