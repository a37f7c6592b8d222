"""The network's jets and Jacobians against nested reverse-mode differentiation in float64."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdeml.lower import Jet, JetSpec
from pdeml.nn import ACTIVATIONS, MLP
from pdeml_kernels.network import linearised

POINTS = 7


def nested(f, x: Tensor, index: tuple[int, ...]) -> Tensor:
    """∂^index of each output of f at x (N, D) by nested reverse mode: (N, F). The oracle."""
    columns = []
    for output in f(x).unbind(1):
        value = output
        for axis, order in enumerate(index):
            for _ in range(order):
                (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
                value = slope[:, axis]
        columns.append(value)
    return torch.stack(columns, 1)


def identity_jet(spec: JetSpec, x: Tensor) -> Jet:
    values = x.new_zeros(len(spec), *x.shape)
    values[0] = x
    for k, members in enumerate(spec.members):
        for coefficient, index in members:
            if sum(index) == 1:
                values[k, :, index.index(1)] += coefficient
    return Jet(spec, values)


def make(activation: str, dimension: int, outputs: int = 2, depth: int = 2) -> tuple[MLP, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7 * dimension + depth)
    net = MLP(dimension, outputs, width=5, depth=depth, activation=activation)
    theta = net.initial(generator) + 0.1 * torch.randn(net.parameter_count, generator=generator, dtype=torch.float64)
    x = torch.rand(POINTS, dimension, generator=generator, dtype=torch.float64) * 2 - 1
    return net, theta, x.requires_grad_()


def values_of(net: MLP, theta: Tensor, x: Tensor) -> Tensor:
    functions = {
        "tanh": torch.tanh,
        "sin": torch.sin,
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
    }
    *hidden, (weight, bias) = net.layers(theta)
    for w, b in hidden:
        x = functions[net.activation](x @ w.T + b)
    return x @ weight.T + bias


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual.detach(), expected.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_every_derivative_up_to_order_four(activation: str, dimension: int):
    net, theta, x = make(activation, dimension)
    indices = [i for i in itertools.product(range(5), repeat=dimension) if sum(i) <= (4 if dimension < 3 else 3)]
    spec = JetSpec.closed(indices, dimension=dimension)
    jets = net.jet(theta, identity_jet(spec, x.detach())).values
    for index, k in spec.position.items():
        close(jets[k], nested(lambda x: values_of(net, theta, x), x, index))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), activation=st.sampled_from(sorted(ACTIVATIONS)))
def test_any_index_set_with_collapsed_sums(data: st.DataObject, activation: str):
    dimension = data.draw(st.integers(1, 3))
    index = st.tuples(*[st.integers(0, 4)] * dimension).filter(lambda i: 1 <= sum(i) <= 4)
    wanted = data.draw(st.lists(index, max_size=2))
    combination = tuple(
        (data.draw(st.floats(-3, 3)), i) for i in data.draw(st.lists(index, min_size=1, max_size=3, unique=True))
    )
    spec = JetSpec.closed(wanted, [combination], dimension)
    net, theta, x = make(activation, dimension)
    jets = net.jet(theta, identity_jet(spec, x.detach())).values
    f = lambda x: values_of(net, theta, x)  # noqa: E731 - a formula
    close(jets[-1], sum(c * nested(f, x, i) for c, i in combination))
    for i in wanted:
        close(jets[spec.position[i]], nested(f, x, i))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 3])
def test_parameter_jacobian_and_pullback(activation: str, depth: int):
    """Of a random combination of channels up to order four, at every point, against reverse mode through the jets."""
    net, theta, x = make(activation, 2, depth=depth)
    spec = JetSpec.closed([(2, 1), (0, 4)], [((1.0, (2, 0)), (-0.5, (0, 2)))], 2)
    jet = identity_jet(spec, x.detach())
    adjoint = torch.randn(len(spec), POINTS, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theta = theta.requires_grad_()
    contracted = (adjoint * net.jet(theta, jet).values).sum((0, 2))
    expected = torch.stack([torch.autograd.grad(c, theta, retain_graph=True)[0] for c in contracted])
    _, tape = linearised(theta.detach(), jet.values, spec.chain, net.sizes)
    jacobian = tape.jacobian(adjoint, torch.empty(POINTS, net.parameter_count, dtype=torch.float64))
    close(jacobian, expected)
    close(tape.pullback(adjoint), expected.sum(0))


def test_collapsing_carries_fewer_channels():
    wave = ((1.0, (0, 2)), (-4.0, (2, 0)))
    assert len(JetSpec.closed([], [wave], 2)) == 4  # u, u_x, u_t and the sum
    assert len(JetSpec.closed([(2, 0), (0, 2)], dimension=2)) == 5


def test_initial_parameters_depend_on_the_seed_alone():
    net = MLP(2, 1)
    torch.manual_seed(0)
    first = net.initial(torch.Generator().manual_seed(3))
    torch.manual_seed(1)
    assert torch.equal(first, net.initial(torch.Generator().manual_seed(3)))
    assert not torch.equal(first, net.initial(torch.Generator().manual_seed(4)))
