"""Kronecker products against the matrices they stand for."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError
from pdeml.linalg import Kronecker


def spd(n: int, seed: int) -> torch.Tensor:
    a = torch.randn(n, n + 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return a @ a.T / n + 0.1 * torch.eye(n, dtype=torch.float64)


def dense(product: Kronecker) -> torch.Tensor:
    return functools.reduce(torch.kron, product.factors)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3), batch=st.lists(st.integers(1, 3), max_size=2))
def test_products_solutions_determinant_and_functions(sizes: list[int], batch: list[int]):
    product = Kronecker(tuple(spd(n, n + k) for k, n in enumerate(sizes)))
    matrix, v = dense(product), torch.randn(*sizes, *batch, dtype=torch.float64)
    flat = v.reshape(len(matrix), -1)
    assert product.shape == matrix.shape
    torch.testing.assert_close(product.times(v).reshape(flat.shape), matrix @ flat)
    torch.testing.assert_close(product.solve(v).reshape(flat.shape), torch.linalg.solve(matrix, flat))
    assert product.log_determinant == pytest.approx(float(torch.linalg.slogdet(matrix)[1]), abs=1e-9)
    eigen = product.eigen()
    shifted = matrix + 0.3 * torch.eye(len(matrix), dtype=torch.float64)
    found = eigen.apply(1 / (eigen.values + 0.3), v).reshape(flat.shape)
    torch.testing.assert_close(found, torch.linalg.solve(shifted, flat))


def test_factors_need_not_be_square_for_products():
    product = Kronecker((torch.randn(2, 3), torch.randn(4, 5)))
    v = torch.randn(3, 5)
    torch.testing.assert_close(product.times(v).flatten(), dense(product) @ v.flatten())


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"shape \(3, 2\); its first axes have \(2, 3\) places"):
        Kronecker((spd(2, 0), spd(3, 0))).times(torch.ones(3, 2))
