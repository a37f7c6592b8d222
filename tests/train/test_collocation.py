"""Training on drawn points: resuming is exact, draws are honest and repeatable, and the reasons to stop are true."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch

from pdeml.errors import DivergenceError
from pdeml.optim import LBFGS, Adam, GaussNewton, Optimiser
from pdeml.train import Limits, TrainState, load_state, save_state, train

from .tiny import Recorder, heat_task

METHODS = {
    "gauss_newton": ((GaussNewton(), 10),),
    "adam": ((Adam(rate=0.01, horizon=10), 10),),
    "lbfgs": ((LBFGS(memory=4), 10),),
    "adam then lbfgs": ((Adam(rate=0.01, horizon=4), 4), (LBFGS(memory=4), 6)),
}


def same(one: TrainState, two: TrainState) -> None:
    assert (one.step, dict(one.facts)) == (two.step, dict(two.facts))
    assert one.tensors.keys() == two.tensors.keys()
    for name, tensor in one.tensors.items():
        assert torch.equal(tensor, two.tensors[name]), name


@pytest.mark.parametrize("optimisers", METHODS.values(), ids=METHODS)
def test_resuming_at_any_step_gives_the_very_same_tensors(optimisers: Sequence[tuple[Optimiser, int]], tmp_path):
    task, state = heat_task(optimisers, flat_stop=False)
    whole = Recorder()
    last = train(task, state, Limits(task.steps), [whole]).state
    for step in range(1, task.steps):
        for through_file in (False, True):
            fresh, _ = heat_task(optimisers, flat_stop=False)  # another process has other memory
            state = whole.states[step - 1]
            if through_file:
                save_state(tmp_path, state)
                state = load_state(tmp_path)
            same(train(fresh, fresh.continued(state), Limits(task.steps)).state, last)


def test_the_same_seed_draws_the_same_points_and_another_seed_others():
    def points(seed: int) -> list[torch.Tensor]:
        task, state = heat_task(seed=seed)
        return [task.advance(state)[0].tensors[name] for name in ("points.0.x", "points.1.x")]

    assert all(map(torch.equal, points(1), points(1)))
    assert not any(map(torch.equal, points(1), points(2)))


def test_draws_come_every_few_steps_with_weights_that_sum_to_one():
    task, state = heat_task(flat_stop=False, every=4, levels=0)
    seen = Recorder()
    train(task, state, Limits(12), [seen])
    drawn = [state.tensors["points.0.x"] for state in seen.states]
    changes = [k + 1 for k, (a, b) in enumerate(itertools.pairwise(drawn)) if not torch.equal(a, b)]
    assert changes == [3, 7, 11]  # after the 4th, the 8th and the 12th step
    for state in seen.states:
        for number, count in enumerate(task.counts):
            weights = state.tensors[f"points.{number}.weights"]
            assert len(weights) == count
            assert float(weights.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("sampler", ["sobol", "halton", "latin", "uniform", "grid"])
def test_no_point_is_trained_on_twice_or_used_to_check(sampler: str, monkeypatch: pytest.MonkeyPatch):
    """Rows of fresh checks never occur among the trained ones, over several draws."""
    task, state = heat_task(flat_stop=False, sampler=sampler)
    seen = Recorder()
    last = train(task, state, Limits(9), [seen]).state
    trained = {id(s.tensors["points.0.x"]): s.tensors["points.0.x"] for s in seen.states}.values()
    rows = [tuple(row) for x in trained for row in x.tolist()]
    assert len(trained) == 4
    assert (len(rows) == len(set(rows))) == (sampler != "grid")  # a grid is the same in every draw
    checked = []
    blocks = type(task)._blocks

    def noted(self, points):
        checked.extend(tuple(row) for row in points[0].x.tolist())
        return blocks(self, points)

    monkeypatch.setattr(type(task), "_blocks", noted)
    task.fresh_norms(last.tensors["z"], count=64)
    assert len(checked) >= 64
    assert not set(checked) & set(rows)


def test_fresh_norms_are_repeatable_and_independent_of_what_was_trained():
    one, state = heat_task()
    norms = one.fresh_norms(state.tensors["z"])
    train(one, state, Limits(3))
    assert one.fresh_norms(state.tensors["z"]) == norms
    assert list(norms) == [statement.name for statement in one.statements]


def test_tolerance_ends_it_once_fresh_points_say_so():
    task, state = heat_task(((GaussNewton(), 200),), tolerance=0.02, flat_stop=False, counts=(160, 16))
    outcome = train(task, state, Limits(task.steps))
    assert "below the tolerance" in outcome.reason
    assert outcome.state.facts["fresh"][-1] <= 0.02 < min(outcome.state.facts["fresh"][:-1])
    norms = task.fresh_norms(outcome.state.tensors["z"])
    assert math.hypot(*norms.values()) < 0.04


def test_flat_residuals_first_double_the_points_then_end_it():
    task, state = heat_task(((GaussNewton(), 500),), levels=1)
    seen = Recorder()
    outcome = train(task, state, Limits(task.steps), [seen])
    assert outcome.state.step < 500
    assert outcome.finished
    levels = [state.facts["level"] for state in seen.states]
    assert levels == sorted(levels)
    assert levels[-1] == 1
    sizes = [len(state.tensors["points.0.x"]) for state in seen.states if state.facts["level"] == 1]
    assert set(sizes) == {80}


def test_the_best_parameters_are_those_with_the_smallest_fresh_residual():
    task, state = heat_task(((Adam(rate=0.2, horizon=10**6), 30),), flat_stop=False)
    seen = Recorder()
    last = train(task, state, Limits(30), [seen]).state
    drawn = [0, *(s.step for s in seen.states if s.step % 3 == 0)]
    before = {0: state, **{s.step: s for s in seen.states}}
    fresh = last.facts["fresh"]
    best = before[drawn[fresh.index(min(fresh))]].tensors["z"]
    assert torch.equal(task.best(last).tensors["z"], best)


@pytest.mark.parametrize("optimisers", METHODS.values(), ids=METHODS)
def test_numbers_that_break_down_end_it_with_the_best_state(optimisers: Sequence[tuple[Optimiser, int]]):
    task, state = heat_task(optimisers, flat_stop=False)
    good = train(task, state, Limits(3)).state
    broken = {**good.tensors, "z": torch.full_like(good.tensors["z"], math.nan)}
    outcome = train(task, TrainState(good.step, broken, good.facts), Limits(task.steps))
    assert isinstance(outcome.diverged, DivergenceError)
    assert torch.equal(outcome.state.tensors["z"], good.tensors["best"])
