"""Truncated Fourier transforms of real fields in 1-3 dimensions, as pairs of real numbers.

With θ = 2π k j / n, `analyse` forms for the kept frequencies k of every axis

    X_k = w_k Σ_j x_j exp(−iθ),

and `synthesise` its adjoint, x_j = Re Σ_k w_k X_k exp(+iθ). The weights w_k lie on the last axis, where only k ≥ 0 is
kept: see `Weights`. Each axis goes through a product with a real matrix of cosines and sines or through an FFT,
whichever `by_matrix` expects to be faster. No complex number crosses these functions: real and imaginary parts
stand side by side in blocks, so that a complex transform is one real product without any rearrangement. Channels stand
last, but for fields that come or are wanted with channels first.

Shapes: B (batch), C (channels), n (points along an axis), K (kept frequencies along it), P (product of all K).
Leading axes keep the frequencies −⌊K/2⌋ … ⌈K/2⌉−1, the last one 0 … K−1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from pdeml_kernels.constants import constant

__all__ = [
    "Weights",
    "add_last",
    "analyse",
    "analyse_last",
    "analyse_leading",
    "by_matrix",
    "channels_last",
    "frequencies",
    "last_basis",
    "leading_basis",
    "synthesise",
    "synthesise_last",
    "synthesise_leading",
]

# mean: 1/n on every axis (coefficients of a function); sum: 1 for k = 0 and 2 for k > 0, which stands for −k too;
# sum-nyquist: the same, but 1 for the last k, which is half the number of points and its own mirror image.
Weights = Literal["mean", "sum", "sum-nyquist"]

# Nanoseconds for each number of a field, on one core in float32, as `benchmarks/bench_spectral.py` measures them:
# a product with a matrix costs (fixed, for each kept frequency), on the last axis and on the others, whose numbers are
# complex; an FFT costs so much if n is even and has no prime factor above 13, otherwise so many times as much.
MATRIX_LAST, MATRIX_LEADING = (0.15, 0.045), (0.25, 0.09)
FFT_LAST, FFT_LEADING = 1.1, 5.0
ODD, LARGE_PRIME = 2.0, 2.3


@lru_cache(maxsize=1024)
def by_matrix(n: int, kept: int, *, last: bool) -> bool:
    """Say whether an axis is transformed faster by a product with a matrix than by an FFT.

    An FFT of real numbers halves an even length; libraries have no short transforms for large prime factors.
    """
    fixed, slope = MATRIX_LAST if last else MATRIX_LEADING
    fft = FFT_LAST * (ODD if n % 2 else 1) if last else FFT_LEADING
    return fixed + slope * kept <= fft * (LARGE_PRIME if _largest_prime(n) > 13 else 1)


def _largest_prime(n: int) -> int:
    prime, largest = 2, 1
    while prime * prime <= n:
        while n % prime == 0:
            largest, n = prime, n // prime
        prime += 1
    return max(largest, n)


def frequencies(kept: int) -> range:
    """Return the kept frequencies of a leading axis."""
    return range(-(kept // 2), (kept + 1) // 2)


def channels_last(x: Tensor) -> bool:
    """Say whether fields (B, C, *n) stand in memory in the order (B, *n, C)."""
    return not x.is_contiguous() and x.movedim(1, -1).is_contiguous()


def analyse(x: Tensor, kept: list[int], weights: Weights) -> Tensor:
    """Transform real fields.

    Args:
        x: (B, C, *n), fastest with channels last in memory.
        kept: K of every axis, at most n, and n//2 + 1 of the last.
        weights: w.

    Returns: (B, 2, P, C), real and imaginary parts.
    """
    batch, _, *leading, n = x.shape
    return analyse_leading(_forward_last(x, n, kept[-1], weights), batch, leading, kept, mean=weights == "mean")


def analyse_leading(found: Tensor, batch: int, leading: Sequence[int], kept: Sequence[int], *, mean: bool) -> Tensor:
    """Transform all axes but the last: from (B, *leading, 2·K, C), of any shape, to (B, 2, P, C)."""
    channels = found.shape[-1]
    rest = kept[-1] * channels
    for size, count in zip(reversed(leading), reversed(kept[:-1]), strict=True):
        found = _forward(found.reshape(-1, 2 * size, rest), size, count, mean=mean)
        rest *= count
    return found.reshape(batch, 2, -1, channels).contiguous()


def synthesise(modes: Tensor, kept: list[int], sizes: list[int], weights: Weights, *, last: bool) -> Tensor:
    """Apply the adjoint of `analyse`: from (B, 2, P, C) to real fields (B, C, *sizes).

    Args:
        modes: real and imaginary parts.
        kept: K of every axis.
        sizes: points along every axis.
        weights: w.
        last: whether the channels of the fields stand last in memory.
    """
    batch, channels = len(modes), modes.shape[-1]
    found = synthesise_leading(modes, sizes[:-1], kept, mean=weights == "mean")
    if not last:
        # The smaller of both is brought into the other order: coefficients of one axis, not fields.
        found = found.unflatten(0, (batch, -1)).permute(0, 3, 1, 2).reshape(-1, 2 * kept[-1], 1)
        return synthesise_last(found, sizes[-1], kept[-1], weights).view(batch, channels, *sizes)
    return synthesise_last(found, sizes[-1], kept[-1], weights).view(batch, *sizes, channels).movedim(-1, 1)


def synthesise_leading(modes: Tensor, leading: Sequence[int], kept: Sequence[int], *, mean: bool) -> Tensor:
    """Apply the adjoint of `analyse_leading`: from (B, 2, P, C) to (B·leading, 2·K, C)."""
    found, channels = modes, modes.shape[-1]
    rest = modes.shape[2] * channels
    for size, count in zip(leading, kept[:-1], strict=True):
        rest //= count
        found = _inverse(found.reshape(-1, 2 * count, rest), size, count, mean=mean)
    return found.reshape(-1, 2 * kept[-1], channels)


def _forward_last(x: Tensor, n: int, kept: int, weights: Weights) -> Tensor:
    """Transform the last axis of (B, C, *n): (B, *leading, 2·K, C)."""
    if channels_last(x):
        found = analyse_last(x.movedim(1, -1).reshape(-1, n, x.shape[1]), n, kept, weights)
        return found.view(x.shape[0], -1, 2 * kept, x.shape[1])
    found = analyse_last(x.reshape(-1, n, 1), n, kept, weights)
    return found.view(x.shape[0], x.shape[1], -1, 2 * kept).permute(0, 2, 3, 1)


def analyse_last(x: Tensor, n: int, kept: int, weights: Weights) -> Tensor:
    """Transform the last axis of real (batch, n, R): (batch, 2·K, R)."""
    if by_matrix(n, kept, last=True):
        return _product(last_basis(n, kept, weights, x.dtype, x.device).T, x)
    spectrum = torch.fft.rfft(x, dim=1)[:, :kept]
    scale = _last_weights(n, kept, weights, x.dtype, x.device)[:, None]
    found = x.new_empty(len(x), 2 * kept, x.shape[-1])
    torch.mul(spectrum.real, scale, out=found[:, :kept])
    torch.mul(spectrum.imag, scale, out=found[:, kept:])
    return found


def synthesise_last(modes: Tensor, n: int, kept: int, weights: Weights) -> Tensor:
    """Apply the adjoint of `analyse_last`: from (batch, 2·K, R) to (batch, n, R)."""
    if by_matrix(n, kept, last=True):
        return _product(last_basis(n, kept, weights, modes.dtype, modes.device), modes)
    scale = _last_weights(n, kept, weights, modes.dtype, modes.device)[:, None] / 2
    own = slice(0, None, kept - 1) if 2 * (kept - 1) == n else slice(0, 1)
    scale[own] *= 2
    # Of full length, as the transform would have to copy it otherwise.
    spectrum = modes.new_zeros(len(modes), n // 2 + 1, modes.shape[-1], dtype=modes.dtype.to_complex())
    parts = torch.view_as_real(spectrum)[:, :kept]
    torch.mul(modes[:, :kept], scale, out=parts[..., 0])
    torch.mul(modes[:, kept:], scale, out=parts[..., 1])
    # These sines vanish at every point; some transforms of half spectra read them nevertheless.
    parts[:, own, :, 1] = 0
    return torch.fft.irfft(spectrum, n=n, dim=1, norm="forward").contiguous()


def add_last(field: Tensor, modes: Tensor, n: int, kept: int, weights: Weights) -> None:
    """Add what `synthesise_last` makes of the modes to a field (batch, n, R)."""
    if by_matrix(n, kept, last=True):
        basis = last_basis(n, kept, weights, modes.dtype, modes.device)
        field.baddbmm_(basis.expand(len(modes), -1, -1), modes)
    else:
        field += synthesise_last(modes, n, kept, weights)


def _forward(pairs: Tensor, n: int, kept: int, *, mean: bool) -> Tensor:
    """Transform (batch, n·2, R) to (batch, 2·K, R)."""
    if by_matrix(n, kept, last=False):
        return _product(leading_basis(n, kept, mean, pairs.dtype, pairs.device), pairs)
    real, imaginary = pairs.unflatten(1, (n, 2)).unbind(2)
    found = torch.fft.fft(torch.complex(real, imaginary), dim=1, norm="forward" if mean else "backward")
    found = found.index_select(1, _places(n, kept, pairs.device))
    return torch.cat((found.real, found.imag), dim=1)


def _inverse(pairs: Tensor, n: int, kept: int, *, mean: bool) -> Tensor:
    """Apply the adjoint of `_forward`: from (batch, 2·K, R) to (batch, n·2, R)."""
    if by_matrix(n, kept, last=False):
        return _product(leading_basis(n, kept, mean, pairs.dtype, pairs.device).T, pairs)
    real, imaginary = pairs.unflatten(1, (2, kept)).unbind(1)
    spectrum = pairs.new_zeros(len(pairs), n, pairs.shape[-1], dtype=pairs.dtype.to_complex())
    spectrum.index_copy_(1, _places(n, kept, pairs.device), torch.complex(real, imaginary))
    found = torch.fft.ifft(spectrum, dim=1, norm="backward" if mean else "forward")
    del spectrum
    return torch.stack((found.real, found.imag), dim=2).flatten(1, 2)


def _product(matrix: Tensor, batch: Tensor) -> Tensor:
    """Apply a matrix to every member of a batch (batch, n, R)."""
    if batch.shape[-1] == 1:
        return (batch[..., 0] @ matrix.T)[..., None]
    # `matmul` would copy the batch into another order; `bmm` reads the one matrix again and again.
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


@constant
def last_basis(n: int, kept: int, weights: Weights, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return w cos θ and −w sin θ: (n, 2·K)."""
    theta = _angles(n, torch.arange(kept, device=device)).T
    scale = _last_weights(n, kept, weights, torch.float64, device)
    return torch.cat((theta.cos() * scale, -theta.sin() * scale), dim=1).to(dtype)


@constant
def leading_basis(n: int, kept: int, mean: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the real form of exp(−iθ), from (n, 2) to (2, K): (2·K, n·2)."""
    theta = _angles(n, _frequencies(kept, device))
    cosine, sine = theta.cos(), theta.sin()
    rows = torch.stack((torch.stack((cosine, sine), dim=-1), torch.stack((-sine, cosine), dim=-1)))
    return (rows.flatten(0, 1).flatten(1) / (n if mean else 1)).to(dtype)


@constant
def _places(n: int, kept: int, device: torch.device) -> Tensor:
    """Return where the kept frequencies stand in the output of an FFT."""
    return _frequencies(kept, device) % n


def _frequencies(kept: int, device: torch.device) -> Tensor:
    own = frequencies(kept)
    return torch.arange(own.start, own.stop, device=device)


def _angles(n: int, frequency: Tensor) -> Tensor:
    """Return θ, reduced exactly to one period: (K, n)."""
    point = torch.arange(n, device=frequency.device)
    return (frequency[:, None] * point % n).to(torch.float64) * (2 * math.pi / n)


def _last_weights(n: int, kept: int, weights: Weights, dtype: torch.dtype, device: torch.device) -> Tensor:
    if weights == "mean":
        return torch.full((kept,), 1 / n, dtype=dtype, device=device)
    scale = torch.full((kept,), 2.0, dtype=dtype, device=device)
    scale[0] = 1
    if weights == "sum-nyquist":
        scale[-1] = 1
    return scale
