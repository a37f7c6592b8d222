"""Small data sets for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pdeml.data import ArrayInfo, Coordinate, Schema, Writer

LARGE = (200, 200)  # float64: more than 256 KiB, so that each sample is a chunk
ATTRS = {"title": "a test", "spec": "name: test\n", "seed": 7}


def small_schema(gzip: int = 0, **codecs: object) -> Schema:
    """Arrays of all roles; many samples of each share a chunk."""
    return Schema(
        {
            "a": ArrayInfo("a", ("x",), (9,), np.float32, "input", "m"),
            "u": ArrayInfo("u", ("t", "x"), (4, 9), np.float64, "output", "K", "temperature"),
            "nu": ArrayInfo("nu", (), (), np.float64, "parameter"),
            "mask": ArrayInfo("mask", ("x",), (9,), np.int8, "input"),
        },
        {"x": Coordinate(np.linspace(0, 1, 9), "m"), "t": Coordinate(np.arange(4.0), "s")},
        codecs,
        gzip,
    )


def mixed_schema(gzip: int = 0) -> Schema:
    """One array with a sample a chunk, one whose samples share chunks."""
    return Schema(
        {
            "big": ArrayInfo("big", ("y", "x"), LARGE, np.float64, "output"),
            "little": ArrayInfo("little", ("x",), (LARGE[1],), np.float32, "input"),
        },
        {"x": Coordinate(np.linspace(0, 1, LARGE[1]))},
        gzip=gzip,
    )


def sample(schema: Schema, number: int) -> dict[str, np.ndarray]:
    """Return sample ``number``: random, and the same each time."""
    rng = np.random.default_rng((1, number))
    return {
        name: rng.integers(0, 2, info.shape).astype(info.dtype)
        if info.dtype.kind == "i"
        else rng.standard_normal(info.shape).astype(info.dtype)
        for name, info in schema.arrays.items()
    }


def expected(schema: Schema, name: str, numbers: range | list[int]) -> np.ndarray:
    """Return what the file must hold of one array."""
    return np.stack([sample(schema, number)[name] for number in numbers])


def write(path: Path, schema: Schema, samples: int, split: dict | None = None, attrs: dict | None = None) -> Path:
    """Write a complete data set."""
    with Writer(path, schema, samples, attrs or ATTRS) as writer:
        for number in range(samples):
            writer.append(sample(schema, number))
        writer.finish(split)
    return path
