"""Spectral convolution: against complete Fourier sums, by both routes, in both orders of memory."""

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.library import opcheck

from pdeml_kernels import fourier, kept_modes, spectral_analysis, spectral_conv, spectral_synthesis

# n, modes, sizes of the output: odd and even, all modes with the highest, coarser and finer outputs, single points.
GRIDS = [
    ((9,), (4,), (9,)),
    ((8,), (8,), (8,)),
    ((8,), (8,), (13,)),
    ((8,), (6,), (5,)),
    ((7, 6), (4, 5), (7, 6)),
    ((6, 8), (6, 8), (6, 8)),
    ((8, 6), (6, 4), (11, 12)),
    ((12, 10), (8, 8), (5, 6)),
    ((1, 5), (3, 1), (1, 5)),
    ((5, 6, 7), (3, 4, 5), (5, 6, 7)),
    ((4, 6, 4), (4, 4, 4), (6, 3, 8)),
]


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def fields(channels, n, last):
    found = random(2, *n, channels).movedim(-1, 1) if last else random(2, channels, *n)
    return found.requires_grad_()


def by_sums(x, weight, modes, sizes, bias):
    """Every kept coefficient by a complete FFT, every point by a sum of exponentials."""
    n, axes = x.shape[2:], x.ndim - 2
    weight = torch.view_as_complex(weight.contiguous())
    spectrum = torch.fft.fftn(x, dim=tuple(range(2, x.ndim)), norm="forward")
    *kept, last = (min(counts) for counts in zip(modes, n, sizes, strict=True))
    y = bias.reshape(-1, *[1] * axes)
    for k in itertools.product(*(range(-(m // 2), (m + 1) // 2) for m in kept), range(last // 2 + 1)):
        found = spectrum[(..., *(i % m for i, m in zip(k, n, strict=True)))]
        held = weight[(..., *(i + m // 2 for i, m in zip(k, weight.shape[-axes:-1], strict=False)), k[-1])]
        found = found @ held if held.ndim == 2 else found * held
        phase = torch.zeros(sizes, dtype=torch.float64)
        for axis, (i, m) in enumerate(zip(k, sizes, strict=True)):
            turn = 2 * math.pi * i * torch.arange(m, dtype=torch.float64) / m
            phase = phase + turn.reshape([-1 if a == axis else 1 for a in range(axes)])
        both = 1 if k[-1] == 0 or 2 * k[-1] in (n[-1], sizes[-1]) else 2
        y = y + both * (found.reshape(*found.shape, *[1] * axes) * torch.exp(1j * phase)).real
    return y


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("route", [True, False], ids=["matrix", "fft"])
@pytest.mark.parametrize("separable", [False, True], ids=["dense", "separable"])
@pytest.mark.parametrize("n, modes, sizes", GRIDS)
def test_values_and_gradients_are_those_of_the_sums(n, modes, sizes, separable, route, last, monkeypatch):
    monkeypatch.setattr(fourier, "by_matrix", lambda n, kept, last: route)
    x, channels = fields(3, n, last), (3,) if separable else (3, 2)
    weight = random(*channels, *modes[:-1], modes[-1] // 2 + 1, 2, seed=1).requires_grad_()
    bias = random(channels[-1], seed=2).requires_grad_()
    found = spectral_conv(x, weight, modes, sizes, bias)
    expected = by_sums(x, weight, modes, sizes, bias)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    towards = random(*found.shape, seed=3)
    mine, theirs = (torch.autograd.grad(y, (x, weight, bias), towards) for y in (found, expected))
    for gradient, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("shape", [(3, 2, 4, 3, 2), (3, 4, 3, 2)], ids=["dense", "separable"])
def test_it_is_an_operator_of_torch(shape, last):
    x, weight = fields(3, (7, 6), last), random(*shape, seed=1).requires_grad_()
    bias = random(3 if len(shape) == 4 else 2, seed=2).requires_grad_()
    for kept in ([4, 3], [2, 2]):
        opcheck(torch.ops.pdeml_kernels.spectral_conv.default, (x, weight, bias, kept, [7, 9]))
    opcheck(torch.ops.pdeml_kernels.spectral_analysis.default, (x, [3, 4], "mean"))
    modes = random(2, 2, 12, 3).requires_grad_()
    opcheck(torch.ops.pdeml_kernels.spectral_synthesis.default, (modes, [3, 4], [5, 8], "sum", last))
    assert gradcheck(lambda *parts: spectral_conv(parts[0], parts[1], (4, 4), (5, 8), parts[2]), (x, weight, bias))


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("route", [True, False], ids=["matrix", "fft"])
@pytest.mark.parametrize(
    "batch, channels, n", [(1, 3, (7, 6)), (2, 3, (9,)), (1, 1, (8,)), (2, 1, (4, 1, 6)), (1, 2, (1,))]
)
def test_compilers_are_told_the_true_order_of_memory(batch, channels, n, route, last, monkeypatch):
    """Singleton batches, channels and axes make views of what are copies elsewhere."""
    monkeypatch.setattr(fourier, "by_matrix", lambda n, kept, last: route)
    x = random(batch, *n, channels).movedim(-1, 1) if last else random(batch, channels, *n)
    kept, only = kept_modes([4] * len(n), n), {"test_utils": "test_faketensor"}
    ops = torch.ops.pdeml_kernels
    for weight in (random(channels, 2, *kept, 2), random(channels, *kept, 2)):
        opcheck(ops.spectral_conv.default, (x, weight, None, kept, list(n)), **only)
        y, saved = ops.spectral_conv(x, weight, None, kept, list(n))
        opcheck(ops.spectral_conv_backward.default, (y, saved, weight, kept, list(n)), **only)
    opcheck(ops.spectral_analysis.default, (x, kept, "mean"), **only)
    opcheck(
        ops.spectral_synthesis.default, (ops.spectral_analysis(x, kept, "mean"), kept, list(n), "sum", last), **only
    )


def test_weights_with_modes_first_in_memory_are_not_copied_and_get_such_gradients():
    stored = random(4, 3, 5, 2, 6).permute(2, 4, 0, 1, 3).requires_grad_()
    spectral_conv(random(2, 5, 9, 8), stored, (4, 4)).sum().backward()
    assert stored.grad.stride() == stored.stride()


@pytest.mark.parametrize("n, sizes", [((8,), (12,)), ((9, 6), (5, 15)), ((4, 5, 6), (8, 8, 8))])
def test_analysis_and_synthesis_carry_trigonometric_polynomials_to_any_grid(n, sizes):
    def sampled(points):
        phase = sum(
            torch.arange(m, dtype=torch.float64).reshape([-1 if a == axis else 1 for a in range(len(n))]) / m
            for axis, m in enumerate(points)
        )
        return (torch.cos(2 * math.pi * phase + 0.3) + 0.7).expand(2, 1, *points)

    kept = kept_modes(n, sizes)
    torch.testing.assert_close(spectral_synthesis(spectral_analysis(sampled(n), kept), kept, n, sizes), sampled(sizes))


def test_half_precision_under_autocast_goes_through_in_single_precision():
    x, weight = random(2, 3, 16).float(), random(3, 3, 5, 2).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = spectral_conv(x, weight, (8,))
        rough = spectral_conv(x.bfloat16(), weight, (8,))
    assert torch.equal(found, spectral_conv(x, weight, (8,)))
    assert rough.dtype == torch.float32


@pytest.mark.parametrize(
    "x, weight, modes, sizes, words",
    [
        ((2, 3), (3, 3, 5, 2), (8,), None, "1 to 3 axes"),
        ((2, 3, 8), (2, 3, 5, 2), (8,), None, "weight must be"),
        ((2, 3, 8), (3, 3, 5, 2), (8, 8), None, "one number for each"),
        ((2, 3, 8), (3, 3, 5, 2), (8,), (8, 8), "one number for each"),
        ((2, 3, 8), (3, 3, 5, 2), (10,), None, "are asked for"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, weight, modes, sizes, words):
    with pytest.raises(ValueError, match=words):
        spectral_conv(torch.zeros(x), torch.zeros(weight), modes, sizes)


def test_few_modes_go_by_matrix_and_many_by_fft_but_where_lengths_are_bad():
    assert fourier.by_matrix(128, 9, last=True)
    assert not fourier.by_matrix(128, 65, last=True)
    assert fourier.by_matrix(211, 65, last=True)
    assert fourier.by_matrix(128, 32, last=False)
    assert not fourier.by_matrix(256, 128, last=False)
