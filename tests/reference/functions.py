"""Input functions whose values are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeml.sampling.functions import Function


@dataclass(frozen=True)
class Sine(Function):
    """``amplitude * sin(rate * z)`` of one coordinate."""

    over: tuple[str, ...]
    rate: float
    amplitude: float = 1.0

    def at(self, points: np.ndarray, index: Any = None) -> np.ndarray:
        order = sum(index or ())
        return self.amplitude * self.rate**order * np.sin(self.rate * points[:, 0] + order * np.pi / 2)
