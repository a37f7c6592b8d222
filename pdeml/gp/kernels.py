"""Stationary kernels ``k(z) = Σ_q w_q e(z; κ_q) cos(m_q z)`` of one coordinate, and their products over coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp.envelopes import Envelope, Gaussian, Matern, smallest_nu
from pdeml_kernels import mixture_kernels
from pdeml_kernels.contest import outcome
from pdeml_kernels.dispatch import KernelChoice, MixtureKernels

__all__ = ["Kernel", "KernelCodec", "ProductKernel", "computed_by", "matern", "rbf", "spectral_mixture"]


@dataclass(frozen=True)
class Kernel:
    """``k(x − x′) = Σ_q w_q e(x − x′; κ_q) cos(m_q (x − x′))`` of one coordinate.

    Its spectral density is a mixture of peaks at ±m_q of width κ_q: normal (Gaussian envelope) or Student's t (Matérn).
    Functions drawn from it oscillate with angular frequency m_q over a coherence length ``1/κ_q``. One component with
    frequency zero is the RBF or Matérn kernel of length ``1/κ``.

    Args:
        envelope: `Gaussian` or `Matern`.
        weights: w, (Q,), positive: the variance of each component.
        widths: κ, (Q,), positive, radians per unit of the coordinate.
        frequencies: m, (Q,), radians per unit of the coordinate; k is even in m, so that signs do not matter.

    Reference: Wilson & Adams, *Gaussian process kernels for pattern discovery* (ICML 2013), section 4, where
    μ = m / 2π and v = (κ / 2π)²; Fang et al., *Solving high frequency and multi-scale PDEs with Gaussian processes*
    (ICLR 2024), for the Student-t mixture.
    """

    envelope: Envelope
    weights: Tensor
    widths: Tensor
    frequencies: Tensor

    def __post_init__(self):
        if not (self.weights.ndim == 1 and self.weights.shape == self.widths.shape == self.frequencies.shape):
            shapes = ", ".join(str(tuple(t.shape)) for t in (self.weights, self.widths, self.frequencies))
            raise InputError(f"weights, widths and frequencies of shapes {shapes}; allowed: three of one shape (Q,)")

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def variance(self) -> Tensor:
        """``k(0)``."""
        return self.weights.sum()

    @property
    def _parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.weights, self.widths, self.frequencies

    def derivatives(self, lags: Tensor, highest: int) -> Tensor:
        """Return ``k^(n)(z)``, n = 0, ..., highest, (highest + 1, *lags.shape), differentiable in the parameters.

        Args:
            lags: z = x − x′, any shape.
            highest: n; derivatives of both arguments together.

        Raises:
            InputError: the kernel is rougher than that; the smallest admissible ν is named.
        """
        self.check_order(highest)
        compute = _operators(self.envelope.kernels, lags.device.type).derivatives
        table = compute(lags.reshape(-1), *self._parameters, highest, self.envelope.nu)
        return table.reshape(highest + 1, *lags.shape)

    def matrices(self, x_N: Tensor, y_M: Tensor, highest: int) -> Tensor:
        """Return ``k^(n)(x_i − y_j)``, n = 0, ..., highest, (highest + 1, N, M); see `derivatives`.

        Raises:
            InputError: the kernel is rougher than that; the smallest admissible ν is named.
        """
        self.check_order(highest)
        compute = _operators(self.envelope.kernels, x_N.device.type).matrices
        return compute(x_N, y_M, *self._parameters, highest, self.envelope.nu)

    def moments(self, highest: int) -> Tensor:
        """Return ``k^(n)(0)``, n = 0, ..., highest; the derivative of order p has variance ``(−1)^p k^(2p)(0)``."""
        return self.derivatives(self.weights.new_zeros(1), highest)[:, 0]

    def scaled(self, factor: Tensor | float) -> Kernel:
        """Return the kernel with its variance multiplied by ``factor``."""
        return Kernel(self.envelope, self.weights * factor, self.widths, self.frequencies)

    def detached(self) -> Kernel:
        """Return the kernel without a graph of gradients."""
        return Kernel(self.envelope, self.weights.detach(), self.widths.detach(), self.frequencies.detach())

    def check_order(self, highest: int) -> None:
        """Refuse derivatives of an order that the kernel does not have.

        Raises:
            InputError: the kernel is rougher than that; the smallest admissible ν is named.
        """
        if highest > self.envelope.smoothness:
            raise InputError(
                f"derivatives of total order {highest} of a kernel with {self.envelope} (an operator of order m on "
                f"both arguments takes 2m); the smallest admissible Matérn order is nu = {smallest_nu(highest)}"
            )


@dataclass(frozen=True)
class ProductKernel:
    """``k(x − x′) = Π_j k_j(x_j − x′_j)`` over the coordinates; on a grid its matrix is a Kronecker product."""

    axes: tuple[Kernel, ...]

    @property
    def variance(self) -> Tensor:
        """``k(0)``."""
        return math.prod(kernel.variance for kernel in self.axes)

    def scaled(self, factor: Tensor | float) -> ProductKernel:
        """Return the kernel with its variance multiplied by ``factor``, all of it on the first axis."""
        return ProductKernel((self.axes[0].scaled(factor), *self.axes[1:]))

    def detached(self) -> ProductKernel:
        """Return the kernel without a graph of gradients."""
        return ProductKernel(tuple(kernel.detached() for kernel in self.axes))


def rbf(length: float, variance: float = 1.0) -> Kernel:
    """Return ``variance exp(−z² / (2 length²))``."""
    return spectral_mixture([0.0], 1 / length, variance)


def matern(nu: float, length: float, variance: float = 1.0) -> Kernel:
    """Return Matérn's kernel of order ν, with ``√(2ν) |z| / length`` in the exponent."""
    return spectral_mixture([0.0], 1 / length, variance, Matern(nu))


def spectral_mixture(
    frequencies: Sequence[float] | Tensor, width: float, variance: float = 1.0, envelope: Envelope | None = None
) -> Kernel:
    """Return a mixture of equal weights, where learning the spectrum begins.

    Args:
        frequencies: m, (Q,), angular, such as ``linspace(0, highest, 30)``.
        width: κ of each component, in the same units.
        variance: ``k(0)``, shared out equally.
        envelope: `Gaussian` by default.

    Raises:
        InputError: no frequency, or a width or variance that is not positive and finite.
    """
    m = torch.as_tensor(frequencies, dtype=torch.float64).clone()
    if not len(m) or not torch.isfinite(m).all():
        raise InputError(f"frequencies {m.tolist()}; allowed: one or more finite numbers")
    for name, value in (("width (one over length)", width), ("variance", variance)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} of a kernel {value!r}; allowed: a positive number")
    return Kernel(envelope or Gaussian(), torch.full_like(m, variance / len(m)), torch.full_like(m, width), m)


@dataclass(frozen=True)
class KernelCodec:
    """The free parameters of several product kernels as one vector, scaled so that a step of one is a sensible step.

    For each kernel and axis: ``log w`` (Q), ``log κ`` (Q), ``m / unit`` (Q). The prior is Jeffreys': ``p(w) ∝ 1/w`` is
    flat in log w, so that an objective takes no term for it, and the weight of a frequency that the data do not need
    runs to zero. A component of frequency zero stays there: k is even in m, its gradient vanishes.

    Args:
        envelopes: the envelope of each kernel and axis.
        counts: the number of components Q of each kernel and axis.
        units: one angular frequency for each axis, about the resolution ``2π / extent`` of the domain.
        narrowest: for each axis what no width falls below; log κ then stands for ``log(κ − narrowest)``.
    """

    envelopes: tuple[tuple[Envelope, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    units: tuple[float, ...]
    narrowest: tuple[float, ...]

    @classmethod
    def of(
        cls, kernels: Sequence[ProductKernel], units: Sequence[float], narrowest: Sequence[float] | None = None
    ) -> KernelCodec:
        """Return the codec of kernels of this structure; their widths are wider than ``narrowest``.

        Raises:
            InputError: the number of units is not that of the axes, or a unit is not positive.
        """
        if any(len(kernel.axes) != len(units) for kernel in kernels) or min(units) <= 0:
            raise InputError(f"units {tuple(units)}; allowed: one positive angular frequency for each axis")
        envelopes = tuple(tuple(axis.envelope for axis in kernel.axes) for kernel in kernels)
        counts = tuple(tuple(map(len, kernel.axes)) for kernel in kernels)
        return cls(envelopes, counts, tuple(units), tuple(narrowest or (0.0,) * len(units)))

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 3 * sum(map(sum, self.counts))

    def pack(self, kernels: Sequence[ProductKernel]) -> Tensor:
        """Return the parameters of kernels, (size,); a weight of zero is written as the smallest positive number."""
        parts = []
        for kernel in kernels:
            for axis, unit, least in zip(kernel.axes, self.units, self.narrowest, strict=True):
                tiny = torch.finfo(axis.weights.dtype).tiny
                parts += [axis.weights.clamp(min=tiny).log(), (axis.widths - least).log(), axis.frequencies / unit]
        return torch.cat(parts)

    def unpack(self, parameters: Tensor) -> tuple[ProductKernel, ...]:
        """Return the kernels of parameters (size,), differentiable in them."""
        pieces = iter(parameters.split([q for counts in self.counts for q in counts for _ in range(3)]))
        return tuple(
            ProductKernel(
                tuple(
                    Kernel(envelope, next(pieces).exp(), least + next(pieces).exp(), next(pieces) * unit)
                    for envelope, unit, least in zip(envelopes, self.units, self.narrowest, strict=True)
                )
            )
            for envelopes in self.envelopes
        )


def computed_by(kernels: KernelChoice, device: str) -> str:
    """Say by what kernels are computed on a device, and what was measured of that until now."""
    chosen = _operators(kernels, torch.device(device).type)
    return outcome(chosen.note, chosen[:-1])


@lru_cache
def _operators(kernels: KernelChoice, device: str) -> MixtureKernels:
    """Return by what mixtures are computed on a type of device, kept: it learns which way is faster."""
    return mixture_kernels(kernels, torch.device(device))
