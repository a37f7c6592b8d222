"""Steady flows: Newton's method after a few steps of Picard's, with more viscosity first where that fails."""

from __future__ import annotations

import numpy as np

from pdeml.errors import DivergenceError
from pdeml.reference.flow.model import Model

__all__ = ["solve_steady"]

PICARD, NEWTON = 3, 15
"""Steps; Picard's method converges from far away but slowly (John 2016, ch. 6)."""
TOLERANCE = 1e-10
"""Relative change of velocity in a step at which the iteration ends."""
CLOSE = 1e-2
"""Relative change below which Newton's method is taken at once."""
HARDER = 4.0
"""By this factor the viscosity falls from one flow to the next where it must be led to its value."""
MOST_LEVELS, MOST_TRIES = 10, 30
SLOW = 1e-3
"""A flow of a smaller Reynolds number than this is measured against the velocity of this one."""


def solve_steady(model: Model) -> tuple[np.ndarray, np.ndarray, dict[str, float | int]]:
    """Return velocity (1, 2, N), pressure (1, M) and facts: how many systems were solved, the divergence that is left.

    Raises:
        DivergenceError: no steady flow was found.
    """
    velocity, total, factors, tries = np.zeros((2, model.space.size)), 0, [1.0], 0
    while factors:
        tries += 1
        found, pressure, steps = _solve(model, factors[-1], velocity)
        total += steps
        if found is not None:
            velocity = found
            factors.pop()
        elif len(factors) < MOST_LEVELS and tries < MOST_TRIES:
            factors.append(factors[-1] * (HARDER if not velocity.any() or len(factors) == 1 else np.sqrt(HARDER)))
        else:
            raise DivergenceError(
                "no steady flow was found, also not by lowering the viscosity step by step; refine the grid, raise "
                "'subgrid', or give the problem a time"
            )
    facts = {"linear solves": total, "divergence": model.divergence(velocity)}
    return model.boundary.shown(velocity, 0.0)[None], model.boundary.shift(pressure, 0.0)[None], facts


def _solve(model: Model, factor: float, guess: np.ndarray) -> tuple[np.ndarray | None, np.ndarray, int]:
    """Return the flow with the viscosity multiplied by ``factor``, or None where the iteration does not converge."""
    space, boundary = model.space, model.boundary
    given, load = boundary.velocity(0.0), model.load(0.0)
    velocity, change = guess, np.inf
    pressure = np.zeros(space.divergence.shape[0])
    extent = np.ptp(space.nodes, axis=0).max()
    slow = SLOW * model.viscosity / (abs(model.convection) * extent) if model.convection else 0.0
    least = slow * np.sqrt(velocity.size)
    for step in range(PICARD + NEWTON):
        speed = float(np.abs(velocity).max() or np.abs(given).max())
        matrix, right = factor * model.friction(speed), load
        if model.convection and velocity.any():
            matrix = matrix + model.transport(velocity)
            if step >= PICARD or change < CLOSE:
                matrix = matrix + model.convection * space.reaction(velocity)
                right = right + model.convection * space.convection(velocity)
        new, pressure = model.factorised(matrix).solve(right, given)
        before, change = change, float(np.linalg.norm(new - velocity) / (max(np.linalg.norm(new), least) or 1.0))
        velocity = new
        if not np.isfinite(change) or (step > PICARD + 2 and change > 10 * before):
            return None, pressure, step + 1
        if change < TOLERANCE or not model.convection:
            return velocity, pressure, step + 1
    return None, pressure, PICARD + NEWTON
