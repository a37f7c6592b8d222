"""Exact solutions of Riemann problems, written from textbooks and independent of the package."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

__all__ = ["burgers", "dam_break", "euler"]


def burgers(left: float, right: float, speed: np.ndarray) -> np.ndarray:
    """u(x/t) of ``u_t + (u²/2)_x = 0``."""
    if left > right:
        return np.where(speed < 0.5 * (left + right), left, right)
    return np.clip(speed, left, right)


def dam_break(deep: float, shallow: float, gravity: float, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and velocity of water at rest, deep on the left (Stoker 1957, ch. 10.8)."""
    c = np.sqrt(gravity * deep)

    def mismatch(h: float) -> float:
        return 2.0 * (c - np.sqrt(gravity * h)) - (h - shallow) * np.sqrt(0.5 * gravity * (h + shallow) / (h * shallow))

    h = brentq(mismatch, shallow, deep, xtol=1e-14)
    u = 2.0 * (c - np.sqrt(gravity * h))
    bore = h * u / (h - shallow)
    fan = speed < u - np.sqrt(gravity * h)
    depth = np.select([speed < -c, fan, speed < bore], [deep, (2.0 * c - speed) ** 2 / (9.0 * gravity), h], shallow)
    velocity = np.select([speed < -c, fan, speed < bore], [0.0, 2.0 / 3.0 * (speed + c), u], 0.0)
    return depth, velocity


def euler(
    left: tuple[float, float, float], right: tuple[float, float, float], gamma: float, speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Density, velocity and pressure of an ideal gas (Toro, Riemann Solvers, 2009, ch. 4)."""

    def jump(p: float, state: tuple[float, float, float]) -> float:
        density, _, pressure = state
        if p > pressure:
            a, b = 2.0 / (gamma + 1.0) / density, (gamma - 1.0) / (gamma + 1.0) * pressure
            return (p - pressure) * np.sqrt(a / (p + b))
        c = np.sqrt(gamma * pressure / density)
        return 2.0 * c / (gamma - 1.0) * ((p / pressure) ** (0.5 * (gamma - 1.0) / gamma) - 1.0)

    p = brentq(lambda q: jump(q, left) + jump(q, right) + right[1] - left[1], 1e-12, 1e6, xtol=1e-15)
    u = 0.5 * (left[1] + right[1] + jump(p, right) - jump(p, left))
    here = _side(left, p, u, gamma, speed)
    mirror = _side((right[0], -right[1], right[2]), p, -u, gamma, -speed)
    there = (mirror[0], -mirror[1], mirror[2])
    return tuple(np.where(speed < u, a, b) for a, b in zip(here, there, strict=True))


def _side(
    state: tuple[float, float, float], p: float, u: float, gamma: float, speed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is left of the contact."""
    density, velocity, pressure = state
    c = np.sqrt(gamma * pressure / density)
    ratio, share = p / pressure, (gamma - 1.0) / (gamma + 1.0)
    if ratio > 1.0:
        inner = density * (ratio + share) / (share * ratio + 1.0)
        shock = velocity - c * np.sqrt(0.5 * (gamma + 1.0) / gamma * ratio + 0.5 * (gamma - 1.0) / gamma)
        outside = speed < shock
        pairs = ((density, inner), (velocity, u), (pressure, p))
        return tuple(np.where(outside, a, b) for a, b in pairs)
    inner, end = density * ratio ** (1.0 / gamma), c * ratio ** (0.5 * (gamma - 1.0) / gamma)
    inside = (2.0 + (gamma - 1.0) / c * (velocity - speed)) / (gamma + 1.0)
    fan = [
        np.abs(inside) ** (2.0 / (gamma - 1.0)) * density,
        2.0 / (gamma + 1.0) * (c + 0.5 * (gamma - 1.0) * velocity + speed),
    ]
    fan.append(np.abs(inside) ** (2.0 * gamma / (gamma - 1.0)) * pressure)
    conditions = [speed < velocity - c, speed < u - end]
    values = zip((density, velocity, pressure), fan, (inner, u, p), strict=True)
    return tuple(np.select(conditions, [a, b], d) for a, b, d in values)
