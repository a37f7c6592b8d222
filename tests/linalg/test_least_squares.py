"""Least squares over scaled rows: dense, rank-deficient, in blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import DivergenceError, InputError
from pdeml.linalg import BlockRows, dense_bytes, eliminate, solve_blocks, solve_rows


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(shape))


def by_definition(a: torch.Tensor, b: torch.Tensor, w: torch.Tensor) -> tuple[np.ndarray, float]:
    """Scale by the definition, solve by the pseudo-inverse."""
    factors = w / a.abs().amax(1)
    a, b = (a * factors[:, None]).numpy(), (b * factors[:, None]).numpy()
    x = np.linalg.pinv(a, 1e-12) @ b
    return x, float(np.sqrt(np.mean((a @ x - b) ** 2)))


@pytest.mark.parametrize("method", ["qr", "svd"])
@pytest.mark.parametrize("rows, columns, rank", [(23, 7, 7), (7, 7, 7), (5, 9, 5), (31, 11, 6)])
def test_minimises_the_scaled_rows(method: str, rows: int, columns: int, rank: int):
    a = random(rows, rank, seed=1) @ random(rank, columns, seed=2) * 10.0 ** torch.arange(rows)[:, None].remainder(5)
    b, w = random(rows, 3, seed=3), random(rows, seed=4).abs() + 0.5
    found = solve_rows(a, b, w, method=method, cutoff=1e-12)
    x, residual = by_definition(a, b, w)
    np.testing.assert_allclose(found.x.numpy(), x, rtol=1e-9, atol=1e-9 * np.abs(x).max())
    assert found.rank == rank
    assert found.residual == pytest.approx(residual, rel=1e-8, abs=1e-13)


def test_condition_is_that_of_the_scaled_matrix():
    a = random(40, 12) @ torch.diag(10.0 ** -torch.arange(12, dtype=torch.float64))
    scaled = (a / a.abs().amax(1, keepdim=True)).numpy()
    b = random(40, seed=1)
    true = np.linalg.cond(scaled)
    assert solve_rows(a, b, method="svd").condition == pytest.approx(true, rel=1e-3)
    estimate = solve_rows(a, b).condition
    assert true / 100 < estimate <= true


def test_badly_scaled_rows_do_not_hide_others():
    """Rows of size 1e10 (a second derivative) with an error of 1e-6 beside rows of size one that are exact."""
    true = random(6)
    large, small = 1e10 * random(20, 6, seed=1), random(4, 6, seed=2)
    a = torch.cat([large, small])
    b = a @ true + torch.cat([1e4 * random(20, seed=3), torch.zeros(4)])
    scaled = solve_rows(a, b, torch.cat([torch.ones(20), 1e6 * torch.ones(4)])).x
    assert float((small @ (scaled - true)).abs().max()) < 1e-10


def test_row_of_zeros_counts_in_the_residual_only():
    a = torch.cat([torch.eye(2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)])
    found = solve_rows(a, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(found.x, torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert found.residual == pytest.approx(np.sqrt(9 / 3))


def chain(seed: int, sizes: list[int], right: int) -> tuple[list[BlockRows], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of single blocks and of pairs of blocks in random order, and the same as one dense system."""
    rng = np.random.default_rng(seed)
    start = np.concatenate([[0], np.cumsum(sizes)])
    pairs = list(itertools.combinations(range(len(sizes)), 2))
    joined = [pairs[k] for k in rng.permutation(len(pairs))[: len(sizes)]]
    parts, dense, values, weights = [], [], [], []
    for blocks in [*((k,) for k in range(len(sizes))), *joined]:
        count = int(rng.integers(1, 6)) + (sizes[blocks[0]] if len(blocks) == 1 else 0)
        turned = blocks[:: int(rng.choice([-1, 1]))]
        matrix = torch.as_tensor(rng.standard_normal((count, sum(sizes[k] for k in turned))))
        b, w = torch.as_tensor(rng.standard_normal((count, right))), torch.as_tensor(rng.random(count) + 0.5)
        full = torch.zeros(count, start[-1], dtype=torch.float64)
        full[:, np.concatenate([np.arange(start[k], start[k + 1]) for k in turned])] = matrix
        parts.append(BlockRows(turned, matrix, b, w))
        dense.append(full)
        values.append(b)
        weights.append(w)
    return parts, torch.cat(dense), torch.cat(values), torch.cat(weights)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(1, 3))
def test_blocks_give_what_dense_rows_give(seed: int, sizes: list[int], right: int):
    parts, dense, values, weights = chain(seed, sizes, right)
    found, expected = solve_blocks(parts, sizes), solve_rows(dense, values, weights)
    torch.testing.assert_close(found.x, expected.x, rtol=1e-9, atol=1e-9)
    assert found.rank == expected.rank == sum(sizes)
    assert found.residual == pytest.approx(expected.residual, rel=1e-9)


def test_blocks_take_one_right_side_and_keep_its_shape():
    parts, *_ = chain(5, [3, 4], 1)
    flat = [BlockRows(part.blocks, part.matrix, part.values[:, 0], part.weights) for part in parts]
    assert solve_blocks(flat, [3, 4]).x.shape == (7,)


def test_blocks_leave_out_what_the_rows_do_not_tell():
    """Two columns of one block are equal: some minimiser is found, with the least residual, and the rank says so."""
    parts, dense, values, weights = chain(3, [4, 5, 3], 2)
    for part in parts:
        if 0 in part.blocks:
            first = sum([4, 5, 3][k] for k in part.blocks[: part.blocks.index(0)])
            part.matrix[:, first + 1] = part.matrix[:, first]
    dense[:, 1] = dense[:, 0]
    found, expected = solve_blocks(parts, [4, 5, 3], cutoff=1e-12), solve_rows(dense, values, weights, cutoff=1e-12)
    assert found.rank == expected.rank == 11
    assert found.residual == pytest.approx(expected.residual, rel=1e-9)
    assert float(found.x.abs().max()) < 1e3


def smooth_patches(count: int, degree: int) -> float:
    """Solve u'' = f with monomials on patches, u = sin 20x; the blocks are the patches."""
    x = torch.linspace(-1, 1, 2 * degree, dtype=torch.float64)
    half = 1 / (2 * count)

    def powers(x: torch.Tensor, order: int) -> torch.Tensor:
        columns = []
        for k in range(degree):
            factor = float(np.prod(np.arange(k - order + 1, k + 1)))
            columns.append(factor * x ** max(k - order, 0))
        return torch.stack(columns, 1)

    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    rows = []
    for p in range(count):
        place = half * (2 * p + 1 + x)
        rows.append(BlockRows((p,), powers(x, 2) / half**2, -400 * torch.sin(20 * place)))
        for order in (0, 1) if p else ():
            left, right = powers(ends[1:], order), powers(ends[:1], order)
            rows.append(BlockRows((p, p - 1), torch.cat([right, -left], 1), zero))
    rows.append(BlockRows((0,), powers(ends[:1], 0), zero))
    rows.append(BlockRows((count - 1,), powers(ends[1:], 0), torch.sin(torch.tensor([20.0], dtype=torch.float64))))
    found = solve_blocks(rows, [degree] * count)
    place = torch.cat([half * (2 * p + 1 + x) for p in range(count)])
    values = (found.x.reshape(count, degree) @ powers(x, 0).T).flatten()
    return float((values - torch.sin(20 * place)).abs().max())


def test_patched_boundary_value_problem_is_solved_to_rounding():
    errors = [smooth_patches(6, degree) for degree in (8, 12, 20)]
    assert errors[0] > 1e-5
    assert errors[2] < 1e-10 < errors[1] < 1e-2 * errors[0]


def test_elimination_of_a_chain_fills_nothing():
    plan = eliminate({(k, k + 1): 8 for k in range(30)}, [5] * 31)
    assert all(len(others) <= 1 for others in plan.others)
    assert plan.bytes < 8 * 31 * (2 * 8 * 10 + 100)


def test_multiplications_are_those_of_householder_on_each_front():
    assert eliminate({(0,): 30}, [7]).operations == 30 * 7**2
    two = eliminate({(0,): 30, (0, 1): 8, (1,): 40}, [4, 6])
    assert two.order == (1, 0)
    front, last = 48 * 6 * (6 + 2 * 4) + 42 * 4**2, 4 + 30  # the 42 rows below are compressed to 4
    assert two.operations == front + last * 4**2


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pdeml.linalg.least_squares.available_memory", lambda: 1000)
    with pytest.raises(InputError, match="GiB of memory"):
        solve_rows(random(40, 10), random(40))
    with pytest.raises(InputError, match="60 rows and 4 unknowns in 2 blocks"):
        solve_blocks([BlockRows((0, 1), random(60, 4), random(60))], [2, 2])
    assert dense_bytes(40, 10) == 6400


def test_what_is_wrong_is_named():
    with pytest.raises(InputError, match="did you mean 'svd'"):
        solve_rows(random(4, 2), random(4), method="svdd")
    with pytest.raises(DivergenceError, match="not finite"):
        solve_rows(random(4, 2) / 0, random(4))
    with pytest.raises(InputError, match="no row touches block 1"):
        solve_blocks([BlockRows((0,), random(4, 2), random(4))], [2, 2])
    with pytest.raises(InputError, match=r"shape \(4, 2\), not \(4, 4\)"):
        solve_blocks([BlockRows((0, 1), random(4, 2), random(4))], [2, 2])
    with pytest.raises(InputError, match="from 0 to 1"):
        solve_blocks([BlockRows((0, 2), random(4, 4), random(4))], [2, 2])
