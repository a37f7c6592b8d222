"""Spectra of functions on [−1, 1]: how long their expansions are, which frequencies they contain."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import fft, optimize, signal, special

__all__ = ["Function", "chebyshev_length", "expanded", "exponential_length", "frequencies", "wave_number"]

Function = Callable[[np.ndarray], np.ndarray]
"""Maps places in [−1, 1], (N,), to values (N,)."""

SIGNIFICANT = 1e-3
"""Of the whole: what is smaller in an expansion does not count."""
ROUGH = 0.1
"""The same for functions with jumps, whose expansions never end."""
_TRANSITION = (
    2.8  # measured: cos(z x) has z + 2.8 z^(1/3) coefficients above a thousandth, within one, for z up to 1000
)
_FEWEST, _MOST = 256, 2**16  # samples
_LARGEST = 1e6  # exponent: Bessel functions of larger arguments are not accurate
_FAINT = 2e-4  # of the strongest frequency: a weaker one is not told
_FREQUENCIES = 12  # at most
_SAMPLES = 2**12  # at most, for frequencies
_STEPS = 12  # of Gauss–Newton


def expanded(function: Function) -> np.ndarray:
    """Return the coefficients of the Chebyshev expansion of a function, enough that it is resolved if it can be."""
    count = _FEWEST
    while True:
        values = function(np.cos(math.pi * (np.arange(count) + 0.5) / count))
        coefficients = fft.dct(values, type=2) / count
        coefficients[0] *= 0.5
        if _length(coefficients, SIGNIFICANT * np.abs(values).max()) < count // 2 or count >= _MOST:
            return coefficients
        count *= 2


def chebyshev_length(coefficients: np.ndarray, size: float) -> int:
    """Return the degree beyond which an expansion is insignificant against ``size``, the size of the function."""
    length = _length(coefficients, SIGNIFICANT * size)
    return length if length < len(coefficients) // 2 else _length(coefficients, ROUGH * size)


def _length(coefficients: np.ndarray, floor: float) -> int:
    tails = np.sqrt(np.cumsum(coefficients[::-1] ** 2)[::-1])
    return max(int((tails > floor).sum()) - 1, 0)


def wave_number(length: float) -> float:
    """Return z such that ``cos(z x)`` has an expansion of that length, ``z + 2.8 z^(1/3)``; zero for a quadratic."""
    if length <= _TRANSITION:
        return 0.0
    return optimize.brentq(lambda root: root**3 + _TRANSITION * root - length, 0.0, length) ** 3


def exponential_length(exponent: complex) -> float:
    """Return the length of the Chebyshev expansion of ``exp(λ x)``, whose largest value is made one, on [−1, 1].

    Its coefficients are twice the Bessel functions ``I_n(λ) exp(−|Re λ|)``.
    """
    exponent *= min(1.0, _LARGEST / max(abs(exponent), 1.0))
    size, imaginary = abs(exponent), abs(exponent.imag)
    degrees = np.geomspace(1.0, size + 4 * size ** (1 / 3) + 10, 400)
    above = 2 * np.abs(special.ive(degrees, abs(exponent.real) + 1j * imaginary)) > SIGNIFICANT
    return float(degrees[above].max(initial=0.0))


def frequencies(function: Function, length: int) -> list[tuple[float, float]]:
    """Return pairs (wave number, amplitude relative to the largest) of the waves that a function is made of.

    The strongest is taken from the windowed spectrum, all found so far are refined together with their amplitudes by
    least squares and removed, and so on (the RELAX algorithm of Li and Stoica 1996, here with a linear trend).

    Args:
        function: on [−1, 1]; of one with very many waves the middle is taken.
        length: of its Chebyshev expansion.
    """
    end = min(1.0, _SAMPLES / (2 * length)) if length else 1.0
    x = np.linspace(-end, end, min(max(_FEWEST, 2 * length), _SAMPLES))
    y = function(x)
    found = np.zeros(0)
    residual, amplitudes = _fitted(x, y, found)
    floor = max(_FAINT * np.linalg.norm(residual), 1e-12 * np.linalg.norm(y))
    for _ in range(_FREQUENCIES):
        if np.linalg.norm(residual) <= floor:
            break
        found = _refined(x, y, np.append(found, _strongest(x, residual)))
        residual, amplitudes = _fitted(x, y, found)
    largest = amplitudes.max(initial=0.0)
    return [(abs(float(w)), float(a / largest)) for w, a in zip(found, amplitudes, strict=True) if a > _FAINT * largest]


def _strongest(x: np.ndarray, values: np.ndarray) -> float:
    """Return the wave number at which the windowed spectrum of equidistant samples is largest, half a wave at least."""
    spectrum = np.abs(fft.rfft(values * signal.windows.hann(len(values)), 8 * len(values)))
    highest = math.pi / (x[1] - x[0])
    return max(float(np.argmax(spectrum)) / (len(spectrum) - 1) * highest, 0.5 * math.pi / x[-1])


def _waves(x: np.ndarray, found: np.ndarray) -> np.ndarray:
    phases = x[:, None] * found
    return np.concatenate([np.stack([np.ones_like(x), x], 1), np.cos(phases), np.sin(phases)], 1)


def _fitted(x: np.ndarray, y: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a trend and waves of given wave numbers leave of samples, and the amplitudes of the waves."""
    columns = _waves(x, found)
    solution = np.linalg.lstsq(columns, y, rcond=1e-10)[0]
    return y - columns @ solution, np.hypot(*solution[2:].reshape(2, -1))


def _refined(x: np.ndarray, y: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Improve wave numbers by Gauss–Newton steps in them and the amplitudes together, as long as they help."""
    best = math.inf
    kept = found
    for _ in range(_STEPS):
        columns = _waves(x, found)
        solution = np.linalg.lstsq(columns, y, rcond=1e-10)[0]
        residual = y - columns @ solution
        size = float(np.linalg.norm(residual))
        if size >= 0.99 * best:
            break
        best, kept = size, found
        cosines, sines = solution[2:].reshape(2, -1)
        phases = x[:, None] * found
        slopes = x[:, None] * (sines * np.cos(phases) - cosines * np.sin(phases))
        step = np.linalg.lstsq(np.concatenate([columns, slopes], 1), residual, rcond=1e-10)[0]
        found = found + np.clip(step[columns.shape[1] :], -1.0 / x[-1], 1.0 / x[-1])
    return kept
