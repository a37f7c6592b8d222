"""What a data set of pdeml holds (``dataset/1``), as code: arrays on ``sample`` and named coordinates.

A data set is a valid netCDF-4 file:

- root attributes ``Conventions``, ``pdeml_format = "dataset/1"``, ``pdeml_version``, ``title``, ``history``, ``spec``
  (empty where no spec made the samples), with a spec ``seed``, and ``samples``: how many there shall be when it is
  finished; of generated samples ``reference`` and ``reference_grid`` (what solved them) and ``reference_error``:
  estimated relative L2 error of sample 0, or NaN;
- one 1-D dimension scale a coordinate, with ``units``, ``axis`` where it has one, and ``role = "coordinate"``;
- arrays ``name(sample, ...)`` with ``units``, ``long_name``, ``role`` (``input``, ``output``, ``parameter``), chunks of
  whole samples (at least 256 KiB where samples are small), Fletcher-32 checksums, and statistics over the finite values
  of the training part (of all samples where there is none) as the attributes ``mean``, ``std``, ``min``, ``max``,
  ``count``; after a lossy codec also its options, ``codec``, and the largest error of a sample, ``codec_relative_l2``,
  ``codec_max``, ``codec_h1``; of generated outputs ``reference_residual``, the largest relative residual of a sample;
- where the geometry is no box ``mask(sample, ...)`` over space, integers, 0 outside: outputs are NaN there;
- ``split(sample)``: which part a sample belongs to, as CF flags (``flag_values``, ``flag_meanings``), -1 for none; an
  auxiliary coordinate of ``sample``.

In a ``.part`` the arrays have as many samples as are finished, and the statistics are NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pdeml.data.codecs import Codec
from pdeml.data.source import ArrayInfo
from pdeml.errors import InputError, one_of

__all__ = [
    "CODEC_ERRORS",
    "FORMAT",
    "PARTS",
    "RESIDUAL",
    "SAMPLE",
    "SMALLEST_CHUNK",
    "SPLIT",
    "STATISTICS",
    "Coordinate",
    "Schema",
    "samples_per_chunk",
]

FORMAT = "dataset/1"
SAMPLE, SPLIT = "sample", "split"
PARTS = ("train", "validation", "test")
STATISTICS = ("mean", "std", "min", "max", "count")
CODEC_ERRORS = ("codec_relative_l2", "codec_max", "codec_h1")
RESIDUAL = "reference_residual"
TYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
SMALLEST_CHUNK = 256 * 1024
_LARGEST_CHUNK = 2**32 - 5  # HDF5 counts the bytes of a chunk, here with four of checksum, in 32 bits
_AXES = {"x": "X", "y": "Y", "z": "Z", "t": "T"}


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A 1-D coordinate of the arrays.

    Args:
        values: shape (points,), finite and strictly monotone.
        unit: of the values.
        axis: ``"X"``, ``"Y"``, ``"Z"``, ``"T"``, or empty: taken from a name x, y, z or t, otherwise none.
        long_name: what it is, in words; empty: its name.
    """

    values: np.ndarray
    unit: str = "1"
    axis: str = ""
    long_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))

    def attributes(self, name: str) -> dict[str, Any]:
        """Return its attributes in a file, where it is called ``name``."""
        axis = self.axis or _AXES.get(name)
        return {"units": self.unit, "long_name": self.long_name or name, "axis": axis, "role": "coordinate"}


@dataclass(frozen=True, eq=False)
class Schema:
    """The arrays of a data set, their coordinates, and how they are stored.

    Args:
        arrays: name -> what it is; ``ArrayInfo.dtype`` is float32, float64 or an integer type (int8 for masks).
        coordinates: name -> values; a dimension of an array without an entry gets no values.
        codecs: name of an array -> lossy codec that every sample passes before it is written.
        gzip: compression level 1 ... 9 with byte shuffling, applied when the data set is finished; 0 is none.
        residuals: whether the largest relative residual of a sample is kept with the outputs.

    Raises:
        InputError: if names clash, sizes disagree, or something cannot be stored.
    """

    arrays: Mapping[str, ArrayInfo]
    coordinates: Mapping[str, Coordinate] = field(default_factory=dict)
    codecs: Mapping[str, Codec] = field(default_factory=dict)
    gzip: int = 0
    residuals: bool = False

    def __post_init__(self) -> None:
        if not self.arrays:
            raise InputError("a data set needs at least one array")
        if not (isinstance(self.gzip, int) and 0 <= self.gzip <= 9):
            raise InputError(f"gzip must be a level from 0 (none) to 9, got {self.gzip!r}")
        for name, info in self.arrays.items():
            _check_array(name, info)
        for name, coordinate in self.coordinates.items():
            _check_coordinate(name, coordinate)
        sizes = self.sizes
        for name in [*self.arrays, *sizes]:
            if name in (SAMPLE, SPLIT) or (name in self.arrays and name in sizes):
                raise InputError(f"the name {name!r} is taken in a data set; rename it")
        for name, codec in self.codecs.items():
            if name not in self.arrays:
                raise InputError(f"codecs: {one_of(name, self.arrays, 'an array of this data set')}")
            codec.check(self.arrays[name])

    @property
    def sizes(self) -> dict[str, int]:
        """Dimension -> number of points, coordinates first."""
        sizes = {name: len(coordinate.values) for name, coordinate in self.coordinates.items()}
        for info in self.arrays.values():
            for dim, size in zip(info.dims, info.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise InputError(f"array {info.name!r} has {size} points along {dim!r}, others have {sizes[dim]}")
        return sizes

    def largest(self, name: str) -> tuple[str, ...]:
        """Return the attributes of an array that say how wrong its worst sample is."""
        residual = (RESIDUAL,) if self.residuals and self.arrays[name].role == "output" else ()
        return (*(CODEC_ERRORS if name in self.codecs else ()), *residual)

    def axes(self, name: str) -> list[np.ndarray]:
        """Return the coordinate values along each axis of an array; 0, 1, 2, ... where a dimension has none."""
        info = self.arrays[name]
        return [
            self.coordinates[dim].values if dim in self.coordinates else np.arange(size, dtype=float)
            for dim, size in zip(info.dims, info.shape, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """Return everything that must be equal for a ``.part`` to be continued, as plain values with readable keys."""
        result: dict[str, Any] = {"set of arrays": sorted(self.arrays), "gzip": self.gzip, "residuals": self.residuals}
        for name, info in self.arrays.items():
            result[f"array {name!r}"] = (info.dims, info.shape, info.dtype.name, info.role, info.unit, info.long_name)
            codec = self.codecs.get(name)
            result[f"codec of {name!r}"] = str(codec) if codec else ""
        for name, coordinate in self.coordinates.items():
            attributes = coordinate.attributes(name)
            result[f"coordinate {name!r}"] = (tuple(coordinate.values.tolist()), attributes["units"])
        return result


def samples_per_chunk(info: ArrayInfo, samples: int) -> int:
    """Return how many samples one chunk holds: one, or as many as give 256 KiB."""
    return min(max(1, -(-SMALLEST_CHUNK // max(info.sample_bytes, 1))), max(samples, 1))


def _check_array(name: str, info: ArrayInfo) -> None:
    if name != info.name:
        raise InputError(f"array {info.name!r} is listed under the name {name!r}")
    for text in (name, *info.dims):
        if not _NAME.fullmatch(text):
            raise InputError(f"{text!r} cannot be a name in a data set; use letters, digits and '_'")
    if info.dtype.name not in TYPES:
        raise InputError(f"array {name!r}: {one_of(info.dtype.name, TYPES, 'a type that is stored')}")
    if len(set(info.dims)) < len(info.dims):
        raise InputError(f"array {name!r} has two dimensions of one name: {', '.join(info.dims)}")
    if 0 in info.shape:
        raise InputError(f"array {name!r} has no points along {info.dims[info.shape.index(0)]!r}")
    if info.sample_bytes > _LARGEST_CHUNK:
        raise InputError(
            f"one sample of {name!r} takes {info.sample_bytes / 2**30:.3g} GiB; HDF5 allows chunks below 4 GiB: "
            "store float32, or fewer points or times"
        )


def _check_coordinate(name: str, coordinate: Coordinate) -> None:
    values = coordinate.values
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be a name in a data set; use letters, digits and '_'")
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not math.isfinite(values.sum()):
        raise InputError(f"coordinate {name!r} must be a list of finite numbers, got shape {values.shape}")
    steps = np.diff(values)
    if len(values) > 1 and not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(f"coordinate {name!r} must be strictly monotone")
