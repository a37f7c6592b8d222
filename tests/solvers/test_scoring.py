"""Errors of operators are those of their predictions, at once or frame after frame, on the grid of the samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.linalg import Grid, relative_error
from pdeml.nn.operator import Operator
from pdeml.solvers.scoring import score, scores_table

X = Axis("x", 0.0, 1.0, 8, periodic=True)
AT_ONCE = Signature((Quantity("a", ("x",)),), (Quantity("u", ("x",), mean=0.25), Quantity("v", ("x",))), (X,))


@dataclass
class Samples:
    """Stands for a part of a data set."""

    arrays: Mapping[str, Tensor]
    coordinates: Mapping[str, Tensor]

    def batches(self, epoch: int, size: int, *, shuffle: bool) -> Iterator[dict[str, Tensor]]:
        assert (epoch, shuffle) == (0, False)
        count = len(next(iter(self.arrays.values())))
        for start in range(0, count, size):
            yield {name: part[start : start + size] for name, part in self.arrays.items()}


class Scaled(Operator):
    """u = factor · a, v = -a."""

    def __init__(self, factor: float):
        super().__init__(AT_ONCE)
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        assert not self.training
        return torch.stack([self.factor * inputs["a"], -inputs["a"]], 1)


class Marching(Operator):
    """The next frames of u are its last one plus 1, 2, ... times the input at their times."""

    def __init__(self, window: int):
        quantities = (Quantity("g", ("t", "x")),), (Quantity("u", ("t", "x")),)
        axes = (Axis("t", 0.0, 1.5, 7), X)
        super().__init__(Signature(*quantities, axes, March(2, window, 0.25), masked=True))
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        assert inputs["u"].shape[1] == 2
        assert inputs["g"].shape[1] == self.signature.march.window
        assert inputs["mask"].ndim == 2
        return (inputs["u"][:, -1:] + self.one * inputs["g"].cumsum(1))[:, None]


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def part_of(n: int, count: int = 11) -> Samples:
    arrays = {name: noise(count, n, seed=seed) for seed, name in enumerate("auv")}
    arrays["u"][6] *= 0.01
    return Samples(arrays, {"x": torch.arange(n).double() / n})


@pytest.mark.parametrize("n", [8, 16])
@pytest.mark.parametrize("size", [4, 16])
def test_errors_are_those_of_the_prediction_on_any_grid(n: int, size: int):
    part, operator = part_of(n), Scaled(2.0)
    scores = score([operator], part, size=size)
    grid = Grid((part.coordinates["x"],), (1.0,))
    found = torch.stack([2 * part.arrays["a"], -part.arrays["a"]], 1)
    reference = torch.stack([part.arrays["u"], part.arrays["v"]], 1)
    for name, order in (("relative_l2", 0.0), ("h1", 1.0)):
        torch.testing.assert_close(scores.rows(name), relative_error(found, reference, grid, order))
    means = torch.tensor([0.25, 0.0]).double()[:, None].expand_as(reference)
    torch.testing.assert_close(scores.rows("baseline"), relative_error(means, reference, grid))
    assert scores.worst == 6
    assert scores.count == 11
    assert operator.training


def test_the_prediction_of_an_ensemble_is_its_mean():
    part = part_of(8)
    one, several = score([Scaled(2.0)], part), score([Scaled(1.0), Scaled(1.5), Scaled(3.5)], part)
    torch.testing.assert_close(several.to_plain(), one.to_plain())


@pytest.mark.parametrize("window", [1, 2, 3])
def test_marching_goes_from_the_first_frames_to_the_last(window: int):
    forcing = noise(3, 7, 8, seed=1)
    mask = noise(3, 8, seed=2) > -1
    true = noise(3, 1, 8, seed=3) + (forcing * (torch.arange(7) > 1)[:, None]).cumsum(1)
    time = torch.arange(7).double() * 0.25
    arrays = {"u": true.masked_fill(~mask[:, None], 9.0), "g": forcing, "mask": mask.double()}
    part = Samples(arrays, {"t": time, "x": torch.arange(8).double() / 8})
    plain = score([Marching(window)], part, size=2).to_plain()
    own = plain["outputs"]["u"]
    assert own["relative_l2"]["worst"] == pytest.approx(0, abs=1e-12)
    assert own["over_time"]["times"] == pytest.approx([0.5, 0.75, 1.0, 1.25, 1.5])
    frames = true[:, 2:, :] * mask[:, None]
    change = (true[:, 2:] - true[:, 1:2]) * mask[:, None]
    expected = (change.square().sum((1, 2)) / frames.square().sum((1, 2))).sqrt().mean()
    assert own["baseline"] == pytest.approx(float(expected))
    assert own["metrics"]["baseline_nmse"] > 0.1
    json.dumps(plain, allow_nan=False)


class Staying(Operator):
    """The next frame is the last one again, whatever the time is called."""

    def __init__(self):
        axes = (Axis("tau", 0.0, 1.0, 5), X)
        super().__init__(Signature((), (Quantity("u", ("tau", "x")),), axes, March(1, 1, 0.25, "tau")))
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        return self.one * inputs["u"][:, None, -1:]


def test_frames_are_those_of_the_time_whatever_it_is_called():
    coordinates = {"tau": torch.arange(5).double() / 4, "x": torch.arange(8).double() / 8}
    plain = score([Staying()], Samples({"u": noise(3, 5, 8, seed=0)}, coordinates)).to_plain()
    assert plain["outputs"]["u"]["over_time"]["times"] == [0.25, 0.5, 0.75, 1.0]


def test_the_table_shows_the_parts_side_by_side():
    parts = {name: score([Scaled(2.0)], part_of(8, count)).to_plain() for name, count in (("test", 7), ("train", 9))}
    text = scores_table(parts)
    lines = text.splitlines()
    assert lines[0].split() == ["test", "(7)", "train", "(9)"]
    assert [line[0] for line in lines[1:] if line[0] != " "] == ["u", "v"]
    mean = f"{parts['train']['outputs']['u']['relative_l2']['mean']:.2e}"
    assert next(line for line in lines if "relative L2, mean" in line).split()[-1] == mean
    assert "relative L2, 90 %" in text
    assert max(map(len, lines)) < 80
