"""Gram matrices and the jitter ladder."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.linalg import NotPositiveDefinite, factor_spd, gram


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 23), blocks=st.integers(1, 9))
def test_gram_is_the_product_at_any_size(rows: int, columns: int, blocks: int):
    a = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(rows + columns))
    torch.testing.assert_close(gram(a, blocks), a.T @ a, rtol=1e-13, atol=1e-13)


def test_solve_inverts_the_shifted_matrix():
    a = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    b = torch.arange(6, dtype=torch.float64)
    factor = factor_spd(gram(a), 0.3)
    assert factor.jitter == 0.3
    torch.testing.assert_close((gram(a) + 0.3 * torch.eye(6, dtype=torch.float64)) @ factor.solve(b), b)


def test_jitter_is_raised_and_reported():
    singular = torch.ones(5, 5, dtype=torch.float64)
    singular[0, 0] -= 1e-13
    factor = factor_spd(singular)
    assert 0 < factor.jitter < 1e-6


def test_indefinite_is_refused():
    with pytest.raises(NotPositiveDefinite, match="not positive definite"):
        factor_spd(-torch.eye(3, dtype=torch.float64))
