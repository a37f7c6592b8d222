"""A layer of a Fourier neural operator as one operator: against its twin, some rows at a time, by both routes."""

import pytest
import torch
from torch.autograd import grad, gradcheck
from torch.library import opcheck

from pdeml_kernels import LayerWeights, block, fourier, fourier_block, kept_modes, pointwise

C, H = 5, 3
# n, modes that the weights hold, modes that are used.
GRIDS = [((9,), (4,), (4,)), ((8, 6), (4, 6), (2, 4)), ((4, 5), (4, 5), (4, 5)), ((5, 4, 6), (3, 4, 4), (3, 4, 2))]
PARTS = ((C, C), (H, C), (H,), (C, H), (C,), (C,))


def tensors(n, held, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    weight = (C, C, *held[:-1], held[-1] // 2 + 1, 2)
    v, *rest = (torch.randn(*s, dtype=dtype, generator=generator) for s in ((2, *n, C), weight, (C,), *PARTS))
    return [tensor.requires_grad_() for tensor in (v, *rest)]


@pytest.mark.parametrize("group", [1, 60, 1 << 18], ids=["single rows", "some rows", "all rows"])
@pytest.mark.parametrize("route", [True, False], ids=["matrix", "fft"])
@pytest.mark.parametrize("last", [False, True], ids=["layer", "last layer"])
@pytest.mark.parametrize("n, held, modes", GRIDS)
def test_values_and_gradients_are_those_of_the_twin(n, held, modes, last, route, group, monkeypatch):
    monkeypatch.setattr(pointwise, "_CACHED", group)
    monkeypatch.setattr(fourier, "by_matrix", lambda n, kept, last: route)
    v, weight, bias, *parts = given = tensors(n, held)
    found = fourier_block(v, weight, bias, modes, LayerWeights(*parts), last)
    expected = block.fourier_block_twin(v, weight, bias, modes, LayerWeights(*parts), last)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    towards = torch.randn(found.shape, dtype=v.dtype, generator=torch.Generator().manual_seed(1))
    for mine, theirs in zip(grad(found, given, towards), grad(expected, given, towards), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n, held, modes", GRIDS)
def test_it_is_an_operator_of_torch(n, held, modes):
    v, weight, bias, *parts = tensors(n, held)
    opcheck(torch.ops.pdeml_kernels.fourier_block.default, (v, weight, bias, kept_modes(modes, n), parts, False))
    assert gradcheck(lambda v: fourier_block(v, weight, bias, modes, LayerWeights(*parts), False), v)


def test_single_precision_is_as_good_as_it_can_be():
    v, weight, bias, *parts = tensors((8, 6), (4, 6))
    single = fourier_block(
        v.float(), weight.float(), bias.float(), (4, 6), LayerWeights(*(p.float() for p in parts)), False
    )
    torch.testing.assert_close(
        single.double(), fourier_block(v, weight, bias, (4, 6), LayerWeights(*parts), False), rtol=1e-4, atol=1e-4
    )
