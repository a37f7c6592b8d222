"""Points with weights: what every sampler returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdeml.errors import InputError

__all__ = ["Points"]


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a region and the weights by which sums over them are means over the region.

    Attributes:
        x: coordinates, (N, D), columns in the order of the domain's coordinates.
        weights: (N,), not negative, summing to one: ``weights @ f(x)`` estimates the mean of f.
        normals: unit outward normals, (N, d) over the space coordinates, or None away from the boundary.
    """

    x: np.ndarray
    weights: np.ndarray
    normals: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.weights.shape != (len(self.x),):
            raise InputError(f"points of shape {self.x.shape} do not go with weights of shape {self.weights.shape}")
        if self.normals is not None and (self.normals.ndim != 2 or len(self.normals) != len(self.x)):
            raise InputError(f"points of shape {self.x.shape} do not go with normals of shape {self.normals.shape}")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def effective_size(self) -> float:
        """Number of equally weighted points of the same variance, ``1 / sum(weights**2)``; N where all are equal."""
        return float(1 / np.sum(self.weights**2))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Weighted mean over the points of ``values`` (N, ...)."""
        return np.tensordot(self.weights, values, axes=1)

    @staticmethod
    def equal(x: np.ndarray, normals: np.ndarray | None = None) -> Points:
        """Return the points with weights 1/N."""
        return Points(x, np.full(len(x), 1 / max(len(x), 1)), normals)

    @staticmethod
    def concatenate(parts: Sequence[Points], shares: Sequence[float] | None = None) -> Points:
        """Join point sets; normals are kept if all parts have them.

        Args:
            parts: at least one set.
            shares: how much each part stands for, such as the measures of their regions; by default its number of
                points.

        Raises:
            InputError: for no parts, or shares that are negative or all zero.
        """
        if not parts:
            raise InputError("there are no point sets to join")
        given = np.array([len(part) for part in parts] if shares is None else shares, dtype=np.float64)
        if given.shape != (len(parts),) or not np.all(given >= 0) or not 0 < given.sum() < np.inf:
            raise InputError(f"shares must be one number >= 0 for each of the {len(parts)} parts, got {given.tolist()}")
        normals = [part.normals for part in parts if part.normals is not None]
        return Points(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.weights * share for part, share in zip(parts, given / given.sum(), strict=True)]),
            np.concatenate(normals) if len(normals) == len(parts) else None,
        )
