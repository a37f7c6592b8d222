"""Formulas on batches of states: compiled once, run on tensors with what is known at the places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy
import torch
from torch import Tensor

from pdeml.expr import compile_program, jet_of
from pdeml.lower.functions import TORCH
from pdeml.reference.case import Case

__all__ = ["Formulas", "Known", "Places"]

Known = Mapping[str, Tensor]
"""Name of a parameter, coordinate or jet symbol of an input -> values that broadcast with (B, …)."""


class Formulas:
    """K formulas in the states and in known symbols, as one program.

    Args:
        expressions: K of them.
        states: the symbols of the unknowns, C.
    """

    def __init__(self, expressions: Sequence[sympy.Expr], states: Sequence[sympy.Symbol]):
        self.symbols = needed_symbols(expressions, states)
        inputs = [symbol.name for symbol in (*states, *self.symbols)]
        self.program = compile_program(list(expressions), inputs)

    def __call__(self, state: Tensor, known: Known) -> Tensor:
        """Return (K, B, …) for states (C, B, …)."""
        outputs = self.program.run([*state, *(known[symbol.name] for symbol in self.symbols)], TORCH)
        result = state.new_empty((len(outputs), *state.shape[1:]))
        for row, output in zip(result, outputs, strict=True):
            row.copy_(output) if isinstance(output, Tensor) else row.fill_(float(output))
        return result


class Places:
    """Values of known symbols on a tensor grid of space, for a batch of cases.

    Args:
        symbols: which are needed.
        cases: B instances of one problem.
        axes: space coordinate -> 1-D values, in declared order; beyond the sides of the domain input functions are
            continued linearly, oddly about their value on the side.
        device: of the tensors.
    """

    def __init__(
        self, symbols: Sequence[sympy.Symbol], cases: Sequence[Case], axes: Mapping[str, np.ndarray], device: str
    ):
        self.cases, self.axes, self.device = cases, axes, device
        self.time = cases[0].problem.names.time or ""
        ends = dict(zip(axes, cases[0].problem.domain.space.bounds, strict=True))  # type: ignore[union-attr]
        self.clipped = {name: np.clip(axis, *ends[name]) for name, axis in axes.items()}
        self.inside = {name: np.clip(2.0 * self.clipped[name] - axis, *ends[name]) for name, axis in axes.items()}
        self.beyond = any(np.any(self.clipped[name] != axis) for name, axis in axes.items())
        self.moving = [symbol for symbol in symbols if self._moves(symbol)]
        self.fixed = {symbol.name: self._fixed(symbol) for symbol in symbols if not self._moves(symbol)}

    def at(self, times: Tensor) -> Known:
        """Return the values at the cases' times (B,): tensors (B or 1, …)."""
        if not self.moving:
            return self.fixed
        found = dict(self.fixed)
        for symbol in self.moving:
            if symbol.name == self.time:
                found[symbol.name] = times.reshape(-1, *(1 for _ in self.axes))
            else:
                found[symbol.name] = self._drawn(symbol, times.tolist())
        return found

    def _moves(self, symbol: sympy.Symbol) -> bool:
        jet = jet_of(symbol)
        return symbol.name == self.time or (jet is not None and self.time in self.cases[0].inputs[jet[0]].over)

    def _fixed(self, symbol: sympy.Symbol) -> Tensor:
        if symbol.name in self.axes:
            shape = [-1 if name == symbol.name else 1 for name in self.axes]
            return self._tensor(np.reshape(self.axes[symbol.name], (1, *shape)))
        if jet_of(symbol):
            return self._drawn(symbol, [0.0] * len(self.cases))
        numbers = [case.numbers[symbol.name] for case in self.cases]
        return self._tensor(np.reshape(numbers, (-1, *(1 for _ in self.axes))))

    def _drawn(self, symbol: sympy.Symbol, times: Sequence[float]) -> Tensor:
        values = self._evaluated(symbol, times, self.clipped)
        return self._tensor(2.0 * values - self._evaluated(symbol, times, self.inside) if self.beyond else values)

    def _evaluated(self, symbol: sympy.Symbol, times: Sequence[float], axes: Mapping[str, np.ndarray]) -> np.ndarray:
        pairs = zip(self.cases, times, strict=True)
        return np.stack([case.on_grid(symbol, {**axes, self.time: at}) for case, at in pairs])

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.array(values, dtype=np.float64), device=self.device)


def needed_symbols(expressions: Sequence[sympy.Basic], states: Sequence[sympy.Symbol] = ()) -> list[sympy.Symbol]:
    """Return the symbols of the expressions that are no states, by name."""
    found = set().union(*(expression.free_symbols for expression in expressions)) if expressions else set()
    return sorted(found - set(states), key=str)
