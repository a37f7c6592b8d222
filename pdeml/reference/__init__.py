"""Trusted solutions with a stated error floor: formulas, shipped functions, files."""

from __future__ import annotations

from pdeml.reference.base import Reference
from pdeml.reference.cole_hopf import burgers_sine
from pdeml.reference.exact import ExactReference
from pdeml.reference.file import FileReference
from pdeml.reference.make import make_reference
from pdeml.reference.named import NAMED, ColeHopf, named_reference

__all__ = [
    "NAMED",
    "ColeHopf",
    "ExactReference",
    "FileReference",
    "Reference",
    "burgers_sine",
    "make_reference",
    "named_reference",
]
