"""Sobolev norms by a Triton kernel, interpreted where there is no GPU: against the twin in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import grad

from pdeml_kernels.grid import weighted_modes

pytest.importorskip("triton")

from pdeml_kernels.triton_modes import weighted_modes_triton

from .tensors import DEVICE, error, random, sobolev_weight

pytestmark = pytest.mark.usefixtures("poison")
SPECTRA = [((7,), 1), ((8,), 1), ((5, 8), 2), ((4, 9), 1), ((3, 4, 5), 3), ((3, 33, 36), 2)]


@pytest.mark.parametrize(
    "order, dtype, tolerance", [(-1, torch.float64, 1e-13), (0, torch.float64, 1e-13), (1, torch.float32, 1e-5)]
)
@pytest.mark.parametrize("n, axes", SPECTRA)
def test_weighted_modes_are_those_of_the_twin(n, axes, order, dtype, tolerance):
    values, weight = random(2, 2, *n, dtype=dtype).requires_grad_(), sobolev_weight(n, axes, order)
    exact = values.detach().double().requires_grad_()
    found, expected = weighted_modes_triton(values, weight, axes), weighted_modes(exact, weight, axes)
    towards = random(2, 2, seed=9)
    assert error(found, expected) <= tolerance
    pair = grad(found, values, towards.to(dtype))[0], grad(expected, exact, towards)[0]
    assert error(*pair) <= tolerance
    if order == 0:
        torch.testing.assert_close(expected, exact.square().flatten(2).mean(2))


def test_the_norm_of_one_wave_is_known():
    x = torch.arange(16, dtype=torch.float64, device=DEVICE) * (2 * math.pi / 16)
    for order in (-1, 1):
        found = weighted_modes_triton(torch.sin(3 * x)[None, None], sobolev_weight((16,), 1, order), 1)
        assert found.item() == pytest.approx(10**order / 2)
