"""The operations of straight-line programs on torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pdeml.expr import Program

__all__ = ["TORCH", "run"]


def _tensors(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Let a function of two tensors take plain numbers too."""

    def on_numbers_too(a: Any, b: Any) -> Tensor:
        return function(*(x if isinstance(x, Tensor) else torch.tensor(float(x), dtype=torch.float64) for x in (a, b)))

    return on_numbers_too


def _heaviside(a: Tensor) -> Tensor:
    return torch.heaviside(a, torch.full((), 0.5, dtype=a.dtype, device=a.device))


def _kept(condition: Tensor, a: Any) -> Tensor:
    """Return ``a`` where the condition holds, else zero. Torch would round a bare number to single precision."""
    number = torch.as_tensor(a, dtype=None if isinstance(a, Tensor) else torch.float64, device=condition.device)
    return torch.where(condition, number, 0.0)


TORCH: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in ("neg", "sqrt", "abs", "sign", "exp", "log")},
    **{name: getattr(torch, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")},
    "recip": torch.reciprocal,
    "erf": torch.erf,
    "heaviside": _heaviside,
    "not": torch.logical_not,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "atan2": _tensors(torch.atan2),
    "min": _tensors(torch.minimum),
    "max": _tensors(torch.maximum),
    "and": torch.logical_and,
    "or": torch.logical_or,
    "then": _kept,
    "else": lambda condition, a: _kept(torch.logical_not(condition), a),
}


def run(program: Program, values: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """Run a program on tensors.

    Args:
        program: what to compute.
        values: one (N,) or 0-d tensor for each input.
        like: gives N (its length), type and device.

    Returns: an (N,) tensor for each output, also where it depends on no input.
    """
    outputs = program.run(values, TORCH)
    shape = (len(like),)
    return [
        (out if isinstance(out, Tensor) else torch.as_tensor(float(out), dtype=like.dtype, device=like.device))
        .to(like.dtype)
        .expand(shape)
        for out in outputs
    ]
