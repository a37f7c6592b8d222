"""Tensors for kernels, where these run: on the CPU if they are interpreted."""

from __future__ import annotations

import numpy as np
import torch

from pdeml_kernels.triton_support import INTERPRETED

DEVICE = "cpu" if INTERPRETED else "cuda"


def random(*shape, seed=0, dtype=torch.float64):
    """Return normal numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def error(found, expected):
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.abs().max()).item()


def sobolev_weight(n, axes, order):
    """``(1 + |k|²)^order`` on the modes of the last axes, as often as each stands for a conjugate too."""
    last = n[-axes:]
    numbers = [np.fft.fftfreq(size, 1 / size) for size in last[:-1]] + [np.arange(last[-1] // 2 + 1)]
    squares = sum(np.square(own) for own in np.meshgrid(*numbers, indexing="ij"))
    pairs = np.where((numbers[-1] == 0) | (2 * numbers[-1] == last[-1]), 1.0, 2.0)
    return torch.tensor(pairs * (1.0 + squares) ** order).to(DEVICE)
