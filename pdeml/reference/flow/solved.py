"""A flow that was solved, by its nodal values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pdeml.geometry import Geometry
from pdeml.problem import Problem
from pdeml.reference.flow.equations import Flow
from pdeml.reference.flow.space import TaylorHood
from pdeml.reference.solved import Solved

__all__ = ["SolvedFlow"]


@dataclass(frozen=True, eq=False)
class SolvedFlow(Solved):
    """Velocity and pressure of Taylor-Hood elements.

    Attributes:
        array: (T, 2 N + M): the components of velocity at the nodes, then the pressure at the vertices.
    """

    problem: Problem
    flow: Flow
    space: TaylorHood
    geometry: Geometry
    times: np.ndarray | None
    array: np.ndarray
    facts: Mapping[str, float | int | str] = field(default_factory=dict)

    def at_space(self, points: np.ndarray) -> dict[str, np.ndarray]:
        points = np.asarray(points, dtype=np.float64)
        inside = self.geometry.contains(points)
        quadratic, linear = self.space.evaluation(points[inside])
        parts = np.split(self.array, [self.space.size, 2 * self.space.size], axis=1)
        names = (*self.flow.velocity, self.flow.pressure)
        found = {}
        for name, part, matrix in zip(names, parts, (quadratic, quadratic, linear), strict=True):
            values = np.full((len(self.array), len(points)), np.nan)
            values[:, inside] = (matrix @ part.T).T
            found[name] = values
        return {name: found[name] for name in self.problem.names.real_unknowns}
