"""Non-linear equations: their rows linearised at the current mean, with continuation from the linear part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pdeml.gp.posterior import PosteriorAnsatz
from pdeml.gp.rows import Site, blended, rows_of
from pdeml.lower import Functionals, indices_of

__all__ = ["SHARES", "change", "next_rows"]

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
    unknowns = len(ansatz.kernels)
    jets, seen = [], theta.new_zeros(0, unknowns)
    for site in sites:
        indices, zero = indices_of(site.statement), (0,) * site.points.shape[1]
        wanted = indices if zero in indices else (zero, *indices)
        found = ansatz.derivatives(theta, site.points, wanted)
        jets.append(found if wanted == indices else found[1:])
        if site.statement.name == "equation":
            seen = found[wanted.index(zero)]
    rows = rows_of(sites, unknowns, jets)
    return (rows if share >= 1 else blended(rows_of(sites, unknowns), rows, share)), seen


def change(before: Tensor, after: Tensor) -> float:
    """Return ``‖after − before‖ / ‖after‖``, one where nothing was known before."""
    size = float(after.norm())
    if before.shape != after.shape or not size:
        return 1.0 if before.shape != after.shape else 0.0
    return float(torch.linalg.vector_norm(after - before)) / size
