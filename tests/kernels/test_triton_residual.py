"""Residuals by Triton kernels, interpreted where there is no GPU: against numpy's formulas and against the twins."""

from __future__ import annotations

import math
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import grad, gradcheck
from torch.library import opcheck

import pdeml as pm
from pdeml.expr import BINARY, NUMPY, UNARY
from pdeml.lower import ResidualSystem, make_block, make_residual_plan, statements
from pdeml.problem import library
from pdeml.sampling import sample
from pdeml.solvers import PINN
from pdeml_kernels import residual
from pdeml_kernels.bench.equations import EQUATIONS
from pdeml_kernels.dispatch import residual_kernels
from pdeml_kernels.programs import TORCH, Program, run
from pdeml_kernels.residual import ResidualProgram

pytest.importorskip("triton")

from pdeml_kernels import triton_residual, triton_support
from pdeml_kernels.triton_programs import LONGEST
from pdeml_kernels.triton_residual import (
    residual_linearised_triton,
    residual_loss_triton,
    residual_rows_triton,
)
from pdeml_kernels.triton_support import INTERPRETED

from .tensors import DEVICE

pytestmark = pytest.mark.usefixtures("poison")
OPS = torch.ops.pdeml_kernels


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def tensors(program, channels, unknowns, points, dtype=torch.float64):
    """Jets, learned parameters, columns, roots and factors, all between 0 and 1."""
    parts = residual.decoded(program)
    sizes = (channels, points, unknowns), (parts.learned,), (parts.columns, points), (points,)
    sizes = *sizes, (len(parts.residual.outputs),)
    return [random(*size, seed=seed, dtype=dtype) for seed, size in enumerate(sizes)]


def close(found, expected, tolerance):
    """Compare by the largest error over the largest value."""
    assert found.shape == expected.shape
    if expected.numel():
        error = (found.double() - expected).abs().max() / expected.abs().max().clamp(min=1e-300)
        assert error <= tolerance, f"{tuple(found.shape)}: {error:.1e}"


def compare(program, given, tolerance):
    """Compare all that the operators give, and their gradients, with the twins in double precision."""
    given = [tensor.requires_grad_(k < 2) for k, tensor in enumerate(given)]
    exact = [tensor.detach().double().requires_grad_(k < 2) for k, tensor in enumerate(given)]
    pairs = (
        (residual_rows_triton, residual.residual_rows),
        (residual_loss_triton, residual.residual_loss),
        (residual_linearised_triton, residual.residual_linearised),
    )
    for kernel, twin in pairs:
        found, expected = kernel(*given, program), twin(*exact, program)
        found, expected = ((x,) if isinstance(x, torch.Tensor) else x for x in (found, expected))
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.dtype == given[0].dtype
            close(mine.detach(), theirs.detach(), tolerance)
        if kernel is not residual_linearised_triton:
            towards = random(*expected[0].shape, seed=9)
            mine = grad(found[0], given[:2], towards.to(found[0].dtype))
            theirs = grad(expected[0], exact[:2], towards, materialize_grads=True)
            for one, other in zip(mine, theirs, strict=True):
                close(one, other, tolerance)


def lowered(equations, unknowns="u", learned=(), real=1):
    """Return the program of equations of x and t, and the sizes K, U of its jets."""
    problem = pm.Problem(
        coordinates={"x": (-1, 1), "t": (0, 1)},
        time="t",
        unknowns=unknowns,
        equations=equations,
        parameters=dict.fromkeys(learned, 1.0),
        conditions=[pm.Initial(**dict.fromkeys(unknowns, 0))],
    )
    plan = make_residual_plan(problem.forms, problem.names, problem.parameter_values, learned)
    return plan.program, len(plan.spec), real


PROGRAMS = {
    equation.name: (equation.program.encoded(), len(equation.chain) + 1, equation.unknowns) for equation in EQUATIONS
}
PROGRAMS |= {
    "where": lowered(
        "where(x < 0.7 and u > t, 0.1, 0.3)*u_xx + max(u, 0.2, u_t)*abs(u - 0.5) = atan2(u_x, 3 + u)**1.3"
    ),
    "learned": lowered("u_t + a*u*u_x = exp(-b*x)*u_xx + a**2*b", learned=("a", "b")),
    "system": lowered("i*psi_t = -psi_xx/2 + (x**2 - abs(psi)**2)*psi", {"psi": "complex"}, real=2),
}


def one_by_one(*code, constants=()):
    """Return the program of residuals that are one operation each, of columns a and b."""
    first = 2 + len(constants)
    outputs = [first + k for k in range(len(code))]
    return ResidualProgram(2, 0, (), Program.of(2, constants, code, outputs), Program.of(2, (), (), ()), ()).encoded()


SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 1e-20, 1e20, math.inf, -math.inf]
LOGICAL = ("and", "or", "not", "then", "else", "lt", "le", "gt", "ge", "eq", "ne")


def arguments():
    """Every pair of special values, and random ones."""
    pairs = torch.cartesian_prod(*2 * [torch.tensor(SPECIAL, dtype=torch.float64)])
    generator = np.random.default_rng(0)
    wide = generator.choice([-1, 1], (200, 2)) * 10 ** generator.uniform(-6, 0.7, (200, 2))
    return torch.cat([pairs, torch.as_tensor(wide)]).T.to(DEVICE)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-14), (torch.float32, 5e-7 if INTERPRETED else 1e-5)])
def test_every_operation_is_that_of_numpy(dtype, tolerance):
    assert set(TORCH) == set(NUMPY)
    columns = arguments().to(dtype)
    names = [op for op in (*UNARY, *BINARY) if op not in LOGICAL]
    program = one_by_one(*((op, 0, 1 if op in BINARY else -1) for op in names))
    ones = torch.ones_like(columns[0])
    given = columns.new_zeros(1, len(ones), 1), ones[:0], columns, ones, ones[: len(names)]
    rows = residual_rows_triton(*given, program)
    a, b = columns.double().cpu().numpy()
    for op, row in zip(names, rows, strict=True):
        with np.errstate(all="ignore"):
            expected = NUMPY[op](a, b) if op in BINARY else NUMPY[op](a)
        expected = torch.as_tensor(expected).to(dtype)
        torch.testing.assert_close(
            row.cpu(), expected, rtol=tolerance, atol=0, equal_nan=True, msg=lambda m, op=op: f"{op}: {m}"
        )


def test_masks_choose():
    """``where(a < b and not (a >= 1 or b == 3), b, 7)``, and the other comparisons."""
    columns = arguments()
    code = [("lt", 0, 1), ("ge", 0, 2), ("eq", 1, 3), ("or", 6, 7), ("not", 8, -1), ("and", 5, 9), ("then", 10, 1)]
    code += [("else", 10, 4), ("add", 11, 12), ("le", 0, 1), ("then", 14, 2), ("gt", 0, 1), ("then", 16, 3)]
    code += [("ne", 0, 1), ("then", 18, 4)]
    numbers = Program.of(2, [1.0, 3.0, 7.0], code, [13, 15, 17, 19])
    program = ResidualProgram(2, 0, (), numbers, Program.of(2, (), (), ()), ()).encoded()
    ones = torch.ones_like(columns[0])
    rows = residual_rows_triton(columns.new_zeros(1, len(ones), 1), ones[:0], columns, ones, ones[:4], program)
    a, b = columns
    both = (a < b) & ~((a >= 1) | (b == 3))
    expected = torch.where(both, b, 7.0), 1.0 * (a <= b), 3.0 * (a > b), 7.0 * (a != b)
    assert torch.equal(rows, torch.stack(expected))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_a_number_stays_so_as_with_the_twin():
    nan = math.nan
    columns = torch.tensor([[nan, 1.0, nan, 0.0, nan], [1.0, nan, nan, nan, 0.0]], device=DEVICE)
    names = [op for op in (*UNARY, *BINARY) if op not in LOGICAL]
    program = one_by_one(*((op, 0, 1 if op in BINARY else -1) for op in names))
    ones = torch.ones_like(columns[0])
    given = columns.new_zeros(1, 5, 1), ones[:0], columns, ones, torch.ones(len(names), device=DEVICE), program
    torch.testing.assert_close(residual_rows_triton(*given), residual.residual_rows(*given), equal_nan=True)


def test_numbers_are_made_where_the_tensors_are():
    """Where nothing is said of the device, tensors are on another one, whose numbers do not mix with those."""
    a = random(3)
    with torch.device("meta"):
        found = [TORCH[op](*pair) for op in ("atan2", "min", "max") for pair in ((a, 0.5), (0.5, a))]
        found += [TORCH[op](a > 0.5, 7.0) for op in ("then", "else")]
        found += run(Program.of(1, (2.0,), (), (1,)), [a], a)
    assert {tensor.device for tensor in found} == {a.device}


def test_what_nobody_reads_any_more_is_let_go(monkeypatch):
    made, alive = [], []

    def sine(a):
        alive[:] = [tensor() is not None for tensor in made]
        found = torch.sin(a)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setitem(TORCH, "sin", sine)
    chain = Program.of(1, (), [("sin", k, -1) for k in range(4)], (2, 4))
    assert len(run(chain, [random(3)], random(3))) == 2
    assert alive == [False, True, True]  # an output, and what the last one reads


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_gradients_are_those_of_the_twin(name):
    program, channels, unknowns = PROGRAMS[name]
    compare(program, tensors(program, channels, unknowns, 37), 1e-13 if INTERPRETED else 1e-10)


@pytest.mark.parametrize("name", ["Navier-Stokes 2-D", "learned"])
def test_single_precision_and_many_blocks(name):
    program, channels, unknowns = PROGRAMS[name]
    compare(program, tensors(program, channels, unknowns, 300, torch.float32), 1e-5)


def test_larger_blocks_give_the_same(monkeypatch):
    program, channels, unknowns = PROGRAMS["learned"]
    given_ = *tensors(program, channels, unknowns, 700), program
    small = residual_loss_triton(*given_)
    monkeypatch.setattr(triton_residual, "_CANDIDATES", triton_residual._CANDIDATES[-1:])
    large = residual_loss_triton(*given_)
    torch.testing.assert_close(large, small, rtol=1e-13, atol=1e-13)


def test_views_of_larger_tensors():
    program, channels, unknowns = PROGRAMS["learned"]
    factors = tensors(program, channels, unknowns, 23)[-1]
    jets = random(23, unknowns, 2 * channels).permute(2, 0, 1)[::2]
    columns = random(23, residual.decoded(program).columns).T
    compare(program, [jets, random(2, 3)[:, 1], columns, random(23, 2)[:, 0], factors], 1e-13)


def test_no_points_have_no_loss():
    program, channels, unknowns = PROGRAMS["learned"]
    compare(program, tensors(program, channels, unknowns, 0), 0.0)


def test_equal_inputs_give_equal_bits():
    program, channels, unknowns = PROGRAMS["learned"]
    single = tensors(program, channels, unknowns, 700, torch.float32)
    first, second = (residual_loss_triton(*single, program) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_places_beyond_32_bits():
    """Channels that lie 2³⁰ numbers apart, a step of 32 bits; memory between them is never touched."""
    program, channels, unknowns = PROGRAMS["Burgers"]
    jets, *others = tensors(program, channels, unknowns, 5, torch.float32)
    far = torch.empty(2**31 + 8, device=DEVICE).as_strided(jets.shape, (2**30, 1, 1)).copy_(jets)
    assert torch.equal(residual_rows_triton(far, *others, program), residual_rows_triton(jets, *others, program))


UNBOUNDED = ("add", "sub", "mul", "min", "max", "sin", "cos", "tanh", "atan", "abs", "neg", "erf", "atan2")


@st.composite
def programs(draw):
    """A program of three inputs and two constants with up to ten instructions, none of them on constants alone."""
    code = []
    for register in range(5, 5 + draw(st.integers(1, 10))):
        op, j = draw(st.sampled_from(UNBOUNDED)), draw(st.integers(0, register - 1))
        i = draw(st.sampled_from([i for i in range(register) if i not in (3, 4)]))
        code.append((op, i, -1 if op in UNARY else j))
    return Program.of(3, draw(st.lists(st.floats(-2, 2), min_size=2, max_size=2)), code, [4 + len(code), 0])


@settings(max_examples=25)
@given(programs())
def test_any_program_gives_what_the_twin_gives(found):
    program = ResidualProgram(1, 1, ((1, 0),), found, Program.of(3, (), (), ()), ()).encoded()
    given_ = *tensors(program, 2, 1, 9), program
    torch.testing.assert_close(residual_rows_triton(*given_), residual.residual_rows(*given_), rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(not INTERPRETED, reason="double precision is for the interpreter")
def test_gradients_are_those_of_differences():
    program, channels, unknowns = PROGRAMS["learned"]
    jets, learned, *others = tensors(program, channels, unknowns, 3)
    free = jets.requires_grad_(), learned.requires_grad_()
    assert gradcheck(lambda j, a: residual_loss_triton(j, a, *others, program)[0], free, fast_mode=True)
    assert gradcheck(lambda j, a: residual_rows_triton(j, a, *others, program), free, fast_mode=True)


def test_they_are_operators_of_torch():
    program, channels, unknowns = PROGRAMS["learned"]
    jets, learned, *others = tensors(program, channels, unknowns, 3)
    plain = *(tensor.clone() for tensor in (jets, learned)), *others, program
    free = jets.requires_grad_(), learned.requires_grad_(), *others, program
    opcheck(OPS.triton_residual_rows.default, free)
    opcheck(OPS.triton_residual_loss.default, free)
    opcheck(OPS.triton_residual_linearised.default, plain)
    opcheck(OPS.triton_residual_pullback.default, (random(1, 3), *plain))


@pytest.mark.parametrize("kernels", ["triton", "torch"])
def test_they_stay_whole_in_compiled_programs(kernels):
    program, channels, unknowns = PROGRAMS["learned"]
    jets, learned, *others = tensors(program, channels, unknowns, 5)
    by = residual_kernels(kernels, jets.device, program)

    def total(jets):
        loss, *_ = by.loss(jets, learned, *others, program)
        return loss + by.rows(jets, learned, *others, program).sum()

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    found, expected = (grad(run(x), x)[0] for run in (compiled, total) for x in [jets.clone().requires_grad_()])
    torch.testing.assert_close(found, expected)


def test_what_does_not_fit_is_refused(monkeypatch):
    program, channels, unknowns = PROGRAMS["learned"]
    jets, learned, columns, roots, factors = tensors(program, channels, unknowns, 5)
    with pytest.raises(ValueError, match=r"jets are \(channels, points, unknowns\)"):
        residual_rows_triton(jets[:1], learned, columns, roots, factors, program)
    with pytest.raises(ValueError, match="5 weights of points need jets and columns"):
        residual_rows_triton(jets[:, :4], learned, columns, roots, factors, program)
    with pytest.raises(ValueError, match="takes 2 learned parameters and 1 factors"):
        residual_loss_triton(jets, learned[:1], columns, roots, factors, program)
    with pytest.raises(ValueError, match="of one type"):
        residual_linearised_triton(jets.float(), learned, columns, roots, factors, program)
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    with pytest.raises(ValueError, match="on a CUDA device, not on cpu"):
        residual_rows_triton(*(x.cpu() for x in (jets, learned, columns, roots, factors)), program)


def test_formulas_that_no_kernel_runs_are_left_to_torch():
    twins = residual.residual_rows, residual.residual_linearised, residual.residual_loss
    program, device = PROGRAMS["Burgers"][0], torch.device(DEVICE)
    assert residual_kernels("torch", device, program)[:3] == twins
    chosen = residual_kernels("triton", device, program)
    assert chosen.loss is residual_loss_triton
    assert "by triton" in chosen.note
    for code, constants, why in (
        ([("sin", 0, -1)] * (LONGEST + 1), (), "too many"),
        ([("add", 0, 2)], (math.nan,), "not a number"),
        ([("gamma", 0, -1)], (), "no operation 'gamma'"),
    ):
        refused = residual_kernels("triton", device, one_by_one(*code, constants=constants))
        assert refused[:3] == twins
        assert why in refused.note


def test_training_is_the_same_with_and_without_kernels():
    problem = library.load("burgers")
    ansatz, scales, lift = PINN(width=6, depth=2).ansatz(problem)
    equation = statements(problem, scales, lift.exact)[0]
    drawn = sample(equation.region, 40, "sobol", (0, 1))
    x, weights = (torch.as_tensor(array).to(DEVICE) for array in (drawn.x, drawn.weights))
    ends = []
    for kernels in ("triton", "torch"):
        block = make_block(equation, ansatz, x, weights, None, kernels)
        system = ResidualSystem((block,), ansatz.parameter_count)
        z = ansatz.network.initial(torch.Generator().manual_seed(0)).to(DEVICE)
        for _ in range(100):
            z = z - 0.02 * system.gradient(z)[1]
        ends.append((z, system.residual(z), *system.linearise(z)))
    for mine, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.gpu
def test_a_loss_is_captured_in_a_graph():
    program, channels, unknowns = PROGRAMS["learned"]
    static = tensors(program, channels, unknowns, 4096, torch.float32)
    for _ in range(2):
        residual_loss_triton(*static, program)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = residual_loss_triton(*static, program)
    static[0].copy_(random(*static[0].shape, seed=7))
    graph.replay()
    expected = residual.residual_loss(*(tensor.double() for tensor in static), program)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs, 1e-5)
