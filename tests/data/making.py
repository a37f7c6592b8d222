"""Small data sets for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pdeml.data import ArrayInfo, Coordinate, Schema, Writer

LARGE = (200, 200)  # float64: more than 256 KiB, so that each sample is a chunk
SAMPLES, SPLIT = 23, {"train": range(2, 16), "validation": range(16, 20), "test": range(20, 23)}
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


DRIFT = """
name: drift
problem:
  coordinates: {x: [0, 1], t: [0, 3]}
  time: t
  unknowns: [u]
  inputs: {a: {field: grf, over: [x], basis: periodic, tau: 5, alpha: 2}}
  equations:
    - u_t + u_x = 0
  conditions:
    - {on: initial, value: {u: a}}
    - periodic: [x]
"""


def drift_schema(x: np.ndarray, **more: ArrayInfo) -> Schema:
    """An input of x, a force and an output of t and x."""
    arrays = {
        "a": ArrayInfo("a", ("x",), (len(x),), np.float64, "input"),
        "f": ArrayInfo("f", ("t", "x"), (7, len(x)), np.float32, "input"),
        "u": ArrayInfo("u", ("t", "x"), (7, len(x)), np.float64, "output", "K"),
        **more,
    }
    return Schema(arrays, {"x": Coordinate(x, "m"), "t": Coordinate(np.arange(7) / 2, "s")})


def write_drift(path: Path, x: np.ndarray, samples: int, spec: str = DRIFT) -> Path:
    """Write samples on ``x``, a ring of length one, with their problem."""
    return write(path, drift_schema(x), samples, attrs={"title": "drift", "spec": spec, "seed": 0})
