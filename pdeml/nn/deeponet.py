"""DeepONet: ``u(y) = t_0(y) + Σ_k b_k(a) t_k(y)``, a branch for the inputs a, a trunk for the coordinates y.

Lu, Jin, Pang, Zhang & Karniadakis, *Learning nonlinear operators via DeepONet* (2021), §1.2 (unstacked, with bias);
POD modes in place of the trunk: Lu et al., *A comprehensive and fair comparison of two neural operators* (2022), §3.1.
Shapes: B samples, C outputs, k basis functions, n grid points along each axis, P scattered points, S sensor values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pdeml.data.signature import Axis, Given, Lifted, Signature
from pdeml.errors import InputError
from pdeml.lower.multi_index import JetSpec
from pdeml.nn.boundary import ExactValues
from pdeml.nn.branch import Branch, Sensors
from pdeml.nn.kept import Kept
from pdeml.nn.operator import Operator
from pdeml.nn.trunk import ModeTrunk, NetworkTrunk

__all__ = ["DeepONet", "LinearPart"]

_FITTED_WIDTH = 512


class LinearPart(nn.Module):
    """A linear operator that is not trained: coefficients ``W s + offset`` of the sensor values s.

    Args:
        sensors: S.
        coefficients: their number.
    """

    def __init__(self, sensors: int, coefficients: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(coefficients, sensors))
        self.register_buffer("offset", torch.zeros(coefficients))

    def forward(self, seen_BS: Tensor) -> Tensor:
        """Return the coefficients, (B, coefficients)."""
        return nn.functional.linear(seen_BS, self.weight, self.offset)


class DeepONet(Operator):
    """A branch and a trunk; made in double precision.

    Where there are samples, `pdeml.nn.pod.start` fits the trunk to them, which then stays as it is (first the trunk,
    then the branch: Lee & Shin, *On the training and generalization of deep operator networks*, 2024, §3), and sets the
    linear part: the network then learns what that leaves over, in units of its size, and training loses nothing of a
    linear operator. Without samples, or if ``linear`` is off, trunk and branch are trained together.

    Args:
        signature: what it maps.
        trunk: ``network``, or ``pod``: modes of the training outputs, which `pdeml.nn.pod.start` computes.
        branch: ``mlp`` of all sensor values, or ``cnn`` for functions on grids.
        basis: number k of basis functions of each output; with ``pod`` at most as many as samples and grid points.
        width: units of each hidden layer of the branch.
        depth: its number of hidden layers.
        activation: of the branch.
        trunk_width: units of each hidden layer of the trunk; none: 512 where it is fitted to samples, else ``width``.
        trunk_depth: its number of hidden layers.
        sensors: see `pdeml.nn.branch.Sensors`.
        harmonics: waves of periodic axes that the trunk sees.
        octaves: waves of open axes that the trunk sees.
        linear: whether the trunk is fitted to samples and there is a linear part, where there are samples.

    Raises:
        InputError: sensors do not fit the inputs, convolutions have no grid to work on, or modes are wanted where
            there are no samples.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        trunk: Literal["network", "pod"] = "network",
        branch: Literal["mlp", "cnn"] = "mlp",
        basis: int = 128,
        width: int = 128,
        depth: int = 3,
        activation: str = "gelu",
        trunk_width: int | None = None,
        trunk_depth: int = 2,
        sensors: int | Mapping[str, Sequence[Sequence[float]]] | None = None,
        harmonics: int = 8,
        octaves: int = 0,
        linear: bool = True,
    ):
        super().__init__(signature)
        if trunk == "pod" and not signature.samples:
            raise InputError("modes are those of solutions: give data, or choose the trunk 'network'", ("trunk",))
        linear = linear and signature.samples > 0
        self.axes, outputs = trunk_axes(signature), len(signature.outputs)
        points = math.prod(axis.size for axis in self.axes)
        self.basis = min(basis, signature.samples, points) if trunk == "pod" else basis
        count = outputs * self.basis
        self.sensors = Sensors(signature, sensors)
        periodic = {axis.name: axis.periodic for axis in signature.axes}
        self.branch = Branch(
            self.sensors, count, periodic, kind=branch, width=width, depth=depth, activation=activation
        )

        self.trunk = (
            ModeTrunk(self.axes, count + outputs)
            if trunk == "pod"
            else NetworkTrunk(
                self.axes,
                count + outputs,
                width=trunk_width or (_FITTED_WIDTH if linear else width),
                depth=trunk_depth,
                harmonics=harmonics,
                octaves=octaves,
            )
        )
        self.trunk.requires_grad_(not linear)
        self._functions = Kept()
        self.linear = LinearPart(self.sensors.count, count) if linear else None
        self.register_buffer("scale", torch.ones(outputs, self.basis))
        if signature.march is not None:
            times = signature.march.step * torch.arange(1, signature.march.window + 1, dtype=torch.float64)
            self.register_buffer("times", times, persistent=False)
        sizes = torch.tensor([quantity.std for quantity in signature.outputs], dtype=torch.float64)
        self.register_buffer("sizes", sizes, persistent=False)
        self.values = ExactValues(signature, _lifts(signature, trunk))
        self.double()

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        """Apply the operator; see `Operator.forward`."""
        along = self.along(grid)
        coordinates = [along[axis.name] for axis in self.axes]
        fixed = (*self.trunk.parameters(), *self.trunk.buffers(), *coordinates)
        functions = self._functions.of(fixed, lambda: self.trunk.on_grid(coordinates))
        functions = functions.unflatten(0, (-1, self.basis + 1))
        found = torch.einsum("bck,ck...->bc...", self.coefficients(self.sensors(inputs, grid)), functions)
        base, factor = self.values.on_grid(self.given(inputs), along)
        return base + factor * self.in_units(found)

    def at(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], points: Tensor) -> Tensor:
        """Apply the operator and return the outputs at points anywhere.

        Args:
            inputs: as of `forward`.
            grid: the grid of the inputs.
            points: (P, D) coordinates in the order of the outputs' dimensions; of an operator that goes on in time,
                the time is counted from its last frame.

        Returns: (B, C, P).
        """
        spec = JetSpec.closed((), dimension=len(self.axes))
        return self.jets(inputs, grid, points, spec)[0].transpose(1, 2)

    def jets(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor], points: Tensor, spec: JetSpec) -> Tensor:
        """Return the outputs and their derivatives by the coordinates at points, all in physical units.

        Args:
            inputs: as of `forward`.
            grid: the grid of the inputs.
            points: (N, D), as of `at`.
            spec: the channels, with indices in the order of the outputs' dimensions.

        Returns: (K, B, N, C), differentiable by the parameters.
        """
        functions = self.trunk.jets(points, spec).unflatten(2, (-1, self.basis + 1))
        found = torch.einsum("bck,qnck->qbcn", self.coefficients(self.sensors(inputs, grid)), functions)
        found = self.in_units(found.flatten(0, 1)).view_as(found).movedim(2, 3)
        return self.values.jets(self.given(inputs), self.along(grid), points, spec, found)

    def along(self, grid: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the grid with the times that the trunk sees: those of a window, where it goes on in time."""
        march = self.signature.march
        if march is None:
            return dict(grid)
        return {**grid, march.time: self.times}

    def coefficients(self, seen: Sequence[Tensor]) -> Tensor:
        """Return the coefficients (B, C, k + 1) from what the sensors see; the last is one, for t_0."""
        found = self.branch(seen).unflatten(1, (-1, self.basis)) * self.scale
        if self.linear is not None:
            found = found + self.linear(torch.cat([part.flatten(1) for part in seen], 1)).view_as(found)
        return torch.cat([found, torch.ones_like(found[..., :1])], 2)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> DeepONet:
        self._functions.clear()  # parameters stay the same objects when they move or change their precision
        return super()._apply(fn, recurse)

    def in_units(self, found: Tensor) -> Tensor:
        """Scale (B, C, ...) by the standard deviations of the outputs."""
        return found * self.sizes.view(1, -1, *[1] * (found.ndim - 2))

    def given(self, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the functions that values are taken from: inputs, and the last frames."""
        if self.signature.march is None:
            return inputs
        return {**inputs, **{quantity.name: inputs[quantity.name][:, -1] for quantity in self.signature.outputs}}


def trunk_axes(signature: Signature) -> list[Axis]:
    """Return the axes of what one application makes: the time of an operator that goes on in it is that of a window."""
    axes, march = [signature.axis(dim) for dim in signature.dims], signature.march
    if march is None:
        return axes
    window = Axis(march.time, march.step, march.step * march.window, march.window)
    return [window if axis.name == march.time else axis for axis in axes]


def _lifts(signature: Signature, trunk: str) -> tuple[Lifted, ...]:
    """Return how each output is lifted: from known values, from the last frame, or from its mean.

    Modes are those of samples from which g is taken off: they vanish by themselves where values are given.
    """
    march, outputs = signature.march, signature.outputs
    if march is not None:
        factor = f"{march.time}/{march.step * march.window!r}"
        found = tuple(Lifted(factor, (Given("1", quantity.name),)) for quantity in outputs)
    else:
        found = signature.lift or tuple(Lifted("1", (Given(repr(quantity.mean)),)) for quantity in outputs)
    return tuple(replace(part, factor="1") for part in found) if trunk == "pod" else found
