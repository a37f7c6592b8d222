"""Limited-memory BFGS with a strong-Wolfe line search, as pure steps on a state; it says why it stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.optim.base import Objective, State, Step

__all__ = ["LBFGS"]


@dataclass(frozen=True)
class LBFGS:
    """Quasi-Newton descent that remembers the last ``memory`` pairs (Δz, Δgradient).

    Args:
        memory: number of pairs.
        decrease: sufficient-decrease constant c₁ of the Wolfe conditions.
        curvature: curvature constant c₂.
        evaluations: most evaluations of one line search.
        smallest_gradient: stop when the largest component of the gradient is below.

    Reference: Nocedal & Wright, *Numerical Optimization* (2006), algorithms 7.4, 3.5 and 3.6.
    """

    memory: int = 50
    decrease: float = 1e-4
    curvature: float = 0.9
    evaluations: int = 25
    smallest_gradient: float = 1e-14

    def start(self, z: Tensor) -> State:
        """Return an empty memory."""
        empty = z.new_zeros(self.memory, len(z))
        here = {"known": torch.tensor(0), "value": z.new_zeros(()), "gradient": torch.zeros_like(z)}
        return {"pairs": torch.tensor(0), "moves": empty, "changes": empty.clone(), **here}

    def restart(self, state: State) -> State:
        """Forget the pairs and the gradient: they belong to the old objective."""
        return {**state, "pairs": torch.tensor(0), "known": torch.tensor(0)}

    def step(self, objective: Objective, z: Tensor, state: State) -> Step:
        """Search along the quasi-Newton direction; without progress, once more along the steepest descent."""
        known = bool(state["known"])
        value, gradient = (state["value"], state["gradient"]) if known else objective.gradient(z)
        if not torch.isfinite(gradient).all():
            return Step(z, state, float(value), "the gradient is not finite")
        if float(gradient.abs().max()) <= self.smallest_gradient:
            return Step(z, state, float(value), f"the gradient is below {self.smallest_gradient:g} everywhere")
        direction = self._direction(gradient, state)
        if float(direction @ gradient) >= 0:
            state, direction = self.restart(state), -gradient
        first = 1.0 if int(state["pairs"]) else min(1.0, 1.0 / float(gradient.abs().sum()))
        found = _line_search(objective, z, direction, (float(value), gradient), first, self)
        if found is None and int(state["pairs"]):
            return self.step(objective, z, self.restart(state))
        if found is None:
            return Step(z, state, float(value), "no decrease along the steepest descent: the precision is used up")
        length, new_value, new_gradient = found
        move = length * direction
        here = {"known": torch.tensor(1), "value": z.new_tensor(new_value), "gradient": new_gradient}
        return Step(z + move, {**self._remember(state, move, new_gradient - gradient), **here}, new_value)

    def _direction(self, gradient: Tensor, state: State) -> Tensor:
        """Return ``−H g`` by the two-loop recursion."""
        q, alphas = -gradient, []
        pairs = [(state["moves"][k], state["changes"][k]) for k in range(int(state["pairs"]))]
        for move, change in reversed(pairs):
            alpha = (move @ q) / (move @ change)
            alphas.append(alpha)
            q = q - alpha * change
        if pairs:
            move, change = pairs[-1]
            q = q * ((move @ change) / (change @ change))
        for (move, change), alpha in zip(pairs, reversed(alphas), strict=True):
            q = q + move * (alpha - (change @ q) / (move @ change))
        return q

    def _remember(self, state: State, move: Tensor, change: Tensor) -> State:
        """Add a pair, dropping the oldest; a pair without positive curvature is not used."""
        if float(move @ change) <= 1e-12 * float(move.norm() * change.norm()):
            return state
        count, moves, changes = int(state["pairs"]), state["moves"].clone(), state["changes"].clone()
        if count == self.memory:
            moves, changes, count = moves.roll(-1, 0), changes.roll(-1, 0), count - 1
        moves[count], changes[count] = move, change
        return {**state, "pairs": torch.tensor(count + 1), "moves": moves, "changes": changes}


@dataclass(frozen=True)
class _Trial:
    length: float
    value: float
    slope: float
    gradient: Tensor


def _line_search(
    objective: Objective, z: Tensor, direction: Tensor, start: tuple[float, Tensor], first: float, options: LBFGS
) -> tuple[float, float, Tensor] | None:
    """Find a length that meets the strong Wolfe conditions, or the best decrease found, or none."""

    def evaluate(length: float) -> _Trial:
        value, gradient = objective.gradient(z + length * direction)
        value = float(value) if math.isfinite(float(value)) else math.inf
        return _Trial(length, value, float(gradient @ direction), gradient)

    origin = _Trial(0.0, start[0], float(start[1] @ direction), start[1])
    best = _bracket(evaluate, origin, first, options)
    return (best.length, best.value, best.gradient) if best.value < origin.value else None


def _bracket(evaluate: Callable[[float], _Trial], origin: _Trial, first: float, options: LBFGS) -> _Trial:
    """Grow the length until an interval contains a good one (algorithm 3.5)."""
    previous, length = origin, first
    for count in range(options.evaluations):
        trial = evaluate(length)
        remaining = options.evaluations - count - 1
        if trial.value > origin.value + options.decrease * length * origin.slope or (
            count and trial.value >= previous.value
        ):
            return _zoom(evaluate, origin, previous, trial, remaining, options)
        if abs(trial.slope) <= -options.curvature * origin.slope:
            return trial
        if trial.slope >= 0:
            return _zoom(evaluate, origin, trial, previous, remaining, options)
        previous, length = trial, 2.0 * length
    return previous


def _zoom(
    evaluate: Callable[[float], _Trial], origin: _Trial, low: _Trial, high: _Trial, remaining: int, options: LBFGS
) -> _Trial:
    """Shrink an interval that contains a good length (algorithm 3.6) by guarded quadratic interpolation."""
    for _ in range(remaining):
        trial = evaluate(_interpolated(low, high))
        if trial.value > origin.value + options.decrease * trial.length * origin.slope or trial.value >= low.value:
            high = trial
            continue
        if abs(trial.slope) <= -options.curvature * origin.slope:
            return trial
        if trial.slope * (high.length - low.length) >= 0:
            high = low
        low = trial
    return low


def _interpolated(low: _Trial, high: _Trial) -> float:
    width = high.length - low.length
    drop = high.value - low.value - low.slope * width
    if not math.isfinite(drop) or drop <= 0:
        return low.length + 0.5 * width
    return low.length + min(max(-0.5 * low.slope * width / drop, 0.1), 0.9) * width
