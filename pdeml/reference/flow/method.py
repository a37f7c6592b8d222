"""NavierStokes: incompressible flow in the plane by finite elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from pdeml.errors import InputError
from pdeml.geometry import Box, Geometry
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.flow.conditions import read_statements
from pdeml.reference.flow.equations import recognise
from pdeml.reference.flow.model import make_model
from pdeml.reference.flow.solved import SolvedFlow
from pdeml.reference.flow.space import TaylorHood
from pdeml.reference.flow.steady import solve_steady
from pdeml.reference.flow.unsteady import solve_unsteady
from pdeml.reference.mesh import grid_triangulation, mesh_of
from pdeml.reference.method import Batch, Method, Progress

__all__ = ["NavierStokes"]

POINTS = 33
"""Grid points along the longer side with which a refinement begins."""
STEPS = 64
"""Steps in time with which a refinement begins."""


class NavierStokes(Method):
    """Incompressible flow in the plane, steady or in time, by Taylor-Hood elements; slow (Stokes) flow too.

    Good for laminar flow in any plane geometry. Steady: Newton's method. In time: two-step backward differences with
    extrapolated convection. Rectangles get a tensor grid, other shapes a triangulation of about the same size. Bad at
    flow whose layers the grid does not resolve: there ``subgrid`` adds friction to what varies within a triangle.

    Args:
        grading: of the grid of a rectangle: 0 is uniform, towards 1 the cells at the walls become thin.
        subgrid: factor of the subgrid friction, 0 for none; 0.05 is usual where the cells are too large.
        total_pressure: whether a pressure on the boundary is ``p + ½ density |u|²`` where fluid enters, as from a
            reservoir (Bruneau & Fabrie, Math. Model. Numer. Anal. 30 (1996) 815-840): vortices then leave, and fluid
            enters, without an instability. Otherwise it is p everywhere.
        mesher: how shapes other than rectangles are meshed: auto, distance or gmsh.
    """

    kind: ClassVar[str] = "navier_stokes"
    most_space: ClassVar[float] = 1.7e4

    grading: float = Field(default=0.6, ge=0.0, lt=1.0)
    subgrid: float = Field(default=0.0, ge=0.0)
    total_pressure: bool = False
    mesher: str = "auto"

    def refusal(self, problem: Problem) -> str | None:
        try:
            flow = recognise(problem)
            read_statements(problem, flow)
        except InputError as error:
            return error.message
        if problem.time is not None and flow.inertia == 0:
            return f"the problem has the time {problem.time}, but the momentum equations have no time derivative"
        return None

    def order(self, problem: Problem) -> float:
        return 2.0

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        bounds = dict(zip(problem.names.space, problem.domain.space.bounds, strict=True))
        longest = max(high - low for low, high in bounds.values())
        grid = {
            name: max(9, int(np.ceil((POINTS - 1) * (high - low) / longest)) + 1)
            for name, (low, high) in bounds.items()
        }
        return {name: STEPS + 1 if name == problem.time else grid[name] for name in problem.names.coordinates}

    def _solve(self, batch: Batch) -> list[SolvedFlow]:
        found = []
        for number, case in enumerate(batch.cases):
            progress = batch.part(number)
            found.append(self._solve_one(batch, case, progress))
            progress(1.0)
        return found

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> SolvedFlow:
        geometry = case.problem.domain.space
        space = self._space(geometry, self.full_grid(problem, grid))
        return SolvedFlow(problem, recognise(problem), space, geometry, times, array)

    def _solve_one(self, batch: Batch, case: Case, progress: Progress) -> SolvedFlow:
        problem, grid, times = batch.problem, batch.grid, batch.times
        geometry, time = case.problem.domain.space, case.problem.domain.time
        space = self._space(geometry, grid)
        model = make_model(space, case, self.subgrid, self.total_pressure)
        if time is None:
            velocities, pressures, facts = solve_steady(model)
        elif times is None:
            raise InputError("a flow in time needs the times at which it is stored", ("times",))
        else:
            velocities, pressures, facts = solve_unsteady(model, time[1:], int(grid[time[0]]) - 1, times, progress)
        array = np.concatenate([velocities.reshape(len(velocities), -1), pressures], axis=1)
        facts = {"triangles": int(space.mesh.nelements), "degrees of freedom": int(space.unknowns), **facts}
        return SolvedFlow(problem, recognise(problem), space, geometry, times, array, facts)

    def _space(self, geometry: Geometry, grid: Mapping[str, int]) -> TaylorHood:
        counts = [int(grid[name]) for name in geometry.axes]
        if min(counts) < 3:
            raise InputError(f"a grid of a flow has at least 3 points along each side, got {min(counts)}", ("grid",))
        if isinstance(geometry, Box):
            mesh = grid_triangulation(geometry, counts)
            return TaylorHood(
                replace(mesh, points=self._graded(mesh.points, geometry)).without_corner_triangles().to_skfem()
            )
        extents = geometry.bounds[:, 1] - geometry.bounds[:, 0]
        size = max(extent / (count - 1) for extent, count in zip(extents, counts, strict=True))
        return TaylorHood(mesh_of(geometry, size, self.mesher))

    def _graded(self, points: np.ndarray, geometry: Geometry) -> np.ndarray:
        """Move the points of a uniform grid towards the walls."""
        low, high = geometry.bounds.T
        share = (points - low) / (high - low)
        return low + (high - low) * (share - self.grading * np.sin(2 * np.pi * share) / (2 * np.pi))
