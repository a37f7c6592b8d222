"""Spectral convolution and Fourier layer in two dimensions, against neuraloperator's."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeml_kernels.bench.case import (
    Asked,
    Case,
    Draw,
    Implementation,
    Inputs,
    Precision,
    Prepared,
    Unmeasured,
    Work,
    by_torch,
    by_triton,
    dtype_of,
    triton_precision,
)
from pdeml_kernels.spectral import spectral_conv

__all__ = ["Size", "convolution", "layer"]


class Size(NamedTuple):
    """Samples, channels, points and modes along both axes."""

    batch: int
    channels: int
    n: int
    modes: int

    def __str__(self) -> str:
        return f"B={self.batch}, C={self.channels}, n={self.n}², {self.modes} modes"

    def bytes(self, precision: Precision) -> float:
        """Of a field."""
        return float(dtype_of(precision).itemsize * self.batch * self.channels * self.n**2)

    @property
    def transform(self) -> float:
        """Operations of a truncated transform: a real product with cosines and sines along each axis."""
        kept = self.modes // 2 + 1
        lines, columns = self.n * self.n * 2 * kept, kept * 2 * self.n * 2 * self.modes
        return 2.0 * self.batch * self.channels * (lines + columns)

    @property
    def mixing(self) -> float:
        """Operations of the complex products of channels and weights, for each mode."""
        return 8.0 * self.batch * self.channels**2 * self.modes * (self.modes // 2 + 1)

    @property
    def skip(self) -> float:
        """Operations of the real products of channels and weights, at each point."""
        return 2.0 * self.batch * self.channels**2 * self.n**2


def convolution(size: Size, precision: Precision) -> Case:
    """Return y = F⁻¹(W F x) + b.

    Traffic: x and y; backward also their cotangents (the coefficients of x are kept). Operations: a transform for each
    of these fields, and a product with the weights, backward two.
    """
    modes = (size.modes, size.modes)

    def twin(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return spectral_conv(x, weight, modes, bias=bias)

    def plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _plain(size, x, weight, bias)

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_spectral import spectral_conv_triton

        chosen = triton_precision(precision)
        return lambda x, weight, bias: spectral_conv_triton(x, weight, modes, bias=bias, precision=chosen)

    def inputs(draw: Draw) -> Inputs:
        return Inputs((draw(size.batch, size.channels, size.n, size.n),), (_weight(draw, size), draw(size.channels)))

    return Case(
        "spectral convolution",
        str(size),
        inputs,
        (
            by_torch("torch", twin),
            by_torch("torch, compiled", plain, compiled=True),
            *_by_neuraloperator(size, lambda conv, x: conv(x)),
            *by_triton(load, _channels_last),
        ),
        {
            "forward": Work(2 * size.bytes(precision), 2 * size.transform + size.mixing),
            "forward + backward": Work(4 * size.bytes(precision), 4 * size.transform + 3 * size.mixing),
        },
        asked=(Asked("neuraloperator", 3), Asked("neuraloperator, compiled", 2)),
        share=0.5,
        half=True,
    )


def layer(size: Size, precision: Precision) -> Case:
    """Return y = σ(F⁻¹(W F v) + S v + b) with σ = GELU.

    Traffic: v and y; backward also v again and their cotangents. Operations: those of the convolution, and a product
    with the skip S, backward two.
    """
    modes = (size.modes, size.modes)

    def twin(v: Tensor, weight: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
        return functional.gelu(spectral_conv(v, weight, modes, bias=bias) + _skipped(v, skip))

    def plain(v: Tensor, weight: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
        return functional.gelu(_plain(size, v, weight, bias) + _skipped(v, skip))

    def theirs(conv: nn.Module, v: Tensor, skip: Tensor) -> Tensor:
        return functional.gelu(conv(v) + _skipped(v, skip))

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_layer import fourier_gelu_triton

        chosen = triton_precision(precision)
        return lambda v, weight, bias, skip: fourier_gelu_triton(v, weight, modes, skip, bias, precision=chosen)

    def inputs(draw: Draw) -> Inputs:
        skip = draw(size.channels, size.channels) / size.channels**0.5
        fields = (draw(size.batch, size.channels, size.n, size.n),)
        return Inputs(fields, (_weight(draw, size), draw(size.channels), skip))

    return Case(
        "Fourier layer",
        str(size),
        inputs,
        (
            by_torch("torch", twin),
            by_torch("torch, compiled", plain, compiled=True),
            *_by_neuraloperator(size, theirs),
            *by_triton(load, _channels_last),
        ),
        {
            "forward": Work(2 * size.bytes(precision), 2 * size.transform + size.mixing + size.skip),
            "forward + backward": Work(5 * size.bytes(precision), 4 * size.transform + 3 * (size.mixing + size.skip)),
        },
        asked=(Asked("torch", 3),),
        half=True,
    )


def _weight(draw: Draw, size: Size) -> Tensor:
    """Draw weights (C, C, M, M/2 + 1, 2), in the order of memory of the products: modes first."""
    kept = size.modes // 2 + 1
    by_mode = draw(size.modes, kept, size.channels, 2, size.channels) / size.channels**0.5
    return by_mode.permute(2, 4, 0, 1, 3)


def _plain(size: Size, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve by Fourier transforms of torch, all of which a compiler sees; there are more points than modes."""
    n, modes, below = size.n, size.modes, size.modes // 2
    found = torch.fft.rfft2(x, norm="forward")[..., : below + 1]
    found = torch.cat([found[:, :, n - below :], found[:, :, : modes - below]], 2)
    mixed = torch.einsum("bixy,ioxy->boxy", found, torch.view_as_complex(weight.contiguous()))
    between = mixed.new_zeros(size.batch, size.channels, n - modes, below + 1)
    mixed = torch.cat([mixed[:, :, below:], between, mixed[:, :, :below]], 2)
    return torch.fft.irfft2(mixed, s=(n, n), norm="forward") + bias[:, None, None]


def _skipped(v: Tensor, skip: Tensor) -> Tensor:
    return functional.conv2d(v, skip[:, :, None, None])


def _channels_last(field: Tensor) -> Tensor:
    return field.contiguous(memory_format=torch.channels_last)


def _by_neuraloperator(size: Size, use: Callable[..., Tensor]) -> tuple[Implementation, Implementation]:
    """Return implementations by neuraloperator's layer, as it is and by ``torch.compile``.

    Args:
        size: of the layer.
        use: takes the layer, a field and the parameters after weight and bias.
    """

    def prepare(parameters: tuple[Tensor, ...], compiled: bool) -> Prepared:
        if find_spec("neuralop") is None:
            raise Unmeasured("needs neuraloperator")
        from neuralop.layers.spectral_convolution import SpectralConv

        weight, bias, *rest = parameters
        conv = SpectralConv(size.channels, size.channels, (size.modes, size.modes)).to(weight.device)
        conv.requires_grad_(weight.requires_grad)
        with torch.no_grad():
            conv.weight.tensor.copy_(torch.view_as_complex(weight.float().contiguous()))
            conv.bias.copy_(bias[:, None, None])

        def run(field: Tensor) -> Tensor:
            return use(conv, field, *rest)

        leaves = conv.weight.tensor, conv.bias, *rest
        return torch.compile(run, dynamic=False) if compiled else run, leaves

    return (
        Implementation("neuraloperator", lambda parameters: prepare(parameters, compiled=False)),
        Implementation("neuraloperator, compiled", lambda parameters: prepare(parameters, compiled=True)),
    )
