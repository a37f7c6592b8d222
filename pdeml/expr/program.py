"""Straight-line programs: the one way formulas become numbers, whatever the array library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

__all__ = ["BINARY", "NUMPY", "UNARY", "Program"]

UNARY = tuple("neg recip sqrt abs sign exp log sin cos tan asin acos atan sinh cosh tanh erf heaviside not".split())
BINARY = tuple("add sub mul div pow atan2 min max lt le gt ge eq ne and or then else".split())

NUMPY: Mapping[str, Callable[..., Any]] = {
    "neg": np.negative,
    "recip": lambda a: 1.0 / a,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "erf": special.erf,
    "heaviside": lambda a: np.heaviside(a, 0.5),
    "not": np.logical_not,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "atan2": np.arctan2,
    "min": np.minimum,
    "max": np.maximum,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "then": lambda condition, a: np.where(condition, a, 0.0),
    "else": lambda condition, a: np.where(condition, 0.0, a),
}


@dataclass(frozen=True)
class Program:
    """A formula after common-subexpression elimination.

    Registers are numbered: first the inputs, then the constants, then one for each instruction. An instruction is
    ``(op, i, j)`` with register numbers ``i, j``; ``j`` is -1 for the operations in ``UNARY``. ``lt le gt ge eq ne``
    give masks, ``and or not`` combine them; ``then(c, a)`` is ``a`` where ``c`` holds and 0 elsewhere, ``else(c, a)``
    the opposite, so that ``where(c, a, b)`` is the sum of both.

    Args:
        inputs: names of the values the program takes, in order.
        constants: numbers.
        code: the instructions.
        outputs: the registers returned.
    """

    inputs: tuple[str, ...]
    constants: tuple[float, ...]
    code: tuple[tuple[str, int, int], ...]
    outputs: tuple[int, ...]

    @cached_property
    def _releases(self) -> tuple[tuple[int, ...], ...]:
        """For each instruction the registers nobody reads afterwards."""
        last: dict[int, int] = {}
        for step, (_, i, j) in enumerate(self.code):
            last[i] = step
            last[j] = step
        releases: list[list[int]] = [[] for _ in self.code]
        for register, step in last.items():
            if register >= 0 and register not in self.outputs:
                releases[step].append(register)
        return tuple(map(tuple, releases))

    def run(self, values: Sequence[Any], functions: Mapping[str, Callable[..., Any]] = NUMPY) -> list[Any]:
        """Run on arrays (or tensors, with another table of functions).

        Args:
            values: one array or number for each of ``inputs``, of shapes that broadcast together.
            functions: operation name -> function of one or two arrays.

        Returns: one result for each of ``outputs``; results that depend on no input are plain floats, so that the
            caller broadcasts.

        Raises: ValueError: the number of values is not the number of inputs.
        """
        if len(values) != len(self.inputs):
            raise ValueError(f"the program takes {len(self.inputs)} values {self.inputs}, got {len(values)}")
        registers: list[Any] = [*values, *self.constants]
        for (op, i, j), release in zip(self.code, self._releases, strict=True):
            function = functions[op]
            registers.append(function(registers[i]) if j < 0 else function(registers[i], registers[j]))
            for register in release:
                registers[register] = None
        return [registers[output] for output in self.outputs]
