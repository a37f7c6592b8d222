"""Residuals on points that a solution was not made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pdeml.lower import Ansatz, ResidualSystem, Statement, make_block
from pdeml.sampling.draw import sample

__all__ = ["fresh_norms"]

_STREAM = 1_000_003  # points of this stream are for measuring only


def fresh_norms(
    statements: Sequence[Statement], ansatz: Ansatz, theta_P: Tensor, seed: int, count: int = 4096
) -> dict[str, float]:
    """Return the root mean square of each scaled residual on fresh scrambled Sobol points.

    Args:
        statements: what shall hold.
        ansatz: family of functions.
        theta_P: its parameters; no parameter of the problem is learned.
        seed: of the points.
        count: points of each statement; a single point is taken once.
    """
    blocks = []
    for number, statement in enumerate(statements):
        own = len(statement.region.parts) if statement.region.is_point else count
        points = sample(statement.region, own, "sobol", (seed, _STREAM, number))
        x, weights = (
            torch.tensor(np.ascontiguousarray(array), dtype=theta_P.dtype, device=theta_P.device)
            for array in (points.x, points.weights)
        )
        normals = None if points.normals is None else torch.as_tensor(points.normals).to(theta_P)
        blocks.append(make_block(statement, ansatz, x, weights, normals))
    return ResidualSystem(tuple(blocks), ansatz.parameter_count).norms(theta_P)
