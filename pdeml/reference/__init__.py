"""Trusted solutions with a stated error: formulas, shipped functions, files, classical solvers."""

from __future__ import annotations

from pdeml.reference.base import Reference
from pdeml.reference.case import Case
from pdeml.reference.cole_hopf import burgers_sine
from pdeml.reference.computed import ComputedReference
from pdeml.reference.exact import ExactReference
from pdeml.reference.file import FileReference
from pdeml.reference.make import make_reference
from pdeml.reference.method import Method
from pdeml.reference.methods import METHODS, make_method
from pdeml.reference.named import NAMED, ColeHopf, named_reference
from pdeml.reference.refine import Refinement, Stage
from pdeml.reference.solved import Solved

__all__ = [
    "METHODS",
    "NAMED",
    "Case",
    "ColeHopf",
    "ComputedReference",
    "ExactReference",
    "FileReference",
    "Method",
    "Reference",
    "Refinement",
    "Solved",
    "Stage",
    "burgers_sine",
    "make_method",
    "make_reference",
    "named_reference",
]
