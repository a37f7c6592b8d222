"""What every reader must satisfy, given the same data by another road."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pdeml.data.source import Source


def agrees(
    source: Source, expected: Mapping[str, tuple[str, np.ndarray]], coordinates: Mapping[str, np.ndarray]
) -> None:
    """Compare everything a source says and reads with arrays (sample, ...) whose dimensions are written as text."""
    assert set(source.arrays) == set(expected)
    assert {name: list(values) for name, values in source.coordinates.items()} == {
        name: list(np.asarray(values, float)) for name, values in coordinates.items()
    }
    rng = np.random.default_rng(source.length)
    for name, (dims, array) in expected.items():
        info = source.arrays[name]
        assert info.dims == tuple(dims.split())
        assert (source.length, *info.shape) == array.shape
        assert info.dtype.isnative
        np.testing.assert_array_equal(source.read(name, slice(None)), array)
        chosen = rng.integers(0, source.length, 4)
        window = {dim: _slice(rng, size) for dim, size in zip(info.dims, info.shape, strict=True)}
        np.testing.assert_array_equal(
            source.read(name, chosen, window), array[chosen][(slice(None), *window.values())], err_msg=name
        )
        np.testing.assert_array_equal(
            source.read(name, slice(1, None, 2), window), array[(slice(1, None, 2), *window.values())]
        )


def _slice(rng: np.random.Generator, size: int) -> slice:
    start = int(rng.integers(0, size))
    return slice(start, int(rng.integers(start, size)) + 1, int(rng.integers(1, 3)))
