"""How many patches and features each coordinate of a box gets: from its bandwidth and a level of refinement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pdeml.errors import InputError, one_of
from pdeml.features.axis import PatchedAxis
from pdeml.features.local import ACTIVATIONS, draw_space
from pdeml.problem import Problem

__all__ = ["GROWTH", "plan_axes"]

GROWTH = 1.5
"""A level has so many times the reach of the one before: the radius of a patch times the number of patches."""
_LOAD = (
    0.75  # of the radius: the wave number that a patch of sines resolves to about 1e-11 (tests/features/test_plan.py)
)
_RADII = (8.0, 32.0)  # of sines: smallest, for smooth functions, and largest, beyond which rounding errors grow
_TANH_RADIUS, _TANH_LOAD = 1.0, 3.0  # a tanh is no wave: of radius 1, it resolves 3 to 1e-10; steeper ones less


def plan_axes(
    problem: Problem,
    highest: Sequence[float],
    level: int = 0,
    *,
    activation: str = "sin",
    patches: Sequence[int | None] | None = None,
    features: int | None = None,
    radius: float | None = None,
    seed: int = 0,
) -> tuple[PatchedAxis, ...]:
    """Return an axis for each coordinate of a problem on a box.

    On level 0 a wave of the highest wave number is resolved to about 1e-10; the reach grows by `GROWTH` a level, and
    with it the functions of a patch as far as rounding errors allow, then the patches.

    Args:
        problem: gives the intervals and the order of its equations along each coordinate.
        highest: angular wave number along each coordinate, as `pdeml.lower.bandwidth` estimates it.
        level: of refinement.
        activation: ``sin`` or ``tanh``.
        patches: of each coordinate on level 0, None for as many as are needed.
        features: functions a patch at most; all that the radius gives by default.
        radius: of the features on a patch; by default what suits the wave number and the activation.
        seed: of the draws.

    Raises:
        InputError: an unknown activation, or what `draw_space` and `PatchedAxis` refuse.
    """
    if activation not in ACTIVATIONS:
        raise InputError(one_of(str(activation), ACTIVATIONS, "an activation of random features"), ("activation",))
    given = patches or (None,) * len(highest)
    axes = []
    for k, (name, (low, high)) in enumerate(
        zip(problem.names.coordinates, problem.domain.bounds.tolist(), strict=True)
    ):
        waves = 0.5 * (high - low) * highest[k]
        count, reach = _patches(waves, level, activation, given[k], features, radius)
        order = max((form.order(name) for form in problem.forms), default=0)
        space = draw_space(1, reach, features or _functions(reach), activation=activation, seed=seed + k)
        axes.append(PatchedAxis(low, high, count, order, space))
    return tuple(axes)


def _patches(
    waves: float, level: int, activation: str, given: int | None, features: int | None, radius: float | None
) -> tuple[int, float]:
    """Return the number of patches and the radius on each."""
    growth = GROWTH**level
    if activation == "tanh":
        own = radius or _TANH_RADIUS
        return math.ceil((given or max(1.0, waves / (_TANH_LOAD * own))) * growth), own
    reach = max(_RADII[0], waves / _LOAD) * growth
    largest = radius or min(_RADII[1], _radius_for(features) if features else math.inf)
    count = math.ceil(given * growth) if given else math.ceil(reach / largest)
    return count, radius or min(largest, max(reach / count, _RADII[0]))


def _functions(radius: float) -> int:
    """Return at least the number of functions whose norms are not lost in rounding errors (the space keeps these)."""
    return math.ceil(radius) + 24


def _radius_for(features: int) -> float:
    """Return the radius at which a patch has about that many functions: 16 and 0.8 for each unit of it (measured)."""
    return max(2.0, (features - 16) / 0.8)
