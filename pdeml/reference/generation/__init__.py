"""Generation of data sets: recipes drawn and solved sample by sample, by one process or many."""

from __future__ import annotations

from pdeml.reference.generation.drawing import draw_case
from pdeml.reference.generation.executors import EXECUTORS, Batches, run_batches
from pdeml.reference.generation.maker import Recipe, Sample

__all__ = ["EXECUTORS", "Batches", "Recipe", "Sample", "draw_case", "run_batches"]
