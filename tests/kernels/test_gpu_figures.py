"""On a CUDA device every operator is right, as fast as is asked for, and near enough to what the device can do."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from pdeml_kernels.bench import record
from pdeml_kernels.bench.case import PRECISIONS
from pdeml_kernels.bench.cases import cases
from pdeml_kernels.bench.device import Ceilings, ceilings
from pdeml_kernels.bench.measure import Setting, measure

# Sizes are those of real models; compilers take their time.
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

DEVICE = torch.device("cuda")


@pytest.fixture(scope="module")
def limits() -> Ceilings:
    return ceilings(DEVICE)


@pytest.fixture(autouse=True)
def memory_is_given_back():
    yield
    torch.cuda.empty_cache()


@pytest.mark.parametrize("case", cases("cuda", "tf32x3"), ids=str)
def test_figures_are_reached(case, limits):
    results = list(measure(case, Setting(DEVICE, "tf32x3", limits, budget=1.0)))
    assert not record.shortfalls(case, results), "\n".join(map(record.line, results))


@pytest.mark.parametrize(
    "precision, case",
    [
        pytest.param(precision, case, id=f"{precision}, {case}")
        for precision in PRECISIONS
        for case in cases("cuda", precision, quick=True)
    ],
)
def test_every_precision_is_right(precision, case, limits):
    results = list(measure(case, Setting(DEVICE, precision, limits, budget=0.0)))
    ours = [result for result in results if result.implementation.startswith("triton")]
    assert all(result.seconds is not None for result in ours)
    assert not [record.line(result) for result in ours if result.at_fault]
