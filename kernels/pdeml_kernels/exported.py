"""The same maps by operators of torch alone, for programs that run without this package and on grids of any size.

The operators of `pdeml_kernels.spectral` choose their way by the sizes, which `torch.export` would write down as they
are. See there for the shapes and for what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["analysis", "convolution", "synthesis"]


def convolution(x: Tensor, part: Tensor, bias: Tensor | None, kept: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Return what `spectral_conv` does.

    Args:
        x: (B, C_in, *n).
        part: (C_in, C_out, *K, 2) or (C, *K, 2), the weights of the kept frequencies.
        bias: (C_out,), or none.
        kept: K of each axis.
        sizes: of the output.
    """
    weight = torch.view_as_complex(part.contiguous())
    modes = _modes(x, kept)
    dense = weight.ndim == x.ndim
    mixed = torch.einsum("bi...,io...->bo...", modes, weight) if dense else modes * weight
    y = _fields(mixed, kept, x.shape[-1], sizes)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(kept))


def analysis(x: Tensor, kept: Sequence[int]) -> Tensor:
    """Return what `spectral_analysis` does: (B, 2, P, C)."""
    modes = _modes(x, kept).flatten(2).mT
    return torch.stack((modes.real, modes.imag), dim=1)


def synthesis(modes: Tensor, kept: Sequence[int], n: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Return what `spectral_synthesis` does: (B, C, *sizes)."""
    values = torch.complex(modes[:, 0], modes[:, 1]).mT.unflatten(2, list(kept))
    return _fields(values, kept, n[-1], sizes)


def _modes(x: Tensor, kept: Sequence[int]) -> Tensor:
    """Return the kept coefficients, (B, C, *K) complex."""
    modes = torch.fft.rfftn(x, dim=tuple(range(2, x.ndim)), norm="forward")
    for axis, count in enumerate(kept[:-1], 2):
        modes = modes.index_select(axis, _places(count, modes.shape[axis], x.device))
    return modes.narrow(-1, 0, kept[-1])


def _fields(modes: Tensor, kept: Sequence[int], n: int, sizes: Sequence[int]) -> Tensor:
    """Return fields of coefficients that were found on n points of the last axis."""
    for axis, (count, size) in enumerate(zip(kept[:-1], sizes[:-1], strict=True), 2):
        shape = [*modes.shape[:axis], size, *modes.shape[axis + 1 :]]
        modes = modes.new_zeros(shape).index_copy(axis, _places(count, size, modes.device), modes)
        modes = torch.fft.ifft(modes, dim=axis, norm="forward")
    twice, size = 2 * torch.arange(kept[-1], device=modes.device), sizes[-1]
    # Two points a period, which a finer grid resolves: the wave stands for both of its signs, but is found only once.
    share = torch.where((twice == n) & (twice != size), 0.5, 1.0).to(modes.real.dtype)
    # Sines that vanish at every point; some transforms of half spectra read them nevertheless.
    sines = ((twice > 0) & (twice != size)).to(share)
    modes = torch.complex(modes.real * share, modes.imag * (share * sines))
    return torch.fft.irfft(modes, n=size, dim=-1, norm="forward")


def _places(kept: int, n: int, device: torch.device) -> Tensor:
    """Return where the kept frequencies of a leading axis stand among its n."""
    return torch.remainder(torch.arange(kept, device=device) - kept // 2, n)
