"""Networks, residuals and their gradients, against nested automatic differentiation as PINNs commonly do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad

from pdeml_kernels.bench.case import (
    Asked,
    Case,
    Draw,
    Inputs,
    Precision,
    Unmeasured,
    Work,
    by_torch,
    by_triton,
    triton_precision,
)
from pdeml_kernels.bench.equations import Derivative, Equation
from pdeml_kernels.jets import compose
from pdeml_kernels.network import Network, jet_mlp, linearised
from pdeml_kernels.network import jets as carried
from pdeml_kernels.programs import run
from pdeml_kernels.residual import ResidualProgram, residual_loss

__all__ = ["NESTED", "Task", "by_autograd", "network", "pinn", "residual"]

NESTED = "nested autograd"
PART = 1024
"""Points that are taken at once on a CPU, as pdeml takes them."""


class Task(NamedTuple):
    """An equation at points, for a tanh network."""

    equation: Equation
    points: int
    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.equation.name}, {self.points:,} points, {self.depth}×{self.width} tanh"

    @property
    def channels(self) -> int:
        """Number of channels that are carried."""
        return len(self.equation.chain) + 1

    @property
    def network(self) -> Network:
        """From coordinates to unknowns."""
        return Network(self.equation.coordinates, self.equation.unknowns, self.width, self.depth, "tanh")

    @property
    def operations(self) -> float:
        """Of the products of a forward sweep of all channels."""
        return 2.0 * self.channels * self.points * sum(rows * columns for rows, columns in self.network.shapes)

    @property
    def bound(self) -> float:
        """The largest error."""
        return 1e-4 if self.equation.order > 2 else 1e-5


def pinn(task: Task, precision: Precision, asked: tuple[Asked, ...]) -> Case:
    """Return ½ Σ_m mean(R_m²) of the residuals R of a network; backward its gradient by the parameters.

    Traffic: the coordinates and the parameters, next to nothing. Operations: the products of the layers with all
    channels that the equation needs, backward twice as many.
    """
    equation, layers, program = task.equation, task.network, task.equation.program.encoded()

    def twin(entering: Tensor, roots: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
        return _Swept.apply(theta, entering, roots, factors, task, program, compose)

    def by_inductor(entering: Tensor, roots: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
        from pdeml_kernels import inductor

        reason = "is for CPUs" if theta.is_cuda else inductor.why_not()
        if reason is not None:
            raise Unmeasured(reason)
        return _Swept.apply(theta, entering, roots, factors, task, program, inductor.compose)

    def plain(entering: Tensor, roots: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
        return _half_square(carried(theta, entering, equation.chain, layers), roots, factors, equation.program)

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_network import jet_mlp_triton
        from pdeml_kernels.triton_residual import residual_loss_triton

        chosen = triton_precision(precision)

        def run(entering: Tensor, roots: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
            jets = jet_mlp_triton(theta, entering, equation.chain, layers, precision=chosen)
            return residual_loss_triton(*_residual_inputs(jets, roots, factors, program))[0]

        return run

    def nested(derivatives: Callable[..., dict[Derivative, Tensor]]) -> Callable[..., Tensor]:
        def run(entering: Tensor, roots: Tensor, factors: Tensor, theta: Tensor) -> Tensor:
            found = equation.formula(derivatives(lambda x: _applied(layers, theta, x), entering[0], equation.wanted))
            return 0.5 * sum((r * roots * factor).square().sum() for r, factor in zip(found, factors, strict=True))

        return run

    return Case(
        "PINN residual",
        str(task),
        lambda draw: Inputs((_entering(draw, task), *_weights(draw, task)), (_theta(draw, layers),)),
        (
            by_torch("torch", twin),
            by_torch("torch, compiled", plain, compiled=True),
            by_torch("torch, jets compiled", by_inductor),
            by_torch(NESTED, nested(by_autograd)),
            by_torch(f"{NESTED}, compiled", nested(by_functions), compiled=True),
            *by_triton(load),
        ),
        {
            "forward": Work(_bytes(task), task.operations),
            "forward + backward": Work(_bytes(task), 3 * task.operations),
        },
        asked=asked,
        through=0,
        bound=task.bound,
    )


def network(task: Task, precision: Precision) -> Case:
    """Return the jets of a network alone; backward their gradient by the parameters.

    Traffic: the coordinates, the parameters and the jets, backward also their cotangents. Operations: see `pinn`.
    """
    chain, layers = task.equation.chain, task.network
    jets = 4.0 * task.channels * task.points * task.equation.unknowns

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_network import jet_mlp_triton

        chosen = triton_precision(precision)
        return lambda entering, theta: jet_mlp_triton(theta, entering, chain, layers, precision=chosen)

    return Case(
        "jets of a network",
        str(task),
        lambda draw: Inputs((_entering(draw, task),), (_theta(draw, layers),)),
        (
            by_torch("torch", lambda entering, theta: jet_mlp(theta, entering, chain, layers)),
            by_torch(
                "torch, compiled",
                lambda entering, theta: carried(theta, entering, chain, layers),
                True,
            ),
            *by_triton(load),
        ),
        {
            "forward": Work(_bytes(task) + jets, task.operations),
            "forward + backward": Work(_bytes(task) + 2 * jets, 3 * task.operations),
        },
        through=0,
        bound=task.bound,
    )


def residual(task: Task) -> Case:
    """Return ½ Σ_m mean(R_m²) of given jets; backward its gradient by them.

    Traffic: the channels that occur and the weights of the points; backward also the gradient, of all channels.
    """
    program, numbers, text = task.equation.program, 4.0 * task.points, task.equation.program.encoded()
    channels = task.channels * task.equation.unknowns

    def by(own: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Tensor]:
        def loss(jets: Tensor, roots: Tensor, factors: Tensor) -> Tensor:
            return own(*_residual_inputs(jets, roots, factors, text))[0]

        return loss

    def plain(jets: Tensor, roots: Tensor, factors: Tensor) -> Tensor:
        return _half_square(jets, roots, factors, program)

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_residual import residual_loss_triton

        return by(residual_loss_triton)

    return Case(
        "residual of jets",
        f"{task.equation.name}, {task.points:,} points",
        lambda draw: Inputs((draw(task.channels, task.points, task.equation.unknowns), *_weights(draw, task)), ()),
        (
            by_torch("torch", by(residual_loss)),
            by_torch("torch, compiled", plain, compiled=True),
            *by_triton(load),
        ),
        {
            "forward": Work((len(program.slots) + 1) * numbers, len(program.residual.code) * task.points),
            "forward + backward": Work(
                (len(program.slots) + 1 + channels) * numbers, 3 * len(program.residual.code) * task.points
            ),
        },
    )


class _Swept(torch.autograd.Function):
    """The loss and, where it is wanted, with it the gradient by a tape: what a step of training does.

    On a CPU the points are taken in parts, so that what a part needs stays in the caches.
    """

    @staticmethod
    def forward(
        ctx,
        theta: Tensor,
        entering: Tensor,
        roots: Tensor,
        factors: Tensor,
        task: Task,
        program: str,
        composed: Callable,
    ) -> Tensor:
        loss, gradient = theta.new_zeros(()), torch.zeros_like(theta)
        size = PART if theta.device.type == "cpu" else max(len(roots), 1)
        for own, shares in zip(entering.split(size, 1), roots.split(size), strict=True):
            given = theta, own, task.equation.chain, task.network, composed
            jets, tape = linearised(*given) if ctx.needs_input_grad[0] else (carried(*given), None)
            value, by_jets, _ = residual_loss(*_residual_inputs(jets, shares, factors, program))
            loss += value
            if tape is not None:
                gradient += tape.pullback(by_jets)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor):
        (gradient,) = ctx.saved_tensors
        return grad * gradient, None, None, None, None, None, None


def _residual_inputs(jets: Tensor, roots: Tensor, factors: Tensor, program: str) -> tuple:
    """Return the arguments of `residual_loss`: there are no learned parameters and no columns."""
    return jets, jets.new_empty(0), jets.new_empty(0, len(roots)), roots, factors, program


def by_autograd(u: Callable[[Tensor], Tensor], x: Tensor, wanted: tuple[Derivative, ...]) -> dict[Derivative, Tensor]:
    """Differentiate again and again by ``torch.autograd.grad`` of sums over the points, nothing twice.

    Args:
        u: from points (N, D) to unknowns (N, U).
        x: points.
        wanted: which derivatives.
    """
    x = x.detach().requires_grad_()
    values, gradients = u(x), {}
    found: dict[Derivative, Tensor] = {(k, (0,) * x.shape[1]): column for k, column in enumerate(values.unbind(1))}

    def derivative(unknown: int, index: tuple[int, ...]) -> Tensor:
        if (unknown, index) not in found:
            axis, below = _below(index)
            if (unknown, below) not in gradients:
                lower = derivative(unknown, below)
                gradients[unknown, below] = torch.autograd.grad(lower.sum(), x, create_graph=True)[0]
            found[unknown, index] = gradients[unknown, below][:, axis]
        return found[unknown, index]

    return {(unknown, index): derivative(unknown, index) for unknown, index in wanted}


def by_functions(u: Callable[[Tensor], Tensor], x: Tensor, wanted: tuple[Derivative, ...]) -> dict[Derivative, Tensor]:
    """Do what `by_autograd` does by ``torch.func.grad`` of functions of all points, into which a compiler sees."""

    def derivative(unknown: int, index: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        if not any(index):
            return lambda x: u(x)[:, unknown]
        axis, below = _below(index)
        lower = derivative(unknown, below)
        return lambda x: grad(lambda x: lower(x).sum())(x)[:, axis]

    return {(unknown, index): derivative(unknown, index)(x) for unknown, index in wanted}


def _half_square(jets: Tensor, roots: Tensor, factors: Tensor, program: ResidualProgram) -> Tensor:
    """Return ½ Σ rows² by operators all of which a compiler sees."""
    residuals = run(program.residual, [jets[channel, :, unknown] for channel, unknown in program.slots], jets)
    return 0.5 * (torch.stack(residuals) * roots * factors[:, None]).square().sum()


def _below(index: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return the axis of the last differentiation, and the multi-index before it."""
    axis = max(axis for axis, order in enumerate(index) if order)
    return axis, tuple(order - (k == axis) for k, order in enumerate(index))


def _applied(layers: Network, theta: Tensor, x: Tensor) -> Tensor:
    *hidden, (weight, bias) = layers.layers(theta)
    for w, b in hidden:
        x = torch.tanh(x @ w.T + b)
    return x @ weight.T + bias


def _entering(draw: Draw, task: Task) -> Tensor:
    """Draw points in [-1, 1]; return the jet of their coordinates (K, N, D)."""
    points = torch.erf(draw(task.points, task.equation.coordinates) / math.sqrt(2))
    slopes = points.new_tensor(task.equation.slopes)[:, None, :].expand(-1, task.points, -1)
    return torch.cat([points[None], slopes])


def _weights(draw: Draw, task: Task) -> tuple[Tensor, Tensor]:
    """Return the roots of the weights of the points, and the factors of the residuals: a mean square."""
    ones = draw(1).abs().sign()
    return ones.expand(task.points).clone() / task.points**0.5, ones.expand(
        len(task.equation.program.residual.outputs)
    ).clone()


def _theta(draw: Draw, layers: Network) -> Tensor:
    """Draw parameters as Glorot does, with biases besides."""
    parts = []
    for rows, columns in layers.shapes:
        parts += [draw(rows * columns) * (2 / (rows + columns)) ** 0.5, 0.1 * draw(rows)]
    return torch.cat(parts)


def _bytes(task: Task) -> float:
    """Of the coordinates, the weights of the points and the parameters."""
    return 4.0 * (task.points * (task.equation.coordinates + 1) + task.network.parameter_count)
