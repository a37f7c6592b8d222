"""Burgers' equation with a sine wave at the start, by the Cole-Hopf transformation and quadrature."""

from __future__ import annotations

import numpy as np

__all__ = ["burgers_sine", "stated_floor"]

TAIL = 42.0  # what is left out of the integrals is below exp(-TAIL) of what is kept
CHUNK = 4_000_000  # at most this many kernel values in memory at once
ROUNDING = 4e-16  # relative L2 error per unit of exponent; measured, see tests/reference/test_cole_hopf.py


def burgers_sine(x: np.ndarray, t: np.ndarray, nu: float, refine: float = 1.0) -> np.ndarray:
    """Evaluate the solution of ``u_t + u u_x = nu u_xx`` on the real line with ``u(x, 0) = -sin(pi x)``.

    With ``y = x - sqrt(4 nu t) z`` and weights ``w(z) = exp(-z^2 - cos(pi y) / (2 pi nu))`` the solution is
    ``u = -∫ sin(pi y) w dz / ∫ w dz``. Both integrals are taken by the trapezoidal rule, which converges
    geometrically for an entire, decaying integrand; the largest exponent is subtracted first, so that nothing
    overflows for small viscosities.

    Args:
        x: positions (N,).
        t: times (N,) since the start, not negative.
        nu: viscosity, positive.
        refine: divides the step of the rule; 1 is enough for rounding accuracy.
    Returns: u (N,), float64.
    Raises:
        ValueError: if ``nu`` is not positive or a time is negative.
    Reference: Basdevant et al., Computers & Fluids 14 (1986) 23-41.
    """
    if not nu > 0:
        raise ValueError(f"nu must be positive, got {nu!r}")
    x, t = np.broadcast_arrays(np.atleast_1d(x).astype(np.float64), np.atleast_1d(t).astype(np.float64))
    if np.any(t < 0):
        raise ValueError("the times must not be negative")
    z = _nodes(nu, float(t.max(initial=0.0)), refine)
    rows = max(1, CHUNK // z.size)
    parts = [_ratio(x[k : k + rows], t[k : k + rows], nu, z) for k in range(0, x.size, rows)]
    return np.concatenate(parts) if parts else np.zeros(0)


def stated_floor(nu: float) -> float:
    """Return the relative L2 error of `burgers_sine`: rounding, amplified by the size of the exponents."""
    return ROUNDING * (10.0 + 1.0 / (np.pi * nu))


def _ratio(x: np.ndarray, t: np.ndarray, nu: float, z: np.ndarray) -> np.ndarray:
    y = x[:, None] - np.sqrt(4.0 * nu * t)[:, None] * z
    # Reduced to one period first: cos(pi y) loses digits for large arguments.
    y -= 2.0 * np.round(y / 2.0)
    exponent = -(z**2) - np.cos(np.pi * y) / (2.0 * np.pi * nu)
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return -(np.sin(np.pi * y) * weights).sum(axis=1) / weights.sum(axis=1)


def _nodes(nu: float, latest: float, refine: float) -> np.ndarray:
    """Return equidistant nodes that are enough for all times up to ``latest``.

    Cut off where ``-z^2`` outweighs the whole range of the other exponent by TAIL; the step follows from shifting
    the contour by ``i s``: the error is at most ``exp(s^2 + (cosh(pi c s) - 1) / (2 pi nu) - 2 pi s / h)``.
    """
    height = 1.0 / (2.0 * np.pi * nu)
    reach = np.sqrt(2.0 * height + TAIL)
    c = np.sqrt(4.0 * nu * latest)
    shift = np.geomspace(1e-3, 1e2, 2001)
    growth = shift**2 + height * (np.cosh(np.minimum(np.pi * c * shift, 50.0)) - 1.0)
    step = float(np.max(2.0 * np.pi * shift / (TAIL + growth))) / refine
    count = int(np.ceil(reach / step))
    return step * np.arange(-count, count + 1)
