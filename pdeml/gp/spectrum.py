"""What frequencies a kernel holds: its peaks, its density, and a quadrature of it that gives features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.gp.envelopes import Envelope
from pdeml.gp.kernels import Kernel
from pdeml_kernels import mixture_derivatives

__all__ = ["Peak", "frequencies_found", "pruned", "spectral_quadrature", "spectrum"]

_MOST_NODES = 50_000


@dataclass(frozen=True)
class Peak:
    """One peak of a learned spectrum.

    Args:
        frequency: angular, not negative, in radians per unit of the coordinate.
        share: of the variance of the function, or of its derivative where the peak has the larger share in that.
        width: standard deviation about the frequency (of a t density: its width κ).
    """

    frequency: float
    share: float
    width: float


def spectrum(kernel: Kernel, resolution: float = 0.0, order: int = 0, least: float = 1e-4) -> list[Peak]:
    """Return the peaks of a kernel, largest share first; components that cannot be told apart are one peak.

    Neighbours are one peak when their frequencies differ by no more than the larger width or the resolution. Its
    frequency is their mean, weighted, and its width their standard deviation about it.

    Args:
        kernel: what was learned.
        resolution: angular frequency that the domain can resolve, such as ``2π / extent``.
        order: of the equation: a fast oscillation that is small in the function is large in its derivatives, which
            are what the equation sees.
        least: share below which a peak is not listed.

    Raises:
        InputError: the kernel is too rough for that order.
    """
    kernel = kernel.detached()
    shares = torch.stack([_variances(kernel, 0), _variances(kernel, order)])
    shares = shares / shares.sum(1, keepdim=True)
    # Negligible components would chain peaks together that are apart.
    kept = (shares.amax(0) >= least / len(kernel)).nonzero()[:, 0].tolist()
    rows = [kernel.frequencies.abs().tolist(), kernel.widths.tolist(), *shares.tolist()]
    groups: list[list[tuple[float, ...]]] = []
    for part in sorted(tuple(row[q] for row in rows) for q in kept):
        if groups and part[0] - groups[-1][-1][0] <= max(part[1], groups[-1][-1][1], resolution):
            groups[-1].append(part)
        else:
            groups.append([part])
    peaks = sorted(map(_merged, groups), key=lambda peak: -peak.share)
    return [peak for peak in peaks if peak.share >= least]


def _variances(kernel: Kernel, order: int) -> Tensor:
    """Return the variance of the derivative of each component, (Q,)."""
    parts = zip(kernel.weights.split(1), kernel.widths.split(1), kernel.frequencies.split(1), strict=True)
    return torch.stack([Kernel(kernel.envelope, *part).moments(2 * order)[-1].abs() for part in parts])


def _merged(group: list[tuple[float, ...]]) -> Peak:
    frequencies, _, of_value, of_derivative = zip(*group, strict=True)
    total = sum(of_value)
    mean = sum(w * m for w, m in zip(of_value, frequencies, strict=True)) / total
    spread = sum(w * (k**2 + (m - mean) ** 2) for m, k, w, _ in group) / total
    return Peak(mean, max(total, sum(of_derivative)), math.sqrt(spread))


def frequencies_found(peaks: list[Peak]) -> str:
    """Return a line such as ``frequencies found: 100.0, 20.0``, each to the digits that its width leaves."""
    return "frequencies found: " + ", ".join(_written(peak) for peak in peaks)


def _written(peak: Peak) -> str:
    digits = 1 if peak.width <= 0 else max(1, -math.floor(math.log10(peak.width)))
    return f"{peak.frequency:.{min(digits, 3)}f}"


def pruned(kernel: Kernel, least: float = 1e-10) -> Kernel:
    """Return the kernel without components whose share of the variance is below ``least``; the largest one stays."""
    share = kernel.weights.detach() / kernel.weights.detach().sum()
    kept = (share >= least) | (share == share.max())
    return Kernel(kernel.envelope, kernel.weights[kept], kernel.widths[kept], kernel.frequencies[kept])


def spectral_quadrature(kernel: Kernel, extent: float, tail: float = 1e-12) -> tuple[Tensor, Tensor]:
    """Return frequencies ω and masses s, (F,) each, with ``k(z) ≈ Σ_f s_f cos(ω_f z)`` for ``|z| <= extent``.

    Trapezoidal rule on each peak, which repeats the kernel with period 2π / spacing: the spacing is such that its
    nearest copy has decayed to ``tail``. What lies beyond the quantile ``tail`` of a peak is left out. The error is of
    the order ``tail`` relative to ``k(0)``; in derivatives of a Matérn kernel it is that of its heavy tail cut off.

    The masses are differentiable in the parameters of the kernel; the frequencies, on which the integral does not
    depend, carry no gradient.

    Args:
        kernel: what shall be represented.
        extent: of the domain.
        tail: relative error; a Matérn kernel takes about ``tail^(−1/2ν)`` nodes.

    Raises:
        InputError: more than 50,000 nodes would be needed.

    Reference: Trefethen & Weideman, *The exponentially convergent trapezoidal rule* (SIAM Review 2014), section 5.
    """
    reach, decay = _reach(kernel.envelope, tail)
    parts = [
        _Peaks(m - reach * k, m + reach * k, 2 * math.pi / (extent + decay / k), [q])
        for q, (m, k) in enumerate(zip(kernel.frequencies.abs().tolist(), kernel.widths.tolist(), strict=True))
    ]
    groups: list[_Peaks] = []
    for part in sorted(parts, key=lambda part: part.low):
        joined = groups[-1].joined(part) if groups else part
        if groups and joined.count <= groups[-1].count + part.count:
            groups[-1] = joined
        else:
            groups.append(part)
    needed = sum(group.count for group in groups)
    if needed > _MOST_NODES:
        raise InputError(
            f"a spectral quadrature of {needed} nodes (tail {tail:g}, extent {extent:g}); allowed: {_MOST_NODES}; "
            "take a larger tail or a smoother kernel"
        )
    like = kernel.weights
    frequencies, masses = [], []
    for group in groups:
        nodes = group.low + group.spacing * torch.arange(group.count, dtype=like.dtype, device=like.device)
        widths, weights = kernel.widths[group.members], kernel.weights[group.members]
        standard = (nodes[:, None] - kernel.frequencies[group.members].abs()) / widths
        frequencies.append(nodes.abs())
        masses.append(group.spacing * (kernel.envelope.density(standard) @ (weights / widths)))
    return torch.cat(frequencies), torch.cat(masses)


@dataclass(frozen=True)
class _Peaks:
    low: float
    high: float
    spacing: float
    members: list[int]

    @property
    def count(self) -> int:
        return math.ceil((self.high - self.low) / self.spacing) + 1

    def joined(self, other: _Peaks) -> _Peaks:
        spacing = min(self.spacing, other.spacing)
        return _Peaks(min(self.low, other.low), max(self.high, other.high), spacing, self.members + other.members)


def _reach(envelope: Envelope, tail: float) -> tuple[float, float]:
    """Return how far a peak of width one reaches in frequency, and how far its envelope does in the coordinate."""
    reach = -float(envelope.quantile(torch.tensor([tail / 2], dtype=torch.float64)))
    one = torch.ones(1, dtype=torch.float64)
    low, high = 0.0, 1e3
    while high - low > 1e-2:
        middle = (low + high) / 2
        large = float(mixture_derivatives(middle * one, one, one, 0 * one, 0, envelope.nu)) > tail
        low, high = (middle, high) if large else (low, middle)
    return reach, high
