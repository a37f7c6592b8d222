"""Residuals and their parameter Jacobians by jets, and the same by nested automatic differentiation.

The network is the same in both, a tanh network of the scaled coordinates without exact conditions. The nested versions
of the batch are written with care: no graph is kept that nothing needs, and no derivative is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

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
"""Values (N,) at the points -> their gradients (N, D)."""

Residual = Callable[[Tensor, Tensor, Gradient, Gradient], tuple[Tensor, ...]]
"""(values (N, U), points (N, D), gradient, gradient without a graph for more) -> residuals, each (N,)."""


def _burgers(values: Tensor, _: Tensor, gradient: Gradient, last: Gradient) -> tuple[Tensor, ...]:
    u = values[:, 0]
    slope = gradient(u)
    return (slope[:, 1] + u * slope[:, 0] - VISCOSITY * last(slope[:, 0])[:, 0],)


def _poisson(values: Tensor, x: Tensor, gradient: Gradient, last: Gradient) -> tuple[Tensor, ...]:
    slope = gradient(values[:, 0])
    source = 2 * torch.pi**2 * torch.sin(torch.pi * x[:, 0]) * torch.sin(torch.pi * x[:, 1])
    return (-last(slope[:, 0])[:, 0] - last(slope[:, 1])[:, 1] - source,)


def _navier_stokes(values: Tensor, _: Tensor, gradient: Gradient, last: Gradient) -> tuple[Tensor, ...]:
    u, v, p = values.unbind(1)
    of_u, of_v, of_p = gradient(u), gradient(v), last(p)
    rows = []
    for slope, push in ((of_u, of_p[:, 0]), (of_v, of_p[:, 1])):
        spread = last(slope[:, 0])[:, 0] + last(slope[:, 1])[:, 1]
        rows.append(slope[:, 2] + u * slope[:, 0] + v * slope[:, 1] + push - 0.01 * spread)
    return (*rows, of_u[:, 0] + of_v[:, 1])


def _kuramoto_sivashinsky(values: Tensor, _: Tensor, gradient: Gradient, last: Gradient) -> tuple[Tensor, ...]:
    u = values[:, 0]
    slope = gradient(u)
    second = gradient(slope[:, 0])[:, 0]
    third = gradient(second)[:, 0]
    return (slope[:, 1] + u * slope[:, 0] + second + last(third)[:, 0],)


def _make_kuramoto_sivashinsky() -> Problem:
    return Problem(
        coordinates={"x": (-1, 1), "t": (0, 1)},
        time="t",
        unknowns="u",
        equations="u_t + u*u_x + u_xx + u_xxxx = 0",
        conditions=[Initial(u="-sin(pi*x)"), Dirichlet(u=0)],
    )


def _make_navier_stokes() -> Problem:
    return Problem(
        coordinates={"x": (0, 1), "y": (0, 1), "t": (0, 1)},
        time="t",
        unknowns=["u", "v", "p"],
        equations=[
            "u_t + u*u_x + v*u_y = -p_x + 0.01*(u_xx + u_yy)",
            "v_t + u*v_x + v*v_y = -p_y + 0.01*(v_xx + v_yy)",
            "u_x + v_y = 0",
        ],
        conditions=[Initial(u="sin(pi*x)", v="sin(pi*y)"), Dirichlet(u=0, v=0)],
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
        Case("navier-stokes", _make_navier_stokes, _navier_stokes),
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
        compiled: the system, with activations compiled by inductor.
        points: (N, D).
        middle, half: of the coordinates' intervals, (D,): the network sees ``(x - middle) / half``.
        unit: sizes of the unknowns, which multiply the network, (U,).
        row_scale: (M, N), what pdeml multiplies the residuals by.
    """

    case: Case
    system: ResidualSystem
    network: MLP
    theta: Tensor
    compiled: ResidualSystem
    points: Tensor
    middle: Tensor
    half: Tensor
    unit: Tensor
    row_scale: Tensor

    def jets(self) -> Tensor:
        """Return the residuals (M N,) by jets."""
        return self.system.residual(self.theta)

    def jacobian(self) -> Tensor:
        """Return the parameter Jacobian (N, P) by jets and one reverse sweep."""
        return self.system.linearise(self.theta)[1]

    def gradient(self) -> Tensor:
        """Return the gradient (P,) of half the sum of squares by jets and one reverse sweep."""
        return self.system.gradient(self.theta)[1]

    def compiled_gradient(self) -> Tensor:
        """Return the same with compiled activations."""
        return self.compiled.gradient(self.theta)[1]

    def nested(self) -> Tensor:
        """Return the residuals (M N,) by nested reverse mode over all points at once, as PINNs commonly do."""
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
        return vmap(grad(residual), in_dims=(None, 0, 0))(self.theta, self.points, self.row_scale[0])

    def _nested(self, theta: Tensor, keep: bool) -> Tensor:
        """Return the residual; ``keep`` a graph through it, for derivatives by theta."""
        points = self.points.clone().requires_grad_()

        def gradient(f: Tensor) -> Tensor:
            return torch.autograd.grad(f.sum(), points, create_graph=True)[0]

        def last(f: Tensor) -> Tensor:
            return torch.autograd.grad(f.sum(), points, retain_graph=True, create_graph=keep)[0]

        residuals = self.case.nested(self._network(theta, points), points, gradient, last)
        return (torch.stack(residuals) * self.row_scale).reshape(-1)

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
    system, compiled = (
        ResidualSystem((make_block(equation, own, points, weights, None),), ansatz.parameter_count)
        for own in (ansatz, replace(ansatz, kernels="inductor"))
    )
    generator = torch.Generator().manual_seed(seed)
    theta = ansatz.network.initial(generator)
    theta = theta + 0.1 * torch.randn(len(theta), generator=generator, dtype=torch.float64)
    bounds = torch.as_tensor(problem.domain.bounds)
    low, high = bounds.unbind(1)
    return PreparedCase(
        case=case,
        system=system,
        network=ansatz.network,
        theta=theta,
        compiled=compiled,
        points=points,
        middle=(low + high) / 2,
        half=(high - low) / 2,
        unit=torch.tensor([float(unit) for unit in ansatz.factor], dtype=torch.float64),
        row_scale=system.blocks[0].roots / system.blocks[0].scales[:, None],
    )
