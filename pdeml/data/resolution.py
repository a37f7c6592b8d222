"""Training at several resolutions: batches are thinned by a stride that is drawn anew for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pdeml.data.batch import Batch
from pdeml.data.dataset import NEXT
from pdeml.data.signature import Axis
from pdeml.errors import InputError

__all__ = ["Thinning"]


class Thinning:
    """Every s-th point of space, with s drawn from some strides for each batch; the time stays whole.

    Ends stay ends: along an axis of n points s must divide n - 1, along a periodic one n. Otherwise an operator would
    learn on domains of different sizes.

    Args:
        strides: 1 for the whole grid, 2 for every second point, ...
        dims: array -> its dimensions.
        axes: of all dimensions.
        time: name of the time.

    Raises:
        InputError: a stride does not fit; the message lists those that do.
    """

    def __init__(
        self, strides: Sequence[int], dims: Mapping[str, tuple[str, ...]], axes: Sequence[Axis], time: str = "t"
    ):
        self.strides = tuple(strides)
        self._dims = dims
        self._thinned = frozenset(axis.name for axis in axes if axis.name != time)
        for number, stride in enumerate(self.strides):
            for axis in axes:
                if axis.name in self._thinned:
                    _check(axis, stride, number)

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Return the batch on a coarser grid."""
        stride = self.strides[rng.integers(len(self.strides))]
        if stride == 1:
            return batch
        coordinates = {
            name: points[::stride].contiguous() if name in self._thinned else points
            for name, points in batch.coordinates.items()
        }
        arrays = {}
        for name, tensor in batch.items():
            dims = self._dims[name.removesuffix(NEXT)]
            key = tuple(slice(None, None, stride if dim in self._thinned else 1) for dim in dims)
            arrays[name] = tensor[(slice(None), *key)].contiguous()
        return Batch(arrays, coordinates)


def _check(axis: Axis, stride: int, number: int) -> None:
    steps = axis.size if axis.periodic else axis.size - 1
    if not isinstance(stride, int) or isinstance(stride, bool) or stride < 1 or steps % stride or steps // stride < 2:
        fitting = [str(s) for s in range(1, steps // 2 + 1) if steps % s == 0][:12]
        kind = "period" if axis.periodic else "range"
        raise InputError(
            f"{axis.size} points along {axis.name} cannot be thinned to every {stride}th of them so that the {kind} "
            f"stays the same; possible are {', '.join(fitting)}",
            ("resolutions", number),
        )
