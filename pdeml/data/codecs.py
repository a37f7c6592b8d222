"""Lossy codecs: numbers that take less room, at an error that is measured and bounded.

A codec changes values, not the file format: what it returns is stored as float32 or float64 like any array, so that
every reader understands it. Rounded numbers end in zero bits and smooth fields in few modes, which gzip then packs.

The error of each sample (relative L2, maximum, relative H1) is measured as `pdeml.field.error_norms` does, the largest
over all samples is kept with the array, and a sample whose relative L2 error exceeds the tolerance is refused.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import scipy.fft

from pdeml.data.source import ArrayInfo
from pdeml.errors import InputError, one_of
from pdeml.field.norms import Error, error_norms

__all__ = ["BFloat16", "Codec", "Float32", "Mantissa", "Spectral", "parse_codec"]


@dataclass(frozen=True)
class Codec(ABC):
    """A lossy change of one sample of an array.

    Args:
        tolerance: largest allowed relative L2 error of a sample.
    """

    tolerance: float = 1e-2

    @abstractmethod
    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the values that are kept, of the same shape and type."""

    def apply(self, values: np.ndarray, axes: Sequence[np.ndarray]) -> tuple[np.ndarray, Error]:
        """Encode one sample and measure its error.

        Args:
            values: floats of any shape; NaN (outside the geometry) stays.
            axes: coordinate values along each axis, for the H1 norm.

        Returns:
            the values that are kept, and their error.

        Raises:
            InputError: if the relative L2 error exceeds the tolerance.
        """
        inside = ~np.isnan(values)
        long = [(axis, points) for axis, points in enumerate(axes) if len(points) > 1]
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite error is refused below
            kept = self.encode(values)
            error = error_norms(kept.astype(np.float64), values.astype(np.float64), inside, long)
        if not error.relative_l2 <= self.tolerance:
            raise InputError(
                f"the codec {self} has a relative L2 error of {error.relative_l2:.2e}, above its tolerance "
                f"{self.tolerance:g}; keep more, or allow more"
            )
        return kept, error

    def check(self, info: ArrayInfo) -> None:
        """Refuse arrays that the codec is not for."""
        if info.dtype.kind != "f":
            raise InputError(f"array {info.name!r} holds {info.dtype}; lossy codecs are for floats")

    def __str__(self) -> str:
        return json.dumps({"kind": type(self).__name__.lower(), **asdict(self)})


@dataclass(frozen=True)
class Mantissa(Codec):
    """Rounds to ``bits`` bits after the leading one, ties to even: relative error of a number at most 2^-(bits + 1).

    Args:
        bits: 1 ... 51 (float64) or 1 ... 22 (float32).
    """

    bits: int = 12

    def __post_init__(self) -> None:
        if not (isinstance(self.bits, int) and 1 <= self.bits <= 51):
            raise InputError(f"a mantissa keeps 1 to 51 bits, got {self.bits!r}")

    def encode(self, values: np.ndarray) -> np.ndarray:
        return round_mantissa(values, self.bits)


@dataclass(frozen=True)
class BFloat16(Codec):
    """Rounds to the 7 mantissa bits of bfloat16 (whose range is that of float32): relative error at most 2^-8."""

    def encode(self, values: np.ndarray) -> np.ndarray:
        return round_mantissa(values.astype(np.float32), 7).astype(values.dtype)


@dataclass(frozen=True)
class Float32(Codec):
    """Rounds float64 to float32: relative error at most 2^-24."""

    tolerance: float = 1e-6

    def encode(self, values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32).astype(values.dtype)


@dataclass(frozen=True)
class Spectral(Codec):
    """Keeps the lowest modes along each axis: an orthogonal projection.

    Hence |error|² is the sum of the squares of the modes left out (Parseval), known before they are.

    Args:
        modes: how many wave numbers are kept along each of the last ``len(modes)`` axes.
        basis: ``"fourier"`` for periodic samples (right end left out; wave numbers -modes < k < modes), or ``"cosine"``
            (DCT-II) for any other.
    """

    modes: tuple[int, ...] = (32,)
    basis: str = "fourier"

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", tuple(self.modes))
        if not self.modes or not all(isinstance(count, int) and count >= 1 for count in self.modes):
            raise InputError(f"modes must be positive integers, one an axis, got {self.modes!r}")
        if self.basis not in ("fourier", "cosine"):
            raise InputError(f"basis: {one_of(self.basis, ['fourier', 'cosine'], 'a basis')}")

    def check(self, info: ArrayInfo) -> None:
        super().check(info)
        if len(self.modes) > len(info.shape):
            raise InputError(
                f"array {info.name!r} has {len(info.shape)} axes, but modes are given for {len(self.modes)}"
            )

    def encode(self, values: np.ndarray) -> np.ndarray:
        if np.isnan(values).any():
            raise InputError("spectral truncation needs values everywhere, but some are NaN")
        kept = values.astype(np.float64)
        for axis, modes in zip(range(-len(self.modes), 0), self.modes, strict=True):
            kept = self._truncated(kept, axis, modes)
        return kept.astype(values.dtype)

    def _truncated(self, values: np.ndarray, axis: int, modes: int) -> np.ndarray:
        size = values.shape[axis]
        forward, back = (
            (scipy.fft.rfft, scipy.fft.irfft) if self.basis == "fourier" else (scipy.fft.dct, scipy.fft.idct)
        )
        spectrum = np.moveaxis(forward(values, axis=axis), axis, -1)
        spectrum[..., modes:] = 0
        return back(np.moveaxis(spectrum, -1, axis), n=size, axis=axis)


def round_mantissa(values: np.ndarray, bits: int) -> np.ndarray:
    """Round floats to ``bits`` mantissa bits after the leading one, ties to even; NaN and infinity stay."""
    words, size = {4: (np.uint32, 23), 8: (np.uint64, 52)}[values.dtype.itemsize]
    drop = size - bits
    if drop <= 0:
        return values.copy()
    raw = np.ascontiguousarray(values).view(words)
    last = (raw >> words(drop)) & words(1)
    rounded = (raw + (words((1 << (drop - 1)) - 1) + last)) >> words(drop) << words(drop)
    return np.where(np.isfinite(values), rounded.view(values.dtype), values)


_CODECS = {kind.__name__.lower(): kind for kind in (BFloat16, Float32, Mantissa, Spectral)}


def parse_codec(text: str) -> Codec:
    """Return the codec that a file names, as ``str(codec)`` wrote it.

    Raises:
        InputError: if it is none.
    """
    try:
        options = json.loads(text)
        return _CODECS[options.pop("kind")](**options)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{text!r:.80} is not a codec; there are {', '.join(_CODECS)}") from None
