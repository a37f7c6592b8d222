"""N(u): products on the grid, derivatives by wave numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sympy
import torch
from torch import Tensor

from pdeml.expr import Program, compile_program, evaluate, jet_of
from pdeml.lower.functions import TORCH
from pdeml.reference.case import Case
from pdeml.reference.fourier.modes import Modes
from pdeml.reference.fourier.split import Remainder, Split, hoisted
from pdeml.reference.fourier.symbol import Blocks, apply

__all__ = ["Nonlinearity"]


class Formulas:
    """Some rows of a split's rest, as a function of coefficients and time.

    Args:
        split: where they come from.
        rows: which formulas.
        modes: the grid.
        cases: the instances, (B).
        axes: space coordinate -> grid points.
    """

    def __init__(
        self, split: Split, rows: Sequence[int], modes: Modes, cases: Sequence[Case], axes: Mapping[str, np.ndarray]
    ):
        formulas = [split.rest[row] for row in rows]
        self.rows = [k for k, formula in enumerate(formulas) if formula != 0]
        self.count, self.modes, self.cases, self.axes = len(formulas), modes, cases, axes
        self.time = split.evolution.problem.names.time or ""
        remainder: Remainder = hoisted(split, tuple(formulas[k] for k in self.rows))
        self.moving = dict(remainder.moving)
        self.fixed = {name: self._known(part, split.evolution.start) for name, part in remainder.fixed.items()}
        names = (*remainder.jets, *remainder.fixed, *remainder.moving, self.time)
        self.program: Program = compile_program(remainder.formulas, names)
        self.columns = torch.tensor([c for c, _ in remainder.jets.values()], dtype=torch.long, device=modes.device)
        factors = [modes.derivative(index) for _, index in remainder.jets.values()]
        self.factors = torch.stack(factors) if factors else None

    def __call__(self, unknowns: Tensor, time: float) -> Tensor:
        """Return coefficients (B, rows, *modes) from those of the unknowns (B, columns, *modes)."""
        batch, modes = len(unknowns), self.modes
        values: list[Tensor] = []
        if self.factors is not None:
            jets = modes.inverse(unknowns.index_select(1, self.columns) * self.factors)
            values += jets.unbind(1)
        values += self.fixed.values()
        values += [self._known(symbol, time) for symbol in self.moving.values()]
        values.append(torch.tensor(time, dtype=torch.float64, device=modes.device))
        outputs = self.program.run(values, TORCH)
        grid = torch.empty((batch, len(outputs), *modes.sizes), dtype=torch.float64, device=modes.device)
        for k, output in enumerate(outputs):
            grid[:, k] = output
        found = modes.forward(grid)
        if len(self.rows) == self.count:
            return found
        whole = found.new_zeros((batch, self.count, *modes.shape))
        whole[:, self.rows] = found
        return whole

    def _known(self, formula: sympy.Expr, time: float) -> Tensor:
        """Evaluate what holds no unknown, (B, *sizes); as (B, 1, …) or with B = 1 where that says it all."""
        shape = (1,) * len(self.axes)
        functions = [jet_of(symbol) for symbol in formula.free_symbols if jet_of(symbol)]
        alike = not functions and all(case.numbers == self.cases[0].numbers for case in self.cases)
        cases = self.cases[:1] if alike else self.cases
        if functions or {symbol.name for symbol in formula.free_symbols} & set(self.axes):
            arrays = [case.on_grid(formula, {**self.axes, self.time: time}) for case in cases]
        else:
            arrays = [evaluate(formula, case.numbers).reshape(shape) for case in cases]
        return torch.as_tensor(np.stack(arrays), dtype=torch.float64, device=self.modes.device)


class Nonlinearity:
    """``N(u, t)`` of the state, constrained unknowns found on the way.

    Args:
        split, modes, cases, axes: as for `Formulas`.
        blocks: the symbols, for the constraints.
    """

    def __init__(
        self, split: Split, modes: Modes, cases: Sequence[Case], axes: Mapping[str, np.ndarray], blocks: Blocks
    ):
        size, count = split.size, len(split.rest)
        self.blocks = blocks
        self.rates = Formulas(split, range(size), modes, cases, axes)
        self.constraints = Formulas(split, range(size, count), modes, cases, axes)

    def constrained(self, state: Tensor, time: float) -> tuple[Tensor | None, Tensor | None]:
        """Return the constrained unknowns (B, c, *modes), and the part of them that is not linear in the state."""
        if self.blocks.follow is None:
            return None, None
        found = apply(self.blocks.follow, state)
        if not self.constraints.rows:
            return found, None
        extra = apply(self.blocks.react, self.constraints(state, time))
        return found + extra, extra

    def __call__(self, state: Tensor, time: float) -> Tensor:
        """Return N, (B, s, *modes)."""
        others, extra = self.constrained(state, time)
        unknowns = state if others is None else torch.cat([state, others], 1)
        found = self.rates(unknowns, time) if self.rates.rows else torch.zeros_like(state)
        return found if extra is None else found + apply(self.blocks.feed, extra)
