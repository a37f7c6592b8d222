"""Which operators are measured at which sizes."""

from __future__ import annotations

from dataclasses import replace

from pdeml_kernels.bench.case import Asked, Case, Precision
from pdeml_kernels.bench.equations import BURGERS, EQUATIONS, KURAMOTO_SIVASHINSKY, NAVIER_STOKES
from pdeml_kernels.bench.grid_cases import burgers_on_a_grid, sobolev_norm
from pdeml_kernels.bench.mixture_cases import mixture
from pdeml_kernels.bench.residual_cases import NESTED, Task, network, pinn, residual
from pdeml_kernels.bench.spectral_cases import Size, convolution, layer

__all__ = ["cases"]


def cases(device: str, precision: Precision, quick: bool = False) -> list[Case]:
    """Return what is measured; in half precision what can be.

    Args:
        device: cuda, or the type of another one, of which less is wanted.
        precision: of products.
        quick: whether sizes are tiny and nothing is compiled: to try the program out.
    """
    if quick:
        found = [_plain(case) for case in _quick(precision)]
    else:
        found = _on_gpus(precision) if device == "cuda" else _on_cpus(precision)
    return [case for case in found if case.half or precision != "bfloat16"]


def _on_gpus(precision: Precision) -> list[Case]:
    sizes = [Size(32, 64, n, modes) for n in (64, 128, 256, 512) for modes in (16, 32)]
    compiled = Asked("torch, compiled", 2)
    tasks = [
        (Task(BURGERS, 65536, 128, 4), (Asked(NESTED, 8), compiled)),
        (Task(NAVIER_STOKES, 65536, 128, 4), (Asked(NESTED, 8), compiled)),
        (Task(KURAMOTO_SIVASHINSKY, 65536, 128, 4), (Asked(NESTED, 15),)),
    ]
    return [
        *(convolution(size, precision) for size in sizes),
        *(layer(size, precision) for size in sizes),
        *(pinn(task, precision, asked) for task, asked in tasks),
        *(network(task, precision) for task, _ in tasks),
        *(residual(task) for task, _ in tasks),
        burgers_on_a_grid(32, 256, spectral=True),
        burgers_on_a_grid(32, 256, spectral=False),
        sobolev_norm(32, 256),
        mixture(4096, 30),
    ]


def _on_cpus(precision: Precision) -> list[Case]:
    size = Size(4, 32, 128, 16)
    tasks = [
        (Task(BURGERS, 8192, 64, 4), Asked(NESTED, 1.3, memory=0.5)),
        (Task(NAVIER_STOKES, 8192, 64, 4), Asked(NESTED, 1.3, memory=0.5)),
        (Task(KURAMOTO_SIVASHINSKY, 8192, 64, 4), Asked(NESTED, 2.5, memory=0.5)),
    ]
    others = [
        convolution(size, precision),
        layer(size, precision),
        residual(Task(NAVIER_STOKES, 65536, 64, 4)),
        burgers_on_a_grid(8, 128, spectral=False),
        sobolev_norm(8, 256),
        mixture(512, 30),
    ]
    jets = [replace(pinn(task, precision, (asked,)), ours="torch") for task, asked in tasks]
    return [*jets, *(replace(case, asked=(), share=None) for case in others)]


def _quick(precision: Precision) -> list[Case]:
    return [
        convolution(Size(1, 4, 8, 4), precision),
        layer(Size(1, 4, 8, 4), precision),
        *(pinn(Task(equation, 50, 8, 2), precision, ()) for equation in EQUATIONS),
        network(Task(BURGERS, 50, 8, 2), precision),
        residual(Task(NAVIER_STOKES, 50, 8, 2)),
        burgers_on_a_grid(2, 8, spectral=True),
        burgers_on_a_grid(2, 8, spectral=False),
        sobolev_norm(2, 8),
        mixture(20, 3),
    ]


def _plain(case: Case) -> Case:
    """Return a case without what is compiled, and without figures that are asked for."""
    kept = tuple(own for own in case.implementations if not own.name.endswith("compiled"))
    return replace(case, implementations=kept, asked=(), share=None)
