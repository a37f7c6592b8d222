"""Spectral convolution by Triton kernels, interpreted where there is no GPU: against the twins in double precision."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad, gradcheck
from torch.library import opcheck

import pdeml_kernels
from pdeml_kernels import LayerWeights, fourier_block, kept_modes, spectral_analysis, spectral_conv, spectral_synthesis
from pdeml_kernels.block import fourier_gelu

pytest.importorskip("triton")

from pdeml_kernels import triton_products, triton_support
from pdeml_kernels.triton_layer import fourier_block_triton, fourier_gelu_triton
from pdeml_kernels.triton_spectral import spectral_analysis_triton, spectral_conv_triton, spectral_synthesis_triton
from pdeml_kernels.triton_support import INTERPRETED, Blocks

from .tensors import DEVICE, random

pytestmark = pytest.mark.usefixtures("poison")
OPS = torch.ops.pdeml_kernels

# n, modes, sizes of the output: odd and even, all modes with the highest, coarser and finer outputs, single points.
GRIDS = [
    ((37,), (11,), (37,)),
    ((8,), (8,), (13,)),
    ((8,), (8,), (5,)),
    ((7, 6), (4, 5), (7, 6)),
    ((6, 5), (6, 4), (7, 8)),
    ((1, 5), (3, 1), (1, 5)),
    ((3, 2, 4), (3, 2, 4), (3, 2, 4)),
]


def fields(channels, n, last, dtype=torch.float64, batch=2):
    return random(batch, *n, channels, dtype=dtype).movedim(-1, 1) if last else random(batch, channels, *n, dtype=dtype)


def compare(triton, twin, given, tolerance):
    """Compare the output and every gradient, by the largest error over the largest value; twins compute in double."""
    given = [tensor.requires_grad_() for tensor in given]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    found, expected = triton(*given), twin(*exact)
    towards = random(*expected.shape, seed=9).to(found.dtype)
    pairs = [(found, expected)]
    pairs += zip(grad(found, given, towards), grad(expected, exact, towards.double()), strict=True)
    for tensor, (mine, theirs) in zip([found, *given], pairs, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == tensor.dtype
        error = (mine - theirs).abs().max() / theirs.abs().max()
        assert error <= tolerance, f"{tuple(mine.shape)}: {error:.1e}"


def weights(modes, *channels, dtype=torch.float64):
    return random(*channels, *modes[:-1], modes[-1] // 2 + 1, 2, seed=1, dtype=dtype)


@pytest.mark.parametrize(
    "separable, last",
    [(False, False), (False, True), (True, True)],
    ids=["dense, channels first", "dense, channels last", "separable"],
)
@pytest.mark.parametrize("n, modes, sizes", GRIDS)
def test_values_and_gradients_are_those_of_the_twin(n, modes, sizes, separable, last):
    channels = (3,) if separable else (3, 2)
    given = fields(3, n, last, torch.float32), weights(modes, *channels, dtype=torch.float32)
    bias = random(channels[-1], seed=2, dtype=torch.float32)
    compare(
        lambda x, w, b: spectral_conv_triton(x, w, modes, sizes, b),
        lambda x, w, b: spectral_conv(x, w, modes, sizes, b),
        (*given, bias),
        1e-5,
    )


LAYERS = [((37,), (11,), True), ((8,), (8,), False), ((5, 6), (3, 4), True), ((2, 3, 4), (2, 2, 3), True)]


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("n, modes, activate", LAYERS)
def test_the_fused_layer_is_that_of_the_twin(n, modes, activate, last):
    single = {"dtype": torch.float32}
    given = fields(3, n, last, **single), weights(modes, 3, 4, **single), random(4, 3, **single), random(4, **single)
    compare(
        lambda v, w, s, b: fourier_gelu_triton(v, w, modes, s, b, activate),
        lambda v, w, s, b: fourier_gelu(v, w, modes, s, b, activate),
        given,
        1e-5,
    )


@pytest.mark.parametrize("last", [False, True], ids=["layer", "last layer"])
def test_the_block_is_that_of_the_twin(last):
    given = random(2, 5, 6, 3), weights((3, 4), 3, 3), random(3)
    point = random(3, 3), random(2, 3), random(2), random(3, 2), random(3), random(3)
    compare(
        lambda v, w, b, *point: fourier_block_triton(v, w, b, (3, 4), LayerWeights(*point), last),
        lambda v, w, b, *point: fourier_block(v, w, b, (3, 4), LayerWeights(*point), last),
        (*given, *point),
        1e-5 if DEVICE == "cuda" else 1e-13,
    )


@pytest.mark.parametrize("n, modes", [((37,), (23,)), ((3, 9), (3, 5))])
def test_many_blocks_give_what_one_gives(n, modes, monkeypatch):
    monkeypatch.setattr(triton_products, "_candidates", lambda *_, **__: [Blocks(16, 16, 16)])
    given = fields(18, n, True), weights(modes, 18, 17), random(17, 18), random(17)
    compare(
        lambda v, w, s, b: fourier_gelu_triton(v, w, modes, s, b, precision="ieee"),
        lambda v, w, s, b: fourier_gelu(v, w, modes, s, b),
        given,
        1e-5 if DEVICE == "cuda" else 1e-13,
    )


def test_the_gradient_of_the_skip_is_summed_in_parts():
    given = fields(2, (700,), False, torch.float32), weights((4,), 2, 2, dtype=torch.float32)
    more = random(2, 2, dtype=torch.float32), random(2, dtype=torch.float32)
    compare(
        lambda v, w, s, b: fourier_gelu_triton(v, w, (4,), s, b),
        lambda v, w, s, b: fourier_gelu(v, w, (4,), s, b),
        (*given, *more),
        1e-5,
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_is_summed_in_single(dtype, tolerance):
    given = fields(3, (4, 7), True, dtype), weights((3, 5), 3, 2, dtype=dtype), random(2, 3, dtype=dtype)
    compare(
        lambda v, w, s, b: fourier_gelu_triton(v, w, (3, 5), s, b),
        lambda v, w, s, b: fourier_gelu(v, w, (3, 5), s, b),
        (*given, random(2, dtype=dtype)),
        tolerance,
    )


@pytest.mark.parametrize("n, modes, sizes", [((9,), (6,), (14,)), ((4, 5), (3, 4), (6, 3))])
def test_factorised_weights_contract_between_the_halves(n, modes, sizes):
    """A rank-one map of channels for all modes, as CP factors act on coefficients."""
    kept = kept_modes(modes, n, sizes)

    def through(analysis, synthesis):
        return lambda x, u, v: synthesis((analysis(x, kept) @ u) @ v, kept, n, sizes)

    given = fields(3, n, False, torch.float32), random(3, 1, dtype=torch.float32), random(1, 2, dtype=torch.float32)
    triton = through(spectral_analysis_triton, spectral_synthesis_triton)
    compare(triton, through(spectral_analysis, spectral_synthesis), given, 1e-5)


def test_views_weights_with_more_modes_and_no_bias():
    x = random(2, 3, 9, 14).float()[:, :, ::2, 1::3]
    weight = weights((7, 6), 3, 2).float()
    compare(
        lambda x, w: spectral_conv_triton(x, w, (3, 2)), lambda x, w: spectral_conv(x, w, (3, 2)), (x, weight), 1e-5
    )


def test_nothing_in_gives_nothing_out():
    weight, bias = weights((4, 4), 3, 2).requires_grad_(), random(2).requires_grad_()
    x, skip = random(0, 3, 5, 6).requires_grad_(), random(2, 3)
    for y in (
        spectral_conv_triton(x, weight, (4, 4), (7, 7), bias),
        fourier_gelu_triton(x, weight, (4, 4), skip, bias),
    ):
        assert y.shape[:2] == (0, 2)
        found = grad(y.sum(), (x, weight, bias))
        assert found[0].shape == x.shape
        assert not found[1].any()
        assert not found[2].any()


def test_places_beyond_32_bits():
    """Three samples that lie 2³⁰ numbers apart, a step of 32 bits; memory between them is never touched."""
    store = torch.empty(2**31 + 64, dtype=torch.float16, device=DEVICE)
    x = store.as_strided((3, 3, 5), (2**30, 5, 1)).copy_(random(3, 3, 5))
    matrix, y = random(4, 5).float(), torch.zeros(3, 4, 3, device=DEVICE)
    held = triton_products.padded(matrix)[:4, :5]
    plan = triton_products.transform_plan(x, (2**30, 0, 1, 5), held, y, (12, 0, 3, 1), (3, 1, 3), "ieee")
    triton_support.launch(plan)
    torch.testing.assert_close(y, matrix @ x.mT.float(), rtol=1e-5, atol=1e-5)


def test_they_are_operators_of_torch():
    x, bias, skip = fields(2, (2, 3), True, batch=1).requires_grad_(), random(1).requires_grad_(), random(1, 2)
    weight = weights((2, 3), 2, 1).requires_grad_()
    opcheck(OPS.triton_spectral_conv.default, (x, weight, bias, [2, 1], [3, 2], "ieee"))
    separable = weights((2, 3), 2).requires_grad_()
    opcheck(OPS.triton_spectral_conv.default, (x, separable, None, [2, 2], [2, 3], "ieee"))
    opcheck(OPS.triton_spectral_analysis.default, (x, [1, 2], "mean", "ieee"))
    modes = random(1, 2, 2, 2).requires_grad_()
    opcheck(OPS.triton_spectral_synthesis.default, (modes, [1, 2], [2, 3], "sum", True, "ieee"))
    opcheck(OPS.triton_fourier_gelu.default, (x, weight, skip.requires_grad_(), bias, [2, 2], True, "ieee"))


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_compilers_are_told_the_true_order_of_memory_backward(last):
    x, weight, only = fields(2, (1, 4), last), weights((1, 4), 2, 3), {"test_utils": "test_faketensor"}
    y, saved = OPS.triton_spectral_conv(x, weight, None, [1, 2], [3, 4], "ieee")
    opcheck(OPS.triton_spectral_conv_backward.default, (y, saved, weight, [1, 2], [1, 4], "ieee"), **only)
    skip, bias = random(3, 2), random(3)
    y, found, mixed = OPS.triton_fourier_gelu(x, weight, skip, bias, [1, 2], True, "ieee")
    given = (y, x, found, mixed, weight, skip, bias, [1, 2], True, "ieee")
    opcheck(OPS.triton_fourier_gelu_backward.default, given, **only)


@pytest.mark.skipif(not INTERPRETED, reason="double precision is for the interpreter")
def test_gradients_are_those_of_differences():
    v, weight = random(1, 2, 5).requires_grad_(), weights((4,), 2, 1).requires_grad_()
    skip, bias = random(1, 2).requires_grad_(), random(1).requires_grad_()
    assert gradcheck(lambda v, w, s, b: fourier_gelu_triton(v, w, (4,), s, b), (v, weight, skip, bias), fast_mode=True)
    assert gradcheck(lambda v, w, b: spectral_conv_triton(v, w, (4,), (6,), b), (v, weight, bias), fast_mode=True)


def test_it_stays_whole_in_compiled_programs():
    v, weight, skip, bias = random(2, 2, 6), weights((4,), 2, 2), random(2, 2), random(2)

    def program(v):
        return fourier_gelu_triton(spectral_conv_triton(v, weight, (4,)), weight, (4,), skip, bias).sum()

    compiled = torch.compile(program, fullgraph=True, backend="aot_eager")
    found, expected = (grad(run(x), x)[0] for run in (compiled, program) for x in [v.clone().requires_grad_()])
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_done_is_refused(monkeypatch):
    x, weight = random(2, 3, 8), weights((4,), 3, 2)
    with pytest.raises(ValueError, match="precision must be one of ieee, tf32x3, tf32, not 'half'"):
        spectral_conv_triton(x, weight, (4,), precision="half")
    with pytest.raises(ValueError, match="channels to channels"):
        fourier_gelu_triton(x, weight, (4,), random(3, 2), random(2))
    with pytest.raises(ValueError, match="of one type"):
        fourier_gelu_triton(x.float(), weight, (4,), random(2, 3), random(2))
    monkeypatch.setattr(triton_support, "INTERPRETED", False)
    with pytest.raises(ValueError, match="on a CUDA device, not on cpu"):
        spectral_conv_triton(x.cpu(), weight.cpu(), (4,))


def test_triton_is_used_only_where_it_is_asked_for():
    x = random(2, 3, 8)
    assert pdeml_kernels.spectral_kernels("auto", x.device).conv is spectral_conv
    assert pdeml_kernels.spectral_kernels("torch", x.device).conv is spectral_conv
    chosen = pdeml_kernels.spectral_kernels("triton", x.device)
    assert chosen.conv is spectral_conv_triton
    assert "triton" in chosen.note
    with pytest.raises(ValueError, match="auto, triton, torch"):
        pdeml_kernels.spectral_kernels("cuda", x.device)


@pytest.mark.gpu
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize(
    "precision, dtype, tolerance",
    [
        ("ieee", torch.float32, 1e-5),
        ("tf32x3", torch.float32, 1e-5),
        ("tf32", torch.float32, 2e-3),
        ("tf32", torch.bfloat16, 2e-2),
        ("tf32", torch.float16, 2e-3),
    ],
)
@pytest.mark.parametrize("n, modes", [((1024,), (64,)), ((96, 61), (24, 20)), ((24, 20, 31), (8, 9, 10))])
def test_precisions_of_tensor_cores(n, modes, precision, dtype, tolerance, last):
    given = fields(33, n, last, dtype), weights(modes, 33, 40, dtype=dtype) / 33
    compare(
        lambda v, w, s, b: fourier_gelu_triton(v, w, modes, s, b, precision=precision),
        lambda v, w, s, b: fourier_gelu(v, w, modes, s, b),
        (*given, random(40, 33, dtype=dtype) / 33, random(40, dtype=dtype)),
        tolerance,
    )


@pytest.mark.gpu
def test_a_training_step_is_captured_in_a_graph():
    v, weight = fields(32, (32, 32), True, torch.float32), weights((16, 16), 32, 32).float() / 32
    given = v, weight, random(32, 32).float() / 32, random(32).float()
    step = torch.cuda.make_graphed_callables(
        lambda v, w, s, b: fourier_gelu_triton(v, w, (16, 16), s, b), tuple(t.clone().requires_grad_() for t in given)
    )
    compare(step, lambda v, w, s, b: fourier_gelu(v, w, (16, 16), s, b), given, 1e-5)


@pytest.mark.gpu
def test_equal_inputs_give_equal_bits():
    v, weight = fields(32, (64, 64), True, torch.float32, batch=8), weights((16, 16), 32, 32).float()
    given = [tensor.requires_grad_() for tensor in (v, weight, random(32, 32).float(), random(32).float())]

    def found():
        y = fourier_gelu_triton(given[0], given[1], (16, 16), *given[2:])
        return y, *grad(y.square().sum(), given)

    assert all(torch.equal(a, b) for a, b in zip(found(), found(), strict=True))
