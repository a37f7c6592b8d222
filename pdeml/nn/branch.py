"""Branches of a DeepONet: from input functions at sensors, and numbers, to coefficients.

S counts all sensor values of a sample: those of each input function, frame by frame, and numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pdeml.data.mask import MASK
from pdeml.data.signature import Axis, Quantity, Signature
from pdeml.errors import InputError, one_of
from pdeml.nn.activations import activation
from pdeml.nn.interpolate import interpolate, regrid

__all__ = ["Branch", "Sensors"]

_MOST = 4096
"""Sensors of an input are thinned to at most so many, where their number is not given."""
_SMALLEST = 4
"""Convolutions halve the grid until its shortest axis has at most so many points, or there is one of each below."""
_CHANNELS = (16, 32, 64, 64, 128, 128)


@dataclass(frozen=True)
class Seen:
    """What a branch sees of one input: ``frames`` functions of ``dims`` (none: a number)."""

    quantity: Quantity
    dims: tuple[str, ...]
    frames: int


def seen_inputs(signature: Signature) -> list[Seen]:
    """Return all that an operator is given: inputs, the last frames of the outputs, and a mask."""
    march, found = signature.march, []
    for quantity in signature.inputs:
        moving = march is not None and march.time in quantity.dims
        dims = tuple(dim for dim in quantity.dims if not moving or dim != march.time)
        found.append(Seen(quantity, dims, march.window if moving else 1))
    if march is not None:
        found += [Seen(quantity, signature.space, march.history) for quantity in signature.outputs]
    if signature.masked:
        space = tuple(dim for dim in signature.dims if dim != "t")
        found.append(Seen(Quantity(MASK, space), space, 1))
    return found


class Sensors(nn.Module):
    """Values of all inputs at sensors, scaled. They are interpolated to the sensors from any grid.

    Args:
        signature: of the operator.
        where: number of sensors along each axis, evenly spaced; or input -> list of points, in the order of its
            dimensions; none: the training grid, thinned where it is large.

    Raises:
        InputError: a point has another number of coordinates than its input has, or lies outside; or an input is
            unknown.
    """

    def __init__(self, signature: Signature, where: int | Mapping[str, Sequence[Sequence[float]]] | None = None):
        super().__init__()
        self.seen = seen_inputs(signature)
        self.periods = {axis.name: axis.high - axis.low if axis.periodic else None for axis in signature.axes}
        places = where if isinstance(where, Mapping) else {}
        for name in places:
            allowed = [part.quantity.name for part in self.seen if part.dims]
            if name not in allowed:
                raise InputError(one_of(name, allowed, "an input function"), ("sensors", name))
        self.sizes: list[tuple[int, ...]] = []
        self.scattered: list[int] = []
        for number, part in enumerate(self.seen):
            if part.quantity.name in places:
                axes = [signature.axis(dim) for dim in part.dims]
                found = _points(part, axes, places[part.quantity.name])
                self.register_buffer(f"points_{number}", found)
                self.sizes.append((len(found),))
                self.scattered.append(number)
                continue
            count = where if isinstance(where, int) else math.floor(_MOST ** (1 / max(len(part.dims), 1)) + 1e-9)
            axes = [signature.axis(dim) for dim in part.dims]
            nodes = [_nodes(axis, count if isinstance(where, int) else min(count, axis.size)) for axis in axes]
            for k, along in enumerate(nodes):
                self.register_buffer(f"nodes_{number}_{k}", along)
            self.sizes.append(tuple(map(len, nodes)))

    @property
    def count(self) -> int:
        """S."""
        return sum(part.frames * math.prod(size) for part, size in zip(self.seen, self.sizes, strict=True))

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> list[Tensor]:
        """Return for each input its scaled values at its sensors, (B, frames, *m), or (B, frames, P)."""
        return [self._at_sensors(number, inputs, grid) for number in range(len(self.seen))]

    def _at_sensors(self, number: int, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        part = self.seen[number]
        values = (inputs[part.quantity.name] - part.quantity.mean) / part.quantity.std
        values = values.reshape(values.shape[0], part.frames, *(grid[dim].shape[0] for dim in part.dims))
        nodes, periods = [grid[dim] for dim in part.dims], [self.periods[dim] for dim in part.dims]
        if number in self.scattered:
            return interpolate(values, nodes, getattr(self, f"points_{number}"), periods)
        return regrid(values, nodes, [getattr(self, f"nodes_{number}_{k}") for k in range(len(nodes))], periods)


class Branch(nn.Module):
    """A perceptron of all sensor values, or of what convolutions find in the functions on grids.

    Args:
        sensors: where inputs are seen.
        outputs: number of coefficients.
        periodic: dimension -> whether functions repeat along it.
        kind: mlp or cnn.
        width: units of each hidden layer.
        depth: number of hidden layers.
        activation: one of `pdeml.nn.ACTIVATIONS`.

    Raises:
        InputError: there are to be convolutions, and no function on a grid.
    """

    def __init__(
        self,
        sensors: Sensors,
        outputs: int,
        periodic: Mapping[str, bool],
        *,
        kind: str = "mlp",
        width: int = 128,
        depth: int = 3,
        activation: str = "gelu",
    ):
        super().__init__()
        self.activation = activation
        self.groups: list[list[int]] = []
        self.convolutions = nn.ModuleList()
        plain = list(range(len(sensors.seen)))
        if kind == "cnn":
            by_grid: dict[tuple[tuple[str, ...], tuple[int, ...]], list[int]] = {}
            for number in plain:
                dims, sizes = sensors.seen[number].dims, sensors.sizes[number]
                if 1 <= len(dims) <= 3 and number not in sensors.scattered:
                    by_grid.setdefault((dims, sizes), []).append(number)
            for (dims, sizes), members in by_grid.items():
                channels = sum(sensors.seen[number].frames for number in members)
                self.groups.append(members)
                self.convolutions.append(Convolutions(channels, sizes, [periodic[dim] for dim in dims], activation))
            if not self.groups:
                message = "convolutions need an input on a grid, not numbers or listed sensors alone: choose 'mlp'"
                raise InputError(message, ("branch",))
            plain = [number for number in plain if not any(number in group for group in self.groups)]
        self.plain = plain
        found = sum(sensors.seen[k].frames * math.prod(sensors.sizes[k]) for k in plain)
        found += sum(part.outputs for part in self.convolutions)
        sizes = [found, *[width] * depth, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        """Return the coefficients (B, outputs) from what `Sensors` returns."""
        parts = [values[number].flatten(1) for number in self.plain]
        for group, convolution in zip(self.groups, self.convolutions, strict=True):
            parts.append(convolution(torch.cat([values[number] for number in group], 1)))
        hidden, sigma = torch.cat(parts, 1), activation(self.activation)
        for layer in self.layers[:-1]:
            hidden = sigma(layer(hidden), 0)[0]
        return self.layers[-1](hidden)


class Convolutions(nn.Module):
    """Convolutions that halve a grid until it is small; the sides are padded as functions go on there.

    Args:
        channels: functions on the grid.
        sizes: points along each of one to three axes.
        periodic: whether functions repeat along each axis; otherwise their outermost values are repeated.
        activation: between convolutions.
    """

    def __init__(self, channels: int, sizes: Sequence[int], periodic: Sequence[bool], activation: str):
        super().__init__()
        self.activation, self.periodic, self.layers = activation, tuple(periodic), nn.ModuleList()
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(sizes) - 1]
        for wide in _CHANNELS:
            if self.layers and min(sizes) <= _SMALLEST:
                break
            self.layers.append(convolution(channels, wide, 3, stride=2))
            channels, sizes = wide, [(size - 1) // 2 + 1 for size in sizes]
        self.outputs = channels * math.prod(sizes)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, channels, *n) to (B, outputs)."""
        sigma = activation(self.activation)
        for layer in self.layers:
            values = sigma(layer(self._padded(values)), 0)[0]
        return values.flatten(1)

    def _padded(self, values: Tensor) -> Tensor:
        for k, wraps in enumerate(self.periodic):
            axis, last = k + 2, values.shape[k + 2] - 1
            ends = (last, 0) if wraps else (0, last)
            before, after = (values.narrow(axis, end, 1) for end in ends)
            values = torch.cat([before, values, after], axis)
        return values


def _nodes(axis: Axis, count: int) -> Tensor:
    """Return evenly spaced points of an axis; the end of a period is left out."""
    if count == 1:
        return torch.tensor([axis.low], dtype=torch.float64)
    last = axis.high - (axis.high - axis.low) / count * axis.periodic
    return torch.linspace(axis.low, last, count, dtype=torch.float64)


def _points(part: Seen, axes: Sequence[Axis], listed: Sequence[Sequence[float]]) -> Tensor:
    name = part.quantity.name
    if not listed or any(len(point) != len(part.dims) for point in listed):
        raise InputError(
            f"each sensor of {name!r} needs {len(part.dims)} coordinates: {', '.join(part.dims)}", ("sensors", name)
        )
    for point in listed:
        for axis, x in zip(axes, point, strict=True):
            step = (axis.high - axis.low) / max(axis.size - 1, 1)  # the ends of a domain, where data are in cells
            if not axis.low - step <= x <= axis.high + step:
                message = f"a sensor of {name!r} has {axis.name} = {x:g}, outside {axis.low:g} ... {axis.high:g}"
                raise InputError(message, ("sensors", name))
    return torch.tensor([list(map(float, point)) for point in listed], dtype=torch.float64)
