"""One flow on one mesh, with numbers for its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array, kron

from pdeml.errors import InputError
from pdeml.reference.case import Case
from pdeml.reference.flow.boundary import Boundary, Sampled
from pdeml.reference.flow.conditions import read_statements
from pdeml.reference.flow.equations import Flow, recognise
from pdeml.reference.flow.saddle import Elimination, Saddle
from pdeml.reference.flow.space import TaylorHood

__all__ = ["Model", "make_model"]

GRAD_DIV = 0.3
"""Weight of the divergence in the momentum equations, relative to convection, speed and mesh size."""


@dataclass(frozen=True, eq=False)
class Model:
    """Factors, force and boundary of a flow.

    Attributes:
        space: of velocity and pressure.
        boundary: what is prescribed.
        inertia, convection, viscosity: factors of the equations, see `Flow`.
        force: its two components at the quadrature points.
        start: the two components of the initial velocity at the nodes; empty for a steady flow.
        subgrid: factor of the subgrid friction, relative to convection, speed and mesh size.
        total_pressure: whether pressures are total ones where fluid enters.
    """

    space: TaylorHood
    boundary: Boundary
    inertia: float
    convection: float
    viscosity: float
    force: tuple[Sampled, Sampled]
    start: tuple[Sampled, ...]
    subgrid: float
    total_pressure: bool

    def load(self, time: float) -> np.ndarray:
        """Return force and stress as ``∫ f·w`` (2, N)."""
        return self.space.load(np.stack([part.at(time) for part in self.force])) + self.boundary.stress(time)

    def initial(self, time: float) -> np.ndarray:
        """Return the initial velocity (2, N)."""
        return np.stack([part.at(time) for part in self.start])

    def friction(self, speed: float) -> csr_array:
        """Return ``viscosity ∫ ∇u·∇w`` and what stabilises a flow of the given speed (2 N, 2 N)."""
        matrix, strength = self.viscosity * self.space.stiffness, abs(self.convection) * speed
        if self.subgrid and strength:
            matrix = matrix + self.space.subgrid(self.subgrid * strength)
        whole = csr_array(kron(np.eye(2), matrix))
        return whole + self.space.grad_div(GRAD_DIV * strength) if strength else whole

    def transport(self, velocity: np.ndarray) -> csr_array:
        """Return convection by a given velocity (2 N, 2 N), with what enters through an open boundary."""
        matrix = self.space.transport(velocity)
        if self.total_pressure:
            matrix = matrix + self.boundary.entering(velocity)
        return self.convection * matrix

    def factorised(self, matrix: csr_array) -> Saddle:
        """Return the system with ``matrix`` (2 N, 2 N) for the velocity, ready to be solved."""
        return Saddle(self._elimination, matrix)

    @cached_property
    def _elimination(self) -> Elimination:
        return Elimination(self.space, self.boundary.fixed, self.boundary.enclosed)

    @cached_property
    def mass(self) -> csr_array:
        """``∫ u·w`` (2 N, 2 N)."""
        return csr_array(kron(np.eye(2), self.space.mass))

    def divergence(self, velocity: np.ndarray) -> float:
        """Return the L2 norm of ``∇·u`` tested with pressures, relative to the norm of ``∇u``."""
        tested = self.space.divergence @ velocity.ravel()
        size = np.sqrt(sum(part @ (self.space.stiffness @ part) for part in velocity))
        weights = self.space.pressure_weights
        return float(np.sqrt((tested**2 / weights).sum()) / size) if size else 0.0


def make_model(space: TaylorHood, case: Case, subgrid: float = 0.0, total_pressure: bool = False) -> Model:
    """Return the model of one case.

    Raises:
        InputError: the equations or conditions are not those of a flow, the viscosity is not positive, or the boundary
            values let in more than out.
    """
    problem = case.problem
    flow: Flow = recognise(problem)
    statements = read_statements(problem, flow)
    start = problem.domain.time[1] if problem.domain.time else 0.0
    origin = np.zeros((1, len(problem.names.coordinates)))
    inertia, convection, viscosity = (
        float(case.at(factor, origin)[0]) for factor in (flow.inertia, flow.convection, flow.viscosity)
    )
    if not viscosity > 0 or inertia < 0 or not np.isfinite([inertia, convection, viscosity]).all():
        raise InputError(f"viscosity and density must be positive; the equations have {viscosity:g} and {inertia:g}")
    boundary = Boundary(space, case, statements, viscosity)
    boundary.check_balance(start)
    initial = {s.component: Sampled(case, s.value, space.nodes) for s in statements if s.kind == "initial"}
    return Model(
        space=space,
        boundary=boundary,
        inertia=inertia,
        convection=convection,
        viscosity=viscosity,
        force=tuple(Sampled(case, part, space.points) for part in flow.force),
        start=tuple(initial[k] for k in range(2)) if problem.time else (),
        subgrid=subgrid,
        total_pressure=total_pressure,
    )
