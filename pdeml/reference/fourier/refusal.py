"""What Fourier solvers cannot do, or would do badly, in words."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import sympy
import torch

from pdeml.errors import InputError
from pdeml.expr import diff, jet_of
from pdeml.geometry import Region
from pdeml.problem import Problem
from pdeml.reference.fourier.modes import periods_of
from pdeml.reference.fourier.split import Split, make_split
from pdeml.reference.fourier.symbol import Blocks, coefficients

__all__ = ["reason_against"]

PROBES = (1e2, 1e3, 1e4)
"""Wave numbers, in units of the lowest, at which growth is looked at."""


@lru_cache(maxsize=32)
def reason_against(problem: Problem) -> str | None:
    """Return in one sentence why a Fourier method is not for this problem; None if it is."""
    walls = [name for name in problem.names.space if name not in problem.periodic]
    if not problem.domain.is_box or walls or not problem.names.space:
        which = f"{', '.join(walls) or 'the domain'} {'are' if len(walls) > 1 else 'is'} not"
        return f"it needs every space coordinate periodic; {which}"
    try:
        split = make_split(problem)
    except InputError as error:
        return error.message
    elsewhere = next((c for c in problem.constraints if not _is_initial(split, c.region)), None)
    if elsewhere is not None:
        return (
            f"the condition '{elsewhere.name}' holds elsewhere than at the start, where alone values can be prescribed"
        )
    if _makes_shocks(split):
        return (
            "it is a non-linear conservation law of first order without dissipation or dispersion, whose solutions "
            "become discontinuous; use fv"
        )
    return _reason_in_symbol(split)


def _is_initial(split: Split, region: Region) -> bool:
    evolution = split.evolution
    return not region.pieces and region.fixed == {evolution.problem.names.time: evolution.start}


def _makes_shocks(split: Split) -> bool:
    """Whether transport depends on what is transported and nothing of higher order is there to limit the slopes."""
    evolution = split.evolution
    if evolution.constrained:
        return False
    symbols = {s: split.column(jet) for f in split.rest for s in f.free_symbols if (jet := _jet(split, s))}
    orders = [sum(index) for _, index in symbols.values()] + [sum(term.index) for term in split.linear]
    if max(orders, default=0) > 1:
        return False
    steep = {symbol for symbol, (_, index) in symbols.items() if sum(index) == 1}
    return any(
        diff(formula, symbol).free_symbols & set(symbols)
        for formula in split.rest
        for symbol in steep & formula.free_symbols
    )


def _jet(split: Split, symbol: sympy.Symbol) -> tuple[str, tuple[int, ...]] | None:
    jet = jet_of(symbol)
    return jet if jet and jet[0] in split.evolution.problem.names.real_unknowns else None


def _reason_in_symbol(split: Split) -> str | None:
    """Look at L where waves are short: constraints that fix nothing, growth without bound."""
    problem = split.evolution.problem
    table = coefficients(split, [problem.parameter_values])
    _, periods = periods_of(problem)
    for axis, name in enumerate(problem.names.space):
        waves = [
            torch.as_tensor([2 * np.pi / period * k if j == axis else 0.0 for k in PROBES], dtype=torch.float64)
            for j, period in enumerate(periods)
        ]
        try:
            blocks = Blocks(split, table, waves)
        except InputError as error:
            return error.message
        rates = torch.linalg.eigvals(blocks.linear[0].movedim(-1, 0)).numpy()
        growth = np.maximum(rates.real - 1e-6 * np.abs(rates), 0.0).max(1)
        if 0 < 2 * growth[0] < growth[1] and 2 * growth[1] < growth[2]:
            return f"short waves along {name} grow without bound, so that the problem is ill-posed"
    return None
