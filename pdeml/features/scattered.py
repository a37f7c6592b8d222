"""Random features on the cells of any domain: rows of equations, conditions and joints, solved by least squares.

Shapes: N (points), D (coordinates), K (derivatives), U (unknowns), m (functions of a cell).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pdeml.expr import analyse
from pdeml.features.ansatz import FeatureAnsatz
from pdeml.features.cells import Cells, make_cells
from pdeml.features.local import LocalSpace, draw_space
from pdeml.features.places import Place, condition_places, equation_points, face_points, orders
from pdeml.linalg import BlockRows, eliminate
from pdeml.linalg.elimination import Elimination
from pdeml.lower import (
    Index,
    Scales,
    Statement,
    estimate_scales,
    indices_of,
    linearised,
    make_residual_plan,
    statements,
)
from pdeml.problem import Problem
from pdeml.sampling.optimal import choose

__all__ = ["Group", "Parts", "Resolution", "Scattered"]

_CANDIDATES = 4
"""From so many times the points are those of an optimal sampler chosen."""

_ORTHONORMAL = 30.0
"""Multiplications of the singular values of a cell's functions, over the cube of their number."""

Parts = list[Tensor]
"""Coefficients of each cell, (U · m,)."""


@dataclass(frozen=True)
class Resolution:
    """How fine.

    Args:
        counts: boxes along each coordinate.
        size: functions of a cell at most.
        radius: largest angular wave number of the features on [−1, 1]^D.
    """

    counts: tuple[int, ...]
    size: int
    radius: float


@dataclass(frozen=True, eq=False)
class Group:
    """A statement at points of one cell: what the derivatives of the cell's functions are there, (K, N, m).

    Points that were drawn more densely in places weigh less there; ``roots``, (N,), of these weights, or none.
    """

    statement: Statement
    cell: int
    points: Tensor
    normals: Tensor | None
    basis: Tensor
    roots: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Scattered:
    """A problem on one resolution.

    Args:
        problem: what is solved.
        resolution: how fine.
        activation: sin or tanh.
        ratio: points of the equations for each function of a cell.
        sampler: of these points: sobol (on whole cells Gauss points), or one of `pdeml.sampling.optimal.OPTIMAL`.
        seed: of features and points.
    """

    problem: Problem
    resolution: Resolution
    activation: str = "sin"
    ratio: float = 2.0
    sampler: str = "sobol"
    seed: int = 0

    @cached_property
    def ansatz(self) -> FeatureAnsatz:
        """The family of functions."""
        size, radius = self.resolution.size, self.resolution.radius
        dimension = len(self.resolution.counts)
        space = draw_space(dimension, radius, size, activation=self.activation, seed=self.seed)
        return FeatureAnsatz(self.cells, space, self.unknowns)

    @cached_property
    def cells(self) -> Cells:
        """Where the patches are."""
        return make_cells(self.problem.domain, self.resolution.counts)

    @property
    def unknowns(self) -> int:
        """Number U of real unknowns."""
        return len(self.problem.names.real_unknowns)

    @cached_property
    def scales(self) -> Scales:
        """Sizes of the unknowns and coordinates."""
        return estimate_scales(self.problem)

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """What shall hold."""
        return statements(self.problem, self.scales)

    @property
    def is_linear(self) -> bool:
        """Whether one solution of linear least squares is enough."""
        problem = self.problem
        return all(form.is_linear for form in (*problem.forms, *(c.form for c in problem.constraints)))

    @property
    def memory(self) -> int:
        """About how many bytes a solution takes."""
        derivatives = sum(len(indices_of(statement)) for statement in self.statements)
        basis = 8 * len(self.cells) * round(self.ratio * self.resolution.size) * self.resolution.size * derivatives
        return self._elimination.bytes + basis

    @property
    def operations(self) -> float:
        """About how many multiplications a linear solution takes, that of making the functions included."""
        return self._elimination.operations + _ORTHONORMAL * len(self.cells) * float(self.resolution.size) ** 3

    @cached_property
    def _elimination(self) -> Elimination:
        size = self.resolution.size
        own = {(cell,): round(self.ratio * size) * len(self.problem.forms) for cell in range(len(self.cells))}
        face = int(orders(self.problem).sum()) * face_points(size, len(self.resolution.counts))
        return eliminate({**own, **dict.fromkeys(self._neighbours, face)}, [size * self.unknowns] * len(own))

    @cached_property
    def groups(self) -> list[Group]:
        """All statements on all cells."""
        return list(self._grouped(self.statements))

    @cached_property
    def linear_groups(self) -> list[Group]:
        """The same without the terms that are not linear."""
        return list(self._grouped(tuple(map(self._linear_part, self.statements))))

    @cached_property
    def spaces(self) -> list[LocalSpace]:
        """The functions of each cell: orthonormal on what the cell represents."""
        return [self._space(cell) for cell in range(len(self.cells))]

    def _space(self, cell: int) -> LocalSpace:
        resolution = self.resolution
        if self.cells.whole[cell]:
            return self.ansatz.space
        own = [place.points for _, place in self.conditions if place.cell == cell]
        inner = self.cells.draw(cell, 3 * resolution.size, self.seed)
        weights = np.full(len(inner), 1 / len(inner))
        if own:  # the functions shall be bounded on the boundary too
            outer = np.concatenate(own)
            inner = np.concatenate([inner, outer])
            weights = np.concatenate([weights, np.full(len(outer), 0.1 / len(outer))])
        quadrature = (self._tensor(self.cells.local(cell, inner)), self._tensor(weights))
        dimension = len(resolution.counts)
        return draw_space(
            dimension,
            resolution.radius,
            resolution.size,
            activation=self.activation,
            seed=self.seed,
            quadrature=quadrature,
        )

    @cached_property
    def conditions(self) -> list[tuple[int, Place]]:
        """Number of the statement, and its points in a cell."""
        return [
            (number, place)
            for number, statement in enumerate(self.statements)
            if statement.name != "equation"
            for place in condition_places(statement.region, self.cells, self.resolution.size, (self.seed, number))
        ]

    @cached_property
    def _neighbours(self) -> list[tuple[int, int]]:
        cells = self.cells
        pairs = ((cells.host(face.below), cells.host(face.above)) for face in cells.faces(self._periodic))
        return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})

    @property
    def _periodic(self) -> tuple[int, ...]:
        return tuple(self.problem.names.coordinates.index(name) for name in self.problem.periodic)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64)

    def _linear_part(self, statement: Statement) -> Statement:
        names = self.problem.names
        forms = self.problem.forms
        if statement.name != "equation":
            forms = tuple(c.form for c in self.problem.constraints if c.name == statement.name)
        linear = [form if form.is_linear else analyse(form.residual - form.rest, names) for form in forms]
        return replace(statement, plan=make_residual_plan(linear, names, self.problem.parameter_values))

    def _grouped(self, stated: Sequence[Statement]) -> Iterator[Group]:
        cells = self.cells
        for number, statement in enumerate(stated):
            if statement.name == "equation":
                yield from self._equation(statement)
            for place in (place for k, place in self.conditions if k == number):
                local_ND = cells.local(place.cell, place.points)
                basis = self._basis(self.spaces[place.cell], local_ND, indices_of(statement))
                normals = None if place.normals is None else self._tensor(place.normals)
                yield Group(statement, place.cell, self._tensor(place.points), normals, basis)

    def _equation(self, statement: Statement) -> Iterator[Group]:
        """Yield the equations on each cell; whole cells have the same points, and derivatives that are made once."""
        cells, indices = self.cells, indices_of(statement)
        count = max(1, round(self.ratio * self.resolution.size))
        grid = equation_points(cells, None, count, self.seed)
        if self.sampler != "sobol":
            yield from (self._optimal(statement, cell, count) for cell in range(len(cells)))
            return
        shared = self._basis(self.ansatz.space, grid, indices) if cells.whole.any() else None
        for cell, whole in enumerate(cells.whole):
            places = grid if whole else equation_points(cells, cell, count, self.seed)
            basis = shared if whole else self._basis(self.spaces[cell], places, indices)
            yield Group(statement, cell, self._tensor(cells.points(cell, places)), None, basis)

    def _optimal(self, statement: Statement, cell: int, count: int) -> Group:
        """Choose points by the functions that the operator makes of the cell's; of systems by those themselves."""
        cells, space = self.cells, self.spaces[cell]
        places = equation_points(cells, cell, _CANDIDATES * count, self.seed)
        basis = self._basis(space, places, indices_of(statement))
        whole = Group(statement, cell, self._tensor(cells.points(cell, places)), None, basis)
        alone = self.unknowns == 1 and statement.residuals == 1
        functions = self.rows(whole)[0].matrix if alone else space.values(self._tensor(places))
        chosen = choose(functions.cpu().numpy(), max(count, space.size), self.sampler, seed=(self.seed, cell))
        rows = torch.as_tensor(chosen.indices, device=basis.device)
        roots = self._tensor(np.sqrt(chosen.weights * len(rows)))
        return Group(statement, cell, whole.points[rows], None, basis[:, rows], roots)

    def _basis(self, space: LocalSpace, local_ND: np.ndarray, indices: Sequence[Index]) -> Tensor:
        """Return derivatives of a cell's functions, (K, N, m)."""
        local, half = self._tensor(local_ND), self.cells.half
        return torch.stack([space.values(local, index) / float((half ** list(index)).prod()) for index in indices])

    @cached_property
    def joints(self) -> list[BlockRows]:
        """Rows that make neighbouring cells agree, each unknown in the derivatives below its order."""
        cells, wanted = self.cells, orders(self.problem)
        count, found = face_points(self.resolution.size, len(cells.counts)), []
        for face in cells.faces(self._periodic):
            points = cells.on_face(face, count)
            below, above = cells.host(face.below), cells.host(face.above)
            beyond = points.copy()
            beyond[:, face.axis] += face.shift
            for order in range(int(wanted[:, face.axis].max()) if len(points) else 0):
                index = tuple(order * (axis == face.axis) for axis in range(len(cells.counts)))
                sides = [
                    self._basis(self.spaces[cell], cells.local(cell, x), [index])[0]
                    for cell, x in ((below, points), (above, beyond))
                ]
                which = np.flatnonzero(wanted[:, face.axis] > order).tolist()
                found.append(self._jumps(which, (below, above), sides))
        return found

    def _jumps(self, which: Sequence[int], pair: tuple[int, int], sides: Sequence[Tensor]) -> BlockRows:
        """Return rows for the jumps of some of the unknowns between two cells, or around a period in one."""
        matrices = []
        for sign, side in zip((1.0, -1.0), sides, strict=True):
            matrix = side.new_zeros(len(which), len(side), self.unknowns, side.shape[1])
            for row, unknown in enumerate(which):
                matrix[row, :, unknown] = sign * side
            matrices.append(matrix.flatten(0, 1).flatten(1))
        zero = matrices[0].new_zeros(len(matrices[0]))
        if pair[0] == pair[1]:
            return BlockRows((pair[0],), matrices[0] + matrices[1], zero)
        return BlockRows(pair, torch.cat(matrices, 1), zero)

    @cached_property
    def sizes(self) -> list[int]:
        """Number of coefficients of each cell."""
        return [space.size * self.unknowns for space in self.spaces]

    @cached_property
    def unit(self) -> Tensor:
        """Sizes of the unknowns, (U,): the coefficients have none."""
        return self._tensor(np.array([self.scales.unknowns[name] for name in self.problem.names.real_unknowns]))

    def jets(self, group: Group, part: Tensor) -> Tensor:
        """Return the derivatives of a group's statement at its points, (K, N, U), for coefficients of its cell."""
        return torch.einsum("knm,um->knu", group.basis, part.unflatten(0, (self.unknowns, -1))) * self.unit

    def rows(self, group: Group, jets_KNU: Tensor | None = None) -> tuple[BlockRows, Tensor]:
        """Return the linearised rows of a group, and the residuals of the function itself.

        Args:
            group: a statement at points of a cell.
            jets_KNU: derivatives of the function that it is linearised at; zero by default.
        """
        matrices, values, weights, residuals = [], [], [], []
        for part in linearised(group.statement, group.points, self.unknowns, group.normals, jets_KNU):
            matrices.append(torch.einsum("nku,knm->num", part.coefficients * self.unit, group.basis).flatten(1))
            values.append(part.values)
            even = torch.ones_like(part.values) if group.roots is None else group.roots
            weights.append(part.weight * even)
            residuals.append((0.0 if jets_KNU is None else part.apply(jets_KNU)) - part.values)
        rows = BlockRows((group.cell,), torch.cat(matrices), torch.cat(values), torch.cat(weights))
        return rows, torch.cat(residuals)

    def theta(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the parameters of `ansatz`, (P,), for the coefficients of each cell."""
        found = [
            (part.unflatten(0, (self.unknowns, -1)) * self.unit[:, None]) @ space.mixing.T
            for part, space in zip(parts, self.spaces, strict=True)
        ]
        return torch.stack(found).reshape(-1)
