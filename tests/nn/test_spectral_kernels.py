"""Fourier layers by Triton kernels, interpreted where there is no GPU, are those by plain torch."""

from __future__ import annotations

import pytest
import torch

from pdeml.errors import InputError
from pdeml.nn.fno import FourierNetwork, FourierOptions
from pdeml.nn.spectral_conv import SpectralConv

triton = pytest.importorskip("triton")

DEVICE = torch.device("cpu" if triton.knobs.runtime.interpret else "cuda")


@pytest.mark.parametrize(
    "options",
    [{}, {"separable": True}, *({"factorization": kind, "rank": 0.3} for kind in ("cp", "tucker", "tt"))],
    ids=["dense", "separable", "cp", "tucker", "tt"],
)
def test_kernels_change_values_and_gradients_by_rounding_only(options):
    torch.manual_seed(0)
    layer = SpectralConv(3, 3, (3, 4), **options).to(DEVICE)
    x = torch.randn(2, 3, 4, 7, device=DEVICE, requires_grad=True)
    found = {}
    for kernels in ("torch", "triton"):
        layer.use_kernels(kernels, DEVICE)
        assert kernels in layer.kernels.note
        y = layer(x, (5, 6))
        found[kernels] = [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]
    for mine, theirs in zip(found["triton"], found["torch"], strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_other_kernels_are_refused():
    with pytest.raises(InputError, match="kernels must be one of auto, triton, torch, not 'cuda'"):
        SpectralConv(3, 3, (4,)).use_kernels("cuda", DEVICE)


@pytest.mark.parametrize("options", [{}, {"mlp": 0.0}, {"factorization": "tucker", "rank": 0.5}])
def test_networks_with_kernels_are_compiled_whole_and_exported_without_them(options):
    torch.manual_seed(0)
    network = FourierNetwork(1, 1, FourierOptions((3,), **{"width": 2, "depth": 1, **options})).to(DEVICE)
    x = torch.randn(2, 1, 5, device=DEVICE)
    network.use_kernels("torch", DEVICE)
    expected = network(x)
    network.use_kernels("triton", DEVICE)
    for run in (network, torch.compile(network, fullgraph=True, backend="aot_eager")):
        found = run(x)
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    program = torch.export.export(network, (x,))
    assert not [node for node in program.graph.nodes if "pdeml_kernels" in str(node.target)]
    assert (program.module()(x) - expected).abs().max() <= 1e-5 * expected.abs().max()
