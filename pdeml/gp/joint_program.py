"""Programs of which part of the inputs never changes: what follows from these alone is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeml.expr import Program
from pdeml.lower.functions import TORCH, run

__all__ = ["Specialised"]


@dataclass(frozen=True)
class Specialised:
    """A program with its first inputs fixed.

    Args:
        program: takes what is left of the inputs, then ``known``.
        known: values that followed from the fixed inputs, (N,) each.
        like: gives length, type and device.
    """

    program: Program
    known: tuple[Tensor, ...]
    like: Tensor

    @classmethod
    def of(cls, program: Program, fixed: Sequence[Tensor]) -> Specialised:
        """Evaluate what depends on the first ``len(fixed)`` inputs (N,) and on constants alone."""
        first = len(program.inputs)
        begin = first + len(program.constants)
        values = dict(enumerate(fixed)) | {first + k: c for k, c in enumerate(program.constants)}
        code = []
        for register, (op, i, j) in enumerate(program.code, start=begin):
            if i in values and (j < 0 or j in values):
                values[register] = TORCH[op](values[i]) if j < 0 else TORCH[op](values[i], values[j])
            else:
                code.append((register, op, i, j))
        used = {r for _, _, i, j in code for r in (i, j)} | set(program.outputs)
        known = sorted(r for r in used if r in values)
        free = list(range(len(fixed), first))
        place = {r: k for k, r in enumerate([*free, *known, *(r for r, *_ in code)])} | {-1: -1}
        names = tuple(program.inputs[r] for r in free) + tuple(f"known {r}" for r in known)
        smaller = Program(
            names,
            (),
            tuple((op, place[i], place[j]) for _, op, i, j in code),
            tuple(place[r] for r in program.outputs),
        )
        like = fixed[0]
        tensors = tuple(torch.as_tensor(values[r], dtype=like.dtype, device=like.device) for r in known)
        return cls(smaller, tensors, like)

    def __call__(self, free: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs, (N,) each, for the inputs that are left."""
        return run(self.program, [*free, *self.known], self.like)
