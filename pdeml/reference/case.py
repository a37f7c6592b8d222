"""One instance of a problem: a function for each input, a number for each parameter; and formulas evaluated in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import sympy

from pdeml.errors import InputError, under
from pdeml.expr import evaluate, jet_of
from pdeml.expr.jets import to_jets
from pdeml.problem import Problem
from pdeml.reference.exact import parameter_values
from pdeml.sampling.functions import DrawnInput, Function

__all__ = ["Case"]

Values = Mapping[str, "np.ndarray | float"]


@dataclass(frozen=True, eq=False)
class Case:
    """What a problem leaves open, given.

    Args:
        problem: whose inputs and parameters these are.
        inputs: name -> function, one for each of ``problem.inputs``.
        parameters: name -> number, in place of the problem's own values.
    Raises:
        InputError: an input has no function, or a name is no parameter.
    """

    problem: Problem
    inputs: Mapping[str, Function] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parameter_values(self.problem, self.parameters)
        for name in self.problem.inputs:
            if name not in self.inputs:
                raise InputError(f"the input function {name!r} is not given", ("inputs", name))

    @classmethod
    def fixed(cls, problem: Problem, parameters: Mapping[str, float] | None = None) -> Case:
        """Return the one instance of a problem that draws nothing: its inputs have formulas.

        Raises:
            InputError: an input is random.
        """
        numbers, inputs = parameter_values(problem, parameters), {}
        for name, declared in problem.inputs.items():
            if "value" not in dict(declared.options):
                raise InputError(
                    f"one problem is solved at a time: give {name!r} a 'value', a formula", ("inputs", name)
                )
            with under("inputs", name):
                drawn = DrawnInput.read(declared.write(), problem.parameter_values)
                inputs[name] = drawn.draw(np.random.default_rng(0), np.zeros((len(drawn.over), 2)), numbers)
        return cls(problem, inputs, parameters or {})

    @property
    def numbers(self) -> dict[str, float]:
        """The value of every parameter."""
        return parameter_values(self.problem, self.parameters)

    def at(self, expression: sympy.Basic, points: np.ndarray, known: Values | None = None) -> np.ndarray:
        """Evaluate a formula in coordinates, parameters and inputs.

        Args:
            expression: with inputs written as functions or as jet symbols.
            points: (N, D), columns in the order of the problem's coordinates.
            known: name of a further symbol, such as the jet symbol ``u[0,0]`` or ``n[x]`` -> (N,) or a number.
        Returns: (N,), float64.
        """
        columns = dict(zip(self.problem.names.coordinates, np.asarray(points, dtype=np.float64).T, strict=True))
        formula = self._in_jets(expression)
        jets = {
            symbol.name: self._input(symbol, lambda f, index: f.at(np.stack([columns[c] for c in f.over], 1), index))
            for symbol in self._input_symbols(formula)
        }
        return np.broadcast_to(evaluate(formula, {**self.numbers, **columns, **jets, **(known or {})}), (len(points),))

    def on_grid(
        self, expression: sympy.Basic, axes: Mapping[str, np.ndarray | float], known: Values | None = None
    ) -> np.ndarray:
        """Evaluate a formula in coordinates, parameters and inputs on a tensor grid.

        Args:
            expression: as for `at`.
            axes: every coordinate -> its 1-D values, or one number for a coordinate that is fixed.
            known: further symbols, as arrays that broadcast with the result.
        Returns: array with one dimension for each coordinate that is not a number, in the order of ``axes``.
        """
        free = [name for name, axis in axes.items() if np.ndim(axis)]
        shape = tuple(len(np.atleast_1d(axes[name])) for name in free)
        columns = {name: _along(np.asarray(axis, dtype=np.float64), name, free) for name, axis in axes.items()}
        formula = self._in_jets(expression)

        def drawn(function: Function, index: tuple[int, ...]) -> np.ndarray:
            values = function.on_grid([np.atleast_1d(np.asarray(axes[name], float)) for name in function.over], index)
            kept = [name for name in function.over if name in free]
            values = values.reshape([len(np.atleast_1d(axes[name])) for name in kept])
            order = sorted(range(len(kept)), key=lambda k: free.index(kept[k]))
            return values.transpose(order).reshape([shape[k] if n in kept else 1 for k, n in enumerate(free)])

        jets = {symbol.name: self._input(symbol, drawn) for symbol in self._input_symbols(formula)}
        return np.broadcast_to(evaluate(formula, {**self.numbers, **columns, **jets, **(known or {})}), shape)

    def _in_jets(self, expression: sympy.Basic) -> sympy.Basic:
        return to_jets(expression, self.problem.names) if expression.has(sympy.Function) else expression

    def _input_symbols(self, formula: sympy.Basic) -> list[sympy.Symbol]:
        found = [symbol for symbol in formula.free_symbols if (jet := jet_of(symbol)) and jet[0] in self.inputs]
        return sorted(found, key=str)

    def _input(
        self, symbol: sympy.Symbol, evaluated: Callable[[Function, tuple[int, ...]], np.ndarray]
    ) -> np.ndarray | float:
        name, index = jet_of(symbol)  # type: ignore[misc]
        function = self.inputs[name]
        orders = dict(zip(self.problem.names.coordinates, index, strict=True))
        own = tuple(orders.pop(coordinate) for coordinate in function.over)
        return 0.0 if any(orders.values()) else evaluated(function, own)


def _along(axis: np.ndarray, name: str, free: list[str]) -> np.ndarray:
    return axis.reshape([-1 if other == name else 1 for other in free]) if axis.ndim else axis
