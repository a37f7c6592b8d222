"""The role of a reference: trusted values at points, with a stated error floor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError
from pdeml.problem import Problem

__all__ = ["Parameters", "Reference", "as_points"]

Parameters = Mapping[str, "float | np.ndarray"]


class Reference(ABC):
    """What a solution is compared with. Frozen.

    Attributes:
        floor: relative L2 error of the reference where it knows best; errors near it mean nothing.
        description: one line for reports.
        unknowns: the real unknowns it knows, in declared order.
        costly: whether the first value takes a computation, which is left until it is needed.
    """

    costly: ClassVar[bool] = False

    floor: float
    description: str
    unknowns: tuple[str, ...]

    @abstractmethod
    def evaluate(self, points: ArrayLike, parameters: Parameters | None = None) -> dict[str, np.ndarray]:
        """Evaluate at points.

        Args:
            points: (N, D), columns in the order of the problem's coordinates.
            parameters: name -> number or array (N,), in place of the problem's own values.
        Returns: real unknown -> (N,) float64.
        Raises:
            InputError: for points of the wrong shape or outside of what is known.
        """

    def floor_at(self, points: ArrayLike, parameters: Parameters | None = None) -> float:
        """Return the relative L2 error of the reference itself at these points; 0 where nobody knows.

        Args:
            points: as for `evaluate`.
            parameters: as for `evaluate`.

        Raises:
            InputError: it cannot be evaluated there.
        """
        return self.floor

    def known_points(self, count: int, rng: np.random.Generator) -> np.ndarray | None:
        """Return up to ``count`` points (N, D) of the domain's box where it does not interpolate; None: everywhere."""
        return None


def as_points(points: ArrayLike, problem: Problem) -> np.ndarray:
    """Return ``points`` as float64 of shape (N, D), or raise `InputError`."""
    array = np.asarray(points, dtype=np.float64)
    names = problem.names.coordinates
    if array.ndim != 2 or array.shape[1] != len(names):
        raise InputError(f"points must have shape (N, {len(names)}), columns {', '.join(names)}; got {array.shape}")
    return array
