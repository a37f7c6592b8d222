"""Measure the implementations of a case: right or wrong, time, memory, and the share of what the device can do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pdeml_kernels.bench.case import (
    PASSES,
    Case,
    Implementation,
    Pass,
    Precision,
    Unmeasured,
    bound,
    dtype_of,
)
from pdeml_kernels.bench.device import Ceilings, peak_bytes, products_in, seconds

__all__ = ["Result", "Setting", "Trial", "error_of", "exact", "measure"]

ROTATED, SETS = 256 << 20, 4
"""Calls on a CUDA device take inputs in turns: of so many bytes, more than its caches hold, in at most so many sets."""


class Result(NamedTuple):
    """One measured pass of an implementation, or why there is none."""

    operator: str
    size: str
    implementation: str
    precision: str
    passed: Pass
    seconds: float | None = None
    peak_bytes: int | None = None
    bytes_per_second: float | None = None
    operations_per_second: float | None = None
    share: float | None = None
    error: float | None = None
    bound: float | None = None
    remark: str = ""

    @property
    def wrong(self) -> bool:
        """Whether what was computed is farther from the truth than is allowed."""
        return self.error is not None and not self.error <= self.bound

    @property
    def at_fault(self) -> bool:
        """Whether it is ours and wrong, or ours and failed; a missing device is no fault."""
        ours = self.implementation.startswith(("torch", "triton"))
        return ours and (self.wrong or self.remark.startswith("failed"))


class Setting(NamedTuple):
    """Where and how something is measured."""

    device: torch.device
    precision: Precision
    limits: Ceilings
    budget: float
    """Seconds for each implementation and pass."""


def measure(case: Case, setting: Setting) -> Iterator[Result]:
    """Measure every implementation of a case, in both passes."""
    device, precision = setting.device, setting.precision
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, device=device, generator=generator)

    def cast(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(tensor.to(dtype_of(precision)) for tensor in tensors)

    first = case.inputs(draw)
    parameters, sets = cast(first.parameters), [cast(first.fields)]
    held = sum(tensor.nbytes for tensor in sets[0])
    for _ in range(1, min(max(math.ceil(ROTATED / held), 2), SETS) if device.type == "cuda" else 2):
        sets.append(cast(case.inputs(draw).fields))
    del first
    for passed in PASSES:
        # Compilers give up on a function that they have compiled for many sizes.
        torch.compiler.reset()
        # Warnings are of compilers and other packages, about what they cannot do well.
        with products_in(precision), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = _measure_pass(case, passed, sets, parameters, setting)
        yield from results


class Trial:
    """One implementation, ready to run one pass on any of the sets of fields."""

    def __init__(
        self,
        case: Case,
        implementation: Implementation,
        sets: Sequence[Sequence[Tensor]],
        parameters: Sequence[Tensor],
        passed: Pass,
    ):
        self.backward = passed == "forward + backward"
        held = tuple(p.detach().clone().requires_grad_(self.backward) for p in parameters)
        self.run, self.leaves = implementation.prepare(held)
        self.arrange = implementation.arrange
        self.through = case.through if self.backward else 0
        self.sets = [
            tuple(self.arrange(f.detach()).requires_grad_(k < self.through) for k, f in enumerate(fields))
            for fields in sets
        ]
        self.cotangents, self.replay = None, None
        if implementation.graph:
            self.replay = self._captured()

    def __call__(self, number: int) -> tuple[Tensor, ...]:
        """Return outputs, and in the backward pass gradients."""
        place = number % len(self.sets)
        if self.replay is None:
            return self._step(place)
        graph, results = self.replay[place]
        graph.replay()
        return results

    def _step(self, place: int) -> tuple[Tensor, ...]:
        fields = self.sets[place]
        found = self.run(*fields)
        outputs = (found,) if isinstance(found, Tensor) else tuple(found)
        if not self.backward:
            return tuple(output.detach() for output in outputs)
        if self.cotangents is None:
            self.cotangents = [self.arrange(_towards(output)) for output in outputs]
        leaves = (*fields[: self.through], *self.leaves)
        gradients = torch.autograd.grad(outputs, leaves, self.cotangents)
        return tuple(output.detach() for output in (*outputs, *gradients))

    def _captured(self) -> list[tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]]:
        """Return for each set of fields a graph and the results that it writes."""
        self._step(0)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step(0)
        torch.cuda.current_stream().wait_stream(stream)
        graphs = []
        for place in range(len(self.sets)):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=graphs[0][0].pool() if graphs else None):
                results = self._step(place)
            graphs.append((graph, results))
        return graphs


def _towards(output: Tensor) -> Tensor:
    """Return a cotangent: the same numbers for every implementation and in every precision; one for a number."""
    if output.ndim == 0:
        return torch.ones_like(output)
    generator = torch.Generator(output.device).manual_seed(1)
    drawn = torch.randn(output.shape, device=output.device, generator=generator)
    # Rounded as in half precision, so that float64 and bfloat16 get the same numbers.
    return drawn.bfloat16().to(output.dtype)


def _measure_pass(
    case: Case,
    passed: Pass,
    sets: Sequence[Sequence[Tensor]],
    parameters: Sequence[Tensor],
    setting: Setting,
) -> list[Result]:
    precision = setting.precision
    truth = exact(case, passed, sets[0], parameters)
    trials: list[tuple[Implementation, Trial | None, Result]] = []
    for implementation in case.implementations:
        named = Result(case.operator, case.size, implementation.name, precision, passed, bound=bound(case, precision))
        try:
            trial = Trial(case, implementation, sets, parameters, passed)
            result = named._replace(error=error_of(trial(0), truth))
        except Unmeasured as reason:
            trial, result = None, named._replace(remark=str(reason))
        # Whatever a compiler, a driver or another package raises: the other implementations are measured all the same.
        except Exception as fault:
            kernel = implementation.name.startswith("triton")
            told = f"{type(fault).__name__}: {' '.join(str(fault).split()):.120}"
            trial, result = None, named._replace(remark=f"{'failed' if kernel else 'not possible'}: {told}")
        trials.append((implementation, trial, result))
    del truth
    runs = [trial for _, trial, _ in trials if trial is not None]
    times, work, found = iter(seconds(runs, setting.device, setting.budget)), case.work[passed], []
    for implementation, trial, result in trials:
        if trial is not None:
            taken = next(times)
            result = result._replace(
                seconds=taken,
                # A graph allocates when it is captured, and nothing when it runs.
                peak_bytes=None if implementation.graph else peak_bytes(trial, setting.device),
                bytes_per_second=work.bytes / taken,
                operations_per_second=work.operations / taken,
                share=setting.limits.least_seconds(work.bytes, work.operations, precision) / taken,
            )
        found.append(result)
    return found


def exact(case: Case, passed: Pass, fields: Sequence[Tensor], parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return what the twin gives in float64."""
    doubles = [tuple(tensor.double() for tensor in fields)]
    return Trial(case, case.implementations[0], doubles, [p.double() for p in parameters], passed)(0)


def error_of(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Return the largest difference over the largest value, of the tensor for which it is largest; NaN is infinite."""
    errors = [0.0]
    for mine, truth in zip(found, exact, strict=True):
        mine = torch.view_as_real(mine) if mine.is_complex() else mine
        if mine.numel() != truth.numel():
            return math.inf
        mine = mine.reshape(truth.shape)
        if truth.numel():
            largest = float(truth.abs().max())
            difference = float((mine.double() - truth).abs().max())
            errors.append(difference / largest if largest else difference)
    return math.inf if any(math.isnan(error) for error in errors) else max(errors)
