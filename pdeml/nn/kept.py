"""Keeping what is computed again and again from tensors that do not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Kept"]

_MOST_GRIDS = 4
_MOST_NUMBERS = 2**26


class Kept:
    """Results of a function of tensors, for as long as these are the same tensors with the same values.

    At most 4 results with 2^26 numbers in all are kept, those used last. Nothing is kept of what gradients may be asked
    for, nor of what is traced into a graph. A change of values is seen by torch's count of changes in place, which
    assignments to ``.data`` pass by. Copies start empty.
    """

    def __init__(self):
        self._entries: list[tuple[list[tuple[Tensor, int]], Tensor]] = []

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def of(self, given: Sequence[Tensor], make: Callable[[], Tensor]) -> Tensor:
        """Return what ``make`` makes from the tensors ``given``, made now or earlier."""
        if torch.compiler.is_compiling() or not _lasting(given):
            return make()
        key = [(tensor, tensor._version) for tensor in given]
        for number, (known, found) in enumerate(self._entries):
            if len(known) == len(key) and all(a is b and v == w for (a, v), (b, w) in zip(known, key, strict=True)):
                self._entries.insert(0, self._entries.pop(number))
                return found
        found, held = make(), 0
        self._entries = [(key, found), *self._entries[: _MOST_GRIDS - 1]]
        for number, (_, values) in enumerate(self._entries):
            held += values.numel()
            if held > _MOST_NUMBERS:
                del self._entries[number:]
                break
        return found


def _lasting(given: Sequence[Tensor]) -> bool:
    """Return whether what is made of these tensors may be used later, in training too."""
    if torch.is_inference_mode_enabled() or any(tensor.is_inference() for tensor in given):
        return False
    return not any(tensor.requires_grad for tensor in given)
