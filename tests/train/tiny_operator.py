"""Small operators and samples of them, held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from pdeml.data.batch import Batch
from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.nn.operator import Operator

PLAIN = Signature((Quantity("a", ("x",)),), (Quantity("u", ("x",), std=2.0),), (Axis("x", 0.0, 1.0, 6),), samples=10)
MARCHING = Signature(
    (Quantity("f", ("t",)), Quantity("c", ())),
    (Quantity("u", ("t", "x")),),
    (Axis("t", 0.0, 1.0, 9), Axis("x", 0.0, 1.0, 3)),
    March(history=2, window=2, step=0.125),
)


@dataclass
class Samples:
    """A part of a data set; ``poison`` is the first epoch with NaN in it."""

    arrays: Mapping[str, Tensor]
    coordinates: Mapping[str, Tensor]
    seed: int = 0
    poison: int | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batches(self, epoch: int, size: int, *, shuffle: bool = True, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        order = np.arange(len(self))
        if shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self))
        bad = self.poison is not None and epoch >= self.poison
        for start in range(0, len(self), size):
            rows = torch.from_numpy(order[start : start + size][rank::world])
            self.asked.append((epoch, start // size))
            yield Batch(
                {name: t[rows] * (torch.nan if bad else 1) for name, t in self.arrays.items()}, self.coordinates
            )


class Mixer(Operator):
    """u = tanh(W a + b) · gain, with a buffer."""

    def __init__(self, signature: Signature = PLAIN, seed: int = 0):
        super().__init__(signature)
        generator = torch.Generator().manual_seed(seed)
        size = signature.axes[0].size
        self.weight = nn.Parameter(torch.randn(size, size, generator=generator) / size**0.5)
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("gain", torch.tensor(1.5))

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        return (self.gain * torch.tanh(inputs["a"] @ self.weight + self.bias))[:, None]


class Marcher(Operator):
    """The next two frames: v = A (last frame) + B (frame before) + c f(t), and A v + c f: linear in u."""

    def __init__(self, seed: int = 0):
        super().__init__(MARCHING)
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
        self.first, self.second = (nn.Parameter(0.5 * part) for part in draw)

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        u, force = inputs["u"], inputs["c"][:, None] * inputs["f"]
        one = u[:, 1] @ self.first + u[:, 0] @ self.second + force[:, :1]
        two = one @ self.first + force[:, 1:2]
        return torch.stack([one, two], 1)[:, None]


def plain_samples(count: int = 10, seed: int = 0) -> Samples:
    generator = torch.Generator().manual_seed(100 + seed)
    a = torch.randn(count, 6, generator=generator)
    return Samples({"a": a, "u": a.cumsum(1)}, {"x": torch.linspace(0, 1, 6, dtype=torch.float64)})


def marching_samples(count: int = 4, windows: int = 2) -> Samples:
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator, dtype=torch.float64)

    frames = 2 * windows
    arrays = {"u": draw(2, 3), "u_next": draw(frames, 3), "f": draw(2), "f_next": draw(frames), "c": draw()}
    coordinates = {"t": torch.linspace(0, 1, 9, dtype=torch.float64), "x": torch.linspace(0, 1, 3, dtype=torch.float64)}
    return Samples(arrays, coordinates)
