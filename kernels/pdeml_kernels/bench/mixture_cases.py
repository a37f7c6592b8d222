"""Matrices of spectral mixture kernels and their derivatives, for Gaussian processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pdeml_kernels.bench.case import Asked, Case, Draw, Inputs, Work, by_torch, by_triton
from pdeml_kernels.mixture import mixture_matrices

__all__ = ["mixture"]

HIGHEST = 2


def mixture(points: int, components: int) -> Case:
    """Return K, K′, K″ of k(z) = Σ_q w_q exp(−κ_q² z² / 2) cos(m_q z); backward the gradients by w, κ, m.

    Traffic: the matrices, written forward, their cotangents read backward. Operations: of the sums over components
    alone, of which there are three backward.
    """

    def twin(x: Tensor, y: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor) -> Tensor:
        return mixture_matrices(x, y, weights, widths, frequencies, HIGHEST)

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_mixture import mixture_matrices_triton

        return lambda x, y, *parameters: mixture_matrices_triton(x, y, *parameters, HIGHEST)

    numbers = 3.0 * points**2
    return Case(
        "spectral mixture K, K′, K″",
        f"{points}², Q = {components}",
        lambda draw: _inputs(draw, points, components),
        (
            by_torch("torch", twin),
            by_torch("autograd of formulas", by_formulas),
            by_torch("autograd of formulas, compiled", by_formulas, compiled=True),
            *by_triton(load),
        ),
        {
            "forward": Work(4 * numbers, 2 * numbers * components),
            "forward + backward": Work(8 * numbers, 8 * numbers * components),
        },
        asked=(Asked("torch", 10),),
        through=0,
    )


def by_formulas(x: Tensor, y: Tensor, weights: Tensor, widths: Tensor, frequencies: Tensor) -> Tensor:
    """Return the three matrices by their formulas, (3, N, M), with arrays of lags times components in between."""
    z = (x[:, None] - y)[..., None]
    squares, wave = widths.square(), frequencies * z
    envelope, cosine, sine = torch.exp(-0.5 * squares * z.square()), torch.cos(wave), torch.sin(wave)
    slope = -squares * z * cosine - frequencies * sine
    second = (squares.square() * z.square() - squares - frequencies.square()) * cosine
    second = second + 2 * squares * frequencies * z * sine
    return torch.stack([(envelope * part) @ weights for part in (cosine, slope, second)])


def _inputs(draw: Draw, points: int, components: int) -> Inputs:
    """Draw points in [0, 1] and a mixture of up to five oscillations over them."""
    x, y = (torch.special.ndtr(draw(points)) for _ in range(2))
    weights, widths = draw(components).exp() / components, 2 * torch.exp(0.5 * draw(components))
    return Inputs((x, y), (weights, widths, 30 * torch.special.ndtr(draw(components))))
