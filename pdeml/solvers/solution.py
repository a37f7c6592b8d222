"""Solution: what a solver found, how good it is, and how to look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError, one_of, under
from pdeml.field import Error, Field, grid_sizes
from pdeml.lower import Ansatz
from pdeml.problem import Problem
from pdeml.solvers.record import Record, Result
from pdeml.train import TrainState

__all__ = ["Solution", "columns_of"]

_BATCH = 65_536


@dataclass(frozen=True, repr=False)
class Solution(Result):
    """An ansatz with its parameters, the problem it answers, and how good the answer is.

    Args:
        problem: what was solved.
        solver: the solver's options, as they were used.
        ansatz: the family of functions.
        state: the final training state; ``state.tensors["z"]`` are the parameters.
        record: how it came about.
        errors: unknown -> `Error` against a reference, where there was one.
        floor: relative L2 error of the reference itself.
    """

    problem: Problem
    solver: Any
    ansatz: Ansatz
    state: TrainState
    record: Record
    errors: Mapping[str, Error] = field(default_factory=dict)
    floor: float = 0.0

    def __repr__(self) -> str:
        return f"<Solution of {self.problem!r} by {self.solver.kind!r}: {self.verdict}>"

    def values(self, points_ND: np.ndarray) -> dict[str, np.ndarray]:
        """Evaluate the real unknowns.

        Args:
            points_ND: (N, D), columns in the order of the problem's coordinates.

        Returns: unknown -> (N,), float64.
        """
        return self._columns("values", points_ND)

    def std(self, points_ND: np.ndarray) -> dict[str, np.ndarray]:
        """Return the standard deviation of the real unknowns, where the method has one; otherwise nothing.

        Args:
            points_ND: (N, D), columns in the order of the problem's coordinates.

        Returns: unknown -> (N,), float64.
        """
        return self._columns("deviations", points_ND) if hasattr(self.ansatz, "deviations") else {}

    @property
    def frequencies(self) -> dict[str, list[tuple[float, float, float]]]:
        """What spectrum was learned: coordinate -> (angular frequency, share of the variance, width), or nothing."""
        return self.ansatz.frequencies(self.theta) if hasattr(self.ansatz, "frequencies") else {}

    def values_and_std(self, points_ND: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return `values` and `std`."""
        return self.values(points_ND), self.std(points_ND)

    def _columns(self, what: str, points_ND: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the ansatz gives at points, (N, U), by unknown."""
        z = self.state.tensors["z"]
        points = torch.tensor(np.ascontiguousarray(points_ND, dtype=np.float64), dtype=z.dtype, device=z.device)
        evaluate = getattr(self.ansatz, what)
        parts = [evaluate(self.theta, part) for part in points.split(_BATCH)] or [points.new_zeros(0, 1)]
        columns = torch.cat(parts).double().cpu().numpy().T
        return dict(zip(self.problem.names.real_unknowns, columns, strict=True))

    def at(self, points: np.ndarray | Mapping[str, np.ndarray]) -> Field:
        """Evaluate at scattered points.

        Args:
            points: (N, D) with columns in the order of the problem's coordinates, or coordinate -> (N,).

        Returns: a field with the one dimension ``point``; NaN outside the geometry.

        Raises:
            InputError: a coordinate is missing or unknown, or the shape does not fit.
        """
        names = self.problem.names.coordinates
        x = columns_of(points, names)
        inside = self.problem.domain.contains(x)
        found, std = (
            {name: np.where(inside, column, np.nan) for name, column in columns.items()}
            for columns in self.values_and_std(x)
        )
        mask = None if inside.all() else inside
        return Field.at_points(x, names, found, std=std, mask=mask, **self._labels())

    def on_grid(self, **sizes: int) -> Field:
        """Evaluate on a tensor grid over the domain, e.g. ``on_grid(x=256, t=101)``.

        Args:
            **sizes: points per coordinate, both ends included; those left out get 101 in one and two dimensions, 33 in
                three, 17 in four.

        Returns: a field; outside the geometry the value is NaN.

        Raises:
            InputError: a name is no coordinate, a size is below 2, or the memory does not suffice.
        """
        names, domain = self.problem.names.coordinates, self.problem.domain
        with under("grid"):
            whole = grid_sizes(self.problem, sizes)
        axes = {
            name: np.linspace(low, high, whole[name])
            for name, (low, high) in zip(names, domain.bounds.tolist(), strict=True)
        }
        inside = None if domain.is_box else domain.contains
        return Field.on_grid(axes, self.values_and_std, inside=inside, **self._labels())

    def _labels(self) -> dict[str, Any]:
        problem = self.problem
        owner = {part: name for name, parts in problem.names.complex_parts.items() for part in parts}
        units = {name: declared.unit for name, declared in problem.coordinates.items()}
        units |= {name: problem.unknowns[owner.get(name, name)].unit for name in problem.names.real_unknowns}
        attrs = {"title": problem.name, "seed": self.record.seed, "spec": self.spec()}
        return {"time": problem.names.time, "units": units, "attrs": attrs}

    @property
    def verdict(self) -> str:
        """One line: whether it converged, and how good the answer is."""
        text = self.record.verdict
        for name, error in self.errors.items():
            at_floor = error.relative_l2 <= self.floor
            text += f"; {name}: " + (
                f"at the floor of the reference ({self.floor:.1e})"
                if at_floor
                else f"relative L2 error {error.relative_l2:.1e}"
            )
        return text

    def summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds."""
        record = self.record
        return {
            **super().summary(),
            "exact_conditions": list(record.exact),
            "learned": dict(record.learned),
            "estimate": record.estimate,
            "reference_floor": self.floor if self.errors else None,
        }

    def report(self) -> str:
        """Return residual norms, condition errors, time, device, seed and verdict, for people to read."""
        record = self.record
        lines = [f"{self.problem.name}: {self.verdict}"]
        lines += [
            f"  residual of {name}: {norm:.2e} (root mean square, scaled, on fresh points)"
            for name, norm in record.residuals.items()
        ]
        lines += [f"  exact by construction: {name}" for name in record.exact]
        lines += self._error_lines()
        if record.estimate is not None:
            lines.append(f"  estimated relative L2 error: {record.estimate:.2e} (by the method itself)")
        lines += [f"  {name} = {value:.6g} (learned)" for name, value in record.learned.items()]
        lines.append(record.cost(f"{record.parameters} {'parameters' if record.estimate is None else 'coefficients'}"))
        return "\n".join([*lines, *(f"  note: {note}" for note in record.notes)])

    def spec(self) -> str:
        """Return the YAML text that defines the problem and the solver."""
        from pdeml.spec import dump_spec, make_spec

        return dump_spec(
            make_spec({"name": self.problem.name, "problem": self.problem.to_spec(), "solver": self.solver.to_spec()})
        )

    @property
    def theta(self) -> Tensor:
        """The ansatz's parameters, (P,)."""
        return self.state.tensors["z"][: self.ansatz.parameter_count]


def columns_of(points: np.ndarray | Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    """Return points as (N, D), columns in the order of ``names``.

    Args:
        points: (N, D), or name -> (N,).
        names: of the coordinates.

    Raises:
        InputError: a coordinate is missing or unknown, or the shape does not fit.
    """
    if isinstance(points, Mapping):
        for name in points:
            if name not in names:
                raise InputError(one_of(str(name), names, "a coordinate"), ("points",))
        missing = [name for name in names if name not in points]
        if missing:
            raise InputError(f"the points lack {', '.join(missing)}; they need {', '.join(names)}", ("points",))
        points = np.stack(
            np.broadcast_arrays(*(np.asarray(points[name], dtype=np.float64).ravel() for name in names)), 1
        )
    x = np.atleast_2d(np.asarray(points, dtype=np.float64))
    if x.ndim != 2 or x.shape[1] != len(names):
        raise InputError(f"points must have shape (N, {len(names)}) for {', '.join(names)}, got {x.shape}", ("points",))
    return x
