"""The Fourier layer: equal to neuraloperator's where that is right, with weights that go both ways."""

import warnings

import pytest
import torch

from pdeml.errors import InputError
from pdeml.nn.factorised import Factorised, factor_shapes
from pdeml.nn.spectral_conv import SpectralConv, _tensors_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from neuralop.layers import spectral_convolution
    from tensorly.cp_tensor import validate_cp_rank
    from tensorly.tt_tensor import validate_tt_rank
    from tensorly.tucker_tensor import validate_tucker_rank

KINDS = (None, "cp", "tucker", "tt")


class _Shifts:
    """Forward shifts before the product, inverse ones after: the layer shifts forward twice, wrong on odd grids."""

    def __init__(self):
        self.calls = 0

    def __getattr__(self, name):
        return getattr(torch.fft, name)

    def fftshift(self, x, dim):
        self.calls += 1
        return (torch.fft.fftshift if self.calls % 2 else torch.fft.ifftshift)(x, dim=dim)


class _Double:
    """torch, as their layer sees it, in double precision."""

    cfloat = torch.complex128

    def __init__(self):
        self.fft = _Shifts()

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def theirs(monkeypatch):
    monkeypatch.setattr(spectral_convolution, "torch", _Double())

    def make(*arguments, **options):
        layer = spectral_convolution.SpectralConv(*arguments, **options)
        layer.bias.data = layer.bias.data.double()
        return layer

    return make


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("separable", [False, True], ids=["mixed", "separable"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "n, modes",
    [((9,), (6,)), ((8,), (8,)), ((8, 10), (4, 6)), ((9, 7), (5, 4)), ((8, 8), (8, 8)), ((6, 7, 5), (4, 3, 4))],
)
def test_it_equals_neuraloperators_layer(n, modes, kind, separable, theirs):
    if kind == "tt" and separable and len(n) == 1:
        pytest.skip("tensorly warns of a tensor train of two axes")
    channels = (3, 3) if separable else (3, 4)
    options = {"factorization": kind, "separable": separable, "implementation": "factorized", "rank": 0.5}
    layer, back = theirs(*channels, modes, **options), theirs(*channels, modes, **options)
    mine = SpectralConv(*channels, modes, **options).double().copy_from(layer)
    x = random(2, 3, *n)
    found, expected = mine(x), layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    towards = torch.ones_like(found) + found.detach()
    of_mine = torch.autograd.grad(found, (x, *mine._tensors()), towards)
    of_theirs = torch.autograd.grad(expected, (x, *_tensors_of(layer)), towards)
    for gradient, reference in zip(of_mine, of_theirs, strict=True):
        reference = torch.view_as_real(reference) if reference.is_complex() else reference
        torch.testing.assert_close(gradient, reference, rtol=1e-12, atol=1e-12)
    mine.copy_to(back)
    for tensor, original in zip(_tensors_of(back), _tensors_of(layer), strict=True):
        assert torch.equal(tensor, original)


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_factors_give_what_the_formed_weights_give(kind, batch):
    options = {"factorization": kind, "rank": 0.4}
    factors = SpectralConv(4, 6, (4, 6), **options, implementation="factorized").double()
    formed = SpectralConv(4, 6, (4, 6), **options, implementation="reconstructed").double()
    formed.load_state_dict(factors.state_dict())
    x = random(batch, 4, 7, 9)
    torch.testing.assert_close(factors(x, (9, 5)), formed(x, (9, 5)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(16, 24, 12, 7), (32, 32, 9), (5, 4, 6, 6, 3)])
@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 1.0])
def test_ranks_are_those_of_tensorly(shape, fraction):
    (rank,), *_ = factor_shapes("cp", shape, fraction)
    assert rank == validate_cp_rank(shape, fraction)
    assert list(factor_shapes("tucker", shape, fraction)[0]) == validate_tucker_rank(shape, fraction)
    ends = [*(left for left, _, _ in factor_shapes("tt", shape, fraction)), 1]
    assert ends == validate_tt_rank(shape, fraction)


@pytest.mark.parametrize("kind", KINDS)
def test_first_weights_are_spread_as_theirs(kind):
    """Factor by factor, the same variance of real and imaginary parts."""
    torch.manual_seed(0)
    options = {"factorization": kind, "rank": 0.5}
    mine, other = (
        SpectralConv(24, 20, (16, 16), **options),
        spectral_convolution.SpectralConv(24, 20, (16, 16), **options),
    )
    for tensor, reference in zip(mine._tensors(), _tensors_of(other), strict=True):
        reference = torch.view_as_real(reference) if reference.is_complex() else reference
        assert tensor.shape == reference.shape
        error = 5 / tensor.numel() ** 0.5
        assert abs(tensor.std() / reference.std() - 1) < error or torch.equal(tensor, reference)
        assert abs(tensor.mean() - reference.mean()) < error * max(reference.std(), 1e-6)


def test_a_mode_keeps_its_weight_on_grids_too_coarse_for_others():
    """A wave that a coarse grid carries becomes the samples of what the fine grid makes of it."""
    layer = SpectralConv(1, 2, (8, 8)).double()
    fine, coarse = (torch.arange(m, dtype=torch.float64) / m for m in (16, 5))

    def wave(x):
        return torch.sin(2 * torch.pi * (x[:, None] - 2 * x[None, :]))[None, None]

    expected = layer(wave(fine), (5, 5))
    torch.testing.assert_close(layer(wave(coarse)), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(wave(coarse), (16, 16)), layer(wave(fine)), rtol=1e-12, atol=1e-12)


def test_fewer_modes_are_the_inner_ones():
    layer, inner = SpectralConv(2, 2, (4, 4), max_n_modes=(8, 6)).double(), SpectralConv(2, 2, (4, 4)).double()
    assert layer.n_modes == [4, 3]
    with torch.no_grad():
        inner.weight.copy_(layer.weight[:, :, 2:6, :3])
        inner.bias.copy_(layer.bias)
    x = random(1, 2, 9, 9)
    torch.testing.assert_close(layer(x), inner(x), rtol=1e-12, atol=1e-12)
    layer.n_modes = (8, 6)
    assert not torch.allclose(layer(x), inner(x))
    with pytest.raises(InputError, match=r"modes must be 1 to \[8, 6\]"):
        layer.n_modes = (9, 6)


def test_transform_and_scaling_bring_fields_to_the_points_of_the_output():
    layer = SpectralConv(1, 1, (4, 4), resolution_scaling_factor=1.5).double()
    x = torch.cos(2 * torch.pi * torch.arange(8, dtype=torch.float64) / 8).expand(1, 1, 8, 8)
    assert layer(x).shape == (1, 1, 12, 12)
    finer = torch.cos(2 * torch.pi * torch.arange(12, dtype=torch.float64) / 12).expand(1, 1, 12, 12)
    torch.testing.assert_close(layer.transform(x), finer)
    assert layer.transform(x, (8, 8)) is x


@pytest.mark.parametrize(
    "options, words",
    [
        ({"complex_data": True}, "this layer is real"),
        ({"fno_block_precision": "half"}, "full precision"),
        ({"factorization": "cpp"}, "did you mean 'cp'"),
        ({"factorization": "cp", "rank": 0}, "positive fraction"),
        ({"separable": True}, "keeps the channels"),
    ],
)
def test_what_it_does_not_offer_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        SpectralConv(2, 3, (4, 4), **options)


def test_parameters_are_real():
    for kind in KINDS:
        assert not any(p.is_complex() for p in SpectralConv(2, 3, (4, 4), factorization=kind).parameters())
    assert isinstance(SpectralConv(2, 3, (4,), factorization="Tucker").weight, Factorised)
