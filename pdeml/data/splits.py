"""Parts of a data set by count or fraction: they never overlap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pdeml.data.schema import PARTS
from pdeml.errors import InputError, one_of

__all__ = ["split_numbers"]


def split_numbers(parts: Mapping[str, int | float], samples: int) -> dict[str, np.ndarray]:
    """Cut the samples 0, 1, 2, ... into parts, in the order train, validation, test; what remains belongs to none.

    Fractions are rounded; where rounding up would ask for more samples than there are, the last part gets less.

    Samples are drawn independently, so that consecutive ones are as good as any; and a data set that grows keeps them.

    Args:
        parts: ``train``, ``validation``, ``test`` (any of them) -> a count (integer), or a fraction below 1 of all.
        samples: how many there are.

    Returns:
        part -> sample numbers.

    Raises:
        InputError: if a size is no count and no fraction, or they add up to more than there are.
    """
    for name in parts:
        if name not in PARTS:
            raise InputError(one_of(name, PARTS, "a part of a data set"), (name,))
    sizes = {name: _size(name, parts[name], samples) for name in PARTS if name in parts}
    if (asked := sum(sizes.values())) > samples * (1 + 1e-9):
        listed = ", ".join(f"{name} {size:g}" for name, size in sizes.items())
        full = next(name for name, end in zip(sizes, np.cumsum([*sizes.values()]), strict=True) if end > samples)
        raise InputError(f"the parts ({listed}) add up to {asked:g}, but there are {samples} samples", (full,))
    ends = np.minimum(np.cumsum([0, *map(round, sizes.values())]), samples)
    return {name: np.arange(start, end) for name, start, end in zip(sizes, ends[:-1], ends[1:], strict=True)}


def _size(name: str, size: int | float, samples: int) -> float:
    """Return how many samples are asked for, before rounding."""
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    if isinstance(size, float) and 0 < size < 1:
        return size * samples
    raise InputError(f"a part is a count of samples or a fraction below 1, got {size!r}", (name,))
