"""Training operators on samples: steps, schedules, averages, early stopping, resuming, rollouts, ensembles."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from pdeml.errors import InputError
from pdeml.train import Limits, TrainState, load_state, save_state, train
from pdeml.train.compiled import compile_operator
from pdeml.train.ensemble import EnsembleTask, member_weights
from pdeml.train.fitting import Fitting
from pdeml.train.misfit import Misfit, relative_errors
from pdeml.train.operator import OperatorTask

from .tiny import Recorder
from .tiny_operator import MARCHING, PLAIN, Marcher, Mixer, marching_samples, plain_samples

FITTING = Fitting(epochs=3, batch=4, rate=0.02, weight_decay=0.3, ema=0.9, patience=9)


def make_task(fitting: Fitting = FITTING, seed: int = 0, **more) -> OperatorTask:
    data = plain_samples()
    data.seed = seed
    return OperatorTask(Mixer(seed=seed), data, fitting, more.pop("validation", plain_samples(5, 1)), **more)


def make_ensemble(fitting: Fitting = FITTING, members: int = 2) -> EnsembleTask:
    return EnsembleTask(lambda member: make_task(fitting, member), members, {"kind": "test"})


def run(task, state: TrainState | None = None, steps: int | None = None):
    return train(task, state or task.begin(), Limits(task.steps if steps is None else steps))


def assert_same(found: TrainState, wanted: TrainState) -> None:
    assert (found.step, found.facts) == (wanted.step, wanted.facts)
    assert found.tensors.keys() == wanted.tensors.keys()
    for name, tensor in wanted.tensors.items():
        assert torch.equal(found.tensors[name], tensor), name


def test_a_step_is_that_of_a_loop_written_out():
    fitting = Fitting(epochs=2, batch=4, rate=0.02, weight_decay=0.3, clip=0.05)
    data, model = plain_samples(), Mixer()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.3, foreach=False)
    losses = []
    for step, batch in enumerate(batch for epoch in range(2) for batch in data.batches(epoch, 4)):
        found = model({"a": batch["a"]}, {})[:, 0]
        loss = ((found - batch["u"]).norm(dim=1) / batch["u"].norm(dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        for group in optimiser.param_groups:
            group["lr"] = fitting.rate_at(step, 6)
        optimiser.step()
        losses.append(loss.item())
    seen = Recorder()
    task = OperatorTask(Mixer(), plain_samples(), fitting)
    state = train(task, task.begin(), Limits(task.steps), [seen]).state
    assert (task.per_epoch, task.steps) == (3, 6)
    assert state.facts["first_loss"] == pytest.approx(losses[0], rel=1e-6)
    for name, p in model.named_parameters():
        torch.testing.assert_close(state.tensors[f"model.{name}"], p.detach(), rtol=2e-5, atol=1e-6)


def test_rates_follow_their_formulas():
    steps, rate = 200, 0.5
    one, cosine, constant = (Fitting(1, 1, rate, schedule=name) for name in ("one_cycle", "cosine", "constant"))
    for step in range(steps):
        s = step / steps
        assert constant.rate_at(step, steps) == rate
        assert cosine.rate_at(step, steps) == pytest.approx(rate * math.cos(math.pi * s / 2) ** 2)
        warm = 0.04 * rate + 0.96 * rate * math.sin(math.pi * s / 0.2) ** 2
        late = rate * math.cos(math.pi * (s - 0.1) / 1.8) ** 2
        assert one.rate_at(step, steps) == pytest.approx(warm if s < 0.1 else late)
    assert one.rate_at(0, steps) == pytest.approx(0.04 * rate)
    assert one.rate_at(20, steps) == pytest.approx(rate)
    assert 0 < one.rate_at(199, steps) < 1e-3 * rate


def test_the_average_is_its_recursion_from_weights_that_are_soon_forgotten():
    fitting = replace(FITTING, ema=0.6)
    task = make_task(fitting)
    state, mean = task.begin(), task.operator.weight.detach().clone()
    for step in range(task.steps):
        state = task.advance(state)[0]
        decay = min(0.6, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * state.tensors["model.weight"]
        torch.testing.assert_close(state.tensors["ema.weight"], mean)
    assert task.result().weight.data_ptr() == state.tensors["ema.weight"].data_ptr()
    assert task.result().gain is task.operator.gain


@pytest.mark.parametrize("stop", range(1, 18))
def test_an_interrupted_run_ends_with_the_same_bits(stop: int, tmp_path):
    whole = run(make_ensemble())
    assert whole.state.step == 18  # two members of three epochs of three steps
    task = make_ensemble()
    save_state(tmp_path, run(task, steps=stop).state)
    again = make_ensemble()
    outcome = run(again, again.continued(load_state(tmp_path)))
    assert_same(outcome.state, whole.state)
    assert outcome.reason == whole.reason == "all 18 steps done"


def test_states_of_others_are_refused():
    state = make_ensemble().begin()
    with pytest.raises(InputError, match="does not belong"):
        make_ensemble(replace(FITTING, ema=None)).continued(state)
    with pytest.raises(InputError, match="does not belong"):
        make_ensemble().continued(TrainState(0, {}, {}))


def test_what_broke_down_goes_back_to_the_last_good_epoch(monkeypatch):
    monkeypatch.setattr("pdeml.train.operator._KEEP", 1)
    good = run(make_task(), steps=6).state
    kept = {name: tensor.clone() for name, tensor in good.tensors.items()}
    for broken in (make_task(), make_ensemble(members=1)):
        (broken if isinstance(broken, OperatorTask) else broken.task(0)).train.poison = 2
        outcome = run(broken)
        assert outcome.diverged is not None
        assert outcome.state.step == 6
        for name, tensor in kept.items():
            assert torch.equal(outcome.state.tensors[name], tensor), name
        assert all(torch.isfinite(tensor).all() for tensor in outcome.state.tensors.values())
    monkeypatch.setattr("pdeml.train.operator._KEEP", 20)  # few steps: the first state is the one that was kept
    broken = make_task()
    broken.train.poison = 2
    assert run(broken).state.step == 0


def test_a_member_that_breaks_down_in_its_last_epoch_is_not_taken_for_finished(monkeypatch):
    monkeypatch.setattr("pdeml.train.operator._KEEP", 1)
    task = make_ensemble(Fitting(epochs=3, batch=10, rate=0.02))
    task.task(0).train.poison = 2
    outcome = run(task)
    assert outcome.diverged is not None
    assert (outcome.state.step, outcome.state.facts["member"]) == (2, 0)
    assert all(torch.isfinite(tensor).all() for tensor in outcome.state.tensors.values())


def test_training_ends_without_gain_on_validation_and_keeps_the_best_weights():
    seen = Recorder()
    fitting = Fitting(epochs=60, batch=4, rate=0.3, schedule="constant", patience=2)
    ensemble = EnsembleTask(lambda member: make_task(fitting, member), 1, {})
    outcome = train(ensemble, ensemble.begin(), Limits(ensemble.steps), [seen])
    epochs = [state.facts["inner"] for state in seen.states if state.step % 3 == 0]
    best = epochs[-1]["best_epoch"]
    assert outcome.reason == f"no gain on the validation part since epoch {best}"
    assert outcome.state.step == 3 * (best + 2) < ensemble.steps
    model = Mixer()
    model.load_state_dict(member_weights(outcome.state)[0])
    error = relative_errors(model, plain_samples(5, 1), 4).mean().item()
    assert error == pytest.approx(epochs[-1]["best_error"], rel=1e-6)
    assert error < relative_errors(ensemble.task(0).result(), plain_samples(5, 1), 4).mean().item()


def test_early_stopping_needs_something_to_watch():
    with pytest.raises(InputError, match="validation"):
        make_task(validation=None)


def test_members_are_those_of_single_runs_and_come_one_after_the_other():
    together = run(make_ensemble(members=3)).state
    for number, weights in enumerate(member_weights(together)):
        alone = EnsembleTask(lambda _, seed=number: make_task(FITTING, seed), 1, {})
        for name, tensor in member_weights(run(alone).state)[0].items():
            assert torch.equal(weights[name], tensor)
    assert len(member_weights(together)) == 3
    unfinished = run(make_ensemble(members=3), steps=11).state
    assert len(member_weights(unfinished)) == 1


def test_one_operator_is_trained_further_but_not_members_that_are_done():
    longer = replace(FITTING, epochs=4)
    state = run(make_ensemble(members=1)).state
    task = make_ensemble(longer, members=1)
    outcome = run(task, task.continued(state))
    assert (outcome.state.step, outcome.reason) == (12, "all 12 steps done")
    state = run(make_ensemble(members=2), steps=11).state
    with pytest.raises(InputError, match="anew"):
        make_ensemble(longer, members=2).continued(state)


@pytest.mark.parametrize("kind", ["relative_l2", "h1", "mse"])
def test_losses_count_only_points_inside(kind: str):
    generator = torch.Generator().manual_seed(3)
    found, reference = torch.randn(2, 4, 1, 6, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 1, 1, 0]] * 4)
    grid = {"x": torch.linspace(0, 1, 6, dtype=torch.float64)}
    reference[:, :, 5] = torch.nan
    found.requires_grad_()
    loss = Misfit(Mixer(), kind)(found, reference, grid, mask)
    loss.backward()
    assert torch.isfinite(found.grad).all()
    assert (found.grad[:, :, 5] == 0).all()
    error, truth = (found - reference)[:, 0, :5].detach(), reference[:, 0, :5]
    if kind == "mse":
        assert loss.item() == pytest.approx(error.div(PLAIN.outputs[0].std).square().mean().item())
    if kind == "relative_l2":
        assert loss.item() == pytest.approx((error.norm(dim=1) / truth.norm(dim=1)).mean().item())


def test_the_loss_of_an_epoch_is_the_mean_over_samples_however_batches_fall():
    for kind in ("relative_l2", "mse"):
        fitting = Fitting(1, 4, 1e-12, loss=kind, schedule="constant", weight_decay=0.0)
        task = OperatorTask(Mixer(), plain_samples(), fitting)
        state, losses = task.begin(), []
        for _ in range(3):
            state, metrics, _ = task.advance(state)
            losses.append(metrics["loss"])
        mean = (4 * losses[0] + 4 * losses[1] + 2 * losses[2]) / 10
        whole = OperatorTask(Mixer(), plain_samples(), replace(fitting, batch=10))
        assert mean == pytest.approx(whole.advance(whole.begin())[1]["loss"], rel=1e-6)


def march_by_hand(model: Marcher, batch, start: torch.Tensor, frames: int, first: int = 0) -> torch.Tensor:
    """The recursion of `Marcher`, frame by frame."""
    force = batch["c"][:, None] * batch["f_next"]
    before, last, made = start[:, 0], start[:, 1], []
    for k in range(frames):
        new = last @ model.first + force[:, first + k, None]
        if k % 2 == 0:
            new = new + before @ model.second
        before, last = last, new
        made.append(new)
    return torch.stack(made, 1)


@pytest.mark.parametrize("pushforward", [False, True])
def test_rollouts_have_the_gradient_of_the_recursion_written_out(pushforward: bool):
    data = marching_samples()
    fitting = Fitting(1, 4, 1e-3, loss="mse", unroll=2, pushforward=pushforward, clip=None, weight_decay=0.0)
    task = OperatorTask(Marcher(), data, fitting)
    batch = next(data.batches(0, 4, shuffle=True))
    task._loss(batch, task._grid(data.coordinates), 0).backward()
    found = [p.grad for p in task.operator.parameters()]

    model = Marcher()
    if pushforward:
        with torch.no_grad():
            start = march_by_hand(model, batch, batch["u"], 2)
        made, wanted = march_by_hand(model, batch, start, 2, first=2), batch["u_next"][:, 2:]
    else:
        made, wanted = march_by_hand(model, batch, batch["u"], 4), batch["u_next"]
    (made - wanted).square().mean().backward()
    for own, p in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(own, p.grad)
        assert own.abs().max() > 1e-3


def test_a_rollout_that_is_exact_has_no_error():
    truth, data = Marcher(), marching_samples(windows=3)
    batch = dict(data.arrays)
    data.arrays = {**batch, "u_next": march_by_hand(truth, batch, batch["u"], 6).detach()}
    assert relative_errors(truth, data, 3).max() < 1e-14
    other = relative_errors(Marcher(seed=1), data, 3)
    assert other.shape == (4, 1)
    assert other.min() > 0.1
    fitting = Fitting(400, 4, 0.05, loss="mse", unroll=3, schedule="cosine", weight_decay=0.0)
    task = OperatorTask(Marcher(seed=1), data, fitting)
    run(task)
    assert relative_errors(task.result(), data, 3).max() < 1e-4


def test_errors_of_frames_are_taken_over_space():
    data = marching_samples()
    found = torch.randn(4, 1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    reference = data.arrays["u_next"][:, None]
    errors = Misfit(Marcher()).errors(found, reference, data.coordinates, None)
    wanted = ((found - reference).norm(dim=3) / reference.norm(dim=3)).mean(2)
    torch.testing.assert_close(errors, wanted)
    mask = torch.tensor([[1, 1, 0]] * 4)
    errors = Misfit(Marcher()).errors(found, reference, data.coordinates, mask)
    wanted = ((found - reference)[..., :2].norm(dim=3) / reference[..., :2].norm(dim=3)).mean(2)
    torch.testing.assert_close(errors, wanted)
    assert MARCHING.space == ("x",)


def test_another_loss_is_added():
    def far(operator, inputs, grid, found, step):
        assert found.shape == (len(inputs["a"]), 1, 6)
        assert list(grid) == ["x"]
        return 10.0 + step

    plain, more = (OperatorTask(Mixer(), plain_samples(), FITTING, plain_samples(5), further=f) for f in (None, far))
    states = [task.begin() for task in (plain, more)]
    for step in range(2):
        done = [task.advance(state) for task, state in zip((plain, more), states, strict=True)]
        states = [state for state, _, _ in done]
        assert done[1][1]["loss"] == pytest.approx(done[0][1]["loss"] + 10 + step, rel=1e-6)
    assert_same(states[1], states[0])


def test_compiled_code_gives_the_same_and_without_a_compiler_it_goes_on(monkeypatch):
    plain = run(make_task()).state

    def refuse(graph, example):
        raise RuntimeError("there is no compiler")

    for backend, notes in (("eager", 0), (refuse, 1)):
        monkeypatch.setattr("pdeml.train.operator.compile_operator", partial(compile_operator, backend=backend))
        torch._dynamo.reset()
        task = make_task(compiled=True)
        state = run(task).state
        assert state.tensors.keys() == plain.tensors.keys()
        for name, tensor in plain.tensors.items():
            torch.testing.assert_close(state.tensors[name], tensor)
        assert len(task.notes) == notes
        assert task.compiled == (notes == 0)
    assert "there is no compiler" in task.notes[0]
