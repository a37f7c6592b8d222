"""CUDA graphs: what is kept between calls, and on a GPU the capture and replay of Fourier layers."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import grad

from pdeml_kernels import LayerWeights, constants, fourier
from pdeml_kernels.block import fourier_block_twin, fourier_gelu
from pdeml_kernels.contest import Contested
from pdeml_kernels.dispatch import spectral_kernels
from pdeml_kernels.spectral import spectral_conv

CUDA = torch.device("cuda")


def test_constants_are_made_once_and_not_kept_from_a_capture(monkeypatch):
    made = []

    @constants.constant
    def double(n):
        made.append(n)
        return torch.full((n,), 2.0)

    monkeypatch.setattr(constants, "_capturing", lambda: True)
    double(3)
    monkeypatch.setattr(constants, "_capturing", lambda: False)
    with torch.inference_mode():
        found = double(3)
    assert not found.is_inference()
    assert double(3) is found
    assert double(4).shape == (4,)
    assert made == [3, 3, 4]


@pytest.mark.parametrize("make", [fourier.last_basis, fourier.leading_basis], ids=["last axis", "leading axis"])
def test_matrices_are_made_on_their_device(make):
    """A copy from the CPU cannot be captured; fake tensors of two devices cannot be mixed."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    weights = "mean" if make is fourier.last_basis else True
    with FakeTensorMode():
        found = make.__wrapped__(9, 4, weights, torch.float32, torch.device("meta"))
    assert found.device.type == "meta"


def layer(channels=32, n=(24, 20), seed=0):
    """Return fields and the weights of a layer."""
    generator = torch.Generator("cuda").manual_seed(seed)
    shapes = (4, *n, channels), (channels, channels, 8, 5, 2), (channels,)
    point = (channels, channels), (16, channels), (16,), (channels, 16), (channels,), (channels,)
    tensors = [torch.randn(*shape, device=CUDA, generator=generator) / channels**0.5 for shape in (*shapes, *point)]
    return [tensor.requires_grad_() for tensor in tensors]


def block(run, v, weight, bias, *point):
    return run(v, weight, bias, (8, 8), LayerWeights(*point), False)


def gelu(run, v, weight, bias, skip, *_):
    return run(v.movedim(-1, 1), weight, (8, 8), skip, bias, True).movedim(1, -1)


def conv(run, v, weight, bias, *_):
    return run(v.movedim(-1, 1), weight, (8, 8), (20, 28), bias).movedim(1, -1)


OPERATORS = [("block", block, fourier_block_twin), ("layer", gelu, fourier_gelu), ("conv", conv, spectral_conv)]


@pytest.mark.gpu
@pytest.mark.parametrize("kernels", ["triton", "auto"])
@pytest.mark.parametrize("name, call, twin", OPERATORS, ids=[name for name, *_ in OPERATORS])
def test_forward_and_backward_are_captured_and_replayed(name, call, twin, kernels):
    run, given = getattr(spectral_kernels(kernels, CUDA), name), layer()

    def step():
        y = call(run, *given)
        return (y, *grad(y.square().sum(), given, allow_unused=True))

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # compiles, measures, makes the matrices
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    fresh = layer(seed=1)
    with torch.no_grad():
        for tensor, value in zip(given, fresh, strict=True):
            tensor.copy_(value)
    graph.replay()
    exact = [tensor.detach().double().requires_grad_() for tensor in fresh]
    y = call(twin, *exact)
    for found, expected in zip(captured, (y, *grad(y.square().sum(), exact, allow_unused=True)), strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.gpu
@pytest.mark.parametrize("name, call, twin", OPERATORS, ids=[name for name, *_ in OPERATORS])
def test_a_contest_is_held_once_and_kept(name, call, twin, tmp_path, monkeypatch):
    triton_support = pytest.importorskip("pdeml_kernels.triton_support")
    monkeypatch.setattr(triton_support, "_table", lambda _, known={}: known)  # other tests have held contests
    monkeypatch.setenv("PDEML_TUNE_FOLDER", str(tmp_path))
    run = getattr(spectral_kernels("auto", CUDA), name)
    assert isinstance(run, Contested)
    given = layer(n=(27, 19))
    for _ in range(2):
        call(run, *given)
    assert len(run.times) == 1
    assert None not in run.times.values()  # no kernel failed or disagreed
    (file,) = tmp_path.iterdir()
    assert f"contest {run.name}" in file.read_text()


@pytest.mark.gpu
def test_compiled_programs_are_whole_and_take_the_twin():
    run, given = spectral_kernels("auto", CUDA).conv, layer()
    compiled = torch.compile(lambda *tensors: conv(run, *tensors), fullgraph=True)
    torch.testing.assert_close(compiled(*given), conv(spectral_conv, *given), rtol=1e-4, atol=1e-4)
    assert not run.times
