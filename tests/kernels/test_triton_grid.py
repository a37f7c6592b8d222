"""Residuals on grids by Triton kernels, interpreted where there is no GPU: against the twins in double precision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.autograd import grad, gradcheck
from torch.library import opcheck

from pdeml_kernels.dispatch import grid_kernels
from pdeml_kernels.grid import GridResidual, Stencil, Term, grid_residual, grid_residual_values, weighted_modes
from pdeml_kernels.programs import Program

pytest.importorskip("triton")

from pdeml_kernels import triton_grid, triton_modes, triton_support
from pdeml_kernels.triton_grid import grid_residual_triton, grid_residual_values_triton
from pdeml_kernels.triton_modes import weighted_modes_triton
from pdeml_kernels.triton_support import INTERPRETED

from .tensors import DEVICE, error, random, sobolev_weight

pytestmark = pytest.mark.usefixtures("poison")
OPS = torch.ops.pdeml_kernels

# n, the part of the grid: everything, an inner part, an end, a corner; more points than a block has.
GRIDS = [
    ((7,), ((0, 7),)),
    ((150,), ((1, 149),)),
    ((9,), ((8, 9),)),
    ((11, 13), ((0, 11), (0, 13))),
    ((9, 17), ((1, 9), (0, 16))),
    ((8, 9), ((0, 8), (0, 1))),
    ((7, 5, 6), ((0, 7), (1, 4), (0, 6))),
    ((7, 5, 6), ((6, 7), (4, 5), (0, 1))),
]


def stencil(axis, n, width, wrap=False, seed=2):
    """Random differences, wrapped around or one-sided at the ends."""
    first = torch.arange(n) - width // 2
    first = first % n if wrap else first.clamp(0, n - width)
    return Stencil(axis, first, random(n, width, seed=seed).cpu())


# Two residuals of two columns a, b and channels u, v, w, z: a v - u w / 2 and exp(z / 4) + b u².
RESIDUAL = Program(
    6,
    (0.5, 0.25),
    (("mul", 0, 3), ("mul", 2, 4), ("mul", 6, 9), ("sub", 8, 10), ("mul", 7, 5), ("exp", 12, -1), ("mul", 2, 2),
     ("mul", 1, 14), ("add", 13, 15)),
    (11, 16),
)  # fmt: skip
PARTIALS = Program(
    6,
    (-0.5, 0.25, 2.0),
    (("mul", 6, 4), ("mul", 6, 2), ("mul", 7, 5), ("exp", 11, -1), ("mul", 7, 12), ("mul", 8, 1), ("mul", 14, 2)),
    (9, 0, 10, 13, 15),
)
PARTIAL_OF = ((0, 0), (0, 1), (0, 2), (1, 3), (1, 0))


def example(n, where, shares=None):
    """Derivatives of all kinds: two orders of one field along an axis, sums, a matrix alone and before a stencil."""
    last = len(n) - 1
    stencils = (stencil(0, n[0], 3), stencil(0, n[0], 5, seed=3), stencil(last, n[last], 4, wrap=True, seed=4))
    matrices = tuple((axis, random(size, size, seed=5 + axis).cpu()) for axis, size in enumerate(n))
    channels = (
        (Term(1.0, 0),),
        (Term(1.0, 0, (), 0), Term(-0.3, 0, (), 1)),
        (Term(0.7, 1, (), 2), Term(1.0, 0, (last,))),
        (Term(0.2, 1, (last,), 0) if last else Term(0.2, 1, (0,)), Term(0.1, 1)),
    )
    return GridResidual(
        n, channels, RESIDUAL, PARTIALS, PARTIAL_OF, (2.0, 3.0), (1.5, 0.7), where, matrices, stencils, shares
    )


def given_to(n, batch=2, dtype=torch.float64):
    """Fields, a column that depends on the samples and the first axis, and a number."""
    fields = random(batch, 2, *n, dtype=dtype)
    return fields, [random(batch, n[0], *(1 for _ in n[1:]), seed=1, dtype=dtype), random(seed=6, dtype=dtype)]


def compare(n, where, dtype, tolerance, shares=None, fields=None):
    """Compare the sum, the mean squares, the residuals, and the gradients of the sum and of the residuals."""
    plan, (drawn, given) = example(n, where, shares), given_to(n, dtype=dtype)
    mine = (drawn if fields is None else fields).requires_grad_()
    theirs, exact = mine.detach().double().requires_grad_(), [column.double() for column in given]
    pairs = [*zip(grid_residual_triton(mine, given, plan), grid_residual(theirs, exact, plan), strict=True)]
    pairs.append((grid_residual_values_triton(mine, given, plan), grid_residual_values(theirs, exact, plan)))
    towards = random(*pairs[2][1].shape, seed=9).to(dtype)
    pairs.append((grad(pairs[0][0], mine)[0], grad(pairs[0][1], theirs)[0]))
    pairs.append((grad(pairs[2][0], mine, towards)[0], grad(pairs[2][1], theirs, towards.double())[0]))
    for found, expected in pairs:
        assert found.dtype == dtype
        assert error(found, expected) <= tolerance


@pytest.mark.parametrize("n, where", GRIDS)
def test_it_is_the_twin(n, where):
    compare(n, where, torch.float64, 1e-13)


@pytest.mark.parametrize("n, where", GRIDS[3:7:3])
def test_it_is_the_twin_in_single_precision(n, where):
    compare(n, where, torch.float32, 1e-5)


def test_it_is_the_twin_whatever_the_order_of_memory():
    n, where = GRIDS[4]
    compare(n, where, torch.float64, 1e-13, fields=random(2, *n, 2).movedim(-1, 1))
    compare(n, where, torch.float64, 1e-13, fields=random(2, 4, n[0], 2 * n[1])[:, ::2, :, ::2])


def test_points_count_by_their_shares():
    n, where = GRIDS[4]
    shares = torch.rand(8, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shares[2:5] = 0.0
    compare(n, where, torch.float64, 1e-13, shares / shares.sum())
    same = example(n, where, torch.full((8, 16), 1 / 128, dtype=torch.float64))
    fields, given = given_to(n)
    torch.testing.assert_close(
        grid_residual_triton(fields, given, same), grid_residual_triton(fields, given, example(n, where))
    )


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("run", [grid_residual, grid_residual_triton], ids=["twin", "triton"])
def test_what_is_no_number_where_no_point_counts_is_not_seen(run):
    shares = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64)
    log = Program(1, (), (("log", 0, -1),), (1,))
    plan = GridResidual(
        (4,), ((Term(1.0, 0),),), log, Program(1, (), (("recip", 0, -1),), (1,)), ((0, 0),), (1.0,), (1.0,), ((0, 4),),
        shares=shares,
    )  # fmt: skip
    fields = torch.tensor([[[0.0, 2.0, 3.0, -1.0]]], dtype=torch.float64, device=DEVICE, requires_grad=True)
    total, _ = run(fields, [], plan)
    expected = (math.log(2) ** 2 + math.log(3) ** 2) / 2
    assert total.item() == pytest.approx(expected)
    torch.testing.assert_close(
        grad(total, fields)[0].cpu().flatten()[1:3], torch.tensor([math.log(2) / 2, math.log(3) / 3]).double()
    )


def test_without_samples_there_is_nothing():
    n, where = GRIDS[3]
    plan, (fields, given) = example(n, where), given_to(n, batch=0)
    for run in (grid_residual, grid_residual_triton):
        total, means = run(fields.requires_grad_(), given, plan)
        assert total.item() == 0
        assert means.tolist() == [0, 0]
        assert grad(total, fields)[0].shape == fields.shape
    assert grid_residual_values_triton(fields, given, plan).shape == (0, 2, 11, 13)


@pytest.mark.parametrize("n, width, wrap", [(9, 5, False), (9, 4, True), (6, 6, False), (6, 6, True), (5, 1, True)])
def test_transposed_stencils_are_transposed_matrices(n, width, wrap):
    own = stencil(0, n, width, wrap)
    assert torch.equal(own.transposed.dense, own.dense.T)
    if wrap:
        assert own.transposed.weights.shape[1] == width


def differences(points, order, width, period=None):
    """Stencils that are exact for polynomials, by Vandermonde's equations; one-sided at ends, or wrapped around."""
    n = len(points)
    first = torch.arange(n) - width // 2
    first = first.clamp(0, n - width) if period is None else first
    places = first[:, None] + torch.arange(width)
    turns = torch.div(places, n, rounding_mode="floor")
    offsets = points[places % n] + turns * (period or 0.0) - points[:, None]
    scale = offsets.abs().amax(1, keepdim=True)
    matrix = ((offsets / scale)[:, None, :]) ** torch.arange(width)[:, None]
    right = torch.zeros(n, width, dtype=torch.float64)
    right[:, order] = math.factorial(order)
    return Stencil(0, first % n, torch.linalg.solve(matrix, right) / scale**order)


@pytest.mark.parametrize(
    "order, width, period, expected",
    [(1, 5, None, 4), (2, 7, None, 5), (3, 6, None, 3), (1, 5, 1.0, 4), (2, 7, 1.0, 6), (3, 5, 1.0, 2)],
)
def test_the_residual_of_a_solution_falls_with_the_order_of_the_stencil(order, width, period, expected):
    """u = sin(2πx + φ): the derivative less the exact one, at an end, or on the whole circle.

    One-sided differences have the order w - m; centred ones of even m, where w is odd, one more. With φ the first term
    of the error at the end is as large as it can be, and the second zero.
    """
    phase = 0.5 * math.pi * (1 - width)
    sizes, errors = (40, 60, 90), []
    less = Program(2, (), (("sub", 1, 0),), (2,))
    for n in sizes:
        x = torch.arange(n, dtype=torch.float64) / (n - (period is None))
        at_end = torch.eye(1, n, dtype=torch.float64)[0]
        exact = (2 * math.pi) ** order * torch.sin(2 * math.pi * x + phase + 0.5 * math.pi * order)
        plan = GridResidual(
            (n,), ((Term(1.0, 0, (), 0),),), less, Program(2, (1.0,), (), (2,)), ((0, 0),), (1.0,), (1.0,), ((0, n),),
            stencils=(differences(x, order, width, period),), shares=at_end if period is None else None,
        )  # fmt: skip
        u = torch.sin(2 * math.pi * x + phase)[None, None].to(DEVICE)
        errors.append(grid_residual_triton(u, [exact.to(DEVICE)], plan)[1].item() ** 0.5)
    slope = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(expected, abs=0.2)


def arguments(n, where, batch=1):
    plan, (fields, given) = example(n, where), given_to(n, batch)
    return triton_grid._prepared(fields.requires_grad_(), given, plan)


def test_operators_keep_the_rules_of_torch():
    given = arguments(*GRIDS[0])
    opcheck(OPS.triton_grid_residual.default, (*given, True))
    most = {"test_utils": ("test_schema", "test_autograd_registration", "test_faketensor")}
    opcheck(OPS.triton_grid_residual_values.default, given, **most)
    only = {"test_utils": ("test_schema", "test_faketensor")}
    shares = torch.full((7,), 1 / 7, dtype=torch.float64, device=DEVICE)
    opcheck(OPS.triton_grid_residual.default, (*given[:7], shares, *given[8:], False), **only)
    fields, flat, columns, matrices, firsts, weights, numbers, _, where, layout = (
        value.detach() if isinstance(value, torch.Tensor) else value for value in given
    )
    seeds, cotangents = random(1, 2, 7), random(1, 4, 7)
    known = flat, columns, matrices, firsts, weights, numbers, where, layout
    opcheck(OPS.triton_grid_residual_values_backward.default, (seeds, fields, *known), **only)
    tables = matrices, firsts, weights, where, [1, 2, 7], layout
    opcheck(OPS.triton_grid_transposed.default, (cotangents, random(), *tables), **only)
    values, weight = random(2, 1, 4, 5).requires_grad_(), sobolev_weight((4, 5), 2, -1)
    opcheck(OPS.triton_weighted_modes.default, (values, weight, 2, True))
    opcheck(OPS.triton_weighted_modes_backward.default, (random(2, 1), random(2, 1, 4, 3, 2), 2, 5), **only)


@pytest.mark.skipif(not INTERPRETED, reason="double precision is for the interpreter")
def test_gradients_are_those_of_differences():
    plan, (fields, given) = example((5, 6), ((0, 4), (1, 6))), given_to((5, 6), batch=1)
    weight = sobolev_weight((4, 5), 2, -1)
    fields = fields.requires_grad_()
    assert gradcheck(lambda u: grid_residual_triton(u, given, plan)[0], (fields,), fast_mode=True)
    measured = lambda u: weighted_modes_triton(grid_residual_values_triton(u, given, plan), weight, 2)  # noqa: E731
    assert gradcheck(measured, (fields,), fast_mode=True)


def test_it_stays_whole_in_compiled_programs():
    plan, (fields, given) = example((5, 5), ((0, 5), (0, 5))), given_to((5, 5), 2)
    weight = sobolev_weight((5, 5), 2, -1)

    def program(u):
        total, means = grid_residual_triton(u, given, plan)
        values = grid_residual_values_triton(u, given, plan)
        return total + means.sum() + weighted_modes_triton(values, weight, 2).sum()

    # The first call makes the tables, which no compiler follows.
    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    expected, found = (grad(run(u), u)[0] for run in (program, compiled) for u in [fields.clone().requires_grad_()])
    torch.testing.assert_close(found, expected)


def test_equal_inputs_give_equal_bits():
    n, where = GRIDS[1]
    plan, (fields, given) = example(n, where), given_to(n, dtype=torch.float32)
    fields.requires_grad_()

    def found():
        total, means = grid_residual_triton(fields, given, plan)
        return total, means, *grad(total, fields)

    assert all(torch.equal(a, b) for a, b in zip(found(), found(), strict=True))


def test_blocks_are_measured_on_what_others_have_written(monkeypatch):
    """Tuning runs a plan with all its blocks, one after the other: what is there then counts no more."""

    def tuned(plan):
        for blocks in reversed(plan.candidates):  # first those that leave the most behind
            triton_support._run(plan, blocks)

    monkeypatch.setattr(triton_grid, "launch", tuned)
    monkeypatch.setattr(triton_modes, "launch", tuned)
    n, where = (80,), ((1, 80),)
    plan, (fields, given) = example(n, where), given_to(n)
    ways = (grid_residual_triton, grid_residual)
    (found, means), (expected, exact) = (run(fields.requires_grad_(), given, plan) for run in ways)
    assert max(error(found, expected), error(means, exact)) <= 1e-13
    assert error(*(grad(own, fields)[0] for own in (found, expected))) <= 1e-13
    values, weight = random(1, 1, 33, 36).requires_grad_(), sobolev_weight((33, 36), 2, -1)
    found, expected = weighted_modes_triton(values, weight, 2), weighted_modes(values, weight, 2)
    assert error(found, expected) <= 1e-13
    assert error(*(grad(own.sum(), values)[0] for own in (found, expected))) <= 1e-13


def test_what_no_kernel_can_is_computed_by_the_twin():
    n, where = GRIDS[0]
    plan, (fields, given) = example(n, where), given_to(n)
    copies = tuple(("mul", 0, 3) for _ in range(3000))
    code = (("neg", 0, -1), *copies)
    long = replace(plan, residual=Program(6, (), code, (6, 7)), partials=Program(6, (), (("neg", 0, -1),), ()))
    long = replace(long, partial_of=())
    torch.testing.assert_close(grid_residual_triton(fields, given, long), grid_residual(fields, given, long))
    torch.testing.assert_close(
        grid_residual_values_triton(fields, given, long), grid_residual_values(fields, given, long)
    )
    assert triton_grid._fits(plan)
    assert not triton_grid._fits(replace(plan, n=(2**30,)))


def test_what_cannot_be_done_is_refused(monkeypatch):
    n, where = GRIDS[3]
    plan, (fields, given) = example(n, where), given_to(n)
    with pytest.raises(ValueError, match=r"fields must be \(B, C, 11, 13\), not \(2, 2, 13, 11\)"):
        grid_residual_triton(fields.mT, given, plan)
    with pytest.raises(ValueError, match="float32 or float64, not"):
        grid_residual_triton(fields.bfloat16(), given, plan)
    with pytest.raises(ValueError, match=r"column 1 must broadcast to \(2, 11, 13\), not \(7,\)"):
        grid_residual(fields, [given[0], random(7)], plan)
    with pytest.raises(ValueError, match="takes 2 columns, not 1"):
        grid_residual_values(fields, given[:1], plan)
    with pytest.raises(ValueError, match="requires a gradient"):
        grid_residual_triton(fields, [given[0].requires_grad_(), given[1]], plan)
    with pytest.raises(ValueError, match="one to three axes, not 4"):
        replace(plan, n=(3, 3, 3, 3))
    with pytest.raises(ValueError, match="is no part of a grid"):
        replace(plan, where=((0, 12), (0, 13)))
    with pytest.raises(ValueError, match=r"shares must be \(11, 13\), not \(11,\)"):
        replace(plan, shares=torch.ones(11))
    with pytest.raises(ValueError, match="between 0 and 4"):
        Stencil(0, torch.arange(5) + 1, torch.ones(5, 3))
    with pytest.raises(ValueError, match="w <= n"):
        Stencil(0, torch.arange(5), torch.ones(5, 6))
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    with pytest.raises(ValueError, match="on a CUDA device, not on cpu"):
        grid_residual_triton(fields.cpu(), given, plan)


def test_triton_is_used_only_where_it_is_asked_for():
    device = torch.device(DEVICE)
    assert grid_kernels("torch", device)[:3] == (grid_residual, grid_residual_values, weighted_modes)
    chosen = grid_kernels("triton", device)
    assert chosen[:3] == (grid_residual_triton, grid_residual_values_triton, weighted_modes_triton)
    assert chosen.note == "residuals on grids by triton"


@pytest.mark.parametrize("module", [triton_grid, triton_modes])
def test_example_plans_are_launchable(module):
    plans = dict(module.example_plans(torch.float32, "ieee"))
    for plan in plans.values():
        assert plan.programs(plan.candidates[0]) > 0
        assert set(plan.arguments) <= set(plan.kernel.arg_names)
    assert len(plans) == (8 if module is triton_grid else 2)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "n, where", [((1000,), ((1, 1000),)), ((129, 130), ((1, 129), (0, 130))), ((40, 41, 42), GRIDS[6][1])]
)
def test_blocks_of_a_device_agree_with_the_twin(n, where):
    compare(n, where, torch.float32, 1e-5)


@pytest.mark.gpu
def test_a_training_step_is_captured_in_a_graph():
    n, where = (65, 66), ((1, 65), (0, 66))
    plan, (fields, given) = example(n, where), given_to(n, dtype=torch.float32)
    weight = sobolev_weight((64, 66), 2, -1).float()

    def step(u):
        values = grid_residual_values_triton(u, given, plan)
        return grid_residual_triton(u, given, plan)[0] + weighted_modes_triton(values, weight, 2).sum()

    expected = grad(step(fields.requires_grad_()), fields)[0]
    captured = torch.cuda.make_graphed_callables(step, (fields.clone().requires_grad_(),))
    assert error(grad(captured(fields), fields)[0], expected) <= 1e-6
