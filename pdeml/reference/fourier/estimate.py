"""With how many points and steps a refinement begins: from the initial data and from N linearised about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy
import torch
from torch import Tensor

from pdeml.expr import evaluate, jet_of, slopes
from pdeml.problem import Problem
from pdeml.reference.fourier.modes import Modes, periods_of
from pdeml.reference.fourier.split import Split, make_split
from pdeml.reference.fourier.symbol import Blocks, coefficients

__all__ = ["usual_sizes", "usual_steps"]

FEWEST = {1: 128, 2: 64, 3: 32}
MOST = {1: 1024, 2: 128, 3: 64}
"""Points along each axis, by dimension, between which a refinement begins."""
NEGLIGIBLE = 1e-8
"""Coefficients of the initial data, relative to the largest, below which a frequency need not be resolved."""
STEPS = (100, 100_000)
"""Numbers of steps between which a refinement begins."""


@dataclass(frozen=True)
class Slope:
    """A term of N linearised: ``size * derivative of column`` in a row; ``gain``: column over state, by wave number."""

    row: int
    index: tuple[int, ...]
    size: float
    gain: Tensor


@dataclass(frozen=True)
class Start:
    """The initial data on a grid: coefficients of the state (s, *modes), and the values of all known names."""

    split: Split
    modes: Modes
    state: Tensor
    known: Mapping[str, np.ndarray | float]


@lru_cache(maxsize=32)
def usual_sizes(problem: Problem) -> tuple[int, ...]:
    """Return a power of two for each axis that resolves the initial data and the scale where N balances L."""
    dimension = len(problem.names.space)
    fewest, most = FEWEST[min(dimension, 3)], MOST[min(dimension, 3)]
    start = _start(problem, (most,) * dimension)
    found, spectra = _slopes(start), start.state.abs().numpy()
    sizes = []
    for axis, period in enumerate(periods_of(problem)[1]):
        along = spectra.max(axis=tuple(k for k in range(spectra.ndim) if k != axis + 1))[
            : start.modes.degrees[axis] + 1
        ]
        resolved = np.flatnonzero(along > NEGLIGIBLE * along.max()).max(initial=0)
        balance = period / (2 * np.pi) * _balance(start.split, found, axis)
        wanted = np.clip(3 * max(resolved, 2 * balance), fewest, most)
        sizes.append(int(2 ** np.ceil(np.log2(wanted))))
    return tuple(sizes)


@lru_cache(maxsize=32)
def usual_steps(problem: Problem, sizes: tuple[int, ...]) -> int:
    """Return a number of steps no longer than ``1 / rate``: stable by a factor of 1.7 or more for all three schemes.

    The rate is the largest row sum of ``|slope of N| * |derivative|`` over the wave numbers of the grid.
    """
    start = _start(problem, sizes)
    evolution, rates = start.split.evolution, np.zeros(start.split.size)
    for slope in _slopes(start):
        rates[slope.row] += slope.size * float((slope.gain * start.modes.derivative(slope.index).abs()).max())
    wanted = rates.max(initial=0.0) * (evolution.end - evolution.start)
    return int(np.clip(np.ceil(np.nan_to_num(wanted, nan=STEPS[1])), *STEPS))


def _balance(split: Split, found: list[Slope], axis: int) -> float:
    """Return the largest wave number along an axis at which a term of N is as large as the highest one of L."""
    numbers, largest = split.evolution.problem.parameter_values, 0.0
    for term in split.linear:
        order = term.index[axis]
        if term.row != term.column or order < 2 or order < sum(term.index):
            continue
        strength = abs(float(evaluate(term.coefficient, numbers)))
        for slope in found:
            lower = sum(slope.index)
            of_state = slope.gain.ndim == 0  # constrained unknowns are large where waves are long
            if of_state and slope.row == term.row and lower < order and strength > 0:
                largest = max(largest, (slope.size / strength) ** (1 / (order - lower)))
    return largest


def _start(problem: Problem, sizes: tuple[int, ...]) -> Start:
    """Evaluate the initial data; input functions count as 1, their slopes as 0."""
    split = make_split(problem)
    modes = Modes(sizes, periods_of(problem)[1], truncate=True)
    known = _known(problem, modes)
    values = [evaluate(_without_inputs(problem, formula), known) for formula in split.evolution.initial]
    grid = torch.as_tensor(np.stack([np.broadcast_to(value, sizes) for value in values]))
    return Start(split, modes, modes.forward(grid), known)


def _known(problem: Problem, modes: Modes) -> dict[str, np.ndarray | float]:
    """Return the parameters, the start, and the grid points along each axis, shaped to broadcast."""
    known: dict[str, np.ndarray | float] = dict(problem.parameter_values)
    known[problem.names.time or ""] = make_split(problem).evolution.start
    lower, periods = periods_of(problem)
    for axis, (name, size) in enumerate(zip(problem.names.space, modes.sizes, strict=True)):
        points = lower[axis] + periods[axis] * np.arange(size) / size
        known[name] = points.reshape([-1 if k == axis else 1 for k in range(len(modes.sizes))])
    return known


def _without_inputs(problem: Problem, formula: sympy.Expr) -> sympy.Expr:
    jets = {symbol: jet for symbol in formula.free_symbols if (jet := jet_of(symbol)) and jet[0] in problem.inputs}
    return formula.xreplace({symbol: sympy.Integer(not any(index)) for symbol, (_, index) in jets.items()})


def _slopes(start: Start) -> list[Slope]:
    """Linearise N about the initial state."""
    split, modes = start.split, start.modes
    problem = split.evolution.problem
    blocks = Blocks(split, coefficients(split, [problem.parameter_values]), modes.waves)
    unknowns, gains = start.state, [torch.ones((), dtype=torch.float64)] * split.size
    if blocks.follow is not None:
        unknowns = torch.cat([start.state, (blocks.follow[0] * start.state).sum(1)])
        gains = [*gains, *blocks.follow[0].abs().sum(1)]
    found = []
    for row, given in enumerate(split.rest[: split.size]):
        formula = _without_inputs(problem, given)
        jets = {symbol: split.column(jet) for symbol in formula.free_symbols if (jet := jet_of(symbol))}
        values = {s.name: modes.inverse(unknowns[c] * modes.derivative(at)).numpy() for s, (c, at) in jets.items()}
        for slope, (column, index) in zip(slopes(formula, jets), jets.values(), strict=True):
            size = float(np.abs(evaluate(slope, {**start.known, **values})).max())
            found.append(Slope(row, index, size, gains[column]))
    return found
