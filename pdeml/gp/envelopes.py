"""Windows that a cosine is multiplied with: what a kernel is made of.

``e(z) cos(m z)`` with an even envelope e, of which `pdeml_kernels.mixture` has all derivatives. Both families are
spectral densities of width κ around ±m: a normal density gives ``e = exp(−κ² z² / 2)``, Student's t with 2ν degrees of
freedom gives Matérn's envelope of order ν.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import scipy.special
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml_kernels.dispatch import KernelChoice
from pdeml_kernels.mixture import SMOOTHEST

__all__ = ["Envelope", "Gaussian", "Matern", "smallest_nu"]


class Envelope(Protocol):
    """A family of even functions ``e(z) = e₁(κ z)`` with ``e(0) = 1``."""

    name: str
    nu: float | None
    """Order of a Matérn envelope."""
    kernels: KernelChoice
    """By what its mixtures are computed: it says nothing of what they are."""

    @property
    def smoothness(self) -> float:
        """Highest derivative of e that is continuous; infinity for a smooth one."""

    def quantile(self, probability: Tensor) -> Tensor:
        """Return the quantile of the spectral density of ``κ = 1, m = 0``."""

    def density(self, standard: Tensor) -> Tensor:
        """Return the spectral density of ``κ = 1, m = 0``; its integral over the real line is one."""


@dataclass(frozen=True)
class Gaussian:
    """``e(z) = exp(−κ² z² / 2)``: normal spectral density of standard deviation κ; RBF of length ``1/κ``.

    Args:
        kernels: triton, torch or auto: see `pdeml_kernels.mixture_kernels`.
    """

    kernels: KernelChoice = field(default="auto", compare=False, repr=False)
    name: ClassVar[str] = "gaussian"
    nu: ClassVar[None] = None

    @property
    def smoothness(self) -> float:
        return math.inf

    def quantile(self, probability: Tensor) -> Tensor:
        return torch.special.ndtri(probability)

    def density(self, standard: Tensor) -> Tensor:
        return torch.exp(-0.5 * standard**2) / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Matern:
    """Matérn's envelope of half-integer order ν: Student-t spectral density with 2ν degrees of freedom.

    With ``t = √(2ν) κ |z|`` and p = ν − 1/2, ``e = exp(−t) Σ_k (2p − k)! p! / ((2p)! k! (p − k)!) (2t)^k``. Its
    functions have p derivatives: an operator of order m on both arguments needs ν > m.

    Args:
        nu: 1/2, 3/2, 5/2, ..., 21/2.
        kernels: triton, torch or auto: see `pdeml_kernels.mixture_kernels`.

    Raises:
        InputError: another order.

    Reference: Rasmussen & Williams, *Gaussian Processes for Machine Learning* (2006), section 4.2.1.
    """

    nu: float
    kernels: KernelChoice = field(default="auto", compare=False, repr=False)
    name: ClassVar[str] = "matern"

    def __post_init__(self):
        if not (0.5 <= self.nu <= SMOOTHEST and (self.nu - 0.5).is_integer()):
            raise InputError(f"Matérn order nu = {self.nu!r}; allowed: half-integers 0.5, 1.5, 2.5, ..., {SMOOTHEST}")

    @property
    def smoothness(self) -> float:
        return 2 * self.nu - 1

    def quantile(self, probability: Tensor) -> Tensor:
        values = scipy.special.stdtrit(2 * self.nu, probability.cpu().numpy())
        return torch.as_tensor(values, dtype=probability.dtype, device=probability.device)

    def density(self, standard: Tensor) -> Tensor:
        degrees = 2 * self.nu
        size = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi * degrees)
        return size * (1 + standard**2 / degrees) ** (-(degrees + 1) / 2)


def smallest_nu(order: int) -> float:
    """Return the smallest half-integer ν whose Matérn kernel has a continuous derivative of that order."""
    return (order + 1) // 2 + 0.5
