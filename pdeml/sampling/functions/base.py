"""The role of an input function: a known function of some coordinates, with the derivatives it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from pdeml.errors import InputError

__all__ = ["Function"]


class Function(ABC):
    """One drawn function. Frozen.

    Attributes:
        over: names of the coordinates it depends on; the columns of points, and the axes of grids, in this order.
    """

    over: tuple[str, ...]

    @abstractmethod
    def at(self, points: np.ndarray, index: Sequence[int] | None = None) -> np.ndarray:
        """Evaluate the function, or a partial derivative.

        Args:
            points: (N, len(over)).
            index: order of the derivative along each coordinate of ``over``; None for the value.
        Returns: (N,), float64.
        Raises:
            InputError: it has no such derivative.
        """

    def on_grid(self, axes: Sequence[np.ndarray], index: Sequence[int] | None = None) -> np.ndarray:
        """Evaluate on a tensor grid; a class that can do better than point by point overrides this.

        Args:
            axes: 1-D values for each coordinate of ``over``.
            index: as for `at`.
        Returns: array of shape ``(len(axes[0]), len(axes[1]), …)``.
        """
        mesh = np.meshgrid(*axes, indexing="ij")
        return self.at(np.stack([part.ravel() for part in mesh], axis=1), index).reshape(mesh[0].shape)

    def _refuse_derivative(self, index: Sequence[int] | None, why: str) -> None:
        """Raise `InputError` unless ``index`` asks for the value itself."""
        if index is not None and any(index):
            raise InputError(f"the derivative of order {tuple(index)} over {', '.join(self.over)} is needed, but {why}")
