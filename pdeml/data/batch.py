"""One batch of samples, and the grid that they are on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True, eq=False)
class Batch(Mapping[str, Tensor]):
    """Arrays by name, (batch, [t], [z], [y], [x]) in their own units; it may be empty for one of several processes.

    Args:
        arrays: name -> values. Of series of time that are cut: name -> the frames seen, ``name_next`` -> those that
            follow.
        coordinates: dimension -> the values of this batch.
    """

    arrays: Mapping[str, Tensor]
    coordinates: Mapping[str, Tensor]

    def to(self, like: Tensor) -> Batch:
        """Return the batch on the device and in the precision of a tensor."""
        return Batch(
            {name: tensor.to(like) for name, tensor in self.arrays.items()},
            {name: tensor.to(like) for name, tensor in self.coordinates.items()},
        )

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        """Return the number of arrays, as of any mapping."""
        return len(self.arrays)
