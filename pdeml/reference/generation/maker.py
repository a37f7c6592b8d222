"""A recipe that makes samples: all that a worker needs, built from the text of the spec alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeml.data.schema import Schema
from pdeml.errors import DivergenceError, InputError, RunError, under
from pdeml.field import grid_points
from pdeml.files import available_memory
from pdeml.problem import Problem
from pdeml.reference.case import Case
from pdeml.reference.generation.drawing import check_parameters, draw_case, draw_parameters, read_inputs
from pdeml.reference.generation.layout import MASK, Layout
from pdeml.reference.generation.sources import SampleSource, make_source
from pdeml.reference.generation.varying import VaryingProblem
from pdeml.sampling.functions import DrawnInput
from pdeml.spec import GenerateSpec, Spec, parse_spec, to_plain

__all__ = ["Recipe", "Sample"]

Sample = tuple[dict[str, np.ndarray], dict[str, float]]
"""Arrays by name, and facts about the solution: numbers such as ``relative_residual``."""
WORK = 16
"""Arrays of the size of the solver's grid that are alive at once, for each unknown."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the samples of a data set are made: sample i follows from the recipe and i alone.

    Args:
        spec: the whole spec.
        varying: its problem.
        inputs: how each input function is drawn.
        source: where solutions come from.
        layout: what is written.
        batch: samples i with the same ``i // batch`` are solved together, whoever solves them.
    """

    spec: Spec
    varying: VaryingProblem
    inputs: Mapping[str, DrawnInput]
    source: SampleSource
    layout: Layout
    batch: int

    @classmethod
    def read(cls, spec: Spec) -> Recipe:
        """Build everything that a recipe describes; nothing is computed.

        Raises:
            InputError: with its path in the spec.
        """
        if spec.generate is None or spec.problem is None:
            raise InputError("this spec is no recipe: it has no 'generate'", ("generate",))
        with under("problem"):
            varying = VaryingProblem.read(to_plain(spec.problem), spec.name or "recipe")
            check_parameters(varying.middle)
            inputs = read_inputs(varying.middle)
        device = "cpu" if spec.device == "auto" else spec.device
        with under("reference"):
            source = make_source(None if spec.reference is None else to_plain(spec.reference), varying.middle, device)
        with under("generate"):
            layout = Layout.read(spec.generate, varying, source.grid)
        together = 1 if varying.varies else spec.generate.batch or source.batch
        recipe = cls(spec, varying, inputs, source, layout, min(together, spec.generate.samples))
        recipe._check()
        return recipe

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Build the recipe from the text of its spec, as a worker does."""
        return cls.read(parse_spec(text, "recipe").spec)

    @property
    def generate(self) -> GenerateSpec:
        """What stands under ``generate``."""
        assert self.spec.generate is not None
        return self.spec.generate

    @property
    def schema(self) -> Schema:
        """The arrays and coordinates of the file."""
        return self.layout.schema

    @property
    def memory(self) -> int:
        """Bytes that a batch takes while it is made, roughly."""
        points = math.prod(size for name, size in self.source.grid.items() if name != self.varying.middle.time)
        work = 8 * len(self.varying.middle.names.real_unknowns) * WORK * points
        return self.batch * (work + 4 * self.layout.sample_bytes)

    def batches(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """Yield the batches (start, stop) that hold the samples from ``first`` on; the first may begin before it."""
        samples = self.generate.samples
        for start in range(first - first % self.batch, samples, self.batch):
            yield start, min(start + self.batch, samples)

    def case(self, index: int) -> Case:
        """Draw sample ``index``."""
        numbers = draw_parameters(self.varying.middle, self.spec.seed, index)
        return draw_case(self.varying.at(numbers), self.spec.seed, index, self.inputs)

    def samples(self, start: int, stop: int) -> list[Sample]:
        """Make the samples of one batch.

        Raises:
            RunError: naming the sample, if it cannot be drawn or solved.
        """
        cases = [self._case(index) for index in range(start, stop)]
        axes = [self.layout.axes(case.problem) for case in cases]
        solved = self._solve(start, cases, axes)
        return [self._sample(start + k, cases[k], axes[k], *solved[k]) for k in range(len(cases))]

    def _solve(self, start: int, cases: list[Case], axes: list[dict[str, np.ndarray]]) -> Sequence[Any]:
        try:
            return self.source.solve(cases[0].problem, cases, axes)
        except (DivergenceError, InputError) as error:
            if len(cases) == 1:
                raise RunError(f"sample {start} cannot be solved: {error}") from None
        # Somewhere in the batch: solve one by one, to name the sample.
        for k, case in enumerate(cases):
            self._solve(start + k, [case], [axes[k]])
        raise RunError(f"samples {start} to {start + len(cases) - 1} cannot be solved together; give generate.batch: 1")

    def _case(self, index: int) -> Case:
        try:
            return self.case(index)
        except InputError as error:
            raise RunError(f"sample {index} cannot be drawn: {error}") from None

    def _sample(
        self, index: int, case: Case, axes: dict[str, np.ndarray], found: Mapping[str, np.ndarray], facts: Any
    ) -> Sample:
        dims, arrays = self.layout.dims, {}
        for name, function in case.inputs.items():
            values = function.on_grid([axes[dim] for dim in function.over])
            own = [dim for dim in dims if dim in function.over]
            arrays[name] = values.transpose([function.over.index(dim) for dim in own])
        arrays.update(case.parameters)
        ends = dict(zip(case.problem.names.coordinates, case.problem.domain.bounds, strict=True))
        for name in self.layout.moving:
            arrays[f"{name}_low"], arrays[f"{name}_high"] = ends[name]
        inside = _mask(case.problem, axes, dims)
        if inside is not None:
            arrays[MASK] = inside
        for name in self.layout.unknowns:
            with np.errstate(over="ignore"):
                values = np.asarray(found[name]).astype(self.layout.dtype)
            kept = np.ones((), dtype=bool) if inside is None else np.broadcast_to(inside, values.shape)
            if not np.all(np.isfinite(values) | ~kept):
                raise RunError(f"sample {index} cannot be solved: {name} is not finite everywhere in the domain")
            arrays[name] = values if inside is None else np.where(kept, values, np.nan)
        types = {name: info.dtype for name, info in self.schema.arrays.items()}
        numbers = {name: float(fact) for name, fact in facts.items() if isinstance(fact, int | float)}
        return {name: np.asarray(arrays[name]).astype(types[name]) for name in types}, numbers

    def _check(self) -> None:
        """Refuse what would fail later: inputs that cannot be drawn, a name twice, too little memory."""
        with under("problem"):
            self.case(0)
        if self.memory > available_memory():
            raise InputError(
                f"a batch of {self.batch} samples needs about {self.memory / 2**30:.1f} GiB of memory, there are "
                f"{available_memory() / 2**30:.1f}; take a coarser grid, or generate.batch: 1",
                ("generate",),
            )


def _mask(problem: Problem, axes: Mapping[str, np.ndarray], dims: tuple[str, ...]) -> np.ndarray | None:
    """Return which points of space are in the geometry, or None for a box."""
    if problem.domain.is_box or problem.domain.space is None:
        return None
    space = tuple(dim for dim in dims if dim != problem.time)
    points = grid_points({name: axes[name] for name in problem.domain.axes}, space)
    return problem.domain.space.contains(points).reshape([len(axes[dim]) for dim in space])
