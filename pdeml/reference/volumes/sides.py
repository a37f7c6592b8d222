"""What holds on the sides of a box, as values at ghost nodes beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.expr import to_jets
from pdeml.problem import Constraint, Problem
from pdeml.reference.case import Case
from pdeml.reference.volumes.formulas import Formulas, Places

__all__ = ["GHOSTS", "Ghosts", "Side", "folded", "read_sides"]

GHOSTS = 5
"""Nodes beyond each side: three for the interpolation, two for the correction of fluxes."""


@dataclass(frozen=True)
class Side:
    """One side of the box.

    Attributes:
        axis: index of the space coordinate that is constant on it.
        end: 0 for the lower, 1 for the upper side.
        values: the prescribed value of each unknown, or None.
        level: for each unknown, whether its normal derivative is zero.
    """

    axis: int
    end: int
    values: tuple[sympy.Expr | None, ...]
    level: tuple[bool, ...]


def read_sides(problem: Problem) -> tuple[Side, ...]:
    """Read the conditions on every side that is not periodic.

    Raises:
        InputError: a condition that is neither a value nor a vanishing normal derivative on whole sides.
    """
    bounds = problem.domain.space.bounds  # type: ignore[union-attr]
    start = {problem.domain.time[0]: problem.domain.time[1]}  # type: ignore[index]
    found: dict[tuple[int, int], dict[str, Constraint]] = {
        (axis, end): {}
        for axis, name in enumerate(problem.names.space)
        if name not in problem.periodic
        for end in (0, 1)
    }
    for constraint in problem.constraints:
        if constraint.region.fixed == start and not constraint.region.pieces:
            continue
        _check(constraint)
        for part in constraint.region.parts:
            axis, place = part.plane  # type: ignore[misc]
            end = int(abs(place - bounds[axis][1]) < abs(place - bounds[axis][0]))
            found[axis, end][constraint.unknown or ""] = constraint
    return tuple(_side(problem, axis, end, given) for (axis, end), given in found.items())


def _check(constraint: Constraint) -> None:
    if constraint.masked or not constraint.region.pieces:
        raise InputError(f"the condition '{constraint.name}' does not hold on whole sides of the box, or at the start")
    if constraint.kind not in ("value", "flux"):
        raise InputError(f"the condition '{constraint.name}' is neither a value nor a flux")
    if constraint.kind == "flux" and constraint.value != 0:
        raise InputError(f"the condition '{constraint.name}' is a normal derivative that is not zero")


def _side(problem: Problem, axis: int, end: int, given: dict[str, Constraint]) -> Side:
    ordered = [given.get(name) for name in problem.names.real_unknowns]
    values = tuple(
        to_jets(one.value, problem.names) if one is not None and one.kind == "value" else None for one in ordered
    )
    return Side(axis, end, values, tuple(one is not None and one.kind == "flux" for one in ordered))


def folded(positions: np.ndarray, ends: np.ndarray, sides: Sequence[Side]) -> np.ndarray:
    """Bring positions beyond the ends back: by a period if there are no sides, mirrored if a side mirrors states.

    Beyond the other sides they stay, so that coefficients are continued as the states are.
    """
    if not sides:
        return ends[0] + np.mod(positions - ends[0], ends[1] - ends[0])
    for side in sides:
        end = ends[side.end]
        beyond = (positions - end) * (1 if side.end else -1) > 0
        positions = np.where(beyond & any(side.level), 2.0 * end - positions, positions)
    return positions


class Ghosts:
    """Extends nodal values along one coordinate.

    A prescribed value g continues oddly, ``w(-x) = 2 g - w(x)``; a vanishing normal derivative evenly; an unknown
    about which nothing is said continues linearly, oddly about its own value at the side. So a wall is the value 0
    of the normal momentum and a vanishing derivative of the rest.

    Args:
        axis: index of the space coordinate.
        count: its number of nodes.
        sides: those of this coordinate; none if it is periodic.
        cases, axes, device: as for `Places`.
    """

    def __init__(
        self,
        axis: int,
        count: int,
        sides: Sequence[Side],
        cases: Sequence[Case],
        axes: dict[str, np.ndarray],
        device: str,
    ):
        self.dim, self.count = axis + 2, count
        positions = np.arange(-GHOSTS, count + GHOSTS)
        last = count - 1
        inside = np.where(positions > last, 2 * last - positions, np.abs(positions))
        index = np.clip(inside, 0, last) if sides else np.mod(positions, count)
        self.index = torch.as_tensor(index, device=device)
        self.sides = [_PreparedSide(side, cases, axes, device) for side in sides]

    def fixed(self, state: Tensor, times: Tensor) -> Tensor:
        """Return the states (C, B, …) with prescribed values put in on the sides."""
        for side in self.sides:
            state = side.fixed(state, times)
        return state

    def extended(self, state: Tensor) -> Tensor:
        """Return the states with `GHOSTS` more nodes at both ends; the prescribed values are those on the sides."""
        result = state.index_select(self.dim, self.index)
        for side in self.sides:
            ghosts = result.narrow(self.dim, side.start(self.count), GHOSTS)
            edge = state.narrow(self.dim, side.node(self.count), 1)
            for component, level in enumerate(side.level):
                if not level:
                    ghosts[component].neg_().add_(2.0 * edge[component])
        return result

    def flattened(self, extended: Tensor, admissible: Tensor) -> Tensor:
        """Put the value on the side where a ghost is no physical state."""
        for side in self.sides:
            start, inner = side.start(self.count), side.node(self.count) + GHOSTS
            ghosts, edge = extended.narrow(self.dim, start, GHOSTS), extended.narrow(self.dim, inner, 1)
            ghosts.copy_(torch.where(admissible.narrow(self.dim - 1, start, GHOSTS), ghosts, edge))
        return extended


class _PreparedSide:
    def __init__(self, side: Side, cases: Sequence[Case], axes: dict[str, np.ndarray], device: str):
        self.dim, self.end, self.level = side.axis + 2, side.end, side.level
        self.components = [k for k, value in enumerate(side.values) if value is not None]
        self.formulas = Formulas([value for value in side.values if value is not None], ())
        name = list(axes)[side.axis]
        here = {**axes, name: axes[name][[-1 if side.end else 0]]}
        self.places = Places(self.formulas.symbols, cases, here, device)

    def node(self, count: int) -> int:
        return count - 1 if self.end else 0

    def start(self, count: int) -> int:
        return count + GHOSTS if self.end else 0

    def fixed(self, state: Tensor, times: Tensor) -> Tensor:
        if not self.components:
            return state
        state = state.clone()
        edge = state.narrow(self.dim, self.node(state.shape[self.dim]), 1)
        edge[self.components] = self.formulas(edge[:0].new_empty(0, *edge.shape[1:]), self.places.at(times))
        return state
