"""Networks trained with Triton kernels, interpreted where there is no GPU, and with their twins in torch."""

from __future__ import annotations

import pytest
import torch

import pdeml as pm
from pdeml.solvers import PINN

pytest.importorskip("triton")

from pdeml_kernels import triton_network
from pdeml_kernels.triton_support import Blocks

DECAY = {
    "coordinates": {"t": (0, 1)},
    "time": "t",
    "unknowns": "u",
    "equations": "u_t = -u^2",
    "conditions": [pm.Initial(u=1)],
}


@pytest.mark.parametrize("optimizer, steps", [("adam", 100), ("lbfgs", 6), ("gauss_newton", 5)])
def test_training_goes_the_same_way_with_kernels_on_and_off(
    optimizer: str, steps: int, monkeypatch: pytest.MonkeyPatch
):
    if not torch.cuda.is_available():
        # The interpreter takes its time by the number of blocks, and solutions are judged at thousands of points.
        monkeypatch.setattr(triton_network, "_candidates", lambda *_, **__: (Blocks(2048, 16, 16),))
    options = {"width": 2, "depth": 1, "points": 4, "adaptive": False, "steps": steps, "resample": steps}
    found = [
        PINN(optimizer=optimizer, kernels=kernels, **options).fit(pm.Problem(**DECAY))
        for kernels in ("triton", "torch")
    ]
    for solution, kernels in zip(found, ("triton", "torch"), strict=True):
        assert f"network by {kernels}; residuals by {kernels}" in solution.record.notes
    mine, theirs = (solution.state.tensors["z"].cpu() for solution in found)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
