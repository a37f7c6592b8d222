"""Which samples of a generated data set belong to which part."""

from __future__ import annotations

import numpy as np

from pdeml.errors import InputError
from pdeml.spec import Document, SplitSpec

__all__ = ["resized", "split_samples"]


def split_samples(asked: SplitSpec | None, samples: int) -> dict[str, range]:
    """Divide the samples in their order: they are independent of each other.

    Raises:
        InputError: a part is a file.
    """
    found, start = {}, 0
    for part in asked.given if asked is not None else ():
        count = getattr(asked, part)
        if isinstance(count, str):
            raise InputError(f"must be a count or a fraction, got {count!r}", (part,))
        size = count if isinstance(count, int) else round(count * samples)
        found[part] = range(start, min(start + size, samples))
        start += size
    return found


def resized(document: Document, samples: int) -> list[str]:
    """Return the overrides that ask for another number of samples, divided in the same proportions.

    Counts are scaled and rounded so that they add up to no more than the samples; fractions stay.
    """
    asked = document.spec.generate
    found = [f"generate.samples={samples}"]
    if asked is None or asked.split is None:
        return found
    counts = {key: getattr(asked.split, key) for key in asked.split.given}
    counts = {key: count for key, count in counts.items() if isinstance(count, int)}
    ends = np.cumsum([0, *counts.values()]) * (samples / asked.samples)
    sizes = dict(zip(counts, np.diff(np.round(ends).astype(int)).tolist(), strict=True))
    kept = {key: size for key, size in sizes.items() if size}
    others = {key: getattr(asked.split, key) for key in asked.split.given if key not in counts}
    listed = ", ".join(f"{key}: {size}" for key, size in {**kept, **others}.items())
    return [*found, f"generate.split={{{listed}}}"]
