"""Gaussian processes whose kernels are evaluated by Triton: interpreted here, and to rounding what torch gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import pdeml as pm
from pdeml.errors import InputError
from pdeml.gp import Gaussian, Kernel, Matern, ProductKernel, covariance, evaluation
from pdeml.gp import kernels as module
from pdeml.gp.envelopes import Envelope

pytest.importorskip("triton")

from pdeml_kernels import triton_mixture
from pdeml_kernels.triton_support import INTERPRETED

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="on the CPU kernels are interpreted or not at all")


@pytest.fixture
def launches(monkeypatch) -> list[str]:
    """What is launched meanwhile."""
    found, launch = [], triton_mixture.launch

    def counted(plan):
        found.append(plan.kernel.__name__)
        launch(plan)

    monkeypatch.setattr(triton_mixture, "launch", counted)
    return found


def kernel(envelope: Envelope) -> Kernel:
    rows = torch.tensor([[0.7, 0.4], [0.9, 2.3], [0.0, 6.0]], dtype=torch.float64)
    return Kernel(envelope, *(row.requires_grad_() for row in rows.clone().unbind()))


@pytest.mark.parametrize("envelope", [Gaussian(), Matern(3.5)], ids=str)
def test_an_envelope_says_by_what_its_kernels_are_computed(envelope: Envelope, launches: list[str]):
    fused = replace(envelope, kernels="triton")
    assert fused == envelope
    assert repr(fused) == repr(envelope)
    x = torch.rand(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    results = []
    for which in (envelope, fused):
        axis = kernel(which)
        pair = (ProductKernel((axis, axis.scaled(2.0))),)
        matrix = covariance(pair, evaluation(x, 1, index=(2, 1)), evaluation(x[:4], 1))
        square = axis.matrices(x[:, 0], x[:3, 1], 2)
        given = (axis.weights, axis.widths, axis.frequencies)
        results.append((matrix, square, *torch.autograd.grad(matrix.square().sum() + square.sum(), given)))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)
    assert set(launches) == {"mixture_kernel", "mixture_backward_kernel"}


def test_what_was_measured_is_told_of_a_device_however_it_is_named(monkeypatch):
    monkeypatch.setattr("pdeml_kernels.dispatch.wanted", lambda kernels, device: "contest")
    module._operators.cache_clear()
    kernel(Gaussian()).derivatives(torch.zeros(2, dtype=torch.float64), 1)
    assert module.computed_by("auto", "cpu:0").endswith("triton in 0 of 1 cases")
    module._operators.cache_clear()


HELMHOLTZ = pm.Problem(
    coordinates={"x": (0, 1)},
    unknowns="u",
    equations="u_xx + 25*u = 1",
    conditions=[pm.Dirichlet(u=0)],
)


def test_a_fit_by_triton_is_the_fit_by_torch(launches: list[str]):
    small = {"kernel": "spectral_mixture", "components": 3, "points": 16, "steps": 3, "device": "cpu"}
    by = {way: pm.GP(kernels=way, **small).fit(HELMHOLTZ) for way in ("torch", "triton")}
    assert "mixture_backward_kernel" in launches
    assert all(f"spectral mixtures by {way}" in found.record.notes for way, found in by.items())
    one, two = (by[way].on_grid(x=33).values["u"] for way in ("torch", "triton"))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-8 * np.abs(one).max())


def test_kernels_that_cannot_run_are_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("pdeml_kernels.triton_support.INTERPRETED", False)
    with pytest.raises(InputError, match="needs a CUDA device") as refused:
        pm.GP(kernels="triton", device="cpu").preview(HELMHOLTZ)
    assert refused.value.path == ("kernels",)
