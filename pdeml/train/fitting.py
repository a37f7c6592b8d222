"""How an operator is fitted to samples: the options of training, and the schedule of the step size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Fitting"]

_WARM, _LOW = 0.1, 0.04
"""Of one cycle: the share of the steps in which the rate rises, and the ratio of its first value to its largest."""


@dataclass(frozen=True)
class Fitting:
    """How an operator is fitted to samples.

    Args:
        epochs: passes over the training part.
        batch: samples a step, over all processes.
        rate: largest step size.
        schedule: of the step size; see `rate_at`.
        weight_decay: of AdamW.
        loss: ``relative_l2``, ``h1`` (both: mean over samples of the relative error) or ``mse`` (of scaled outputs).
        clip: largest norm of the gradient, or none.
        ema: decay of the average of the weights that is kept as the result, or none; see `ema_at`.
        patience: epochs without gain on the validation part before training ends; the best weights on it are kept.
        unroll: windows that a step goes through, of an operator that goes on in time.
        pushforward: whether gradients flow through the last of them only, and it alone counts.
    """

    epochs: int
    batch: int
    rate: float
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    weight_decay: float = 1e-4
    loss: Literal["relative_l2", "h1", "mse"] = "relative_l2"
    clip: float | None = 1.0
    ema: float | None = None
    patience: int | None = None
    unroll: int = 1
    pushforward: bool = False

    def rate_at(self, step: int, steps: int) -> float:
        """Return the step size of step 0, 1, ... of ``steps``.

        With s = step/steps: ``constant``: rate; ``cosine``: rate (1 + cos πs)/2; ``one_cycle``: for s < 0.1 up from
        0.04 rate along a cosine, then down to 0 along another.

        Reference: Smith & Topin, *Super-convergence* (2018), with cosines in place of straight lines.
        """
        share = step / max(steps, 1)
        if self.schedule == "constant":
            return self.rate
        if self.schedule == "one_cycle" and share < _WARM:
            return self.rate * (_LOW + (1 - _LOW) * 0.5 * (1 - math.cos(math.pi * share / _WARM)))
        if self.schedule == "one_cycle":
            share = (share - _WARM) / (1 - _WARM)
        return self.rate * 0.5 * (1 + math.cos(math.pi * share))

    def ema_at(self, step: int) -> float:
        """Return the decay of the average after step 0, 1, ...: ``min(ema, (1 + step)/(10 + step))``.

        It grows from 0.1, so that the initial weights are soon forgotten.
        """
        return min(self.ema, (1 + step) / (10 + step))
