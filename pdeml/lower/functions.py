"""The operations of straight-line programs on torch tensors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pdeml.expr import Program
from pdeml_kernels import programs
from pdeml_kernels.programs import TORCH

__all__ = ["TORCH", "run"]


def run(program: Program, values: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """Run a program on tensors.

    Args:
        program: what to compute.
        values: one (N,) or 0-d tensor for each input.
        like: gives N (its length), type and device.

    Returns: an (N,) tensor for each output, also where it depends on no input.
    """
    return [output.expand(len(like)) for output in programs.run(program, values, like)]
