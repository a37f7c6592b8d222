"""Conjugate gradients for many right sides at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import RunError

__all__ = ["Iterated", "conjugate_gradients"]

Product = Callable[[Tensor], Tensor]
"""Multiplies (n, K) by a matrix."""


@dataclass(frozen=True, eq=False)
class Iterated:
    """What an iteration found.

    Args:
        x: (n,) or (n, K).
        iterations: how many products with the matrix were made.
        residual: the largest ``‖b − A x‖ / ‖b‖`` of the columns, of the recurrence.
    """

    x: Tensor
    iterations: int
    residual: float


def conjugate_gradients(
    times: Product,
    right: Tensor,
    precondition: Product | None = None,
    *,
    tolerance: float = 1e-10,
    most: int = 1000,
    start: Tensor | None = None,
) -> Iterated:
    """Solve ``A x = b`` for symmetric positive definite A; each column stops for itself.

    Args:
        times: multiplies (n, K) by A.
        right: b, (n,) or (n, K).
        precondition: multiplies by an approximate inverse of A, symmetric positive definite.
        tolerance: of ``‖b − A x‖ / ‖b‖``.
        most: iterations.
        start: first x; zero by default.

    Raises:
        RunError: A or the preconditioner is not positive definite, or something is not finite.

    Reference: Saad, *Iterative Methods for Sparse Linear Systems* (2003), algorithm 9.1.
    """
    b = right.reshape(len(right), -1)
    x = torch.zeros_like(b) if start is None else start.reshape(b.shape).clone()
    r = b - times(x) if start is not None else b.clone()
    sizes = b.norm(dim=0)
    z = precondition(r) if precondition else r
    p, rz = z.clone(), (r * z).sum(0)
    count = 0
    while count < most and bool((r.norm(dim=0) > tolerance * sizes).any()):
        moving = (r.norm(dim=0) > tolerance * sizes) & (rz != 0)
        ap = times(p)
        curvature = (p * ap).sum(0)
        if not bool((torch.isfinite(curvature) & ((curvature > 0) | ~moving)).all()):
            raise RunError("conjugate gradients need a matrix that is finite and positive definite")
        step = torch.where(moving, rz / torch.where(moving, curvature, 1.0), 0.0)
        x = x + step * p
        r = r - step * ap
        z = precondition(r) if precondition else r
        before, rz = rz, (r * z).sum(0)
        if bool(((rz < 0) & moving).any()):
            raise RunError("conjugate gradients need a preconditioner that is positive definite")
        p = torch.where(moving, z + rz / torch.where(before != 0, before, 1.0) * p, p)
        count += 1
    share = r.norm(dim=0) / torch.where(sizes > 0, sizes, 1.0)
    return Iterated(x.reshape(right.shape), count, float(share.max()) if share.numel() else 0.0)
