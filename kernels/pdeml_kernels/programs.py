"""Straight-line programs as plain data, their encoding as text, and how torch runs them.

A program is a formula after common-subexpression elimination. Its registers are numbered: first the inputs, then the
constants, then one for each instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["TORCH", "Program", "run"]


class Program(NamedTuple):
    """A straight-line program.

    An instruction is ``(op, i, j)`` with register numbers i and j; j is -1 for an operation on one register. The
    operations are those of `TORCH`: ``lt le gt ge eq ne`` give masks, ``and or not`` combine them, ``then(c, a)`` is a
    where c holds and 0 elsewhere, ``else(c, a)`` the opposite, ``heaviside`` is ½ at 0.
    """

    inputs: int
    """How many values it takes."""
    constants: tuple[float, ...]
    code: tuple[tuple[str, int, int], ...]
    outputs: tuple[int, ...]
    """The registers it returns."""

    @classmethod
    def of(cls, inputs: int, constants: Sequence, code: Sequence, outputs: Sequence) -> Program:
        """Return the program of nested sequences, such as JSON gives."""
        return cls(inputs, tuple(constants), tuple((op, i, j) for op, i, j in code), tuple(outputs))


def _tensors(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """Let a function of two tensors take a plain number in place of one, or of both."""

    def on_numbers_too(a: Any, b: Any) -> Tensor:
        device = next((x.device for x in (a, b) if isinstance(x, Tensor)), None)
        return function(*(x if isinstance(x, Tensor) else _number(x, device) for x in (a, b)))

    return on_numbers_too


def _number(value: float, device: torch.device | None) -> Tensor:
    """Return a number in double precision, made on the device: a copy could not be captured in a graph."""
    return torch.full((), float(value), dtype=torch.float64, device=device)


def _heaviside(a: Tensor) -> Tensor:
    return torch.heaviside(a, torch.full((), 0.5, dtype=a.dtype, device=a.device))


def _kept(condition: Tensor, a: Any) -> Tensor:
    """Return ``a`` where the condition holds, else zero. Torch would round a bare number to single precision."""
    return torch.where(condition, a if isinstance(a, Tensor) else _number(a, condition.device), 0.0)


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
"""The operations on tensors; those of two registers take a number in place of one tensor."""


def run(program: Any, values: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """Run a program on tensors.

    Args:
        program: a `Program`, or anything with its ``constants``, ``code`` and ``outputs``.
        values: for each input a tensor; their shapes broadcast together.
        like: gives type and device.

    Returns: for each output a tensor of the shape that its inputs give; of a number without an axis.
    """
    registers: list[Any] = [*values, *program.constants]
    last = {register: step for step, (_, i, j) in enumerate(program.code) for register in (i, j)}
    last |= dict.fromkeys((-1, *program.outputs))
    for step, (op, i, j) in enumerate(program.code):
        function = TORCH[op]
        registers.append(function(registers[i]) if j < 0 else function(registers[i], registers[j]))
        for register in (i, j):
            if last[register] == step:
                registers[register] = None  # nobody reads it any more
    return [_as_tensor(registers[output], like) for output in program.outputs]


def _as_tensor(output: Any, like: Tensor) -> Tensor:
    if isinstance(output, Tensor):
        return output.to(like.dtype)
    return _number(output, like.device).to(like.dtype)
