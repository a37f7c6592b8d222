"""Optimisers on problems with known minima: convergence laws, stopping reasons, pure steps."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from pdeml.optim import LBFGS, Adam, GaussNewton


@dataclass(frozen=True)
class Residual:
    """½‖r(z)‖² for any differentiable r, by automatic differentiation."""

    function: object

    def residual(self, z: Tensor) -> Tensor:
        return self.function(z)

    def value(self, z: Tensor) -> Tensor:
        return 0.5 * self.function(z).square().sum()

    def linearise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.function(z), torch.func.jacrev(self.function)(z)

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        gradient, value = torch.func.grad_and_value(self.value)(z)
        return value, gradient


def rosenbrock(z: Tensor) -> Tensor:
    return torch.stack([10.0 * (z[1] - z[0] ** 2), 1.0 - z[0]])


START = torch.tensor([-1.2, 1.0], dtype=torch.float64)


def run(optimiser, objective: Residual, z: Tensor, steps: int) -> tuple[Tensor, list[float], str | None]:
    state, values, stopped = optimiser.start(z), [], None
    for _ in range(steps):
        step = optimiser.step(objective, z, state)
        z, state, stopped = step.z, step.state, step.stopped
        values.append(step.value)
        if stopped:
            break
    return z, values, stopped


@pytest.mark.parametrize(("optimiser", "steps"), [(GaussNewton(), 60), (LBFGS(), 80)])
def test_rosenbrock_is_solved_to_rounding(optimiser, steps: int):
    z, values, _ = run(optimiser, Residual(rosenbrock), START, steps)
    torch.testing.assert_close(z, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-8)
    assert all(later <= earlier for earlier, later in itertools.pairwise(values))


def test_gauss_newton_converges_quadratically_to_a_zero():
    """Near a zero residual with vanishing damping the error is squared each step."""
    objective = Residual(lambda z: torch.stack([z[0] ** 2 - 2.0, z[0] * z[1] - 1.0]))
    z, state, errors = torch.tensor([1.5, 0.6], dtype=torch.float64), None, []
    optimiser = GaussNewton(damping=1e-12, floor=1e-14, largest_bend=0.0)
    exact = torch.tensor([math.sqrt(2), 1 / math.sqrt(2)], dtype=torch.float64)
    state = optimiser.start(z)
    for _ in range(4):
        errors.append(float((z - exact).norm()))
        step = optimiser.step(objective, z, state)
        z, state = step.z, step.state
    order = math.log(errors[3] / errors[2]) / math.log(errors[2] / errors[1])
    assert order == pytest.approx(2.0, abs=0.2)


def test_geodesic_acceleration_needs_fewer_steps_along_a_curved_valley():
    reached = {}
    for bend in (0.0, 0.75):
        _, values, _ = run(GaussNewton(largest_bend=bend), Residual(rosenbrock), START, 200)
        reached[bend] = next(k for k, value in enumerate(values) if value < 1e-12)
    assert reached[0.75] < reached[0.0]


def test_gauss_newton_says_that_no_step_helps():
    objective = Residual(lambda z: torch.stack([z[0], z[0] - 2.0]))
    z = torch.ones(1, dtype=torch.float64)
    _, values, stopped = run(GaussNewton(), objective, z, 50)
    assert stopped == "no damped step decreases the residual"
    assert values[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("function", "start", "reason"),
    [
        (lambda z: z, [0.0, 0.0], "gradient is below"),
        (lambda z: z / 0.0, [1.0, 1.0], "not finite"),
    ],
)
def test_lbfgs_says_why_it_stopped(function, start: list[float], reason: str):
    _, _, stopped = run(LBFGS(), Residual(function), torch.tensor(start, dtype=torch.float64), 5)
    assert stopped is not None
    assert reason in stopped


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (lambda z: torch.log(z), [-1.0, 1.0]),
        (lambda z: torch.sqrt(z), [0.0, 1.0]),  # a residual that is finite, with a slope that is not
    ],
)
def test_gauss_newton_stops_where_nothing_is_finite(function, start: list[float]):
    z = torch.tensor(start, dtype=torch.float64)
    last, values, stopped = run(GaussNewton(), Residual(function), z, 5)
    assert stopped is not None
    assert "not finite" in stopped
    assert torch.equal(last, z)
    assert len(values) == 1


@pytest.mark.parametrize("scale", [1e-100, 1e-8, 1e8, 1e60])
def test_gauss_newton_survives_badly_scaled_singular_jacobians(scale: float):
    """Directions of no effect: the normal matrix is singular, and indefinite by rounding."""
    a = torch.tensor([[1.0, 1.0, 1.0], [1.0 + 1e-9, 1.0, 1.0]], dtype=torch.float64) * scale
    objective = Residual(lambda z: a @ z - scale)
    _, values, _ = run(GaussNewton(damping=1e-13), objective, torch.zeros(3, dtype=torch.float64), 3)
    assert values[-1] <= scale**2 * (1 + 1e-12)


def test_lbfgs_goes_on_long_past_the_usual_stalls():
    """A stiff quadratic: no silent stop after a few iterations."""
    scale = torch.logspace(0, 4, 30, dtype=torch.float64)
    _, values, _ = run(LBFGS(), Residual(lambda z: scale * (z - 1.0)), torch.zeros(30, dtype=torch.float64), 800)
    assert values[-1] < 1e-18 * values[0]


def test_adam_follows_its_published_first_step():
    """The first step has length ``rate`` in every component, whatever the gradient's size (Kingma & Ba, §2.1)."""
    adam = Adam(rate=0.01, horizon=10**9)
    z = torch.tensor([3.0, -400.0], dtype=torch.float64)
    step = adam.step(Residual(lambda z: z), z, adam.start(z))
    torch.testing.assert_close((z - step.z).abs(), torch.full((2,), 0.01, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "optimiser", [GaussNewton(), Adam(rate=0.05, horizon=40), LBFGS()], ids=lambda o: type(o).__name__
)
def test_steps_are_pure(optimiser):
    """The same iterate and state give the same step, so that a checkpoint can go on exactly."""
    z, state = START, optimiser.start(START)
    for _ in range(5):
        step = optimiser.step(Residual(rosenbrock), z, state)
        again = optimiser.step(Residual(rosenbrock), z.clone(), {k: v.clone() for k, v in state.items()})
        assert torch.equal(step.z, again.z)
        assert all(torch.equal(step.state[name], again.state[name]) for name in step.state)
        z, state = step.z, step.state
