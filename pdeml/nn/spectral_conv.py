"""The Fourier layer: a linear map of channels for each low Fourier mode, with real parameters only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pdeml.errors import InputError
from pdeml.nn.factorised import Factorised, Parts, times
from pdeml_kernels import kept_modes, spectral_kernels

__all__ = ["SpectralConv"]


class SpectralConv(nn.Module):
    """y(x) = Σ_k W_k f̂_k exp(2πi k·x) + b, over the modes k that are kept; f̂ are the Fourier coefficients of f.

    It takes the place of neuraloperator's layer (``conv_module``): same arguments, same distribution of the first
    weights. Unlike there, complex weights are pairs of real numbers, grids may have any sizes and outputs any other,
    and a mode keeps its weight on every grid. On a grid too coarse for some modes, these are left out.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        n_modes: modes in total along each axis, negative frequencies included; the last axis keeps half of them and 0.
        max_n_modes: modes that the weights have room for; by default n_modes, which can be set up to these.
        bias: whether a constant is added to each output channel.
        separable: multiply each channel by its own numbers, instead of mixing channels.
        resolution_scaling_factor: points of the output for each of the input, one number or one for each axis.
        factorization: none, cp, tucker or tt.
        rank: of a factorisation, as a fraction of the number of full weights.
        implementation: factorized contracts the input with the factors where that takes fewer operations than
            forming the weights; reconstructed always forms them.
        init_std: standard deviation of the first weights; auto: sqrt(2 / (C_in + C_out)).
        device: of the parameters.

    Other arguments of neuraloperator's layer (complex_data, fno_block_precision, fixed_rank_modes,
    decomposition_kwargs, fft_norm) are taken with their default values only.

    Raises:
        InputError: an argument is out of range, or the layer does not offer it.

    Reference: Li et al., *Fourier neural operator for parametric partial differential equations* (2021), §4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_modes: int | Sequence[int],
        complex_data: bool = False,
        max_n_modes: int | Sequence[int] | None = None,
        bias: bool = True,
        separable: bool = False,
        resolution_scaling_factor: float | Sequence[float] | None = None,
        fno_block_precision: str = "full",
        rank: float = 0.5,
        factorization: str | None = None,
        implementation: str = "factorized",
        fixed_rank_modes: bool = False,
        decomposition_kwargs: dict[str, Any] | None = None,
        init_std: float | str = "auto",
        fft_norm: str = "forward",
        device: torch.device | str | None = None,
    ):
        super().__init__()
        others = (complex_data, fno_block_precision, fixed_rank_modes or False, decomposition_kwargs or {}, fft_norm)
        if others != (False, "full", False, {}, "forward"):
            raise InputError(f"this layer is real, in full precision, with plain factors; got {others}")
        if separable and in_channels != out_channels:
            raise InputError(f"a separable layer keeps the channels; got {in_channels} and {out_channels}")
        self.in_channels, self.out_channels, self.separable = in_channels, out_channels, separable
        self.factorization, self.rank, self.implementation = factorization, rank, implementation
        self.max_n_modes = _as_list(n_modes if max_n_modes is None else max_n_modes)
        self.order = len(self.max_n_modes)
        self.n_modes = n_modes
        self.kernels = spectral_kernels("torch", torch.device("cpu"))
        scale = resolution_scaling_factor
        self.resolution_scaling_factor = [scale] * self.order if isinstance(scale, int | float) else scale
        std = (2 / (in_channels + out_channels)) ** 0.5 if init_std == "auto" else float(init_std)
        with torch.device(device) if device is not None else torch.device(torch.get_default_device()):
            self.weight = self._new_weight(std)
            self.bias = nn.Parameter(std * torch.randn(out_channels, *[1] * self.order)) if bias else None

    def _new_weight(self, std: float) -> nn.Parameter | Factorised:
        channels = (self.in_channels,) if self.separable else (self.in_channels, self.out_channels)
        modes = kept_modes(self.max_n_modes)
        if self.factorization not in (None, "dense", "Dense"):
            kind, shape = self.factorization.lower(), (*channels, *modes)
            return Factorised(kind, shape, self.rank, std, separable=self.separable)
        # In memory the modes come first, as the products of a mode run over channels: see `spectral_conv`.
        weight = torch.randn(*modes, *channels[:1], 2, *channels[1:]) * (std / 2**0.5)
        return nn.Parameter(_channels_first(weight, self.order))

    @property
    def n_modes(self) -> list[int]:
        """Modes that are used along each axis; half of those that were asked for and 0 along the last."""
        return kept_modes(self._n_modes)

    @n_modes.setter
    def n_modes(self, modes: int | Sequence[int]) -> None:
        modes = _as_list(modes)
        if len(modes) != self.order or any(not 1 <= n <= most for n, most in zip(modes, self.max_n_modes, strict=True)):
            raise InputError(f"modes must be 1 to {self.max_n_modes} along the axes, got {modes}", ("modes",))
        self._n_modes = modes

    @property
    def dense(self) -> tuple[Tensor, Tensor, list[int]] | None:
        """Weights, bias and modes of a plain layer, which mixes channels and keeps the grid; of others none."""
        plain = isinstance(self.weight, Tensor) and self.bias is not None and not self.separable
        if not plain or self.resolution_scaling_factor is not None:
            return None
        return self.weight, self.bias.flatten(), self._n_modes

    def use_kernels(self, kernels: str, device: torch.device) -> None:
        """Compute with the kernels ``auto``, ``triton`` or ``torch``; ``kernels.note`` says what was chosen.

        Raises:
            InputError: no such kernels, or none for the device.
        """
        try:
            self.kernels = spectral_kernels(kernels, device)
        except ValueError as error:
            raise InputError(str(error), ("kernels",)) from error

    def transform(self, x: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """Bring a field to the points of the output, by its Fourier series."""
        sizes, n = self._sizes(x, output_shape), list(x.shape[2:])
        if sizes == n:
            return x
        kept = kept_modes(n, sizes)
        return self.kernels.synthesis(self.kernels.analysis(x, kept), kept, n, sizes)

    def forward(self, x: Tensor, output_shape: Sequence[int] | None = None) -> Tensor:
        """Apply the layer.

        Args:
            x: (B, C_in, *n), real.
            output_shape: points of the output; by default n, scaled by ``resolution_scaling_factor`` if there is one.

        Returns: (B, C_out, *output_shape).
        """
        sizes, n = self._sizes(x, output_shape), list(x.shape[2:])
        if not isinstance(self.weight, Factorised):
            bias = None if self.bias is None else self.bias.flatten()
            return self.kernels.conv(x, self.weight, self._n_modes, sizes, bias)
        kept = kept_modes(self._n_modes, n, sizes)
        parts = self.weight.parts(self._places(kept))
        if self.separable or self.implementation == "reconstructed" or not _direct(parts, _batch(x)):
            bias = None if self.bias is None else self.bias.flatten()
            weight = _whole(parts, self.separable).unflatten(-2, kept)
            return self.kernels.conv(x, weight, _total(kept), sizes, bias)
        modes = _contracted(self.kernels.analysis(x, kept), parts)
        y = self.kernels.synthesis(modes, kept, n, sizes)
        return y if self.bias is None else y + self.bias

    def _sizes(self, x: Tensor, output_shape: Sequence[int] | None) -> list[int]:
        if output_shape is not None:
            return list(output_shape)
        n = list(x.shape[2:])
        if self.resolution_scaling_factor is None:
            return n
        return [round(size * scale) for size, scale in zip(n, self.resolution_scaling_factor, strict=True)]

    def _places(self, kept: Sequence[int]) -> list[slice]:
        """Return where the kept modes stand among the weights: around frequency 0, on the last axis from 0."""
        held = kept_modes(self.max_n_modes)
        first = [size // 2 - count // 2 for size, count in zip(held[:-1], kept[:-1], strict=True)]
        return [slice(start, start + count) for start, count in zip([*first, 0], kept, strict=True)]

    @torch.no_grad()
    def copy_from(self, other: nn.Module) -> SpectralConv:
        """Take the weights of a layer of neuraloperator of the same arguments; returns itself."""
        for mine, theirs in zip(self._tensors(), _tensors_of(other), strict=True):
            mine.copy_(torch.view_as_real(theirs) if theirs.is_complex() else theirs)
        return self

    @torch.no_grad()
    def copy_to(self, other: nn.Module) -> None:
        """Write the weights into a layer of neuraloperator of the same arguments."""
        for mine, theirs in zip(self._tensors(), _tensors_of(other), strict=True):
            theirs.copy_(torch.view_as_complex(mine.contiguous()) if theirs.is_complex() else mine)

    def _tensors(self) -> list[Tensor]:
        weights = list(self.weight.factors) if isinstance(self.weight, Factorised) else [self.weight]
        return weights if self.bias is None else [*weights, self.bias]


def _batch(x: Tensor) -> int:
    """Return the number of samples; of a program that is exported any, which must not decide about the way."""
    return 1 if torch.compiler.is_exporting() else len(x)


def _tensors_of(other: nn.Module) -> list[Tensor]:
    """Return the tensors of a layer of neuraloperator, in our order."""
    weight = other.weight
    if hasattr(weight, "tensor"):
        tensors = [weight.tensor]
    else:
        first = [getattr(weight, name) for name in ("weights", "core") if hasattr(weight, name)]
        tensors = [*first, *(weight.factors[number] for number in range(len(weight.factors)))]
    return tensors if other.bias is None else [*tensors, other.bias]


def _as_list(modes: int | Sequence[int]) -> list[int]:
    return [modes] if isinstance(modes, int) else list(modes)


def _total(kept: Sequence[int]) -> list[int]:
    """Return numbers of modes of which `kept_modes` makes ``kept``."""
    return [*kept[:-1], 2 * (kept[-1] - 1)]


def _channels_first(weight: Tensor, axes: int) -> Tensor:
    """View (*M, C_in, 2, C_out) as (C_in, C_out, *M, 2), and (*M, C, 2) as (C, *M, 2)."""
    if weight.ndim == axes + 2:
        return weight.permute(axes, *range(axes), axes + 1)
    return weight.permute(axes, axes + 2, *range(axes), axes + 1)


def _direct(parts: Parts, batch: int) -> bool:
    """Say whether contracting the input with the factors takes fewer products than forming the weights first."""
    inputs, rank = parts.first.shape[:2]
    if parts.last is None:
        outputs = parts.middle.shape[1]
        return batch * (inputs * rank + rank * outputs) < (batch + rank) * inputs * outputs
    outputs, other = parts.last.shape[:2]
    if parts.middle.ndim == 3:
        return batch * rank * (inputs + 1 + outputs) < (batch + rank) * inputs * outputs
    formed = inputs * other * (rank + outputs)
    return batch * (inputs * rank + rank * other + other * outputs) < batch * inputs * outputs + formed


def _whole(parts: Parts, separable: bool) -> Tensor:
    """Form the weights: (C_in, C_out, P, 2) or (C, P, 2)."""
    first, middle, last = parts
    if separable:
        return times("ia,ap->ip", first, middle)
    if last is None:
        return times("ia,aop->iop", first, middle)
    if middle.ndim == 3:
        return times("ioa,ap->iop", times("ia,oa->ioa", first, last), middle)
    return times("ibp,ob->iop", times("ia,abp->ibp", first, middle), last)


def _contracted(modes: Tensor, parts: Parts) -> Tensor:
    """Contract Fourier coefficients (B, 2, P, C_in) with the factors of the weights: (B, 2, P, C_out)."""
    first, middle, last = parts
    modes = times("bpi,ia->bpa", modes.movedim(1, -1), first)
    modes = times("bpa,ap->bpa" if middle.ndim == 3 else "bpa,aop->bpo", modes, middle)
    if last is not None:
        modes = times("bpa,oa->bpo", modes, last)
    return modes.movedim(-1, 1)
