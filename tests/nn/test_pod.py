"""POD modes are orthonormal and optimal; ridge regression finds linear maps; a DeepONet starts as the best of them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.data.signature import Axis, March, Quantity, Signature
from pdeml.nn.deeponet import DeepONet
from pdeml.nn.pod import best_linear, principal_modes, start
from pdeml.nn.rollout import rollout

X, T = Axis("x", 0.0, 1.0, 24, periodic=True), Axis("t", 0.0, 1.0, 7)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=_generator(seed), dtype=torch.float64)


def _blocks(rows: Tensor, size: int) -> Iterator[Tensor]:
    return iter(rows.split(size))


@pytest.mark.parametrize("samples, points", [(60, 200), (2000, 30), (700, 1100)], ids=["wide", "tall", "many blocks"])
def test_modes_are_those_of_the_singular_value_decomposition(samples: int, points: int):
    """Orthonormal, with the leading singular values, and as good as the best basis; the mean is taken off."""
    decay = torch.exp(-0.05 * torch.arange(points, dtype=torch.float64))
    rows = _normal(samples, points) * decay @ _normal(points, points, seed=1) + 3.0 * _normal(points, seed=2)
    modes, sizes, mean = principal_modes(_blocks(rows, 97), 20)
    centred = (rows - rows.mean(0)).numpy()
    values = np.linalg.svd(centred, compute_uv=False)
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(modes @ modes.T, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-9)
    np.testing.assert_allclose(sizes * samples**0.5, values[:20], rtol=1e-4)
    left = centred - centred @ modes.T.numpy() @ modes.numpy()
    assert np.linalg.norm(left) <= (1 + 1e-6) * np.sqrt((values[20:] ** 2).sum())


def test_more_modes_than_there_are_stay_zero():
    modes, sizes, _ = principal_modes(_blocks(_normal(5, 40), 2), 8)
    assert bool((modes[4:].abs() < 1e-12).all())
    assert bool((sizes[4:] < 1e-12).all())
    assert bool((modes[:4].norm(dim=1) - 1 < 1e-12).all())


@pytest.mark.parametrize("samples", [30, 4000], ids=["few", "many"])
def test_ridge_regression_equals_the_normal_equations_of_its_penalty(samples: int):
    """Noise-free: the map itself. The expected error is that on new samples, up to a factor."""
    x, w, b = _normal(samples, 12), _normal(3, 12, seed=1), _normal(3, seed=2)
    noise = torch.tensor([0.0, 1e-3, 0.3], dtype=torch.float64)
    y = x @ w.T + b + noise * _normal(samples, 3, seed=3)
    weight, offset, error = best_linear(zip(x.split(19), y.split(19), strict=True))
    torch.testing.assert_close(weight[0], w[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(offset[0], b[0], rtol=1e-9, atol=1e-9)
    fresh = _normal(5000, 12, seed=4)
    wrong = fresh @ (weight - w).T + offset - b + noise * _normal(5000, 3, seed=5)
    measured = wrong.square().mean(0).sqrt()
    assert bool((error[1:] / measured[1:] - 1).abs().max() < 0.35), (error, measured)
    assert float(error[0]) < 1e-9


def test_a_useless_input_gets_no_weight():
    x, y = _normal(200, 8), _normal(200, 1, seed=1)
    weight, _, error = best_linear([(x, y)])
    assert float(weight.norm()) < 0.2
    assert abs(float(error[0]) - 1) < 0.15


def _signature(samples: int = 200) -> Signature:
    return Signature(
        (Quantity("a", ("x",), 0.2, 0.6),), (Quantity("u", ("t", "x"), 0.1, 0.5),), (T, X), samples=samples
    )


GRID = {"x": torch.arange(24, dtype=torch.float64) / 24, "t": torch.linspace(0, 1, 7, dtype=torch.float64)}


def _waves(samples: int, seed: int = 0) -> Tensor:
    """Coefficients of the waves 0 ... 4, (samples, 5, 2)."""
    return _normal(samples, 5, 2, seed=seed) / torch.arange(1, 6, dtype=torch.float64)[:, None]


def _wave(coefficients: Tensor, x: Tensor, t: Tensor | float = 0.0) -> Tensor:
    """A function that travels a quarter of its period in a unit of time, (samples, ...)."""
    total = 0
    for k in range(5):
        angle = 2 * np.pi * k * (x - 0.25 * t)
        shape = (-1, *[1] * angle.ndim)
        total = total + coefficients[:, k, 0].view(shape) * torch.cos(angle)
        total = total + coefficients[:, k, 1].view(shape) * torch.sin(angle)
    return total


def _advected(samples: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    waves = _waves(samples, seed)
    return {"a": _wave(waves, GRID["x"])}, _wave(waves, GRID["x"], GRID["t"][:, None])[:, None]


def _started(signature: Signature, inputs: dict[str, Tensor], outputs: Tensor, **options) -> DeepONet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        operator = DeepONet(signature, **{"basis": 12, "width": 16, "depth": 2, "harmonics": 4, **options})

    def samples() -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        for k in range(0, len(outputs), 64):
            yield {name: part[k : k + 64] for name, part in inputs.items()}, outputs[k : k + 64]

    start(operator, samples, GRID)
    return operator


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.detach() - exact).norm() / exact.norm())


@pytest.mark.parametrize("trunk, bound", [("pod", 1e-9), ("network", 3e-4)])
def test_a_linear_operator_is_met_without_training(trunk: str, bound: float):
    operator = _started(_signature(), *_advected(200), trunk=trunk)
    inputs, outputs = _advected(50, seed=9)
    assert _error(operator(inputs, GRID), outputs) < bound


def test_training_cannot_lose_a_linear_operator():
    """What the network adds is in units of what the linear part leaves over."""
    operator = _started(_signature(), *_advected(200), trunk="pod")
    inputs, outputs = _advected(50, seed=9)
    with torch.no_grad():
        for parameter in operator.branch.parameters():
            parameter.normal_()
    assert _error(operator(inputs, GRID), outputs) < 1e-6


def test_modes_are_found_elsewhere_too():
    operator = _started(_signature(), *_advected(200), trunk="pod", sensors=11)
    points = torch.tensor([[0.31, 0.77], [0.9, 0.01]], dtype=torch.float64)
    waves = _waves(6, seed=9)
    found = operator.at({"a": _wave(waves, GRID["x"])}, GRID, points)[:, 0]
    exact = torch.stack([_wave(waves, x, t) for t, x in points], 1)
    assert _error(found, exact) < 0.05


def test_an_ode_that_marches_is_chained_without_loss():
    """``u' = f − u``, exact for steps of a constant f: linear in the start and in f, so every window is exact."""
    step, window = 0.1, 3
    signature = Signature((Quantity("f", ("t",)),), (Quantity("u", ("t",)),), (T,), March(1, window, step), samples=100)

    def series(start: Tensor, f: Tensor) -> Tensor:
        found, decay = [start], np.exp(-step)
        for k in range(f.shape[1]):
            found.append(decay * found[-1] + (1 - decay) * f[:, k])
        return torch.stack(found, 1)

    f, begin = _normal(100, window), _normal(100, seed=1)
    u = series(begin, f)
    operator = _started(signature, {"u": u[:, :1], "f": f}, u[:, None, 1:], trunk="pod", basis=3)
    long, begin = _normal(4, 10, seed=2), _normal(4, seed=3)
    padded = torch.cat([long, torch.zeros(4, 2, dtype=torch.float64)], 1)
    found = rollout(operator, {"u": begin[:, None], "f": padded}, GRID, 10)
    torch.testing.assert_close(found[:, 0], series(begin, long)[:, 1:], rtol=1e-8, atol=1e-8)


def test_a_mask_and_single_precision_are_kept():
    signature = replace(_signature(), masked=True)
    inputs, outputs = _advected(200)
    mask = torch.ones(200, 24, dtype=torch.float64)
    mask[:, 5:9] = 0
    outputs = outputs * mask[:, None, None]
    operator = _started(signature, {**inputs, "mask": mask}, outputs, trunk="pod")
    found = operator({**inputs, "mask": mask}, GRID)
    torch.testing.assert_close(found * mask[:, None, None], outputs, rtol=1e-6, atol=1e-6)
    assert operator.scale.dtype == torch.float64
