"""The ansatz against plain sums over the coefficients, and its tape against automatic differentiation."""

from __future__ import annotations

import itertools

import pytest
import torch

from pdeml.errors import InputError
from pdeml.lower import JetSpec
from pdeml.tensor import TensorAnsatz
from pdeml.tensor import ansatz as module

from .legendre import LegendreAxis

AXES = (LegendreAxis(0.0, 1.0, 2, 4, 2), LegendreAxis(-1.0, 1.0, 1, 5, 2), LegendreAxis(0.0, 2.0, 1, 3, 1))
SPEC = JetSpec.closed([(1, 1, 0)], [((1.0, (2, 0, 0)), (-3.0, (0, 2, 0)))], 3)


def setting(dimension: int, unknowns: int = 2) -> tuple[TensorAnsatz, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(dimension)
    ansatz = TensorAnsatz(AXES[:dimension], unknowns)
    theta = torch.randn(ansatz.parameter_count, dtype=torch.float64, generator=generator)
    unit = torch.rand(7, dimension, dtype=torch.float64, generator=generator)
    low, high = (torch.tensor([getattr(axis, end) for axis in ansatz.axes]) for end in ("low", "high"))
    return ansatz, theta, low + (high - low) * unit


def plain(ansatz: TensorAnsatz, theta: torch.Tensor, x: torch.Tensor, index: tuple[int, ...]) -> torch.Tensor:
    found = torch.zeros(len(x), ansatz.unknowns, dtype=torch.float64)
    matrices = [axis.matrix(x[:, k].contiguous(), index[k]) for k, axis in enumerate(ansatz.axes)]
    for place in itertools.product(*(range(axis.size) for axis in ansatz.axes)):
        product = torch.stack([matrix[:, j] for matrix, j in zip(matrices, place, strict=True)]).prod(0)
        found += product[:, None] * theta.reshape(ansatz.shape)[(slice(None), *place)]
    return found


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_values_are_sums_over_the_coefficients(dimension: int):
    ansatz, theta, x = setting(dimension)
    torch.testing.assert_close(ansatz.values(theta, x), plain(ansatz, theta, x, (0,) * dimension))


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_grids_in_any_order_are_recognised(dimension: int, monkeypatch: pytest.MonkeyPatch):
    ansatz, theta, _ = setting(dimension)
    places = [torch.linspace(axis.low, axis.high, 3 + k, dtype=torch.float64) for k, axis in enumerate(ansatz.axes)]
    grid = torch.cartesian_prod(*places).reshape(-1, dimension)
    shuffled = grid[torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))]
    expected = plain(ansatz, theta, shuffled, (0,) * dimension)
    monkeypatch.setattr(TensorAnsatz, "_jets", None)  # not point by point
    torch.testing.assert_close(ansatz.values(theta, shuffled), expected)


def test_jets_carry_every_channel(monkeypatch: pytest.MonkeyPatch):
    ansatz, theta, x = setting(3)
    monkeypatch.setattr(module, "MOST_NUMBERS", 3 * ansatz.parameter_count // ansatz.axes[0].size)  # blocks of three
    jets = ansatz.prepare(x, SPEC).jets(theta)
    assert jets.shape == (len(SPEC), len(x), 2)
    for channel, members in zip(jets, SPEC.members, strict=True):
        torch.testing.assert_close(channel, sum(c * plain(ansatz, theta, x, index) for c, index in members))


def test_the_tape_is_the_derivative(monkeypatch: pytest.MonkeyPatch):
    ansatz, theta, x = setting(3)
    monkeypatch.setattr(module, "MOST_NUMBERS", 3 * ansatz.parameter_count // ansatz.axes[0].size)
    prepared = ansatz.prepare(x, SPEC)
    adjoint = torch.randn(len(SPEC), len(x), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    jets, tape = prepared.linearise(theta)
    torch.testing.assert_close(jets, prepared.jets(theta))
    expected = torch.autograd.functional.jacobian(lambda z: (adjoint * prepared.jets(z)).sum((0, 2)), theta)
    torch.testing.assert_close(tape.jacobian(adjoint, torch.empty_like(expected)), expected)
    torch.testing.assert_close(tape.pullback(adjoint), expected.sum(0))


def test_a_wrong_number_of_coefficients_is_refused():
    ansatz, theta, x = setting(2)
    with pytest.raises(InputError, match="79 coefficients do not fill a tensor of shape"):
        ansatz.values(theta[:-1], x)
