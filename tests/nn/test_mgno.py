"""The multigrid neural operator: against independent V-cycles, exact counts, symmetries, other grids."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from pdeml.data.signature import Axis, Quantity, Signature
from pdeml.errors import InputError
from pdeml.nn.mgno import MgNO, TrainingGridOperator, VCycle, default_levels
from pdeml.nn.operator import GridOperator

PUBLISHED = ((1, 0),) * 5 + ((2, 0),)
MODES = {"dirichlet": "constant", "neumann": "reflect", "periodic": "wrap"}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network(*arguments, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MgNO(*arguments, **options).double()


@pytest.mark.parametrize("n, depth, parameters", [(256, 4, 572_661), (211, 5, 678_093)])
def test_published_numbers_of_parameters(n, depth, parameters):
    assert default_levels((n, n)) == PUBLISHED
    with torch.device("meta"):
        assert count(MgNO(1, 1, (n, n), ("dirichlet",) * 2, depth=depth)) == parameters


def extended(values, boundary, fine=None):
    """Add a point at both ends; a mirrored function of even many fine points ends between its last coarse ones."""
    for axis, kind in enumerate(boundary, start=1):
        wide = [(0, 0)] * values.ndim
        wide[axis] = (1, 1)
        padded = np.pad(values, wide, MODES[kind])
        if kind == "neumann" and fine is not None and fine[axis - 1] % 2 == 0:
            np.moveaxis(padded, axis, 0)[-1] = np.moveaxis(padded, axis, 0)[-2]
        values = padded
    return values


def stencil(weight, values, boundary, stride=1):
    """Apply (out, in, 3, ...) to (in, *n), point by point."""
    n, wide = values.shape[1:], extended(values, boundary)
    found = np.zeros((len(weight), *((m + stride - 1) // stride for m in n)))
    for point in itertools.product(*map(range, found.shape[1:])):
        window = wide[(slice(None), *(slice(stride * p, stride * p + 3) for p in point))]
        found[(slice(None), *point)] = np.tensordot(weight, window, window.ndim)
    return found


def prolonged(weight, coarse, boundary, n):
    """Scatter: coarse point j adds to the fine points 2j − 1, 2j, ....  Both grids go on beyond their ends."""
    wide = extended(coarse, boundary, n)
    found = np.zeros((weight.shape[1], *n))
    for point in itertools.product(*map(range, wide.shape[1:])):
        for tap in itertools.product(*map(range, weight.shape[2:])):
            target = tuple(2 * (p - 1) - 1 + t for p, t in zip(point, tap, strict=True))
            if all(0 <= index < size for index, size in zip(target, n, strict=True)):
                found[(slice(None), *target)] += wide[(slice(None), *point)] @ weight[(slice(None), slice(None), *tap)]
    return found


def cycle_by_hand(weights, levels, boundary, f, u=None, level=0):
    """The V-cycle as published, written without torch."""

    def smooth(u, f, name):
        smoother = weights[f"{name}.smoother.conv.weight"]
        if u is None:
            return stencil(smoother, f, boundary)
        return u + stencil(smoother, f - stencil(weights[f"{name}.operator.conv.weight"], u, boundary), boundary)

    here = f"levels.{level}"
    for number in range(levels[level][0]):
        u = smooth(u, f, f"{here}.before.{number}")
    if level + 1 < len(levels):
        restricted = [
            stencil(weights[f"{here}.restrict_{name}.conv.weight"], values, boundary, stride=2)
            for name, values in (("f", f), ("u", u))
        ]
        coarse = cycle_by_hand(weights, levels, boundary, *restricted, level + 1)
        u = u + prolonged(weights[f"{here}.prolongation.weight"], coarse, boundary, u.shape[1:])
    for number in range(levels[level][1]):
        u = smooth(u, f, f"{here}.after.{number}")
    return u


@pytest.mark.parametrize(
    "n, boundary",
    [
        ((11,), ("neumann",)),
        ((12,), ("periodic",)),
        ((7, 6), ("dirichlet", "neumann")),
        ((8, 9), ("periodic", "dirichlet")),
        ((5, 4, 3), ("dirichlet", "periodic", "neumann")),
    ],
)
@pytest.mark.parametrize("trained", [15, 16])
def test_the_cycle_is_the_published_one_at_any_size(n, boundary, trained):
    levels = ((1, 1), (2, 0), (2, 1))
    cycle = VCycle(2, 3, levels, boundary, (trained,) * len(n)).double()
    weights = {name: value.detach().numpy() for name, value in cycle.state_dict().items()}
    f = random(2, *n)
    with torch.no_grad():
        found = cycle(f[None])[0].numpy()
    np.testing.assert_allclose(found, cycle_by_hand(weights, levels, boundary, f.numpy()), atol=1e-12)


# Multigrid of textbooks for −Δu + 10 u = f: damped Jacobi, full weighting, linear prolongation (Briggs, Henson &
# McCormick, *A multigrid tutorial*, 2000, ch. 3), as sparse matrices.

SHIFT = 10.0


def matrix(n, boundary, taps):
    """A matrix on n points with entries ``taps`` at offsets −1, 0, 1."""
    found = sp.lil_matrix((n, n))
    for row, (offset, value) in itertools.product(range(n), zip((-1, 0, 1), taps, strict=True)):
        column = row + offset
        if boundary == "periodic":
            column %= n
        elif boundary == "neumann":
            column = n - 1 - abs(n - 1 - abs(column))
        if 0 <= column < n:
            found[row, column] += value
    return found.tocsr()


def twice(one):
    return sp.kron(one, one).tocsr()


def poisson(n, boundary, h):
    second = matrix(n, boundary, (-1 / h**2, 2 / h**2, -1 / h**2))
    return sp.kron(second, sp.identity(n)) + sp.kron(sp.identity(n), second) + SHIFT * sp.identity(n * n)


def textbook(f, n, boundary, h, levels):
    (before, after), *rest = levels
    operator, damping = poisson(n, boundary, h), 0.8 / (4 / h**2 + SHIFT)
    u = np.zeros_like(f)
    for _ in range(before):
        u = u + damping * (f - operator @ u)
    if rest:
        restriction = twice(matrix(n, boundary, (0.25, 0.5, 0.25))[::2])
        coarse = textbook(restriction @ (f - operator @ u), (n + 1) // 2, boundary, 2 * h, rest)
        spread = (twice(matrix(n, boundary, (0.5, 1, 0.5))[:, ::2]) @ coarse).reshape(n, n)
        u = u + spread.ravel()
    for _ in range(after):
        u = u + damping * (f - operator @ u)
    return u


def textbook_weights(n, h, levels):
    """Three channels of u: what A makes of u on finer grids, the correction e of this grid, and A e."""
    point = torch.zeros(3, 3, dtype=torch.float64)
    point[1, 1] = 1
    cross = -(torch.roll(point, 1, 0) + torch.roll(point, -1, 0) + torch.roll(point, 1, 1) + torch.roll(point, -1, 1))
    line = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    weighting = torch.outer(line, line)
    weights = {}
    for level, (before, after) in enumerate(levels):
        operator, damping = (cross + 4 * point) / h**2 + SHIFT * point, 0.8 / (4 / h**2 + SHIFT)
        zero = torch.zeros_like(point)
        here = f"levels.{level}"
        for number in range(before):
            weights[f"{here}.before.{number}.smoother.conv.weight"] = torch.stack(
                [zero, damping * point, damping * operator]
            )[:, None]
            if level or number:
                weights[f"{here}.before.{number}.operator.conv.weight"] = torch.stack([point, zero, point])[None]
        for number in range(after):
            weights[f"{here}.after.{number}.smoother.conv.weight"] = torch.stack([zero, damping * point, zero])[:, None]
            weights[f"{here}.after.{number}.operator.conv.weight"] = torch.stack([point, operator, zero])[None]
        if level + 1 < len(levels):
            weights[f"{here}.restrict_f.conv.weight"] = weighting[None, None]
            carried = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
            carried[0, 0] = carried[0, 2] = weighting
            weights[f"{here}.restrict_u.conv.weight"] = carried
            taps = torch.tensor([0.5, 1, 0.5, 0][: 3 if n % 2 else 4], dtype=torch.float64)
            spread = torch.zeros(3, 3, len(taps), len(taps), dtype=torch.float64)
            spread[1, 1] = torch.outer(taps, taps)
            weights[f"{here}.prolongation.weight"] = spread
        n, h = (n + 1) // 2, 2 * h
    return weights


def multigrid(n, boundary, h, levels):
    cycle = VCycle(1, 3, levels, (boundary,) * 2, (n, n)).double()
    cycle.load_state_dict(textbook_weights(n, h, levels))
    return lambda f: cycle(f.reshape(1, 1, n, n))[0, 1].detach().ravel()


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("n", [16, 13])
def test_with_fixed_weights_it_is_the_multigrid_of_textbooks(n, boundary):
    if boundary == "periodic" and n % 4:
        n = 12
    levels = ((1, 1), (2, 1), (3, 2))
    f = random(n * n)
    found = multigrid(n, boundary, 1 / n, levels)(f).numpy()
    np.testing.assert_allclose(found, textbook(f.numpy(), n, boundary, 1 / n, levels), atol=1e-12 * abs(found).max())


@pytest.mark.parametrize("boundary, extra", [("neumann", 1), ("periodic", 0)])
def test_the_multigrid_contracts_the_error_whatever_the_grid(boundary, extra):
    factors = []
    for depth in (3, 4, 5):
        n = 2 ** (depth + 1) + extra
        h = 1 / (n - extra)
        cycle, operator = multigrid(n, boundary, h, ((1, 1),) * (depth - 1) + ((40, 0),)), poisson(n, boundary, h)
        error = random(n * n)
        for _ in range(6):
            before = error.norm()
            error = error - cycle(torch.from_numpy(operator @ error.numpy()))
        factors.append(float(error.norm() / before))
    assert max(factors) < 0.35, factors
    assert max(factors) - min(factors) < 0.08, factors


def symmetric(module):
    """Make every stencil even in each axis."""
    with torch.no_grad():
        for parameter in module.parameters():
            for axis in range(2, parameter.ndim):
                parameter.copy_((parameter + parameter.flip(axis)) / 2)
    return module


def test_mirrored_functions_are_periodic_ones_of_twice_the_length():
    levels = ((1, 1), (1, 0), (2, 0))
    mirrored = symmetric(network(2, 1, (9, 13), ("neumann",) * 2, width=3, depth=2, levels=levels))
    periodic = network(2, 1, (9, 13), ("periodic",) * 2, width=3, depth=2, levels=levels)
    periodic.load_state_dict(mirrored.state_dict())
    values = random(2, 2, 9, 13)
    whole = torch.cat([values, values[:, :, 1:-1].flip(2)], 2)
    whole = torch.cat([whole, whole[..., 1:-1].flip(3)], 3)
    torch.testing.assert_close(mirrored(values), periodic(whole)[:, :, :9, :13], rtol=0, atol=1e-12)


def test_translations_along_a_periodic_axis_commute():
    net = network(1, 1, (16, 15), ("periodic", "dirichlet"), width=3, depth=2, levels=((1, 0), (1, 0), (2, 0)))
    values = random(1, 1, 16, 15)
    for shift in (4, 8):
        torch.testing.assert_close(net(values.roll(shift, 2)), net(values).roll(shift, 2), rtol=0, atol=1e-12)
    assert (net(values.roll(1, 2)) - net(values).roll(1, 2)).abs().max() > 1e-3


def test_samples_do_not_see_each_other():
    net, values = network(2, 1, (9, 8), ("dirichlet", "neumann"), width=3, depth=2), random(3, 2, 9, 8)
    alone = torch.cat([net(sample[None]) for sample in values])
    torch.testing.assert_close(net(values), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [(1, 2), (3, 2), (17, 40)])
def test_the_same_parameters_suit_every_grid(n):
    net = network(1, 2, (16, 15), ("neumann", "periodic"), width=2, depth=2)
    found = net(random(1, 1, *n))
    assert found.shape == (1, 2, *n)
    assert found.isfinite().all()


def test_layers_in_two_dimensions_hand_on_channels_last(monkeypatch):
    """The layout is chosen for speed alone: values and gradients are those of the other, up to rounding."""
    net, values, found = network(2, 1, (9, 8), ("dirichlet", "periodic"), width=3, depth=3), random(3, 2, 9, 8), []
    layouts = []
    for layer in net.layers[1:]:
        layer.register_forward_pre_hook(
            lambda _, given: layouts.append(given[0].is_contiguous(memory_format=torch.channels_last))
        )
    for _ in range(2):
        net.zero_grad()
        made = net(values)
        made.square().sum().backward()
        found.append([made.detach(), *(parameter.grad.clone() for parameter in net.parameters())])
        monkeypatch.setattr("pdeml.nn.mgno._laid_out", lambda values: values)
    assert layouts == [True, True, False, False]
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic"])
def test_gradients(boundary):
    net = network(1, 1, (5,), (boundary,), width=2, depth=2, levels=((1, 1), (1, 0)))
    names, weights = zip(*net.named_parameters(), strict=True)

    def apply(values, *weights):
        return functional_call(net, dict(zip(names, weights, strict=True)), (values,))

    assert gradcheck(apply, (random(1, 1, 5).requires_grad_(), *weights), fast_mode=True)


def tied(n=16, **options):
    """An operator, and the same network without interpolation."""
    axes = (Axis("y", 0, 2, n + 1), Axis("x", -1, 1, n, periodic=True))
    signature = Signature((Quantity("a", ("y", "x"), 0.3, 2.0),), (Quantity("u", ("y", "x"), 0.1, 0.5),), axes)
    net = network(2, 1, (n + 1, n), ("dirichlet", "periodic"), width=3, **{"depth": 2, **options})
    return TrainingGridOperator(signature, net, centred=False), GridOperator(signature, net, centred=False)


def on_grid(operator, n):
    y = torch.linspace(0, 2, n + 1, dtype=torch.float64)
    x = -1 + 2 * torch.arange(n, dtype=torch.float64) / n
    a = torch.sin(3 * y)[:, None] * torch.cos(2 * torch.pi * x) + y[:, None]
    return operator({"a": a[None]}, {"y": y, "x": x})[0, 0].detach()


def test_on_the_training_grid_nothing_is_interpolated():
    operator, plain = tied()
    torch.testing.assert_close(on_grid(operator, 16), on_grid(plain, 16), rtol=0, atol=1e-12)


def test_applied_on_finer_grids_it_converges():
    operator, plain = tied()
    steps = {}
    for tested in (operator, plain):
        # Every grid holds the points of the one before, and none all those of the training grid.
        found = [on_grid(tested, 19 * 2**k) for k in range(4)]
        steps[tested] = [float((fine[::2, ::2] - coarse).abs().max()) for coarse, fine in itertools.pairwise(found)]
    slopes = np.diff(np.log2(steps[operator]))
    assert all(slopes < -3.5), slopes
    assert steps[plain][-1] > 100 * steps[operator][-1]


@pytest.mark.parametrize(
    "sizes, levels, boundary, activation, match",
    [
        ((16, 9), ((1, 0),) * 5, ("dirichlet",) * 2, "gelu", "at most 4"),
        ((4,) * 4, ((1, 0),), ("dirichlet",) * 4, "gelu", "1, 2 or 3 dimensions"),
        ((8,), ((0, 1),), ("dirichlet",), "gelu", "at least one iteration"),
        ((8,), ((1, 0),), ("periodical",), "gelu", "did you mean 'periodic'"),
        ((8,), ((1, 0),), ("periodic",), "gelo", "did you mean 'gelu'"),
    ],
)
def test_refusals(sizes, levels, boundary, activation, match):
    with pytest.raises(InputError, match=match):
        MgNO(1, 1, sizes, boundary, levels=levels, activation=activation)
