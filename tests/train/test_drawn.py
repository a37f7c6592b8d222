"""Functions drawn from the problem's own distributions: the same for all batches, and enough to learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import cumulative_simpson
from torch import Tensor

import pdeml as pm
from pdeml.errors import InputError
from pdeml.train.drawn import DrawnData, stacked
from pdeml.train.equation import EquationLoss

PLANE = pm.Problem(
    coordinates={"x": (0, 1), "y": (-1, 1), "t": (0, 2)},
    time="t",
    unknowns="u",
    parameters={"nu": {"range": (0.1, 0.2)}, "k": 3},
    inputs={
        "a": {"over": ["x", "y"], "field": "grf", "basis": "periodic", "tau": 3, "alpha": 3, "map": "exp(g/k)"},
        "u0": {"over": ["x", "y"], "value": "sin(pi*y)*cos(2*pi*x)*nu"},
        "f": {"over": ["t"], "field": "uniform", "range": [2, 3]},
    },
    equations="u_t = div(a*grad(u)) + nu*u + f",
    conditions=[pm.Initial(u="u0"), {"periodic": ["x", "y"]}],
)
SIZES = {"x": 10, "y": 12, "t": 9}


def batches(data: DrawnData, epoch: int, size: int, world: int = 1, seed: int = 0) -> dict[str, Tensor]:
    """All samples of an epoch in order, put together from the batches of all processes."""
    parts = []
    streams = [data.part("train", seed=seed).batches(epoch, size, rank=r, world=world) for r in range(world)]
    for rank in zip(*streams, strict=True):
        whole = {name: torch.empty(sum(len(b[name]) for b in rank), *rank[0][name].shape[1:]) for name in rank[0]}
        for r, batch in enumerate(rank):
            for name, values in batch.items():
                whole[name][r::world] = values
        parts.append(whole)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize(("size", "world"), [(3, 1), (7, 1), (4, 2), (5, 3)])
def test_samples_depend_on_epoch_and_number_alone(size: int, world: int):
    data = DrawnData(PLANE, SIZES, 7, seed=4)
    wanted, found = batches(data, 2, 7), batches(data, 2, size, world)
    assert list(wanted) == ["nu", "a", "u0", "f"]
    for name, values in wanted.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=0)


def test_every_epoch_and_every_seed_has_functions_of_its_own():
    data = DrawnData(PLANE, SIZES, 4)
    draws = [batches(data, 0, 4), batches(data, 1, 4), batches(data, 0, 4, seed=1)]
    draws.append(batches(DrawnData(PLANE, SIZES, 4, seed=1), 0, 4))
    values = torch.cat([draw["a"].flatten(1) for draw in draws])
    assert torch.cdist(values, values).fill_diagonal_(1.0).min() > 0.1
    assert len(torch.cat([draw["nu"] for draw in draws]).unique()) == 16


def test_what_is_drawn():
    data = DrawnData(PLANE, SIZES, 50)
    batch = batches(data, 0, 50)
    assert {name: tuple(values.shape[1:]) for name, values in batch.items()} == {
        "nu": (),
        "a": (12, 10),
        "u0": (12, 10),
        "f": (9,),
    }
    assert 0.1 <= batch["nu"].min() < 0.12
    assert 0.18 < batch["nu"].max() <= 0.2
    assert (batch["f"] == batch["f"][:, :1]).all()
    x, y = data.coordinates["x"], data.coordinates["y"]
    np.testing.assert_allclose(x, np.arange(10) / 10)
    np.testing.assert_allclose(data.coordinates["t"], np.linspace(0, 2, 9))
    formula = torch.tensor(np.outer(np.sin(np.pi * y), np.cos(2 * np.pi * x)), dtype=torch.float32)
    torch.testing.assert_close(batch["u0"], formula * batch["nu"][:, None, None])
    # The logarithm of a has mean zero and no preferred place.
    assert abs(batch["a"].log().mean()) < 0.02


def test_the_signature():
    signature = DrawnData(PLANE, SIZES, 50).signature()
    given = {quantity.name: quantity for quantity in signature.inputs}
    assert {name: own.dims for name, own in given.items()} == {
        "nu": (),
        "a": ("y", "x"),
        "u0": ("y", "x"),
        "f": ("t",),
    }
    assert given["nu"].mean == pytest.approx(0.15, abs=0.02)
    assert given["f"].std == pytest.approx(1 / np.sqrt(12), rel=0.2)
    assert signature.dims == ("t", "y", "x")
    assert [(axis.name, axis.low, axis.high, axis.size, axis.periodic) for axis in signature.axes] == [
        ("t", 0.0, 2.0, 9, False),
        ("y", -1.0, 1.0, 12, True),
        ("x", 0.0, 1.0, 10, True),
    ]
    # u is as large as its initial value.
    assert signature.outputs[0].std == pytest.approx(0.2, rel=0.15)
    assert signature.samples == 50


def test_an_unknown_without_values_is_as_large_as_its_source_makes_it():
    problem = pm.Problem(
        coordinates={"x": (0, 2)},
        unknowns="u",
        inputs={"f": {"over": ["x"], "field": "grf", "kernel": "rbf", "length": 0.5, "amplitude": 10}},
        equations="-u_xx = 5*f",
        conditions=pm.Dirichlet(u=0),
    )
    # max |5 f| times the square of half the length, of a normal variable with standard deviation 10.
    assert 100 < DrawnData(problem).signature().outputs[0].std < 250


def test_a_function_is_the_same_on_every_grid():
    coarse, fine = (DrawnData(PLANE, {"x": n, "y": 2 * n, "t": 9}).draw((1, 2))["a"] for n in (10, 20))
    np.testing.assert_allclose(coarse, fine[::2, ::2], rtol=1e-12)


def test_what_minimises_the_loss_of_drawn_sources_is_their_antiderivative():
    problem = pm.Problem(
        coordinates={"x": (0, 1)},
        unknowns="s",
        inputs={"f": {"over": ["x"], "field": "grf", "kernel": "rbf", "length": 0.4}},
        equations="s_x = f",
        conditions=pm.Dirichlet(s=0, on="boundary.left"),
    )
    errors = []
    for n in (25, 49):
        data = DrawnData(problem, {"x": n}, 3)
        part, signature = data.part("train"), data.signature()
        batch = next(part.batches(0, 3))
        loss = EquationLoss.of(problem, signature, batch, part.coordinates)

        def value(outputs: Tensor, loss=loss, batch=batch, part=part) -> Tensor:
            return loss(None, batch, part.coordinates, outputs.view(3, 1, -1))[0]

        zero = torch.zeros(3 * n, dtype=torch.float64)
        slope = torch.autograd.functional.jacobian(value, zero)
        curvature = torch.autograd.functional.hessian(value, zero)
        found = -torch.linalg.solve(curvature, slope).view(3, n)
        fine = next(DrawnData(problem, {"x": 16 * (n - 1) + 1}, 3).part("train").batches(0, 3))["f"]
        wanted = cumulative_simpson(fine.numpy(), dx=1 / (16 * (n - 1)), initial=0)[:, ::16]
        errors.append(np.abs(found.numpy() - wanted).max())
    assert errors[1] < 1e-4
    assert np.log2(errors[0] / errors[1]) > 3.6


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"inputs": {}, "parameters": {"nu": 1}, "equations": "u_t = nu*u"}, {}, "nothing differs"),
        ({}, {"grid": {"z": 9}}, "'z' is not a coordinate"),
        ({}, {"grid": {"x": 3}}, "at least 8 points, got 3"),
        ({}, {"samples": 0}, "at least one sample"),
        ({"inputs": {"a": {"over": ["x"]}}}, {}, "needs 'field'"),
        ({"parameters": {"nu": {"learn": 1}}}, {}, "needs a value or a range"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict, options: dict, message: str):
    shape = {
        "coordinates": {"x": (0, 1), "t": (0, 1)},
        "time": "t",
        "unknowns": "u",
        "parameters": {"nu": 0.1},
        "inputs": {"a": {"over": ["x"], "field": "uniform", "range": [1, 2]}},
        "equations": "u_t = nu*u_xx + a" if "a" in change.get("inputs", "a") else "u_t = nu*u_xx",
        "conditions": [] if "learn" in str(change) else [pm.Initial(u=0)],
        "data": True,
    }
    with pytest.raises(InputError, match=message) as caught:
        DrawnData(pm.Problem(**{**shape, **change}), **options)
    assert caught.value.path[0] == ("problem" if change else next(iter(options))), "the place in a spec"


def test_an_operator_that_goes_on_in_time_needs_data():
    with pytest.raises(InputError, match="learns from samples"):
        DrawnData(PLANE, SIZES).signature((1, 1))


def test_there_is_a_training_part_only():
    data = DrawnData(PLANE, SIZES, 5)
    assert data.part("validation") is None
    assert len(data.numbers("train")) == len(data.part("train")) == 5
    assert len(data.numbers("test")) == 0


def test_stacking_keeps_double_precision():
    assert stacked([{"a": np.ones(2)}, {"a": np.zeros(2)}])["a"].dtype == torch.float64
