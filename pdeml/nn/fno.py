"""Fourier neural operators: built by neuraloperator, run with our Fourier layers. The only importer of `neuralop`.

Shapes: B (samples of a batch), C (channels), n (points along each axis of a grid), S (all points of a grid).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeml.errors import InputError
from pdeml.nn.spectral_conv import SpectralConv

__all__ = ["FourierNetwork", "FourierOptions", "check_modes", "default_modes"]

_MOST_MODES = {1: 32, 2: 24, 3: 12}


@dataclass(frozen=True)
class FourierOptions:
    """The architecture of a Fourier neural operator.

    Args:
        modes: kept along each axis in total, negative frequencies included.
        width: channels of each layer.
        depth: number of layers.
        mlp: channels of the two-layer network after each Fourier layer, for each of its width; 0: there is none.
        lifting: channels inside the networks before and after the layers, for each of the width.
        padding: zeros that are added at the end of each axis, as a fraction of its length.
        factorization: of the weights: none, cp, tucker or tt.
        rank: of a factorisation, as a fraction of the number of full weights.
        separable: whether the Fourier layers leave the channels apart.
    """

    modes: tuple[int, ...]
    width: int = 32
    depth: int = 4
    mlp: float = 0.5
    lifting: float = 2.0
    padding: tuple[float, ...] = ()
    factorization: str | None = None
    rank: float = 1.0
    separable: bool = False


def default_modes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return half of what each grid carries, at most 32, 24 or 12 along each of 1, 2 or 3 axes."""
    most = _MOST_MODES[len(sizes)]
    return tuple(max(min(most, 2 * (size // 4)), 1) for size in sizes)


def check_modes(modes: Sequence[int], sizes: Sequence[int], names: Sequence[str]) -> None:
    """Refuse more modes than the grid of the training samples carries.

    Raises:
        InputError: the message names the axis, its points, the modes and the remedy.
    """
    for mode, size, name in zip(modes, sizes, names, strict=True):
        if mode > size:
            raise InputError(
                f"{mode} modes along {name!r} need at least {mode} points, the samples have {size}: "
                f"lower the modes to {size} or less, or use samples on a finer grid",
                ("modes",),
            )


class FourierNetwork(nn.Module):
    """A Fourier neural operator between channels on a grid of any size.

        v_0 = P f,  v_{l+1} = σ( M σ( K_l v_l + W_l v_l ) + g_l v_l ),  u = Q v_L,

    with Fourier layers K, networks P, M and Q of two layers at each point, matrices W and numbers g; the last layer has
    no σ, which is GELU. Parameters are those of `neuralop.models.FNO`, of the same names without ``fno_blocks``.

    Args:
        inputs: channels taken.
        outputs: channels given.
        options: the architecture.

    Raises:
        InputError: neuraloperator is not installed, or an option is out of range.

    Reference: Li et al., *Fourier neural operator for parametric partial differential equations* (2021), §4; Kossaifi
        et al., *Multi-grid tensorized Fourier neural operator* (2024), §3, for factorised weights and M.
    """

    def __init__(self, inputs: int, outputs: int, options: FourierOptions):
        super().__init__()
        built = _models().FNO(
            n_modes=options.modes,
            in_channels=inputs,
            out_channels=outputs,
            hidden_channels=options.width,
            n_layers=options.depth,
            lifting_channel_ratio=options.lifting,
            projection_channel_ratio=options.lifting,
            positional_embedding=None,
            use_channel_mlp=options.mlp > 0,
            channel_mlp_expansion=options.mlp,
            factorization=options.factorization,
            rank=options.rank,
            separable=options.separable,
            conv_module=SpectralConv,
        )
        # The model itself is let go: its state_dict holds functions, and its parts are called one by one below.
        self.lifting, self.projection = _Pointwise.of(built.lifting), _Pointwise.of(built.projection)
        blocks = built.fno_blocks
        self.convs = blocks.convs
        self.skips = nn.ModuleList(_Linear.of(skip.conv) for skip in blocks.fno_skips)
        mlps = blocks.channel_mlp if options.mlp > 0 else ()
        self.mlps = nn.ModuleList(map(_Pointwise.of, mlps))
        self.gates = nn.ParameterList(gate.weight.detach().flatten(1) for gate in blocks.channel_mlp_skips) if mlps else ()
        self.padding = options.padding or (0.0,) * len(options.modes)
        self.modes = tuple(options.modes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, *n) to (B, outputs, *n)."""
        n = x.shape[2:]
        wide = tuple(size + round(share * size) for size, share in zip(n, self.padding, strict=True))
        if wide != tuple(n):
            x = functional.pad(x, [part for size, to in zip(reversed(n), reversed(wide), strict=True) for part in (0, to - size)])
        v = self.lifting(x.flatten(2))
        for layer, (conv, skip) in enumerate(zip(self.convs, self.skips, strict=True)):
            last = layer == len(self.convs) - 1
            v = self._layer(v, conv, skip, layer, wide, last)
        v = v.unflatten(2, wide)
        for axis, size in enumerate(n, 2):
            v = v.narrow(axis, 0, size)
        return self.projection(v.flatten(2)).unflatten(2, n)

    def _layer(self, v: Tensor, conv: nn.Module, skip: nn.Module, layer: int, n: Sequence[int], last: bool) -> Tensor:
        """Apply one layer to (B, C, S)."""
        u = skip(v) + conv(v.unflatten(2, n)).flatten(2)
        if not last:
            u = functional.gelu(u)
        if len(self.mlps) == 0:
            return u
        u = torch.addcmul(self.mlps[layer](u), v, self.gates[layer][..., None])
        return u if last else functional.gelu(u)


class _Linear(nn.Module):
    """A linear map of channels at each point: (B, C_in, S) -> (B, C_out, S)."""

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.weight = nn.Parameter(weight.detach())
        self.bias = None if bias is None else nn.Parameter(bias.detach())

    @classmethod
    def of(cls, conv: nn.Conv1d) -> _Linear:
        """Take the parameters of a convolution of one point, which takes twice the time on CPUs."""
        return cls(conv.weight[..., 0], conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        # `bmm` reads the one matrix again and again, where `matmul` would copy the fields into another order.
        y = torch.bmm(self.weight.expand(x.shape[0], -1, -1), x)
        return y if self.bias is None else y.add_(self.bias[:, None])


class _Pointwise(nn.Sequential):
    """Linear maps of channels with GELU between them: (B, C_in, S) -> (B, C_out, S)."""

    @classmethod
    def of(cls, mlp: nn.Module) -> _Pointwise:
        """Take the parameters of a `neuralop.layers.channel_mlp.ChannelMLP`."""
        return cls(*(_Linear.of(conv) for conv in mlp.fcs))

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self
        x = first(x)
        for linear in rest:
            x = linear(functional.gelu(x))
        return x


def _models() -> ModuleType:
    """Import neuraloperator, which changes the filters of warnings; they are put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from neuralop import models
        except ImportError as error:
            raise InputError(f"Fourier neural operators need neuraloperator: pip install neuraloperator ({error})") from None
    return models
