"""Gaussian random fields from their spectral density, in a basis that sets what happens at the boundary."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import sympy
from pydantic import Field, model_validator
from scipy.optimize import brentq
from scipy.special import gamma, kv

from pdeml.errors import InputError, under
from pdeml.expr import Names, evaluate, parse
from pdeml.sampling.functions.bases import Basis, Dirichlet, Neumann, Periodic
from pdeml.sampling.functions.distribution import Distribution, Positive
from pdeml.sampling.functions.modal import Modal

__all__ = ["GRF"]

MODES = {1: 1024, 2: 256, 3: 48}
"""Number of coordinates -> functions of the basis along each."""
NEGLIGIBLE = 1e-16
"""Amplitudes below this share of the largest are left out."""
FAR = 1e-9
"""Correlation, relative to the variance, left between a point and the periodic images of another (basis ``free``)."""
LEAST = 0.98
"""Share of a kernel's variance that the functions of the basis ``free`` must hold."""

Kind = Literal["power", "rbf", "matern"]


class GRF(Distribution):
    """A Gaussian random field ``Σ a_k ξ_k φ_k`` with independent normal ξ_k, φ_k orthonormal eigenfunctions of −Δ on
    the box, and variance ``a_k² = amplitude² S(κ)``, κ² the eigenvalue (Karhunen-Loève series; Lord, Powell and
    Shardlow, 2014, ch. 5 and 7).

    With ``S = (κ² + τ²)^(−α)`` the covariance is amplitude² (−Δ + τ²)^(−α). Its default amplitude ``τ^(α − d/2)`` is
    that of the data of Li et al. (2021): on the unit square with Neumann basis the cosine k has the amplitude
    ``τ^(α−1) (π²|k|² + τ²)^(−α/2)``.

    Args:
        kernel: ``power`` (above), ``rbf`` (``exp(−r²/2l²)``) or ``matern``.
        tau: inverse length scale of ``power``.
        alpha: smoothness of ``power``.
        length: correlation length l of ``rbf`` and ``matern``, in the unit of the coordinates.
        nu: smoothness of ``matern``: 1/2 is the exponential kernel.
        spectrum: in place of a kernel: S as an expression in ``k``, the wavenumber κ.
        amplitude: factor; for ``rbf`` and ``matern`` the standard deviation (default 1).
        basis: ``neumann`` (zero slope at the boundary), ``dirichlet`` (zero there), ``periodic``, or ``free``: the
            boundary is not felt, so that the kernel itself is the covariance (a field whose series cuts off more than
            2 % of the variance is refused). Default: ``neumann`` for ``power``,
            ``periodic`` for ``spectrum``, ``free`` for the kernels.
        zero_mean: whether the constant function is left out; default: with ``power`` and ``spectrum``.
        modes: functions of the basis along each coordinate; default 1024 in one dimension, 256 in two, 48 in three.
    """

    kind = "grf"

    kernel: Kind = "power"
    tau: Positive | None = None
    alpha: Positive | None = None
    length: Positive | None = None
    nu: Positive | None = None
    spectrum: str | None = None
    amplitude: Positive | None = None
    basis: Literal["neumann", "dirichlet", "periodic", "free"] | None = None
    zero_mean: bool | None = None
    modes: int | None = Field(None, ge=2, le=100_000)

    @model_validator(mode="after")
    def _consistent(self) -> GRF:
        needed = {"power": ("tau", "alpha"), "rbf": ("length",), "matern": ("length", "nu")}[self.kernel]
        if self.spectrum is not None:
            needed = ()
            self.variance(np.ones(1), 1)
        for name in ("tau", "alpha", "length", "nu"):
            if name in needed and getattr(self, name) is None:
                raise ValueError(f"the kernel {self.kernel!r} needs {name}")
            if name not in needed and getattr(self, name) is not None:
                what = "a spectrum" if self.spectrum is not None else f"the kernel {self.kernel!r}"
                raise ValueError(f"{name!r} does not go with {what}")
        return self

    def variance(self, wavenumber: np.ndarray, dimension: int) -> np.ndarray:
        """Return amplitude² S at wavenumbers κ: the variance of the coefficient of each eigenfunction.

        Raises:
            InputError: the spectrum is no formula in ``k``, or negative or infinite somewhere.
        """
        return _amplitude(self, dimension) ** 2 * _density(self, wavenumber, dimension)

    def draw(self, rng: np.random.Generator, over: tuple[str, ...], bounds: np.ndarray) -> Modal:
        self.check_dimensions(over, *MODES)
        bases, scale = _scales(self, tuple(map(tuple, np.asarray(bounds, dtype=np.float64).tolist())))
        return Modal(over, bases, scale * rng.standard_normal(scale.shape))


@lru_cache(maxsize=4)
def _scales(field: GRF, bounds: tuple[tuple[float, float], ...]) -> tuple[tuple[Basis, ...], np.ndarray]:
    """Return the bases and the standard deviation of every coefficient."""
    dimension = len(bounds)
    kind = field.basis or ("periodic" if field.spectrum else "neumann" if field.kernel == "power" else "free")
    pad = _reach(field, dimension) if kind == "free" else 0.0
    make = {"neumann": Neumann, "dirichlet": Dirichlet}.get(kind, Periodic)
    count = field.modes or MODES[dimension]
    bases = tuple(make(low, high + pad, count) for low, high in bounds)
    scale = _amplitudes(field, bases)
    if kind == "free" and field.kernel != "power" and not field.zero_mean:
        _check_variance(field, bases, scale)
    largest = scale.max()
    if not largest > 0:
        raise InputError("the field is zero: its spectrum vanishes at every wavenumber of the basis")
    # Counts follow from the options alone, so that a draw is the same wherever it is evaluated.
    for axis in range(dimension):
        rest = tuple(other for other in range(dimension) if other != axis)
        needed = np.flatnonzero(scale.max(axis=rest) > NEGLIGIBLE * largest)[-1] + 1
        scale = scale.take(np.arange(needed), axis=axis)
    return tuple(make(basis.low, basis.high, size) for basis, size in zip(bases, scale.shape, strict=True)), scale


def _amplitudes(field: GRF, bases: tuple[Basis, ...]) -> np.ndarray:
    squares = np.zeros(())
    for basis in bases:
        squares = squares[..., None] + basis.wavenumbers**2
    constant = squares == 0
    leave_out = (
        field.zero_mean if field.zero_mean is not None else field.spectrum is not None or field.kernel == "power"
    )
    # A spectrum may be infinite at zero, where it does not count if the constant is left out.
    wavenumbers = np.sqrt(np.where(constant, squares[squares > 0].min(), squares) if leave_out else squares)
    scale = np.sqrt(field.variance(wavenumbers, len(bases)))
    return np.where(constant & leave_out, 0.0, scale)


def _check_variance(field: GRF, bases: tuple[Basis, ...], scale: np.ndarray) -> None:
    """Refuse a series too short for its kernel: the variance anywhere is the mean square of its functions."""
    volume = math.prod(basis.length for basis in bases)
    share = float(np.square(scale).sum() / volume / _amplitude(field, len(bases)) ** 2)
    if share < LEAST:
        raise InputError(
            f"{scale.shape[0]} functions along each coordinate hold {share:.1%} of the variance of the kernel, "
            f"{LEAST:.0%} are needed; give more modes, or a longer length",
            ("modes",),
        )


def _amplitude(field: GRF, dimension: int) -> float:
    if field.amplitude is not None:
        return field.amplitude
    if field.spectrum is None and field.kernel == "power":
        assert field.tau is not None
        assert field.alpha is not None
        return field.tau ** (field.alpha - dimension / 2)
    return 1.0


def _density(field: GRF, k: np.ndarray, d: int) -> np.ndarray:
    """Return the eigenvalue of the covariance operator with amplitude 1 at wavenumbers ``k``."""
    if field.spectrum is not None:
        values = evaluate(_formula(field.spectrum), {"k": k})
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise InputError(f"{field.spectrum!r} is negative or infinite at some wavenumber k", ("spectrum",))
        return values
    if field.kernel == "power":
        return (k**2 + field.tau**2) ** -field.alpha
    if field.kernel == "rbf":
        return (2 * np.pi * field.length**2) ** (d / 2) * np.exp(-0.5 * (field.length * k) ** 2)
    nu, square = field.nu, 2 * field.nu / field.length**2
    factor = (4 * np.pi) ** (d / 2) * gamma(nu + d / 2) / gamma(nu) * square**nu
    return factor * (square + k**2) ** -(nu + d / 2)


@lru_cache(maxsize=16)
def _formula(text: str) -> sympy.Expr:
    with under("spectrum"):
        return parse(text, Names(("k",)), "known")


def _reach(field: GRF, dimension: int) -> float:
    """Return the distance at which the correlation is `FAR`: the box is continued by it before it repeats."""
    if field.spectrum is not None:
        raise InputError("a spectrum needs the basis neumann, dirichlet or periodic", ("basis",))
    if field.kernel == "rbf":
        return float(field.length * math.sqrt(-2 * math.log(FAR)))
    # (κ² + τ²)^(−α) is the spectrum of a Matérn kernel of smoothness α − d/2 and √(2ν)/l = τ.
    nu = field.nu if field.kernel == "matern" else field.alpha - dimension / 2
    if nu <= 0:
        raise InputError(
            f"in {dimension} dimensions the variance is infinite for alpha <= {dimension / 2:g}", ("alpha",)
        )
    decay = math.sqrt(2 * nu) / field.length if field.kernel == "matern" else field.tau

    def left(r: float) -> float:
        return 2 ** (1 - nu) / gamma(nu) * r**nu * kv(nu, r) - FAR

    return float(brentq(left, 1e-3, 700.0)) / decay
