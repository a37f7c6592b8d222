"""Residuals and their parameter Jacobians by jets, and the same by nested automatic differentiation.

The network is the same in both, a tanh network of the scaled coordinates without exact conditions. The nested versions
of the batch are written with care: no graph is kept that nothing needs, and no derivative is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, vmap

from pdeml.lower import ResidualSystem, make_block, statements
from pdeml.nn import MLP
from pdeml.problem import Dirichlet, Initial, Problem, library
from pdeml.sampling import sample
from pdeml.solvers import PINN

__all__ = ["CASES", "Case", "PreparedCase", "prepare"]

VISCOSITY = 0.01 / torch.pi
"""Of Burgers' equation in the library."""

Gradient = Callable[[Tensor], Tensor]
"""Values (N,) at the points -> their gradients (N, 2)."""

Residual = Callable[[Tensor, Tensor, Gradient, Gradient], Tensor]
"""(values (N,), points (N, 2), gradient, gradient without a graph for more) -> residual (N,)."""


def _burgers(u: Tensor, _: Tensor, gradient: Gradient, last: Gradient) -> Tensor:
    slope = gradient(u)
    return slope[:, 1] + u * slope[:, 0] - VISCOSITY * last(slope[:, 0])[:, 0]


def _poisson(u: Tensor, x: Tensor, gradient: Gradient, last: Gradient) -> Tensor:
    slope = gradient(u)
    source = 2 * torch.pi**2 * torch.sin(torch.pi * x[:, 0]) * torch.sin(torch.pi * x[:, 1])
    return -last(slope[:, 0])[:, 0] - last(slope[:, 1])[:, 1] - source


def _kuramoto_sivashinsky(u: Tensor, _: Tensor, gradient: Gradient, last: Gradient) -> Tensor:
    slope = gradient(u)
    second = gradient(slope[:, 0])[:, 0]
    third = gradient(second)[:, 0]
    return slope[:, 1] + u * slope[:, 0] + second + last(third)[:, 0]


def _make_kuramoto_sivashinsky() -> Problem:
    return Problem(
        coordinates={"x": (-1, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t + u*u_x + u_xx + u_xxxx = 0",
        conditions=[Initial(u="-sin(pi*x)"), Dirichlet(u=0)],
    )


@dataclass(frozen=True)
class Case:
    """An equation, for jets as a problem and for nested differentiation as a function."""

    name: str
    problem: Callable[[], Problem]
    nested: Residual


CASES = {
    case.name: case
    for case in (
        Case("burgers", lambda: library.load("burgers"), _burgers),
        Case("poisson", lambda: library.load("poisson"), _poisson),
        Case("kuramoto-sivashinsky", _make_kuramoto_sivashinsky, _kuramoto_sivashinsky),
    )
}


@dataclass(frozen=True)
class PreparedCase:
    """A case at points, with parameters: functions to be timed and compared.

    Args:
        case: the equation.
        system: the residual system of pdeml, the equation alone.
        network: between the scaled coordinates and the unknown.
        theta: parameters (P,).
        points: (N, 2).
        middle, half: of the coordinates' intervals, (2,): the network sees ``(x - middle) / half``.
        unit: size of the unknown, which multiplies the network.
        row_scale: (N,), what pdeml multiplies the residual by.
    """

    case: Case
    system: ResidualSystem
    network: MLP
    theta: Tensor
    points: Tensor
    middle: Tensor
    half: Tensor
    unit: float
    row_scale: Tensor

    def jets(self) -> Tensor:
        """Return the residual (N,) by jets."""
        return self.system.residual(self.theta)

    def jacobian(self) -> Tensor:
        """Return the parameter Jacobian (N, P) by jets and one reverse sweep."""
        return self.system.linearise(self.theta)[1]

    def gradient(self) -> Tensor:
        """Return the gradient (P,) of half the sum of squares by jets and one reverse sweep."""
        return self.system.gradient(self.theta)[1]

    def nested(self) -> Tensor:
        """Return the residual (N,) by nested reverse mode over all points at once, as PINNs commonly do."""
        return self._nested(self.theta, keep=False).detach()

    def nested_gradient(self) -> Tensor:
        """Return the gradient (P,) of half the sum of squares by one more reverse sweep."""
        theta = self.theta.clone().requires_grad_()
        return torch.autograd.grad(0.5 * self._nested(theta, keep=True).square().sum(), theta)[0]

    def nested_jacobian(self) -> Tensor:
        """Return the Jacobian (N, P) of Burgers' equation by ``vmap(grad(...))``, each derivative its own ``grad``."""

        def u(theta: Tensor, x: Tensor) -> Tensor:
            return self._network(theta, x[None])[0, 0]

        def u_x(theta: Tensor, x: Tensor) -> Tensor:
            return grad(u, argnums=1)(theta, x)[0]

        def residual(theta: Tensor, x: Tensor, scale: Tensor) -> Tensor:
            u_t = grad(u, argnums=1)(theta, x)[1]
            u_xx = grad(u_x, argnums=1)(theta, x)[0]
            return scale * (u_t + u(theta, x) * u_x(theta, x) - VISCOSITY * u_xx)

        return self._per_point(residual)

    def nested_jacobian_shared(self) -> Tensor:
        """Return the same with one gradient for u_x and u_t."""

        def value(theta: Tensor, x: Tensor) -> Tensor:
            return self._network(theta, x[None])[0, 0]

        def residual(theta: Tensor, x: Tensor, scale: Tensor) -> Tensor:
            u, slope = value(theta, x), grad(value, argnums=1)
            u_x, u_t = slope(theta, x)
            u_xx = grad(lambda x: slope(theta, x)[0])(x)[0]
            return scale * (u_t + u * u_x - VISCOSITY * u_xx)

        return self._per_point(residual)

    def nested_jacobian_tuned(self) -> Tensor:
        """Return the same with one pass for u, its gradient and u_xx together."""

        def value(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            u = self._network(theta, x[None])[0, 0]
            return u, u

        def u_x(theta: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            slope, u = grad(value, argnums=1, has_aux=True)(theta, x)
            return slope[0], (slope, u)

        def residual(theta: Tensor, x: Tensor, scale: Tensor) -> Tensor:
            second, (slope, u) = grad(u_x, argnums=1, has_aux=True)(theta, x)
            return scale * (slope[1] + u * slope[0] - VISCOSITY * second[0])

        return self._per_point(residual)

    def _per_point(self, residual: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        return vmap(grad(residual), in_dims=(None, 0, 0))(self.theta, self.points, self.row_scale)

    def _nested(self, theta: Tensor, keep: bool) -> Tensor:
        """Return the residual; ``keep`` a graph through it, for derivatives by theta."""
        points = self.points.clone().requires_grad_()

        def gradient(f: Tensor) -> Tensor:
            return torch.autograd.grad(f.sum(), points, create_graph=True)[0]

        def last(f: Tensor) -> Tensor:
            return torch.autograd.grad(f.sum(), points, retain_graph=True, create_graph=keep)[0]

        u = self._network(theta, points)[:, 0]
        return self.case.nested(u, points, gradient, last) * self.row_scale

    def _network(self, theta: Tensor, points: Tensor) -> Tensor:
        values = (points - self.middle) / self.half
        *hidden, (weight, bias) = self.network.layers(theta)
        for w, b in hidden:
            values = torch.tanh(values @ w.T + b)
        return self.unit * (values @ weight.T + bias)


def prepare(case: Case, count: int, width: int = 20, depth: int = 3, seed: int = 0) -> PreparedCase:
    """Put a case on ``count`` points of its domain, with random parameters; the work that is done once is done here."""
    problem = case.problem()
    ansatz, scales, lift = PINN(width=width, depth=depth, exact_conditions=False).ansatz(problem)
    equation = statements(problem, scales, lift.exact)[0]
    drawn = sample(equation.region, count, "sobol", (seed, 5))
    points, weights = torch.as_tensor(drawn.x), torch.as_tensor(drawn.weights)
    block = make_block(equation, ansatz, points, weights, None)
    generator = torch.Generator().manual_seed(seed)
    theta = ansatz.network.initial(generator)
    theta = theta + 0.1 * torch.randn(len(theta), generator=generator, dtype=torch.float64)
    bounds = torch.as_tensor(problem.domain.bounds)
    low, high = bounds.unbind(1)
    return PreparedCase(
        case=case,
        system=ResidualSystem((block,), ansatz.parameter_count),
        network=ansatz.network,
        theta=theta,
        points=points,
        middle=(low + high) / 2,
        half=(high - low) / 2,
        unit=float(ansatz.factor[0]),
        row_scale=block.roots / block.scales[0],
    )
