"""Fourier layers by Triton kernels, interpreted where there is no GPU, are those by plain torch."""

from __future__ import annotations

import pytest
import torch

from pdeml.errors import InputError
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
        assert kernels in layer.use_kernels(kernels, DEVICE)
        y = layer(x, (5, 6))
        found[kernels] = [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]
    for mine, theirs in zip(found["triton"], found["torch"], strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_other_kernels_are_refused():
    with pytest.raises(InputError, match="kernels must be one of auto, triton, torch, not 'cuda'"):
        SpectralConv(3, 3, (4,)).use_kernels("cuda", DEVICE)
