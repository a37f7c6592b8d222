"""Gaussian processes given linear rows: mean with every derivative, standard deviation, spectrum."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from pdeml.gp.covariance import evaluation
from pdeml.gp.kernels import Kernel, ProductKernel
from pdeml.gp.spectrum import spectrum
from pdeml.lower import Functionals, Index, JetSpec

__all__ = ["Conditioned", "PosteriorAnsatz", "Space", "amplitude_of", "misfit_noise", "trimmed"]

_BLOCK = 2**22  # numbers in the basis at a block of points
_NEGLIGIBLE = 1e-10  # of the prior variance: what the nugget hides while the spectrum is learned
_FAINTEST = 1e-10  # share of the mean square of the solution, of a frequency that is told


@dataclass(frozen=True)
class Space:
    """The coordinates of a problem.

    Args:
        coordinates: names.
        low: (D,), where each begins.
        extents: (D,), how long each is.
        probes: points inside, (N, D), on which sizes are measured.
    """

    coordinates: tuple[str, ...]
    low: tuple[float, ...]
    extents: tuple[float, ...]
    probes: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class Conditioned:
    """How the parameters of an ansatz follow from rows ``ℓ_i(u) = y_i``, i = 1, ..., n.

    Args:
        theta: (P,), of the mean.
        root: what the standard deviation is computed from; see the ansatz.
        spread: how much each direction kept is amplified when the rows are solved for, (r,).
        amplitude: c², by which the prior variance is multiplied; see `amplitude_of`.
        noise: s², the square of the misfit of the scaled rows, which the kernel cannot follow, and of their rounding.
        cut: the share of the largest singular value of the scaled system below which values are taken as rounding.
        rank: how many singular values are kept.
    """

    theta: Tensor
    root: Tensor
    spread: Tensor
    amplitude: float
    noise: float
    cut: float
    rank: int


@dataclass(frozen=True, eq=False)
class PosteriorAnsatz(ABC):
    """The means of Gaussian processes, linear in their parameters; an `Ansatz`.

    Args:
        kernels: one for each unknown.
        rows: what the processes are conditioned on.
        space: the coordinates.
        given: what following from the rows is known already.
    """

    kernels: tuple[ProductKernel, ...]
    rows: tuple[Functionals, ...]
    space: Space
    given: Conditioned | None = field(default=None, kw_only=True, repr=False)

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """Length P of θ."""

    @cached_property
    def conditioned(self) -> Conditioned:
        """The processes given the rows: computed once."""
        return self._condition() if self.given is None else self.given

    @abstractmethod
    def _condition(self) -> Conditioned:
        """Solve for the rows."""

    @abstractmethod
    def basis(self, points_ND: Tensor, unknown: int, index: Index) -> Tensor:
        """Return ``∂^index`` of an unknown at the points by parameter, (N, P)."""

    @abstractmethod
    def uncertainty(self, asked: Functionals) -> tuple[Tensor, Tensor]:
        """Return what the rows leave of the prior variance of ``ℓ(u)``, and ``Σ_i (∂ ℓ(mean) / ∂ y_i)²``, (N,) each."""

    @abstractmethod
    def parts(self, theta_P: Tensor, points_ND: Tensor, axis: int, edges: Sequence[float]) -> Tensor:
        """Return the mean taken apart by frequency along an axis, (B, N, U): B bands that ``edges`` divide."""

    def prepare(self, points_ND: Tensor, spec: JetSpec) -> PreparedPosterior:
        """Note the points."""
        return PreparedPosterior(self, points_ND, spec)

    def values(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the unknowns at the points, (N, U)."""
        return self.derivatives(theta_P, points_ND, ((0,) * points_ND.shape[1],))[0]

    def derivatives(self, theta_P: Tensor, points_ND: Tensor, indices: tuple[Index, ...]) -> Tensor:
        """Return single derivatives of the unknowns, (K, N, U)."""
        result = theta_P.new_empty(len(indices), len(points_ND), len(self.kernels))
        for block in self._blocks(points_ND):
            for k, index in enumerate(indices):
                for unknown in range(len(self.kernels)):
                    result[k, block, unknown] = self.basis(points_ND[block], unknown, index) @ theta_P
        return result

    def deviations(self, theta_P: Tensor, points_ND: Tensor) -> Tensor:
        """Return the posterior standard deviation of each unknown, (N, U).

        Its square is ``c² (k(x, x) − k(x)ᵀ K⁻¹ k(x)) + s² Σ_i (∂ mean / ∂ y_i)²``, with the amplitude c² that the
        rows ask for. The last term, of the misfit s of the rows, bounds what a misfit does that is not noise: a
        kernel of a few sharp frequencies leaves nothing of the prior.

        Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), equation 2.26.
        """
        result = theta_P.new_empty(len(points_ND), len(self.kernels))
        for block in self._blocks(points_ND):
            for unknown in range(len(self.kernels)):
                result[block, unknown] = self._variance(evaluation(points_ND[block], len(self.kernels), unknown))
        return result.sqrt()

    def calibrated(self, held_out: Sequence[Functionals]) -> PosteriorAnsatz:
        """Return the same with deviations that are not below what rows that the processes were not given ask for.

        A kernel learned from rows that do not resolve the solution is too sure of it. Where other rows of the same
        problem are missed by more than their own standard deviation, in the root mean square, all deviations grow by
        that factor.

        Args:
            held_out: rows ``ℓ_i(u) = y_i``.
        """
        missed, expected = 0.0, 0.0
        for part in held_out:
            jets = self.derivatives(self.conditioned.theta, part.points, part.indices)
            missed += float(((part.apply(jets) - part.values) / part.scale).square().mean())
            expected += float(self._variance(part).mean()) / part.scale**2
        factor = max(1.0, missed / expected) if expected > 0 else 1.0
        known = self.conditioned
        return replace(self, given=replace(known, amplitude=factor * known.amplitude, noise=factor * known.noise))

    def _variance(self, asked: Functionals) -> Tensor:
        left, spread = self.uncertainty(asked)
        return self.conditioned.amplitude * left.clamp(min=0) + self.conditioned.noise * spread

    def frequencies(self, theta_P: Tensor) -> dict[str, list[tuple[float, float, float]]]:
        """Return, for each coordinate, (angular frequency, share, width) of what the solution is made of.

        The peaks are those of the kernels. The share of each is that of the mean square of its part of the mean, not of
        the prior variance, which says nothing about size once a few frequencies explain the rows.
        """
        points = self.space.probes.to(theta_P)
        found = {}
        for number, (name, extent) in enumerate(zip(self.space.coordinates, self.space.extents, strict=True)):
            axes = [_varying(kernel.axes[number]) for kernel in self.kernels]
            joined = Kernel(
                axes[0].envelope,
                torch.cat([axis.weights / axis.variance for axis in axes]),
                torch.cat([axis.widths for axis in axes]),
                torch.cat([axis.frequencies for axis in axes]),
            )
            peaks = sorted(spectrum(joined, 2 * math.pi / extent, least=0.0), key=lambda peak: peak.frequency)
            edges = [0.5 * (a.frequency + b.frequency) for a, b in itertools.pairwise(peaks)]
            sizes = self.parts(theta_P, points, number, edges).square().sum((1, 2))
            shares = (sizes / sizes.sum().clamp(min=1e-300)).tolist()
            told = [(peak.frequency, share, peak.width) for peak, share in zip(peaks, shares, strict=True)]
            found[name] = sorted((peak for peak in told if peak[1] >= _FAINTEST), key=lambda peak: -peak[1])
        return found

    def estimate(self, theta_P: Tensor) -> float:
        """Return the relative L2 error that the standard deviation lets expect, the largest of the unknowns.

        A solution that is zero is measured by what the prior expected.
        """
        points = self.space.probes.to(theta_P)
        deviation, size = self.deviations(theta_P, points).norm(dim=0), self.values(theta_P, points).norm(dim=0)
        expected = torch.stack([float(k.variance) ** 0.5 * size.new_tensor(len(points)).sqrt() for k in self.kernels])
        return float((deviation / torch.where(size > 0, size, expected)).max())

    def _blocks(self, points_ND: Tensor) -> list[slice]:
        size = max(1, _BLOCK // max(self.parameter_count, 1))
        return [slice(start, start + size) for start in range(0, len(points_ND), size)]


@dataclass(frozen=True, eq=False)
class PreparedPosterior:
    """The ansatz at fixed points; see `pdeml.lower.Prepared`. It is linear in θ, and its own tape."""

    ansatz: PosteriorAnsatz
    points: Tensor
    spec: JetSpec

    def jets(self, theta_P: Tensor) -> Tensor:
        """Return the channels of the unknowns, (K, N, U)."""
        indices = tuple(dict.fromkeys(index for members in self.spec.members for _, index in members))
        single = dict(zip(indices, self.ansatz.derivatives(theta_P, self.points, indices), strict=True))
        return torch.stack([sum(c * single[index] for c, index in members) for members in self.spec.members])

    def linearise(self, theta_P: Tensor) -> tuple[Tensor, PreparedPosterior]:
        """Return the channels of the unknowns and a tape."""
        return self.jets(theta_P), self

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Fill and return the (N, P) Jacobian of the contracted channels."""
        out_NP.zero_()
        for adjoint, unknown, index in self._parts(adjoint_KNU):
            out_NP += adjoint[:, None] * self.ansatz.basis(self.points, unknown, index)
        return out_NP

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Return the (P,) gradient of the contracted channels."""
        parts = self._parts(adjoint_KNU)
        return sum(adjoint @ self.ansatz.basis(self.points, unknown, index) for adjoint, unknown, index in parts)

    def _parts(self, adjoint_KNU: Tensor) -> list[tuple[Tensor, int, Index]]:
        return [
            (c * adjoint_KNU[k, :, unknown], unknown, index)
            for k, members in enumerate(self.spec.members)
            for c, index in members
            for unknown in range(adjoint_KNU.shape[2])
        ]


def _varying(kernel: Kernel) -> Kernel:
    """Return the kernel without a constant that stands beside broader components: it is no frequency found."""
    kept = (kernel.frequencies != 0) | (kernel.widths > 1e-6 * kernel.widths.max())
    return Kernel(kernel.envelope, kernel.weights[kept], kernel.widths[kept], kernel.frequencies[kept])


def trimmed(kernels: Sequence[ProductKernel], orders: Sequence[int]) -> tuple[ProductKernel, ...]:
    """Return the kernels without components that are lost in rounding: those with next to none of the variance.

    Args:
        kernels: one for each unknown.
        orders: highest order of differentiation along each coordinate.
    """
    return tuple(
        ProductKernel(tuple(_without_rounding(axis, order) for axis, order in zip(kernel.axes, orders, strict=True)))
        for kernel in kernels
    )


def amplitude_of(square: float, rows: int) -> float:
    """Return ``c² = yᵀ K⁻¹ y / (n − 2)``; values that are all zero tell no amplitude, and that of the prior stands.

    With the amplitude integrated out under Jeffreys' prior, what n rows leave is Student's t with n degrees of freedom
    about the mean; this makes c² times the prior's remainder its variance.

    Reference: Shah, Wilson & Ghahramani, *Student-t processes as alternatives to Gaussian processes* (2014), section 3.
    """
    return square / max(rows - 2, 1) if square > 0 else 1.0


def misfit_noise(misfit: Tensor, values: Tensor) -> float:
    """Return s² of `Conditioned` for the misfit of scaled rows, rounding of the values included."""
    return float(misfit.square().sum() + torch.finfo(values.dtype).eps ** 2 * values.square().sum())


def _without_rounding(kernel: Kernel, order: int) -> Kernel:
    """Drop components with a negligible part of the variance of the function and of its highest derivative."""
    size = kernel.frequencies.square() + max(2 * order, 1) * kernel.widths.square()
    kept = torch.zeros_like(size, dtype=torch.bool)
    for part in (kernel.weights, kernel.weights * size**order):
        kept |= part > _NEGLIGIBLE * part.sum()
    return Kernel(kernel.envelope, kernel.weights[kept], kernel.widths[kept], kernel.frequencies[kept])
