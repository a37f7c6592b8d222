"""What programs of `torch.export` compute in place of the operators is the same, on any grid."""

from __future__ import annotations

import pytest
import torch

from pdeml_kernels import exported, kept_modes, spectral_analysis, spectral_conv, spectral_synthesis

CASES = [
    ((8,), (8,), (8,)),
    ((5,), (9,), (14,)),
    ((8,), (8,), (16,)),
    ((12,), (16,), (8,)),
    ((4, 6), (7, 10), (7, 10)),
    ((6, 8), (6, 8), (9, 16)),
    ((4, 4, 4), (5, 6, 8), (8, 6, 7)),
]


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("modes, n, sizes", CASES)
def test_convolution(modes, n, sizes, dense):
    torch.manual_seed(0)
    held = [*modes[:-1], modes[-1] // 2 + 1]
    x = torch.randn(3, 2, *n, dtype=torch.float64)
    weight = torch.randn(2, *([4] if dense else []), *held, 2, dtype=torch.float64)
    bias = torch.randn(4 if dense else 2, dtype=torch.float64)
    kept = kept_modes(modes, n, sizes)
    part = weight
    for axis, count in enumerate(kept[:-1], weight.ndim - 1 - len(kept)):
        part = part.narrow(axis, part.shape[axis] // 2 - count // 2, count)
    found = exported.convolution(x, part.narrow(-2, 0, kept[-1]), bias, kept, sizes)
    torch.testing.assert_close(found, spectral_conv(x, weight, modes, sizes, bias), rtol=0, atol=1e-12)


@pytest.mark.parametrize("modes, n, sizes", CASES)
def test_there_and_back(modes, n, sizes):
    torch.manual_seed(0)
    x, kept = torch.randn(3, 2, *n, dtype=torch.float64), kept_modes(modes, n, sizes)
    there = exported.analysis(x, kept)
    torch.testing.assert_close(there, spectral_analysis(x, kept), rtol=0, atol=1e-13)
    back = exported.synthesis(there, kept, n, sizes)
    torch.testing.assert_close(back, spectral_synthesis(there, kept, n, sizes), rtol=0, atol=1e-12)
