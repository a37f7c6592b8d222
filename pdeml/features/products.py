"""Products of random features of one coordinate each, on boxes, level by level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from pdeml.features.axis import PatchedAxis
from pdeml.features.levels import LevelOptions, Stage, wave_numbers
from pdeml.features.plan import plan_axes
from pdeml.lower import Index
from pdeml.problem import Problem
from pdeml.tensor import TensorAnsatz, TensorSystem

__all__ = ["TensorRoute"]


@dataclass(frozen=True)
class TensorRoute:
    """Square collocation on a tensor grid of patches; see `pdeml.features.levels.Route`.

    Args:
        problem: what is solved, on a box.
        options: of the user.
    """

    problem: Problem
    options: LevelOptions

    def solve(self, level: int, before: Stage | None, watch: Callable[[float], None]) -> Stage:
        """Solve on a level."""
        axes = self._axes(level)
        system = TensorSystem(self.problem, axes)
        start = None if before is None or self._is_linear else system.recovered(_on_grid(before))
        solved = system.solve(start, lambda *_: watch(0.5))
        branch = solved.branch if before is None else before.facts["branch"]
        facts = {
            "level": level,
            "counts": [axis.patches for axis in axes],
            "branch": branch,
            "contradiction": solved.contradiction,
        }
        tensors = {f"mixing.{k}": axis.space.mixing for k, axis in enumerate(axes)}
        theta = solved.coefficients.reshape(-1)
        return Stage(system.ansatz, theta, facts, tensors, len(theta), 0, 1.0, _told(axes))

    def work(self, level: int, facts: Mapping[str, Any] | None) -> float:
        """Return about how many multiplications a direct solution takes; see `Route`."""
        sizes = [float(axis.size) for axis in self._axes(level)]
        return sum(size**3 for size in sizes) + math.prod(sizes) * sum(sizes)

    def ansatz(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TensorAnsatz:
        """Return the family of functions of a stage that was saved: with its own orthonormal combinations."""
        axes = self._axes(facts["level"])
        spaces = [replace(axis.space, mixing=tensors[f"mixing.{k}"]) for k, axis in enumerate(axes)]
        own = tuple(replace(axis, space=space) for axis, space in zip(axes, spaces, strict=True))
        return TensorAnsatz(own, len(self.problem.names.real_unknowns))

    def first(self) -> tuple[int, str]:
        """Return the first level's number of unknowns, and the level in words.

        Raises:
            InputError: it does not fit into memory.
        """
        axes = self._axes(0)
        return TensorSystem(self.problem, axes).ansatz.parameter_count, _told(axes)

    @cached_property
    def highest(self) -> tuple[float, ...]:
        """Highest angular wave number expected along each coordinate."""
        return wave_numbers(self.problem, self.options)

    @property
    def _is_linear(self) -> bool:
        problem = self.problem
        return all(form.is_linear for form in (*problem.forms, *(c.form for c in problem.constraints)))

    def _axes(self, level: int) -> tuple[PatchedAxis, ...]:
        options = self.options
        return plan_axes(
            self.problem,
            self.highest,
            level,
            activation=options.activation,
            patches=options.patches,
            features=options.features,
            radius=options.radius,
            seed=options.seed,
        )


def _on_grid(before: Stage) -> Callable[[Sequence[Tensor], Index], Tensor]:
    def values(places: Sequence[Tensor], index: Index) -> Tensor:
        assert isinstance(before.ansatz, TensorAnsatz)
        return before.ansatz.on_grid(before.theta, places, index)

    return values


def _told(axes: Sequence[PatchedAxis]) -> str:
    sizes = " x ".join(str(axis.size) for axis in axes)
    patches = " x ".join(str(axis.patches) for axis in axes)
    one = math.prod(axis.patches for axis in axes) == 1
    return f"{sizes} functions on {patches} patch{'es' * (not one)}, collocated on a tensor grid"
