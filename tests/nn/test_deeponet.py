"""DeepONet: queried anywhere, exact values and periods, jets, several outputs, sensors, marching, shapes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pdeml.data.signature import Axis, Given, Lifted, March, Quantity, Signature
from pdeml.errors import InputError
from pdeml.lower.multi_index import JetSpec
from pdeml.nn.boundary import lifts
from pdeml.nn.deeponet import DeepONet
from pdeml.nn.kept import Kept
from pdeml.nn.rollout import rollout
from pdeml.problem import Problem

T, X, Z = Axis("t", 0.0, 2.0, 9), Axis("x", -1.0, 2.0, 12, periodic=True), Axis("z", 0.0, 1.0, 10)
GIVEN = (Quantity("a", ("x",), 0.3, 1.7), Quantity("f", ("t", "x")), Quantity("nu", (), 2.0, 0.5))
ASKED = (Quantity("u", ("t", "x"), -0.4, 2.0), Quantity("v", ("t", "x"), 0.1, 0.7))
SIGNATURE = Signature(GIVEN, ASKED, (T, X), samples=40)
LIFTED = replace(
    SIGNATURE,
    lift=(Lifted("t", (Given("1", "a"),)), Lifted("t", (Given("1 + t", "a", (("x", 0.5),)), Given("sin(t)")))),
)
MARCHING = replace(SIGNATURE, march=March(2, 3, 0.25))
SMALL = {"basis": 5, "width": 12, "depth": 2, "trunk_width": 12, "harmonics": 3}
VARIANTS = {
    "plain": {},
    "pod": {"trunk": "pod"},
    "cnn": {"branch": "cnn"},
    "sparse": {"sensors": {"a": [[-0.9], [0.123]]}},
    "thin": {"sensors": 4},
    "not linear": {"linear": False},
    "octaves": {"octaves": 2},
}


def _operator(signature: Signature = SIGNATURE, seed: int = 0, **options) -> DeepONet:
    """An operator with every parameter and buffer that training or data would set drawn at random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        operator = DeepONet(signature, **{**SMALL, **options})
        for name, tensor in operator.state_dict().items():
            if name.endswith(("modes", "weight", "offset", "scale")):
                tensor.normal_(std=0.5)
    return operator


def _grid(signature: Signature = SIGNATURE, n: int | None = None) -> dict[str, Tensor]:
    found = {}
    for axis in signature.axes:
        size = n or axis.size
        last = axis.high - (axis.high - axis.low) / size * axis.periodic
        found[axis.name] = torch.linspace(axis.low, last, size, dtype=torch.float64)
    return found


def _inputs(grid: dict[str, Tensor], signature: Signature = SIGNATURE, samples: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    phases = torch.rand(samples, generator=generator, dtype=torch.float64) * 6
    x = 2 * np.pi * (grid["x"] + 1) / 3
    found = {"a": torch.sin(x + phases[:, None]), "nu": 1 + phases / 6}
    time = grid["t"]
    if signature.march is not None:
        time = signature.march.step * torch.arange(signature.march.window, dtype=torch.float64)
        frames = torch.arange(signature.march.history, dtype=torch.float64)
        for number, name in enumerate(("u", "v")):
            found[name] = torch.cos(x + phases[:, None, None] * (number + 1) + frames[:, None])
    found["f"] = torch.cos(x + time[:, None] + phases[:, None, None])
    return found


def _points(*columns: Tensor) -> Tensor:
    return torch.stack([part.flatten() for part in torch.meshgrid(*columns, indexing="ij")], 1)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("signature", [SIGNATURE, LIFTED, MARCHING], ids=["plain", "lifted", "marching"])
def test_points_and_grids_agree(signature: Signature, options: dict):
    operator, grid = _operator(signature, **options), _grid()
    inputs = _inputs(grid, signature)
    found = operator(inputs, grid)
    times = operator.along(grid)["t"]
    assert found.shape == (3, 2, len(times), 12)
    torch.testing.assert_close(operator.at(inputs, grid, _points(times, grid["x"])), found.flatten(2))


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_outputs_between_the_inputs_points_are_those_of_a_finer_query(options: dict):
    """Inputs on a grid stay where they are; the trunk answers anywhere, also with derivatives across the period."""
    operator, grid = _operator(**options), _grid()
    inputs = _inputs(grid)
    points = torch.tensor([[0.3, 0.1], [1.9, 1.99], [1.9, 1.99 - 3.0], [0.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    found = operator.at(inputs, grid, points)
    for a, b in ((1, 2), (3, 4)):
        torch.testing.assert_close(found[..., a], found[..., b], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_other_grids_of_the_inputs_change_little(options: dict):
    """Inputs are interpolated to the sensors: fourth order in the grid, and no parameter depends on it."""
    operator, points = _operator(**options), torch.tensor([[0.4, 0.6], [1.0, -0.2]], dtype=torch.float64)
    found = []
    for n in (48, 96, 768):
        grid = _grid(n=n)
        found.append(operator.at(_inputs(grid), grid, points))
    errors = [float((part - found[-1]).detach().abs().max()) for part in found[:-1]]
    assert errors[1] < errors[0] / 8 or errors[0] < 1e-12, errors


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_samples_do_not_see_each_other(options: dict):
    operator, grid = _operator(**options), _grid()
    inputs = _inputs(grid, samples=4)
    alone = torch.cat([operator({name: part[k : k + 1] for name, part in inputs.items()}, grid) for k in range(4)])
    torch.testing.assert_close(operator(inputs, grid), alone)


@pytest.mark.parametrize("seed", [0, 1])
def test_given_values_hold_for_any_parameters(seed: int):
    operator, grid = _operator(LIFTED, seed), _grid()
    inputs = _inputs(grid)
    found = operator(inputs, grid)
    torch.testing.assert_close(found[:, 0, 0], inputs["a"], rtol=1e-14, atol=1e-14)
    middle = inputs["a"][:, grid["x"] == 0.5]
    torch.testing.assert_close(found[:, 1, 0], middle.expand(-1, 12), rtol=1e-13, atol=1e-13)


def test_walls_and_initial_values_of_a_problem_hold():
    problem = Problem(
        coordinates={"x": (0, 1), "t": (0, 2)},
        time="t",
        unknowns=["u"],
        inputs={"u0": {"field": "grf", "over": ["x"], "basis": "sine", "tau": 3, "alpha": 2}},
        equations=["u_t = u_xx"],
        conditions=[
            {"on": "initial", "value": {"u": "u0"}},
            {"on": {"x": 0}, "value": {"u": "sin(t)"}},
            {"on": {"x": 1}, "value": {"u": 0}},
        ],
    )
    z = replace(Z, name="x")
    signature = Signature((Quantity("u0", ("x",)),), (Quantity("u", ("t", "x"), 0.2, 3.0),), (T, z))
    signature = replace(signature, lift=lifts(problem, signature))
    assert Signature.from_plain(signature.to_plain()) == signature
    operator, grid = _operator(signature), _grid(signature)
    u0 = torch.sin(torch.pi * grid["x"] * torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    u0 = u0 * (grid["x"] * (1 - grid["x"]) > 0)
    found = operator({"u0": u0}, grid)[:, 0]
    torch.testing.assert_close(found[:, 0], u0, rtol=0, atol=1e-14)
    torch.testing.assert_close(found[:, :, 0], torch.sin(grid["t"]).expand(2, -1), rtol=0, atol=1e-14)
    torch.testing.assert_close(found[:, :, -1], torch.zeros(2, 9, dtype=torch.float64), rtol=0, atol=1e-14)


def test_values_with_drawn_numbers_are_not_lifted():
    problem = Problem(
        coordinates={"t": (0, 2)},
        time="t",
        unknowns=["u"],
        parameters={"k": {"range": (1, 2)}},
        equations=["u_t = -u"],
        conditions=[{"on": "initial", "value": {"u": "k"}}],
    )
    signature = Signature((Quantity("k", ()),), (Quantity("u", ("t",)),), (T,))
    assert lifts(problem, signature) == ()


@pytest.mark.parametrize("options", [{}, {"octaves": 1}, {"trunk": "pod"}], ids=["plain", "octaves", "pod"])
@pytest.mark.parametrize("signature", [SIGNATURE, LIFTED, MARCHING], ids=["plain", "lifted", "marching"])
def test_jets_are_derivatives(signature: Signature, options: dict):
    """Against nested differentiation of `at`; interpolated functions against differences of their own jets."""
    operator, grid = _operator(signature, **options), _grid(n=60)
    inputs = _inputs(grid, signature)
    points = torch.tensor([[0.21, 0.17], [0.6, 1.3]], dtype=torch.float64)
    spec = JetSpec.closed([(1, 1)], [((1.0, (1, 0)), (-0.7, (0, 2)))], dimension=2)
    found = operator.jets(inputs, grid, points, spec)
    assert found.shape == (len(spec), 3, 2, 2)
    step = 1e-3

    def value(dt: float, dx: float) -> Tensor:
        shifted = points + torch.tensor([dt, dx], dtype=torch.float64)
        plain = JetSpec.closed([(0, 1)], dimension=2)
        return operator.jets(inputs, grid, shifted, plain)[0]

    first_x = (value(0, step) - value(0, -step)) / (2 * step)
    first_t = (value(step, 0) - value(-step, 0)) / (2 * step)
    second = (value(0, step) - 2 * value(0, 0) + value(0, -step)) / step**2
    mixed = (value(step, step) - value(step, -step) - value(-step, step) + value(-step, -step)) / (4 * step**2)
    size = found.detach().abs().amax()
    close = {"rtol": 0, "atol": float(5e-4 * size)}
    torch.testing.assert_close(found[spec.position[(0, 1)]], first_x, **close)
    torch.testing.assert_close(found[spec.position[(1, 0)]], first_t, **close)
    torch.testing.assert_close(found[spec.position[(1, 1)]], mixed, **close)
    torch.testing.assert_close(found[-1], first_t - 0.7 * second, **close)


def test_jets_equal_nested_differentiation():
    operator, grid = _operator(octaves=1), _grid()
    inputs = _inputs(grid)
    points = torch.tensor([[0.21, 0.17], [0.6, 1.3], [1.7, -0.4]], dtype=torch.float64, requires_grad=True)
    spec = JetSpec.closed([(1, 2)], dimension=2)
    found = operator.jets(inputs, grid, points.detach(), spec)
    for c in range(2):
        u = operator.at(inputs, grid, points)[1, c]
        (u_1,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        (u_2,) = torch.autograd.grad(u_1[:, 1].sum(), points, create_graph=True)
        (u_3,) = torch.autograd.grad(u_2[:, 1].sum(), points)
        for index, exact in {(1, 0): u_1[:, 0], (0, 2): u_2[:, 1], (1, 1): u_2[:, 0], (1, 2): u_3[:, 0]}.items():
            torch.testing.assert_close(found[spec.position[index], 1, :, c], exact, rtol=1e-9, atol=1e-9)


def test_jets_are_differentiable_by_the_parameters():
    operator, grid = _operator(LIFTED, linear=False), _grid()
    inputs, spec = _inputs(grid), JetSpec.closed([(0, 2)], dimension=2)
    theta, points = operator.trunk.theta, torch.tensor([[0.3, 0.1]], dtype=torch.float64)
    loss = operator.jets(inputs, grid, points, spec).square().sum()
    (slope,) = torch.autograd.grad(loss, theta)
    direction, values = torch.randn_like(theta), []
    for sign in (1, -1):
        theta.data.add_(direction, alpha=sign * 1e-6 * (2 if sign < 0 else 1))
        values.append(operator.jets(inputs, grid, points, spec).square().sum())
    torch.testing.assert_close((values[0] - values[1]) / 2e-6, slope @ direction, rtol=1e-5, atol=1e-5)


def test_outputs_have_their_own_functions():
    operator, grid = _operator(linear=False), _grid()
    inputs = _inputs(grid)
    before = operator(inputs, grid)
    with torch.no_grad():
        operator.scale[1] *= 2.0
        weight, bias = operator.trunk.network.layers(operator.trunk.theta)[-1]
        weight[-1] *= 2.0
        bias[-1] *= 2.0
    after = operator(inputs, grid)
    assert torch.equal(before[:, 0], after[:, 0])
    torch.testing.assert_close(after[:, 1] - 0.1, 2 * (before[:, 1] - 0.1))


def test_windows_join_without_a_jump_and_chain():
    """At the time of the last frame the next window equals it, and a rollout is one window after the other."""
    operator, grid = _operator(MARCHING), _grid()
    inputs = _inputs(grid, MARCHING)
    start = operator.at(inputs, grid, _points(torch.zeros(1, dtype=torch.float64), grid["x"]))
    for c, name in enumerate("uv"):
        torch.testing.assert_close(start[:, c], inputs[name][:, -1], rtol=1e-13, atol=1e-13)
    forcing = torch.cat([inputs["f"], 2 * inputs["f"]], 1)
    found = rollout(operator, {**inputs, "f": forcing}, grid, 5)
    first = operator(inputs, grid)
    again = {"u": first[:, 0, -2:], "v": first[:, 1, -2:], "f": 2 * inputs["f"]}
    torch.testing.assert_close(found, torch.cat([first, operator({**inputs, **again}, grid)], 2)[:, :, :5])


@pytest.mark.parametrize("options", [{}, {"linear": False}], ids=["samples", "no linear part"])
@pytest.mark.parametrize("samples", [0, 40])
def test_a_trunk_is_trained_unless_it_is_fitted_to_samples(samples: int, options: dict):
    """Which follows from the signature and the options; a trained one has the width of the branch."""
    operator = DeepONet(replace(SIGNATURE, samples=samples), **{**SMALL, "trunk_width": None, **options})
    fitted = samples > 0 and not options
    theta = operator.trunk.theta
    assert theta.requires_grad == (not fitted)
    assert operator.parameter_count == sum(p.numel() for p in operator.branch.parameters()) + theta.numel() * (
        not fitted
    )
    assert operator.trunk.network.width == (512 if fitted else 12)
    assert (operator.linear is not None) == fitted


def _counted(operator: DeepONet, monkeypatch) -> list:
    calls, on_grid = [], operator.trunk.on_grid
    monkeypatch.setattr(operator.trunk, "on_grid", lambda coordinates: calls.append(1) or on_grid(coordinates))
    return calls


@pytest.mark.parametrize("signature", [SIGNATURE, MARCHING], ids=["plain", "marching"])
@pytest.mark.parametrize("options", [{}, {"trunk": "pod"}], ids=["network", "pod"])
def test_a_fixed_trunk_is_computed_once_for_each_grid(signature: Signature, options: dict, monkeypatch):
    operator, grids = _operator(signature, **options), [_grid(), _grid(n=16)]
    inputs = [_inputs(grid, signature) for grid in grids]
    exact = [operator(*pair).detach() for pair in zip(inputs, grids, strict=True)]
    calls = _counted(operator, monkeypatch)
    for _ in range(3):
        for pair, wanted in zip(zip(inputs, grids, strict=True), exact, strict=True):
            found = operator(*pair)
            found.sum().backward()
            assert torch.equal(found, wanted)
    assert not calls
    copy.deepcopy(operator)(inputs[0], grids[0])
    with torch.no_grad():
        next(iter(operator.trunk.state_dict().values())).mul_(1.5)
    assert not torch.allclose(operator(inputs[0], grids[0]), exact[0])
    grids[0]["x"] += 0.1
    before = len(calls)
    operator(inputs[0], grids[0])
    operator.float().double()(inputs[0], grids[0])
    with torch.inference_mode():
        operator(inputs[0], grids[0])
        operator(inputs[0], grids[0])
    assert len(calls) == before + 4


def test_a_trained_trunk_is_computed_each_time(monkeypatch):
    operator, grid = _operator(linear=False), _grid()
    calls = _counted(operator, monkeypatch)
    for _ in range(2):
        operator(_inputs(grid), grid)
    assert len(calls) == 2


def test_few_results_are_kept_and_none_that_is_large(monkeypatch):
    kept, made = Kept(), []

    def of(tensor: Tensor) -> Tensor:
        return kept.of((tensor,), lambda: made.append(1) or tensor * 2)

    tensors = [torch.ones(3) * k for k in range(5)]
    for tensor in (*tensors, tensors[1]):
        assert torch.equal(of(tensor), tensor * 2)
    assert len(made) == 5
    of(tensors[0])
    assert len(made) == 6
    monkeypatch.setattr("pdeml.nn.kept._MOST_NUMBERS", 8)
    for tensor in (torch.ones(9), torch.ones(4), torch.ones(4)):
        before = len(made)
        assert of(tensor) is not tensor
        of(tensor)
        assert len(made) - before == (2 if len(tensor) > 8 else 1)


def test_bad_sensors_are_refused():
    with pytest.raises(InputError, match="'aa' is not an input function"):
        DeepONet(SIGNATURE, sensors={"aa": [[0.1]]})
    with pytest.raises(InputError, match="2 coordinates: t, x"):
        DeepONet(SIGNATURE, sensors={"f": [[0.1]]})
    with pytest.raises(InputError, match=r"'f' has t = 2.5, outside 0 ... 2"):
        DeepONet(SIGNATURE, sensors={"f": [[0.1, 0.0], [2.5, 0.0]]})


def test_convolutions_without_a_grid_are_refused():
    everywhere = {"a": [[0.0]], "f": [[0.1, 0.0]]}
    with pytest.raises(InputError, match="convolutions need an input on a grid"):
        DeepONet(SIGNATURE, branch="cnn", sensors=everywhere)


def test_modes_without_samples_are_refused():
    with pytest.raises(InputError, match="modes are those of solutions"):
        DeepONet(replace(SIGNATURE, samples=0), trunk="pod")


def test_modes_are_no_more_than_samples_and_points():
    operators = [DeepONet(replace(SIGNATURE, samples=samples), trunk="pod", basis=500) for samples in (40, 1000)]
    assert [operator.basis for operator in operators] == [40, 9 * 12]
