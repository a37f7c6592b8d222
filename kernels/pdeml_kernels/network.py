"""A multilayer perceptron that carries jets, ``f(x) = W_L σ(… σ(W_1 x + b_1) …) + b_L``, and its reverse sweeps.

    h_k = σ-chain rule of z, channel k,    z_k = W h_k  (+ b for k = 0),

layer by layer on the K channels of a jet, see `pdeml_kernels.jets`. The parameters are one vector θ of P numbers:
weights (F_out, F_in) and bias (F_out,) of each layer, one after the other. `linearised` keeps a `Tape` for the
reverse sweeps; the operators of `torch.library` named ``pdeml_kernels::jet_mlp*`` keep nothing and go forward again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pdeml_kernels.activations import ACTIVATIONS
from pdeml_kernels.jets import Chain, Composition, compose, decoded, encoded, highest

__all__ = [
    "Network",
    "Recomputed",
    "Tape",
    "check_jets",
    "check_sweep",
    "jet_mlp",
    "jet_mlp_backward",
    "jet_mlp_jacobian",
    "jets",
    "linearised",
]


class Network(NamedTuple):
    """Sizes of a network, and its activation: tanh, sin, gelu or silu."""

    inputs: int
    outputs: int
    width: int
    depth: int
    activation: str

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(F_out, F_in) of each layer."""
        sizes = [self.inputs, *[self.width] * self.depth, self.outputs]
        return tuple(zip(sizes[1:], sizes[:-1], strict=True))

    @property
    def parameter_count(self) -> int:
        """Length of θ."""
        return sum(rows * columns + rows for rows, columns in self.shapes)

    def layers(self, theta_P: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return views (weight, bias) of each layer into θ."""
        views, start = [], 0
        for rows, columns in self.shapes:
            middle, end = start + rows * columns, start + rows * columns + rows
            views.append((theta_P[start:middle].view(rows, columns), theta_P[middle:end]))
            start = end
        return views


@dataclass(frozen=True)
class Tape:
    """A forward sweep's record. ``entering`` holds the jets (K, N, F_in) that enter each layer."""

    weights: tuple[Tensor, ...]
    entering: tuple[Tensor, ...]
    compositions: tuple[Composition, ...]

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Differentiate ``Σ_ku adjoint[k, n, u] · jet[k, n, u]`` by θ, for each point n alone.

        Args:
            adjoint_KNU: (K, N, U).
            out_NP: filled and returned; a caller that steps often reuses it, as fresh memory is slow to touch.
        """
        points, end = adjoint_KNU.shape[1], out_NP.shape[1]
        for adjoint, entering in self._sweep(adjoint_KNU):
            middle = end - adjoint.shape[2]
            start = middle - adjoint.shape[2] * entering.shape[2]
            towards = _by_point(adjoint)
            out_NP[:, start:middle] = torch.bmm(towards, _by_point(entering).mT).reshape(points, -1)
            out_NP[:, middle:end] = towards[:, :, 0]
            end = start
        return out_NP

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Differentiate ``Σ_knu adjoint · jet`` by θ: shape (P,)."""
        parts = []
        for adjoint, entering in self._sweep(adjoint_KNU):
            rows, columns = adjoint.shape[2], entering.shape[2]
            parts += [adjoint[0].sum(0), (adjoint.reshape(-1, rows).T @ entering.reshape(-1, columns)).reshape(-1)]
        return torch.cat(parts[::-1])

    def of_inputs(self, adjoint_KNU: Tensor) -> Tensor:
        """Differentiate ``Σ_knu adjoint · jet`` by the jet that enters the network: (K, N, F)."""
        for adjoint, _ in self._sweep(adjoint_KNU):
            first = adjoint
        return first @ self.weights[0]

    def _sweep(self, adjoint: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, from the last layer to the first: cotangent of the layer's output, jet entering it."""
        for layer in reversed(range(len(self.weights))):
            yield adjoint, self.entering[layer]
            if layer:
                adjoint = self.compositions[layer - 1].pullback(_mapped(adjoint, self.weights[layer].T))


@dataclass(frozen=True)
class Recomputed:
    """What takes the place of a `Tape` where the reverse sweep goes forward again."""

    theta: Tensor
    inputs: Tensor
    chain: Chain
    network: Network
    backward: Callable[..., tuple[Tensor, Tensor]]
    by_point: Callable[..., Tensor]

    def jacobian(self, adjoint_KNU: Tensor, out_NP: Tensor) -> Tensor:
        """Differentiate ``Σ_ku adjoint[k, n, u] · jet[k, n, u]`` by θ, for each point n alone; fill ``out``."""
        return self.by_point(adjoint_KNU, self.theta, self.inputs, self.chain, self.network, out_NP)

    def pullback(self, adjoint_KNU: Tensor) -> Tensor:
        """Differentiate ``Σ_knu adjoint · jet`` by θ: shape (P,)."""
        return self.backward(adjoint_KNU, self.theta, self.inputs, self.chain, self.network)[0]


def jets(theta_P: Tensor, inputs_KNF: Tensor, chain: Chain, network: Network, compose: Callable = compose) -> Tensor:
    """Return the jet of the outputs, (K, N, U); differentiable by autograd any number of times.

    Args:
        theta_P: θ.
        inputs_KNF: the jet of the inputs.
        chain: what its channels mean.
        network: sizes and activation.
        compose: as `pdeml_kernels.jets.compose`; that of `pdeml_kernels.inductor` is not differentiable.
    """
    *_, (jet, _) = _through(theta_P, inputs_KNF, chain, network, highest(chain), compose)
    return _linear(jet, *network.layers(theta_P)[-1]).contiguous()


def linearised(
    theta_P: Tensor, inputs_KNF: Tensor, chain: Chain, network: Network, compose: Callable = compose
) -> tuple[Tensor, Tape]:
    """Return what `jets` does, and a tape for reverse sweeps."""
    hidden = list(_through(theta_P, inputs_KNF, chain, network, highest(chain) + 1, compose))
    entering, compositions = (inputs_KNF, *(jet for jet, _ in hidden)), tuple(rule for _, rule in hidden)
    layers = network.layers(theta_P)
    found = _linear(entering[-1], *layers[-1]).contiguous()
    return found, Tape(tuple(weight for weight, _ in layers), entering, compositions)


def _through(
    theta: Tensor, jet: Tensor, chain: Chain, network: Network, order: int, compose: Callable
) -> Iterator[tuple[Tensor, Composition]]:
    """Yield the jet behind each hidden layer, and what the reverse sweep needs: ``order`` derivatives of σ."""
    for weight, bias in network.layers(theta)[:-1]:
        jet, composition = compose(_linear(jet, weight, bias), chain, ACTIVATIONS[network.activation], order)
        yield jet, composition


def _linear(jet: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    values = _mapped(jet, weight)
    # In place: to put the channels together again would be one more pass over all of them.
    values[0] += bias
    return values


def _mapped(jet: Tensor, weight: Tensor) -> Tensor:
    """Return ``weight · jet`` of every channel and point, (K, N, F_out), features slowest in memory.

    On CPUs products of thin matrices are up to twice as fast in this order.
    """
    channels, points, features = jet.shape
    return (weight @ jet.reshape(-1, features).T).view(len(weight), channels, points).permute(1, 2, 0)


def _by_point(jet: Tensor) -> Tensor:
    """Return a jet as (N, F, K): one transposed matrix, which is copied faster than three permuted dimensions."""
    channels, points, features = jet.shape
    return jet.permute(2, 0, 1).reshape(-1, points).T.contiguous().view(points, features, channels)


def check_jets(theta: Tensor, inputs: Tensor, chain: Chain, network: Network) -> None:
    """Refuse what does not fit together.

    Raises:
        ValueError: shapes, types or the activation are wrong.
    """
    if network.activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {network.activation!r}")
    if inputs.ndim != 3 or inputs.shape[::2] != (len(chain) + 1, network.inputs):
        wanted = f"({len(chain) + 1}, N, {network.inputs})"
        raise ValueError(f"the jet of the inputs must be {wanted}, not {tuple(inputs.shape)}")
    if theta.shape != (network.parameter_count,):
        raise ValueError(f"the network has {network.parameter_count} parameters, not {tuple(theta.shape)}")
    if theta.dtype != inputs.dtype:
        raise ValueError(f"parameters and inputs must be of one type, not {theta.dtype} and {inputs.dtype}")


def check_sweep(
    adjoint: Tensor, theta: Tensor, inputs: Tensor, chain: Chain, network: Network, out: Tensor | None = None
) -> None:
    """Refuse what does not fit together in a reverse sweep; ``out`` takes a Jacobian.

    Raises:
        ValueError: shapes, types or the activation are wrong.
    """
    check_jets(theta, inputs, chain, network)
    wanted = {"cotangents": (adjoint, (*inputs.shape[:2], network.outputs))}
    if out is not None:
        wanted["Jacobian"] = out, (inputs.shape[1], network.parameter_count)
    for name, (tensor, shape) in wanted.items():
        if tuple(tensor.shape) != shape or tensor.dtype != theta.dtype:
            given = f"{tuple(tensor.shape)}, {tensor.dtype}"
            raise ValueError(f"the {name} must be {shape}, {theta.dtype}, not {given}")


def jet_mlp(theta: Tensor, inputs: Tensor, chain: Chain, network: Network) -> Tensor:
    """Carry a jet through a network; differentiable once, keeping nothing but what it is given.

    Args:
        theta: (P,).
        inputs: (K, N, F).
        chain: what the channels mean.
        network: sizes and activation.

    Returns: (K, N, U).

    Raises:
        ValueError: shapes, types or the activation are wrong.

    Reference: Griewank & Walther, *Evaluating Derivatives* (2008), ch. 13.
    """
    check_jets(theta, inputs, chain, network)
    return _forward(theta, inputs, *flat(chain, network))


def jet_mlp_backward(
    adjoint: Tensor, theta: Tensor, inputs: Tensor, chain: Chain, network: Network, of_inputs: bool = False
) -> tuple[Tensor, Tensor]:
    """Differentiate ``Σ_knu adjoint · jet`` by the parameters, and the inputs if that is wanted.

    Args:
        adjoint: (K, N, U).
        theta: (P,).
        inputs: (K, N, F).
        chain: what the channels mean.
        network: sizes and activation.
        of_inputs: whether the second gradient is wanted.

    Returns: (P,), and (K, N, F) or an empty tensor.

    Raises:
        ValueError: shapes, types or the activation are wrong.
    """
    check_sweep(adjoint, theta, inputs, chain, network)
    return _backward(adjoint, theta, inputs, *flat(chain, network), of_inputs)


def jet_mlp_jacobian(
    adjoint: Tensor, theta: Tensor, inputs: Tensor, chain: Chain, network: Network, out: Tensor
) -> Tensor:
    """Differentiate ``Σ_ku adjoint[k, n, u] · jet[k, n, u]`` by the parameters, for each point n alone.

    Args:
        adjoint: (K, N, U).
        theta: (P,).
        inputs: (K, N, F).
        chain: what the channels mean.
        network: sizes and activation.
        out: (N, P), filled and returned; its rows may lie apart in memory.

    Raises:
        ValueError: shapes, types or the activation are wrong.
    """
    check_sweep(adjoint, theta, inputs, chain, network, out)
    _jacobian(adjoint, theta, inputs, *flat(chain, network), out)
    return out


@torch.compiler.assume_constant_result
def flat(chain: Chain, network: Network) -> tuple[str, int, int, int, str]:
    """Return chain and network as operators of torch take them; the inputs are counted in their tensor."""
    return encoded(chain), network.width, network.depth, network.outputs, network.activation


@torch.library.custom_op("pdeml_kernels::jet_mlp", mutates_args=())
def _forward(
    theta: Tensor, inputs: Tensor, chain: str, width: int, depth: int, outputs: int, activation: str
) -> Tensor:
    network = Network(inputs.shape[2], outputs, width, depth, activation)
    return jets(theta, inputs, decoded(chain), network)


@_forward.register_fake
def _(theta: Tensor, inputs: Tensor, chain: str, width: int, depth: int, outputs: int, activation: str) -> Tensor:
    return inputs.new_empty(*inputs.shape[:2], outputs)


@torch.library.custom_op("pdeml_kernels::jet_mlp_backward", mutates_args=())
def _backward(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: str,
    width: int,
    depth: int,
    outputs: int,
    activation: str,
    of_inputs: bool,
) -> tuple[Tensor, Tensor]:
    network = Network(inputs.shape[2], outputs, width, depth, activation)
    _, tape = linearised(theta, inputs, decoded(chain), network)
    return tape.pullback(adjoint), tape.of_inputs(adjoint) if of_inputs else inputs.new_empty(0)


@_backward.register_fake
def _(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: str,
    width: int,
    depth: int,
    outputs: int,
    activation: str,
    of_inputs: bool,
) -> tuple[Tensor, Tensor]:
    return theta.new_empty(theta.shape), inputs.new_empty(inputs.shape if of_inputs else 0)


@torch.library.custom_op("pdeml_kernels::jet_mlp_jacobian", mutates_args=("out",))
def _jacobian(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: str,
    width: int,
    depth: int,
    outputs: int,
    activation: str,
    out: Tensor,
) -> None:
    network = Network(inputs.shape[2], outputs, width, depth, activation)
    linearised(theta, inputs, decoded(chain), network)[1].jacobian(adjoint, out)


def keep_given(ctx, inputs, output) -> None:
    """Keep what `jet_mlp` was given, for its gradients."""
    theta, jet, *ctx.rest = inputs
    ctx.save_for_backward(theta, jet)


def _gradients(ctx, grad: Tensor):
    theta, inputs = ctx.saved_tensors
    of_theta, of_inputs = _backward(grad, theta, inputs, *ctx.rest, ctx.needs_input_grad[1])
    return of_theta, of_inputs if ctx.needs_input_grad[1] else None, *(None for _ in ctx.rest)


_forward.register_autograd(_gradients, setup_context=keep_given)
