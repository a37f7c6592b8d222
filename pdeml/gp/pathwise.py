"""How far a collocated solution is from functions of the prior: errors of the very solver, on functions drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp.envelopes import Gaussian
from pdeml.gp.kernels import ProductKernel
from pdeml.gp.prior import PriorSamples
from pdeml.lower import Index, JetSpec, estimate_scales, indices_of, linearised, statements
from pdeml.sampling import sample
from pdeml.tensor import TensorSystem

__all__ = ["Deviations"]

_TAILS = {True: 1e-12, False: 1e-6}
"""Relative error of the covariance of drawn functions; the spectrum of a Matérn kernel has a heavy tail."""
_HELD_OUT = 256
_SPREAD = 99_991
"""A prime between the seeds of draws of different runs."""


@dataclass(frozen=True, eq=False)
class Deviations:
    """Standard deviation of a linear estimator under a Gaussian prior, by sampling.

    The solver maps the data of a function (its equation at the nodes, its conditions) linearly to an approximation
    ``A u`` of it. For ``u ~ N(0, K)`` the error ``u − A u`` has the covariance ``(1 − A) K (1 − A)ᵀ``, whatever the
    solver: its root mean square over functions drawn from the prior is the standard deviation sought. Where A is the
    posterior mean this is that of the posterior. For non-linear equations A is that of their linearisation.

    A prior learned from a solution may be too sure of it. Where the equation is not collocated its residual is known
    without the exact solution: if it is larger than those of the drawn functions, the deviation grows with it.

    Args:
        system: the collocated equations.
        samples: drawn functions.
        recovered: coefficients (U, m_1, …, m_D) of each ``A u``.
        factor: by which the deviation is enlarged, one or more.

    Reference: Wilson et al., *Pathwise conditioning of Gaussian processes* (JMLR 2021), §3.
    """

    system: TensorSystem
    samples: tuple[PriorSamples, ...]
    recovered: tuple[Tensor, ...]
    factor: float = 1.0

    @classmethod
    def of(
        cls, system: TensorSystem, coefficients: Tensor, kernels: Sequence[ProductKernel], count: int, seed: int
    ) -> Deviations:
        """Draw functions and solve for each.

        Args:
            system: the collocated equations.
            coefficients: where equations that are not linear are linearised.
            kernels: prior of each unknown, with its variance.
            count: number S of functions: the deviation is right to a share of about ``1/√(2 S)``.
            seed: of the draws.

        Raises:
            InputError: the count is below 2, or the memory does not hold a sample.
        """
        if count < 2:
            raise InputError(f"{count} functions drawn; a standard deviation takes 2 or more")
        extents = [float(high - low) for low, high in system.problem.domain.bounds]
        tail = _TAILS[all(isinstance(axis.envelope, Gaussian) for kernel in kernels for axis in kernel.axes)]
        samples, recovered = [], []
        for number in range(count):
            generator = torch.Generator().manual_seed(seed * _SPREAD + number)
            drawn = PriorSamples(kernels, extents, 1, generator, tail)
            samples.append(drawn)
            recovered.append(system.recovered(_Drawn(drawn), coefficients))
        return cls(system, tuple(samples), tuple(recovered), _factor(system, coefficients, samples, recovered))

    def __call__(self, points_ND: Tensor) -> Tensor:
        """Return the standard deviation of each unknown at points, (N, U); points that form a grid are recognised."""
        places = [column.unique(return_inverse=True) for column in points_ND.unbind(1)]
        if math.prod(len(place) for place, _ in places) <= 2 * len(points_ND):
            return self.on_grid([place for place, _ in places])[tuple(inverse for _, inverse in places)]
        zero = (0,) * points_ND.shape[1]
        errors = (
            drawn.jets(points_ND, (zero,))[0, 0] - self.system.ansatz.values(found.reshape(-1), points_ND)
            for drawn, found in zip(self.samples, self.recovered, strict=True)
        )
        return self.factor * _root_mean_square(errors)

    def on_grid(self, places: Sequence[Tensor]) -> Tensor:
        """Return the standard deviation on a tensor grid, (N_1, …, N_D, U)."""
        errors = (
            drawn.grid(places)[0] - self.system.ansatz.on_grid(found.reshape(-1), places)
            for drawn, found in zip(self.samples, self.recovered, strict=True)
        )
        return self.factor * _root_mean_square(errors)


@dataclass(frozen=True)
class _Drawn:
    """One drawn function and its derivatives on tensor grids."""

    drawn: PriorSamples

    def __call__(self, places: Sequence[Tensor], index: Index) -> Tensor:
        return self.drawn.grid(places, index)[0]


def _factor(
    system: TensorSystem, coefficients: Tensor, samples: Sequence[PriorSamples], recovered: Sequence[Tensor]
) -> float:
    """Return the size of the equation's residual at held-out points in that of drawn functions, at least one."""
    problem = system.problem
    equation = statements(problem, estimate_scales(problem))[0]
    points = torch.from_numpy(sample(equation.region, _HELD_OUT, seed=_SPREAD).x)
    indices = indices_of(equation)
    prepared = system.ansatz.prepare(points, JetSpec(indices))
    jets = prepared.jets(coefficients.reshape(-1))
    rows = linearised(equation, points, coefficients.shape[0], None, jets)

    def size(fields: Tensor, known: bool) -> float:
        squares = [((row.apply(fields) - known * row.values) / row.scale).square().mean() for row in rows]
        return float(torch.stack(squares).sum())

    drawn = [
        size(one.jets(points, indices)[0] - prepared.jets(found.reshape(-1)), False)
        for one, found in zip(samples, recovered, strict=True)
    ]
    expected = sum(drawn) / len(drawn)
    return max(1.0, math.sqrt(size(jets, True) / expected)) if expected > 0 else 1.0


def _root_mean_square(arrays: Iterator[Tensor]) -> Tensor:
    total, count = 0.0, 0
    for array in arrays:
        total, count = total + array.square(), count + 1
    return (total / count).sqrt()  # type: ignore[union-attr]
