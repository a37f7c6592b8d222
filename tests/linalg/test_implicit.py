"""Implicit derivatives against closed forms and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch.autograd import forward_ad

from pdeml.errors import InputError, RunError
from pdeml.linalg import implicit_argmin, implicit_fixed_point, implicit_root
from pdeml.linalg.implicit import LINEAR

ALL = sorted(LINEAR)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(shape))


def test_square_root_and_its_derivatives():
    root = implicit_root(lambda x, a: x * x - a, lambda a: a.sqrt())
    a = torch.tensor([2.0, 9.0], dtype=torch.float64, requires_grad=True)
    x = root(a)
    torch.testing.assert_close(x, a.sqrt())
    (first,) = torch.autograd.grad(x.sum(), a, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), a, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), a)
    torch.testing.assert_close(first, 0.5 * a**-0.5)
    torch.testing.assert_close(second, -0.25 * a**-1.5)
    torch.testing.assert_close(third, 0.375 * a**-2.5)


def kepler(mean: torch.Tensor, eccentricity: torch.Tensor) -> np.ndarray:
    """The eccentric anomaly by a solver that torch knows nothing of."""
    return np.array(
        [
            scipy.optimize.brentq(lambda x, m=float(m), e=float(e): x - e * math.sin(x) - m, -10, 10, xtol=1e-15)
            for m, e in zip(mean, eccentricity, strict=True)
        ]
    )


@pytest.mark.parametrize("linear", [name for name in ALL if name != "cg"])
def test_kepler(linear: str):
    anomaly = implicit_root(lambda x, m, e: x - e * torch.sin(x) - m, kepler, linear)
    m = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64, requires_grad=True)
    e = torch.tensor([0.1, 0.7, 0.4], dtype=torch.float64, requires_grad=True)
    x = anomaly(m, e)
    by_m, by_e = torch.autograd.grad(x.sum(), (m, e))
    slope = 1 - e * torch.cos(x)
    torch.testing.assert_close(by_m, (1 / slope).detach())
    torch.testing.assert_close(by_e, (torch.sin(x) / slope).detach())
    assert torch.autograd.gradcheck(anomaly, (m, e), eps=1e-6, atol=1e-7)
    assert torch.autograd.gradgradcheck(anomaly, (m, e), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("linear", ALL)
def test_ridge_regression(linear: str):
    """The minimiser of |Aw − b|² + λ|w|² is known; so are its derivatives by all three."""
    a, b = random(9, 4).requires_grad_(True), random(9, seed=1).requires_grad_(True)
    penalty = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def loss(w: torch.Tensor, a: torch.Tensor, b: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        return 0.5 * (a @ w - b).square().sum() + 0.5 * penalty * w.square().sum()

    def closed(a: torch.Tensor, b: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve(a.T @ a + penalty * torch.eye(4, dtype=a.dtype), a.T @ b)

    ridge = implicit_argmin(loss, closed, linear)
    v, inputs = random(4, seed=2), (a, b, penalty)
    found = torch.autograd.grad(ridge(*inputs) @ v, inputs, create_graph=True)
    exact = torch.autograd.grad(closed(*inputs) @ v, inputs, create_graph=True)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)
    again = torch.autograd.grad(sum(g.square().sum() for g in found), inputs)
    exact = torch.autograd.grad(sum(g.square().sum() for g in exact), inputs)
    for one, other in zip(again, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def iterated(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x = torch.zeros_like(b)
    for _ in range(200):
        x = torch.tanh(w @ x + b)
    return x


@pytest.mark.parametrize("linear", [name for name in ALL if name != "cg"])
def test_fixed_point_of_a_contraction(linear: str):
    """Against differentiation through two hundred iterations, and finite differences."""
    w, b = (0.15 * random(5, 5)).requires_grad_(True), random(5, 3, seed=1).requires_grad_(True)
    fixed = implicit_fixed_point(lambda x, w, b: torch.tanh(w @ x + b), iterated, linear)
    v = random(5, 3, seed=2)
    found = torch.autograd.grad((fixed(w, b) * v).sum(), (w, b))
    unrolled = torch.autograd.grad((iterated(w, b) * v).sum(), (w, b))
    for one, other in zip(found, unrolled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    assert torch.autograd.gradcheck(fixed, (w, b), eps=1e-6, atol=1e-7)


def test_only_what_needs_a_gradient_gets_one():
    root = implicit_root(lambda x, a, b: x**3 - a * b, lambda a, b: (a * b) ** (1 / 3))
    a, b = random(3).abs().requires_grad_(True), random(3, seed=1).abs()
    root(a, b).sum().backward()
    torch.testing.assert_close(a.grad, (b / (3 * (a * b) ** (2 / 3))).detach())
    assert b.grad is None


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, on its first dual number
def test_forward_mode():
    root = implicit_root(lambda x, a, b: x * x * b - a, lambda a, b: (a / b).sqrt())
    a, b, da = random(4).abs() + 1, random(4, seed=1).abs() + 1, random(4, seed=2)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(root(forward_ad.make_dual(a, da), b)).tangent
    torch.testing.assert_close(tangent, da / (2 * (a * b).sqrt()))


def test_memory_does_not_hold_the_iterations():
    """The solver sees tensors without history, however it computes."""
    seen = []

    def solver(a: torch.Tensor) -> torch.Tensor:
        seen.append((a.requires_grad, torch.is_grad_enabled()))
        return a.sqrt()

    a = torch.ones(2, dtype=torch.float64, requires_grad=True)
    implicit_root(lambda x, a: x * x - a, solver)(a).sum().backward()
    assert seen == [(False, False)]


def test_a_given_linear_solver_is_asked():
    """Both directions: backward for A transposed, twice backward also for A."""
    matrix = random(6, 6) + 6 * torch.eye(6, dtype=torch.float64)
    asked = []

    def solve(times, transposed, right: torch.Tensor) -> torch.Tensor:
        forwards = bool(torch.allclose(times(right), matrix @ right))
        asked.append(forwards)
        return torch.linalg.solve(matrix if forwards else matrix.T, right)

    root = implicit_root(lambda x, b: matrix @ x - b.square(), lambda b: torch.linalg.solve(matrix, b.square()), solve)
    b = random(6, seed=1).requires_grad_(True)
    (first,) = torch.autograd.grad(root(b).square().sum(), b, create_graph=True)
    inverse = torch.linalg.inv(matrix)
    (exact,) = torch.autograd.grad((inverse @ b.square()).square().sum(), b, create_graph=True)
    torch.testing.assert_close(first, exact)
    assert asked == [False]
    torch.testing.assert_close(*(torch.autograd.grad(g.sum(), b)[0] for g in (first, exact)))
    assert asked.count(True) >= 1


def test_error_of_the_gradient_is_proportional_to_that_of_the_root():
    errors = []
    for off in (1e-3, 1e-5):
        root = implicit_root(lambda x, a: x * x - a, lambda a, off=off: a.sqrt() + off)
        a = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
        root(a).sum().backward()
        errors.append(abs(float(a.grad - 0.5 * 2**-0.5)))
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.01)


def test_a_singular_jacobian_and_an_unknown_solver_are_refused():
    a = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for linear in ("dense", "gmres"):
        root = implicit_root(lambda x, a: x * x - a, lambda a: a.sqrt(), linear)
        with pytest.raises(RunError, match="singular"):
            root(a).sum().backward()
    with pytest.raises(InputError, match="did you mean 'gmres'"):
        implicit_root(lambda x, a: x - a, lambda a: a, "gmre")
