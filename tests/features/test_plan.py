"""Patches and features from a bandwidth: waves are resolved, levels converge."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pdeml as pm
from pdeml.errors import InputError
from pdeml.features.axis import PatchedAxis
from pdeml.features.plan import GROWTH, plan_axes


def poisson(low: float, high: float) -> pm.Problem:
    return pm.Problem(
        coordinates={"x": (low, high)}, unknowns="u", equations="u_xx = 0", conditions=[pm.Dirichlet(u=0)]
    )


def error(axis: PatchedAxis, wave: float, phase: float) -> float:
    """Relative L2 error of u'' = f by square collocation, for u = sin(wave x + phase)."""

    def u(x):
        return torch.sin(wave * x + phase)

    nodes = axis.nodes(1, 1)
    ends = torch.tensor([axis.low, axis.high], dtype=torch.float64)
    rows = torch.cat([axis.joints, axis.matrix(ends, 0), axis.matrix(nodes, 2)])
    right = torch.cat([torch.zeros(len(axis.joints), dtype=torch.float64), u(ends), -(wave**2) * u(nodes)])
    size = rows.abs().amax(1)
    theta = torch.linalg.solve(rows / size[:, None], right / size)
    x = torch.linspace(axis.low, axis.high, 1999, dtype=torch.float64)
    return float((axis.matrix(x, 0) @ theta - u(x)).norm() / u(x).norm())


@pytest.mark.parametrize("activation", ["sin", "tanh"])
@settings(max_examples=8, deadline=None)
@given(waves=st.floats(0.1, 200.0), seed=st.integers(0, 1000), low=st.floats(-5, 5), length=st.floats(0.1, 10))
def test_the_first_level_resolves_the_highest_wave(activation, waves: float, seed: int, low: float, length: float):
    wave = 2 * waves / length
    (axis,) = plan_axes(poisson(low, low + length), (wave,), activation=activation, seed=seed)
    assert error(axis, wave, 0.4 - wave * low) < 2e-9


@pytest.mark.parametrize("seed", range(3))
def test_a_smooth_function_is_resolved_by_one_patch(seed: int):
    (axis,) = plan_axes(poisson(0.0, 1.0), (math.pi,), seed=seed)
    assert axis.patches == 1
    assert error(axis, math.pi, 0.0) < 1e-12


@pytest.mark.parametrize("activation", ["sin", "tanh"])
def test_levels_find_what_the_bandwidth_missed_at_a_spectral_rate(activation: str):
    """For a wave five times as high as told, the logarithm of the error falls ever faster with the level."""
    found = [
        error(plan_axes(poisson(0.0, 2.0), (12.0,), level, activation=activation)[0], 60.0, 0.3) for level in range(7)
    ]
    steps = np.diff(np.log([e for e in found if e > 1e-9]))
    assert min(found) < 1e-9
    assert steps[-1] < -math.log(20), "the last levels before rounding gain more than any algebraic order would"


@settings(max_examples=30, deadline=None)
@given(highest=st.floats(0, 1000), level=st.integers(0, 5), activation=st.sampled_from(["sin", "tanh"]))
def test_the_reach_grows_with_the_level(highest: float, level: int, activation: str):
    lower, upper = (
        plan_axes(poisson(0.0, 1.0), (highest,), number, activation=activation)[0] for number in (level, level + 1)
    )

    def reach(axis: PatchedAxis) -> float:
        return axis.patches * float(axis.space.weights.abs().max())

    assert upper.size > lower.size
    assert 0.7 * GROWTH < reach(upper) / reach(lower) < 2.1 * GROWTH


def test_what_the_user_says_is_taken():
    (axis,) = plan_axes(poisson(0.0, 1.0), (100.0,), patches=(7,), radius=5.0, features=13)
    assert axis.patches == 7
    assert axis.space.size == 13
    assert float(axis.space.weights.abs().max()) == pytest.approx(5.0, rel=0.05)
    (fewer,) = plan_axes(poisson(0.0, 1.0), (100.0,), features=24)
    assert fewer.space.size <= 24
    assert error(fewer, 100.0, 0.3) < 1e-8


def test_orders_and_intervals_are_those_of_the_problem():
    problem = pm.Problem(
        coordinates={"x": (-2, 3), "t": (0, 7)},
        time="t",
        unknowns="u",
        equations="u_t + u_xxx = 0",
        conditions=[pm.Initial(u=0)],
    )
    x, t = plan_axes(problem, (1.0, 1.0))
    assert (x.low, x.high, x.order) == (-2.0, 3.0, 3)
    assert (t.low, t.high, t.order) == (0.0, 7.0, 1)


def test_an_unknown_activation_is_refused():
    with pytest.raises(InputError, match="allowed: sin, tanh"):
        plan_axes(poisson(0.0, 1.0), (1.0,), activation="relu")
