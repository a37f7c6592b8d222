"""A network that carries jets by one Triton kernel, its gradients and its parameter Jacobian by another one.

Gradients of parameters are summed in two stages: each program adds up the points that it takes, one block after the
other, in a row of its own; then the rows are summed. Equal inputs give equal bits. Compilers do not see into these
operators: they copy the source of a kernel, but not the classes that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import torch
import triton
from torch import Tensor

from pdeml_kernels.bench.equations import EQUATIONS
from pdeml_kernels.jets import Chain, decoded, highest
from pdeml_kernels.network import Network, check_jets, check_sweep, flat, keep_given
from pdeml_kernels.triton_jets import chain_rule, polynomials, transposed_rule
from pdeml_kernels.triton_support import Blocks, Plan, Precision, check_device, launch, power, precision_of
from pdeml_kernels.triton_sweeps import forward_kernel, reverse_kernel

__all__ = [
    "WIDEST",
    "example_plans",
    "jet_mlp_backward_triton",
    "jet_mlp_jacobian_triton",
    "jet_mlp_triton",
]

WIDEST = 256
"""Units of a layer at most."""


def _constants(chain: Chain, network: Network, dtype: torch.dtype, precision: Precision) -> dict:
    order = highest(chain)
    return {
        "RULE": chain_rule(chain),
        "ACTIVATION": network.activation,
        "POLYNOMIALS": polynomials(network.activation, order + 1),
        "ORDER": order,
        "FEATURES": network.inputs,
        "WIDTH": network.width,
        "HELD": _held(network.width, dtype),
        "OUTPUTS": network.outputs,
        "PRECISION": precision,
        "BLOCK_F": power(network.inputs, most=32),
        "BLOCK_U": power(network.outputs, most=32),
    }


def _chunk(width: int, dtype: torch.dtype) -> int:
    """Return how many units of a layer a program has in registers."""
    return power(width, most=32 if dtype == torch.float64 else 64)


def _held(width: int, dtype: torch.dtype) -> int:
    """Return how many units memory is laid out for: whole chunks."""
    return triton.cdiv(width, _chunk(width, dtype)) * _chunk(width, dtype)


@lru_cache(maxsize=256)
def _candidates(width: int, dtype: torch.dtype, reverse: bool) -> tuple[Blocks, ...]:
    """Return points, units of a chunk and units of a step with which the tiles of all channels stay in registers.

    Of 16 points the warps of a program share the units; rows of more points they would work on several times. All
    candidates are of the same number of points: each program then has a block of them.
    """
    n = _chunk(width, dtype)
    few, many = Blocks(16, n, 16, 4, 2), Blocks(16, n, 16, 8, 2)
    found = [many, few] if reverse and n > 16 else [few, many]
    found += [Blocks(16, n // 2, 16, 4, 2), Blocks(16, n, 32, 8, 2)] if n > 16 else []
    found += [Blocks(16, 2 * n, 16, 8, 2)] if _held(width, dtype) % (2 * n) == 0 else []
    return tuple(found)


def _programs(points: int, width: int, candidates: Sequence[Blocks]) -> int:
    """Return how many programs share the points: twice as many as a large device has multiprocessors, or four times."""
    return min(triton.cdiv(points, candidates[0].m), 264 if width > 64 else 528)


def _memory(jets: int, inputs: Tensor, network: Network, candidates: Sequence[Blocks]) -> Tensor:
    """Return memory for some jets of hidden units for each program."""
    channels, points, _ = inputs.shape
    programs = _programs(points, network.width, candidates)
    return inputs.new_empty(programs * jets * channels * candidates[0].m * _held(network.width, inputs.dtype))


def _rows(points: int, network: Network, dtype: torch.dtype) -> int:
    """Return how many sums of a gradient there are."""
    return _programs(points, network.width, _candidates(network.width, dtype, reverse=True))


def forward_plan(
    theta: Tensor, inputs: Tensor, out: Tensor, chain: Chain, network: Network, precision: Precision
) -> Plan:
    """Plan `forward_kernel`: theta (P,), inputs (K, N, F) and out (K, N, U) are contiguous."""
    points, candidates = inputs.shape[1], _candidates(network.width, theta.dtype, reverse=False)
    named = {"theta": theta, "inputs": inputs, "out": out, "points": points, "depth": network.depth}
    return Plan(
        forward_kernel,
        {
            **named,
            "scratch": _memory(2, inputs, network, candidates),
            **_constants(chain, network, theta.dtype, precision),
        },
        lambda _: _programs(points, network.width, candidates),
        (*_key(inputs, chain, network), precision),
        candidates,
    )


def _key(inputs: Tensor, chain: Chain, network: Network) -> tuple:
    channels, points, _ = inputs.shape
    return channels, highest(chain), *network, points.bit_length(), inputs.dtype


def reverse_plan(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    out: Tensor,
    of_inputs: Tensor | None,
    chain: Chain,
    network: Network,
    precision: Precision,
    *,
    jacobian: bool,
) -> Plan:
    """Plan `reverse_kernel`.

    Args:
        adjoint: (K, N, U), contiguous as all but ``out``.
        theta: (P,).
        inputs: (K, N, F).
        out: the Jacobian (N, P), or the sums of each program.
        of_inputs: takes the gradient (K, N, F), or none.
        chain: what the channels mean.
        network: sizes and activation.
        precision: of products.
        jacobian: what ``out`` is.
    """
    points, candidates = inputs.shape[1], _candidates(network.width, theta.dtype, reverse=True)
    named = {"adjoint": adjoint, "theta": theta, "inputs": inputs, "out": out, "of_inputs": of_inputs}
    named |= {"points": points, "depth": network.depth, "step": out.stride(0)}
    named |= {"scratch": _memory(network.depth + 3, inputs, network, candidates)}
    constants = {
        **_constants(chain, network, theta.dtype, precision),
        "TRANSPOSED": transposed_rule(chain),
        "JACOBIAN": jacobian,
    }
    return Plan(
        reverse_kernel,
        {**named, **constants},
        lambda _: _programs(points, network.width, candidates),
        (*_key(inputs, chain, network), precision, jacobian, of_inputs is not None),
        candidates,
    )


def jet_mlp_triton(
    theta: Tensor, inputs: Tensor, chain: Chain, network: Network, *, precision: Precision | None = None
) -> Tensor:
    """Do what `jet_mlp` does, by one Triton kernel.

    Args:
        theta: (P,), float32 or float64.
        inputs: (K, N, F).
        chain: what the channels mean.
        network: sizes and activation, up to 256 units wide.
        precision: of products in float32: ieee, tf32x3 (about as exact, the default) or tf32 (about 1e-3).

    Returns: (K, N, U).

    Raises:
        ValueError: shapes, types, the width or the activation are wrong, there is no such precision, or no kernel can
            read the tensors.
    """
    check_jets(theta, inputs, chain, network)
    return _forward(theta, inputs, *flat(chain, network), _precision(theta, network, precision))


def jet_mlp_backward_triton(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: Chain,
    network: Network,
    of_inputs: bool = False,
    *,
    precision: Precision | None = None,
) -> tuple[Tensor, Tensor]:
    """Do what `jet_mlp_backward` does, by one Triton kernel and a sum; see `jet_mlp_triton`.

    Raises:
        ValueError: see `jet_mlp_triton`.
    """
    check_sweep(adjoint, theta, inputs, chain, network)
    return _backward(adjoint, theta, inputs, *flat(chain, network), _precision(theta, network, precision), of_inputs)


def jet_mlp_jacobian_triton(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: Chain,
    network: Network,
    out: Tensor,
    *,
    precision: Precision | None = None,
) -> Tensor:
    """Do what `jet_mlp_jacobian` does, by one Triton kernel; see `jet_mlp_triton`.

    Raises:
        ValueError: see `jet_mlp_triton`; or the numbers in a row of ``out`` lie apart in memory.
    """
    check_sweep(adjoint, theta, inputs, chain, network, out)
    if out.stride(1) != 1:
        raise ValueError(f"rows of the Jacobian must be whole in memory, not of step {out.stride(1)}")
    _jacobian(adjoint, theta, inputs, *flat(chain, network), _precision(theta, network, precision), out)
    return out


def _precision(theta: Tensor, network: Network, wanted: Precision | None) -> Precision:
    """Return the precision of products; refuse what no kernel can compute."""
    check_device(theta)
    if theta.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"networks are computed in float32 or float64, not {theta.dtype}")
    if network.width > WIDEST:
        raise ValueError(f"layers are at most {WIDEST} units wide in a kernel, not {network.width}")
    if network.depth < 1:
        raise ValueError("a network in a kernel has a hidden layer at least")
    return "ieee" if theta.dtype == torch.float64 else precision_of(wanted, theta.dtype)


@torch.library.custom_op("pdeml_kernels::triton_jet_mlp", mutates_args=())
def _forward(
    theta: Tensor, inputs: Tensor, chain: str, width: int, depth: int, outputs: int, activation: str, precision: str
) -> Tensor:
    theta, inputs = theta.contiguous(), inputs.contiguous()
    network = _network(inputs, width, depth, outputs, activation)
    out = inputs.new_empty(*inputs.shape[:2], outputs)
    launch(forward_plan(theta, inputs, out, decoded(chain), network, precision))
    return out


def _network(inputs: Tensor, width: int, depth: int, outputs: int, activation: str) -> Network:
    return Network(inputs.shape[2], outputs, width, depth, activation)


@_forward.register_fake
def _(
    theta: Tensor, inputs: Tensor, chain: str, width: int, depth: int, outputs: int, activation: str, precision: str
) -> Tensor:
    return inputs.new_empty(*inputs.shape[:2], outputs)


@torch.library.custom_op("pdeml_kernels::triton_jet_mlp_backward", mutates_args=())
def _backward(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: str,
    width: int,
    depth: int,
    outputs: int,
    activation: str,
    precision: str,
    of_inputs: bool,
) -> tuple[Tensor, Tensor]:
    adjoint, theta, inputs = adjoint.contiguous(), theta.contiguous(), inputs.contiguous()
    network, points = _network(inputs, width, depth, outputs, activation), inputs.shape[1]
    sums = theta.new_empty(_rows(points, network, theta.dtype), len(theta))
    below = inputs.new_empty(inputs.shape if of_inputs else 0)
    towards = below if of_inputs else None
    launch(reverse_plan(adjoint, theta, inputs, sums, towards, decoded(chain), network, precision, jacobian=False))
    return sums.sum(0), below


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
    precision: str,
    of_inputs: bool,
) -> tuple[Tensor, Tensor]:
    return theta.new_empty(theta.shape), inputs.new_empty(inputs.shape if of_inputs else 0)


@torch.library.custom_op("pdeml_kernels::triton_jet_mlp_jacobian", mutates_args=("out",))
def _jacobian(
    adjoint: Tensor,
    theta: Tensor,
    inputs: Tensor,
    chain: str,
    width: int,
    depth: int,
    outputs: int,
    activation: str,
    precision: str,
    out: Tensor,
) -> None:
    adjoint, theta, inputs = adjoint.contiguous(), theta.contiguous(), inputs.contiguous()
    network = _network(inputs, width, depth, outputs, activation)
    launch(reverse_plan(adjoint, theta, inputs, out, None, decoded(chain), network, precision, jacobian=True))


def _gradients(ctx, grad: Tensor):
    theta, inputs = ctx.saved_tensors
    of_theta, of_inputs = _backward(grad, theta, inputs, *ctx.rest, ctx.needs_input_grad[1])
    return of_theta, of_inputs if ctx.needs_input_grad[1] else None, *(None for _ in ctx.rest)


_forward.register_autograd(_gradients, setup_context=keep_given)


def example_plans(dtype: torch.dtype, precision: Precision) -> Iterator[tuple[str, Plan]]:
    """Yield the plans of networks for three equations, 65,536 points.

    They have 4 hidden layers of 128 units; of 32 in double precision, as Gauss-Newton takes.
    """
    points, width = 65536, 32 if dtype == torch.float64 else 128
    empty = partial(torch.empty, dtype=dtype, device="meta")
    for equation in EQUATIONS:
        name, chain, unknowns = equation.name, equation.chain, equation.unknowns
        network = Network(equation.coordinates, unknowns, width, 4, "tanh")
        count, channels = network.parameter_count, len(chain) + 1
        theta, inputs = empty(count), empty(channels, points, network.inputs)
        jet, told = empty(channels, points, unknowns), (chain, network, precision)
        yield f"jets, {name}", forward_plan(theta, inputs, jet, *told)
        sums, rows = empty(_rows(points, network, dtype), count), empty(points, count)
        yield f"gradient of jets, {name}", reverse_plan(jet, theta, inputs, sums, None, *told, jacobian=False)
        if equation is EQUATIONS[-1]:  # of the highest order: most has to be in registers
            yield f"Jacobian of jets, {name}", reverse_plan(jet, theta, inputs, rows, None, *told, jacobian=True)
