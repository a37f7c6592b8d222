"""What is measured: an operator at a size, several implementations of it, and the least work that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "GRAPH",
    "PASSES",
    "PRECISIONS",
    "Asked",
    "Case",
    "Draw",
    "Implementation",
    "Inputs",
    "Pass",
    "Precision",
    "Prepared",
    "Unmeasured",
    "Work",
    "as_given",
    "bound",
    "by_torch",
    "by_triton",
    "can_run_triton",
    "dtype_of",
    "triton_precision",
]

Pass = Literal["forward", "forward + backward"]
PASSES: tuple[Pass, ...] = ("forward", "forward + backward")

Precision = Literal["ieee", "tf32x3", "tf32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("ieee", "tf32x3", "tf32", "bfloat16")
"""How the Triton kernels form products of float32 numbers, or bfloat16 for fields and weights."""

GRAPH = "triton, CUDA graph"
"""The implementation without the time that launches take on the side of the CPU."""

Outputs = Tensor | Sequence[Tensor]
Draw = Callable[..., Tensor]
"""``draw(*shape)`` returns standard normal numbers in float64."""


class Unmeasured(Exception):
    """Says why an implementation cannot be measured here."""


class Inputs(NamedTuple):
    """What an operator is given: fields, of which every call gets others, and parameters."""

    fields: tuple[Tensor, ...]
    parameters: tuple[Tensor, ...]


class Work(NamedTuple):
    """The least that a pass takes: bytes that are read or written, floating-point operations."""

    bytes: float
    operations: float


def as_given(tensor: Tensor) -> Tensor:
    """Return a tensor as it is."""
    return tensor


Prepared = tuple[Callable[..., Outputs], tuple[Tensor, ...]]
"""A function of the fields, and the tensors that stand for the parameters, in their order: gradients are by them."""


@dataclass(frozen=True)
class Implementation:
    """One way to compute an operator.

    Args:
        name: what the table calls it; those by Triton begin with ``triton``.
        prepare: takes the parameters, on the device; raises `Unmeasured` where it cannot run.
        arrange: puts a field, or a cotangent, into the order of memory that suits it best; not timed.
        graph: whether each pass is captured in a CUDA graph, which is replayed.
    """

    name: str
    prepare: Callable[[tuple[Tensor, ...]], Prepared]
    arrange: Callable[[Tensor], Tensor] = as_given
    graph: bool = False


def by_torch(name: str, run: Callable[..., Outputs], compiled: bool = False) -> Implementation:
    """Return an implementation by a function of fields and parameters, as it is or by ``torch.compile``."""

    def prepare(parameters: tuple[Tensor, ...]) -> Prepared:
        called = torch.compile(run, dynamic=False) if compiled else run
        return lambda *fields: called(*fields, *parameters), parameters

    return Implementation(name, prepare)


def can_run_triton(field: Tensor) -> bool:
    """Say whether kernels are compiled for where a field is; interpreted ones are for tests."""
    return field.is_cuda


def by_triton(
    load: Callable[[], Callable[..., Outputs]], channels_last: Callable[[Tensor], Tensor] | None = None
) -> tuple[Implementation, ...]:
    """Return implementations by Triton kernels, the last of which replays CUDA graphs.

    Args:
        load: imports the function of fields and parameters.
        channels_last: puts channels last in memory, if that is to be measured too.
    """
    loaded = cache(load)

    def prepare(parameters: tuple[Tensor, ...]) -> Prepared:
        if find_spec("triton") is None:
            raise Unmeasured("needs triton")

        def run(*fields: Tensor) -> Outputs:
            if not can_run_triton(fields[0]):
                raise Unmeasured("needs a GPU")
            return loaded()(*fields, *parameters)

        return run, parameters

    found = [Implementation("triton", prepare)]
    if channels_last is not None:
        found.append(Implementation("triton, channels last", prepare, channels_last))
    return (*found, Implementation(GRAPH, prepare, channels_last or as_given, graph=True))


@dataclass(frozen=True)
class Asked:
    """A figure that is asked for, of forward and backward pass.

    Args:
        over: the implementation that ours is compared with.
        times: how many times as fast as that ours is to be.
        memory: the largest part of its peak of memory that ours may take.
    """

    over: str
    times: float
    memory: float | None = None

    def __str__(self) -> str:
        memory = "" if self.memory is None else f", {self.memory:g} of its memory"
        return f"{self.times:g} × {self.over}{memory}"


@dataclass(frozen=True)
class Case:
    """An operator at a size.

    Args:
        operator: its name.
        size: in words.
        inputs: draws fields and parameters.
        implementations: the twin in plain torch first: in float64 it says what is right.
        work: of each pass.
        ours: what the names of the implementations begin with that are held to what is asked for.
        asked: what is asked for.
        share: the share of the roofline that is asked for.
        through: by how many of the fields gradients are taken, besides those by the parameters.
        bound: the largest error, of any output or gradient over its largest value, in full single precision.
        half: whether fields and parameters may be in half precision.
    """

    operator: str
    size: str
    inputs: Callable[[Draw], Inputs]
    implementations: tuple[Implementation, ...]
    work: Mapping[Pass, Work]
    ours: str = "triton"
    asked: tuple[Asked, ...] = ()
    share: float | None = None
    through: int = 1
    bound: float = 1e-5
    half: bool = False

    def __str__(self) -> str:
        return f"{self.operator}, {self.size}"


def bound(case: Case, precision: Precision) -> float:
    """Return the largest error that a case may show in a precision."""
    return {"tf32": 2e-3, "bfloat16": 2e-2}.get(precision, case.bound)


def dtype_of(precision: Precision) -> torch.dtype:
    """Return the type of fields and parameters."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def triton_precision(precision: Precision) -> str:
    """Return what a Triton kernel is told: numbers of bfloat16 are exact in tf32."""
    return "tf32" if precision == "bfloat16" else precision
