"""Sobolev norms of gridded functions, as loss and as metric. Shapes: B (samples), C (channels), n (points per axis).

All norms are per volume: sums over points are divided by their number. Every point of a grid counts the same, at the
ends too, so that the relative L2 error is the ratio of plain vector norms, as benchmarks print it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pdeml.errors import InputError
from pdeml.linalg.differences import WIDTH, weights, windows
from pdeml_kernels.constants import kept
from pdeml_kernels.grid import weighted_modes

__all__ = ["Grid", "derivative", "inside_of", "published_h1", "relative_error", "root", "squared_norm"]

LIMIT = 2.0
"""Orders of norms lie between -LIMIT and LIMIT."""
DENSE = 1024
"""Up to so many points an axis is differentiated by a matrix product, beyond by shifted sums."""
PUBLISHED_CUT = 20

Modes = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True, eq=False)
class Grid:
    """A tensor grid. It keeps the matrices it has made: use one for all batches.

    Args:
        axes: (n,) strictly increasing coordinates of each axis, in the order of the arrays' dimensions.
        periods: of each axis, in the units of its coordinates; None where functions do not repeat. A periodic axis is
            equally spaced and leaves out its end point.

    Raises:
        InputError: a periodic axis is not as described.
    """

    axes: tuple[Tensor, ...]
    periods: tuple[float | None, ...]
    points: tuple[np.ndarray, ...] = field(init=False, repr=False)
    _kept: dict[tuple, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        points = tuple(axis.detach().cpu().numpy().astype(np.float64) for axis in self.axes)
        object.__setattr__(self, "points", points)
        for axis, own, period in zip(self.axes, points, self.periods, strict=True):
            if period is None:
                continue
            step = period / len(own)
            rounding = 2 * torch.finfo(axis.dtype).eps * np.abs(own).max()  # of fine grids in single precision
            if not np.allclose(np.diff(own), step, rtol=0, atol=1e-3 * step + rounding):
                raise InputError(
                    f"a periodic axis of {len(own)} points and period {period:g} has the step {step:g}; these run from "
                    f"{own[0]:g} to {own[-1]:g}: is the end point, which repeats the first, among them?"
                )

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(len(own) for own in self.points)

    @property
    def equally_spaced(self) -> bool:
        """Whether the points of every axis are."""
        steps = (np.diff(own) for own in self.points)
        return all(np.allclose(own, own.mean(), rtol=1e-3, atol=0) for own in steps if len(own))

    def keep(self, key: tuple, like: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """Return a tensor in the precision and on the device of ``like``, made when it is first asked for."""
        return kept(self._kept, (*key, like.dtype, like.device), lambda: make().to(like))


def squared_norm(
    values: Tensor, grid: Grid, order: float = 0.0, mask: Tensor | None = None, modes: Modes = weighted_modes
) -> Tensor:
    """Return the squared norm of order s, per volume.

    - s = 0: mean of u² over the points.
    - s = 1: mean of u² + |∇u|², in the units given, over all axes of the grid. Along periodic axes by Fourier modes,
      where all frequencies count in full, that of a saw tooth (Nyquist) too; along others by fourth-order differences.
      With a mask by differences everywhere, which use points inside only.
    - other s in [-2, 2]: sum of (1 + |k|²)^s |û_k|² over the Fourier modes, û_k = mean of u exp(-i k·x); k = 2π m / L.
      For s = 0 and 1 this agrees with the above.

    Args:
        values: (B, C, *n); not finite outside the mask is allowed. Half precision is computed in float32.
        grid: of ``values``.
        order: s.
        mask: (B, *n) or (*n), or what broadcasts to one of them: true at points that count; None: all.
        modes: sums the squares of Fourier modes; see `pdeml_kernels.grid.weighted_modes`.

    Returns: (B, C), differentiable.

    Raises:
        InputError: the order is out of range, or neither 0 nor 1 where an axis is not periodic or points are left out.

    Reference: Adams & Fournier, Sobolev Spaces (2003), ch. 7, for real s; Parseval's identity.
    """
    inside = inside_of(values, mask)
    return _measure(grid, order, inside, modes)(only_inside(values, inside))


def relative_error(
    found: Tensor, reference: Tensor, grid: Grid, order: float = 0.0, mask: Tensor | None = None
) -> Tensor:
    """Return the norm of ``found - reference`` over that of ``reference``, of each sample and channel.

    Where the reference vanishes, the norm of the error itself. Its gradient is zero where the error vanishes. Values
    are scaled first: the squares of large or small ones neither overflow nor vanish in float32.

    Args:
        found: (B, C, *n).
        reference: of the same shape.
        grid: of both.
        order: of the norm; see `squared_norm`.
        mask: points that count; see `squared_norm`.

    Returns: (B, C), differentiable.

    Raises:
        InputError: as `squared_norm`.
    """
    inside = inside_of(found, mask)
    reference = only_inside(reference, inside)
    scale = reference.abs().amax(tuple(range(2, reference.ndim)), keepdim=True)
    scale = torch.where(scale > 0, scale, 1.0)
    measure = _measure(grid, order, inside)
    size = measure(reference / scale)
    return root(measure(only_inside(found - reference, inside) / scale) / torch.where(size > 0, size, 1.0))


def published_h1(found: Tensor, reference: Tensor) -> Tensor:
    """Return the "H1" error of the tables of MgNO and HANO, which is not the Sobolev norm.

    |w (F found - F reference)| / |w F reference| with the discrete Fourier transform F over all points of the grid,
    w² = 1 + Σ k² with integer wave numbers k, each of which counts as 0 from 20 on.

    Args:
        found: (B, C, *n).
        reference: of the same shape.

    Returns: (B, C).

    Reference: He, Liu & Xu, MgNO: efficient parameterization of linear operators via multigrid, ICLR 2024, whose
        program (``HsLoss`` in ``utilities3.py``) defines it.
    """
    shape = found.shape[2:]
    steps = Grid(
        tuple(torch.arange(size, dtype=torch.float64) * (2 * math.pi / size) for size in shape),
        (2 * math.pi,) * len(shape),
    )
    numbers = [number.round() * (number.round() < PUBLISHED_CUT) for number in wave_numbers(steps)]
    weight = hermitian(shape[-1]) * (1 + sum(number**2 for number in numbers))
    size, error = (weighted_modes(part, weight.to(part), len(shape)) for part in (reference, found - reference))
    return root(error / torch.where(size > 0, size, 1.0))


def derivative(values: Tensor, grid: Grid, axis: int, mask: Tensor | None = None) -> Tensor:
    """Differentiate along one axis by five-point differences, fourth-order accurate.

    Each point takes the most centred window of five neighbours inside, where there is none the largest that fits, and
    0 if it has no neighbour; along a periodic axis windows go round. Zero at points outside.

    Args:
        values: (B, C, *n).
        grid: of ``values``.
        axis: number of the axis of the grid.
        mask: points that may be used; see `squared_norm`.

    Returns: (B, C, *n).

    Reference: Fornberg, Math. Comp. 51 (1988) 699.
    """
    inside = inside_of(values, mask)
    return _difference(grid, axis, inside)(only_inside(values, inside))


def inside_of(values: Tensor, mask: Tensor | None) -> Tensor | None:
    """Return a mask as booleans (B or 1, 1, *n) for values (B, C, *n)."""
    if mask is None:
        return None
    mask = mask != 0
    mask = mask if mask.ndim == values.ndim - 1 else mask[None]
    return mask[:, None].expand(-1, -1, *values.shape[2:])


def root(squares: Tensor) -> Tensor:
    """Return the square root, with the gradient 0 at 0."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), squares)


def wave_numbers(grid: Grid) -> list[Tensor]:
    """Return |k| = 2π |m| / L of each axis of a periodic grid, broadcastable to what ``rfftn`` gives, in float64."""
    numbers = []
    for axis, (own, period) in enumerate(zip(grid.points, grid.periods, strict=True)):
        frequencies = np.fft.rfftfreq if axis == len(grid.points) - 1 else np.fft.fftfreq
        found = np.abs(frequencies(len(own), period / len(own))) * 2 * math.pi
        numbers.append(torch.from_numpy(found).reshape([-1 if other == axis else 1 for other in range(len(grid.axes))]))
    return numbers


def _measure(
    grid: Grid, order: float, inside: Tensor | None, modes: Modes = weighted_modes
) -> Callable[[Tensor], Tensor]:
    """Return what maps values, zero outside, to their squared norm."""
    if not -LIMIT <= order <= LIMIT:
        raise InputError(f"the order of a norm lies between {-LIMIT:g} and {LIMIT:g}, got {order:g}")
    if order == 0:
        return lambda values: _mean(values.square(), inside)
    if inside is None and None not in grid.periods:

        def weight() -> Tensor:
            squares = sum(number**2 for number in wave_numbers(grid))
            return hermitian(len(grid.points[-1])) * (1 + squares) ** order

        return lambda values: modes(values, grid.keep(("modes", order), values, weight), len(grid.axes))
    if order != 1:
        why = "an axis is not periodic" if None in grid.periods else "points are left out"
        raise InputError(f"norms of order 0 and 1 exist on every grid; {why} here, so that there is none of {order:g}")
    slopes = [_slope(grid, axis, inside, modes) for axis in range(len(grid.axes))]
    return lambda values: _mean(values.square(), inside) + sum(slope(values) for slope in slopes)


def _slope(grid: Grid, axis: int, inside: Tensor | None, modes: Modes) -> Callable[[Tensor], Tensor]:
    """Return what maps values to the mean square of their derivative along an axis."""
    period, size = grid.periods[axis], len(grid.points[axis])
    if period is None or inside is not None:
        difference = _difference(grid, axis, inside)
        return lambda values: _mean(difference(values).square(), inside)

    def slope(values: Tensor) -> Tensor:
        weight = grid.keep(("slope", axis), values, lambda: hermitian(size) * numbers**2)
        return modes(values.movedim(axis + 2, -1), weight, 1)

    numbers = torch.arange(size // 2 + 1, dtype=torch.float64) * (2 * math.pi / period)
    return slope


def hermitian(size: int) -> Tensor:
    """Return how often each mode of ``rfft`` stands for: once (the mean, the Nyquist mode) or for its conjugate too."""
    numbers = torch.arange(size // 2 + 1, dtype=torch.float64)
    return torch.where((numbers == 0) | (2 * numbers == size), 1.0, 2.0)


def _difference(grid: Grid, axis: int, inside: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return what differentiates values, zero outside, along an axis."""
    size = len(grid.points[axis])
    index, points, margin = _extended(grid, axis)
    here = torch.arange(margin, margin + size)

    def table() -> Tensor:
        return _table(points)[:, here]

    def everywhere() -> Tensor:
        choice = _choice(torch.ones(len(points), dtype=torch.bool))[here]
        return table()[:, torch.arange(size), choice]

    def matrix() -> Tensor:
        result, factors, rows = torch.zeros(size, size, dtype=torch.float64), everywhere(), torch.arange(size)
        for number in range(2 * WIDTH - 1):
            result[rows, (rows + number - WIDTH + 1) % size] += factors[number]
        return result

    if inside is not None:
        choice = _choice(inside.movedim(axis + 2, -1)[..., index])[..., margin : margin + size]
        rows = torch.arange(size, device=inside.device)
        return lambda values: _shifted(values, grid.keep(("table", axis), values, table)[:, rows, choice], axis, index)
    if size > DENSE:
        return lambda values: _shifted(values, grid.keep(("shifts", axis), values, everywhere), axis, index)

    def multiply(values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            return (values.movedim(axis + 2, -1) @ grid.keep(("matrix", axis), values, matrix).T).movedim(-1, axis + 2)

    return multiply


def _extended(grid: Grid, axis: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return indices and coordinates of an axis, a periodic one continued by ``margin`` points at both ends."""
    points, period = grid.points[axis], grid.periods[axis]
    margin = 0 if period is None else WIDTH - 1
    index = np.arange(-margin, len(points) + margin)
    turns, index = np.divmod(index, len(points))
    return index, points[index] + turns * (period or 0.0), margin


def _table(points: np.ndarray) -> Tensor:
    """Return (2 WIDTH - 1, n, windows + 1): the weights of the neighbours of each point in each window; none: zero."""
    shapes, count = windows(len(points)), len(points)
    result = np.zeros((2 * WIDTH - 1, count, len(shapes) + 1))
    for number, (width, left) in enumerate(shapes):
        first = WIDTH - 1 - left
        result[first : first + width, left : left + count - width + 1, number] = weights(points, width, left).T
    return torch.from_numpy(result)


def _choice(inside: Tensor) -> Tensor:
    """Return for each point (..., n) the number of the first window that lies inside; the last number: none does."""
    shapes = windows(inside.shape[-1])
    right, left = _reach(inside), [part.flip(-1) for part in _reach(inside.flip(-1))]
    choice = torch.full(inside.shape, len(shapes), device=inside.device)
    for number, (width, before) in reversed(list(enumerate(shapes))):
        choice[left[before] & right[width - 1 - before]] = number
    return choice


def _reach(inside: Tensor) -> list[Tensor]:
    """Return for 0, 1, ... whether a point and so many to its right are inside."""
    found, size = [inside], inside.shape[-1]
    for number in range(1, min(WIDTH, size)):
        found.append(found[-1] & torch.nn.functional.pad(inside[..., number:], (0, number)))
    return found


def _shifted(values: Tensor, factors: Tensor, axis: int, index: np.ndarray) -> Tensor:
    """Return the sum of shifted values times their ``factors`` (2 WIDTH - 1, ..., n); see `_extended` for ``index``."""
    size, moved = values.shape[axis + 2], values.movedim(axis + 2, -1)
    margin = (len(index) - size) // 2
    moved = moved[..., torch.from_numpy(index).to(values.device)] if margin else moved
    moved = torch.nn.functional.pad(moved, (WIDTH - 1 - margin,) * 2)
    parts = (factor * moved[..., shift : shift + size] for shift, factor in enumerate(factors))
    return sum(parts).movedim(-1, axis + 2)


def only_inside(values: Tensor, inside: Tensor | None) -> Tensor:
    """Return values in at least single precision, zero outside."""
    values = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    return values if inside is None else torch.where(inside, values, 0.0)


def _mean(values: Tensor, inside: Tensor | None) -> Tensor:
    """Average over the points that count; 0 where there are none. What stands outside is 0."""
    dims = tuple(range(2, values.ndim))
    return values.mean(dims) if inside is None else values.sum(dims) / inside.sum(dims).clamp(min=1)
