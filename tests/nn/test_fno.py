"""The Fourier neural operator: equal to neuraloperator's model, one graph, the same function on every grid."""

import sys
import warnings

import pytest
import torch

from pdeml.errors import InputError
from pdeml.nn.fno import FourierNetwork, FourierOptions, check_modes, default_modes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from neuralop.models import FNO

MODES = {1: (6,), 2: (4, 6), 3: (4, 3, 4)}
GRIDS = {1: (16,), 2: (8, 12), 3: (6, 8, 6)}


def network(axes, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FourierNetwork(2, 3, FourierOptions(MODES[axes], **{"width": 6, "depth": 2, **options}))


@torch.no_grad()
def take(mine: FourierNetwork, theirs: FNO) -> None:
    """Copy the weights of their model."""

    def pointwise(mlp, other):
        parts = [part for conv in other.fcs for part in (conv.weight[..., 0], conv.bias)]
        for tensor, part in zip(mlp.parts, parts, strict=True):
            tensor.copy_(part)

    blocks = theirs.fno_blocks
    pointwise(mine.lifting, theirs.lifting)
    pointwise(mine.projection, theirs.projection)
    for number, layer in enumerate(mine.layers):
        layer.conv.copy_from(blocks.convs[number])
        layer.skip.copy_(blocks.fno_skips[number].conv.weight[..., 0])
        if layer.mlp is not None:
            pointwise(layer.mlp, blocks.channel_mlp[number])
            layer.gate.copy_(blocks.channel_mlp_skips[number].weight.flatten())


@pytest.mark.parametrize("mlp", [0.5, 0.0], ids=["with networks", "without"])
@pytest.mark.parametrize("factorization", [None, "tucker"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_it_equals_neuraloperators_model(axes, factorization, mlp):
    options = {"factorization": factorization, "rank": 0.5}
    # Without the networks their model applies GELU twice after each layer but the last.
    depth = 2 if mlp else 1
    mine = network(axes, mlp=mlp, depth=depth, **options)
    theirs = FNO(MODES[axes], 2, 3, 6, n_layers=depth, positional_embedding=None, use_channel_mlp=mlp > 0, **options)
    take(mine, theirs)
    x = torch.randn(2, 2, *GRIDS[axes], generator=torch.Generator().manual_seed(1), requires_grad=True)
    found, expected = mine(x), theirs(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    (of_mine,), (of_theirs,) = (torch.autograd.grad(y.square().sum(), x) for y in (found, expected))
    torch.testing.assert_close(of_mine, of_theirs, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in mine.parameters()) == sum(
        p.numel() * (1 + p.is_complex()) for p in theirs.parameters()
    )


@pytest.mark.parametrize(
    "options", [{}, {"factorization": "cp", "rank": 0.5, "padding": (0.1, 0.2)}], ids=["fno", "tfno"]
)
def test_the_whole_training_step_is_one_graph(options):
    model = network(2, **options)
    x = torch.randn(2, 2, 9, 10, generator=torch.Generator().manual_seed(1))
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert torch._dynamo.explain(model)(x).graph_break_count == 0
    model(x).square().sum().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    compiled(x).square().sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-5, atol=1e-6)


def test_the_state_is_plain_tensors_and_nests():
    model = network(2)
    nested = torch.nn.Sequential(model, torch.nn.Identity())
    nested.load_state_dict(nested.state_dict())
    assert all(isinstance(value, torch.Tensor) and not value.is_complex() for value in nested.state_dict().values())


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_linear_layers_of_resolved_waves_do_not_depend_on_the_grid(axes):
    """Without the activations nothing leaves the band, and grids of any sizes give the same function."""
    model = network(axes, depth=1).double()
    model.lifting, model.projection = torch.nn.Linear(2, 6).double(), torch.nn.Linear(6, 3).double()
    layer = model.layers[0]
    layer.mlp = None

    def waves(n):
        turns = sum(
            torch.arange(m, dtype=torch.float64).reshape([-1 if a == axis else 1 for a in range(axes)]) / m
            for axis, m in enumerate(n)
        )
        return torch.stack((torch.sin(2 * torch.pi * turns), torch.cos(2 * torch.pi * turns + 1) + 2))[None]

    coarse = model(waves((5,) * axes))
    fine = model(waves((15,) * axes))
    torch.testing.assert_close(fine[(..., *[slice(None, None, 3)] * axes)], coarse, rtol=1e-12, atol=1e-12)


def test_padding_is_added_at_the_ends_of_its_axes_and_taken_away():
    padded, plain = network(2, padding=(0.0, 0.25)), network(2)
    plain.load_state_dict(padded.state_dict())
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    assert padded(x).shape == (1, 3, 8, 8)
    assert not torch.allclose(padded(x), plain(x), atol=1e-3)
    rolled = padded(x.roll(3, 2)).roll(-3, 2)
    torch.testing.assert_close(rolled, padded(x), rtol=1e-4, atol=1e-5)


def test_more_modes_than_points_are_refused_with_the_remedy():
    check_modes((8, 4), (8, 9), ("y", "x"))
    with pytest.raises(
        InputError, match="8 modes along 'x' need at least 8 points, the samples have 7: lower"
    ) as caught:
        check_modes((8, 8), (8, 7), ("y", "x"))
    assert caught.value.path == ("modes",)


@pytest.mark.parametrize(
    "sizes, modes", [((256,), (32,)), ((16, 17), (8, 8)), ((64, 3), (24, 1)), ((8,) * 3, (4,) * 3)]
)
def test_default_modes_are_half_of_what_the_grid_carries(sizes, modes):
    assert default_modes(sizes) == modes
    check_modes(modes, sizes, ("z", "y", "x")[: len(sizes)])


def test_without_neuraloperator_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "neuralop", None)
    with pytest.raises(InputError, match="pip install neuraloperator"):
        network(1)


def test_the_filters_of_warnings_stay_as_they_were():
    before = list(warnings.filters)
    network(1)
    assert list(warnings.filters) == before
