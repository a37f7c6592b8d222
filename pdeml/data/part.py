"""The samples of one part of a data set, as batches of tensors in their own units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pdeml.data.batch import Batch
from pdeml.data.dataset import Dataset
from pdeml.data.stream import Stream
from pdeml.files import available_memory

__all__ = ["Part", "Variation"]

_SHARE_OF_MEMORY, _LARGEST_IN_MEMORY = 0.25, 4 * 2**30


class Variation(Protocol):
    """A random change of whole batches, such as a symmetry or another resolution."""

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return the changed batch; what is drawn does not depend on the samples."""


class Part:
    """Samples of one part, as batches.

    Kept in memory where they fit (a quarter of what is free, at most 4 GiB), otherwise streamed; the batches are the
    same.

    Args:
        dataset: its samples, and how series of time are cut.
        coordinates: dimension -> values.
        seed: of the order and of the variations.
        variations: applied to every batch, one after the other.
        memory: where samples are kept; parts of the same samples may share it.
    """

    def __init__(
        self,
        dataset: Dataset,
        coordinates: Mapping[str, np.ndarray],
        seed: int = 0,
        variations: Sequence[Variation] = (),
        memory: dict[str, np.ndarray] | None = None,
    ):
        self.dataset, self.seed, self.variations = dataset, seed, tuple(variations)
        self.coordinates = {name: torch.tensor(part) for name, part in coordinates.items()}
        self._memory = {} if memory is None else memory
        self._ready = False

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def samples(self) -> int:
        """Number of samples; series of time that are cut give several items each."""
        return len(self.dataset.numbers)

    def batches(self, epoch: int, size: int, *, shuffle: bool = True, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield the batches of one epoch, the same ones each time they are asked for.

        Args:
            epoch: 0, 1, 2, ...
            size: items a batch, over all processes; the last one may be smaller.
            shuffle: otherwise the order of the file.
            rank: number of this process, which gets every ``world``-th item of each batch.
            world: number of processes.
        """
        threads = 0 if self._in_memory() else 2
        options = {"shuffle": shuffle, "seed": self.seed, "rank": rank, "world": world, "threads": threads}
        stream = Stream(self.dataset, size, dealt=True, **options)
        for number, arrays in enumerate(stream.batches(epoch)):
            batch = Batch({name: _float(tensor) for name, tensor in arrays.items()}, self.coordinates)
            for place, variation in enumerate(self.variations):
                batch = variation(batch, np.random.default_rng((self.seed, epoch, number, place)))
            yield batch

    def _in_memory(self) -> bool:
        """Take the samples into memory if they fit there; whether they did."""
        if not self._ready:
            arrays = self.dataset.source.arrays
            wanted = self.samples * sum(arrays[name].sample_bytes for name in self.dataset.arrays)
            if not self._memory and wanted <= min(_SHARE_OF_MEMORY * available_memory(), _LARGEST_IN_MEMORY):
                self._memory.update(self.dataset.keep())
            elif self._memory:
                self.dataset.keep(self._memory)
            self._ready = True
        return bool(self._memory)


def _float(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.to(torch.float32)
