"""Derivatives of what an equation defines: of roots, fixed points and minimisers, by one linear solution each.

The solver inside may be anything; it is never differentiated, and nothing of its iterations is kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor
from torch.func import grad, vjp

from pdeml.errors import InputError, RunError, one_of
from pdeml.linalg.krylov import conjugate_gradients

__all__ = ["LINEAR", "implicit_argmin", "implicit_fixed_point", "implicit_root"]

Product = Callable[[Tensor], Tensor]
"""Multiplies an array of the shape of x by a matrix."""

LinearSolver = Callable[[Product, Product, Tensor], Tensor]
"""Solves ``A y = b`` given the products with A and with Aᵀ, and b."""

_DENSE = 1500
_TOLERANCE = 1e-12
_ACCEPTED = 1e-6
_MOST = 5000


def implicit_root(
    residual: Callable[..., Tensor], solver: Callable[..., Any], linear: str | LinearSolver = "auto"
) -> Callable[..., Tensor]:
    """Return ``x*(θ)``, the root of ``F(x, θ) = 0``, as a function of θ that can be differentiated.

    With ``A = ∂F/∂x`` and ``B = ∂F/∂θ`` at the root, ``dx* = −A⁻¹ B dθ``: a gradient v goes back as ``−Bᵀ A⁻ᵀ v``.
    Derivatives of any order follow, in forward mode of the first; the error of the first is at most a constant times
    that of the root. Products with A and B come from automatic differentiation of F.

    Args:
        residual: ``F(x, *parameters)``, of the shape of x, made of operations that torch differentiates.
        solver: ``solver(*parameters)`` returns x (a tensor, or an array); it sees detached tensors. A is to be regular
            where it ends.
        linear: ``dense``, ``cg`` (A symmetric positive definite), ``normal_cg``, ``gmres``; ``auto`` is dense up to
            1500 unknowns and GMRES beyond; or a function of the products with A and with Aᵀ, and of b, that returns
            ``A⁻¹ b``: a factorisation that the solver holds, say.

    Returns: a function of the parameters: tensors of any shapes. Whatever else F needs, it closes over.

    Raises:
        InputError: the linear solver is unknown.
        RunError: (from the gradient) a linear solution is not found, as where A is singular.

    Reference: Blondel et al., *Efficient and modular implicit differentiation* (2022), sections 2.1 and 2.2.
    """
    if isinstance(linear, str) and linear not in LINEAR:
        raise InputError(one_of(linear, LINEAR, "a linear solver"))
    chosen = LINEAR[linear] if isinstance(linear, str) else linear

    @functools.wraps(solver)
    def root(*parameters: Tensor) -> Tensor:
        return _Root.apply(residual, solver, chosen, *parameters)

    return root


def implicit_fixed_point(
    function: Callable[..., Tensor], solver: Callable[..., Any], linear: str | LinearSolver = "auto"
) -> Callable[..., Tensor]:
    """Return the fixed point ``x* = T(x*, θ)`` as a function of θ that can be differentiated; see `implicit_root`.

    Args:
        function: ``T(x, *parameters)``.
        solver: finds the fixed point.
        linear: solves with ``1 − ∂T/∂x``.
    """
    return implicit_root(lambda x, *parameters: x - function(x, *parameters), solver, linear)


def implicit_argmin(
    objective: Callable[..., Tensor], solver: Callable[..., Any], linear: str | LinearSolver = "auto"
) -> Callable[..., Tensor]:
    """Return the minimiser ``x*(θ)`` of ``f(x, θ)`` as a function of θ that can be differentiated.

    Args:
        objective: ``f(x, *parameters)``, a scalar that torch differentiates twice.
        solver: finds the minimiser.
        linear: solves with the Hessian, which is symmetric: ``cg`` where there are many unknowns.

    See `implicit_root`.
    """
    return implicit_root(grad(objective), solver, linear)


class _Root(torch.autograd.Function):
    """The root; its backward pass is built of roots, so that it can be differentiated again."""

    @staticmethod
    def forward(residual: Callable, solver: Callable, linear: LinearSolver, *parameters: Tensor) -> Tensor:
        with torch.no_grad():
            found = solver(*(p.detach() for p in parameters))
        found = found.clone() if isinstance(found, Tensor) else torch.tensor(found)
        return found.to(parameters[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.residual, _, ctx.linear, *parameters = inputs
        ctx.save_for_backward(output, *parameters)
        ctx.save_for_forward(output, *parameters)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        residual, linear = ctx.residual, ctx.linear

        def adjoint_residual(u: Tensor, v: Tensor, x: Tensor, *parameters: Tensor) -> Tensor:
            return _pulled(residual, x, parameters)(u) - v

        def solved(v: Tensor, x: Tensor, *parameters: Tensor) -> Tensor:
            return _solved(linear, _pulled(residual, x, parameters), _pushed(residual, x, parameters), v)

        def swapped(times: Product, transposed: Product, right: Tensor) -> Tensor:
            return _solved(linear, times, transposed, right)

        if torch.is_grad_enabled():
            adjoint = _Root.apply(adjoint_residual, solved, swapped, gradient, x, *parameters)
        else:
            adjoint = solved(gradient, x, *parameters)
        wanted = [k for k, needed in enumerate(ctx.needs_input_grad[3:]) if needed]

        def partial(*chosen: Tensor) -> Tensor:
            every = list(parameters)
            for k, value in zip(wanted, chosen, strict=True):
                every[k] = value
            return residual(x, *every)

        found = vjp(partial, *(parameters[k] for k in wanted))[1](-adjoint)
        result: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        for k, value in zip(wanted, found, strict=True):
            result[3 + k] = value
        return tuple(result)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        x, *parameters = ctx.saved_tensors
        along = [torch.zeros_like(p) if t is None else t for p, t in zip(parameters, tangents[3:], strict=True)]
        pull = vjp(lambda *p: ctx.residual(x, *p), *parameters)[1]
        (moved,) = vjp(pull, torch.zeros_like(x))[1](tuple(along))
        times, transposed = _pushed(ctx.residual, x, parameters), _pulled(ctx.residual, x, parameters)
        return -_solved(ctx.linear, times, transposed, moved)


def _pulled(residual: Callable, x: Tensor, parameters: tuple[Tensor, ...] | list[Tensor]) -> Product:
    """Return the product with Aᵀ."""
    pull = vjp(lambda y: residual(y, *parameters), x)[1]
    return lambda u: pull(u)[0]


def _pushed(residual: Callable, x: Tensor, parameters: tuple[Tensor, ...] | list[Tensor]) -> Product:
    """Return the product with A: the transpose of a transpose, so that F need not know forward mode."""
    pull = _pulled(residual, x, parameters)
    push = vjp(pull, torch.zeros_like(x))[1]
    return lambda u: push(u)[0]


def _solved(linear: LinearSolver, times: Product, transposed: Product, right: Tensor) -> Tensor:
    """Solve, and look whether it is solved."""
    found = linear(times, transposed, right)
    off, size = float((times(found) - right).norm()), float(right.norm())
    if not off <= _ACCEPTED * size or not math.isfinite(size):
        raise RunError(
            f"the linear equation of an implicit derivative is not solved (residual {off:.1e} of {size:.1e}): the "
            "Jacobian is singular, or the linear solver does not suit it"
        )
    return found


def _dense(times: Product, transposed: Product, right: Tensor) -> Tensor:
    identity = torch.eye(right.numel(), dtype=right.dtype, device=right.device)
    columns = [times(unit.reshape(right.shape)).reshape(-1) for unit in identity]
    found, info = torch.linalg.solve_ex(torch.stack(columns, 1), right.reshape(-1))
    if int(info):
        raise RunError("the Jacobian of an implicit derivative is singular")
    return found.reshape(right.shape)


def _cg(times: Product, transposed: Product, right: Tensor) -> Tensor:
    def flat(v: Tensor) -> Tensor:
        return times(v.reshape(right.shape)).reshape(-1, 1)

    found = conjugate_gradients(flat, right.reshape(-1), tolerance=_TOLERANCE, most=_MOST)
    return found.x.reshape(right.shape)


def _normal_cg(times: Product, transposed: Product, right: Tensor) -> Tensor:
    return _cg(lambda v: transposed(times(v)), times, transposed(right))


def _gmres(times: Product, transposed: Product, right: Tensor) -> Tensor:
    def flat(v: np.ndarray) -> np.ndarray:
        return times(torch.as_tensor(v).to(right).reshape(right.shape)).reshape(-1).cpu().numpy()

    size = right.numel()
    operator = LinearOperator((size, size), matvec=flat, dtype=np.float64)
    flat_right = right.detach().reshape(-1).cpu().numpy()
    found, _ = gmres(operator, flat_right, rtol=_TOLERANCE, restart=min(size, 200), maxiter=_MOST // 200)
    return torch.as_tensor(found).to(right).reshape(right.shape)


def _auto(times: Product, transposed: Product, right: Tensor) -> Tensor:
    return (_dense if right.numel() <= _DENSE else _gmres)(times, transposed, right)


LINEAR: dict[str, LinearSolver] = {
    "auto": _auto,
    "cg": _cg,
    "dense": _dense,
    "gmres": _gmres,
    "normal_cg": _normal_cg,
}
"""Solvers of linear equations by name."""
