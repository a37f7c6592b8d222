"""What the suites of operator methods run on: options that make them small, signatures, and files of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeml.data.operator import OperatorData
from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.nn.operator import Operator
from pdeml.solvers import KINDS, solver_class
from pdeml.solvers.operator import OperatorSolver

SMALL: dict[str, dict[str, Any]] = {
    "deeponet": {"width": 12, "depth": 1, "basis": 6, "trunk_width": 12, "harmonics": 2},
    "fno": {"width": 8, "depth": 2, "modes": 8},
    "mgno": {"width": 4, "depth": 2},
    "tfno": {"width": 8, "depth": 2, "modes": 8, "rank": 0.5},
}
"""kind -> options with which a step takes milliseconds."""

OPERATOR_KINDS = tuple(kind for kind in KINDS if issubclass(solver_class(kind), OperatorSolver))

ONE = Signature(
    (Quantity("a", ("x",), 0.2, 1.5),), (Quantity("u", ("x",), -0.3, 0.7),), (Axis("x", 0.0, 2.0, 16),), samples=20
)
SEVERAL = Signature(
    (Quantity("a", ("y", "x")), Quantity("b", ("x",), 1.0, 2.0), Quantity("nu", ())),
    (Quantity("u", ("y", "x")), Quantity("v", ("y", "x"), 2.0, 0.1)),
    (Axis("y", 0.0, 1.0, 12), Axis("x", -1.0, 1.0, 16, periodic=True)),
    samples=20,
)
SOLID = Signature(
    (Quantity("a", ("z", "y", "x")),),
    (Quantity("u", ("z", "y", "x")),),
    (Axis("z", 0.0, 1.0, 8), Axis("y", 0.0, 1.0, 9), Axis("x", 0.0, 1.0, 8)),
    samples=20,
)
MARCHING = Signature(
    (Quantity("f", ("t", "x")), Quantity("nu", ())),
    (Quantity("u", ("t", "x")),),
    (Axis("t", 0.0, 1.0, 11), Axis("x", 0.0, 1.0, 16, periodic=True)),
    March(1, 2, 0.1),
    samples=20,
)
SIGNATURES = {"one": ONE, "several": SEVERAL, "solid": SOLID, "marching": MARCHING}


def small(kind: str, **options: Any) -> OperatorSolver:
    return solver_class(kind)(**{**SMALL[kind], **options})


def built(
    kind: str, signature: Signature, seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any
) -> Operator:
    """An operator with random weights, all of them: networks that begin with zeros say little."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        operator = small(kind, **options).operator(signature).to(dtype)
        with torch.no_grad():
            for tensor in (*operator.parameters(), *operator.buffers()):
                if tensor.is_floating_point() and not tensor.any():
                    tensor.normal_(0, 0.1)
    return operator


def grid_of(signature: Signature, refine: int = 1, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The grid of training, or one with so many times as many steps that contains it."""

    def points(axis: Axis) -> Tensor:
        steps = refine * (axis.size if axis.periodic else axis.size - 1)
        found = torch.linspace(axis.low, axis.high, steps + 1, dtype=dtype)
        return found[:-1] if axis.periodic else found

    return {axis.name: points(axis) for axis in signature.axes}


def inputs_on(signature: Signature, grid: Mapping[str, Tensor], samples: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Smooth random functions, the same on every grid: waves of few frequencies along each axis."""
    generator = torch.Generator().manual_seed(seed)
    march = signature.march
    quantities = [(quantity.name, quantity.dims, march.window if march else 0) for quantity in signature.inputs]
    if march is not None:
        quantities += [(quantity.name, quantity.dims, march.history) for quantity in signature.outputs]
    found = {}
    for name, dims, frames in quantities:
        values = torch.randn(samples, generator=generator, dtype=torch.float64)
        for dim in dims:
            axis = signature.axis(dim)
            points = grid[dim][:frames] if march is not None and dim == march.time else grid[dim]
            phase = 2 * torch.pi * torch.rand(samples, 1, generator=generator, dtype=torch.float64)
            turns = torch.randint(1, 3, (samples, 1), generator=generator)
            wave = torch.sin(2 * torch.pi * turns * (points.double() - axis.low) / (axis.high - axis.low) + phase)
            values = values[..., None] * (1.5 + wave).reshape(samples, *[1] * (values.ndim - 1), -1)
        found[name] = values.to(next(iter(grid.values())).dtype)
    return found


def rolled(signature: Signature, inputs: Mapping[str, Tensor], dim: str, by: int) -> dict[str, Tensor]:
    """Inputs shifted by so many points along a periodic axis."""
    dims = {quantity.name: quantity.dims for quantity in (*signature.inputs, *signature.outputs)}
    return {n: t.roll(by, dims[n].index(dim) + 1) if dim in dims[n] else t for n, t in inputs.items()}


def line_data(folder: Path, samples: int = 24, points: int = 16, **portions: Any) -> OperatorData:
    """A file of antiderivatives: u' = a, u(0) = 0, with a a sum of three waves."""
    rng, x = np.random.default_rng(3), np.linspace(0, 1, points)
    c = rng.normal(size=(samples, 3))
    a = sum(c[:, k, None] * np.cos(k * np.pi * x) for k in range(3))
    u = c[:, :1] * x + sum(c[:, k, None] * np.sin(k * np.pi * x) / (k * np.pi) for k in (1, 2))
    file = folder / "line.npz"
    if not file.exists():
        np.savez(file, a=a, u=u)
    portions = portions or {"train": samples // 2, "validation": samples // 4, "test": samples // 4}
    return OperatorData(file, inputs={"a": "a"}, outputs={"u": "u"}, coordinates={"x": (0, 1)}, **portions)


def march_data(folder: Path, samples: int = 8, points: int = 16, frames: int = 7) -> OperatorData:
    """A file of travelling, decaying waves on a periodic axis."""
    rng, x, t = np.random.default_rng(4), np.arange(points) / points, np.linspace(0, 0.6, frames)
    amplitude, phase = rng.normal(size=(samples, 2, 1, 1)), rng.random((samples, 2, 1, 1))
    turns = np.array([1, 2]).reshape(1, 2, 1, 1)
    waves = amplitude * np.exp(-turns * t[:, None]) * np.sin(2 * np.pi * (turns * (x - t[:, None]) + phase))
    file = folder / "march.npz"
    np.savez(file, u=waves.sum(1), t=t, x=x)
    return OperatorData(
        file,
        train=samples // 2,
        validation=samples // 4,
        test=samples // 4,
        outputs={"u": "u"},
        coordinates={"t": "t", "x": "x"},
        periodic=["x"],
    )


def with_sizes(signature: Signature, **sizes: int) -> Signature:
    axes = tuple(replace(axis, size=sizes.get(axis.name, axis.size)) for axis in signature.axes)
    return replace(signature, axes=axes)
