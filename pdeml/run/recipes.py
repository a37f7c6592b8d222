"""What is asked of a recipe besides what it says itself: how many samples, and by whom."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from pdeml.run.finding import find_spec
from pdeml.spec import Document, apply_overrides

__all__ = ["find_recipe"]


def find_recipe(
    recipe: str | os.PathLike[str],
    samples: int | None = None,
    workers: int | None = None,
    executor: str | None = None,
    changes: Sequence[str] = (),
) -> Document:
    """Read a recipe and change what is asked of it.

    Args:
        recipe: a file, or the name of a shipped one.
        samples: their number; the parts of the split keep their proportions.
        workers: how many processes.
        executor: ``processes``, ``dask`` or ``serial``.
        changes: of anything else in the spec, such as ``"reference.grid.x=65"``.

    Raises:
        InputError: there is no such recipe, it is none, or what is asked for is not possible.
    """
    document = find_spec(recipe, recipe=True)
    if document.spec.generate is None:
        raise document.error("is no recipe: it has no 'generate', such as generate: {samples: 100}")
    if samples is not None:
        document = apply_overrides(document, _resized(document, samples), f"--samples {samples}")
    for key, value in {"workers": workers, "executor": executor}.items():
        if value is not None:
            document = apply_overrides(document, [f"generate.{key}={value}"], f"--{key} {value}")
    return apply_overrides(document, changes) if changes else document


def _resized(document: Document, samples: int) -> list[str]:
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
