"""Data sets: samples of functions in HDF5, written safely, read lazily, streamed to training."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeml.data import codecs
    from pdeml.data.dataset import Dataset, Frames
    from pdeml.data.operator import OperatorData
    from pdeml.data.schema import Coordinate, Schema
    from pdeml.data.source import ArrayInfo, Source, open_source
    from pdeml.data.splits import split_numbers
    from pdeml.data.stream import Stream
    from pdeml.data.validation import sample_problems, validate
    from pdeml.data.writer import Writer

__all__ = [
    "ArrayInfo",
    "Coordinate",
    "Dataset",
    "Frames",
    "OperatorData",
    "Schema",
    "Source",
    "Stream",
    "Writer",
    "codecs",
    "open_source",
    "sample_problems",
    "split_numbers",
    "validate",
]

_HOMES = {
    "pdeml.data.dataset": ("Dataset", "Frames"),
    "pdeml.data.operator": ("OperatorData",),
    "pdeml.data.schema": ("Coordinate", "Schema"),
    "pdeml.data.source": ("ArrayInfo", "Source", "open_source"),
    "pdeml.data.splits": ("split_numbers",),
    "pdeml.data.stream": ("Stream",),
    "pdeml.data.validation": ("sample_problems", "validate"),
    "pdeml.data.writer": ("Writer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load the public ``name`` from its home module (PEP 562) and keep it: torch is loaded by what needs it."""
    if name == "codecs":
        return importlib.import_module("pdeml.data.codecs")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
