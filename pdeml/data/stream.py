"""Batches in shuffled order, read ahead by threads while the device works."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import NoReturn

import numpy as np
import torch

from pdeml.data.dataset import Dataset
from pdeml.data.order import epoch_order, shard
from pdeml.errors import InputError

__all__ = ["Stream"]

_BLOCK_BYTES = 16 * 2**20


class Stream:
    """Shuffled batches of a `Dataset`: name -> tensor (batch, [t], z, y, x). Iterating it again is the next epoch.

    Threads read ahead, past HDF5 and without Python's lock; how much memory that takes is bounded: ``ahead`` blocks of
    one batch, or of 16 MiB where a batch is less. Over all processes every sample comes once an epoch; within a batch
    the samples come in the order of the file. Which order the epochs have, `pdeml.data.order.epoch_order` says.

    Args:
        dataset: what to read.
        batch: items a batch; the last one of an epoch may be smaller.
        shuffle: otherwise the order of the file.
        seed: of the order.
        rank: number of this process; None: of `torch.distributed`, if it is initialised.
        world: number of processes; None likewise.
        drop_last: leave out what remains, and batches that not all processes have: all then count equally many.
        device: where the batches go.
        threads: that read; 0: none but the one that asks.
        ahead: blocks being read or waiting.
        dealt: whether the batches are those of one process alone, of which this one gets every ``world``-th item (in
            place of batches of its own): what is computed then does not depend on the number of processes. All have
            equally many batches, of which some may be empty.

    Raises:
        InputError: an option is out of range, or several processes read all samples of an unfinished file.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int = 32,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        drop_last: bool = False,
        device: str | torch.device = "cpu",
        threads: int = 2,
        ahead: int = 3,
        dealt: bool = False,
    ):
        if not isinstance(dataset, Dataset):
            raise InputError(f"a Stream reads a Dataset, got {dataset!r:.80}; write Stream(Dataset(FILE))")
        counts = {"batch": (batch, 1), "threads": (threads, 0), "ahead": (ahead, 1)}
        for name, (count, least) in counts.items():
            if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < least:
                raise InputError(f"{name} must be a whole number of at least {least}, got {count!r:.40}")
        self.dataset = dataset
        self.batch = batch
        self.shuffle = shuffle
        self.seed = seed
        self.rank, self.world = _place(rank, world)
        if self.world > 1 and dataset.grows:
            length = dataset.source.length
            raise InputError(
                f"{dataset.source.path} is unfinished: processes that open it at different moments would divide it "
                f"differently; give the Dataset of each the same samples, such as part=range({length})"
            )
        self.drop_last = drop_last
        self.device = torch.device(device)
        self.threads = threads
        self.ahead = ahead
        self.dealt = dealt
        self.epoch = 0

    def __len__(self) -> int:
        """Batches of an epoch in this process."""
        if self.dealt:
            return (len(self.dataset) if self.drop_last else len(self.dataset) + self.batch - 1) // self.batch
        samples, more = divmod(len(self.dataset.numbers), self.world)
        if self.drop_last:
            return samples * len(self.dataset.starts) // self.batch
        return -(-(samples + (self.rank < more)) * len(self.dataset.starts) // self.batch)

    def __repr__(self) -> str:
        place = f", process {self.rank} of {self.world}" if self.world > 1 else ""
        return f"Stream({self.dataset!r}, {len(self)} batches of {self.batch}{place})"

    def __getitem__(self, item: object) -> NoReturn:
        """Refuse what asks for single items, as `DataLoader` does."""
        raise InputError(
            "a Stream makes its own batches and has no single items: iterate it, or give its Dataset to DataLoader"
        )

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self.batches(epoch)

    def batches(self, epoch: int) -> Generator[dict[str, torch.Tensor], None, None]:
        """Yield the batches of one epoch, 0, 1, 2, ...: the same ones each time it is asked for."""
        size = len(range(self.rank, self.batch, self.world)) if self.dealt else self.batch
        left = len(self)
        if size:
            with closing(self._blocks(epoch)) as blocks:
                for batch in itertools.islice(_rebatched(blocks, size), len(self)):
                    left -= 1
                    yield batch
        for _ in range(left):  # dealt to other processes
            nothing = np.zeros(0, np.int64)
            yield self._moved(self.dataset.items(self.dataset.read(nothing), nothing, nothing))

    def _blocks(self, epoch: int) -> Generator[dict[str, torch.Tensor], None, None]:
        """Yield what is read together, read ahead by threads."""
        per_chunk, mixed = self._granularity()
        numbers = self.dataset.numbers
        order = epoch_order(numbers, per_chunk, mixed, self.seed, epoch) if self.shuffle else numbers
        order = order if self.dealt else shard(order, self.rank, self.world)
        size = mixed * per_chunk
        tasks = iter(enumerate(order[start : start + size] for start in range(0, len(order), size)))
        if not self.threads:
            for number, samples in tasks:
                yield self._block(samples, (self.seed, epoch, number), number * size)
            return
        waiting: deque[Future[dict[str, torch.Tensor]]] = deque()
        with ThreadPoolExecutor(self.threads, "pdeml-stream") as pool:
            try:
                for number, samples in itertools.chain(tasks, [(0, None)] * self.ahead):
                    if samples is not None:
                        waiting.append(pool.submit(self._block, samples, (self.seed, epoch, number), number * size))
                    if waiting and (samples is None or len(waiting) > self.ahead):
                        yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _block(self, samples: np.ndarray, seed: tuple[int, int, int], first: int) -> dict[str, torch.Tensor]:
        """Read a block of samples, of which the epoch has ``first`` before, and bring its items into their order."""
        distinct, rows = np.unique(samples, return_inverse=True)
        starts = len(self.dataset.starts)
        rows, start = np.repeat(rows, starts), np.tile(np.arange(starts), len(rows))
        if starts > 1 and self.shuffle:
            order = np.random.default_rng(seed).permutation(len(rows))
            rows, start = rows[order], start[order]
        elif starts == 1 and len(samples) <= self.batch:
            rows = np.arange(len(rows))
        if self.dealt and self.world > 1:
            places = first * starts + np.arange(len(rows))
            mine = places % self.batch % self.world == self.rank
            needed, rows = np.unique(rows[mine], return_inverse=True)
            distinct, start = distinct[needed], start[mine]
        return self._moved(self.dataset.items(self.dataset.read(distinct), rows, start))

    def _moved(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self.device.type == "cpu":
            return batch
        return {name: tensor.pin_memory().to(self.device, non_blocking=True) for name, tensor in batch.items()}

    def _granularity(self) -> tuple[int, int]:
        """Return how many samples a chunk holds, and how many chunks make a block."""
        source = self.dataset.source
        per_chunk = max(source.chunk_samples(name) for name in self.dataset.arrays)
        if per_chunk == 1 and len(self.dataset.starts) == 1:
            return 1, self.batch
        chunk_bytes = per_chunk * sum(source.arrays[name].sample_bytes for name in self.dataset.arrays)
        return per_chunk, max(2, _BLOCK_BYTES // max(chunk_bytes, 1))


def _rebatched(blocks: Iterator[dict[str, torch.Tensor]], size: int) -> Iterator[dict[str, torch.Tensor]]:
    """Cut blocks of any length into batches of ``size``; the last one may be smaller."""
    rest: dict[str, torch.Tensor] = {}
    for block in blocks:
        length, begun = _length(block), _length(rest)
        start = min(size - begun, length) if begun else 0
        if begun:
            rest = {name: torch.cat([rest[name], tensor[:start]]) for name, tensor in block.items()}
            if _length(rest) < size:
                continue
            yield rest
        whole = start + (length - start) // size * size
        for first in range(start, whole, size):
            yield {name: tensor[first : first + size] for name, tensor in block.items()}
        rest = {name: tensor[whole:] for name, tensor in block.items()} if whole < length else {}
    if rest:
        yield rest


def _length(batch: dict[str, torch.Tensor]) -> int:
    return len(next(iter(batch.values()))) if batch else 0


def _place(rank: int | None, world: int | None) -> tuple[int, int]:
    """Return (rank, world), of `torch.distributed` where they are not given."""
    if (rank is None) != (world is None):
        raise InputError("give both rank and world, or neither")
    if rank is None or world is None:
        running = torch.distributed.is_available() and torch.distributed.is_initialized()
        return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if running else (0, 1)
    if not 0 <= rank < world:
        raise InputError(f"rank must be one of 0 ... {world - 1}, got {rank}")
    return rank, world
