"""The statements of a flow on a mesh: fixed values, stresses and the level of the pressure at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy
from scipy.sparse import csr_array, diags_array, kron

from pdeml.errors import InputError
from pdeml.expr import jet_of, normal_symbol
from pdeml.reference.case import Case
from pdeml.reference.flow.conditions import Statement
from pdeml.reference.flow.space import TaylorHood

__all__ = ["Boundary", "Sampled"]

LEAK = 1e-3
"""More than this share of what flows in must flow out again through a boundary on which all velocities are given."""


class Sampled:
    """A formula at fixed points of space, evaluated once if it does not depend on time.

    Args:
        case: with parameters and inputs.
        formula: in coordinates, parameters, inputs and ``n[x]``.
        points: (N, 2).
        normals: (N, 2), if the normal occurs.
    """

    def __init__(self, case: Case, formula: sympy.Expr, points: np.ndarray, normals: np.ndarray | None = None):
        self._case, self._formula, self._points = case, formula, points
        names = case.problem.names
        self._known = (
            {} if normals is None else {normal_symbol(axis).name: normals[:, k] for k, axis in enumerate(names.space)}
        )
        self.moves = names.time is not None and any(
            symbol.name == names.time or ((jet := jet_of(symbol)) and names.time in dict(names.inputs).get(jet[0], ()))
            for symbol in formula.free_symbols
        )

    def at(self, time: float) -> np.ndarray:
        """Return the values (N,) at a time; do not change them."""
        return self._values(time) if self.moves else self._still

    @cached_property
    def _still(self) -> np.ndarray:
        domain = self._case.problem.domain
        return self._values(domain.time[1] if domain.time else 0.0)

    def _values(self, time: float) -> np.ndarray:
        return np.array(self._case.at(self._formula, with_time(self._case, self._points, time), self._known))


def with_time(case: Case, points: np.ndarray, time: float) -> np.ndarray:
    """Return points of space (N, 2) with the time put in its column."""
    column = case.problem.domain.time_column
    return points if column is None else np.insert(points, column, time, axis=1)


@dataclass(frozen=True, eq=False)
class _Given:
    """Values of a component of velocity at nodes; of several for a node the one of highest rank holds."""

    component: int
    nodes: np.ndarray
    rank: np.ndarray
    values: Sampled

    def at(self, time: float) -> np.ndarray:
        return self.values.at(time)


class Boundary:
    """All that is prescribed, on one mesh.

    Where pieces meet that prescribe different values, a component is that of the piece it crosses: so no fluid leaks
    through the walls beside a lid, and a plug of fluid enters in full. What is shown there is the larger value: a lid
    with its corners.

    Args:
        space: of the velocity.
        case: with parameters and inputs.
        statements: of its problem.
        viscosity: factor of the normal derivative in the stress.
    Attributes:
        fixed: which of the 2 N nodal values of velocity are given.
        enclosed: whether the velocity is given on the whole boundary.
    """

    def __init__(self, space: TaylorHood, case: Case, statements: Iterable[Statement], viscosity: float):
        self._space, self._case, self._viscosity = space, case, viscosity
        self.statements = tuple(statements)
        self._values = [self._value(s) for s in self.statements if s.kind == "velocity"]
        self.fixed = np.zeros(2 * space.size, dtype=bool)
        for given in self._values:
            self.fixed[given.component * space.size + given.nodes] = True
        outer = np.unique(space.nodes_on(space.mesh.boundary_facets()))
        self.enclosed = bool(self.fixed[outer].all() and self.fixed[space.size + outer].all())
        self._stresses = [term for s in self.statements for term in self._stress(s)]
        open_ = [self._facets(s) for s in self.statements if s.kind in ("flux", "traction", "pressure")]
        whole = np.unique(np.concatenate(open_)) if open_ else np.zeros(0, dtype=np.int64)
        self._open = [space.edges(whole)] if len(whole) else []
        self._level = self._level_of(self.statements)

    def velocity(self, time: float) -> np.ndarray:
        """Return the given values (2, N), zero at nodes that are free."""
        result = np.zeros((2, self._space.size))
        rank = np.full(result.shape, -1.0)
        for given in self._values:
            old, before, new = result[given.component, given.nodes], rank[given.component, given.nodes], given.at(time)
            better = (given.rank > before) | ((given.rank == before) & (np.abs(new) > np.abs(old)))
            result[given.component, given.nodes] = np.where(better, new, old)
            rank[given.component, given.nodes] = np.maximum(given.rank, before)
        return result

    def shown(self, velocity: np.ndarray, time: float) -> np.ndarray:
        """Return a velocity (2, N) with the larger of the values that are prescribed where pieces meet."""
        result = np.array(velocity)
        for given in self._values:
            old, new = result[given.component, given.nodes], given.at(time)
            result[given.component, given.nodes] = np.where(np.abs(new) > np.abs(old), new, old)
        return result

    def stress(self, time: float) -> np.ndarray:
        """Return ``∫ (viscosity dn(u) - p n)·w`` (2, N) over the boundary where the velocity is not given."""
        result = np.zeros((2, self._space.size))
        for component, load, factor in self._stresses:
            result[component] += load(factor.at(time))
        return result

    def entering(self, velocity: np.ndarray) -> csr_array:
        """Return the matrix (2 N, 2 N) of ``½ ∫ |a·n| u·w`` over the open boundary where a enters through it."""
        matrix = csr_array((self._space.size,) * 2)
        for edges in self._open:
            across = ((edges.values @ velocity.T) * edges.normals).sum(axis=1)
            inward = 0.5 * edges.weights * np.maximum(-across, 0.0)
            matrix = matrix + edges.values.T @ (diags_array(inward) @ edges.values)
        return csr_array(kron(np.eye(2), matrix))

    def shift(self, pressure: np.ndarray, time: float) -> np.ndarray:
        """Return the pressure with the constant that the statements ask for."""
        if self._level is None:
            return pressure
        matrix, weights, sampled = self._level
        return pressure + weights @ (sampled.at(time) - matrix @ pressure)

    def check_balance(self, time: float) -> None:
        """Refuse boundary values that let in more than out.

        Raises:
            InputError: no flow without divergence has them.
        """
        edges = self._space.edges(self._space.mesh.boundary_facets())
        across = ((edges.values @ self.velocity(time).T) * edges.normals).sum(axis=1) * edges.weights
        if self.enclosed and abs(across.sum()) > LEAK * np.abs(across).sum() + 1e-300:
            raise InputError(
                f"the given velocities let {-across[across < 0].sum():.3g} in and {across[across > 0].sum():.3g} out, "
                "but a flow without divergence loses nothing; leave a part of the boundary open",
                ("conditions",),
            )

    def _value(self, statement: Statement) -> _Given:
        mesh, places, component = self._space.mesh, self._space.nodes, statement.component
        facets = np.concatenate([mesh.boundaries[name] for name in statement.pieces])
        nodes = np.unique(self._space.nodes_on(facets))
        nodes = nodes[self._holds(statement, places[nodes])]
        rank = self._crossing(facets, component)[nodes]
        return _Given(component, nodes, rank, Sampled(self._case, statement.value, places[nodes]))

    def _crossing(self, facets: np.ndarray, component: int) -> np.ndarray:
        """Return for every node how much a component of velocity crosses the edges there: 1 at a right angle."""
        mesh, result = self._space.mesh, np.zeros(self._space.size)
        along = np.subtract(*mesh.p[:, mesh.facets[:, facets]].transpose(1, 0, 2))
        share = np.round(np.abs(along[1 - component]) / np.linalg.norm(along, axis=0), 6)
        np.maximum.at(result, self._space.nodes_on(facets), share[:, None])
        return result

    def _facets(self, statement: Statement) -> np.ndarray:
        mesh = self._space.mesh
        facets = np.concatenate([mesh.boundaries[name] for name in statement.pieces])
        middles = mesh.p[:, mesh.facets[:, facets]].mean(axis=1).T
        return facets[self._holds(statement, middles)]

    def _holds(self, statement: Statement, points: np.ndarray) -> np.ndarray:
        where, domain = statement.constraint.region.where, self._case.problem.domain
        if where is None:
            return np.ones(len(points), dtype=bool)
        return np.asarray(where(with_time(self._case, points, domain.time[1] if domain.time else 0.0)), dtype=bool)

    def _stress(self, statement: Statement) -> Iterable[tuple[int, Callable[[np.ndarray], np.ndarray], Sampled]]:
        if statement.kind not in ("flux", "traction", "pressure"):
            return
        facets = self._facets(statement)
        if not len(facets):
            return
        edges = self._space.edges(facets)
        sampled = Sampled(self._case, statement.value, edges.points, edges.normals)
        for component in range(2) if statement.kind == "pressure" else (statement.component,):
            factor = {
                "flux": self._viscosity * edges.weights,
                "traction": edges.weights,
                "pressure": -edges.weights * edges.normals[:, component],
            }[statement.kind]
            yield component, lambda g, factor=factor: edges.values.T @ (factor * g), sampled

    def _level_of(self, statements: tuple[Statement, ...]) -> tuple[csr_array, np.ndarray, Sampled] | None:
        """Return evaluation, weights and values of the pressure where only its constant is open."""
        points = [s for s in statements if s.kind == "level"]
        sides = [s for s in statements if s.kind == "pressure"] if self.enclosed else []
        if points:
            column = self._case.problem.domain.time_column
            place = points[0].constraint.region.draw(np.full((1, points[0].constraint.region.dimension), 0.5))[0]
            place = place if column is None else np.delete(place, column, axis=1)
            return self._space.evaluation(place)[1], np.ones(1), Sampled(self._case, points[0].value, place)
        if sides:
            edges = self._space.edges(self._facets(sides[0]))
            matrix = self._space.evaluation(edges.points)[1]
            sampled = Sampled(self._case, sides[0].value, edges.points, edges.normals)
            return matrix, edges.weights / edges.weights.sum(), sampled
        return None
