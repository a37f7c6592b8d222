"""From a problem to its Gaussian process: points, the kernels that learning begins with, the form of the posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.files import available_memory
from pdeml.gp.envelopes import Envelope, Gaussian
from pdeml.gp.kernels import Kernel, KernelCodec, ProductKernel, spectral_mixture
from pdeml.gp.nystrom import RepresenterAnsatz, thinned
from pdeml.gp.posterior import PosteriorAnsatz, Space, trimmed
from pdeml.gp.square_root import SpectralAnsatz, feature_count
from pdeml.lower import Functionals
from pdeml.lower.bandwidth import Bandwidth

__all__ = ["EXACT_ROWS", "Beginning", "check_memory", "default_counts", "initial_kernels", "posterior_of"]

EXACT_ROWS = 5000
"""Rows up to which evidence and posterior are exact; beyond, both rest on a part of the rows."""

_FEATURES, _FEATURE_NUMBERS = 8000, 8_000_000  # of a point, of all rows
_INDUCING = 2000
_MARGIN = 1.3  # of the highest frequency of the first kernel to that of the problem
_PER_WAVE = 4.5
_FEWEST = {1: 32, 2: 16, 3: 10}
_NARROWEST = 1.0  # over the extent: narrower peaks are all alike, and their features nearly dependent
_PERIODIC_WIDTH = 1e-12  # over the extent: the envelope is one to rounding, so that the kernel repeats exactly


@dataclass(frozen=True)
class Beginning:
    """Where learning begins.

    Args:
        codec: what the parameters mean.
        parameters: (P,).
        free: (P,), one for those that are learned.
    """

    codec: KernelCodec
    parameters: Tensor
    free: Tensor

    def to(self, device: str) -> Beginning:
        """Return the same on another device."""
        return Beginning(self.codec, self.parameters.to(device), self.free.to(device))


def default_counts(band: Bandwidth, space: Space) -> tuple[int, ...]:
    """Return points along each coordinate: 4.5 for each wave of the highest frequency, and some for what is no wave."""
    fewest = _FEWEST.get(len(space.extents), 7)
    return tuple(
        max(fewest, math.ceil(0.75 * fewest + _PER_WAVE * w * extent / (2 * math.pi)))
        for w, extent in zip(band.highest, space.extents, strict=True)
    )


def initial_kernels(
    sizes: Sequence[float],
    band: Bandwidth,
    space: Space,
    periodic: Sequence[bool],
    components: int,
    envelope: Envelope | None = None,
) -> Beginning:
    """Return the kernels that learning begins with.

    Along each coordinate ``components`` frequencies from zero to 1.3 times the highest of the problem, moved onto its
    peaks, each as wide as half their distance, and no narrower than the domain resolves. Along a periodic coordinate
    the harmonics of its interval, without width: the kernel is exactly periodic, and only weights are learned.

    Args:
        sizes: of the unknowns.
        band: frequencies of the problem.
        space: its coordinates.
        periodic: for each coordinate.
        components: of each kernel; one is a single peak at zero (RBF or Matérn).
        envelope: Gaussian by default.
    """
    envelope = envelope or Gaussian()
    axes = [
        _harmonics(w, extent, envelope) if closed else _mixture(w, peaks, extent, components, envelope)
        for w, peaks, extent, closed in zip(band.highest, band.peaks, space.extents, periodic, strict=True)
    ]
    kernels = [ProductKernel((axes[0].scaled(size**2), *axes[1:])) for size in sizes]
    narrowest = [0.0 if closed else _NARROWEST / e for e, closed in zip(space.extents, periodic, strict=True)]
    codec = KernelCodec.of(kernels, [2 * math.pi / extent for extent in space.extents], narrowest)
    marks = [
        torch.full((part * len(axis),), float(part == 1 or not closed), dtype=torch.float64)
        for _ in kernels
        for axis, closed in zip(axes, periodic, strict=True)
        for part in (1, 2)  # the weights; widths and frequencies
    ]
    return Beginning(codec, codec.pack(kernels), torch.cat(marks))


def _mixture(highest: float, peaks: Sequence[float], extent: float, components: int, envelope: Envelope) -> Kernel:
    top = _MARGIN * highest
    count = min(components, math.ceil(top * extent / math.pi) + 2)
    if count < 2 or components == 1:
        return spectral_mixture([0.0], max(2 / extent, highest / 4), 1.0, envelope)
    frequencies = torch.linspace(0, top, count, dtype=torch.float64)
    for peak in reversed(peaks[: count - 1]):
        frequencies[1:][(frequencies[1:] - peak).abs().argmin()] = peak
    return spectral_mixture(frequencies, max(top / (2 * (count - 1)), 2 / extent), 1.0, envelope)


def _harmonics(highest: float, extent: float, envelope: Envelope) -> Kernel:
    first = 2 * math.pi / extent
    width = max(2 * first, 0.5 * highest)
    orders = torch.arange(math.ceil(8.5 * width / first) + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (orders * first / width) ** 2)
    return Kernel(envelope, weights / weights.sum(), torch.full_like(orders, _PERIODIC_WIDTH / extent), first * orders)


def posterior_of(
    kernels: Sequence[ProductKernel], rows: Sequence[Functionals], orders: Sequence[int], space: Space
) -> PosteriorAnsatz:
    """Return the processes given the rows, in the form that suits them.

    Smooth kernels of few features: the square-root form. Otherwise representers, of all rows up to `EXACT_ROWS`, beyond
    of a part of them.

    Args:
        kernels: one for each unknown.
        rows: what is known.
        orders: highest order of differentiation along each coordinate.
        space: the coordinates.
    """
    kept, rows = with_constants(trimmed(kernels, orders), space), tuple(rows)
    if has_features(kept, space, sum(map(len, rows))):
        return SpectralAnsatz(kept, rows, space)
    if sum(map(len, rows)) <= EXACT_ROWS:
        return RepresenterAnsatz(kept, rows, space)
    return RepresenterAnsatz(kept, rows, space, thinned(rows, _INDUCING))


def with_constants(kernels: Sequence[ProductKernel], space: Space) -> tuple[ProductKernel, ...]:
    """Return the kernels with functions that do not vary along a coordinate.

    Of what the rows leave open, such as a constant, they tell nothing: its weight runs to zero while the spectrum is
    learned, and its standard deviation would with it.
    """
    return tuple(
        ProductKernel(tuple(_with_constant(axis, e) for axis, e in zip(kernel.axes, space.extents, strict=True)))
        for kernel in kernels
    )


def _with_constant(kernel: Kernel, extent: float) -> Kernel:
    more = kernel.weights.new_tensor([[float(kernel.variance)], [_PERIODIC_WIDTH / extent], [0.0]])
    parts = (kernel.weights, kernel.widths, kernel.frequencies)
    return Kernel(kernel.envelope, *(torch.cat(pair) for pair in zip(parts, more, strict=True)))


def has_features(kernels: Sequence[ProductKernel], space: Space, rows: int) -> bool:
    """Tell whether the square-root form is affordable: a Matérn kernel's slowly decaying spectrum takes too many."""
    if not all(isinstance(axis.envelope, Gaussian) for kernel in kernels for axis in kernel.axes):
        return False
    try:
        return feature_count(kernels, space) <= min(_FEATURES, _FEATURE_NUMBERS // max(rows, 1))
    except InputError:
        return False


def memory_of(rows: int) -> int:
    """Return how many bytes the evidence and the posterior of so many rows take, about."""
    exact = min(rows, EXACT_ROWS)
    return 8 * (8 * exact**2 + 3 * min(rows * _FEATURES, _FEATURE_NUMBERS) + 3 * rows * _INDUCING * (rows > exact))


def check_memory(rows: int, dimension: int) -> None:
    """Refuse more rows than fit into memory, before anything is allocated.

    Raises:
        InputError: with the number of points along each coordinate that would fit.
    """
    free = available_memory()
    if memory_of(rows) <= free:
        return
    fits = rows
    while fits > 1 and memory_of(fits) > free:
        fits = fits * 9 // 10
    share = (fits / rows) ** (1 / dimension)
    raise InputError(
        f"{rows} rows take about {memory_of(rows) / 2**30:.1f} GB, but {free / 2**30:.1f} GB are available: about "
        f"{fits} rows fit, {share:.2f} times the points along each coordinate",
        ("points",),
    )
