"""Damped Gauss-Newton (Levenberg-Marquardt) with geodesic acceleration, dense."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.linalg import Factor, NotPositiveDefinite, factor_spd, gram
from pdeml.optim.base import Objective, State, Step

__all__ = ["GaussNewton"]


@dataclass(frozen=True)
class GaussNewton:
    """Minimise ½‖r(z)‖² by ``d = −(JᵀJ + λI)⁻¹ Jᵀ r`` plus a second-order correction along the path.

    The correction follows the curvature of r along d: ``k = (2/h) [(r(z + h d) − r)/h − J d]``,
    ``a = −½ (JᵀJ + λI)⁻¹ Jᵀ k``, added while it is small beside d. Any decrease is accepted.

    Args:
        damping: first λ.
        shrink: λ is divided by this after a success.
        grow: λ is multiplied by this after a failure.
        floor: smallest λ.
        ceiling: λ beyond which a step counts as impossible.
        probe: h.
        largest_bend: the correction is used while ``|a| ≤ largest_bend · |d|``.

    Reference: Transtrum & Sethna, *Improvements to the Levenberg-Marquardt algorithm* (2012), §§2-4. Two things differ:
        the test on the correction is laxer than theirs, ``2 |a| ≤ 0.75 |d|``, and the diagonal is not scaled.
    """

    damping: float = 1.0
    shrink: float = 3.0
    grow: float = 4.0
    floor: float = 1e-13
    ceiling: float = 1e10
    probe: float = 0.1
    largest_bend: float = 0.75

    def start(self, z: Tensor) -> State:
        """Return the first damping."""
        return {"damping": torch.tensor(self.damping, dtype=torch.float64)}

    def restart(self, state: State) -> State:
        """Keep the damping: new points change the objective little."""
        return state

    def step(self, objective: Objective, z: Tensor, state: State) -> Step:
        """Try growing dampings until one decreases the objective."""
        damping = float(state["damping"])
        r, jacobian = objective.linearise(z)
        before = 0.5 * float(r.square().sum())
        matrix, slope = gram(jacobian), jacobian.T @ r
        if not (torch.isfinite(slope).all() and torch.isfinite(matrix).all()):
            return Step(z, state, before, "the residual or its Jacobian is not finite")
        while damping <= self.ceiling:
            try:
                factor = factor_spd(matrix, damping, attempts=0)
            except NotPositiveDefinite:  # by rounding alone: a larger damping mends it
                damping *= self.grow
                continue
            trial = z + self._direction(objective, z, r, jacobian, slope, factor)
            after = float(objective.value(trial))
            if after < before:
                return Step(trial, _state(max(damping / self.shrink, self.floor)), after)
            damping *= self.grow
        return Step(z, _state(self.damping), before, "no damped step decreases the residual")

    def _direction(
        self, objective: Objective, z: Tensor, r: Tensor, jacobian: Tensor, slope: Tensor, factor: Factor
    ) -> Tensor:
        direction = -factor.solve(slope)
        ahead = objective.residual(z + self.probe * direction)
        bend = (2.0 / self.probe) * ((ahead - r) / self.probe - jacobian @ direction)
        correction = -0.5 * factor.solve(jacobian.T @ bend)
        if float(correction.norm()) <= self.largest_bend * float(direction.norm()):
            return direction + correction
        return direction


def _state(damping: float) -> State:
    return {"damping": torch.tensor(damping, dtype=torch.float64)}
