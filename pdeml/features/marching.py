"""Solving what is discretised on cells: least squares, Gauss-Newton with continuation, one window of time by another.

A nonlinear problem is solved by Gauss-Newton with a line search. It begins at the solution of the problem without its
nonlinear terms. Where that does not converge these terms are switched on by and by, each time from the solution before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import DivergenceError, RunError
from pdeml.features.scattered import Group, Parts, Scattered
from pdeml.linalg import BlockRows, LeastSquares, solve_blocks, solve_rows
from pdeml.lower import Index, indices_of

__all__ = ["Found", "Start", "solve_cells"]

Start = Callable[[Tensor, tuple[Index, ...]], Tensor]
"""(points (N, D), indices) -> derivatives of a known function (K, N, U): where Gauss-Newton begins."""

SINGULAR = 1e-10
"""Directions that change the scaled rows by less, relative to the others, are taken for free."""
_DENSE = 3000  # unknowns up to which the shortest of many solutions is found
_MOST = 30  # Gauss-Newton iterations
_CONVERGED = 1e-11  # relative change of the coefficients
_ROUNDING = 1e-7  # a relative change below this, after some iterations, is taken for rounding
_HALVINGS = 10
_SMALLEST_STEP = 1 / 64


@dataclass(frozen=True)
class Found:
    """A solution on cells.

    Args:
        parts: coefficients of each cell.
        condition: the largest condition found.
        null: number of directions that are left free; along them the coefficients are as small as can be.
        solves: linear least-squares problems solved.
    """

    parts: Parts
    condition: float
    null: int
    solves: int


def solve_cells(
    system: Scattered, windows: int = 1, start: Start | None = None, watch: Callable[[float], None] = lambda share: None
) -> Found:
    """Solve a problem on its cells.

    Args:
        system: the problem on one resolution.
        windows: of time, solved one after another; at most as many as there are cells in time.
        start: where Gauss-Newton begins; by default at the solution of the linear part.
        watch: told what share is done.

    Raises:
        DivergenceError: Gauss-Newton does not converge.
        RunError: the rows leave directions free, and there are too many unknowns to tell which.
    """
    found = Found([torch.zeros(0)] * len(system.cells), 1.0, 0, 0)
    blocks = _blocks(system, windows)
    for number, own in enumerate(blocks):
        window = _Window(system, own, found.parts)
        part, solves = window.linear() if system.is_linear else window.nonlinear(start)
        for cell, coefficients in zip(own, part.x.split(window.sizes), strict=True):
            found.parts[cell] = coefficients
        null = sum(window.sizes) - part.rank
        found = Found(found.parts, max(found.condition, part.condition), found.null + null, found.solves + solves)
        watch((number + 1) / len(blocks))
    return found


def _blocks(system: Scattered, windows: int) -> list[list[int]]:
    """Return the cells of each window of time."""
    cells, column = system.cells, system.problem.domain.time_column
    if column is None or windows == 1:
        return [list(range(len(cells)))]
    count = cells.counts[column]
    place = np.unravel_index(cells.boxes, cells.counts)[column]
    window = place * min(windows, count) // count
    return [np.flatnonzero(window == k).tolist() for k in range(window.max() + 1)]


class _Window:
    """The cells of one window of time, joined to those before it, which are known."""

    def __init__(self, system: Scattered, own: Sequence[int], known: Parts):
        self.system, self.number = system, {cell: k for k, cell in enumerate(own)}
        self.sizes = [system.sizes[cell] for cell in own]
        self.joints = list(self._joined(known))

    def linear(self) -> tuple[LeastSquares, int]:
        """Solve a linear problem."""
        return self._solve([self._of(group, None)[0] for group in self._own(self.system.groups)]), 1

    def nonlinear(self, start: Start | None) -> tuple[LeastSquares, int]:
        """Solve a problem that is not linear, from a start or from its linear part."""
        done = 0
        if start is not None:
            groups = self._own(self.system.groups)
            given = [start(group.points, indices_of(group.statement)) for group in groups]
            near = self._solve([self._of(group, jets)[0] for group, jets in zip(groups, given, strict=True)])
            last, count = self._gauss_newton(near, 1.0)
            if last is not None:
                return last, count + 1
            done = count + 1
        found = self._solve([self._of(group, None)[0] for group in self._own(self.system.linear_groups)])
        share, step = 0.0, 1.0
        while share < 1:
            ahead = min(1.0, share + step)
            last, count = self._gauss_newton(found, ahead)
            done += count + 1
            if last is not None:
                found, share = last, ahead
            elif step > _SMALLEST_STEP:
                step /= 2
            else:
                raise DivergenceError(
                    f"Gauss-Newton does not converge beyond {share:.0%} of the nonlinear terms: the problem may have "
                    "no solution that continues that of its linear part, or the patches may be too few; try more "
                    "'patches', or 'windows' of time"
                )
        return found, done

    def _gauss_newton(self, at: LeastSquares, share: float) -> tuple[LeastSquares | None, int]:
        """Iterate; none if it does not converge."""
        for count in range(1, _MOST + 1):
            rows, residuals = zip(*self._blended(share, at.x), strict=True)
            try:
                new = self._solve(rows)
            except DivergenceError:
                return None, count
            change, size = float((new.x - at.x).norm()), float(new.x.norm())
            if change <= _CONVERGED * size or (count > 4 and change <= _ROUNDING * size):
                return new, count
            step = 1.0 if change <= 1e-3 * size else self._searched(rows, residuals, at.x, new.x, share)
            if step == 0:
                return None, count
            at = replace(new, x=at.x + step * (new.x - at.x))
        return None, _MOST

    def _searched(
        self, rows: Sequence[BlockRows], residuals: Sequence[Tensor], at: Tensor, new: Tensor, share: float
    ) -> float:
        """Return the step, halved until the residual falls; 0 if it does not."""
        factors = [part.weights / part.matrix.abs().amax(1).clamp(min=1e-300) for part in rows]

        def merit(parts: Iterable[Tensor], x: Tensor) -> float:
            own = sum(float((f * r).square().sum()) for f, r in zip(factors, parts, strict=True))
            jumps = (joint.matrix @ self._taken(x, joint.blocks) - joint.values for joint in self.joints)
            return own + sum(float(jump.square().sum()) for jump in jumps)

        before, step = merit(residuals, at), 1.0
        for _ in range(_HALVINGS):
            x = at + step * (new - at)
            if merit((residual for _, residual in self._blended(share, x)), x) <= (1 - 1e-4 * step) * before:
                return step
            step /= 2
        return 0.0

    def _blended(self, share: float, x: Tensor) -> Iterator[tuple[BlockRows, Tensor]]:
        """Yield rows of ``(1 − share) · linear part + share · whole`` at x, and their residuals."""
        whole = self._own(self.system.groups)
        linear = self._own(self.system.linear_groups) if share < 1 else [None] * len(whole)
        for group, plain in zip(whole, linear, strict=True):
            part = self._taken(x, (self.number[group.cell],))
            rows, residual = self._of(group, self.system.jets(group, part))
            if plain is not None:
                other, rest = self._of(plain, self.system.jets(plain, part))
                matrix = share * rows.matrix + (1 - share) * other.matrix
                rows = replace(rows, matrix=matrix, values=share * rows.values + (1 - share) * other.values)
                residual = share * residual + (1 - share) * rest
            yield rows, residual

    def _taken(self, x: Tensor, blocks: Sequence[int]) -> Tensor:
        parts = x.split(self.sizes)
        return torch.cat([parts[block] for block in blocks])

    def _own(self, groups: Iterable[Group]) -> list[Group]:
        return [group for group in groups if group.cell in self.number]

    def _of(self, group: Group, jets: Tensor | None) -> tuple[BlockRows, Tensor]:
        rows, residual = self.system.rows(group, jets)
        return replace(rows, blocks=(self.number[group.cell],)), residual

    def _joined(self, known: Parts) -> Iterator[BlockRows]:
        """Yield the joints of this window; what belongs to an earlier one goes to the right side."""
        for joint in self.system.joints:
            inside = [cell for cell in joint.blocks if cell in self.number]
            outside = [cell for cell in joint.blocks if cell not in self.number]
            if not inside or any(not len(known[cell]) for cell in outside):
                continue
            widths = [self.system.sizes[cell] for cell in joint.blocks]
            columns = dict(zip(joint.blocks, joint.matrix.split(widths, 1), strict=True))
            values = joint.values - sum(columns[cell] @ known[cell] for cell in outside)
            factor = 1 / joint.matrix.abs().amax(1)
            matrix = torch.cat([columns[cell] for cell in inside], 1) * factor[:, None]
            yield BlockRows(tuple(self.number[cell] for cell in inside), matrix, values * factor)

    def _solve(self, rows: Iterable[BlockRows]) -> LeastSquares:
        merged = _merged([*rows, *self.joints])
        found = solve_blocks(merged, self.sizes)
        if found.rank == sum(self.sizes) and found.condition * SINGULAR < 1:
            return found
        if sum(self.sizes) > _DENSE:
            raise RunError(
                "the equations and conditions leave directions free, so that the solution is not unique: is a "
                "condition missing?"
            )
        return self._shortest(merged)

    def _shortest(self, rows: Sequence[BlockRows]) -> LeastSquares:
        """Return the shortest of all solutions: the functions of a cell are orthonormal, so that u is small in L²."""
        ends = np.cumsum(self.sizes)
        whole = rows[0].matrix.new_zeros(sum(len(part.values) for part in rows), ends[-1])
        start = 0
        for part in rows:
            columns = torch.cat([torch.arange(ends[k] - self.sizes[k], ends[k]) for k in part.blocks])
            whole[start : start + len(part.values), columns] = part.matrix
            start += len(part.values)
        values = torch.cat([part.values for part in rows])
        weights = torch.cat([torch.as_tensor(part.weights).to(whole).expand(len(part.values)) for part in rows])
        return solve_rows(whole, values, weights, method="svd", cutoff=SINGULAR)


def _merged(rows: Iterable[BlockRows]) -> list[BlockRows]:
    """Put rows over the same blocks together: few large ones are factored faster."""
    found: dict[tuple[int, ...], list[BlockRows]] = {}
    for part in rows:
        found.setdefault(part.blocks, []).append(part)
    return [
        BlockRows(
            blocks,
            torch.cat([part.matrix for part in parts]),
            torch.cat([part.values for part in parts]),
            torch.cat([torch.as_tensor(part.weights).to(part.values).expand(len(part.values)) for part in parts]),
        )
        for blocks, parts in found.items()
    ]
