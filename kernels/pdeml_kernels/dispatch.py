"""The choice between Triton kernels and their twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pdeml_kernels.spectral import spectral_analysis, spectral_conv, spectral_synthesis

__all__ = ["KernelChoice", "SpectralKernels", "spectral_kernels"]

KernelChoice = Literal["auto", "triton", "torch"]


class SpectralKernels(NamedTuple):
    """The three operators of spectral convolution, and a line that says which they are."""

    conv: Callable[..., Tensor]
    analysis: Callable[..., Tensor]
    synthesis: Callable[..., Tensor]
    note: str


def spectral_kernels(kernels: KernelChoice, device: torch.device) -> SpectralKernels:
    """Return the operators to use on a device.

    Args:
        kernels: triton (a GPU, or the interpreter), torch, or auto. Automatic is torch everywhere: no set-up has been
            measured in which the Triton kernels are faster.
        device: where the fields are.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    if kernels not in get_args(KernelChoice):
        raise ValueError(f"kernels must be one of {', '.join(get_args(KernelChoice))}, not {kernels!r}")
    if kernels != "triton":
        how = "torch: not measured against triton yet" if kernels == "auto" and device.type == "cuda" else "torch"
        return SpectralKernels(spectral_conv, spectral_analysis, spectral_synthesis, f"spectral convolution by {how}")
    try:
        from pdeml_kernels import triton_spectral as found
        from pdeml_kernels.triton_support import INTERPRETED
    except ImportError as error:
        raise ValueError("kernels: triton needs triton, which is not installed") from error
    if not (device.type == "cuda" or INTERPRETED):
        raise ValueError(f"kernels: triton needs a CUDA device, not {device.type}")
    how = "triton, interpreted" if INTERPRETED else "triton"
    three = found.spectral_conv_triton, found.spectral_analysis_triton, found.spectral_synthesis_triton
    return SpectralKernels(*three, f"spectral convolution by {how}")
