"""The method `fv`: conservation laws with shocks on uniform grids of a box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pdeml.errors import InputError
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.method import Batch, Method
from pdeml.reference.volumes.law import ConservationLaw, conservation_law
from pdeml.reference.volumes.march import March, initial_states
from pdeml.reference.volumes.scheme import Scheme, node_axes
from pdeml.reference.volumes.sides import read_sides
from pdeml.reference.volumes.solved import NodalSolution

__all__ = ["FiniteVolumes"]

FEWEST = 3
SMALL = 1e-7
"""A jump within this share of a step of a node is on the node."""


class FiniteVolumes(Method):
    """Systems ``w_t + d(F(w, x, t), x) + d(G(w, x, t), y) = S(w, x, t)``, with shocks, in one and two dimensions.

    Values are point values at the nodes; each node owns the volume up to the middle of its neighbours (half of it
    inside at a side). Space: WENO5-Z, HLL, order 5; time: SSPRK(10,4), order 4; at sides without walls 2. Where a
    solution jumps the order is 1 in L1 (5/6 at contacts) and half of it in L2. The interpolation is by unknowns, not by
    characteristic fields, which costs small oscillations behind strong shocks. Steps are at most those of the grid, and
    shorter where a wave would cross more than ``cfl`` volumes. Sources are explicit: stiff ones need more steps in the
    grid. A lake at rest over a bottom is kept up to the error of the scheme, not exactly; dry ground is not supported.
    Coefficients of a flux are continued a few nodes beyond sides: formulas as they are, input functions linearly.

    Args:
        cfl: how many volumes the fastest wave crosses in a step. The method is stable up to about 3.
    Reference: Shu, SIAM Review 51 (2009) 82-126; see `Scheme` and `March`.
    """

    kind: ClassVar[str] = "fv"

    cfl: Annotated[float, Field(gt=0, le=3)] = 1.5

    def refusal(self, problem: Problem) -> str | None:
        names = problem.names
        if names.time is None or len(names.space) not in (1, 2) or not problem.domain.is_box:
            return "it needs time and a box in one or two space dimensions"
        try:
            conservation_law(problem)
            read_sides(problem)
        except InputError as error:
            return error.message
        return None

    def order(self, problem: Problem) -> float:
        """Return the order for smooth solutions, that of the time steps; a refinement shows what shocks leave of it."""
        return 4.0

    def usual_grid(self, problem: Problem) -> dict[str, int]:
        size = 256 if len(problem.names.space) == 1 else 64
        space = {name: size + (name not in problem.periodic) for name in problem.names.space}
        return {name: space.get(name, 65) for name in problem.names.coordinates}

    def _solve(self, batch: Batch) -> list[NodalSolution]:
        problem, cases, times = batch.problem, batch.cases, batch.times
        law, axes = conservation_law(problem), self._axes(problem, batch.grid)
        name, start, end = problem.domain.time  # type: ignore[misc]
        stops = np.array([start, end]) if times is None else np.asarray(times, dtype=np.float64)
        scheme = Scheme(law, read_sides(problem), cases, axes, batch.device)
        values = np.stack([_initial(law, case, axes) for case in cases], 1)
        state, now = initial_states(values, scheme, start, batch.device)
        if not bool(scheme.admissible(state, now).all()):
            raise InputError(
                "the equations are not hyperbolic at the start: the speeds of their waves, the eigenvalues of the flux "
                "Jacobian, are not all real and finite there"
            )
        widest = (end - start) / max(1, batch.grid[name] - 1)
        march = March(scheme, self.cfl, widest, end - start)
        stored = [state]

        def tell(at: float) -> None:
            batch.progress((at - start) / (end - start))

        for stop in stops:
            state, now = march.to(float(stop), state, now, tell)
            stored.append(state)
        arrays = np.stack([part.cpu().numpy() for part in stored], 2)
        return [self._finished(law, axes, stops, arrays[:, k], march, k) for k in range(len(cases))]

    def solved(
        self, problem: Problem, case: Case, grid: Mapping[str, int], times: np.ndarray | None, array: np.ndarray
    ) -> NodalSolution:
        stops = np.array(problem.domain.time[1:]) if times is None else times  # type: ignore[index]
        return NodalSolution(problem, stops, array, {}, self._axes(problem, grid))

    def _axes(self, problem: Problem, grid: Mapping[str, int]) -> dict[str, np.ndarray]:
        whole = self.full_grid(problem, grid)
        for name in problem.names.space:
            if whole[name] < FEWEST:
                raise InputError(f"{whole[name]} points are too few, at least {FEWEST} are needed", ("grid", name))
        return node_axes(problem, whole)

    def _finished(
        self,
        law: ConservationLaw,
        axes: dict[str, np.ndarray],
        times: np.ndarray,
        array: np.ndarray,
        march: March,
        case: int,
    ) -> NodalSolution:
        assert march.steps is not None
        assert march.repairs is not None
        facts: dict[str, float | int | str] = {"steps": int(march.steps[case]), "repairs": int(march.repairs[case])}
        if set(law.problem.periodic) == set(axes) and not any(law.source):
            facts |= _drifts(law.problem.names.real_unknowns, array)
        return NodalSolution(law.problem, times, np.ascontiguousarray(array.swapaxes(0, 1)[1:]), facts, axes)


def _drifts(names: Sequence[str], array: np.ndarray) -> dict[str, float]:
    """Return by how much the mean of each unknown (C, T, …) moved, relative to its mean size at the start."""
    means = array.reshape(*array.shape[:2], -1).mean(-1)
    sizes = np.abs(array[:, 0]).reshape(len(array), -1).mean(-1)
    moved = np.abs(means - means[:, :1]).max(-1)
    return {f"drift {name}": float(d / (s or 1.0)) for name, d, s in zip(names, moved, sizes, strict=True)}


def _initial(law: ConservationLaw, case: Case, axes: dict[str, np.ndarray]) -> np.ndarray:
    """Return the states at the nodes (C, n_1, …): the mean of the values on all sides of each node.

    So a jump that falls on a node gets the mean of its sides, as the mean over the node's volume does, instead of being
    shifted by half a step.
    """
    names, domain = law.problem.names, law.problem.domain
    total = np.zeros((len(law.states), *(len(axis) for axis in axes.values())))
    corners = np.stack(np.meshgrid(*[(-1.0, 1.0)] * len(axes)), -1).reshape(-1, len(axes))
    for signs in corners:
        moved = {
            name: _beside(axis, sign, domain.space.bounds[k], name in domain.periodic)  # type: ignore[union-attr]
            for k, (sign, (name, axis)) in enumerate(zip(signs, axes.items(), strict=True))
        }
        known = {**moved, names.time: domain.time[1]}  # type: ignore[index]
        total += np.stack([case.on_grid(formula, known) for formula in law.initial])
    return total / len(corners)


def _beside(axis: np.ndarray, sign: float, ends: np.ndarray, periodic: bool) -> np.ndarray:
    moved = axis + sign * SMALL * (axis[1] - axis[0])
    return ends[0] + np.mod(moved - ends[0], ends[1] - ends[0]) if periodic else np.clip(moved, *ends)
