"""Residuals and norms of fields on grids, for physics-informed operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pdeml_kernels.bench.case import Case, Draw, Inputs, Work, by_torch, by_triton
from pdeml_kernels.grid import GridResidual, Stencil, Term, grid_residual, weighted_modes
from pdeml_kernels.programs import Program

__all__ = ["burgers_on_a_grid", "sobolev_norm"]

VISCOSITY, WIDTH = 0.01, 5


def burgers_on_a_grid(batch: int, n: int, spectral: bool) -> Case:
    """Return the mean square of u_t + u u_x − ν u_xx of fields in (x, t); backward its gradient by them.

    x is periodic, its derivatives are spectral or differences; those in time are differences, one-sided at both ends.
    Traffic: the fields, backward also the gradient. Operations: of the differences, or products with matrices of
    cosines and sines, backward as many again for the transposed ones.
    """
    plan = _plan(n, spectral)

    def mean_square(fields: Tensor) -> Tensor:
        return grid_residual(fields, (), plan)[0]

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_grid import grid_residual_triton

        return lambda fields: grid_residual_triton(fields, (), plan)[0]

    numbers = float(batch * n * n)
    operations = 2 * numbers * (WIDTH + 2 * (n if spectral else WIDTH))
    return Case(
        "residual on a grid",
        f"Burgers, {'spectral' if spectral else 'differences'}, B={batch}, n={n}²",
        lambda draw: Inputs((draw(batch, 1, n, n),), ()),
        (
            by_torch("torch", mean_square),
            by_torch("torch, compiled", mean_square, compiled=True),
            *by_triton(load),
        ),
        {
            "forward": Work(4 * numbers, operations),
            "forward + backward": Work(8 * numbers, 2 * operations),
        },
    )


def sobolev_norm(batch: int, n: int) -> Case:
    """Return Σ_k (1 + |k|²) |û_k|² of fields; backward its gradient by them.

    Traffic: the fields, backward also the gradient. Operations: of fast Fourier transforms, 2.5 N log₂ N each.
    """

    def twin(fields: Tensor, weight: Tensor) -> Tensor:
        return weighted_modes(fields, weight, 2)

    def load() -> Callable[..., Tensor]:
        from pdeml_kernels.triton_modes import weighted_modes_triton

        return lambda fields, weight: weighted_modes_triton(fields, weight, 2)

    def inputs(draw: Draw) -> Inputs:
        fields = draw(batch, 1, n, n)
        return Inputs((fields, _sobolev_weight(n).to(fields)), ())

    numbers = float(batch * n * n)
    transform = 2.5 * numbers * math.log2(n * n)
    return Case(
        "Sobolev norm H¹",
        f"B={batch}, n={n}²",
        inputs,
        (
            by_torch("torch", twin),
            by_torch("torch, compiled", twin, compiled=True),
            *by_triton(load),
        ),
        {"forward": Work(4 * numbers, transform), "forward + backward": Work(8 * numbers, 2 * transform)},
    )


def _plan(n: int, spectral: bool) -> GridResidual:
    """Return the residual on [-1, 1) x [0, 1]: channels u, u_x and u_t − ν u_xx."""
    matrices: tuple[tuple[int, Tensor], ...] = ()
    stencils = [_one_sided(n, 1, 1 / (n - 1))]
    if spectral:
        matrices = tuple((0, _fourier(n, order, 2.0)) for order in (1, 2))
        slope, second = Term(1.0, 0, (0,)), Term(-VISCOSITY, 0, (1,))
    else:
        stencils += [_periodic(n, order, 2 / n) for order in (1, 2)]
        slope, second = Term(1.0, 0, (), 1), Term(-VISCOSITY, 0, (), 2)
    return GridResidual(
        n=(n, n),
        channels=((Term(1.0, 0),), (slope,), (Term(1.0, 0, (), 0), second)),
        residual=Program(3, (), (("mul", 0, 1), ("add", 2, 3)), (4,)),
        partials=Program(3, (1.0,), (), (1, 0, 3)),
        partial_of=((0, 0), (0, 1), (0, 2)),
        scales=(1.0,),
        weights=(1.0,),
        where=((0, n), (0, n)),
        matrices=matrices,
        stencils=tuple(stencils),
    )


def _one_sided(n: int, order: int, step: float) -> Stencil:
    """Return differences along time of five points, all of them inside."""
    first = (torch.arange(n) - WIDTH // 2).clamp(0, n - WIDTH)
    rows = [_weights(range(start - i, start - i + WIDTH), order) for i, start in enumerate(first.tolist())]
    return Stencil(1, first, torch.stack(rows) / step**order)


def _periodic(n: int, order: int, step: float) -> Stencil:
    """Return central differences along the periodic axis of five points."""
    first = (torch.arange(n) - WIDTH // 2) % n
    return Stencil(0, first, _weights(range(-(WIDTH // 2), WIDTH // 2 + 1), order).expand(n, -1) / step**order)


def _weights(places: Sequence[int], order: int) -> Tensor:
    """Return weights of points at these places, in steps, that differentiate all polynomials of lower degree."""
    powers = torch.tensor([[float(place) ** k for place in places] for k in range(WIDTH)], dtype=torch.float64)
    wanted = torch.zeros(WIDTH, dtype=torch.float64)
    wanted[order] = math.factorial(order)
    return torch.linalg.solve(powers, wanted)


def _fourier(n: int, order: int, period: float) -> Tensor:
    """Return the matrix (n, n) of a spectral derivative."""
    factors = (2j * math.pi / period * torch.arange(n // 2 + 1)) ** order
    if order % 2 and n % 2 == 0:
        factors[-1] = 0
    modes = torch.fft.rfft(torch.eye(n, dtype=torch.float64), dim=0) * factors[:, None]
    return torch.fft.irfft(modes, n=n, dim=0)


def _sobolev_weight(n: int) -> Tensor:
    """Return 1 + |k|² for each of the modes that ``rfftn`` gives, twice where one stands for its conjugate too."""
    rows, columns = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64), torch.arange(n // 2 + 1, dtype=torch.float64)
    twice = torch.full_like(columns, 2.0)
    twice[0] = 1.0
    if n % 2 == 0:
        twice[-1] = 1.0
    return (1 + rows[:, None].square() + columns.square()) * twice
