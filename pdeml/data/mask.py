"""Which points of a sample lie inside the geometry: an array ``mask``, 0 outside, excuses NaN there.

It holds integers in data sets of ours; formats without integers, such as The Well, give it back as floats.
"""

from __future__ import annotations

import numpy as np

from pdeml.data.source import Source, Window

__all__ = ["MASK", "first_hole", "hole_among", "holes", "is_masked", "read_inside", "spread"]

MASK = "mask"


def is_masked(source: Source, name: str) -> bool:
    """Whether the mask of a file says where an array of floats has values: it has the dimensions of the mask."""
    mask, info = source.arrays.get(MASK), source.arrays[name]
    return (
        mask is not None
        and name != MASK
        and info.dtype.kind == "f"
        and bool(mask.dims)
        and set(mask.dims) <= set(info.dims)
    )


def read_inside(
    source: Source, name: str, samples: slice | np.ndarray, window: Window | None = None
) -> np.ndarray | None:
    """Read where an array has values, of a shape that broadcasts to (samples, ...); None: everywhere."""
    return spread(source, name, source.read(MASK, samples, window)) if is_masked(source, name) else None


def spread(source: Source, name: str, mask: np.ndarray) -> np.ndarray:
    """Bring values of the mask, shape (samples, ...), to booleans that broadcast to the dimensions of an array."""
    own = source.arrays[MASK]
    sizes = dict(zip(own.dims, mask.shape[1:], strict=True))
    return (mask != 0).reshape(len(mask), *(sizes.get(dim, 1) for dim in source.arrays[name].dims))


def holes(values: np.ndarray) -> np.ndarray | None:
    """Return which values are not finite, None where all are; one sum tells whether there may be any."""
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype.kind != "f" or np.isfinite(values.sum()):
            return None
    found = ~np.isfinite(values)
    return found if found.any() else None


def hole_among(
    source: Source, name: str, samples: np.ndarray, values: np.ndarray, window: Window | None = None
) -> int | None:
    """Return the number of the first of some samples with a value inside the geometry that is not finite, or None.

    Args:
        source: the samples.
        name: of the array.
        samples: their numbers.
        values: what was read of them.
        window: in which.
    """
    missing = holes(values)
    if missing is None:
        return None
    mask = source.arrays.get(MASK)
    own = {dim: part for dim, part in (window or {}).items() if mask is not None and dim in mask.dims}
    bad = first_hole(missing, read_inside(source, name, samples, own))
    return None if bad is None else int(samples[bad])


def first_hole(missing: np.ndarray | None, inside: np.ndarray | None) -> int | None:
    """Return the first sample with a value inside the geometry that is not finite, None if there is none.

    Args:
        missing: of `holes`.
        inside: of `read_inside`.
    """
    if missing is None:
        return None
    bad = (missing if inside is None else missing & inside).reshape(len(missing), -1).any(axis=1)
    return int(bad.argmax()) if bad.any() else None
