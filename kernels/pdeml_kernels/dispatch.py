"""The choice between Triton kernels and their twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pdeml_kernels.block import fourier_block, fourier_gelu
from pdeml_kernels.contest import Contested
from pdeml_kernels.grid import grid_residual, grid_residual_values, weighted_modes
from pdeml_kernels.mixture import mixture_derivatives, mixture_matrices
from pdeml_kernels.network import Network, Recomputed, Tape, jet_mlp_jacobian, jets, linearised
from pdeml_kernels.residual import residual_linearised, residual_loss, residual_rows
from pdeml_kernels.spectral import spectral_analysis, spectral_conv, spectral_synthesis

__all__ = [
    "GridKernels",
    "JetChoice",
    "JetKernels",
    "KernelChoice",
    "MixtureKernels",
    "ResidualKernels",
    "SpectralKernels",
    "grid_kernels",
    "jet_kernels",
    "mixture_kernels",
    "residual_kernels",
    "spectral_kernels",
    "wanted",
]

KernelChoice = Literal["auto", "triton", "torch"]


def wanted(kernels: KernelChoice, device: torch.device) -> Literal["triton", "torch", "contest"]:
    """Return how operators are to be computed on a device.

    Args:
        kernels: triton (on a CUDA device, or interpreted), torch (the twins), or auto: torch on other devices than
            CUDA ones, and on those whichever is faster, measured for the shapes at hand (``contest``).
        device: where the tensors are.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    if kernels not in get_args(KernelChoice):
        near = get_close_matches(str(kernels), get_args(KernelChoice), 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"kernels must be one of {', '.join(get_args(KernelChoice))}, not {kernels!r}{meant}")
    if kernels == "torch" or (kernels == "auto" and device.type != "cuda"):
        return "torch"
    try:
        from pdeml_kernels.triton_support import INTERPRETED
    except ImportError as error:
        if kernels == "auto":
            return "torch"
        raise ValueError("kernels: triton needs triton, which is not installed; give auto or torch") from error
    if kernels == "auto":
        return "torch" if INTERPRETED else "contest"
    if not (device.type == "cuda" or INTERPRETED):
        raise ValueError(f"kernels: triton needs a CUDA device, not {device.type}; give auto or torch")
    return "triton"


def _chosen(
    what: str, kernels: KernelChoice, device: torch.device, **twins: Sequence[Callable]
) -> tuple[list[Callable], str]:
    """Return the operators of a family, and a line that says which they are.

    Args:
        what: name of the family.
        kernels: see `wanted`.
        device: see `wanted`.
        twins: module -> the operators by torch that it computes by Triton, there called ``NAME_triton``, with the same
            arguments, all positional.
    """
    way = wanted(kernels, device)
    plain = [twin for own in twins.values() for twin in own]
    if way == "torch":
        return plain, f"{what} by torch"
    homes = [import_module(f"pdeml_kernels.{home}") for home, own in twins.items() for _ in own]
    fused = [getattr(home, f"{twin.__name__}_triton") for home, twin in zip(homes, plain, strict=True)]
    if way == "triton":
        return fused, f"{what} by triton"
    contested = [Contested(kernel.__name__, kernel, twin) for kernel, twin in zip(fused, plain, strict=True)]
    return contested, f"{what} by triton or torch, whichever is faster"


class SpectralKernels(NamedTuple):
    """Spectral convolution, its two halves, the layers around it, and a line that says which they are.

    Arguments are those of `spectral_conv`, `spectral_analysis`, `spectral_synthesis`, `fourier_gelu`, `fourier_block`.
    """

    conv: Callable[..., Tensor]
    analysis: Callable[..., Tensor]
    synthesis: Callable[..., Tensor]
    layer: Callable[..., Tensor]
    block: Callable[..., Tensor]
    note: str


def spectral_kernels(kernels: KernelChoice, device: torch.device) -> SpectralKernels:
    """Return the operators of spectral convolution to use on a device; see `wanted`.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    operators, note = _chosen(
        "spectral convolution",
        kernels,
        device,
        triton_spectral=(spectral_conv, spectral_analysis, spectral_synthesis),
        triton_layer=(fourier_gelu, fourier_block),
    )
    return SpectralKernels(*operators, note)


class ResidualKernels(NamedTuple):
    """Residuals of an equation at points, and a line that says how they are computed.

    Arguments are those of `residual_rows`, `residual_linearised` and `residual_loss`.
    """

    rows: Callable[..., Tensor]
    linearised: Callable[..., tuple[Tensor, Tensor, Tensor]]
    loss: Callable[..., tuple[Tensor, Tensor, Tensor]]
    note: str


def residual_kernels(kernels: KernelChoice, device: torch.device, program: str) -> ResidualKernels:
    """Return the operators of the residuals of one program on a device; see `wanted`.

    A program that no kernel can run is computed by torch, whatever is chosen: the line says why.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    twins = residual_rows, residual_linearised, residual_loss
    if wanted(kernels, device) != "torch":
        from pdeml_kernels.triton_residual import why_not

        reason = why_not(program)
        if reason is not None:
            return ResidualKernels(*twins, f"residuals by torch: {reason}")
    operators, note = _chosen("residuals", kernels, device, triton_residual=twins)
    return ResidualKernels(*operators, note)


class JetKernels(NamedTuple):
    """A network that carries jets, and a line that says how.

    Both are called with ``(theta, inputs, chain, network)``, as `pdeml_kernels.network.jets` and `linearised`, which
    gives a tape besides, to call ``pullback(adjoint)`` and ``jacobian(adjoint, out)``.
    """

    jets: Callable[..., Tensor]
    linearised: Callable[..., tuple[Tensor, Tape | Recomputed]]
    note: str


JetChoice = KernelChoice | Literal["inductor"]


def jet_kernels(kernels: JetChoice, device: torch.device, network: Network) -> JetKernels:
    """Return the operators of a network that carries jets, on a device; see `wanted`.

    ``inductor`` is torch with compiled activations, where a compiler is found; these have no autograd. A network that
    is too wide for a kernel is computed by torch, whatever is chosen. The line says what was taken.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    if kernels == "inductor":
        from pdeml_kernels import inductor

        reason = inductor.why_not()
        if reason is not None:
            return JetKernels(jets, linearised, f"network by torch: {reason}")
        compiled = (partial(function, compose=inductor.compose) for function in (jets, linearised))
        return JetKernels(*compiled, "network by torch, its activations compiled")
    way = wanted(kernels, device)
    if way == "torch":
        return JetKernels(jets, linearised, "network by torch")
    from pdeml_kernels import triton_network as by

    if network.width > by.WIDEST:
        return JetKernels(jets, linearised, f"network by torch: it is wider than {by.WIDEST} units")

    by_point: Callable[..., Tensor] = by.jet_mlp_jacobian_triton
    if way == "triton":
        return JetKernels(by.jet_mlp_triton, partial(_recomputed, by, by_point), "network by triton")
    by_point = Contested("jet_mlp_jacobian_triton", by_point, jet_mlp_jacobian, _elsewhere)
    forward = Contested("jet_mlp_triton", by.jet_mlp_triton, jets)
    both = Contested("jet_mlp_backward_triton", partial(_recomputed, by, by_point), linearised, _with_gradient)
    return JetKernels(forward, both, "network by triton or torch, whichever is faster")


def _recomputed(by: ModuleType, by_point: Callable[..., Tensor], *given: Any) -> tuple[Tensor, Recomputed]:
    """Do what `linearised` does by the kernels of a module; ``by_point`` gives the Jacobian."""
    return by.jet_mlp_triton(*given), Recomputed(*given, by.jet_mlp_backward_triton, by_point)


def _with_gradient(linearise: Callable[..., Any], given: Sequence[Any]) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return a function that goes forward and back for a gradient, which is to be measured."""

    def run() -> tuple[Tensor, Tensor]:
        found, tape = linearise(*given)
        return found, tape.pullback(torch.ones_like(found))

    return run


def _elsewhere(jacobian: Callable[..., Tensor], given: Sequence[Any]) -> Callable[[], Tensor]:
    """Return a function, to be measured, that fills memory of its own in place of the last argument."""
    return lambda: jacobian(*given[:-1], torch.empty_like(given[-1]))


class MixtureKernels(NamedTuple):
    """Derivatives of spectral mixture kernels at lags and as matrices, and a line that says which they are."""

    derivatives: Callable[..., Tensor]
    matrices: Callable[..., Tensor]
    note: str


def mixture_kernels(kernels: KernelChoice, device: torch.device) -> MixtureKernels:
    """Return the derivatives of spectral mixture kernels to use on a device; see `wanted`.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    operators, note = _chosen(
        "spectral mixtures", kernels, device, triton_mixture=(mixture_derivatives, mixture_matrices)
    )
    return MixtureKernels(*operators, note)


class GridKernels(NamedTuple):
    """Residuals on grids, and a line that says how they are computed.

    Arguments are those of `grid_residual`, `grid_residual_values` and `weighted_modes`.
    """

    residual: Callable[..., tuple[Tensor, Tensor]]
    values: Callable[..., Tensor]
    weighted_modes: Callable[..., Tensor]
    note: str


def grid_kernels(kernels: KernelChoice, device: torch.device) -> GridKernels:
    """Return the operators of residuals on grids to use on a device; see `wanted`.

    Raises:
        ValueError: no such choice, triton is not installed, or it cannot run on the device.
    """
    operators, note = _chosen(
        "residuals on grids",
        kernels,
        device,
        triton_grid=(grid_residual, grid_residual_values),
        triton_modes=(weighted_modes,),
    )
    return GridKernels(*operators, note)
