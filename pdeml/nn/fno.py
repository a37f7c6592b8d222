"""Fourier neural operators: built by neuraloperator, run with our Fourier layers. The only importer of `neuralop`.

Shapes: B (samples of a batch), C (channels), n (points along each axis of a grid). Channels stand last in memory.
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
from pdeml_kernels import LayerWeights, fourier_layer, pointwise_mlp
from pdeml_kernels.contest import outcome

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
        padding: zeros that are added at the end of each axis, as a fraction of its length.
        factorization: of the weights: none, cp, tucker or tt.
        rank: of a factorisation, as a fraction of the number of full weights.
    """

    modes: tuple[int, ...]
    width: int = 32
    depth: int = 4
    mlp: float = 0.5
    padding: tuple[float, ...] = ()
    factorization: str | None = None
    rank: float = 1.0


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
    no σ, which is GELU. Parameters and their first values are those of `neuralop.models.FNO`.

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
        inside = round(options.width * options.mlp)
        built = _models().FNO(
            n_modes=options.modes,
            in_channels=inputs,
            out_channels=outputs,
            hidden_channels=options.width,
            n_layers=options.depth,
            positional_embedding=None,
            use_channel_mlp=inside > 0,
            channel_mlp_expansion=options.mlp,
            factorization=options.factorization,
            rank=options.rank,
            conv_module=SpectralConv,
        )
        # The model itself is let go: its state_dict holds functions. Its parts are called one by one below.
        self.lifting, self.projection = _Pointwise(built.lifting), _Pointwise(built.projection)
        self.layers = nn.ModuleList(_Layer(built.fno_blocks, number) for number in range(options.depth))
        self.padding = options.padding or (0.0,) * len(options.modes)

    def use_kernels(self, kernels: str, device: torch.device) -> bool:
        """Compute the Fourier layers by the kernels auto, triton or torch on a device; there is always that choice.

        Raises:
            InputError: triton is asked for, and cannot run on the device.
        """
        for layer in self.layers:
            layer.conv.use_kernels(kernels, device)
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What the Fourier layers are computed by."""
        chosen = [layer.conv.kernels for layer in self.layers]
        return (outcome(chosen[0].note, (operator for kernels in chosen for operator in kernels[:-1])),)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, *n) to (B, outputs, *n)."""
        n = x.shape[2:]
        added = [round(share * size) for size, share in zip(n, self.padding, strict=True)]
        v = self.lifting(x.movedim(1, -1))
        if any(added):
            v = functional.pad(v, (0, 0, *(part for size in reversed(added) for part in (0, size))))
        for layer in self.layers:
            v = layer(v)
        # Only then: the gradient of a cut is a whole field of zeros, though nothing be cut.
        for axis, size in enumerate(n, 1) if any(added) else ():
            v = v.narrow(axis, 0, size)
        return self.projection(v).movedim(-1, 1)


class _Layer(nn.Module):
    """One layer, of the parameters of neuraloperator's block of that number."""

    def __init__(self, blocks: nn.Module, number: int):
        super().__init__()
        self.conv = blocks.convs[number]
        self.skip = nn.Parameter(blocks.fno_skips[number].conv.weight.detach()[..., 0])
        self.mlp = _Pointwise(blocks.channel_mlp[number]) if blocks.use_channel_mlp else None
        if self.mlp is not None:
            self.gate = nn.Parameter(blocks.channel_mlp_skips[number].weight.detach().flatten())
        self.last = number == blocks.n_layers - 1

    def forward(self, v: Tensor) -> Tensor:
        """Map (B, *n, C) to (B, *n, C)."""
        if (dense := self.conv.dense) is not None:
            return self._dense(v, *dense)
        f = self.conv(v.movedim(-1, 1)).movedim(1, -1)
        if self.mlp is None:
            f = functional.linear(v, self.skip) + f
            return f if self.last else functional.gelu(f)
        rows, shape = v.reshape(-1, v.shape[-1]), v.shape
        return fourier_layer(rows, f.reshape(rows.shape), self._at_points, self.last).view(shape)

    def _dense(self, v: Tensor, weight: Tensor, bias: Tensor, modes: list[int]) -> Tensor:
        kernels = self.conv.kernels
        if self.mlp is None:
            y = kernels.layer(v.movedim(-1, 1), weight, modes, self.skip, bias, not self.last)
            return y.movedim(1, -1)
        return kernels.block(v, weight, bias, modes, self._at_points, self.last)

    @property
    def _at_points(self) -> LayerWeights:
        return LayerWeights(self.skip, *self.mlp.parts, self.gate)


class _Pointwise(nn.Module):
    """A network of two layers at each point, of the parameters of neuraloperator's."""

    def __init__(self, mlp: nn.Module):
        super().__init__()
        (w1, b1), (w2, b2) = ((conv.weight.detach()[..., 0], conv.bias.detach()) for conv in mlp.fcs)
        self.w1, self.b1, self.w2, self.b2 = (nn.Parameter(part.clone()) for part in (w1, b1, w2, b2))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases, layer by layer."""
        return self.w1, self.b1, self.w2, self.b2

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, *n, C_in) to (B, *n, C_out)."""
        return pointwise_mlp(x.reshape(-1, x.shape[-1]), *self.parts).view(*x.shape[:-1], -1)


def _models() -> ModuleType:
    """Import neuraloperator, which changes the filters of warnings; they are put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from neuralop import models
        except ImportError as error:
            message = f"Fourier neural operators need neuraloperator: pip install neuraloperator ({error})"
            raise InputError(message) from None
    return models
