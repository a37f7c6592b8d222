"""Checked numbers, intervals and point arrays: what comes from a user passes through here once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pdeml.errors import InputError, under

__all__ = ["as_points", "axis_name", "interval", "number", "piece_name", "positive"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def number(value: object, what: str = "a number") -> float:
    """Return ``value`` (a number, or the text of a constant expression such as ``2*pi``) as a finite float.

    Args:
        value: int, float, numpy scalar or text.
        what: how the message calls it.

    Raises:
        InputError: if it is no finite real number.
    """
    if isinstance(value, str):
        from pdeml.expr import parse_constant  # sympy is needed only where a constant is written as text

        return float(parse_constant(value))
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{what} must be a number or a constant expression such as 2*pi, got {value!r}")
    if not math.isfinite(value):
        raise InputError(f"{what} must be finite, got {value!r}")
    return float(value)


def positive(value: object, what: str) -> float:
    """Return ``value`` as a finite float above zero, or raise `InputError`."""
    result = number(value, what)
    if result <= 0:
        raise InputError(f"{what} must be positive, got {value!r}")
    return result


def interval(value: object, name: str) -> tuple[float, float]:
    """Return the two ends ``(low, high)`` of the interval given for coordinate ``name``.

    Raises:
        InputError: if it is not a pair of finite numbers, or the ends are equal or in the wrong order.
    """
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise InputError(f"{name} needs two ends, such as [0, 1], got {value!r}")
    ends = []
    for k, end in enumerate(value):
        with under(k):
            ends.append(number(end, f"an end of {name}"))
    low, high = ends
    if low == high:
        raise InputError(f"the interval of {name} has no length: both ends are {low:g}")
    if low > high:
        raise InputError(f"the ends of {name} are in the wrong order: {low:g} > {high:g}; write [{high:g}, {low:g}]")
    if not math.isfinite(high - low):
        raise InputError(f"the interval of {name}, [{low:g}, {high:g}], is too long for floating-point numbers")
    return low, high


def axis_name(name: object) -> str:
    """Return ``name`` if it can be the name of a coordinate, or raise `InputError`."""
    return _name(name, "coordinate")


def piece_name(name: object) -> str:
    """Return ``name`` if it can be the name of a piece of boundary, or raise `InputError`."""
    return _name(name, "piece of boundary")


def _name(name: object, what: str) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        raise InputError(f"{name!r} cannot name a {what}; use a letter followed by letters, digits or _")
    return name


def as_points(points: ArrayLike, dimension: int) -> np.ndarray:
    """Return ``points`` as a float64 array of shape (N, dimension); one point may be given as a flat sequence.

    Raises:
        InputError: if the shape is another one.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim == 1 and array.shape[0] == dimension:
        array = array[None, :]
    if array.ndim != 2 or array.shape[1] != dimension:
        raise InputError(f"points must have shape (N, {dimension}), got {array.shape}")
    return array
