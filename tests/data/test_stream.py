"""Streaming: each sample once an epoch, over all processes; windows, frames and normalisation are what numpy gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.data import Dataset, Frames, Stream, Writer
from pdeml.data.order import epoch_order, shard
from pdeml.errors import FileFormatError, InputError

from .making import ATTRS, expected, mixed_schema, sample, small_schema, write

SAMPLES = 23


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    split = {"train": range(0, 16), "validation": range(16, 20), "test": range(20, 23)}
    return write(tmp_path_factory.mktemp("data") / "a.h5", small_schema(), SAMPLES, split)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "a.h5", mixed_schema(), SAMPLES)


numbers = st.sets(st.integers(0, 500), max_size=80).map(sorted).map(np.array).map(lambda a: a.astype(np.int64))


@given(numbers, st.integers(1, 20), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_is_a_permutation(found: np.ndarray, per_chunk: int, mixed: int, seed: int, epoch: int) -> None:
    order = epoch_order(found, per_chunk, mixed, seed, epoch)
    np.testing.assert_array_equal(np.sort(order), found)
    np.testing.assert_array_equal(order, epoch_order(found, per_chunk, mixed, seed, epoch))


@given(numbers, st.integers(2, 20), st.integers(1, 9))
def test_chunks_are_read_a_few_at_a_time(found: np.ndarray, per_chunk: int, mixed: int) -> None:
    chunks = epoch_order(found, per_chunk, mixed, 0, 0) // per_chunk
    for chunk in np.unique(chunks):
        first, last = np.flatnonzero(chunks == chunk)[[0, -1]]
        assert len(np.unique(chunks[first : last + 1])) <= mixed
        assert last - first < mixed * per_chunk


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(epoch_order(np.arange(50), s, 4, seed, n)) for s in (1, 5) for seed in range(3) for n in range(3)}
    assert len(orders) == 18


def test_each_place_is_equally_likely() -> None:
    counts = np.zeros((6, 6))
    for epoch in range(3000):
        counts[np.arange(6), epoch_order(np.arange(6), 1, 1, 0, epoch)] += 1
    chi_squared = ((counts - 500) ** 2 / 500).sum()
    assert chi_squared < 52.6, "the 0.1 % point of 25 degrees of freedom"


@given(st.integers(0, 100), st.integers(1, 9))
def test_shards_are_a_partition(count: int, world: int) -> None:
    order = np.random.default_rng(0).permutation(count)
    parts = [shard(order, rank, world) for rank in range(world)]
    np.testing.assert_array_equal(np.concatenate(parts), order)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def streamed(stream: Stream, name: str, epoch: int = 0) -> np.ndarray:
    return np.concatenate([batch[name].numpy() for batch in stream.batches(epoch)])


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize("batch", [1, 4, 40])
@pytest.mark.parametrize("which, name", [("small", "nu"), ("large", "little")])
def test_each_sample_comes_once_over_all_processes(
    request: pytest.FixtureRequest, which: str, name: str, batch: int, world: int
) -> None:
    dataset = Dataset(request.getfixturevalue(which), dtype=None)
    schema = small_schema() if which == "small" else mixed_schema()
    wanted = expected(schema, name, range(SAMPLES)).reshape(SAMPLES, -1)[:, 0]
    for epoch in range(2):
        streams = [Stream(dataset, batch, rank=rank, world=world) for rank in range(world)]
        parts = [streamed(stream, name, epoch).reshape(-1, *wanted.shape[1:]) for stream in streams]
        first = np.concatenate([part.reshape(len(part), -1)[:, 0] for part in parts]) if which == "small" else None
        if first is None:
            first = np.concatenate([streamed(stream, name, epoch)[:, 0] for stream in streams])
        np.testing.assert_array_equal(np.sort(first), np.sort(wanted))
        for stream in streams:
            sizes = [len(item[name]) for item in stream.batches(epoch)]
            assert len(sizes) == len(stream)
            assert all(size == batch for size in sizes[:-1])
            assert 0 < sizes[-1] <= batch
        whole = [len(list(Stream(dataset, batch, rank=r, world=world, drop_last=True))) for r in range(world)]
        assert len(set(whole)) == 1


def test_arrays_of_a_batch_belong_together(small: Path) -> None:
    dataset = Dataset(small, dtype=None)
    known = {float(sample(small_schema(), n)["nu"]): n for n in range(SAMPLES)}
    for batch in Stream(dataset, 5, seed=3):
        chosen = [known[float(nu)] for nu in batch["nu"]]
        for name in ("a", "u", "mask"):
            np.testing.assert_array_equal(batch[name].numpy(), expected(small_schema(), name, chosen))


def test_a_stream_repeats_itself_and_its_epochs_differ(small: Path) -> None:
    one, two = (Stream(Dataset(small), 4, seed=5) for _ in range(2))
    epochs = [np.concatenate([batch["nu"] for batch in one]) for _ in range(3)]
    for epoch, values in enumerate(epochs):
        np.testing.assert_array_equal(values, streamed(two, "nu", epoch))
    assert not np.array_equal(epochs[0], epochs[1])
    ordered = streamed(Stream(Dataset(small, dtype=None), 4, shuffle=False), "nu")
    np.testing.assert_array_equal(ordered, expected(small_schema(), "nu", range(SAMPLES)))


def test_a_stream_may_be_left_early(large: Path) -> None:
    stream = Stream(Dataset(large), 2)
    for _ in range(3):
        batches = stream.batches(0)
        next(batches)
        batches.close()
    assert len(list(stream)) == len(stream)


def test_parts_are_those_of_the_file(small: Path) -> None:
    parts = {name: Dataset(small, name, dtype=None) for name in ("train", "validation", "test")}
    assert [len(part) for part in parts.values()] == [16, 4, 3]
    np.testing.assert_array_equal(parts["test"][-1]["u"], sample(small_schema(), 22)["u"])
    np.testing.assert_array_equal(Dataset(small, [4, 2], dtype=None)[1]["u"], sample(small_schema(), 2)["u"])


indices = st.none() | st.integers(-40, 40)


@settings(max_examples=30, deadline=None)
@given(indices, indices, st.none() | st.integers(-5, 5).filter(bool), st.booleans())
def test_a_slice_is_a_batch_of_its_items(small: Path, start, stop, step, cut: bool) -> None:
    dataset = Dataset(small, "test", frames=Frames(1, 1) if cut else None)
    chosen = slice(start, stop, step)
    batch, numbers = dataset[chosen], range(len(dataset))[chosen]
    for name, first in dataset[0].items():
        stacked = torch.stack([dataset[n][name] for n in numbers]) if numbers else first[None][:0]
        assert torch.equal(batch[name], stacked)


def test_items_count_from_both_ends_and_end(small: Path) -> None:
    dataset = Dataset(small, "test")
    assert torch.equal(dataset[-1]["u"], dataset[2]["u"])
    assert torch.equal(dataset[np.int64(1)]["u"], dataset[torch.tensor(1)]["u"])
    assert len(list(dataset)) == 3
    for item in (3, 999, -4):
        with pytest.raises(IndexError, match=f"a.h5: there is no item {item}; this Dataset has 3"):
            dataset[item]


def test_what_they_print_says_what_they_are(small: Path) -> None:
    dataset = Dataset(small, "train", arrays=["u", "nu"])
    assert repr(dataset) == f"Dataset({str(small)!r}, part 'train': 16 items of u, nu, mask)"
    assert repr(Stream(dataset, 5)) == f"Stream({dataset!r}, 4 batches of 5)"
    assert "all samples: 46 items" in repr(Dataset([small, small]))
    assert "chosen samples: 2 items" in repr(Dataset(small, [3, 1]))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 4))
def test_frames_are_windows_of_time(small: Path, inputs: int, outputs: int, step: int, thin: int, batch: int) -> None:
    times = range(0, 4, thin)
    options = {"window": {"t": slice(None, None, thin), "x": slice(1, None, 3)}, "dtype": None}
    if inputs + outputs > len(times):
        with pytest.raises(InputError, match="frames do not fit"):
            Dataset(small, frames=Frames(inputs, outputs, step), **options)
        return
    dataset = Dataset(small, frames=Frames(inputs, outputs, step), **options)
    starts = range(0, len(times) - inputs - outputs + 1, step)
    assert len(dataset) == SAMPLES * len(starts)
    u = expected(small_schema(), "u", range(SAMPLES))[:, ::thin, 1::3]
    wanted = [u[n, start : start + inputs + outputs] for n in range(SAMPLES) for start in starts]
    for number in (0, len(dataset) - 1):
        item = dataset[number]
        both = np.concatenate([item["u"], item["u_next"]]) if outputs else item["u"]
        np.testing.assert_array_equal(both, wanted[number])
        np.testing.assert_array_equal(item["a"], sample(small_schema(), number // len(starts))["a"][1::3])
    found = streamed(Stream(dataset, batch), "u")
    flat = [row.ravel() for row in found], [row[:inputs].ravel() for row in wanted]
    np.testing.assert_array_equal(*(np.sort(np.array(rows), axis=0) for rows in flat))


def test_normalisation_is_stored_and_invertible(small: Path) -> None:
    dataset = Dataset(small, "train", normalise=True, dtype=torch.float64)
    u = torch.stack([dataset[number]["u"] for number in range(len(dataset))])
    assert float(u.mean()) == pytest.approx(0, abs=1e-12)
    assert float(u.std(correction=0)) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(
        dataset.denormalise("u", u), expected(small_schema(), "u", range(len(dataset))), rtol=0, atol=1e-14
    )
    only = Dataset(small, normalise=["a"], dtype=None)
    np.testing.assert_array_equal(only[3]["u"], sample(small_schema(), 3)["u"])
    assert only[3]["mask"].dtype == torch.int8


def test_what_is_not_finished_has_no_statistics(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.h5", small_schema(), 2, ATTRS) as writer:
        writer.append(sample(small_schema(), 0))
        assert len(Dataset(writer.part)) == 1
        with pytest.raises(InputError, match="holds no statistics of 'a'; finish it"):
            Dataset(writer.part, normalise=True)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_data_loader_with_workers_sees_the_same(small: Path, method: str) -> None:
    dataset = Dataset(small, dtype=None)
    dataset[0]  # the file is open when the workers begin
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, num_workers=2, multiprocessing_context=method)
    found = np.concatenate([batch["u"] for batch in loader])
    np.testing.assert_array_equal(found, expected(small_schema(), "u", range(SAMPLES)))


def test_a_data_set_can_be_pickled(small: Path) -> None:
    dataset = Dataset(small, "train", normalise=["u"])
    again = pickle.loads(pickle.dumps(dataset))
    assert len(again) == len(dataset)
    assert torch.equal(again[3]["u"], dataset[3]["u"])


def test_under_torch_distributed_rank_and_world_are_found(small: Path, tmp_path: Path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        stream = Stream(Dataset(small), 4)
        assert (stream.rank, stream.world) == (0, 1)
    finally:
        torch.distributed.destroy_process_group()


def test_nan_is_reported_with_its_sample(tmp_path: Path) -> None:
    schema = small_schema()
    with Writer(tmp_path / "a.h5", schema, 9, ATTRS) as writer:
        for number in range(9):
            values = {**sample(schema, number), "mask": np.ones(9)}
            if number == 6:
                values["u"][1, 2] = np.nan
            writer.append(values)
        writer.finish()
    with pytest.raises(FileFormatError, match="array 'u', sample 6: holds NaN"):
        list(Stream(Dataset(writer.path), 3))
    batches = list(Stream(Dataset(writer.path, allow_nan=True), 3))
    assert sum(int(batch["u"].isnan().sum()) for batch in batches) == 1


def test_finite_numbers_whose_sum_overflows_are_finite(tmp_path: Path) -> None:
    schema = small_schema()
    with Writer(tmp_path / "a.h5", schema, 1, ATTRS) as writer:
        writer.append({**sample(schema, 0), "a": np.full(9, 3e38)})
        writer.finish()
    assert float(Dataset(writer.path)[0]["a"][0]) == pytest.approx(3e38)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: Dataset(p, "trian"), "did you mean 'train'"),
        (lambda p: Dataset(p, [1, 1]), "distinct samples of 0 ... 22"),
        (lambda p: Dataset(p, [23]), "distinct samples of 0 ... 22"),
        (lambda p: Dataset(p, arrays=["v"]), "'v' is not an array of this file"),
        (lambda p: Dataset(p, normalise=["mask"]), "'mask' is not an array of floats"),
        (lambda p: Dataset(p, dtype=torch.int32), "dtype must be one of torch.float32"),
        (lambda p: Frames(0), "inputs >= 1"),
        (lambda p: Dataset(p, frames=Frames(time="s")), "one time dimension 's'"),
        (lambda p: Dataset(p)["u"], r"a number or a slice, got 'u'; .* arrays=\["),
        (lambda p: Dataset(p, window=3), "dimension -> slice, .* windows of time are frames"),
        (lambda p: Dataset(p, window={"x": 3}), "dimension -> slice"),
        (lambda p: Stream(str(p)), r"got '.*a.h5'; write Stream\(Dataset\(FILE\)\)"),
        (lambda p: Stream(Dataset(p), batch="8"), "batch must be a whole number of at least 1, got '8'"),
        (lambda p: next(iter(torch.utils.data.DataLoader(Stream(Dataset(p))))), "give its Dataset to DataLoader"),
        (lambda p: Stream(Dataset(p), 0), "at least 1"),
        (lambda p: Stream(Dataset(p), rank=2, world=2), "one of 0 ... 1"),
        (lambda p: Stream(Dataset(p), rank=0), "both rank and world"),
    ],
)
def test_wrong_arguments_are_named(small: Path, make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(small)
