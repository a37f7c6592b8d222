"""The multilayer perceptron, with jets in one forward sweep and the parameter Jacobian in one reverse sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeml.lower.jets import Composition, Jet, composed, linear
from pdeml.nn.activations import activation

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
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(F_out, F_in) of each layer."""
        sizes = [self.inputs, *[self.width] * self.depth, self.outputs]
        return tuple(zip(sizes[1:], sizes[:-1], strict=True))

    @property
    def parameter_count(self) -> int:
        """Length of the flat parameter vector."""
        return sum(rows * columns + rows for rows, columns in self.shapes)

    def initial(self, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draw Glorot-normal weights and zero biases, shape (P,). Source: Glorot & Bengio (2010), §4.2."""
        parts = []
        for rows, columns in self.shapes:
            weight = torch.randn(rows * columns, generator=generator, dtype=torch.float64)
            parts += [weight * (2.0 / (rows + columns)) ** 0.5, torch.zeros(rows, dtype=torch.float64)]
        return torch.cat(parts).to(dtype)

    def layers(self, theta_P: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views (weight, bias) of each layer into the flat vector."""
        views, start = [], 0
        for rows, columns in self.shapes:
            middle, end = start + rows * columns, start + rows * columns + rows
            views.append((theta_P[start:middle].view(rows, columns), theta_P[middle:end]))
            start = end
        return views

    def jet(self, theta_P: Tensor, inputs: Jet) -> Jet:
        """Return the jet of the outputs, given the jet of the inputs."""
        return self._forward(theta_P, inputs, extra=0)[0]

    def linearise(self, theta_P: Tensor, inputs: Jet) -> tuple[Jet, MLPTape]:
        """Return the jet of the outputs and a tape for reverse sweeps with respect to the parameters."""
        return self._forward(theta_P, inputs, extra=1)

    def _forward(self, theta_P: Tensor, inputs: Jet, extra: int) -> tuple[Jet, MLPTape]:
        sigma = activation(self.activation)
        layers = self.layers(theta_P)
        jet, entering, compositions = inputs, [], []
        for weight, bias in layers[:-1]:
            entering.append(jet.values)
            jet, composition = composed(linear(jet, weight, bias), sigma, extra)
            compositions.append(composition)
        entering.append(jet.values)
        return linear(jet, *layers[-1]), MLPTape(
            self, tuple(w for w, _ in layers), tuple(entering), tuple(compositions)
        )


@dataclass(frozen=True)
class MLPTape:
    """A forward sweep's record. ``entering`` holds the (K, N, F_in) jets that enter each layer."""

    network: MLP
    weights: tuple[Tensor, ...]
    entering: tuple[Tensor, ...]
    compositions: tuple[Composition, ...]

    def jacobian(self, adjoint_KNF: Tensor, out_NP: Tensor) -> Tensor:
        """Differentiate ``Σ_kf adjoint[k, n, f] · jet[k, n, f]`` by the parameters, for each point n alone.

        Args:
            adjoint_KNF: (K, N, F_out).
            out_NP: filled and returned; a caller that steps often reuses it, as fresh memory is slow to touch.
        """
        points, result = adjoint_KNF.shape[1], out_NP
        for start, adjoint, entering in self._sweep(adjoint_KNF):
            rows, columns = adjoint.shape[2], entering.shape[2]
            middle = start + rows * columns
            outer = torch.bmm(adjoint.permute(1, 2, 0), entering.permute(1, 0, 2))
            result[:, start:middle] = outer.reshape(points, -1)
            result[:, middle : middle + rows] = adjoint[0]
        return result

    def pullback(self, adjoint_KNF: Tensor) -> Tensor:
        """Differentiate ``Σ_knf adjoint · jet`` by the parameters: shape (P,)."""
        result = adjoint_KNF.new_empty(self.network.parameter_count)
        for start, adjoint, entering in self._sweep(adjoint_KNF):
            rows, columns = adjoint.shape[2], entering.shape[2]
            middle = start + rows * columns
            result[start:middle] = (adjoint.reshape(-1, rows).T @ entering.reshape(-1, columns)).reshape(-1)
            result[middle : middle + rows] = adjoint[0].sum(0)
        return result

    def _sweep(self, adjoint: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield, from the last layer to the first: offset in θ, cotangent of the layer's output, jet entering it."""
        start = self.network.parameter_count
        for layer in reversed(range(len(self.weights))):
            start -= self.weights[layer].numel() + self.weights[layer].shape[0]
            yield start, adjoint, self.entering[layer]
            if layer:
                adjoint = self.compositions[layer - 1].pullback(adjoint @ self.weights[layer])
