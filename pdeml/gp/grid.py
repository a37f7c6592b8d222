"""Gaussian processes on boxes: product kernels on grids, the equation collocated, the spectrum learned from the result.

Every step is a product of one-dimensional matrices; no matrix of the size of the grid is formed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import DivergenceError, InputError
from pdeml.gp.envelopes import Envelope, Gaussian
from pdeml.gp.grid_algebra import along, require_memory
from pdeml.gp.grid_axis import CardinalAxis, KernelAxis
from pdeml.gp.kernels import Kernel, KernelCodec, ProductKernel, spectral_mixture
from pdeml.gp.pathwise import Deviations
from pdeml.gp.profile import GridLikelihood, learn_spectrum
from pdeml.gp.spectrum import Peak, pruned, spectrum
from pdeml.problem import Problem
from pdeml.sampling import sample
from pdeml.tensor import TensorAnsatz, TensorSystem

__all__ = ["GridModel", "GridStage"]

MOST_LEVELS = 8
_GROWTH = math.sqrt(2.0)
"""Of the highest frequency from level to level."""
_MARGIN = 1.05
_WAVES = 8.0
"""Radians over the interval that every coordinate resolves beyond its bandwidth: ends, and what is not periodic."""
_SAMPLING = 1.3
_SPARE = 40
_STEPS = 100
_HELD_OUT = 1024
_NARROWEST = 0.1
"""Smallest width of a peak that is learned, times the extent: narrower ones look the same on the domain."""
_MOST_LEARNED = 512
"""Points along a coordinate from which its spectrum is learned."""


@dataclass(frozen=True, eq=False)
class GridStage:
    """What is known after a step.

    Args:
        level: of refinement.
        sizes: points of the grid along each coordinate.
        prior: the kernel that the functions of the basis belong to.
        nodes: places (m_j,) along each coordinate at which values determine the functions of the basis.
        values: of the unknowns there, (U, m_1, …, m_D).
        estimates: relative change of the solution at held-out points, one for each refinement.
        branch: which solution of a non-linear problem it is, in words.
        learned: the kernel of variance one whose spectrum fits the solution best, if it has been learned.
        variances: mean square of each unknown, times which ``learned`` is its prior.
    """

    level: int
    sizes: tuple[int, ...]
    prior: ProductKernel
    nodes: tuple[Tensor, ...]
    values: Tensor
    estimates: tuple[float, ...]
    branch: str
    learned: ProductKernel | None = None
    variances: tuple[float, ...] = ()

    @property
    def estimate(self) -> float:
        """Relative L2 error of the solution before the last one; infinite before there are two."""
        return self.estimates[-1] if self.estimates else math.inf


@dataclass(frozen=True)
class GridModel:
    """A problem on a box, with a product of spectral-mixture kernels as prior of each unknown.

    The solution is ``u = Σ C φ_{j_1}(x_1) … φ_{j_D}(x_D)`` in the spaces that the kernels span on a grid; the equation
    is collocated at as many nodes as conditions leave free (`TensorSystem`: Sylvester's equation where it separates,
    Newton's method where it is not linear). Levels: the highest frequency of the kernels, and with it the grid, grows
    until the solution no longer changes. Then the spectrum is learned, by maximum likelihood of the solution's values.
    That alternation needs one round: what the solution is does not depend on the kernel once it is resolved.

    Args:
        problem: what is solved.
        highest: angular frequency along each coordinate that the solution is expected to have.
        components: Q of each coordinate's kernel.
        envelope: of its peaks.
        points: of the grid along each coordinate, in place of levels.
        tolerance: wanted relative L2 error.

    Reference: Fang et al., *Solving high frequency and multi-scale PDEs with Gaussian processes* (ICLR 2024).
    """

    problem: Problem
    highest: tuple[float, ...]
    components: int = 30
    envelope: Envelope = Gaussian()  # noqa: RUF009 - frozen and empty
    points: tuple[int, ...] | None = None
    tolerance: float = 1e-6

    def __post_init__(self):
        if len(self.highest) != len(self.problem.names.coordinates) or not all(0 <= h < math.inf for h in self.highest):
            raise InputError(f"highest frequencies {self.highest}; one finite number for each coordinate")
        refusal = TensorSystem.refusal(self.problem)
        if refusal is not None:
            raise InputError(f"a kernel on a grid does not solve this problem: {refusal}")
        orders = [max(form.order(axis, None) for form in self.problem.forms) for axis in self.problem.names.coordinates]
        self.kernel(0).axes[0].check_order(2 * max(orders))
        unknowns = len(self.problem.names.real_unknowns)
        require_memory(self.sizes(1), lambda sizes: _memory(sizes, unknowns))

    @property
    def extents(self) -> tuple[float, ...]:
        """Length of each coordinate's interval."""
        return tuple(float(high - low) for low, high in self.problem.domain.bounds)

    @property
    def codec(self) -> KernelCodec:
        """Of the kernels while they are learned."""
        narrowest = [_NARROWEST / extent for extent in self.extents]
        return KernelCodec.of((self.kernel(0),), [2 * math.pi / extent for extent in self.extents], narrowest)

    def sizes(self, level: int) -> tuple[int, ...]:
        """Return the points of the grid along each coordinate."""
        if self.points is not None:
            return tuple(max(4, n if level else math.ceil(0.8 * n)) for n in self.points)
        reaches = (self._wanted(j, level) * extent for j, extent in enumerate(self.extents))
        return tuple(math.ceil(_SAMPLING * reach / math.pi) + _SPARE for reach in reaches)

    def kernel(self, level: int) -> ProductKernel:
        """Return the prior before anything is learned: equal peaks side by side from zero to the highest frequency."""
        axes = []
        for j, (size, extent) in enumerate(zip(self.sizes(level), self.extents, strict=True)):
            reach = min(self._wanted(j, level), math.pi * (size - 1) / extent / _SAMPLING)
            frequencies = torch.linspace(0.0, reach, self.components, dtype=torch.float64)
            width = 0.5 * reach / max(self.components - 1, 1)
            axes.append(spectral_mixture(frequencies, width, envelope=self.envelope))
        return ProductKernel(tuple(axes))

    def advance(self, stage: GridStage | None = None) -> GridStage:
        """Take the next step: the first two grids, a finer one, or, where these agree, the spectrum.

        Raises:
            DivergenceError: the collocated equations have no solution that can be found.
            InputError: the memory does not suffice for the first grids.
        """
        if stage is None:
            stage = self._solved(0, None)
        if not stage.estimates:
            return self._solved(1, stage)
        if self._is_refined(stage):
            return self.learned(stage)
        try:
            return self._solved(stage.level + 1, stage)
        except (InputError, DivergenceError):  # the memory, or the method: what was found before stands
            return self.learned(stage)

    def ended(self, stage: GridStage) -> tuple[str, bool] | None:
        """Return why there is no next step and whether the tolerance is met, or None."""
        if stage.learned is None:
            return None
        if stage.estimate <= self.tolerance:
            return f"the solution changes by {stage.estimate:.1e} from grid to grid", True
        return f"the finest grid differs from the one before by {stage.estimate:.1e}", False

    def learned(self, stage: GridStage) -> GridStage:
        """Learn the spectrum of the solution and how large its prior variance is."""
        ansatz = self.ansatz(stage)
        bounds = self.problem.domain.bounds.tolist()
        sizes = [min(math.ceil(1.2 * len(nodes)) + 4, _MOST_LEARNED) for nodes in stage.nodes]
        places = [torch.linspace(*ends, n, dtype=torch.float64) for ends, n in zip(bounds, sizes, strict=True)]
        values = ansatz.on_grid(stage.values.reshape(-1), places).movedim(-1, 0)
        squares = values.square().flatten(1).mean(1)
        if not float(squares.max()) > 0:
            return replace(stage, learned=stage.prior, variances=(0.0,) * len(values))
        moving = values[squares > 0] / squares[squares > 0].sqrt().reshape(-1, *(1,) * len(sizes))
        spacings = tuple(extent / (n - 1) for extent, n in zip(self.extents, sizes, strict=True))
        likelihood = GridLikelihood(moving, spacings, self.codec)
        found = learn_spectrum(likelihood, stage.prior, _STEPS)
        return replace(stage, learned=found, variances=tuple(squares.tolist()))

    def system(self, stage: GridStage) -> TensorSystem:
        """Return the collocated equations of a stage."""
        return TensorSystem(self.problem, self._axes(stage.prior, stage.sizes))

    def ansatz(self, stage: GridStage) -> TensorAnsatz:
        """Return the family of functions whose parameters are the values at the nodes."""
        axes = zip(self._axes(stage.prior, stage.sizes), stage.nodes, strict=True)
        return TensorAnsatz(tuple(CardinalAxis(axis, nodes) for axis, nodes in axes), len(stage.values))

    def deviations(self, stage: GridStage, count: int = 64, seed: int = 0) -> Deviations:
        """Return what gives the standard deviation of the solution at points; see `Deviations`."""
        kernel = ProductKernel(tuple(pruned(axis) for axis in (stage.learned or stage.prior).axes))
        variances = stage.variances or (1.0,) * len(stage.values)
        kernels = [kernel.scaled(max(v, torch.finfo(torch.float64).tiny)) for v in variances]
        system, coefficients = self.system(stage), stage.values
        for j, axis in enumerate(self.ansatz(stage).axes, start=1):
            coefficients = along(axis.projection, coefficients, j)
        return Deviations.of(system, coefficients, kernels, count, seed)

    def frequencies(self, stage: GridStage) -> dict[str, list[Peak]]:
        """Return the peaks of the learned spectrum along each coordinate."""
        kernel = stage.learned or stage.prior
        return {
            name: spectrum(pruned(axis), math.pi / extent)
            for name, axis, extent in zip(self.problem.names.coordinates, kernel.axes, self.extents, strict=True)
        }

    def pack(self, stage: GridStage) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a stage as tensors and plain facts, for a checkpoint."""
        tensors = {"z": stage.values.reshape(-1), "prior": _numbers(stage.prior)}
        tensors |= {f"nodes.{j}": nodes for j, nodes in enumerate(stage.nodes)}
        if stage.learned is not None:
            tensors["learned"] = _numbers(stage.learned)
        facts = {
            "level": stage.level,
            "sizes": list(stage.sizes),
            "shape": list(stage.values.shape),
            "estimates": list(stage.estimates),
            "branch": stage.branch,
            "variances": list(stage.variances),
        }
        return tensors, facts

    def unpack(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> GridStage:
        """Return the stage of a checkpoint.

        Raises:
            InputError: it is not of this model.
        """
        try:
            kernels = {name: self._kernel_of(tensors[name]) for name in ("prior", "learned") if name in tensors}
            return GridStage(
                int(facts["level"]),
                tuple(facts["sizes"]),
                kernels["prior"],
                tuple(tensors[f"nodes.{j}"] for j in range(len(self.highest))),
                tensors["z"].reshape(tuple(facts["shape"])),
                tuple(facts["estimates"]),
                facts["branch"],
                kernels.get("learned"),
                tuple(facts["variances"]),
            )
        except (KeyError, RuntimeError) as error:
            raise InputError("the checkpoint does not belong to this problem and these options") from error

    def _kernel_of(self, numbers: Tensor) -> ProductKernel:
        counts = self.codec.counts[0]
        parts = [part.reshape(3, -1) for part in numbers.split([3 * count for count in counts])]
        return ProductKernel(tuple(Kernel(self.envelope, *part.unbind()) for part in parts))

    @cached_property
    def _held_out(self) -> Tensor:
        return torch.from_numpy(np.asarray(sample(self.problem.domain.region("interior"), _HELD_OUT, seed=0).x))

    def _wanted(self, axis: int, level: int) -> float:
        return (_MARGIN * self.highest[axis] + _WAVES / self.extents[axis]) * _GROWTH**level

    def _is_refined(self, stage: GridStage) -> bool:
        last = 1 if self.points is not None else MOST_LEVELS - 1
        return stage.level >= last or stage.estimate <= self.tolerance or self._is_rounding(stage)

    def _is_rounding(self, stage: GridStage) -> bool:
        """Tell whether finer grids bring nothing any more: the change is small and has grown."""
        return len(stage.estimates) > 1 and stage.estimates[-2] < min(1e-6, stage.estimates[-1])

    def _solved(self, level: int, before: GridStage | None) -> GridStage:
        sizes, kernel = self.sizes(level), self.kernel(level)
        axes = self._axes(kernel, sizes)
        system = TensorSystem(self.problem, axes)
        found = system.solve()
        nodes = tuple(axis.nodes(0, 0) for axis in axes)
        values = system.ansatz.on_grid(found.coefficients.reshape(-1), nodes).movedim(-1, 0)
        stage = GridStage(level, sizes, kernel, nodes, values.contiguous(), (), found.branch)
        if before is None:
            return stage
        now, then = (self.ansatz(s).values(s.values.reshape(-1), self._held_out) for s in (stage, before))
        change = float((now - then).norm() / now.norm().clamp(min=torch.finfo(now.dtype).tiny))
        return replace(stage, estimates=(*before.estimates, change))

    def _axes(self, kernel: ProductKernel, sizes: Sequence[int]) -> tuple[KernelAxis, ...]:
        ends = self.problem.domain.bounds.tolist()
        return tuple(KernelAxis(k, low, high, n) for k, (low, high), n in zip(kernel.axes, ends, sizes, strict=True))


def _numbers(kernel: ProductKernel) -> Tensor:
    """Return weights, widths and frequencies as they are: the basis turns in its space with their last bits."""
    parts = [torch.stack([axis.weights, axis.widths, axis.frequencies]).reshape(-1) for axis in kernel.axes]
    return torch.cat(parts)


def _memory(sizes: Sequence[int], unknowns: int) -> int:
    """Return about how many bytes a solution on a grid takes: matrices of each axis, fields of each unknown."""
    return 8 * (sum(12 * n**2 for n in sizes) + 12 * unknowns * math.prod(sizes))
