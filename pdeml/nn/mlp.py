"""The multilayer perceptron with its jets; reverse sweeps are in `pdeml_kernels.network`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.lower.jets import Jet
from pdeml.nn.activations import activation
from pdeml_kernels.network import Network, jets

__all__ = ["MLP"]


@dataclass(frozen=True)
class MLP:
    """``f(x) = W_L σ(… σ(W_1 x + b_1) …) + b_L`` as a pure function of a flat parameter vector.

    Args:
        inputs: number of input features.
        outputs: number of output functions.
        width: units of each hidden layer.
        depth: number of hidden layers.
        activation: one of `pdeml.nn.ACTIVATIONS`.
    """

    inputs: int
    outputs: int
    width: int = 20
    depth: int = 3
    activation: str = "tanh"

    @cached_property
    def sizes(self) -> Network:
        """What kernels are told of it."""
        activation(self.activation)
        return Network(self.inputs, self.outputs, self.width, self.depth, self.activation)

    @property
    def parameter_count(self) -> int:
        """Length of the flat parameter vector."""
        return self.sizes.parameter_count

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draw Glorot-normal weights and zero biases, shape (P,). Source: Glorot & Bengio (2010), §4.2."""
        parts = []
        for rows, columns in self.sizes.shapes:
            weight = torch.randn(rows * columns, generator=generator, dtype=torch.float64)
            parts += [weight * (2.0 / (rows + columns)) ** 0.5, torch.zeros(rows, dtype=torch.float64)]
        return torch.cat(parts).to(dtype)

    def layers(self, theta_P: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views (weight, bias) of each layer into the flat vector."""
        return self.sizes.layers(theta_P)

    def jet(self, theta_P: Tensor, inputs: Jet) -> Jet:
        """Return the jet of the outputs, given the jet of the inputs."""
        return Jet(inputs.spec, jets(theta_P, inputs.values, inputs.spec.chain, self.sizes))
