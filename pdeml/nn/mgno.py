"""The multigrid neural operator: each linear map between functions is a V-cycle of learned stencils.

Shapes: B (samples of a batch), c (channels), n (points along each axis of a grid), d = 1, 2 or 3 axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeml.data.signature import Axis
from pdeml.errors import InputError, one_of
from pdeml.nn.interpolate import CUBIC, regrid
from pdeml.nn.operator import GridOperator

__all__ = ["ACTIVATIONS", "BOUNDARIES", "MgNO", "TrainingGridOperator", "VCycle", "default_levels", "grid_sizes"]

BOUNDARIES = ("dirichlet", "neumann", "periodic")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "relu": functional.relu,
}

_COARSEST = 8
_SMOOTH = 8
_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}

Levels = Sequence[tuple[int, int]]


def grid_sizes(sizes: Sequence[int], levels: int) -> list[tuple[int, ...]]:
    """Return the points of every grid, finest first: coarsening keeps points 0, 2, 4, …, hence n -> ceil(n / 2)."""
    chain = [tuple(sizes)]
    for _ in range(levels - 1):
        chain.append(tuple((n + 1) // 2 for n in chain[-1]))
    return chain


def default_levels(sizes: Sequence[int], count: int | None = None) -> tuple[tuple[int, int], ...]:
    """Return (pre, post) iterations a level: one before going down, none after, two on the coarsest grid.

    Args:
        sizes: points of the finest grid.
        count: number of levels; by default as many as leave at most 8 intervals along each axis of the coarsest grid.
    """
    if count is None:
        count = 1 + (-(-(max(sizes) - 1) // _COARSEST) - 1).bit_length() if max(sizes) > 1 else 1
    return ((1, 0),) * (count - 1) + ((2, 0),)


class Stencil(nn.Module):
    """A 3^d convolution without bias, of a function that is extended beyond its grid as the boundary says.

    Args:
        inputs: channels taken.
        outputs: channels given.
        boundary: of each axis: dirichlet (zeros), neumann (mirrored in the end point) or periodic.
        stride: 1, or 2 to keep points 0, 2, 4, ….
    """

    def __init__(self, inputs: int, outputs: int, boundary: Sequence[str], stride: int = 1):
        super().__init__()
        self.boundary = tuple(boundary)
        zeros = [int(kind == "dirichlet") for kind in boundary]
        self.conv = _CONV[len(boundary)](inputs, outputs, 3, stride, padding=zeros, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, inputs, *n) -> (B, outputs, *n), or ceil(n / 2) points with stride 2."""
        return self.conv(_extended(values, self.boundary))


class Prolongation(nn.Module):
    """A transposed convolution of stride 2: coarse point j reaches the fine points 2j − 1, …, 2j + kernel − 2.

    Args:
        channels: taken and given.
        boundary: of each axis.
        kernel: of each axis: 3 as published for an odd number of fine points, 4 for an even one. Both work for both.
    """

    def __init__(self, channels: int, boundary: Sequence[str], kernel: Sequence[int]):
        super().__init__()
        self.boundary, self.kernel = tuple(boundary), tuple(kernel)
        self.transposed = _TRANSPOSED[len(kernel)]
        self.weight = nn.Parameter(torch.empty(channels, channels, *kernel))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        # Beyond an end the coarse function goes on as the fine one does: one more point, whose place is cut off again.
        self.cut = tuple(1 if kind == "dirichlet" else 3 for kind in boundary)

    def forward(self, values: Tensor, sizes: Sequence[int]) -> Tensor:
        """Map (B, c, *m) -> (B, c, *sizes), where m = ceil(sizes / 2)."""
        short = [int(k == 3 and n % 2 == 0) for k, n in zip(self.kernel, sizes, strict=True)]
        found = self.transposed(
            _extended(values, self.boundary, sizes), self.weight, stride=2, padding=self.cut, output_padding=short
        )
        for axis, n in enumerate(sizes, start=2):
            found = found.narrow(axis, 0, n)
        return found


class Iteration(nn.Module):
    """u ← u + S (f − A u), or u ← S f where nothing is known of u yet.

    Args:
        width: channels of u.
        right: channels of f.
        boundary: of each axis.
        first: whether nothing is known of u yet; A is then left out.
    """

    def __init__(self, width: int, right: int, boundary: Sequence[str], first: bool = False):
        super().__init__()
        self.operator = None if first else Stencil(width, right, boundary)
        self.smoother = Stencil(right, width, boundary)

    def forward(self, u: Tensor | None, f: Tensor) -> Tensor:
        """Return the next u: (B, width, *n)."""
        if self.operator is None:
            return self.smoother(f)
        return u + self.smoother(f - self.operator(u))


class Level(nn.Module):
    """One grid of a V-cycle: iterations, and the ways to the next coarser grid and back."""

    def __init__(
        self,
        width: int,
        right: int,
        boundary: Sequence[str],
        counts: tuple[int, int],
        kernel: Sequence[int] | None,
        first: bool,
    ):
        super().__init__()
        before, after = counts
        self.before = nn.ModuleList(
            Iteration(width, right, boundary, first and number == 0) for number in range(before)
        )
        self.after = nn.ModuleList(Iteration(width, right, boundary) for _ in range(after))
        if kernel is not None:
            self.restrict_u = Stencil(width, width, boundary, stride=2)
            self.restrict_f = Stencil(right, right, boundary, stride=2)
            self.prolongation = Prolongation(width, boundary, kernel)


class VCycle(nn.Module):
    """A linear map f -> u: one V-cycle of multigrid with learned stencils, each used once.

    Down: ``u ← S f``, then ``u ← u + S (f − A u)``, ``f ← R f``, ``u ← Π u``; up: ``u ← u + P u_coarse`` and the
    iterations after. With three channels it contains the V-cycle of textbooks (weighted Jacobi, full weighting,
    linear prolongation): Π then carries what A made of u.

    Args:
        right: channels of f.
        width: channels of u.
        levels: (pre, post) iterations of each grid, finest first.
        boundary: of each axis; see `BOUNDARIES`.
        sizes: points of the training grid, which decide the kernels of P and nothing else.

    Reference: He, Liu & Xu, *MgNO: Efficient parameterization of linear operators via multigrid* (ICLR 2024), §3.2.
    """

    def __init__(self, right: int, width: int, levels: Levels, boundary: Sequence[str], sizes: Sequence[int]):
        super().__init__()
        chain = grid_sizes(sizes, len(levels))
        kernels = [tuple(4 if n % 2 == 0 else 3 for n in fine) for fine in chain[:-1]]
        self.levels = nn.ModuleList(
            Level(width, right, boundary, counts, kernel, first=number == 0)
            for number, (counts, kernel) in enumerate(zip(levels, [*kernels, None], strict=True))
        )

    def forward(self, f: Tensor) -> Tensor:
        """Map (B, right, *n) -> (B, width, *n)."""
        return self._cycle(0, None, f)

    def _cycle(self, number: int, u: Tensor | None, f: Tensor) -> Tensor:
        level = self.levels[number]
        for iteration in level.before:
            u = iteration(u, f)
        if number + 1 < len(self.levels):
            coarse = self._cycle(number + 1, level.restrict_u(u), level.restrict_f(f))
            u = u + level.prolongation(coarse, u.shape[2:])
        for iteration in level.after:
            u = iteration(u, f)
        return u


class Layer(nn.Module):
    """``W_Mg u + W u + b``: a V-cycle beside a pointwise map."""

    def __init__(self, inputs: int, width: int, levels: Levels, boundary: Sequence[str], sizes: Sequence[int]):
        super().__init__()
        self.cycle = VCycle(inputs, width, levels, boundary, sizes)
        self.pointwise = _CONV[len(sizes)](inputs, width, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.cycle(u) + self.pointwise(u)


class MgNO(nn.Module):
    """The multigrid neural operator on a grid: ``u ← σ(W_Mg u + W u + b)`` in each layer, then ``W u``.

    There is no lifting and no projection: the first V-cycle maps the inputs to ``width`` channels. It takes any number
    of points along each axis; as its stencils count points, what it does belongs to the spacing it was trained with
    (see `TrainingGridOperator`). Translations along a periodic axis by 2^(levels − 1) points commute with it, if the
    points are a multiple of that.

    Args:
        inputs: channels taken.
        outputs: channels given.
        sizes: points of the training grid, d = 1, 2 or 3 numbers.
        boundary: of each axis: dirichlet (zeros beyond the ends), neumann (mirrored) or periodic.
        width: channels of each layer.
        depth: number of layers.
        levels: (pre, post) iterations of each grid, finest first; see `default_levels`.
        activation: gelu, silu, tanh or relu.

    Raises:
        InputError: the levels do not suit the training grid, or a name is unknown.

    Reference: He, Liu & Xu (ICLR 2024), §3 and appendix; Dirichlet, Neumann and periodic values through padding, §3.3.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        sizes: Sequence[int],
        boundary: Sequence[str],
        *,
        width: int = 24,
        depth: int = 4,
        levels: Levels | None = None,
        activation: str = "gelu",
    ):
        super().__init__()
        levels = default_levels(sizes) if levels is None else levels
        _check(sizes, levels, boundary, activation)
        self.activation = ACTIVATIONS[activation]
        taken = [inputs] + [width] * (depth - 1)
        self.layers = nn.ModuleList(Layer(count, width, levels, boundary, sizes) for count in taken)
        self.last = _CONV[len(sizes)](width, outputs, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, inputs, *n) -> (B, outputs, *n)."""
        for layer in self.layers:
            values = _laid_out(self.activation(layer(values)))
        return self.last(values)


class TrainingGridOperator(GridOperator):
    """A network that belongs to one spacing, applied on the grid it was trained on, between interpolations.

    Inputs are interpolated to the training grid and outputs back to the grid that is asked for, so that ``G_n f``
    converges as fast as the interpolation does: by the four nearest points of each axis, or by eight where all axes are
    periodic. On the training grid itself nothing changes. Arguments as of `GridOperator`.
    """

    def forward(self, inputs: Mapping[str, Tensor], grid: Mapping[str, Tensor]) -> Tensor:
        """Apply the operator; see `Operator.forward`."""
        axes = [self.signature.axis(dim) for dim in self.signature.space]
        periods = [axis.high - axis.low if axis.periodic else None for axis in axes]
        width = CUBIC if None in periods else _SMOOTH
        values = self.encode(inputs, grid)
        trained = [_points(axis, values.device) for axis in axes]
        asked = [grid[axis.name].double() for axis in axes]
        found = self.network(regrid(values, asked, trained, periods, width))
        return self.decode(regrid(found, trained, asked, periods, width), inputs)


def _laid_out(values: Tensor) -> Tensor:
    """Return the same values, in two dimensions on a CPU with channels last, which its convolutions take faster.

    Measured on one core, forward and backward: 1.1 to 1.45 times at 64 x 64 points, 1.1 to 1.2 at 16 x 16.
    """
    if values.ndim != 4 or values.device.type != "cpu":
        return values
    return values.contiguous(memory_format=torch.channels_last)


def _points(axis: Axis, device: torch.device) -> Tensor:
    """Return the coordinates of an axis on the training grid: (n,) in float64."""
    step = (axis.high - axis.low) / (axis.size if axis.periodic else max(axis.size - 1, 1))
    return axis.low + step * torch.arange(axis.size, dtype=torch.float64, device=device)


def _extended(values: Tensor, boundary: Sequence[str], fine: Sequence[int] | None = None) -> Tensor:
    """Add a point at both ends of each axis that is not of Dirichlet kind (there the convolution adds its zeros).

    Where the grid holds every other point of a finer one, its functions are mirrored in the ends of that: ``fine`` are
    the points of the finer grid.
    """
    for axis, kind in enumerate(boundary, start=2):
        if kind == "dirichlet":
            continue
        n = values.shape[axis]
        low, high = (n - 1, 0) if kind == "periodic" else (min(1, n - 1), max(n - 2, 0))
        if kind == "neumann" and fine is not None and fine[axis - 2] % 2 == 0:
            high = n - 1  # the end lies between the last point and the one that is added
        values = torch.cat((values.narrow(axis, low, 1), values, values.narrow(axis, high, 1)), axis)
    return values


def _check(sizes: Sequence[int], levels: Levels, boundary: Sequence[str], activation: str) -> None:
    if len(sizes) not in _CONV:
        raise InputError(f"'mgno' works on grids of 1, 2 or 3 dimensions, not of {len(sizes)}")
    for kind in boundary:
        if kind not in BOUNDARIES:
            raise InputError(one_of(kind, BOUNDARIES, "a kind of boundary"), ("boundary",))
    if activation not in ACTIVATIONS:
        raise InputError(one_of(activation, ACTIVATIONS, "an activation"), ("activation",))
    if not levels or levels[0][0] < 1:
        raise InputError("the first of the levels needs at least one iteration before it goes down", ("levels",))
    most = max(max(sizes) - 1, 1).bit_length()
    if len(levels) > most:
        grid = " × ".join(map(str, sizes))
        message = f"{len(levels)} levels are too many for a grid of {grid} points: at most {most}, so that two are left"
        raise InputError(message, ("levels",))
