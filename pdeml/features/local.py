"""Random features on the cube [−1, 1]^d, orthonormalised: the functions of one patch.

Shapes: N (points), d (coordinates), J (features), m (functions).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError, one_of

__all__ = ["ACTIVATIONS", "LocalSpace", "draw_space", "gauss_points"]

DRAWN = 3
"""Features drawn for each function that is kept."""
DEGREE = 4
"""Total degree of the polynomials that are added to the features."""
TOLERANCE = 1e-13
"""Combinations of features whose norm is below this share of the largest are left out."""
_MAX_VALUES = 2**27  # numbers in the matrix that is orthonormalised: 1 GiB


def _sine(z: Tensor, order: int) -> Tensor:
    return torch.sin(z + 0.5 * math.pi * (order % 4))


def _tanh(z: Tensor, order: int) -> Tensor:
    """``dⁿ tanh z/dzⁿ = P_n(tanh z)`` with ``P_{n+1} = P_n' (1 − y²)``."""
    y = torch.tanh(z)
    result = torch.zeros_like(y)
    for coefficient in reversed(_tanh_polynomial(order)):
        result = result * y + coefficient
    return result


@cache
def _tanh_polynomial(order: int) -> tuple[float, ...]:
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(order):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1.0, 0.0, -1.0])
    return tuple(polynomial.coef.tolist())


ACTIVATIONS: dict[str, Callable[[Tensor, int], Tensor]] = {"sin": _sine, "tanh": _tanh}
"""name -> (z, order) -> derivative of that order at z."""


@dataclass(frozen=True, eq=False)
class LocalSpace:
    """Functions ``φ_j(ξ) = Σ_i T_ij f_i(ξ)`` with features ``σ(k_i·ξ + b_i)`` and monomials ``ξ^a``, on [−1, 1]^d.

    The weights k, b are drawn and kept; T makes the functions orthonormal in the quadrature they were made with.
    Made by `draw_space`.

    Args:
        activation: σ, one of `ACTIVATIONS`.
        weights: k, (J, d).
        biases: b, (J,).
        powers: the exponents a of the monomials.
        mixing: T, (J + number of monomials, m).
        singular: norms of the m orthogonal combinations before they were normalised, falling, (m,).
    """

    activation: str
    weights: Tensor
    biases: Tensor
    powers: tuple[tuple[int, ...], ...]
    mixing: Tensor
    singular: Tensor

    @property
    def size(self) -> int:
        """Number m of functions."""
        return self.mixing.shape[1]

    @property
    def dimension(self) -> int:
        """Number d of coordinates."""
        return self.weights.shape[1]

    def values(self, points_Nd: Tensor, index: Sequence[int] = ()) -> Tensor:
        """Return ``∂^index φ_j`` at points of the cube, (N, m).

        Args:
            points_Nd: in the coordinates ξ of the cube.
            index: order of differentiation along each of them; none by default.
        """
        return self.features(points_Nd, index) @ self.mixing

    def features(self, points_Nd: Tensor, index: Sequence[int] = ()) -> Tensor:
        """Return the same of the features and monomials themselves, (N, J + number of monomials)."""
        index = tuple(index) or (0,) * self.dimension
        return _features(self.activation, self.weights, self.biases, self.powers, points_Nd, index)


def draw_space(
    dimension: int,
    radius: float,
    size: int,
    *,
    activation: str = "sin",
    seed: int = 0,
    degree: int = DEGREE,
    quadrature: tuple[Tensor, Tensor] | None = None,
) -> LocalSpace:
    """Draw features and keep the ``size`` combinations of largest norm, orthonormalised.

    The weights are uniform in the ball of the given radius: the features then cover the wave numbers up to it, and no
    others (Li, Ton, Oglic and Sejdinovic 2019, section 4: what the weights do not cover no width can make up for).
    A tanh turns where k·ξ + b = 0; that place is drawn uniformly too.

    Args:
        dimension: d, number of coordinates.
        radius: R, largest angular wave number on [−1, 1]^d.
        size: m; fewer are kept where their norms fall below `TOLERANCE` of the largest.
        activation: ``sin`` or ``tanh``.
        seed: of the draw.
        degree: largest total degree of the monomials that are added.
        quadrature: points (K, d) and positive weights (K,); Gauss points of the cube by default.

    Raises:
        InputError: an unknown activation, a radius or a size that is not positive, or a matrix beyond the memory.
    """
    if activation not in ACTIVATIONS:
        raise InputError(one_of(str(activation), ACTIVATIONS, "an activation of random features"), ("activation",))
    if not (math.isfinite(radius) and radius > 0):
        raise InputError(f"the radius of the random features must be a positive number, got {radius!r}", ("radius",))
    if size < 1:
        raise InputError(f"a patch needs at least one feature, got {size}", ("features",))
    side = _points_a_side(dimension, radius, size)
    powers = tuple(a for a in itertools.product(range(degree + 1), repeat=dimension) if sum(a) <= degree)
    _refuse_too_large(side**dimension if quadrature is None else len(quadrature[0]), DRAWN * size + len(powers), size)
    points, measure = quadrature or gauss_points(dimension, side)
    generator = torch.Generator().manual_seed(seed)
    weights, biases = _draw(dimension, radius, DRAWN * size, activation, generator)
    weights, biases = weights.to(points), biases.to(points)
    values = _features(activation, weights, biases, powers, points, (0,) * dimension)
    _, singular, right = torch.linalg.svd(measure.sqrt()[:, None] * values, full_matrices=False)
    kept = min(size, int((singular > TOLERANCE * singular[0]).sum()))
    return LocalSpace(activation, weights, biases, powers, right[:kept].T / singular[:kept], singular[:kept])


def gauss_points(dimension: int, count: int) -> tuple[Tensor, Tensor]:
    """Return the tensor grid of Gauss–Legendre points of [−1, 1]^d, (count^d, d), and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    grid = np.stack(np.meshgrid(*[nodes] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    product = np.prod(np.stack(np.meshgrid(*[weights] * dimension, indexing="ij"), -1).reshape(-1, dimension), axis=1)
    return torch.as_tensor(grid), torch.as_tensor(product)


def _points_a_side(dimension: int, radius: float, size: int) -> int:
    """Enough that a function of the space which vanishes at the points vanishes."""
    if dimension == 1:
        return max(3 * size, math.ceil(radius) + 40)
    return math.ceil(max(1.5 * size ** (1 / dimension), radius)) + 10


def _draw(
    dimension: int, radius: float, count: int, activation: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weights uniform in the ball, and biases."""
    directions = torch.randn(count, dimension, generator=generator, dtype=torch.float64)
    lengths = radius * torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / dimension)
    weights = lengths * directions / directions.norm(dim=1, keepdim=True)
    if activation == "sin":
        return weights, math.pi * (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1)
    turns = 2 * torch.rand(count, dimension, generator=generator, dtype=torch.float64) - 1
    return weights, -(weights * turns).sum(1)


def _features(
    activation: str,
    weights: Tensor,
    biases: Tensor,
    powers: Sequence[tuple[int, ...]],
    points_Nd: Tensor,
    index: tuple[int, ...],
) -> Tensor:
    """Return ``∂^index`` of the features and the monomials, (N, J + number of monomials)."""
    order = sum(index)
    random = ACTIVATIONS[activation](points_Nd @ weights.T + biases, order)
    if order:
        random = random * torch.stack([weights[:, a] ** p for a, p in enumerate(index)]).prod(0)
    return torch.cat([random, _monomials(points_Nd, powers, index)], 1)


def _monomials(points_Nd: Tensor, powers: Sequence[tuple[int, ...]], index: tuple[int, ...]) -> Tensor:
    columns = []
    for power in powers:
        factor = math.prod(math.perm(a, p) for a, p in zip(power, index, strict=True))
        exponents = torch.tensor([max(a - p, 0) for a, p in zip(power, index, strict=True)], device=points_Nd.device)
        columns.append(factor * (points_Nd**exponents).prod(1))
    return torch.stack(columns, 1) if columns else points_Nd.new_zeros(len(points_Nd), 0)


def _refuse_too_large(points: int, features: int, size: int) -> None:
    if points * features > _MAX_VALUES:
        fits = max(1, int(size * math.sqrt(_MAX_VALUES / (points * features))))
        raise InputError(
            f"{size} features a patch need a matrix of {points} by {features} numbers, more than the {_MAX_VALUES} "
            f"that are allowed; about {fits} would fit",
            ("features",),
        )
