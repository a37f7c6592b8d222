"""Which rows every coordinate of a box has, and whether they are as many as the equations ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pdeml.errors import InputError
from pdeml.lower import Statement
from pdeml.problem import Problem
from pdeml.tensor.axis import AxisBasis
from pdeml.tensor.conditions import Side, read_sides
from pdeml.tensor.corners import refuse_contradictions
from pdeml.tensor.reduced import matrix_of

__all__ = ["Ends", "Layout"]


@dataclass(frozen=True)
class Ends:
    """How many conditions an axis has: at its low end, at its high end, and for a periodic coordinate between them."""

    at_low: int
    at_high: int
    periodic: int

    @property
    def low(self) -> int:
        """Number of collocation points that are missing at the low end."""
        return self.at_low + (self.periodic + 1) // 2

    @property
    def high(self) -> int:
        """Number of collocation points that are missing at the high end."""
        return self.at_high + self.periodic // 2

    def rows(self, basis: AxisBasis, sides: Sequence[Side]) -> np.ndarray:
        """Return the rows (r, m): one for each condition, then those of a periodic coordinate."""
        found = [sum(c * matrix_of(basis, np.array([side.at]), p) for p, c in enumerate(side.orders)) for side in sides]
        return np.concatenate([*found, periodic_rows(basis, self.periodic), np.zeros((0, basis.size))])

    def sizes(self, basis: AxisBasis, sides: Sequence[Side]) -> np.ndarray:
        """Return what the rows make of a function of size one that varies over the whole axis, about, (r,)."""
        length = basis.high - basis.low
        own = [max(abs(c) / length**p for p, c in enumerate(side.orders)) for side in sides]
        return np.array([*own, *(length**-p for p in range(self.periodic))])


@dataclass(frozen=True)
class Layout:
    """Conditions and orders of a problem on a box.

    Args:
        sides: the conditions, one for each side.
        orders: of each unknown along each coordinate, (U, D).
        ends: of each coordinate, for one unknown; in one dimension for all unknowns together.
        owners: in one dimension, the unknown that each equation is matched with: it is collocated at as many points
            as this unknown has functions beyond its order.
    """

    sides: tuple[Side, ...]
    orders: tuple[tuple[int, ...], ...]
    ends: tuple[Ends, ...]
    owners: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem, statements: Sequence[Statement]) -> Layout:
        """Read a problem.

        Raises:
            InputError: it is not for tensor products, in words.
        """
        names = problem.names
        coordinates, unknowns = names.coordinates, names.real_unknowns
        if problem.needs_data:
            raise InputError("something in it is to be found beside the unknowns, from data")
        if not problem.domain.is_box:
            raise InputError("its domain is no box")
        if len(problem.forms) != len(unknowns):
            raise InputError(f"it has {len(problem.forms)} equations for {len(unknowns)} unknowns")
        sides = read_sides(problem, statements)
        orders = tuple(
            tuple(max(form.order(axis, name) for form in problem.forms) for axis in coordinates) for name in unknowns
        )
        alone = len(coordinates) > 1  # each unknown has its own conditions
        groups = [(k,) for k in range(len(unknowns))] if alone else [tuple(range(len(unknowns)))]
        for group in groups:
            found = [_ends(problem, sides, orders, group, k) for k in range(len(coordinates))]
        layout = cls(sides, orders, tuple(found), _owners(problem))
        if alone:
            layout._check_alike(problem)
            refuse_contradictions(problem, sides)
        return layout

    def rows(self, axis: int) -> list[tuple[Side, ...]]:
        """Return the conditions across an axis of two and more coordinates, in each row those of all unknowns."""
        own = [
            sorted(
                (side for side in self.sides if side.axis == axis and side.unknowns == (u,)),
                key=lambda side: (side.high, side.orders),
            )
            for u in range(len(self.orders))
        ]
        return list(zip(*own, strict=True))

    def _check_alike(self, problem: Problem) -> None:
        """Refuse unknowns whose conditions are of different kinds: they have no common cardinal functions."""
        for axis, name in enumerate(problem.names.coordinates):
            kinds = [
                sorted((side.high, side.orders) for side in self.sides if (side.axis, side.unknowns) == (axis, (u,)))
                for u in range(len(self.orders))
            ]
            if any(kind != kinds[0] for kind in kinds) or len({order[axis] for order in self.orders}) > 1:
                raise InputError(f"its unknowns have conditions of different kinds along {name}")


def _ends(
    problem: Problem, sides: Sequence[Side], orders: Sequence[Sequence[int]], group: tuple[int, ...], axis: int
) -> Ends:
    """Count the conditions of some unknowns along an axis.

    Raises:
        InputError: they are not as many as the orders of the unknowns.
    """
    name = problem.names.coordinates[axis]
    wanted = sum(orders[u][axis] for u in group)
    own = [side for side in sides if side.axis == axis and set(side.unknowns) <= set(group)]
    periodic = wanted if name in problem.periodic else 0
    if len(own) + periodic != wanted:
        who = "it" if len(group) == len(orders) else problem.names.real_unknowns[group[0]]
        raise InputError(
            f"{who} is of order {wanted} along {name}, which asks for {wanted} condition{'s' * (wanted != 1)}, "
            f"and there {'is' if len(own) == 1 else 'are'} {len(own) or 'none'}"
        )
    high = sum(side.high for side in own)
    return Ends(len(own) - high, high, periodic)


def periodic_rows(basis: AxisBasis, order: int) -> np.ndarray:
    """Return the rows (order, m) by which a function and its derivatives agree at both ends."""
    ends = np.array([basis.low, basis.high])
    found = [np.diff(matrix_of(basis, ends, p), axis=0) for p in range(order)]
    return np.concatenate([*found, np.zeros((0, basis.size))])


def _owners(problem: Problem) -> tuple[int, ...]:
    """Match equations with unknowns, each with one whose highest derivative it has where that is possible."""
    unknowns, axis = problem.names.real_unknowns, problem.names.coordinates[0]
    highest = [max(form.order(axis, name) for form in problem.forms) for name in unknowns]
    most = 1 + sum(highest)
    tops = list(zip(unknowns, highest, strict=True))
    cost = np.array(
        [
            [top - form.order(axis, name) if name in form.unknowns else most for name, top in tops]
            for form in problem.forms
        ]
    )
    rows, columns = linear_sum_assignment(cost)
    if cost[rows, columns].max() >= most:
        raise InputError("its equations cannot be matched with its unknowns, one with one")
    return tuple(int(k) for k in columns)
