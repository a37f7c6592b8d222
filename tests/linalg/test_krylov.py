"""Conjugate gradients against dense algebra."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import RunError
from pdeml.linalg import conjugate_gradients


def spd(n: int, seed: int, condition: float = 100.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    return q @ torch.diag(torch.logspace(0, math.log10(condition), n, dtype=torch.float64)) @ q.T


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), columns=st.integers(1, 5), seed=st.integers(0, 10**6), zero=st.booleans())
def test_solves_all_columns(n: int, columns: int, seed: int, zero: bool):
    a, b = spd(n, seed), torch.randn(n, columns, dtype=torch.float64)
    b[:, 0] *= 0.0 if zero else 1e-6
    found = conjugate_gradients(lambda v: a @ v, b, tolerance=1e-11)
    torch.testing.assert_close(found.x, torch.linalg.solve(a, b), rtol=1e-7, atol=1e-9)
    assert found.residual <= 1e-11
    single = conjugate_gradients(lambda v: a @ v, b[:, -1], tolerance=1e-11)
    torch.testing.assert_close(single.x, found.x[:, -1], rtol=1e-7, atol=1e-9)


def test_ends_after_as_many_steps_as_there_are_eigenvalues():
    q = torch.linalg.qr(torch.randn(50, 50, dtype=torch.float64))[0]
    a = q @ torch.diag(torch.tensor([1.0, 5.0, 30.0], dtype=torch.float64).repeat(17)[:50]) @ q.T
    assert conjugate_gradients(lambda v: a @ v, torch.ones(50, dtype=torch.float64)).iterations == 3


def test_preconditioner_saves_steps_and_a_good_start_too():
    a, b = spd(80, 0, 1e6), torch.ones(80, dtype=torch.float64)
    near = torch.linalg.inv(a + 1e-1 * spd(80, 1, 10))
    plain = conjugate_gradients(lambda v: a @ v, b)
    helped = conjugate_gradients(lambda v: a @ v, b, lambda v: near @ v)
    torch.testing.assert_close(helped.x, torch.linalg.solve(a, b), rtol=1e-6, atol=1e-8)
    assert helped.iterations < plain.iterations / 3
    warm = conjugate_gradients(lambda v: a @ v, b, lambda v: near @ v, start=helped.x)
    assert warm.iterations == 0


def test_unfinished_says_so():
    a = spd(60, 0, 1e8)
    found = conjugate_gradients(lambda v: a @ v, torch.ones(60, dtype=torch.float64), most=5)
    assert found.iterations == 5
    assert found.residual > 1e-3


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_indefinite_is_refused(bad: float):
    a = torch.diag(torch.tensor([1.0, bad], dtype=torch.float64))
    with pytest.raises(RunError, match="positive definite"):
        conjugate_gradients(lambda v: a @ v, torch.ones(2, dtype=torch.float64))
    b = torch.tensor([0.1, 1.0], dtype=torch.float64)
    with pytest.raises(RunError, match="positive definite"):
        conjugate_gradients(lambda v: v * torch.tensor([[1.0], [2.0]]), b, lambda v: a @ v)
