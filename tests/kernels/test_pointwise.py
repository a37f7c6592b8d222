"""The pointwise parts of a Fourier neural operator: against their twins, some rows at a time."""

import pytest
import torch
from torch.autograd import grad
from torch.library import opcheck

from pdeml_kernels import LayerWeights, fourier_layer, pointwise, pointwise_mlp

N, C, H, C_IN, C_OUT = 23, 5, 3, 2, 4
LAYER = ((N, C), (N, C), (C, C), (H, C), (H,), (C, H), (C,), (C,))
MLP = ((N, C_IN), (H, C_IN), (H,), (C_OUT, H), (C_OUT,))


def tensors(shapes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, dtype=dtype, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("group", [1, 35, 1 << 18], ids=["single rows", "seven rows", "all rows"])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("last", [None, False, True], ids=["mlp", "layer", "last layer"])
def test_values_and_gradients_are_those_of_the_twin(last, dtype, tolerance, group, monkeypatch):
    monkeypatch.setattr(pointwise, "_CACHED", group)
    given = tensors(MLP if last is None else LAYER, dtype)
    if last is None:
        found, expected = pointwise_mlp(*given), pointwise.pointwise_mlp_twin(*given)
    else:
        v, f, weights = *given[:2], LayerWeights(*given[2:])
        found, expected = fourier_layer(v, f, weights, last), pointwise.fourier_layer_twin(v, f, weights, last)
    towards = torch.randn(found.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(grad(found, given, towards), grad(expected, given, towards), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_they_are_operators_of_torch():
    opcheck(torch.ops.pdeml_kernels.pointwise_mlp.default, tensors(MLP))
    for last in (False, True):
        v, f, *weights = tensors(LAYER)
        opcheck(torch.ops.pdeml_kernels.fourier_layer.default, (v, f, weights, last))
