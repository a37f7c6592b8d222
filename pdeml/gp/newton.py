"""Non-linear equations: their rows linearised at the current mean, with continuation from the linear part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pdeml.gp.posterior import PosteriorAnsatz
from pdeml.gp.rows import Site, blended, rows_of
from pdeml.lower import Functionals, indices_of

__all__ = ["SHARES", "change", "next_rows", "rows_at"]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the non-linear terms, one step each: the branch that continues the solution of the linear part is followed."""


def next_rows(
    ansatz: PosteriorAnsatz, theta: Tensor, sites: Sequence[Site], share: float
) -> tuple[tuple[Functionals, ...], Tensor]:
    """Linearise ``(1 − s) (R(0) + R′(0) u) + s R(u)`` at the mean u₀: a step of Gauss-Newton, and of a homotopy in s.

    Args:
        ansatz: family of the mean.
        theta: its parameters.
        sites: statements at points.
        share: s, of the problem itself; one: Newton's method.

    Returns: rows, and the values of u₀ at the points of the equations (N, U), to tell how much it moves.

    Reference: Chen, Hosseini, Owhadi & Stuart, *Solving and learning nonlinear PDEs with Gaussian processes* (2021),
    section 3.4, for Gauss-Newton; Allgower & Georg, *Numerical continuation methods* (1990), chapter 2.
    """
    (equation,) = (site for site in sites if site.statement.name == "equation")
    rows = rows_at(ansatz, theta, sites)
    if share < 1:
        rows = blended(rows_of(sites, len(ansatz.kernels)), rows, share)
    return rows, ansatz.values(theta, equation.points)


def rows_at(ansatz: PosteriorAnsatz, theta: Tensor, sites: Sequence[Site]) -> tuple[Functionals, ...]:
    """Return the rows of all sites, linearised at the mean; those of a linear problem are the same anywhere."""
    jets = [ansatz.derivatives(theta, site.points, indices_of(site.statement)) for site in sites]
    return rows_of(sites, len(ansatz.kernels), jets)


def change(before: Tensor, after: Tensor) -> float:
    """Return ``‖after − before‖ / ‖after‖``, one where nothing was known before."""
    size = float(after.norm())
    if before.shape != after.shape or not size:
        return 1.0 if before.shape != after.shape else 0.0
    return float(torch.linalg.vector_norm(after - before)) / size
