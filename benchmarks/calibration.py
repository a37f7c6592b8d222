"""How fast the machine is at this moment: the rate of a float64 matrix product."""

from __future__ import annotations

import time

import torch

__all__ = ["THREADS", "matmul_rate"]

THREADS = 2
"""Threads of every measurement."""


def matmul_rate(size: int = 1500, repeats: int = 3) -> float:
    """Return the best rate of ``repeats`` products of two (size, size) float64 matrices, in GFLOP/s."""
    a = torch.rand(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - started)
    return 2e-9 * size**3 / min(times)
