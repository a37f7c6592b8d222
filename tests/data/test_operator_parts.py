"""The batches of operators: the same for any number of processes and any memory; frames and those that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data import ArrayInfo, Coordinate, Dataset, Schema
from pdeml.data import part as part_module
from pdeml.data.operator import OperatorData
from pdeml.data.signature import March
from pdeml.errors import InputError

from .making import SPLIT, drift_schema, expected, small_schema, write


def batches(data: OperatorData, kept: bool, size: int, world: int, **options: Any) -> list[dict[str, torch.Tensor]]:
    """Return the batches of one epoch, put together from those of all processes."""
    share = part_module._SHARE_OF_MEMORY
    part_module._SHARE_OF_MEMORY = share if kept else 0.0
    try:
        given_ = {"epoch": 1, "size": size, "world": world, "shuffle": options.pop("shuffle", True)}
        ranks = [list(data.part("train", seed=3, **options).batches(**given_, rank=rank)) for rank in range(world)]
    finally:
        part_module._SHARE_OF_MEMORY = share
    assert len({len(found) for found in ranks}) == 1
    result = []
    for parts in zip(*ranks, strict=True):
        whole = {}
        for name in parts[0]:
            total = sum(len(part[name]) for part in parts)
            whole[name] = torch.empty(total, *parts[0][name].shape[1:], dtype=parts[0][name].dtype)
            for rank, part in enumerate(parts):
                whole[name][rank::world] = part[name]
        result.append(whole)
    return result


def large_schema() -> Schema:
    """Samples that are chunks of their own."""
    shape = (40, 90, 20)
    return Schema({name: ArrayInfo(name, ("t", "y", "x"), shape, np.float32, role) for name, role in ROLES.items()})


ROLES = {"f": "input", "u": "output"}


@pytest.mark.parametrize("march", [None, March(2, 1, 1.0)], ids=["whole", "frames"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("chunked", ["shared chunks", "own chunks"])
def test_batches_do_not_depend_on_processes_or_memory(
    folder: Path, split: Path, march: March | None, shuffle: bool, chunked: str
) -> None:
    path = split
    if chunked == "own chunks":
        path = folder / "large.h5"
        path = path if path.exists() else write(path, large_schema(), 7)
    data = OperatorData(path, train=7 if path == split else 5)
    own = batches(data, True, 4, 1, march=march, shuffle=shuffle)
    items = sum(len(batch["u"]) for batch in own)
    part = data.part("train", march)
    assert items == len(part) == part.samples * (1 if march is None else (4 if path == split else 40) - 2)
    for kept, world in ((False, 1), (True, 3), (False, 3), (False, 5)):
        for one, other in zip(
            own,
            batches(OperatorData(path, train=part.samples), kept, 4, world, march=march, shuffle=shuffle),
            strict=True,
        ):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
    if not shuffle and march is None:
        whole = torch.cat([batch["u"] for batch in own]).numpy()
        source = data.source.read("u", data.numbers("train"))
        np.testing.assert_array_equal(whole, source)


def test_epochs_differ_and_come_again(split: Path) -> None:
    part = OperatorData(split).part("train")
    one, again, other = (torch.cat([b["u"] for b in part.batches(epoch, 5)]) for epoch in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(one.sum(0), other.sum(0)) or torch.allclose(one.sum(0), other.sum(0), rtol=1e-12)


def test_frames_come_with_those_that_follow_inputs_of_time_included(drift: Path) -> None:
    data = OperatorData(drift, train=4, test=2)
    march = data.signature((2, 1)).march
    assert march == March(2, 1, 0.5, "t")
    part = data.part("train", march, unroll=3)
    assert len(part) == 4 * 3
    found = list(part.batches(0, 5, shuffle=False))
    whole = {name: torch.cat([batch[name] for batch in found]) for name in found[0]}
    for name in ("u", "f"):
        series = torch.from_numpy(data.source.read(name, range(4)))
        for item in range(12):
            sample, start = divmod(item, 3)
            assert torch.equal(whole[name][item], series[sample, start : start + 2])
            assert torch.equal(whole[f"{name}_next"][item], series[sample, start + 2 : start + 5])
    assert "a_next" not in whole
    assert whole["a"].shape == (12, 10)
    longest = data.part("test", data.signature((2, 2)).march, unroll=None)
    assert len(longest) == 2
    batch = next(iter(longest.batches(0, 2, shuffle=False)))
    assert batch["u"].shape == (2, 2, 10)
    assert batch["u_next"].shape == (2, 4, 10)
    with pytest.raises(InputError, match="3 frames seen and 5 made do not fit into the 7"):
        data.signature((3, 5))
    with pytest.raises(InputError, match="2 frames and 6 windows of 1 do not fit") as caught:
        data.part("train", march, unroll=6)
    assert caught.value.path == ("unroll",)


def test_going_on_in_time_needs_a_time_of_equal_steps(folder: Path, split: Path) -> None:
    schema = drift_schema(np.arange(10) / 10)
    uneven = Schema(schema.arrays, {"t": Coordinate(np.arange(7.0) ** 2)})
    data = OperatorData(write(folder / "uneven.h5", uneven, 4))
    with pytest.raises(InputError, match="the steps of t differ, from 1 to 11") as caught:
        data.signature((1, 1))
    assert caught.value.path == ("history",)
    with pytest.raises(InputError, match="no time t to go on in: they have x"):
        OperatorData(split, outputs={"u": "u(t=last)"}).signature((1, 1))
    schema = drift_schema(np.arange(10) / 10, mask=ArrayInfo("mask", ("t", "x"), (7, 10), np.int8, "input"))
    with pytest.raises(InputError, match="the geometry changes in time") as caught:
        OperatorData(write(folder / "moving.h5", schema, 4)).signature((1, 1))
    assert caught.value.path == ("history",)


@settings(max_examples=20)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 3))
def test_every_sample_comes_once_an_epoch(split: Path, size: int, world: int, epoch: int) -> None:
    part = OperatorData(split).part("train")
    seen = [batch["nu"] for rank in range(world) for batch in part.batches(epoch, size, rank=rank, world=world)]
    wanted = expected(small_schema(), "nu", SPLIT["train"])
    np.testing.assert_array_equal(np.sort(torch.cat(seen).numpy()), np.sort(wanted))


def test_a_process_reads_its_own_samples_only(folder: Path, split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "large.h5"
    path = path if path.exists() else write(path, large_schema(), 7)
    monkeypatch.setattr(part_module, "_SHARE_OF_MEMORY", 0.0)
    read, real = [], Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, samples: read.extend(samples) or real(self, samples))
    list(OperatorData(path, train=7).part("train").batches(0, 4, rank=1, world=2))
    assert len(read) == len(set(read)) == 3, "two of the first four, one of the other three"
