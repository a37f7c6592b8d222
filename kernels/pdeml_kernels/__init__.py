"""Fused GPU kernels for pdeml: imports without triton and without a GPU, and needs nothing of pdeml."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeml_kernels.block import fourier_block
    from pdeml_kernels.dispatch import grid_kernels, mixture_kernels, residual_kernels, spectral_kernels
    from pdeml_kernels.grid import grid_residual, grid_residual_values, weighted_modes
    from pdeml_kernels.mixture import mixture_derivatives, mixture_matrices
    from pdeml_kernels.pointwise import LayerWeights, fourier_layer, pointwise_mlp
    from pdeml_kernels.residual import residual_linearised, residual_loss, residual_rows
    from pdeml_kernels.spectral import kept_modes, spectral_analysis, spectral_conv, spectral_synthesis

_HOMES = {
    "LayerWeights": "pdeml_kernels.pointwise",
    "fourier_block": "pdeml_kernels.block",
    "fourier_layer": "pdeml_kernels.pointwise",
    "grid_kernels": "pdeml_kernels.dispatch",
    "grid_residual": "pdeml_kernels.grid",
    "grid_residual_values": "pdeml_kernels.grid",
    "kept_modes": "pdeml_kernels.spectral",
    "mixture_derivatives": "pdeml_kernels.mixture",
    "mixture_kernels": "pdeml_kernels.dispatch",
    "mixture_matrices": "pdeml_kernels.mixture",
    "pointwise_mlp": "pdeml_kernels.pointwise",
    "residual_kernels": "pdeml_kernels.dispatch",
    "residual_linearised": "pdeml_kernels.residual",
    "residual_loss": "pdeml_kernels.residual",
    "residual_rows": "pdeml_kernels.residual",
    "spectral_analysis": "pdeml_kernels.spectral",
    "spectral_conv": "pdeml_kernels.spectral",
    "spectral_kernels": "pdeml_kernels.dispatch",
    "spectral_synthesis": "pdeml_kernels.spectral",
    "weighted_modes": "pdeml_kernels.grid",
}

__all__ = [
    "LayerWeights",
    "available",
    "fourier_block",
    "fourier_layer",
    "grid_kernels",
    "grid_residual",
    "grid_residual_values",
    "kept_modes",
    "mixture_derivatives",
    "mixture_kernels",
    "mixture_matrices",
    "pointwise_mlp",
    "residual_kernels",
    "residual_linearised",
    "residual_loss",
    "residual_rows",
    "spectral_analysis",
    "spectral_conv",
    "spectral_kernels",
    "spectral_synthesis",
    "weighted_modes",
]


def available() -> tuple[str, ...]:
    """Say which backends can run a kernel on this machine, fastest first.

    Returns:
        Some of ``"triton"`` (triton is installed and torch sees a CUDA device), ``"interpreter"`` (triton is
        installed and ``TRITON_INTERPRET=1``: the kernels run on the CPU, slowly, for tests) and ``"torch"``
        (torch is installed: the plain twin of a kernel runs anywhere). Nothing is compiled to find out.
    """
    if find_spec("torch") is None:
        return ()
    if find_spec("triton") is None:
        return ("torch",)
    # Triton reads the variable when it is imported and then interprets every kernel, GPU or not.
    if os.environ.get("TRITON_INTERPRET", "0").lower() in {"1", "true", "yes", "on"}:
        return ("interpreter", "torch")
    import torch

    return ("triton", "torch") if torch.cuda.is_available() else ("torch",)


def __getattr__(name: str) -> Any:
    """Load the kernels, and with them torch, when the first one is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
