"""Files of the Fourier neural operator (Li et al., 2020) and other MATLAB arrays, version 5 and 7.3.

Darcy ``coeff`` (and ``Kcoeff``, ...), ``sol`` (N, X, Y); Burgers ``a``, ``u`` (N, X); Navier-Stokes ``a`` (N, X, Y),
``u`` (N, X, Y, T) and ``t``. Version 7.3 is HDF5, which holds arrays with their axes reversed; shapes here are those
that MATLAB shows. Vectors named x, y, z, t (or tt, tspan) are taken as coordinates.
"""

from __future__ import annotations

import h5py
import numpy as np

from pdeml.data.formats.found import Format, Found, Names, numbers
from pdeml.data.formats.matlab5 import read_matlab5
from pdeml.data.formats.parts import Stored
from pdeml.data.formats.unlabelled import Custom, open_unlabelled
from pdeml.data.source import Role, Source

__all__ = ["MATLAB"]

_VECTORS = {"x": ("x",), "y": ("y",), "z": ("z",), "t": ("t", "tt", "tspan")}
_INPUTS = ("a", "a_x", "a_smooth", "a_smooth_x", "coeff", "Kcoeff", "Kcoeff_x", "Kcoeff_y", "f")
_ROLES: dict[str, Role] = {**dict.fromkeys(_INPUTS, "input"), "u": "output", "sol": "output"}
_CUSTOM = Custom("MATLAB", time="last", vectors=_VECTORS, roles=_ROLES)
_NUMERIC = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def _recognise(found: Found) -> bool:
    return found.kind == "MATLAB 5" or any(_class(found.file.get(name)) for name in found.names)


def _open(found: Found, names: Names) -> Source:
    arrays = dict(read_matlab5(found.path)) if found.kind == "MATLAB 5" else _reversed(found)
    return open_unlabelled(found, _CUSTOM, arrays, names)


MATLAB = Format(_CUSTOM.format, ("MATLAB 5", "HDF5"), _recognise, _open, labelled=False)


class _Reversed:
    """An array whose axes are stored in reverse order."""

    def __init__(self, stored: h5py.Dataset):
        self.shape, self.dtype = stored.shape[::-1], stored.dtype
        self._stored = stored

    def __getitem__(self, key: tuple[slice | int, ...] | type(...)) -> np.ndarray:
        return np.transpose(self._stored[key if key is ... else key[::-1]])


def _reversed(found: Found) -> dict[str, Stored]:
    listed = [name for name in found.names if _class(found.file.get(name)) in _NUMERIC]
    items = [(name, numbers(found.file, name)) for name in listed if found.file[name].dtype.kind in "biuf"]
    # MATLAB writes an empty array as its sizes.
    return {name: _Reversed(item) for name, item in items if "MATLAB_empty" not in item.attrs}


def _class(item: object) -> str:
    """Return MATLAB's class of an array; empty if MATLAB did not write it."""
    value = item.attrs.get("MATLAB_class", b"") if isinstance(item, h5py.Dataset) else b""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else ""
