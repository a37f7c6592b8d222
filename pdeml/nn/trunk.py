"""Trunks of a DeepONet: functions of the output's coordinates, on grids, at points, and as jets.

F functions; their first letter counts samples nowhere: a trunk knows nothing of the inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from pdeml.data.signature import Axis
from pdeml.lower.jets import Jet, compose, linear
from pdeml.lower.multi_index import JetSpec
from pdeml.nn.activations import activation
from pdeml.nn.interpolate import interpolate, interpolated_jet, regrid
from pdeml.nn.mlp import MLP
from pdeml_kernels.activations import sin

__all__ = ["ModeTrunk", "NetworkTrunk", "Trunk"]

_SHARPER = 8.0


class Trunk(Protocol):
    """F functions of D coordinates."""

    def on_grid(self, coordinates: Sequence[Tensor]) -> Tensor:
        """Return their values on a tensor grid, (F, *n)."""

    def at(self, points: Tensor) -> Tensor:
        """Return their values at points (N, D), as (N, F)."""

    def jets(self, points: Tensor, spec: JetSpec) -> Tensor:
        """Return the channels of a jet at points (N, D), as (K, N, F), in units of the coordinates."""


class NetworkTrunk(nn.Module):
    """A network of coordinates of order one: those of open axes, and waves of periodic ones, which repeat exactly.

    Args:
        axes: of the outputs.
        functions: F.
        width: units of each hidden layer.
        depth: number of hidden layers.
        activation: one of `pdeml.nn.ACTIVATIONS`.
        harmonics: waves of each periodic axis: cos and sin of 1, …, ``harmonics`` turns.
        octaves: waves of each open axis: cos and sin of ``2^j π`` times the coordinate in [−1, 1], j = 0, …,
            ``octaves − 1``.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        functions: int,
        *,
        width: int = 512,
        depth: int = 2,
        activation: str = "tanh",
        harmonics: int = 8,
        octaves: int = 0,
    ):
        super().__init__()
        middles = [axis.low if axis.periodic else 0.5 * (axis.low + axis.high) for axis in axes]
        sizes = [_size(axis) for axis in axes]
        turns = [_turns(axis, harmonics, octaves) for axis in axes]
        rows = [(k, turn, phase) for k, part in enumerate(turns) for turn in part for phase in (0.5 * math.pi, 0.0)]
        frequencies = torch.zeros(len(rows), len(axes), dtype=torch.float64)
        for row, (k, turn, _) in enumerate(rows):
            frequencies[row, k] = turn
        self.open = [k for k, axis in enumerate(axes) if not axis.periodic]
        self.network = MLP(len(self.open) + len(rows), functions, width, depth, activation)
        constants = {
            "middles": torch.tensor(middles, dtype=torch.float64),
            "slopes": torch.tensor([1.0 / size for size in sizes], dtype=torch.float64),
            "frequencies": frequencies,
            "phases": torch.tensor([phase for *_, phase in rows], dtype=torch.float64),
        }
        for name, values in constants.items():
            self.register_buffer(name, values, persistent=False)
        self.theta = nn.Parameter(self.network.initial(torch.default_generator))

    def on_grid(self, coordinates: Sequence[Tensor]) -> Tensor:
        """Return the functions on a tensor grid, (F, *n)."""
        points = torch.stack([part.flatten() for part in torch.meshgrid(*coordinates, indexing="ij")], 1)
        return self.at(points).T.unflatten(1, [len(part) for part in coordinates])

    def at(self, points: Tensor) -> Tensor:
        """Return the functions at points (N, D), as (N, F)."""
        hidden, (weight, bias) = self.hidden(points), self.network.layers(self.theta)[-1]
        return nn.functional.linear(hidden, weight, bias)

    def hidden(self, points: Tensor) -> Tensor:
        """Return what enters the last layer, (N, width)."""
        sigma = activation(self.network.activation)
        scaled = (points - self.middles) * self.slopes
        waves = torch.sin(nn.functional.linear(scaled, self.frequencies, self.phases))
        hidden = torch.cat([scaled[:, self.open], waves], 1)
        for weight, bias in self.network.layers(self.theta)[:-1]:
            hidden = sigma(nn.functional.linear(hidden, weight, bias), 0)[0]
        return hidden

    def set_last(self, solution: Tensor) -> None:
        """Set the last layer: (width + 1, F), the bias in the last row."""
        with torch.no_grad():
            weight, bias = self.network.layers(self.theta)[-1]
            weight.copy_(solution[:-1].T)
            bias.copy_(solution[-1])

    def jets(self, points: Tensor, spec: JetSpec) -> Tensor:
        """Return the channels of the functions, (K, N, F)."""
        scaled = coordinate_jet(points, spec, self.middles, self.slopes)
        waves = compose(linear(scaled, self.frequencies, self.phases), sin)
        seen = Jet(spec, torch.cat([scaled.values[:, :, self.open], waves.values], 2))
        return self.network.jet(self.theta, seen).values

    def sharpen(self) -> None:
        """Make first hidden units that turn eight times as fast in open coordinates, each at another place.

        Fresh networks are smooth: combinations of their hidden units hardly span functions with details.
        """
        with torch.no_grad():
            weight, bias = self.network.layers(self.theta)[0]
            weight[:, : len(self.open)] *= _SHARPER
            places = torch.randn(len(bias), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            bias.copy_(places * _SHARPER * (2.0 / sum(weight.shape)) ** 0.5)


class ModeTrunk(nn.Module):
    """Functions known on a grid (POD modes), interpolated elsewhere: cubic, eight nodes where derivatives are wanted.

    Args:
        axes: of the outputs; one that marches in time has the times within a window.
        functions: F.
    """

    def __init__(self, axes: Sequence[Axis], functions: int):
        super().__init__()
        self.periods = tuple(axis.high - axis.low if axis.periodic else None for axis in axes)
        self.register_buffer("modes", torch.zeros(functions, *(axis.size for axis in axes), dtype=torch.float64))
        for k, axis in enumerate(axes):
            last = axis.high - (axis.high - axis.low) / axis.size * axis.periodic
            self.register_buffer(f"nodes_{k}", torch.linspace(axis.low, last, axis.size, dtype=torch.float64))

    @property
    def nodes(self) -> list[Tensor]:
        """Coordinates of the grid on which the functions are known."""
        return [getattr(self, f"nodes_{k}") for k in range(len(self.periods))]

    def on_grid(self, coordinates: Sequence[Tensor]) -> Tensor:
        """Return the functions on a tensor grid, (F, *n)."""
        return regrid(self.modes, self.nodes, coordinates, self.periods)

    def at(self, points: Tensor) -> Tensor:
        """Return the functions at points (N, D), as (N, F)."""
        return interpolate(self.modes, self.nodes, points, self.periods).T

    def jets(self, points: Tensor, spec: JetSpec) -> Tensor:
        """Return the channels of the functions, (K, N, F)."""
        return interpolated_jet(self.modes, self.nodes, points, spec, self.periods).transpose(1, 2)


def coordinate_jet(points: Tensor, spec: JetSpec, middles: Tensor, slopes: Tensor) -> Jet:
    """Return the jet of the coordinates ``(x − middle) · slope``: (K, N, D)."""
    zero = torch.zeros_like(points)
    channels = [(points - middles) * slopes]
    for members in spec.members[1:]:
        rates = torch.zeros_like(slopes)
        for coefficient, index in members:
            if sum(index) == 1:
                rates[index.index(1)] += coefficient * slopes[index.index(1)]
        channels.append(zero + rates)
    return Jet(spec, torch.stack(channels))


def _size(axis: Axis) -> float:
    """Return the length that becomes one: half of an open axis, a radian of a periodic one."""
    length = (axis.high - axis.low) or 1.0
    return length / (2 * math.pi) if axis.periodic else 0.5 * length


def _turns(axis: Axis, harmonics: int, octaves: int) -> list[float]:
    if axis.periodic:
        return [float(k) for k in range(1, harmonics + 1)]
    return [math.pi * 2**j for j in range(octaves)]
