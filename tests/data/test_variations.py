"""Symmetries and resolutions: groups, operators that commute with them, grids that keep their ends, equal for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.data import ArrayInfo, Coordinate, Schema
from pdeml.data.batch import Batch
from pdeml.data.operator import OperatorData
from pdeml.data.resolution import Thinning
from pdeml.data.signature import Axis, March
from pdeml.data.symmetry import Symmetry
from pdeml.errors import InputError
from pdeml.problem import Problem

from .making import write

N = 9
PERIOD = np.arange(8) / 8
DIMS = {"a": ("y", "x"), "u": ("y", "x"), "nu": (), "mask": ("y", "x")}


def box(periodic: bool = False) -> tuple[list[Axis], dict[str, np.ndarray]]:
    points = {dim: PERIOD if periodic else np.linspace(-1, 1, N) for dim in ("y", "x")}
    high = 1.0
    return [Axis(dim, p[0], high, len(p), periodic) for dim, p in points.items()], points


def symmetry(names: list[str], periodic: bool = False, problem: Problem | None = None, **dims: tuple) -> Symmetry:
    axes, points = box(periodic)
    return Symmetry(names, {**DIMS, **dims}, axes, points, problem)


def drawn(periodic: bool = False, names: tuple[str, ...] = ("a", "u")) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    size = 8 if periodic else N
    return {name: torch.randn(3, size, size, dtype=torch.float64, generator=generator) for name in names}


def laplacian(values: Tensor) -> Tensor:
    """Second differences of (B, y, x) in a periodic square."""
    return sum(values.roll(step, axis) for axis in (1, 2) for step in (1, -1)) - 4 * values


def images(named: Symmetry, batch: Batch, count: int = 200) -> list[dict[str, Tensor]]:
    return [dict(named(batch, np.random.default_rng((number, 1)))) for number in range(count)]


def grid(periodic: bool) -> dict[str, Tensor]:
    return {dim: torch.from_numpy(points) for dim, points in box(periodic)[1].items()}


@pytest.mark.parametrize("periodic", [False, True])
def test_the_symmetries_of_a_square_are_a_group_of_eight(periodic: bool) -> None:
    named, arrays = symmetry(["x", "y", "xy"], periodic), drawn(periodic)
    for change in (lambda a: named.reflected(a, "x"), lambda a: named.exchanged(a, "y", "x")):
        assert torch.equal(change(change(arrays))["a"], arrays["a"])
    turned = arrays
    for quarter in range(1, 5):
        turned = named.exchanged(named.reflected(turned, "x"), "y", "x")
        assert torch.equal(turned["a"], arrays["a"]) == (quarter == 4)
    found = images(named, Batch(arrays, grid(periodic)))
    keys = {tuple(image["a"].flatten().tolist()) for image in found}
    assert len(keys) == 8
    pairs = arrays["u"].flatten()[arrays["a"].flatten().argsort()]
    for image in found:
        assert torch.equal(image["u"].flatten()[image["a"].flatten().argsort()], pairs), "u moves as a does"


def test_a_reflection_takes_every_point_to_its_image() -> None:
    for periodic in (False, True):
        _, points = box(periodic)
        x = torch.from_numpy(points["x"])
        y = torch.from_numpy(points["y"])[:, None]
        low, high = (0.0, 1.0) if periodic else (-1.0, 1.0)

        def f(x: Tensor, y: Tensor) -> Tensor:
            return torch.sin(2 * torch.pi * x + 0.3) + 2 * torch.cos(2 * torch.pi * y) * torch.sin(4 * torch.pi * x)

        found = symmetry(["x"], periodic).reflected({"a": f(x, y)[None]}, "x")["a"][0]
        torch.testing.assert_close(found, f(low + high - x, y), rtol=0, atol=1e-13)


def test_an_operator_that_has_the_symmetry_commutes_with_it() -> None:
    named = symmetry(["x", "y", "xy", "shift x", "shift y"], True)
    arrays = drawn(True, ("a",))
    arrays["u"] = laplacian(arrays["a"])
    found = images(named, Batch(arrays, grid(True)))
    assert len({tuple(image["a"].flatten().tolist()) for image in found}) > 100
    for image in found:
        torch.testing.assert_close(image["u"], laplacian(image["a"]), rtol=0, atol=1e-13)


FLOW = {
    "coordinates": {"x": (0, 1), "y": (0, 1)},
    "unknowns": "u v p",
    "vectors": {"w": ["u", "v"]},
    "equations": ["u*u_x + v*u_y + p_x = 0", "u*v_x + v*v_y + p_y = 0", "u_x + v_y = 0"],
    "conditions": [{"periodic": ["x", "y"]}],
}


def divergence(arrays: dict[str, Tensor]) -> Tensor:
    """Of central differences of (u, v) on (B, y, x)."""
    u, v = arrays["u"], arrays["v"]
    return (u.roll(-1, 2) - u.roll(1, 2)) + (v.roll(-1, 1) - v.roll(1, 1))


def test_components_of_a_vector_change_with_the_coordinates() -> None:
    dims = {"v": ("y", "x"), "p": ("y", "x"), "u_next": ("y", "x")}
    named = symmetry(["x", "y", "xy"], True, Problem(**FLOW), **dims)
    arrays = drawn(True, ("u", "v"))
    arrays["p"] = divergence(arrays)
    arrays |= {"u_next": 2 * arrays["u"], "v_next": 2 * arrays["v"]}
    for image in images(named, Batch(arrays, grid(True)), 40):
        torch.testing.assert_close(image["p"], divergence(image), rtol=0, atol=1e-13)
        assert torch.equal(image["u_next"], 2 * image["u"])


def reacting(equation: str, **more: object) -> Problem:
    return Problem(
        coordinates={"x": (-1, 1), "y": (-1, 1)},
        unknowns="u",
        inputs={"a": {"over": ["x", "y"], "field": "grf"}},
        equations=equation,
        conditions=[{"on": "boundary", "value": {"u": 0}}],
        **more,
    )


@pytest.mark.parametrize(
    "equation, broken",
    [
        ("-div(a*grad(u)) = 1", []),
        ("-div(a*grad(u)) = cos(x)*cos(y)", []),
        ("laplacian(u) = where(abs(x) < 0.5, a, 0)", ["xy"]),
        ("u*u_x + u*u_y = laplacian(u) + a", ["x", "y"]),
        ("laplacian(u) + u_x = a", ["x", "xy"]),
        ("laplacian(u) = exp(y)", ["y", "xy"]),
        ("u_xx + 2*u_yy = a", ["xy"]),
    ],
)
def test_a_symmetry_that_changes_the_equation_is_refused(equation: str, broken: list[str]) -> None:
    problem = reacting(equation)
    for name in ("x", "y", "xy"):
        if name in broken:
            with pytest.raises(InputError, match=r"does not have this symmetry: .* becomes another equation") as caught:
                symmetry([name], problem=problem)
            assert caught.value.path == ("augment", 0)
        else:
            symmetry([name], problem=problem)


@pytest.mark.parametrize(
    "names, dims, message",
    [
        (["q"], {}, "'q' is not a symmetry; allowed: yx, xy, y, shift y, x, shift x"),
        (["x", "shift x"], {}, "x is not periodic"),
        (["xy"], {"edge": ("x",)}, "'edge' depends on one of them only"),
        (["x"], {"v": ("y", "x")}, r"u, v look like components of a vector.*vectors: \{velocity: \[u, v\]\}"),
        (["y"], {"Vx": ("y", "x"), "Vy": ("y", "x")}, "Vx, Vy look like components"),
    ],
)
def test_symmetries_that_are_not_there_are_refused(names: list[str], dims: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        symmetry(names, **dims)
    assert caught.value.path == ("augment", len(names) - 1)


def test_points_that_are_not_symmetric_are_refused() -> None:
    axes, points = box()
    with pytest.raises(InputError, match="points along x are not symmetric"):
        Symmetry(["x"], DIMS, axes, {**points, "x": np.linspace(0, 1, N) ** 2})
    with pytest.raises(InputError, match="y and x cannot be exchanged"):
        Symmetry(["xy"], DIMS, axes, {**points, "x": 2 * points["x"]})


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("periodic", [False, True])
def test_thinning_keeps_the_ends_and_the_values(stride: int, periodic: bool) -> None:
    axes, points = box(periodic)
    batch = Batch({"a": drawn(periodic)["a"], "nu": torch.ones(3)}, grid(periodic))
    thin = Thinning([stride], DIMS, axes)(batch, np.random.default_rng(0))
    x = thin.coordinates["x"].numpy()
    spacing = 1 / 8 if periodic else 1 / 4
    np.testing.assert_allclose(np.diff(x), spacing * stride)
    assert x[0] == points["x"][0]
    assert x[-1] + (spacing * stride if periodic else 0) == 1.0
    rows = np.searchsorted(points["x"], x)
    assert torch.equal(thin["a"], batch["a"][:, rows][:, :, rows])
    assert torch.equal(thin["nu"], batch["nu"])


@pytest.mark.parametrize(
    "stride, periodic, message",
    [
        (3, False, "9 points along y cannot be thinned .* range stays the same; possible are 1, 2, 4"),
        (3, True, "8 points along y .* period stays the same; possible are 1, 2, 4"),
        (8, False, "cannot be thinned"),
        (0, False, "cannot be thinned"),
    ],
)
def test_strides_that_move_the_ends_are_refused(stride: int, periodic: bool, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Thinning([1, stride], DIMS, box(periodic)[0])
    assert caught.value.path == ("resolutions", 1)


def test_parts_vary_equally_for_all_processes_and_every_time(tmp_path: Path) -> None:
    schema = Schema(
        {
            "a": ArrayInfo("a", ("x",), (9,), np.float32, "input"),
            "u": ArrayInfo("u", ("t", "x"), (5, 9), np.float64, "output"),
        },
        {"x": Coordinate(np.linspace(0, 1, 9)), "t": Coordinate(np.arange(5.0))},
    )
    data = OperatorData(write(tmp_path / "a.h5", schema, 11), train=11)
    options = {"march": March(1, 1, 1.0), "seed": 4, "augment": ["x"], "resolutions": [1, 2, 4]}
    one = list(data.part("train", **options).batches(2, 4))
    again = list(data.part("train", **options).batches(2, 4))
    shares = [list(data.part("train", **options).batches(2, 4, rank=rank, world=3)) for rank in range(3)]
    for number, batch in enumerate(one):
        for name, values in batch.items():
            assert torch.equal(values, again[number][name])
            for rank in range(3):
                assert torch.equal(values[rank::3], shares[rank][number][name])
                assert torch.equal(batch.coordinates["x"], shares[rank][number].coordinates["x"])
        assert batch["u_next"].shape[1:] == (1, len(batch.coordinates["x"]))
        assert len(batch.coordinates["t"]) == 5
    assert {len(batch.coordinates["x"]) for batch in one} == {3, 5, 9}
    other = list(data.part("train", **options).batches(3, 4))
    assert [len(b.coordinates["x"]) for b in one] != [len(b.coordinates["x"]) for b in other]
    like = torch.zeros((), dtype=torch.float32)
    assert {tensor.dtype for tensor in (*one[0].to(like).values(), *one[0].to(like).coordinates.values())} == {
        like.dtype
    }
