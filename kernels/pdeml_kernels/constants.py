"""Tensors that are made once, such as the matrices of a transform for each device, and kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar

import torch

__all__ = ["constant", "kept"]

T = TypeVar("T")


def constant(make: Callable[..., T]) -> Callable[..., T]:
    """Keep what a function returns, by its arguments, which are positional and hashable.

    Nothing is ever dropped, as a captured CUDA graph reads a tensor at its address long after. The function should make
    it by operators of its device alone, which can be captured.
    """
    known: dict[Hashable, Any] = {}

    @wraps(make)
    def found(*arguments: Hashable) -> T:
        return kept(known, arguments, lambda: make(*arguments))

    return found


def kept(known: dict[Hashable, Any], key: Hashable, make: Callable[[], T]) -> T:
    """Return what is known under a key, else make it and keep it there.

    What is made while a CUDA graph is captured is not kept: it has its values only when the graph is replayed.
    """
    if key in known:
        return known[key]
    with torch.inference_mode(False):  # made in an evaluation, it may be used in training next
        made = make()
    if not _capturing():
        known[key] = made
    return made


def _capturing() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
