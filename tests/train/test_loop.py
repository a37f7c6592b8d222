"""The loop: why it stops, what it keeps, whom it tells."""

from __future__ import annotations

import json
import math
import os
import signal
import time

import pytest
import torch

from pdeml.errors import DivergenceError, FileFormatError, RunError
from pdeml.train import (
    ENDED,
    Checkpointer,
    Event,
    Interruption,
    Limits,
    MetricsFile,
    TrainState,
    load_state,
    read_metrics,
    save_state,
    train,
)

from .tiny import Counting, Recorder, zero


def test_all_steps_are_done_and_seen():
    seen = Recorder()
    outcome = train(Counting(), zero(), Limits(5), [seen])
    assert (outcome.state.step, outcome.finished, outcome.reason) == (5, True, "all 5 steps done")
    assert seen.steps == [1, 2, 3, 4, 5]
    assert seen.ended == 1


def test_a_finished_trainable_stops_for_its_own_reason_and_stays_finished():
    outcome = train(Counting(finish=3), zero(), Limits(5))
    assert (outcome.state.step, outcome.reason, outcome.finished) == (3, "counted enough", True)
    assert outcome.state.facts[ENDED] == "counted enough"
    seen = Recorder()
    again = train(Counting(finish=3), outcome.state, Limits(5), [seen])
    assert (again.state, again.reason, seen.steps) == (outcome.state, "counted enough", [])


def test_no_step_is_done_past_the_limit():
    state = train(Counting(), zero(), Limits(5)).state
    assert train(Counting(), state, Limits(5)).state is state
    assert train(Counting(), state, Limits(7)).state.step == 7


def test_a_callback_stops_it_and_every_callback_sees_that_step():
    first, second = Recorder(stop_at=2), Recorder()
    outcome = train(Counting(), zero(), Limits(5), [first, second])
    assert (outcome.state.step, outcome.reason, outcome.finished) == (2, "enough seen", False)
    assert second.steps == [1, 2]
    assert (first.ended, second.ended) == (1, 1)


def test_time_stops_it_after_a_step_at_least():
    outcome = train(Counting(), zero(), Limits(5, max_seconds=1e-9))
    assert (outcome.state.step, outcome.finished) == (1, False)
    assert outcome.reason == "stopped by time, not reproducible"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it_with_the_best_state_before(bad: float):
    seen = Recorder()
    outcome = train(Counting(losses=(1.0, 1.0, bad)), zero(), Limits(5), [seen])
    assert isinstance(outcome.diverged, DivergenceError)
    assert "step 3" in str(outcome.diverged)
    assert float(outcome.state.tensors["z"]) == -2  # `best` of the state before
    assert seen.steps == [1, 2]


def test_checkpoints_round_trip(tmp_path):
    tensors = {
        "z": torch.randn(7, dtype=torch.float64),
        "single": torch.randn(3, 2).T,
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 4, dtype=torch.float64),
        "nan": torch.tensor([math.nan, math.inf, -0.0], dtype=torch.float64),
    }
    facts = {"fresh": [0.1, 1e-300, 1 / 3], "text": "ü", "nested": {"a": [1, None, True]}}
    save_state(tmp_path / "new" / "folder", TrainState(12, tensors, facts))
    back = load_state(tmp_path / "new" / "folder")
    assert (back.step, back.facts) == (12, facts)
    assert back.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back.tensors[name].dtype == tensor.dtype
        assert torch.equal(back.tensors[name].nan_to_num(7.0), tensor.nan_to_num(7.0))


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused_in_words(tmp_path, damage: bytes | None):
    save_state(tmp_path, zero())
    file = tmp_path / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-4] if damage is None else damage)
    with pytest.raises(FileFormatError):
        load_state(tmp_path)


def test_a_missing_checkpoint_is_refused_in_words(tmp_path):
    with pytest.raises((FileFormatError, RunError), match=r"state\.safetensors"):
        load_state(tmp_path)


def test_the_last_state_is_always_written(tmp_path):
    train(Counting(), zero(), Limits(5), [Checkpointer(tmp_path, every=1e9)])
    assert load_state(tmp_path).step == 5


def test_metrics_have_a_line_a_step_and_lose_a_partial_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    train(Counting(losses=(0.5, 0.25)), zero(), Limits(4), [MetricsFile(path)])
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4]
    assert read_metrics(path)[1]["loss"] == 0.25
    with path.open("a") as file:
        file.write('{"step": 5, "lo')
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3, 4]
    MetricsFile(path, step=2).close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2]
    MetricsFile(path).close()
    assert path.read_text() == ""


def test_metrics_are_on_disk_while_the_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.on_step(Event(zero(), {"loss": 1.0}, 5, 0.1))
    assert read_metrics(path) == [{"step": 0, "loss": 1.0}]
    metrics.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_handlers_are_restored(number: signal.Signals):
    class Sender(Recorder):
        def on_step(self, event: Event) -> None:
            super().on_step(event)
            if event.state.step == 2:
                os.kill(os.getpid(), number)
                time.sleep(0.01)

    former = signal.getsignal(number)
    with Interruption().listening() as interruption:
        outcome = train(Counting(), zero(), Limits(9), [Sender(), interruption])
    assert interruption.signal == number
    assert (outcome.state.step, outcome.finished) == (2, False)
    assert outcome.reason == f"interrupted by {number.name}"
    assert signal.getsignal(number) is former


def test_a_second_signal_stops_at_once():
    with Interruption().listening() as interruption:
        signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
